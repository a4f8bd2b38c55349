/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A push takes the slow path once for an event that changes what it would do. A pool with far more
 * workers than cores is in the state where that matters: some work, one or two search and are not
 * given a core, and the others sleep. The test counts.
 */
#include <stdio.h>

#include <filch/filch.h>

#include "test.h"

#define WORKERS 32

FILCH_TASK_INLINE(uint64_t, spawns, (unsigned, n))
{
	if (n < 2)
		return 0;
	FILCH_SPAWN(a, spawns, n - 1);
	uint64_t b = FILCH_CALL(spawns, n - 2);
	return FILCH_SYNC(a) + b + 1;
}

static struct filch_stats stats_of(struct filch_pool *pool)
{
	struct filch_stats stats = FILCH_STATS_INIT;

	CHECK_EQ(filch_pool_stats(pool, &stats), 0);
	return stats;
}

/* Runs the tree until sleepers have been woken in it: they were there, and pushes asked. */
static void few_pushes_are_slow(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_stats before, after;
	struct filch_pool *pool;
	uint64_t pushes = 0, n, slow;

	config.workers = WORKERS;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	before = stats_of(pool);
	do {
		CHECK_EQ(FILCH_RUN(pool, &n, spawns, 35), 0);
		pushes += n;
		after = stats_of(pool);
		slow = after.asked - before.asked;
	} while (after.wakes - before.wakes < WORKERS || !slow);
	CHECK(slow <= pushes / 1000, "%lu of %lu pushes took the slow path", (unsigned long)slow,
		(unsigned long)pushes);
	printf("    %lu pushes, %lu of them slow, %lu wakes, %lu steals\n", (unsigned long)pushes,
		(unsigned long)slow, (unsigned long)(after.wakes - before.wakes),
		(unsigned long)(after.steals - before.steals));
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

int main(void)
{
	test_watchdog(200);
	test_case("few pushes are slow while others search and sleep", few_pushes_are_slow);
	return test_finish("pushes");
}
