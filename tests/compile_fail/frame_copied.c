/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame is copied, and the copy synced.
 *
 * run: task leaf: FILCH_SYNC out of order: sync the newest first, and a frame where it was spawned
 */
#include "one_worker.h"

FILCH_TASK(long, leaf, (long, n))
{
	return n;
}

FILCH_TASK(long, top, (long, n))
{
	FILCH_FRAME(leaf) kid, copy;

	FILCH_SPAWN_INTO(&kid, leaf, n);
	copy = kid;
#ifdef MENDED
	(void)copy;
	return FILCH_SYNC_FROM(leaf, &kid);
#else
	return FILCH_SYNC_FROM(leaf, &copy);
#endif
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, top, 7) || r != 7)
		return 1;
	return filch_pool_destroy(pool);
}
