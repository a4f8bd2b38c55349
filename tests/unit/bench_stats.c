/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmark's figures promise: a median is the middle of the rounds, a ratio belongs to a
 * round, a round that failed counts nowhere. The shipped text is included, so that this test needs
 * nothing of the benchmark's build.
 */
#include <criterion/criterion.h>

#include "../../bench/stats.c"

#define N(array) (sizeof(array) / sizeof((array)[0]))

Test(bench_stats, the_median_of_an_odd_number_is_the_middle_one)
{
	const double sample[] = { 9, 1, 5 };
	struct bench_spread s = bench_spread_of(sample, N(sample));

	cr_assert_float_eq(s.median, 5, 1e-12);
	cr_assert_float_eq(s.min, 1, 1e-12);
	cr_assert_float_eq(s.max, 9, 1e-12);
	cr_assert_eq(s.n, 3);
}

Test(bench_stats, the_median_of_an_even_number_is_half_way_between_the_middle_two)
{
	const double sample[] = { 8, 1, 2, 100 };

	cr_assert_float_eq(bench_spread_of(sample, N(sample)).median, 5, 1e-12);
}

Test(bench_stats, the_samples_keep_their_order)
{
	double sample[] = { 3, 1, 2 };

	bench_spread_of(sample, N(sample));
	cr_assert_float_eq(sample[0], 3, 1e-12);
	cr_assert_float_eq(sample[1], 1, 1e-12);
	cr_assert_float_eq(sample[2], 2, 1e-12);
}

Test(bench_stats, a_failed_round_counts_nowhere)
{
	const double sample[] = { NAN, 4, NAN, 2, 6 };
	struct bench_spread s = bench_spread_of(sample, N(sample));

	cr_assert_eq(s.n, 3);
	cr_assert_float_eq(s.median, 4, 1e-12);
	cr_assert_float_eq(s.min, 2, 1e-12);
}

Test(bench_stats, no_sample_is_no_figure)
{
	const double failed[] = { NAN };

	cr_assert_eq(bench_spread_of(failed, 0).n, 0);
	cr_assert_eq(bench_spread_of(failed, 1).n, 0);
}

Test(bench_stats, a_ratio_above_one_is_faster_than_the_reference)
{
	const double ref[] = { 10 }, mine[] = { 4 };

	cr_assert_float_eq(bench_ratio(ref, mine, 1).median, 2.5, 1e-12);
}

Test(bench_stats, ratios_are_paired_by_round_and_not_taken_from_the_medians)
{
	/* The machine slows down round by round; each round's ratio is 2. */
	const double ref[] = { 2, 20, 200 }, mine[] = { 1, 10, 100 };
	/* The same samples of mine in other rounds: the ratio of the medians would still be 2. */
	const double crossed[] = { 100, 1, 10 };
	struct bench_spread paired = bench_ratio(ref, mine, 3),
			    other = bench_ratio(ref, crossed, 3);

	cr_assert_float_eq(paired.min, 2, 1e-12);
	cr_assert_float_eq(paired.max, 2, 1e-12);
	cr_assert_float_eq(other.min, 0.02, 1e-12);
	cr_assert_float_eq(other.median, 20, 1e-12);
	cr_assert_float_eq(other.max, 20, 1e-12);
}

Test(bench_stats, a_ratio_leaves_out_the_rounds_in_which_either_failed)
{
	const double ref[] = { 6, NAN, 6, 6 }, mine[] = { 2, 2, NAN, 0 };
	struct bench_spread s = bench_ratio(ref, mine, 4);

	cr_assert_eq(s.n, 1);
	cr_assert_float_eq(s.median, 3, 1e-12);
}

Test(bench_stats, a_percentile_is_the_sample_of_nearest_rank)
{
	double sample[100];

	for (int i = 0; i < 100; i++)
		sample[i] = 100 - i; /* 100 down to 1 */
	cr_assert_float_eq(bench_percentile(sample, 100, 0.5), 50, 1e-12);
	cr_assert_float_eq(bench_percentile(sample, 100, 0.99), 99, 1e-12);
	cr_assert_float_eq(bench_percentile(sample, 100, 1), 100, 1e-12);
	cr_assert_float_eq(bench_percentile(sample, 100, 0), 1, 1e-12);
	cr_assert_float_eq(bench_percentile(sample, 0, 0.5), 0, 1e-12);
}
