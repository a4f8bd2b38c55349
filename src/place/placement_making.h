/* SPDX-License-Identifier: Apache-2.0 */
/* placement: a plan in the making, and the steps that have files of their own. See placement.c. */
#ifndef FILCHI_PLACEMENT_MAKING_H
#define FILCHI_PLACEMENT_MAKING_H

#include "place/placement.h"

/* A place for one worker: a CPU of a core. */
struct filchi_candidate {
	uint32_t cpu, core;
	uint32_t sibling; /* 0: the first CPU of its core that we may use */
	int32_t kind;
	uint32_t load; /* on its core, in quarters of a thread */
	bool reserved; /* on a core to be left free */
};

/* What the steps hand to each other. */
struct filchi_making {
	const struct filchi_place_request *request;
	const struct filchi_surroundings *where;
	const struct filchi_topology *topology;
	struct filchi_plan *plan;
	FILE *complaints; /* writes what follows */
	char *complaint;
	size_t complaint_size;
	const char *cpuset_from;   /* what named the cpuset, or NULL */
	const char *workers_from;  /* what named the workers, or NULL: automatic */
	const char *pin_from;      /* what switched pinning off or on, or NULL */
	struct filchi_cpuset cpus; /* what may be used */
	struct filchi_cpuset cpuset;
	uint32_t masked_cpus, masked_cores; /* after the mask, before the cpuset */
	uint32_t chosen_cpus, chosen_cores; /* after the cpuset */
	struct filchi_candidate *candidate;
	uint32_t candidates, free_candidates; /* free: not reserved */
	struct filchi_budget budget;
	/* whole CPUs that bound the workers, at least 1; UINT32_MAX without such a quota */
	uint32_t quota;
	struct filchi_loads *loads; /* where there are more candidates than workers, or NULL */
};

/* Sorts the candidates into the order in which they are given out; placement.h has the rule. */
void filchi_candidates_sort(struct filchi_making *m);

/*
 * The seats, where there is a choice where least is in use, and the masks. From here on the plan's
 * seats count as in use. Returns 0 or -ENOMEM.
 */
int filchi_seats_choose(struct filchi_making *m);

/* plan->reasons, with what was complained of on the way. Returns 0 or -ENOMEM. */
int filchi_reasons_write(struct filchi_making *m);

#endif
