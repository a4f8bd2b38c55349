/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: units of work handed to a pool from outside, each with an id and exactly one completion.
 *
 * The argument is the message and holds the result: nothing is copied. A job's status is what its function returns. Every
 * accepted id completes exactly once, whatever happens: done, failed, cancelled, expired, the pool abandoned or destroyed.
 *
 * A guarded job (FILCH_JOB_GUARD) that faults ends with -EFAULT and takes nothing else along, but for what it held: locks stay held,
 * malloc's too, overwritten memory stays overwritten, nothing is unwound. See docs/jobs.md.
 *
 * Where a completion goes: to filch_wait(); into a completion queue; to the callback; or nowhere (FILCH_JOB_DETACHED). A job
 * starts on a worker whose stack is empty, or under a filch_wait() of a worker for that very job; never on top of another job's
 * frames. With one worker a job therefore starts after the running one.
 */
#ifndef FILCH_JOB_H
#define FILCH_JOB_H

#include <time.h>

#include "detail/base.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;
struct filch_cq;

/* Runs on a worker. 0 or any int; negative errno by convention: it becomes the completion's status. */
typedef int filch_job_fn(void *arg);

/* How one job ended. */
struct filch_completion {
	int64_t id;
	void *arg;          /* as submitted */
	void *user;         /* filch_submit.user */
	int32_t status;     /* the function's result; -ECANCELED; -ETIMEDOUT (not started by start_by); -EFAULT (FILCH_DONE_FAULT) */
	int32_t worker;     /* which ran it, or -1 */
	uint64_t flags;     /* FILCH_DONE_... */
	uint64_t queued_ns; /* from the submit to the start, or to the cancellation */
	uint64_t run_ns;    /* from the start to the end; 0 if it never started */
	uint64_t detail[2]; /* FILCH_DONE_FAULT: the signal's number, and the address (si_addr) */
	uint64_t reserved[2];
};

/* filch_completion.flags: a job that did not return. A function may return -EFAULT or -ECANCELED itself; then neither is set. */
#define FILCH_DONE_FAULT  (UINT64_C(1) << 0) /* guarded: it or a task of it faulted; status -EFAULT */
#define FILCH_DONE_EXITED (UINT64_C(1) << 1) /* it or a task of it called pthread_exit(); status -ECANCELED */

/* filch_submit.flags */
#define FILCH_JOB_DETACHED (UINT64_C(1) << 0) /* nobody waits; the slot is freed on completion */
#define FILCH_JOB_GUARD    (UINT64_C(1) << 1) /* a fault ends the job and not the process; in pools with FILCH_POOL_GUARD */

/* filch_submit.when_full: what to do while queue_capacity jobs are queued */
#define FILCH_BLOCK       0u /* wait for room */
#define FILCH_TRY         1u /* -EAGAIN */
#define FILCH_UNTIL       2u /* wait for room until `deadline`, then -ETIMEDOUT */
#define FILCH_CALLER_RUNS 3u /* run it here; the id is returned already complete; no watchdog sees it */

/*
 * filch_submit.lane. Jobs of a lane start in their order. While both have jobs a worker that takes from the queue takes urgent ones first,
 * but never more than 7 between two normal ones: with n workers at most 7n urgent jobs start before the next normal one is taken, and a
 * normal job with m others ahead of it waits for them and at most 7n(m + 1) urgent ones. An urgent one waits for one normal job per 7.
 */
#define FILCH_LANE_NORMAL 0u
#define FILCH_LANE_URGENT 1u

/* How to submit; NULL where it is an argument means all defaults. Size and growth as struct filch_config. */
struct filch_submit {
	size_t size;
	uint64_t flags;                  /* FILCH_JOB_... */
	uint32_t when_full;
	uint32_t lane;
	const struct timespec *deadline; /* for FILCH_UNTIL; it must then be set */
	const struct timespec *start_by; /* a job that has not started by then completes with -ETIMEDOUT when its turn comes */
	struct filch_cq *cq;             /* the completion goes there, and filch_wait() on the id is -EINVAL */
	void (*on_complete)(const struct filch_completion *completion);
	void *user;
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
 * Callers:  any thread. A worker of the pool never waits here and ignores queue_capacity (jobs_max bounds it).
 * Progress: FILCH_TRY is lock-free but for the system call that wakes a parked worker. FILCH_BLOCK and FILCH_UNTIL wait only for
 *           what the pool itself will finish. The creator of a FILCH_POOL_CALLER pool of one worker makes room itself, by running
 *           queued jobs; the deadline of FILCH_UNTIL is looked at before each, and does not bound the one that runs.
 * Ordering: writes before the submit are visible to @fn.
 * Lifetime: @arg belongs to the job until its completion is seen; @how may go after the call. `on_complete` runs on the worker, or
 *           on the thread that cancels, shuts down or runs the job, with no lock of filch held. It may submit and cancel; filch_wait()
 *           there is as in a job; filch_cq_wait() that would sleep, and filch_pool_drain(), filch_pool_shutdown() and
 *           filch_pool_destroy() of its pool are -EDEADLK. pthread_exit() there ends the job and the thread, see docs/jobs.md.
 * Returns:  the id, > 0; -EINVAL (NULL, unknown flag, lane or policy, FILCH_UNTIL without deadline, more than one of detached,
 *           cq and callback, FILCH_JOB_GUARD in a pool without FILCH_POOL_GUARD or with FILCH_CALLER_RUNS), -E2BIG, -EAGAIN
 *           (FILCH_TRY: the queue is full), -ETIMEDOUT (FILCH_UNTIL: it still is), -ENOBUFS (no free job slot or no room in the
 *           cq, under every policy: only the client can free those), -EDEADLK (FILCH_BLOCK, FILCH_UNTIL: the queue is full, and the one
 *           worker that could make room is the calling thread, which works for another pool), -ESHUTDOWN, -ECHILD. On an error
 *           nothing has been accepted.
 *
 * The function and the struct have one name: in C++ the struct is `struct filch_submit`, as in C, never `filch_submit` alone.
 */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* the function and the struct have one name, as in C; C++ calls that hiding a constructor */
#endif
FILCH_API int64_t filch_submit(struct filch_pool *pool, filch_job_fn *fn, void *arg, const struct filch_submit *how) FILCH_MUST_CHECK;
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/*
 * Submits @n jobs that share @how (but for `user`, which is each spec's). Stops at the first that is not accepted.
 *
 * Callers, progress, ordering: as filch_submit(), job by job: the first may be complete before the last is accepted.
 * Lifetime: @jobs and @how may go after the call.
 *           What all need is taken together, so a batch costs each job less; nothing else differs, but that a pool which closes meanwhile
 *           may complete jobs of the accepted prefix with -ECANCELED.
 * Returns:  the number accepted, their ids in @ids[0..) (@ids may be NULL with FILCH_JOB_DETACHED, a cq or a callback); the error of the
 *           first when none was. Else as filch_submit().
 */
FILCH_API int64_t filch_submit_batch(struct filch_pool *pool, const struct filch_job_spec *jobs, size_t n,
				     const struct filch_submit *how, int64_t *ids) FILCH_MUST_CHECK;

/*
 * Waits for a job and reaps its completion.
 *
 * Callers:  any thread; one wait per id succeeds. On a worker of the pool it runs the awaited job if it is still queued, tasks of
 *           that job or of its own, or parks.
 * Progress: blocks until the job is complete or the deadline has passed; signals do not end it. On a worker the deadline bounds
 *           looking and sleeping, not what is run meanwhile: even one that has passed is looked at only after the awaited job, if it
 *           was still queued, has been run here to its end.
 * Ordering: the job's writes are visible afterwards.
 * Lifetime: the id is stale after a 0; @out is the caller's.
 * Returns:  0, @out filled (may be NULL); -ETIMEDOUT (the id stays valid), -ESRCH (unknown, stale, foreign or already reaped id),
 *           -EINVAL (NULL pool; a deadline that is no time; the job is detached, or has a cq or a callback), -EDEADLK (a job waits for
 *           itself; or, on a worker, the job is still queued and cannot be run here, because too little stack is left or because it is
 *           guarded, so that waiting could be for ever; or the pool's one worker is the calling thread, which works for another pool),
 *           -ECHILD.
 */
FILCH_API int filch_wait(struct filch_pool *pool, int64_t id, const struct timespec *deadline,
			 struct filch_completion *out);

/*
 * Cancels a job: one that is queued completes with -ECANCELED at once; a running one has its flag raised, and its completion says
 * what it made of that.
 *
 * Callers:  any thread, the job itself included.
 * Progress: lock-free but for wakes; but the callback of a job that was queued runs here, before the call returns.
 * Ordering: writes before the call are not ordered with what the job reads after it has seen its flag.
 * Lifetime: the id stays valid; whoever would have reaped it still does.
 * Returns:  0 (cancelled, or flag raised), -EALREADY (already complete), -ESRCH, -EINVAL (NULL), -ECHILD.
 */
FILCH_API int filch_cancel(struct filch_pool *pool, int64_t id);

/* Inside a job or a task of it: whether it was cancelled; false elsewhere. Wait-free. */
FILCH_API bool filch_job_cancelled(void);

/* Inside a job or a task of it: its id; 0 elsewhere. Wait-free. */
FILCH_API int64_t filch_job_id(void);

/*
 * Completion queues. A queue takes the completions of jobs of any pool that are submitted to it (filch_submit.cq), in the order in
 * which they were put, and hands each out once, to whichever thread reaps. It has storage of its own: `capacity` counts the jobs
 * submitted to it whose completion has not been reaped, and a submit that finds no room is -ENOBUFS. A job's slot in its pool is
 * free as soon as its completion has been put: jobs_max then bounds only unfinished jobs.
 *
 * An event loop watches filch_cq_fd(), reaps until 0, and goes back to its loop; a thread without one calls filch_cq_wait().
 */

/*
 * Makes a queue. @capacity, in completions: 0 = 16384; at most 2^23.
 *
 * Callers:  any thread.
 * Progress: allocates all that the queue will ever need but the descriptor.
 * Lifetime: until filch_cq_destroy(); it belongs to no pool.
 * Returns:  0; -EINVAL (NULL, too many), -ENOMEM.
 */
FILCH_API int filch_cq_create(struct filch_cq **cq, uint32_t capacity) FILCH_MUST_CHECK;

/*
 * Frees a queue, and closes its descriptor. Completions that nobody has reaped are dropped. The queue may go before or after its pools.
 *
 * Callers:  any thread; no other call on the queue may run, or follow a 0.
 * Progress: yields the processor while a thread that has put a completion has a few instructions to go, or writes the descriptor.
 * Lifetime: queue and descriptor are gone after a 0. Take the descriptor out of the event loop first.
 * Returns:  0; -EBUSY while jobs submitted to it are not complete, or a thread sleeps in filch_cq_wait() (nothing has happened then);
 *           -EINVAL (NULL), -ECHILD.
 */
FILCH_API int filch_cq_destroy(struct filch_cq *cq) FILCH_MUST_CHECK;

/*
 * The queue's descriptor, an eventfd made at the first call: to be watched (poll, epoll, libuv, io_uring), never read, written or
 * closed. It is readable while there are completions that were put after a reap returned 0 (or before the first call). Whoever watches
 * it reaps until filch_cq_reap() returns 0: that call clears it. While completions are being reaped it is not written, so a busy
 * queue costs no system call. It may be readable with nothing there, when a reap was faster than whoever was about to write it.
 *
 * Callers:  any thread.
 * Progress: a system call or two the first time, then a load.
 * Lifetime: the queue's; the same number at every call.
 * Returns:  the descriptor; -EMFILE, -ENFILE, -ENOMEM (nothing has happened, and the queue works without), -EINVAL (NULL), -ECHILD.
 */
FILCH_API int filch_cq_fd(struct filch_cq *cq);

/*
 * Takes up to @n completions.
 *
 * Callers:  any thread, several at once.
 * Progress: lock-free; a system call only when there is nothing, if there is a descriptor to clear.
 * Ordering: the jobs' writes are visible afterwards.
 * Lifetime: @out is the caller's; what was taken belongs to nobody else, its slot and its place in the queue are free again.
 * Returns:  how many, 0 when there are none; -EINVAL (NULL, n = 0), -ECHILD.
 */
FILCH_API int filch_cq_reap(struct filch_cq *cq, struct filch_completion *out, size_t n);

/*
 * As filch_cq_reap(), but waits for the first. Does not clear the descriptor.
 *
 * Callers:  any thread but workers and callbacks, where it takes what is there and is -EDEADLK when it would have to sleep.
 * Progress: blocks until something is there or the deadline has passed; signals do not end it. With nothing in flight and no
 *           deadline: for ever. Where the one worker is the creating thread itself (FILCH_POOL_CALLER) jobs run only inside its calls on
 *           the pool, filch_pool_drain() for one: then there is nothing to wait for here.
 * Ordering, lifetime: as filch_cq_reap().
 * Returns:  how many, > 0; -ETIMEDOUT, -EDEADLK, -EINVAL (NULL, n = 0, a deadline that is no time), -ECHILD.
 */
FILCH_API int filch_cq_wait(struct filch_cq *cq, struct filch_completion *out, size_t n, const struct timespec *deadline);

FILCH_EXTERN_C_END

#endif
