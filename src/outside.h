/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that are no workers of the pool they call: guests, who wait; the creator of a FILCH_POOL_CALLER pool, who is worker 0 while
 * inside a call; a submitter that runs its job itself (FILCH_CALLER_RUNS).
 *
 * guests counts the threads that sleep inside a call and for whom no job that runs stands, FILCH_RUN from outside as a whole, and the
 * waits of a FILCH_POOL_CALLER pool's creator: filch_pool_destroy() lets them leave first.
 */
#ifndef FILCHI_OUTSIDE_H
#define FILCHI_OUTSIDE_H

#include <limits.h>

#include "wait.h"

/* The calling thread's worker, if it is one of @pool. */
struct filchi_worker *filchi_worker_here(const struct filch_pool *pool);

/* Whether the calling thread runs a job of this pool though it is no worker (FILCH_CALLER_RUNS). */
bool filchi_runs_job_of(const struct filch_pool *pool);

/* Whether this slot's job runs somewhere on the calling thread's stack without a worker of its pool: FILCH_CALLER_RUNS. */
bool filchi_runs_here(const struct filchi_job *job);

/*
 * Whether the calling thread created a FILCH_POOL_CALLER pool without another worker, and is busy as a worker of another pool: nobody can
 * do the work of @pool that it would wait for.
 */
bool filchi_caller_is_away(const struct filch_pool *pool);

/* Worker 0 for the thread that created the pool with FILCH_POOL_CALLER, or NULL. Ends with filchi_caller_leave(). */
static inline struct filchi_worker *filchi_caller_enter(struct filch_pool *pool)
{
	if (!pool->has_caller || !pthread_equal(pool->caller, pthread_self()) || filchi_worker_self())
		return NULL;
	filchi_worker_set_self(pool->first);
	pool->first->clock = 0;
	return pool->first;
}

static inline void filchi_caller_leave(void)
{
	filchi_worker_set_self(NULL);
}

#define FILCHI_GUESTS_AWAITED (UINT32_C(1) << 31) /* in guests: destroy sleeps, or will, until the others have left */

/* A thread is about to sleep inside a call. */
static inline void filchi_guest_in(struct filch_pool *pool)
{
	(void)filchi_fetch_add_seq_cst(&pool->guests, 1);
}

/* It has left. The system call is for the last one that destroy waits for: the creator of a pool alone waits 10^6 times a second. */
static inline void filchi_guest_out(struct filch_pool *pool)
{
	filch_atomic_u32 *guests = &pool->guests;

	if (filchi_fetch_sub_seq_cst(guests, 1) == (FILCHI_GUESTS_AWAITED | 1))
		filchi_futex_wake(guests, INT_MAX); /* an address only: the pool may be gone */
}

/* The same, as a cleanup handler: the program's code may leave the thread in the midst of the call. */
static inline void filchi_guest_left(void *pool)
{
	filchi_guest_out(pool);
}

/*
 * A guest waits for a job and reaps it: looks for a while, as a worker does, then sleeps. As filch_wait(). @ours: it has posted the job
 * itself just now, and does nothing else.
 */
int filchi_wait_as_guest(struct filch_pool *pool, struct filchi_job *job, int64_t id, const struct timespec *deadline,
			 struct filch_completion *out, bool ours);

#endif
