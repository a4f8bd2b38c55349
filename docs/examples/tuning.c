/* SPDX-License-Identifier: Apache-2.0 */
/* The snippets of docs/tuning.md: a configuration, grains, lanes, counters. */
#include <filch/filch.h>
#include <inttypes.h>
#include <stdio.h>

enum { N = 100000 };

static uint32_t hash[N];

static void mix(size_t begin, size_t end, void *arg)
{
	(void)arg;
	for (size_t i = begin; i < end; i++)
		hash[i] = (uint32_t)i * UINT32_C(2654435761);
}

static int look(void *arg)
{
	return *(const uint32_t *)arg == 0 ? 0 : -1;
}

/* What a pool did, to compare two settings by. */
static int report(const struct filch_pool *pool)
{
	struct filch_stats s = FILCH_STATS_INIT;
	int error = filch_pool_stats(pool, &s);

	if (error)
		return error;
	printf("steals %" PRIu64 ", in vain %" PRIu64 ", parks %" PRIu64 ", wakes %" PRIu64
	       ", run for want of room %" PRIu64 "\n",
		s.steals, s.raced, s.parks, s.wakes, s.inlined);
	return filch_pool_describe(pool, stdout, FILCH_TEXT);
}

int main(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion done;
	struct filch_pool *pool;
	int64_t id;
	int error;

	config.queue_capacity = 256;      /* as many jobs may wait */
	config.jobs_max = 2048;           /* as many may wait, run, or not be reaped */
	config.search_ns = 5000;          /* sleep soon: other programs want the cores */
	config.stack_bytes = 1u << 20;    /* of each worker */
	config.deque_capacity = 1u << 12; /* spares deep trees the first doublings */
	if (filch_pool_create(&pool, &config))
		return 1;

	error = filch_for(pool, 0, N, 0, mix, NULL); /* grain 0: the loop decides */
	if (!error)
		error = filch_for(pool, 0, N, 500, mix, NULL); /* no body gets more than 500 */

	how.lane = FILCH_LANE_URGENT;
	id = filch_submit(pool, look, &hash[0], &how);
	if (error || id < 0 || filch_wait(pool, id, NULL, &done) || done.status)
		return 1;
	error = report(pool);
	return filch_pool_destroy(pool) || error;
}
