/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle is synced in each round of a loop, but spawned before it.
 *
 * run: task leaf: FILCH_SYNC of a handle synced before
 */
#include "one_worker.h"

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, rounds, (long, n))
{
	long sum = 0;

#ifdef MENDED
	for (long i = 0; i < n; i++) {
		FILCH_SPAWN(a, leaf, 1);
		sum += FILCH_SYNC(a);
	}
#else
	FILCH_SPAWN(a, leaf, 1);
	for (long i = 0; i < n; i++)
		sum += FILCH_SYNC(a);
#endif
	return sum;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, rounds, 3) || filch_pool_destroy(pool))
		return 1;
	return r != 12;
}
