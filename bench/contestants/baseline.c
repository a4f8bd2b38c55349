/* SPDX-License-Identifier: Apache-2.0 */
/* baseline: one FIFO under one mutex, see baseline/baseline.h. */
#include <errno.h>
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

static int batch(void *engine, struct bench_job *job, size_t n)
{
	const struct base_submit how = { .flags = BASE_DETACHED };
	struct base_job spec[BENCH_BATCH];

	if (!n)
		return 0;
	for (size_t i = 0; i < n; i++)
		spec[i] = (struct base_job){ job[i].fn, &job[i] };
	int64_t accepted = base_submit_batch(engine, spec, n, &how);

	return accepted < 0 ? (int)accepted : accepted < (int64_t)n ? -EAGAIN : 0;
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

static const struct bench_job_ops jobs = {
	.bare = bare, .call = call, .submit = submit, .wait = reap, .batch = batch
};

const struct bench_contestant bench_baseline = {
	.abi = BENCH_ABI,
	.name = "baseline",
	.open = baseline_open,
	.close = baseline_close,
	.entry = entry_of,
	.jobs = &jobs,
};
