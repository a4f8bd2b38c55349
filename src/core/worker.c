/* SPDX-License-Identifier: Apache-2.0 */
/* Finding work, running it, searching, parking: see worker.h; the protocol is in idle.h. */
#define _GNU_SOURCE
#include "core/worker.h"

#include "core/abroad.h"
#include "core/elastic.h"
#include "core/errand.h"

#include <errno.h>

#include "core/fault.h"
#include "core/live_words.h"
#include "core/serial.h"
#include "core/waking.h"
#include "struct/policy.h"

/* --- running ---------------------------------------------------------- */

void filchi_worker_deliver(struct filch_pool *pool, struct filchi_job *job)
{
	int64_t id = job->id;
	uint64_t told;

	filchi_job_set_aborted(job);
	if (filchi_job_is_deferred(job) && !filchi_deferred_lost(&job->state))
		return; /* a finish is half way through, and completes it */
	(void)filchi_fetch_add_acq_rel(
		&pool->external_lane[filch_load_relaxed(&job->lane)].completed, 1);
	told = filchi_job_complete(&pool->jobs, job);
	if (told & FILCHI_JOB_FOR_WORKER)
		filchi_worker_job_done(pool, id);
	if (told != FILCHI_JOB_IN_CHILD)
		filchi_abroad_changed(
			&pool->involved); /* of an inline job that has left its thread */
}

void filchi_worker_abandon(struct filch_pool *pool, struct filchi_job *job)
{
	job->fault_signal = 0;
	job->fault_address = 0;
	filchi_worker_deliver(pool, job);
}

/* Code of the program has returned. The frame beneath goes on, armed again if it must be. */
static void go_on(struct filchi_worker *w)
{
	if (w->pool->guards && filch_load_relaxed(&w->deque.depth))
		filchi_worker_arm(w, filchi_segment_team(&w->deque));
}

static void team_leave(struct filchi_worker *w, struct filchi_team *team)
{
	if (team && filchi_team_leave(team)) {
		if (w->pool->guards)
			filchi_worker_arm(w, NULL); /* for its callback */
		filchi_worker_deliver(w->pool, filchi_job_of(team));
		(void)filchi_worker_in_child(w, 0); /* forked in its callback */
		go_on(w);
	}
}

void filchi_worker_end_child(const struct filchi_worker *w, int status)
{
	if (w->thread)
		filchi_child_end(status);
}

int filchi_worker_run_free(int (*fn)(void *arg), void *arg)
{
	const struct filchi_worker *w = filchi_worker_self();
	const struct filchi_plan *pinned = filchi_pin_lift();
	bool ours = w && w->thread;
	sigset_t before;
	int status;

	if (ours)
		(void)pthread_sigmask(SIG_SETMASK, &w->pool->free_signals, &before);
	status = fn(arg);
	if (w && filchi_forked(w->pool))
		return status; /* the child keeps what it was given */
	if (ours)
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	filchi_pin_restore(pinned);
	return status;
}

/* The function of a job that is not called as it is. */
static int call_otherwise(struct filchi_worker *w, struct filchi_job *job)
{
	if (!(job->flags & FILCHI_JOB_TASK))
		return filchi_worker_run_free(
			filch_load_relaxed(&job->fn), filch_load_relaxed(&job->arg));
	filch_load_relaxed (&job->thunk)(
		&w->deque.hot, filchi_deque_carried(&w->deque), filch_load_relaxed(&job->task));
	return 0;
}

/* Work begins in a pool that asks for more than running it. */
FILCH_COLD static void heed_task(struct filchi_worker *w, struct filchi_team *team,
	const struct filch_task *task, filch_thunk *thunk, int victim)
{
	if (filchi_is_live(w->pool))
		filchi_live_task(w);
	if (filchi_is_traced(w->pool))
		filchi_trace_task(team, task, thunk, victim);
	if (w->pool->guards)
		filchi_worker_arm(w, team);
}

/*
 * What filchi_worker_run_job() is to do at a job's end, in one word: whether to tell its time; for
 * how many jobs it is entered, which is below the next bit; whether its end is traced.
 */
#define JOB_TIMED   1u
#define JOB_ENTERED 1u /* shifted by so much */
#define JOB_TRACED  (1u << 16)

/* The same for job number @jobs: what is to be done at its end, but for JOB_TIMED. */
FILCH_COLD static unsigned heed_job(
	struct filchi_worker *w, struct filchi_job *job, bool timed, uint64_t jobs)
{
	unsigned at_end;

	if (w->pool->guards)
		filchi_worker_arm(w, &job->team);
	at_end = filchi_live_job(w, job, timed, jobs) << JOB_ENTERED;
	if (filchi_is_traced(w->pool)) {
		filchi_worker_trace_begin(w, job);
		at_end |= JOB_TRACED;
	}
	return at_end;
}

void filchi_worker_trace_begin(struct filchi_worker *w, const struct filchi_job *job)
{
	filchi_trace_job(w, job);
	if (w->serial)
		filchi_serial_begin(w->serial);
}

void filchi_worker_trace_end(struct filchi_worker *w, int64_t id)
{
	if (w->serial)
		filchi_serial_end(w->serial);
	filchi_trace_put(FILCHI_TRACE_JOB_END, (uint64_t)id, 0);
}

FILCH_COLD static void heed_job_end(
	struct filchi_worker *w, struct filchi_job *job, unsigned at_end)
{
	unsigned times = (at_end & ~JOB_TRACED) >> JOB_ENTERED;

	if (at_end & JOB_TRACED)
		filchi_worker_trace_end(w, job->id);
	if (times)
		filchi_live_job_ends(w, job, at_end & JOB_TIMED, times);
}

/* @victim: whose it was, or -1: a share of an errand. */
static void run_stolen(struct filchi_worker *w, struct filch_task *task, struct filchi_team *team,
	struct filchi_found *in, int victim)
{
	struct filchi_cpu_control control;
	filch_thunk *thunk;
	int joiner;

	FILCH_HOOK(task_stolen);
	thunk = filchi_task_begin(task, &w->pool->marks, w->id);
	control = filchi_worker_control(w, false, true);
	if (FILCH_UNLIKELY(filch_load_relaxed(&w->pool->heeds)))
		heed_task(w, team, task, thunk, victim);
	FILCHI_PROBE(task_begin, w->id, task);
	filchi_worker_enter(w, team, task, in->scope);
	thunk(&w->deque.hot, filchi_deque_carried(&w->deque), task);
	filchi_worker_restore(w, control);
	if (filchi_worker_in_child(w, 0))
		return;
	filchi_trace(w->pool, TASK_END, (uintptr_t)task, 0);
	FILCHI_PROBE(task_end, w->id, task);
	filchi_worker_leave(w);
	filchi_places_leave(in, w->id); /* while the scope is there */
	joiner = filchi_task_finish(task, &w->pool->marks);
	FILCH_HOOK(task_finished);
	team_leave(w, team);
	if (joiner >= 0)
		(void)filchi_worker_wake(w->pool, filchi_worker_at(w->pool, (uint32_t)joiner));
	go_on(w);
}

void filchi_worker_run_share(
	struct filchi_worker *w, struct filch_task *task, struct filchi_team *team)
{
	struct filchi_found in = { .scope = NULL };

	run_stolen(w, task, team, &in, -1);
}

/* One attempt at one deque. */
static enum filchi_steal attempt(
	struct filchi_worker *w, struct filchi_worker *victim, const struct filchi_filter *filter)
{
	struct filchi_team *team = NULL;
	struct filchi_found in;
	struct filch_task *task;
	enum filchi_steal outcome =
		filchi_deque_steal_as(&victim->deque, victim == w, filter, &task, &team, &in);

	switch (outcome) {
	case FILCHI_STEAL_GOT:
		filchi_count(&w->counters, steals);
		if (filter->any)
			filchi_waking_found(w, victim);
		run_stolen(w, task, team, &in, (int)victim->id);
		break;
	case FILCHI_STEAL_RACED:
		filchi_count(&w->counters, raced);
		team_leave(w, team);
		break;
	case FILCHI_STEAL_BARRED:
		filchi_count(&w->counters, barred);
		break;
	case FILCHI_STEAL_EMPTY:
		break;
	}
	return outcome;
}

bool filchi_worker_help(struct filchi_worker *w, const struct filchi_filter *filter, int first)
{
	/* a suspended frame's own tasks first: rule 1 lets the owner take them by steal alone */
	struct filchi_help help = { .own = filter->any ? -1 : (int)w->id, .thief = first };
	int next;

	while ((next = filchi_help_next(&help, &w->victim)) >= 0) {
		if (attempt(w, filchi_worker_at(w->pool, (uint32_t)next), filter) ==
			FILCHI_STEAL_GOT)
			return true;
	}
	return false;
}

/*
 * A job that is not to run: it comes too late, or follows one that has failed. No time of its own.
 */
FILCH_COLD static void end_unstarted(struct filchi_worker *w, struct filchi_job *job)
{
	if (filchi_job_is_behind(job)) {
		filchi_count(&w->counters, cancelled);
		filchi_count(&w->lane[filch_load_relaxed(&job->lane)], cancelled);
		job->flags |= FILCHI_JOB_BEHIND;
		job->status = -ECANCELED;
	} else {
		filchi_count(&w->counters, expired);
		filchi_count(&w->lane[filch_load_relaxed(&job->lane)], shed);
		job->status = -ETIMEDOUT;
	}
	job->ended_at = filch_load_relaxed(&job->started_at);
	filch_store_relaxed(&job->started_at, 0);
	job->worker = -1;
	if (w->pool->guards)
		filchi_worker_arm(w, NULL); /* for its callback */
}

void filchi_worker_run_job(struct filchi_worker *w, struct filchi_job *job, bool nested)
{
	struct filch_pool *pool = w->pool;
	struct filchi_cpu_control control;
	unsigned at_end = filchi_job_is_timed(job); /* JOB_... */
	bool plain = at_end && !nested && !job->on_complete;
	int64_t id = job->id;
	uint64_t told, started_at = 0, jobs;

	job->worker = (int16_t)w->id;
	if (at_end) {
		/* the last job's end, unless this one was not in the queue by then */
		started_at = w->clock > filch_load_relaxed(&job->queued_at) && !nested &&
					     !(job->flags & FILCHI_JOB_FOLLOWS)
				     ? w->clock
				     : filchi_now();
		filch_store_relaxed(&job->started_at, started_at);
	}
	if (FILCH_UNLIKELY(job->flags & FILCHI_JOB_FOLLOWS && filchi_job_is_behind(job)) ||
		(job->start_by && started_at > job->start_by)) {
		end_unstarted(w, job);
	} else {
		jobs = filch_load_relaxed(&w->counters.jobs) + 1;
		filch_store_relaxed(&w->counters.jobs, jobs);
		if (nested)
			filchi_count(&w->counters, jobs_nested);
		if (FILCH_UNLIKELY(jobs >= filch_load_relaxed(&w->heed_at)))
			at_end |= heed_job(w, job, at_end, jobs);
		FILCHI_PROBE(job_begin, w->id, id);
		control = filchi_worker_control(w, true, nested);
		filchi_worker_enter(w, &job->team, NULL, NULL);
		job->status = job->flags & (FILCHI_JOB_TASK | FILCH_JOB_FREE)
				      ? call_otherwise(w, job)
				      : filchi_job_call(job);
		filchi_worker_restore(w, control);
		FILCHI_PROBE(job_end, w->id, id);
		if (filchi_worker_in_child(w, job->status))
			return; /* its completion is the parent's */
		filchi_worker_leave(w);
		FILCH_HOOK(job_returned);
		if (filchi_job_is_deferred(job) && !filchi_job_returned(job)) {
			if (FILCH_UNLIKELY(at_end & JOB_TRACED))
				filchi_worker_trace_end(w, id);
			w->clock = 0;
			go_on(w);
			return; /* its finish completes it */
		}
		/*
		 * its function has returned, so every task it waited for was done: it is not
		 * aborted, and its own 1 stays in the team
		 */
		filchi_count(&w->lane[filch_load_relaxed(&job->lane)], completed);
		if (at_end) {
			job->ended_at = filchi_now();
			if (FILCH_UNLIKELY(at_end > JOB_TIMED))
				heed_job_end(w, job, at_end);
		}
	}
	/* callbacks, and what goes on under a nested job, take time of their own */
	w->clock = plain ? job->ended_at : 0;
	told = filchi_job_complete(&pool->jobs, job);
	if (told & FILCHI_JOB_FOR_WORKER)
		filchi_worker_job_done(pool, id);
	else if (told)
		filchi_worker_end_child(w, 0); /* forked in its callback */
	go_on(w);
}

/* --- searching and parking -------------------------------------------- */

static bool run_queued(struct filchi_worker *w, bool searching)
{
	uint32_t slot, lane;

	/* a take in vain writes to what all lookers share; a worker at work finds jobs, mostly */
	if (searching && filchi_injector_seems_empty(&w->pool->injector))
		return false;
	while ((slot = filchi_injector_take(&w->pool->injector, &w->turns, &lane)) !=
		FILCHI_SCQ_EMPTY) {
		FILCH_HOOK(job_drawn);
		struct filchi_job *job = filchi_job_popped(&w->pool->jobs, slot);

		if (!job)
			continue; /* a tombstone */
		filchi_turns_take(&w->turns, lane);
		filchi_abroad_release(w->pool);
		if (searching)
			filchi_waking_found(w, NULL);
		filchi_worker_run_job(w, job, false);
		return true;
	}
	return false;
}

bool filchi_worker_look_again(struct filchi_worker *w, const struct filchi_filter *filter)
{
	struct filch_pool *pool = w->pool;

	if (filter->any)
		/* what follows ends the trust; a bound worker's look is at some of the work only */
		(void)filchi_idle_was_trusted(&pool->idle);
	filchi_waking_ask_all(pool);
	if (filchi_load_acquire(&pool->stop) || filchi_errands_wait(w))
		return true;
	if (filter->any && !filchi_injector_seems_empty(&pool->injector))
		return true;
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_deque *d = &filchi_worker_at(pool, i)->deque;
		struct filchi_segment *scope;
		struct filchi_team *team;

		/*
		 * A bound worker may overlook work of its job that lies behind another job's at
		 * some top: allowed, its owner and every free worker have it in view.
		 */
		if (filchi_deque_seems_empty(d))
			continue;
		team = filchi_segment_find(d, filchi_deque_top(d), &scope);
		if (filchi_filter_allows(filter, team, scope) &&
			filchi_places_take(scope, filter->worker, NULL))
			return true;
	}
	return false;
}

/*
 * A child that was forked in a callback of a job that is aborted gets here, and in a hook: it has
 * no work.
 */
static bool is_over(struct filch_pool *pool)
{
	if (filchi_forked(pool))
		filchi_child_end(0);
	return filchi_load_acquire(&pool->stop);
}

/*
 * A searcher that may take no new work: ceases to be one, and sleeps until it may. Then it is a
 * searcher again. Meanwhile it does its share of errands, which are for every worker.
 */
FILCH_COLD static void retire(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;

	filchi_waking_found(w, NULL); /* posters may have relied on us */
	filchi_blocking_mend(w);
	if (filchi_limit_bars(&pool->limit, w->rank))
		filchi_count(&w->counters, retired);
	while (!is_over(pool) && filchi_limit_bars(&pool->limit, w->rank)) {
		if (filchi_errands_run(w))
			continue;
		if (pool->guards)
			filchi_worker_rest(w);
		FILCH_HOOK(retire_begins);
		filchi_limit_retire(&w->sleeper);
		FILCH_HOOK(retire_prepared);
		if (filchi_load_acquire(&pool->stop) || filchi_errands_wait(w) ||
			!filchi_limit_bars_still(&pool->limit, w->rank)) {
			filchi_idle_cancel(&pool->idle, &w->sleeper);
			continue;
		}
		filchi_abroad_settle_free(w);
		filchi_count(&w->counters, parks);
		(void)filchi_worker_sleep(w, NULL);
		filchi_pin_review(&w->pin_watch, filchi_now());
	}
	filchi_idle_search(&pool->idle);
}

/*
 * One look for work by a worker with an empty stack. A searcher that finds some ceases to be one
 * before it runs it.
 */
static bool run_any(struct filchi_worker *w)
{
	const struct filchi_filter anything = { .any = true, .worker = w->id };
	bool steal_first = filchi_policy_steals_first(++w->turn);

	filchi_idle_looks(&w->pool->idle);
	if (filchi_limit_bars(&w->pool->limit, w->rank)) {
		retire(w);
		return false;
	}
	if (filchi_errands_wait(w)) {
		filchi_waking_found(w, NULL);
		return filchi_errands_run(w);
	}
	return (steal_first && filchi_worker_help(w, &anything, -1)) || run_queued(w, true) ||
	       (!steal_first && filchi_worker_help(w, &anything, -1));
}

static void park(struct filchi_worker *w)
{
	const struct filchi_filter anything = { .any = true, .worker = w->id };
	struct filch_pool *pool = w->pool;

	FILCH_HOOK(park_begins);
	filchi_idle_prepare(&pool->idle, &w->sleeper, &anything);
	FILCH_HOOK(park_prepared);
	if (filchi_worker_look_again(w, &anything) ||
		filchi_limit_bars_still(&pool->limit, w->rank)) {
		filchi_idle_cancel(&pool->idle, &w->sleeper);
		return;
	}
	filchi_abroad_settle_free(w);
	FILCH_HOOK(park_decided);
	filchi_count(&w->counters, parks);
	(void)filchi_worker_sleep(w, NULL);
	FILCH_HOOK(woken_comes);
	filchi_pin_review(&w->pin_watch, filchi_now());
}

bool filchi_worker_run_one(struct filchi_worker *w)
{
	w->turn++;
	return run_queued(w, false);
}

/* A worker that is done with one job tries the injector before it counts as a searcher again. */
void filchi_worker_work(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;

	filchi_trace(pool, THREAD, 0, 0);
	filchi_idle_search(&pool->idle);
	while (!is_over(pool)) {
		uint64_t since = 0;

		while (!run_any(w)) {
			filchi_idle_lingers(&w->sleeper);
			FILCH_HOOK(search_goes_on);
			if (is_over(pool))
				return;
			if (pool->guards)
				filchi_worker_rest(w);
			if (!filchi_spin_wait(pool, w, &since)) {
				park(w);
				since = 0;
			} else if (since - w->pin_watch.looked_at >= FILCHI_PIN_LOOK_NS) {
				filchi_pin_review(&w->pin_watch, since);
			}
		}
		/*
		 * no searcher now: stays busy while jobs are at hand, but for the looks at which it
		 * is its turn to steal
		 */
		while (!filchi_policy_steals_first(w->turn + 1) &&
			!FILCH_UNLIKELY(filch_load_relaxed(&w->called)) &&
			!(filch_load_relaxed(&w->yield_asked) &&
				filchi_injector_seems_empty(&pool->injector))) {
			w->turn++;
			if (!run_queued(w, false))
				break;
		}
		if (FILCH_UNLIKELY(filch_load_relaxed(&w->called)))
			(void)filchi_exchange_seq_cst(&w->called, 0);
		w->clock = 0;
		/* no searcher: nobody relies on us while we make a thread */
		if (FILCH_UNLIKELY(filch_load_relaxed(&pool->vacant)) && !pool->has_service)
			pool->fill(pool);
		filchi_idle_search(&pool->idle);
		filchi_give_way(w); /* to the client that waited for that job, most likely */
	}
}

bool filchi_worker_make_deque(struct filchi_worker *w)
{
	if (filchi_deque_init(
		    &w->deque, (filch_index)w->pool->config.deque_capacity, w->pool->fenced))
		return false;
	w->has_deque = true;
	if (w->pool->is_serial)
		w->deque.hot.limit = 0; /* every push goes the slow way: filch_push_slow() */
	/* a membarrier interrupts all workers that run: what is to pay for it grows with them */
	if (w->pool->workers > 2)
		w->deque.watch.patience *= (w->pool->workers + 1) / 2;
	filchi_gate_be_patient(&w->deque.hot, &w->deque.watch);
	return true;
}
