/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: units of work handed to a pool from outside, each with an id and exactly one completion.
 *
 * The argument is the message and holds the result: nothing is copied. A job's status is the value
 * its function returns. Every accepted id completes exactly once, whatever happens: done, failed,
 * cancelled, expired, the pool abandoned or destroyed.
 *
 * A guarded job (FILCH_JOB_GUARD) that faults ends with -EFAULT, and the process goes on. Its locks
 * stay held, malloc's too; overwritten memory stays overwritten; nothing is unwound. See
 * docs/jobs.md.
 *
 * A job may leave its end to somebody else, filch_job_defer(): to a device, a timer, another
 * machine.
 *
 * A job may fork(). A child that returns from the job ends, as by _exit(): it runs nothing of the
 * parent's, and completes nothing. See docs/embedding.md.
 *
 * A completion goes to filch_wait(), into a completion queue, to the callback, or nowhere
 * (FILCH_JOB_DETACHED). A job starts on a worker whose stack is empty, or under a filch_wait() of a
 * worker for that very job, or where FILCH_CALLER_RUNS runs it. It never starts on top of another
 * job's frames otherwise. So with one worker a job starts after the running one. There is one
 * exception: pools whose workers wait for each other's jobs would wait for ever. See docs/jobs.md,
 * "Pools that call each other".
 */
#ifndef FILCH_JOB_H
#define FILCH_JOB_H

#include <time.h>

#include "detail/words.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;
struct filch_cq;
struct filch_group;

/* Runs on a worker. Returns the completion's status: 0 or any int; negative errno by convention. */
typedef int filch_job_fn(void *arg);

/* How one job ended. */
struct filch_completion {
	int64_t id;
	void *arg;  /* as submitted */
	void *user; /* filch_submit.user */
	/* the result; or -ECANCELED, -ETIMEDOUT (start_by, finish_by), -EFAULT (a fault) */
	int32_t status;
	int32_t worker;     /* the one that ran it, or -1 */
	uint64_t flags;     /* FILCH_DONE_... */
	uint64_t queued_ns; /* from the submit to the start, or to the cancellation */
	/* from the start to the end, also a deferred one; 0 if it never started */
	uint64_t run_ns;
	uint64_t detail[2]; /* FILCH_DONE_FAULT: the signal's number, and the address (si_addr) */
	uint64_t reserved[2];
};

/*
 * filch_completion.flags: the job did not return, because of its function or of a task of it. A
 * function may also return -EFAULT or -ECANCELED; then neither is set.
 */
#define FILCH_DONE_FAULT  (UINT64_C(1) << 0) /* a fault of a guarded job; status -EFAULT */
#define FILCH_DONE_EXITED (UINT64_C(1) << 1) /* pthread_exit(); status -ECANCELED */
/* it has not run, because a job that it was submitted to come after has failed; -ECANCELED */
#define FILCH_DONE_AFTER (UINT64_C(1) << 2)
/* it ended later than its finish_by; beside the others */
#define FILCH_DONE_LATE (UINT64_C(1) << 3)

/* filch_submit.flags */
#define FILCH_JOB_DETACHED (UINT64_C(1) << 0) /* nobody waits; the slot is freed on completion */
#define FILCH_JOB_GUARD    (UINT64_C(1) << 1) /* a fault ends only the job; see docs/jobs.md */
/*
 * While its function runs, the thread has the CPUs and the blocked signals of the pool's creator,
 * whatever a job before it has blocked. Faults are open all the same. What it starts inherits them:
 * posix_spawn(), system(), popen(), threads, OpenMP regions. It costs six system calls. Tasks
 * stolen from the job run pinned, as ever.
 */
#define FILCH_JOB_FREE (UINT64_C(1) << 2)
/*
 * No room in the cq: wait for it, as when_full says, until completions are reaped. The submitter
 * must not be their only reader. A worker of the pool does not wait: -ENOBUFS.
 */
#define FILCH_JOB_WAIT_CQ (UINT64_C(1) << 3)
/* With `after`: the job runs when those jobs are complete, whether or not one has failed. */
#define FILCH_JOB_AFTER_ANY (UINT64_C(1) << 4)

/* filch_submit.when_full: what to do while queue_capacity jobs are queued */
#define FILCH_BLOCK 0u /* wait for room */
#define FILCH_TRY   1u /* -EAGAIN */
#define FILCH_UNTIL 2u /* wait for room until `deadline`, then -ETIMEDOUT */
/*
 * Run it here; the id is already complete. Also on a worker of the pool, on top of the job that
 * submits it, while that has stack left. On other threads no watchdog sees it. Refused on a worker
 * of another pool with FILCH_POOL_GUARD, also while there is room: a fault may take that stack.
 */
#define FILCH_CALLER_RUNS 3u

/*
 * filch_submit.lane, 0 to FILCH_LANES - 1. Jobs of a lane start in their order. A worker takes jobs
 * of the highest lane that has some, but at most 7 in a row: then one of the next lower lane that
 * has some, by the same rule. With n workers and jobs in k lanes above, a job behind m others of
 * its lane waits for at most (8^k - 1) n (m + 1) of those. With two lanes that is 7n(m + 1), and a
 * job of the upper one waits for one of the lower per 7. Lanes that are not used cost nothing.
 */
#define FILCH_LANE_NORMAL 0u
#define FILCH_LANE_URGENT 1u
#define FILCH_LANES       8u

/*
 * How to submit. NULL where it is an argument means all defaults. Size and growth as in struct
 * filch_config.
 */
struct filch_submit {
	size_t size;
	uint64_t flags; /* FILCH_JOB_... */
	uint32_t when_full;
	uint32_t lane;
	const struct timespec *deadline; /* for FILCH_UNTIL; it must then be set */
	const struct timespec *start_by; /* not started by then: completes -ETIMEDOUT at its turn */
	struct filch_cq *cq;             /* its completion goes there; no filch_wait() */
	void (*on_complete)(const struct filch_completion *completion);
	void *user;
	/*
	 * Ids of the same pool, in any number: the job starts when all of these are complete. If
	 * one has failed, with a status below 0, the job does not run: when all are complete it
	 * ends with -ECANCELED and FILCH_DONE_AFTER, which is a failure for those that come after.
	 * An id that is complete, or was reaped, is not waited for. See docs/jobs.md.
	 */
	const int64_t *after;
	size_t after_count;
	/*
	 * When this time has come: a job that has not started completes with -ETIMEDOUT; of one
	 * that runs, the cancel flag is raised. The pool's timer does so, a thread that the first
	 * such job starts, and calls the callback of what it ends. FILCH_DONE_LATE tells of a job
	 * that was not over by then, however it ended.
	 */
	const struct timespec *finish_by;
	struct filch_group *group; /* the job is one of this group of the pool: group.h */
	/*
	 * What filch-top calls the job, in a pool that is live (filch_pool_live()); NULL = nothing.
	 * The pointer is kept: the text must stay for the life of the pool, as one in quotes does.
	 */
	const char *name;
};
#define FILCH_SUBMIT_INIT FILCH_SIZED(struct filch_submit)

struct filch_job_spec {
	filch_job_fn *fn;
	void *arg;
	void *user;
};

/*
 * Hands @fn(@arg) to the pool.
 *
 * Callers:  any thread; a NULL pool is as in pool.h. A worker of the pool never waits here and
 *           ignores queue_capacity; jobs_max bounds it. With FILCH_CALLER_RUNS it heeds the
 *           capacity, and runs the job itself.
 * Progress: FILCH_TRY is lock-free but for the system call that wakes a parked worker. FILCH_BLOCK
 *           and FILCH_UNTIL wait only for jobs that the pool itself will finish. A worker of
 *           another pool that waits may run jobs of its own pool meanwhile. The creator of a
 *           FILCH_POOL_CALLER pool of one worker makes room itself, by running queued jobs.
 *           FILCH_UNTIL then looks at its deadline before each of them, and does not interrupt one
 *           that runs. A job that is to come after others never waits for room: it takes none
 *           until they are complete, and then whether or not there is any. Without any to wait for
 *           it is submitted as all are. Room in its group it takes before all else, and waits for
 *           it in the same way; a worker of the pool and a job of the group do not. A job that its
 *           group holds (running_max) takes no room in the queue, and does not wait for it.
 * Ordering: writes before the submit are visible to @fn, and so are those of the jobs it comes
 *           after.
 * Lifetime: @arg belongs to the job until its completion is seen. @how may go after the call, and
 *           so may how->after.
 * Returns:  the id, > 0. On an error nothing has been accepted:
 *           -EINVAL     NULL @fn; an unknown flag, lane or policy; FILCH_UNTIL without deadline;
 *                       more than one of detached, cq and callback.
 *           -EINVAL     FILCH_JOB_WAIT_CQ without cq.
 *           -EINVAL     FILCH_JOB_GUARD in a pool without FILCH_POOL_GUARD, or with
 *                       FILCH_CALLER_RUNS.
 *           -EINVAL     FILCH_CALLER_RUNS on a worker of another pool with FILCH_POOL_GUARD.
 *           -EINVAL     after_count without `after`; a group of another pool.
 *           -ESRCH      an id in `after` that is none of this pool's.
 *           -ENOMEM     the pool's first job with finish_by: no memory, or no thread.
 *           -E2BIG      a newer struct that sets unknown fields.
 *           -EAGAIN     FILCH_TRY: the queue is full, or the group; with FILCH_JOB_WAIT_CQ also
 *                       the cq.
 *           -ETIMEDOUT  FILCH_UNTIL: it still is.
 *           -ENOBUFS    no free job slot, or no room in the cq; under every policy, since only the
 *                       client can free those. With FILCH_JOB_WAIT_CQ no room in the cq is so on
 *                       workers of the pool, and under FILCH_CALLER_RUNS.
 *           -ENOBUFS    no room for what `after` names: a pool holds 1024 such ids, and 4 more for
 *                       each of its jobs_max, of jobs that are not complete.
 *           -EDEADLK    FILCH_BLOCK, FILCH_UNTIL: the queue, the group or, with
 *                       FILCH_JOB_WAIT_CQ, the cq is full, and the jobs that would make room can be
 *                       run by the calling thread alone, which works for another pool, waits for
 *                       the cq, or cannot run them beneath what it does.
 *           -EDEADLK    the same, on a worker of another pool, where all workers of the pools that
 *                       wait for each other wait or have nothing to do, and none can go on. For
 *                       the group and the cq: if jobs and submits of these hold all of the room.
 *           -ESHUTDOWN  the pool is closed.
 *           -ECHILD     after fork().
 *           With a NULL pool also why there is no default pool, as filch_pool_create().
 *
 * `on_complete` runs with no lock of filch held, on the worker, or on the thread that cancels,
 * shuts down or runs the job. In it:
 * - submitting and cancelling are allowed, and filch_wait() is as in a job;
 * - a callback of the same pool that becomes due in it is called after it has returned, before the
 *   thread does anything else: chains of callbacks need no stack;
 * - filch_cq_wait() is -EDEADLK where it would sleep;
 * - filch_pool_drain(), filch_pool_shutdown() and filch_pool_destroy() of its pool are -EDEADLK;
 * - pthread_exit() ends the job and the thread, see docs/jobs.md.
 *
 * The function and the struct have one name. In C++ the struct is `struct filch_submit`, as in C,
 * never `filch_submit` alone.
 */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
/* the function and the struct have one name, as in C; C++ calls that hiding a constructor */
#pragma GCC diagnostic ignored "-Wshadow"
#endif
FILCH_API int64_t filch_submit(struct filch_pool *pool, filch_job_fn *fn, void *arg,
	const struct filch_submit *how) FILCH_MUST_CHECK;
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/*
 * Submits @n jobs that share @how, but for `user`, which is each spec's. Stops at the first that is
 * not accepted. The shared work is done once, so a batch costs each job less.
 *
 * Callers:  as filch_submit().
 * Progress: as filch_submit(), job by job: the first may be complete before the last is accepted. A
 *           pool that closes meanwhile may complete accepted jobs with -ECANCELED.
 * Ordering: as filch_submit().
 * Lifetime: @jobs and @how may go after the call.
 * Returns:  the number accepted, their ids in @ids[0..). If none was, the error of the first, as
 *           filch_submit() has them. @ids may be NULL with FILCH_JOB_DETACHED, a cq or a callback;
 *           otherwise NULL is -EINVAL.
 */
FILCH_API int64_t filch_submit_batch(struct filch_pool *pool, const struct filch_job_spec *jobs,
	size_t n, const struct filch_submit *how, int64_t *ids) FILCH_MUST_CHECK;

/*
 * Waits for a job and reaps its completion.
 *
 * Callers:  any thread; a NULL pool is as in pool.h. One wait per id succeeds. On a worker of the
 *           pool it runs the awaited job if it is still queued, tasks of that job or of its own, or
 *           parks. A worker of another pool may run jobs of its own pool for which others wait: see
 *           docs/jobs.md.
 * Progress: blocks until the job is complete or the deadline has passed; signals do not end it. On
 *           a worker the deadline bounds looking and sleeping, not the work run meanwhile. An
 *           awaited job that is still queued is run here to its end, even if the deadline has
 *           passed.
 * Ordering: the job's writes are visible afterwards.
 * Lifetime: the id is stale after a 0; @out is the caller's.
 * Returns:  0, with @out filled; it may be NULL. Errors:
 *           -ETIMEDOUT  the deadline has passed; the id stays valid.
 *           -ESRCH      unknown, stale, foreign or already reaped id.
 *           -EINVAL     a deadline that is no time; a job that is detached, or has a cq or a
 *                       callback.
 *           -EDEADLK    a job waits for itself.
 *           -EDEADLK    on a worker: the job is still queued and cannot be run here, for want of
 *                       stack or because it is guarded, so waiting could be for ever.
 *           -EDEADLK    on a worker of the pool: the job waits for others that it comes after, or
 *                       its group holds it; and those are not run here, so waiting could be for
 *                       ever. It is not asked whether another worker is about to run them.
 *           -EDEADLK    the pool's one worker is the calling thread, which works for another pool.
 *           -EDEADLK    on a worker: all workers of the pools that wait for each other wait, and
 *                       none can go on; of the job's own pool only if that is one of them. The id
 *                       stays valid.
 *           -ECHILD     after fork().
 */
FILCH_API int filch_wait(struct filch_pool *pool, int64_t id, const struct timespec *deadline,
	struct filch_completion *out);

/*
 * Cancels a job. One that is queued, waits for others that it comes after, or is held by its group,
 * completes with -ECANCELED at once. A running one has its flag raised, and its completion has the
 * status it returns.
 *
 * Callers:  any thread, the job itself included; a NULL pool is as in pool.h.
 * Progress: lock-free but for wakes. The callback of a job that was queued runs here, before the
 *           call returns; called from a callback of the same pool, after that one has returned.
 * Ordering: none between writes before the call and a job that has seen its flag.
 * Lifetime: the id stays valid, and is reaped as if the job had not been cancelled.
 * Returns:  0: cancelled, or flag raised. Errors:
 *           -EALREADY   already complete.
 *           -ESRCH      unknown, stale, foreign or already reaped id.
 *           -ECHILD     after fork().
 */
FILCH_API int filch_cancel(struct filch_pool *pool, int64_t id);

/*
 * Whether the running job was cancelled; false outside of jobs and their tasks. Wait-free. It does
 * not look at scopes: filch_cancelled() does.
 */
FILCH_API bool filch_job_cancelled(void);

/* The id of the running job; 0 outside of jobs and their tasks. Wait-free. */
FILCH_API int64_t filch_job_id(void);

/*
 * Defers the end of the job that calls: its completion comes when its function has returned and
 * filch_job_finish() was called, in whatever order. What the function returns is then ignored. So
 * a job can start something that goes on without a thread, and end with it: I/O, a request, work of
 * a GPU. Asked for again, nothing changes.
 *
 * Between the two the job occupies its slot, counts as running, and holds up a drain, a shutdown
 * and a destroy, as a running job does. No worker is occupied, and no watchdog sees it. @arg still
 * belongs to the job. A cancel raises its flag, no more: whoever cancels also stops what the job
 * has started, whose end then finishes it.
 *
 * Callers:  a job that was submitted, or a task of it.
 * Progress: lock-free.
 * Ordering: none; call it before what will finish the job can begin.
 * Lifetime: the deferral is over with the job's completion. A job that faults or leaves its thread
 *           by pthread_exit() completes without a finish.
 * Returns:  the job's id, > 0; -EPERM: not inside such a job.
 */
FILCH_API int64_t filch_job_defer(void) FILCH_MUST_CHECK;

/*
 * Finishes a job whose end was deferred, with @status. If its function has returned, the job is
 * complete when this returns; else it will be when the function does.
 *
 * Callers:  any thread, the job itself and callbacks included; also when the pool is closed. A
 *           NULL pool is as in pool.h. Once for each job. While a deferred job is unfinished, a
 *           destroy of its pool waits, so this call is safe beside it.
 * Progress: lock-free but for wakes. The job's callback runs here, before the call returns, if the
 *           function has returned; called from a callback of the same pool, after that one has
 *           returned.
 * Ordering: writes before the call are visible to whoever sees the completion.
 * Lifetime: the id stays valid until the completion is reaped.
 * Returns:  0. Errors:
 *           -ESRCH      finished already; complete, or its function will not return; an unknown,
 *                       stale, foreign or already reaped id.
 *           -EINVAL     a job that has not started, or runs and was not deferred.
 *           -ECHILD     after fork().
 */
FILCH_API int filch_job_finish(struct filch_pool *pool, int64_t id, int status);

/*
 * Completion queues. A queue takes the completions of jobs submitted to it (filch_submit.cq), of
 * any pool, and hands each out once, to one reaping thread. Their order is that in which the jobs
 * ended; or, in an ordered queue, that of the submits.
 *
 * A queue has storage of its own. `capacity` counts the jobs submitted to it whose completion has
 * not been reaped; a submit that finds no room is -ENOBUFS. A job's slot in its pool is free as
 * soon as its completion has been put: jobs_max then bounds only unfinished jobs.
 *
 * An event loop watches filch_cq_fd(), reaps until 0, and goes back to its loop. A thread without
 * one calls filch_cq_wait().
 */

/*
 * Makes a queue. @capacity, in completions: 0 = 16384; at most 2^23.
 *
 * Callers:  any thread.
 * Progress: allocates all that the queue will ever need but the descriptor.
 * Lifetime: until filch_cq_destroy(); it belongs to no pool.
 * Returns:  0; -EINVAL (NULL, too many), -ENOMEM, -EDEADLK (in a fork handler, as of
 *           filch_pool_create()).
 */
FILCH_API int filch_cq_create(struct filch_cq **cq, uint32_t capacity) FILCH_MUST_CHECK;

/* How to make a queue. Size and growth as in struct filch_config. */
struct filch_cq_config {
	size_t size;
	uint64_t flags;    /* FILCH_CQ_... */
	uint32_t capacity; /* as of filch_cq_create() */
	uint32_t reserved;
};
#define FILCH_CQ_CONFIG_INIT FILCH_SIZED(struct filch_cq_config)

/*
 * filch_cq_config.flags: completions are reaped in the order of the submits. Of submits that run at
 * once on several threads, either may be the first; one submit call after another keeps its place,
 * and so do the jobs of a batch. Until the job at the head is complete, there is nothing to reap,
 * though others are; they keep their room. A job that was cancelled or abandoned is complete, and
 * takes its place as any other.
 */
#define FILCH_CQ_ORDERED (UINT64_C(1) << 0)

/*
 * Makes a queue as @config says; NULL: all defaults.
 *
 * Callers, progress, lifetime: as filch_cq_create().
 * Returns:  0; -EINVAL (NULL, too many, an unknown flag), -E2BIG (a newer struct that sets unknown
 *           fields), -ENOMEM, -EDEADLK (as filch_cq_create()).
 */
FILCH_API int filch_cq_create_with(
	struct filch_cq **cq, const struct filch_cq_config *config) FILCH_MUST_CHECK;

/*
 * Frees a queue, and closes its descriptor. Completions that nobody has reaped are dropped. The
 * queue may go before or after its pools.
 *
 * Callers:  any thread. No other call on the queue may run, or follow a 0.
 * Progress: yields the processor while a thread that has put a completion has a few instructions to
 *           go, or writes the descriptor.
 * Lifetime: queue and descriptor are gone after a 0. Take the descriptor out of the event loop
 *           first.
 * Returns:  0; -EBUSY (jobs submitted to it are not complete, or a thread sleeps in
 *           filch_cq_wait() or waits for room in a submit; nothing has happened), -EINVAL (NULL),
 *           -ECHILD, -EDEADLK (in a fork handler, as of filch_pool_create()).
 */
FILCH_API int filch_cq_destroy(struct filch_cq *cq) FILCH_MUST_CHECK;

/*
 * The queue's descriptor, an eventfd made at the first call. Watch it (poll, epoll, libuv,
 * io_uring); never read, write or close it. It is readable while there are completions that were
 * put after a reap returned 0, or before the first call. So reap until filch_cq_reap() returns 0:
 * that call clears it. It is not written while completions are being reaped, so a busy queue costs
 * no system call. It may be readable with nothing there, when a reap was faster than a thread about
 * to write it.
 *
 * Callers:  any thread.
 * Progress: a system call or two the first time, then a load.
 * Lifetime: the queue's; the same number at every call.
 * Returns:  the descriptor; -EINVAL (NULL), -ECHILD; -EMFILE, -ENFILE, -ENOMEM, or what else the
 *           kernel says, such as -EPERM under seccomp: nothing has happened, and the queue works
 *           without.
 */
FILCH_API int filch_cq_fd(struct filch_cq *cq);

/*
 * Takes up to @n completions.
 *
 * Callers:  any thread, several at once.
 * Progress: lock-free. A system call only when there is nothing, if there is a descriptor to clear.
 * Ordering: the jobs' writes are visible afterwards.
 * Lifetime: @out is the caller's. A completion taken has left the queue, and its place is free
 *           again.
 * Returns:  how many, 0 when there are none; -EINVAL (NULL, n = 0), -ECHILD.
 */
FILCH_API int filch_cq_reap(struct filch_cq *cq, struct filch_completion *out, size_t n);

/*
 * As filch_cq_reap(), but waits for the first. Does not clear the descriptor.
 *
 * Callers:  any thread. Workers and callbacks take the completions that are there, and get -EDEADLK
 *           where others would sleep.
 * Progress: blocks until something is there or the deadline has passed; signals do not end it. With
 *           nothing in flight and no deadline it blocks for ever. A FILCH_POOL_CALLER pool of one
 *           worker runs jobs only inside its creator's calls on the pool, such as
 *           filch_pool_drain(). Its creator must not wait here for such jobs.
 * Ordering: as filch_cq_reap().
 * Lifetime: as filch_cq_reap().
 * Returns:  how many, > 0. Errors:
 *           -ETIMEDOUT  the deadline has passed.
 *           -EDEADLK    a worker or a callback would have to sleep.
 *           -EINVAL     NULL; n = 0; a deadline that is no time.
 *           -ECHILD     after fork().
 */
FILCH_API int filch_cq_wait(struct filch_cq *cq, struct filch_completion *out, size_t n,
	const struct timespec *deadline);

FILCH_EXTERN_C_END

#endif
