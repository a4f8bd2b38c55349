/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: how many workers, who sits on which core, in which order each looks for work, and why.
 *
 * A plan is plain data, made once and never changed. The rules, in the order in which they apply:
 *
 *   cores   = cores with a CPU in allowed, affinity mask and cpuset   (CPUs instead of cores with FILCH_POOL_USE_SMT)
 *   usable  = max(1, min(cores, floor of the smallest cgroup quota)), FILCHI_WORKERS_MAX at most
 *   workers = 0: max(1, usable - reserve_cores - (I/O workload ? 1 : 0)); otherwise as it is, and -EINVAL above usable
 *             unless FILCH_POOL_OVERSUBSCRIBE
 *   seats   : fast cores first, then neighbours in the machine's tree; one CPU of each core before any second one; the last
 *             reserve_cores cores only when nothing else is left; more workers than seats go round again
 *   order   : for each worker the others by the smallest group (core, L2, L3, NUMA node, package) that holds both
 *
 * The environment beats the request: FILCH_WORKERS (a number, 0 = automatic), FILCH_CPUSET (a list), FILCH_NO_PIN (0 or 1). A
 * value that is malformed or cannot be met is ignored, and a reason says so; the same fault in the request is the caller's
 * error. With FILCH_POOL_USE_SMT a reserved core is left free with all its CPUs.
 *
 * What must stay true: a seat's CPU is in the caller's affinity mask; pinning never fails a pool; each row of order names
 * every other worker exactly once; every decision left a line in reasons.
 *
 * Rejected: scattering workers over the packages (neighbours share caches, and a thief's nearest victim is then near);
 * hwloc's binding calls (they succeed and do nothing on a simulated machine); counting CPU shares.
 *
 * A worker that itself creates a pool is pinned to one CPU, which is our doing and no wish of the user: such a plan is made
 * under the mask that the worker's own plan was made under. A thread that user code starts inside a worker is not known to
 * us; it inherits the worker's one CPU, as POSIX has it, and a pool that it creates sees that.
 */
#ifndef FILCHI_PLACEMENT_H
#define FILCHI_PLACEMENT_H

#include "budget.h"
#include "cpuset.h"
#include "topology.h"

#define FILCHI_WORKERS_MAX 1024u
#define FILCHI_RINGS       ((uint32_t)FILCHI_LEVELS) /* most rings a worker can have */

struct filchi_place_request {
	uint32_t workers, workload, reserve_cores; /* as in struct filch_config */
	uint64_t flags;                            /* FILCH_POOL_NO_PIN, _OVERSUBSCRIBE and _USE_SMT matter here */
	const char *cpuset;                        /* as in struct filch_config; may be NULL */
};

/* What a plan is made from besides the request. NULL members: the real thing. */
struct filchi_surroundings {
	struct filchi_roots roots;
	const struct filchi_cpuset *affinity; /* instead of the calling thread's mask; applies to simulated machines too */
};

struct filchi_seat {
	int worker;
	int pu;      /* the CPU, operating system index; -1 when not pinned */
	int core;    /* counted over the cores this process sees; -1 when not pinned */
	int node;    /* NUMA node, operating system index; -1 unknown or not pinned */
	int package; /* -1 unknown or not pinned */
	int kind;    /* efficiency rank, higher is faster; -1 unknown or not pinned */
};

struct filchi_plan {
	uint32_t workers, usable;
	bool pin;                      /* workers are meant to be pinned */
	bool simulated;                /* the machine is a description: filchi_plan_pin does nothing */
	struct filchi_seat *seat;      /* [workers] */
	uint32_t pus;                  /* CPUs below this may be somebody's seat; 0 when nobody is pinned */
	uint16_t *by_pu;               /* [pus]: the first worker with a seat there, and 1; 0 = none */
	uint16_t *order;               /* [workers][workers - 1]: the others, nearest first */
	uint16_t *ring_end;            /* [workers][FILCHI_RINGS]: how many of a row of order lie within ring 0 .. this */
	uint8_t *ring_level;           /* [workers][FILCHI_RINGS]: the enum filchi_level that the ring's members share */
	uint8_t *rings;                /* [workers]: rings in use, none of them empty */
	struct filchi_cpuset affinity; /* the mask the plan was made under */
	bool widen;                    /* made by a pinned worker: a thread it creates inherits a mask narrower than affinity */
	char *reasons;                 /* lines, each ended by a newline; the first names the limit that decided */
};

/* What pinning did: per worker 0 = pinned and verified, negative errno = failed, FILCHI_PIN_PENDING = not tried yet. */
#define FILCHI_PIN_PENDING 1
struct filchi_pin_state {
	const int *error; /* [workers] */
	uint32_t workers;
};

/*
 * Makes a plan for the calling thread's process. Returns 0, or with *plan untouched:
 *   -EINVAL  workers above usable without FILCH_POOL_OVERSUBSCRIBE, or above FILCHI_WORKERS_MAX; an unknown workload; the
 *            request's cpuset is malformed or leaves no CPU
 *   -ENOMEM
 *   -EIO     neither hwloc nor the kernel says which CPUs there are
 * Any thread. The plan is the caller's, to be freed with filchi_plan_free.
 */
int filchi_plan_make(const struct filchi_place_request *request, struct filchi_plan **plan);

/* The same with the outside world replaced in part; @where may be NULL. For filch-info and the tests. */
int filchi_plan_make_in(
	const struct filchi_place_request *request, const struct filchi_surroundings *where, struct filchi_plan **plan);

/* Frees @plan, which may be NULL. No worker may use it any more. */
void filchi_plan_free(struct filchi_plan *plan);

/*
 * Pins the calling thread to the seat of @worker and verifies with the kernel that it took effect. Returns 0 or -errno (-EIO:
 * the kernel accepted the CPU and did something else), the same value in *error unless that is NULL. Returns 0 and does
 * nothing when the plan is not to be pinned (except that it gives the thread the plan's mask back where it inherited a
 * pinned worker's) or is simulated, and -EINVAL when there is no such worker.
 */
int filchi_plan_pin(const struct filchi_plan *plan, uint32_t worker, int *error);

/*
 * The mask to plan under: the calling thread's; or, where filchi_plan_pin gave this thread the one CPU that it has, the mask
 * of the plan by which it did so, and then *widened is true. Returns 0, or -EIO when the kernel does not say.
 */
int filchi_pin_mask(struct filchi_cpuset *mask, bool *widened);

/*
 * Writes the plan for people (FILCH_TEXT) or programs (FILCH_JSON). @state may be NULL: then nothing is said about what
 * pinning did. Returns 0, -EINVAL for another format, or -EIO when @out reports an error.
 */
int filchi_plan_write(const struct filchi_plan *plan, FILE *out, int format, const struct filchi_pin_state *state);

#endif
