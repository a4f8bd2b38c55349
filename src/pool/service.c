/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service thread: a thread of its own in every guarding pool and every pool with a watchdog. It
 * sleeps until a worker's thread is lost, and puts a new one on the seat. The lost thread cannot do
 * that itself. It may have been stopped in the middle of anything, with malloc's lock held, and a
 * thread cannot be created without malloc.
 *
 * It waits for nothing else. Whatever may take its time is the attendant's (attendant.c). The
 * program's callbacks run here in one case alone: no thread can be had, and jobs end here.
 *
 * It allocates once before any thread can be lost. So it has an arena of malloc's own, which no
 * worker shares while malloc makes one for each thread. What a new thread needs from the library is
 * mapped, not allocated (thread.c); the C library allocates a small table for each.
 */
#define _GNU_SOURCE
#include "pool/service.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/libc.h"
#include "pool/attendant.h"
#include "pool/watchdog.h"

struct service {
	struct filch_pool *pool;
	struct filchi_thread *lost;
};

/* However the replacing ends: its callbacks may call pthread_exit(). */
static void hand_over(void *lost)
{
	struct filchi_thread *thread = lost;

	filchi_attendant_take(thread->worker->pool, thread);
}

static void replace(struct filchi_thread *lost)
{
	pthread_cleanup_push(hand_over, lost);
	filchi_thread_replace(lost->worker, lost);
	pthread_cleanup_pop(1);
}

/* One look at everything, then a sleep; false: the pool ends. */
static bool look_after(struct service *me)
{
	struct filch_pool *pool = me->pool;
	uint32_t wake_word = filchi_load_acquire(&pool->service_word);
	struct timespec again;
	bool vacant;

	if (filchi_forked(pool))
		filchi_child_end(0); /* in a callback of the program's */
	if (!me->lost) {
		me->lost = filchi_exchange_acq_rel(&pool->dead_threads, NULL);
		filch_tsan_acquire(&pool->dead_threads);
	}
	if (me->lost) /* no wait: there may be threads again, or memory */
		filch_store_relaxed(&pool->fill_at, 0);
	if (filchi_load_acquire(&pool->vacant))
		filchi_thread_fill(pool);
	while (me->lost) {
		struct filchi_thread *lost = me->lost;

		me->lost = lost->next;
		replace(lost);
	}
	if (wake_word & FILCHI_SERVICE_END)
		return false;
	vacant = filchi_load_acquire(&pool->vacant) > 0;
	again = filch_after(FILCHI_FILL_NS);
	(void)filchi_futex_wait(&pool->service_word, wake_word, vacant ? &again : NULL);
	return true;
}

/*
 * The program's callbacks may run in here. One that calls pthread_exit() ends itself alone: this is
 * its own cleanup handler, and goes on.
 */
static void watch_over(void *arg)
{
	struct service *me = arg;

	pthread_cleanup_push(watch_over, me);
	filchi_thread_block(me->pool, FILCHI_THREAD_OWN);
	while (look_after(me))
		;
	pthread_cleanup_pop(0);
}

static void *service_main(void *arg)
{
	struct filch_pool *pool = arg;
	struct service me = { .pool = pool };
	void *volatile first = malloc(1);

	free(first);
	watch_over(&me);
	return NULL;
}

int filchi_service_thread(pthread_t *handle, void *(*body)(void *arg), void *arg,
	const struct filch_pool *pool, const char *name)
{
	pthread_attr_t attr;
	sigset_t signals;
	char full[16];
	int error;

	error = pthread_attr_init(&attr);
	if (error)
		return error;
	filchi_thread_signals(pool, FILCHI_THREAD_OWN, &signals);
	error = filchi_thread_create(handle, &attr, &signals, body, arg);
	pthread_attr_destroy(&attr);
	if (error)
		return error;
	snprintf(full, sizeof full, "%.7s/%s", pool->name, name);
	(void)pthread_setname_np(*handle, full);
	return 0;
}

int filchi_service_start(struct filch_pool *pool)
{
	int error;

	if (pool->config.watchdog_ns) {
		pool->watch = calloc(pool->workers, sizeof pool->watch[0]);
		if (!pool->watch)
			return ENOMEM;
		error = filchi_watchdog_install();
		if (error) {
			free(pool->watch);
			pool->watch = NULL;
			return error;
		}
	}
	error = filchi_attendant_start(pool);
	if (error)
		return error;
	error = filchi_service_thread(&pool->service, service_main, pool, pool, "service");
	pool->has_service = !error;
	return error;
}

void filchi_service_stop(struct filch_pool *pool)
{
	bool is_free = filchi_attendant_await(pool);

	(void)filchi_fetch_add_acq_rel(&pool->service_word, FILCHI_SERVICE_END);
	filchi_futex_wake(&pool->service_word, INT_MAX);
	if (pool->has_service)
		pthread_join(pool->service, NULL);
	pool->has_service = false;
	filchi_attendant_stop(pool, is_free);
	if (pool->watch) {
		filchi_watchdog_remove();
		free(pool->watch);
		pool->watch = NULL;
	}
}
