/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle is synced on one path, and left unsynced on another.
 *
 * run: task leaf: a handle left its block without FILCH_SYNC
 */
#include "one_worker.h"

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, early, (long, n))
{
	FILCH_SPAWN(a, leaf, n);
	if (n < 2) {
#ifdef MENDED
		(void)FILCH_SYNC(a);
#endif
		return n;
	}
	return FILCH_SYNC(a);
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, early, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 1;
}
