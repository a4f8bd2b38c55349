/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker does while a frame of its stack waits: for a task that was stolen (sync), or for a job (filch_wait). And the cold half
 * of spawn and sync, which leads there.
 *
 * Rule 3. A worker with a suspended frame runs only tasks of its own job, or the awaited job and its tasks; else it parks. So no
 * unrelated job is buried under another, and nesting is bounded by the job's own depth. It looks first at the thief's deque: what
 * the thief has spawned is most likely what the stolen task waits for (leapfrogging, Wagner and Calder 1993).
 *
 * Why this cannot deadlock. A wait in a sync is for a task that started later than the frame that waits; what a worker runs on top
 * of a suspended frame started later than that frame. A cycle of waits would need a task that started before itself. Parking
 * instead of running something on top removes waits and adds none. Waits between jobs are as the user wrote them.
 */
#include "wait.h"

#include "guard.h"

#include <errno.h>
#include <stdlib.h>

/* Parks until woken, unless @w's event has come or there is something to do. @want: what it may run meanwhile. */
static int park(struct filchi_worker *w, const struct filchi_want *want, bool pending, const struct timespec *deadline)
{
	struct filch_pool *pool = w->pool;

	if (!pending || filchi_worker_look_again(w, want)) {
		filchi_idle_cancel(&pool->idle, &w->sleeper);
		return 0;
	}
	FILCH_HOOK(join_park_decided);
	filchi_count(&w->counters, parks);
	return filchi_idle_sleep(&pool->idle, &w->sleeper, deadline) ? 0 : -ETIMEDOUT;
}

/* What the present frame's job allows; nothing if there is little stack left, nothing of another job if they lie too deep already. */
static struct filchi_want want_of(struct filchi_worker *w, struct filchi_crew *awaited)
{
	struct filchi_want want = { .any = false };

	if (filchi_worker_has_stack(w)) {
		want.crew[0] = filchi_segment_crew(&w->deque);
		want.crew[1] = filchi_load_relaxed(&w->deque.depth) < FILCHI_SEGMENTS ? awaited : NULL;
	}
	return want;
}

static void wait_task(struct filchi_worker *w, struct filch_task *task)
{
	struct filch_pool *pool = w->pool;
	const struct filchi_want want = want_of(w, NULL);
	uint64_t since = 0;
	bool parked = false;
	uint32_t user = filchi_guard_off(w);

	filchi_count(&w->counters, joins_waited);
	while (!filchi_task_done(task)) {
		if (FILCH_UNLIKELY(filchi_task_lost(task, &pool->marks))) {
			if (parked)
				filchi_worker_pass_on(w);
			filchi_guard_give_up(w); /* does not return */
		}
		if (want.crew[0] && filchi_worker_help(w, &want, filchi_task_thief(task, &pool->marks))) {
			since = 0;
			continue;
		}
		if (filchi_linger(pool, w, &since))
			continue;
		filchi_idle_prepare(&pool->idle, &w->sleeper, &want);
		FILCH_HOOK(join_prepared);
		/* marked after prepare: who completes the task finds the mark, and a sleeper to wake */
		(void)park(w, &want, filchi_task_await(task, &pool->marks, w->id), NULL);
		parked = true;
		since = 0;
	}
	if (parked)
		filchi_worker_pass_on(w);
	filchi_guard_on(w, user);
}

static bool is_queued(const struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	uint64_t s = filchi_load_acquire(&job->state);

	return FILCHI_JOB_STATE(s) == FILCHI_JOB_QUEUED && filchi_job_is(&pool->jobs, s, id);
}

static bool is_guarded(const struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	uint64_t s = filchi_load_acquire(&job->state);

	return s & FILCHI_JOB_GUARDED && filchi_job_is(&pool->jobs, s, id);
}

/*
 * A guarded job runs only on a stack that holds nothing else, since a fault takes the whole stack: it is not run here, nor are its
 * tasks. While it is queued the wait is refused, for the reason of docs/adr/0005; see docs/adr/0010.
 *
 * Two workers may wait for one id, though only one of them can have its completion. Between the other's reaping and our next look
 * the slot may be used again, and one task of that stranger be run here: allowed, it is over before the loop comes round.
 */
static int wait_job(struct filchi_worker *w, struct filchi_job *job, int64_t id, const struct timespec *deadline,
		    struct filch_completion *out)
{
	struct filch_pool *pool = w->pool;
	uint64_t since = 0;
	bool parked = false;
	int error = 0;

	for (uint32_t i = filchi_load_relaxed(&w->deque.depth); i--;) {
		if (filchi_load_relaxed(&w->deque.segment[i].crew) == &job->crew &&
		    filchi_job_is(&pool->jobs, filchi_load_acquire(&job->state), id))
			return -EDEADLK;
	}
	for (;;) {
		const struct filchi_want want = want_of(w, is_guarded(pool, job, id) ? NULL : &job->crew);
		int reaped = filchi_job_reap(&pool->jobs, id, out);

		if (reaped != -EAGAIN || error) {
			if (parked)
				filchi_worker_pass_on(w);
			return reaped != -EAGAIN ? reaped : error;
		}
		if (!want.crew[1]) {
			FILCH_HOOK(wait_without_room);
			/* no room to run it here: waiting for another worker to start it could be waiting for ever */
			if (is_queued(pool, job, id)) {
				error = -EDEADLK;
				continue; /* out, unless it is complete by now */
			}
			if (want.crew[0] && filchi_worker_help(w, &want, -1)) {
				since = 0;
				continue;
			}
		} else if (filchi_job_claim(job, id, &pool->jobs, FILCHI_JOB_RUNNING)) {
			filchi_injector_release(&pool->injector); /* its number stays in the ring, a tombstone */
			filchi_worker_run_job(w, job, true);
			continue;
		} else if (filchi_worker_help(w, &want, -1)) {
			since = 0;
			continue;
		}
		if (filchi_linger(pool, w, &since))
			continue;
		filchi_store_release(&w->awaits, (uint64_t)id);
		filchi_idle_prepare(&pool->idle, &w->sleeper, &want);
		FILCH_HOOK(job_wait_prepared);
		/* flagged after prepare: who completes the job sees the flag, and a sleeper to wake */
		error = park(w, &want, filchi_job_flag(&pool->jobs, job, id, FILCHI_JOB_FOR_WORKER), deadline);
		FILCH_HOOK(job_wait_left);
		filchi_store_release(&w->awaits, 0);
		parked = true;
		since = 0;
	}
}

int filchi_wait_job(struct filchi_worker *w, struct filchi_job *job, int64_t id, const struct timespec *deadline,
		    struct filch_completion *out)
{
	uint32_t user = filchi_guard_off(w);
	int error = wait_job(w, job, id, deadline, out);

	filchi_guard_on(w, user);
	return error;
}

/* --- the cold half of spawn and sync, called by the inlined path --------------------------------------------------------------- */

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct filchi_worker *w = filchi_worker_of(hot);
	uint64_t grows = w->deque.grows;
	filch_index index;

	if (filchi_deque_push_slow(&w->deque, carried, task, &index)) {
		if (w->deque.grows != grows)
			filchi_count(&w->counters, grows);
		if (filchi_load_relaxed(&hot->ask)) /* after a full fence */
			filch_push_asked(hot);
		return filch_index_add(index, 1);
	}
	filchi_count(&w->counters, inlined);
	/* bottom in memory is what the frame carries: nothing was pushed */
	((filch_thunk *)filchi_load_relaxed(&task->word))(hot, filchi_deque_carried(&w->deque), task);
	filchi_store_relaxed(&task->word, 0); /* our own: nobody else has seen it */
	return carried;
}

bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct filchi_worker *w = filchi_worker_of(hot);

	if (filchi_task_done(task)) {
		/* the take may have lowered bottom before it met the top; then nothing was left in the deque */
		filchi_deque_settle(&w->deque, carried);
		return false;
	}
	if (filchi_deque_take_last(&w->deque, carried, filch_index_add(carried, -1)))
		return true;
	wait_task(w, task);
	return false;
}

/* --- the untyped form ---------------------------------------------------------------------------------------------------------- */

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
