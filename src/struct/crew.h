/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crews: the workers inside a scope of limited width, with a place for each of them.
 *
 *   free -> worker   its opener, or a thief before its CAS on top: in every such scope around the
 *                    task that it is not inside of yet
 *   worker -> free   the same thief: its CAS has failed, or the task is done and its joiner is not
 *                    told yet
 *   any -> free      the opener of the next scope that uses the crew
 *
 * A crew is memory of its opener's deque and lasts as long as that. A thief may come by a stale
 * pointer, and take a place of a scope that its task has nothing to do with, even of one that has
 * begun since. Then its CAS on top fails, and it gives the place back. A place says which worker
 * has it, so nobody gives back another's.
 *
 * Both CASes order: what was written under a slot is visible to the next that has it.
 *
 * The opener keeps its place to the end. It can run all that is inside, so nothing waits for a
 * place for ever.
 */
#ifndef FILCHI_CREW_H
#define FILCHI_CREW_H

#include "base/atomic.h"

struct filchi_segment;

/* The workers inside a scope of limited width: worker + 1, or 0 for a place that is free. */
#define FILCHI_CREW_MOST 64u /* places */
struct filchi_crew {
	filch_atomic_u32 width;
	filch_atomic_u32 place[FILCHI_CREW_MOST];
};
#define FILCHI_CREWS 16u /* scopes of limited width that may lie nested on one worker's stack */

#define FILCHI_PLACES 4u /* that one thief takes for one task */

/* Where a task belongs that a thief has found, and the places that it has taken for it. */
struct filchi_found {
	struct filchi_segment *scope; /* may be NULL */
	unsigned n;
	filch_atomic_u32 *taken[FILCHI_PLACES];
};

/* Gives back what a thief has taken. What the next scope has made free is left alone. */
static inline void filchi_places_leave(struct filchi_found *places, uint32_t worker)
{
	while (places->n) {
		uint32_t mine = worker + 1;

		(void)filchi_cas_acq_rel(places->taken[--places->n], &mine, (uint32_t)0);
	}
}

/*
 * The place of @worker in @crew, if it is inside, or the first free one; NULL: it is full. *@inside
 * says which.
 */
static inline filch_atomic_u32 *filchi_crew_find(
	struct filchi_crew *crew, uint32_t worker, bool *inside)
{
	filch_atomic_u32 *free = NULL;
	uint32_t width = filch_load_relaxed(&crew->width);

	*inside = false;
	for (uint32_t i = 0; i < width && i < FILCHI_CREW_MOST; i++) {
		uint32_t has = filchi_load_acquire(&crew->place[i]);

		if (has == worker + 1) {
			*inside = true;
			return &crew->place[i];
		}
		if (!has && !free)
			free = &crew->place[i];
	}
	return free;
}

#endif
