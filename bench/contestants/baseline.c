/* SPDX-License-Identifier: Apache-2.0 */
/* baseline: one FIFO under one mutex, see baseline/baseline.h. */
#include <string.h>

#include "baseline/baseline.h"
#include "bench.h"

BENCH_ENTRY_TABLE

static int baseline_open(void **engine, int workers, const int *cpus)
{
	const struct base_config config = { .workers = workers, .cpus = cpus };
	struct base_pool *pool = NULL;
	int err = base_pool_create(&pool, &config);

	*engine = pool;
	return err;
}

static void baseline_close(void *engine)
{
	base_pool_destroy(engine);
}

static int bare(void *engine, struct bench_job *job)
{
	const struct base_submit how = { .flags = BASE_DETACHED };
	int64_t id = base_submit(engine, job->fn, job, &how);

	return id < 0 ? (int)id : 0;
}

static int call(void *engine, struct bench_job *job)
{
	int64_t id = base_submit(engine, job->fn, job, NULL);

	return id < 0 ? (int)id : base_wait(engine, id, NULL);
}

static int64_t submit(void *engine, struct bench_job *job)
{
	return base_submit(engine, job->fn, job, NULL);
}

static int reap(void *engine, int64_t id)
{
	return base_wait(engine, id, NULL);
}

static const struct bench_job_ops jobs = { .bare = bare, .call = call, .submit = submit, .wait = reap };

const struct bench_contestant bench_baseline = {
	.abi = BENCH_ABI,
	.name = "baseline",
	.open = baseline_open,
	.close = baseline_close,
	.entry = entry_of,
	.jobs = &jobs,
};
