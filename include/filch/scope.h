/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes: a piece of work with an end of its own, inside a job.
 *
 *     static int build(void *cache) { return filch_for(NULL, 0, n, 0, fill, cache); }
 *
 *     pthread_mutex_lock(&lock);
 *     error = filch_scope(NULL, NULL, build, &cache);
 *     pthread_mutex_unlock(&lock);
 *
 * A scope is three things:
 *
 *   Isolation. While anything inside waits, its worker runs only what was made inside: tasks and
 *     bodies spawned there, and a job that is waited for there. So a lock may be held over a scope,
 *     and memory by filch_scope_slot() left half changed over one. Without a scope a worker that
 *     waits may run any other work of the same job: see task.h.
 *   Cancellation of a part. filch_scope_cancel() ends the innermost scope around it. The job, and
 *     the scopes outside, go on.
 *   The first error. The first status that was given to filch_scope_cancel() is the scope's result.
 *
 * What was made inside is what tasks and bodies inside spawn, on whatever worker they run. Other
 * workers help as they do without scopes. A worker that waits outside of the scope, for the same
 * job, may run what was made inside; one that waits inside runs nothing from outside. Scopes nest.
 *
 * Isolation is not from what the code inside does itself: a task inside that takes the lock held
 * outside waits for ever. Nor is it from another pool: a worker that waits for one may run a job of
 * its own pool that this wait needs (docs/jobs.md). Nor is it from filch_pool_each().
 */
#ifndef FILCH_SCOPE_H
#define FILCH_SCOPE_H

#include <time.h>

#include "task.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* size as in struct filch_config: set it before the call, as FILCH_SCOPE_INIT does. */
struct filch_scope_config {
	size_t size;
	/*
	 * 0, or FILCH_JOB_FREE (job.h): @fn has the creator's CPUs and signals, as the function of
	 * such a job. Tasks that others steal from it do not.
	 */
	uint64_t flags;
	/*
	 * So many workers at most are inside, the caller included; 0 = any number. At most 64 where
	 * that is less than the pool has.
	 */
	uint32_t width;
	/*
	 * Of the job, from outside of the pool: as in filch_submit. A job that has not started by
	 * finish_by is -ETIMEDOUT. A thread that is a worker, or the creator of a FILCH_POOL_CALLER
	 * pool, makes no such job: there they are without effect.
	 */
	uint32_t lane;
	const struct timespec *finish_by;
};
#define FILCH_SCOPE_INIT FILCH_SIZED(struct filch_scope_config)

/*
 * Runs fn(arg) in a new scope, here; from outside of @pool as one job of it, to whose end it waits.
 *
 * Callers:  any thread; a NULL pool is as in pool.h. @config may be NULL.
 * Progress: returns when @fn has returned, and with it all that it has spawned. As FILCH_RUN.
 * Ordering: writes before the call are visible inside, writes inside after it. What preceded a
 *           filch_scope_cancel() is visible to whoever sees the scope cancelled.
 * Lifetime: @arg, and what it leads to, must stay until the call returns.
 * Cost:     on a worker some nanoseconds; the first spawn inside, and the first after it, look for
 *           sleeping workers.
 * Returns:  the first status given to filch_scope_cancel(), if it was called; else what @fn has
 *           returned. Where @fn has not run:
 *           -EINVAL   @fn is NULL; a flag or lane that is not known; a size that cannot be
 *           -E2BIG    a @config from a newer header asks for what this library does not know
 *           -ENOBUFS  4096 pieces of work lie nested on this worker's stack, or 16 scopes with a
 *                     width; or no job slot
 *           -ENOMEM   for the first scope of a worker with a width
 *           -ESHUTDOWN, -ECANCELED, -ECHILD, -EDEADLK
 *                     from outside, as FILCH_RUN
 */
FILCH_API int filch_scope(struct filch_pool *pool, const struct filch_scope_config *config,
	int (*fn)(void *arg), void *arg) FILCH_MUST_CHECK;

/*
 * Ends the innermost scope around the caller with @status, which may be 0: what was looked for is
 * found.
 * - Loops inside start no further body, and return -ECANCELED. Sorts inside end likewise.
 * - Bodies and tasks under way go on. They may ask filch_cancelled().
 * - Spawned tasks still run: their syncs have results to return. They may ask as well.
 * - Scopes inside are cancelled with it, as far as these three go; their status is their own.
 *
 * Callers:  any code inside a scope, on any worker; also a callback that is called there.
 * Progress: lock-free. Interrupts nothing.
 * Ordering: see filch_scope().
 * Returns:  0; -EALREADY, the scope has been cancelled before and keeps that status; -EPERM outside
 *           of all scopes.
 */
FILCH_API int filch_scope_cancel(int status);

/*
 * An index for scratch memory: 0 to filch_pool_workers() - 1, or to width - 1 if the innermost
 * scope has a width. No other worker inside this scope has it. Inside one body or task it stays the
 * same. Memory at that index is left alone while the body or task waits, if it waits inside an
 * inner scope only: around a nested loop, a sync or a wait.
 *
 * Callers:  any thread.
 * Progress: wait-free.
 * Returns:  the index, or -1 outside of all scopes.
 */
FILCH_API int filch_scope_slot(void);

/*
 * Whether the running job, or a scope around the caller, is cancelled. filch_job_cancelled() tells
 * of the job alone.
 *
 * Callers:  any thread; false where no job runs.
 * Progress: wait-free: a look at the job and at each scope around.
 * Ordering: acquire: what preceded the cancellation is visible.
 */
FILCH_API bool filch_cancelled(void);

/*
 * FILCH_SCOPE(status, name, arguments...): FILCH_CALL of a task in a new scope; its result.
 *
 * Callers:  the body of a task, as FILCH_CALL.
 * Status:   @status is a pointer to int, or NULL. 0, or the first status given to
 *           filch_scope_cancel() inside. -ENOBUFS, as with filch_scope(): the task has not run, and
 *           its result is all zero bytes.
 */
#define FILCH_SCOPE(...)            FILCH_CAT(FILCH_SCOPE_, FILCH_FEW(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_SCOPE_2(status, name) FILCH_SCOPE_OF(name, filch_worker_, &filch_carried_, (status))
#define FILCH_SCOPE_3(status, name, a) \
	FILCH_SCOPE_OF(name, filch_worker_, &filch_carried_, (status), a)
#define FILCH_SCOPE_N(status, name, ...) \
	FILCH_SCOPE_OF(name, filch_worker_, &filch_carried_, (status), __VA_ARGS__)
#define FILCH_SCOPE_OF(name, ...) \
	((void)sizeof(name##_must_be_a_FILCH_TASK), name##_filch_scope(__VA_ARGS__))

FILCH_EXTERN_C_END

#endif
