/* SPDX-License-Identifier: Apache-2.0 */
/* Whom to wake, and when: see worker.h; the protocol is in idle.h. */
#include "core/waking.h"

#include "core/abroad.h"
#include "core/fault.h"
#include "core/trace_events.h"
#include "core/worker.h"
#include "struct/policy.h"
#include "struct/share.h"

void filchi_worker_woken(struct filchi_worker *w)
{
	struct filch_pool *pool = w->pool;

	(void)filchi_fetch_add_acq_rel(&pool->external.wakes, 1);
	filchi_trace(pool, WAKE, w->id, pool->number);
	FILCHI_PROBE(wake, w->id, pool);
}

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
	filchi_worker_woken(w);
	return true;
}

/* Wakes @w out of the sleep that @state says. False: it has ended. */
static bool wake(struct filch_pool *pool, struct filchi_worker *w, uint32_t state)
{
	FILCH_HOOK(wake_chosen);
	if (!filchi_idle_wake(&pool->idle, &w->sleeper, state))
		return false;
	filchi_worker_woken(w);
	return true;
}

/*
 * Wakes the nearest sleeper that may run work of @team's job, of @scope; one that is free only if
 * @free. Near is seen from worker @near, which itself comes first. Returns the kind of the sleeper
 * woken, or 0. Sets *@more if another sleeper could also have run it.
 */
static unsigned wake_one(struct filch_pool *pool, uint32_t near, const struct filchi_team *team,
	const struct filchi_segment *scope, bool free, bool *more)
{
	const uint16_t *order = pool->plan->order + (size_t)near * (pool->workers - 1);
	unsigned woken = 0;

	*more = false;
	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(
			pool, filchi_policy_sleeper(order, near, false, pool->workers, i));
		uint32_t state = filchi_sleeper_serves(&w->sleeper, team, scope);

		if (!state ||
			(FILCH_UNLIKELY(scope != NULL) && !filchi_places_take(scope, w->id, NULL)))
			continue;
		if (filchi_policy_leaves(state, free, woken)) {
			*more = true;
			break;
		}
		if (wake(pool, w, state))
			woken = FILCHI_SLEEP_KIND(state);
	}
	return woken;
}

/*
 * Wakes the nearest free sleeper for a job; @near itself first, or with @last after all others.
 * Returns it, or NULL.
 */
static struct filchi_worker *wake_free(struct filch_pool *pool, uint32_t near, bool last)
{
	const uint16_t *order = pool->plan->order + (size_t)near * (pool->workers - 1);

	for (uint32_t i = 0; i < pool->workers; i++) {
		struct filchi_worker *w = filchi_worker_at(
			pool, filchi_policy_sleeper(order, near, last, pool->workers, i));
		uint32_t state = filchi_sleeper_serves(&w->sleeper, NULL, NULL);

		if (state && wake(pool, w, state))
			return w;
	}
	return NULL;
}

/*
 * Wakes a sleeper for what lies at the top of @victim's deque, if something does. True: a free one,
 * a searcher from now on.
 */
static bool wake_for(struct filch_pool *pool, uint32_t near, struct filchi_worker *victim)
{
	struct filchi_deque *d = &victim->deque;
	struct filchi_segment *scope;
	struct filchi_team *team;
	bool more;

	if (filchi_deque_seems_empty(d))
		return false;
	team = filchi_segment_find(d, filchi_deque_top(d), &scope);
	return wake_one(pool, near, team, scope, true, &more) == FILCHI_ASLEEP_FREE;
}

/*
 * The last searcher has found work while others sleep: looks at everything once more, and wakes the
 * next worker if there is more. Posters may have relied on this look. The one woken is a searcher
 * and owes the same in turn, so one is enough. A bound worker does not: it owes no look. So this
 * goes on until it has woken a free one, which is true, or has seen all.
 */
static bool wake_next(struct filch_pool *pool, uint32_t near)
{
	for (uint32_t i = 0; i < pool->workers; i++)
		if (wake_for(pool, near, filchi_worker_at(pool, i)))
			return true;
	return !filchi_injector_seems_empty(&pool->injector) && wake_free(pool, near, false);
}

void filchi_waking_ask_all(struct filch_pool *pool)
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
 * A caller relies on those who search: whether others have for too long, and none of them has
 * looked.
 */
static bool are_missing(struct filch_pool *pool, uint64_t counts)
{
	uint64_t now;

	if (!filchi_policy_may_miss(counts, filch_load_relaxed(&pool->limit), pool->plan->usable))
		return false;
	now = filchi_now();
	return filchi_policy_missing(now, filchi_idle_relies(&pool->idle, now));
}

/* Whether none of them has looked since somebody relied on them, and should have. */
static bool are_unseen(struct filch_pool *pool, uint64_t counts)
{
	return filch_load_relaxed(&pool->idle.relied) &&
	       filchi_policy_may_miss(counts, filch_load_relaxed(&pool->limit), pool->plan->usable);
}

/* What a search owes that has ended, as the last perhaps. Near is seen from worker @near. */
static void owe(struct filch_pool *pool, uint32_t near)
{
	if (wake_next(pool, near) || !filchi_idle_was_trusted(&pool->idle))
		return;
	FILCH_HOOK(trust_ends);
	filchi_waking_ask_all(pool);
	(void)wake_next(pool, near);
}

/* Ends the searches of workers that do not look. Returns the counts. */
static uint64_t miss_all(struct filch_pool *pool, uint32_t near)
{
	bool owes = false, last;

	for (uint32_t i = 0; i < pool->workers; i++)
		if (filchi_idle_miss(&pool->idle, &filchi_worker_at(pool, i)->sleeper, &last))
			owes |= last;
	filchi_idle_looks(&pool->idle); /* whoever is woken now has a time of its own */
	if (owes)
		owe(pool, near);
	return filchi_idle_posted(&pool->idle);
}

bool filchi_waking_hurry(struct filch_pool *pool)
{
	uint64_t counts = filchi_idle_posted(&pool->idle);

	if (!FILCHI_IDLE_FREES(counts))
		return false;
	if (FILCHI_IDLE_SEARCH(counts) > 0 && are_missing(pool, counts))
		(void)miss_all(pool, 0);
	return true;
}

/*
 * Whether a job that was put into the injector wakes a free worker, seen from worker @near.
 * @held: so many searchers cannot search until the poster makes way.
 */
static bool wants_one(struct filch_pool *pool, uint64_t counts, int64_t held, uint32_t near)
{
	if (!FILCHI_IDLE_FREES(counts) || filchi_policy_posted(counts, held))
		return FILCHI_IDLE_FREES(counts);
	return are_missing(pool, counts) && filchi_policy_posted(miss_all(pool, near), 0);
}

/*
 * A client that goes on is on the core of @here, which cannot search until the client's time slice
 * ends: others do not rely on it. Returns the counts.
 */
static uint64_t miss_one(struct filch_pool *pool, struct filchi_worker *here, uint64_t counts)
{
	bool last;

	if (FILCHI_IDLE_SEARCH(counts) <= 0 ||
		!filchi_idle_miss(&pool->idle, &here->sleeper, &last))
		return counts;
	if (last)
		owe(pool, here->id);
	return filchi_idle_posted(&pool->idle);
}

bool filchi_worker_posted(struct filch_pool *pool)
{
	uint64_t counts = filchi_idle_posted(&pool->idle);
	struct filchi_client *client = filchi_client_here();
	struct filchi_worker *self = filchi_worker_self(), *here, *woken;
	uint32_t near;
	bool first;

	FILCH_HOOK(posted_counted);
	client->has_woken = false;
	if (!FILCHI_IDLE_FREES(counts))
		return false;
	if (self && self->pool == pool)
		return wants_one(pool, counts, 0, self->id) && wake_free(pool, self->id, false);
	here = filchi_worker_on_cpu(pool);
	near = here ? here->id : 0;
	first = !here || filchi_client_waits(client);
	if (!first)
		counts = miss_one(pool, here, counts);
	if (!wants_one(pool, counts, client->overdue == pool, near))
		return false;
	woken = wake_free(pool, near, !first);
	client->has_woken = woken;
	client->overdue = woken && woken == here && filchi_client_waits(client) ? pool : NULL;
	return woken;
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
		if (asked != FILCHI_ASKED_ANY && are_missing(pool, counts)) {
			counts = miss_all(pool, w->id);
			continue;
		}
		if (!more)
			woken = wake_one(pool, w->id, filchi_segment_team(&w->deque),
				filchi_segment_scope(&w->deque), asked == FILCHI_ASKED_ANY, &more);
		switch (filchi_policy_then(asked, woken, more, &w->vain)) {
		case FILCHI_THEN_TRUST:
			if (!are_unseen(pool, counts))
				break;
			/* fallthrough */
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

void filchi_waking_found(struct filchi_worker *w, struct filchi_worker *victim)
{
	struct filch_pool *pool = w->pool;
	bool last = filchi_idle_found(&pool->idle, &w->sleeper);

	if (victim && filchi_policy_grows(filch_load_relaxed(&pool->idle.counts),
			      filch_load_relaxed(&pool->limit))) {
		if (wake_for(pool, w->id, victim))
			return;
		filchi_idle_ask(&victim->deque);
	}
	if (last)
		owe(pool, w->id);
}

void filchi_worker_pass_on(struct filchi_worker *w)
{
	if (filchi_policy_passes_on(filchi_fence_then_load_acquire(&w->pool->idle.counts)))
		(void)wake_next(w->pool, w->id);
}
