/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LU factorisation of a sparse matrix of blocks, after the sparselu program of the Barcelona OpenMP
 * Tasks Suite (Duran et al. 2009): for each diagonal block its factors, then the present blocks of
 * its row and column, then an update of every block that lies below one and beside the other;
 * absent ones among those come into being. A task per block; the tasks of a step are spawned by
 * halves, and a step ends before the next begins.
 *
 * Not good for: linear algebra (no pivoting, plain loops), and for scaling to many workers: the
 * steps are a chain, and a scheduler with dependences between tasks could overlap them.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <stddef.h>

#include "programs/data.h"
#include "programs/kernels.h"

static inline double *block_at(uint32_t i, uint32_t j)
{
	return bench_sparse.block[(size_t)i * bench_sparse.n + j];
}

/* Step @k, blocks @begin to @end of its row (the first @columns) and column. Returns tasks. */
BENCH_TASK(uint32_t, panels, (uint32_t, k), (uint32_t, columns), (uint32_t, begin), (uint32_t, end))
{
	if (end - begin == 1) {
		if (begin < columns)
			kernel_solve_right(block_at(k, k), block_at(k, bench_sparse.column[begin]));
		else
			kernel_solve_below(
				block_at(k, k), block_at(bench_sparse.row[begin - columns], k));
		return 1;
	}
	uint32_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, panels, k, columns, middle, end);
	uint32_t tasks = BENCH_CALL(panels, k, columns, begin, middle);

	return tasks + BENCH_SYNC(upper) + 1;
}

/* Step @k, updates @begin to @end, @columns of them for each row. Returns tasks. */
BENCH_TASK(
	uint32_t, updates, (uint32_t, k), (uint32_t, columns), (uint32_t, begin), (uint32_t, end))
{
	if (end - begin == 1) {
		uint32_t i = bench_sparse.row[begin / columns],
			 j = bench_sparse.column[begin % columns];

		bench_sparse.present[(size_t)i * bench_sparse.n + j] = 1;
		kernel_update_block(block_at(i, j), block_at(i, k), block_at(k, j));
		return 1;
	}
	uint32_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, updates, k, columns, middle, end);
	uint32_t tasks = BENCH_CALL(updates, k, columns, begin, middle);

	return tasks + BENCH_SYNC(upper) + 1;
}

/* All @n steps. Returns tasks. */
BENCH_TASK(uint32_t, factorise, (uint32_t, n))
{
	uint32_t tasks = 1;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t rows = 0, columns = 0;

		kernel_factor_block(block_at(k, k));
		for (uint32_t i = k + 1; i < n; i++) {
			if (bench_sparse.present[(size_t)i * n + k])
				bench_sparse.row[rows++] = i;
			if (bench_sparse.present[(size_t)k * n + i])
				bench_sparse.column[columns++] = i;
		}
		if (rows + columns)
			tasks += BENCH_CALL(panels, k, columns, 0, rows + columns);
		if (rows && columns)
			tasks += BENCH_CALL(updates, k, columns, 0, rows * columns);
	}
	return tasks;
}

/*
 * arg: blocks in a row. value: that, 1 if the factors are right, blocks present at the end. tasks:
 * counted.
 */
int BENCH_ENTRY(sparse_lu)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	uint32_t tasks = 0, n = (uint32_t)size->arg[0], present = 0;
	int err = BENCH_RUN(engine, &tasks, factorise, n);

	for (size_t i = 0; i < (size_t)n * n; i++)
		present += bench_sparse.present[i];
	*out = (struct bench_outcome){ .value = { n, 0, present }, .tasks = tasks };
	return err;
}
