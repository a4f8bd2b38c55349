/* SPDX-License-Identifier: Apache-2.0 */
/*
 * victim: whom to steal from next. Pure policy: no threads, no memory of results, and the same
 * sequence for the same seed.
 *
 * A round names every other worker exactly once, nearest tier first (placement.h). Within a tier
 * the start and the direction are drawn anew each round. So thieves with the same neighbours do not
 * march in step, and the nearest victim is not always the same one. A draw costs a few
 * multiplications per tier, a step one compare and one add. There is no division.
 *
 * Rejected:
 *   - a shuffle of each tier: as many draws as victims, and a scratch array per thief
 *   - a uniformly random victim per attempt: it misses some for long, so that a round could not
 *     prove that it saw everyone, which parking relies on
 *   - remembering the last lucky victim: a second policy on top, which no measurement asks for
 */
#ifndef FILCHI_VICTIM_H
#define FILCHI_VICTIM_H

#include "place/placement.h"

struct filchi_victim {
	const uint16_t *order;    /* the plan's row of this worker */
	const uint16_t *tier_end; /* likewise */
	uint16_t tiers;
	uint16_t tier;       /* the next tier to enter */
	uint16_t begin, end; /* the current tier: order[begin .. end) */
	uint16_t at;         /* the next one in it */
	uint16_t left;       /* how many of it are still to be named */
	bool backwards;      /* direction in it */
	uint64_t rng;
};

/*
 * Prepares the sequence of @worker of @plan, which must outlive it. A round has begun. One thread
 * at a time.
 */
void filchi_victim_init(
	struct filchi_victim *v, const struct filchi_plan *plan, uint32_t worker, uint64_t seed);

/* Begins a round, whatever is left of the last. */
void filchi_victim_round(struct filchi_victim *v);

/* The next worker to try, or -1 at the end of the round, and again until a round is begun. */
int filchi_victim_next(struct filchi_victim *v);

/*
 * Where a worker looks for a task, one deque after another: @own, its own if a frame of it waits,
 * else -1; the thief of the task that it waits for, or -1; then a round.
 */
struct filchi_help {
	int own, thief;
	bool round; /* has begun */
};

/* The next worker whose deque to look at, or -1 at the end of the round. */
static inline int filchi_help_next(struct filchi_help *help, struct filchi_victim *v)
{
	int next = help->own;

	if (help->round) /* most often */
		return filchi_victim_next(v);
	if (next >= 0) {
		help->own = -1;
		return next;
	}
	next = help->thief;
	if (next >= 0) {
		help->thief = -1;
		return next;
	}
	help->round = true;
	filchi_victim_round(v);
	return filchi_victim_next(v);
}

#endif
