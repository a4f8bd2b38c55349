/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adaptive quadrature: the integral of (x^2 + 1) x from 0 to n by the trapezoid rule, each interval
 * halved until both halves together differ from the whole by less than a tolerance. From the Cilk
 * distribution's examples.
 *
 * Not good for: numerics (a cubic has better rules). It is fib with a few multiplications: a deep
 * binary tree of tiny tasks, deeper where the function is steeper.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <string.h>

struct area {
	double value;
	uint64_t tasks;
};

static inline double f(double x)
{
	return (x * x + 1) * x;
}

/* The integral from @x1 to @x2, where f is @y1 and @y2, and @whole the trapezoid of both. */
BENCH_TASK_INLINE(struct area, integral, (double, x1), (double, y1), (double, x2), (double, y2),
	(double, whole), (double, tolerance))
{
	double half = (x2 - x1) / 2, x0 = x1 + half, y0 = f(x0);
	double left = (y1 + y0) / 2 * half, right = (y0 + y2) / 2 * half,
	       off = left + right - whole;
	struct area sum = { left + right, 1 }, other;

	if (off < tolerance && off > -tolerance)
		return sum;
	BENCH_SPAWN(upper, integral, x0, y0, x2, y2, right, tolerance);
	sum = BENCH_CALL(integral, x1, y1, x0, y0, left, tolerance);
	other = BENCH_SYNC(upper);
	sum.value += other.value;
	sum.tasks += other.tasks + 1;
	return sum;
}

/*
 * arg: n, tolerance. value: the integral, rounded, and its bits: the tree fixes the order of the
 * sums. tasks: counted.
 */
int BENCH_ENTRY(integrate)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	struct area sum = { 0, 0 };
	double n = size->arg[0], tolerance = size->arg[1], top = f(n);
	uint64_t bits;
	int err = BENCH_RUN(engine, &sum, integral, 0.0, 0.0, n, top, top / 2 * n, tolerance);

	memcpy(&bits, &sum.value, sizeof bits);
	*out = (struct bench_outcome){ .value = { (uint64_t)(sum.value + 0.5), bits },
		.tasks = sum.tasks };
	return err;
}
