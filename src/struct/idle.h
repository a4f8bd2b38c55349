/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sleeps, and who is woken. docs/idle-protocol.md has the states and the proof of this code.
 *
 * A worker that has looked in vain for a while parks on its own word. New work wakes at most one
 * parked worker: the nearest that may run it. Two kinds sleep:
 * - free: with an empty stack; it may run anything;
 * - bound: with a suspended frame; it may run work of one or two jobs only (rule 3). It waits above
 *   all for one event, the end of a task or of a job.
 * A third kind, retired, may take no work, and no work wakes it: struct/limit.h.
 *
 * counts, one word:  47..32 searching | 31..16 asleep, bound | 15..0 asleep, free
 *
 * searching = awake, free, on its way to look at everything. A waker counts the worker it wakes as
 * a searcher, so that posters see it at once. It does so after its CAS. Until then two counts are
 * off, and neither loses anything:
 * - the number of sleepers is too high, and a poster looks in vain;
 * - the number of searchers is too low, even negative. A poster wakes one more, and a searcher may
 *   take itself for the last one and look in vain. It never takes itself for another than the last.
 *
 * sleeper.state:
 *   awake  -> asleep   the worker itself, in prepare()
 *   asleep -> awake    the winner of the CAS: the worker itself, in cancel(), or one waker
 *
 * The parking worker           | A poster of work
 *   1 state = ASLEEP, count it |   a publish (bottom, or the SCQ's tail)
 *   2 ask = 1 at every deque   |   b full fence (light for a push: its read of ask follows)
 *   3 full fence (heavy)       |   c read ask, then counts: wake one that may run it
 *   4 look at everything again |
 *   5 sleep on the word        |
 * If 3 comes before b, the poster sees 1 and 2; else the parking worker sees a in 4. A poster that
 * finds a searcher on its way wakes nobody. For a searcher ends its search in one of two ways:
 * - by looking once more, after a full fence, and waking the next;
 * - by parking, which is 1 to 5.
 *
 * Trust. While searchers are on their way and others sleep, a spawner would raise its ask for each
 * next push and wake nobody. After some it trusts the searchers instead: it leaves its ask low and
 * says so in `trusted`. The last searcher that finds work, and wakes no other, ends that trust: it
 * raises ask where it is low, passes a heavy fence, and looks once more. A parking one does the
 * same by its steps 2 to 4.
 *
 * Missed. A searcher may be stopped, or get no core, while posters rely on it. Any thread may then
 * end its search in its place, filchi_idle_miss(), and owes what the searcher would have owed. The
 * searcher sees that when it ends its search itself: it begins one anew, and ends that. `search`
 * decides which of the two it is:
 *   none    -> counted  the searcher, after a look in vain; before its sleep, for the next one
 *   counted -> none     the searcher, at its end
 *   counted -> missed   any thread, by CAS
 *   missed  -> none     the searcher, at its end: it counts itself anew
 */
#ifndef FILCHI_IDLE_H
#define FILCHI_IDLE_H

#include "struct/deque.h"

#if !defined(FILCH_MODEL)
#include "base/park_futex.h"
#else
struct timespec; /* only its pointer passes through */
#endif

/*
 * state:  31..2 number of this sleep | 1..0 kind
 *
 * The number makes each sleep's value its own. So a waker's CAS can only end the sleep it looked
 * at, whose kind and filter it has read.
 */
enum { FILCHI_AWAKE = 0, FILCHI_ASLEEP_FREE = 1, FILCHI_ASLEEP_BOUND = 2, FILCHI_RETIRED = 3 };
#define FILCHI_SLEEP_KIND(state) ((state)&3u)
#define FILCHI_SLEEP_NEXT(state) (((state) | 3u) + 1u)

#define FILCHI_IDLE_FREE      UINT64_C(1)         /* one asleep with an empty stack */
#define FILCHI_IDLE_BOUND     (UINT64_C(1) << 16) /* one asleep with a suspended frame */
#define FILCHI_IDLE_SEARCHER  (UINT64_C(1) << 32)
#define FILCHI_IDLE_ASLEEP(c) ((c)&UINT64_C(0xffffffff))
#define FILCHI_IDLE_FREES(c)  ((c)&UINT64_C(0xffff))
#define FILCHI_IDLE_BOUNDS(c) (((c) >> 16) & UINT64_C(0xffff))
/* may be below the truth, and below 0, while a waker has yet to count */
#define FILCHI_IDLE_SEARCH(c) ((int64_t)(c) >> 32)

/*
 * search: 31..2 number of the sleep before it | 1..0 kind
 *
 * It holds only while the worker is awake and its last sleep had that number.
 */
enum { FILCHI_SEARCH_NONE = 0, FILCHI_SEARCH_COUNTED = 1, FILCHI_SEARCH_MISSED = 2 };

struct filchi_sleeper {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 state; /* the word it sleeps on */
	/* bound: the jobs whose work it may run; wakers read it */
	FILCH_ATOMIC(struct filchi_team *) team[2];
	FILCH_ATOMIC(const struct filchi_segment *) scope; /* of the first; compared, never read */
	/* the state of the last sleep that its worker has decided on: struct/standstill.h */
	filch_atomic_u32 settled;
	filch_atomic_u32 search; /* whether others may end its search in its place */
};

struct filchi_idle {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 counts;
	filch_atomic_u32 trusted; /* 1: some spawner has left its ask low */
	/*
	 * since when somebody has relied on searchers, none of which has looked since; 0 = not.
	 * Advice: no proof relies on it.
	 */
	filch_atomic_u64 relied;
};

static inline void filchi_idle_init(struct filchi_idle *idle)
{
	filch_store_relaxed(&idle->counts, 0);
	filch_store_relaxed(&idle->trusted, 0);
	filch_store_relaxed(&idle->relied, 0);
}

static inline void filchi_sleeper_init(struct filchi_sleeper *s)
{
	filch_store_relaxed(&s->state, FILCHI_AWAKE);
	filch_store_relaxed(&s->team[0], NULL);
	filch_store_relaxed(&s->team[1], NULL);
	filch_store_relaxed(&s->scope, NULL);
	filch_store_relaxed(&s->settled, FILCHI_AWAKE);
	filch_store_relaxed(&s->search, FILCHI_SEARCH_NONE);
}

/* A free worker begins to search, having been neither woken nor counted. */
static inline void filchi_idle_search(struct filchi_idle *idle)
{
	(void)filchi_fetch_add_acq_rel(&idle->counts, FILCHI_IDLE_SEARCHER);
}

/* A searcher has looked in vain and looks on. From now on others may end its search. */
static inline void filchi_idle_lingers(struct filchi_sleeper *s)
{
	/* its owner alone writes it in this state, and writes the number beside it */
	if (FILCHI_SLEEP_KIND(filch_load_relaxed(&s->search)) == FILCHI_SEARCH_NONE)
		filchi_store_release(
			&s->search, (filch_load_relaxed(&s->state) & ~3u) | FILCHI_SEARCH_COUNTED);
}

/* A searcher is about to end its search. If that was ended in its place, it begins one anew. */
static inline void filchi_idle_return(struct filchi_idle *idle, struct filchi_sleeper *s)
{
	if (FILCHI_SLEEP_KIND(filch_load_relaxed(&s->search)) == FILCHI_SEARCH_NONE)
		return;
	FILCH_HOOK(search_ends);
	if (FILCHI_SLEEP_KIND(filchi_exchange_acq_rel(&s->search, FILCHI_SEARCH_NONE)) ==
		FILCHI_SEARCH_MISSED)
		filchi_idle_search(idle);
}

/*
 * A search ends that has found work, or that others end. True: it may have been the last, and
 * others sleep. The caller must then look once more, and wake the next if work is left. The
 * read-modify-write is the fence that orders its look after the posts of those that relied on that
 * search.
 *
 * Not only at 1: its waker may not have counted it yet, and has left the rest of the work to it.
 */
static inline bool filchi_idle_finish(struct filchi_idle *idle)
{
	uint64_t old = filchi_fetch_sub_seq_cst(&idle->counts, FILCHI_IDLE_SEARCHER);

	/*
	 * FENCE I6   count down -> look once more   pairs with: I3, I4 and I7
	 * Ensures:   our look sees the work of a poster that woke nobody because of us, and the
	 *            trust of a spawner that relies on us.
	 * Without:   a poster relies on a searcher that has looked already.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/model/c11/idle.c, mutants chain_left_out, uncounted_looks_not,
	 *            missed_looks_not, found_without_fence (the last by a model checker only)
	 */
	return FILCHI_IDLE_SEARCH(old) <= 1 && FILCHI_IDLE_ASLEEP(old) &&
	       FILCHI_IDLE_ASLEEP(filchi_rmw_fence_then_load_acquire(&idle->counts));
}

/* A searcher has found work. True: the caller owes what filchi_idle_finish() says. */
static inline bool filchi_idle_found(struct filchi_idle *idle, struct filchi_sleeper *s)
{
	filchi_idle_return(idle, s);
	return filchi_idle_finish(idle);
}

/*
 * Any thread: ends the search of a worker that seems not to look. False: there is none, or it has
 * ended. *@last: the caller owes what filchi_idle_finish() says. A searcher that looks after all
 * has done so in vain for others, and nothing else is lost.
 */
static inline bool filchi_idle_miss(struct filchi_idle *idle, struct filchi_sleeper *s, bool *last)
{
	/* in this order: what it writes before a sleep is not taken for the present search */
	uint32_t search = filchi_load_acquire(&s->search);

	if (FILCHI_SLEEP_KIND(search) != FILCHI_SEARCH_COUNTED ||
		filchi_load_acquire(&s->state) != (search & ~3u))
		return false;
	FILCH_HOOK(miss_decided);
	if (!filchi_cas_acq_rel(&s->search, &search, (search & ~3u) | FILCHI_SEARCH_MISSED))
		return false;
	FILCH_HOOK(missed_uncounted);
	*last = filchi_idle_finish(idle);
	return true;
}

/* A searcher is about to look at everything. */
static inline void filchi_idle_looks(struct filchi_idle *idle)
{
	if (FILCH_UNLIKELY(filch_load_relaxed(&idle->relied)))
		filch_store_relaxed(&idle->relied, 0);
}

/*
 * Somebody relies on searchers at @now. Returns since when others have, and none has looked.
 */
static inline uint64_t filchi_idle_relies(struct filchi_idle *idle, uint64_t now)
{
	uint64_t since = filch_load_relaxed(&idle->relied);

	if (since)
		return since;
	filch_store_relaxed(&idle->relied, now);
	return now;
}

/*
 * Step 1. A free worker (filter->any) is a searcher until here. Then it must, before it calls
 * filchi_idle_sleep():
 * - raise ask at every deque,
 * - pass the heavy fence,
 * - look at everything again, and call filchi_idle_cancel() if it found something.
 */
static inline void filchi_idle_prepare(
	struct filchi_idle *idle, struct filchi_sleeper *s, const struct filchi_filter *filter)
{
	/* awake: nobody else writes it */
	uint32_t state = FILCHI_SLEEP_NEXT(filch_load_relaxed(&s->state));

	if (filter->any) {
		filchi_idle_return(idle, s);
		/* it is a searcher when it is woken, and others may have to end that search */
		filch_store_relaxed(&s->search, state | FILCHI_SEARCH_COUNTED);
	}
	filch_store_relaxed(&s->team[0], filter->team[0]);
	filch_store_relaxed(&s->team[1], filter->team[1]);
	filch_store_relaxed(&s->scope, filter->scope);
	/* counted before it can be woken, so that the counts never run below the truth */
	(void)filchi_fetch_add_seq_cst(&idle->counts,
		filter->any ? FILCHI_IDLE_FREE - FILCHI_IDLE_SEARCHER : FILCHI_IDLE_BOUND);
	/*
	 * FENCE I2   count, state = asleep -> look again   pairs with: I1 in filch_push(), I3, I4
	 * Ensures:   a poster sees the sleeper, or the sleeper sees the work.
	 * Without:   work lies there while a worker sleeps.
	 * Weaker?    no: store->load. Full here, for I3 and I4. Against the light I1 the caller
	 *            raises ask and adds the heavy fence before its look.
	 * Checked:   tests/model/c11/idle.c, mutant park_without_second_look
	 */
	filchi_store_then_fence(
		&s->state, state | (filter->any ? FILCHI_ASLEEP_FREE : FILCHI_ASLEEP_BOUND));
}

/*
 * Ends the sleep whose state was @asleep, unless it has ended already. A free worker becomes a
 * searcher, whichever thread ends its sleep; a retired one does not.
 */
static inline bool filchi_idle_end(
	struct filchi_idle *idle, struct filchi_sleeper *s, uint32_t asleep)
{
	if (!filchi_cas_acq_rel(&s->state, &asleep, asleep & ~3u))
		return false;
	if (FILCHI_SLEEP_KIND(asleep) == FILCHI_RETIRED)
		return true; /* it is in no count */
	FILCH_HOOK(woken_uncounted);
	(void)filchi_fetch_add_acq_rel(
		&idle->counts, FILCHI_SLEEP_KIND(asleep) == FILCHI_ASLEEP_FREE
				       ? FILCHI_IDLE_SEARCHER - FILCHI_IDLE_FREE
				       : -FILCHI_IDLE_BOUND);
	return true;
}

/* Sleeper: it found something after all, or its event has come. */
static inline void filchi_idle_cancel(struct filchi_idle *idle, struct filchi_sleeper *s)
{
	uint32_t state = filchi_load_acquire(&s->state);

	if (FILCHI_SLEEP_KIND(state) != FILCHI_AWAKE)
		/* false: a waker was faster, and has done the counting */
		(void)filchi_idle_end(idle, s, state);
}

/*
 * Step 5: sleeps until woken, or until @deadline (NULL = none). False: the deadline came first, and
 * the sleep is ended. In a model the driver defines the park.
 */
static inline bool filchi_idle_sleep(
	struct filchi_idle *idle, struct filchi_sleeper *s, const struct timespec *deadline)
{
	uint32_t state;

	while (FILCHI_SLEEP_KIND(state = filchi_load_acquire(&s->state)) != FILCHI_AWAKE) {
		if (FILCHI_PARK(&s->state, state, deadline)) {
			filchi_idle_cancel(idle, s);
			return false;
		}
	}
	return true;
}

/*
 * Waker: ends the sleep that filchi_sleeper_serves() or a load of the state has seen. False: it is
 * over already.
 */
static inline bool filchi_idle_wake(
	struct filchi_idle *idle, struct filchi_sleeper *s, uint32_t asleep)
{
	if (FILCHI_SLEEP_KIND(asleep) == FILCHI_AWAKE || !filchi_idle_end(idle, s, asleep))
		return false;
	FILCHI_UNPARK(&s->state);
	return true;
}

/*
 * Waker: whether this worker sleeps and may run work of @team's job, of @scope. A NULL @team is a
 * job that has not started, for free workers only. Returns its state, for filchi_idle_wake(); 0 if
 * not.
 */
static inline uint32_t filchi_sleeper_serves(struct filchi_sleeper *s,
	const struct filchi_team *team, const struct filchi_segment *scope)
{
	/* pairs with prepare: the filter of this sleep */
	uint32_t state = filchi_load_acquire(&s->state);

	switch (FILCHI_SLEEP_KIND(state)) {
	case FILCHI_ASLEEP_FREE:
		return state;
	case FILCHI_ASLEEP_BOUND:
		return filchi_may_run(team, scope, filch_load_relaxed(&s->team[0]),
			       filch_load_relaxed(&s->scope), filch_load_relaxed(&s->team[1]))
			       ? state
			       : 0;
	default:
		return 0;
	}
}

/*
 * Steps b and c for a poster to an SCQ; returns the counts. Head, tail and entry are written by
 * seq_cst read-modify-writes, and a parking worker looks at head and tail. The full fence is in the
 * read.
 *
 * FENCE I3   publish -> read counts                pairs with: I2 in filchi_idle_prepare()
 * Ensures:   the poster sees the worker that has gone to sleep, or that one sees the post.
 * Without:   a job lies in the injector while a worker sleeps.
 * Weaker?    no: store->load.
 * Checked:   tests/model/c11/idle.c, mutant post_without_fence
 */
static inline uint64_t filchi_idle_posted(struct filchi_idle *idle)
{
	return filchi_rmw_fence_then_load_acquire(&idle->counts);
}

/*
 * Steps b and c for a spawner that saw its ask raised; returns the counts. Clears ask by an
 * exchange. So a worker that raises it later has, or sees, the tasks that were pushed before.
 *
 * FENCE I4   publish, clear ask -> read counts     pairs with: I2 in filchi_idle_prepare()
 * Ensures:   a sleeper that raised ask before the clear is seen in the counts. One that raises
 *            it after the clear sees the push.
 * Without:   the sleeper's ask is cleared and the sleeper missed.
 * Weaker?    no: store->load. A worker that finds the flag up leaves it so, and this fence alone
 *            orders its count before our read. On x86-64 it is free.
 * Checked:   tests/model/c11/idle.c, mutants ask_cleared_after_counts, asked_without_fence (the
 *            last by a model checker only)
 */
static inline uint64_t filchi_idle_asked(struct filchi_idle *idle, struct filchi_deque *d)
{
	(void)filchi_exchange_seq_cst(&d->hot.ask, 0);
	return filchi_rmw_fence_then_load_acquire(&idle->counts);
}

/*
 * A spawner trusts the searchers: its ask is low, and stays so. Returns the counts. Unless they
 * show a searcher still, nobody will end that trust for it, and it must look for a sleeper itself.
 *
 * FENCE I7   trusted -> read counts                pairs with: I6 in filchi_idle_found(), I2
 * Ensures:   the last searcher sees the trust when it ends its search, or the spawner sees that
 *            nobody searches.
 * Without:   ask is low, nobody searches, and later pushes wake nobody.
 * Weaker?    no: store->load.
 * Checked:   tests/model/c11/idle.c, mutants trust_without_second_look, trust_without_fence (the
 *            last by a model checker only)
 */
static inline uint64_t filchi_idle_trust(struct filchi_idle *idle)
{
	filchi_store_then_fence(&idle->trusted, 1);
	return filchi_load_acquire(&idle->counts);
}

/*
 * The last searcher, having found work and woken no other; or a free worker that parks. True:
 * spawners have trusted, and the caller alone ends that trust. It must
 * - raise ask at every deque where it is low,
 * - pass the heavy fence,
 * - look at everything once more, and wake a sleeper for what it sees.
 * False: nobody has, or another thread is about it.
 */
static inline bool filchi_idle_was_trusted(struct filchi_idle *idle)
{
	/* after I6 or I2; the exchange orders it before the raise of those asks */
	return filchi_load_acquire(&idle->trusted) && filchi_exchange_seq_cst(&idle->trusted, 0);
}

/*
 * Raises ask at a deque. The line is its owner's to read at each push: it is not written in vain.
 * Where the flag is up it may be lowered at any time, by an owner that then reads the counts (I4).
 */
static inline void filchi_idle_ask(struct filchi_deque *d)
{
	if (!filch_load_relaxed(&d->hot.ask))
		filch_store_relaxed(&d->hot.ask, 1);
}

#endif
