/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FILCH_RUN and what goes with it: a call on a worker of the pool, a job from outside, and work of
 * the thread that created a FILCH_POOL_CALLER pool.
 */
#include "calls/submit.h"

#include "core/given.h"
#include "core/trace_events.h"

#include <errno.h>

/*
 * The creating thread of a FILCH_POOL_CALLER pool, as worker 0: the job need not change threads. It
 * must be cheap enough for short loops: a slot of its own, no SCQ, no clock. A pool's end relies
 * on this: the job can be seen, waited for and cancelled, and S1 is kept.
 */
static int run_as_caller(struct filchi_worker *w, const struct filchi_work *work)
{
	struct filch_pool *pool = w->pool;
	struct filchi_job *job = filchi_job_caller_begin(&pool->jobs); /* S1, the publishing half */

	if (filchi_load_acquire(&pool->closing)) {
		filchi_job_caller_end(&pool->jobs, job);
		return -ESHUTDOWN;
	}
	filchi_count(&w->counters, jobs);
	if (filchi_is_traced(pool))
		filchi_worker_trace_begin(w, job);
	FILCHI_PROBE(job_begin, w->id, job->id);
	filchi_worker_enter(w, &job->team, NULL, NULL);
	work->thunk(&w->deque.hot, filchi_deque_carried(&w->deque), work->task);
	if (filchi_forked(pool))
		return -ECHILD;
	FILCHI_PROBE(job_end, w->id, job->id);
	if (filchi_is_traced(pool))
		filchi_worker_trace_end(w, job->id);
	filchi_worker_leave(w);
	filchi_job_caller_end(&pool->jobs, job); /* and the pool may be gone */
	return 0;
}

static int run_external(
	struct filch_pool *pool, const struct filchi_work *work, const struct filch_submit *how)
{
	struct filch_completion completion;
	int64_t id;
	int error;

	filchi_client_in(pool); /* before submit's look at closing: destroy sees us, or we see it */
	filchi_client_here()->runs = true;
	id = filchi_submit_one(pool, work, how, filchi_now_coarse());
	filchi_client_here()->runs = false;
	if (id < 0) {
		error = (int)id;
	} else {
		filchi_trace(pool, WAIT_BEGIN, (uint64_t)id, FILCHI_TRACE_WAIT_JOB);
		error = filchi_wait_as_client(
			pool, filchi_job_find(&pool->jobs, id), id, NULL, &completion, true);
		filchi_trace(pool, WAIT_END, (uint64_t)id, FILCHI_TRACE_WAIT_JOB);
		if (!error)
			error = completion.status;
	}
	filchi_client_out(pool);
	return error;
}

int filchi_run_as(struct filch_pool *pool, struct filch_task *task, filch_thunk *thunk,
	const struct filch_submit *how)
{
	const struct filchi_work work = { .task = task, .thunk = thunk };
	struct filchi_worker *w = filchi_worker_self();
	int error;

	if (w && (!pool || w->pool == pool)) {
		thunk(&w->deque.hot, filchi_deque_carried(&w->deque), task);
		return 0;
	}
	error = filchi_given(&pool);
	if (error)
		return error;
	if (filchi_forked(pool))
		return -ECHILD;
	w = filchi_caller_enter(pool);
	if (!w)
		return filchi_caller_is_away(pool) ? -EDEADLK : run_external(pool, &work, how);
	error = run_as_caller(w, &work);
	filchi_caller_leave();
	return error;
}

int filch_run_task(struct filch_pool *pool, struct filch_task *task, filch_thunk *thunk)
{
	static const struct filch_submit how = FILCH_SUBMIT_INIT;

	return filchi_run_as(pool, task, thunk, &how);
}

void filchi_run_queued_as_caller(struct filch_pool *pool, const struct timespec *deadline)
{
	struct filchi_worker *w = filchi_caller_enter(pool);

	if (!w)
		return;
	while (!filchi_forked(pool) && !filchi_deadline_passed(deadline) &&
		filchi_worker_run_one(w))
		;
	filchi_caller_leave();
}

void filchi_run_as_caller(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline)
{
	struct filchi_worker *w = filchi_caller_enter(pool);

	if (!w)
		return;
	if (pool->running == 1)
		filchi_wait_ready(w, job, id, deadline);
	if (!filchi_forked(pool) && !filchi_deadline_passed(deadline) &&
		filchi_job_claim(job, id, &pool->jobs, FILCHI_JOB_RUNNING)) {
		/* its number stays in the SCQ, a tombstone */
		filchi_abroad_release(pool);
		filchi_worker_run_job(w, job, false);
	}
	filchi_caller_leave();
}
