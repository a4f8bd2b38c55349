/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No mistake: the result of a sync, a call or a run is left alone, as that of any function. A task
 * may well be run for what it does.
 *
 * silent: runs
 */
#include "one_worker.h"

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, top, (long, n))
{
	FILCH_SPAWN(a, leaf, n);
	FILCH_CALL(leaf, n);
	FILCH_SYNC(a);
	return 1;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, top, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 1;
}
