/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmarks and their sizes. */
#ifndef BENCH_CATALOGUE_H
#define BENCH_CATALOGUE_H

#include <stddef.h>

#include "jobs.h"

struct bench {
	const char *name;
	const char *program; /* a task program; NULL: jobs below */
	bench_jobs_fn *jobs;
	int serial;            /* whether serial takes part */
	const char *metric[2]; /* names added to the size's label; NULL = none */
	const struct bench_size *sizes;
	size_t n;
	const char *about;
};

extern const struct bench bench_catalogue[];
extern const size_t bench_catalogue_n;

#endif
