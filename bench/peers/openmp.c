/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gomp and omp: this file and the programs, compiled twice, once linked with GCC's libgomp and once
 * with LLVM's libomp.
 *
 * In one program the runtime that was linked first would serve both. So each is a module with its
 * symbols kept to itself, and says with dladdr() which library its calls really reach; a module
 * that reaches the other one is not used. With gcc both modules are the same object code: libomp
 * implements gcc's entry points (GOMP_task and so on) beside those of clang.
 *
 * The programs run on a thread of ours, the team's first, the same for all numbers of workers. A
 * team is made, pinned and counted before each measurement and put to rest after it, outside the
 * timing: both runtimes let idle threads spin (libgomp some milliseconds, libomp 200), which would
 * disturb the next contestant, and both count the threads of all teams and change their way of
 * waiting when these are more than processors. How they spin while they are measured is their
 * default. (A thread and team of each entrant's own was tried: libomp 14 crashes when first threads
 * come and go.)
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/openmp.h"
#include "bench.h"
#include "programs/dag.h"

#define STACK_BYTES (256u << 20)
#define TEXT_(x)    #x
#define TEXT(x)     TEXT_(x)

BENCH_ENTRY_TABLE

struct engine {
	int workers;
	int *cpus;
};

enum state { IDLE, ASKED_BEGIN, ASKED_CALL, ASKED_END, ASKED_EXIT };

/*
 * The first thread of every team and what it is asked to do, under `lock`. The driver asks one
 * thing at a time.
 */
static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int users; /* open engines */
	enum state state;
	int err;
	void *engine;
	bench_entry_fn *fn;
	const struct bench_size *size;
	struct bench_outcome *out;
} lead = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

int openmp_workers(const void *engine)
{
	return ((const struct engine *)engine)->workers;
}

/*
 * Makes the team and pins each of its threads. Returns 0, or -EAGAIN if there are fewer or one
 * would not be pinned.
 */
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

static void *run_lead(void *unused)
{
	(void)unused;
	/* libomp counts the processors of its first caller: before that one is pinned */
	(void)omp_get_num_procs();
	pthread_mutex_lock(&lead.lock);
	while (lead.state != ASKED_EXIT) {
		if (lead.state == ASKED_BEGIN)
			lead.err = make_team(lead.engine);
		else if (lead.state == ASKED_CALL)
			lead.err = lead.fn(lead.engine, lead.size, lead.out);
		else if (lead.state == ASKED_END)
			(void)0; /* libomp: idle threads sleep at once; libgomp: they end */
		lead.state = IDLE;
		pthread_cond_broadcast(&lead.changed);
		while (lead.state == IDLE)
			pthread_cond_wait(&lead.changed, &lead.lock);
	}
	pthread_mutex_unlock(&lead.lock);
	return NULL;
}

/* Has the lead do it and waits until it is done; lock held. */
static int ask(enum state what, void *engine)
{
	lead.engine = engine;
	lead.err = 0;
	lead.state = what;
	pthread_cond_broadcast(&lead.changed);
	while (lead.state == what)
		pthread_cond_wait(&lead.changed, &lead.lock);
	return lead.err;
}

static int begin(void *engine)
{
	pthread_mutex_lock(&lead.lock);
	int err = ask(ASKED_BEGIN, engine);

	if (err)
		ask(ASKED_END, engine);
	pthread_mutex_unlock(&lead.lock);
	return err;
}

static void end(void *engine)
{
	pthread_mutex_lock(&lead.lock);
	ask(ASKED_END, engine);
	pthread_mutex_unlock(&lead.lock);
}

static int call(
	void *engine, bench_entry_fn *fn, const struct bench_size *size, struct bench_outcome *out)
{
	pthread_mutex_lock(&lead.lock);
	lead.fn = fn;
	lead.size = size;
	lead.out = out;
	int err = ask(ASKED_CALL, engine);

	pthread_mutex_unlock(&lead.lock);
	return err;
}

static int start_lead(void)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	int err = -pthread_create(&lead.thread, &attr, run_lead, NULL);

	pthread_attr_destroy(&attr);
	return err;
}

static int openmp_open(void **engine, int workers, const int *cpus)
{
	struct engine *e = malloc(sizeof *e);
	int *copy = malloc((size_t)workers * sizeof *copy);
	int err = e && copy ? 0 : -ENOMEM;

	if (!err && !lead.users)
		err = start_lead();
	if (err) {
		free(copy);
		free(e);
		return err;
	}
	lead.users++;
	memcpy(copy, cpus, (size_t)workers * sizeof *copy);
	*e = (struct engine){ .workers = workers, .cpus = copy };
	*engine = e;
	return 0;
}

static void openmp_close(void *engine)
{
	struct engine *e = engine;

	if (!--lead.users) {
		pthread_mutex_lock(&lead.lock);
		lead.state = ASKED_EXIT;
		pthread_cond_broadcast(&lead.changed);
		pthread_mutex_unlock(&lead.lock);
		pthread_join(lead.thread, NULL);
	}
	free(e->cpus);
	free(e);
}

int openmp_dag(const void *engine, const struct bench_dag *dag, void (*visit)(uint32_t i))
{
	const uint32_t *first = dag->first_before, *before = dag->before;

/* clang-format off */
#pragma omp parallel num_threads(openmp_workers(engine))
#pragma omp single
	for (uint32_t i = 0; i < dag->n; i++)
#pragma omp task firstprivate(i) depend(out : dag->value[i]) \
	depend(iterator(uint32_t k = first[i] : first[i + 1]), in : dag->value[before[k]])
		visit(i);
	/* clang-format on */
	return 0;
}

/*
 * The file of the library in which a function of OpenMP's interface lies, as this module is bound;
 * NULL if unknown.
 */
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

	/* there is no function that says more */
	snprintf(text, sizeof text, "%s", path ? path : "unknown");
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
		fprintf(stderr, "filch-bench: the runtime of %s would be %s\n", openmp.name,
			file ? file : "unknown");
		return NULL;
	}
	return &openmp;
}
