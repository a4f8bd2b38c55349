/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No mistake: an argument with its task's name.
 *
 * silent: runs
 */
#include "one_worker.h"

FILCH_TASK(long, twice, (long, twice))
{
	return 2 * twice;
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, twice, 4) || filch_pool_destroy(pool))
		return 1;
	return r != 8;
}
