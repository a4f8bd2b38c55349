/* SPDX-License-Identifier: Apache-2.0 */
/* Finding work, running it, searching, parking: see worker.h; the protocol is in idle.h. */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>

#define STEAL_TURN 61u /* every so many looks an idle worker steals before it asks the injector: a prime, in step with nothing */

static _Thread_local struct filchi_worker *self;

struct filchi_worker *filchi_worker_self(void)
{
	return self;
}

void filchi_worker_set_self(struct filchi_worker *w)
{
	self = w;
}

static _Thread_local const struct filchi_foreign *foreign;

void filchi_foreign_enter(struct filchi_foreign *here, struct filchi_job *job)
{
	here->job = job;
	here->outer = foreign;
	if (job || foreign) /* there is nothing to hide on most threads */
		foreign = here;
}

void filchi_foreign_leave(const struct filchi_foreign *here)
{
	foreign = here->outer;
}

const struct filchi_foreign *filchi_foreign_here(void)
{
	return foreign;
}

const struct filchi_foreign *filchi_foreign_forget(void)
{
	const struct filchi_foreign *had = foreign;

	foreign = NULL;
	return had;
}

/* --- waking ------------------------------------------------------------------------------------------------------------------ */

bool filchi_worker_wake(struct filch_pool *pool, struct filchi_worker *w)
{
	/*
	 * FENCE I5   complete, or stop -> read the sleeper's state    pairs with: I2 in filchi_idle_prepare()
	 * Ensures:   who completes what a worker waits for sees it asleep, or the worker sees the completion in its last look.
	 * Without:   the worker sleeps on though its task, its job or the pool has ended.
	 * Weaker?    no: store->load. The callers' completing store is a seq_cst read-modify-write.
	 * Checked:   tests/stress/join.c and shutdown.c; for a task the order through its word suffices (tests/model/c11/join.c)
	 */
	if (!filchi_idle_wake(&pool->idle, &w->sleeper, filchi_rmw_fence_then_load_acquire(&w->sleeper.state)))
		return false;
	(void)filchi_fetch_add_acq_rel(&pool->outside.wakes, 1);
	return true;
}

/*
 * Wakes the nearest sleeper (seen from worker @near, who comes first, or @last) that may run work of @crew's job; free ones only
 * if @free. Sets *@left if one that could be woken later is left asleep; NULL: nobody asks. The kind of the one woken, 0 if none.
 */
static unsigned wake_one(struct filch_pool *pool, uint32_t near, bool last, const struct filchi_crew *crew, bool free, bool *left)
{
	const uint16_t *order = pool->plan->order + (size_t)near * (pool->workers - 1);
	unsigned woken = 0;

	if (left)
		*left = false;
	for (uint32_t i = 0; i < pool->workers && !(woken && !left); i++) {
		uint32_t place = last ? (i + 1) % pool->workers : i;
		struct filchi_worker *w = filchi_worker_at(pool, place == 0 ? near : order[place - 1]);
		uint32_t state = filchi_sleeper_serves(&w->sleeper, crew);

		if (!state)
			continue;
		if (woken || (!free && FILCHI_SLEEP_KIND(state) == FILCHI_ASLEEP_FREE)) {
			if (left)
				*left = true;
			break;
		}
		FILCH_HOOK(wake_chosen);
		if (filchi_idle_wake(&pool->idle, &w->sleeper, state)) {
			woken = FILCHI_SLEEP_KIND(state);
			(void)filchi_fetch_add_acq_rel(&pool->outside.wakes, 1);
		}
	}
	return woken;
}

bool filchi_worker_posted(struct filch_pool *pool)
{
	uint64_t counts = filchi_idle_posted(&pool->idle);
	struct filchi_guest *guest = filchi_guest_here();
	struct filchi_worker *here;
	bool waits, slept;

	FILCH_HOOK(posted_counted);
	guest->has_woken = false;
	/* a worker that waits for the core we are on counts as a searcher, but cannot search until we make way */
	if (!FILCHI_IDLE_FREES(counts) || FILCHI_IDLE_SEARCH(counts) > (guest->overdue == pool))
		return false;
	if (self && self->pool == pool)
		return wake_one(pool, self->id, false, NULL, true, NULL);
	here = filchi_neighbour(pool);
	slept = here && !filchi_is_awake(here);
	waits = filchi_guest_waits(guest);
	guest->has_woken = wake_one(pool, here ? here->id : 0, here && !waits, NULL, true, NULL);
	guest->overdue = guest->has_woken && waits && slept ? pool : NULL;
	return guest->has_woken;
}

void filchi_worker_job_done(struct filch_pool *pool, int64_t id)
{
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (filchi_rmw_fence_then_load_acquire(&w->awaits) == (uint64_t)id) /* I5, likewise */
			(void)filchi_worker_wake(pool, w);
	}
}

/* A spawn was published and ask was raised: steps b and c of idle.h. */
void filch_push_asked(struct filch_worker *hot)
{
	struct filchi_worker *w = filchi_worker_of(hot);
	struct filch_pool *pool = w->pool;
	uint64_t counts = filchi_idle_asked(&pool->idle, &w->deque);
	bool left = false;

	FILCH_HOOK(asked_counted);
	if (!FILCHI_IDLE_ASLEEP(counts))
		return;
	filchi_count(&w->counters, asked);
	if (FILCHI_IDLE_SEARCH(counts) > 0 && FILCHI_IDLE_ASLEEP(counts) == FILCHI_IDLE_FREES(counts))
		left = true; /* the searcher on its way wakes the next; we ask again in case it comes to that */
	else
		(void)wake_one(pool, w->id, false, filchi_segment_crew(&w->deque), FILCHI_IDLE_SEARCH(counts) <= 0, &left);
	if (left)
		filchi_store_relaxed(&hot->ask, 1); /* our own next push reads it */
}

/*
 * A searcher that was the last has found work while others sleep: wakes the next if there is more. The chain goes on through free
 * workers only, so it looks on until it has woken one of those.
 */
static void chain(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;
	bool left;

	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_deque *d = &filchi_worker_at(pool, i)->deque;

		if (!filchi_deque_seems_empty(d) && wake_one(pool, w->id, false, filchi_segment_find(d, filchi_load_acquire(&d->hot.top)),
							     true, &left) == FILCHI_ASLEEP_FREE)
			return;
	}
	if (!filchi_injector_seems_empty(&pool->injector))
		(void)wake_one(pool, w->id, false, NULL, true, &left);
}

void filchi_worker_pass_on(struct filchi_worker *w)
{
	uint64_t counts = filchi_fence_then_load_acquire(&w->pool->idle.counts);

	if (FILCHI_IDLE_ASLEEP(counts) && FILCHI_IDLE_SEARCH(counts) <= 0)
		chain(w);
}

/* --- running ----------------------------------------------------------------------------------------------------------------- */

void filchi_worker_deliver(struct filch_pool *pool, struct filchi_job *job)
{
	int64_t id = job->id;

	(void)filchi_fetch_add_acq_rel(&pool->outside_lane[job->lane].completed, 1);
	filchi_job_set_aborted(job);
	if (filchi_job_complete(&pool->jobs, job))
		filchi_worker_job_done(pool, id);
}

void filchi_worker_abandon(struct filch_pool *pool, struct filchi_job *job)
{
	job->fault_signal = 0;
	job->fault_address = 0;
	filchi_worker_deliver(pool, job);
}

static void crew_leave(struct filchi_worker *w, struct filchi_crew *crew)
{
	if (crew && filchi_crew_leave(crew))
		filchi_worker_deliver(w->pool, filchi_job_of(crew));
}

/*
 * Around a part's code: notes what runs, for who must end it should it not return (guard.c), and that a fault is now its own. The
 * creating thread of a FILCH_POOL_CALLER pool has no shift: if it goes, the program meant it.
 */
static void part_begin(struct filchi_shift *shift, struct filch_task *task, struct filchi_crew *crew)
{
	if (shift) {
		shift->part[shift->parts++] = (struct filchi_part){ .task = task, .crew = crew };
		filchi_store_relaxed(&shift->user, 1);
	}
}

static void part_end(struct filchi_shift *shift)
{
	if (shift) {
		filchi_store_relaxed(&shift->user, 0);
		shift->parts--;
	}
}

static void run_stolen(struct filchi_worker *w, struct filch_task *task, struct filchi_crew *crew)
{
	bool opened = crew != filchi_segment_crew(&w->deque) && filchi_segment_open(&w->deque, crew);
	filch_thunk *thunk = filchi_task_begin(task, &w->pool->marks, w->id);
	struct filchi_foreign hidden;

	filchi_foreign_enter(&hidden, NULL);
	part_begin(w->shift, task, crew);
	thunk(&w->deque.hot, filchi_deque_carried(&w->deque), task);
	part_end(w->shift);
	int joiner = filchi_task_finish(task, &w->pool->marks);
	FILCH_HOOK(task_finished);
	filchi_foreign_leave(&hidden);
	if (opened)
		filchi_segment_close(&w->deque);
	crew_leave(w, crew);
	if (joiner >= 0)
		(void)filchi_worker_wake(w->pool, filchi_worker_at(w->pool, (uint32_t)joiner));
}

/* One attempt at one deque. */
static enum filchi_steal attempt(struct filchi_worker *w, struct filchi_worker *victim, const struct filchi_want *want)
{
	struct filchi_crew *crew = NULL;
	struct filch_task *task;
	enum filchi_steal outcome = filchi_deque_steal(&victim->deque, want, &task, &crew);

	switch (outcome) {
	case FILCHI_STEAL_GOT:
		filchi_count(&w->counters, steals);
		if (want->any && filchi_idle_found(&w->pool->idle))
			chain(w);
		run_stolen(w, task, crew);
		break;
	case FILCHI_STEAL_LOST:
		filchi_count(&w->counters, lost);
		crew_leave(w, crew);
		break;
	case FILCHI_STEAL_BARRED:
		filchi_count(&w->counters, barred);
		break;
	case FILCHI_STEAL_EMPTY:
		break;
	}
	return outcome;
}

bool filchi_worker_help(struct filchi_worker *w, const struct filchi_want *want, int first)
{
	int next;

	/* a suspended frame's own tasks first: rule 1 lets the owner take them by steal alone */
	if (!want->any && attempt(w, w, want) == FILCHI_STEAL_GOT)
		return true;
	if (first >= 0 && attempt(w, filchi_worker_at(w->pool, (uint32_t)first), want) == FILCHI_STEAL_GOT)
		return true;
	filchi_victim_round(&w->victim);
	while ((next = filchi_victim_next(&w->victim)) >= 0) {
		if (attempt(w, filchi_worker_at(w->pool, (uint32_t)next), want) == FILCHI_STEAL_GOT)
			return true;
	}
	return false;
}

void filchi_worker_run_job(struct filchi_worker *w, struct filchi_job *job, bool nested)
{
	struct filch_pool *pool = w->pool;
	bool timed = filchi_job_is_timed(job), plain = timed && !nested && !job->on_complete;
	int64_t id = job->id;

	job->worker = (int16_t)w->id;
	if (timed)
		job->started_at = w->clock > filchi_load_relaxed(&job->queued_at) && !nested ? w->clock : filchi_now();
	if (job->start_by && job->started_at > job->start_by) {
		filchi_count(&w->counters, expired);
		filchi_count(&w->lane[job->lane], shed);
		job->ended_at = job->started_at;
		job->started_at = 0;
		job->worker = -1;
		job->status = -ETIMEDOUT;
	} else {
		filchi_count(&w->counters, jobs);
		if (nested)
			filchi_count(&w->counters, jobs_nested);
		struct filchi_foreign hidden;

		filchi_foreign_enter(&hidden, NULL);
		(void)filchi_segment_open(&w->deque, &job->crew); /* there is room: an empty stack, or the wait has looked */
		part_begin(w->shift, NULL, &job->crew);
		if (job->flags & FILCHI_JOB_TASK) {
			job->thunk(&w->deque.hot, filchi_deque_carried(&w->deque), job->task);
			job->status = 0;
		} else {
			job->status = job->fn(job->arg);
		}
		part_end(w->shift);
		filchi_segment_close(&w->deque);
		filchi_foreign_leave(&hidden);
		FILCH_HOOK(job_returned);
		/* its function has returned, so every task it waited for was done: it is not aborted, and its own 1 stays in the crew */
		filchi_count(&w->lane[job->lane], completed);
		if (timed)
			job->ended_at = filchi_now();
	}
	w->clock = plain ? job->ended_at : 0; /* callbacks, and what goes on under a nested job, take time of their own */
	if (filchi_job_complete(&pool->jobs, job))
		filchi_worker_job_done(pool, id);
}

/* --- searching and parking --------------------------------------------------------------------------------------------------- */

static bool run_queued(struct filchi_worker *w, bool searching)
{
	uint32_t slot;

	w->lane_turn++; /* not the count of all looks: a turn that went to stealing would be one of the lane's */
	while ((slot = filchi_injector_take(&w->pool->injector, w->lane_turn)) != FILCHI_RING_EMPTY) {
		FILCH_HOOK(job_drawn);
		struct filchi_job *job = filchi_job_popped(&w->pool->jobs, slot);

		if (!job)
			continue; /* a tombstone */
		filchi_injector_release(&w->pool->injector);
		if (searching && filchi_idle_found(&w->pool->idle))
			chain(w);
		filchi_worker_run_job(w, job, false);
		return true;
	}
	return false;
}

bool filchi_worker_look_again(struct filchi_worker *w, const struct filchi_want *want)
{
	struct filch_pool *pool = w->pool;

	for (uint32_t i = 0; i < pool->workers; i++)
		filchi_store_relaxed(&filchi_worker_at(pool, i)->deque.hot.ask, 1); /* before the fence; pairs with I1 */
	(void)filchi_heavy_fence_then_load_acquire(&pool->stop, pool->fenced);
	if (filchi_load_acquire(&pool->stop))
		return true;
	if (want->any && !filchi_injector_seems_empty(&pool->injector))
		return true;
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_deque *d = &filchi_worker_at(pool, i)->deque;

		/*
		 * A bound worker may overlook work of its job that lies behind another job's at some top: allowed, its owner and
		 * every free worker have it in view.
		 */
		if (!filchi_deque_seems_empty(d) &&
		    filchi_want_allows(want, filchi_segment_find(d, filchi_load_acquire(&d->hot.top))))
			return true;
	}
	return false;
}

/* One look for work by a worker with an empty stack. A searcher that finds some is none any more when it is run. */
static bool run_any(struct filchi_worker *w)
{
	static const struct filchi_want anything = { .any = true };
	bool steal_first = ++w->turn % STEAL_TURN == 0;

	return (steal_first && filchi_worker_help(w, &anything, -1)) || run_queued(w, true) ||
	       (!steal_first && filchi_worker_help(w, &anything, -1));
}

static void park(struct filchi_worker *w)
{
	static const struct filchi_want anything = { .any = true };
	struct filch_pool *pool = w->pool;

	FILCH_HOOK(park_begins);
	filchi_idle_prepare(&pool->idle, &w->sleeper, &anything);
	FILCH_HOOK(park_prepared);
	if (filchi_worker_look_again(w, &anything)) {
		filchi_idle_cancel(&pool->idle, &w->sleeper);
		return;
	}
	FILCH_HOOK(park_decided);
	filchi_count(&w->counters, parks);
	(void)filchi_idle_sleep(&pool->idle, &w->sleeper, NULL);
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
	while (!filchi_load_acquire(&pool->stop)) {
		uint64_t since = 0;

		while (!run_any(w)) {
			if (filchi_load_acquire(&pool->stop))
				return;
			if (!filchi_linger(pool, w, &since)) {
				park(w);
				since = 0;
			}
		}
		/* no searcher now: stays busy while jobs are at hand, but for the looks at which it is its turn to steal */
		while ((w->turn + 1) % STEAL_TURN &&
		       !(filchi_load_relaxed(&w->wanted) && filchi_injector_seems_empty(&pool->injector))) {
			w->turn++;
			if (!run_queued(w, false))
				break;
		}
		w->clock = 0;
		filchi_idle_search(&pool->idle);
		filchi_give_way(w); /* to who waited for that job, most likely */
	}
}

bool filchi_worker_make_deque(struct filchi_worker *w)
{
	if (filchi_deque_init(&w->deque, (filch_index)w->pool->config.deque_capacity, w->pool->fenced))
		return false;
	w->has_deque = true;
	/* takes by exchange also where membarrier(2) is at hand: a steal then costs no system call (docs/adr/0006) */
	return true;
}
