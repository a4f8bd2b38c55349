/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submits that wait on a condition variable which belongs to no pool: for a credit, for room in a
 * group. A pool that closes must reach its own, whatever they wait for. So they stand in a list.
 */
#ifndef FILCHI_CLOSING_H
#define FILCHI_CLOSING_H

#include <pthread.h>
#include <time.h>

#include "base/atomic.h"

/* In the frame of the thread that waits. */
struct filchi_closing {
	const filch_atomic_u32 *closing; /* of its pool */
	pthread_mutex_t *lock;           /* held by those that look at *closing and sleep */
	pthread_cond_t *sleeps_on;
	struct filchi_closing *next, **link;
	int cancel_state;
};

/*
 * Around a wait, without its lock. A submit is no cancellation point, and a wait on a condition
 * variable is one: so it is not while the thread is in the list.
 */
void filchi_closing_enter(struct filchi_closing *me);
void filchi_closing_leave(struct filchi_closing *me);

/* With the lock: sleeps once. 0 or -ETIMEDOUT. */
int filchi_closing_sleep(const struct filchi_closing *me, const struct timespec *deadline);

/* Any thread: *@closing has been set; those that wait until then look again. */
void filchi_closing_tell(const filch_atomic_u32 *closing);

/* A condition variable whose deadlines are on CLOCK_MONOTONIC. 0 or -ENOMEM. */
int filchi_closing_init_cond(pthread_cond_t *cond);

/* Held over a fork. */
void filchi_closing_before_fork(void);
void filchi_closing_after_fork(void);

#endif
