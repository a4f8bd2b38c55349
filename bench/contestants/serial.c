/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serial: the measure of everything. It runs on the driver's thread, which the driver pins to the
 * first CPU meanwhile.
 */
#include <string.h>

#include "bench.h"

BENCH_ENTRY_TABLE

static int serial_open(void **engine, int workers, const int *cpus)
{
	(void)workers;
	(void)cpus;
	*engine = NULL;
	return 0;
}

static void serial_close(void *engine)
{
	(void)engine;
}

/* A job is a plain call, in every form. */
static int bare(void *engine, struct bench_job *job)
{
	(void)engine;
	return job->fn(job);
}

static const struct bench_job_ops jobs = { .bare = bare, .call = bare };

const struct bench_contestant bench_serial = {
	.abi = BENCH_ABI,
	.name = "serial",
	.open = serial_open,
	.close = serial_close,
	.entry = entry_of,
	.jobs = &jobs,
};
