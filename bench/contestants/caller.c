/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caller: filch with FILCH_POOL_CALLER, the driver's thread being worker 0 while it is inside a
 * call; for the programs that call from outside again and again. It runs filch's own compilation of
 * them. The thread is pinned meanwhile to where worker 0 of the others sits, so that no two workers
 * share a core.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <filch/filch.h>
#include <sched.h>
#include <string.h>

#include "bench.h"
#include "options.h"

bench_entry_fn bench_heat_filch;

static int first_cpu;

static int caller_open(void **engine, int workers, const int *cpus)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool = NULL;
	char cpuset[8 * BENCH_WORKERS_MAX];

	bench_cpuset(cpus, workers, cpuset, sizeof cpuset);
	config.cpuset = cpuset; /* the same cores as all others */
	config.workers = (uint32_t)workers;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_PIN; /* as every contestant */
	int err = filch_pool_create(&pool, &config);

	if (err == -EINVAL) { /* more workers than usable cores */
		config.flags |= FILCH_POOL_OVERSUBSCRIBE;
		err = filch_pool_create(&pool, &config);
	}
	*engine = pool;
	first_cpu = cpus[0];
	return err;
}

static void caller_close(void *engine)
{
	filch_pool_destroy(engine);
}

static bench_entry_fn *entry_of(const char *program)
{
	return strcmp(program, "heat") ? NULL : bench_heat_filch;
}

static int call(
	void *engine, bench_entry_fn *fn, const struct bench_size *size, struct bench_outcome *out)
{
	cpu_set_t before;
	int known = !sched_getaffinity(0, sizeof before, &before);

	bench_pin(first_cpu);
	int err = fn(engine, size, out);

	if (known)
		sched_setaffinity(0, sizeof before, &before);
	return err;
}

const struct bench_contestant bench_caller = {
	.abi = BENCH_ABI,
	.name = "caller",
	.open = caller_open,
	.close = caller_close,
	.entry = entry_of,
	.call = call,
};
