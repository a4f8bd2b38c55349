/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs work on: made by the driver before each measurement and checked after it,
 * outside the timing, the same for every contestant. A program that needs nothing but its arguments
 * has no row here.
 *
 * A result is checked twice: the first of a size by mathematics that is not the program's (a
 * product with a random vector, a transform's definition, a closed form), the others by having the
 * very same bits. The trees of tasks fix the order of every sum, and the benchmarks are compiled
 * without contraction to fused operations, so the bits do not depend on the scheduler.
 */
#ifndef BENCH_DATA_H
#define BENCH_DATA_H

#include <stddef.h>

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bench_data_ops {
	const char *program;
	/* 0, a negative errno, or 1: cannot run here, and that was said */
	int (*prepare)(const struct bench_size *size);
	/* sets out->value[1]: 1 if the result is right */
	void (*check)(const struct bench_size *size, struct bench_outcome *out);
	void (*release)(void); /* frees everything */
};

/* The row of @program, or NULL. */
const struct bench_data_ops *bench_data_of(const char *program);
void bench_data_release(void);

extern const struct bench_data_ops records_data, records_typed_data, records_void_data, matmul_data,
	strassen_data, sparse_lu_data;
extern const struct bench_data_ops integers64_data, integers32_data, fft_data, heat_data,
	cholesky_data, wavefront_data, random_dag_data, cholesky_dag_data;

enum data_bits { DATA_FIRST, DATA_SAME, DATA_OTHER };

/*
 * Whether @bytes at @result are what the first result of this @size was. One size at a time:
 * another one begins anew.
 */
enum data_bits data_bits(const struct bench_size *size, const void *result, size_t bytes);

/* The result of @size was found wrong: the next one is a first one again. */
void data_bits_forget(void);

/* The @i-th number of a fixed sequence, at least -1 and below 1. */
static inline double data_number(uint64_t i)
{
	return (double)(int64_t)bench_splitmix64(i) * 0x1p-63;
}

/*
 * matmul, Strassen: @n x @n matrices by rows, a row every @ld numbers: not a power of two, or a
 * block's rows share cache sets.
 */
struct dense {
	double *a, *b, *c;
	double *scratch; /* for Strassen's sums and products */
	uint32_t n, ld;
};
extern struct dense bench_dense;

/* sparse LU: @n x @n blocks, each of LU_BLOCK x LU_BLOCK numbers by rows, absent ones zero. */
#define LU_BLOCK 16
struct sparse {
	double (*block)[LU_BLOCK * LU_BLOCK];
	unsigned char *present;
	/* scratch of the factorisation: present blocks below and beside the diagonal one */
	uint32_t *row, *column;
	uint32_t n;
};
extern struct sparse bench_sparse;

/*
 * FFT: @n complex numbers, and the roots of unity of every length m = 2, 4, ... n, exp(-2 pi i k /
 *      m) at roots[m / 2 + k].
 */
struct complex_number {
	double re, im;
};
struct signal {
	struct complex_number *x, *roots;
	uint32_t n;
};
extern struct signal bench_signal;

/* heat: two grids of (n + 2) x (n + 2) points, the border 0. */
struct plate {
	double *grid[2];
	uint32_t n;
};
extern struct plate bench_plate;

/*
 * Cholesky: the tiles of a lower triangle by rows, tile (i, j) the i (i + 1) / 2 + j-th, each by
 *           columns, and who computes.
 */
struct blas {
	int abi;
	/* a = l, where l l' = a */
	void (*factor)(int n, double *a);
	void (*solve)(int n, const double *l, double *b); /* b = b / l' */
	/* c = c - a a', lower triangle */
	void (*square)(int n, const double *a, double *c);
	void (*product)(int n, const double *a, const double *b, double *c); /* c = c - a b' */
	int (*threads)(void);
};
#define BENCH_BLAS_ABI 1
struct tiled {
	double *tile;
	const struct blas *blas;
	uint32_t n, side; /* tiles in a row, numbers in a tile's row */
};
extern struct tiled bench_tiled;

/* Tile (i, j) of the lower triangle, i >= j. */
static inline double *bench_tile(uint32_t i, uint32_t j)
{
	return bench_tiled.tile +
	       ((size_t)i * (i + 1) / 2 + j) * bench_tiled.side * bench_tiled.side;
}

#ifdef __cplusplus
}
#endif

#endif
