/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion queues: storage of their own for completions, handed to clients in the order in which
 * they were put; or in the order of the submits, see cq_order.h.
 *
 * Idea. A queue of capacity n has n cells. A submit takes a cell from the stack of free ones. The
 * cell is its credit, and the room of the completion to come: so a completion never meets a full
 * queue. The completer writes the cell and puts its number into an SCQ. A reaper takes numbers,
 * copies, and gives the cells of one call back by one CAS. The notifier (notify.h) says which
 * readers to tell.
 *
 *   cell:  FREE -> FLYING    submit.
 *          FLYING -> FREE    the submit was not accepted after all.
 *          FLYING -> READY   its job is complete; then its number goes into the SCQ.
 *          READY -> FREE     reaped, or dropped by destroy
 *
 * Memory. A completer touches the queue once more after the put: the SCQ's threshold and the
 * notifier's state. By then the completion may have been reaped and the queue destroyed. A count of
 * completers inside would cost each completion two read-modify-writes. Instead struct filch_cq is
 * not freed while a pool lives, but used again for a queue with an SCQ of the same size:
 * - a late threshold is then the right one;
 * - a late look at state writes, at worst, a descriptor that need not be written.
 *
 * Cells and SCQ entries are freed: nobody touches them after the put's own CAS. A thread about to
 * write the descriptor is counted (notify.h), and destroy waits for it.
 *
 * Rejected:
 * - slots with sequence numbers that hold the completions themselves (Vyukov): a completer
 *   preempted between drawing its position and writing hides all that follow;
 * - a list that reapers take as a whole: a preempted reaper hides it from the others;
 * - the job's own slot as storage: clients of many requests run out of slots first.
 */
#ifndef FILCHI_CQ_CELLS_H
#define FILCHI_CQ_CELLS_H

#include <filch/job.h>
#include <pthread.h>

#include "base/fork.h"
#include "struct/notify.h"
#include "struct/scq.h"

/* SKIPPED: ordered queues, cq_order.h */
enum { FILCHI_CELL_FREE, FILCHI_CELL_FLYING, FILCHI_CELL_READY, FILCHI_CELL_SKIPPED };
#define FILCHI_CELL_NONE UINT32_C(0xffffff)
#define FILCHI_CQ_MOST   (UINT32_C(1) << 23)

struct filchi_cell {
	struct filch_completion completion;
	filch_atomic_u32 next; /* on the stack of free ones */
	filch_atomic_u32 state;
	filch_atomic_u64 turn; /* in place of both in an ordered queue: cq_order.h */
} FILCH_ALIGNED(FILCH_CACHELINE);

struct filch_cq {
	struct filchi_scq ready;
	struct filchi_notifier notifier;
	/*
	 * top of the stack of free cells:  63..24 pops so far | 23..0 cell
	 *
	 * The count makes a pop's CAS fail when others came between.
	 */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 free;
	/* ordered queues: the next tickets to be drawn and to be reaped; cq_order.h */
	struct {
		FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 tail;
		FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 head;
	} order;
	FILCH_ALIGNED(FILCH_CACHELINE) struct filchi_cell *cell;
	uint32_t capacity;
	bool ordered;
	filch_atomic_u32 blocked; /* submits that wait for a credit: credit.c */
	uint32_t fork_generation;
	struct filch_cq *next; /* destroyed ones of the same size */
#if !defined(FILCH_MODEL)
	pthread_mutex_t lock; /* credit.c */
	pthread_cond_t given;
	/* credits were given while submits were waiting: tells workers among them */
	void (*tell)(struct filch_cq *cq);
#endif
};

/* Whether the process has forked since the queue was made. */
static inline bool filchi_cq_forked(const struct filch_cq *cq)
{
	return filchi_forked_since(cq->fork_generation);
}

static inline void filchi_cq_arrival_init(struct filch_cq *cq)
{
	for (uint32_t i = 0; i < cq->capacity; i++)
		filch_store_relaxed(
			&cq->cell[i].next, i + 1 < cq->capacity ? i + 1 : FILCHI_CELL_NONE);
	filch_store_relaxed(&cq->free, 0);
}

/*
 * Submit: up to @n credits into @cell, together; returns how many. Lock-free. Cells read below the
 * stack's top may be out of date. Then a pop has come between, its count has changed, and the CAS
 * fails.
 */
static inline uint32_t filchi_cq_take_credits(struct filch_cq *cq, uint32_t *cell, uint32_t n)
{
	uint64_t top = filchi_load_acquire(&cq->free), next;
	uint32_t got;

	do {
		uint32_t c = (uint32_t)(top & FILCHI_CELL_NONE);

		for (got = 0; got < n && c != FILCHI_CELL_NONE; got++) {
			cell[got] = c;
			c = filch_load_relaxed(&cq->cell[c].next);
		}
		if (!got)
			return 0;
		next = ((top >> 24) + 1) << 24 | c;
	} while (!filchi_cas_acq_rel(&cq->free, &top, next));
	for (uint32_t i = 0; i < got; i++)
		filch_store_relaxed(&cq->cell[cell[i]].state, FILCHI_CELL_FLYING);
	return got;
}

/* Gives back the cells from @first to @last, which are linked by next and FREE. */
static inline void filchi_cq_give_credits(struct filch_cq *cq, uint32_t first, uint32_t last)
{
	uint64_t top = filchi_load_acquire(&cq->free);

	/* seq_cst for C7: a caller goes on to look for blocked submits */
	do
		filch_store_relaxed(&cq->cell[last].next, (uint32_t)(top & FILCHI_CELL_NONE));
	while (!filchi_cas_seq_cst(&cq->free, &top, (top & ~(uint64_t)FILCHI_CELL_NONE) | first));
}

/* Submit: the job was not accepted after all. */
static inline void filchi_cq_give_credit(struct filch_cq *cq, uint32_t cell)
{
	filchi_store_release(&cq->cell[cell].state, FILCHI_CELL_FREE);
	filchi_cq_give_credits(cq, cell, cell);
}

/*
 * Completer: the completion in this cell is written. The queue may be gone afterwards, see above.
 */
static inline void filchi_cq_put(struct filch_cq *cq, uint32_t cell)
{
	filch_store_relaxed(&cq->cell[cell].state, FILCHI_CELL_READY);
	filch_tsan_release(&cq->cell[cell].state);
	FILCH_HOOK(cq_put);
	filchi_scq_put(&cq->ready, cell);
	FILCH_HOOK(cq_posted);
	filchi_notify_posted(&cq->notifier);
}

#endif
