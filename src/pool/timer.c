/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer: a thread of its own in pools that have had a job with finish_by, begun with the first.
 * It sleeps until the earliest such time. Then it ends the job, if that has not started, or raises
 * its cancel flag.
 *
 * A thread, and not a look at the clock wherever a job asks for its flag: loops in programs look at
 * the flag alone, and a job that is still queued asks for nothing. Callbacks of jobs that it ends
 * run here, one after another; while one runs, other jobs are told late.
 */
#define _GNU_SOURCE
#include "pool/timer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "calls/submit.h"
#include "pool/service.h"

/* Sleeps until the earliest time has come: its job; or 0, the pool ends. */
static int64_t next(struct filchi_timer *timer)
{
	uint64_t first;
	int64_t id = 0;

	pthread_mutex_lock(&timer->lock);
	while (!timer->ends && (first = filchi_deadlines_first(&timer->deadlines)) > filchi_now()) {
		const struct timespec at = { .tv_sec = (time_t)(first / UINT64_C(1000000000)),
			.tv_nsec = (long)(first % UINT64_C(1000000000)) };

		if (first == UINT64_MAX)
			pthread_cond_wait(&timer->change, &timer->lock);
		else
			(void)pthread_cond_timedwait(&timer->change, &timer->lock, &at);
	}
	if (!timer->ends)
		id = filchi_deadlines_pop(&timer->deadlines);
	pthread_mutex_unlock(&timer->lock);
	return id;
}

/*
 * A callback that calls pthread_exit() ends itself alone: this is its own cleanup handler, and goes
 * on.
 */
static void keep_time(void *arg)
{
	struct filchi_timer *timer = arg;
	struct filch_pool *pool = timer->pool;
	int64_t id;

	pthread_cleanup_push(keep_time, timer);
	filchi_thread_block(pool, FILCHI_THREAD_OWN);
	while ((id = next(timer))) {
		filchi_thread_block(pool, FILCHI_THREAD_CALLBACK);
		/* not that of the job that was the first, nor what a callback has left */
		filchi_cpu_control_restore(pool->control);
		filchi_job_late(pool, id);
		if (filchi_forked(pool))
			filchi_child_end(0); /* in a callback */
		filchi_thread_block(pool, FILCHI_THREAD_OWN);
	}
	pthread_cleanup_pop(0);
}

static void *timer_main(void *arg)
{
	int ignored;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
	keep_time(arg);
	return NULL;
}

static void timer_free(struct filchi_timer *timer)
{
	filchi_deadlines_destroy(&timer->deadlines);
	pthread_cond_destroy(&timer->change);
	pthread_mutex_destroy(&timer->lock);
	free(timer);
}

static struct filchi_timer *timer_new(struct filch_pool *pool)
{
	struct filchi_timer *timer = calloc(1, sizeof *timer);
	pthread_condattr_t monotonic;

	if (!timer)
		return NULL;
	timer->pool = pool;
	(void)pthread_mutex_init(&timer->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&timer->change, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	if (filchi_deadlines_init(&timer->deadlines, pool->jobs.slots) &&
		!filchi_service_thread(&timer->thread, timer_main, timer, pool, "timer"))
		return timer;
	timer_free(timer);
	return NULL;
}

int filchi_timer_start(struct filch_pool *pool)
{
	struct filchi_timer *timer;

	pthread_mutex_lock(&pool->timer_lock);
	timer = filch_load_relaxed(&pool->timer);
	if (!timer) {
		/* a job may be the first: the thread is not to get its worker's one CPU */
		const struct filchi_plan *pinned = filchi_pin_lift();

		timer = timer_new(pool);
		filchi_pin_restore(pinned);
		filchi_store_release(&pool->timer, timer);
	}
	pthread_mutex_unlock(&pool->timer_lock);
	return timer ? 0 : -ENOMEM;
}

void filchi_timer_stop(struct filch_pool *pool)
{
	struct filchi_timer *timer = filchi_load_acquire(&pool->timer);

	if (!timer)
		return;
	pthread_mutex_lock(&timer->lock);
	timer->ends = true;
	pthread_cond_signal(&timer->change);
	pthread_mutex_unlock(&timer->lock);
	pthread_join(timer->thread, NULL);
	timer_free(timer);
}
