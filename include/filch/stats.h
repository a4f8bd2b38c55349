/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of a pool: kept per worker on slow paths alone, summed on read. A spawn and a sync that
 * meet nobody count nothing.
 */
#ifndef FILCH_STATS_H
#define FILCH_STATS_H

#include "detail/words.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* name, meaning; append only */
#define FILCH_STATS_LIST(X)                                           \
	X(steals, "tasks taken from another worker's deque")          \
	X(raced, "steals that lost the race for a task")              \
	X(barred, "steals refused by the rules of the stack")         \
	X(grows, "deques that doubled")                               \
	X(inlined, "tasks run at their spawn for want of room")       \
	X(joins_waited, "syncs that found their task with a thief")   \
	X(asked, "spawns that looked for a parked worker")            \
	X(parks, "times a worker went to sleep")                      \
	X(wakes, "times a worker was woken by another thread")        \
	X(jobs, "jobs started")                                       \
	X(jobs_nested, "jobs run on top of another job's frames")     \
	X(expired, "jobs not started because their time had passed")  \
	X(cancelled, "jobs that completed before they started")       \
	X(faults, "faults of guarded jobs that were contained")       \
	X(given_up, "workers' threads given up with a job")           \
	X(replaced, "workers' threads started in place of lost ones") \
	X(stuck, "jobs that ran longer than watchdog_ns")             \
	X(retired, "times a worker stopped because it may not run")

/* size as in struct filch_config: set it before the call */
struct filch_stats {
	size_t size;
#define FILCH_STATS_FIELD(name, meaning) uint64_t name;
	FILCH_STATS_LIST(FILCH_STATS_FIELD)
#undef FILCH_STATS_FIELD
	uint64_t queued; /* jobs queued now, not yet started */
	uint64_t asleep; /* workers parked now; not those that may not run */
};
#define FILCH_STATS_INIT FILCH_SIZED(struct filch_stats)

/*
 * Sums the counters. Each is exact once the pool is quiet. While it runs, the sum is of slightly
 * different moments.
 *
 * Callers:  any thread, a worker included.
 * Progress: wait-free: a load per counter and worker.
 * Ordering: none; a count may be seen before or after the event it counts.
 * Lifetime: @out is the caller's.
 * Returns:  0; -EINVAL (NULL @out, a size below 8 or above 4096); with a NULL pool as
 *           filch_pool_default().
 */
FILCH_API int filch_pool_stats(
	const struct filch_pool *pool, struct filch_stats *out) FILCH_MUST_CHECK;

/* Bytes of one kind. */
struct filch_memory_part {
	uint64_t reserved; /* mapped for it, used or not */
	uint64_t resident; /* of these, in pages that are there; 0 where the kernel does not tell */
};

/*
 * What a pool holds. size: set it before the call. Not in it: some KiB of heap, the plan above all;
 * the topology of the machine, which pools share; what the C library holds for a thread; the
 * threads of a guarded or watched pool that are no workers; stacks that lost threads left behind.
 */
struct filch_memory {
	size_t size;
	struct filch_memory_part stacks; /* of workers, each with its guard; not the creator's */
	struct filch_memory_part
		workers;                 /* what a worker knows, and the work nested on its stack */
	struct filch_memory_part deques; /* the arrays, with those they have outgrown */
	struct filch_memory_part slots;  /* of jobs, and which groups these are of */
	struct filch_memory_part queues; /* the rings of queued jobs and of free slots */
};
#define FILCH_MEMORY_INIT FILCH_SIZED(struct filch_memory)

/*
 * What the pool holds of memory, now. A completion queue is no part of any pool.
 *
 * Callers:  any thread, a worker included. For a monitor: it asks the kernel about each MiB or so.
 * Progress: never waits for workers. System calls, some for each worker.
 * Ordering: none. While the pool runs the parts are of slightly different moments.
 * Lifetime: @out is the caller's.
 * Returns:  0; -EINVAL (NULL @out, a size below 8 or above 4096); with a NULL pool as
 *           filch_pool_default().
 */
FILCH_API int filch_pool_memory(
	const struct filch_pool *pool, struct filch_memory *out) FILCH_MUST_CHECK;

/*
 * One lane of the queue. FILCH_RUN and loops from outside are jobs of FILCH_LANE_NORMAL. Those that
 * the creator of a FILCH_POOL_CALLER pool runs itself are not: they pass through no queue, and only
 * filch_stats.jobs counts them. size: set it before the call.
 */
struct filch_lane_stats {
	size_t size;
	uint64_t queued;  /* jobs waiting to be started, now; not for others that they come after */
	uint64_t running; /* jobs started and not complete, now */
	/* nanoseconds since the submit of the oldest queued job; 0 = none is queued */
	uint64_t oldest_ns;
	/* jobs that got an id: all below, those queued or running, those that wait for others */
	uint64_t accepted;
	uint64_t completed; /* jobs that ran to their end, be it a fault or pthread_exit() */
	uint64_t shed;      /* jobs not started because their time had passed */
	uint64_t cancelled; /* jobs that completed before they started, for another reason */
	uint64_t rejected;  /* submits refused for want of room: -EAGAIN, -ETIMEDOUT, -ENOBUFS */
};
#define FILCH_LANE_STATS_INIT FILCH_SIZED(struct filch_lane_stats)

/*
 * The figures of one lane, 0 to FILCH_LANES - 1. They are exact once the pool is quiet; while it
 * runs, they are of slightly different moments. The age is good to some milliseconds for detached
 * jobs.
 *
 * Callers:  any thread, a worker included. For a monitor, not for a hot path: it looks at each of
 *           jobs_max slots.
 * Progress: wait-free.
 * Ordering: none.
 * Lifetime: @out is the caller's.
 * Returns:  0; -EINVAL (NULL @out, a size below 8 or above 4096, no such lane); with a NULL pool as
 *           filch_pool_default().
 */
FILCH_API int filch_pool_lane_stats(const struct filch_pool *pool, uint32_t lane,
	struct filch_lane_stats *out) FILCH_MUST_CHECK;

FILCH_EXTERN_C_END

#endif
