/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to happen when: at most one time for each job slot, the earliest found at once. A binary
 * heap of slot numbers that knows where each lies (Williams 1964). Plain data, under its user's
 * lock.
 *
 * A time that is not needed any more stays until it comes, or its slot gets another. So ends of
 * jobs need not know of it, and there are never more than slots.
 */
#ifndef FILCHI_DEADLINES_H
#define FILCHI_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"

struct filchi_deadline {
	uint64_t at; /* nanoseconds */
	int64_t id;
	uint32_t slot;  /* of heap place i: the slot there */
	uint32_t place; /* of slot i: 1 + where in the heap; 0 = nowhere */
};

struct filchi_deadlines {
	/* [i]: at, id and place of slot i, and the slot at place i of the heap */
	struct filchi_deadline *of;
	uint32_t n, slots;
};

/* False: no memory. */
static inline bool filchi_deadlines_init(struct filchi_deadlines *d, uint32_t slots)
{
	*d = (struct filchi_deadlines){ .slots = slots };
	d->of = filchi_map(slots * sizeof d->of[0]);
	return d->of;
}

static inline void filchi_deadlines_destroy(struct filchi_deadlines *d)
{
	filchi_unmap(d->of, d->slots * sizeof d->of[0]);
}

/* The earliest time, or UINT64_MAX. */
static inline uint64_t filchi_deadlines_first(const struct filchi_deadlines *d)
{
	return d->n ? d->of[d->of[0].slot].at : UINT64_MAX;
}

static inline void filchi_deadlines_put(struct filchi_deadlines *d, uint32_t place, uint32_t slot)
{
	d->of[place].slot = slot;
	d->of[slot].place = place + 1;
}

/* @slot lies at @place, or is to: to where it belongs. */
static inline void filchi_deadlines_sift(struct filchi_deadlines *d, uint32_t place, uint32_t slot)
{
	const uint64_t at = d->of[slot].at;

	while (place) {
		uint32_t above = (place - 1) / 2;

		if (d->of[d->of[above].slot].at <= at)
			break;
		filchi_deadlines_put(d, place, d->of[above].slot);
		place = above;
	}
	for (;;) {
		uint64_t child = 2 * (uint64_t)place + 1;

		if (child + 1 < d->n &&
			d->of[d->of[child + 1].slot].at < d->of[d->of[child].slot].at)
			child++;
		if (child >= d->n || d->of[d->of[child].slot].at >= at)
			break;
		filchi_deadlines_put(d, place, d->of[child].slot);
		place = (uint32_t)child;
	}
	filchi_deadlines_put(d, place, slot);
}

/* The time of @slot, whatever it had, is @at, for @id. True: it is the earliest now. */
static inline bool filchi_deadlines_set(
	struct filchi_deadlines *d, uint32_t slot, int64_t id, uint64_t at)
{
	uint32_t place = d->of[slot].place;

	d->of[slot].at = at;
	d->of[slot].id = id;
	filchi_deadlines_sift(d, place ? place - 1 : d->n++, slot);
	return d->of[0].slot == slot;
}

/* Takes out the earliest, of which there is one: its id. */
static inline int64_t filchi_deadlines_pop(struct filchi_deadlines *d)
{
	uint32_t first = d->of[0].slot, last = d->of[--d->n].slot;

	d->of[first].place = 0;
	if (d->n)
		filchi_deadlines_sift(d, 0, last);
	return d->of[first].id;
}

#endif
