/* SPDX-License-Identifier: Apache-2.0 */
/* Summing the workers' counters: see filch/stats.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared.h"

int filch_pool_stats(const struct filch_pool *pool, struct filch_stats *out)
{
	struct filch_stats sum = FILCH_STATS_INIT;
	struct filch_pool *p = (struct filch_pool *)(uintptr_t)pool; /* the counters are read only, the loads want them plain */
	uint64_t counts;
	size_t size;

	if (!pool || !out || out->size < sizeof out->size)
		return -EINVAL;
	for (uint32_t i = 0; i <= p->workers; i++) {
		struct filchi_counters *c = i < p->workers ? &filchi_worker_at(p, i)->counters : &p->outside;
#define FILCHI_SUM(name, meaning) sum.name += filchi_load_relaxed(&c->name);
		FILCH_STATS_LIST(FILCHI_SUM)
#undef FILCHI_SUM
	}
	counts = filchi_load_relaxed(&p->idle.counts);
	sum.queued = (uint64_t)filchi_load_relaxed(&p->injector.queued);
	sum.asleep = FILCHI_IDLE_FREES(counts) + FILCHI_IDLE_BOUNDS(counts);
	size = out->size < sizeof sum ? out->size : sizeof sum;
	memset((char *)out + sizeof out->size, 0, out->size - sizeof out->size);
	memcpy((char *)out + sizeof out->size, (char *)&sum + sizeof sum.size, size - sizeof sum.size);
	return 0;
}

/*
 * What is pending is looked up in the slots' state words, so that a submit need not count it. A slot may pass to another job between
 * two looks: a state word seen twice the same says that what was read between them belongs to it.
 */
static void count_pending(struct filch_pool *p, uint32_t lane, struct filch_lane_stats *sum)
{
	uint64_t oldest = 0, now = filchi_now();

	for (uint32_t i = 0; i < p->jobs.count; i++) {
		struct filchi_job *job = &p->jobs.slot[i];
		uint64_t s = filchi_load_acquire(&job->state), at;
		unsigned state = FILCHI_JOB_STATE(s);

		if (state < FILCHI_JOB_QUEUED || state > FILCHI_JOB_FINISHING || FILCHI_JOB_LANE(s) != lane)
			continue;
		if (state != FILCHI_JOB_QUEUED) {
			sum->running++;
			continue;
		}
		sum->queued++;
		at = filchi_load_acquire(&job->queued_at);
		if (filchi_load_relaxed(&job->state) == s && (!oldest || at < oldest))
			oldest = at;
	}
	sum->oldest_ns = oldest && oldest < now ? now - oldest : 0;
}

int filch_pool_lane_stats(const struct filch_pool *pool, uint32_t lane, struct filch_lane_stats *out)
{
	struct filch_lane_stats sum = FILCH_LANE_STATS_INIT;
	struct filch_pool *p = (struct filch_pool *)(uintptr_t)pool;
	size_t size;

	if (!pool || !out || out->size < sizeof out->size || lane >= FILCHI_LANES)
		return -EINVAL;
	for (uint32_t i = 0; i <= p->workers; i++) {
		struct filchi_lane_counts *c = i < p->workers ? &filchi_worker_at(p, i)->lane[lane] : &p->outside_lane[lane];

		sum.completed += filchi_load_relaxed(&c->completed);
		sum.shed += filchi_load_relaxed(&c->shed);
		sum.cancelled += filchi_load_relaxed(&c->cancelled);
		sum.rejected += filchi_load_relaxed(&c->rejected);
	}
	count_pending(p, lane, &sum);
	sum.accepted = sum.completed + sum.shed + sum.cancelled + sum.queued + sum.running;
	size = out->size < sizeof sum ? out->size : sizeof sum;
	memset((char *)out + sizeof out->size, 0, out->size - sizeof out->size);
	memcpy((char *)out + sizeof out->size, (char *)&sum + sizeof sum.size, size - sizeof sum.size);
	return 0;
}
