/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: the scheduler in virtual time, on machines that nobody has at hand.
 *
 * The decisions are the library's own text: the order of victims (place/victim.h, place/order.h),
 * who is woken and when a search is over (struct/policy.h), counts and states of sleepers
 * (struct/idle.h). What the simulator adds is time: each step of a worker takes what struct
 * sim_costs says, and steps of different workers are interleaved by that.
 *
 * What is left out: caches but for the price of a look and a steal by distance, the memory of the
 * work itself, the system's scheduling, and jobs that share a pool. So it compares policies and
 * counts events; times on a real machine depend on what is left out, too.
 */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "place/placement.h"

#define SIM_WORKERS_MAX 4096u

/* How far two workers are from each other: the same last-level cache, package, machine. */
enum sim_distance { SIM_NEAR, SIM_MIDDLE, SIM_FAR, SIM_DISTANCES };

/* name, default in ns, meaning. Where they come from: docs/adr/0035. */
#define SIM_COSTS_LIST(_)                                                                         \
	_(spawn, 1, "a push, on the fast path")                                                   \
	_(sync, 1, "a take, on the fast path")                                                    \
	_(asked, 15, "a push on the slow path, besides the wake")                                 \
	_(join, 10, "a sync that finds its task stolen, each time it asks")                       \
	_(finish, 20, "the end of a stolen task")                                                 \
	_(look_near, 30, "a look into a deque within the last-level cache")                       \
	_(look_middle, 100, "the same within the package")                                        \
	_(look_far, 200, "the same across packages")                                              \
	_(seen, 4, "a look into a deque that is as it was at this worker's last look")            \
	_(steal_near, 150, "a successful steal within the last-level cache")                      \
	_(steal_middle, 300, "the same within the package")                                       \
	_(steal_far, 600, "the same across packages")                                             \
	_(shared, 40, "a read-modify-write of a word that all share; one after another")          \
	_(scan, 5, "a look at the state of one worker, in a walk over all")                       \
	_(walk, 30, "a look into another deque, in a walk over all")                              \
	_(queue, 10, "a look at the injector")                                                    \
	_(pause, 400, "between two rounds of a search")                                           \
	_(raise, 20, "raising ask at one deque, for the parking worker")                          \
	_(raised, 60, "the same, for the owner's next push")                                      \
	_(fence, 450, "a membarrier, one after another")                                          \
	_(fence_cpu, 60, "the same, for each running worker")                                     \
	_(interrupt, 400, "a membarrier, for each running worker itself")                         \
	_(park, 800, "going to sleep, besides fence and looks")                                   \
	_(wake, 1200, "waking, for the waker")                                                    \
	_(latency, 5000, "from there until the woken worker runs")                                \
	_(change, 1500, "from one thread to another, on a core that workers share")               \
	_(submit, 300, "a submit from outside")                                                   \
	_(search, 20000, "how long a worker searches before it parks")                            \
	_(slice, 200, "the longest step of a search: a looker sees what was there when it began") \
	_(noise, 0, "each leaf takes up to so much longer, at random")

struct sim_costs {
#define SIM_COST(name, value, meaning) uint64_t name;
	SIM_COSTS_LIST(SIM_COST)
#undef SIM_COST
};

void sim_costs_init(struct sim_costs *costs);

/*
 * Of two cores for all workers, whose leaves sleep: what they share stays in their caches, a fence
 * interrupts one other core at most, and an idle core of a virtual machine is slow to come back.
 */
void sim_costs_two_cores(struct sim_costs *costs);

/* Sets one by its text "name=ns"; false: there is none of that name, or no such number. */
bool sim_costs_set(struct sim_costs *costs, const char *text);

/* --- machines --------------------------------------------------------- */

struct sim_machine {
	char name[96];
	struct filchi_plan *plan;               /* order and tiers */
	const struct filchi_core **seat;        /* [workers] */
	struct filchi_core *core;               /* of a synthetic machine */
	const struct filchi_topology *topology; /* of another */
};

/*
 * A machine for @workers by its text:
 *
 *   - "2x2x4x8": packages, NUMA nodes in each, last-level caches in each, cores in each
 *   - "auto": eight cores to a cache, eight caches to a package, packages as needed
 *   - "here": this one
 *   - else a file of hwloc
 *
 * The last two go through the library's placement. Returns 0 or a negative errno.
 */
int sim_machine_make(struct sim_machine *machine, const char *text, uint32_t workers);
void sim_machine_free(struct sim_machine *machine);
enum sim_distance sim_distance(const struct sim_machine *machine, uint32_t a, uint32_t b);

/* --- work ------------------------------------------------------------- */

#define SIM_KIDS 8 /* most children of one step */

/* A task; what it does follows from the first members alone. */
struct sim_task {
	int64_t begin, end;
	unsigned char state[20]; /* UTS */
	uint16_t depth;
	/* the simulator's */
	bool stolen, done, marked; /* marked: its joiner may sleep */
	uint8_t runs;
	uint32_t thief, joiner;
	uint64_t ready_at, done_at;
};

/* One step of a task: it computes, then spawns all children but the last, calls that, syncs. */
struct sim_step {
	uint64_t ns;
	uint32_t kids; /* 0: the task ends */
	struct sim_task kid[SIM_KIDS];
};

struct sim_work {
	const char *name;
	void (*step)(const struct sim_work *work, const struct sim_task *task, uint32_t n,
		struct sim_step *step);
	uint32_t steps; /* of its root at most; other tasks have one */
	int64_t size;
	uint64_t leaf_ns, grain;
	bool sleeps;   /* leaves sleep, and leave their core to others */
	uint32_t jobs; /* such jobs at once, from outside */
	uint32_t bursts;
	uint64_t gap_ns; /* between bursts */
};

/*
 * Work of this name, with its usual size unless @size is above 0, for @workers. False: there is
 * none.
 */
bool sim_work_make(
	struct sim_work *work, const char *name, int64_t size, uint64_t leaf_ns, uint32_t workers);
void sim_work_list(FILE *out);
struct sim_task sim_work_root(const struct sim_work *work);

/* What one job of it takes: work, critical path, tasks. */
struct sim_amount {
	uint64_t work, span, tasks, leaves;
};
struct sim_amount sim_work_measure(const struct sim_work *work, const struct sim_costs *costs);

/* --- runs ------------------------------------------------------------- */

#define SIM_SHALLOW 4u

/* What differs from the library as it ships; all false: nothing. */
struct sim_policy {
	bool thief_only; /* a waiting worker looks at its thief's deque alone */
	bool shallow;    /* the same where SIM_SHALLOW waits lie on its stack already */
	bool no_park;    /* a waiting worker does not park */
	bool wake_two;   /* each searcher that finds work wakes two */
	/*
	 * one searcher at a time: a push wakes no other while one is on its way, and raises ask
	 * again each time
	 */
	bool chain;
};

/* Sets one by its name; false: there is none. */
bool sim_policy_set(struct sim_policy *policy, const char *name);

struct sim_result {
	uint64_t took;      /* from the first submit to the last end, bursts alone */
	uint64_t ran;       /* the same from where the first job begins */
	uint64_t all_busy;  /* until each worker has run something; 0 = never, of the last burst */
	uint64_t most_busy; /* the same of nine in ten */
	uint64_t after_steal; /* the end after the last steal */
	uint64_t after_leaf;  /* the end after the last leaf's end */
	uint64_t fence_max;   /* the longest wait for a membarrier of others */
	uint64_t steals[SIM_DISTANCES];
	uint64_t tasks, leaves, looks, joins, parks, cancels, wakes, fences, asked;
	uint32_t nesting; /* most waits on one stack */
	bool lost;        /* a task was run twice or never, or the work did not end */
};

/* Runs @work on @machine. The same arguments give the same result. */
void sim_run(const struct sim_machine *machine, const struct sim_work *work,
	const struct sim_costs *costs, const struct sim_policy *policy, uint64_t seed,
	struct sim_result *result);

#endif
