/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No mistake: a lambda that captures by reference, and runs while the body does, spawns and syncs
 * as the body would.
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
	auto twice = [&](long k) {
		FILCH_SPAWN(a, leaf, k);
		long b = FILCH_CALL(leaf, k);
		return b + FILCH_SYNC(a);
	};

	FILCH_SPAWN(c, leaf, n);
	long sum = twice(n) + twice(n + 1);
	return sum + FILCH_SYNC(c);
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, top, 1) || filch_pool_destroy(pool))
		return 1;
	return r != 4 + 4 + 7 + 7 + 4;
}
