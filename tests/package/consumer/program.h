/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user of the installed library would write, once, compiled as C11 and as C++17 by the two
 * files beside it: a pool, nested tasks, a job with its completion. Ends with status 0 if every
 * result is right, and says what was wrong otherwise.
 */
#include <filch/filch.h>
#include <stdio.h>

FILCH_TASK(long, fib, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long y = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + y;
}

static int twice(void *arg)
{
	long *value = (long *)arg;

	*value *= 2;
	return 7;
}

static int wrong(const char *what, long got, long expected)
{
	printf("%s: %ld, not %ld\n", what, got, expected);
	return 1;
}

int main(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_completion done;
	struct filch_pool *pool;
	long result = 0, message = 21;
	int64_t id;
	int err;

	if (filch_version() != FILCH_VERSION)
		return wrong("filch_version()", filch_version(), FILCH_VERSION);
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	err = filch_pool_create(&pool, &config);
	if (err)
		return wrong("filch_pool_create()", err, 0);
	err = FILCH_RUN(pool, &result, fib, 20);
	if (err || result != 6765)
		return wrong("fib(20)", err ? err : result, 6765);
	id = filch_submit(pool, twice, &message, NULL);
	if (id <= 0)
		return wrong("filch_submit()", (long)id, 1);
	err = filch_wait(pool, id, NULL, &done);
	if (err || done.id != id || done.status != 7 || message != 42)
		return wrong("the job", err ? err : message, 42);
	err = filch_pool_destroy(pool);
	if (err)
		return wrong("filch_pool_destroy()", err, 0);
	printf("filch %s works\n", FILCH_VERSION_STRING);
	return 0;
}
