/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scopes: what a scope returns, what a cancellation ends and what goes on, the slots, a typed call
 * in a scope; loops that end with a status. That nothing from outside runs on top of a frame that
 * waits inside is shown by stress/scopes.
 */
#include <criterion/criterion.h>

#include "unit.h"
#include "task_support.h"

#include <limits.h>
#include <stdlib.h>

static int give(void *arg)
{
	return *(int *)arg;
}

/* --- arguments ---------------------------------------------------------- */

Test(scope, bad_arguments_are_refused_and_nothing_has_run)
{
	struct filch_pool *pool = pool_of(1, 0);
	struct {
		struct filch_scope_config config;
		uint64_t more;
	} newer = { FILCH_SCOPE_INIT, 0 };
	int seven = 7;

	EQ(filch_scope(pool, NULL, NULL, &seven), -EINVAL);
	EQ(filch_scope(pool, &newer.config, give, &seven), 7);
	newer.config.flags = UINT64_C(1) << 63;
	EQ(filch_scope(pool, &newer.config, give, &seven), -EINVAL);
	newer.config.flags = 0;
	newer.config.size = 1;
	EQ(filch_scope(pool, &newer.config, give, &seven), -EINVAL);
	newer.config.size = sizeof newer;
	EQ(filch_scope(pool, &newer.config, give, &seven), 7);
	newer.more = 1;
	EQ(filch_scope(pool, &newer.config, give, &seven), -E2BIG);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(filch_scope(pool, NULL, give, &seven), -ESHUTDOWN);
	EQ(filch_pool_destroy(pool), 0);
}

Test(scope, outside_of_a_scope_there_is_nothing_to_cancel)
{
	struct filch_pool *pool = pool_of(1, 0);

	EQ(filch_scope_cancel(1), -EPERM);
	EQ(filch_scope_slot(), -1);
	cr_assert(!filch_cancelled());
	EQ(filch_pool_destroy(pool), 0);
}

static int nothing_around(void *arg)
{
	(void)arg;
	EQ(filch_scope_cancel(1), -EPERM);
	EQ(filch_scope_slot(), -1);
	cr_assert(!filch_cancelled());
	return 0;
}

/* The job inside a scope: a job has no scope around it, wherever it runs. */
static int waits_for_a_job(void *arg)
{
	struct filch_pool *pool = filch_pool_current();
	int64_t id = filch_submit(pool, nothing_around, arg, NULL);

	EQ(filch_wait(pool, id, NULL, NULL), 0);
	EQ(filch_scope_cancel(3), 0);
	id = filch_submit(pool, nothing_around, arg, NULL);
	EQ(filch_wait(pool, id, NULL, NULL), 0);
	return 0;
}

Test(scope, a_job_is_in_no_scope)
{
	struct filch_pool *pool = pool_of(1, 0);

	EQ(filch_scope(pool, NULL, waits_for_a_job, NULL), 3);
	EQ(filch_wait(pool, filch_submit(pool, nothing_around, NULL, NULL), NULL, NULL), 0);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- results ------------------------------------------------------------ */

static int cancels_twice(void *arg)
{
	const int *status = arg;

	cr_assert(!filch_cancelled());
	EQ(filch_scope_cancel(status[0]), 0);
	cr_assert(filch_cancelled());
	cr_assert(!filch_job_cancelled());
	EQ(filch_scope_cancel(status[1]), -EALREADY);
	return status[2];
}

static int in_a_job(void *arg)
{
	return filch_scope(NULL, NULL, cancels_twice, arg);
}

Test(scope, the_result_is_the_first_status_given_or_what_the_function_returns)
{
	const uint64_t flags[] = { 0, FILCH_POOL_CALLER };
	int given[][3] = { { 1, 2, 3 }, { 0, 2, 3 }, { INT_MIN, 2, 3 }, { -1, 0, 0 } };
	int returned[] = { 0, 5, -5, INT_MIN, INT_MAX };

	for (int f = 0; f < 2; f++) {
		struct filch_pool *pool = pool_of(2, flags[f]);

		for (int i = 0; i < 5; i++)
			EQ(filch_scope(pool, NULL, give, &returned[i]), returned[i]);
		for (int i = 0; i < 4; i++) {
			struct filch_completion c;
			int64_t id;

			EQ(filch_scope(pool, NULL, cancels_twice, given[i]), given[i][0]);
			id = filch_submit(pool, in_a_job, given[i], NULL);
			EQ(filch_wait(pool, id, NULL, &c), 0);
			EQ(c.status, given[i][0]);
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}

/* --- what a cancellation ends ------------------------------------------- */

enum { ITEMS = 100000 };
static int started, found_at;

/* Ends the innermost scope at item @found_at, as its first body there. */
static void find(size_t b, size_t e, void *arg)
{
	(void)arg;
	__atomic_fetch_add(&started, 1, __ATOMIC_RELAXED);
	if (b <= (size_t)found_at && (size_t)found_at < e)
		EQ(filch_scope_cancel(42), 0);
}

static void find_fold(size_t b, size_t e, void *acc, void *arg)
{
	(void)acc;
	find(b, e, arg);
}

static void find_scan(size_t b, size_t e, void *acc, bool write, void *arg)
{
	(void)acc;
	if (write)
		find(b, e, arg);
}

static void join(void *acc, const void *right, void *arg)
{
	(void)acc;
	(void)right;
	(void)arg;
}

static int search(void *arg)
{
	const int kind = *(int *)arg;
	char zero = 0, sum = 7;
	int error = 0;

	switch (kind) {
	case 0:
		return filch_for(NULL, 0, ITEMS, 1, find, NULL);
	case 1:
		return filch_for(NULL, 0, ITEMS, 3, find, NULL);
	case 2:
		error = filch_reduce(NULL, 0, ITEMS, 1, 1, &zero, find_fold, join, NULL, &sum);
		EQ(sum, 7);
		return error;
	default:
		return filch_scan(NULL, 0, ITEMS, 1, 1, &zero, find_scan, join, NULL, NULL);
	}
}

static int compare(const void *a, const void *b, void *arg)
{
	(void)arg;
	return *(const int *)a - *(const int *)b;
}

static int outer_items, sorted;

/* An outer item: an inner loop that ends early, and work after it. */
static void item(size_t b, size_t e, void *arg)
{
	for (; b < e; b++) {
		int v[3] = { 3, 1, 2 };

		EQ(filch_scope(NULL, NULL, search, arg), 42);
		cr_assert(!filch_cancelled());
		EQ(filch_sort(NULL, v, 3, sizeof v[0], compare, NULL), 0);
		__atomic_fetch_add(&sorted, v[0] == 1 && v[2] == 3, __ATOMIC_RELAXED);
		__atomic_fetch_add(&outer_items, 1, __ATOMIC_RELAXED);
	}
}

Test(scope, an_inner_loop_ends_and_the_outer_goes_on)
{
	const uint32_t workers[] = { 1, 2, 5 };

	for (int w = 0; w < 3; w++) {
		struct filch_pool *pool = pool_of(workers[w], 0);

		for (int kind = 0; kind < 4; kind++) {
			outer_items = sorted = 0;
			found_at = 10;
			EQ(filch_for(pool, 0, 4, 1, item, &kind), 0);
			EQ(outer_items, 4);
			EQ(sorted, 4);
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}

Test(scope, no_body_starts_after_the_cancellation)
{
	struct filch_pool *pool = pool_of(1, 0);
	const int at[] = { 0, 10, 5000, 99999 };

	for (int kind = 0; kind < 2; kind++) {
		for (int i = 0; i < 4; i++) {
			started = 0;
			found_at = at[i];
			EQ(filch_scope(pool, NULL, search, &kind), 42);
			EQ(started, at[i] / (kind ? 3 : 1) + 1); /* one worker: from the left */
		}
	}
	EQ(filch_pool_destroy(pool), 0);
}

struct nest {
	int depth, cancel_at, job_at;
	int started;
};

static void inner_body(size_t b, size_t e, void *arg)
{
	struct nest *n = arg;

	(void)b;
	(void)e;
	cr_assert(!filch_cancelled(), "a body starts in a scope that is cancelled");
	n->started++;
}

static int descend(void *arg);

static int nested(struct nest *n)
{
	int status = --n->depth ? filch_scope(NULL, NULL, descend, n)
				: filch_for(NULL, 0, 1000, 1, inner_body, n);

	n->depth++;
	return status;
}

/* Scopes in each other; the one at depth @cancel_at is cancelled before what is inside begins. */
static int descend(void *arg)
{
	struct nest *n = arg;

	if (n->depth == n->cancel_at)
		EQ(filch_scope_cancel(100 + n->depth), 0);
	if (n->depth == n->job_at)
		EQ(filch_cancel(filch_pool_current(), filch_job_id()), 0);
	EQ(nested(n), n->cancel_at > 0 && n->depth > n->cancel_at ? 100 + n->cancel_at
		      : n->cancel_at || n->job_at                 ? -ECANCELED
								  : 0);
	return n->cancel_at && n->depth > n->cancel_at ? 100 + n->cancel_at
	       : n->cancel_at || n->job_at             ? -ECANCELED
						       : 0;
}

Test(scope, what_is_inside_a_cancelled_scope_ends_with_it)
{
	struct filch_pool *pool = pool_of(1, 0);
	struct nest n = { .depth = 4 };

	EQ(filch_scope(pool, NULL, descend, &n), 0);
	EQ(n.started, 1000);
	for (n.cancel_at = 1; n.cancel_at <= 4; n.cancel_at++) {
		n.started = 0;
		EQ(filch_scope(pool, NULL, descend, &n), 100 + n.cancel_at);
		EQ(n.started, 0);
	}
	EQ(filch_pool_destroy(pool), 0);
}

Test(scope, a_cancelled_job_ends_its_scopes)
{
	struct filch_pool *pool = pool_of(1, 0);
	struct nest n = { .depth = 3 };

	for (n.job_at = 1; n.job_at <= 3; n.job_at++) {
		n.started = 0;
		EQ(filch_scope(pool, NULL, descend, &n), -ECANCELED);
		EQ(n.started, 0);
	}
	EQ(filch_pool_destroy(pool), 0);
}

/* --- slots -------------------------------------------------------------- */

enum { WORKERS = 6 };
static struct gate met;
static int slot_of[WORKERS], taken[WORKERS];

static void all_at_once(size_t b, size_t e, void *arg)
{
	int slot = filch_scope_slot();

	(void)arg;
	EQ(e, b + 1);
	cr_assert(slot >= 0 && slot < WORKERS, "slot %d", slot);
	EQ(__atomic_fetch_add(&taken[slot], 1, __ATOMIC_RELAXED), 0);
	gate_raise(&met);
	gate_wait(&met, WORKERS);
	EQ(filch_scope_slot(), slot);
}

static int meet(void *arg)
{
	return filch_for(NULL, 0, WORKERS, 1, all_at_once, arg);
}

Test(scope, workers_inside_at_the_same_time_have_different_slots)
{
	struct filch_pool *pool = pool_of(WORKERS, 0);

	met = (struct gate)GATE_INIT;
	memset(taken, 0, sizeof taken);
	EQ(filch_scope(pool, NULL, meet, slot_of), 0);
	for (int i = 0; i < WORKERS; i++)
		EQ(taken[i], 1);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- width -------------------------------------------------------------- */

enum { WIDTH = 3 };
static int most, inside_now, opener;

static void look_who_is_inside(size_t b, size_t e, void *arg)
{
	const int width = *(int *)arg, slot = filch_scope_slot();
	int now = __atomic_add_fetch(&inside_now, 1, __ATOMIC_SEQ_CST),
	    seen = __atomic_load_n(&most, __ATOMIC_SEQ_CST);

	(void)b;
	(void)e;
	cr_assert(now <= width, "%d workers inside, %d allowed", now, width);
	cr_assert(slot >= 0 && slot < width, "slot %d", slot);
	if (width == 1)
		EQ(filch_worker_id(), opener);
	while (now > seen && !__atomic_compare_exchange_n(
				     &most, &seen, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	for (volatile int i = 0; i < 300; i++)
		;
	__atomic_sub_fetch(&inside_now, 1, __ATOMIC_SEQ_CST);
}

static int many_items(void *arg)
{
	opener = filch_worker_id();
	return filch_for(NULL, 0, 5000, 1, look_who_is_inside, arg);
}

Test(scope, no_more_workers_are_inside_than_its_width)
{
	struct filch_pool *pool = pool_of(WORKERS, 0);
	struct filch_scope_config config = FILCH_SCOPE_INIT;

	for (int width = 1; width <= WORKERS; width++) {
		config.width = (uint32_t)width;
		most = 0;
		for (int i = 0; i < 10000 && (i < 5 || (most < 2 && width > 1)); i++)
			EQ(filch_scope(pool, &config, many_items, &width), 0);
		cr_assert(most > (width > 1), "%d at once, width %d", most, width);
	}
	config.width = UINT32_MAX;
	int all = WORKERS;
	EQ(filch_scope(pool, &config, many_items, &all), 0);
	config.lane = FILCH_LANES;
	EQ(filch_scope(pool, &config, many_items, &all), -EINVAL);
	EQ(filch_pool_destroy(pool), 0);
}

static void so_many_at_once(size_t b, size_t e, void *arg)
{
	int slot = filch_scope_slot();

	(void)b;
	(void)e;
	(void)arg;
	cr_assert(slot >= 0 && slot < WIDTH, "slot %d", slot);
	EQ(__atomic_fetch_add(&taken[slot], 1, __ATOMIC_RELAXED), 0);
	gate_raise(&met);
	gate_wait(&met, WIDTH);
}

static int meet_inside(void *arg)
{
	return filch_for(NULL, 0, WIDTH, 1, so_many_at_once, arg);
}

Test(scope, as_many_workers_get_in_as_its_width_allows)
{
	struct filch_pool *pool = pool_of(WORKERS, 0);
	struct filch_scope_config config = FILCH_SCOPE_INIT;

	config.width = WIDTH;
	for (int i = 0; i < 200; i++) {
		met = (struct gate)GATE_INIT;
		memset(taken, 0, sizeof taken);
		EQ(filch_scope(pool, &config, meet_inside, NULL), 0);
		for (int k = 0; k < WIDTH; k++)
			EQ(taken[k], 1);
	}
	EQ(filch_pool_destroy(pool), 0);
}

struct narrow {
	int left, refused;
};

static int narrower(void *arg)
{
	struct filch_scope_config config = FILCH_SCOPE_INIT;
	struct narrow *n = arg;
	int error;

	if (!n->left--)
		return 0;
	config.width = 2;
	error = filch_scope(NULL, &config, narrower, n);
	n->refused += error == -ENOBUFS;
	return 0;
}

Test(scope, sixteen_scopes_with_a_width_may_nest)
{
	struct filch_pool *pool = pool_of(3, 0);
	struct narrow n = { 16, 0 };

	for (int i = 0; i < 3; i++) {
		n = (struct narrow){ 16, 0 };
		EQ(filch_scope(pool, NULL, narrower, &n), 0);
		EQ(n.refused, 0);
		EQ(n.left, -1);
		n = (struct narrow){ 17, 0 };
		EQ(filch_scope(pool, NULL, narrower, &n), 0);
		EQ(n.refused, 1);
		EQ(n.left, 0);
	}
	EQ(filch_pool_destroy(pool), 0);
}

/* --- a typed call ------------------------------------------------------- */

typedef long triple[3];

FILCH_TASK(long, sum_of, (triple, of), (long, more))
{
	return of[0] + of[1] + of[2] + more;
}

FILCH_TASK(long, fib_then, (int, n), (int, cancel))
{
	if (cancel)
		EQ(filch_scope_cancel(cancel), 0);
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib_then, n - 1, 0);
	long b = FILCH_CALL(fib_then, n - 2, 0);
	return FILCH_SYNC(a) + b;
}

FILCH_VOID_TASK(stop, (int *, ran))
{
	++*ran;
	EQ(filch_scope_cancel(-4), 0);
}

FILCH_VOID_TASK(stop_zero)
{
	EQ(filch_scope_cancel(0), 0);
}

FILCH_VOID_TASK(typed_calls)
{
	triple of = { 1, 2, 3 };
	int status = 77, ran = 0;

	FILCH_SPAWN(before, fib_then, 12, 0);
	EQ(FILCH_SCOPE(&status, sum_of, of, 4), 10);
	EQ(status, 0);
	EQ(FILCH_SCOPE(NULL, fib_then, 15, 0), 610);
	EQ(FILCH_SCOPE(&status, fib_then, 15, 9), 610);
	EQ(status, 9);
	FILCH_SCOPE(&status, stop, &ran);
	EQ(status, -4);
	EQ(ran, 1);
	FILCH_SCOPE(&status, stop_zero);
	EQ(status, 0);
	EQ(filch_scope_slot(), -1);
	EQ(FILCH_SYNC(before), 144);
}

static void call_typed(struct filch_pool *pool)
{
	for (int i = 0; i < 50; i++)
		EQ(FILCH_RUN(pool, NULL, typed_calls), 0);
}

Test(scope, a_typed_call_in_a_scope_has_its_result_and_its_status)
{
	on_each_pool(call_typed);
}

enum { DEPTH = 5000 };
static int refused, deepest;

FILCH_TASK(long, deep, (int, n))
{
	int status;
	long below;

	if (n == DEPTH)
		return -1; /* was not refused */
	deepest = n > deepest ? n : deepest;
	below = FILCH_SCOPE(&status, deep, n + 1);
	if (!status)
		return below;
	EQ(status, -ENOBUFS);
	EQ(below, 0);
	refused++;
	EQ(filch_scope(NULL, NULL, give, &n), -ENOBUFS);
	return 5;
}

Test(scope, scopes_that_nest_too_deep_are_refused)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	long result = 0;

	config.workers = 1;
	config.stack_bytes = UINT64_C(64) << 20;
	EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 0; i < 2; i++) {
		EQ(FILCH_RUN(pool, &result, deep, 0), 0);
		EQ(result, 5);
		EQ(refused, i + 1);
		EQ(deepest, 4095); /* one is the job */
	}
	EQ(filch_pool_destroy(pool), 0);
}

/* --- loops with a status ------------------------------------------------ */

static int bodies, stop_from, status_there;

static int maybe(size_t b, size_t e, void *arg)
{
	(void)arg;
	cr_assert(b < e);
	__atomic_fetch_add(&bodies, (int)(e - b), __ATOMIC_RELAXED);
	return e > (size_t)stop_from ? status_there : 0;
}

Test(scope, a_loop_ends_with_the_first_status_that_is_not_zero)
{
	const uint32_t workers[] = { 1, 4 };
	const size_t grain[] = { 0, 1, 7, 100000 };
	const int stops[] = { 0, 1, 777, 9999, 10000 };
	const int status[] = { 1, -1, INT_MIN, -ECANCELED };

	for (int w = 0; w < 2; w++) {
		struct filch_pool *pool = pool_of(workers[w], 0);

		EQ(filch_for_until(pool, 0, 10, 1, NULL, NULL), -EINVAL);
		EQ(filch_for_until(pool, 10, 0, 1, maybe, NULL), -EINVAL);
		EQ(filch_for_until(pool, 5, 5, 1, maybe, NULL), 0);
		for (int i = 0; i < 80; i++) {
			stop_from = stops[i / 16];
			status_there = status[i / 4 % 4];
			bodies = 0;
			EQ(filch_for_until(pool, 0, 10000, grain[i % 4], maybe, NULL),
				stop_from < 10000 ? status_there : 0);
			if (stop_from == 10000)
				EQ(bodies, 10000);
			else if (w == 0 && grain[i % 4] == 1)
				EQ(bodies, stop_from + 1);
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}

static int until_in_scope(void *arg)
{
	stop_from = 10000;
	EQ(filch_scope_cancel(6), 0);
	bodies = 0;
	EQ(filch_for_until(NULL, 0, 10000, 1, maybe, arg), -ECANCELED);
	EQ(bodies, 0);
	return 0;
}

static int cancels_the_job(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)arg;
	bodies++;
	EQ(filch_cancel(filch_pool_current(), filch_job_id()), 0);
	return 0;
}

Test(scope, a_loop_with_a_status_is_cancelled_as_others)
{
	struct filch_pool *pool = pool_of(1, 0);

	EQ(filch_scope(pool, NULL, until_in_scope, NULL), 6);
	bodies = 0;
	EQ(filch_for_until(pool, 0, 1000, 1, cancels_the_job, NULL), -ECANCELED);
	EQ(bodies, 1);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- sorts -------------------------------------------------------------- */

static int compare_and_cancel(const void *a, const void *b, void *arg)
{
	if (++*(int *)arg == 1000)
		EQ(filch_scope_cancel(11), 0);
	return compare(a, b, arg);
}

static int sorts(void *arg)
{
	int *v = arg, compared = 0;

	EQ(filch_sort(NULL, v, 1 << 20, sizeof v[0], compare_and_cancel, &compared), -ECANCELED);
	return 0;
}

Test(scope, a_sort_ends_with_its_scope_and_loses_nothing)
{
	struct filch_pool *pool = pool_of(1, 0);
	int *v = malloc(sizeof v[0] << 20);
	int64_t sum = 0;

	cr_assert(v);
	for (int i = 0; i < 1 << 20; i++)
		v[i] = (int)((unsigned)i * 40503u & 0xfffffu);
	EQ(filch_scope(pool, NULL, sorts, v), 11);
	for (int i = 0; i < 1 << 20; i++)
		sum += v[i];
	EQ(sum, ((INT64_C(1) << 20) - 1) << 19);
	free(v);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- lost threads ------------------------------------------------------- */

static int leaves_the_thread(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static int deeper(void *arg)
{
	return filch_scope(NULL, NULL, leaves_the_thread, arg);
}

Test(scope, a_thread_that_leaves_inside_scopes_ends_its_job)
{
	struct filch_pool *pool = pool_of(1, 0);
	int seven = 7;

	for (int i = 0; i < 3; i++) {
		EQ(filch_scope(pool, NULL, deeper, NULL), -ECANCELED);
		EQ(filch_scope(pool, NULL, give, &seven), 7);
	}
	EQ(filch_pool_destroy(pool), 0);
}
