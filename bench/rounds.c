/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which rounds: the arithmetic of it, without a clock. */
#include "rounds.h"

#include <math.h>

void bench_rounds_rank(int *rank, int rounds)
{
	double at = 0.5;

	for (int r = 0; r < rounds; r++)
		rank[r] = -1;
	for (int k = 0; k < rounds; k++, at += 0.6180339887498949) {
		int r = (int)((at - floor(at)) * rounds) % rounds;

		while (rank[r] >= 0)
			r = (r + 1) % rounds;
		rank[r] = k;
	}
}

void bench_rounds_share(const double *cost, int *share, int entrants, int rounds, double seconds)
{
	int order[BENCH_ENTRANTS_MAX], n = 0;

	for (int i = 0; i < entrants; i++) {
		int k = n;

		share[i] = rounds;
		if (!(cost[i] > 0))
			continue;
		for (; k > 0 && cost[order[k - 1]] > cost[i]; k--)
			order[k] = order[k - 1];
		order[k] = i;
		n++;
	}
	for (int k = 0; k < n && seconds > 0; k++) {
		int i = order[k];
		double fit = seconds > 0 ? seconds / (n - k) / cost[i] : 0;

		share[i] = fit < rounds ? (int)fit : rounds;
		if (share[i] < BENCH_ROUNDS_MIN)
			share[i] = rounds < BENCH_ROUNDS_MIN ? rounds : BENCH_ROUNDS_MIN;
		seconds -= share[i] * cost[i];
		if (seconds <= 0)
			seconds = 1e-9;
	}
}
