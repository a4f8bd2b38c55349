/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dependencies: a job that starts after others, its predecessors, have ended. It follows them. Each
 * of these has a list of its followers, made of edges: one for each pair of the two.
 *
 * The list. A follower hangs its edge on while the predecessor is unfinished. The thread that ends
 * the predecessor closes the list and has what hangs there.
 *
 *   list, one word:   63..24 generation of the job | 23..0 its first edge, or how it was closed
 *
 *   - A follower first sets FOLLOWED in the predecessor's state word, which costs the end of a job
 *     without followers nothing. Then it looks at the list, at the state word, and hangs its edge
 *     on by a CAS of the list.
 *   - Who ends the job finds FOLLOWED, at the latest when its own CAS of the state word fails. It
 *     closes the list before that CAS.
 *   - So an edge hangs on a list that will be closed, or the CAS fails, and the list is closed.
 *   - A list of another generation is what an earlier job in the slot has left, closed: a follower
 *     that has read it, and the state word after it, may take its place.
 *
 * The count. A follower counts the edges that it hangs, and one for itself until all do. Whoever
 * closes a list counts one off for each edge there. The last one makes the job ready.
 *
 *   count, one word:  63..24 generation of the follower | 23 failed | 22..0 left
 *
 * A follower that was cancelled leaves its edges where they hang. They meet another generation, in
 * its count and in its state word.
 *
 * FAILED. In the state word of a job that is complete, or that has left the slot and no other has
 * it: that job has failed. In that of one that is queued or runs: one that it follows has.
 *
 * Nobody waits for anybody, and nothing is recursive. A follower that fails, because another has,
 * goes through the queue as any job that is ready, and ends there (core/worker.c). So chains need
 * no more stack, and no more memory, than the jobs that they are made of.
 *
 * Rejected: a list in the state word. It would take room from the generation.
 */
#ifndef FILCHI_AFTER_H
#define FILCHI_AFTER_H

#include "base/atomic.h"
#include "base/check.h"

#define FILCHI_AFTER_FOLLOWED UINT64_C(0x400) /* of the state word: has, or had, followers */
#define FILCHI_AFTER_FAILED   UINT64_C(0x800)

/* the states of job_slot.h that are decided here */
#define FILCHI_AFTER_QUEUED  UINT64_C(1)
#define FILCHI_AFTER_DONE    UINT64_C(4) /* the first of three that are over */
#define FILCHI_AFTER_GONE    UINT64_C(6)
#define FILCHI_AFTER_WAITING UINT64_C(7)
#define FILCHI_AFTER_READY   UINT64_C(9) /* QUEUED, and in an SCQ */

#define FILCHI_EDGE_NONE   UINT32_C(0) /* edges are numbered from 1 */
#define FILCHI_EDGE_BITS   UINT64_C(0xffffff)
#define FILCHI_LIST_CLOSED UINT32_C(0xffffff)
#define FILCHI_LIST_FAILED UINT32_C(0xfffffe) /* likewise; the job has failed */
#define FILCHI_COUNT_MOST  UINT32_C(0x7ffffe)

struct filchi_edge {
	uint64_t generation; /* the follower's, as in its state word */
	uint32_t slot;       /* likewise */
	bool any;            /* it does not mind failures */
	filch_atomic_u32 next;
};

/* One for each slot. */
struct filchi_follow {
	filch_atomic_u64 list;  /* of its followers */
	filch_atomic_u64 count; /* of those that it follows */
};

/* A word of the generation in state word @s. */
static inline uint64_t filchi_after_word(uint64_t s, uint32_t low)
{
	return s >> 16 << 24 | low;
}

static inline bool filchi_after_same(uint64_t word, uint64_t s)
{
	return (word ^ s >> 16 << 24) >> 24 == 0;
}

enum filchi_hung { FILCHI_HUNG, FILCHI_HUNG_CLOSED, FILCHI_HUNG_FAILED, FILCHI_HUNG_OVER };

/*
 * A follower hangs @edge, of @number, on the list of a job. *@s is what it has read of that one's
 * state word, in which it is unfinished.
 *
 *   HUNG     whoever ends the job has the edge
 *   CLOSED   the job has come to its end, and has not failed
 *   FAILED   the same, and it has
 *   OVER     the job is over, *@s says how
 */
static inline enum filchi_hung filchi_after_hang(filch_atomic_u64 *word, uint64_t *s,
	filch_atomic_u64 *list, struct filchi_edge *edge, uint32_t number)
{
	const uint64_t of = *s;
	uint64_t seen, state;

	while (!(*s & FILCHI_AFTER_FOLLOWED) &&
		!filchi_cas_acq_rel(word, s, *s | FILCHI_AFTER_FOLLOWED))
		if (*s >> 16 != of >> 16 || (*s & 7) - FILCHI_AFTER_DONE <= 2)
			return FILCHI_HUNG_OVER;
	FILCH_HOOK(after_flagged);
	seen = filchi_load_acquire(list);
	for (;;) {
		uint32_t first = (uint32_t)(seen & FILCHI_EDGE_BITS);
		bool same = filchi_after_same(seen, of);

		*s = filchi_load_acquire(word);
		state = *s & 7;
		if (*s >> 16 != of >> 16 || state - FILCHI_AFTER_DONE <= 2)
			return FILCHI_HUNG_OVER;
		if (same && first >= FILCHI_LIST_FAILED)
			return first == FILCHI_LIST_CLOSED ? FILCHI_HUNG_CLOSED
							   : FILCHI_HUNG_FAILED;
		filch_store_relaxed(&edge->next, same ? first : FILCHI_EDGE_NONE);
		if (filchi_cas_acq_rel(list, &seen, filchi_after_word(of, number)))
			return FILCHI_HUNG;
	}
}

/*
 * The thread that ends the job of state word @s, in which it is FOLLOWED: once, before the step in
 * which the job is over. Returns the first edge.
 */
static inline uint32_t filchi_after_close(filch_atomic_u64 *list, uint64_t s, bool failed)
{
	uint64_t seen = filchi_exchange_acq_rel(
		list, filchi_after_word(s, failed ? FILCHI_LIST_FAILED : FILCHI_LIST_CLOSED));

	return filchi_after_same(seen, s) ? (uint32_t)(seen & FILCHI_EDGE_BITS) : FILCHI_EDGE_NONE;
}

/* A follower whose slot is its submitter's, with state word @s: follows @n, and itself. */
static inline void filchi_after_begin(filch_atomic_u64 *count, uint64_t s, uint32_t n)
{
	filchi_store_release(count, filchi_after_word(s, n + 1));
}

/*
 * @n of those that the follower has counted are over. @s: its generation, as in its state word.
 * True: they were the last, and the caller makes it ready; *@failed is whether any has failed.
 */
static inline bool filchi_after_ended(filch_atomic_u64 *count, uint64_t s, uint32_t n, bool *failed)
{
	uint64_t seen = filchi_load_acquire(count), next;

	filch_tsan_release(count);
	do {
		if (!filchi_after_same(seen, s))
			return false;
		next = (seen - n) | (*failed ? UINT64_C(1) << 23 : 0);
	} while (!filchi_cas_acq_rel(count, &seen, next));
	*failed = next >> 23 & 1;
	if (next & 0x7fffff)
		return false;
	filch_tsan_acquire(count);
	return true;
}

/* Whether the follower of state word @s still waits: a cancel may come next. */
static inline bool filchi_after_waits(filch_atomic_u64 *word, uint64_t s)
{
	uint64_t now = filchi_load_acquire(word);

	return now >> 16 == s >> 16 && (now & 7) == FILCHI_AFTER_WAITING;
}

/*
 * The last has ended: the follower of state word *@s is queued. False: it was cancelled meanwhile.
 * Else *@s is what its word was.
 */
static inline bool filchi_after_ready(filch_atomic_u64 *word, uint64_t *s, bool failed)
{
	const uint64_t of = *s;

	*s = filchi_load_acquire(word);
	filch_tsan_release(word);
	do {
		if (*s >> 16 != of >> 16 || (*s & 7) != FILCHI_AFTER_WAITING)
			return false;
	} while (!filchi_cas_acq_rel(word, s,
		((*s & ~UINT64_C(7)) | FILCHI_AFTER_READY) | (failed ? FILCHI_AFTER_FAILED : 0)));
	return true;
}

#endif
