/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children that are never synced: the set has no name that a compiler could count.
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

FILCH_TASK(long, three, (long, n))
{
	long sum = 0;

	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
	for (long i = 0; i < 3; i++)
		FILCH_SPAWN_CHILD(&kids, n);
#ifdef MENDED
	FILCH_SYNC_CHILDREN(&kids);
#endif
	return sum;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, three, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 12;
}
