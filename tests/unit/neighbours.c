/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle: which worker is woken for a job from outside. A thread on a worker's core that waits for
 * its job is served by that worker; one that goes on is served by another.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include "unit.h"

#include <sched.h>

#define WORKERS 2

static int cpu_of[WORKERS]; /* where each worker was pinned, or -1 */

static void note_cpu(void *arg, int worker)
{
	cpu_set_t set;

	(void)arg;
	cpu_of[worker] = -1;
	if (sched_getaffinity(0, sizeof set, &set) || CPU_COUNT(&set) != 1)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((unsigned)cpu, &set))
			cpu_of[worker] = cpu;
}

/* A pool of two workers on cores of their own, or NULL where there are none. */
static struct filch_pool *pinned_pool(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	config.workers = WORKERS;
	config.on_worker_start = note_cpu;
	config.flags = FILCH_POOL_PIN; /* a client beside a worker is what these are about */
	if (filch_pool_create(&pool, &config))
		return NULL;
	if (cpu_of[0] >= 0 && cpu_of[1] >= 0 && cpu_of[0] != cpu_of[1])
		return pool;
	EQ(filch_pool_destroy(pool), 0);
	return NULL;
}

static void move_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	EQ(sched_setaffinity(0, sizeof set, &set), 0);
}

static void wait_until_all_sleep(struct filch_pool *pool)
{
	struct filch_stats stats = FILCH_STATS_INIT;

	do {
		sched_yield();
		EQ(filch_pool_stats(pool, &stats), 0);
		/* counted, and decided */
	} while (stats.asleep != WORKERS || stats.parks < stats.wakes + WORKERS);
}

FILCH_TASK(int, who, (int, unused))
{
	(void)unused;
	return filch_worker_id();
}

static int who_runs(void *arg)
{
	__atomic_store_n((int *)arg, filch_worker_id(), __ATOMIC_RELEASE);
	return 0;
}

Test(neighbours, a_run_is_served_by_the_worker_on_the_callers_core)
{
	struct filch_pool *pool = pinned_pool();

	if (!pool)
		cr_skip_test("needs two cores to pin workers to");
	for (int i = 0; i < 20; i++) {
		int worker = i % WORKERS, by = -1;

		move_to(cpu_of[worker]);
		wait_until_all_sleep(pool);
		EQ(FILCH_RUN(pool, &by, who, 0), 0);
		EQ(by, worker);
	}
	EQ(filch_pool_destroy(pool), 0);
}

Test(neighbours, a_job_whose_submitter_goes_on_is_served_by_a_worker_on_another_core)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_pool *pool = pinned_pool();

	if (!pool)
		cr_skip_test("needs two cores to pin workers to");
	how.flags = FILCH_JOB_DETACHED;
	for (int i = 0; i < 20; i++) {
		int worker = i % WORKERS, by = -1;

		move_to(cpu_of[worker]);
		wait_until_all_sleep(pool);
		EQ(filch_submit(pool, who_runs, &by, &how) > 0, 1);
		while (__atomic_load_n(&by, __ATOMIC_ACQUIRE) < 0)
			;
		EQ(by, !worker);
	}
	EQ(filch_pool_destroy(pool), 0);
}

Test(neighbours, a_thread_in_the_habit_of_waiting_is_served_by_the_worker_on_its_core)
{
	struct filch_pool *pool = pinned_pool();
	int served = 0;

	if (!pool)
		cr_skip_test("needs two cores to pin workers to");
	move_to(cpu_of[1]);
	/* a wait that came late, for want of the core, is no habit: so as often as it takes */
	while (served < 5) {
		int by = -1;
		int64_t id;

		wait_until_all_sleep(pool);
		id = filch_submit(pool, who_runs, &by, NULL);
		EQ(id > 0, 1);
		EQ(filch_wait(pool, id, NULL, NULL), 0);
		served = by == 1 ? served + 1 : 0;
	}
	EQ(filch_pool_destroy(pool), 0);
}
