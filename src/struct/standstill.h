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

/* Second round: whether it is in the same sleep still. */
static inline bool filchi_standstill_same(struct filchi_sleeper *s, uint32_t noted)
{
	return filchi_load_acquire(&s->state) == noted;
}

#endif
