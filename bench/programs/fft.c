/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A complex FFT by decimation in frequency (Gentleman, Sande 1966), recursive and in place: one
 * pass of butterflies over the whole, by halves, then both halves as tasks. The result stays in
 * bit-reversed order, as a convolution would use it.
 *
 * Not good for: a comparison with FFT libraries (radix 2, plain loops). Every level passes over all
 * the data, so what exceeds a cache is bound by memory, and two workers then share its bandwidth.
 * Nor for a ratio to serial: a plain call enters the spawned half at the spawn, so serial passes
 * over the upper halves first and through memory backwards, which costs it a fifth of its time.
 * Tried: with the halves exchanged in this source (the lower spawned, the upper called) the times
 * exchange as well, serial and filch with one worker from 84 and 68 ms to 69 and 84 (2^22, medians
 * of 7 rounds on a Zen 4 VM).
 */
#include "bench.h"
#include BENCH_BACKEND

#include <stddef.h>

#include "programs/data.h"
#include "programs/kernels.h"

#define LEAF  512  /* a transform this short is one task */
#define GRAIN 1024 /* butterflies of a long one that are one task */

/* The pass, by halves. Returns tasks. */
BENCH_TASK(uint32_t, butterflies, (struct complex_number *, x),
	(const struct complex_number *, roots), (uint32_t, half), (uint32_t, begin),
	(uint32_t, end))
{
	if (end - begin <= GRAIN) {
		kernel_butterflies(x, roots, half, begin, end);
		return 1;
	}
	uint32_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, butterflies, x, roots, half, middle, end);
	uint32_t tasks = BENCH_CALL(butterflies, x, roots, half, begin, middle);

	return tasks + BENCH_SYNC(upper) + 1;
}

/* Transforms @n numbers at @x. Returns tasks. */
BENCH_TASK(uint32_t, transform, (struct complex_number *, x),
	(const struct complex_number *, roots), (uint32_t, n))
{
	uint32_t tasks;

	if (n <= LEAF) {
		kernel_transform(x, roots, n);
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
