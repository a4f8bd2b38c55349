/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One handle synced twice.
 *
 * run: task fib: FILCH_SYNC of a handle synced before
 */
#include "one_worker.h"

FILCH_TASK(long, fib, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long x = FILCH_SYNC(a);
#ifdef MENDED
	return x + FILCH_CALL(fib, n - 2);
#else
	return x + FILCH_SYNC(a);
#endif
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, fib, 10) || filch_pool_destroy(pool))
		return 1;
	return r != 55;
}
