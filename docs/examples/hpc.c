/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snippets of docs/hpc.md: time steps, a sum with the same bits at any number of workers,
 * scratch memory for each worker.
 */
#include <filch/filch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

enum { ROWS = 200, COLUMNS = 300, STEPS = 10 };

struct grid {
	double now[ROWS][COLUMNS], next[ROWS][COLUMNS];
};

static inline void relax(size_t begin, size_t end, struct grid *g)
{
	for (size_t i = begin; i < end; i++) {
		for (size_t j = 1; j + 1 < COLUMNS; j++)
			g->next[i][j] = 0.25 * (g->now[i - 1][j] + g->now[i + 1][j] +
						       g->now[i][j - 1] + g->now[i][j + 1]);
	}
}
FILCH_FOR_DEFINE(relax_rows, struct grid, relax);

static inline void take_over(size_t begin, size_t end, struct grid *g)
{
	for (size_t i = begin; i < end; i++)
		memcpy(&g->now[i][1], &g->next[i][1], (COLUMNS - 2) * sizeof g->now[i][1]);
}
FILCH_FOR_DEFINE(take_over_rows, struct grid, take_over);

/* One job for all steps: inside it each loop is a call, and NULL is the pool it runs in. */
FILCH_TASK(int, simulate, (struct grid *, g), (int, steps))
{
	for (int step = 0; step < steps; step++) {
		int error = relax_rows(NULL, 1, ROWS - 1, 0, g);

		if (!error)
			error = take_over_rows(NULL, 1, ROWS - 1, 0, g);
		if (error)
			return error; /* -ECANCELED: somebody cancelled the job */
	}
	return 0;
}

static void add_rows(size_t begin, size_t end, void *acc, void *arg)
{
	const struct grid *g = arg;
	double *sum = acc;

	for (size_t i = begin; i < end; i++) {
		for (size_t j = 0; j < COLUMNS; j++)
			*sum += g->now[i][j];
	}
}

static void add(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(double *)acc += *(const double *)right;
}

struct scratch {
	_Alignas(128) double row[COLUMNS]; /* no two workers write to one cache line */
};

static void smooth(size_t begin, size_t end, void *arg)
{
	/* ours until this body returns or waits */
	struct scratch *mine = (struct scratch *)arg + filch_worker_id();

	for (size_t i = begin; i < end; i++)
		mine->row[i % COLUMNS] += (double)i;
}

#if defined(__SSE2__)
/* Denormal numbers are slow, and these sums do not need them. */
static int flush_to_zero(void *arg, int worker)
{
	_MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
	((struct scratch *)arg)[worker].row[0] = 0.0; /* its pages come to the worker's node */
	return 0;
}
#else
static int flush_to_zero(void *arg, int worker)
{
	((struct scratch *)arg)[worker].row[0] = 0.0;
	return 0;
}
#endif

int main(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct grid *grid = calloc(1, sizeof *grid);
	struct filch_pool *pool;
	struct scratch *scratch;
	const double zero = 0.0;
	double sum = 0.0, again = 0.0;
	int result = -1, error;

	if (!grid)
		return 1;
	grid->now[0][COLUMNS / 2] = 1000.0;
	config.flags = FILCH_POOL_CALLER;        /* this thread is worker 0 inside runs and loops */
	config.stack_bytes = UINT64_C(64) << 20; /* recursion here is deep */
	if (filch_pool_create(&pool, &config))
		return 1;

	error = FILCH_RUN(pool, &result, simulate, grid, STEPS);
	if (error || result)
		return 1;

	/* a grain > 0: the tree of additions depends on the range and the grain alone */
	error = filch_reduce(pool, 0, ROWS, 16, sizeof sum, &zero, add_rows, add, grid, &sum);
	if (!error)
		error = filch_reduce(
			pool, 0, ROWS, 16, sizeof again, &zero, add_rows, add, grid, &again);
	if (error || memcmp(&sum, &again, sizeof sum) || sum <= 1000.0)
		return 1;

	scratch = aligned_alloc(128, (size_t)filch_pool_workers(pool) * sizeof *scratch);
	if (!scratch)
		return 1;
	memset(scratch, 0, (size_t)filch_pool_workers(pool) * sizeof *scratch);
	error = filch_pool_each(pool, flush_to_zero, scratch);
	if (!error)
		error = filch_for(pool, 0, 10000, 0, smooth, scratch);
	printf("sum after %d steps: %.3f\n", STEPS, sum);
	free(scratch);
	free(grid);
	return filch_pool_destroy(pool) || error;
}
