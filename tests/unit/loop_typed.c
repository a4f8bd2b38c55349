/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FILCH_FOR_DEFINE: a loop with its body compiled in does what filch_for does. Every index once for
 * any range and grain, bodies of at most a grain, no body after a cancellation, the same errors;
 * the body may be a function, a macro, one that returns early, and nested.
 */
#include <criterion/criterion.h>

#include "unit.h"

enum { MOST = 5000 };

struct marks {
	int hit[MOST + 10];
	size_t longest;
};

static inline void hit(size_t b, size_t e, struct marks *marks)
{
	size_t length = e - b, seen = __atomic_load_n(&marks->longest, __ATOMIC_RELAXED);

	cr_assert(b < e, "a body gets no empty range");
	while (length > seen && !__atomic_compare_exchange_n(&marks->longest, &seen, length, 0,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	for (size_t i = b; i < e; i++)
		__atomic_fetch_add(&marks->hit[i], 1, __ATOMIC_RELAXED);
}
FILCH_FOR_DEFINE(hit_all, struct marks, hit);

static struct marks marks;

static void cover(struct filch_pool *pool, size_t begin, size_t end, size_t grain)
{
	memset(&marks, 0, sizeof marks);
	EQ(hit_all(pool, begin, end, grain, &marks), 0);
	for (size_t i = 0; i < MOST + 10; i++)
		cr_assert(marks.hit[i] == (i >= begin && i < end),
			"index %zu of [%zu, %zu) by %zu: %d times", i, begin, end, grain,
			marks.hit[i]);
	if (grain)
		cr_assert(marks.longest <= grain, "a range of %zu with grain %zu", marks.longest,
			grain);
}

Test(loop_typed, each_index_is_visited_once_for_every_range_and_grain)
{
	const size_t n[] = { 0, 1, 2, 3, 7, 64, 100, 1000, 4097 },
		     grain[] = { 0, 1, 2, 3, 64, 5000, SIZE_MAX };
	const uint32_t workers[] = { 1, 2, 5 };

	for (int w = 0; w < 3; w++) {
		struct filch_pool *pool = pool_of(workers[w], 0);

		for (int i = 0; i < 9; i++) {
			for (int k = 0; k < 7; k++) {
				cover(pool, 0, n[i], grain[k]);
				cover(pool, 5, 5 + n[i], grain[k]);
			}
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}

static size_t items;

static void add_length(size_t b, size_t e, const char *text)
{
	cr_assert(!strcmp(text, "constant"));
	__atomic_fetch_add(&items, e - b, __ATOMIC_RELAXED);
}
FILCH_FOR_DEFINE(add_lengths, const char, add_length);

Test(loop_typed, the_largest_range_there_is_does_not_overflow)
{
	for (uint32_t workers = 1; workers <= 2; workers++) {
		struct filch_pool *pool = pool_of(workers, 0);

		items = 0;
		EQ(add_lengths(pool, 0, SIZE_MAX, SIZE_MAX / 100, "constant"), 0);
		cr_assert(items == SIZE_MAX);
		items = 0;
		EQ(add_lengths(pool, 3, SIZE_MAX, 0, "constant"), 0);
		cr_assert(items == SIZE_MAX - 3);
		items = 0;
		EQ(add_lengths(pool, SIZE_MAX - 100, SIZE_MAX, 1, "constant"), 0);
		EQ(items, 100);
		EQ(filch_pool_destroy(pool), 0);
	}
}

/* A macro: its return ends the body, not the loop; no argument is looked at. */
#define COUNT_ODD(b, e, none) \
	(void)(none);         \
	if ((b) % 2 == 0)     \
		return;       \
	__atomic_fetch_add(&items, (e) - (b), __ATOMIC_RELAXED)
FILCH_FOR_DEFINE(count_odd, void, COUNT_ODD);

static void row(size_t b, size_t e, size_t *rows)
{
	EQ(e - b, 1);
	__atomic_fetch_add(rows, 1, __ATOMIC_RELAXED);
	EQ(count_odd(NULL, 0, 100, 1, NULL), 0);
}
FILCH_FOR_DEFINE(all_rows, size_t, row);

Test(loop_typed, a_macro_may_be_the_body_and_loops_nest)
{
	for (uint32_t workers = 1; workers <= 4; workers *= 2) {
		struct filch_pool *pool = pool_of(workers, workers == 2 ? FILCH_POOL_CALLER : 0);
		size_t rows = 0;

		items = 0;
		EQ(all_rows(pool, 0, 300, 1, &rows), 0);
		EQ(rows, 300);
		EQ(items, 300 * 50);
		EQ(filch_pool_destroy(pool), 0);
	}
}

/* --- cancellation ----------------------------------------------------- */

struct run {
	struct filch_pool *pool;
	int begun, begun_after, raised;
};

/* The 100th body cancels the job. */
static void count_to_the_end(size_t b, size_t e, struct run *run)
{
	if (__atomic_load_n(&run->raised, __ATOMIC_SEQ_CST))
		__atomic_fetch_add(&run->begun_after, 1, __ATOMIC_SEQ_CST);
	cr_assert(e - b <= 3);
	if (__atomic_add_fetch(&run->begun, 1, __ATOMIC_SEQ_CST) == 100) {
		EQ(filch_cancel(run->pool, filch_job_id()), 0);
		__atomic_store_n(&run->raised, 1, __ATOMIC_SEQ_CST);
	}
}
FILCH_FOR_DEFINE(count_all, struct run, count_to_the_end);

static int count_in_a_cancelled_job(void *arg)
{
	struct run *run = arg;

	EQ(filch_cancel(run->pool, filch_job_id()), 0);
	EQ(count_all(NULL, 0, 5000, 1, run), -ECANCELED);
	EQ(count_all(NULL, 0, 1, 0, run), -ECANCELED);
	EQ(count_all(NULL, 0, 0, 0, run), 0);
	return 5;
}

/* A body whose look at the flag came before it may begin after it: one on each other worker. */
Test(loop_typed, once_the_job_is_cancelled_no_body_starts_and_the_loop_says_so)
{
	for (uint32_t workers = 1; workers <= 4; workers *= 2) {
		for (int caller = 0; caller < 2; caller++) {
			struct run run = { .pool = pool_of(
						   workers, caller ? FILCH_POOL_CALLER : 0) };
			struct filch_completion c;

			for (int round = 0; round < 20; round++) {
				run.begun = run.begun_after = run.raised = 0;
				EQ(count_all(run.pool, 0, 15000, round % 2 ? 1 : 3, &run),
					-ECANCELED);
				cr_assert(run.begun_after <= (int)workers - 1,
					"%d bodies after the flag", run.begun_after);
				cr_assert(run.begun < 5000);
				if (workers == 1)
					EQ(run.begun, 100);
			}
			run.begun = 0;
			EQ(filch_wait(run.pool,
				   filch_submit(run.pool, count_in_a_cancelled_job, &run, NULL),
				   NULL, &c),
				0);
			EQ(c.status, 5);
			EQ(run.begun, 0);
			EQ(filch_pool_destroy(run.pool), 0);
		}
	}
}

Test(loop_typed, a_loop_whose_last_body_cancels_is_not_cancelled)
{
	for (size_t grain = 1; grain <= 3; grain += 2) {
		struct run run = { .pool = pool_of(1, 0) };

		EQ(count_all(run.pool, 0, 100 * grain, grain, &run), 0);
		EQ(run.begun, 100);
		EQ(filch_pool_destroy(run.pool), 0);
	}
}

/* --- bad input -------------------------------------------------------- */

Test(loop_typed, bad_input_is_refused_and_runs_nothing)
{
	struct filch_pool *pool = pool_of(2, 0);

	EQ(hit_all(pool, 10, 9, 0, &marks), -EINVAL);
	EQ(filch_for_with(pool, 0, 10, 0, NULL, &marks), -EINVAL);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(hit_all(pool, 0, 10, 0, &marks), -ESHUTDOWN);
	EQ(marks.longest, 0);
	EQ(filch_pool_destroy(pool), 0);
}
