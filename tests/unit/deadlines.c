/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadlines: times far ahead stay ahead; a wait ends at its deadline also while it still looks; and
 * a job that its submitter would run too late is not run.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

static bool is_before(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

Test(deadlines, any_number_of_nanoseconds_from_now_lies_ahead)
{
	static const uint64_t ns[] = { 0, 1, 999999999, 1000000000, UINT64_MAX / 2,
		UINT64_MAX - 2000000000, UINT64_MAX };
	struct timespec last = { 0, 0 };

	for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++) {
		struct timespec now = filch_after(0), then = filch_after(ns[i]);

		cr_assert(then.tv_nsec >= 0 && then.tv_nsec < 1000000000, "%ld", then.tv_nsec);
		cr_assert(!is_before(then, now), "%llu nanoseconds on lies behind",
			(unsigned long long)ns[i]);
		cr_assert(is_before(last, then), "%llu nanoseconds on lies before a smaller number",
			(unsigned long long)ns[i]);
		cr_assert(then.tv_sec - now.tv_sec >= (time_t)(ns[i] / 1000000000));
		last = then;
	}
}

Test(deadlines, a_job_that_may_start_until_the_end_of_time_starts)
{
	const struct timespec far[] = { filch_after(UINT64_MAX),
		filch_after(UINT64_MAX - 2000000000), { 18446744074, 0 },
		{ 18446744073, 709551616 }, { INT64_MAX / 1000, 0 }, { INT64_MAX, 999999999 } };

	begin(1, 0, 0);
	for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;

		how.start_by = &far[i];
		EQ(wait_status(filch_submit(pool, answer, NULL, &how)), 42);
	}
	EQ(stats().expired, 0);
	end();
}

/* A pool that looks for seconds before it sleeps. */
static void begin_looking(uint32_t workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.search_ns = UINT32_MAX;
	EQ(filch_pool_create(&pool, &config), 0);
}

enum { WAITS = 100 }; /* if each looked to its end they would take seven minutes */

static int wait_briefly(void *arg)
{
	const struct hold *h = arg;
	int late = 0;

	for (int i = 0; i < WAITS; i++) {
		struct timespec soon = filch_after((uint64_t)i % 4 * 1000);

		late += filch_wait(pool, h->id, &soon, NULL) == -ETIMEDOUT;
	}
	return late;
}

Test(deadlines, a_wait_from_outside_ends_at_its_deadline_though_it_still_looks, .timeout = 120)
{
	struct hold h = HOLD_INIT;

	begin_looking(1);
	hold_worker(&h);
	EQ(wait_briefly(&h), WAITS);
	let_go(&h);
	end();
}

Test(deadlines, a_wait_on_a_worker_ends_at_its_deadline_though_it_still_looks, .timeout = 120)
{
	struct hold h = HOLD_INIT;

	begin_looking(2);
	hold_worker(&h);
	EQ(wait_status(filch_submit(pool, wait_briefly, &h, NULL)), WAITS);
	let_go(&h);
	end();
}

Test(deadlines, a_job_that_its_submitter_would_run_too_late_is_not_run)
{
	struct filch_submit how = policy(FILCH_CALLER_RUNS);
	struct filch_lane_stats lane = FILCH_LANE_STATS_INIT;
	struct timespec past = { 0, 1 }, later = filch_after(UINT64_C(3600000000000));
	struct hold h = HOLD_INIT;
	struct filch_completion c;
	int64_t queued;
	int n = 0;

	begin(1, 1, 0);
	hold_worker(&h);
	queued = filch_submit(pool, answer, NULL, NULL); /* full */
	how.lane = FILCH_LANE_URGENT;
	how.start_by = &past;
	EQ(filch_wait(pool, filch_submit(pool, answer, &n, &how), NULL, &c), 0);
	EQ(c.status, -ETIMEDOUT);
	EQ(c.worker, -1);
	EQ(c.run_ns, 0);
	EQ(n, 0);
	EQ(stats().expired, 1);
	EQ(filch_pool_lane_stats(pool, FILCH_LANE_URGENT, &lane), 0);
	EQ(lane.shed, 1);
	EQ(lane.completed, 0);
	EQ(lane.accepted, 1);
	how.start_by = &later;
	EQ(wait_status(filch_submit(pool, answer, &n, &how)), 42);
	EQ(n, 1);
	EQ(stats().expired, 1);
	let_go(&h);
	EQ(wait_status(queued), 42);
	end();
}
