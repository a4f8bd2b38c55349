/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example server's work on the baseline: jobs on one queue under one mutex, their ends on a
 * list under another, with an eventfd that is written when the list was empty. What a careful
 * programmer would put there; see docs/examples/http_server/handover.h.
 *
 * Jobs are detached, and each wrapper puts its own end on the list: the baseline's completion queue
 * has no descriptor. There are no guards, no cancellation and no finish_by here: such work is
 * -ENOTSUP, and the server answers it with 501. The wrapper is the one allocation per job.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "baseline/baseline.h"
#include "handover.h"

#define CPUS_MAX 1024

struct job {
	struct handover *home;
	struct job *next;
	int (*fn)(void *arg);
	void *arg;
	int64_t id;
	int status;
	struct timespec submitted;
	uint64_t queued_ns, run_ns;
};

struct handover {
	struct base_pool *pool;
	pthread_mutex_t lock; /* of the list */
	struct job *first, **last;
	int fd, workers;
	cpu_set_t cpus;
	uint64_t jobs, next_id; /* the loop's */
};

int handover_open(struct handover **out, const struct handover_options *options)
{
	struct handover *h = calloc(1, sizeof *h);
	int cpus[CPUS_MAX], n = 0, error;
	cpu_set_t mask;

	if (!h)
		return -ENOMEM;
	sched_getaffinity(0, sizeof mask, &mask);
	for (int i = 0; i < CPUS_MAX && i < CPU_SETSIZE; i++)
		if (CPU_ISSET((unsigned)i, &mask))
			cpus[n++] = i;
	h->workers = (int)options->workers;
	if (!h->workers)
		h->workers = n > (int)options->reserve_cores ? n - (int)options->reserve_cores : 1;
	if (h->workers > n) {
		free(h);
		return -EINVAL;
	}
	for (int i = 0; i < h->workers; i++)
		CPU_SET((unsigned)cpus[i], &h->cpus);
	h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->last = &h->first;
	pthread_mutex_init(&h->lock, NULL);
	error = h->fd < 0 ? -errno
			  : base_pool_create(&h->pool, &(struct base_config){ .workers = h->workers,
							       .cpus = cpus,
							       .queue_capacity = options->queue });
	if (!error) {
		*out = h;
		return 0;
	}
	if (h->fd >= 0)
		close(h->fd);
	pthread_mutex_destroy(&h->lock);
	free(h);
	return error;
}

void handover_close(struct handover *h)
{
	base_pool_destroy(h->pool);
	close(h->fd);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int handover_fd(struct handover *h)
{
	return h->fd;
}

static uint64_t since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)(now.tv_sec - then->tv_sec) * 1000000000u + (uint64_t)now.tv_nsec -
	       (uint64_t)then->tv_nsec;
}

static int run(void *arg)
{
	struct job *job = arg;
	struct handover *h = job->home;
	const uint64_t one = 1;
	bool first;

	job->queued_ns = since(&job->submitted);
	job->status = job->fn(job->arg);
	job->run_ns = since(&job->submitted) - job->queued_ns;
	pthread_mutex_lock(&h->lock);
	first = !h->first;
	*h->last = job;
	h->last = &job->next;
	pthread_mutex_unlock(&h->lock);
	if (first && write(h->fd, &one, sizeof one) < 0)
		return -errno; /* cannot be: the counter never comes near its limit */
	return 0;
}

int64_t handover_submit(struct handover *h, int (*fn)(void *arg), void *arg, unsigned flags,
	const struct timespec *finish_by)
{
	static const struct base_submit how = { .when_full = BASE_TRY, .flags = BASE_DETACHED };
	struct job *job;
	int64_t id;

	if (flags || finish_by)
		return -ENOTSUP;
	job = malloc(sizeof *job);
	if (!job)
		return -ENOMEM;
	*job = (struct job){ .home = h, .fn = fn, .arg = arg, .id = (int64_t)h->next_id + 1 };
	clock_gettime(CLOCK_MONOTONIC, &job->submitted);
	id = base_submit(h->pool, run, job, &how);
	if (id < 0) {
		free(job);
		return id;
	}
	h->jobs++;
	return (int64_t)++h->next_id; /* not the pool's, which the job could not tell its end */
}

void handover_abandon(struct handover *h)
{
	(void)h;
}

bool handover_cancelled(void)
{
	return false;
}

size_t handover_reap(struct handover *h, struct handover_end *out, size_t n)
{
	struct job *first, *job, **at = &first;
	uint64_t rings;
	size_t got = 0;

	if (read(h->fd, &rings, sizeof rings) < 0 && errno != EAGAIN)
		return 0;
	pthread_mutex_lock(&h->lock);
	first = h->first;
	while (got < n && *at) {
		at = &(*at)->next;
		got++;
	}
	h->first = *at;
	if (!h->first)
		h->last = &h->first;
	pthread_mutex_unlock(&h->lock);
	for (size_t i = 0; i < got; i++) {
		job = first;
		first = job->next;
		out[i] = (struct handover_end){ .arg = job->arg,
			.id = job->id,
			.status = job->status,
			.worker = -1,
			.queued_ns = job->queued_ns,
			.run_ns = job->run_ns };
		free(job);
	}
	return got;
}

size_t handover_figures(struct handover *h, struct handover_figure *out, size_t n)
{
	if (n < 2)
		return 0;
	out[0] = (struct handover_figure){ .name = "jobs",
		.metric = "baseline_jobs_total",
		.meaning = "jobs submitted",
		.value = h->jobs };
	out[1] = (struct handover_figure){ .name = "workers",
		.metric = "baseline_workers",
		.meaning = "threads that run jobs",
		.gauge = true,
		.value = (uint64_t)h->workers };
	return 2;
}

int handover_cpus(struct handover *h, void *cpu_set)
{
	cpu_set_t *set = cpu_set;

	*set = h->cpus;
	return h->workers;
}
