/* SPDX-License-Identifier: Apache-2.0 */
/*
 * injector: no more jobs are queued from outside than the capacity; who must wait is let in when
 * one leaves, is told when the time is up or the pool closes, and never sleeps beside free room;
 * a higher lane goes first without starving those below.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <filch/job.h>
#include <struct/injector.h>
#include <sched.h>

static struct filchi_injector q;
static filch_atomic_u32 closing;

static void begin(uint32_t capacity)
{
	EQ(filchi_injector_init(&q, 16, capacity), 0);
}

static void fill(void)
{
	while (filchi_injector_admit(&q, false))
		;
	EQ(filch_load_relaxed(&q.queued), q.capacity);
}

/* Until @n submitters are counted as blocked. */
static void await_blocked(uint32_t n)
{
	while (filchi_load_acquire(&q.blocked) != n)
		sched_yield();
}

Test(injector, as_many_are_admitted_as_the_capacity_says)
{
	begin(3);
	for (int i = 0; i < 3; i++)
		cr_assert(filchi_injector_admit(&q, false), "job %d", i);
	cr_assert(!filchi_injector_admit(&q, false));
	filchi_injector_release(&q);
	cr_assert(filchi_injector_admit(&q, false));
	cr_assert(!filchi_injector_admit(&q, false));
	filchi_injector_destroy(&q);
}

Test(injector, a_worker_is_admitted_above_the_capacity_and_others_wait_until_it_is_below_again)
{
	begin(1);
	fill();
	cr_assert(filchi_injector_admit(&q, true));
	cr_assert(filchi_injector_admit(&q, true));
	EQ(filch_load_relaxed(&q.queued), 3);
	filchi_injector_release(&q);
	filchi_injector_release(&q);
	cr_assert(!filchi_injector_admit(&q, false));
	filchi_injector_release(&q);
	cr_assert(filchi_injector_admit(&q, false));
	filchi_injector_destroy(&q);
}

Test(injector, a_wait_ends_when_the_deadline_has_passed)
{
	struct timespec soon = filch_after(2000000), past = { 0, 1 };

	begin(1);
	fill();
	EQ(filchi_injector_wait(&q, &past, &closing), -ETIMEDOUT);
	EQ(filchi_injector_wait(&q, &soon, &closing), -ETIMEDOUT);
	cr_assert(test_now() >= (uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec);
	EQ(filch_load_relaxed(&q.blocked), 0);
	EQ(filch_load_relaxed(&q.queued), 1);
	filchi_injector_destroy(&q);
}

Test(injector, a_late_wait_still_takes_room_that_is_there)
{
	struct timespec past = { 0, 1 };

	begin(1);
	EQ(filchi_injector_wait(&q, &past, &closing), 0);
	EQ(filch_load_relaxed(&q.queued), 1);
	filchi_injector_destroy(&q);
}

Test(injector, a_wait_on_a_closing_pool_is_refused)
{
	begin(1);
	filchi_store_release(&closing, 1);
	EQ(filchi_injector_wait(&q, NULL, &closing), -ESHUTDOWN);
	EQ(filch_load_relaxed(&q.blocked), 0);
	EQ(filch_load_relaxed(&q.queued), 0);
	filchi_injector_destroy(&q);
}

static void *wait_for_room(void *result)
{
	*(int *)result = filchi_injector_wait(&q, NULL, &closing);
	return NULL;
}

Test(injector, a_release_lets_a_blocked_submitter_in)
{
	pthread_t thread;
	int result = 1;

	begin(2);
	fill();
	EQ(pthread_create(&thread, NULL, wait_for_room, &result), 0);
	await_blocked(1);
	filchi_injector_release(&q);
	EQ(pthread_join(thread, NULL), 0);
	EQ(result, 0);
	EQ(filch_load_relaxed(&q.queued), 2);
	EQ(filch_load_relaxed(&q.blocked), 0);
	filchi_injector_destroy(&q);
}

Test(injector, as_many_blocked_submitters_get_in_as_are_released)
{
	enum { N = 6 };
	pthread_t thread[N];
	int result[N];

	begin(N);
	fill();
	for (int i = 0; i < N; i++)
		EQ(pthread_create(&thread[i], NULL, wait_for_room, &result[i]), 0);
	await_blocked(N);
	for (int i = 0; i < N; i++)
		filchi_injector_release(&q);
	for (int i = 0; i < N; i++) {
		EQ(pthread_join(thread[i], NULL), 0);
		EQ(result[i], 0);
	}
	EQ(filch_load_relaxed(&q.queued), N);
	filchi_injector_destroy(&q);
}

Test(injector, closing_sends_every_blocked_submitter_home)
{
	enum { N = 4 };
	pthread_t thread[N];
	int result[N];

	begin(1);
	fill();
	for (int i = 0; i < N; i++)
		EQ(pthread_create(&thread[i], NULL, wait_for_room, &result[i]), 0);
	await_blocked(N);
	filchi_store_then_fence(&closing, 1);
	filchi_injector_close(&q);
	for (int i = 0; i < N; i++) {
		EQ(pthread_join(thread[i], NULL), 0);
		EQ(result[i], -ESHUTDOWN);
	}
	EQ(filch_load_relaxed(&q.queued), 1);
	filchi_injector_destroy(&q);
}

/* What a taker gets next, and from where; the turn is taken. */
static uint32_t take(struct filchi_turns *turns, uint32_t *lane)
{
	uint32_t slot = filchi_injector_take(&q, turns, lane);

	if (slot != FILCHI_SCQ_EMPTY)
		filchi_turns_take(turns, *lane);
	return slot;
}

Test(injector, any_two_lanes_take_turns_whatever_lies_between)
{
	for (uint32_t below = 0; below < FILCH_LANES; below++) {
		for (uint32_t above = below + 1; above < FILCH_LANES; above++) {
			struct filchi_turns turns = { 0 };
			uint32_t lane = 0;

			begin(16);
			for (uint32_t turn = 1; turn <= 64; turn++) {
				bool lower = turn % (FILCHI_LANE_TURN + 1) == 0;

				filchi_injector_put(&q, below, 1);
				filchi_injector_put(&q, above, 2);
				EQ(take(&turns, &lane), lower ? 1 : 2);
				EQ(lane, lower ? below : above);
				/* what is left there, without a turn */
				EQ(filchi_injector_take(&q, &turns, &lane), lower ? 2 : 1);
				EQ(filchi_injector_take(&q, &turns, &lane), FILCHI_SCQ_EMPTY);
			}
			filchi_injector_destroy(&q);
		}
	}
}

Test(injector, a_number_that_was_no_job_is_nobodys_turn)
{
	struct filchi_turns turns = { 0 };
	uint32_t lane;

	begin(16);
	for (int i = 0; i < 20; i++) {
		filchi_injector_put(&q, 5, 3);
		EQ(filchi_injector_take(&q, &turns, &lane), 3);
	}
	filchi_injector_put(&q, 2, 4);
	filchi_injector_put(&q, 5, 3);
	EQ(filchi_injector_take(&q, &turns, &lane), 3);
	EQ(lane, 5);
	filchi_injector_destroy(&q);
}

Test(injector, it_is_empty_only_if_all_lanes_are)
{
	struct filchi_turns turns = { 0 };
	uint32_t of;

	begin(4);
	for (uint32_t lane = 0; lane < FILCH_LANES; lane++) {
		cr_assert(filchi_injector_seems_empty(&q));
		filchi_injector_put(&q, lane, 5);
		cr_assert(!filchi_injector_seems_empty(&q), "lane %u", lane);
		EQ(filchi_injector_take(&q, &turns, &of), 5);
		EQ(of, lane);
	}
	cr_assert(filchi_injector_seems_empty(&q));
	filchi_injector_destroy(&q);
}
