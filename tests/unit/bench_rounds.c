/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmark promises of rounds where the time does not suffice for all: who is slow gets
 * fewer and never fewer than three, who has fewer shares them with who has more, and any first few
 * are spread over the whole. The shipped text is included.
 */
#include <criterion/criterion.h>

#include "../../bench/rounds.c"

#define ROUNDS 101

Test(bench_rounds, every_place_in_the_order_is_given_once)
{
	for (int rounds = 1; rounds <= ROUNDS; rounds++) {
		int rank[ROUNDS], seen[ROUNDS] = { 0 };

		bench_rounds_rank(rank, rounds);
		for (int r = 0; r < rounds; r++) {
			cr_assert(rank[r] >= 0 && rank[r] < rounds);
			cr_assert_eq(seen[rank[r]]++, 0, "place %d of %d twice", rank[r], rounds);
		}
	}
}

Test(bench_rounds, the_first_few_are_spread_over_the_whole)
{
	int rank[ROUNDS];

	bench_rounds_rank(rank, ROUNDS);
	for (int first = 3; first <= ROUNDS; first++) {
		int gap = 0, longest = 0;

		for (int r = 0; r < ROUNDS; r++) {
			gap = rank[r] < first ? 0 : gap + 1;
			longest = gap > longest ? gap : longest;
		}
		/* Golden-section steps leave no gap longer than 2.62 times the mean one. */
		cr_assert_leq(longest, 1 + 2.62 * ROUNDS / first,
			"%d of %d rounds leave a gap of %d", first, ROUNDS, longest);
	}
}

Test(bench_rounds, all_get_all_where_the_time_suffices_or_is_not_limited)
{
	const double cost[] = { 0.1, 0.2, 0 };
	int share[3];

	bench_rounds_share(cost, share, 3, 10, 4);
	cr_assert(share[0] == 10 && share[1] == 10 && share[2] == 10);
	bench_rounds_share(cost, share, 3, 10, 0);
	cr_assert(share[0] == 10 && share[1] == 10 && share[2] == 10);
}

Test(bench_rounds, what_the_cheap_leave_of_their_share_is_the_dearers)
{
	const double cost[] = { 1, 0.01, 0.1 };
	int share[3];

	bench_rounds_share(cost, share, 3, 10, 9);
	cr_assert(share[1] == 10 && share[2] == 10, "the cheap have all their rounds: %d, %d",
		share[1], share[2]);
	cr_assert_eq(
		share[0], 7, "9 s less 1.1 s are 7 rounds, not the third part's 3: %d", share[0]);
}

Test(bench_rounds, nobody_gets_fewer_than_three)
{
	const double cost[] = { 5, 7 };
	int share[2];

	bench_rounds_share(cost, share, 2, 10, 1e-9);
	cr_assert(share[0] == 3 && share[1] == 3);
	bench_rounds_share(cost, share, 2, 2, 1e-9);
	cr_assert(share[0] == 2 && share[1] == 2, "but when fewer were asked for");
}
