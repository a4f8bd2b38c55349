/* SPDX-License-Identifier: Apache-2.0 */
/*
 * barrier: work that lies there is run while a worker sleeps, always. n tasks, or n jobs, that wait
 * for each other on n workers must all run at once; and tasks that were spawned are within the
 * reach of thieves while their spawner computes on.
 *
 * In CI (scale 1) about 10^5 rounds; the campaign is FILCH_TEST_SCALE=10. A round that takes longer
 * than ten seconds is stuck. timeout: 300
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "pools.h"

#define LATE UINT64_C(10000000000) /* ns */

static struct filch_pool *pool;

/* Counts up; nobody leaves a round before all of it have come. */
struct meeting {
	_Atomic uint64_t arrived;
	uint64_t n;
};

static void meet(struct meeting *m)
{
	uint64_t mine = ++m->arrived, all = (mine + m->n - 1) / m->n * m->n, since = 0;

	for (unsigned look = 0; m->arrived < all; look++) {
		if (look % 64 == 63)
			sched_yield();
		if (look % 1024 == 1023) {
			since = since ? since : test_now();
			CHECK(test_now() - since < LATE,
				"%llu of %llu have come; workers parked: %llu, jobs queued: %llu",
				(unsigned long long)(m->arrived % m->n), (unsigned long long)m->n,
				(unsigned long long)pool_stats(pool).asleep,
				(unsigned long long)pool_stats(pool).queued);
		}
	}
}

/* --- tasks ------------------------------------------------------------ */

FILCH_VOID_TASK(client, (struct meeting *, m))
{
	meet(m);
}

/* All spawned in one frame; @from_sleep: while all other workers sleep. */
FILCH_VOID_TASK(flat, (struct meeting *, m), (uint64_t, rounds), (bool, from_sleep))
{
	FILCH_FRAME(client) kid[32];

	while (rounds--) {
		if (from_sleep)
			pool_until_asleep(pool, m->n - 1);
		for (uint64_t i = 1; i < m->n; i++)
			FILCH_SPAWN_INTO(&kid[i], client, m);
		FILCH_CALL(client, m);
		for (uint64_t i = m->n; --i;)
			FILCH_SYNC_FROM(client, &kid[i]);
	}
}

/*
 * @n clients: half of them are handed on before this one waits, so thieves must find work at
 *    thieves.
 */
FILCH_VOID_TASK(hand_on, (struct meeting *, m), (uint64_t, n))
{
	FILCH_FRAME(hand_on) kid[8];
	unsigned kids = 0;

	while (n > 1) {
		FILCH_SPAWN_INTO(&kid[kids++], hand_on, m, n / 2);
		n -= n / 2;
	}
	meet(m);
	while (kids)
		FILCH_SYNC_FROM(hand_on, &kid[--kids]);
}

/*
 * Every so many rounds begin while all others sleep, so these two do not depend on how long a
 * worker looks before it parks.
 */
static void wake_ups_are_covered(void)
{
	pools_print();
	POOLS_COVER(parks);
	POOLS_COVER(wakes);
}

static void tasks_meet(uint32_t workers, uint64_t flags, uint64_t n)
{
	struct meeting m = { .n = workers };

	pools_begin();
	pool = pool_open(workers, flags);
	n = test_scaled(n);
	for (uint64_t round = 0; round < n;) {
		test_watchdog(120);
		for (unsigned i = 0; i < 500 && round < n; i++) {
			if (i % 2)
				CHECK_EQ(FILCH_RUN(pool, NULL, hand_on, &m, m.n), 0);
			else
				CHECK_EQ(FILCH_RUN(pool, NULL, flat, &m, 3, i % 50 == 0), 0);
			round += i % 2 ? 1 : 3;
		}
	}
	pool_close(pool);
	printf("    %u workers%s: %llu rounds\n", workers,
		flags & FILCH_POOL_NO_SEARCH ? " that park at once" : "",
		(unsigned long long)(m.arrived / m.n));
	wake_ups_are_covered();
	POOLS_COVER(steals);
}

static void n_tasks_on_n_workers_all_run_at_once(void)
{
	tasks_meet(2, 0, 30000);
	tasks_meet(2, FILCH_POOL_NO_SEARCH, 20000);
	tasks_meet(8, 0, 2000);
	tasks_meet(8, FILCH_POOL_NO_SEARCH, 2000);
	tasks_meet(32, 0, 200);
}

static void n_tasks_in_the_fenced_mode_all_run_at_once(void)
{
	setenv("FILCH_MEMBARRIER", "0", 1);
	tasks_meet(2, FILCH_POOL_NO_SEARCH, 10000);
	tasks_meet(8, 0, 1000);
	unsetenv("FILCH_MEMBARRIER");
}

/* --- jobs ------------------------------------------------------------- */

static int guest_job(void *arg)
{
	meet(arg);
	return 0;
}

/* A job that submits the others and meets them: its worker's stack is busy all the while. */
static int host_job(void *arg)
{
	const struct filch_submit how = { .size = sizeof how, .flags = FILCH_JOB_DETACHED };
	struct meeting *m = arg;

	for (uint64_t i = 1; i < m->n; i++) {
		int64_t id = filch_submit(pool, guest_job, m, &how);

		CHECK(id > 0, "%lld", (long long)id);
	}
	meet(m);
	return 0;
}

static void jobs_meet(uint32_t workers, uint64_t flags, uint64_t n)
{
	struct meeting m = { .n = workers };
	struct filch_job_spec spec[32];
	int64_t id[32];

	pools_begin();
	pool = pool_open(workers, flags);
	n = test_scaled(n);
	for (uint32_t i = 0; i < workers; i++)
		spec[i] = (struct filch_job_spec){ .fn = guest_job, .arg = &m };
	for (uint64_t round = 0; round < n; round++) {
		uint32_t out = workers;

		if (round % 500 == 0)
			test_watchdog(120);
		if (round % 50 < 3)
			pool_until_asleep(pool, workers);
		switch (round % 3) {
		case 0: /* one by one, in one batch, or from a worker */
			for (uint32_t i = 0; i < workers; i++)
				CHECK((id[i] = filch_submit(pool, guest_job, &m, NULL)) > 0, "%lld",
					(long long)id[i]);
			break;
		case 1:
			CHECK_EQ(filch_submit_batch(pool, spec, workers, NULL, id), workers);
			break;
		default:
			out = 1;
			CHECK((id[0] = filch_submit(pool, host_job, &m, NULL)) > 0, "%lld",
				(long long)id[0]);
		}
		for (uint32_t i = 0; i < out; i++)
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
		CHECK_EQ(m.arrived, (round + 1) * m.n);
	}
	CHECK_EQ(filch_pool_drain(pool, NULL), 0); /* clients of a host are nobody's to wait for */
	pool_close(pool);
	printf("    %u workers%s: %llu rounds\n", workers,
		flags & FILCH_POOL_NO_SEARCH ? " that park at once" : "", (unsigned long long)n);
	wake_ups_are_covered();
}

static void n_jobs_on_n_workers_all_run_at_once(void)
{
	jobs_meet(2, 0, 20000);
	jobs_meet(2, FILCH_POOL_NO_SEARCH, 10000);
	jobs_meet(8, 0, 2000);
	jobs_meet(8, FILCH_POOL_NO_SEARCH, 2000);
	jobs_meet(32, 0, 200);
}

/* Jobs and tasks mixed: one job is a tree of k clients, the others are single. */
static int tree_job(void *arg)
{
	struct meeting *m = arg;

	return FILCH_RUN(NULL, NULL, hand_on, m, m->n / 2);
}

static void jobs_and_tasks_that_meet_all_run_at_once(void)
{
	const uint32_t workers = 6;
	uint64_t n = test_scaled(3000);
	struct meeting m = { .n = workers };
	int64_t id[8];

	pools_begin();
	pool = pool_open(workers, 0);
	for (uint64_t round = 0; round < n; round++) {
		if (round % 500 == 0)
			test_watchdog(120);
		id[0] = filch_submit(pool, tree_job, &m, NULL);
		for (uint32_t i = 1; i <= workers - workers / 2; i++)
			id[i] = filch_submit(pool, guest_job, &m, NULL);
		for (uint32_t i = 0; i <= workers - workers / 2; i++)
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
	}
	pool_close(pool);
	pools_print();
	POOLS_COVER(steals);
}

/* --- no work is hidden ------------------------------------------------ */

#define CROWD 1000u

FILCH_VOID_TASK(one_of_a_crowd, (_Atomic uint64_t *, gone))
{
	++*gone;
}

/* Spawns a crowd and computes until the last of it has been taken away. */
FILCH_VOID_TASK(spawn_a_crowd, (_Atomic uint64_t *, gone))
{
	FILCH_FRAME(one_of_a_crowd) kid[CROWD];
	uint64_t since = test_now();

	*gone = 0;
	for (unsigned i = 0; i < CROWD; i++)
		FILCH_SPAWN_INTO(&kid[i], one_of_a_crowd, gone);
	for (unsigned look = 0; *gone < CROWD; look++) {
		if (look % 64 == 63)
			sched_yield();
		CHECK(look % 1024 || test_now() - since < LATE, "%llu of %u tasks were taken",
			(unsigned long long)*gone, CROWD);
	}
	for (unsigned i = CROWD; i--;)
		FILCH_SYNC_FROM(one_of_a_crowd, &kid[i]);
}

static void every_spawned_task_is_within_the_reach_of_thieves(void)
{
	static _Atomic uint64_t gone;
	uint64_t n = test_scaled(100);

	for (uint32_t workers = 2; workers <= 8; workers *= 2) {
		pools_begin();
		pool = pool_open(workers, workers == 4 ? FILCH_POOL_NO_SEARCH : 0);
		for (uint64_t round = 0; round < n; round++) {
			test_watchdog(120);
			CHECK_EQ(FILCH_RUN(pool, NULL, spawn_a_crowd, &gone), 0);
		}
		CHECK(pool_stats(pool).steals >= n * CROWD, "%llu steals",
			(unsigned long long)pool_stats(pool).steals);
		pool_close(pool);
		printf("    %u workers\n", workers);
		pools_print();
	}
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("n tasks that wait for each other on n workers all run at once",
		n_tasks_on_n_workers_all_run_at_once);
	test_case("n tasks that wait for each other all run at once in the fenced mode",
		n_tasks_in_the_fenced_mode_all_run_at_once);
	test_case("n jobs that wait for each other on n workers all run at once",
		n_jobs_on_n_workers_all_run_at_once);
	test_case("jobs and tasks that wait for each other all run at once",
		jobs_and_tasks_that_meet_all_run_at_once);
	test_case("every spawned task is within the reach of thieves",
		every_spawned_task_is_within_the_reach_of_thieves);
	return test_finish("barrier");
}
