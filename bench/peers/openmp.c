/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gomp and omp: this file and the programs, compiled twice, once linked with GCC's libgomp and once with LLVM's libomp.
 *
 * In one program the runtime that was linked first would serve both. So each is a module with its symbols kept to itself, and
 * says with dladdr() which library its calls really reach; a module that reaches the other one is not used. With gcc both
 * modules are the same object code: libomp implements gcc's entry points (GOMP_task and so on) beside those of clang.
 *
 * A team lives only while it is measured, made and ended outside the timing. The reason: both runtimes let idle threads spin
 * (libgomp some milliseconds, libomp 200), which would disturb the next contestant, and both count the threads of all teams of the
 * process and change their way of waiting when these are more than processors. The spinning itself stays as it is by default.
 *
 * The programs run on a thread of ours that is the team's first. Every thread of the team is pinned and says so before anything
 * is measured.
 *
 * Not good for: jobs from outside. OpenMP has none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/openmp.h"
#include "bench.h"

#define STACK_BYTES (64u << 20)
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

BENCH_ENTRY_TABLE

struct engine {
	int workers;
	int *cpus;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum { STARTING, READY, ASKED, DONE, ENDING } state;
	int err;
	bench_entry_fn *fn;
	const struct bench_size *size;
	struct bench_outcome *out;
};

int openmp_workers(const void *engine)
{
	return ((const struct engine *)engine)->workers;
}

/* Makes the team and pins each of its threads. Returns 0, or -EAGAIN if there are fewer or one would not be pinned. */
static int make_team(const struct engine *e)
{
	atomic_int pinned = 0;

	omp_set_dynamic(0);
#pragma omp parallel num_threads(e->workers)
	{
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned)e->cpus[omp_get_thread_num()], &set);
		if (!sched_setaffinity(0, sizeof set, &set) && omp_get_num_threads() == e->workers)
			atomic_fetch_add(&pinned, 1);
	}
	return atomic_load(&pinned) == e->workers ? 0 : -EAGAIN;
}

static void change(struct engine *e, int state)
{
	pthread_mutex_lock(&e->lock);
	e->state = state;
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
}

/* Waits until the state is @a or @b. */
static int await(struct engine *e, int a, int b)
{
	pthread_mutex_lock(&e->lock);
	while ((int)e->state != a && (int)e->state != b)
		pthread_cond_wait(&e->changed, &e->lock);
	int state = e->state;

	pthread_mutex_unlock(&e->lock);
	return state;
}

/* The team's first thread, from begin() to end(). */
static void *lead(void *arg)
{
	struct engine *e = arg;

	(void)omp_get_num_procs(); /* libomp counts the processors of its first caller: before that one is pinned */
	e->err = make_team(e);
	change(e, READY);
	while (await(e, ASKED, ENDING) == ASKED) {
		e->err = e->fn(e, e->size, e->out);
		change(e, DONE);
	}
	omp_pause_resource_all(omp_pause_soft); /* idle threads stop spinning; libgomp ends them with this thread */
	return NULL;
}

static int begin(void *engine)
{
	struct engine *e = engine;
	pthread_attr_t attr;
	int err;

	e->state = STARTING;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = -pthread_create(&e->thread, &attr, lead, e);
	pthread_attr_destroy(&attr);
	if (err)
		return err;
	await(e, READY, READY);
	err = e->err;
	if (err) {
		change(e, ENDING);
		pthread_join(e->thread, NULL);
	}
	return err;
}

static void end(void *engine)
{
	struct engine *e = engine;

	change(e, ENDING);
	pthread_join(e->thread, NULL);
}

static int call(void *engine, bench_entry_fn *fn, const struct bench_size *size, struct bench_outcome *out)
{
	struct engine *e = engine;

	e->fn = fn;
	e->size = size;
	e->out = out;
	change(e, ASKED);
	await(e, DONE, DONE);
	return e->err;
}

static int openmp_open(void **engine, int workers, const int *cpus)
{
	struct engine *e = calloc(1, sizeof *e);
	int *copy = malloc((size_t)workers * sizeof *copy);

	if (!e || !copy) {
		free(copy);
		free(e);
		return -ENOMEM;
	}
	memcpy(copy, cpus, (size_t)workers * sizeof *copy);
	*e = (struct engine){ .workers = workers, .cpus = copy };
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->changed, NULL);
	*engine = e;
	return 0;
}

static void openmp_close(void *engine)
{
	struct engine *e = engine;

	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
	free(e->cpus);
	free(e);
}

/* The file of the library in which a function of OpenMP's interface lies, as this module is bound; NULL if unknown. */
static const char *runtime_file(void)
{
	int (*function)(void) = omp_get_num_procs;
	void *address;
	Dl_info info;

	memcpy(&address, &function, sizeof address);
	return dladdr(address, &info) ? info.dli_fname : NULL;
}

static const char *version(void)
{
	static char text[128];
	char *path = realpath(runtime_file(), NULL);
	const char *name = path ? strrchr(path, '/') : NULL;

	snprintf(text, sizeof text, "%s, OpenMP %d", name ? name + 1 : "unknown", _OPENMP);
	free(path);
	return text;
}

static const struct bench_contestant openmp = {
	.abi = BENCH_ABI,
	.name = TEXT(BENCH_NAME),
	.version = version,
	.open = openmp_open,
	.close = openmp_close,
	.begin = begin,
	.end = end,
	.entry = entry_of,
	.call = call,
};

__attribute__((visibility("default"))) const struct bench_contestant *bench_module(void);

const struct bench_contestant *bench_module(void)
{
	const char *file = runtime_file();

	if (!file || !strstr(file, "/lib" TEXT(BENCH_NAME) ".")) {
		fprintf(stderr, "filch-bench: the runtime of %s would be %s\n", openmp.name, file ? file : "unknown");
		return NULL;
	}
	return &openmp;
}
