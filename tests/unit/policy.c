/* SPDX-License-Identifier: Apache-2.0 */
/* policy: what the scheduler decides, number by number. That it is enough: idle.c and others. */
#include <criterion/criterion.h>
#include <struct/policy.h>

static uint64_t counts(int64_t searching, uint64_t bound, uint64_t free)
{
	return (uint64_t)searching * FILCHI_IDLE_SEARCHER + bound * FILCHI_IDLE_BOUND +
	       free * FILCHI_IDLE_FREE;
}

/* Of eight workers. */
static enum filchi_asked asked(int64_t searching, uint64_t bound, uint64_t free)
{
	return filchi_policy_asked(counts(searching, bound, free), 8);
}

Test(policy, a_push_wakes_whom_no_searcher_will_wake)
{
	cr_assert_eq(asked(0, 0, 0), FILCHI_ASKED_NOBODY);
	cr_assert_eq(asked(3, 0, 0), FILCHI_ASKED_NOBODY);
	cr_assert_eq(asked(0, 0, 5), FILCHI_ASKED_ANY);
	cr_assert_eq(asked(0, 2, 0), FILCHI_ASKED_ANY);
	cr_assert_eq(asked(1, 0, 6), FILCHI_ASKED_LATER, "one is busy");
	cr_assert_eq(asked(1, 1, 5), FILCHI_ASKED_BOUND);
	cr_assert_eq(asked(1, 1, 0), FILCHI_ASKED_BOUND, "no free one is left to be woken");
}

Test(policy, as_many_are_to_search_as_are_busy)
{
	cr_assert_eq(asked(1, 0, 5), FILCHI_ASKED_ANY, "two are busy");
	cr_assert_eq(asked(2, 0, 4), FILCHI_ASKED_LATER);
	cr_assert_eq(asked(2, 1, 2), FILCHI_ASKED_ANY, "three are busy");
	cr_assert(filchi_policy_grows(counts(0, 0, 7), 8));
	cr_assert(!filchi_policy_grows(counts(1, 0, 6), 8));
	cr_assert(!filchi_policy_grows(counts(0, 7, 0), 8), "bound ones do not search");
	cr_assert(!filchi_policy_grows(counts(0, 0, 8), 8), "nobody is busy");
	cr_assert(!filchi_policy_grows(counts(0, 0, 7), 0), "none may run: the pool is paused");
}

Test(policy, a_spawner_trusts_after_so_many_pushes_in_vain_and_begins_anew)
{
	uint32_t vain = 0;

	for (int times = 0; times < 3; times++) {
		for (uint32_t i = 1; i < FILCHI_TRUST_AFTER; i++)
			cr_assert_eq(filchi_policy_then(FILCHI_ASKED_LATER, false, true, &vain),
				FILCHI_THEN_ASK);
		cr_assert_eq(filchi_policy_then(FILCHI_ASKED_BOUND, false, true, &vain),
			FILCHI_THEN_TRUST);
		cr_assert_eq(vain, 0);
	}
	for (uint32_t i = 1; i < FILCHI_TRUST_AFTER; i++)
		(void)filchi_policy_then(FILCHI_ASKED_LATER, false, true, &vain);
	cr_assert_eq(filchi_policy_then(FILCHI_ASKED_BOUND, true, true, &vain), FILCHI_THEN_ASK,
		"this one has woken somebody");
	cr_assert_eq(vain, 0);
	for (uint32_t i = 1; i < FILCHI_TRUST_AFTER; i++)
		(void)filchi_policy_then(FILCHI_ASKED_LATER, false, true, &vain);
	cr_assert_eq(filchi_policy_then(FILCHI_ASKED_ANY, false, true, &vain), FILCHI_THEN_ASK,
		"where nobody searches there is nobody to trust");
	cr_assert_eq(filchi_policy_then(FILCHI_ASKED_ANY, true, false, &vain), FILCHI_THEN_LOW);
	cr_assert_eq(filchi_policy_then(FILCHI_ASKED_BOUND, false, false, &vain), FILCHI_THEN_LOW);
}

/* A waker that has not counted yet leaves the number of searchers below 0. */
Test(policy, searchers_below_zero_are_none)
{
	cr_assert_eq(asked(-1, 0, 5), FILCHI_ASKED_ANY);
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

Test(policy, searchers_that_nobody_has_seen_for_long_are_missing_where_there_are_cores_for_more)
{
	cr_assert(filchi_policy_may_miss(counts(1, 0, 7), 8, 2), "one awake on two cores");
	cr_assert(filchi_policy_may_miss(counts(1, 0, 6), 8, 2));
	cr_assert(!filchi_policy_may_miss(counts(1, 0, 5), 8, 2), "three share two cores");
	cr_assert(!filchi_policy_may_miss(counts(1, 1, 0), 2, 2), "no free one is left");
	cr_assert(!filchi_policy_missing(1000 + FILCHI_MISSING_NS, 1000));
	cr_assert(filchi_policy_missing(1001 + FILCHI_MISSING_NS, 1000));
	cr_assert(!filchi_policy_missing(1000, 2000), "somebody else has read the clock later");
}
