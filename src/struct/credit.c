/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a credit: see credit.h.
 *
 * A mutex and a condition variable of the queue's, since both sides are cold. A submit that waits
 * has a reader to wait for. A reader that gives credits looks at one word, and takes the mutex only
 * if somebody waits. Each credit given wakes one waiting submit at least; what it does not take, it
 * hands on.
 */
#include "struct/credit.h"

#include <errno.h>

#include "struct/closing.h"

int filchi_credit_init(struct filch_cq *cq)
{
	int error = filchi_closing_init_cond(&cq->given);

	if (!error)
		pthread_mutex_init(&cq->lock, NULL);
	return error;
}

/* With the queue's lock: until there is a credit, or another reason to end. */
static int wait_locked(struct filch_cq *cq, const struct filchi_closing *me,
	const struct timespec *deadline, uint32_t *cell)
{
	int error = 0;

	for (;;) {
		if (filchi_load_acquire(me->closing))
			return -ESHUTDOWN;
		if (filchi_credit_take(cq, cell, 1))
			return 0;
		if (error)
			return error;
		FILCH_HOOK(credit_sleeps);
		error = filchi_closing_sleep(me, deadline);
	}
}

int filchi_credit_wait(struct filch_cq *cq, filch_atomic_u32 *closing,
	const struct timespec *deadline, uint32_t *cell)
{
	struct filchi_closing me = {
		.closing = closing, .lock = &cq->lock, .sleeps_on = &cq->given
	};
	int error;

	filchi_closing_enter(&me);
	pthread_mutex_lock(&cq->lock);
	/*
	 * FENCE C8   count blocked -> try for a credit   pairs with: C7 in filchi_credit_given()
	 * Ensures, without: see C7.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/stress/completions.c, submits that wait for credits
	 */
	(void)filchi_fetch_add_seq_cst(&cq->blocked, 1);
	(void)filchi_rmw_fence_then_load_acquire(&cq->blocked);
	error = wait_locked(cq, &me, deadline, cell);
	/* a wake-up that came for this one, and the credit it stood for, are the next one's */
	if (filchi_fetch_sub_seq_cst(&cq->blocked, 1) > 1)
		pthread_cond_signal(&cq->given);
	pthread_mutex_unlock(&cq->lock);
	filchi_closing_leave(&me);
	return error;
}

/*
 * FENCE C7   give credits -> read blocked   pairs with: C8 in filchi_credit_wait()
 * Ensures:   the giver sees that a submit waits, or that one sees the credit.
 * Without:   a submit sleeps while there are credits, for ever if none else is given.
 * Weaker?    no: store->load. In a queue without order the fence is the CAS on the stack of
 *            credits, in an ordered one it is filchi_credit_given()'s caller's.
 * Checked:   tests/stress/completions.c, submits that wait for credits
 */
void filchi_credit_given(struct filch_cq *cq)
{
	if (!filchi_rmw_fence_then_load_acquire(&cq->blocked))
		return;
	pthread_mutex_lock(&cq->lock);
	pthread_cond_signal(&cq->given);
	pthread_mutex_unlock(&cq->lock);
	if (cq->tell)
		cq->tell(cq); /* all of its workers, so none need hand on anything */
}
