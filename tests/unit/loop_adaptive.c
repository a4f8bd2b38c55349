/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops without a fixed grain, and cancelled loops: few long bodies get a worker each, long bodies
 * of long loops are shared, tiny loops wake nobody; once a job is cancelled no body starts, and the
 * loop says so.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <sched.h>
#include <stdlib.h>

/* --- sharing ---------------------------------------------------------- */

static struct gate inside = GATE_INIT;
static int all;

/* Returns when as many bodies are inside as there are workers. */
static void meet(size_t b, size_t e, void *arg)
{
	(void)arg;
	EQ(e - b, 1);
	gate_raise(&inside);
	gate_wait(&inside, all);
}

static void meet_and_add(size_t b, size_t e, void *acc, void *arg)
{
	meet(b, e, arg);
	*(size_t *)acc += b;
}

static void add_sizes(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(size_t *)acc += *(const size_t *)right;
}

Test(loop_adaptive, as_many_bodies_as_workers_all_run_at_once)
{
	const uint32_t workers[] = { 2, 3, 4, 8 };
	const size_t zero = 0;

	for (int i = 0; i < 4; i++) {
		for (int caller = 0; caller < 2; caller++) {
			struct filch_pool *pool =
				pool_of(workers[i], caller ? FILCH_POOL_CALLER : 0);
			size_t n = workers[i], sum = 0;

			for (int round = 0; round < 10; round++) {
				all += (int)n;
				EQ(filch_for(pool, 0, n, 0, meet, NULL), 0);
				all += (int)n;
				EQ(filch_for(pool, 7, 7 + n, 1, meet, NULL), 0);
				for (size_t grain = 0; grain < 2; grain++) {
					all += (int)n;
					EQ(filch_reduce(pool, 0, n, grain, sizeof sum, &zero,
						   meet_and_add, add_sizes, NULL, &sum),
						0);
					EQ(sum, n * (n - 1) / 2);
				}
			}
			EQ(filch_pool_destroy(pool), 0);
		}
	}
}

static struct gate last_began = GATE_INIT;

/*
 * Long enough to end the serial start; body 10 waits for the last one, which must therefore be some
 * other worker's.
 */
static void wait_for_the_last(size_t b, size_t e, void *arg)
{
	uint64_t since = test_now();

	for (size_t i = b; i < e; i++) {
		if (i == 999)
			gate_raise(&last_began);
		if (i == 10)
			gate_wait(&last_began, *(int *)arg);
	}
	while (test_now() - since < 20000)
		;
}

static void wait_for_the_last_and_add(size_t b, size_t e, void *acc, void *arg)
{
	wait_for_the_last(b, e, arg);
	for (size_t i = b; i < e; i++)
		*(size_t *)acc += i;
}

Test(loop_adaptive, a_long_body_holds_up_nothing_but_itself)
{
	struct filch_pool *pool = pool_of(2, 0);
	const size_t zero = 0;
	size_t sum = 0;
	int times = 0;

	for (int round = 0; round < 5; round++) {
		times++;
		EQ(filch_for(pool, 0, 1000, 0, wait_for_the_last, &times), 0);
		times++;
		EQ(filch_for(pool, 0, 1000, 1, wait_for_the_last, &times), 0);
		times++;
		EQ(filch_reduce(pool, 0, 1000, 0, sizeof sum, &zero, wait_for_the_last_and_add,
			   add_sizes, &times, &sum),
			0);
		EQ(sum, 499500);
		EQ(gate_count(&last_began), times);
	}
	EQ(filch_pool_destroy(pool), 0);
}

static int cells[1000];

static void tiny(size_t b, size_t e, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++)
		cells[i]++;
}

static struct filch_stats stats_of(struct filch_pool *pool)
{
	struct filch_stats s = FILCH_STATS_INIT;

	EQ(filch_pool_stats(pool, &s), 0);
	return s;
}

/*
 * Each try begins with everybody else asleep. One in which this thread lost its core for a while
 * may wake somebody, rightly; a loop that spawned would wake somebody in every try.
 */
Test(loop_adaptive, a_loop_of_tiny_bodies_wakes_nobody)
{
	struct filch_pool *pool = pool_of(3, FILCH_POOL_CALLER);
	int quiet = 0, tries = 0;

	while (quiet < 3 && tries < 1000) {
		struct filch_stats before, after;

		while ((before = stats_of(pool)).asleep < 2)
			sched_yield();
		EQ(filch_for(pool, 0, 1000, 0, tiny, NULL), 0);
		after = stats_of(pool);
		quiet += after.wakes == before.wakes && after.asked == before.asked &&
			 after.steals == before.steals;
		tries++;
	}
	cr_assert(quiet == 3, "%d of %d loops disturbed nobody", quiet, tries);
	for (int i = 0; i < 1000; i++)
		EQ(cells[i], tries);
	EQ(stats_of(pool).jobs, tries);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- cancellation ----------------------------------------------------- */

static struct filch_pool *here;
static int begun, begun_after, raised;

/* One body, of whatever kind; the 100th cancels the job it is part of. */
static void count_one(void)
{
	if (__atomic_load_n(&raised, __ATOMIC_SEQ_CST))
		__atomic_fetch_add(&begun_after, 1, __ATOMIC_SEQ_CST);
	if (__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST) == 100) {
		EQ(filch_cancel(here, filch_job_id()), 0);
		__atomic_store_n(&raised, 1, __ATOMIC_SEQ_CST);
	}
}

static void body_for(size_t b, size_t e, void *arg)
{
	(void)arg;
	EQ(e - b, 1);
	count_one();
}

static void body_reduce(size_t b, size_t e, void *acc, void *arg)
{
	(void)acc;
	body_for(b, e, arg);
}

static void body_scan(size_t b, size_t e, void *acc, bool write, void *arg)
{
	(void)acc;
	(void)write;
	body_for(b, e, arg);
}

static void body_invoke(void *arg)
{
	(void)arg;
	count_one();
}

enum { FOR, REDUCE, SCAN, INVOKE, KINDS };
static size_t result;

static int run_kind(struct filch_pool *pool, int kind)
{
	static void (*fn[5000])(void *);
	const size_t zero = 0;

	switch (kind) {
	case FOR:
		return filch_for(pool, 0, 5000, 1, body_for, NULL);
	case REDUCE:
		return filch_reduce(pool, 0, 5000, 1, sizeof result, &zero, body_reduce, add_sizes,
			NULL, &result);
	case SCAN:
		return filch_scan(pool, 0, 5000, 1, sizeof result, &zero, body_scan, add_sizes,
			NULL, &result);
	default:
		for (int i = 0; i < 5000; i++)
			fn[i] = body_invoke;
		return filch_invoke(pool, 5000, fn, NULL);
	}
}

static int kind_in_a_job(void *arg)
{
	return run_kind(NULL, *(int *)arg);
}

/*
 * A body whose check came before the cancellation may begin after it: one on each other worker, no
 * more. On one worker the 100th is the last.
 */
static void check_cancelled(int error, uint32_t workers)
{
	EQ(error, -ECANCELED);
	cr_assert(begun_after <= (int)workers - 1, "%d bodies began after the flag, on %u workers",
		begun_after, workers);
	if (workers == 1)
		EQ(begun, 100);
	cr_assert(begun < 5000);
	EQ(result, 77);
	begun = begun_after = raised = 0;
}

Test(loop_adaptive, once_the_job_is_cancelled_no_body_starts_and_the_loop_says_so)
{
	for (uint32_t workers = 1; workers <= 4; workers *= 2) {
		struct filch_completion c;

		here = pool_of(workers, 0);
		result = 77;
		for (int round = 0; round < 20; round++) {
			for (int kind = 0; kind < KINDS; kind++) {
				EQ(filch_wait(here, filch_submit(here, kind_in_a_job, &kind, NULL),
					   NULL, &c),
					0);
				check_cancelled(c.status, workers);
				/* from outside the loop is the job */
				check_cancelled(run_kind(here, kind), workers);
			}
		}
		EQ(filch_pool_destroy(here), 0);
	}
}

Test(loop_adaptive, a_loop_of_the_creating_thread_can_be_cancelled)
{
	for (uint32_t workers = 1; workers <= 3; workers++) {
		here = pool_of(workers, FILCH_POOL_CALLER);
		result = 77;
		for (int round = 0; round < 20; round++)
			for (int kind = 0; kind < KINDS; kind++)
				check_cancelled(run_kind(here, kind), workers);
		begun = 100; /* the hundredth is over: nobody cancels */
		EQ(run_kind(here, FOR), 0);
		EQ(begun, 5100);
		begun = 0;
		EQ(filch_pool_destroy(here), 0);
	}
}

static void body_any(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)arg;
	__atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);
}

static int loops_of_a_cancelled_job(void *arg)
{
	(void)arg;
	EQ(filch_cancel(here, filch_job_id()), 0);
	for (int kind = 0; kind < KINDS; kind++)
		EQ(run_kind(NULL, kind), -ECANCELED);
	EQ(filch_for(NULL, 0, 3, 0, body_any, NULL), -ECANCELED);
	EQ(filch_for(NULL, 0, 1, 0, body_any, NULL), -ECANCELED);
	EQ(filch_for(NULL, 0, 0, 0, body_any, NULL), 0); /* nothing was left out */
	return 5;
}

Test(loop_adaptive, a_job_that_is_cancelled_already_runs_no_body)
{
	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct filch_completion c;

		here = pool_of(workers, 0);
		result = 77;
		EQ(filch_wait(here, filch_submit(here, loops_of_a_cancelled_job, NULL, NULL), NULL,
			   &c),
			0);
		EQ(c.status, 5);
		EQ(begun, 0);
		EQ(result, 77);
		EQ(filch_pool_destroy(here), 0);
	}
}

static void cancel_if_last(size_t b, size_t e, void *arg)
{
	(void)arg;
	__atomic_fetch_add(&begun, (int)(e - b), __ATOMIC_SEQ_CST);
	if (e == 2000)
		EQ(filch_cancel(here, filch_job_id()), 0);
}

Test(loop_adaptive, a_loop_whose_every_body_ran_is_not_cancelled)
{
	here = pool_of(1, 0);
	EQ(filch_for(here, 0, 2000, 1, cancel_if_last, NULL), 0);
	EQ(begun, 2000);
	EQ(filch_pool_destroy(here), 0);
}

/* --- memory ----------------------------------------------------------- */

Test(loop_adaptive, accumulators_that_no_memory_is_there_for_are_an_error_and_run_nothing)
{
	const size_t huge[] = { SIZE_MAX / 2, SIZE_MAX / 5 };
	struct filch_pool *pool = pool_of(2, 0);
	const size_t zero = 0;

#if defined(UNIT_ADDRESS_SANITIZER) || defined(__SANITIZE_THREAD__)
	EQ(filch_pool_destroy(pool), 0);
	cr_skip_test("the sanitizer ends a program that asks malloc for too much");
#endif
	result = 77;
	for (int i = 0; i < 2; i++) {
		EQ(filch_reduce(
			   pool, 0, 100, 0, huge[i], &zero, body_reduce, add_sizes, NULL, &result),
			-ENOMEM);
		EQ(filch_scan(pool, 0, 100, 0, huge[i], &zero, body_scan, add_sizes, NULL, &result),
			-ENOMEM);
	}
	EQ(result, 77);
	EQ(begun, 0);
	EQ(filch_pool_destroy(pool), 0);
}
