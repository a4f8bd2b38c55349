/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task, where there is no memory: a deque that cannot grow makes spawns run their tasks in place,
 * and every result is still right. The program's own malloc() and mmap() refuse workers on demand;
 * where a sanitizer owns malloc the tests are skipped.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include "unit.h"
#include <fib.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refuse; /* what workers ask for from now on */

#if !defined(UNIT_ADDRESS_SANITIZER)
void *__libc_malloc(size_t size); /* the C library's, under its other name */

void *malloc(size_t size)
{
	if (__atomic_load_n(&refuse, __ATOMIC_ACQUIRE) && filch_worker_id() >= 0)
		return NULL;
	return __libc_malloc(size);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (__atomic_load_n(&refuse, __ATOMIC_ACQUIRE) && filch_worker_id() >= 0) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}
#define NEED_MALLOC() ((void)0)
#else
#define NEED_MALLOC() \
	cr_skip_test("the sanitizer owns malloc: no allocation can be made to fail here")
#endif

static struct filch_pool *tiny_pool(uint32_t workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.deque_capacity = 2;
	EQ(filch_pool_create(&pool, &config), 0);
	return pool;
}

static struct filch_stats stats_of(struct filch_pool *pool)
{
	struct filch_stats stats = FILCH_STATS_INIT;

	EQ(filch_pool_stats(pool, &stats), 0);
	return stats;
}

FILCH_TASK(int, leaf, (int, i))
{
	return 3 * i;
}

FILCH_TASK(int, many, (int, n))
{
	FILCH_FRAME(leaf) kid[300];
	int sum = 0;

	for (int i = 0; i < n; i++)
		FILCH_SPAWN_INTO(&kid[i], leaf, i);
	for (int i = n - 1; i >= 0; i--)
		sum += FILCH_SYNC_FROM(leaf, &kid[i]);
	return sum;
}

FILCH_TASK(int, one_by_one)
{
	FILCH_SPAWN(a, leaf, 1);
	FILCH_SPAWN(b, leaf, 10);
	FILCH_SPAWN(c, leaf, 100);
	FILCH_SPAWN(d, leaf, 1000);
	int sum = FILCH_SYNC(d);
	sum += FILCH_SYNC(c);
	FILCH_SPAWN(e, leaf, 10000);
	sum += FILCH_SYNC(e);
	sum += FILCH_SYNC(b);
	return sum + FILCH_SYNC(a);
}

/* The control of the other cases: what they find is due to the refusals. */
Test(task_full, with_memory_nothing_runs_at_its_spawn)
{
	for (uint32_t workers = 1; workers <= 4; workers *= 2) {
		struct filch_pool *pool = tiny_pool(workers);
		int r = 0;

		EQ(FILCH_RUN(pool, &r, many, 300), 0);
		EQ(r, 3 * 44850);
		EQ(FILCH_RUN(pool, &r, one_by_one), 0);
		EQ(r, 33333);
		EQ(stats_of(pool).inlined, 0);
		EQ(filch_pool_destroy(pool), 0);
	}
}

Test(task_full, a_spawn_without_room_runs_its_task_there_and_then)
{
	NEED_MALLOC();
	struct filch_pool *pool = tiny_pool(1);
	int r = 0;

	__atomic_store_n(&refuse, 1, __ATOMIC_RELEASE);
	EQ(FILCH_RUN(pool, &r, many, 300), 0);
	EQ(r, 3 * 44850);
	EQ(stats_of(pool).inlined, 298); /* the deque holds two */
	EQ(stats_of(pool).grows, 0);
	EQ(FILCH_RUN(pool, &r, one_by_one), 0);
	EQ(r, 33333);
	EQ(stats_of(pool).inlined, 301);
	__atomic_store_n(&refuse, 0, __ATOMIC_RELEASE);
	EQ(FILCH_RUN(pool, &r, many, 300), 0);
	EQ(r, 3 * 44850);
	EQ(stats_of(pool).inlined, 301);
	cr_assert(stats_of(pool).grows > 0);
	EQ(filch_pool_destroy(pool), 0);
}

static void full_with_thieves(void)
{
	for (uint32_t workers = 1; workers <= 8; workers *= 2) {
		struct filch_pool *pool = tiny_pool(workers);
		long f = 0;
		int r = 0;

		__atomic_store_n(&refuse, 1, __ATOMIC_RELEASE);
		for (int i = 0; i < 30; i++) {
			EQ(FILCH_RUN(pool, &f, fib, 15), 0);
			EQ(f, 610);
			EQ(FILCH_RUN(pool, &r, many, 200), 0);
			EQ(r, 3 * 19900);
			EQ(FILCH_RUN(pool, &r, one_by_one), 0);
			EQ(r, 33333);
		}
		cr_assert(stats_of(pool).inlined > 0);
		EQ(stats_of(pool).grows, 0);
		__atomic_store_n(&refuse, 0, __ATOMIC_RELEASE);
		EQ(filch_pool_destroy(pool), 0);
	}
}

Test(task_full, programs_are_right_with_full_deques_and_thieves)
{
	NEED_MALLOC();
	full_with_thieves();
}

Test(task_full, and_where_membarrier_is_refused_as_well)
{
	NEED_MALLOC();
	setenv("FILCH_MEMBARRIER", "0", 1);
	full_with_thieves();
}

static void fill(size_t b, size_t e, void *acc, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++)
		((char *)acc)[i % 1000] = 1;
}

static void merge(void *acc, const void *right, void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++)
		((char *)acc)[i] |= ((const char *)right)[i];
}

Test(task_full, a_reduction_without_memory_for_its_accumulators_says_so_and_leaves_the_result)
{
	NEED_MALLOC();
	static const char identity[1000];
	struct filch_pool *pool = tiny_pool(2);
	char result[1000];

	memset(result, 9, sizeof result);
	__atomic_store_n(&refuse, 1, __ATOMIC_RELEASE);
	EQ(filch_reduce(pool, 0, 1000, 10, sizeof result, identity, fill, merge, NULL, result),
		-ENOMEM);
	__atomic_store_n(&refuse, 0, __ATOMIC_RELEASE);
	for (int i = 0; i < 1000; i++)
		EQ(result[i], 9);
	EQ(filch_reduce(pool, 0, 1000, 10, sizeof result, identity, fill, merge, NULL, result), 0);
	for (int i = 0; i < 1000; i++)
		EQ(result[i], 1);
	EQ(filch_pool_destroy(pool), 0);
}
