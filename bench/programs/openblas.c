/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenBLAS for the tiles of cholesky.c: a module of its own, see cholesky_data.c. Tiles are square,
 * by columns, without gaps.
 */
#include <cblas.h>
#include <f77blas.h>

#include "programs/data.h"

static void factor(int n, double *a)
{
	char lower = 'L';
	blasint side = n, info = 0;

	dpotrf_(&lower, &side, a, &side, &info); /* a failure shows in the result */
}

static void solve(int n, const double *l, double *b)
{
	cblas_dtrsm(CblasColMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, n, n, 1.0, l,
		n, b, n);
}

static void square(int n, const double *a, double *c)
{
	cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, n, n, -1.0, a, n, 1.0, c, n);
}

static void product(int n, const double *a, const double *b, double *c)
{
	cblas_dgemm(CblasColMajor, CblasNoTrans, CblasTrans, n, n, n, -1.0, a, n, b, n, 1.0, c, n);
}

static const struct blas blas = {
	.abi = BENCH_BLAS_ABI,
	.factor = factor,
	.solve = solve,
	.square = square,
	.product = product,
	.threads = openblas_get_num_threads,
};

__attribute__((visibility("default"))) const struct blas *bench_blas(void);

const struct blas *bench_blas(void)
{
	return &blas;
}
