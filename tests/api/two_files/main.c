/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks declared in a header and defined in another file, used as any: compiled as strict C11 with
 * -pedantic-errors, in both files, and linked with the shared library.
 */
#include "tree.h"

#include <test.h>

FILCH_TASK(long, all_kinds, (long, n))
{
	FILCH_FRAME(sum_range) kid[4];
	triple three = { 1, 2, 3 };
	long added = 0, sum;

	FILCH_SPAWN(a, forty_two);
	FILCH_SPAWN(b, sum_triple, three);
	FILCH_SPAWN(c, add_into, &added, 1000);
	FILCH_SPAWN(d, do_nothing);
	for (int i = 0; i < 4; i++)
		FILCH_SPAWN_INTO(&kid[i], sum_range, (struct range){ 0, n }, 10);
	sum = FILCH_CALL(sum_range, (struct range){ 0, n }, 7);
	FILCH_CALL(do_nothing);
	FILCH_CALL(add_into, &sum, 5);
	for (int i = 3; i >= 0; i--)
		sum += FILCH_SYNC_FROM(sum_range, &kid[i]);
	FILCH_SYNC(d);
	FILCH_SYNC(c);
	sum += FILCH_SYNC(b);
	sum += FILCH_SYNC(a);
	return sum + added;
}

static void add(long *sum, long one)
{
	*sum += one;
}

FILCH_TASK(long, children, (long, n))
{
	triple three = { 1, 2, 3 };
	long sum = 0, added[100] = { 0 };

	FILCH_CHILDREN(silent, do_nothing);
	FILCH_CHILDREN(into, add_into);
	FILCH_CHILDREN_FOLD(triples, sum_triple, add, &sum);
	for (long i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&silent);
	for (long i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&into, &added[i], i);
	for (long i = 0; i < n; i++, three[0]++)
		FILCH_SPAWN_CHILD(&triples, three);
	FILCH_SYNC_CHILDREN(&triples);
	FILCH_SYNC_CHILDREN(&into);
	FILCH_SYNC_CHILDREN(&silent);
	for (long i = 0; i < n; i++)
		sum += 1000 * added[i];
	return sum;
}

#define TWICE(b, e, of)                       \
	for (size_t i_ = (b); i_ < (e); i_++) \
	(of)[i_] *= 2
FILCH_FOR_DEFINE(twice, long, TWICE);

static void run(unsigned workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	triple three = { 10, 20, 30 };
	long r = 0;
	int answer = 0;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(FILCH_RUN(pool, &r, all_kinds, 1000), 0);
		CHECK_EQ(r, 5 * 499500 + 5 + 42 + 6 + 1000);
		CHECK_EQ(FILCH_RUN(pool, &r, children, 5 * i), 0);
		CHECK_EQ(r, 5 * i * 6 + 1001 * (5 * i * (5 * i - 1) / 2));
		CHECK_EQ(FILCH_RUN(pool, &r, sum_triple, three), 0);
		CHECK_EQ(r, 60);
		CHECK_EQ(FILCH_RUN(pool, &answer, forty_two), 0);
		CHECK_EQ(answer, 42);
		CHECK_EQ(FILCH_RUN(pool, NULL, add_into, &r, 1), 0);
		CHECK_EQ(r, 61);
		CHECK_EQ(FILCH_RUN(pool, NULL, do_nothing), 0);
	}
	long numbers[100];

	for (long i = 0; i < 100; i++)
		numbers[i] = i;
	CHECK_EQ(twice(pool, 10, 100, 7, numbers), 0);
	for (long i = 0; i < 100; i++)
		CHECK_EQ(numbers[i], i < 10 ? i : 2 * i);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static void one_worker(void)
{
	run(1);
}

static void three_workers(void)
{
	run(3);
}

int main(void)
{
	test_watchdog(120);
	test_case("tasks of another file run with one worker", one_worker);
	test_case("tasks of another file run with three workers", three_workers);
	return test_finish("two_files");
}
