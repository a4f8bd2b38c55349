/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of events: one thread writes at a time, any thread reads, the newest overwrite the oldest.
 * Nobody ever waits. A reader finds out afterwards whether what it has read was being overwritten.
 *
 * A worker's ring is written by the worker alone. Threads that are no workers share some rings, and
 * hold one while they write: filchi_trace_ring_take().
 */
#ifndef FILCHI_TRACE_RING_H
#define FILCHI_TRACE_RING_H

#include <filch/detail/fast_atomic.h>

#include "base/atomic.h"

#define FILCHI_TRACE_WORDS 4u

struct filchi_trace_ring {
	/* events written since the ring was made, which is where the next one goes */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 next;
	filch_atomic_u32 taken; /* 1: a thread that is no worker writes */
	uint64_t mask;          /* one less than the events it has room for, a power of 2 */
	filch_atomic_u64 word[];
};

static inline size_t filchi_trace_ring_size(uint64_t room)
{
	return sizeof(struct filchi_trace_ring) +
	       room * FILCHI_TRACE_WORDS * sizeof(filch_atomic_u64);
}

/* True: the ring is the caller's, until it gives it back. */
static inline bool filchi_trace_ring_take(struct filchi_trace_ring *ring)
{
	uint32_t no = 0;

	return !filch_load_relaxed(&ring->taken) && filchi_cas_acq_rel(&ring->taken, &no, 1);
}

static inline void filchi_trace_ring_give(struct filchi_trace_ring *ring)
{
	filchi_store_release(&ring->taken, 0);
}

/* The one that writes. */
static inline void filchi_trace_ring_put(
	struct filchi_trace_ring *ring, const uint64_t event[FILCHI_TRACE_WORDS])
{
	uint64_t next = filch_load_relaxed(&ring->next);
	filch_atomic_u64 *word = &ring->word[(next & ring->mask) * FILCHI_TRACE_WORDS];

	/*
	 * Each store is a release: whoever reads the new word also sees that `next` has come here,
	 * and so that the event before it is gone.
	 */
	for (unsigned i = 0; i < FILCHI_TRACE_WORDS; i++)
		filchi_store_release(&word[i], event[i]);
	filchi_store_release(&ring->next, next + 1);
}

/*
 * Any thread: event number @at, which is below a value of `next` that it has read. False: it was
 * overwritten, or was about to be.
 */
static inline bool filchi_trace_ring_get(
	struct filchi_trace_ring *ring, uint64_t at, uint64_t event[FILCHI_TRACE_WORDS])
{
	filch_atomic_u64 *word = &ring->word[(at & ring->mask) * FILCHI_TRACE_WORDS];

	for (unsigned i = 0; i < FILCHI_TRACE_WORDS; i++)
		event[i] = filchi_load_acquire(&word[i]);
	/* the second look: the writer may be at work on the place of number next - room */
	return filchi_load_acquire(&ring->next) - at <= ring->mask;
}

#endif
