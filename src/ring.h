/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded lock-free queue of small integers: many producers, many consumers, FIFO. Source: the scalable circular queue, SCQ, of
 * Nikolaev 2019 ("A Scalable, Portable, and Memory-Efficient Lock-Free FIFO Queue", DISC).
 *
 * Idea. 2n entries for n values. A put draws a position from tail, a take one from head, each with one fetch-add; an entry
 * carries the cycle (lap) it was last used in, so that the two that drew the same position recognise each other. A take that
 * arrives before its put marks the entry so that the late put must draw again: nobody ever waits for a thread that was
 * preempted. threshold bounds how often a take may draw in vain: after 3n-1 vain draws in a row the ring is empty, and so it is
 * told apart from a ring whose items are yet to be reached; it is what makes take lock-free.
 *
 * entry:  cycle | safe (1 bit) | value (log2(2n) bits; all ones = none)
 *
 * Preconditions: at most n values are in the ring at any time (the caller sees to it: the values are slot numbers, each in the ring
 * at most once), and no more positions than n are drawn and not yet left at a time, or the bound on takes does not hold: a thread that
 * puts or takes k together counts as k.
 *
 * Many together. A thread that draws k positions with one fetch-add does what k threads of the paper do that drew one after the other
 * and were then held, but one. Which of them carries which value the algorithm does not ask, so values may move to the next position
 * when one is lost; and a taker that leaves after a vain draw, instead of drawing again, is one that was held there for ever.
 *
 * Rejected: ck_ring, whose producers spin until earlier ones have published: 8 producers on 2 cores fell to 0.01-1.8 M/s;
 * Vyukov's ring with a sequence number per slot, where a preempted producer stops the consumers at its slot. Neighbouring positions in
 * different cache lines, as the paper has them: eight in one, they are fetched together, and with two cores the ring alone was twice as
 * fast (bench/run --rings, five pairs of runs), bare jobs from 1, 4 and 8 producers 10 to 25 % and batches 12 to 40 % (one comparison).
 * Not known: many cores.
 */
#ifndef FILCHI_RING_H
#define FILCHI_RING_H

#include <stdlib.h>

#include "atomic.h"
#include "check.h"

#define FILCHI_RING_EMPTY UINT32_MAX
#define FILCHI_RING_VAIN  (UINT32_MAX - 1)

struct filchi_ring {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 head;
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 tail;
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_i64 threshold;
	FILCH_ALIGNED(FILCH_CACHELINE) uint32_t bits; /* log2 of the number of entries, 2n */
	filch_atomic_u64 *entry;
};

/* @capacity: n, a power of two from 2 to 2^30. 0, or -1 without memory. */
static inline int filchi_ring_init(struct filchi_ring *r, uint32_t capacity)
{
	uint64_t entries = (uint64_t)capacity * 2;

	r->bits = 1;
	while (UINT64_C(1) << r->bits < entries)
		r->bits++;
	r->entry = malloc(entries * sizeof r->entry[0]);
	if (!r->entry)
		return -1;
	for (uint64_t i = 0; i < entries; i++)
		filchi_store_relaxed(&r->entry[i], entries | (entries - 1)); /* cycle 0, safe, none */
	filchi_store_relaxed(&r->head, entries); /* cycle 1 */
	filchi_store_relaxed(&r->tail, entries);
	filchi_store_relaxed(&r->threshold, -1);
	return 0;
}

static inline void filchi_ring_destroy(struct filchi_ring *r)
{
	free(r->entry);
}

static inline filch_atomic_u64 *filchi_ring_entry(struct filchi_ring *r, uint64_t position)
{
	return &r->entry[position & ((UINT64_C(1) << r->bits) - 1)];
}

/*
 * One attempt to put @value at a position that was drawn from tail, each position for one attempt to succeed at most. False: a take was
 * faster, or a value of an earlier lap is still there; draw another.
 */
static inline bool filchi_ring_put_at(struct filchi_ring *r, uint64_t tail, uint32_t value)
{
	const uint64_t safe = UINT64_C(1) << r->bits, none = safe - 1;
	const int64_t full = (int64_t)(3 * (safe / 2)) - 1; /* 3n-1 */
	uint64_t cycle = tail >> r->bits;
	filch_atomic_u64 *entry = filchi_ring_entry(r, tail);
	uint64_t e = filchi_load_acquire(entry);

	filchi_check(value < none);
	FILCH_HOOK(ring_put_drawn);
	while (e >> (r->bits + 1) < cycle && (e & none) == none && ((e & safe) || filchi_load_acquire(&r->head) <= tail)) {
		if (filchi_cas_seq_cst(entry, &e, cycle << (r->bits + 1) | safe | value)) {
			if (filchi_load_acquire(&r->threshold) != full)
				filchi_store_release(&r->threshold, full);
			return true;
		}
	}
	return false;
}

/* Any thread. Lock-free. What was written before it is visible to who takes @value. */
static inline void filchi_ring_put(struct filchi_ring *r, uint32_t value)
{
	while (!filchi_ring_put_at(r, filchi_fetch_add_seq_cst(&r->tail, 1), value))
		;
}

/*
 * As @n puts, in this order. Positions are drawn together, then visited one after the other; a value that does not get the one position
 * goes to the next, so that their order is kept.
 */
static inline void filchi_ring_put_many(struct filchi_ring *r, const uint32_t *value, uint32_t n)
{
	while (n) {
		uint64_t tail = filchi_fetch_add_seq_cst(&r->tail, n), end = tail + n;

		for (; tail < end; tail++) {
			if (filchi_ring_put_at(r, tail, *value)) {
				value++;
				n--;
			}
		}
	}
}

/* Head has run ahead of tail (takes in vain): brings tail up, so that puts need not draw all positions between. */
static inline void filchi_ring_catch_up(struct filchi_ring *r, uint64_t tail, uint64_t head)
{
	while (!filchi_cas_acq_rel(&r->tail, &tail, head)) {
		head = filchi_load_acquire(&r->head);
		tail = filchi_load_acquire(&r->tail);
		if (tail >= head)
			return;
	}
}

/* One attempt at a position that was drawn from head: the value put there, FILCHI_RING_EMPTY, or FILCHI_RING_VAIN: draw another. */
static inline uint32_t filchi_ring_take_at(struct filchi_ring *r, uint64_t head)
{
	const uint64_t safe = UINT64_C(1) << r->bits, none = safe - 1;
	uint64_t cycle = head >> r->bits, next;
	filch_atomic_u64 *entry = filchi_ring_entry(r, head);
	uint64_t e = filchi_load_acquire(entry);

	FILCH_HOOK(ring_take_drawn);
	do {
		if (FILCH_LIKELY(e >> (r->bits + 1) == cycle)) { /* said aloud: else gcc's order of the code cost a job 4 ns */
			filchi_or_acq_rel(entry, none); /* consumed; puts of later cycles may use the entry */
			return (uint32_t)(e & none);
		}
		if ((e & none) == none)
			next = cycle << (r->bits + 1) | (e & safe) | none; /* its put is late: it must draw again */
		else
			next = e & ~safe; /* of an earlier cycle, and its take is late: no put until that has gone */
	} while (e >> (r->bits + 1) < cycle && !filchi_cas_seq_cst(entry, &e, next));

	uint64_t tail = filchi_load_acquire(&r->tail);
	if (tail <= head + 1) {
		filchi_ring_catch_up(r, tail, head + 1);
		(void)filchi_fetch_sub_seq_cst(&r->threshold, 1);
		return FILCHI_RING_EMPTY;
	}
	return filchi_fetch_sub_seq_cst(&r->threshold, 1) <= 0 ? FILCHI_RING_EMPTY : FILCHI_RING_VAIN;
}

/* Any thread. Lock-free. The oldest value, or FILCHI_RING_EMPTY. */
static inline uint32_t filchi_ring_take(struct filchi_ring *r)
{
	uint32_t value;

	if (filchi_load_acquire(&r->threshold) < 0)
		return FILCHI_RING_EMPTY;
	do
		value = filchi_ring_take_at(r, filchi_fetch_add_seq_cst(&r->head, 1));
	while (FILCH_UNLIKELY(value == FILCHI_RING_VAIN));
	return value;
}

/*
 * Takes up to @n of the oldest values, in their order, with one draw; returns how many. It draws no more positions than puts have, and
 * tries each once: fewer than @n, or none, does not mean that the ring is empty.
 */
static inline uint32_t filchi_ring_take_many(struct filchi_ring *r, uint32_t *value, uint32_t n)
{
	uint64_t head = filchi_load_acquire(&r->head), tail = filchi_load_acquire(&r->tail);
	uint32_t got = 0;

	if (filchi_load_acquire(&r->threshold) < 0 || tail <= head)
		return 0;
	if (n > tail - head)
		n = (uint32_t)(tail - head);
	head = filchi_fetch_add_seq_cst(&r->head, n);
	for (uint32_t i = 0; i < n; i++) {
		value[got] = filchi_ring_take_at(r, head + i);
		got += value[got] < FILCHI_RING_VAIN;
	}
	return got;
}

/*
 * Any thread. False also while a put has drawn its position and not yet written it: a worker does not park on such a ring, for the
 * put that follows it may already have used its one wake-up (P1 draws, P2 draws, writes and wakes; P1 writes).
 */
static inline bool filchi_ring_seems_empty(struct filchi_ring *r)
{
	uint64_t head = filchi_load_acquire(&r->head);

	return filchi_load_acquire(&r->tail) <= head;
}

#endif
