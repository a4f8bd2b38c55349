/* SPDX-License-Identifier: Apache-2.0 */
/*
 * finish_by: when its time has come a queued job is over, and a running one is told; a late one is
 * said to be, and one that was not is left alone. And the heap of times, against a plain search.
 */
#define _GNU_SOURCE
#include <fenv.h>

#include "jobs_support.h"

#include <filch/loop.h>
#include <filch/scope.h>
#include <struct/deadlines.h>

TestSuite(finish_by, .timeout = 60);

#define SOON_NS UINT64_C(3000000)

static struct filch_submit by(const struct timespec *time)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.finish_by = time;
	return how;
}

static bool has_come(const struct timespec *time)
{
	struct timespec now = filch_after(0);

	return now.tv_sec > time->tv_sec ||
	       (now.tv_sec == time->tv_sec && now.tv_nsec >= time->tv_nsec);
}

/* Until it is told; 1 if its time has come by then. */
static int until_told(void *time)
{
	while (!filch_job_cancelled())
		sched_yield();
	return has_come(time);
}

Test(finish_by, the_heap_gives_the_earliest_whatever_was_set_and_set_again)
{
	enum { SLOTS = 100 };
	struct filchi_deadlines d;
	uint64_t at[SLOTS] = { 0 }, rng = test_seed();
	int64_t id[SLOTS];

	cr_assert(filchi_deadlines_init(&d, SLOTS));
	EQ(filchi_deadlines_first(&d), UINT64_MAX);
	for (int step = 0; step < 100000; step++) {
		uint64_t least = UINT64_MAX;

		if (test_random(&rng) % 3) {
			uint32_t slot = (uint32_t)(test_random(&rng) % SLOTS);
			uint64_t before = filchi_deadlines_first(&d);

			at[slot] = 1 + test_random(&rng) % 1000;
			id[slot] = step + 1;
			if (filchi_deadlines_set(&d, slot, id[slot], at[slot]))
				EQ(filchi_deadlines_first(&d), at[slot]);
			else
				cr_assert(filchi_deadlines_first(&d) <= at[slot] || !before);
		} else if (d.n) {
			uint64_t first = filchi_deadlines_first(&d);
			int64_t popped = filchi_deadlines_pop(&d);
			int found = 0;

			for (int i = 0; i < SLOTS; i++)
				if (at[i] && id[i] == popped) {
					EQ(at[i], first);
					at[i] = 0;
					found++;
				}
			EQ(found, 1);
		}
		for (int i = 0; i < SLOTS; i++)
			if (at[i] && at[i] < least)
				least = at[i];
		EQ(filchi_deadlines_first(&d), least);
	}
	filchi_deadlines_destroy(&d);
}

Test(finish_by, a_running_job_is_told_and_its_completion_says_that_it_was_late)
{
	struct filch_completion c = { .status = 0 };

	begin(2, 0, 0);
	for (int i = 0; i < 20 || c.status != 1; i++) {
		struct timespec time = filch_after(SOON_NS / 10 * (uint64_t)i);
		struct filch_submit how = by(&time);

		EQ(filch_wait(pool, filch_submit(pool, until_told, &time, &how), NULL, &c), 0);
		/* the earliest may have come before it started */
		cr_assert(c.status == 1 || (c.status == -ETIMEDOUT && c.worker == -1));
		EQ(c.flags, FILCH_DONE_LATE);
	}
	end();
}

Test(finish_by, a_queued_job_ends_at_its_time_though_no_worker_is_free)
{
	struct timespec time, far = filch_after(UINT64_C(3600000000000));
	struct filch_submit how = by(&time), other = by(&far);
	struct filch_lane_stats lane = FILCH_LANE_STATS_INIT;
	struct hold h = HOLD_INIT;
	struct filch_completion c;
	int64_t id, left;
	int n = 0;

	begin(1, 0, 0);
	hold_worker(&h);
	time = filch_after(SOON_NS);
	how.lane = 5;
	left = filch_submit(pool, answer, &n, &other);
	id = filch_submit(pool, answer, &n, &how);
	EQ(filch_wait(pool, id, NULL, &c), 0); /* while the one worker is held */
	cr_assert(has_come(&time));
	EQ(c.status, -ETIMEDOUT);
	EQ(c.flags, FILCH_DONE_LATE);
	EQ(c.worker, -1);
	EQ(c.run_ns, 0);
	EQ(n, 0);
	EQ(filch_pool_lane_stats(pool, 5, &lane), 0);
	EQ(lane.shed, 1);
	EQ(stats().expired, 1);
	let_go(&h);
	EQ(filch_wait(pool, left, NULL, &c), 0);
	EQ(c.status, 42);
	EQ(c.flags, 0);
	EQ(n, 1);
	end();
}

static struct gate ended = GATE_INIT;
static _Atomic int leaves;

static void note_end(const struct filch_completion *c)
{
	cr_assert(c->flags & FILCH_DONE_LATE);
	EQ(c->status, -ETIMEDOUT);
	gate_raise(&ended);
	if (leaves)
		pthread_exit(NULL);
}

/* Also one that leaves the thread: the next time is told all the same. */
Test(finish_by, callbacks_of_what_it_ends_are_called)
{
	struct hold h = HOLD_INIT;

	begin(1, 0, 0);
	hold_worker(&h);
	for (int i = 1; i <= 20; i++) {
		struct timespec time = filch_after(SOON_NS / 20);
		struct filch_submit how = by(&time);

		leaves = i % 3 == 0;
		how.on_complete = note_end;
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
		gate_wait(&ended, i);
	}
	let_go(&h);
	end();
}

static int cpus_of_timer, rounding_of_timer;

static int cpus_here(void)
{
	cpu_set_t set;

	EQ(sched_getaffinity(0, sizeof set, &set), 0);
	return CPU_COUNT(&set);
}

static void note_what_it_has(const struct filch_completion *c)
{
	(void)c;
	cpus_of_timer = cpus_here();
	rounding_of_timer = fegetround();
	(void)fesetround(FE_TOWARDZERO); /* for the next callback to find */
	gate_raise(&ended);
}

static int submit_late_ones(void *unused)
{
	struct timespec time;
	struct filch_submit how = by(&time);

	(void)unused;
	(void)fesetround(FE_UPWARD);
	how.on_complete = note_what_it_has;
	for (int i = 1; i <= 2; i++) {
		time = filch_after(SOON_NS);
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
		gate_wait(&ended, i); /* the one worker is here, so the timer ends it */
		EQ(rounding_of_timer, FE_TONEAREST);
	}
	return 0;
}

Test(finish_by, the_timer_has_what_the_creator_has_though_a_job_was_the_first)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(wait_status(filch_submit(pool, submit_late_ones, NULL, NULL)), 0);
	EQ(cpus_of_timer, cpus_here());
	end();
}

/* Slots are used again while times of jobs that are over have not come. */
Test(finish_by, a_job_that_is_over_in_time_leaves_nothing_to_the_next_in_its_slot)
{
	struct filch_completion c;

	begin(2, 8, 8);
	for (int i = 0; i < 2000; i++) {
		struct timespec time = filch_after(i % 2 ? SOON_NS : UINT64_C(3600000000000));
		struct filch_submit how = by(&time);
		int64_t id = filch_submit(pool, answer, NULL, i % 3 ? &how : NULL);

		EQ(filch_wait(pool, id, NULL, &c), 0);
		if (c.status == 42 && c.flags)
			cr_assert(has_come(&time)); /* this machine was away for so long */
		else if (!(i % 3) || i % 2 == 0)
			EQ(c.status, 42);
	}
	end();
}

static void endless(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)arg;
	sched_yield();
}

static int loop_to_the_end_of_time(void *arg)
{
	return filch_for(NULL, 0, SIZE_MAX, 1, endless, arg);
}

Test(finish_by, loops_end_and_a_scope_from_outside_has_its_time)
{
	struct filch_scope_config config = FILCH_SCOPE_INIT;
	struct timespec time;
	struct hold h = HOLD_INIT;
	int error = 0;

	begin(2, 0, 0);
	config.finish_by = &time;
	/* a busy machine may not start it by the first of these times */
	for (uint64_t ns = SOON_NS; error != -ECANCELED; ns *= 2) {
		time = filch_after(ns);
		error = filch_scope(pool, &config, loop_to_the_end_of_time, NULL);
		cr_assert(error == -ECANCELED || error == -ETIMEDOUT, "%d", error);
		cr_assert(has_come(&time));
	}
	end();
	begin(1, 0, 0);
	hold_worker(&h);
	time = filch_after(SOON_NS);
	EQ(filch_scope(pool, &config, loop_to_the_end_of_time, NULL), -ETIMEDOUT);
	time.tv_nsec = 1000000000;
	EQ(filch_scope(pool, &config, loop_to_the_end_of_time, NULL), -EINVAL);
	let_go(&h);
	end();
}

/* In every way to submit: a batch, after others, by the submitter, in vain. */
Test(finish_by, every_way_to_submit_takes_it)
{
	struct timespec time = filch_after(SOON_NS), wrong = { 0, -1 };
	struct filch_submit how = by(&time), bad = by(&wrong);
	struct filch_job_spec spec[3];
	struct filch_completion c;
	struct hold h = HOLD_INIT;
	int64_t id[3], after;

	begin(1, 4, 16);
	hold_worker(&h);
	EQ(filch_submit(pool, answer, NULL, &bad), -EINVAL);
	for (int i = 0; i < 3; i++)
		spec[i] = (struct filch_job_spec){ answer, NULL, NULL };
	EQ(filch_submit_batch(pool, spec, 3, &how, id), 3);
	how.after = &h.id;
	how.after_count = 1;
	after = filch_submit(pool, answer, NULL, &how);
	cr_assert(after > 0);
	for (int i = 0; i < 3; i++) {
		EQ(filch_wait(pool, id[i], NULL, &c), 0);
		EQ(c.status, -ETIMEDOUT);
	}
	EQ(filch_wait(pool, after, NULL, &c), 0);
	EQ(c.status, -ETIMEDOUT);
	EQ(c.flags, FILCH_DONE_LATE);
	for (int i = 0; i < 4; i++)
		cr_assert((id[0] = filch_submit(pool, answer, NULL, NULL)) > 0);
	how = by(&time);
	how.when_full = FILCH_CALLER_RUNS;
	time = filch_after(SOON_NS);
	EQ(filch_wait(pool, filch_submit(pool, until_told, &time, &how), NULL, &c), 0);
	cr_assert(c.status == 1 || c.status == -ETIMEDOUT);
	EQ(c.flags, FILCH_DONE_LATE);
	let_go(&h);
	EQ(filch_pool_drain(pool, NULL), 0);
	end();
}
