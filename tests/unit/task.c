/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: the typed macros through real pools. Any number of arguments from 0 to 8, however a task is
 * run: called, synced by its owner, stolen; spawns one by one and in arrays, mixed; from helpers
 * and without types; right with 1, 2 and 8 workers, with membarrier(2) and without. Any type as
 * argument and as result: task_types.c.
 */
#include <criterion/criterion.h>

#include "task_support.h"
#include <fib.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* --- numbers of arguments --------------------------------------------- */

FILCH_TASK(int, of0)
{
	return 1000;
}
FILCH_TASK(int, of1, (int, a))
{
	return a;
}
FILCH_TASK(int, of2, (int, a), (int, b))
{
	return a + 2 * b;
}
FILCH_TASK(int, of3, (int, a), (int, b), (int, c))
{
	return a + 2 * b + 3 * c;
}
FILCH_TASK(int, of4, (int, a), (int, b), (int, c), (int, d))
{
	return a + 2 * b + 3 * c + 4 * d;
}
FILCH_TASK(int, of5, (int, a), (int, b), (int, c), (int, d), (int, e))
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e;
}
FILCH_TASK(int, of6, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f))
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
}
FILCH_TASK(int, of7, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g))
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g;
}
FILCH_TASK(int, of8, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g), (int, h))
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}

static const int expected[9] = { 1000, 1, 5, 14, 30, 55, 91, 140, 204 };

FILCH_VOID_TASK(spawn_all, (int *, r))
{
	FILCH_SPAWN(h0, of0);
	FILCH_SPAWN(h1, of1, 1);
	FILCH_SPAWN(h2, of2, 1, 2);
	FILCH_SPAWN(h3, of3, 1, 2, 3);
	FILCH_SPAWN(h4, of4, 1, 2, 3, 4);
	FILCH_SPAWN(h5, of5, 1, 2, 3, 4, 5);
	FILCH_SPAWN(h6, of6, 1, 2, 3, 4, 5, 6);
	FILCH_SPAWN(h7, of7, 1, 2, 3, 4, 5, 6, 7);
	FILCH_SPAWN(h8, of8, 1, 2, 3, 4, 5, 6, 7, 8);
	r[8] = FILCH_SYNC(h8);
	r[7] = FILCH_SYNC(h7);
	r[6] = FILCH_SYNC(h6);
	r[5] = FILCH_SYNC(h5);
	r[4] = FILCH_SYNC(h4);
	r[3] = FILCH_SYNC(h3);
	r[2] = FILCH_SYNC(h2);
	r[1] = FILCH_SYNC(h1);
	r[0] = FILCH_SYNC(h0);
}

FILCH_VOID_TASK(call_all, (int *, r))
{
	r[0] = FILCH_CALL(of0);
	r[1] = FILCH_CALL(of1, 1);
	r[2] = FILCH_CALL(of2, 1, 2);
	r[3] = FILCH_CALL(of3, 1, 2, 3);
	r[4] = FILCH_CALL(of4, 1, 2, 3, 4);
	r[5] = FILCH_CALL(of5, 1, 2, 3, 4, 5);
	r[6] = FILCH_CALL(of6, 1, 2, 3, 4, 5, 6);
	r[7] = FILCH_CALL(of7, 1, 2, 3, 4, 5, 6, 7);
	r[8] = FILCH_CALL(of8, 1, 2, 3, 4, 5, 6, 7, 8);
}

static void check_counts(struct filch_pool *pool)
{
	int r[3][9] = { { 0 } };

	EQ(FILCH_RUN(pool, NULL, spawn_all, r[0]), 0);
	EQ(FILCH_RUN(pool, NULL, call_all, r[1]), 0);
	EQ(FILCH_RUN(pool, &r[2][0], of0), 0);
	EQ(FILCH_RUN(pool, &r[2][1], of1, 1), 0);
	EQ(FILCH_RUN(pool, &r[2][2], of2, 1, 2), 0);
	EQ(FILCH_RUN(pool, &r[2][3], of3, 1, 2, 3), 0);
	EQ(FILCH_RUN(pool, &r[2][4], of4, 1, 2, 3, 4), 0);
	EQ(FILCH_RUN(pool, &r[2][5], of5, 1, 2, 3, 4, 5), 0);
	EQ(FILCH_RUN(pool, &r[2][6], of6, 1, 2, 3, 4, 5, 6), 0);
	EQ(FILCH_RUN(pool, &r[2][7], of7, 1, 2, 3, 4, 5, 6, 7), 0);
	EQ(FILCH_RUN(pool, &r[2][8], of8, 1, 2, 3, 4, 5, 6, 7, 8), 0);
	for (int how = 0; how < 3; how++)
		for (int k = 0; k < 9; k++)
			EQ(r[how][k], expected[k]);
}

Test(task, none_to_eight_arguments_arrive_in_their_order)
{
	on_each_pool(check_counts);
}

/* --- shapes of programs ----------------------------------------------- */

FILCH_TASK(long, queens, (unsigned, n), (unsigned, columns), (unsigned, left), (unsigned, right))
{
	unsigned all = (1u << n) - 1, possible = all & ~(columns | left | right);
	FILCH_FRAME(queens) kid[16];
	int kids = 0;
	long sum = 0;

	if (columns == all)
		return 1;
	while (possible) {
		unsigned bit = possible & -possible;

		possible ^= bit;
		FILCH_SPAWN_INTO(&kid[kids++], queens, n, columns | bit, (left | bit) << 1,
			(right | bit) >> 1);
	}
	while (kids--)
		sum += FILCH_SYNC_FROM(queens, &kid[kids]);
	return sum;
}

FILCH_VOID_TASK(add_leaves, (int, depth), (long *, leaves))
{
	if (!depth) {
		__atomic_fetch_add(leaves, 1, __ATOMIC_RELAXED);
		return;
	}
	FILCH_SPAWN(a, add_leaves, depth - 1, leaves);
	FILCH_SPAWN(b, add_leaves, depth - 1, leaves);
	FILCH_CALL(add_leaves, depth - 1, leaves);
	FILCH_SYNC(b);
	FILCH_SYNC(a);
}

/*
 * The same shapes with bodies that the compiler may put into themselves, several levels of frames
 * in one.
 */
FILCH_TASK_INLINE(long, fib_inline, (int, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib_inline, n - 1);
	long y = FILCH_CALL(fib_inline, n - 2);
	return FILCH_SYNC(a) + y;
}

FILCH_VOID_TASK_INLINE(count_down, (int, depth), (long *, leaves))
{
	FILCH_FRAME(count_down) kid[3];

	if (!depth) {
		__atomic_fetch_add(leaves, 1, __ATOMIC_RELAXED);
		return;
	}
	for (int i = 0; i < 3; i++)
		FILCH_SPAWN_INTO(&kid[i], count_down, depth - 1, leaves);
	for (int i = 3; i-- > 0;)
		FILCH_SYNC_FROM(count_down, &kid[i]);
}

static void check_programs(struct filch_pool *pool)
{
	long r = 0, leaves = 0, inlined = 0;

	EQ(FILCH_RUN(pool, &r, fib, 21), 0);
	EQ(r, 10946);
	EQ(FILCH_RUN(pool, &r, queens, 8, 0, 0, 0), 0);
	EQ(r, 92);
	EQ(FILCH_RUN(pool, NULL, add_leaves, 9, &leaves), 0);
	EQ(leaves, 19683);
	EQ(FILCH_RUN(pool, &r, fib_inline, 21), 0);
	EQ(r, 10946);
	EQ(FILCH_RUN(pool, NULL, count_down, 9, &inlined), 0);
	EQ(inlined, 19683);
}

Test(task, recursive_programs_are_right_with_any_number_of_workers)
{
	on_each_pool(check_programs);
}

Test(task, they_are_right_where_membarrier_is_refused)
{
	setenv("FILCH_MEMBARRIER", "0", 1);
	on_each_pool(check_programs);
}

/* spawns of both kinds, calls and syncs in one frame, with more spawned after a sync */
FILCH_TASK(long, mixture, (int, n))
{
	FILCH_FRAME(fib) early[4], late[4];
	long sum = 0;

	FILCH_SPAWN(first, fib, n);
	for (int i = 0; i < 4; i++)
		FILCH_SPAWN_INTO(&early[i], fib, n - i);
	sum += FILCH_CALL(fib, n);
	FILCH_SPAWN(middle, fib, n + 1);
	sum += FILCH_CALL(of2, 1, 2);
	sum += FILCH_SYNC(middle);
	for (int i = 3; i >= 2; i--)
		sum += FILCH_SYNC_FROM(fib, &early[i]);
	for (int i = 0; i < 4; i++)
		FILCH_SPAWN_INTO(&late[i], fib, n - i);
	FILCH_SPAWN(last, fib, n + 2);
	sum += FILCH_SYNC(last);
	for (int i = 3; i >= 0; i--)
		sum += FILCH_SYNC_FROM(fib, &late[i]);
	for (int i = 1; i >= 0; i--)
		sum += FILCH_SYNC_FROM(fib, &early[i]);
	return sum + FILCH_SYNC(first);
}

static void check_mixture(struct filch_pool *pool)
{
	long f[16] = { 0, 1 };

	for (int i = 2; i < 16; i++)
		f[i] = f[i - 1] + f[i - 2];
	for (int round = 0; round < 20; round++) {
		for (int n = 3; n < 12; n++) {
			long r = 0, expect = 2 * f[n] + 5 + f[n + 1] + f[n + 2] +
					     2 * (f[n] + f[n - 1] + f[n - 2] + f[n - 3]);

			EQ(FILCH_RUN(pool, &r, mixture, n), 0);
			EQ(r, expect);
		}
	}
}

Test(task, spawns_calls_and_syncs_may_be_mixed)
{
	on_each_pool(check_mixture);
}

/*
 * A frame whose children were all stolen has a stale index; what it spawns next must not be lost.
 */
FILCH_TASK(int, raise, (struct gate *, g), (int, x))
{
	gate_raise(g);
	return x;
}

FILCH_TASK(int, stolen_then_again, (struct gate *, g))
{
	FILCH_FRAME(raise) kid[8];
	int sum = 0;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 8; i++)
			FILCH_SPAWN_INTO(&kid[i], raise, g, i);
		gate_wait(g, 8 * (round + 1)); /* all of them run elsewhere */
		for (int i = 7; i >= 0; i--)
			sum += FILCH_SYNC_FROM(raise, &kid[i]);
	}
	return sum;
}

FILCH_TASK(int, around_it, (struct gate *, g))
{
	FILCH_SPAWN(before, of1, 1);
	int r = FILCH_CALL(stolen_then_again, g);
	FILCH_SPAWN(after, of1, 10);
	r += FILCH_SYNC(after);
	return r + FILCH_SYNC(before);
}

Test(task, a_frame_goes_on_spawning_after_all_its_children_were_stolen)
{
	struct filch_pool *pool = pool_of(3, 0);

	for (int i = 0; i < 50; i++) {
		struct gate g = GATE_INIT;
		int r = 0;

		EQ(FILCH_RUN(pool, &r, around_it, &g), 0);
		EQ(r, 3 * 28 + 11);
	}
	EQ(filch_pool_destroy(pool), 0);
}

/* --- helpers, results nobody wants, and errors ------------------------ */

static long helper(int n)
{
	long r = -1;

	return FILCH_RUN(NULL, &r, fib, n) ? -1 : r;
}

FILCH_TASK(long, through_a_helper, (int, depth))
{
	if (!depth)
		return helper(10);
	FILCH_SPAWN(a, through_a_helper, depth - 1);
	long mine = helper(8), theirs = -1;
	int error = FILCH_RUN(filch_pool_current(), &theirs, fib, 9);
	return error ? -1 : mine + theirs + FILCH_SYNC(a);
}

static void check_helpers(struct filch_pool *pool)
{
	long r = 0;

	EQ(FILCH_RUN(pool, &r, through_a_helper, 50), 0);
	EQ(r, 50 * (21 + 34) + 55);
}

/* --- the gate --------------------------------------------------------- */

FILCH_TASK(int, give, (int, n))
{
	return n;
}

FILCH_TASK(int, tell, (atomic_int *, started))
{
	atomic_store(started, 1);
	return 1;
}

/* Takes for so long that its deque's gate opens. Then one task, and a long leaf of its own. */
FILCH_TASK(int, compute, (atomic_int *, started))
{
	int sum = 0;

	for (int i = 0; i < 40000; i++) {
		FILCH_SPAWN(a, give, 1);
		sum += FILCH_SYNC(a);
	}
	FILCH_SPAWN(b, tell, started);
	while (!atomic_load(started))
		sched_yield();
	return sum + FILCH_SYNC(b);
}

Test(task, what_a_task_has_spawned_starts_elsewhere_while_it_computes, .timeout = 120)
{
	struct filch_stats stats = FILCH_STATS_INIT;
	struct filch_pool *pool = pool_of(2, 0);

	for (int i = 0; i < 50; i++) {
		atomic_int started = 0;
		int sum = 0;

		EQ(FILCH_RUN(pool, &sum, compute, &started), 0);
		EQ(sum, 40001);
	}
	EQ(filch_pool_stats(pool, &stats), 0);
	cr_assert(stats.steals >= 50);
	EQ(filch_pool_destroy(pool), 0);
}

Test(task, a_plain_helper_runs_tasks_inside_a_task)
{
	on_each_pool(check_helpers);
}

Test(task, a_result_may_be_ignored)
{
	struct filch_pool *pool = pool_of(2, 0);

	EQ(FILCH_RUN(pool, NULL, fib, 10), 0);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	long r = 77;
	EQ(FILCH_RUN(pool, &r, fib, 10), -ESHUTDOWN);
	EQ(r, 77);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- without types ---------------------------------------------------- */

struct plain_fib {
	struct filch_task task;
	long n, result;
};

static void plain_fib(struct filch_worker *worker, filch_index index, struct filch_task *task)
{
	struct filch_context context = { worker, index };
	struct plain_fib *frame = (struct plain_fib *)(void *)task, a, b;

	if (frame->n < 2) {
		frame->result = frame->n;
		return;
	}
	a.n = frame->n - 1;
	b.n = frame->n - 2;
	filch_fork(&context, &a.task, plain_fib);
	filch_fork(&context, &b.task, plain_fib);
	filch_join(&context, &b.task, plain_fib);
	filch_join(&context, &a.task, plain_fib);
	frame->result = a.result + b.result;
}

/* A function with no worker in its arguments. */
static long plain_helper(long n)
{
	struct filch_context context;
	struct plain_fib a;

	if (filch_context_here(&context))
		return -1;
	a.n = n;
	filch_fork(&context, &a.task, plain_fib);
	filch_join(&context, &a.task, plain_fib);
	return a.result;
}

FILCH_TASK(long, typed_with_plain, (int, n))
{
	FILCH_SPAWN(a, fib, n);
	long r = plain_helper(n);
	FILCH_SPAWN(b, fib, n);
	r += FILCH_SYNC(b);
	return r + FILCH_SYNC(a);
}

static void check_untyped(struct filch_pool *pool)
{
	struct plain_fib root = { .n = 18 };
	long r = 0;

	EQ(filch_run_task(pool, &root.task, plain_fib), 0);
	EQ(root.result, 2584);
	for (int i = 0; i < 20; i++) {
		EQ(FILCH_RUN(pool, &r, typed_with_plain, 14), 0);
		EQ(r, 3 * 377);
	}
}

Test(task, the_untyped_form_forks_and_joins)
{
	struct filch_context context;

	EQ(filch_context_here(&context), -EPERM);
	on_each_pool(check_untyped);
}

/* --- the smallest deque ----------------------------------------------- */

FILCH_TASK(int, many, (int, n))
{
	FILCH_FRAME(of1) kid[500];
	int sum = 0;

	for (int i = 0; i < n; i++)
		FILCH_SPAWN_INTO(&kid[i], of1, i);
	for (int i = n - 1; i >= 0; i--)
		sum += FILCH_SYNC_FROM(of1, &kid[i]);
	return sum;
}

Test(task, a_deque_of_two_grows_to_hold_five_hundred)
{
	for (uint32_t workers = 1; workers <= 4; workers *= 2) {
		struct filch_config config = FILCH_CONFIG_INIT;
		struct filch_stats stats = FILCH_STATS_INIT;
		struct filch_pool *pool;
		int r = 0;

		config.workers = workers;
		config.flags = FILCH_POOL_OVERSUBSCRIBE;
		config.deque_capacity = 1; /* two */
		EQ(filch_pool_create(&pool, &config), 0);
		for (int i = 0; i < 20; i++) {
			EQ(FILCH_RUN(pool, &r, many, 500), 0);
			EQ(r, 124750);
		}
		check_programs(pool);
		EQ(filch_pool_stats(pool, &stats), 0);
		cr_assert(stats.grows >= (workers == 1 ? 8 : 1), "%llu",
			(unsigned long long)stats.grows);
		EQ(stats.inlined, 0);
		EQ(filch_pool_destroy(pool), 0);
	}
}
