/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uv: libuv's thread pool, uv_queue_work, for bare jobs and round trips.
 *
 * uv_queue_work may be called on its loop's own thread only, so every producer has a loop of its
 * own; it lets the loop run once after every BATCH jobs, as a server's would, and to the end after
 * its last. The loop hears of each finished job: that is part of libuv's price, as a request per
 * job is. The pool's queue has no bound.
 *
 * libuv has one pool per process, of a size fixed at its first use. To have another number of
 * workers this module opens the library before each measurement and closes it after, which ends its
 * threads. The threads are pinned by first jobs that wait for each other, so that each gets one.
 *
 * Not good for: tasks, jobs with ids.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "bench.h"

#define LIBRARY "libuv.so.1"
#define BATCH   64

/* The functions used, as found in the library that is open. */
#define FUNCTIONS(X) \
	X(uv_loop_init) X(uv_loop_close) X(uv_run) X(uv_queue_work) X(uv_version_string)
#define DECLARE(f) __typeof__(f) *f;
static struct {
	void *handle;
	FUNCTIONS(DECLARE)
} lib;

struct request {
	uv_work_t work; /* first */
	struct request *next;
	struct bench_job *job;
	struct caller *caller;
};

/* A thread that submits. */
struct caller {
	uv_loop_t loop;
	struct request *unused;
	unsigned since; /* jobs since the loop ran */
};
static __thread struct caller *self;

struct engine {
	int *cpus;
	int workers;
	atomic_int pinned, failed;
	pthread_barrier_t all;
};

static int open_library(void)
{
	lib.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib.handle)
		return -ELIBACC;
#define FIND(f)                                         \
	{                                               \
		void *symbol = dlsym(lib.handle, #f);   \
		memcpy(&lib.f, &symbol, sizeof symbol); \
		if (!symbol)                            \
			return -ELIBBAD;                \
	}
	FUNCTIONS(FIND)
	return 0;
}

static struct caller *caller(void)
{
	if (!self) {
		self = calloc(1, sizeof *self);
		if (self && lib.uv_loop_init(&self->loop)) {
			free(self);
			self = NULL;
		}
	}
	return self;
}

static void run(uv_work_t *work)
{
	struct bench_job *job = ((struct request *)(void *)work)->job;

	job->fn(job);
}

static void finished(uv_work_t *work, int status)
{
	struct request *r = (struct request *)(void *)work;

	(void)status;
	r->next = r->caller->unused;
	r->caller->unused = r;
}

static int queue(struct bench_job *job, uv_work_cb fn)
{
	struct caller *c = caller();
	struct request *r = c ? c->unused : NULL;

	if (r)
		c->unused = r->next;
	else if (c)
		r = malloc(sizeof *r);
	if (!r)
		return -ENOMEM;
	r->job = job;
	r->caller = c;
	return lib.uv_queue_work(&c->loop, &r->work, fn, finished);
}

/* Runs the calling thread's loop until nothing is under way and gives up the loop. */
static int flush(void *engine)
{
	struct caller *c = self;
	int err;

	(void)engine;
	if (!c)
		return 0;
	lib.uv_run(&c->loop, UV_RUN_DEFAULT);
	err = lib.uv_loop_close(&c->loop);
	for (struct request *r = c->unused, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	free(c);
	self = NULL;
	return err;
}

static int bare(void *engine, struct bench_job *job)
{
	int err = queue(job, run);

	(void)engine;
	if (!err && ++self->since == BATCH) {
		self->since = 0;
		lib.uv_run(&self->loop, UV_RUN_NOWAIT);
	}
	return err;
}

static int call(void *engine, struct bench_job *job)
{
	int err = queue(job, run);

	(void)engine;
	if (!err)
		lib.uv_run(&self->loop, UV_RUN_DEFAULT);
	return err;
}

/* On each thread of the pool once: pinned, and not gone before all are. */
static int pin(void *arg)
{
	struct bench_job *job = arg;
	struct engine *e = job->reply;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)e->cpus[atomic_fetch_add(&e->pinned, 1)], &set);
	if (sched_setaffinity(0, sizeof set, &set))
		atomic_store(&e->failed, 1);
	pthread_barrier_wait(&e->all);
	return 0;
}

static int begin(void *engine)
{
	struct engine *e = engine;
	struct bench_job job = { .fn = pin, .reply = e };
	char text[16];
	int err;

	snprintf(text, sizeof text, "%d", e->workers);
	setenv("UV_THREADPOOL_SIZE", text, 1);
	err = open_library();
	atomic_store(&e->pinned, 0);
	pthread_barrier_init(&e->all, NULL, (unsigned)e->workers);
	for (int i = 0; i < e->workers && !err; i++)
		err = queue(&job, run);
	if (!err)
		err = flush(e);
	pthread_barrier_destroy(&e->all);
	return err                                                                ? err
	       : atomic_load(&e->failed) || atomic_load(&e->pinned) != e->workers ? -EAGAIN
										  : 0;
}

static void end(void *engine)
{
	flush(engine);
	dlclose(lib.handle);
	/* Still there: it would keep its number of threads. */
	void *left = dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD);

	if (left) {
		dlclose(left);
		((struct engine *)engine)->failed = 1;
	}
}

static int uv_open(void **engine, int workers, const int *cpus)
{
	struct engine *e = calloc(1, sizeof *e);
	int *copy = malloc((size_t)workers * sizeof *copy);

	if (!e || !copy) {
		free(copy);
		free(e);
		return -ENOMEM;
	}
	memcpy(copy, cpus, (size_t)workers * sizeof *copy);
	e->cpus = copy;
	e->workers = workers;
	*engine = e;
	return 0;
}

static void uv_end(void *engine)
{
	free(((struct engine *)engine)->cpus);
	free(engine);
}

static const char *version(void)
{
	static char text[32];

	if (!open_library())
		snprintf(text, sizeof text, "%s", lib.uv_version_string());
	if (lib.handle)
		dlclose(lib.handle);
	return text;
}

static const struct bench_job_ops jobs = { .bare = bare, .flush = flush, .call = call };

static const struct bench_contestant uv = {
	.abi = BENCH_ABI,
	.name = "uv",
	.version = version,
	.open = uv_open,
	.close = uv_end,
	.begin = begin,
	.end = end,
	.jobs = &jobs,
};

__attribute__((visibility("default"))) const struct bench_contestant *bench_module(void);

const struct bench_contestant *bench_module(void)
{
	return &uv;
}
