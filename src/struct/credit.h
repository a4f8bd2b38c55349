/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a credit of a completion queue (FILCH_JOB_WAIT_CQ). */
#ifndef FILCHI_CREDIT_H
#define FILCHI_CREDIT_H

#include "struct/cq_order.h"

/* A queue's memory that is used for the first time. 0 or -ENOMEM. */
int filchi_credit_init(struct filch_cq *cq);

/*
 * Waits for one credit of @cq, a cell in *@cell: 0. Or until @deadline (-ETIMEDOUT), or until
 * *@closing is set (-ESHUTDOWN).
 */
int filchi_credit_wait(struct filch_cq *cq, filch_atomic_u32 *closing,
	const struct timespec *deadline, uint32_t *cell);

/* Any thread: credits of @cq have been given back, and a full fence passed since. */
void filchi_credit_given(struct filch_cq *cq);

/* Whether a credit is to be had now. */
static inline bool filchi_credit_is_there(struct filch_cq *cq)
{
	uint64_t tail;

	if (!cq->ordered)
		return (filchi_load_acquire(&cq->free) & FILCHI_CELL_NONE) != FILCHI_CELL_NONE;
	tail = filchi_load_acquire(&cq->order.tail);
	return filchi_load_acquire(&filchi_cq_order_cell(cq, tail)->turn) ==
	       FILCHI_TURN(tail, FILCHI_CELL_FREE);
}

/* Whether a reader has something to reap, and so will give credits. */
static inline bool filchi_credit_may_come(struct filch_cq *cq)
{
	return cq->ordered ? !filchi_cq_order_seems_empty(cq) : !filchi_scq_seems_empty(&cq->ready);
}

/* Submit: up to @n credits into @cell; returns how many. Lock-free. */
static inline uint32_t filchi_credit_take(struct filch_cq *cq, uint32_t *cell, uint32_t n)
{
	return cq->ordered ? filchi_cq_order_draw(cq, cell, n)
			   : filchi_cq_take_credits(cq, cell, n);
}

/* Submit: the job was not accepted after all. */
static inline void filchi_credit_return(struct filch_cq *cq, uint32_t cell)
{
	if (cq->ordered) { /* a reaper passes it, and gives it back */
		filchi_cq_order_put(cq, cell, FILCHI_CELL_SKIPPED);
	} else {
		filchi_cq_give_credit(cq, cell);
		filchi_credit_given(cq);
	}
}

#endif
