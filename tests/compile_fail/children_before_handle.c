/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children are synced before a handle that was spawned after them.
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

FILCH_TASK(long, mixed, (long, n))
{
	long sum = 0;

	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
	for (long i = 0; i < 3; i++)
		FILCH_SPAWN_CHILD(&kids, n);
	FILCH_SPAWN(newest, leaf, n);
#ifdef MENDED
	sum += FILCH_SYNC(newest);
	FILCH_SYNC_CHILDREN(&kids);
#else
	FILCH_SYNC_CHILDREN(&kids);
	sum += FILCH_SYNC(newest);
#endif
	return sum;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, mixed, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 16;
}
