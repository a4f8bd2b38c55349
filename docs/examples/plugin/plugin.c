/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin with filch inside: a program that knows nothing of filch loads and unloads it. */
#include <filch/filch.h>

FILCH_TASK(long, fib, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long b = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + b;
}

/* All that the plugin exports. Its pool has ended before the program can unload it. */
__attribute__((visibility("default"))) long plugin_fib(long n);

long plugin_fib(long n)
{
	struct filch_pool *pool;
	long result = -1;
	int error = filch_pool_create(&pool, NULL);

	if (error)
		return error;
	error = FILCH_RUN(pool, &result, fib, n);
	if (!error)
		error = filch_pool_destroy(pool);
	return error ? error : result;
}
