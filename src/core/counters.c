/* SPDX-License-Identifier: Apache-2.0 */
/* Summing the workers' counters: see filch/stats.h. */
#include <errno.h>

#include "base/import.h"
#include "core/given.h"

int filch_pool_stats(const struct filch_pool *pool, struct filch_stats *out)
{
	struct filch_stats sum = FILCH_STATS_INIT;
	/* the counters are read only, the loads want them plain */
	struct filch_pool *p;
	uint64_t counts;
	int error;

	if (!out)
		return -EINVAL;
	error = filchi_given_const(pool, &p);
	if (error)
		return error;
	for (uint32_t i = 0; i <= p->workers; i++) {
		struct filchi_counters *c =
			i < p->workers ? &filchi_worker_at(p, i)->counters : &p->external;
#define FILCHI_SUM(name, meaning) sum.name += filch_load_relaxed(&c->name);
		FILCH_STATS_LIST(FILCHI_SUM)
#undef FILCHI_SUM
	}
	counts = filch_load_relaxed(&p->idle.counts);
	sum.queued = (uint64_t)filch_load_relaxed(&p->injector.queued);
	sum.asleep = FILCHI_IDLE_FREES(counts) + FILCHI_IDLE_BOUNDS(counts);
	return filchi_export(out, &sum, sizeof sum);
}

/*
 * What is pending is looked up in the slots, so that a submit need not count it. A slot may pass to
 * another job between two looks: a generation seen twice the same says that what was read between
 * them belongs to it.
 */
static void count_pending(struct filch_pool *p, uint32_t lane, struct filch_lane_stats *sum)
{
	const uint32_t begun = filchi_jobs_begun(&p->jobs);
	uint64_t oldest = 0, now = filchi_now();

	/* the caller's slot is in no lane */
	for (uint32_t i = 0; i + 1 < begun; i++) {
		struct filchi_job *job = filchi_jobs_at(&p->jobs, begun, i);
		uint64_t s = filchi_load_acquire(&job->state), at;
		unsigned state = FILCHI_JOB_STATE(s), of;

		if (!filchi_job_is_pending(s))
			continue;
		of = filch_load_acquire(&job->lane);
		at = filchi_load_acquire(&job->queued_at);
		if (of != lane || FILCHI_JOB_GENERATION(filch_load_relaxed(&job->state)) !=
					  FILCHI_JOB_GENERATION(s))
			continue;
		if (state == FILCHI_JOB_WAITING) { /* in no lane yet */
			sum->accepted++;
			continue;
		}
		if (state != FILCHI_JOB_QUEUED) {
			sum->running++;
			continue;
		}
		sum->queued++;
		if (!oldest || at < oldest)
			oldest = at;
	}
	sum->oldest_ns = oldest && oldest < now ? now - oldest : 0;
}

int filch_pool_lane_stats(
	const struct filch_pool *pool, uint32_t lane, struct filch_lane_stats *out)
{
	struct filch_lane_stats sum = FILCH_LANE_STATS_INIT;
	struct filch_pool *p;
	int error;

	if (!out || lane >= FILCH_LANES)
		return -EINVAL;
	error = filchi_given_const(pool, &p);
	if (error)
		return error;
	for (uint32_t i = 0; i <= p->workers; i++) {
		struct filchi_lane_counts *c = i < p->workers ? &filchi_worker_at(p, i)->lane[lane]
							      : &p->external_lane[lane];

		sum.completed += filch_load_relaxed(&c->completed);
		sum.shed += filch_load_relaxed(&c->shed);
		sum.cancelled += filch_load_relaxed(&c->cancelled);
		sum.rejected += filch_load_relaxed(&c->rejected);
	}
	count_pending(p, lane, &sum);
	sum.accepted += sum.completed + sum.shed + sum.cancelled + sum.queued + sum.running;
	return filchi_export(out, &sum, sizeof sum);
}
