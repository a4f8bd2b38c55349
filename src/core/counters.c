/* SPDX-License-Identifier: Apache-2.0 */
/* Summing the workers' counters: see filch/stats.h. */
#include "core/counters.h"

#include <errno.h>
#include <string.h>

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
void filchi_lanes_look(struct filch_pool *p, struct filchi_lane_look *look)
{
	const uint32_t begun = filchi_jobs_begun(&p->jobs);

	memset(look, 0, FILCH_LANES * sizeof look[0]);
	/* the caller's slot is in no lane */
	for (uint32_t i = 0; i + 1 < begun; i++) {
		struct filchi_job *job = filchi_jobs_at(&p->jobs, begun, i);
		uint64_t s = filchi_load_acquire(&job->state), at;
		unsigned state = FILCHI_JOB_STATE(s), of;

		if (!filchi_job_is_pending(s))
			continue;
		of = filch_load_acquire(&job->lane);
		at = filchi_load_acquire(&job->queued_at);
		if (of >= FILCH_LANES || FILCHI_JOB_GENERATION(filch_load_relaxed(&job->state)) !=
						 FILCHI_JOB_GENERATION(s))
			continue;
		if (state == FILCHI_JOB_WAITING) { /* in no lane yet */
			look[of].waiting++;
			continue;
		}
		if (state != FILCHI_JOB_QUEUED) {
			look[of].running++;
			continue;
		}
		look[of].queued++;
		if (!look[of].oldest_at || at < look[of].oldest_at)
			look[of].oldest_at = at;
	}
}

void filchi_lane_counted(struct filch_pool *p, uint32_t lane, struct filch_lane_stats *sum)
{
	for (uint32_t i = 0; i <= p->workers; i++) {
		struct filchi_lane_counts *c = i < p->workers ? &filchi_worker_at(p, i)->lane[lane]
							      : &p->external_lane[lane];

		sum->completed += filch_load_relaxed(&c->completed);
		sum->shed += filch_load_relaxed(&c->shed);
		sum->cancelled += filch_load_relaxed(&c->cancelled);
		sum->rejected += filch_load_relaxed(&c->rejected);
	}
}

int filch_pool_lane_stats(
	const struct filch_pool *pool, uint32_t lane, struct filch_lane_stats *out)
{
	struct filch_lane_stats sum = FILCH_LANE_STATS_INIT;
	struct filchi_lane_look look[FILCH_LANES];
	struct filch_pool *p;
	uint64_t now, oldest;
	int error;

	if (!out || lane >= FILCH_LANES)
		return -EINVAL;
	error = filchi_given_const(pool, &p);
	if (error)
		return error;
	filchi_lane_counted(p, lane, &sum);
	filchi_lanes_look(p, look);
	now = filchi_now();
	sum.queued = look[lane].queued;
	sum.running = look[lane].running;
	oldest = look[lane].oldest_at;
	sum.oldest_ns = oldest && oldest < now ? now - oldest : 0;
	sum.accepted = look[lane].waiting + sum.completed + sum.shed + sum.cancelled + sum.queued +
		       sum.running;
	return filchi_export(out, &sum, sizeof sum);
}
