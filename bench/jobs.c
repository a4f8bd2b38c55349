/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs from 1, 2, 4 and 8 producers, and round trips.
 *
 * Not good for: servers under a given load (the producers push as fast as they can, so this is
 * capacity, not latency under load), nor for jobs that take long (then every queue is good enough).
 * With more producers and workers than cores the kernel's scheduler is measured as well. Producers
 * are not pinned, for any contestant: the workers are, and a producer takes what they leave.
 *
 * A trip "idle" starts after a pause in which the workers have parked: it measures the wake-up, the
 * kernel's part included.
 */
#define _GNU_SOURCE
#include "jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "latch.h"
#include "stats.h"

#define WINDOW 256
/* every 13th submit is timed: the clock costs as much as a good submit, so not all are */
#define SAMPLE        13
#define PRODUCERS_MAX 64

enum form { BARE, BATCH, IDS };

struct producer {
	const struct bench_job_ops *ops;
	void *engine;
	struct bench_job *jobs;
	size_t n;
	uint64_t reaped;
	double *submit; /* times of sampled submits */
	size_t timed;
	int err;
	enum form form;
	pthread_barrier_t *start;
	pthread_t thread;
};

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench_pause(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000) };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* What a job of @seed and @rounds computes. */
static uint64_t work(uint64_t seed, uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++)
		seed = bench_splitmix64(seed);
	return seed;
}

static int run_job(void *arg)
{
	struct bench_job *job = arg;

	job->result = work(job->seed, job->rounds);
	job->runs++;
	if (job->latch)
		bench_latch_count(job->latch);
	return 0;
}

static struct bench_job *make_jobs(size_t n, uint32_t rounds, struct bench_latch *latch)
{
	struct bench_job *jobs = aligned_alloc(sizeof *jobs, n * sizeof *jobs);

	for (size_t i = 0; jobs && i < n; i++)
		jobs[i] = (struct bench_job){
			.fn = run_job, .latch = latch, .seed = i, .rounds = rounds
		};
	return jobs;
}

/* Jobs that ran exactly once with the right result. */
static uint64_t count_right(const struct bench_job *jobs, size_t n)
{
	uint64_t right = 0;

	for (size_t i = 0; i < n; i++)
		right += jobs[i].runs == 1 && jobs[i].result == work(jobs[i].seed, jobs[i].rounds);
	return right;
}

/* Submits job @i, timing it if it is its turn. */
static void submit(struct producer *p, size_t i)
{
	struct bench_job *job = &p->jobs[i];
	double begun = i % SAMPLE ? 0 : bench_now();

	if (p->form == IDS) {
		job->id = p->ops->submit(p->engine, job);
		p->err = job->id > 0 ? 0 : (int)job->id;
	} else {
		p->err = p->ops->bare(p->engine, job);
	}
	if (!(i % SAMPLE))
		p->submit[p->timed++] = bench_now() - begun;
}

static void submit_batch(struct producer *p, size_t i)
{
	size_t n = p->n - i < BENCH_BATCH ? p->n - i : BENCH_BATCH;

	p->err = p->ops->batch(p->engine, &p->jobs[i], n);
}

static void *produce(void *arg)
{
	struct producer *p = arg;
	size_t sent = 0, back = 0;

	pthread_barrier_wait(p->start);
	if (p->form == BATCH) {
		for (; sent < p->n && !p->err; sent += BENCH_BATCH)
			submit_batch(p, sent);
		p->reaped = p->n;
		return NULL;
	}
	if (p->form == BARE) {
		while (sent < p->n && !p->err)
			submit(p, sent++);
		if (p->ops->flush && !p->err)
			p->err = p->ops->flush(p->engine);
		p->reaped = sent;
		return NULL;
	}
	while (back < p->n && !p->err) {
		if (sent < p->n && sent - back < WINDOW) {
			submit(p, sent++);
		} else {
			p->err = p->ops->wait(p->engine, p->jobs[back++].id);
			p->reaped += !p->err;
		}
	}
	return NULL;
}

static int run_producers(const struct bench_contestant *c, void *engine,
	const struct bench_size *size, enum form form, double value[2], struct bench_outcome *out)
{
	size_t producers = (size_t)size->arg[0], n = (size_t)size->arg[1];
	struct producer p[PRODUCERS_MAX];
	struct bench_latch latch;
	pthread_barrier_t start;
	struct bench_job *jobs;
	double *submits;
	size_t timed = 0;
	int err = 0;

	bench_latch_init(&latch, n);
	jobs = make_jobs(n, (uint32_t)size->arg[2], form == IDS ? NULL : &latch);
	submits = malloc((n / SAMPLE + producers) * sizeof *submits);
	if (!jobs || !submits) {
		free(submits);
		free(jobs);
		return -ENOMEM;
	}
	memset(submits, 0, (n / SAMPLE + producers) * sizeof *submits);
	pthread_barrier_init(&start, NULL, (unsigned)producers + 1);
	for (size_t i = 0; i < producers; i++) {
		size_t begin = n * i / producers, end = n * (i + 1) / producers;

		p[i] = (struct producer){ .ops = c->jobs,
			.engine = engine,
			.jobs = jobs + begin,
			.n = end - begin,
			.form = form,
			.start = &start,
			.submit = submits + begin / SAMPLE + i };
		if (pthread_create(&p[i].thread, NULL, produce, &p[i]))
			abort(); /* a benchmark program may */
	}
	pthread_barrier_wait(&start);
	double begun = bench_now();

	for (size_t i = 0; i < producers; i++) {
		pthread_join(p[i].thread, NULL);
		err = err ? err : p[i].err;
	}
	if (form != IDS && !err)
		bench_latch_wait(&latch);
	value[0] = bench_now() - begun;
	*out = (struct bench_outcome){ .value = { count_right(jobs, n) } };
	for (size_t i = 0; i < producers; i++) {
		out->tasks += p[i].reaped;
		memmove(submits + timed, p[i].submit, p[i].timed * sizeof *submits);
		timed += p[i].timed;
	}
	value[1] = bench_percentile(submits, timed, 0.999);
	free(submits);
	pthread_barrier_destroy(&start);
	bench_latch_destroy(&latch);
	free(jobs);
	return err;
}

/* The serial form: one thread, plain calls; the latch is left out, it counts for others. */
static int run_serial(const struct bench_contestant *c, void *engine, const struct bench_size *size,
	double *seconds, struct bench_outcome *out)
{
	size_t n = (size_t)size->arg[1];
	struct bench_job *jobs = make_jobs(n, (uint32_t)size->arg[2], NULL);

	if (!jobs)
		return -ENOMEM;
	double begun = bench_now();

	for (size_t i = 0; i < n; i++)
		c->jobs->bare(engine, &jobs[i]);
	*seconds = bench_now() - begun;
	*out = (struct bench_outcome){ .value = { count_right(jobs, n) }, .tasks = n };
	free(jobs);
	return 0;
}

int bench_jobs_bare(const struct bench_contestant *c, void *engine, const struct bench_size *size,
	double value[2], struct bench_outcome *out)
{
	if (!c->jobs || !c->jobs->bare)
		return 1;
	if (c == &bench_serial)
		return run_serial(c, engine, size, value, out);
	return run_producers(c, engine, size, BARE, value, out);
}

int bench_jobs_batch(const struct bench_contestant *c, void *engine, const struct bench_size *size,
	double value[2], struct bench_outcome *out)
{
	return c->jobs && c->jobs->batch ? run_producers(c, engine, size, BATCH, value, out) : 1;
}

int bench_jobs_ids(const struct bench_contestant *c, void *engine, const struct bench_size *size,
	double value[2], struct bench_outcome *out)
{
	if (c == &bench_serial)
		return run_serial(c, engine, size, value, out);
	if (!c->jobs || !c->jobs->submit || !c->jobs->wait)
		return 1;
	return run_producers(c, engine, size, IDS, value, out);
}

int bench_jobs_trips(const struct bench_contestant *c, void *engine, const struct bench_size *size,
	double value[2], struct bench_outcome *out)
{
	size_t n = (size_t)size->arg[0];
	int err = 0;

	if (!c->jobs || !c->jobs->call || c == &bench_serial)
		return 1;
	struct bench_job *jobs = make_jobs(n, 0, NULL);
	double *trip = malloc(n * sizeof *trip);

	if (!jobs || !trip)
		err = -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		if (size->arg[1] > 0)
			bench_pause((uint64_t)size->arg[1]);
		double begun = bench_now();

		err = c->jobs->call(engine, &jobs[i]);
		trip[i] = bench_now() - begun;
	}
	if (!err) {
		*out = (struct bench_outcome){ .value = { count_right(jobs, n) }, .tasks = n };
		value[0] = bench_percentile(trip, n, 0.5);
		value[1] = bench_percentile(trip, n, 0.99);
	}
	free(trip);
	free(jobs);
	return err;
}
