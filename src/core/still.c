/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether pools that wait for each other are at a standstill, and its end: case 2 of abroad.c. All
 * of it under the lock there.
 *
 * A look begins at a pool with stays, goes on to the pools that these wait for, and so on. A wait
 * for room in a completion queue leads to the pools whose jobs hold the room. To find those the
 * slots are looked at. So it is done last, of pools that have something to do with stays, and one
 * that is awake ends it.
 *
 * Whoever looks begins at each pool that has stays. One that goes to sleep, or that has changed
 * something from outside, may be the last to do so anywhere on such a way, and what it is the last
 * of may lead to it and not from it. docs/adr/0023 has for each kind of wait who looks last.
 */
#include "core/stays.h"

/* The pools that sleep together, if they do. */
struct still {
	struct filch_pool *first, *last;
	struct filch_pool *open; /* the first whose stays have not been followed */
	bool may_change;         /* from outside, or when a deadline passes */
	bool has_met_holder;     /* a pool that holds room, and is awake, ended the look */
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
	if (!still->open)
		still->open = pool;
}

static bool is_inside(const struct filchi_stay *s)
{
	return !s->serves && s->worker->pool->is_still;
}

/* The pool whose workers can end the wait; NULL: those whose jobs hold what it is for. */
static struct filch_pool *leads_to(const struct filchi_stay *s)
{
	return s->source ? s->source->pool : s->pool;
}

/* The pool, and those that its workers wait for, and so on. */
static void gather(struct still *still, struct filch_pool *pool)
{
	add(still, pool);
	for (; still->open; still->open = still->open->next_still)
		FILCHI_EACH_STAY(s)
	if (!s->serves && s->worker->pool == still->open && leads_to(s))
		add(still, leads_to(s));
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

/* Whether the context is of the job: an inline one, or its callback is called or due there. */
static bool is_of(const struct filchi_context *context, const struct filchi_job *job)
{
	const struct filchi_job_context *of = (const void *)context;
	const struct filchi_job *due;

	if (context->kind == FILCHI_CONTEXT_WORK)
		return false;
	due = context->kind == FILCHI_CONTEXT_CALLBACK ? of->due : NULL;
	while (due && due != job)
		due = filch_load_relaxed(&due->after);
	return due || of->job == job;
}

/* The same on the stack of a worker inside that waits. The frames beneath do not change. */
static bool is_run_beneath_stay(const struct filchi_job *job)
{
	FILCHI_EACH_STAY(s)
	for (struct filchi_context *c = s->context; s->worker->pool->is_still && c; c = c->outer)
		if (is_of(c, job))
			return true;
	return false;
}

/* Whether it ends by what none of those workers does: another thread, or a deferred end. */
static bool is_run_elsewhere(const struct filch_pool *pool, const struct filchi_job *job)
{
	return !is_run_by_workers(pool, job) && !is_run_beneath_stay(job);
}

/*
 * Whether the timer ends the job when its finish_by has come: it has not started, in state word @s.
 * Of one that runs the timer only raises a flag, which nobody sees who sleeps. Where the slot has
 * another job by now, something has changed.
 */
static bool is_ended_by_timer(struct filchi_job *job, uint64_t s)
{
	const unsigned unstarted = 1u << FILCHI_JOB_QUEUED | 1u << FILCHI_JOB_WAITING;

	return unstarted >> FILCHI_JOB_STATE(s) & 1 &&
	       (filchi_load_acquire(&job->finish_by) ||
		       FILCHI_JOB_GENERATION(filchi_load_acquire(&job->state)) !=
			       FILCHI_JOB_GENERATION(s));
}

/* Whether one of the pool's jobs in these states ends by what none of those workers does. */
static bool is_any_ended_elsewhere(struct filch_pool *pool, unsigned states)
{
	const uint32_t begun = filchi_jobs_begun(&pool->jobs);

	for (uint32_t i = 0; i < begun; i++) {
		struct filchi_job *job = filchi_jobs_at(&pool->jobs, begun, i);
		uint64_t s = filchi_load_acquire(&job->state);

		if (is_ended_by_timer(job, s) ||
			(states >> FILCHI_JOB_STATE(s) & 1 && is_run_elsewhere(pool, job)))
			return true;
	}
	return false;
}

#define ENDING (1u << FILCHI_JOB_FINISHING)
#define BEGUN  (1u << FILCHI_JOB_RUNNING | ENDING)

/*
 * How many unfinished jobs of the pool hold some of it; or that some do. @lasting: but for those
 * that a free sleeper will run. Such a one is published, and about to be put into the queue.
 */
static uint32_t count_held(
	struct filch_pool *pool, const struct filchi_source *source, uint32_t enough, bool lasting)
{
	const uint32_t begun = filchi_jobs_begun(&pool->jobs);
	uint32_t held = 0;

	for (uint32_t i = 0; i < begun && held < enough; i++) {
		struct filchi_job *job = filchi_jobs_at(&pool->jobs, begun, i);

		uint64_t state = filchi_load_acquire(&job->state);

		if (lasting && pool->has_free_sleeper &&
			FILCHI_JOB_STATE(state) == FILCHI_JOB_QUEUED)
			continue;
		held += filchi_job_is_pending(state) && source->is_held_by(source->of, pool, job);
	}
	return held;
}

/* A submit that waits for one thing may hold another. So may one that is buried. */
static bool is_held_by_stay(const struct filchi_source *source, const struct filchi_stay *s)
{
	return s->slot ? source->is_held_by(source->of, s->pool, s->slot)
		       : s->group && s->group == source->of;
}

static bool is_held_outside(const struct filchi_source *source, const struct filchi_outsider *o)
{
	return o->slot ? source->is_held_by(source->of, o->pool, o->slot) : o->group == source->of;
}

/*
 * Whether each that counts as queued is: nobody has been admitted and is about to publish a job, or
 * has ended one and is about to give its room back. Else there is room, or will be.
 */
static bool is_queue_full(struct filch_pool *pool)
{
	const uint32_t begun = filchi_jobs_begun(&pool->jobs);
	const int64_t counted = filchi_load_acquire(&pool->injector.queued);
	int64_t queued = 0;

	for (uint32_t i = 0; i < begun; i++) {
		const struct filchi_job *job = filchi_jobs_at(&pool->jobs, begun, i);

		queued += FILCHI_JOB_STATE(filchi_load_acquire(&job->state)) == FILCHI_JOB_QUEUED;
	}
	return counted >= pool->injector.capacity && queued == counted &&
	       filchi_load_acquire(&pool->injector.queued) == counted;
}

static bool is_all_held(const struct still *still, const struct filchi_source *source);

/*
 * Whether the submit goes on only if what stands still does. It gives up when its pool closes. What
 * it waits for is held by jobs, and by submits that wait for room in a queue: so this is no circle.
 */
static bool is_outsider_stuck(const struct still *still, const struct filchi_outsider *o)
{
	if (!o->is_followed || filchi_load_acquire(&o->pool->closing))
		return false;
	if (o->source)
		return !o->source->is_there(o->source->of) && !o->source->may_come(o->source->of) &&
		       is_all_held(still, o->source);
	return o->pool->is_still && !o->pool->has_free_sleeper && is_queue_full(o->pool);
}

/*
 * Whether jobs of these pools, which their workers alone can end, hold all of it, and submits that
 * wait for these workers. Then nobody else can give any back.
 */
static bool is_all_held(const struct still *still, const struct filchi_source *source)
{
	uint32_t held = 0;

	for (struct filch_pool *p = still->first; p; p = p->next_still) {
		if (is_any_ended_elsewhere(p, BEGUN))
			return false;
		held += count_held(p, source, UINT32_MAX, true);
	}
	FILCHI_EACH_STAY(s)
	held += s->worker->pool->is_still && is_held_by_stay(source, s);
	FILCHI_EACH_OUTSIDER(o)
	held += is_held_outside(source, o) && is_outsider_stuck(still, o);
	return held >= source->size;
}

/* The seat of a creator that is not inside a call. */
static bool is_empty_seat(const struct filch_pool *pool, struct filchi_worker *w)
{
	return pool->has_caller && w == pool->first &&
	       filchi_standstill_is_out(&w->sleeper, &w->deque.depth, &filchi_abroad_words.met);
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
			(FILCHI_JOB_STATE(state) == FILCHI_JOB_FINISHING &&
				!is_run_beneath_stay(job)))
			return false;
		if (is_run_elsewhere(pool, job))
			still->may_change = true;
	}
	return true;
}

/*
 * Whether one that waits may be made ready. In this order: who ends the last before it counts as a
 * release before that is over, until it is ready.
 */
static bool may_be_ready(struct filch_pool *pool)
{
	return is_any_ended_elsewhere(pool, BEGUN) || filchi_load_acquire(&pool->releases);
}

/* Whether a job may leave the queue, or is about to give its room back. */
static bool may_leave_queue(struct filch_pool *pool)
{
	return filchi_load_acquire(&pool->timer) && is_any_ended_elsewhere(pool, ENDING);
}

/* What a stay waits for, a job: false if it ends by itself just now. Its time is read before. */
static bool job_lasts(struct still *still, const struct filchi_stay *s)
{
	const bool timed = is_ended_by_timer(s->job, filchi_load_acquire(&s->job->state));
	const unsigned state = filchi_stay_state(s);

	if (timed || (state == FILCHI_JOB_RUNNING && is_run_elsewhere(s->pool, s->job)) ||
		(state == FILCHI_JOB_WAITING && may_be_ready(s->pool)))
		still->may_change = true;
	/* or it is published, and about to be put into the queue */
	return (state == FILCHI_JOB_QUEUED && !s->pool->has_free_sleeper) ||
	       state == FILCHI_JOB_RUNNING || state == FILCHI_JOB_WAITING ||
	       (state == FILCHI_JOB_FINISHING && is_run_beneath_stay(s->job));
}

/* The same for whatever it is. */
static bool lasts(struct still *still, const struct filchi_stay *s)
{
	if (s->may_run_any || s->is_refused)
		return false; /* and its worker has been woken, or is the one that looks */
	if (s->timed)
		still->may_change = true;
	if (s->source)
		return !filchi_load_acquire(&s->pool->closing) &&
		       !s->source->is_there(s->source->of) && !s->source->may_come(s->source->of);
	if (s->job)
		return job_lasts(still, s);
	/* room in a queue: who has taken it is about to put a job there, and to wake the sleeper */
	if (s->has_been_told || s->pool->has_free_sleeper)
		return false;
	if (may_leave_queue(s->pool))
		still->may_change = true;
	return !filchi_stay_has_room(s);
}

static bool are_same(const struct still *still)
{
	for (struct filch_pool *p = still->first; p; p = p->next_still)
		if (!is_same(p))
			return false;
	return true;
}

static bool note_from(struct still *still, struct filch_pool *pool)
{
	for (; pool; pool = pool->next_still)
		if (!note(still, pool))
			return false;
	return true;
}

static bool do_all_last(struct still *still)
{
	for (struct filch_pool *p = still->first; p; p = p->next_still)
		if (will_be_woken(p) || !own_waits_last(still, p))
			return false;
	FILCHI_EACH_STAY(s)
	if (is_inside(s) && !lasts(still, s))
		return false;
	return true;
}

/* A pool that holds some of what a stay waits for comes inside, and is noted. */
static bool note_holder(struct still *still, struct filch_pool *pool)
{
	struct filch_pool *last = still->last;

	gather(still, pool);
	still->has_met_holder = still->last != last && !note_from(still, last->next_still);
	return !still->has_met_holder;
}

/* The same, if jobs of the pool hold some. */
static bool note_if_holder(
	struct still *still, const struct filchi_source *source, struct filch_pool *pool)
{
	return pool->is_still || !count_held(pool, source, 1, false) || note_holder(still, pool);
}

static bool note_holders_of(
	struct still *still, const struct filchi_source *source, struct filch_pool *pool);

/* What a submit from outside that holds some waits for. */
static bool note_outsiders(struct still *still, const struct filchi_source *source)
{
	FILCHI_EACH_OUTSIDER(o)
	{
		if (o->is_followed || !is_held_outside(source, o))
			continue;
		o->is_followed = true;
		if (o->source ? !note_holders_of(still, o->source, o->pool)
			      : !note_holder(still, o->pool))
			return false;
	}
	return true;
}

/*
 * The pools that hold some of it, as far as they have to do with stays; most likely first, @pool,
 * to which who waits for it submits.
 */
static bool note_holders_of(
	struct still *still, const struct filchi_source *source, struct filch_pool *pool)
{
	if (source->pool)
		return note_holder(still, source->pool) && note_outsiders(still, source);
	if (!note_if_holder(still, source, pool))
		return false;
	FILCHI_EACH_STAY(other)
	if ((is_held_by_stay(source, other) && !note_holder(still, other->worker->pool)) ||
		!note_if_holder(still, source, other->worker->pool) ||
		!note_if_holder(still, source, other->pool))
		return false;
	return note_outsiders(still, source);
}

/* Of other pools nothing is known: they are missed when what is held is counted. */
static bool note_holders(struct still *still)
{
	struct filch_pool *last;

	do {
		last = still->last;
		FILCHI_EACH_STAY(s)
		if (is_inside(s) && s->source && !note_holders_of(still, s->source, s->pool))
			return false;
	} while (still->last != last);
	return true;
}

/* What lasts is looked at before the slots are, and again when all have been noted. */
static bool is_standstill(struct still *still)
{
	const struct filch_pool *last = still->last;

	return note_from(still, still->first) && do_all_last(still) && note_holders(still) &&
	       (still->last == last || do_all_last(still)) && are_same(still);
}

/*
 * Whether nobody else holds what stays inside wait for. Asked last: it counts in all slots. All
 * must still sleep afterwards.
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

/*
 * A wait for a job of the worker's own pool: one that runs, and cannot end before the wait does.
 * The word says for which sleep it is meant.
 */
static void refuse_own(const struct still *still)
{
	for (struct filch_pool *p = still->first; p; p = p->next_still)
		for (uint32_t i = 0; i < p->running; i++) {
			struct filchi_worker *w = filchi_worker_at(p, i);

			if (!filchi_load_acquire(&w->awaits))
				continue;
			filchi_store_release(&w->refused, w->noted);
			(void)filchi_worker_wake(p, w);
			return;
		}
}

/* Best a call: it had not begun. A wait for a job that runs is in a circle of the program's. */
static void refuse_one(const struct still *still, const struct filchi_worker *self)
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
	} else {
		refuse_own(still);
	}
}

/* How many pools these were. */
static uint32_t forget(const struct still *still)
{
	uint32_t n = 0;

	for (struct filch_pool *p = still->first; p; p = p->next_still, n++)
		p->is_still = false;
	return n;
}

/*
 * A look that begins at @pool. NULL, or the word to be left: all sleep, and nobody could be told as
 * yet; or a pool that holds room is awake. Its job may have given that back by now, and no stay
 * need be of that pool when its worker sleeps.
 */
static filch_atomic_u32 *look_once(const struct filchi_worker *self, struct filch_pool *pool)
{
	struct still still = { .first = NULL };
	bool is_over;

	FILCHI_EACH_OUTSIDER(o)
	o->is_followed = false;
	gather(&still, pool);
	is_over = !is_standstill(&still) || let_one_run(self);
	if (!is_over && !still.may_change && is_room_held(&still)) {
		refuse_one(&still, self);
		is_over = true;
	}
	(void)forget(&still);
	if (still.has_met_holder)
		return &filchi_abroad_words.met_holder;
	return is_over ? NULL : &filchi_abroad_words.missed;
}

/* What may yet change it may be over by now, or is told of: A6. */
static void look_from(const struct filchi_worker *self, struct filch_pool *pool)
{
	filch_atomic_u32 *word = look_once(self, pool), *left = NULL;

	while (word && word != left) {
		left = word;
		filchi_standstill_miss(word);
		word = look_once(self, pool);
	}
}

/* How far a look from there leads. */
static uint32_t reach_of(struct filch_pool *pool)
{
	struct still still = { .first = NULL };

	gather(&still, pool);
	return forget(&still);
}

/* The pool with stays from which a look leads least far, of those not begun at; or NULL. */
static struct filch_pool *next_root(void)
{
	struct filch_pool *next = NULL;

	FILCHI_EACH_STAY(s)
	if (!s->serves && s->worker->pool->reach && (!next || s->worker->pool->reach < next->reach))
		next = s->worker->pool;
	return next;
}

/*
 * From each, and from those first that lead least far: what is to be told to one of these, others
 * may wait for. Nor is it over when one has been told. It may be outside of what stands still
 * elsewhere, and nobody looks at that when it sleeps again.
 */
void filchi_still_look(const struct filchi_worker *self)
{
	struct filch_pool *pool;

	FILCHI_EACH_STAY(s)
	s->worker->pool->reach = 0;
	FILCHI_EACH_STAY(s)
	if (!s->serves && !s->worker->pool->reach)
		s->worker->pool->reach = reach_of(s->worker->pool);
	while ((pool = next_root())) {
		pool->reach = 0;
		look_from(self, pool);
	}
}
