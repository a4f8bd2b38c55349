/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop half of docs/from-other-libraries.md: parallel for, reduction, scan, sort, room for each
 * worker.
 */
#include <filch/filch.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 100000 };

static double x[N], y[N], prefix[N];

static void work(size_t begin, size_t end, void *arg)
{
	double factor = *(const double *)arg;

	for (size_t i = begin; i < end; i++)
		y[i] = factor * x[i];
}

static inline void scale(size_t begin, size_t end, const double *factor)
{
	for (size_t i = begin; i < end; i++)
		y[i] = *factor * x[i];
}
FILCH_FOR_DEFINE(scale_all, const double, scale);

static void add_range(size_t begin, size_t end, void *acc, void *arg)
{
	double *sum = acc;
	const double *v = arg;

	for (size_t i = begin; i < end; i++)
		*sum += v[i];
}

static void add(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(double *)acc += *(const double *)right;
}

static void prefix_range(size_t begin, size_t end, void *acc, bool write, void *arg)
{
	double *sum = acc;
	const double *v = arg;

	for (size_t i = begin; i < end; i++) {
		*sum += v[i];
		if (write)
			prefix[i] = *sum; /* after the addition: inclusive */
	}
}

#define DESCENDING(a, b) ((a) > (b))
FILCH_SORT_DEFINE(sort_descending, double, DESCENDING);

/*
 * What threadprivate or enumerable_thread_specific is for: one element per worker, a cache line
 * apart.
 */
struct counter {
	_Alignas(128) size_t odd;
};

static void count_odd(size_t begin, size_t end, void *arg)
{
	struct counter *mine = (struct counter *)arg + filch_worker_id();

	for (size_t i = begin; i < end; i++)
		mine->odd += i % 2;
}

int main(void)
{
	const double factor = 3.0, zero = 0.0;
	double sum = 0.0, total = 0.0;
	struct counter *counter = NULL;
	struct filch_pool *pool;
	struct filch_config config = FILCH_CONFIG_INIT;
	size_t odd = 0;
	int error, workers, bad = 0;

	/* as OpenMP's: the thread that comes to the loop works in it */
	config.flags = FILCH_POOL_CALLER;
	if (filch_pool_create(&pool, &config))
		return 1;
	for (size_t i = 0; i < N; i++)
		x[i] = (double)(i % 10);

	error = filch_for(pool, 0, N, 16, work, (void *)&factor);
	bad |= error || y[9] < 26.5 || y[9] > 27.5;

	y[9] = 0;
	error = scale_all(pool, 0, N, 1, &factor);
	bad |= error || y[9] < 26.5 || y[9] > 27.5;

	error = filch_reduce(pool, 0, N, 1024, sizeof sum, &zero, add_range, add, x, &sum);
	bad |= error || sum < 449999.5 || sum > 450000.5;

	error = filch_scan(pool, 0, N, 0, sizeof total, &zero, prefix_range, add, x, &total);
	bad |= error || prefix[N - 1] < 449999.5 || prefix[N - 1] > 450000.5;

	error = sort_descending(pool, x, N);
	for (int i = 1; i < N; i++)
		bad |= x[i - 1] < x[i];
	bad |= error;

	workers = filch_pool_workers(pool);
	counter = aligned_alloc(128, (size_t)workers * sizeof *counter);
	if (!counter)
		return 1;
	for (int i = 0; i < workers; i++)
		counter[i].odd = 0;
	error = filch_for(pool, 0, N, 0, count_odd, counter);
	for (int i = 0; i < workers; i++)
		odd += counter[i].odd;
	bad |= error || odd != N / 2;

	printf("for, reduce, scan, sort, counters: %s\n", bad ? "wrong" : "as expected");
	free(counter);
	return filch_pool_destroy(pool) || bad;
}
