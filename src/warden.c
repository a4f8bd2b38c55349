/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The warden: a thread of its own in every guarding pool and every pool with a watchdog, asleep until a worker's thread is lost, or
 * until it is time to look for stuck jobs (watchdog.c; without a limit it is woken by no clock). It puts a new thread on the seat and
 * later joins the old one. It is a thread of its own because the lost one may have been stopped in the middle of anything: a
 * thread cannot be created without malloc, whose lock it may hold.
 *
 * Two lists. pool->lost: shifts that were given up, pushed by their own threads. leaving: those whose seat has been filled, until
 * their thread says that it exits. Only then is it joined, so that the warden never waits for a job.
 */
#define _GNU_SOURCE
#include "warden.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "watchdog.h"

#define END 1u /* in news */
#define LEAST_NS UINT64_C(1000000) /* between two looks for stuck jobs */

static void join_those_that_leave(struct filch_pool *pool, struct filchi_shift **list)
{
	while (*list) {
		struct filchi_shift *shift = *list;

		if (filchi_load_acquire(&shift->leaving)) {
			*list = shift->next;
			filchi_seat_join(shift);
			(void)filchi_fetch_sub_seq_cst(&pool->parting, 1);
			filchi_guard_tell(pool);
		} else {
			list = &shift->next;
		}
	}
}

struct warden {
	struct filch_pool *pool;
	struct filchi_shift *lost, *leaving;
	uint64_t pause;
	struct timespec next_look;
};

/* One look at everything, then a sleep; false: the pool ends. */
static bool look_after(struct warden *me)
{
	struct filch_pool *pool = me->pool;
	uint32_t news = filchi_load_acquire(&pool->news);

	if (!me->lost)
		me->lost = filchi_exchange_acq_rel(&pool->lost, NULL);
	for (uint32_t i = 0; i < pool->workers && filchi_load_acquire(&pool->vacant); i++)
		filchi_seat_fill(filchi_worker_at(pool, i));
	while (me->lost) {
		struct filchi_shift *lost = me->lost;

		me->lost = lost->next;
		lost->next = me->leaving;
		me->leaving = lost;
		filchi_seat_replace(lost->worker, lost);
	}
	join_those_that_leave(pool, &me->leaving);
	if (news & END)
		return false;
	if (filchi_futex_wait(&pool->news, news, pool->watch ? &me->next_look : NULL) == -ETIMEDOUT) {
		me->next_look = filch_after(me->pause);
		filchi_watchdog_look(pool, pool->watch);
	}
	return true;
}

/* The program's callbacks run in here. One that calls pthread_exit() ends itself alone: this is its own cleanup handler, and goes on. */
static void watch_over(void *me)
{
	pthread_cleanup_push(watch_over, me);
	while (look_after(me))
		;
	pthread_cleanup_pop(0);
}

static void *warden_main(void *arg)
{
	struct filch_pool *pool = arg;
	uint64_t half = pool->config.watchdog_ns / 2;
	struct warden me = { .pool = pool, .pause = half > LEAST_NS ? half : LEAST_NS };

	me.next_look = filch_after(me.pause);
	watch_over(&me);
	return NULL;
}

int filchi_warden_start(struct filch_pool *pool)
{
	pthread_attr_t attr;
	sigset_t signals;
	char name[16];
	int error;

	if (pool->config.watchdog_ns) {
		pool->watch = calloc(pool->workers, sizeof pool->watch[0]);
		if (!pool->watch)
			return ENOMEM;
		filchi_watchdog_install();
	}
	error = pthread_attr_init(&attr);
	if (error)
		return error;
	sigfillset(&signals);
	for (const int *s = (const int[]){ SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF, 0 }; *s; s++)
		sigdelset(&signals, *s);
	error = pthread_attr_setsigmask_np(&attr, &signals);
	if (!error)
		error = pthread_create(&pool->warden, &attr, warden_main, pool);
	pthread_attr_destroy(&attr);
	if (error)
		return error;
	pool->has_warden = true;
	snprintf(name, sizeof name, "%.8s/warden", pool->name);
	(void)pthread_setname_np(pool->warden, name);
	return 0;
}

void filchi_warden_stop(struct filch_pool *pool)
{
	for (uint32_t news = filchi_load_acquire(&pool->news); filchi_load_acquire(&pool->parting);
	     news = filchi_load_acquire(&pool->news))
		(void)filchi_futex_wait(&pool->news, news, NULL);
	if (pool->has_warden) {
		(void)filchi_fetch_add_acq_rel(&pool->news, END);
		filchi_futex_wake(&pool->news, INT_MAX);
		pthread_join(pool->warden, NULL);
		pool->has_warden = false;
	}
	if (pool->watch) {
		filchi_watchdog_remove();
		free(pool->watch);
		pool->watch = NULL;
	}
}
