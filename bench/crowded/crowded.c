/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More workers than cores: what the same work takes with 4, 16 and 128 workers for each core beside
 * one for each, and what a pool of 1,024 workers takes to make and to destroy.
 *
 * Measured: wall time and processor time of a run, and how many pushes took the slow path. The work
 *           is a tree of fib without a cut-off, and one whose nodes divide their leaves at random.
 *
 * All pools live through the whole run, and rows are run in turn, round by round. Ratios are to one
 * worker for each core, in the same round. Every result is compared.
 *
 * Not good for: machines on which something else runs. The system divides the cores among threads,
 * and so among the rows unevenly.
 */
#include <inttypes.h>
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
#define FIB            35
#define FIB_VALUE      UINT64_C(9227465)
#define LEAVES         UINT64_C(10000000)
#define MANY           1024

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

FILCH_TASK_INLINE(uint64_t, fib, (unsigned, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	uint64_t b = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + b;
}

/* Counts its leaves. */
FILCH_TASK_INLINE(uint64_t, divided, (uint64_t, leaves), (uint64_t, seed))
{
	uint64_t x = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407), part;

	if (leaves < 2)
		return leaves;
	part = 1 + (x >> 33) % (leaves - 1);
	FILCH_SPAWN(a, divided, part, x);
	uint64_t b = FILCH_CALL(divided, leaves - part, ~x);
	return FILCH_SYNC(a) + b;
}

struct row {
	uint32_t times; /* workers for each core */
	struct filch_pool *pool;
	double seconds[ROUNDS_MAX], used[ROUNDS_MAX], slow[ROUNDS_MAX];
};

static bool run(struct row *row, bool tree, unsigned round)
{
	struct filch_stats before = FILCH_STATS_INIT, after = FILCH_STATS_INIT;
	double began, used;
	uint64_t value = 0;
	int error = filch_pool_stats(row->pool, &before);

	used = processor_time();
	began = now();
	if (!error)
		error = tree ? FILCH_RUN(row->pool, &value, divided, LEAVES, 1)
			     : FILCH_RUN(row->pool, &value, fib, FIB);
	row->seconds[round] = now() - began;
	row->used[round] = processor_time() - used;
	if (!error)
		error = filch_pool_stats(row->pool, &after);
	row->slow[round] = (double)(after.asked - before.asked);
	if (!error && value == (tree ? LEAVES : FIB_VALUE))
		return true;
	fprintf(stderr, "crowded: %s\n", error ? strerror(-error) : "the result is wrong");
	return false;
}

static struct filch_pool *make(uint32_t workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	int error;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	error = filch_pool_create(&pool, &config);
	if (!error)
		return pool;
	fprintf(stderr, "crowded: %u workers: %s\n", workers, strerror(-error));
	return NULL;
}

static void print(const struct row *rows, size_t n, const char *work, uint32_t cores, size_t rounds)
{
	for (size_t k = 0; k < n; k++) {
		struct bench_spread s = bench_spread_of(rows[k].seconds, rounds),
				    u = bench_spread_of(rows[k].used, rounds),
				    a = bench_spread_of(rows[k].slow, rounds),
				    r = bench_ratio(rows[k].seconds, rows[0].seconds, rounds);

		printf("| %s | %u | %.1f [%.1f..%.1f] | %.2f [%.2f..%.2f] | %.0f | %.0f |\n", work,
			rows[k].times * cores, s.median * 1e3, s.min * 1e3, s.max * 1e3, r.median,
			r.min, r.max, u.median * 1e3, a.median);
	}
}

static bool measure(struct row *rows, size_t n, uint32_t cores, size_t rounds)
{
	for (int tree = 0; tree < 2; tree++) {
		for (unsigned i = 0; i < rounds; i++)
			for (size_t k = 0; k < n; k++)
				if (!run(&rows[k], tree, i))
					return false;
		print(rows, n, tree ? "tree(10^7)" : "fib(35)", cores, rounds);
	}
	return true;
}

static bool make_many(size_t rounds)
{
	double made[ROUNDS_MAX], used[ROUNDS_MAX], destroyed[ROUNDS_MAX];
	struct bench_spread m, u, d;

	for (size_t i = 0; i < rounds; i++) {
		double began = now(), before = processor_time(), then;
		struct filch_pool *pool = make(MANY);

		if (!pool)
			return false;
		then = now();
		made[i] = then - began;
		used[i] = processor_time() - before;
		(void)filch_pool_destroy(pool);
		destroyed[i] = now() - then;
	}
	m = bench_spread_of(made, rounds);
	u = bench_spread_of(used, rounds);
	d = bench_spread_of(destroyed, rounds);
	printf("\n%d workers: made in %.0f ms [%.0f..%.0f], %.0f ms of processor time; "
	       "destroyed in %.0f ms [%.0f..%.0f]\n",
		MANY, m.median * 1e3, m.min * 1e3, m.max * 1e3, u.median * 1e3, d.median * 1e3,
		d.min * 1e3, d.max * 1e3);
	return true;
}

int main(int count, char **arg)
{
	struct row rows[] = { { .times = 1 }, { .times = 4 }, { .times = 16 }, { .times = 128 } };
	const size_t n = sizeof rows / sizeof rows[0];
	double rounds = ROUNDS_DEFAULT;
	int cores = filch_pool_workers(NULL);
	bool good = cores > 0;

	if (count > 2 || (count == 2 && !bench_number("ROUNDS", arg[1], strlen(arg[1]), true, 1,
						ROUNDS_MAX, &rounds)))
		return 2;
	for (size_t k = 0; k < n && good; k++)
		good = (rows[k].pool = make((uint32_t)cores * rows[k].times)) != NULL;
	if (good) {
		printf("%d cores, %d rounds\n\n", cores, (int)rounds);
		printf("| work | workers | ms | times as long | processor ms | slow pushes |\n"
		       "|---|---|---|---|---|---|\n");
		good = measure(rows, n, (uint32_t)cores, (size_t)rounds);
	}
	for (size_t k = 0; k < n; k++)
		if (rows[k].pool)
			(void)filch_pool_destroy(rows[k].pool);
	return good && make_many((size_t)rounds) ? 0 : 1;
}
