/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loops: every index exactly once for any range and grain; folds in order, the same bits with any
 * number of workers; from outside, from workers, from the creating thread, nested; a refused call
 * has run nothing.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <stdlib.h>

enum { MOST = 5000 };

static int hits[MOST + 10];
static size_t longest;

static void hit(size_t b, size_t e, void *arg)
{
	size_t length = e - b, seen = __atomic_load_n(&longest, __ATOMIC_RELAXED);

	EQ((uintptr_t)arg, 0x1234);
	cr_assert(b < e, "a body gets no empty range");
	while (length > seen && !__atomic_compare_exchange_n(&longest, &seen, length, 0,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	for (size_t i = b; i < e; i++)
		__atomic_fetch_add(&hits[i], 1, __ATOMIC_RELAXED);
}

static void cover(struct filch_pool *pool, size_t begin, size_t end, size_t grain)
{
	memset(hits, 0, sizeof hits);
	longest = 0;
	EQ(filch_for(pool, begin, end, grain, hit, (void *)0x1234), 0);
	for (size_t i = 0; i < MOST + 10; i++)
		cr_assert(hits[i] == (i >= begin && i < end),
			"index %zu of [%zu, %zu) by %zu: %d times", i, begin, end, grain, hits[i]);
	if (grain)
		cr_assert(longest <= grain, "a range of %zu with grain %zu", longest, grain);
}

Test(loop, each_index_is_visited_once_for_every_range_and_grain)
{
	const size_t n[] = { 1, 2, 3, 7, 64, 100, 1000, 4097 },
		     grain[] = { 0, 1, 2, 3, 64, 5000, SIZE_MAX };
	const uint32_t workers[] = { 1, 2, 5 };

	for (int w = 0; w < 3; w++) {
		struct filch_pool *pool = pool_of(workers[w], 0);

		for (int i = 0; i < 8; i++) {
			for (int k = 0; k < 7; k++) {
				cover(pool, 0, n[i], grain[k]);
				cover(pool, 5, 5 + n[i], grain[k]);
			}
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}

static size_t items;

static void add_length(size_t b, size_t e, void *arg)
{
	(void)arg;
	__atomic_fetch_add(&items, e - b, __ATOMIC_RELAXED);
}

Test(loop, the_largest_range_there_is_does_not_overflow)
{
	struct filch_pool *pool = pool_of(2, 0);

	EQ(filch_for(pool, 0, SIZE_MAX, SIZE_MAX / 100, add_length, NULL), 0);
	cr_assert(items == SIZE_MAX);
	items = 0;
	EQ(filch_for(pool, 3, SIZE_MAX, 0, add_length, NULL), 0);
	cr_assert(items == SIZE_MAX - 3);
	EQ(filch_pool_destroy(pool), 0);
}

Test(loop, an_empty_range_runs_nothing)
{
	struct filch_pool *pool = pool_of(2, 0);

	cover(pool, 0, 0, 0);
	cover(pool, 7, 7, 3);
	EQ(filch_pool_destroy(pool), 0);
}

static void rows(size_t b, size_t e, void *arg)
{
	for (size_t row = b; row < e; row++)
		EQ(filch_for(NULL, row * 50, row * 50 + 50, 7, hit, arg), 0);
}

Test(loop, loops_nest_and_the_inner_ones_need_no_pool)
{
	for (uint32_t workers = 1; workers <= 4; workers *= 2) {
		struct filch_pool *pool = pool_of(workers, 0);

		memset(hits, 0, sizeof hits);
		EQ(filch_for(pool, 0, 100, 1, rows, (void *)0x1234), 0);
		for (int i = 0; i < MOST; i++)
			EQ(hits[i], 1);
		EQ(filch_pool_destroy(pool), 0);
	}
}

static int loop_in_a_job(void *arg)
{
	int error = filch_for(arg, 0, 1000, 10, hit, (void *)0x1234);

	return error ? error : filch_for(NULL, 1000, 2000, 0, hit, (void *)0x1234);
}

Test(loop, a_job_may_run_loops)
{
	struct filch_pool *pool = pool_of(3, 0);
	struct filch_completion c;

	EQ(filch_wait(pool, filch_submit(pool, loop_in_a_job, pool, NULL), NULL, &c), 0);
	EQ(c.status, 0);
	for (int i = 0; i < 2000; i++)
		EQ(hits[i], 1);
	EQ(filch_pool_destroy(pool), 0);
}

Test(loop, the_creating_thread_runs_loops_as_worker_zero)
{
	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct filch_pool *pool = pool_of(workers, FILCH_POOL_CALLER);

		cover(pool, 0, 1000, 10);
		cover(pool, 0, 1000, 0);
		EQ(filch_pool_destroy(pool), 0);
	}
}

static void *loops_outside(void *pool)
{
	for (int i = 0; i < 50; i++)
		if (filch_for(pool, 0, 1000, 10, add_length, NULL))
			return pool;
	return NULL;
}

Test(loop, loops_of_several_threads_do_not_mix)
{
	struct filch_pool *pool = pool_of(3, 0);
	pthread_t thread[4];
	void *failed;

	for (int i = 0; i < 4; i++)
		EQ(pthread_create(&thread[i], NULL, loops_outside, pool), 0);
	for (int i = 0; i < 4; i++) {
		EQ(pthread_join(thread[i], &failed), 0);
		cr_assert(!failed);
	}
	EQ(items, 4 * 50 * 1000);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- reduce ----------------------------------------------------------- */

/* x -> a x + b modulo 2^64: composing such maps is associative and does not commute */
struct affine {
	uint64_t a, b;
};

static struct affine compose(struct affine first, struct affine then)
{
	return (struct affine){ then.a * first.a, then.a * first.b + then.b };
}

static struct affine map_of(size_t i)
{
	return (struct affine){ 2 * i + 3, i * i + 1 };
}

static void fold_maps(size_t b, size_t e, void *acc, void *arg)
{
	EQ((uintptr_t)arg, 0x77);
	for (size_t i = b; i < e; i++)
		*(struct affine *)acc = compose(*(struct affine *)acc, map_of(i));
}

static void join_maps(void *acc, const void *right, void *arg)
{
	EQ((uintptr_t)arg, 0x77);
	*(struct affine *)acc = compose(*(struct affine *)acc, *(const struct affine *)right);
}

Test(loop, a_reduction_keeps_the_order_of_an_operation_that_does_not_commute)
{
	const size_t n[] = { 0, 1, 2, 3, 10, 1000, 4097 }, grain[] = { 0, 1, 3, 64, 100000 };
	const struct affine identity = { 1, 0 };

	for (uint32_t workers = 1; workers <= 5; workers += 2) {
		struct filch_pool *pool = pool_of(workers, 0);

		for (int i = 0; i < 7; i++) {
			struct affine expect = identity;

			for (size_t k = 10; k < 10 + n[i]; k++)
				expect = compose(expect, map_of(k));
			for (int k = 0; k < 5; k++) {
				struct affine r = { 9, 9 };

				EQ(filch_reduce(pool, 10, 10 + n[i], grain[k], sizeof r, &identity,
					   fold_maps, join_maps, (void *)0x77, &r),
					0);
				EQ(r.a, expect.a);
				EQ(r.b, expect.b);
			}
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}

static void add_fractions(size_t b, size_t e, void *acc, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++)
		*(float *)acc += 1.0f / (float)(i + 1);
}

static void add_floats(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(float *)acc += *(const float *)right;
}

Test(loop, with_a_fixed_grain_floating_point_sums_are_the_same_bits_everywhere)
{
	const float zero = 0;
	const uint32_t workers[] = { 1, 2, 5 };
	const size_t grain[] = { 1, 37, 1000 };

	for (int k = 0; k < 3; k++) {
		float first = 0;

		for (int w = 0; w < 3; w++) {
			struct filch_pool *pool = pool_of(workers[w], 0);

			for (int round = 0; round < 10; round++) {
				float sum = -1;

				EQ(filch_reduce(pool, 0, 20000, grain[k], sizeof sum, &zero,
					   add_fractions, add_floats, NULL, &sum),
					0);
				if (!w && !round)
					first = sum;
				cr_assert(!memcmp(&sum, &first, sizeof sum), "%a and %a",
					(double)sum, (double)first);
			}
			EQ(filch_pool_destroy(pool), 0);
		}
		cr_assert(first > 10 && first < 11, "%f", (double)first);
	}
}

enum { BINS = 20000 };

static void histogram(size_t b, size_t e, void *acc, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++)
		((unsigned *)acc)[i * 7919 % BINS]++;
}

static void add_histograms(void *acc, const void *right, void *arg)
{
	(void)arg;
	for (int i = 0; i < BINS; i++)
		((unsigned *)acc)[i] += ((const unsigned *)right)[i];
}

Test(loop, accumulators_may_be_large)
{
	static unsigned zero[BINS], result[BINS];
	struct filch_pool *pool = pool_of(3, 0);

	for (int round = 0; round < 5; round++) {
		EQ(filch_reduce(pool, 0, 3 * BINS, 500, sizeof zero, zero, histogram,
			   add_histograms, NULL, result),
			0);
		for (int i = 0; i < BINS; i++)
			EQ(result[i], 3);
	}
	EQ(filch_pool_destroy(pool), 0);
}

static int reduce_in_a_job(void *arg)
{
	const struct affine identity = { 1, 0 };

	return filch_reduce(NULL, 0, 1000, 7, sizeof identity, &identity, fold_maps, join_maps,
		(void *)0x77, arg);
}

Test(loop, a_job_may_reduce_and_the_identity_may_be_the_result)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct filch_completion c;
	struct affine r = { 9, 9 }, same = { 1, 0 };

	EQ(filch_wait(pool, filch_submit(pool, reduce_in_a_job, &r, NULL), NULL, &c), 0);
	EQ(c.status, 0);
	EQ(filch_reduce(
		   pool, 0, 1000, 7, sizeof same, &same, fold_maps, join_maps, (void *)0x77, &same),
		0);
	EQ(r.a, same.a);
	EQ(r.b, same.b);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- invoke ----------------------------------------------------------- */

static void count(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
}

static int nulls;

static void count_null(void *arg)
{
	__atomic_fetch_add(&nulls, !arg, __ATOMIC_RELAXED);
}

Test(loop, invoke_runs_each_function_once_with_its_argument)
{
	void (*fn[50])(void *) = { NULL };
	void *arg[50];
	int n[50] = { 0 };
	struct filch_pool *pool = pool_of(3, 0);

	for (int i = 0; i < 50; i++) {
		fn[i] = count;
		arg[i] = &n[i];
	}
	EQ(filch_invoke(pool, 50, fn, arg), 0);
	EQ(filch_invoke(pool, 1, fn, arg), 0);
	EQ(filch_invoke(pool, 0, NULL, NULL), 0);
	for (int i = 0; i < 50; i++)
		EQ(n[i], i ? 1 : 2);
	for (int i = 0; i < 50; i++)
		fn[i] = count_null;
	EQ(filch_invoke(pool, 50, fn, NULL), 0);
	EQ(nulls, 50);
	EQ(filch_pool_destroy(pool), 0);
}

static struct gate met = GATE_INIT;

static void meet(void *arg)
{
	gate_raise(&met);
	gate_wait(&met, *(int *)arg);
}

Test(loop, functions_that_wait_for_each_other_all_run_on_enough_workers)
{
	void (*const fn[4])(void *) = { meet, meet, meet, meet };
	int n = 4;
	void *const arg[4] = { &n, &n, &n, &n };
	struct filch_pool *pool = pool_of(4, 0);

	for (int round = 1; round <= 20; round++, n += 4)
		EQ(filch_invoke(pool, 4, fn, arg), 0);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- bad input -------------------------------------------------------- */

Test(loop, bad_input_is_refused_and_runs_nothing)
{
	struct filch_pool *pool = pool_of(2, 0);
	const struct affine identity = { 1, 0 };
	struct affine r = { 9, 9 };
	void (*fn[2])(void *) = { count, NULL };
	int n = 0;
	void *arg[2] = { &n, &n };

	EQ(filch_for(pool, 0, 10, 0, NULL, NULL), -EINVAL);
	EQ(filch_for(pool, 10, 9, 0, hit, NULL), -EINVAL);
	EQ(filch_reduce(pool, 0, 10, 0, sizeof r, &identity, NULL, join_maps, NULL, &r), -EINVAL);
	EQ(filch_reduce(pool, 0, 10, 0, sizeof r, &identity, fold_maps, NULL, NULL, &r), -EINVAL);
	EQ(filch_reduce(pool, 0, 10, 0, sizeof r, NULL, fold_maps, join_maps, NULL, &r), -EINVAL);
	EQ(filch_reduce(pool, 0, 10, 0, 0, &identity, fold_maps, join_maps, NULL, &r), -EINVAL);
	EQ(filch_reduce(pool, 0, 10, 0, sizeof r, &identity, fold_maps, join_maps, NULL, NULL),
		-EINVAL);
	EQ(filch_reduce(pool, 10, 9, 0, sizeof r, &identity, fold_maps, join_maps, NULL, &r),
		-EINVAL);
	EQ(filch_invoke(pool, 2, fn, arg), -EINVAL);
	EQ(filch_invoke(pool, 2, NULL, arg), -EINVAL);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(filch_for(pool, 0, 10, 0, hit, NULL), -ESHUTDOWN);
	EQ(filch_reduce(pool, 0, 10, 0, sizeof r, &identity, fold_maps, join_maps, NULL, &r),
		-ESHUTDOWN);
	EQ(filch_invoke(pool, 1, fn, arg), -ESHUTDOWN);
	EQ(r.a, 9);
	EQ(r.b, 9);
	EQ(n, 0);
	EQ(hits[0], 0);
	EQ(filch_pool_destroy(pool), 0);
}
