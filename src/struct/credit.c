/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a credit: see credit.h.
 *
 * A mutex and a condition variable of the queue's, since both sides are cold. A submit that waits
 * has a reader to wait for. A reader that gives credits looks at one word, and takes the mutex only
 * if somebody waits. Each credit given wakes one waiting submit at least; what it does not take, it
 * hands on.
 *
 * A pool that closes must reach its submits, whatever queue they wait for. So they stand in a list.
 */
#include "struct/credit.h"

#include <errno.h>
#include <pthread.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiting {
	const filch_atomic_u32 *closing;
	struct filch_cq *cq;
	struct waiting *next, **link;
} * list;

int filchi_credit_init(struct filch_cq *cq)
{
	pthread_condattr_t monotonic;

	if (pthread_condattr_init(&monotonic))
		return -ENOMEM;
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&cq->lock, NULL);
	pthread_cond_init(&cq->given, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return 0;
}

void filchi_credit_before_fork(void)
{
	pthread_mutex_lock(&list_lock);
}

void filchi_credit_after_fork(void)
{
	pthread_mutex_unlock(&list_lock);
}

static void enter(struct waiting *me)
{
	pthread_mutex_lock(&list_lock);
	me->next = list;
	me->link = &list;
	if (list)
		list->link = &me->next;
	list = me;
	pthread_mutex_unlock(&list_lock);
}

static void leave(struct waiting *me)
{
	pthread_mutex_lock(&list_lock);
	*me->link = me->next;
	if (me->next)
		me->next->link = me->link;
	pthread_mutex_unlock(&list_lock);
}

/* With the queue's lock: until there is a credit, or another reason to end. */
static int wait_locked(struct filch_cq *cq, filch_atomic_u32 *closing,
	const struct timespec *deadline, uint32_t *cell)
{
	int error = 0;

	for (;;) {
		if (filchi_load_acquire(closing))
			return -ESHUTDOWN;
		if (filchi_credit_take(cq, cell, 1))
			return 0;
		if (error)
			return error;
		FILCH_HOOK(credit_sleeps);
		error = deadline ? -pthread_cond_timedwait(&cq->given, &cq->lock, deadline)
				 : -pthread_cond_wait(&cq->given, &cq->lock);
	}
}

int filchi_credit_wait(struct filch_cq *cq, filch_atomic_u32 *closing,
	const struct timespec *deadline, uint32_t *cell)
{
	struct waiting me = { .closing = closing, .cq = cq };
	int cancel_state, error;

	/* a submit is no cancellation point, and a wait on a condition variable is one */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	enter(&me);
	pthread_mutex_lock(&cq->lock);
	/*
	 * FENCE C8   count blocked -> try for a credit   pairs with: C7 in filchi_credit_given()
	 * Ensures, without: see C7.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/stress/completions.c, submits that wait for credits
	 */
	(void)filchi_fetch_add_seq_cst(&cq->blocked, 1);
	(void)filchi_rmw_fence_then_load_acquire(&cq->blocked);
	error = wait_locked(cq, closing, deadline, cell);
	/* a wake-up that came for this one, and the credit it stood for, are the next one's */
	if (filchi_fetch_sub_seq_cst(&cq->blocked, 1) > 1)
		pthread_cond_signal(&cq->given);
	pthread_mutex_unlock(&cq->lock);
	leave(&me);
	pthread_setcancelstate(cancel_state, NULL);
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

void filchi_credit_close(const filch_atomic_u32 *closing)
{
	pthread_mutex_lock(&list_lock);
	for (struct waiting *w = list; w; w = w->next) {
		if (w->closing != closing)
			continue;
		pthread_mutex_lock(&w->cq->lock);
		pthread_cond_broadcast(&w->cq->given);
		pthread_mutex_unlock(&w->cq->lock);
	}
	pthread_mutex_unlock(&list_lock);
}
