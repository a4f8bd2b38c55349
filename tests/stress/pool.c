/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: pools come and go, thousands of them, with and without work, and leave nothing behind:
 * memory in use after the hundredth and after the last within a megabyte, as many threads and
 * descriptors as before. Several pools live at once and do not hear of each other; a pool may be
 * made by a worker of another.
 *
 * In CI (scale 1) 10^4 pools; the campaign is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fib.h"
#include "pools.h"

static _Atomic uint64_t starts, stops, jobs_run;

static void on_start(void *arg, int worker)
{
	CHECK(arg == &starts, "%p", arg);
	CHECK(worker >= 0, "%d", worker);
	starts++;
}

static void on_stop(void *arg, int worker)
{
	CHECK(arg == &starts, "%p", arg);
	CHECK(worker >= 0, "%d", worker);
	stops++;
}

static int count_one(void *arg)
{
	(void)arg;
	jobs_run++;
	return 0;
}

/* One pool's life; @kind chooses which. */
static void live(uint64_t kind)
{
	const struct filch_submit detached = { .size = sizeof detached,
		.flags = FILCH_JOB_DETACHED };
	struct filch_config config = { .size = sizeof config,
		.workers = (uint32_t)(1 + kind / 8 % 4),
		.queue_capacity = 64,
		.deque_capacity = 2,
		.flags = FILCH_POOL_OVERSUBSCRIBE,
		.name = "passing",
		.hook_arg = &starts,
		.on_worker_start = on_start,
		.on_worker_stop = on_stop };
	struct filch_pool *pool;
	uint64_t before = jobs_run, n = 0;
	long r = 0;

	if (kind % 16 == 7)
		config.flags |= FILCH_POOL_CALLER;
	if (kind % 3 == 1)
		config.flags |= FILCH_POOL_NO_SEARCH;
	pool = pool_open_with(&config);
	switch (kind % 8) {
	case 0: /* nothing at all */
		break;
	case 1:
	case 7:
		CHECK_EQ(FILCH_RUN(pool, &r, fib, 12), 0);
		CHECK_EQ(r, 144);
		break;
	case 2: /* destroyed with work queued: it is run or cancelled, never lost */
	case 3:
	case 4:
		for (; n < 20; n++)
			CHECK(filch_submit(pool, count_one, NULL, &detached) > 0,
				"a submit is refused");
		if (kind % 8 == 3)
			CHECK_EQ(filch_pool_drain(pool, NULL), 0);
		if (kind % 8 == 4)
			CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
		if (kind % 8 != 2)
			CHECK_EQ(jobs_run, before + n);
		break;
	case 5:
		CHECK_EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
		CHECK_EQ(filch_submit(pool, count_one, NULL, &detached), -ESHUTDOWN);
		break;
	default: /* completions that nobody reaps are gone with the pool */
		for (; n < 5; n++)
			CHECK(filch_submit(pool, count_one, NULL, NULL) > 0, "a submit is refused");
		break;
	}
	CHECK_EQ(filch_pool_destroy(pool), 0);
	CHECK(jobs_run <= before + n, "more jobs have run than were submitted");
	CHECK_EQ(starts, stops);
}

static void pools_leave_nothing_behind(void)
{
	uint64_t rounds = test_scaled(10000), after_100 = 0, at_end;
	int threads = test_threads(), descriptors = test_descriptors();

	CHECK(threads > 0 && descriptors > 0, "/proc cannot be read: %d, %d", threads, descriptors);
	for (uint64_t round = 0; round < rounds; round++) {
		if (round % 100 == 0)
			test_watchdog(120);
		live(round);
		if (round == 100)
			after_100 = test_resident();
	}
	at_end = test_resident();
	CHECK_EQ(test_threads(), threads);
	CHECK_EQ(test_descriptors(), descriptors);
	printf("    %llu pools; resident after 100: %llu KiB, at the end: %llu KiB; %llu jobs, "
	       "%llu worker threads\n",
		(unsigned long long)rounds, (unsigned long long)after_100 >> 10,
		(unsigned long long)at_end >> 10, (unsigned long long)jobs_run,
		(unsigned long long)starts);
	CHECK(jobs_run > 0 && starts > 0, "nothing was done");
	if (TEST_SANITIZED)
		printf("    resident memory is not judged: a sanitizer keeps what was freed\n");
	else if (rounds <= 200)
		printf("    resident memory is not judged: too few rounds\n");
	else
		CHECK(at_end <= after_100 + (UINT64_C(1) << 20),
			"%llu bytes more than after 100 rounds",
			(unsigned long long)(at_end - after_100));
}

/* --- several at once -------------------------------------------------- */

static void *live_and_let_live(void *arg)
{
	uint64_t n = test_scaled(250), kind = (uintptr_t)arg;

	for (uint64_t i = 0; i < n; i++) {
		struct filch_pool *pool[3];
		int64_t id[3];
		long r;

		for (unsigned k = 0; k < 3; k++)
			pool[k] = pool_open(
				1 + (uint32_t)(kind + k) % 3, k == 1 ? FILCH_POOL_NO_SEARCH : 0);
		for (unsigned k = 0; k < 3; k++) {
			id[k] = filch_submit(pool[k], count_one, NULL, NULL);
			CHECK(id[k] > 0, "%lld", (long long)id[k]);
		}
		for (unsigned k = 0; k < 3; k++) {
			/* a foreign id */
			CHECK_EQ(filch_wait(pool[(k + 1) % 3], id[k], NULL, NULL), -ESRCH);
			CHECK_EQ(filch_cancel(pool[(k + 1) % 3], id[k]), -ESRCH);
			CHECK_EQ(FILCH_RUN(pool[k], &r, fib, 10), 0);
			CHECK_EQ(r, 55);
			CHECK_EQ(filch_wait(pool[k], id[k], NULL, NULL), 0);
		}
		for (unsigned k = 0; k < 3; k++)
			CHECK_EQ(filch_pool_destroy(pool[(k + i) % 3]), 0);
	}
	return NULL;
}

static void pools_that_live_at_once_do_not_meet(void)
{
	int threads = test_threads(), descriptors = test_descriptors();
	pthread_t thread[4];

	test_watchdog(240);
	for (uintptr_t i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, live_and_let_live, (void *)i), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(test_threads(), threads);
	CHECK_EQ(test_descriptors(), descriptors);
}

/* A job makes a pool, uses it, and ends it. */
static int pool_in_a_job(void *arg)
{
	struct filch_pool *outer = filch_pool_current(), *inner = pool_open(2, 0);
	long r = 0;

	(void)arg;
	/* from a worker of another pool: as from any thread */
	CHECK_EQ(FILCH_RUN(inner, &r, fib, 12), 0);
	CHECK_EQ(r, 144);
	CHECK(filch_pool_current() == outer, "the worker has changed its pool");
	CHECK_EQ(filch_pool_destroy(inner), 0);
	CHECK_EQ(filch_pool_destroy(outer), -EDEADLK);
	return 0;
}

static void a_worker_may_make_and_end_another_pool(void)
{
	struct filch_pool *pool = pool_open(2, 0);
	uint64_t n = test_scaled(500);

	for (uint64_t i = 0; i < n; i++) {
		int64_t id[3];

		if (i % 100 == 0)
			test_watchdog(120);
		for (unsigned k = 0; k < 3; k++) {
			id[k] = filch_submit(pool, pool_in_a_job, NULL, NULL);
			CHECK(id[k] > 0, "%lld", (long long)id[k]);
		}
		for (unsigned k = 0; k < 3; k++)
			CHECK_EQ(filch_wait(pool, id[k], NULL, NULL), 0);
	}
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("pools leave no memory, thread or descriptor behind", pools_leave_nothing_behind);
	test_case("pools that live at once do not meet", pools_that_live_at_once_do_not_meet);
	test_case("a worker may make and end another pool", a_worker_may_make_and_end_another_pool);
	return test_finish("pool");
}
