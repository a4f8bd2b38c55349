/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame of an array is left unsynced. Frames have no names that a compiler could count.
 *
 * run: task one_of_two: the task returned with a spawn unsynced
 */
#include "one_worker.h"

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, one_of_two, (long, n))
{
	FILCH_FRAME(leaf) kid[2];

	FILCH_SPAWN_INTO(&kid[0], leaf, n);
	FILCH_SPAWN_INTO(&kid[1], leaf, n);
	long right = FILCH_SYNC_FROM(leaf, &kid[1]);
#ifdef MENDED
	right += FILCH_SYNC_FROM(leaf, &kid[0]);
#endif
	return right;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, one_of_two, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 8;
}
