/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool: workers, one pinned thread per physical core, and everything they share. How many there
 * are is fixed while it lives; how many of them run is not.
 *
 * Errors are negative errno. Nothing here prints (FILCH_VERBOSE=1 in the environment apart) or
 * aborts. A deadline is an absolute time on CLOCK_MONOTONIC, NULL = none; filch_after() makes one.
 * After fork() every call that would act on an inherited pool is -ECHILD; asking for its size,
 * report or counters still works.
 *
 * A NULL pool, where a call takes one, is that of the worker which calls; outside of workers it is
 * the default pool, filch_pool_default(). A call that takes an id finds the job in either. Only
 * draining, shutting down and destroying want a pool: NULL is -EINVAL there.
 *
 * A worker that waits, in a sync, a loop or filch_wait(), runs other work on top of what waits. So
 * no lock may be held over these that other tasks or jobs want: the frame that has it lies beneath
 * the one that wants it, and neither goes on.
 *
 * A worker blocks the signals that the thread which created its pool blocked then, but for faults,
 * which it never blocks. So a handler may run on a worker, inside a job or between two. What a job
 * starts inherits these signals, and the one CPU of its worker: see FILCH_JOB_FREE in job.h. The
 * child of a fork() in a job has the CPUs of the creator. docs/embedding.md has all of it.
 */
#ifndef FILCH_POOL_H
#define FILCH_POOL_H

#include <stdio.h>
#include <time.h>

#include "detail/words.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* A job that runs longer than filch_config.watchdog_ns. */
struct filch_stuck {
	int64_t id;
	uint64_t run_ns;    /* for how long it has been seen to run */
	int32_t worker;     /* the one on whose stack it is the lowest */
	uint32_t frames;    /* in frame[]; 0 if the worker did not answer */
	void *const *frame; /* innermost first, as backtrace(3); valid during the call */
	/* as submitted; all NULL for FILCH_RUN, a loop, or a job that has just ended */
	int (*fn)(void *arg);
	void *arg; /* the job's: it may end, and free it, during the call */
	void *user;
	uint64_t reserved[2];
};

/* filch_config.flags */
#define FILCH_POOL_NO_PIN        (UINT64_C(1) << 0) /* leave threads where the system puts them */
#define FILCH_POOL_OVERSUBSCRIBE (UINT64_C(1) << 1) /* allow more workers than usable cores */
#define FILCH_POOL_USE_SMT       (UINT64_C(1) << 2) /* a worker per hardware thread, not per core */
#define FILCH_POOL_NO_SEARCH     (UINT64_C(1) << 3) /* an idle worker parks at once */
#define FILCH_POOL_CALLER        (UINT64_C(1) << 4) /* its creator is worker 0 in RUN and loops */
/*
 * Allow FILCH_JOB_GUARD; x86-64 with glibc. The first such pool sets M_ARENA_TEST, so that a fault
 * inside malloc leaves other threads an arena: docs/jobs.md.
 */
#define FILCH_POOL_GUARD (UINT64_C(1) << 5)
/*
 * Workers block all signals but faults, SIGABRT and SIGPROF: what is sent to the process runs its
 * handler on another thread. What a job starts then blocks them too, unless it is FILCH_JOB_FREE.
 */
#define FILCH_POOL_BLOCK_SIGNALS (UINT64_C(1) << 6)
/*
 * A worker stays on its core, whatever else runs there. Without this flag it gives way, to cores
 * with the same last-level cache, while it has to wait for its own. Not with FILCH_POOL_NO_PIN.
 */
#define FILCH_POOL_PIN (UINT64_C(1) << 7)
/*
 * A cgroup quota bounds how many workers run, and not how many there are: as many as it allows, in
 * whole CPUs and at least one. A thread of the pool's own reads it once a second, and what it
 * allows then holds.
 */
#define FILCH_POOL_FOLLOW_QUOTA (UINT64_C(1) << 8)

/* filch_config.workload */
#define FILCH_WORKLOAD_CPU 0u
#define FILCH_WORKLOAD_IO  1u /* one worker fewer: a core stays free for threads that do I/O */

/* filch_pool_shutdown()'s mode */
#define FILCH_DRAIN   0 /* accepted jobs are run */
#define FILCH_ABANDON 1 /* jobs not started complete with -ECANCELED, running ones get the flag */

/* filch_pool_describe()'s format */
#define FILCH_TEXT 0
#define FILCH_JSON 1

/*
 * Every field 0 means its default. `size` is sizeof(struct filch_config) where the caller was
 * compiled; FILCH_CONFIG_INIT sets it. A caller older than the library gets the defaults of the
 * fields it does not know. A newer one is refused (-E2BIG) if it sets a field that this library
 * does not know. Unknown flags are -EINVAL.
 */
struct filch_config {
	size_t size;
	uint64_t flags;    /* FILCH_POOL_... */
	uint32_t workers;  /* 0 = one per usable core; above that OVERSUBSCRIBE; at most 1024 */
	uint32_t workload; /* FILCH_WORKLOAD_... */
	uint32_t reserve_cores;  /* cores to leave free, e.g. for an event loop's thread */
	uint32_t queue_capacity; /* jobs queued, not yet started; 0 = 4096; at most 2^20 */
	uint32_t jobs_max;       /* accepted, not reaped; 0 = 4 x queue_capacity; at most 2^22 */
	uint32_t deque_capacity; /* initial, tasks per worker, rounded up to 2^n; grows; 0 = 1024 */
	uint32_t search_ns;      /* so long an idle worker or a waiting thread looks; 0 = 20000 */
	uint32_t reserved;       /* 0 */
	uint64_t stack_bytes;    /* 0 = 8 MiB; at least 128 KiB; mapped by filch, with a guard */
	const char *cpuset; /* "0-3,8": only these hardware threads; NULL = those of the process */
	const char *name;   /* thread names: name/0, name/1 ...; NULL = "filch" */
	/*
	 * Hooks, on the worker's thread: start before its first job, stop after its last. Worker 0
	 * of a FILCH_POOL_CALLER pool has them on the creating and on the destroying thread. A
	 * thread that replaces a dead one calls start too; for the dead one stop is not called.
	 *
	 * pthread_exit() in a hook ends a worker's own thread. After a start hook a new thread
	 * becomes the worker and does not call the hook again.
	 */
	void (*on_worker_start)(void *hook_arg, int worker);
	void (*on_worker_stop)(void *hook_arg, int worker);
	void *hook_arg;
	/*
	 * The watchdog. A job that runs longer than the limit is counted in filch_stats.stuck and
	 * told to on_stuck (may be NULL), once, within half the limit more. A thread of the pool's
	 * own, name/attend, looks twice per limit and calls on_stuck. It completes no job and
	 * replaces no thread, so an on_stuck that takes its time delays only further reports, and
	 * the pool's end. In it filch_cancel() is allowed; draining, shutting down or destroying
	 * the pool is -EDEADLK. The thread blocks all signals but faults,
	 * SIGABRT and SIGPROF, and in on_stuck those that workers block.
	 *
	 * To learn where the job is the worker gets SIGURG. A pool with a limit installs its
	 * handler; other SIGURGs go to the handler before it. The watchdog looks at workers only:
	 * not at inline jobs, which FILCH_CALLER_RUNS runs on their submitters.
	 */
	uint64_t watchdog_ns; /* nanoseconds; 0: no watchdog, and no clock wakes anybody */
	void (*on_stuck)(void *hook_arg, const struct filch_stuck *stuck);
	/*
	 * Workers in reserve: threads that are made with the others, call on_worker_start and then
	 * sleep. filch_pool_resize() lets up to workers_max run; 0 = workers. One of the spares
	 * runs for each worker between filch_blocking_begin() and _end(); they are on no core of
	 * their own. The default number of workers is never above workers_max. All together are
	 * at most 1024.
	 */
	uint32_t workers_max; /* bounded as workers is */
	uint32_t spares;      /* 0 = none */
};
#define FILCH_CONFIG_INIT FILCH_SIZED(struct filch_config)

/*
 * Creates a pool; its workers are running on return.
 *
 * Callers:  any thread, a worker of another pool included; a stack of 32 KiB will do. With
 *           FILCH_POOL_CALLER the calling thread is worker 0 while it is in FILCH_RUN or a loop.
 * Progress: takes locks, allocates, starts threads. No cancellation point (pthread_cancel(3));
 *           neither are filch_pool_destroy() and filch_pool_describe().
 * Lifetime: @config and everything it points to may go after the call. The pool lives until
 *           filch_pool_destroy().
 * Returns:  0. Errors:
 *           -EINVAL     NULL @pool, unknown flag or workload, a limit exceeded, malformed cpuset,
 *                       more workers than usable cores.
 *           -EINVAL     FILCH_POOL_GUARD with FILCH_POOL_CALLER; on_stuck without watchdog_ns;
 *                       workers above workers_max; FILCH_POOL_CALLER with one worker and more
 *                       in reserve, for its creator may be away.
 *           -ENOTSUP    FILCH_POOL_GUARD on a machine other than x86-64, or without glibc.
 *           -E2BIG      a newer config that sets unknown fields.
 *           -ENOMEM     no memory.
 *           -EAGAIN     no thread could be started, or 16383 pools live. Fewer threads than asked
 *                       for are a note in the report, not an error.
 *           -EIO        the CPUs of the calling thread cannot be told, or there are none.
 *           -EPERM      the kernel refuses a system call that is needed, as it may under seccomp:
 *                       to start a thread, or to install the handlers of FILCH_POOL_GUARD or
 *                       watchdog_ns. If it refuses with another errno, then that.
 *           -ECHILD     in the child of a fork() in a start hook of worker 0.
 *           -EDEADLK    in a fork handler (pthread_atfork(3)) that the program registered before
 *                       it loaded the library: docs/embedding.md.
 */
FILCH_API int filch_pool_create(
	struct filch_pool **pool, const struct filch_config *config) FILCH_MUST_CHECK;

/*
 * The default pool: that of the process, for code that is given none. The first use of a NULL pool
 * outside of workers makes it, as this call does. It is made with all defaults: by the environment
 * (FILCH_WORKERS and the others), on the CPUs of the process' first thread and of the calling one.
 * Its workers block the signals that the calling thread blocks. A program that wants it otherwise
 * makes a pool of its own.
 *
 * Callers:  any thread; inside a worker too it is the default pool and not that of the worker.
 * Progress: the first call makes the pool, and calls at the same time wait for it; then a load.
 * Ordering: none.
 * Lifetime: to the end of the process; exit(3) does not wait for its jobs. It may be shut down or
 *           destroyed as any pool, by a program that knows of all its uses. A use after
 *           filch_pool_destroy() makes another; uses of one that is shut down are -ESHUTDOWN. The
 *           child of a fork() gets one of its own at its first use. A plugin with the static
 *           library has one of its own, see docs/embedding.md.
 * Returns:  the pool; or NULL, with an error of filch_pool_create() in errno as a positive number.
 *           A call with a NULL pool returns that error. The next use tries again.
 */
FILCH_API struct filch_pool *filch_pool_default(void) FILCH_MUST_CHECK;

/*
 * Runs fn(@arg, number) once on each worker of the pool, and returns when all have: to set up what
 * belongs to a thread. A worker does so between two jobs or stolen tasks; or, if a frame on its
 * stack waits, in a sync, a loop, filch_wait() or for another pool, on top of that.
 *
 * Callers:  any thread. From a worker of @pool it is a part of the running job, from outside one
 *           job. @fn may use filch_worker_id(), spawn, loop and wait; it must not call
 *           pthread_exit().
 * Progress: waits for each worker to come to the end of a piece of work, or to a wait: so long as
 *           the longest of them lasts. There is no deadline. Workers run @fn at the same time.
 *           Several calls may be under way, nested ones as well; each worker takes them in one
 *           order. @fn runs on top of whatever waits, inside scopes too: it must want no lock that
 *           may be held over a wait, and no scratch that may be half changed there.
 * Ordering: writes before the call are visible to @fn, its writes after the call.
 * Lifetime: @arg must stay until the call returns. What @fn sets of the processor's control
 *           (rounding, traps, flushing to zero) holds for all jobs that start on the worker
 *           afterwards; work that is under way keeps its own. The creator of a FILCH_POOL_CALLER
 *           pool keeps its own. A thread that replaces a lost one has not run @fn, unlike
 *           on_worker_start.
 * Returns:  0, or the status other than 0 of the lowest worker whose @fn returned one. Errors:
 *           -EINVAL     NULL @fn.
 *           -ENOMEM     no memory: @fn has not run.
 *           -ENOBUFS    from outside: no job slot; @fn has not run.
 *           -ENOBUFS    it has not run on some worker, but on all others: that one waits and has no
 *                       stack left, or is a seat whose lost thread could not be replaced.
 *           -EPERM      in a guarded job.
 *           -EDEADLK    in a hook or a completion callback of the pool; a FILCH_POOL_CALLER pool,
 *                       and the caller is not its creator, for whose worker 0 it might wait for
 *                       ever.
 *           -ESHUTDOWN, -ECANCELED, -EDEADLK, -ECHILD
 *                       from outside, as FILCH_RUN; with a NULL pool as filch_pool_default().
 */
FILCH_API int filch_pool_each(
	struct filch_pool *pool, int (*fn)(void *arg, int worker), void *arg) FILCH_MUST_CHECK;

/*
 * Waits until every job accepted before the call is complete. Jobs may go on being submitted.
 *
 * Callers:  any thread but a worker of the pool. The creator of a FILCH_POOL_CALLER pool first runs
 *           the queued jobs. It looks at the deadline before each, and runs a started one to its
 *           end.
 * Progress: blocks until they are complete or the deadline has passed; signals do not end it. A
 *           worker of another pool may run jobs of its own meanwhile: docs/jobs.md.
 * Ordering: the jobs' writes are visible after a 0, and their completions are in their queues.
 * Lifetime: the pool must outlive the call; @deadline may go after it.
 * Returns:  0. Errors:
 *           -ETIMEDOUT  the deadline has passed.
 *           -EDEADLK    from a worker, a completion callback, an inline job, or on_stuck.
 *           -EDEADLK    the pool's one worker is the calling thread, which works for another pool.
 *           -EDEADLK    from a worker of another pool: the pools wait for each other, and none of
 *                       their workers can go on.
 *           -EINVAL     NULL; a deadline that is no time.
 *           -ECHILD     after fork().
 */
FILCH_API int filch_pool_drain(
	struct filch_pool *pool, const struct timespec *deadline) FILCH_MUST_CHECK;

/*
 * Closes the pool for submissions, which get -ESHUTDOWN from now on, and waits until all accepted
 * jobs are complete. A second call may follow, to wait again after -ETIMEDOUT or to go from
 * FILCH_DRAIN to FILCH_ABANDON.
 *
 * Callers:  any thread but a worker of the pool. Safe against every racing call but
 *           filch_pool_destroy().
 * Progress: blocks as filch_pool_drain(). FILCH_ABANDON does not interrupt running jobs.
 * Ordering: as filch_pool_drain(). Callbacks of jobs that FILCH_ABANDON cancels run on the calling
 *           thread.
 * Lifetime: the pool stays until filch_pool_destroy(): ids may be waited for, completions reaped,
 *           counters read.
 * Returns:  0. Errors:
 *           -ETIMEDOUT  the deadline has passed; the pool is closed nevertheless.
 *           -EDEADLK    as filch_pool_drain(); nothing has happened. FILCH_ABANDON needs no worker,
 *                       and is not refused to one of another pool. Where the pools wait for each
 *                       other, and none can go on, the pool is closed nevertheless.
 *           -EINVAL     NULL; unknown mode; a deadline that is no time.
 *           -ECHILD     after fork().
 */
FILCH_API int filch_pool_shutdown(
	struct filch_pool *pool, int mode, const struct timespec *deadline) FILCH_MUST_CHECK;

/*
 * Ends the pool.
 * - Jobs that have not started complete with -ECANCELED.
 * - Running ones get their cancel flag and are waited for.
 * - Callers blocked in a submit or a wait return.
 * - Every thread is joined, and all memory is freed.
 * - Completions that nobody has reaped are gone.
 *
 * Callers:  any thread but a worker of the pool; once. No call on the pool may begin after it.
 * Progress: blocks until the running jobs have returned: for ever, if one of them never does.
 * Ordering: the jobs' writes are visible afterwards. Callbacks of jobs that never started run on
 *           the calling thread. If one of them calls pthread_exit() the pool is closed and not
 *           destroyed, and another thread may destroy it.
 * Lifetime: the pool is gone after a 0. Completion queues stay, with the completions put into them.
 * Returns:  0; -EDEADLK (from a worker, a completion callback, an inline job, on_stuck, or a fork
 *           handler as of create), -ECHILD (after fork), -EINVAL (NULL). On an error nothing has
 *           happened, but for -ECHILD in the child of a fork() in a callback or hook that ran here.
 */
FILCH_API int filch_pool_destroy(struct filch_pool *pool);

/*
 * Lets @workers of the pool's workers run, those with the lowest numbers: more than before, or
 * fewer. A worker that may not run takes no new work. It ends what is on its stack first: a job,
 * and what that waits for. So until it comes to the end of that more than @workers may be at work.
 * A quota that is followed (FILCH_POOL_FOLLOW_QUOTA) may allow fewer.
 *
 * Callers:  any thread, a worker included, at any time of the pool's life.
 * Progress: takes a lock for a short time, wakes the workers concerned, and waits for none.
 * Ordering: none. Of several calls the last one holds.
 * Lifetime: numbers of workers stay what they are. Those that do not run have their threads, and do
 *           their part of filch_pool_each().
 * Returns:  0. Errors:
 *           -EINVAL     0, or more than workers_max; 1 in a FILCH_POOL_CALLER pool that has more,
 *                       for its creator may be away.
 *           -ECHILD     after fork(); with a NULL pool as filch_pool_default().
 */
FILCH_API int filch_pool_resize(struct filch_pool *pool, uint32_t workers) FILCH_MUST_CHECK;

/*
 * Pause: from now on no worker starts a job or steals a task until the resume. What was started
 * goes on to its end, with what it waits for and what its own worker spawns. Submits are accepted
 * while there is room; waits and drains wait. A second pause, or resume, changes nothing.
 *
 * Not held up are jobs that their submitters run (FILCH_CALLER_RUNS), the creator of a
 * FILCH_POOL_CALLER pool inside a call, and filch_pool_each() on workers. filch_pool_destroy() and
 * FILCH_ABANDON end a paused pool; filch_pool_drain() and FILCH_DRAIN wait for the resume, so give
 * them a deadline.
 *
 * Callers:  any thread, a worker included, at any time of the pool's life.
 * Progress: as filch_pool_resize().
 * Ordering: none.
 * Lifetime: the number that filch_pool_workers() tells stays.
 * Returns:  0; -ECHILD (after fork); with a NULL pool as filch_pool_default().
 */
FILCH_API int filch_pool_pause(struct filch_pool *pool) FILCH_MUST_CHECK;
FILCH_API int filch_pool_resume(struct filch_pool *pool) FILCH_MUST_CHECK;

/*
 * Around a call that blocks, in a job or a task: a read, a lock that is held for long, a sleep.
 * Between the two the worker does not count among those that run, and a spare may take its core
 * (filch_config.spares; without spares nothing happens). After the end the spare goes on to the end
 * of its piece of work, and one more than allowed is at work until then. Pairs may stand inside one
 * another; the outermost counts.
 *
 * A job that returns without the end has ended it: its worker sees to that before it takes new
 * work. With FILCH_DEBUG it is stopped. A fault or pthread_exit() of the job ends it as well.
 *
 * Callers:  workers; the end in the same job, or task, as its begin. Between the two spawns, syncs
 *           and waits are allowed, and what is run in them counts as blocked.
 * Progress: takes a lock for a short time, and may wake one worker. Some microseconds: for calls
 *           that mostly block for longer.
 * Ordering: none.
 * Lifetime: to the end of the job.
 * Returns:  0. Errors:
 *           -EPERM      the calling thread is no worker; the child of a fork() in a job has none.
 *           -EINVAL     an end without its begin.
 */
FILCH_API int filch_blocking_begin(void);
FILCH_API int filch_blocking_end(void);

/*
 * Makes a pool live, or ends that: what it is at can then be seen from other processes of the same
 * user, with filch-top and filch-info --pid. FILCH_LIVE=1 in the environment does the same for all
 * pools from their beginning.
 *
 * The process has a page in shared memory, a file below /dev/shm that its user alone can read. A
 * thread of the library's writes it: ten times a second, or once while nothing happens. On it are
 * workers, their CPUs and time, lanes, running jobs with filch_submit.name, and histograms.
 * docs/live.md has the details. What a job pays is not measurable, and nothing where no pool is
 * live.
 *
 * Callers:  any thread, a worker included, at any time of the pool's life.
 * Progress: takes locks, looks at the pool and writes the page, which is up to date on return; also
 *           for a pool that is live already. The first live pool starts the thread, the last one
 *           that ends stops it and removes the page.
 * Ordering: none. Times and histograms begin with the call.
 * Lifetime: until the pool's end. A child of a fork() has no page of its parent's.
 * Returns:  0. Errors:
 *           -ENOMEM, -EAGAIN  no memory; no thread.
 *           -EPERM      the name of the directory is taken by another user.
 *           -EDEADLK    in a fork handler, as of filch_pool_create().
 *           -ECHILD     after fork(); with a NULL pool as filch_pool_default().
 *           What the kernel says of the file: -ENOENT where there is no /dev/shm, -ENOSPC, -EACCES.
 */
FILCH_API int filch_pool_live(struct filch_pool *pool, int on) FILCH_MUST_CHECK;

/*
 * How many workers may run: as filch_config or filch_pool_resize() has it, or fewer by a quota that
 * is followed. A pause and workers that block do not change it. Any thread, wait-free. With NULL
 * outside of workers, as filch_pool_default(), whose error it returns if there is none.
 */
FILCH_API int filch_pool_workers(const struct filch_pool *pool);

/*
 * How many there are, with those in reserve: filch_worker_id() is below it, so that it is the size
 * of an array with a place for each worker. It does not change while the pool lives. Else as
 * filch_pool_workers().
 */
FILCH_API int filch_pool_workers_max(const struct filch_pool *pool);

/* The pool whose worker the calling thread is, or NULL. Any thread, wait-free. */
FILCH_API struct filch_pool *filch_pool_current(void);

/*
 * The calling worker's number, below filch_pool_workers_max(), an index for per-worker scratch; -1
 * on any other thread. Wait-free.
 *
 * While code waits, for a sync, a nested loop or a job, its worker may run other work of the same
 * job on top, which has the same number. Scratch that is left half changed over a wait is safe only
 * if the wait stands in a scope (scope.h); filch_scope_slot() is the index for that.
 */
FILCH_API int filch_worker_id(void);

/*
 * Writes which worker sits where, and why, as text or JSON. The masks are those of now.
 *
 * Callers:  any thread, at any time of the pool's life.
 * Progress: never waits for workers. Writes as fprintf(3) does, which may block and allocate.
 * Ordering: none. Facts that may change, such as dead threads, are as found.
 * Lifetime: @out is the caller's.
 * Returns:  0; -EINVAL (NULL @out, unknown format), -EIO (@out reports an error), -ENOMEM (to tell
 *           of a lost worker); with a NULL pool as filch_pool_default().
 */
FILCH_API int filch_pool_describe(const struct filch_pool *pool, FILE *out, int format);

/*
 * The time @ns nanoseconds from now on CLOCK_MONOTONIC, for use as a deadline. Any number will do,
 * 584 years included. Any thread, wait-free.
 */
FILCH_API struct timespec filch_after(uint64_t ns);

FILCH_EXTERN_C_END

#endif
