/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that are no workers of the pool they call:
 *
 *   - clients, which wait
 *   - the creator of a FILCH_POOL_CALLER pool, which is worker 0 while inside a call
 *   - a submitter that runs its job itself (FILCH_CALLER_RUNS): an inline job
 *
 * pool->clients_inside counts those that filch_pool_destroy() lets leave first:
 *
 *   - a thread that sleeps inside a call, with no running job to represent it
 *   - a thread in FILCH_RUN from outside
 *   - the creator of a FILCH_POOL_CALLER pool, while it waits
 */
#ifndef FILCHI_EXTERNAL_H
#define FILCHI_EXTERNAL_H

#include <limits.h>

#include "core/abroad.h"
#include "core/await.h"

/* The calling thread's worker, if it is one of @pool. */
struct filchi_worker *filchi_worker_here(const struct filch_pool *pool);

/*
 * Whether the calling thread is inside a completion callback, or an inline job, of a job of @pool.
 */
bool filchi_in_callback_of(struct filch_pool *pool);
bool filchi_in_inline_job_of(struct filch_pool *pool);

/* Whether @job runs on the calling thread as an inline job. */
bool filchi_is_inline_here(const struct filchi_job *job);

/*
 * Whether @pool's job may run inline on the calling thread. Not on a worker of another pool that
 * guards: that stack may be given up, and the job would then have no end.
 */
bool filchi_may_run_inline(const struct filch_pool *pool);

/*
 * Whether @pool's one worker is the calling thread, which created it with FILCH_POOL_CALLER, and
 * which is busy as a worker of another pool. Then no thread can do the work it would wait for.
 */
bool filchi_caller_is_away(const struct filch_pool *pool);

/*
 * Worker 0 for the thread that created the pool with FILCH_POOL_CALLER, or NULL. Ends with
 * filchi_caller_leave().
 */
static inline struct filchi_worker *filchi_caller_enter(struct filch_pool *pool)
{
	if (!pool->has_caller || !pthread_equal(pool->caller, pthread_self()) ||
		filchi_worker_self())
		return NULL;
	filchi_worker_set_self(pool->first);
	pool->first->clock = 0;
	return pool->first;
}

static inline void filchi_caller_leave(void)
{
	filchi_worker_set_self(NULL);
	/* no pool is touched from here on: it may be gone */
	if (FILCH_UNLIKELY(filchi_standstill_was_met(&filchi_abroad_words.met)))
		filchi_abroad_creator_left();
}

/* in clients: destroy sleeps, or will, until the others have left */
#define FILCHI_CLIENTS_AWAITED (UINT32_C(1) << 31)

/* A thread is about to sleep inside a call. */
static inline void filchi_client_in(struct filch_pool *pool)
{
	(void)filchi_fetch_add_seq_cst(&pool->clients_inside, 1);
}

/*
 * It has left. The system call is for the last one that destroy waits for: the creator of a pool
 * may wait for one job after another.
 */
static inline void filchi_client_out(struct filch_pool *pool)
{
	filch_atomic_u32 *clients = &pool->clients_inside;

	if (filchi_fetch_sub_seq_cst(clients, 1) == (FILCHI_CLIENTS_AWAITED | 1))
		filchi_futex_wake(clients, INT_MAX); /* an address only: the pool may be gone */
}

/*
 * The same, as a cleanup handler: the program's code may leave the thread in the midst of the call.
 */
static inline void filchi_client_exited(void *pool)
{
	filchi_client_out(pool);
}

/*
 * Sleeps until the job of @id is no longer queued or running: 0, -ETIMEDOUT. On a worker of another
 * pool also -EDEADLK and -ECHILD: see core/abroad.h, and @kind there.
 */
int filchi_sleep_as_client(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, enum filchi_stay_kind kind);

/*
 * A client waits for a job and reaps it: looks for a while, as a worker does, then sleeps. As
 * filch_wait(). @ours: it has posted the job itself just now, and does nothing else. Counts itself
 * as a client.
 */
int filchi_wait_as_client(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, struct filch_completion *out, bool ours);

#endif
