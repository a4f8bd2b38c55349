/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle: the counts are exact at every step, whoever ends a sleep; a waker ends the sleep it looked
 * at and no later one; a sleeper with a suspended frame is woken for work of its own jobs alone.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <struct/idle.h>
#include <sched.h>

static struct filchi_idle idle;
static struct filchi_sleeper sleeper;
static struct filchi_team team_a, team_b, team_c;
static const struct filchi_filter anything = { .any = true },
				  of_a_and_b = { .team = { &team_a, &team_b } };

static void begin(void)
{
	filchi_idle_init(&idle);
	filchi_sleeper_init(&sleeper);
}

static void counts(unsigned searching, unsigned bound, unsigned free, int line)
{
	uint64_t c = filchi_idle_posted(&idle);

	cr_assert(FILCHI_IDLE_SEARCH(c) == searching && FILCHI_IDLE_BOUNDS(c) == bound &&
			  FILCHI_IDLE_FREES(c) == free,
		"line %d: searching %llu, bound %llu, free %llu", line,
		(unsigned long long)FILCHI_IDLE_SEARCH(c),
		(unsigned long long)FILCHI_IDLE_BOUNDS(c),
		(unsigned long long)FILCHI_IDLE_FREES(c));
	EQ(FILCHI_IDLE_ASLEEP(c) != 0, bound + free != 0);
}
#define COUNTS(searching, bound, free) counts((searching), (bound), (free), __LINE__)

static uint32_t state(void)
{
	return filchi_load_acquire(&sleeper.state);
}

Test(idle, a_searcher_that_parks_is_counted_asleep_and_one_that_thinks_better_of_it_searching)
{
	begin();
	COUNTS(0, 0, 0);
	filchi_idle_search(&idle);
	COUNTS(1, 0, 0);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	COUNTS(0, 0, 1);
	EQ(FILCHI_SLEEP_KIND(state()), FILCHI_ASLEEP_FREE);
	filchi_idle_cancel(&idle, &sleeper);
	COUNTS(1, 0, 0);
	EQ(FILCHI_SLEEP_KIND(state()), FILCHI_AWAKE);
	filchi_idle_cancel(&idle, &sleeper); /* awake already */
	COUNTS(1, 0, 0);
}

Test(idle, a_worker_with_a_suspended_frame_never_was_a_searcher_and_does_not_become_one)
{
	begin();
	filchi_idle_prepare(&idle, &sleeper, &of_a_and_b);
	COUNTS(0, 1, 0);
	EQ(FILCHI_SLEEP_KIND(state()), FILCHI_ASLEEP_BOUND);
	filchi_idle_cancel(&idle, &sleeper);
	COUNTS(0, 0, 0);
	filchi_idle_prepare(&idle, &sleeper, &of_a_and_b);
	cr_assert(filchi_idle_wake(&idle, &sleeper, state()));
	COUNTS(0, 0, 0);
}

Test(idle, who_is_woken_is_a_searcher_before_it_runs)
{
	begin();
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	cr_assert(filchi_idle_wake(&idle, &sleeper, state()));
	COUNTS(1, 0, 0);
	cr_assert(!filchi_idle_wake(&idle, &sleeper, state()), "nobody is woken twice");
	COUNTS(1, 0, 0);
	/* the sleeper, too late: the waker has done the counting */
	filchi_idle_cancel(&idle, &sleeper);
	COUNTS(1, 0, 0);
	cr_assert(filchi_idle_sleep(&idle, &sleeper, NULL), "the sleep is over before it begins");
	COUNTS(1, 0, 0);
}

Test(idle, the_last_searcher_that_finds_work_while_others_sleep_is_told_so)
{
	struct filchi_sleeper second;

	begin();
	filchi_sleeper_init(&second);
	filchi_idle_search(&idle);
	cr_assert(!filchi_idle_found(&idle, &sleeper), "nobody sleeps");
	filchi_idle_search(&idle);
	filchi_idle_search(&idle);
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &second, &anything);
	COUNTS(2, 0, 1);
	cr_assert(!filchi_idle_found(&idle, &sleeper), "another searches");
	cr_assert(filchi_idle_found(&idle, &sleeper));
	COUNTS(0, 0, 1);
	cr_assert(filchi_idle_wake(&idle, &second, filchi_load_acquire(&second.state)));
	filchi_idle_prepare(&idle, &sleeper, &of_a_and_b);
	cr_assert(filchi_idle_found(&idle, &sleeper), "bound sleepers count as well");
}

Test(idle, a_waker_does_not_end_a_later_sleep)
{
	uint32_t first;

	begin();
	filchi_idle_prepare(&idle, &sleeper, &of_a_and_b);
	first = state();
	filchi_idle_cancel(&idle, &sleeper);
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	cr_assert(state() != first);
	cr_assert(!filchi_idle_wake(&idle, &sleeper, first));
	COUNTS(0, 0, 1);
	EQ(FILCHI_SLEEP_KIND(state()), FILCHI_ASLEEP_FREE);
	filchi_idle_cancel(&idle, &sleeper);
	/* the same kind again: its number tells it from the first */
	filchi_idle_prepare(&idle, &sleeper, &of_a_and_b);
	cr_assert(state() != first);
	cr_assert(!filchi_idle_wake(&idle, &sleeper, first));
	COUNTS(1, 1, 0);
}

Test(idle, the_number_of_a_sleep_wraps)
{
	begin();
	filch_store_relaxed(&sleeper.state, UINT32_MAX & ~3u);
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	EQ(state(), FILCHI_ASLEEP_FREE);
	cr_assert(filchi_idle_wake(&idle, &sleeper, state()));
	EQ(state(), FILCHI_AWAKE);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	EQ(state(), 4 | FILCHI_ASLEEP_FREE);
}

Test(idle, a_free_sleeper_serves_any_work_and_a_bound_one_its_own)
{
	begin();
	EQ(filchi_sleeper_serves(&sleeper, &team_a, NULL), 0);
	EQ(filchi_sleeper_serves(&sleeper, NULL, NULL), 0);
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	EQ(filchi_sleeper_serves(&sleeper, NULL, NULL), state());
	EQ(filchi_sleeper_serves(&sleeper, &team_c, NULL), state());
	filchi_idle_cancel(&idle, &sleeper);
	EQ(filchi_sleeper_serves(&sleeper, NULL, NULL), 0);
	filchi_idle_prepare(&idle, &sleeper, &of_a_and_b);
	EQ(filchi_sleeper_serves(&sleeper, &team_a, NULL), state());
	EQ(filchi_sleeper_serves(&sleeper, &team_b, NULL), state());
	EQ(filchi_sleeper_serves(&sleeper, &team_c, NULL), 0);
	EQ(filchi_sleeper_serves(&sleeper, NULL, NULL), 0); /* a job that has not started */
	filchi_idle_cancel(&idle, &sleeper);
	filchi_idle_prepare(&idle, &sleeper, &(struct filchi_filter){ .team = { &team_c, NULL } });
	EQ(filchi_sleeper_serves(&sleeper, &team_a, NULL), 0);
	EQ(filchi_sleeper_serves(&sleeper, &team_c, NULL), state());
	EQ(filchi_sleeper_serves(&sleeper, NULL, NULL), 0);
}

Test(idle, a_sleeper_inside_a_scope_serves_what_was_made_there)
{
	struct filchi_segment outer = { 0 }, inner = { 0 }, other = { 0 };

	begin();
	filch_store_relaxed(&inner.outer, &outer);
	filchi_idle_prepare(&idle, &sleeper,
		&(struct filchi_filter){ .team = { &team_a, &team_b }, .scope = &outer });
	EQ(filchi_sleeper_serves(&sleeper, &team_a, NULL), 0);
	EQ(filchi_sleeper_serves(&sleeper, &team_a, &other), 0);
	EQ(filchi_sleeper_serves(&sleeper, &team_a, &outer), state());
	EQ(filchi_sleeper_serves(&sleeper, &team_a, &inner), state());
	EQ(filchi_sleeper_serves(&sleeper, &team_b, NULL), state()); /* the awaited job's */
	EQ(filchi_sleeper_serves(&sleeper, &team_b, &other), state());
	filchi_idle_cancel(&idle, &sleeper);
	filchi_idle_prepare(&idle, &sleeper, &of_a_and_b);
	EQ(filchi_sleeper_serves(&sleeper, &team_a, &inner), state());
	filchi_idle_cancel(&idle, &sleeper);
}

Test(idle, a_sleep_with_a_deadline_ends_itself)
{
	struct timespec past = { 0, 1 }, soon = filch_after(1000000);

	begin();
	for (int i = 0; i < 2; i++) {
		filchi_idle_prepare(&idle, &sleeper, &of_a_and_b);
		cr_assert(!filchi_idle_sleep(&idle, &sleeper, i ? &soon : &past));
		EQ(FILCHI_SLEEP_KIND(state()), FILCHI_AWAKE);
		COUNTS(0, 0, 0);
	}
}

static void *sleep_once(void *arg)
{
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	*(bool *)arg = filchi_idle_sleep(&idle, &sleeper, NULL);
	return NULL;
}

Test(idle, a_sleeper_wakes_when_it_is_woken)
{
	for (int round = 0; round < 500; round++) {
		pthread_t thread;
		bool woken = false;
		uint32_t asleep;

		begin();
		EQ(pthread_create(&thread, NULL, sleep_once, &woken), 0);
		while (!(asleep = filchi_sleeper_serves(&sleeper, NULL, NULL)))
			sched_yield();
		cr_assert(filchi_idle_wake(&idle, &sleeper, asleep));
		EQ(pthread_join(thread, NULL), 0);
		cr_assert(woken);
		COUNTS(1, 0, 0);
	}
}

Test(idle, a_spawner_that_was_asked_lowers_the_flag_and_learns_who_sleeps)
{
	static struct filchi_deque d;

	begin();
	filch_store_relaxed(&d.hot.ask, 1);
	EQ(FILCHI_IDLE_ASLEEP(filchi_idle_asked(&idle, &d)), 0);
	EQ(filch_load_relaxed(&d.hot.ask), 0);
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	filch_store_relaxed(&d.hot.ask, 1);
	EQ(FILCHI_IDLE_FREES(filchi_idle_asked(&idle, &d)), 1);
	EQ(filch_load_relaxed(&d.hot.ask), 0);
}

Test(idle, a_trust_is_ended_once_and_by_one)
{
	begin();
	cr_assert(!filchi_idle_was_trusted(&idle));
	filchi_idle_search(&idle);
	EQ(FILCHI_IDLE_SEARCH(filchi_idle_trust(&idle)), 1);
	EQ(FILCHI_IDLE_SEARCH(filchi_idle_trust(&idle)), 1);
	cr_assert(!filchi_idle_found(&idle, &sleeper), "nobody sleeps");
	EQ(FILCHI_IDLE_SEARCH(filchi_idle_trust(&idle)), 0);
	cr_assert(filchi_idle_was_trusted(&idle));
	cr_assert(!filchi_idle_was_trusted(&idle));
}

Test(idle, a_search_is_ended_once_by_its_worker_or_in_its_place)
{
	struct filchi_sleeper second;
	bool last = false;

	begin();
	filchi_sleeper_init(&second);
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &second, &anything);
	cr_assert(!filchi_idle_miss(&idle, &second, &last), "it sleeps");
	filchi_idle_search(&idle);
	cr_assert(!filchi_idle_miss(&idle, &sleeper, &last), "its first look is not over");
	filchi_idle_lingers(&sleeper);
	COUNTS(1, 0, 1);
	cr_assert(filchi_idle_miss(&idle, &sleeper, &last));
	cr_assert(last, "who ended it owes the look");
	COUNTS(0, 0, 1);
	cr_assert(!filchi_idle_miss(&idle, &sleeper, &last), "it is ended");
	cr_assert(filchi_idle_found(&idle, &sleeper), "it looks all the same, as the last");
	COUNTS(0, 0, 1);
	filchi_idle_search(&idle);
	filchi_idle_lingers(&sleeper);
	cr_assert(filchi_idle_found(&idle, &sleeper));
	cr_assert(!filchi_idle_miss(&idle, &sleeper, &last), "it has ended itself");
	COUNTS(0, 0, 1);
}

Test(idle, a_worker_whose_search_was_ended_in_its_place_sleeps_and_is_woken_as_ever)
{
	bool last;

	begin();
	filchi_idle_search(&idle);
	filchi_idle_lingers(&sleeper);
	cr_assert(filchi_idle_miss(&idle, &sleeper, &last));
	cr_assert(!last, "nobody sleeps");
	COUNTS(0, 0, 0);
	filchi_idle_prepare(&idle, &sleeper, &anything);
	COUNTS(0, 0, 1);
	cr_assert(filchi_idle_wake(&idle, &sleeper, state()));
	COUNTS(1, 0, 0);
	cr_assert(filchi_idle_miss(&idle, &sleeper, &last), "woken, and it has not come");
	COUNTS(0, 0, 0);
	cr_assert(!filchi_idle_found(&idle, &sleeper));
	COUNTS(0, 0, 0);
}

Test(idle, a_look_ends_what_was_relied_on)
{
	begin();
	EQ(filchi_idle_relies(&idle, 5), 5);
	EQ(filchi_idle_relies(&idle, 9), 5);
	filchi_idle_looks(&idle);
	EQ(filchi_idle_relies(&idle, 12), 12);
}
