/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker does while a frame of its stack waits: for a task that was stolen (sync), or for a
 * job (filch_wait). And the cold half of spawn and sync, which leads there.
 *
 * Rule 3. A worker with a suspended frame runs only tasks of its own job, or the awaited job and
 * its tasks; else it parks. So no unrelated job is buried under another, and nesting is bounded by
 * the job's own depth. It looks first at the thief's deque: the stolen task most likely waits for
 * a task that the thief has spawned (leapfrogging, Wagner and Calder 1993).
 *
 * Why this cannot deadlock:
 *
 *   - A wait in a sync is for a task that started later than the frame that waits.
 *   - Whatever a worker runs on top of a suspended frame started later than that frame.
 *   - So a cycle of waits would need a task that started before itself.
 *   - Parking instead of running something on top removes waits and adds none.
 *
 * Waits between jobs are as the user wrote them. Shares of errands run on top of any wait: see
 * errand.c.
 *
 * A frame inside a scope runs even less: what was made in that scope or in one inside it. So a lock
 * that the frame holds is not asked for on top of it, unless by what the frame itself has begun.
 */
#include "core/await.h"

#include "core/abroad.h"
#include "core/errand.h"
#include "core/fault.h"
#include "core/live_words.h"
#include "core/serial.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Parks until woken, unless @w's event has come or there is something to do. @filter: what it may
 * run meanwhile.
 */
static int park(struct filchi_worker *w, const struct filchi_filter *filter, bool pending,
	const struct timespec *deadline)
{
	struct filch_pool *pool = w->pool;

	if (!pending || filchi_worker_look_again(w, filter)) {
		filchi_idle_cancel(&pool->idle, &w->sleeper);
		return 0;
	}
	filchi_abroad_settle(w);
	FILCH_HOOK(join_park_decided);
	filchi_count(&w->counters, parks);
	return filchi_worker_sleep(w, deadline) ? 0 : -ETIMEDOUT;
}

/*
 * The present frame's job, of that what was made in the present scope, and the job it waits for;
 * nothing if there is little stack left.
 */
static struct filchi_filter filter_of(struct filchi_worker *w, struct filchi_team *awaited)
{
	struct filchi_filter filter = { .worker = w->id };

	if (filchi_worker_has_stack(w)) {
		filter.team[0] = filchi_segment_team(&w->deque);
		filter.team[1] = awaited;
		filter.scope = filchi_segment_scope(&w->deque);
	}
	return filter;
}

/* A wait for a task. */
struct task_wait {
	struct filchi_filter filter;
	uint64_t since; /* of the present search */
	bool parked;    /* it has slept */
};

/* One turn of the wait, for a task that is not done. True: something was run, or it has slept. */
static bool turn(struct filchi_worker *w, struct filch_task *task, struct task_wait *wait)
{
	struct filch_pool *pool = w->pool;

	if (filchi_forked(pool))
		/* its thief is the parent's, and no result will come */
		filchi_child_end(ECHILD);
	if (FILCH_UNLIKELY(filchi_task_orphaned(task, &pool->marks))) {
		if (wait->parked)
			filchi_worker_pass_on(w);
		filchi_fault_give_up(w); /* does not return */
	}
	if (filchi_errands_wait(w) && filchi_errands_run(w)) {
		wait->since = 0;
		return true;
	}
	if (wait->filter.team[0] &&
		filchi_worker_help(w, &wait->filter, filchi_task_thief(task, &pool->marks))) {
		wait->since = 0;
		return true;
	}
	if (filchi_spin_wait(pool, w, &wait->since))
		return false;
	filchi_idle_prepare(&pool->idle, &w->sleeper, &wait->filter);
	FILCH_HOOK(join_prepared);
	/* marked after prepare: whoever finds the mark finds a sleeper to wake */
	(void)park(w, &wait->filter, filchi_task_await(task, &pool->marks, w->id), NULL);
	wait->parked = true;
	wait->since = 0;
	return true;
}

void filchi_wait_task(struct filchi_worker *w, struct filch_task *task)
{
	struct task_wait wait = { .filter = filter_of(w, NULL) };
	uint32_t user = filchi_fault_off(w);

	filchi_count(&w->counters, joins_waited);
	filchi_trace(w->pool, WAIT_BEGIN, (uintptr_t)task, FILCHI_TRACE_WAIT_TASK);
	while (!filchi_task_done(task))
		(void)turn(w, task, &wait);
	filchi_trace(w->pool, WAIT_END, (uintptr_t)task, FILCHI_TRACE_WAIT_TASK);
	if (wait.parked)
		filchi_worker_pass_on(w);
	filchi_fault_on(w, user);
}

void filchi_wait_turn(struct filchi_worker *w, struct filch_task *task)
{
	struct task_wait wait = { .filter = filter_of(w, NULL) };
	uint32_t user = filchi_fault_off(w);

	while (!filchi_task_done(task) && !turn(w, task, &wait))
		;
	if (wait.parked)
		filchi_worker_pass_on(w);
	filchi_fault_on(w, user);
}

static bool is_queued(const struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	uint64_t s = filchi_load_acquire(&job->state);

	return FILCHI_JOB_STATE(s) == FILCHI_JOB_QUEUED && filchi_job_is(&pool->jobs, s, id);
}

static bool is_waiting(const struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	uint64_t s = filchi_load_acquire(&job->state);

	return FILCHI_JOB_STATE(s) == FILCHI_JOB_WAITING && filchi_job_is(&pool->jobs, s, id);
}

static bool is_guarded(const struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	uint64_t s = filchi_load_acquire(&job->state);

	return s & FILCHI_JOB_GUARDED && filchi_job_is(&pool->jobs, s, id);
}

/* A wait of worker @w for a job. */
struct job_wait {
	struct filchi_worker *w;
	struct filchi_job *job;
	int64_t id;
	const struct timespec *deadline;
	uint64_t since; /* of the present search */
	bool parked;    /* it has slept */
	bool of_group;  /* one of the jobs of a group that is waited for */
	uint32_t news;  /* of the group, as far as they are known */
};

static bool has_news(const struct job_wait *wait)
{
	return wait->of_group && filchi_load_acquire(&wait->w->group_news) != wait->news;
}

/* Whether the job itself lies on the stack that would wait for it. */
static bool waits_for_itself(const struct job_wait *wait)
{
	struct filchi_worker *w = wait->w;

	for (uint32_t i = filch_load_relaxed(&w->deque.depth); i--;)
		if (filch_load_relaxed(&w->deque.segment[i].team) == &wait->job->team)
			return filchi_job_is(
				&w->pool->jobs, filchi_load_acquire(&wait->job->state), wait->id);
	return false;
}

/* Runs the awaited job here, if it is queued. Its number stays in the SCQ, a tombstone. */
static bool run_awaited(struct job_wait *wait)
{
	struct filch_pool *pool = wait->w->pool;

	if (!filchi_job_claim(wait->job, wait->id, &pool->jobs, FILCHI_JOB_RUNNING))
		return false;
	filchi_abroad_release(pool);
	filchi_worker_run_job(wait->w, wait->job, true);
	return true;
}

/* Runs a task of one of the two jobs. */
static bool run_task(struct job_wait *wait, const struct filchi_filter *filter)
{
	if (!(filter->team[0] || filter->team[1]) || !filchi_worker_help(wait->w, filter, -1))
		return false;
	wait->since = 0;
	return true;
}

/*
 * Parks for the job, unless it is done or there is something to run. @serves: any job of the queue
 * is. 0, -ETIMEDOUT; -EDEADLK if pools that wait for each other cannot go on.
 */
static int sleep_for(struct job_wait *wait, const struct filchi_filter *filter, bool serves)
{
	const struct filchi_filter anything = { .any = true, .worker = wait->w->id };
	struct filchi_worker *w = wait->w;
	struct filch_pool *pool = w->pool;
	uint32_t asleep;
	int error;

	filch_store_relaxed(&w->timed, wait->deadline != NULL);
	filchi_store_release(&w->awaits, (uint64_t)wait->id);
	filchi_awaits_add(&pool->awaits, w->id);
	filchi_idle_prepare(&pool->idle, &w->sleeper, filter);
	asleep = filchi_load_acquire(&w->sleeper.state);
	FILCH_HOOK(job_wait_prepared);
	/* flagged after prepare: whoever sees the flag sees a sleeper to wake */
	error = park(w, filter,
		filchi_job_flag(&pool->jobs, wait->job, wait->id, FILCHI_JOB_FOR_WORKER) &&
			!has_news(wait) && !(serves && filchi_worker_look_again(w, &anything)),
		wait->deadline);
	FILCH_HOOK(job_wait_left);
	filchi_awaits_remove(&pool->awaits, w->id);
	filchi_store_release(&w->awaits, 0);
	filch_store_relaxed(&w->timed, 0);
	wait->parked = true;
	wait->since = 0;
	if (FILCH_UNLIKELY(filchi_load_acquire(&w->refused) == asleep) &&
		FILCHI_SLEEP_KIND(asleep) != FILCHI_AWAKE)
		return -EDEADLK;
	return error;
}

/*
 * One step of a wait for a job that waits for others, which it follows. They are not run on top of
 * a frame, any more than other jobs are, and this worker may be the one that would run them: so the
 * wait is refused. The creator of a FILCH_POOL_CALLER pool has no frame here. If it is the one
 * worker it runs what is queued. calls/after.c wakes it.
 */
FILCH_COLD static int wait_for_others(struct job_wait *wait)
{
	static const struct filchi_filter nothing = { .any = false };
	struct filchi_worker *w = wait->w;
	bool serves = w->pool->running == 1;

	if (w->thread || filch_load_relaxed(&w->deque.depth) ||
		filchi_context_find(FILCHI_CONTEXT_CALLBACK, &w->pool->jobs, NULL) ||
		filchi_context_find(FILCHI_CONTEXT_INLINE, &w->pool->jobs, NULL))
		return -EDEADLK;
	if (filchi_deadline_passed(wait->deadline))
		return -ETIMEDOUT;
	if (serves && filchi_worker_run_one(w)) {
		wait->since = 0;
		return 0;
	}
	if (filchi_forked(w->pool) || filchi_spin_wait(w->pool, w, &wait->since))
		return 0;
	return sleep_for(wait, &nothing, serves);
}

/*
 * One step of a wait for a job that is not complete: runs something, looks about, or sleeps. 0 or
 * the error that ends the wait, unless the job is complete by then.
 *
 * A guarded job runs only on a stack that holds nothing else, since a fault takes the whole stack:
 * it is not run here, nor are its tasks. Where the job may not run here, the wait is refused while
 * it is queued: waiting for another worker to start it could be for ever (docs/adr/0005, 0010).
 *
 * Two workers may wait for one id, though only one of them can have its completion. Between the
 * other's reaping and our next look the slot may be used again, and one task of that other job be
 * run here. That is allowed: it is over before the loop comes round.
 */
static int wait_step(struct job_wait *wait)
{
	struct filchi_worker *w = wait->w;

	if (filchi_errands_wait(w) && filchi_errands_run(w)) {
		wait->since = 0;
		return 0;
	}
	const struct filchi_filter filter =
		filter_of(w, is_guarded(w->pool, wait->job, wait->id) ? NULL : &wait->job->team);

	if (FILCH_UNLIKELY(is_waiting(w->pool, wait->job, wait->id)))
		return wait_for_others(wait);
	if (filter.team[1]) {
		if (run_awaited(wait))
			return 0;
	} else {
		FILCH_HOOK(wait_without_room);
		if (is_queued(w->pool, wait->job, wait->id))
			return -EDEADLK;
	}
	if (run_task(wait, &filter))
		return 0;
	if (filchi_deadline_passed(wait->deadline))
		return -ETIMEDOUT;
	if (filchi_spin_wait(w->pool, w, &wait->since))
		return 0;
	return sleep_for(wait, &filter, false);
}

static int wait_job(struct job_wait *wait, struct filch_completion *out)
{
	struct filchi_jobs *jobs = &wait->w->pool->jobs;
	int reaped, error = 0;

	if (waits_for_itself(wait))
		return -EDEADLK;
	while ((reaped = filchi_job_reap(jobs, wait->id, out)) == -EAGAIN && !error)
		/* the child of a fork in a job that ran in here, on the creator's own thread */
		error = filchi_forked(wait->w->pool) ? -ECHILD : wait_step(wait);
	if (wait->parked)
		filchi_worker_pass_on(wait->w);
	return reaped != -EAGAIN ? reaped : error;
}

static bool is_pending(const struct job_wait *wait)
{
	uint64_t s = filchi_load_acquire(&wait->job->state);

	return filchi_job_is_pending(s) && filchi_job_is(&wait->w->pool->jobs, s, wait->id);
}

void filchi_run_one_of(struct filchi_worker *w, struct filchi_job *job, int64_t id)
{
	struct job_wait wait = { .w = w, .job = job, .id = id };

	if (!filchi_errands_wait(w) || !filchi_errands_run(w))
		(void)run_awaited(&wait);
}

int filchi_wait_one_of(struct filchi_worker *w, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, uint32_t news)
{
	struct job_wait wait = {
		.w = w, .job = job, .id = id, .deadline = deadline, .of_group = true, .news = news
	};
	int error = 0;

	while (!error && is_pending(&wait) && !has_news(&wait)) {
		error = wait_step(&wait);
		if (filchi_forked(w->pool))
			return -ECHILD;
	}
	filch_tsan_acquire(&job->state);
	if (wait.parked)
		filchi_worker_pass_on(w);
	return error;
}

void filchi_wait_ready(struct filchi_worker *w, struct filchi_job *job, int64_t id,
	const struct timespec *deadline)
{
	struct job_wait wait = { .w = w, .job = job, .id = id, .deadline = deadline };
	int error = 0;

	while (!error && !filchi_forked(w->pool) && is_waiting(w->pool, job, id))
		error = wait_for_others(&wait);
	if (wait.parked && !filchi_forked(w->pool))
		filchi_worker_pass_on(w);
}

int filchi_wait_job(struct filchi_worker *w, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, struct filch_completion *out)
{
	struct job_wait wait = { .w = w, .job = job, .id = id, .deadline = deadline };
	uint32_t user = filchi_fault_off(w);
	int error;

	filchi_trace(w->pool, WAIT_BEGIN, (uint64_t)id, FILCHI_TRACE_WAIT_JOB);
	error = wait_job(&wait, out);
	filchi_trace(w->pool, WAIT_END, (uint64_t)id, FILCHI_TRACE_WAIT_JOB);
	filchi_fault_on(w, user);
	return error;
}

/* --- the cold half of spawn and sync, called by the inlined path ------ */

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct filchi_worker *w = filchi_worker_of(hot);
	uint64_t grows = w->deque.grows;
	filch_index index;

	filchi_fault_ready(w);
	if (FILCH_UNLIKELY(w->serial != NULL)) {
		filchi_serial_spawn(w, task);
		return carried;
	}
	if (filchi_deque_push_slow(&w->deque, carried, task, &index)) {
		if (w->deque.grows != grows)
			filchi_count(&w->counters, grows);
		if (filch_load_relaxed(&hot->ask)) /* after a full fence */
			filch_push_asked(hot);
		return filch_index_add(index, 1);
	}
	filchi_count(&w->counters, inlined);
	/* bottom in memory is what the frame carries: nothing was pushed */
	((filch_thunk *)filch_load_relaxed(&task->word))(
		hot, filchi_deque_carried(&w->deque), task);
	filch_store_relaxed(&task->word, 0); /* our own: nobody else has seen it */
	return carried;
}

void filch_take_quiet(struct filch_worker *hot)
{
	filchi_deque_look(&filchi_worker_of(hot)->deque);
}

bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct filchi_worker *w = filchi_worker_of(hot);

	filchi_fault_ready(w);
	if (filchi_task_done(task)) {
		/*
		 * the take may have lowered bottom before it met the top; then nothing was left in
		 * the deque
		 */
		filchi_deque_settle(&w->deque, carried);
		if (FILCH_UNLIKELY(w->serial != NULL))
			filchi_serial_join(w->serial, task);
		else
			filchi_trace(w->pool, JOINED, (uintptr_t)task, 0);
		return false;
	}
	if (filchi_deque_take_last(&w->deque, carried, filch_index_add(carried, -1)))
		return true;
	filchi_wait_task(w, task);
	return false;
}

/* --- the untyped form ------------------------------------------------- */

int filch_context_here(struct filch_context *context)
{
	struct filchi_worker *w = filchi_worker_self();

	if (!w)
		return -EPERM;
	context->worker = &w->deque.hot;
	context->index = filchi_deque_carried(&w->deque);
	return 0;
}

void filch_fork(struct filch_context *context, struct filch_task *task, filch_thunk *thunk)
{
	filch_store_relaxed(&task->word, (uintptr_t)thunk);
	filch_push(context->worker, &context->index, task);
}

void filch_join(struct filch_context *context, struct filch_task *task, filch_thunk *thunk)
{
	filch_index index = filch_index_add(context->index, -1);

	if (filch_take(context->worker, index, task)) {
		context->index = index;
		thunk(context->worker, index, task);
	} else if (filch_sync_slow(context->worker, context->index, task)) {
		thunk(context->worker, context->worker->floor, task);
	}
}
