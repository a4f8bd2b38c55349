/* SPDX-License-Identifier: Apache-2.0 */
/* policy: what the scheduler decides, number by number. That it is enough: idle.c and others. */
#include <criterion/criterion.h>
#include <struct/policy.h>

static uint64_t counts(int64_t searching, uint64_t bound, uint64_t free)
{
	return (uint64_t)searching * FILCHI_IDLE_SEARCHER + bound * FILCHI_IDLE_BOUND +
	       free * FILCHI_IDLE_FREE;
}

Test(policy, a_push_wakes_whom_no_searcher_will_wake)
{
	cr_assert_eq(filchi_policy_asked(counts(0, 0, 0)), FILCHI_ASKED_NOBODY);
	cr_assert_eq(filchi_policy_asked(counts(3, 0, 0)), FILCHI_ASKED_NOBODY);
	cr_assert_eq(filchi_policy_asked(counts(0, 0, 5)), FILCHI_ASKED_ANY);
	cr_assert_eq(filchi_policy_asked(counts(0, 2, 0)), FILCHI_ASKED_ANY);
	cr_assert_eq(filchi_policy_asked(counts(1, 0, 5)), FILCHI_ASKED_LATER);
	cr_assert_eq(filchi_policy_asked(counts(1, 1, 5)), FILCHI_ASKED_BOUND);
	cr_assert_eq(filchi_policy_asked(counts(1, 1, 0)), FILCHI_ASKED_BOUND);
}

/* A waker that has not counted yet leaves the number of searchers below 0. */
Test(policy, searchers_below_zero_are_none)
{
	cr_assert_eq(filchi_policy_asked(counts(-1, 0, 5)), FILCHI_ASKED_ANY);
	cr_assert(filchi_policy_posted(counts(-1, 0, 5), 0));
	cr_assert(filchi_policy_passes_on(counts(-1, 0, 5)));
}

Test(policy, a_job_wakes_a_free_worker_unless_one_searches)
{
	cr_assert(filchi_policy_posted(counts(0, 0, 1), 0));
	cr_assert(!filchi_policy_posted(counts(0, 4, 0), 0));
	cr_assert(!filchi_policy_posted(counts(1, 0, 1), 0));
	cr_assert(filchi_policy_posted(counts(1, 0, 1), 1));
	cr_assert(!filchi_policy_posted(counts(2, 0, 1), 1));
}

Test(policy, a_worker_that_leaves_its_wait_passes_on_where_others_sleep)
{
	cr_assert(filchi_policy_passes_on(counts(0, 0, 1)));
	cr_assert(filchi_policy_passes_on(counts(0, 1, 0)));
	cr_assert(!filchi_policy_passes_on(counts(0, 0, 0)));
	cr_assert(!filchi_policy_passes_on(counts(1, 1, 1)));
}

Test(policy, sleepers_are_looked_at_nearest_first_and_oneself_first_or_last)
{
	const uint16_t order[] = { 3, 0, 1 };
	const uint32_t first[] = { 2, 3, 0, 1 }, last[] = { 3, 0, 1, 2 };

	for (uint32_t i = 0; i < 4; i++) {
		cr_assert_eq(filchi_policy_sleeper(order, 2, false, 4, i), first[i]);
		cr_assert_eq(filchi_policy_sleeper(order, 2, true, 4, i), last[i]);
	}
}

Test(policy, one_is_woken_and_no_free_one_where_a_searcher_will)
{
	cr_assert(!filchi_policy_leaves(FILCHI_ASLEEP_FREE, true, false));
	cr_assert(filchi_policy_leaves(FILCHI_ASLEEP_FREE, false, false));
	cr_assert(!filchi_policy_leaves(FILCHI_ASLEEP_BOUND, false, false));
	cr_assert(filchi_policy_leaves(FILCHI_ASLEEP_BOUND, true, true));
}

Test(policy, a_search_is_over_when_its_time_has_passed)
{
	cr_assert(!filchi_policy_search_over(1000, 1000, 20));
	cr_assert(!filchi_policy_search_over(1020, 1000, 20));
	cr_assert(filchi_policy_search_over(1021, 1000, 20));
}

Test(policy, stealing_comes_first_now_and_then)
{
	uint32_t times = 0;

	for (uint32_t turn = 1; turn <= 10 * FILCHI_STEAL_TURN; turn++)
		times += filchi_policy_steals_first(turn);
	cr_assert_eq(times, 10);
}
