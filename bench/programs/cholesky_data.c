/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiles of a symmetric positive definite matrix, and the BLAS that factorises them: a module beside
 * the program, built where OpenBLAS was found and opened when it is first needed, so that its
 * threads, if it makes any, are there for nobody else.
 *
 * OPENBLAS_NUM_THREADS is set to 1 unless it is set: the tiles are what is parallel. With more, see
 * docs/benchmarks.md.
 *
 * A result is checked by l (l' x) = a x for a random x, each time: a BLAS may choose another order
 * of its sums when it uses threads, so bits need not agree.
 */
#define _GNU_SOURCE
#include "programs/data.h"

#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tiled bench_tiled;
static double *initial;

static void release(void)
{
	const struct blas *blas = bench_tiled.blas;

	free(bench_tiled.tile);
	free(initial);
	bench_tiled = (struct tiled){ .blas = blas };
	initial = NULL;
}

/* The module's table, or NULL: not built, or it cannot be opened, and then that is said. */
static const struct blas *load_blas(void)
{
	const struct blas *blas = NULL, *(*module)(void);
	char exe[4096], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	if (asprintf(&path, "%s/peers/bench-openblas.so", dirname(exe)) < 0)
		return NULL;
	setenv("OPENBLAS_NUM_THREADS", "1", 0);
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL),
	     *symbol = handle ? dlsym(handle, "bench_blas") : NULL;

	if (symbol) {
		memcpy(&module, &symbol, sizeof module);
		blas = module();
		if (blas->abi != BENCH_BLAS_ABI)
			blas = NULL;
	}
	if (!blas)
		fprintf(stderr, "filch-bench: cholesky is left out: %s\n",
			access(path, R_OK) ? "built without OpenBLAS" : dlerror());
	else if (blas->threads() > 1)
		fprintf(stderr, "filch-bench: OpenBLAS uses %d threads of its own\n",
			blas->threads());
	free(path);
	return blas;
}

/* arg: tiles in a row, numbers in a tile's row. */
static int prepare(const struct bench_size *size)
{
	static bool looked;
	uint32_t n = (uint32_t)size->arg[0], side = (uint32_t)size->arg[1];
	size_t numbers = (size_t)n * (n + 1) / 2 * side * side;

	if (!looked)
		bench_tiled.blas = load_blas();
	looked = true;
	if (!bench_tiled.blas)
		return 1;
	if (n != bench_tiled.n || side != bench_tiled.side) {
		release();
		bench_tiled.tile = malloc(numbers * sizeof *bench_tiled.tile);
		initial = malloc(numbers * sizeof *initial);
		if (!bench_tiled.tile || !initial) {
			release();
			return -ENOMEM;
		}
		bench_tiled.n = n;
		bench_tiled.side = side;
		for (size_t i = 0; i < numbers; i++)
			initial[i] = data_number(i);
		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; k < side; k++)
				initial[((i * (i + 1) / 2 + i) * side + k) * side + k] +=
					2.0 * n * side;
	}
	memcpy(bench_tiled.tile, initial, numbers * sizeof *initial);
	return 0;
}

/* Number (i, j), i >= j, of the lower triangle. */
static double number_at(const double *tile, size_t i, size_t j)
{
	size_t s = bench_tiled.side, ti = i / s, tj = j / s;

	return tile[((ti * (ti + 1) / 2 + tj) * s + j % s) * s + i % s];
}

static bool right_factor(void)
{
	size_t n = (size_t)bench_tiled.n * bench_tiled.side;
	double *x = calloc(4 * n, sizeof *x), *lx = x + n, *llx = lx + n, *ax = llx + n, worst = 0;

	if (!x)
		return false;
	for (size_t i = 0; i < n; i++)
		x[i] = data_number(~(uint64_t)i);
	for (size_t j = 0; j < n; j++)
		for (size_t i = j; i < n; i++) {
			double a = number_at(initial, i, j);

			lx[j] += number_at(bench_tiled.tile, i, j) * x[i];
			ax[i] += a * x[j];
			if (i != j)
				ax[j] += a * x[i];
		}
	for (size_t j = 0; j < n; j++)
		for (size_t i = j; i < n; i++)
			llx[i] += number_at(bench_tiled.tile, i, j) * lx[j];
	for (size_t i = 0; i < n; i++)
		worst = fmax(worst, fabs(llx[i] - ax[i]));
	free(x);
	return worst < 1e-11 * (double)n;
}

static void check(const struct bench_size *size, struct bench_outcome *out)
{
	(void)size;
	out->value[1] = right_factor();
}

const struct bench_data_ops cholesky_data = { "cholesky", prepare, check, release };
