/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch: as a user gets it, the default configuration but for the number of workers and for cores
 * that are always the same. It also says where everybody is pinned.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <filch/filch.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "backends/filch.h"
#include "options.h"
#include "programs/dag.h"

BENCH_ENTRY_TABLE

/* Of the plan: pools that live at once would else avoid each other's cores. */
static const int *seats;

static int create(struct filch_pool **pool, int workers, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	char cpuset[8 * BENCH_WORKERS_MAX];

	bench_cpuset(seats, workers, cpuset, sizeof cpuset);
	config.cpuset = cpuset;

	config.workers = (uint32_t)workers;
	config.flags = flags | FILCH_POOL_PIN; /* as every contestant */
	int err = filch_pool_create(pool, &config);

	if (err == -EINVAL) { /* more workers than usable cores: asked for with --workers */
		config.flags |= FILCH_POOL_OVERSUBSCRIBE;
		err = filch_pool_create(pool, &config);
	}
	return err;
}

static int filch_open(void **engine, int workers, const int *cpus)
{
	struct filch_pool *pool = NULL;

	seats = cpus;
	int err = create(&pool, workers, 0);

	*engine = pool;
	return err;
}

/*
 * Pools whose worker 0 is the driver's thread: made for tiny_caller alone, so that its threads
 * exist for nothing else.
 */
static struct {
	const void *engine;
	struct filch_pool *pool;
} caller[8];

struct filch_pool *bench_filch_caller(void *engine)
{
	size_t i = 0;

	while (i < sizeof caller / sizeof caller[0] && caller[i].pool && caller[i].engine != engine)
		i++;
	if (i == sizeof caller / sizeof caller[0])
		return NULL;
	if (!caller[i].pool) {
		if (create(&caller[i].pool, filch_pool_workers(engine), FILCH_POOL_CALLER))
			return NULL;
		caller[i].engine = engine;
	}
	return caller[i].pool;
}

static void filch_close(void *engine)
{
	for (size_t i = 0; i < sizeof caller / sizeof caller[0]; i++)
		if (caller[i].pool && caller[i].engine == engine) {
			filch_pool_destroy(caller[i].pool);
			caller[i].pool = NULL;
		}
	filch_pool_destroy(engine);
}

static int visit(void *number)
{
	bench_dag_visit((uint32_t)(uintptr_t)number);
	return 0;
}

static int add_node(struct filch_graph *graph, uint32_t i)
{
	int64_t node = filch_graph_node(graph, visit, (void *)(uintptr_t)i);
	int err = node < 0 ? (int)node : 0;

	for (uint32_t k = bench_dag.first_before[i]; k < bench_dag.first_before[i + 1] && !err; k++)
		err = filch_graph_edge(graph, bench_dag.before[k], node);
	return err;
}

int bench_filch_dag(void *engine)
{
	static struct filch_graph *graph;
	static uint32_t stamp;

	if (stamp != bench_dag.stamp) {
		int err = 0;

		if (graph)
			filch_graph_destroy(graph);
		graph = NULL;
		err = filch_graph_create(&graph);
		for (uint32_t i = 0; i < bench_dag.n && !err; i++)
			err = add_node(graph, i);
		if (err)
			return err;
		stamp = bench_dag.stamp;
	}
	return filch_graph_run(engine, graph);
}

static int bare(void *engine, struct bench_job *job)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.flags = FILCH_JOB_DETACHED;
	int64_t id = filch_submit(engine, job->fn, job, &how);

	return id < 0 ? (int)id : 0;
}

static int batch(void *engine, struct bench_job *job, size_t n)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_job_spec spec[BENCH_BATCH];

	how.flags = FILCH_JOB_DETACHED;
	if (!n)
		return 0;
	for (size_t i = 0; i < n; i++)
		spec[i] = (struct filch_job_spec){ .fn = job[i].fn, .arg = &job[i] };
	int64_t accepted = filch_submit_batch(engine, spec, n, &how, NULL);

	return accepted < 0 ? (int)accepted : accepted < (int64_t)n ? -EAGAIN : 0;
}

static int call(void *engine, struct bench_job *job)
{
	int64_t id = filch_submit(engine, job->fn, job, NULL);

	return id < 0 ? (int)id : filch_wait(engine, id, NULL, NULL);
}

static int64_t submit(void *engine, struct bench_job *job)
{
	return filch_submit(engine, job->fn, job, NULL);
}

static int reap(void *engine, int64_t id)
{
	return filch_wait(engine, id, NULL, NULL);
}

static const struct bench_job_ops jobs = {
	.bare = bare, .call = call, .submit = submit, .wait = reap, .batch = batch
};

const struct bench_contestant bench_filch = {
	.abi = BENCH_ABI,
	.name = "filch",
	.open = filch_open,
	.close = filch_close,
	.entry = entry_of,
	.jobs = &jobs,
};

struct plan {
	int *cpus; /* where each worker found itself, or -1 */
	int max;
};

/* On the worker's own thread, after filch has pinned it. */
static void note_cpu(void *arg, int worker)
{
	struct plan *plan = arg;
	cpu_set_t set;

	if (worker >= plan->max || sched_getaffinity(0, sizeof set, &set) || CPU_COUNT(&set) != 1)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((unsigned)cpu, &set))
			plan->cpus[worker] = cpu;
}

int bench_plan(int *cpus, int max)
{
	struct plan plan = { .cpus = cpus, .max = max };
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool = NULL;
	cpu_set_t set;
	int workers = 0;

	for (int i = 0; i < max; i++)
		cpus[i] = -1;
	config.on_worker_start = note_cpu;
	config.hook_arg = &plan;
	if (!filch_pool_create(&pool, &config)) {
		workers = filch_pool_workers(pool);
		filch_pool_destroy(pool); /* joins every worker: the notes are complete */
	}
	/* Where filch does not pin, the CPUs of our own mask in their order. */
	if (!sched_getaffinity(0, sizeof set, &set))
		for (int i = 0, cpu = 0; i < max; i++) {
			while (cpu < CPU_SETSIZE && !CPU_ISSET((unsigned)cpu, &set))
				cpu++;
			if (cpus[i] < 0 && cpu < CPU_SETSIZE)
				cpus[i] = cpu;
			cpu++;
		}
	for (int i = 1; i < max; i++)
		if (cpus[i] < 0)
			/* more workers than CPUs: round and round */
			cpus[i] = cpus[i % (workers > 0 ? workers : 1)];
	return workers > 0 && workers < max ? workers : max;
}
