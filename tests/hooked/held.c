/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held: a thread that stands still in the middle of a call stops nobody. A submitter is held in each window that it passes through,
 * among them between drawing its place in the queue and writing it, while all workers are asleep; a worker is held between the end of
 * a job and its completion. Meanwhile jobs that wait for each other on all free workers are submitted, again and again: each must
 * start at once, or they never end. Then the one that was held goes on, and its job completes.
 *
 * Two more are held for what others must make of it: a submitter before its job's number is in the ring, while the one worker there is
 * drains the pool; and who completes a job before it writes a queue's descriptor, until the reader has been there and rests.
 *
 * It is held until the others have done so much, not for a time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "hooked.h"
#include "pools.h"

#define WORKERS 3u

static struct filch_pool *pool;
static pthread_barrier_t table;
static _Atomic bool done;

/* Sleeps until all of them are here: on a busy machine, waiting by yields would take the cores from those yet to come. */
static int guest(void *arg)
{
	(void)arg;
	(void)pthread_barrier_wait(&table);
	return 0;
}

/* @n jobs that meet, @times. */
static void meet(unsigned n, uint64_t times)
{
	int64_t id[WORKERS];

	CHECK_EQ(pthread_barrier_init(&table, NULL, n), 0);
	while (times--) {
		for (unsigned i = 0; i < n; i++)
			CHECK((id[i] = filch_submit(pool, guest, NULL, NULL)) > 0, "%lld", (long long)id[i]);
		for (unsigned i = 0; i < n; i++)
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
	}
	CHECK_EQ(pthread_barrier_destroy(&table), 0);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void *submit_and_be_held(void *arg)
{
	int64_t id;

	hooked_hold_me(arg);
	id = filch_submit(pool, nothing, NULL, NULL);
	CHECK(id > 0, "%lld", (long long)id);
	CHECK(hooked_held_me(), "a submit does not pass through %s", (const char *)arg);
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	done = true;
	return NULL;
}

static void a_submitter_held_in_any_window_stops_nobody(void)
{
	static const char *const window[] = { "ring_take_drawn", "submit_published", "ring_put_drawn", "submit_put",
					      "posted_counted",  "wake_chosen",      "submit_announced" };
	uint64_t n = test_scaled(1000);

	pools_begin();
	for (unsigned i = 0; i < sizeof window / sizeof window[0]; i++) {
		pthread_t thread;

		test_watchdog(60);
		pool = pool_open(WORKERS, FILCH_POOL_NO_SEARCH);
		pool_until_asleep(pool, WORKERS);
		done = false;
		CHECK_EQ(pthread_create(&thread, NULL, submit_and_be_held, (void *)(uintptr_t)window[i]), 0);
		hooked_until_held();
		meet(WORKERS, n);
		CHECK(!done, "it has not been held in %s", window[i]);
		hooked_let_go();
		CHECK_EQ(pthread_join(thread, NULL), 0);
		meet(WORKERS, 10);
		pool_close(pool);
		printf("    held in %s: %llu jobs meanwhile\n", window[i], (unsigned long long)(n * WORKERS));
	}
	pools_print();
	POOLS_COVER(parks);
	POOLS_COVER(wakes);
}

static int return_and_be_held(void *arg)
{
	hooked_hold_me(arg);
	return 0;
}

static void a_worker_held_before_it_completes_its_job_stops_nobody(void)
{
	static char window[] = "job_returned";
	uint64_t n = test_scaled(1000);
	struct timespec past = { 0, 1 };
	int64_t id;

	test_watchdog(60);
	pools_begin();
	pool = pool_open(WORKERS, FILCH_POOL_NO_SEARCH);
	CHECK((id = filch_submit(pool, return_and_be_held, window, NULL)) > 0, "%lld", (long long)id);
	hooked_until_held();
	meet(WORKERS - 1, n);
	CHECK_EQ(filch_wait(pool, id, &past, NULL), -ETIMEDOUT);
	hooked_let_go();
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	meet(WORKERS, 10);
	pool_close(pool);
	pools_print();
	POOLS_COVER(parks);
}

/* The creating thread is the one worker: what it finds queued, and not in the ring, it must not sleep for. */
static void a_drain_runs_what_is_not_in_the_ring_yet(void)
{
	static char window[] = "submit_published";
	pthread_t thread;

	test_watchdog(60);
	pools_begin();
	pool = pool_open(1, FILCH_POOL_CALLER);
	done = false;
	CHECK_EQ(pthread_create(&thread, NULL, submit_and_be_held, window), 0);
	hooked_until_held();
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	CHECK(!done, "it has not been held");
	hooked_let_go();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	pool_close(pool);
	POOLS_COVER(jobs);
}

/* The ring comes when its completion has been reaped and the bell is armed again: the descriptor must not stay readable. */
static void a_ring_that_comes_late_is_cleared(void)
{
	static char window[] = "bell_disarmed";
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	struct filch_cq *cq;
	struct pollfd watch = { .events = POLLIN };
	int spins = 0;

	test_watchdog(60);
	pool = pool_open(1, 0);
	CHECK_EQ(filch_cq_create(&cq, 0), 0);
	watch.fd = filch_cq_fd(cq);
	how.cq = cq;
	CHECK(filch_submit(pool, return_and_be_held, window, &how) > 0, "refused");
	hooked_until_held();
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 1);
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 0);
	CHECK_EQ(poll(&watch, 1, 0), 0);
	hooked_let_go();
	CHECK_EQ(poll(&watch, 1, -1), 1);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0); /* the poster is through */
	while (poll(&watch, 1, 0) == 1 && ++spins < 100)
		CHECK_EQ(filch_cq_reap(cq, &c, 1), 0);
	CHECK_EQ(spins, 1);
	CHECK(filch_submit(pool, nothing, NULL, &how) > 0, "refused");
	CHECK_EQ(poll(&watch, 1, -1), 1);
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 1);
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 0);
	CHECK_EQ(poll(&watch, 1, 0), 0);
	pool_close(pool);
	CHECK_EQ(filch_cq_destroy(cq), 0);
}

int main(void)
{
	test_watchdog(60);
	hooked_begin(test_seed());
	test_case("a submitter held in any window stops nobody", a_submitter_held_in_any_window_stops_nobody);
	test_case("a worker held before it completes its job stops nobody", a_worker_held_before_it_completes_its_job_stops_nobody);
	test_case("a drain runs what is not in the ring yet", a_drain_runs_what_is_not_in_the_ring_yet);
	test_case("a ring that comes late is cleared", a_ring_that_comes_late_is_cleared);
	return test_finish("held");
}
