/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes opened by the creating thread alone, for counting instructions: see instructions.sh. The
 * argument is how many thousands; prints how many that is.
 */
#include <stdio.h>
#include <stdlib.h>

#include <filch/filch.h>

FILCH_TASK(long, next, (long, n))
{
	return n + 1;
}

FILCH_TASK(long, count, (long, n))
{
	long sum = 0;

	for (long i = 0; i < n; i++) {
		int status = 1;

		sum = FILCH_SCOPE(&status, next, sum) + status;
	}
	return sum;
}

int main(int argc, char **argv)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	long result = 0, n = 1000L * (argc > 1 ? atoi(argv[1]) : 10);

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_NO_PIN; /* no look at other processes */
	if (filch_pool_create(&pool, &config) || FILCH_RUN(pool, &result, count, n) ||
		filch_pool_destroy(pool))
		return 1;
	printf("%ld\n", n);
	return result != n;
}
