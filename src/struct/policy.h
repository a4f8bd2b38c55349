/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of the scheduler: whom to wake, when to stop searching, and when a spawner need not
 * ask again. Functions of numbers
 * and plain arrays, without memory of their own. What makes them right is in idle.h and in
 * docs/idle-protocol.md; here is what they decide.
 *
 * Two programs run them: the library, on what its workers have published, and the simulator
 * (bench/sim), in virtual time on machines that nobody has at hand. So what the simulator says of a
 * policy is said of this text. Whom to steal from is in place/victim.h, for the same reason.
 */
#ifndef FILCHI_POLICY_H
#define FILCHI_POLICY_H

#include "struct/idle.h"

/*
 * every so many looks an idle worker steals before it asks the injector: a prime, in step with
 * nothing
 */
#define FILCHI_STEAL_TURN 61u

/* Whether a worker whose looks have come to @turn steals before it asks the injector. */
static inline bool filchi_policy_steals_first(uint32_t turn)
{
	return turn % FILCHI_STEAL_TURN == 0;
}

/* Whether a search that began at @since is over at @now: the worker parks. */
static inline bool filchi_policy_search_over(uint64_t now, uint64_t since, uint32_t search_ns)
{
	return now - since > search_ns;
}

/*
 * Whether one more searcher is wanted: there is a free sleeper, and fewer search than are busy.
 * @workers: how many may run. So the number at work may double with each latency of a wake-up, and
 * a burst of little work wakes few.
 */
static inline bool filchi_policy_grows(uint64_t counts, uint32_t workers)
{
	int64_t asleep = (int64_t)(FILCHI_IDLE_FREES(counts) + FILCHI_IDLE_BOUNDS(counts));
	int64_t awake = (int64_t)workers - asleep;

	return FILCHI_IDLE_FREES(counts) && 2 * FILCHI_IDLE_SEARCH(counts) < awake;
}

/*
 * So long may those be relied on who are on their way, and none of them has looked. A core that was
 * idle is back before.
 */
#define FILCHI_MISSING_NS UINT64_C(200000)

/*
 * Whether searchers may be missing: stopped, or without a core. Not where more workers are awake
 * than there are @cores. Then some of them have the cores, and one more would not come either.
 */
static inline bool filchi_policy_may_miss(uint64_t counts, uint32_t workers, uint32_t cores)
{
	int64_t asleep = (int64_t)(FILCHI_IDLE_FREES(counts) + FILCHI_IDLE_BOUNDS(counts));

	return FILCHI_IDLE_FREES(counts) && (int64_t)workers - asleep <= (int64_t)cores;
}

/* Whether they are, if they have been relied on since @since, and none has looked by @now. */
static inline bool filchi_policy_missing(uint64_t now, uint64_t since)
{
	return (int64_t)(now - since) > (int64_t)FILCHI_MISSING_NS;
}

/* What a push does that found its ask raised. */
enum filchi_asked {
	FILCHI_ASKED_NOBODY, /* nobody sleeps */
	FILCHI_ASKED_LATER,  /* wakes nobody: enough search */
	FILCHI_ASKED_BOUND,  /* wakes a bound sleeper; free ones are left to the searchers */
	FILCHI_ASKED_ANY,    /* wakes any sleeper that may run the task */
};

/*
 * While enough searchers are on their way free sleepers are left to them: they wake the next. Bound
 * ones are not. They can run nothing else, and the searchers may find other work first.
 */
static inline enum filchi_asked filchi_policy_asked(uint64_t counts, uint32_t workers)
{
	if (!FILCHI_IDLE_ASLEEP(counts))
		return FILCHI_ASKED_NOBODY;
	if (FILCHI_IDLE_SEARCH(counts) <= 0 || filchi_policy_grows(counts, workers))
		return FILCHI_ASKED_ANY;
	return FILCHI_IDLE_ASLEEP(counts) == FILCHI_IDLE_FREES(counts) ? FILCHI_ASKED_LATER
								       : FILCHI_ASKED_BOUND;
}

/*
 * How many pushes of a spawner in a row find that there is nothing for them to do until it trusts
 * the searchers, and leaves its ask low. That trust is ended by a heavy fence, which is worth as
 * many slow pushes, roughly. So a search that is over sooner costs no fence.
 */
#if !defined(FILCHI_TRUST_AFTER)
#define FILCHI_TRUST_AFTER 64u
#endif

/* What becomes of a spawner's ask after such a push. */
enum filchi_then {
	FILCHI_THEN_LOW,   /* nobody is left to be woken by the next push */
	FILCHI_THEN_ASK,   /* raised again, for the next push */
	FILCHI_THEN_TRUST, /* low, and the searchers see to the rest */
};

/*
 * @asked: what the push did; @woken, it has woken somebody; @more, others sleep that may run such
 * tasks. *@vain: how many in a row had nothing to do.
 */
static inline enum filchi_then filchi_policy_then(
	enum filchi_asked asked, bool woken, bool more, uint32_t *vain)
{
	bool has_acted = asked == FILCHI_ASKED_ANY || woken;

	if (!more || has_acted || ++*vain < FILCHI_TRUST_AFTER) {
		if (!more || has_acted)
			*vain = 0;
		return more ? FILCHI_THEN_ASK : FILCHI_THEN_LOW;
	}
	*vain = 0;
	return FILCHI_THEN_TRUST;
}

/*
 * Whether a job that was put into the injector wakes a free worker. @held: so many searchers cannot
 * search until the poster makes way.
 */
static inline bool filchi_policy_posted(uint64_t counts, int64_t held)
{
	return FILCHI_IDLE_FREES(counts) && FILCHI_IDLE_SEARCH(counts) <= held;
}

/* Whether a bound worker that has slept and leaves its wait wakes the next. */
static inline bool filchi_policy_passes_on(uint64_t counts)
{
	return FILCHI_IDLE_ASLEEP(counts) && FILCHI_IDLE_SEARCH(counts) <= 0;
}

/*
 * The @i-th of @workers workers to look at for one to wake, seen from worker @near, whose row of
 * the plan's order is @order: @near itself and then the others, nearest first; or, with @last,
 * itself after all others.
 */
static inline uint32_t filchi_policy_sleeper(
	const uint16_t *order, uint32_t near, bool last, uint32_t workers, uint32_t i)
{
	uint32_t place = last ? (i + 1) % workers : i;

	return place == 0 ? near : order[place - 1];
}

/*
 * Whether a waker leaves this sleeper asleep and looks no further: @woken, it has woken one
 * already, or this one is free and only bound ones are to be woken now.
 */
static inline bool filchi_policy_leaves(uint32_t state, bool free, bool woken)
{
	return woken || (!free && FILCHI_SLEEP_KIND(state) == FILCHI_ASLEEP_FREE);
}

#endif
