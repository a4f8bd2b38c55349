/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame is synced that was not spawned.
 *
 * run: task leaf: FILCH_SYNC of a frame without a spawn
 */
#include "one_worker.h"

#include <string.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, one_too_many, (long, n))
{
	FILCH_FRAME(leaf) kid[4];
	long sum = 0;

	memset((void *)kid, 0, sizeof kid);
	for (long i = 0; i < n; i++)
		FILCH_SPAWN_INTO(&kid[i], leaf, 1);
#ifdef MENDED
	for (long i = n - 1; i >= 0; i--)
#else
	for (long i = n; i >= 0; i--)
#endif
		sum += FILCH_SYNC_FROM(leaf, &kid[i]);
	return sum;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, one_too_many, 3) || filch_pool_destroy(pool))
		return 1;
	return r != 12;
}
