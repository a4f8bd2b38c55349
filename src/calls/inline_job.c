/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that their submitters run themselves: FILCH_CALLER_RUNS on a full queue. */
#include "calls/submit.h"

#include "core/fault.h"

#include <errno.h>

struct inline_job {
	struct filchi_job_context here;
	struct filch_pool *pool;
};

/*
 * The program has left its thread in a job that this thread ran: it ends as it would on a worker.
 */
static void run_exited(void *arg)
{
	const struct inline_job *me = arg;

	if (filchi_forked(me->pool))
		return; /* the job is the parent's */
	filchi_context_leave(&me->here.context);
	filchi_worker_abandon(me->pool, me->here.job);
}

/*
 * FILCH_CALLER_RUNS with a full queue, on a worker: on top of the frame that submits it, as a job
 * that is waited for there.
 */
static void run_on_worker(struct filchi_worker *w, struct filchi_job *job)
{
	uint32_t user = filchi_fault_off(w);

	filchi_worker_run_job(w, job, true);
	if (!filchi_forked(w->pool))
		filchi_fault_on(w, user);
}

/*
 * The same on a thread that is no worker. As filchi_worker_run_job(), also where the job comes too
 * late.
 */
static void run_here(struct filch_pool *pool, struct filchi_job *job)
{
	struct inline_job me = { .here = { .jobs = &pool->jobs, .job = job }, .pool = pool };

	filch_store_relaxed(&job->started_at, filchi_now());
	if (job->start_by && filch_load_relaxed(&job->started_at) > job->start_by) {
		(void)filchi_fetch_add_acq_rel(&pool->external.expired, 1);
		(void)filchi_fetch_add_acq_rel(
			&pool->external_lane[filch_load_relaxed(&job->lane)].shed, 1);
		filch_store_relaxed(&job->started_at, 0);
		job->status = -ETIMEDOUT;
		filchi_complete(pool, job, job->id);
		return;
	}
	filchi_context_enter(&me.here.context, FILCHI_CONTEXT_INLINE);
	pthread_cleanup_push(run_exited, &me);
	job->status = job->flags & FILCH_JOB_FREE
			      ? filchi_worker_run_free(
					filch_load_relaxed(&job->fn), filch_load_relaxed(&job->arg))
			      : filchi_job_call(job);
	pthread_cleanup_pop(0);
	if (filchi_forked(pool))
		return; /* so is its completion */
	filchi_context_leave(&me.here.context);
	if (filchi_job_is_deferred(job) && !filchi_job_returned(job))
		return;
	(void)filchi_fetch_add_acq_rel(
		&pool->external_lane[filch_load_relaxed(&job->lane)].completed, 1);
	filchi_complete(pool, job, job->id);
}

void filchi_run_inline(struct filch_pool *pool, struct filchi_job *job)
{
	struct filchi_worker *w = filchi_worker_here(pool);

	if (w)
		run_on_worker(w, job);
	else
		run_here(pool, job);
}
