/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the leaves of the numerical programs compute: compiled once and called by every contestant,
 * the peers' modules included.
 *
 * A copy in each contestant was tried: the same source was up to half as slow again in one of them,
 * which is more than schedulers differ. Likely causes: where a loop came to lie in a cache line,
 * and what was inlined around it; neither was tested by itself.
 */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include <stddef.h>

#include "programs/data.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MATMUL_LEAF 12

/* A square part of a matrix: its first number, and how far apart its rows are. */
struct view {
	double *at;
	size_t ld;
};

/* One step of heat: from one grid to the other. */
struct step {
	const double *from;
	double *to;
	size_t side; /* of the grids, borders included */
	double share;
};

/* c += a b, of MATMUL_LEAF x MATMUL_LEAF numbers, rows @ld numbers apart. */
void kernel_product_leaf(double *__restrict__ c, const double *__restrict__ a,
	const double *__restrict__ b, size_t ld);

/* to = x + sign y */
void kernel_sum(struct view to, struct view x, struct view y, double sign, uint32_t n);

/* c = a b, of @n x @n numbers. */
void kernel_small_product(struct view c, struct view a, struct view b, uint32_t n);

/* c from the seven products at @m. */
void kernel_combine(struct view c, const double *const *m, uint32_t h);

/* a = l u, in place; the diagonal of l is 1. */
void kernel_factor_block(double *a);

/* b = b without l, for a block right of the diagonal one. */
void kernel_solve_right(const double *__restrict__ lu, double *__restrict__ b);

/* b = b without u, for a block below the diagonal one. */
void kernel_solve_below(const double *__restrict__ lu, double *__restrict__ b);

/* c -= a b */
void kernel_update_block(
	double *__restrict__ c, const double *__restrict__ a, const double *__restrict__ b);

/* Butterflies @begin to @end of @x of length 2 @half. */
void kernel_butterflies(struct complex_number *x, const struct complex_number *roots, size_t half,
	size_t begin, size_t end);

/* All passes of a transform of @n numbers. */
void kernel_transform(struct complex_number *x, const struct complex_number *roots, size_t n);

/* Rows @begin to @end of one step. */
void kernel_heat_rows(size_t begin, size_t end, void *arg);

#ifdef __cplusplus
}
#endif

#endif
