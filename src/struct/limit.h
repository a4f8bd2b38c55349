/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many workers may run: one number. A worker whose rank is not below it takes no new work, and
 * retires: it sleeps where no poster looks for it, until the limit allows it again. Its rank is its
 * number, or FILCHI_NO_RANK while it has to see to something before it takes work.
 *
 * The worker, with an empty stack      | Whoever changes the limit
 *   1 sees itself surplus              |   a limit = the new one
 *   2 ceases to be a searcher          |   b full fence
 *   3 state = RETIRED                  |   c look at the state of each worker between the old
 *   4 full fence                       |     and the new one: of those that may run now wake
 *   5 look at the limit again          |     the retired, of the others those that sleep free
 *   6 sleep on the word                |
 * If 4 comes before b, c sees it retired; else 5 sees the new limit. Changes come one at a time.
 *
 * Step 2 is what a searcher does that has found work (idle.h). Posters that relied on this worker,
 * because it searched or because they woke it, rely on that look and on the one it wakes. Between
 * 2 and its next look nobody relies on it: it is counted neither as a searcher nor as asleep. When
 * it is woken it becomes a searcher anew, and looks at everything.
 *
 * A worker that sleeps free when the limit falls is woken once, so that it retires. One that is
 * about to sleep free looks at the limit after its fence, as in 5. Neither is needed that no work
 * is left lying. But a poster would wake such a worker for nothing, and a drop in the limit would
 * not be over.
 */
#ifndef FILCHI_LIMIT_H
#define FILCHI_LIMIT_H

#include "struct/idle.h"

#define FILCHI_NO_RANK UINT32_MAX

/* The worker, before it takes new work. A late answer costs one more piece of work. */
static inline bool filchi_limit_bars(filch_atomic_u32 *limit, uint32_t rank)
{
	return FILCH_UNLIKELY(rank >= filch_load_relaxed(limit));
}

/* The worker: step 3 and 4. It must look at everything again that may end this sleep. */
static inline void filchi_limit_retire(struct filchi_sleeper *s)
{
	/* awake: nobody else writes it */
	uint32_t state = FILCHI_SLEEP_NEXT(filch_load_relaxed(&s->state));

	/*
	 * FENCE R1   state = retired -> look at the limit   pairs with: R2 and I5
	 * Ensures:   whoever raises the limit sees this worker retired, or it sees the limit.
	 *            Likewise for stop, and for a share of an errand.
	 * Without:   a worker that may run sleeps on, though work lies there.
	 * Weaker?    no: store->load.
	 * Checked:   tests/model/c11/limit.c, mutant retire_without_second_look
	 */
	filchi_store_then_fence(&s->state, state | FILCHI_RETIRED);
}

/* The worker: step 5, and before it sleeps free. */
static inline bool filchi_limit_bars_still(filch_atomic_u32 *limit, uint32_t rank)
{
	return rank >= filchi_load_acquire(limit);
}

/* Whoever changes it: steps a and b. */
static inline void filchi_limit_set(filch_atomic_u32 *limit, uint32_t to)
{
	/*
	 * FENCE R2   limit -> read states   pairs with: R1 in filchi_limit_retire(), I2
	 * Ensures, without: see R1.
	 * Weaker?    no: store->load.
	 * Checked:   tests/model/c11/limit.c, mutant state_read_early
	 */
	filchi_store_then_fence(limit, to);
}

/*
 * The same: step c for a worker between the two limits; the state that is to be ended, or 0.
 * @raised: it may run now.
 */
static inline uint32_t filchi_limit_look(struct filchi_sleeper *s, bool raised)
{
	uint32_t state = filchi_load_acquire(&s->state);

	return FILCHI_SLEEP_KIND(state) == (raised ? FILCHI_RETIRED : FILCHI_ASLEEP_FREE) ? state
											  : 0;
}

#endif
