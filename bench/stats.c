/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Medians and paired ratios.
 *
 * The ratio's median is taken over the rounds' ratios, not from the medians: two contestants that
 * both slow down in a bad round keep their ratio. The spread is the range of the rounds, not a
 * deviation: nothing here is distributed normally.
 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct bench_spread bench_spread_of(const double *sample, size_t n)
{
	struct bench_spread s = { 0 };
	double *sorted = malloc((n ? n : 1) * sizeof *sorted);

	if (!sorted)
		return s;
	for (size_t i = 0; i < n; i++)
		if (!isnan(sample[i]))
			sorted[s.n++] = sample[i];
	if (s.n) {
		qsort(sorted, s.n, sizeof *sorted, by_value);
		s.min = sorted[0];
		s.max = sorted[s.n - 1];
		s.median = s.n % 2 ? sorted[s.n / 2] : (sorted[s.n / 2 - 1] + sorted[s.n / 2]) / 2;
	}
	free(sorted);
	return s;
}

struct bench_spread bench_ratio(const double *ref, const double *mine, size_t n)
{
	struct bench_spread s = { 0 };
	double *ratio = malloc((n ? n : 1) * sizeof *ratio);

	if (!ratio)
		return s;
	for (size_t i = 0; i < n; i++)
		/* false for NaN as well */
		ratio[i] = ref[i] > 0 && mine[i] > 0 ? ref[i] / mine[i] : NAN;
	s = bench_spread_of(ratio, n);
	free(ratio);
	return s;
}

double bench_percentile(double *sample, size_t n, double share)
{
	if (!n)
		return 0;
	qsort(sample, n, sizeof *sample, by_value);
	size_t rank = (size_t)ceil(share * (double)n);

	return sample[rank ? (rank <= n ? rank - 1 : n - 1) : 0];
}
