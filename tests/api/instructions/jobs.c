/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached jobs without work in them, submitted and run by the creating thread alone, for counting
 * instructions: see instructions.sh. The argument is how many hundreds; prints how many that is.
 * The pool is not live, so looking at live pools is to cost nothing here.
 */
#include <stdio.h>
#include <stdlib.h>

#include <filch/filch.h>

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

int main(int argc, char **argv)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_pool *pool;
	long hundreds = argc > 1 ? atoi(argv[1]) : 10;

	how.flags = FILCH_JOB_DETACHED;
	config.workers = 1;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_NO_PIN; /* no look at other processes */
	if (filch_pool_create(&pool, &config))
		return 1;
	for (long i = 0; i < hundreds; i++) {
		for (int j = 0; j < 100; j++)
			if (filch_submit(pool, nothing, NULL, &how) < 0)
				return 1;
		if (filch_pool_drain(pool, NULL))
			return 1;
	}
	printf("%ld\n", 100 * hundreds);
	return filch_pool_destroy(pool) != 0;
}
