/* SPDX-License-Identifier: Apache-2.0 */
/*
 * n-queens by bit masks, a task per placed queen, no cut-off: all ways to place n queens are
 * counted.
 *
 * Not good for: memory effects (a task is a few registers) and starvation (the tree is wide from
 * the first row on).
 */
#include "bench.h"
#include BENCH_BACKEND

#define QUEENS_MAX 16

struct queens {
	uint32_t solutions, placed;
};

/*
 * Places the next row. @all: n ones; @columns, @left, @right: squares of this row under attack.
 * Counts itself as one placed queen.
 */
BENCH_TASK(struct queens, queens, (uint32_t, all), (uint32_t, columns), (uint32_t, left),
	(uint32_t, right))
{
	BENCH_FRAME(queens) kid[QUEENS_MAX];
	struct queens sum = { .solutions = 0, .placed = 1 }, one;
	uint32_t open = all & ~(columns | left | right);
	int kids = 0;

	if (columns == all) {
		sum.solutions = 1;
		return sum;
	}
	if (!open)
		return sum;
	for (; open & (open - 1); open &= open - 1) {
		uint32_t q = open & -open;

		BENCH_SPAWN_INTO(
			&kid[kids], queens, all, columns | q, (left | q) << 1, (right | q) >> 1);
		kids++;
	}
	one = BENCH_CALL(queens, all, columns | open, (left | open) << 1, (right | open) >> 1);
	sum.solutions += one.solutions;
	sum.placed += one.placed;
	while (kids-- > 0) {
		one = BENCH_SYNC_FROM(queens, &kid[kids]);
		sum.solutions += one.solutions;
		sum.placed += one.placed;
	}
	return sum;
}

/* arg: n. value: solutions. tasks: placed queens and the empty board, counted on the way. */
int BENCH_ENTRY(queens)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	struct queens sum = { 0, 0 };
	uint32_t all = (1u << (unsigned)size->arg[0]) - 1;
	int err = BENCH_RUN(engine, &sum, queens, all, 0u, 0u, 0u);

	*out = (struct bench_outcome){ .value = { sum.solutions }, .tasks = sum.placed };
	return err;
}
