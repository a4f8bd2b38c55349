/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reduction whose accumulator is a structure: the smallest and largest value, and the sum, of an
 * array.
 */
#include <filch/filch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define N 1000000

struct summary {
	double low, high, sum;
};

static double value[N];

static void add_range(size_t begin, size_t end, void *acc, void *arg)
{
	struct summary *s = acc;
	const double *v = arg;

	for (size_t i = begin; i < end; i++) {
		s->low = fmin(s->low, v[i]);
		s->high = fmax(s->high, v[i]);
		s->sum += v[i];
	}
}

/* @right is of the range directly to the right of @acc's. */
static void add_summary(void *acc, const void *right, void *arg)
{
	struct summary *s = acc;
	const struct summary *r = right;

	(void)arg;
	s->low = fmin(s->low, r->low);
	s->high = fmax(s->high, r->high);
	s->sum += r->sum;
}

int main(void)
{
	static const struct summary none = { INFINITY, -INFINITY, 0.0 };
	struct summary first, again;
	struct filch_pool *pool;
	int error;

	for (size_t i = 0; i < N; i++)
		value[i] = 1.0 / (double)(i + 1);
	if (filch_pool_create(&pool, NULL))
		return 1;
	/*
	 * with a fixed grain the order of additions is fixed: the same bits each time, on any
	 * number of workers
	 */
	error = filch_reduce(
		pool, 0, N, 4096, sizeof none, &none, add_range, add_summary, value, &first);
	if (!error)
		error = filch_reduce(pool, 0, N, 4096, sizeof none, &none, add_range, add_summary,
			value, &again);
	if (!error)
		printf("%.3g .. %.3g, sum %.17g\n", first.low, first.high, first.sum);
	return filch_pool_destroy(pool) || error ||
	       memcmp(&first.sum, &again.sum, sizeof first.sum) || first.high != 1.0;
}
