/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of an array synced oldest first.
 *
 * run: task leaf: FILCH_SYNC out of order: sync the newest first
 */
#include "one_worker.h"

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, four, (long, n))
{
	FILCH_FRAME(leaf) kid[4];
	long sum = 0;

	for (int i = 0; i < 4; i++)
		FILCH_SPAWN_INTO(&kid[i], leaf, n);
#ifdef MENDED
	for (int i = 3; i >= 0; i--)
#else
	for (int i = 0; i < 4; i++)
#endif
		sum += FILCH_SYNC_FROM(leaf, &kid[i]);
	return sum;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, four, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 16;
}
