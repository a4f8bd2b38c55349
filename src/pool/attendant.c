/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attendant: a second thread of its own in every pool that has a service thread. It does all
 * that may wait, so that nothing waits for a new thread on a seat:
 *
 *   - it joins lost threads. The C library frees what a thread had when it is joined, by free(). A
 *     thread that was lost inside malloc may have left the lock held that this needs.
 *   - it looks for stuck jobs and calls on_stuck, which is the program's code (watchdog.c).
 *   - it looks at a quota that is followed. The C library's lock for open files may have been left
 *     held as well.
 *
 * A lost thread is joined only once it has ended, by looking. One that has called pthread_exit()
 * may run destructors of the program for as long as it likes. While such threads are left the
 * attendant wakes by the clock, ever less often; else it sleeps.
 *
 * A thread that was lost in malloc is not joined at all, only what it does not need any more is
 * unmapped. Should it not have been seen that it was there:
 *
 * A join that does not come back holds up the attendant alone. A destroy gives that one STUCK_NS.
 * Then it leaves the attendant where it is, with its record and what else it had to join. The
 * attendant touches nothing of the pool when it should come back.
 */
#define _GNU_SOURCE
#include "pool/attendant.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool/quota.h"
#include "pool/service.h"
#include "pool/watchdog.h"

#define LEAST_NS      UINT64_C(1000000)    /* between two looks for stuck jobs */
#define FIRST_LOOK_NS UINT64_C(100000)     /* for threads that are about to end */
#define LAST_LOOK_NS  UINT64_C(50000000)   /* for those that take their time */
#define STUCK_NS      UINT64_C(1000000000) /* in one join */
#define QUOTA_NS      UINT64_C(1000000000) /* between two looks at the quota */

struct filchi_attendant {
	struct filch_pool *pool;
	pthread_t handle;
	FILCH_ATOMIC(struct filchi_thread *) taken; /* from the service thread, the last first */
	struct filchi_thread *leaving;
	/* since when it has been in a join; 0 = it is in none */
	filch_atomic_u64 joins_since;
	bool is_left;      /* a destroy did not wait for it */
	uint64_t look_ns;  /* until the next look for threads that have ended */
	uint64_t watch_ns; /* between two looks for stuck jobs */
	struct timespec next_watch, next_quota;
	bool follows_quota;
};

/* --- joining ---------------------------------------------------------- */

enum outcome { RUNS, JOINED, LEFT };

static enum outcome join_one(struct filchi_attendant *me, struct filchi_thread *thread)
{
	uint64_t since = filchi_now();
	bool ended;

	if (thread->in_malloc)
		return filchi_thread_is_there(thread) ? RUNS : JOINED;
	filchi_store_release(&me->joins_since, since);
	ended = filchi_thread_try_join(thread);
	if (!filchi_cas_acq_rel(&me->joins_since, &since, 0))
		return LEFT;
	return ended ? JOINED : RUNS;
}

/* False: a destroy has left us behind. */
static bool join_those_that_ended(struct filchi_attendant *me)
{
	struct filch_pool *pool = me->pool;
	struct filchi_thread *new = filchi_exchange_acq_rel(&me->taken, NULL), *thread;

	if (new)
		me->look_ns = FIRST_LOOK_NS;
	while ((thread = new)) {
		new = thread->next;
		thread->next = me->leaving;
		me->leaving = thread;
	}
	for (struct filchi_thread **list = &me->leaving; (thread = *list);) {
		enum outcome outcome =
			filchi_load_acquire(&thread->leaving) ? join_one(me, thread) : RUNS;

		if (outcome == LEFT)
			return false;
		if (outcome == RUNS) {
			list = &thread->next;
			continue;
		}
		*list = thread->next;
		filchi_thread_free(thread);
		me->look_ns = FIRST_LOOK_NS;
		(void)filchi_fetch_sub_seq_cst(&pool->retiring, 1);
		filchi_fault_tell(pool);
	}
	return true;
}

/* --- the thread ------------------------------------------------------- */

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* The earlier of two times, of which @a may be NULL. */
static struct timespec *earlier(struct timespec *a, struct timespec *b)
{
	return a && is_before(a, b) ? a : b;
}

/* Sleeps until there is something to look at. */
static void rest(struct filchi_attendant *me, uint32_t wake_word)
{
	struct filch_pool *pool = me->pool;
	struct timespec look, *until = pool->watch ? &me->next_watch : NULL;

	if (me->follows_quota)
		until = earlier(until, &me->next_quota);
	if (me->leaving) {
		look = filch_after(me->look_ns);
		until = earlier(until, &look);
		if (until == &look)
			me->look_ns =
				me->look_ns * 2 < LAST_LOOK_NS ? me->look_ns * 2 : LAST_LOOK_NS;
	}
	if (filchi_futex_wait(&pool->service_word, wake_word, until) != -ETIMEDOUT)
		return;
	if (until == &me->next_watch) {
		me->next_watch = filch_after(me->watch_ns);
		filchi_watchdog_look(pool, pool->watch);
	} else if (until == &me->next_quota) {
		me->next_quota = filch_after(QUOTA_NS);
		filchi_quota_look(pool);
	}
}

/*
 * on_stuck runs in here. One that calls pthread_exit() ends itself alone: this is its own cleanup
 * handler, and goes on.
 */
static void attend(void *arg)
{
	struct filchi_attendant *me = arg;

	pthread_cleanup_push(attend, me);
	if (!me->is_left)
		filchi_thread_block(me->pool, FILCHI_THREAD_OWN);
	while (!me->is_left) {
		uint32_t wake_word = filchi_load_acquire(&me->pool->service_word);

		me->is_left = !join_those_that_ended(me);
		if (me->is_left || wake_word & FILCHI_SERVICE_END)
			break;
		rest(me, wake_word);
	}
	pthread_cleanup_pop(0);
}

static void *attendant_main(void *arg)
{
	struct filchi_attendant *me = arg;

	me->next_watch = filch_after(me->watch_ns);
	me->next_quota = filch_after(QUOTA_NS);
	attend(me);
	return NULL;
}

int filchi_attendant_start(struct filch_pool *pool)
{
	struct filchi_attendant *me = calloc(1, sizeof *me);
	uint64_t half = pool->config.watchdog_ns / 2;
	int error;

	if (!me)
		return ENOMEM;
	me->pool = pool;
	me->follows_quota = pool->config.flags & FILCH_POOL_FOLLOW_QUOTA;
	me->watch_ns = half > LEAST_NS ? half : LEAST_NS;
	pool->attendant = me; /* before it runs: on_stuck may ask who it is */
	error = filchi_service_thread(&me->handle, attendant_main, me, pool, "attend");
	if (error) {
		pool->attendant = NULL;
		free(me);
	}
	return error;
}

/* Whether it has been in one join for too long; then it is left there. */
static bool leave_if_stuck(struct filchi_attendant *attendant)
{
	uint64_t since = filchi_load_acquire(&attendant->joins_since);

	return since && filchi_now() - since > STUCK_NS &&
	       filchi_cas_acq_rel(&attendant->joins_since, &since, 0);
}

bool filchi_attendant_await(struct filch_pool *pool)
{
	struct timespec look;
	uint32_t wake_word;

	for (;;) {
		wake_word = filchi_load_acquire(&pool->service_word);
		if (!filchi_load_acquire(&pool->retiring))
			return true;
		if (pool->attendant && leave_if_stuck(pool->attendant))
			return false;
		look = filch_after(STUCK_NS / 8);
		(void)filchi_futex_wait(
			&pool->service_word, wake_word, pool->attendant ? &look : NULL);
	}
}

void filchi_attendant_stop(struct filch_pool *pool, bool is_free)
{
	struct filchi_attendant *attendant = pool->attendant;

	pool->attendant = NULL;
	if (!attendant)
		return;
	if (!is_free) {
		pthread_detach(attendant->handle);
		return; /* the record stays: it may still be read */
	}
	pthread_join(attendant->handle, NULL);
	free(attendant);
}

void filchi_attendant_take(struct filch_pool *pool, struct filchi_thread *lost)
{
	struct filchi_attendant *attendant = pool->attendant;

	lost->next = filchi_load_acquire(&attendant->taken);
	while (!filchi_cas_acq_rel(&attendant->taken, &lost->next, lost))
		;
	filchi_fault_tell(pool);
}

bool filchi_attendant_is_here(const struct filch_pool *pool)
{
	return pool->attendant && pthread_equal(pool->attendant->handle, pthread_self());
}
