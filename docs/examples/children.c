/* SPDX-License-Identifier: Apache-2.0 */
/* A number of children known only at run time, and a plain helper function between two tasks: n-queens. */
#include <filch/filch.h>
#include <stdio.h>

FILCH_TASK(long, place, (unsigned, full), (unsigned, columns), (unsigned, left), (unsigned, right))
{
	FILCH_FRAME(place) kid[32];
	long solutions = 0;
	int n = 0;

	if (columns == full)
		return 1;
	for (unsigned open = full & ~(columns | left | right); open; open &= open - 1) {
		unsigned bit = open & -open;

		FILCH_SPAWN_INTO(&kid[n], place, full, columns | bit, (left | bit) << 1, (right | bit) >> 1);
		n++;
	}
	while (n-- > 0) /* newest first */
		solutions += FILCH_SYNC_FROM(place, &kid[n]);
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
