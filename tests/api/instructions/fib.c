/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fib by its creating thread alone, for counting instructions: see instructions.sh. Prints how many
 * calls fib(argument) makes, from the result and a formula; exits with 1 if the result is wrong.
 */
#include <stdio.h>
#include <stdlib.h>

#include <filch/filch.h>

/* TASK: FILCH_TASK or FILCH_TASK_INLINE */
TASK(long, fib, (int, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long y = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + y;
}

int main(int argc, char **argv)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	long result = 0, a = 0, b = 1;
	int n = argc > 1 ? atoi(argv[1]) : 10;

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_NO_PIN; /* no look at other processes */
	if (filch_pool_create(&pool, &config) || FILCH_RUN(pool, &result, fib, n) ||
		filch_pool_destroy(pool))
		return 1;
	for (int i = 0; i < n; i++) {
		long next = a + b;

		a = b;
		b = next;
	}
	printf("%ld\n", 2 * b - 1);
	return result != a;
}
