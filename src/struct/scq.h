/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCQ, a bounded lock-free queue of small integers: many producers, many consumers, FIFO. Source:
 * the scalable circular queue of Nikolaev 2019 ("A Scalable, Portable, and Memory-Efficient
 * Lock-Free FIFO Queue", DISC).
 *
 * Idea. There are 2n entries for n values. A put draws a position from tail, a take one from head,
 * each with one fetch-add. An entry carries the cycle (lap) it was last used in, so that two
 * threads that drew the same position recognise each other. A take that arrives before its put
 * marks the entry, and the late put must draw again. So nobody ever waits for a thread that was
 * preempted. threshold bounds how often a take may draw in vain. After 3n-1 vain draws in a row the
 * queue is empty, not just slow; this makes take lock-free.
 *
 * entry:  cycle | unsafe (1 bit) | value, complemented (log2(2n) bits; 0 = none)
 *
 * So an entry that was never used is 0, and memory that nobody has touched is an empty queue.
 *
 * Preconditions:
 * - At most n values are in the queue at any time. The caller sees to it: the values are slot
 *   numbers, each in the queue at most once.
 * - No more than n positions are drawn and not yet left at a time, or the bound on takes does not
 *   hold. A thread that puts or takes k together counts as k.
 *
 * Many together. Drawing k positions at once is the same as k threads drawing one each, of which
 * k-1 then pause. The paper's proof allows that, and two things follow:
 * - The algorithm does not ask which thread carries which value. So when a position is lost, values
 *   may move to the next one.
 * - A taker may leave after a vain draw, instead of drawing again: it is one that pauses for ever.
 *
 * Rejected:
 * - ck_ring, whose producers spin until earlier ones have published;
 * - Vyukov's queue with a sequence number per slot: a preempted producer stops the consumers at its
 *   slot;
 * - neighbouring positions in different cache lines, as the paper has them: eight in one line are
 *   fetched together, and takers of one batch want them all.
 *
 * docs/benchmarks.md, Rings, has the figures.
 */
#ifndef FILCHI_SCQ_H
#define FILCHI_SCQ_H

#include "base/atomic.h"
#include "base/check.h"
#include "base/map.h"

#define FILCHI_SCQ_EMPTY UINT32_MAX
#define FILCHI_SCQ_VAIN  (UINT32_MAX - 1)

struct filchi_scq {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 head;
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 tail;
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_i64 threshold;
	FILCH_ALIGNED(FILCH_CACHELINE) uint32_t bits; /* log2 of the number of entries, 2n */
	filch_atomic_u64 *entry;
};

/* @capacity: n, a power of two from 2 to 2^30. 0, or -1 without memory. */
static inline int filchi_scq_init(struct filchi_scq *r, uint32_t capacity)
{
	uint64_t entries = (uint64_t)capacity * 2;

	r->bits = 1;
	while (UINT64_C(1) << r->bits < entries)
		r->bits++;
	r->entry = filchi_map(entries * sizeof r->entry[0]);
	if (!r->entry)
		return -1;
#if defined(FILCH_MODEL)
	for (uint64_t i = 0; i < entries; i++)
		filch_store_relaxed(&r->entry[i], 0);
#endif
	filch_store_relaxed(&r->head, entries); /* cycle 1 */
	filch_store_relaxed(&r->tail, entries);
	filch_store_relaxed(&r->threshold, -1);
	return 0;
}

static inline void filchi_scq_destroy(struct filchi_scq *r)
{
	filchi_unmap(r->entry, (sizeof r->entry[0]) << r->bits);
}

static inline filch_atomic_u64 *filchi_scq_entry(struct filchi_scq *r, uint64_t position)
{
	return &r->entry[position & ((UINT64_C(1) << r->bits) - 1)];
}

/*
 * One attempt to put @value at a position drawn from tail; at most one attempt per position
 * succeeds. False: a take was faster, or a value of an earlier lap is still there; draw another.
 */
static inline bool filchi_scq_put_at(struct filchi_scq *r, uint64_t tail, uint32_t value)
{
	const uint64_t unsafe = UINT64_C(1) << r->bits, values = unsafe - 1;
	const int64_t full = (int64_t)(3 * (unsafe / 2)) - 1; /* 3n-1 */
	uint64_t cycle = tail >> r->bits;
	filch_atomic_u64 *entry = filchi_scq_entry(r, tail);
	uint64_t e = filchi_load_acquire(entry);

	filchi_check(value < values);
	FILCH_HOOK(scq_put_drawn);
	while (e >> (r->bits + 1) < cycle && !(e & values) &&
		(!(e & unsafe) || filchi_load_acquire(&r->head) <= tail)) {
		if (filchi_cas_seq_cst(entry, &e, cycle << (r->bits + 1) | (values - value))) {
			/* not older than the takes in vain: the draw has acquired their counts */
			if (filchi_load_acquire(&r->threshold) != full)
				filchi_store_release(&r->threshold, full);
			return true;
		}
	}
	return false;
}

/* Any thread. Lock-free. Writes before it are visible to the taker of @value. */
static inline void filchi_scq_put(struct filchi_scq *r, uint32_t value)
{
	while (!filchi_scq_put_at(r, filchi_fetch_add_seq_cst(&r->tail, 1), value))
		;
}

/*
 * As @n puts, in this order. Positions are drawn together, then visited in turn. A value that does
 * not get one position goes to the next, which keeps their order.
 */
static inline void filchi_scq_put_many(struct filchi_scq *r, const uint32_t *value, uint32_t n)
{
	while (n) {
		uint64_t tail = filchi_fetch_add_seq_cst(&r->tail, n), end = tail + n;

		for (; tail < end; tail++) {
			if (filchi_scq_put_at(r, tail, *value)) {
				value++;
				n--;
			}
		}
	}
}

/*
 * Head has run ahead of tail (vain takes): brings tail up, so that puts need not draw all positions
 * between.
 */
static inline void filchi_scq_catch_up(struct filchi_scq *r, uint64_t tail, uint64_t head)
{
	while (!filchi_cas_acq_rel(&r->tail, &tail, head)) {
		head = filchi_load_acquire(&r->head);
		tail = filchi_load_acquire(&r->tail);
		if (tail >= head)
			return;
	}
}

/*
 * One attempt at a position drawn from head. Returns the value put there, FILCHI_SCQ_EMPTY, or
 * FILCHI_SCQ_VAIN: draw another.
 */
static inline uint32_t filchi_scq_take_at(struct filchi_scq *r, uint64_t head)
{
	const uint64_t unsafe = UINT64_C(1) << r->bits, values = unsafe - 1;
	uint64_t cycle = head >> r->bits, next;
	filch_atomic_u64 *entry = filchi_scq_entry(r, head);
	uint64_t e = filchi_load_acquire(entry);

	FILCH_HOOK(scq_take_drawn);
	do {
		/* the common case, said aloud: gcc's own order of the code is slower */
		if (FILCH_LIKELY(e >> (r->bits + 1) == cycle)) {
			/* consumed; puts of later cycles may use the entry */
			filchi_and_acq_rel(entry, ~values);
			return (uint32_t)(values - (e & values));
		}
		if (!(e & values))
			/* its put is late: it must draw again */
			next = cycle << (r->bits + 1) | (e & unsafe);
		else
			/* of an earlier cycle, and its take is late: no put until that has gone */
			next = e | unsafe;
	} while (e >> (r->bits + 1) < cycle && !filchi_cas_seq_cst(entry, &e, next));

	uint64_t tail = filchi_load_acquire(&r->tail);
	if (tail <= head + 1) {
		filchi_scq_catch_up(r, tail, head + 1);
		(void)filchi_fetch_sub_seq_cst(&r->threshold, 1);
		return FILCHI_SCQ_EMPTY;
	}
	return filchi_fetch_sub_seq_cst(&r->threshold, 1) <= 0 ? FILCHI_SCQ_EMPTY : FILCHI_SCQ_VAIN;
}

/* Any thread. Lock-free. The oldest value, or FILCHI_SCQ_EMPTY. */
static inline uint32_t filchi_scq_take(struct filchi_scq *r)
{
	uint32_t value;

	if (filchi_load_acquire(&r->threshold) < 0)
		return FILCHI_SCQ_EMPTY;
	do
		value = filchi_scq_take_at(r, filchi_fetch_add_seq_cst(&r->head, 1));
	while (FILCH_UNLIKELY(value == FILCHI_SCQ_VAIN));
	return value;
}

/*
 * Takes up to @n of the oldest values, in their order, with one draw; returns how many. It draws no
 * more positions than puts have, and tries each once. So fewer than @n, or none, does not mean that
 * the queue is empty.
 */
static inline uint32_t filchi_scq_take_many(struct filchi_scq *r, uint32_t *value, uint32_t n)
{
	uint64_t head = filchi_load_acquire(&r->head), tail = filchi_load_acquire(&r->tail);
	uint32_t got = 0;

	if (filchi_load_acquire(&r->threshold) < 0 || tail <= head)
		return 0;
	if (n > tail - head)
		n = (uint32_t)(tail - head);
	head = filchi_fetch_add_seq_cst(&r->head, n);
	for (uint32_t i = 0; i < n; i++) {
		value[got] = filchi_scq_take_at(r, head + i);
		got += value[got] < FILCHI_SCQ_VAIN;
	}
	return got;
}

/*
 * Any thread. False also while a put has drawn its position and not yet written it. A worker does
 * not park on such a queue, for a later put may already have used its one wake-up: P1 draws; P2
 * draws, writes and wakes; P1 writes.
 */
static inline bool filchi_scq_seems_empty(struct filchi_scq *r)
{
	uint64_t head = filchi_load_acquire(&r->head);

	return filchi_load_acquire(&r->tail) <= head;
}

/* Any thread: how many values there are, at some moment or another. */
static inline uint64_t filchi_scq_length(struct filchi_scq *r)
{
	uint64_t head = filchi_load_acquire(&r->head), tail = filchi_load_acquire(&r->tail);

	return tail > head ? tail - head : 0;
}

#endif
