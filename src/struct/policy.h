/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of the scheduler: whom to wake, and when to stop searching. Functions of numbers
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

/* What a push does that found its ask raised. */
enum filchi_asked {
	FILCHI_ASKED_NOBODY, /* nobody sleeps */
	FILCHI_ASKED_LATER,  /* nothing, but it raises ask again for the next push */
	FILCHI_ASKED_BOUND,  /* wakes a bound sleeper; free ones are left to the searcher */
	FILCHI_ASKED_ANY,    /* wakes any sleeper that may run the task */
};

/*
 * While a searcher is on its way free sleepers are left to it: it wakes the next. Bound ones are
 * not. They can run nothing else, and the searcher may find other work first.
 */
static inline enum filchi_asked filchi_policy_asked(uint64_t counts)
{
	if (!FILCHI_IDLE_ASLEEP(counts))
		return FILCHI_ASKED_NOBODY;
	if (FILCHI_IDLE_SEARCH(counts) <= 0)
		return FILCHI_ASKED_ANY;
	return FILCHI_IDLE_ASLEEP(counts) == FILCHI_IDLE_FREES(counts) ? FILCHI_ASKED_LATER
								       : FILCHI_ASKED_BOUND;
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
