/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether pools that wait for each other are at a standstill, and its end: case 2 of abroad.c. All
 * of it under the lock there.
 */
#include "core/stays.h"

/* The pools that sleep together, if they do. */
struct still {
	struct filch_pool *first, *last;
	bool may_change; /* from outside, or when a deadline passes */
};

static void add(struct still *still, struct filch_pool *pool)
{
	if (pool->is_still)
		return;
	pool->is_still = true;
	pool->next_still = NULL;
	if (still->last)
		still->last->next_still = pool;
	else
		still->first = pool;
	still->last = pool;
}

static bool is_inside(const struct filchi_stay *s)
{
	return !s->serves && s->worker->pool->is_still;
}

/* The pool of the worker, and those that its workers wait for, and so on. */
static void gather(struct still *still, struct filch_pool *pool)
{
	add(still, pool);
	for (struct filch_pool *p = pool; p; p = p->next_still)
		FILCHI_EACH_STAY(s)
	if (!s->serves && s->worker->pool == p)
		add(still, s->pool);
}

/* Whether some worker of the pool runs the job, or did when it began to wait. */
static bool is_run_by_workers(const struct filch_pool *pool, const struct filchi_job *job)
{
	for (uint32_t i = 0; i < pool->running; i++) {
		struct filchi_deque *d = &filchi_worker_at(pool, i)->deque;

		for (uint32_t n = filchi_load_acquire(&d->depth); n--;)
			if (filch_load_relaxed(&d->segment[n].team) == &job->team)
				return true;
	}
	return false;
}

/* Whether a job of the pool ends by what no worker of it does: an inline job, a deferred end. */
static bool is_any_run_elsewhere(struct filch_pool *pool)
{
	const uint32_t begun = filchi_jobs_begun(&pool->jobs);

	for (uint32_t i = 0; i < begun; i++) {
		struct filchi_job *job = filchi_jobs_at(&pool->jobs, begun, i);
		unsigned state = FILCHI_JOB_STATE(filchi_load_acquire(&job->state));

		if ((state == FILCHI_JOB_RUNNING && !is_run_by_workers(pool, job)) ||
			state == FILCHI_JOB_FINISHING)
			return true;
	}
	return false;
}

/*
 * Whether jobs of these pools, which their workers alone can end, hold all of it. Then nobody else
 * can give any back.
 */
static bool is_all_held(const struct still *still, const struct filchi_source *source)
{
	uint32_t held = 0;

	for (struct filch_pool *p = still->first; p; p = p->next_still) {
		const uint32_t begun = filchi_jobs_begun(&p->jobs);

		if (is_any_run_elsewhere(p))
			return false;
		for (uint32_t i = 0; i < begun; i++) {
			struct filchi_job *job = filchi_jobs_at(&p->jobs, begun, i);

			held += filchi_job_is_pending(filchi_load_acquire(&job->state)) &&
				source->is_held_by(source->of, p, job);
		}
	}
	return held >= source->size;
}

/* The seat of a creator that is not inside a call. */
static bool is_empty_seat(const struct filch_pool *pool, struct filchi_worker *w)
{
	return pool->has_caller && w == pool->first &&
	       filchi_standstill_is_out(&w->sleeper, &w->deque.depth, &filchi_abroad_met);
}

static bool note(struct still *still, struct filch_pool *pool)
{
	pool->has_free_sleeper = false;
	if (!filchi_load_acquire(&pool->limit))
		return false; /* paused: a resume has all look again */
	for (uint32_t i = 0; i < pool->running; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);
		unsigned kind = filchi_standstill_note(&w->sleeper, &w->noted);

		if (kind == FILCHI_AWAKE) {
			if (!is_empty_seat(pool, w))
				return false;
			w->noted = FILCHI_AWAKE; /* and not its last sleep */
			still->may_change = true;
		}
		/* it has a waker on its way */
		if (kind == FILCHI_RETIRED && !filchi_limit_bars_still(&pool->limit, i))
			return false;
		if (kind == FILCHI_ASLEEP_FREE)
			pool->has_free_sleeper = true;
		if (filch_load_relaxed(&w->timed))
			still->may_change = true;
	}
	return true;
}

static bool is_same(const struct filch_pool *pool)
{
	for (uint32_t i = 0; i < pool->running; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (FILCHI_SLEEP_KIND(w->noted) == FILCHI_AWAKE
				? !is_empty_seat(pool, w)
				: !filchi_standstill_same(&w->sleeper, w->noted))
			return false;
	}
	return true;
}

/*
 * Whether a free sleeper of the pool has a job to start. Whoever has queued it wakes one. So it
 * need not be looked at again.
 */
static bool will_be_woken(struct filch_pool *pool)
{
	return pool->has_free_sleeper && !filchi_injector_seems_empty(&pool->injector);
}

/* What a sleeper of the pool waits for there, by id: false if it ends by itself just now. */
static bool own_waits_last(struct still *still, const struct filch_pool *pool)
{
	for (uint32_t i = 0; i < pool->running; i++) {
		int64_t id = (int64_t)filchi_load_acquire(&filchi_worker_at(pool, i)->awaits);
		struct filchi_job *job = filchi_job_find(&pool->jobs, id);
		uint64_t state = job ? filchi_load_acquire(&job->state) : 0;

		if (!job)
			continue;
		if (!filchi_job_is(&pool->jobs, state, id) || !filchi_job_is_pending(state) ||
			FILCHI_JOB_STATE(state) == FILCHI_JOB_FINISHING)
			return false;
		if (!is_run_by_workers(pool, job))
			still->may_change = true;
	}
	return true;
}

/* What a stay waits for: false if it ends by itself just now. */
static bool lasts(struct still *still, const struct filchi_stay *s)
{
	unsigned state = filchi_stay_state(s);

	if (s->timed)
		still->may_change = true;
	if (s->source)
		return !filchi_load_acquire(&s->pool->closing) &&
		       !s->source->is_there(s->source->of) && !s->source->may_come(s->source->of);
	if (!s->job)
		return !s->has_been_told && !filchi_stay_has_room(s);
	if (state == FILCHI_JOB_RUNNING && !is_run_by_workers(s->pool, s->job))
		still->may_change = true; /* an inline job */
	if (state == FILCHI_JOB_WAITING && is_any_run_elsewhere(s->pool))
		still->may_change = true; /* and it may follow that one */
	/* or it is published, and about to be put into the queue */
	return (state == FILCHI_JOB_QUEUED && !s->pool->has_free_sleeper) ||
	       state == FILCHI_JOB_RUNNING || state == FILCHI_JOB_WAITING;
}

static bool are_same(const struct still *still)
{
	for (struct filch_pool *p = still->first; p; p = p->next_still)
		if (!is_same(p))
			return false;
	return true;
}

static bool is_standstill(struct still *still)
{
	for (struct filch_pool *p = still->first; p; p = p->next_still)
		if (!note(still, p))
			return false;
	for (struct filch_pool *p = still->first; p; p = p->next_still)
		if (will_be_woken(p) || !own_waits_last(still, p))
			return false;
	FILCHI_EACH_STAY(s)
	if (is_inside(s) && !lasts(still, s))
		return false;
	return are_same(still);
}

/*
 * Whether nobody else holds what stays inside wait for. Asked last: it looks at all slots. All must
 * still sleep afterwards.
 */
static bool is_room_held(const struct still *still)
{
	FILCHI_EACH_STAY(s)
	if (is_inside(s) && s->source && !is_all_held(still, s->source))
		return false;
	return are_same(still);
}

/* @s can go on: its worker is woken, unless it is the one that looks. */
static void go_on(const struct filchi_stay *s, const struct filchi_worker *self)
{
	if (s->worker != self)
		(void)filchi_worker_wake(s->worker->pool, s->worker);
}

/* Case 2. False: no job can be run on top of a wait. */
static bool let_one_run(const struct filchi_worker *self)
{
	FILCHI_EACH_STAY(queued)
	{
		if (!queued->pool->is_still || !filchi_stay_may_be_run(queued))
			continue;
		FILCHI_EACH_STAY(s)
		{
			if (is_inside(s) && s->worker->pool == queued->pool && s->can_run) {
				s->may_run_any = true;
				go_on(s, self);
				return true;
			}
		}
	}
	return false;
}

/* Best a call: it had not begun. A wait for a job that runs is in a circle of the program's. */
static void refuse_one(const struct filchi_worker *self)
{
	struct filchi_stay *best = NULL;

	FILCHI_EACH_STAY(s)
	{
		bool queued = filchi_stay_state(s) == FILCHI_JOB_QUEUED || !s->job;

		if (is_inside(s) && s->kind != FILCHI_STAY_FIRM &&
			(queued || s->kind == FILCHI_STAY_WAIT) &&
			(!best || (queued && filchi_stay_state(best) == FILCHI_JOB_RUNNING)))
			best = s;
	}
	if (best) {
		best->is_refused = true;
		go_on(best, self);
	}
}

void filchi_still_end(struct filchi_worker *self, struct filch_pool *pool)
{
	struct still still = { .first = NULL };

	gather(&still, pool);
	if (is_standstill(&still) && !let_one_run(self) && !still.may_change &&
		is_room_held(&still))
		refuse_one(self);
	for (struct filch_pool *p = still.first; p; p = p->next_still)
		p->is_still = false;
}
