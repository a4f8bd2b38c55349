/* SPDX-License-Identifier: Apache-2.0 */
/* Results, and what is written from them: a table, JSON, a page. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "machine.h"
#include "stats.h"

/*
 * One row. Times in seconds; a ratio is "times as fast as", so above 1 is faster than the
 * reference.
 */
struct bench_result {
	char bench[24], size[40], contestant[24];
	int workers;
	struct bench_spread time, to_serial, to_baseline; /* n == 0: no such figure */
	uint64_t items; /* tasks, jobs or trips in one measurement */
	double per_item_ns;
	double over_serial_ns; /* per item, one worker only; NaN otherwise */
	bool trip;             /* a latency: its time is that of one item */
	double others;         /* that they used meanwhile, of one processor */
	bool verified;         /* value and count were right in every round */
};

struct bench_results {
	struct bench_machine machine;
	char peers[640]; /* the libraries of the peers and their versions */
	struct bench_result *row;
	size_t n;
	int rounds;
	bool quick;
};

/* The table: its head (machine and how to read it), the head of one benchmark, one row. */
void bench_table_head(FILE *out, const struct bench_results *r);
void bench_table_bench(
	FILE *out, const char *bench, const char *size, const char *about, uint64_t items);
void bench_table_row(FILE *out, const struct bench_result *row);

/* Writes JSON. Returns 0 or a negative errno. */
int bench_report_json(const struct bench_results *r, const char *path);

/*
 * Writes results.json and index.html, one file that can be mailed, into @dir (made if need be).
 * Returns 0 or a negative errno.
 */
int bench_report_dir(const struct bench_results *r, const char *dir);

#endif
