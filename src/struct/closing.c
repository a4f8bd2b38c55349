/* SPDX-License-Identifier: Apache-2.0 */
/* Submits that a closing pool must reach: see closing.h. */
#include "struct/closing.h"

#include <errno.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct filchi_closing *list;

int filchi_closing_init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	if (pthread_condattr_init(&monotonic))
		return -ENOMEM;
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return 0;
}

void filchi_closing_before_fork(void)
{
	pthread_mutex_lock(&list_lock);
}

void filchi_closing_after_fork(void)
{
	pthread_mutex_unlock(&list_lock);
}

void filchi_closing_enter(struct filchi_closing *me)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &me->cancel_state);
	pthread_mutex_lock(&list_lock);
	me->next = list;
	me->link = &list;
	if (list)
		list->link = &me->next;
	list = me;
	pthread_mutex_unlock(&list_lock);
}

void filchi_closing_leave(struct filchi_closing *me)
{
	pthread_mutex_lock(&list_lock);
	*me->link = me->next;
	if (me->next)
		me->next->link = me->link;
	pthread_mutex_unlock(&list_lock);
	pthread_setcancelstate(me->cancel_state, NULL);
}

int filchi_closing_sleep(const struct filchi_closing *me, const struct timespec *deadline)
{
	return deadline ? -pthread_cond_timedwait(me->sleeps_on, me->lock, deadline)
			: -pthread_cond_wait(me->sleeps_on, me->lock);
}

void filchi_closing_tell(const filch_atomic_u32 *closing)
{
	pthread_mutex_lock(&list_lock);
	for (struct filchi_closing *w = list; w; w = w->next) {
		if (w->closing != closing)
			continue;
		pthread_mutex_lock(w->lock);
		pthread_cond_broadcast(w->sleeps_on);
		pthread_mutex_unlock(w->lock);
	}
	pthread_mutex_unlock(&list_lock);
}
