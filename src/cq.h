/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion queues: storage of their own for completions, handed to clients in the order of the ring.
 *
 * Idea. A queue of capacity n has n cells. A submit takes a cell from the stack of free ones: that is its credit, and the room of
 * the completion to come, so that a completion never meets a full queue. Who completes the job writes the cell and puts its number
 * into a ring; a reaper takes numbers, copies, and gives the cells of one call back by one CAS. The bell (bell.h) says whom to tell.
 *
 *   cell:  FREE -> FLYING    submit
 *          FLYING -> FREE    the submit was not accepted after all
 *          FLYING -> READY   its job is complete; then its number goes into the ring
 *          READY -> FREE     reaped, or dropped by destroy
 *
 * Memory. Who puts touches the queue once more after the put: the ring's threshold and the bell's attention. By then the completion
 * may have been reaped and the queue destroyed. No count of who is inside guards against that, for it would cost each completion two
 * read-modify-writes: instead struct filch_cq is never freed, only used again for a queue with a ring of the same size, so that a
 * late threshold is the right one, and a late look at attention rings, at worst, a bell that need not ring. Cells and ring entries
 * are freed: nobody touches them after the put's own CAS. Whoever is about to write the descriptor is counted (bell.h), and destroy
 * waits for that.
 *
 * Rejected: slots with sequence numbers that hold the completions themselves (Vyukov), where a completer that is preempted between
 * drawing its position and writing hides all that follow; a list that reapers take as a whole, where a preempted reaper does; the
 * job's own slot as storage, which is what a client of many requests runs out of.
 */
#ifndef FILCHI_CQ_H
#define FILCHI_CQ_H

#include <filch/job.h>

#include "bell.h"
#include "ring.h"

enum { FILCHI_CELL_FREE, FILCHI_CELL_FLYING, FILCHI_CELL_READY };
#define FILCHI_CELL_NONE UINT32_C(0xffffff)
#define FILCHI_CQ_MOST   (UINT32_C(1) << 23)

struct filchi_cell {
	struct filch_completion completion;
	filch_atomic_u32 next;  /* on the stack of free ones */
	filch_atomic_u32 state;
} FILCH_ALIGNED(FILCH_CACHELINE);

struct filch_cq {
	struct filchi_ring ready;
	struct filchi_bell bell;
	/* top of the stack of free cells:  63..24 pops so far | 23..0 cell; the count makes a pop's CAS fail when others came between */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 free;
	FILCH_ALIGNED(FILCH_CACHELINE) struct filchi_cell *cell;
	uint32_t capacity;
	uint32_t fork_generation;
	struct filch_cq *next;  /* destroyed ones of the same size */
};

/* Whether the process has forked since the queue was made. */
bool filchi_cq_forked(const struct filch_cq *cq);

/* Held over a fork; @in_child: the queues of the parent are not ours. */
void filchi_cqs_before_fork(void);
void filchi_cqs_after_fork(bool in_child);

/* Submit: a credit, which is a cell; FILCHI_CELL_NONE if all are taken. Lock-free. */
static inline uint32_t filchi_cq_take_credit(struct filch_cq *cq)
{
	uint64_t top = filchi_load_acquire(&cq->free), next;
	uint32_t cell;

	do {
		cell = (uint32_t)(top & FILCHI_CELL_NONE);
		if (cell == FILCHI_CELL_NONE)
			return cell;
		next = ((top >> 24) + 1) << 24 | filchi_load_relaxed(&cq->cell[cell].next);
	} while (!filchi_cas_acq_rel(&cq->free, &top, next));
	filchi_store_relaxed(&cq->cell[cell].state, FILCHI_CELL_FLYING);
	return cell;
}

/*
 * Submit: up to @n credits into @cell, together; returns how many. What is read of the stack below its top may be out of date; then a
 * pop has come between, its count has changed, and the CAS fails.
 */
static inline uint32_t filchi_cq_take_credits(struct filch_cq *cq, uint32_t *cell, uint32_t n)
{
	uint64_t top = filchi_load_acquire(&cq->free), next;
	uint32_t got;

	do {
		uint32_t c = (uint32_t)(top & FILCHI_CELL_NONE);

		for (got = 0; got < n && c != FILCHI_CELL_NONE; got++) {
			cell[got] = c;
			c = filchi_load_relaxed(&cq->cell[c].next);
		}
		if (!got)
			return 0;
		next = ((top >> 24) + 1) << 24 | c;
	} while (!filchi_cas_acq_rel(&cq->free, &top, next));
	for (uint32_t i = 0; i < got; i++)
		filchi_store_relaxed(&cq->cell[cell[i]].state, FILCHI_CELL_FLYING);
	return got;
}

/* Gives back the cells from @first to @last, which are linked by next and FREE. */
static inline void filchi_cq_give_credits(struct filch_cq *cq, uint32_t first, uint32_t last)
{
	uint64_t top = filchi_load_acquire(&cq->free);

	do
		filchi_store_relaxed(&cq->cell[last].next, (uint32_t)(top & FILCHI_CELL_NONE));
	while (!filchi_cas_acq_rel(&cq->free, &top, (top & ~(uint64_t)FILCHI_CELL_NONE) | first));
}

/* Submit: the job was not accepted after all. */
static inline void filchi_cq_give_credit(struct filch_cq *cq, uint32_t cell)
{
	filchi_store_release(&cq->cell[cell].state, FILCHI_CELL_FREE);
	filchi_cq_give_credits(cq, cell, cell);
}

/* Completer: the completion in this cell is written. Afterwards the queue may be gone for all we know: see above. */
static inline void filchi_cq_put(struct filch_cq *cq, uint32_t cell)
{
	filchi_store_relaxed(&cq->cell[cell].state, FILCHI_CELL_READY);
	FILCH_HOOK(cq_put);
	filchi_ring_put(&cq->ready, cell);
	FILCH_HOOK(cq_posted);
	filchi_bell_posted(&cq->bell);
}

#endif
