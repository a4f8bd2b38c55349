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
			filchi_worker_woken(w);
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
	team = filchi_segment_find(d, filchi_deque_top(d), &scope);
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

void filchi_waking_found(struct filchi_worker *w, struct filchi_worker *victim)
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
	filchi_waking_ask_all(pool);
	(void)wake_next(w);
}

void filchi_worker_pass_on(struct filchi_worker *w)
{
	if (filchi_policy_passes_on(filchi_fence_then_load_acquire(&w->pool->idle.counts)))
		(void)wake_next(w);
}
