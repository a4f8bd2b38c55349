/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's work on a filch pool: jobs with FILCH_TRY, their ends through one completion queue
 * with a descriptor.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "handover.h"

#include <errno.h>
#include <filch/filch.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define REAP_MAX 64

struct handover {
	struct filch_pool *pool;
	struct filch_cq *cq;
	bool guards; /* not on every architecture */
	/* of `cpus`: workers start one beside the other, and again after a crash */
	pthread_mutex_t lock;
	cpu_set_t cpus;
};

static void note_cpu(void *arg, int worker)
{
	struct handover *h = arg;
	int cpu = sched_getcpu();

	(void)worker;
	pthread_mutex_lock(&h->lock);
	if (cpu >= 0 && cpu < CPU_SETSIZE)
		CPU_SET((unsigned)cpu, &h->cpus);
	pthread_mutex_unlock(&h->lock);
}

int handover_open(struct handover **out, const struct handover_options *options)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct handover *h = calloc(1, sizeof *h);
	int error;

	if (!h)
		return -ENOMEM;
	pthread_mutex_init(&h->lock, NULL);
	config.flags = FILCH_POOL_GUARD;
	config.workers = options->workers;
	config.queue_capacity = options->queue;
	config.reserve_cores = options->reserve_cores;
	config.name = "work";
	config.on_worker_start = note_cpu;
	config.hook_arg = h;
	error = filch_pool_create(&h->pool, &config);
	h->guards = error != -ENOTSUP;
	if (!h->guards) {
		config.flags = 0;
		error = filch_pool_create(&h->pool, &config);
	}
	if (error)
		goto no_pool;
	/* as many as there may be jobs, so that room in the queue is what runs out first */
	error = filch_cq_create(&h->cq, 4 * options->queue);
	if (error)
		goto no_cq;
	*out = h;
	return 0;

no_cq:
	filch_pool_destroy(h->pool);
no_pool:
	pthread_mutex_destroy(&h->lock);
	free(h);
	return error;
}

void handover_close(struct handover *h)
{
	if (filch_pool_destroy(h->pool) == 0 && filch_cq_destroy(h->cq))
		return; /* a job is still on its way to it: rather a leak than a use after free */
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int handover_fd(struct handover *h)
{
	return filch_cq_fd(h->cq);
}

int64_t handover_submit(struct handover *h, int (*fn)(void *arg), void *arg, unsigned flags,
	const struct timespec *finish_by)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = FILCH_TRY; /* an event loop never waits */
	how.cq = h->cq;
	how.finish_by = finish_by;
	if (flags & HANDOVER_GUARDED && !h->guards)
		return -ENOTSUP;
	if (flags & HANDOVER_GUARDED)
		how.flags |= FILCH_JOB_GUARD;
	return filch_submit(h->pool, fn, arg, &how);
}

void handover_abandon(struct handover *h)
{
	struct timespec now = filch_after(0);

	/*
	 * what it completes comes out of the queue; that the running ones have not ended yet is no
	 * error here
	 */
	if (filch_pool_shutdown(h->pool, FILCH_ABANDON, &now))
		return;
}

bool handover_cancelled(void)
{
	return filch_job_cancelled();
}

size_t handover_reap(struct handover *h, struct handover_end *out, size_t n)
{
	struct filch_completion done[REAP_MAX];
	int got = filch_cq_reap(h->cq, done, n < REAP_MAX ? n : REAP_MAX);

	for (int i = 0; i < got; i++) {
		out[i] = (struct handover_end){ .arg = done[i].arg,
			.id = done[i].id,
			.status = done[i].status,
			.worker = done[i].worker,
			.queued_ns = done[i].queued_ns,
			.run_ns = done[i].run_ns };
		if (done[i].flags & FILCH_DONE_FAULT) {
			out[i].signal = (int)done[i].detail[0];
			out[i].address = done[i].detail[1];
		}
	}
	return got > 0 ? (size_t)got : 0;
}

size_t handover_figures(struct handover *h, struct handover_figure *out, size_t n)
{
	struct filch_stats s = FILCH_STATS_INIT;
	struct filch_lane_stats normal = FILCH_LANE_STATS_INIT, urgent = FILCH_LANE_STATS_INIT;
	size_t used = 0;

	if (filch_pool_stats(h->pool, &s) ||
		filch_pool_lane_stats(h->pool, FILCH_LANE_NORMAL, &normal) ||
		filch_pool_lane_stats(h->pool, FILCH_LANE_URGENT, &urgent))
		return 0;
/* clang-format off */
#define COUNTER(field, text) \
	{ #field, "filch_" #field "_total", text, NULL, NULL, false, HANDOVER_NUMBER, s.field },
#define GAUGE(name, metric, text, value) \
	{ name, "filch_" metric, text, NULL, NULL, true, HANDOVER_NUMBER, value },
#define BY_LANE(name, metric, text, gauge, unit, field)                                         \
	{ name, "filch_lane_" metric, text, "lane", "normal", gauge, unit, normal.field },      \
	{ name, "filch_lane_" metric, text, "lane", "urgent", gauge, unit, urgent.field },
#define LANE_GAUGE(name, metric, text, field) \
	BY_LANE(name, metric, text, true, HANDOVER_NUMBER, field)
#define LANE_COUNTER(field, text) \
	BY_LANE(#field, #field "_jobs_total", text, false, HANDOVER_NUMBER, field)
	const struct handover_figure figures[] = {
		FILCH_STATS_LIST(COUNTER)
		GAUGE("queued", "queued_jobs", "jobs queued now, not yet started", s.queued)
		GAUGE("asleep", "asleep_workers", "workers parked now", s.asleep)
		LANE_GAUGE("queue_depth", "queued_jobs", "jobs that wait to be started", queued)
		BY_LANE("oldest_ns", "oldest_job_seconds",
			"how long the oldest queued job has waited", true, HANDOVER_NS, oldest_ns)
		LANE_GAUGE("running", "running_jobs", "jobs started and not complete", running)
		LANE_COUNTER(accepted, "jobs that got an id")
		LANE_COUNTER(completed, "jobs that ran to their end")
		LANE_COUNTER(shed, "jobs not started because their time had passed")
		LANE_COUNTER(rejected, "submits refused for want of room")
		GAUGE("workers", "workers", "threads that run jobs",
			(uint64_t)filch_pool_workers(h->pool))
	};
	/* clang-format on */

	while (used < n && used < sizeof figures / sizeof figures[0]) {
		out[used] = figures[used];
		used++;
	}
	return used;
}

int handover_cpus(struct handover *h, void *cpu_set)
{
	cpu_set_t *set = cpu_set;

	pthread_mutex_lock(&h->lock);
	*set = h->cpus;
	pthread_mutex_unlock(&h->lock);
	return filch_pool_workers(h->pool);
}
