/* SPDX-License-Identifier: Apache-2.0 */
/* filch-bench's command line. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>

#define BENCH_WORKERS_MAX   256
#define BENCH_WORKERS_N_MAX 16
#define BENCH_ROUNDS_MAX    10000

struct bench_options {
	const char *only, *contestants, *json, *report;
	int workers[BENCH_WORKERS_N_MAX], workers_n;
	int rounds;
	double seconds; /* for all rounds together; 0: no limit */
	bool quick, check, list;
	bool busy; /* ratios of several workers also while others use the processors */
};

/*
 * Fills @o, which is all zero. Returns -1 to go on, else the exit status; what is wrong, or the
 * help, is printed.
 */
int bench_options_parse(int argc, char **argv, struct bench_options *o);

/* Whether @name is in the comma-separated @list; a NULL list holds everything. */
bool bench_listed(const char *list, const char *name);

#endif
