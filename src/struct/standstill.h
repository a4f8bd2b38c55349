/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether several workers, of one pool or of many, all sleep at one moment. Each worker that is
 * about to sleep asks, so the last one finds that nobody is left.
 *
 * A worker that has prepared to sleep may still find that its event has come, and go on. So it
 * settles when it has decided. After that only a waker ends its sleep.
 *
 * A bound sleeper waits for an event. A free one waits for work. A poster that is no worker may
 * have put a job into the queue, and not yet have woken it. So where a free one sleeps the asker
 * looks into the queue between the two rounds. Work that lies there has a waker on its way, and
 * whoever is woken asks again before it sleeps.
 *
 * Two rounds over the same workers. The first notes each state, and goes on only over sleepers that
 * have settled. The second finds each state as noted. A state has the number of its
 * sleep, so a worker whose state is the same has slept throughout. From the end of the first round
 * to the start of the second, all slept.
 *
 * One round is not enough. A worker that is looked at last may have woken one that was looked at
 * first, and then gone to sleep itself.
 *
 * The creator of a pool comes and goes: it takes a seat among the workers, and is out between its
 * calls. Out is as good as asleep, and it is so in both rounds or the look ends. What it has done
 * meanwhile does not matter if it is out again: whomever it has woken shows that. A look that ends
 * because it is inside leaves word, and the creator looks when it is out.
 */
#ifndef FILCHI_STANDSTILL_H
#define FILCHI_STANDSTILL_H

#include "struct/idle.h"

/* Sleeper: it has decided to sleep. It must ask afterwards. */
static inline void filchi_standstill_settle(struct filchi_sleeper *s)
{
	/*
	 * FENCE A1   settle -> read what others have settled   pairs with: A1 of another worker
	 * Ensures:   of two workers that go to sleep, one at least sees both asleep.
	 * Without:   each finds the other awake, and nobody sees that all sleep.
	 * Weaker?    no: store->load.
	 * Checked:   tests/model/c11/standstill.c, mutant settled_after_look
	 */
	filchi_store_then_fence(&s->settled, filchi_load_acquire(&s->state));
}

/* First round: how this worker sleeps, if it has settled, or FILCHI_AWAKE; notes its state. */
static inline unsigned filchi_standstill_note(struct filchi_sleeper *s, uint32_t *noted)
{
	/* what it did before it settled comes first, whomever it woke */
	*noted = filchi_load_acquire(&s->settled);
	return filchi_load_acquire(&s->state) == *noted ? FILCHI_SLEEP_KIND(*noted) : FILCHI_AWAKE;
}

/*
 * Either round: whether the creator that @s is of is out, with nothing on its stack of @depth. If
 * not it finds @met when it goes.
 *
 * FENCE A5   leave word -> read the stack's depth   pairs with: A4 in filchi_standstill_was_met()
 * Ensures:   a creator that goes sees that it was met, or is seen to be out.
 * Without:   each sees the other too early, and nobody sees that all sleep.
 * Weaker?    no: store->load.
 * Checked:   tests/model/c11/standstill.c, mutant word_after_look
 */
static inline bool filchi_standstill_is_out(
	struct filchi_sleeper *s, filch_atomic_u32 *depth, filch_atomic_u32 *met)
{
	for (unsigned look = 0; look < 2; look++) {
		if (FILCHI_SLEEP_KIND(filchi_load_acquire(&s->state)) == FILCHI_AWAKE &&
			!filchi_load_acquire(depth))
			return true;
		if (!look)
			filchi_store_then_fence(met, 1);
	}
	return false;
}

/*
 * Creator that is out: whether it must look.
 *
 * FENCE A4   leave the stack -> read the word        pairs with: A5 in filchi_standstill_is_out()
 * Ensures, without: see A5.
 * Weaker?    no: store->load. What it has left has ended by a read-modify-write since.
 * Checked:   tests/model/c11/standstill.c, mutant met_unseen
 */
static inline bool filchi_standstill_was_met(filch_atomic_u32 *met)
{
	return filchi_rmw_fence_then_load_acquire(met);
}

/* Second round: whether it is in the same sleep still. */
static inline bool filchi_standstill_same(struct filchi_sleeper *s, uint32_t noted)
{
	return filchi_load_acquire(&s->state) == noted;
}

#endif
