/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function that each worker runs once. From outside it is one job, from a job a part of that: the
 * worker that runs it has the others do their share. core/errand.c has the rest.
 */
#include <errno.h>

#include <filch/pool.h>
#include <filch/task.h>

#include "calls/external.h"
#include "core/errand.h"
#include "core/given.h"

FILCH_TASK(int, each, (int (*)(void *arg, int worker), fn), (void *, arg))
{
	return filchi_errand_each(filchi_worker_of(filch_worker_), fn, arg);
}

/* Whether every worker will come to look. Seat 0, of a creator that is away, may not. */
static bool all_will_come(struct filch_pool *pool, const struct filchi_worker *here)
{
	if (!pool->has_caller)
		return true;
	return here ? here == pool->first
		    : pthread_equal(pool->caller, pthread_self()) && !filchi_worker_self();
}

int filch_pool_each(struct filch_pool *pool, int (*fn)(void *arg, int worker), void *arg)
{
	struct filchi_worker *w;
	int error, status = 0;

	if (!fn)
		return -EINVAL;
	error = filchi_given(&pool);
	if (error)
		return error;
	if (filchi_forked(pool))
		return -ECHILD;
	w = filchi_worker_here(pool);
	if (w && filchi_segment_team(&w->deque) &&
		filchi_load_acquire(&filchi_job_of(filchi_segment_team(&w->deque))->state) &
			FILCHI_JOB_GUARDED)
		return -EPERM;
	/* a hook has no job, and others may not have begun to work */
	if (filchi_in_callback_of(pool) || (w && !filchi_segment_team(&w->deque)) ||
		!all_will_come(pool, w))
		return -EDEADLK;
	error = FILCH_RUN(pool, &status, each, fn, arg);
	return error ? error : status;
}
