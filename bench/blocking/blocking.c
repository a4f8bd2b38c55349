/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that sleep half of their time, inside filch_blocking_begin() and _end(): how busy they keep
 * the cores, without spare workers and with as many as there are workers.
 *
 * Measured: the time from the first submit to the last completion; and the processor time of the
 *           process in that time, as a share of what the workers' cores have. A third row is the
 *           same work with twice as many workers and no spares, which is what programs do without.
 *
 * The work of a job is a number of turns that takes as long as its sleep on this machine, found
 * before. Rows are run in turn, round by round. Every job's result is added up and compared.
 *
 * Not good for: the cost of a begin and its end, which is small beside such sleeps.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <filch/filch.h>

#include "number.h"
#include "stats.h"

#define ROUNDS_MAX     101
#define ROUNDS_DEFAULT 7
#define JOBS           2000
#define SLEEP_NS       200000

static uint64_t turns; /* of one job */
static atomic_uint_fast64_t sum;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double processor_time(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static uint64_t work(uint64_t n)
{
	uint64_t x = 1;

	while (n--)
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return x;
}

static int half_asleep(void *arg)
{
	uint64_t x = work(turns / 2);

	(void)arg;
	(void)filch_blocking_begin();
	(void)nanosleep(&(struct timespec){ .tv_nsec = SLEEP_NS }, NULL);
	(void)filch_blocking_end();
	atomic_fetch_add(&sum, x + work(turns / 2));
	return 0;
}

/* So many turns that they take as long as a sleep; the least of several tries. */
static void calibrate(void)
{
	double least = 1;

	for (int i = 0; i < 20; i++) {
		volatile uint64_t n = 1000000, x;
		double began = now(), took;

		x = work(n);
		(void)x;
		took = now() - began;
		least = took < least ? took : least;
	}
	turns = (uint64_t)(SLEEP_NS * 1e-9 / least * 1e6);
}

struct row {
	const char *name;
	uint32_t times, spares; /* workers for each core; spares for each worker */
	double seconds[ROUNDS_MAX], busy[ROUNDS_MAX];
};

static int run(struct row *row, uint32_t cores, unsigned round)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_pool *pool;
	double began, used;
	int error;

	config.workers = cores * row->times;
	config.spares = config.workers * row->spares;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.queue_capacity = JOBS;
	error = filch_pool_create(&pool, &config);
	if (error)
		return error;
	how.flags = FILCH_JOB_DETACHED;
	atomic_store(&sum, 0);
	began = now();
	used = processor_time();
	for (int i = 0; i < JOBS && error >= 0; i++)
		error = filch_submit(pool, half_asleep, NULL, &how) < 0 ? -1 : 0;
	if (!error)
		error = filch_pool_drain(pool, NULL);
	row->seconds[round] = now() - began;
	row->busy[round] = (processor_time() - used) / row->seconds[round] / cores;
	if (!error && atomic_load(&sum) != JOBS * 2 * work(turns / 2)) {
		fprintf(stderr, "blocking: the sum is wrong\n");
		error = -1;
	}
	(void)filch_pool_destroy(pool);
	return error;
}

int main(int count, char **arg)
{
	struct row rows[] = { { .name = "one worker a core", .times = 1 },
		{ .name = "and a spare for each", .times = 1, .spares = 1 },
		{ .name = "two workers a core", .times = 2 } };
	const size_t n = sizeof rows / sizeof rows[0];
	double rounds = ROUNDS_DEFAULT;
	int cores = filch_pool_workers(NULL);

	if (count > 2 || (count == 2 && !bench_number("ROUNDS", arg[1], strlen(arg[1]), true, 1,
						ROUNDS_MAX, &rounds)))
		return 2;
	if (cores < 0)
		return 1;
	calibrate();
	for (unsigned i = 0; i < (unsigned)rounds; i++)
		for (size_t k = 0; k < n; k++)
			if (run(&rows[k], (uint32_t)cores, i))
				return 1;
	printf("%d jobs on %d cores, each works and sleeps for %d us, %d rounds\n", JOBS, cores,
		SLEEP_NS / 1000, (int)rounds);
	printf("| | ms | cores busy, %% |\n|---|---|---|\n");
	for (size_t k = 0; k < n; k++) {
		struct bench_spread s = bench_spread_of(rows[k].seconds, (size_t)rounds);
		struct bench_spread b = bench_spread_of(rows[k].busy, (size_t)rounds);

		printf("| %s | %.0f [%.0f..%.0f] | %.0f [%.0f..%.0f] |\n", rows[k].name,
			s.median * 1e3, s.min * 1e3, s.max * 1e3, b.median * 100, b.min * 100,
			b.max * 100);
	}
	return 0;
}
