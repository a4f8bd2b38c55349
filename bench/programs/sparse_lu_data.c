/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sparse matrix by blocks for the LU factorisation: the diagonal, its neighbours and about a
 * fifth of the others, the diagonal heavy enough that no pivot is needed. A first result is checked
 * by l (u x) = a x for a random x.
 */
#include "programs/data.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS (LU_BLOCK * LU_BLOCK)

struct sparse bench_sparse;
static double (*initial)[NUMBERS];

static bool present_at_first(uint32_t i, uint32_t j)
{
	return i == j || i + 1 == j || j + 1 == i ||
	       bench_splitmix64((uint64_t)i << 32 | j) % 5 == 0;
}

static void release(void)
{
	free(bench_sparse.block);
	free(bench_sparse.present);
	free(bench_sparse.row);
	free(bench_sparse.column);
	free(initial);
	bench_sparse = (struct sparse){ 0 };
	initial = NULL;
}

/* arg: blocks in a row. */
static int prepare(const struct bench_size *size)
{
	uint32_t n = (uint32_t)size->arg[0];
	size_t blocks = (size_t)n * n;

	if (n != bench_sparse.n) {
		release();
		bench_sparse.n = n;
		bench_sparse.block = malloc(blocks * sizeof *bench_sparse.block);
		bench_sparse.present = malloc(blocks);
		bench_sparse.row = malloc(n * sizeof *bench_sparse.row);
		bench_sparse.column = malloc(n * sizeof *bench_sparse.column);
		initial = calloc(blocks, sizeof *initial);
		if (!bench_sparse.block || !bench_sparse.present || !bench_sparse.row ||
			!bench_sparse.column || !initial) {
			release();
			return -ENOMEM;
		}
		for (size_t at = 0; at < blocks; at++) {
			uint32_t i = (uint32_t)(at / n), j = (uint32_t)(at % n);

			for (size_t k = 0; k < NUMBERS && present_at_first(i, j); k++)
				initial[at][k] = data_number(at * NUMBERS + k);
			for (size_t k = 0; k < LU_BLOCK && i == j; k++)
				initial[at][k * LU_BLOCK + k] += 2.0 * n * LU_BLOCK;
		}
	}
	memcpy(bench_sparse.block, initial, blocks * sizeof *initial);
	for (size_t at = 0; at < blocks; at++)
		bench_sparse.present[at] = present_at_first((uint32_t)(at / n), (uint32_t)(at % n));
	return 0;
}

enum part { WHOLE, LOWER, UPPER };

/* y = m x, of the lower triangle with a diagonal of ones, of the upper one, or of all. */
static void apply(double (*m)[NUMBERS], enum part part, const double *x, double *y)
{
	size_t n = (size_t)bench_sparse.n * LU_BLOCK;

	for (size_t i = 0; i < n; i++) {
		y[i] = part == LOWER ? x[i] : 0;
		for (size_t j = part == UPPER ? i : 0; j < (part == LOWER ? i : n); j++)
			y[i] += m[i / LU_BLOCK * bench_sparse.n + j / LU_BLOCK]
				 [i % LU_BLOCK * LU_BLOCK + j % LU_BLOCK] *
				x[j];
	}
}

static bool right_factors(void)
{
	size_t n = (size_t)bench_sparse.n * LU_BLOCK;
	double *x = malloc(4 * n * sizeof *x), worst = 0;

	if (!x)
		return false;
	for (size_t i = 0; i < n; i++)
		x[i] = data_number(~(uint64_t)i);
	apply(bench_sparse.block, UPPER, x, x + n);
	apply(bench_sparse.block, LOWER, x + n, x + 2 * n);
	apply(initial, WHOLE, x, x + 3 * n);
	for (size_t i = 0; i < n; i++)
		worst = fmax(worst, fabs(x[2 * n + i] - x[3 * n + i]));
	free(x);
	return worst < 1e-10 * (double)n;
}

static void check(const struct bench_size *size, struct bench_outcome *out)
{
	enum data_bits bits = data_bits(size, bench_sparse.block,
		(size_t)bench_sparse.n * bench_sparse.n * sizeof *bench_sparse.block);

	out->value[1] = bits == DATA_FIRST ? right_factors() : bits == DATA_SAME;
	if (bits == DATA_FIRST && !out->value[1])
		data_bits_forget();
}

const struct bench_data_ops sparse_lu_data = { "sparse_lu", prepare, check, release };
