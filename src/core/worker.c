/* SPDX-License-Identifier: Apache-2.0 */
/* Finding work, running it, searching, parking: see worker.h; the protocol is in idle.h. */
#define _GNU_SOURCE
#include "core/worker.h"

#include "core/abroad.h"
#include "core/elastic.h"
#include "core/errand.h"

#include <errno.h>

#include "core/fault.h"
#include "struct/policy.h"

/* --- waking ----------------------------------------------------------- */

bool filchi_worker_wake(struct filch_pool *pool, struct filchi_worker *w)
{
	/*
	 * FENCE I5  complete, stop, or post an errand -> read the sleeper's state  pairs with: I2
	 * in filchi_idle_prepare()
	 * Ensures:   the completer of what a worker waits for sees it asleep, or the worker sees
	 *            the completion in its last look. Likewise a share that is for this worker.
	 * Without:   the worker sleeps on though its task, its job or the pool has ended.
	 * Weaker?    no: store->load. The callers' completing store is a seq_cst read-modify-write.
	 * Checked:   tests/stress/join.c, shutdown.c and each.c; for an errand
	 *            tests/model/c11/share.c; for a task the order through its word suffices
	 *            (tests/model/c11/join.c)
	 */
	if (!filchi_idle_wake(&pool->idle, &w->sleeper, filchi_share_look(&w->sleeper.state)))
		return false;
	(void)filchi_fetch_add_acq_rel(&pool->external.wakes, 1);
	return true;
}

/*
 * Wakes the nearest sleeper that may run work of @team's job, of @scope; one that is free only if
 * @free. Near is seen from worker @near, which itself comes first, or @last. Returns the kind of
 * the sleeper woken, or 0. Sets *@more if another sleeper could also have run it; @more may be
 * NULL.
 */
static unsigned wake_one(struct filch_pool *pool, uint32_t near, bool last,
	const struct filchi_team *team, const struct filchi_segment *scope, bool free, bool *more)
{
	const uint16_t *order = pool->plan->order + (size_t)near * (pool->workers - 1);
	unsigned woken = 0;

	if (more)
		*more = false;
	for (uint32_t i = 0; i < pool->workers && !(woken && !more); i++) {
		struct filchi_worker *w = filchi_worker_at(
			pool, filchi_policy_sleeper(order, near, last, pool->workers, i));
		uint32_t state = filchi_sleeper_serves(&w->sleeper, team, scope);

		if (!state ||
			(FILCH_UNLIKELY(scope != NULL) && !filchi_places_take(scope, w->id, NULL)))
			continue;
		if (filchi_policy_leaves(state, free, woken)) {
			if (more)
				*more = true;
			break;
		}
		FILCH_HOOK(wake_chosen);
		if (filchi_idle_wake(&pool->idle, &w->sleeper, state)) {
			woken = FILCHI_SLEEP_KIND(state);
			(void)filchi_fetch_add_acq_rel(&pool->external.wakes, 1);
		}
	}
	return woken;
}

bool filchi_worker_posted(struct filch_pool *pool)
{
	uint64_t counts = filchi_idle_posted(&pool->idle);
	struct filchi_client *client = filchi_client_here();
	struct filchi_worker *self = filchi_worker_self(), *here;
	bool waits, slept;

	FILCH_HOOK(posted_counted);
	client->has_woken = false;
	/*
	 * a worker that waits for the core we are on counts as a searcher, but cannot search until
	 * we make way
	 */
	if (!filchi_policy_posted(counts, client->overdue == pool))
		return false;
	if (self && self->pool == pool)
		return wake_one(pool, self->id, false, NULL, NULL, true, NULL);
	here = filchi_worker_on_cpu(pool);
	slept = here && !filchi_is_awake(here);
	waits = filchi_client_waits(client);
	client->has_woken =
		wake_one(pool, here ? here->id : 0, here && !waits, NULL, NULL, true, NULL);
	client->overdue = client->has_woken && waits && slept ? pool : NULL;
	return client->has_woken;
}

void filchi_worker_job_done(struct filch_pool *pool, int64_t id)
{
	/* I5, likewise */
	for (uint32_t i = filchi_awaits_next(&pool->awaits, 0, pool->workers); i < pool->workers;
		i = filchi_awaits_next(&pool->awaits, i + 1, pool->workers)) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (filchi_rmw_fence_then_load_acquire(&w->awaits) == (uint64_t)id)
			(void)filchi_worker_wake(pool, w);
	}
	/* likewise: a stay counts itself, then flags the job or finds it flagged */
	if (filchi_rmw_fence_then_load_acquire(&pool->awaited))
		filchi_abroad_done(pool, id);
}

void filchi_worker_told(struct filchi_jobs *jobs, int64_t id)
{
	filchi_worker_job_done(filchi_pool_of(jobs), id);
}

/*
 * A spawn was published, and ask was raised: a worker that parks, or has parked, wants to hear of
 * it. Steps b and c of idle.h.
 *
 * One sleeper is woken that may run the task, a free one unless enough search. If sleepers remain
 * that could run such tasks, ask is raised again, so that the next push tells the next of them.
 * Where pushes find nothing to do again and again, ask stays low: the searchers see to the rest.
 */
void filch_push_asked(struct filch_worker *hot)
{
	struct filchi_worker *w = filchi_worker_of(hot);
	struct filch_pool *pool = w->pool;
	uint64_t counts;

	filchi_fault_ready(w);
	counts = filchi_idle_asked(&pool->idle, &w->deque);
	FILCH_HOOK(asked_counted);
	if (FILCHI_IDLE_ASLEEP(counts))
		filchi_count(&w->counters, asked);
	for (;;) {
		enum filchi_asked asked =
			filchi_policy_asked(counts, filch_load_relaxed(&pool->limit));
		bool more = asked == FILCHI_ASKED_LATER;
		unsigned woken = 0;

		if (asked == FILCHI_ASKED_NOBODY)
			return;
		if (!more)
			woken = wake_one(pool, w->id, false, filchi_segment_team(&w->deque),
				filchi_segment_scope(&w->deque), asked == FILCHI_ASKED_ANY, &more);
		switch (filchi_policy_then(asked, woken, more, &w->vain)) {
		case FILCHI_THEN_TRUST:
			break;
		case FILCHI_THEN_ASK:
			filch_store_relaxed(&hot->ask, 1); /* our own next push reads it */
			return;
		case FILCHI_THEN_LOW:
		default:
			return;
		}
		FILCH_HOOK(trust_begins);
		counts = filchi_idle_trust(&pool->idle);
		if (FILCHI_IDLE_SEARCH(counts) > 0)
			return;
		/* all searches have ended meanwhile, and nobody may have seen our trust */
	}
}

/*
 * Wakes a sleeper for what lies at the top of @victim's deque, if something does. True: a free one,
 * a searcher from now on.
 */
static bool wake_for(struct filchi_worker *w, struct filchi_worker *victim)
{
	struct filchi_deque *d = &victim->deque;
	struct filchi_segment *scope;
	struct filchi_team *team;
	bool more;

	if (filchi_deque_seems_empty(d))
		return false;
	team = filchi_segment_find(d, filchi_load_acquire(&d->hot.top), &scope);
	return wake_one(w->pool, w->id, false, team, scope, true, &more) == FILCHI_ASLEEP_FREE;
}

/*
 * The last searcher has found work while others sleep: looks at everything once more, and wakes the
 * next worker if there is more. Posters may have relied on this look. The one woken is a searcher
 * and owes the same in turn, so one is enough. A bound worker does not: it owes no look. So this
 * goes on until it has woken a free one, which is true, or has seen all.
 */
static bool wake_next(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;
	bool more;

	for (uint32_t i = 0; i < pool->workers; i++)
		if (wake_for(w, filchi_worker_at(pool, i)))
			return true;
	return !filchi_injector_seems_empty(&pool->injector) &&
	       wake_one(pool, w->id, false, NULL, NULL, true, &more) != 0;
}

/* Raises ask at every deque, and passes the heavy fence: whoever pushes later sees it. */
static void ask_all(struct filch_pool *pool)
{
	for (uint32_t i = 0; i < pool->workers; i++)
		/* before the fence; pairs with I1 */
		filchi_idle_ask(&filchi_worker_at(pool, i)->deque);
	if (pool->fenced)
		(void)filchi_fence_then_load_acquire(&pool->stop);
	else
		filchi_heavy_fence(&pool->heavy);
}

/*
 * A searcher has found work, in the deque of @victim or, NULL, elsewhere; it ceases to be one.
 *
 * If it leaves work there, and more may search, it wakes the next. Else the owner's next push is to
 * see for itself, for one more is busy now than at its last.
 *
 * If it was the last one, it owes what posters and spawners rely on: a look at everything, and the
 * end of their trust.
 */
static void found(struct filchi_worker *w, struct filchi_worker *victim)
{
	struct filch_pool *pool = w->pool;
	bool last = filchi_idle_found(&pool->idle);

	if (victim && filchi_policy_grows(filch_load_relaxed(&pool->idle.counts),
			      filch_load_relaxed(&pool->limit))) {
		if (wake_for(w, victim))
			return;
		filchi_idle_ask(&victim->deque);
	}
	if (!last || wake_next(w) || !filchi_idle_was_trusted(&pool->idle))
		return;
	FILCH_HOOK(trust_ends);
	ask_all(pool);
	(void)wake_next(w);
}

void filchi_worker_pass_on(struct filchi_worker *w)
{
	if (filchi_policy_passes_on(filchi_fence_then_load_acquire(&w->pool->idle.counts)))
		(void)wake_next(w);
}

/* --- running ---------------------------------------------------------- */

void filchi_worker_deliver(struct filch_pool *pool, struct filchi_job *job)
{
	int64_t id = job->id;

	filchi_job_set_aborted(job);
	if (filchi_job_is_deferred(job) && !filchi_deferred_lost(&job->state))
		return; /* a finish is half way through, and completes it */
	(void)filchi_fetch_add_acq_rel(
		&pool->external_lane[filch_load_relaxed(&job->lane)].completed, 1);
	if (filchi_job_complete(&pool->jobs, job) & FILCHI_JOB_FOR_WORKER)
		filchi_worker_job_done(pool, id);
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

static void run_stolen(struct filchi_worker *w, struct filch_task *task, struct filchi_team *team,
	struct filchi_found *in)
{
	struct filchi_cpu_control control;
	filch_thunk *thunk;
	int joiner;

	FILCH_HOOK(task_stolen);
	thunk = filchi_task_begin(task, &w->pool->marks, w->id);
	control = filchi_worker_control(w, false, true);
	if (w->pool->guards)
		filchi_worker_arm(w, team);
	filchi_worker_enter(w, team, task, in->scope);
	thunk(&w->deque.hot, filchi_deque_carried(&w->deque), task);
	filchi_worker_restore(w, control);
	if (filchi_worker_in_child(w, 0))
		return;
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

	run_stolen(w, task, team, &in);
}

/* One attempt at one deque. */
static enum filchi_steal attempt(
	struct filchi_worker *w, struct filchi_worker *victim, const struct filchi_filter *filter)
{
	struct filchi_team *team = NULL;
	struct filchi_found in;
	struct filch_task *task;
	enum filchi_steal outcome = filchi_deque_steal(&victim->deque, filter, &task, &team, &in);

	switch (outcome) {
	case FILCHI_STEAL_GOT:
		filchi_count(&w->counters, steals);
		if (filter->any)
			found(w, victim);
		run_stolen(w, task, team, &in);
		break;
	case FILCHI_STEAL_LOST:
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
	job->ended_at = job->started_at;
	job->started_at = 0;
	job->worker = -1;
	if (w->pool->guards)
		filchi_worker_arm(w, NULL); /* for its callback */
}

void filchi_worker_run_job(struct filchi_worker *w, struct filchi_job *job, bool nested)
{
	struct filch_pool *pool = w->pool;
	struct filchi_cpu_control control;
	bool timed = filchi_job_is_timed(job), plain = timed && !nested && !job->on_complete;
	int64_t id = job->id;
	uint64_t told;

	job->worker = (int16_t)w->id;
	if (timed)
		/* the last job's end, unless this one was not in the queue by then */
		job->started_at = w->clock > filch_load_relaxed(&job->queued_at) && !nested &&
						  !(job->flags & FILCHI_JOB_FOLLOWS)
					  ? w->clock
					  : filchi_now();
	if (FILCH_UNLIKELY(job->flags & FILCHI_JOB_FOLLOWS && filchi_job_is_behind(job)) ||
		(job->start_by && job->started_at > job->start_by)) {
		end_unstarted(w, job);
	} else {
		filchi_count(&w->counters, jobs);
		if (nested)
			filchi_count(&w->counters, jobs_nested);
		if (pool->guards)
			filchi_worker_arm(w, &job->team);
		control = filchi_worker_control(w, true, nested);
		filchi_worker_enter(w, &job->team, NULL, NULL);
		job->status = job->flags & (FILCHI_JOB_TASK | FILCH_JOB_FREE)
				      ? call_otherwise(w, job)
				      : filchi_job_call(job);
		filchi_worker_restore(w, control);
		if (filchi_worker_in_child(w, job->status))
			return; /* its completion is the parent's */
		filchi_worker_leave(w);
		FILCH_HOOK(job_returned);
		if (filchi_job_is_deferred(job) && !filchi_job_returned(job)) {
			w->clock = 0;
			go_on(w);
			return; /* its finish completes it */
		}
		/*
		 * its function has returned, so every task it waited for was done: it is not
		 * aborted, and its own 1 stays in the team
		 */
		filchi_count(&w->lane[filch_load_relaxed(&job->lane)], completed);
		if (timed)
			job->ended_at = filchi_now();
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
			found(w, NULL);
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
	ask_all(pool);
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
		team = filchi_segment_find(d, filchi_load_acquire(&d->hot.top), &scope);
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

	found(w, NULL); /* posters may have relied on us */
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
		(void)filchi_idle_sleep(&pool->idle, &w->sleeper, NULL);
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

	if (filchi_limit_bars(&w->pool->limit, w->rank)) {
		retire(w);
		return false;
	}
	if (filchi_errands_wait(w)) {
		found(w, NULL);
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
	(void)filchi_idle_sleep(&pool->idle, &w->sleeper, NULL);
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

	filchi_idle_search(&pool->idle);
	while (!is_over(pool)) {
		uint64_t since = 0;

		while (!run_any(w)) {
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
	/*
	 * takes by exchange also where membarrier(2) is at hand: a steal then costs no system call
	 * (docs/adr/0006)
	 */
	return true;
}
