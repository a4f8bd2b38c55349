/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: how many workers, on which cores, in which order each looks for work, and why.
 *
 * A plan is plain data, made once and never changed. The rules, in the order in which they apply:
 *
 * cores    those with a CPU that is in the machine, the affinity mask and the cpuset. With
 *          FILCH_POOL_USE_SMT their CPUs count in place of the cores.
 * usable   the cores, but no more than the smallest cgroup quota in whole CPUs, nor than
 *          FILCHI_WORKERS_MAX; at least 1.
 * workers  as requested; above usable that is -EINVAL, unless FILCH_POOL_OVERSUBSCRIBE. If 0 is
 *          requested: usable less reserve_cores, and one less for I/O; at least 1. More may be held
 *          in reserve: up to workers_max, under the same bound, and spares beyond any bound.
 * seats    - fast cores first, then neighbours in the machine's tree
 *          - one CPU of each core before any second one
 *          - the last reserve_cores cores, with all their CPUs, only when nothing else is left
 *          - more workers than seats go round again
 *          - those in reserve come after all others, and do not count as using theirs; spares
 *            have none
 *          - where there are more seats than workers, the least used cores first (seats.h), and of
 *            a core the least used CPU
 * masks    what a worker's thread may run on:
 *          - the CPU of its seat. If it has to wait for that it gives way to the cores around it,
 *            for a while: those that share the last-level cache (or node, package, machine, where
 *            that is one core), are of the same kind and not reserved. So its caches and its memory
 *            stay as near as the plan has them.
 *          - under a quota that allows fewer CPUs than there are: all of them, and no seats. A
 *            quota says how much, and not where.
 *          - spares: all CPUs that may be used, with all but FILCH_POOL_NO_PIN
 *          - FILCH_POOL_PIN: the CPU, always. FILCH_POOL_NO_PIN: what the thread inherits.
 * order    for each worker the others, by the smallest group that holds both: core, L2, L3, NUMA
 *          node, package.
 *
 * The environment beats the request: FILCH_WORKERS (a number, 0 = automatic), FILCH_CPUSET (a
 * list), FILCH_NO_PIN and FILCH_PIN (0 or 1). A value that is malformed or cannot be met is
 * ignored, and a reason says so. The same fault in the request is the caller's error.
 *
 * What must stay true:
 *   - a seat's CPU, and a worker's mask, are in the caller's affinity mask
 *   - a seat's CPU is in its worker's mask
 *   - pinning never fails a pool
 *   - each row of order names every other worker exactly once
 *   - every decision left a line in reasons
 *
 * Rejected:
 *   - scattering workers over the packages: neighbours share caches, and a thief's nearest victim
 *     is then near
 *   - hwloc's binding calls: they succeed and do nothing on a simulated machine
 *   - counting CPU shares
 *
 * A worker that itself creates a pool is bound, which is our doing and no wish of the user. Such a
 * plan is made under the mask that the worker's own plan was made under. A thread that user code
 * starts inside a worker is not known to us. It inherits the worker's mask, as POSIX has it, and a
 * pool that it creates sees that.
 */
#ifndef FILCHI_PLACEMENT_H
#define FILCHI_PLACEMENT_H

#include "place/budget.h"
#include "place/cpuset.h"
#include "place/seats.h"
#include "place/topology.h"

#define FILCHI_WORKERS_MAX 1024u
#define FILCHI_TIERS       ((uint32_t)FILCHI_LEVELS) /* most tiers a worker can have */

struct filchi_place_request {
	uint32_t workers, workload, reserve_cores; /* as in struct filch_config */
	uint32_t workers_max, spares;              /* the same */
	/*
	 * FILCH_POOL_NO_PIN, _PIN, _OVERSUBSCRIBE, _USE_SMT, _FOLLOW_QUOTA and _CALLER matter here
	 */
	uint64_t flags;
	const char *cpuset; /* as in struct filch_config; may be NULL */
	bool of_process;    /* with the CPUs of the process' first thread besides the caller's */
};

/* What a plan is made from besides the request. NULL members: the real thing. */
struct filchi_surroundings {
	struct filchi_roots roots;
	/* instead of the calling thread's mask; applies to simulated machines too */
	const struct filchi_cpuset *affinity;
	/* instead of what is in use; applies to simulated machines too */
	const struct filchi_loads *loads;
};

/* Where a worker's thread may run. */
enum filchi_binding {
	FILCHI_BIND_NONE, /* where the system puts it: its mask is left alone */
	FILCHI_BIND_SET,  /* on all CPUs that the pool may use; it has no seat */
	FILCHI_BIND_SEAT, /* on its seat's CPU, while it need not wait for it; else around it */
	FILCHI_BIND_CPU,  /* on its seat's CPU */
};

struct filchi_seat {
	int worker;
	int pu;      /* the CPU, operating system index; -1 without a seat */
	int core;    /* counted over the cores this process sees; -1 without a seat */
	int node;    /* NUMA node, operating system index; -1 unknown or without a seat */
	int package; /* -1 unknown or without a seat */
	int kind;    /* efficiency rank, higher is faster; -1 unknown or without a seat */
};

struct filchi_plan {
	/* all of them, with those in reserve; the first ones, which may run when the pool begins */
	uint32_t workers, at_first;
	uint32_t seated; /* without the spares, which come last */
	uint32_t usable;
	uint32_t quota; /* whole CPUs that it allowed; UINT32_MAX: there was none */
	enum filchi_binding binding;
	bool is_serial; /* FILCH_SERIAL: one worker, whatever was asked for */
	bool pin;       /* workers have seats: FILCHI_BIND_SEAT or _CPU */
	/* the machine is a description: filchi_plan_pin does nothing */
	bool simulated;
	struct filchi_seat *seat; /* [workers] */
	/* the wide masks of FILCHI_BIND_SET and _SEAT, and which of them each worker has */
	struct filchi_cpuset *mask; /* [masks] */
	uint32_t masks;
	uint16_t *mask_of; /* [workers] */
	/* CPUs below this may be somebody's seat; 0 when nobody has one */
	uint32_t pus;
	/* [pus]: the first worker with a seat there, and 1; 0 = none */
	uint16_t *by_pu;
	uint16_t *order; /* [workers][workers - 1]: the others, nearest first */
	/* [workers][FILCHI_TIERS]: how many of a row of order lie within tier 0 .. this */
	uint16_t *tier_end;
	/* [workers][FILCHI_TIERS]: the enum filchi_level that the tier's members share */
	uint8_t *tier_level;
	uint8_t *tiers; /* [workers]: tiers in use, none of them empty */
	/*
	 * The mask the plan was made under: the creator's own, from before any pinning. A thread
	 * that is to leave its seat gets this one.
	 */
	struct filchi_cpuset affinity;
	/* made by a bound worker: a thread it creates inherits a mask narrower than affinity */
	bool widen;
	bool taken; /* its seats are counted as in use */
	bool holds; /* other processes wait until its workers are bound */
	/* lines, each ended by a newline; the first names the limit that decided */
	char *reasons;
};

/*
 * What pinning did: per worker 0 = pinned and verified, negative errno = failed, FILCHI_PIN_PENDING
 * = not tried yet.
 */
#define FILCHI_PIN_PENDING 1
struct filchi_pin_state {
	const int *error; /* [workers] */
	/* [workers]: its thread's number in the kernel, 0 = it has none; NULL = nobody has */
	const pid_t *tid;
	uint32_t workers;
};

/*
 * Makes a plan for the calling thread's process. Returns 0, or with *plan untouched:
 *
 *   - -EINVAL: workers above usable without FILCH_POOL_OVERSUBSCRIBE, or above FILCHI_WORKERS_MAX;
 *     an unknown workload; a cpuset that is malformed or leaves no CPU
 *   - -ENOMEM
 *   -EIO     neither hwloc nor the kernel says which CPUs there are
 * Any thread. The plan is the caller's, to be freed with filchi_plan_free.
 */
int filchi_plan_make(const struct filchi_place_request *request, struct filchi_plan **plan);

/*
 * The same with the outside world replaced in part; @where may be NULL. For filch-info and the
 * tests.
 */
int filchi_plan_make_in(const struct filchi_place_request *request,
	const struct filchi_surroundings *where, struct filchi_plan **plan);

/*
 * Frees @plan, which may be NULL. No worker may use it any more, and no other thread that it pinned
 * may make a plan.
 */
void filchi_plan_free(struct filchi_plan *plan);

/* The workers of @plan are bound: other processes need wait no longer. Done once is enough. */
void filchi_plan_settled(struct filchi_plan *plan);

/* The CPUs that @plan means @worker to have; false: it leaves the thread's mask alone. */
bool filchi_plan_mask(const struct filchi_plan *plan, uint32_t worker, struct filchi_cpuset *mask);

/* Those that it gives way to; false: it does not. */
bool filchi_plan_wide(const struct filchi_plan *plan, uint32_t worker, struct filchi_cpuset *mask);

/*
 * Binds the calling thread to the mask of @worker and verifies with the kernel that it took effect.
 * Returns 0 or -errno, the same value in *error unless that is NULL. The thread remembers @plan,
 * which must stay until it has ended.
 *
 *   - -EIO: the kernel accepted the mask and did something else
 *   - -EINVAL: there is no such worker
 *
 * A plan that is simulated or FILCHI_BIND_NONE binds nothing, and that is a 0. With
 * FILCHI_BIND_NONE the thread gets the plan's mask back, where it inherited a bound worker's.
 */
int filchi_plan_pin(const struct filchi_plan *plan, uint32_t worker, int *error);

/*
 * Gives the calling thread the mask of the plan that it was bound by, if it still has that of its
 * seat. Returns that plan, for filchi_pin_restore(); NULL if nothing was done.
 */
const struct filchi_plan *filchi_pin_lift(void);

/* Binds the calling thread again. @plan may be NULL. */
void filchi_pin_restore(const struct filchi_plan *plan);

#define FILCHI_PIN_LOOK_NS UINT64_C(10000000) /* at least so long between two looks */

/* How a worker's thread fares on its seat. Zero at first; the thread's own. */
struct filchi_pin_watch {
	uint64_t looked_at;          /* filchi_now(); 0 = never */
	uint64_t ran, waited, times; /* at some look before */
	bool knows;                  /* these; all on its seat since */
	uint64_t back_at;            /* when it returns to its seat */
	uint64_t away_ns;            /* for how long it gave way last */
};

/*
 * The thread of a worker at rest looks at its mask, and how it fares on its seat. @now is about
 * filchi_now().
 *
 *   - One that has another mask than its own by now, and one that holds its seat's, takes its own
 *     again. So it comes back after CPUs were taken away and given back, by a cpuset, a hot-unplug
 *     or from outside. While its seat's is missing it stays where it is.
 *   - One that had to wait for its seat's CPU gives way, or comes back after a while.
 */
void filchi_pin_review(struct filchi_pin_watch *watch, uint64_t now);

/* Whether a worker that waited so much while it ran so much, so many times, is badly off. */
bool filchi_pin_hurts(uint64_t ran, uint64_t waited, uint64_t times);

/* In the child of a fork: its thread is on no seat. */
void filchi_pin_in_child(void);

/*
 * The mask to plan under: the calling thread's. Where filchi_plan_pin gave this thread the mask
 * that it has, it is that plan's own instead, and *widened is true. Returns 0, or -EIO when the
 * kernel does not say.
 */
int filchi_pin_mask(struct filchi_cpuset *mask, bool *widened);

/* Adds to @mask the CPUs of the process' first thread; *@widened is true if there are more then. */
void filchi_pin_add_process(struct filchi_cpuset *mask, bool *widened);

/*
 * The mask of worker @w: as it is now where @state names the thread, else as planned. False: it is
 * not known.
 */
bool filchi_plan_mask_now(const struct filchi_plan *plan, const struct filchi_pin_state *state,
	uint32_t w, struct filchi_cpuset *mask);

/* What pinning did to worker @w, in one word; "moved": its thread has another mask now. */
const char *filchi_plan_pin_word(
	const struct filchi_plan *plan, const struct filchi_pin_state *state, uint32_t w);

/*
 * Writes the plan for people (FILCH_TEXT) or programs (FILCH_JSON). @state may be NULL: then
 * nothing is said about what pinning did. With the threads in it the masks are as they are now.
 * Returns 0, -EINVAL for another format, or -EIO when @out reports an error.
 */
int filchi_plan_write(const struct filchi_plan *plan, FILE *out, int format,
	const struct filchi_pin_state *state);

#endif
