/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate of a deque: whether its owner may take by a plain store, since no thief is there.
 *
 * A take must order its store of bottom before its look at top. The exchange that does so (D1) is
 * much of what a take costs, and thieves are rare. So the gate is open until one comes. While it is
 * open nobody but the owner moves top. The owner takes what lies above the gate, which then holds
 * top - 1, and fences nothing.
 *
 * A thief shuts the gate before it steals, and calls membarrier(2). Either the owner's next look
 * sees the gate shut, or the thief sees its store of bottom. From there on the owner takes by
 * exchange. Now and then it looks at top. When no thief has moved that since the last look it opens
 * the gate again, and the next thief pays with another membarrier.
 *
 * The word top holds an index, and in its low bits how often the gate was opened, its epoch. A
 * thief reads top first, then the gate, and moves top by CAS at last. If the gate was opened in
 * between, the CAS fails. `sure` is the epoch of a thief that has called membarrier: others of that
 * epoch need not. One that comes while the first is still in the system call makes its own. Nobody
 * waits for anybody, and no task is hidden.
 *
 * Why no task is taken twice. Call a take light if it saw the gate open.
 *
 *   1 The owner opens: first the gate, then the epoch, by CAS on top. So a thief that has read the
 *     new epoch sees the gate open, or shut by a thief that came after the opening.
 *   2 If that CAS fails, a thief has moved top in the old epoch. The owner shuts the gate, and has
 *     taken nothing meanwhile.
 *   3 A thief that steals in epoch e read it before it looked at the gate. By 1 it found the gate
 *     open and shut it, or another had since the opening. It called membarrier after that, or read
 *     sure = e from one that did.
 *   4 A light take of epoch e saw the gate open, so its look came before that membarrier, by D3 and
 *     D4. So the thief's later read of bottom sees its store.
 *   5 Takes that are not light meet thieves as ever: D1 and D2.
 *
 * An index stays within 2^39 of the deque's other indices, but for one: that of a frame that waits
 * for a task while its worker goes on for hours. Such an index is below the floor, which the owner
 * sees. A thief that reads it as bottom finds the deque empty, or fuller than one can be. An epoch
 * comes again after 2^24 openings, each of which takes thousands of takes.
 *
 * Rejected:
 *   - a membarrier in every steal: docs/adr/0006
 *   - a thief that asks, and an owner that answers: hides tasks while the owner runs a long one
 *   - a count of the thieves inside instead of the epoch: two more operations in every steal, and
 *     one that is not running keeps the gate shut
 *
 * Source: Dekker's with one side's fence forced by the system (Dice, Huang and Yang 2001).
 */
#ifndef FILCHI_GATE_H
#define FILCHI_GATE_H

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"

#ifndef FILCHI_PATIENCE
#define FILCHI_PATIENCE 8192u
#endif
#define FILCHI_VAIN_LOOKS 256u
#define FILCHI_EPOCH_MASK ((UINT64_C(1) << FILCH_EPOCH_BITS) - 1)
#define FILCHI_TOP_ONE    (UINT64_C(1) << FILCH_EPOCH_BITS) /* the next index, the same epoch */

static inline uint32_t filchi_top_epoch(uint64_t top)
{
	return (uint32_t)(top & FILCHI_EPOCH_MASK);
}

/* The index in @top, of which the low bits are kept: the one nearest to @near. */
static inline filch_index filchi_top_index(uint64_t top, filch_index near)
{
	uint64_t apart = (top >> FILCH_EPOCH_BITS) - (uint64_t)near;

	return filch_index_add(
		near, (filch_index)((int64_t)(apart << FILCH_EPOCH_BITS) >> FILCH_EPOCH_BITS));
}

/* The owner's. */
struct filchi_gate_watch {
	uint64_t top;      /* at the last look */
	uint32_t patience; /* takes from one look to the next; 0: the gate stays shut */
	uint32_t vain;     /* looks at which a thief seemed to be on its way */
};

/* Owner: begins to count takes until the next look. */
static inline void filchi_gate_be_patient(
	struct filch_worker *hot, const struct filchi_gate_watch *watch)
{
	filch_store_relaxed(&hot->patience, watch->patience ? watch->patience : UINT32_MAX);
}

/* Before anybody else knows the deque. @shut: for good, for want of membarrier(2). */
static inline void filchi_gate_init(
	struct filch_worker *hot, struct filchi_gate_watch *watch, bool shut)
{
	watch->top = UINT64_MAX;
	watch->patience = shut ? 0 : FILCHI_PATIENCE;
	watch->vain = 0;
	filchi_gate_be_patient(hot, watch);
	filch_store_relaxed(&hot->top, (uint64_t)FILCH_INDEX_START << FILCH_EPOCH_BITS);
	filch_store_relaxed(&hot->sure, shut ? 0 : UINT32_MAX);
	filch_store_relaxed(&hot->gate,
		shut ? FILCH_GATE_SHUT : (int64_t)filch_index_add(FILCH_INDEX_START, -1));
}

/* A thief that has read @top, and before it reads bottom for good. */
static inline void filchi_gate_shut(struct filch_worker *hot, uint64_t top)
{
	bool open = filchi_load_acquire(&hot->gate) != FILCH_GATE_SHUT;

	if (FILCH_LIKELY(!open && filchi_load_acquire(&hot->sure) == filchi_top_epoch(top)))
		return;
	if (open)
		(void)filchi_exchange_seq_cst(&hot->gate, FILCH_GATE_SHUT);
	FILCH_HOOK(gate_shut);
	/*
	 * FENCE D4   store gate -> load bottom             pairs with: D3 in filch_take()
	 * Ensures:   the owner sees the gate shut, or the thief sees the bottom of a take.
	 * Without:   owner and thief both take the same task.
	 * Weaker?    no: store->load. Heavy here, so that a take pays nothing.
	 * Checked:   tests/stress/gate.c; a model knows no membarrier
	 */
	filchi_membarrier();
	filchi_store_release(&hot->sure, filchi_top_epoch(top));
}

/*
 * Owner, which then moves top by itself. Its exchange lets all see what it has taken: no membarrier
 * is needed in this epoch.
 */
static inline void filchi_gate_shut_own(struct filch_worker *hot)
{
	if (filchi_load_acquire(&hot->gate) == FILCH_GATE_SHUT)
		return;
	(void)filchi_exchange_seq_cst(&hot->gate, FILCH_GATE_SHUT);
	filchi_store_release(&hot->sure, filchi_top_epoch(filchi_load_acquire(&hot->top)));
}

/* Owner, with the gate shut: opens it, unless a thief has moved @top. Returns top as it is. */
static inline uint64_t filchi_gate_open(struct filch_worker *hot, uint64_t top, filch_index index)
{
	uint64_t next = (top & ~FILCHI_EPOCH_MASK) | ((top + 1) & FILCHI_EPOCH_MASK);

	filchi_store_release(&hot->gate, (int64_t)filch_index_add(index, -1));
	FILCH_HOOK(gate_opens);
	if (filchi_cas_seq_cst(&hot->top, &top, next))
		return next;
	filchi_store_release(&hot->gate, FILCH_GATE_SHUT);
	return top;
}

/*
 * Owner: has taken so often with the gate shut that it looks whether a thief has come since its
 * last look. Opens the gate if none has. @near: an index not far from top.
 *
 * Where `sure` is of another epoch a thief may be in its system call, which can take longer than
 * many looks. If the gate were opened each time before it comes back it would never steal. But a
 * late one may also have left its epoch there. So the owner waits for some looks, and no longer.
 */
static inline void filchi_gate_look(
	struct filch_worker *hot, struct filchi_gate_watch *watch, filch_index near)
{
	uint64_t top = filchi_load_acquire(&hot->top);

	filchi_gate_be_patient(hot, watch);
	if (watch->patience && watch->top == top &&
		(filchi_load_acquire(&hot->sure) == filchi_top_epoch(top) ||
			++watch->vain >= FILCHI_VAIN_LOOKS)) {
		watch->vain = 0;
		top = filchi_gate_open(hot, top, filchi_top_index(top, near));
	}
	watch->top = top;
}

#endif
