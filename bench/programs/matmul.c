/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive matrix product, c += a b: four products of half the side at once, then the four others,
 * down to blocks of MATMUL_LEAF x MATMUL_LEAF. The recursion of the Cilk papers (Blumofe et al.
 * 1995; cache-oblivious by Frigo, Leiserson, Prokop, Ramachandran 1999).
 *
 * Not good for: linear algebra. The leaf is three plain loops, several times slower than a BLAS;
 * what is measured is tasks of a third of a microsecond with a working set that fits in a cache,
 * and two joins per level.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <stddef.h>

#include "programs/data.h"
#include "programs/kernels.h"

/* c += a b, of @n x @n numbers each, rows @ld numbers apart. Returns tasks. */
BENCH_TASK(uint32_t, product, (double *, c), (const double *, a), (const double *, b),
	(uint32_t, n), (uint32_t, ld))
{
	size_t right = n / 2, down = (size_t)(n / 2) * ld;
	uint32_t h = n / 2, tasks = 1;

	if (n <= MATMUL_LEAF) {
		kernel_product_leaf(c, a, b, ld);
		return 1;
	}
	for (size_t k = 0; k < 2; k++) {
		const double *ak = a + k * right, *bk = b + k * down;

		BENCH_SPAWN(c00, product, c, ak, bk, h, ld);
		BENCH_SPAWN(c01, product, c + right, ak, bk + right, h, ld);
		BENCH_SPAWN(c10, product, c + down, ak + down, bk, h, ld);
		tasks += BENCH_CALL(product, c + down + right, ak + down, bk + right, h, ld);
		tasks += BENCH_SYNC(c10);
		tasks += BENCH_SYNC(c01);
		tasks += BENCH_SYNC(c00);
	}
	return tasks;
}

/* arg: n, MATMUL_LEAF times a power of two. value: n, 1 if the product is right. tasks: counted. */
int BENCH_ENTRY(matmul)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	uint32_t tasks = 0, n = (uint32_t)size->arg[0];
	int err = BENCH_RUN(engine, &tasks, product, bench_dense.c, bench_dense.a, bench_dense.b, n,
		bench_dense.ld);

	*out = (struct bench_outcome){ .value = { n }, .tasks = tasks };
	return err;
}
