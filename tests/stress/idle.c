/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle: no wake-up is lost. One job, or one spawned task, is in flight at a time in a pool whose
 * workers park at once (FILCH_POOL_NO_SEARCH), so that each round stands or falls with one wake-up:
 * of a worker by a submit, of a parked worker by a spawn, of a thread by a completion. A round that
 * takes longer than ten seconds is a wake-up lost. Both modes, membarrier and fenced; and with a
 * signal every millisecond at producers and workers, so that futexes return early.
 *
 * In CI (scale 1) 10^6 rounds in all; the campaign is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "pools.h"

#define LATE UINT64_C(10000000000) /* ns */

static struct filch_pool *pool;
static _Atomic uint64_t ran;

static int count_one(void *arg)
{
	(void)arg;
	ran++;
	return 7;
}

/* --- one job in flight ------------------------------------------------ */

static void submit_and_wait(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct timespec late = filch_after(LATE);
		struct filch_completion c;
		int64_t id = filch_submit(pool, count_one, NULL, NULL);

		CHECK(id > 0, "%lld", (long long)id);
		/* -ETIMEDOUT: the worker's wake-up was lost, or ours */
		CHECK_EQ(filch_wait(pool, id, &late, &c), 0);
		CHECK_EQ(c.status, 7);
	}
}

/* Nobody waits in the pool: the producer looks by itself whether the job has run. */
static void submit_and_look(uint64_t n)
{
	const struct filch_submit how = { .size = sizeof how, .flags = FILCH_JOB_DETACHED };

	for (uint64_t i = 0; i < n; i++) {
		uint64_t before = ran, since = test_now();
		int64_t id = filch_submit(pool, count_one, NULL, &how);

		CHECK(id > 0, "%lld", (long long)id);
		while (ran == before) {
			sched_yield();
			CHECK(test_now() - since < LATE,
				"job %llu was never started: parked %llu, queued %llu",
				(unsigned long long)i, (unsigned long long)pool_stats(pool).asleep,
				(unsigned long long)pool_stats(pool).queued);
		}
		/*
		 * every other time not before all sleep, so that the next submit meets a sleeper,
		 * or one that is just parking
		 */
		while (i % 2 && pool_stats(pool).asleep < (uint64_t)filch_pool_workers(pool))
			sched_yield();
	}
}

static void jobs_one_at_a_time(void (*body)(uint64_t), uint64_t n, uint32_t workers)
{
	test_watchdog(200);
	pools_begin();
	pool = pool_open(workers, FILCH_POOL_NO_SEARCH);
	ran = 0;
	pool_until_asleep(pool, workers);
	n = test_scaled(n);
	body(n);
	CHECK_EQ(ran, n);
	pool_close(pool);
	printf("    %u workers, %llu rounds\n", workers, (unsigned long long)n);
	pools_print();
	POOLS_COVER(parks);
	POOLS_COVER(wakes);
}

static void every_submitted_job_wakes_a_worker_and_its_waiter(void)
{
	jobs_one_at_a_time(submit_and_wait, 100000, 1);
	jobs_one_at_a_time(submit_and_wait, 100000, 2);
	jobs_one_at_a_time(submit_and_wait, 50000, 8);
}

static void every_submitted_job_wakes_a_worker(void)
{
	jobs_one_at_a_time(submit_and_look, 50000, 1);
	jobs_one_at_a_time(submit_and_look, 100000, 2);
	jobs_one_at_a_time(submit_and_look, 50000, 8);
}

/* --- one task in flight ----------------------------------------------- */

FILCH_VOID_TASK(set_flag, (_Atomic uint64_t *, flag), (uint64_t, value))
{
	*flag = value;
}

/* Spawns one task at a time and computes on until a thief has run it. */
FILCH_VOID_TASK(spawn_and_look, (uint64_t, n))
{
	_Atomic uint64_t flag = 0;
	uint64_t rng = test_seed(), others = (uint64_t)filch_pool_workers(pool) - 1;

	for (uint64_t i = 1; i <= n; i++) {
		uint64_t since = test_now();

		/*
		 * all the others asleep; or after a random while, to meet them on their way into
		 * the sleep
		 */
		if (test_random(&rng) % 2) {
			while (pool_stats(pool).asleep < others)
				sched_yield();
		} else {
			for (uint64_t spin = test_random(&rng) % 4096; spin--;)
				__asm__ volatile("");
		}
		FILCH_SPAWN(kid, set_flag, &flag, i);
		for (unsigned look = 0; atomic_load(&flag) != i; look++) {
			if (look % 64 == 63)
				sched_yield();
			CHECK(look % 1024 || test_now() - since < LATE,
				"task %llu is not stolen: parked %llu", (unsigned long long)i,
				(unsigned long long)pool_stats(pool).asleep);
		}
		FILCH_SYNC(kid);
	}
}

static void tasks_one_at_a_time(uint64_t n, uint32_t workers)
{
	test_watchdog(200);
	pools_begin();
	pool = pool_open(workers, FILCH_POOL_NO_SEARCH);
	pool_until_asleep(pool, workers);
	n = test_scaled(n);
	CHECK_EQ(FILCH_RUN(pool, NULL, spawn_and_look, n), 0);
	CHECK(pool_stats(pool).steals >= n, "%llu steals",
		(unsigned long long)pool_stats(pool).steals);
	pool_close(pool);
	printf("    %u workers, %llu rounds\n", workers, (unsigned long long)n);
	pools_print();
	POOLS_COVER(parks);
	POOLS_COVER(wakes);
	POOLS_COVER(asked);
}

static void every_spawn_wakes_a_parked_worker(void)
{
	tasks_one_at_a_time(200000, 2);
	tasks_one_at_a_time(50000, 3);
	tasks_one_at_a_time(20000, 8);
}

static void no_wake_up_is_lost_in_the_fenced_mode(void)
{
	setenv("FILCH_MEMBARRIER", "0", 1);
	jobs_one_at_a_time(submit_and_wait, 50000, 2);
	jobs_one_at_a_time(submit_and_look, 50000, 2);
	tasks_one_at_a_time(100000, 2);
	tasks_one_at_a_time(20000, 4);
	unsetenv("FILCH_MEMBARRIER");
}

/* --- a join's wake-up ------------------------------------------------- */

/*
 * Runs on the thief; every other time it goes on when its joiner, which had waited @waited times
 * before, waits again and sleeps; else while it is perhaps just about to. (That somebody sleeps is
 * not enough: the count of sleepers may lag behind the thief's own waking.)
 */
FILCH_TASK(uint64_t, finish_late, (_Atomic uint64_t *, started), (uint64_t, i), (uint64_t, waited))
{
	*started = i;
	if (i % 2)
		for (uint64_t since = test_now(); test_now() - since < LATE;) {
			struct filch_stats now = pool_stats(pool);

			if (now.joins_waited > waited && now.asleep)
				break;
			sched_yield();
		}
	return i;
}

FILCH_VOID_TASK(spawn_and_sleep, (uint64_t, n))
{
	_Atomic uint64_t started = 0;

	for (uint64_t i = 1; i <= n; i++) {
		FILCH_SPAWN(kid, finish_late, &started, i, pool_stats(pool).joins_waited);
		for (unsigned look = 0; atomic_load(&started) != i; look++)
			if (look % 64 == 63)
				sched_yield();
		CHECK_EQ(FILCH_SYNC(kid), i); /* stolen: this worker parks until it is done */
	}
}

static void every_completed_task_wakes_its_joiner(void)
{
	uint64_t n = test_scaled(100000);

	test_watchdog(200);
	pools_begin();
	pool = pool_open(2, FILCH_POOL_NO_SEARCH);
	CHECK_EQ(FILCH_RUN(pool, NULL, spawn_and_sleep, n), 0);
	pool_close(pool);
	pools_print();
	CHECK(pools_sum.joins_waited >= n / 2, "%llu joins waited",
		(unsigned long long)pools_sum.joins_waited);
	POOLS_COVER(parks);
	POOLS_COVER(wakes);
}

/* --- signals ---------------------------------------------------------- */

#define TARGETS 5u /* three producers, two workers */

static pthread_t target[TARGETS];
static _Atomic unsigned targets;
static _Atomic bool storm_over;
static _Atomic uint64_t signals, on_workers;

static void on_signal(int signal)
{
	(void)signal;
	signals++;
	on_workers += filch_worker_id() >= 0;
}

/*
 * A thousand times a second each target gets SIGUSR1, which nobody blocks; no SA_RESTART. Workers
 * handle it wherever they are: asleep, looking, in a job, writing a descriptor.
 */
static void *storm(void *unused)
{
	(void)unused;
	while (!storm_over) {
		const struct timespec millisecond = { .tv_nsec = 1000000 };

		for (unsigned i = 0; i < targets; i++)
			CHECK_EQ(pthread_kill(target[i], SIGUSR1), 0);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &millisecond, NULL);
	}
	return NULL;
}

static void announce(void *unused, int worker)
{
	(void)unused;
	(void)worker;
	target[targets++] = pthread_self();
}

static int doze(void *arg)
{
	uint64_t until = test_now() + (uintptr_t)arg;

	while (test_now() < until)
		sched_yield();
	ran++;
	return 7;
}

/* A completion that an event loop is told of, by a worker that writes under signals. */
static void hear_in_the_storm(struct filch_cq *cq)
{
	const struct filch_submit how = { .size = sizeof how, .cq = cq };
	struct pollfd descriptor = { .fd = filch_cq_fd(cq), .events = POLLIN };
	struct filch_completion c;
	int n;

	CHECK_EQ(filch_cq_reap(cq, &c, 1), 0); /* arms it */
	while (filch_submit(pool, doze, NULL, &how) == -ENOBUFS)
		sched_yield();
	do {
		while ((n = poll(&descriptor, 1, 60000)) < 0)
			CHECK_EQ(errno, EINTR);
		CHECK_EQ(n, 1);
	} while (!filch_cq_reap(cq, &c, 1)); /* it may be readable with nothing there */
	CHECK_EQ(c.status, 7);
}

/* Blocks in a full queue, waits for the last, drains: all of it under signals. */
static void *produce_in_the_storm(void *arg)
{
	uint64_t rounds = test_scaled(2000), mine = (uintptr_t)arg;
	struct filch_cq *cq;

	CHECK_EQ(filch_cq_create(&cq, 1), 0);
	for (uint64_t i = 0; i < rounds; i++) {
		const struct filch_submit how = { .size = sizeof how, .flags = FILCH_JOB_DETACHED };
		struct timespec late = filch_after(LATE), soon = filch_after(1000);
		struct filch_completion c;
		int64_t id;
		int error;

		for (unsigned k = 0; k < 4; k++) {
			while ((id = filch_submit(pool, doze, (void *)(uintptr_t)(20000 * mine),
					&how)) == -ENOBUFS)
				sched_yield();
			CHECK(id > 0, "%lld", (long long)id);
		}
		while ((id = filch_submit(pool, doze, (void *)(uintptr_t)200000, NULL)) == -ENOBUFS)
			sched_yield();
		CHECK(id > 0, "%lld", (long long)id);
		/* an early return would be 0 without a completion, or -EINTR */
		error = filch_wait(pool, id, &soon, &c);
		if (error) {
			CHECK_EQ(error, -ETIMEDOUT);
			CHECK(test_now() >=
					(uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec,
				"timed out too early");
			CHECK_EQ(filch_wait(pool, id, &late, &c), 0);
		}
		CHECK_EQ(c.id, id);
		CHECK_EQ(c.status, 7);
		if (i % 8 == 0)
			hear_in_the_storm(cq);
		if (i % 64 == 0)
			CHECK_EQ(filch_pool_drain(pool, &late), 0);
	}
	CHECK_EQ(filch_cq_destroy(cq), 0);
	return NULL;
}

static void futexes_that_return_early_lose_nothing(void)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = 2,
		.queue_capacity = 2,
		.jobs_max = 64,
		.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_NO_SEARCH,
		.on_worker_start = announce };
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t producer[3], stormer;
	uint64_t rounds = test_scaled(2000);

	test_watchdog(200);
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	pools_begin();
	ran = signals = on_workers = 0;
	targets = 0;
	do {
		storm_over = false;
		pool = pool_open_with(&config);
		CHECK_EQ(targets, 2);
		for (uintptr_t i = 0; i < 3; i++) {
			CHECK_EQ(
				pthread_create(&producer[i], NULL, produce_in_the_storm, (void *)i),
				0);
			target[2 + i] = producer[i];
		}
		targets = 5;
		CHECK_EQ(pthread_create(&stormer, NULL, storm, NULL), 0);
		/* a thread that has ended and is not yet joined may still be sent a signal */
		while (ran < 3 * (rounds * 5 + (rounds + 7) / 8))
			sched_yield();
		storm_over = true;
		CHECK_EQ(pthread_join(stormer, NULL), 0);
		for (unsigned i = 0; i < 3; i++)
			CHECK_EQ(pthread_join(producer[i], NULL), 0);
		CHECK_EQ(ran, 3 * (rounds * 5 + (rounds + 7) / 8));
		ran = 0;
		targets = 0;
		CHECK_EQ(filch_pool_drain(pool, NULL), 0);
		pool_close(pool);
	} while (signals < 10 || on_workers < 10);
	printf("    %llu signals, %llu of them on workers\n", (unsigned long long)signals,
		(unsigned long long)on_workers);
	pools_print();
	POOLS_COVER(parks);
}

int main(void)
{
	test_watchdog(200);
	(void)test_seed();
	test_case("every submitted job wakes a worker, and its completion the waiter",
		every_submitted_job_wakes_a_worker_and_its_waiter);
	test_case("every submitted job wakes a worker that sleeps or is about to",
		every_submitted_job_wakes_a_worker);
	test_case("every spawn wakes a parked worker", every_spawn_wakes_a_parked_worker);
	test_case("every completed task wakes its joiner", every_completed_task_wakes_its_joiner);
	test_case("no wake-up is lost in the fenced mode", no_wake_up_is_lost_in_the_fenced_mode);
	test_case("futexes that return early lose nothing", futexes_that_return_early_lose_nothing);
	return test_finish("idle");
}
