/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: what happens next. Each actor has at most one event to come; of two at one time the one that
 * was planned first is first, so that a run depends on nothing but its arguments.
 */
#ifndef SIM_EVENTS_H
#define SIM_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct sim_event {
	uint64_t at, number;
	uint32_t place; /* in the heap, and 1; 0 = none is planned */
};

struct sim_events {
	struct sim_event *of; /* [actors] */
	uint32_t *heap;       /* [actors] */
	uint32_t planned;
	uint64_t number;
};

static inline bool sim_before(const struct sim_events *e, uint32_t a, uint32_t b)
{
	const struct sim_event *x = &e->of[a], *y = &e->of[b];

	return x->at != y->at ? x->at < y->at : x->number < y->number;
}

static inline void sim_put(struct sim_events *e, uint32_t place, uint32_t actor)
{
	e->heap[place] = actor;
	e->of[actor].place = place + 1;
}

/* Moves the actor at @place to where it belongs. */
static inline void sim_sift(struct sim_events *e, uint32_t place)
{
	uint32_t actor = e->heap[place];

	while (place && sim_before(e, actor, e->heap[(place - 1) / 2])) {
		sim_put(e, place, e->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	for (uint32_t child; (child = 2 * place + 1) < e->planned; place = child) {
		if (child + 1 < e->planned && sim_before(e, e->heap[child + 1], e->heap[child]))
			child++;
		if (!sim_before(e, e->heap[child], actor))
			break;
		sim_put(e, place, e->heap[child]);
	}
	sim_put(e, place, actor);
}

/* The next event of @actor is at @at, and no other. */
static inline void sim_plan(struct sim_events *e, uint32_t actor, uint64_t at)
{
	struct sim_event *event = &e->of[actor];

	event->at = at;
	event->number = e->number++;
	if (!event->place)
		sim_put(e, e->planned++, actor);
	sim_sift(e, event->place - 1);
}

/* @actor has no event to come. */
static inline void sim_unplan(struct sim_events *e, uint32_t actor)
{
	uint32_t place = e->of[actor].place;

	if (!place)
		return;
	e->of[actor].place = 0;
	if (place - 1 == --e->planned)
		return;
	sim_put(e, place - 1, e->heap[e->planned]);
	sim_sift(e, place - 1);
}

#endif
