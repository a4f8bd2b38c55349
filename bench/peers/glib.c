/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glib: GThreadPool, exclusive threads, for bare jobs and round trips. A module: filch-bench opens
 * it when it was built.
 *
 * Not good for: tasks. GThreadPool has no joins and no ids, its queue has no bound, and each push
 * allocates a queue node; so this is a yardstick for the baseline on jobs, nothing more. For a
 * round trip the job comes back through a GAsyncQueue, as its users do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

struct engine {
	GThreadPool *pool;
	GAsyncQueue *replies;
	int *cpus;
	int workers, pinned; /* pinned: how many threads have taken a CPU */
	pthread_mutex_t lock;
};

/*
 * The calling thread's engine. A GLib thread serves one engine at a time but may be handed to the
 * next.
 */
static __thread const struct engine *pinned_for;

static void pin(struct engine *e)
{
	cpu_set_t set;

	pthread_mutex_lock(&e->lock);
	CPU_ZERO(&set);
	CPU_SET((unsigned)e->cpus[e->pinned++ % e->workers], &set);
	pthread_mutex_unlock(&e->lock);
	pthread_setaffinity_np(pthread_self(), sizeof set, &set);
	pinned_for = e;
}

static void run(gpointer data, gpointer user)
{
	struct bench_job *job = data;
	GAsyncQueue *reply = job->reply;

	if (pinned_for != user)
		pin(user);
	job->fn(job); /* a bare job may be gone after this */
	if (reply)
		g_async_queue_push(reply, job);
}

static int glib_open(void **engine, int workers, const int *cpus)
{
	struct engine *e = calloc(1, sizeof *e);

	if (!e)
		return -ENOMEM;
	e->cpus = malloc((size_t)workers * sizeof *e->cpus);
	e->replies = g_async_queue_new();
	e->pool = g_thread_pool_new(run, e, workers, TRUE, NULL);
	if (!e->cpus || !e->pool) {
		if (e->pool)
			g_thread_pool_free(e->pool, TRUE, TRUE);
		g_async_queue_unref(e->replies);
		free(e->cpus);
		free(e);
		return -ENOMEM;
	}
	memcpy(e->cpus, cpus, (size_t)workers * sizeof *e->cpus);
	e->workers = workers;
	pthread_mutex_init(&e->lock, NULL);
	*engine = e;
	return 0;
}

static void glib_close(void *engine)
{
	struct engine *e = engine;

	g_thread_pool_free(e->pool, FALSE, TRUE);
	g_async_queue_unref(e->replies);
	pthread_mutex_destroy(&e->lock);
	free(e->cpus);
	free(e);
}

static int bare(void *engine, struct bench_job *job)
{
	struct engine *e = engine;

	job->reply = NULL;
	return g_thread_pool_push(e->pool, job, NULL) ? 0 : -EAGAIN;
}

/* One caller at a time: the replies are one queue. */
static int call(void *engine, struct bench_job *job)
{
	struct engine *e = engine;

	job->reply = e->replies;
	if (!g_thread_pool_push(e->pool, job, NULL))
		return -EAGAIN;
	return g_async_queue_pop(e->replies) == job ? 0 : -EPROTO;
}

static const char *version(void)
{
	static char text[32];

	snprintf(text, sizeof text, "%u.%u.%u", glib_major_version, glib_minor_version,
		glib_micro_version);
	return text;
}

static const struct bench_job_ops jobs = { .bare = bare, .call = call };

static const struct bench_contestant glib = {
	.abi = BENCH_ABI,
	.name = "glib",
	.version = version,
	.open = glib_open,
	.close = glib_close,
	.jobs = &jobs,
};

__attribute__((visibility("default"))) const struct bench_contestant *bench_module(void);

const struct bench_contestant *bench_module(void)
{
	return &glib;
}
