/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A complex FFT by decimation in frequency (Gentleman, Sande 1966), recursive and in place: one pass of butterflies over the
 * whole, by halves, then both halves as tasks. The result stays in bit-reversed order, as a convolution would use it.
 *
 * Not good for: a comparison with FFT libraries (radix 2, plain loops). Every level passes over all the data, so what exceeds a
 * cache is bound by memory, and two workers then share its bandwidth.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <stddef.h>

#include "programs/data.h"

#define LEAF  512  /* a transform this short is one task */
#define GRAIN 1024 /* butterflies of a long one that are one task */

/* Butterflies @begin to @end of @x of length 2 @half. */
static void pass(struct complex_number *x, const struct complex_number *roots, size_t half, size_t begin, size_t end)
{
	struct complex_number *__restrict__ low = x, *__restrict__ high = x + half;

	for (size_t k = begin; k < end; k++) {
		struct complex_number a = low[k], b = high[k], w = roots[half + k];
		double re = a.re - b.re, im = a.im - b.im;

		low[k].re = a.re + b.re;
		low[k].im = a.im + b.im;
		high[k].re = re * w.re - im * w.im;
		high[k].im = re * w.im + im * w.re;
	}
}

static void transform_leaf(struct complex_number *x, const struct complex_number *roots, size_t n)
{
	for (size_t half = n / 2; half; half /= 2)
		for (size_t at = 0; at < n; at += 2 * half)
			pass(x + at, roots, half, 0, half);
}

/* The pass, by halves. Returns tasks. */
BENCH_TASK(uint32_t, butterflies, (struct complex_number *, x), (const struct complex_number *, roots), (uint32_t, half),
	(uint32_t, begin), (uint32_t, end))
{
	if (end - begin <= GRAIN) {
		pass(x, roots, half, begin, end);
		return 1;
	}
	uint32_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, butterflies, x, roots, half, middle, end);
	uint32_t tasks = BENCH_CALL(butterflies, x, roots, half, begin, middle);

	return tasks + BENCH_SYNC(upper) + 1;
}

/* Transforms @n numbers at @x. Returns tasks. */
BENCH_TASK(uint32_t, transform, (struct complex_number *, x), (const struct complex_number *, roots), (uint32_t, n))
{
	uint32_t tasks;

	if (n <= LEAF) {
		transform_leaf(x, roots, n);
		return 1;
	}
	tasks = 1 + BENCH_CALL(butterflies, x, roots, n / 2, 0, n / 2);
	BENCH_SPAWN(upper, transform, x + n / 2, roots, n / 2);
	tasks += BENCH_CALL(transform, x, roots, n / 2);
	return tasks + BENCH_SYNC(upper);
}

/* arg: n, a power of two. value: n, 1 if the transform is right. tasks: counted. */
int BENCH_ENTRY(fft)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	uint32_t tasks = 0, n = (uint32_t)size->arg[0];
	struct complex_number *x = bench_signal.x;
	const struct complex_number *roots = bench_signal.roots;
	int err = BENCH_RUN(engine, &tasks, transform, x, roots, n);

	*out = (struct bench_outcome){ .value = { n }, .tasks = tasks };
	return err;
}
