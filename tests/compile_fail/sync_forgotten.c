/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle that is never synced.
 *
 * first: unused variable .a_in_FILCH_SYNC.
 */
#include <filch/filch.h>

FILCH_TASK(long, count, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, count, n - 1);
	long b = FILCH_CALL(count, n - 2);
#ifdef MENDED
	b += FILCH_SYNC(a);
#endif
	return b;
}

int main(void)
{
	struct filch_pool *pool;
	long r = 0;

	if (filch_pool_create(&pool, NULL) || FILCH_RUN(pool, &r, count, 20))
		return 1;
	return filch_pool_destroy(pool);
}
