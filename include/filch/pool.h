/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool: a fixed set of workers, one pinned thread per physical core, and everything they share.
 *
 * Errors are negative errno; nothing here prints (FILCH_VERBOSE=1 in the environment apart) or aborts. A deadline is an absolute
 * time on CLOCK_MONOTONIC, NULL = none; filch_after() makes one. After fork() every call that
 * would act on an inherited pool is -ECHILD; asking for its size, report or counters still works.
 */
#ifndef FILCH_POOL_H
#define FILCH_POOL_H

#include <stdio.h>
#include <time.h>

#include "detail/base.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* A job that runs longer than filch_config.watchdog_ns. */
struct filch_stuck {
	int64_t id;
	uint64_t run_ns;    /* for how long it has been seen to run */
	int32_t worker;     /* on whose stack it is the lowest */
	uint32_t frames;    /* in frame[]; 0 if the worker did not answer */
	void *const *frame; /* where that worker is, innermost first, as backtrace(3) has it; valid during the call */
	uint64_t reserved[2];
};

/* filch_config.flags */
#define FILCH_POOL_NO_PIN        (UINT64_C(1) << 0) /* leave the threads where the system puts them */
#define FILCH_POOL_OVERSUBSCRIBE (UINT64_C(1) << 1) /* allow more workers than usable cores */
#define FILCH_POOL_USE_SMT       (UINT64_C(1) << 2) /* a worker per hardware thread, not per core */
#define FILCH_POOL_NO_SEARCH     (UINT64_C(1) << 3) /* an idle worker parks at once */
#define FILCH_POOL_CALLER        (UINT64_C(1) << 4) /* the creating thread is worker 0 while inside FILCH_RUN or a loop */

#define FILCH_POOL_GUARD         (UINT64_C(1) << 5) /* jobs may be guarded: FILCH_JOB_GUARD; see docs/jobs.md; x86-64 only */

/* filch_config.workload */
#define FILCH_WORKLOAD_CPU 0u
#define FILCH_WORKLOAD_IO  1u /* one worker fewer: a core stays free for the threads that do input and output */

/* filch_pool_shutdown()'s mode */
#define FILCH_DRAIN   0 /* what was accepted is run */
#define FILCH_ABANDON 1 /* what has not started completes with -ECANCELED, what runs sees its cancel flag */

/* filch_pool_describe()'s format */
#define FILCH_TEXT 0
#define FILCH_JSON 1

/*
 * Every field 0 means its default. `size` is sizeof(struct filch_config) where the caller was compiled (FILCH_CONFIG_INIT sets
 * it): a caller older than the library gets the defaults of the fields it does not know; a newer one is refused (-E2BIG) if it
 * sets a field that this library does not know. Unknown flags are -EINVAL.
 */
struct filch_config {
	size_t size;
	uint64_t flags;          /* FILCH_POOL_... */
	uint32_t workers;        /* 0 = one per usable core; above the usable cores -EINVAL unless OVERSUBSCRIBE; at most 1024 */
	uint32_t workload;       /* FILCH_WORKLOAD_... */
	uint32_t reserve_cores;  /* cores to leave free, e.g. for an event loop's thread */
	uint32_t queue_capacity; /* jobs queued, not yet started; 0 = 4096; at most 2^20 */
	uint32_t jobs_max;       /* accepted jobs whose completion is not yet reaped; 0 = 4 x queue_capacity; at most 2^22 */
	uint32_t deque_capacity; /* initial, tasks per worker, rounded up to 2^n; grows; 0 = 1024 */
	uint32_t search_ns;      /* nanoseconds an idle worker, or a thread that waits for a job, looks before it sleeps; 0 = 20000 */
	uint32_t reserved;       /* 0 */
	uint64_t stack_bytes;    /* of a worker; 0 = 8 MiB; at least 128 KiB; mapped by filch, above 64 KiB without access */
	const char *cpuset;      /* "0-3,8": only these hardware threads; NULL = what the process may use */
	const char *name;        /* thread names: name/0, name/1 ...; NULL = "filch" */
	void (*on_worker_start)(void *hook_arg, int worker); /* on the worker's thread, before its first job */
	void (*on_worker_stop)(void *hook_arg, int worker);  /* on the worker's thread, after its last job */
	/* a thread that replaces a lost one calls on_worker_start too; for the lost one on_worker_stop is not called */
	/* with FILCH_POOL_CALLER worker 0's hooks run on the thread that creates, and on the one that destroys */
	/* pthread_exit() in a hook of a worker's own thread ends the hook; after a start hook another thread takes the seat, without it */
	void *hook_arg;
	/*
	 * The watchdog. A job that runs longer than this is counted in filch_stats.stuck and told to on_stuck (may be NULL) once, within
	 * half the limit more, on a thread of the pool's own, which looks twice per limit; it may call filch_cancel(), while to drain, shut
	 * down or destroy the pool there is -EDEADLK. To learn where the job is the worker gets SIGURG, whose handler a pool with a limit
	 * installs (other SIGURGs go to the one before). It looks at workers: not at jobs that FILCH_CALLER_RUNS runs on their submitters.
	 */
	uint64_t watchdog_ns;    /* 0: none; then nothing looks, and no clock wakes anybody */
	void (*on_stuck)(void *hook_arg, const struct filch_stuck *stuck);
};
#define FILCH_CONFIG_INIT FILCH_SIZED(struct filch_config)

/*
 * Creates a pool; its workers are running on return.
 *
 * Callers:  any thread, a worker of another pool included. With FILCH_POOL_CALLER the calling thread becomes worker 0 whenever it
 *           enters FILCH_RUN or a loop and that seat is free.
 * Progress: takes locks, allocates, starts threads.
 * Lifetime: @config and what it points to may go after the call. The pool lives until filch_pool_destroy().
 * Returns:  0; -EINVAL (NULL @pool, unknown flag or workload, a limit exceeded, malformed cpuset, more workers than usable
 *           cores, FILCH_POOL_GUARD with FILCH_POOL_CALLER, on_stuck without watchdog_ns), -ENOTSUP (FILCH_POOL_GUARD on a machine
 *           other than x86-64), -E2BIG (a newer config), -ENOMEM, -EAGAIN (no thread could be started: fewer than asked for are a note in
 *           the report, not an error).
 */
FILCH_API int filch_pool_create(struct filch_pool **pool, const struct filch_config *config) FILCH_MUST_CHECK;

/*
 * Waits until every job accepted before the call is complete. Jobs may go on being submitted.
 *
 * Callers:  any thread but a worker of the pool. The creator of a FILCH_POOL_CALLER pool first runs what is queued: there the deadline
 *           is looked at before each job, and one that has been started is run to its end.
 * Progress: blocks until they are complete or the deadline has passed; signals do not end it.
 * Ordering: what those jobs wrote is visible after a 0, and their completions are in their queues.
 * Lifetime: the pool must outlive the call; @deadline may go after it.
 * Returns:  0; -ETIMEDOUT, -EDEADLK (from a worker, a completion callback, or a job that FILCH_CALLER_RUNS runs; or the pool's one
 *           worker is the calling thread, which works for another pool), -EINVAL (NULL, no time), -ECHILD.
 */
FILCH_API int filch_pool_drain(struct filch_pool *pool, const struct timespec *deadline) FILCH_MUST_CHECK;

/*
 * Closes the pool for submissions, which get -ESHUTDOWN from now on, and waits until what was accepted is complete. A second
 * call may follow, to wait again after -ETIMEDOUT or to go from FILCH_DRAIN to FILCH_ABANDON.
 *
 * Callers:  any thread but a worker of the pool; safe against every racing call but filch_pool_destroy().
 * Progress: blocks as filch_pool_drain(). FILCH_ABANDON does not interrupt what runs.
 * Ordering: as filch_pool_drain(). Callbacks of jobs that FILCH_ABANDON cancels run on the calling thread.
 * Lifetime: the pool stays: ids may be waited for, completions reaped, counters read, until filch_pool_destroy().
 * Returns:  0; -ETIMEDOUT (the pool is closed nevertheless), -EDEADLK as filch_pool_drain() (nothing has happened; FILCH_ABANDON needs
 *           no worker, and is not refused to one of another pool), -EINVAL (NULL, unknown mode, no time),
 *           -ECHILD.
 */
FILCH_API int filch_pool_shutdown(struct filch_pool *pool, int mode, const struct timespec *deadline) FILCH_MUST_CHECK;

/*
 * Ends the pool: jobs that have not started complete with -ECANCELED, running ones are waited for (their cancel flag is set),
 * callers blocked in a submit or a wait return, every thread is joined, all memory is freed. Completions nobody reaped are gone.
 *
 * Callers:  any thread but a worker of the pool; once; no call on the pool may begin after it.
 * Progress: blocks until the running jobs have returned: for ever, if one of them never does.
 * Ordering: what the jobs wrote is visible afterwards. Callbacks of jobs that never started run on the calling thread; if one of them calls
 *           pthread_exit() the pool is closed and not destroyed, and another thread may do so.
 * Lifetime: the pool is gone after a 0. Completion queues stay, with what was put into them.
 * Returns:  0; -EDEADLK (from a worker or a completion callback: nothing has happened), -ECHILD (after fork: nothing has
 *           happened), -EINVAL (NULL).
 */
FILCH_API int filch_pool_destroy(struct filch_pool *pool);

/* The number of workers, or -EINVAL (NULL). Any thread, wait-free; it does not change while the pool lives. */
FILCH_API int filch_pool_workers(const struct filch_pool *pool);

/* The pool whose worker the calling thread is, or NULL. Any thread, wait-free. */
FILCH_API struct filch_pool *filch_pool_current(void);

/* The calling worker's number, 0 .. workers - 1, an index for per-worker scratch; -1 on any other thread. Wait-free. */
FILCH_API int filch_worker_id(void);

/*
 * Writes who sits where, and why, as text or JSON.
 *
 * Callers:  any thread, at any time of the pool's life.
 * Progress: never waits for workers; writes as fprintf(3) does, which may block and allocate.
 * Ordering: none. What may change, such as seats without a thread, is as it is found.
 * Returns:  0; -EINVAL (NULL, unknown format), -EIO (@out reports an error).
 */
FILCH_API int filch_pool_describe(const struct filch_pool *pool, FILE *out, int format);

/* The time @ns nanoseconds from now on CLOCK_MONOTONIC, for use as a deadline: any number, 584 years included. Any thread, wait-free. */
FILCH_API struct timespec filch_after(uint64_t ns);

FILCH_EXTERN_C_END

#endif
