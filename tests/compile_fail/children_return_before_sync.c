/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path out of the block on which more children than the stack frame holds are left.
 *
 * run: task leaf: children left their block without FILCH_SYNC_CHILDREN
 */
#include "one_worker.h"

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

static void add(long *sum, long one)
{
	*sum += one;
}

FILCH_TASK(long, enough, (long, n))
{
	long sum = 0;

	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
	for (long i = 0; i < n; i++) {
		FILCH_SPAWN_CHILD(&kids, 1);
		if (i == 16) {
#ifdef MENDED
			FILCH_SYNC_CHILDREN(&kids);
#endif
			return sum;
		}
	}
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, enough, 100) || filch_pool_destroy(pool))
		return 1;
	return r != 68;
}
