/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sleeps, and who is woken. docs/idle-protocol.md has the states and the proof; this is the code it speaks of.
 *
 * A worker that has looked in vain for a while parks on its own word. New work wakes at most one parked worker: the nearest that
 * may run it. Two kinds sleep: those with an empty stack, which may run anything, and those with a suspended frame, which may run
 * work of one or two jobs only (rule 3), and wait above all for one event, a task or a job done.
 *
 * counts, one word:  47..32 searching | 31..16 asleep with a suspended frame | 15..0 asleep with an empty stack
 *   searching = awake, empty-stacked, on its way to look at everything; the waker counts whom it wakes, so that those who post
 *   work see it at once. The waker counts after its CAS: until then the number of sleepers is too high, which makes a poster look
 *   in vain, and that of searchers too low, even negative, which makes it wake one more. Neither loses anything.
 *
 * sleeper.state:
 *   awake  -> asleep   the worker itself, in prepare()
 *   asleep -> awake    whoever wins the CAS: the worker itself, in cancel(), or one waker
 *
 * The parking worker           | who posts work
 *   1 state = ASLEEP, count it |   a publish (bottom, or the ring's tail)
 *   2 ask = 1 at every deque   |   b full fence (light for a push: its read of ask follows the publish)
 *   3 full fence (heavy)       |   c read ask, then counts: wake one that may run it
 *   4 look at everything again |
 *   5 sleep on the word        |
 * If 3 comes before b, the poster sees 1 and 2; else the parking worker sees a in 4. A poster that finds a searcher on its way
 * wakes nobody: a searcher ends its search by looking once more (after a full fence) and waking the next, or by parking, which is
 * 1 to 5.
 */
#ifndef FILCHI_IDLE_H
#define FILCHI_IDLE_H

#include "deque.h"

#if !defined(FILCH_MODEL)
#include "park_futex.h"
#else
struct timespec; /* only its pointer passes through */
#endif

/*
 * state:  31..2 number of this sleep | 1..0 kind. The number makes each sleep's value its own, so that a waker's CAS can only wake
 * the sleep it looked at, whose kind and wants it has read.
 */
enum { FILCHI_AWAKE = 0, FILCHI_ASLEEP_FREE = 1, FILCHI_ASLEEP_BOUND = 2 };
#define FILCHI_SLEEP_KIND(state) ((state) & 3u)
#define FILCHI_SLEEP_NEXT(state) (((state) | 3u) + 1u)

#define FILCHI_IDLE_FREE       UINT64_C(1)          /* one asleep with an empty stack */
#define FILCHI_IDLE_BOUND      (UINT64_C(1) << 16)  /* one asleep with a suspended frame */
#define FILCHI_IDLE_SEARCHER   (UINT64_C(1) << 32)
#define FILCHI_IDLE_ASLEEP(c)  ((c) & UINT64_C(0xffffffff))
#define FILCHI_IDLE_FREES(c)   ((c) & UINT64_C(0xffff))
#define FILCHI_IDLE_BOUNDS(c)  (((c) >> 16) & UINT64_C(0xffff))
#define FILCHI_IDLE_SEARCH(c)  ((int64_t)(c) >> 32) /* may be below the truth, and below 0, while a waker has yet to count */

struct filchi_sleeper {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 state; /* the word it sleeps on */
	FILCH_ATOMIC(struct filchi_crew *) crew[2];            /* bound: the jobs whose work it may run; wakers read it */
};

struct filchi_idle {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 counts;
};

static inline void filchi_idle_init(struct filchi_idle *idle)
{
	filchi_store_relaxed(&idle->counts, 0);
}

static inline void filchi_sleeper_init(struct filchi_sleeper *s)
{
	filchi_store_relaxed(&s->state, FILCHI_AWAKE);
	filchi_store_relaxed(&s->crew[0], NULL);
	filchi_store_relaxed(&s->crew[1], NULL);
}

/* An empty-stacked worker begins to search, having been neither woken nor counted. */
static inline void filchi_idle_search(struct filchi_idle *idle)
{
	(void)filchi_fetch_add_acq_rel(&idle->counts, FILCHI_IDLE_SEARCHER);
}

/*
 * A searcher has found work. True: it was the last searcher and others sleep, so it must look once more and wake the next if
 * work is left. The read-modify-write is the fence that orders its look after the posts of those who saw it searching.
 */
static inline bool filchi_idle_found(struct filchi_idle *idle)
{
	uint64_t old = filchi_fetch_sub_seq_cst(&idle->counts, FILCHI_IDLE_SEARCHER);

	/*
	 * FENCE I6   count down -> look once more           pairs with: I3 and I4, of a poster that saw us searching
	 * Ensures:   the poster that woke nobody because of us is seen by our look, or it saw that we search no more.
	 * Without:   a poster relies on a searcher that has looked already.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/model/c11/idle.c, mutants chain_left_out, found_without_fence (the latter by a model checker only)
	 */
	return FILCHI_IDLE_SEARCH(old) == 1 && FILCHI_IDLE_ASLEEP(old) &&
	       FILCHI_IDLE_ASLEEP(filchi_rmw_fence_then_load_acquire(&idle->counts));
}

/*
 * Step 1. A free worker (want->any) is a searcher until here. After it the worker must raise ask at every deque, pass the heavy
 * fence, and look at everything again, before it calls filchi_idle_sleep(); or filchi_idle_cancel() if it found something.
 */
static inline void filchi_idle_prepare(struct filchi_idle *idle, struct filchi_sleeper *s, const struct filchi_want *want)
{
	uint32_t state = FILCHI_SLEEP_NEXT(filchi_load_relaxed(&s->state)); /* awake: nobody else writes it */

	filchi_store_relaxed(&s->crew[0], want->crew[0]);
	filchi_store_relaxed(&s->crew[1], want->crew[1]);
	/* counted before it can be woken, so that the counts never run below the truth */
	(void)filchi_fetch_add_seq_cst(&idle->counts,
				       want->any ? FILCHI_IDLE_FREE - FILCHI_IDLE_SEARCHER : FILCHI_IDLE_BOUND);
	/*
	 * FENCE I2   count, state = asleep -> look again   pairs with: I1 in filch_push(), I3 and I4 below
	 * Ensures:   who posts work sees the sleeper, or the sleeper sees the work.
	 * Without:   work lies there while a worker sleeps.
	 * Weaker?    no: store->load. Full here, for I3 and I4; against the light I1 the caller raises ask and adds the heavy
	 *            fence before its look.
	 * Checked:   tests/model/c11/idle.c, mutant park_without_second_look
	 */
	filchi_store_then_fence(&s->state, state | (want->any ? FILCHI_ASLEEP_FREE : FILCHI_ASLEEP_BOUND));
}

/* Ends the sleep whose state was @asleep, unless somebody else has. A free worker becomes a searcher, whoever ends its sleep. */
static inline bool filchi_idle_end(struct filchi_idle *idle, struct filchi_sleeper *s, uint32_t asleep)
{
	if (!filchi_cas_acq_rel(&s->state, &asleep, asleep & ~3u))
		return false;
	(void)filchi_fetch_add_acq_rel(&idle->counts, FILCHI_SLEEP_KIND(asleep) == FILCHI_ASLEEP_FREE ?
							      FILCHI_IDLE_SEARCHER - FILCHI_IDLE_FREE :
							      -FILCHI_IDLE_BOUND);
	return true;
}

/* Sleeper: it found something after all, or its event has come. */
static inline void filchi_idle_cancel(struct filchi_idle *idle, struct filchi_sleeper *s)
{
	uint32_t state = filchi_load_acquire(&s->state);

	if (FILCHI_SLEEP_KIND(state) != FILCHI_AWAKE)
		(void)filchi_idle_end(idle, s, state); /* false: a waker was faster, and has done the counting */
}

/*
 * Step 5: sleeps until somebody has woken us, or until @deadline (NULL = none). In the model a park is a macro that the driver
 * defines. False: the deadline came first, and the sleep is ended.
 */
static inline bool filchi_idle_sleep(struct filchi_idle *idle, struct filchi_sleeper *s, const struct timespec *deadline)
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

/* Waker: ends the sleep that filchi_sleeper_serves() or a load of the state has seen. False: it is over already. */
static inline bool filchi_idle_wake(struct filchi_idle *idle, struct filchi_sleeper *s, uint32_t asleep)
{
	if (FILCHI_SLEEP_KIND(asleep) == FILCHI_AWAKE || !filchi_idle_end(idle, s, asleep))
		return false;
	FILCHI_UNPARK(&s->state);
	return true;
}

/*
 * Waker: whether this worker sleeps and may run work of @crew's job (NULL: a job that has not started, for free workers only).
 * Its state, for filchi_idle_wake(); 0 if not.
 */
static inline uint32_t filchi_sleeper_serves(struct filchi_sleeper *s, const struct filchi_crew *crew)
{
	uint32_t state = filchi_load_acquire(&s->state); /* pairs with prepare: the wants of this sleep */

	switch (FILCHI_SLEEP_KIND(state)) {
	case FILCHI_ASLEEP_FREE:
		return state;
	case FILCHI_ASLEEP_BOUND:
		return crew && (filchi_load_relaxed(&s->crew[0]) == crew || filchi_load_relaxed(&s->crew[1]) == crew) ? state : 0;
	default:
		return 0;
	}
}

/*
 * Steps b and c for who has posted work to a ring (head, tail and entry are written by seq_cst read-modify-writes, and it is head
 * and tail that a parking worker looks at). Returns the counts; the full fence is in the read.
 *
 * FENCE I3   publish -> read counts                pairs with: I2 in filchi_idle_prepare()
 * Ensures:   the poster sees who has gone to sleep, or that one sees the post.
 * Without:   a job lies in the injector while a worker sleeps.
 * Weaker?    no: store->load.
 * Checked:   tests/model/c11/idle.c, mutant post_without_fence
 */
static inline uint64_t filchi_idle_posted(struct filchi_idle *idle)
{
	return filchi_rmw_fence_then_load_acquire(&idle->counts);
}

/*
 * Steps b and c for a spawner that saw its ask raised. Clears ask by an exchange, so that whoever raises it later has, or sees,
 * what was pushed before; returns the counts.
 *
 * FENCE I4   publish, clear ask -> read counts     pairs with: I2 in filchi_idle_prepare()
 * Ensures:   a sleeper that raised ask before the clear is seen in the counts; one that raises it after sees the push.
 * Without:   the sleeper's ask is cleared and the sleeper missed.
 * Weaker?    no: the counts are read after the clear.
 * Checked:   tests/model/c11/idle.c, mutant ask_cleared_after_counts
 */
static inline uint64_t filchi_idle_asked(struct filchi_idle *idle, struct filchi_deque *d)
{
	(void)filchi_exchange_seq_cst(&d->hot.ask, 0);
	return filchi_rmw_fence_then_load_acquire(&idle->counts);
}

#endif
