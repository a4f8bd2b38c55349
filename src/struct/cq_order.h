/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordered completion queues: completions are reaped in the order in which their submits drew
 * tickets, whatever the order in which the jobs end.
 *
 * Idea. The cells are a ring. A submit draws the next ticket, which is its credit and its cell. A
 * completer marks the cell. A reaper takes the cell at the head, once it is marked. This is
 * Vyukov's bounded queue with the producer's two steps, drawing and publishing, torn far apart: a
 * whole job runs between them. In it a slow producer hides those behind it; here that is the wish.
 *
 *   turn, one word per cell:  63..2 ticket | 1..0 what
 *   FREE(t)    -> FLYING(t)          the submit that has drawn ticket t
 *   FLYING(t)  -> READY(t)           its job is complete
 *   FLYING(t)  -> SKIPPED(t)         the submit was not accepted after all
 *   READY, SKIPPED(t) -> FREE(t + n) a reaper has passed it; n cells
 *
 * The ticket in the word tells this lap from earlier ones: a reaper with an old view of the cell
 * cannot take it twice. Tail and head only grow. A reaper moves the head before it copies. So a
 * reaper that is held up between the two keeps one cell, and hides nothing from the others.
 *
 * Telling readers (notify.h). Only the cell at the head can be reaped, so a completer whose ticket
 * lies beyond the head tells nobody. That is enough. A reader rests only after a look, past a
 * fence, at a head whose cell was unmarked. That cell's completer finds the head there, or further
 * on if another reader was faster, and tells. What others have marked is found on the way.
 *
 * Rejected: a sort in the reaper. It needs memory for all that came too early, and a lock.
 */
#ifndef FILCHI_CQ_ORDER_H
#define FILCHI_CQ_ORDER_H

#include "struct/cq_cells.h"

#define FILCHI_TURN(ticket, what) ((uint64_t)(ticket) << 2 | (what))
#define FILCHI_TURN_WHAT(turn)    ((unsigned)((turn)&3))
#define FILCHI_TURN_TICKET(turn)  ((turn) >> 2)

static inline struct filchi_cell *filchi_cq_order_cell(struct filch_cq *cq, uint64_t ticket)
{
	return &cq->cell[ticket % cq->capacity];
}

static inline void filchi_cq_order_init(struct filch_cq *cq)
{
	filch_store_relaxed(&cq->order.tail, 0);
	filch_store_relaxed(&cq->order.head, 0);
	for (uint32_t i = 0; i < cq->capacity; i++)
		filch_store_relaxed(&cq->cell[i].turn, FILCHI_TURN(i, FILCHI_CELL_FREE));
}

/* Submit: up to @n tickets into @cell, one after the other; returns how many. Lock-free. */
static inline uint32_t filchi_cq_order_draw(struct filch_cq *cq, uint32_t *cell, uint32_t n)
{
	uint64_t tail = filchi_load_acquire(&cq->order.tail), now;
	uint32_t got;

	for (;;) {
		for (got = 0; got < n; got++)
			if (filchi_load_acquire(&filchi_cq_order_cell(cq, tail + got)->turn) !=
				FILCHI_TURN(tail + got, FILCHI_CELL_FREE))
				break;
		now = tail;
		if (got && filchi_cas_acq_rel(&cq->order.tail, &now, tail + got))
			break;
		if (!got && (now = filchi_load_acquire(&cq->order.tail)) == tail)
			return 0;
		tail = now;
	}
	for (uint32_t i = 0; i < got; i++) {
		cell[i] = (uint32_t)((tail + i) % cq->capacity);
		filch_store_relaxed(
			&cq->cell[cell[i]].turn, FILCHI_TURN(tail + i, FILCHI_CELL_FLYING));
	}
	return got;
}

/*
 * The owner of a flying cell: its completion is written (@what is READY), or there will be none
 * (SKIPPED). The queue may be gone afterwards: "Memory" in cq_cells.h.
 */
static inline void filchi_cq_order_put(struct filch_cq *cq, uint32_t cell, unsigned what)
{
	filch_atomic_u64 *turn = &cq->cell[cell].turn;
	uint64_t ticket = FILCHI_TURN_TICKET(filch_load_relaxed(turn));

	filch_tsan_release(turn);
	FILCH_HOOK(cq_put);
	/*
	 * FENCE C5   mark the cell -> read the head   pairs with: C6 in
	 *            filchi_cq_order_seems_empty()
	 * Ensures:   the completer sees that the head has come here, or a reader about to rest sees
	 *            the mark.
	 * Without:   a completion lies at the head, and its reader rests, for ever if no reap
	 *            follows.
	 * Weaker?    no: store->load; the exchange is the fence.
	 * Checked:   tests/model/c11/order.c, mutant head_read_early
	 */
	(void)filchi_exchange_seq_cst(turn, FILCHI_TURN(ticket, what));
	FILCH_HOOK(cq_posted);
	if (filchi_rmw_fence_then_load_acquire(&cq->order.head) >= ticket)
		filchi_notify_posted(&cq->notifier);
}

/* Whether the cell at ticket @head can be passed. */
static inline bool filchi_cq_order_is_marked(uint64_t turn, uint64_t head)
{
	return FILCHI_TURN_TICKET(turn) == head && FILCHI_TURN_WHAT(turn) >= FILCHI_CELL_READY;
}

/* Whether a reader may rest: it has armed the notifier or counted itself before. */
static inline bool filchi_cq_order_seems_empty(struct filch_cq *cq)
{
	uint64_t head = filchi_load_acquire(&cq->order.head);

	/*
	 * FENCE C6   read the head -> look at its cell   pairs with: C5 in filchi_cq_order_put()
	 * Ensures:   a completer whose mark is not seen here sees a head as new as ours.
	 * Without:   see C5.
	 * Weaker?    loads in order, on processors where all see stores in one order. A fence
	 *            elsewhere, and nothing waits here.
	 * Checked:   tests/model/c11/order.c, mutant look_without_fence
	 */
	return !filchi_cq_order_is_marked(
		filchi_fence_then_load_acquire(&filchi_cq_order_cell(cq, head)->turn), head);
}

/*
 * Any thread: moves the head past its cell, if that is marked, and owns the cell then, until it
 * frees it. Or FILCHI_CELL_NONE. Lock-free.
 */
static inline uint32_t filchi_cq_order_pass(struct filch_cq *cq)
{
	uint64_t head = filchi_load_acquire(&cq->order.head);

	for (;;) {
		filch_atomic_u64 *turn = &filchi_cq_order_cell(cq, head)->turn;
		uint64_t now = head;

		if (filchi_cq_order_is_marked(filchi_load_acquire(turn), head)) {
			if (filchi_cas_acq_rel(&cq->order.head, &now, head + 1)) {
				filch_tsan_acquire(turn);
				FILCH_HOOK(order_moved);
				return (uint32_t)(head % cq->capacity);
			}
		} else {
			now = filchi_load_acquire(&cq->order.head);
			if (now == head)
				return FILCHI_CELL_NONE;
		}
		head = now;
	}
}

/* Whether a passed cell has a completion. */
static inline bool filchi_cq_order_is_ready(const struct filch_cq *cq, uint32_t cell)
{
	return FILCHI_TURN_WHAT(filch_load_relaxed(&cq->cell[cell].turn)) == FILCHI_CELL_READY;
}

/* A passed cell has been read: it is for the ticket one lap on. */
static inline void filchi_cq_order_free(struct filch_cq *cq, uint32_t cell)
{
	filch_atomic_u64 *turn = &cq->cell[cell].turn;

	filchi_store_release(
		turn, FILCHI_TURN(FILCHI_TURN_TICKET(filch_load_relaxed(turn)) + cq->capacity,
			      FILCHI_CELL_FREE));
}

#endif
