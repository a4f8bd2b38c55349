/* SPDX-License-Identifier: Apache-2.0 */
/* sim: see calibrate.h. */
#define _GNU_SOURCE
#include "calibrate.h"

#include <errno.h>
#include <filch/filch.h>
#include <string.h>
#include <time.h>

#include "stats.h"

#define FACTOR     1.5
#define SIM_SEEDS  9u
#define ROUNDS_MAX 50u

/* How much each worker has slept; on lines of their own. */
static struct {
	_Alignas(128) uint64_t slept, least, leaves, last;
} leaf[FILCHI_WORKERS_MAX];
static long leaf_us;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_leaf(void)
{
	const struct timespec pause = { .tv_nsec = leaf_us * 1000 };
	int w = filch_worker_id();
	uint64_t began = now(), took;

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	leaf[w].last = now();
	took = leaf[w].last - began;
	leaf[w].slept += took;
	leaf[w].leaves++;
	if (!leaf[w].least || took < leaf[w].least)
		leaf[w].least = took;
}

FILCH_TASK(long, sleepy_fib, (long, n))
{
	if (n < 2) {
		sleep_leaf();
		return n;
	}
	FILCH_SPAWN(a, sleepy_fib, n - 1);
	long b = FILCH_CALL(sleepy_fib, n - 2);
	return FILCH_SYNC(a) + b;
}

/* Those from STEALS to WAKES decide. */
enum { TOOK, TAIL, STEALS, PARKS, WAKES, JOINS, ASKED, FIGURES };

/* One run on @pool into figure[...][round]; the mean and the least of its leaves. 0 or -errno. */
static int run_real(struct filch_pool *pool, long n, double figure[FIGURES][ROUNDS_MAX],
	uint32_t round, uint64_t *least, uint64_t *mean)
{
	struct filch_stats before = FILCH_STATS_INIT, after = FILCH_STATS_INIT;
	uint64_t began, ended, slept = 0, leaves = 0, last = 0;
	long result;
	int error = filch_pool_stats(pool, &before);

	for (uint32_t w = 0; w < FILCHI_WORKERS_MAX; w++)
		leaf[w].slept = leaf[w].least = leaf[w].leaves = leaf[w].last = 0;
	began = now();
	if (!error)
		error = FILCH_RUN(pool, &result, sleepy_fib, n);
	ended = now();
	if (!error)
		error = filch_pool_stats(pool, &after);
	*least = UINT64_MAX;
	for (uint32_t w = 0; w < FILCHI_WORKERS_MAX; w++) {
		slept += leaf[w].slept;
		leaves += leaf[w].leaves;
		last = leaf[w].last > last ? leaf[w].last : last;
		if (leaf[w].leaves && leaf[w].least < *least)
			*least = leaf[w].least;
	}
	*mean = leaves ? slept / leaves : 0;
	figure[TOOK][round] = (double)(ended - began);
	figure[TAIL][round] = (double)(ended - last);
	figure[STEALS][round] = (double)(after.steals - before.steals);
	figure[PARKS][round] = (double)(after.parks - before.parks);
	figure[WAKES][round] = (double)(after.wakes - before.wakes);
	figure[JOINS][round] = (double)(after.joins_waited - before.joins_waited);
	figure[ASKED][round] = (double)(after.asked - before.asked);
	return error;
}

static void run_simulated(const struct sim_machine *machine, const struct sim_work *work,
	const struct sim_costs *costs, double figure[FIGURES][ROUNDS_MAX])
{
	const struct sim_policy policy = { .thief_only = false };

	for (uint32_t seed = 0; seed < SIM_SEEDS; seed++) {
		struct sim_result r;

		sim_run(machine, work, costs, &policy, seed + 1, &r);
		figure[TOOK][seed] = (double)r.took;
		figure[TAIL][seed] = (double)r.after_leaf;
		figure[STEALS][seed] = 0;
		for (int d = 0; d < SIM_DISTANCES; d++)
			figure[STEALS][seed] += (double)r.steals[d];
		figure[PARKS][seed] = (double)r.parks;
		figure[WAKES][seed] = (double)r.wakes;
		figure[JOINS][seed] = (double)r.joins;
		figure[ASKED][seed] = (double)r.asked;
	}
}

/* Whether @name is one of the @list, which has commas. */
static bool listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = list; *at; at += strspn(at, ",")) {
		size_t n = strcspn(at, ",");

		if (n == length && strncmp(at, name, n) == 0)
			return true;
		at += n;
	}
	return false;
}

struct shape {
	uint32_t workers;
	long n, leaf_us;
};

/*
 * The median of times, and the mean of counts. Those come in two kinds, by who steals first: the
 * median would be of the one or the other.
 */
static double middle(const double *figure, uint32_t n, bool counted)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += figure[i];
	return counted ? sum / n : bench_spread_of(figure, n).median;
}

/* One line of the table. 1: a figure is beyond the factor. */
static int compare(const struct shape *shape, double real[FIGURES][ROUNDS_MAX], uint32_t rounds,
	double simulated[FIGURES][ROUNDS_MAX], FILE *out)
{
	int beyond = 0;

	(void)fprintf(
		out, "| %u | fib(%ld), %ld ms |", shape->workers, shape->n, shape->leaf_us / 1000);
	for (int f = TOOK; f < FIGURES; f++) {
		bool counted = f >= STEALS;
		double a = middle(real[f], rounds, counted),
		       b = middle(simulated[f], SIM_SEEDS, counted);
		double ratio = a > 0 ? b / a : 0;

		(void)fprintf(out, counted ? " %.0f / %.0f (%.2f) |" : " %.2f / %.2f ms |",
			counted ? a : a / 1e6, counted ? b : b / 1e6, ratio);
		beyond |= counted && f <= WAKES && (ratio > FACTOR || ratio < 1 / FACTOR);
	}
	(void)fprintf(out, "\n");
	return beyond;
}

static int calibrate_one(
	const struct shape *shape, const struct sim_costs *given, uint32_t rounds, FILE *out)
{
	static double real[FIGURES][ROUNDS_MAX], simulated[FIGURES][ROUNDS_MAX];
	struct filch_config config = FILCH_CONFIG_INIT;
	struct sim_costs costs = *given;
	struct sim_machine machine;
	struct sim_work work;
	struct filch_pool *pool;
	uint64_t least = UINT64_MAX, mean_sum = 0;
	int error;

	leaf_us = shape->leaf_us;
	config.workers = shape->workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_PIN;
	error = filch_pool_create(&pool, &config);
	if (error)
		return error;
	for (uint32_t i = 0; !error && i < rounds; i++) {
		uint64_t round_least, mean;

		error = run_real(pool, shape->n, real, i, &round_least, &mean);
		least = round_least < least ? round_least : least;
		mean_sum += mean;
	}
	(void)filch_pool_destroy(pool);
	if (error)
		return error;
	error = sim_machine_make(&machine, "here", shape->workers);
	if (error)
		return error;
	(void)sim_work_make(&work, "fib", shape->n, least, shape->workers);
	costs.noise = 2 * (mean_sum / rounds - least);
	work.sleeps = true;
	run_simulated(&machine, &work, &costs, simulated);
	sim_machine_free(&machine);
	return compare(shape, real, rounds, simulated, out);
}

int sim_calibrate(const struct sim_costs *costs, const char *workers, uint32_t rounds, FILE *out)
{
	static const struct shape shape[] = {
		{ 16, 16, 2000 },
		{ 64, 18, 2000 },
		{ 256, 20, 4000 },
	};
	int beyond = 0;

	rounds = rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX;
	(void)fprintf(out, "Real / simulated (ratio); medians of times, means of counts\n\n"
			   "| workers | work | time | after the last leaf | steals | parks | wakes "
			   "| joins waited for | slow pushes |\n"
			   "|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof(shape) / sizeof(*shape); i++) {
		char name[16];
		int outcome;

		(void)snprintf(name, sizeof(name), "%u", shape[i].workers);
		if (*workers && !listed(workers, name))
			continue;
		outcome = calibrate_one(&shape[i], costs, rounds, out);
		if (outcome < 0)
			return outcome;
		beyond |= outcome;
		(void)fflush(out);
	}
	return beyond;
}
