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
 * Admission. A submit from outside needs queued < capacity. A submit from a worker is always
 * admitted, and may take the count above the capacity: so jobs which submit jobs cannot block
 * themselves.
 */
#ifndef FILCHI_INJECTOR_H
#define FILCHI_INJECTOR_H

#include "base/park_futex.h"
#include "struct/scq.h"

#define FILCHI_LANES     2u
#define FILCHI_LANE_TURN 8u /* every 8th look goes to the other lane first */

struct filchi_injector {
	struct filchi_scq lane[FILCHI_LANES];
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

static inline void filchi_injector_put(struct filchi_injector *q, uint32_t lane, uint32_t slot)
{
	filchi_scq_put(&q->lane[lane], slot);
}

static inline void filchi_injector_put_many(
	struct filchi_injector *q, uint32_t lane, const uint32_t *slot, uint32_t n)
{
	filchi_scq_put_many(&q->lane[lane], slot, n);
}

/* How many jobs more would be admitted now. */
static inline int64_t filchi_injector_room(struct filchi_injector *q)
{
	return q->capacity - filchi_load_acquire(&q->queued);
}

/*
 * A slot number or FILCHI_SCQ_EMPTY. @turn: the taker's own count of its looks here, tombstones
 * apart.
 */
static inline uint32_t filchi_injector_take(struct filchi_injector *q, uint32_t turn)
{
	uint32_t first = turn % FILCHI_LANE_TURN == 0 ? 0 : FILCHI_LANES - 1;
	uint32_t slot = filchi_scq_take(&q->lane[first]);

	return slot != FILCHI_SCQ_EMPTY ? slot
					: filchi_scq_take(&q->lane[FILCHI_LANES - 1 - first]);
}

static inline bool filchi_injector_seems_empty(struct filchi_injector *q)
{
	return filchi_scq_seems_empty(&q->lane[0]) && filchi_scq_seems_empty(&q->lane[1]);
}

#endif
