/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which rounds, where the time does not suffice for all. */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#define BENCH_ENTRANTS_MAX 64
#define BENCH_ROUNDS_MIN   3

/*
 * The order in which rounds are given to those that cannot have all: rank[r] is round r's place in
 * it. Golden-section steps spread any first few over the whole, and since all follow the same
 * order, who has fewer rounds shares them with who has more: ratios stay paired.
 */
void bench_rounds_rank(int *rank, int rounds);

/*
 * How many rounds each entrant gets, so that the row takes about @seconds: cost[i] is what a round
 * of it takes, 0 that it is not in. The cheap ones first: what they leave of an equal share is the
 * dearer ones'. Never fewer than BENCH_ROUNDS_MIN.
 */
void bench_rounds_share(const double *cost, int *share, int entrants, int rounds, double seconds);

#endif
