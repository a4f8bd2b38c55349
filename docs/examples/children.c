/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A number of children known only at run time, and a plain helper function between two tasks:
 * n-queens.
 */
#include <filch/filch.h>
#include <stdio.h>

static inline void add(long *sum, long more)
{
	*sum += more;
}

FILCH_TASK(long, place, (unsigned, full), (unsigned, columns), (unsigned, left), (unsigned, right))
{
	if (columns == full)
		return 1;
	long solutions = 0;

	FILCH_CHILDREN_FOLD(kids, place, add, &solutions);
	for (unsigned open = full & ~(columns | left | right); open; open &= open - 1) {
		unsigned bit = open & -open;

		FILCH_SPAWN_CHILD(
			&kids, full, columns | bit, (left | bit) << 1, (right | bit) >> 1);
	}
	FILCH_SYNC_CHILDREN(&kids);
	return solutions;
}

/* Not a task: it reaches the tasks through the pool of the worker it runs on. */
static long solve(unsigned full, unsigned columns, unsigned left, unsigned right)
{
	long solutions = 0;

	return FILCH_RUN(NULL, &solutions, place, full, columns, left, right) ? -1 : solutions;
}

FILCH_TASK(long, queens, (unsigned, n))
{
	return solve((1u << n) - 1, 0, 0, 0);
}

int main(void)
{
	struct filch_pool *pool;
	long solutions = 0;
	int error;

	if (filch_pool_create(&pool, NULL))
		return 1;
	error = FILCH_RUN(pool, &solutions, queens, 9);
	printf("9 queens: %ld solutions\n", solutions);
	return filch_pool_destroy(pool) || error || solutions != 352;
}
