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
	 * Ensures:   of two workers that go to sleep, one at least sees both asleep. One that
	 *            sleeps free asks only if it sees a stay counted, or that stay sees it.
	 * Without:   each finds the other awake, and nobody sees that all sleep.
	 * Weaker?    no: store->load.
	 * Checked:   tests/model/c11/standstill.c, mutants settled_after_look,
	 *            asked_before_settled, counted_after_look
	 */
	filchi_store_then_fence(&s->settled, filchi_load_acquire(&s->state));
}

/*
 * The same for one that sleeps free: whether it must ask. It need not where no stay is counted in
 * @involved, of those of its pool or for it: nothing that others wait for hangs on its pool then. A
 * stay that counts itself later sees it settled.
 */
static inline bool filchi_standstill_settle_free(
	struct filchi_sleeper *s, filch_atomic_u32 *involved)
{
	filchi_standstill_settle(s);
	return filchi_load_acquire(involved);
}

/* Stay that is about to settle. What it reads after A1 is read after this. */
static inline void filchi_standstill_count(filch_atomic_u32 *involved)
{
	(void)filchi_fetch_add_acq_rel(involved, 1);
}

/*
 * A look that has found all asleep, and that a thread which does not sleep may yet end it, or hold
 * what they wait for: it looks once more after this.
 *
 * FENCE A6   leave word -> look once more   pairs with: A7 in filchi_standstill_is_missed()
 * Ensures:   a thread that makes the last change sees that it was missed, and looks; or the look
 *            sees what it has done.
 * Without:   neither looks after the last change, and nobody sees that it was the last.
 * Weaker?    no: store->load.
 * Checked:   tests/model/c11/standstill.c, mutant missed_after_look
 */
static inline void filchi_standstill_miss(filch_atomic_u32 *missed)
{
	filchi_store_then_fence(missed, 1);
}

/*
 * Thread that has made such a change, and does not go to sleep: whether it must look.
 *
 * FENCE A7   publish or end a job -> read the word   pairs with: A6 in filchi_standstill_miss()
 * Ensures, without: see A6.
 * Weaker?    no: store->load; a read-modify-write since the change is the fence, or a full one.
 * Checked:   tests/model/c11/standstill.c, mutant asked_before_change
 */
static inline bool filchi_standstill_is_missed(filch_atomic_u32 *missed)
{
	return filchi_rmw_fence_then_load_acquire(missed);
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
