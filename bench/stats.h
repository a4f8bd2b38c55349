/* SPDX-License-Identifier: Apache-2.0 */
/* Medians, and ratios paired by round. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

struct bench_spread {
	double median, min, max;
	size_t n; /* how many samples stand behind it; 0: the rest means nothing */
};

/* Of @n samples; they are not changed. NaN samples (a round that failed) are left out. */
struct bench_spread bench_spread_of(const double *sample, size_t n);

/*
 * How many times as fast as @ref each round was, ref[i] / mine[i], where less is better: both were
 * measured in round i, so that drift of the machine hits both. Rounds in which one is NaN or not
 * positive are left out.
 */
struct bench_spread bench_ratio(const double *ref, const double *mine, size_t n);

/*
 * The value below which @share (0 to 1) of the samples lie, nearest rank; sorts @sample. 0 if there
 * are none.
 */
double bench_percentile(double *sample, size_t n, double share);

#endif
