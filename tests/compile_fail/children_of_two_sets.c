/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two sets take turns: the children of each lie between those of the other.
 *
 * run: task leaf: FILCH_SYNC out of order: sync the newest first
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

FILCH_TASK(long, two_sets, (long, n))
{
	long sum = 0;

	FILCH_CHILDREN_FOLD(some, leaf, add, &sum);
	FILCH_CHILDREN_FOLD(others, leaf, add, &sum);
	for (long i = 0; i < 3; i++) {
		FILCH_SPAWN_CHILD(&some, n);
#ifdef MENDED
	}
	for (long i = 0; i < 3; i++) {
#endif
		FILCH_SPAWN_CHILD(&others, n);
	}
	FILCH_SYNC_CHILDREN(&others);
	FILCH_SYNC_CHILDREN(&some);
	return sum;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, two_sets, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 24;
}
