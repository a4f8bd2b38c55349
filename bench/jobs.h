/* SPDX-License-Identifier: Apache-2.0 */
/* The job benchmarks, the same for every contestant. */
#ifndef BENCH_JOBS_H
#define BENCH_JOBS_H

#include "bench.h"

/*
 * Each measures once. Returns 1 if the contestant has no such form, else 0 or a negative errno;
 * value[] as said; `out` says what ran: value[0] = jobs whose result was right and that ran once,
 * tasks = completions counted. A serial contestant (no submit) calls the function directly.
 *
 * jobs_bare:  arg: producers, jobs, rounds of work. value: seconds until the last job has run;
 * nobody waits for a single one; and
 *             the 99.9th percentile of the time of a submit, in seconds, over every SAMPLE-th
 *             submit of all producers.
 * jobs_batch: the same as jobs_bare, submitted BENCH_BATCH at a time; the seconds alone.
 * jobs_ids:   the same, but each producer keeps up to 256 jobs under way and reaps every one by its
 *             id.
 * jobs_trips: arg: trips, pause before each in ns. value: median and 99th percentile of one trip,
 * in seconds.
 */
typedef int bench_jobs_fn(const struct bench_contestant *c, void *engine,
	const struct bench_size *size, double value[2], struct bench_outcome *out);
bench_jobs_fn bench_jobs_bare, bench_jobs_batch, bench_jobs_ids, bench_jobs_trips;

/* Seconds on CLOCK_MONOTONIC. */
double bench_now(void);

/* Lets parked threads park: called before a measurement, never to be right. */
void bench_pause(uint64_t ns);

#endif
