/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two handles synced oldest first.
 *
 * run: task leaf: FILCH_SYNC out of order: sync the newest first
 */
#include "one_worker.h"

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, two, (long, n))
{
	FILCH_SPAWN(a, leaf, n);
	FILCH_SPAWN(b, leaf, n + 1);
#ifdef MENDED
	long right = FILCH_SYNC(b);
	return right + FILCH_SYNC(a);
#else
	long left = FILCH_SYNC(a);
	return left + FILCH_SYNC(b);
#endif
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, two, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 4 + 7;
}
