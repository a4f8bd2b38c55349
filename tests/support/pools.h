/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools for stress drivers: opening one on any machine, reading its counters, and printing them.
 *
 * A driver claims coverage by pool_sum(): the counters of all pools since pools_begin(). So it may
 * wait for rare events over several pools.
 */
#ifndef FILCH_TEST_POOLS_H
#define FILCH_TEST_POOLS_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <filch/filch.h>

#include "test.h"

/* The counts of all pools that were closed since pools_begin(). */
static struct filch_stats pools_sum;

static inline void pools_begin(void)
{
	pools_sum = (struct filch_stats)FILCH_STATS_INIT;
}

static inline struct filch_pool *pool_open_with(const struct filch_config *config)
{
	struct filch_pool *pool = NULL;

	CHECK_EQ(filch_pool_create(&pool, config), 0);
	if (config->workers)
		CHECK_EQ(filch_pool_workers(pool), config->workers);
	return pool;
}

/* @workers on whatever cores there are; @flags besides. */
static inline struct filch_pool *pool_open(uint32_t workers, uint64_t flags)
{
	return pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
		.workers = workers,
		.flags = flags | FILCH_POOL_OVERSUBSCRIBE });
}

static inline struct filch_stats pool_stats(const struct filch_pool *pool)
{
	struct filch_stats s = FILCH_STATS_INIT;

	CHECK_EQ(filch_pool_stats(pool, &s), 0);
	return s;
}

static inline void pool_close(struct filch_pool *pool)
{
	const struct filch_stats s = pool_stats(pool);

#define POOL_ADD(name, meaning) pools_sum.name += s.name;
	FILCH_STATS_LIST(POOL_ADD)
#undef POOL_ADD
	CHECK_EQ(s.queued, 0);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

/*
 * Returns when @n workers sleep and have made up their minds: the next post wakes one. For a pool
 * of @n workers, or one in which all others are busy until this returns.
 */
static inline void pool_until_asleep(const struct filch_pool *pool, uint64_t n)
{
	uint64_t since = test_now();

	/* each counts as asleep before its last look, and as parked after it */
	for (struct filch_stats s = pool_stats(pool); s.asleep < n || s.parks < n;
		s = pool_stats(pool)) {
		sched_yield();
		CHECK(test_now() - since < UINT64_C(60000000000),
			"%llu workers sleep of %llu that have nothing to do",
			(unsigned long long)s.asleep, (unsigned long long)n);
	}
}

/* Submits @fn as one job with @flags and waits for it: its status. */
static inline int pool_run(struct filch_pool *pool, filch_job_fn *fn, void *arg, uint64_t flags)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	int64_t id;

	how.flags = flags;
	id = filch_submit(pool, fn, arg, &how);
	CHECK(id > 0, "%d", (int)id);
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	return c.status;
}

static inline void pools_print(void)
{
	const struct filch_stats *s = &pools_sum;

	printf("    steals %llu, lost races %llu, barred %llu, grows %llu, inlined %llu, joins "
	       "waited %llu, parks %llu, wakes %llu, "
	       "jobs %llu, nested %llu, cancelled %llu\n",
		(unsigned long long)s->steals, (unsigned long long)s->raced,
		(unsigned long long)s->barred, (unsigned long long)s->grows,
		(unsigned long long)s->inlined, (unsigned long long)s->joins_waited,
		(unsigned long long)s->parks, (unsigned long long)s->wakes,
		(unsigned long long)s->jobs, (unsigned long long)s->jobs_nested,
		(unsigned long long)s->cancelled);
}

/* Fails the driver when a counter that its case is about has stayed zero. */
#define POOLS_COVER(name) \
	CHECK(pools_sum.name > 0, "the case claims to cover " #name ", and there were none")

#endif
