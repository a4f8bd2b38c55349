/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs whose end does not come with their return: see struct/deferred.h. */
#include "calls/submit.h"

#include "core/fault.h"
#include "core/given.h"

#include <errno.h>

int64_t filch_job_defer(void)
{
	struct filchi_job *job = filchi_job_here();

	if (!job || job->flags & FILCHI_JOB_TASK)
		return -EPERM;
	filchi_deferred_mark(&job->state);
	FILCH_HOOK(deferred_marked);
	return job->id;
}

/* The job of @id is this thread's to finish: 0; or the error. */
static int claim(struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	uint64_t s = filchi_load_acquire(&job->state);

	do {
		if (!filchi_job_is(&pool->jobs, s, id))
			return -ESRCH;
		if (FILCHI_JOB_STATE(s) == FILCHI_JOB_QUEUED ||
			FILCHI_JOB_STATE(s) == FILCHI_JOB_WAITING)
			return -EINVAL;
		if (FILCHI_JOB_STATE(s) != FILCHI_JOB_RUNNING || s & FILCHI_DEFERRED_WON)
			return -ESRCH;
		if (!(s & FILCHI_DEFERRED))
			return -EINVAL;
	} while (!filchi_deferred_claim(&job->state, &s));
	return 0;
}

static int finish(struct filch_pool *pool, struct filchi_job *job, int64_t id, int status)
{
	int error = claim(pool, job, id);

	if (error)
		return error;
	FILCH_HOOK(finish_claimed);
	job->end_status = status;
	if (!filchi_deferred_arrive(&job->state))
		return 0; /* its worker completes it */
	(void)filchi_fetch_add_acq_rel(
		&pool->external_lane[filch_load_relaxed(&job->lane)].completed, 1);
	filchi_job_set_finished(job);
	filchi_complete(pool, job, id);
	return filchi_forked(pool) ? -ECHILD : 0; /* in its callback */
}

/*
 * A destroy may wait for this very job, and would free the pool under our feet: hence a client. A
 * callback that runs here may leave the thread.
 */
int filch_job_finish(struct filch_pool *pool, int64_t id, int status)
{
	struct filchi_job *job;
	int error = filchi_given_with(&pool, id);

	if (error)
		return error;
	if (filchi_forked(pool))
		return -ECHILD;
	job = filchi_job_find(&pool->jobs, id);
	if (!job)
		return -ESRCH;
	filchi_fault_touch(NULL, 0);
	filchi_client_in(pool);
	pthread_cleanup_push(filchi_client_exited, pool);
	error = finish(pool, job, id, status);
	pthread_cleanup_pop(1);
	return error;
}
