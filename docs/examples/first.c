/* SPDX-License-Identifier: Apache-2.0 */
/* The first program of README.md: nested fork-join on all cores this process may use. */
#include <filch/filch.h>
#include <stdio.h>

FILCH_TASK(long, fib, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1); /* visible to the other workers at once */
	long b = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + b; /* run here, unless somebody took it */
}

int main(void)
{
	struct filch_pool *pool;
	long result;
	int error = filch_pool_create(&pool, NULL);

	if (error)
		return 1;
	error = FILCH_RUN(pool, &result, fib, 30);
	if (!error)
		printf("fib(30) = %ld on %d workers\n", result, filch_pool_workers(pool));
	return filch_pool_destroy(pool) || error || result != 832040;
}
