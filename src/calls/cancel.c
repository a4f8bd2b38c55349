/* SPDX-License-Identifier: Apache-2.0 */
/* Ending a job before it has started, or asking one that runs to end: cancel, and finish_by. */
#include "calls/submit.h"

#include "core/fault.h"
#include "core/given.h"

#include <errno.h>

/* To FINISHING, from WAITING or QUEUED: it may go from the one to the other meanwhile. */
static bool claim_unstarted(struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	uint64_t s = filchi_load_acquire(&job->state);

	if (FILCHI_JOB_STATE(s) == FILCHI_JOB_WAITING &&
		filchi_job_claim_waiting(job, id, &pool->jobs))
		return true; /* it has no room in the queue */
	if (!filchi_job_claim(job, id, &pool->jobs, FILCHI_JOB_FINISHING))
		return false;
	filchi_abroad_release(pool);
	return true;
}

void filchi_job_late(struct filch_pool *pool, int64_t id)
{
	struct filchi_job *job = filchi_job_find(&pool->jobs, id);

	if (!claim_unstarted(pool, job, id)) {
		(void)filchi_job_flag(&pool->jobs, job, id, FILCHI_JOB_CANCEL);
		return;
	}
	(void)filchi_fetch_add_acq_rel(&pool->external.expired, 1);
	(void)filchi_fetch_add_acq_rel(
		&pool->external_lane[filch_load_relaxed(&job->lane)].shed, 1);
	job->status = -ETIMEDOUT;
	filchi_complete(pool, job, id);
}

bool filchi_cancel_queued(struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	if (!claim_unstarted(pool, job, id))
		return false;
	(void)filchi_fetch_add_acq_rel(&pool->external.cancelled, 1);
	(void)filchi_fetch_add_acq_rel(
		&pool->external_lane[filch_load_relaxed(&job->lane)].cancelled, 1);
	job->status = -ECANCELED;
	FILCH_HOOK(cancel_claimed);
	filchi_complete(pool, job, id);
	return true;
}

int filch_cancel(struct filch_pool *pool, int64_t id)
{
	struct filchi_job *job;
	int error = filchi_given_with(&pool, id);
	uint64_t s;

	if (error)
		return error;
	if (filchi_forked(pool))
		return -ECHILD;
	job = filchi_job_find(&pool->jobs, id);
	if (!job)
		return -ESRCH;
	filchi_fault_touch(NULL, 0);
	if (filchi_cancel_queued(pool, job, id))
		return filchi_forked(pool) ? -ECHILD : 0; /* in its callback */
	if (filchi_job_flag(&pool->jobs, job, id, FILCHI_JOB_CANCEL))
		return 0;
	s = filchi_load_acquire(&job->state);
	return filchi_job_is(&pool->jobs, s, id) && FILCHI_JOB_STATE(s) == FILCHI_JOB_DONE
		       ? -EALREADY
		       : -ESRCH;
}
