/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrices for matmul and Strassen. A first result is checked by Freivalds' method: c x = a (b x)
 * for a random x, which costs n^2 operations; Strassen's sums lose more digits than the plain
 * product, so the tolerance is that of a few thousand roundings.
 */
#include "programs/data.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct dense bench_dense;
static size_t scratch_doubles;

static void dense_release(void)
{
	free(bench_dense.a);
	free(bench_dense.b);
	free(bench_dense.c);
	free(bench_dense.scratch);
	bench_dense = (struct dense){ 0 };
	scratch_doubles = 0;
}

static int prepare(uint32_t n, size_t scratch)
{
	size_t doubles = (size_t)n * (n + 8);

	if (n != bench_dense.n) {
		dense_release();
		bench_dense.n = n;
		bench_dense.ld = n + 8;
		bench_dense.a = malloc(doubles * sizeof(double));
		bench_dense.b = malloc(doubles * sizeof(double));
		bench_dense.c = malloc(doubles * sizeof(double));
		if (!bench_dense.a || !bench_dense.b || !bench_dense.c) {
			dense_release();
			return -ENOMEM;
		}
		for (size_t i = 0; i < doubles; i++) {
			bench_dense.a[i] = data_number(i);
			bench_dense.b[i] = data_number(i + doubles);
		}
	}
	if (scratch > scratch_doubles) {
		free(bench_dense.scratch);
		bench_dense.scratch = malloc(scratch * sizeof(double));
		if (!bench_dense.scratch) {
			dense_release();
			return -ENOMEM;
		}
		/* touched before the first timing */
		memset(bench_dense.scratch, 0, scratch * sizeof(double));
		scratch_doubles = scratch;
	}
	memset(bench_dense.c, 0, doubles * sizeof(double));
	return 0;
}

/* y = m x */
static void apply(const double *m, const double *x, double *y)
{
	for (uint32_t i = 0; i < bench_dense.n; i++) {
		y[i] = 0;
		for (uint32_t k = 0; k < bench_dense.n; k++)
			y[i] += m[(size_t)i * bench_dense.ld + k] * x[k];
	}
}

static bool right_product(void)
{
	double *x = malloc(4 * bench_dense.n * sizeof *x), *bx, *abx, *cx, worst = 0;

	if (!x)
		return false;
	bx = x + bench_dense.n;
	abx = bx + bench_dense.n;
	cx = abx + bench_dense.n;
	for (uint32_t i = 0; i < bench_dense.n; i++)
		x[i] = data_number(~(uint64_t)i);
	apply(bench_dense.b, x, bx);
	apply(bench_dense.a, bx, abx);
	apply(bench_dense.c, x, cx);
	for (uint32_t i = 0; i < bench_dense.n; i++)
		worst = fmax(worst, fabs(cx[i] - abx[i]));
	free(x);
	return worst < 1e-12 * bench_dense.n;
}

static void check(const struct bench_size *size, struct bench_outcome *out)
{
	/* The padding at the end of a row is never written after prepare(). */
	switch (data_bits(
		size, bench_dense.c, (size_t)bench_dense.n * bench_dense.ld * sizeof(double))) {
	case DATA_FIRST:
		out->value[1] = right_product();
		if (!out->value[1])
			data_bits_forget();
		break;
	case DATA_SAME:
		out->value[1] = 1;
		break;
	case DATA_OTHER:
		out->value[1] = 0;
	}
}

static int prepare_matmul(const struct bench_size *size)
{
	return prepare((uint32_t)size->arg[0], 0);
}

/* arg: n, and the side at which the recursion ends. See strassen.c for who uses how much. */
static int prepare_strassen(const struct bench_size *size)
{
	uint32_t n = (uint32_t)size->arg[0];
	size_t doubles = 0, products = 1;

	for (uint32_t side = n; side > (uint32_t)size->arg[1]; side /= 2) {
		products *= 7;
		doubles += products * 3 * (side / 2) * (side / 2);
	}
	return prepare(n, doubles);
}

const struct bench_data_ops matmul_data = { "matmul", prepare_matmul, check, dense_release };
const struct bench_data_ops strassen_data = { "strassen", prepare_strassen, check, dense_release };
