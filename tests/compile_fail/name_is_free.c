/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No mistake: a function and a task of one name. The function is called by its name, the task by
 * FILCH_CALL and FILCH_RUN.
 *
 * silent: runs
 */
#include "one_worker.h"

static long fib(long n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

FILCH_TASK(long, fib, (long, n))
{
	if (n < 8)
		return fib(n);
	FILCH_SPAWN(a, fib, n - 1);
	long b = FILCH_CALL(fib, n - 2);
	return b + FILCH_SYNC(a);
}

int main(void)
{
	struct filch_pool *pool = one_worker();
	long r = 0;

	if (!pool || FILCH_RUN(pool, &r, fib, 20) || filch_pool_destroy(pool))
		return 1;
	return r != fib(20);
}
