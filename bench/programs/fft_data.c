/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signal and the roots of unity for the FFT. A first result is checked at a few frequencies by
 * the transform's definition, and as a whole by Parseval's identity; the result lies in
 * bit-reversed order.
 */
#include "programs/data.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PI 0x1.921fb54442d18p+1

struct signal bench_signal;
static struct complex_number *initial;

static void release(void)
{
	free(bench_signal.x);
	free(bench_signal.roots);
	free(initial);
	bench_signal = (struct signal){ 0 };
	initial = NULL;
}

/* arg: n, a power of two. */
static int prepare(const struct bench_size *size)
{
	uint32_t n = (uint32_t)size->arg[0];

	if (n != bench_signal.n) {
		release();
		bench_signal.n = n;
		bench_signal.x = malloc(n * sizeof *bench_signal.x);
		bench_signal.roots = calloc(n, sizeof *bench_signal.roots);
		initial = malloc(n * sizeof *initial);
		if (!bench_signal.x || !bench_signal.roots || !initial) {
			release();
			return -ENOMEM;
		}
		for (uint32_t i = 0; i < n; i++)
			initial[i] = (struct complex_number){ data_number(2 * (uint64_t)i),
				data_number(2 * (uint64_t)i + 1) };
		for (uint32_t m = 2; m <= n && m; m *= 2)
			for (uint32_t k = 0; k < m / 2; k++)
				bench_signal.roots[m / 2 + k] =
					(struct complex_number){ cos(2 * PI * k / m),
						-sin(2 * PI * k / m) };
	}
	memcpy(bench_signal.x, initial, n * sizeof *initial);
	return 0;
}

static uint32_t reversed(uint32_t k, uint32_t n)
{
	uint32_t r = 0;

	for (; n > 1; n /= 2, k /= 2)
		r = 2 * r + k % 2;
	return r;
}

static bool right_transform(void)
{
	const uint32_t n = bench_signal.n, some[] = { 0, 1, n / 2, n / 3, n - 1 };
	double before = 0, after = 0;

	for (uint32_t i = 0; i < n; i++) {
		before += initial[i].re * initial[i].re + initial[i].im * initial[i].im;
		after += bench_signal.x[i].re * bench_signal.x[i].re +
			 bench_signal.x[i].im * bench_signal.x[i].im;
	}
	if (!(fabs(after / n / before - 1) < 1e-12))
		return false;
	for (size_t s = 0; s < sizeof some / sizeof some[0]; s++) {
		struct complex_number got = bench_signal.x[reversed(some[s], n)];
		double re = 0, im = 0;

		for (uint32_t i = 0; i < n; i++) {
			double angle = -2 * PI * (double)((uint64_t)i * some[s] % n) / n,
			       c = cos(angle), d = sin(angle);

			re += initial[i].re * c - initial[i].im * d;
			im += initial[i].re * d + initial[i].im * c;
		}
		if (!(fabs(got.re - re) < 1e-9 * sqrt(n) && fabs(got.im - im) < 1e-9 * sqrt(n)))
			return false;
	}
	return true;
}

static void check(const struct bench_size *size, struct bench_outcome *out)
{
	enum data_bits bits =
		data_bits(size, bench_signal.x, bench_signal.n * sizeof *bench_signal.x);

	out->value[1] = bits == DATA_FIRST ? right_transform() : bits == DATA_SAME;
	if (bits == DATA_FIRST && !out->value[1])
		data_bits_forget();
}

const struct bench_data_ops fft_data = { "fft", prepare, check, release };
