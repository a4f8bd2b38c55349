/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The injector: the pool's bounded queue of jobs that have not started. It has one SCQ of slot
 * numbers per lane, and one count of the queued jobs, against which submits from outside are
 * admitted.
 *
 * The count is not the lanes' length. A job that was cancelled, or claimed by a worker that waits
 * for it, leaves its number in the lane (a tombstone, which takers skip). But it is queued no more.
 * The SCQs hold every slot, so a put always has room.
 *
 * Lanes that no job has used cost nothing but address space: takers look at those in `used` alone.
 * Its bit is there before a lane's first number is. So whoever sees the number to be there, by
 * whatever fence, sees the bit.
 *
 * Turns. A taker has FILCHI_LANE_TURN jobs of a lane, then one of the lanes below that has some. So
 * it has at most so many of a lane between two of the next lower one that has jobs.
 *
 * Admission. A submit from outside needs queued < capacity. A submit from a worker is always
 * admitted, and may take the count above the capacity: so jobs which submit jobs cannot block
 * themselves.
 */
#ifndef FILCHI_INJECTOR_H
#define FILCHI_INJECTOR_H

#include <filch/job.h>

#include "base/park_futex.h"
#include "struct/scq.h"

#define FILCHI_LANE_TURN 7u

struct filchi_injector {
	struct filchi_scq lane[FILCH_LANES];
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 used; /* bits: lanes that have had jobs */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_i64 queued;
	int64_t capacity;
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 blocked; /* submitters waiting for room */
	/* the word they sleep on: 1 = one of them has been told to look */
	filch_atomic_u32 room;
};

/* @slots: a power of two, how many slot numbers there are. 0 or -ENOMEM. */
int filchi_injector_init(struct filchi_injector *q, uint32_t slots, uint32_t capacity);
void filchi_injector_destroy(struct filchi_injector *q);

/* Any thread. Counts one more queued job, if there is room or @force. Lock-free. */
bool filchi_injector_admit(struct filchi_injector *q, bool force);

/* The same for up to @n jobs, together. Returns how many; @n if @force. */
uint32_t filchi_injector_admit_many(struct filchi_injector *q, bool force, uint32_t n);

/*
 * Any thread. One queued job less: it was started, cancelled, or withdrawn. Wakes a blocked
 * submitter, unless one is on its way. That one clears `room`, looks, and wakes the next if there
 * is more room. So a queue that drains while a submitter wakes up costs one system call, not one
 * per job.
 */
void filchi_injector_release(struct filchi_injector *q);

/*
 * A submitter that was not admitted waits until it is (0), until @deadline (-ETIMEDOUT), or until
 * *@closing is set (-ESHUTDOWN).
 */
int filchi_injector_wait(
	struct filchi_injector *q, const struct timespec *deadline, filch_atomic_u32 *closing);

/* Wakes every blocked submitter: the pool is closing. */
void filchi_injector_close(struct filchi_injector *q);

/* The first job of a lane comes. Lane 0 is used from the beginning. */
FILCH_COLD void filchi_injector_use(struct filchi_injector *q, uint32_t lane);

static inline void filchi_injector_may_use(struct filchi_injector *q, uint32_t lane)
{
	if (lane && !(filch_load_relaxed(&q->used) >> lane & 1))
		filchi_injector_use(q, lane);
}

static inline void filchi_injector_put(struct filchi_injector *q, uint32_t lane, uint32_t slot)
{
	filchi_injector_may_use(q, lane);
	filchi_scq_put(&q->lane[lane], slot);
}

static inline void filchi_injector_put_many(
	struct filchi_injector *q, uint32_t lane, const uint32_t *slot, uint32_t n)
{
	filchi_injector_may_use(q, lane);
	filchi_scq_put_many(&q->lane[lane], slot, n);
}

/* How many jobs more would be admitted now. */
static inline int64_t filchi_injector_room(struct filchi_injector *q)
{
	return q->capacity - filchi_load_acquire(&q->queued);
}

/*
 * Whether a tombstone would be found for every so many numbers that lie in the lanes. Reads that
 * race with puts and takes may err by as many as there are threads at it.
 */
#define FILCHI_INJECTOR_LOOKS 64
static inline bool filchi_injector_worth_sweeping(struct filchi_injector *q)
{
	int64_t queued = filchi_load_acquire(&q->queued), numbers = 0;

	for (uint32_t i = 0; i < FILCH_LANES; i++)
		numbers += (int64_t)filchi_scq_length(&q->lane[i]);
	return numbers > queued && (numbers - queued) * FILCHI_INJECTOR_LOOKS >= numbers;
}

/* A taker's own: of each lane, in a byte, how many jobs it has had since one of a lower lane. */
struct filchi_turns {
	uint64_t had;
};

/*
 * The taker has had a job of @lane. Apart from the take, since a tombstone is nobody's turn.
 */
static inline void filchi_turns_take(struct filchi_turns *turns, uint32_t lane)
{
	turns->had &= UINT64_MAX >> (56 - 8 * lane); /* the lanes above begin anew */
	if ((turns->had >> 8 * lane & 255) < FILCHI_LANE_TURN)
		turns->had += UINT64_C(1) << 8 * lane;
}
FILCH_STATIC_ASSERT(FILCH_LANES == 8, "a byte of the word for each");

/*
 * A slot number, and its lane in *@lane, or FILCHI_SCQ_EMPTY.
 *
 * The highest lane comes first whose turn is not over. A lane whose turn is over comes before those
 * above it: what is below it has no job. So the second walk goes upwards.
 */
static inline uint32_t filchi_injector_take(
	struct filchi_injector *q, const struct filchi_turns *turns, uint32_t *lane)
{
	uint32_t over = 0, slot;

	for (uint32_t left = filchi_load_acquire(&q->used); left; left ^= UINT32_C(1) << *lane) {
		*lane = 31 - (uint32_t)__builtin_clz(left);
		if ((turns->had >> 8 * *lane & 255) == FILCHI_LANE_TURN && *lane) {
			over |= UINT32_C(1) << *lane;
			continue;
		}
		slot = filchi_scq_take(&q->lane[*lane]);
		if (slot != FILCHI_SCQ_EMPTY)
			return slot;
	}
	for (; over; over &= over - 1) {
		*lane = (uint32_t)__builtin_ctz(over);
		slot = filchi_scq_take(&q->lane[*lane]);
		if (slot != FILCHI_SCQ_EMPTY)
			return slot;
	}
	return FILCHI_SCQ_EMPTY;
}

static inline bool filchi_injector_seems_empty(struct filchi_injector *q)
{
	for (uint32_t used = filchi_load_acquire(&q->used); used; used &= used - 1)
		if (!filchi_scq_seems_empty(&q->lane[__builtin_ctz(used)]))
			return false;
	return true;
}

#endif
