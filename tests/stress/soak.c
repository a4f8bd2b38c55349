/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soak: one pool, thousands of bursts of work, all its workers asleep between them. Memory after
 * the hundredth burst and after the last within a megabyte; threads and descriptors as many as
 * before; and every sleep has been ended by a wake: workers do not wake by themselves. Bursts are
 * jobs of eight kinds at once: trees, loops, jobs that wait, jobs with callbacks, cancelled ones.
 *
 * In CI (scale 1) 3,000 bursts, a few seconds; FILCH_TEST_SCALE=10 is 30,000, FILCH_TEST_SCALE=500
 * a soak of more than ten minutes. timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "fib.h"
#include "pools.h"

static struct filch_pool *pool;
static _Atomic uint64_t told, whole_loops, cut_loops;

static void tell(const struct filch_completion *c)
{
	CHECK(c->status == 0 || c->status == -ECANCELED, "%d", c->status);
	told++;
}

static int tree(void *arg)
{
	long r = 0;

	(void)arg;
	CHECK_EQ(FILCH_RUN(NULL, &r, fib, 10), 0);
	CHECK_EQ(r, 55);
	return 0;
}

static void cover(size_t b, size_t e, void *arg)
{
	*(_Atomic uint64_t *)arg += e - b;
}

/* Some of these are cancelled, most of them before they begin. */
static int loop(void *arg)
{
	_Atomic uint64_t covered = 0;
	int error = filch_for(NULL, 0, 256, 16, cover, &covered);

	(void)arg;
	if (error) {
		CHECK(error == -ECANCELED && filch_job_cancelled(), "%d", error);
		CHECK(covered < 256, "%llu indices of a loop cut short",
			(unsigned long long)covered);
		cut_loops++;
	} else {
		CHECK_EQ(covered, 256);
		whole_loops++;
	}
	return 0;
}

static int wait_for_a_tree(void *arg)
{
	int64_t id = filch_submit(pool, tree, arg, NULL);

	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	return 0;
}

#define CALLBACKS 4u

static void burst(uint64_t round)
{
	static filch_job_fn *const kind[] = { tree, loop, wait_for_a_tree, loop };
	struct filch_submit how = { .size = sizeof how, .on_complete = tell };
	int64_t id[4], late[CALLBACKS];
	long r = 0;

	for (unsigned i = 0; i < 4; i++)
		CHECK((id[i] = filch_submit(pool, kind[i], NULL, NULL)) > 0, "%lld",
			(long long)id[i]);
	for (unsigned i = 0; i < CALLBACKS; i++)
		CHECK((late[i] = filch_submit(pool, kind[(round + i) % 4], NULL, &how)) > 0, "%lld",
			(long long)late[i]);
	for (unsigned i = 0; i < CALLBACKS; i += 2)
		(void)filch_cancel(pool, late[i]);
	CHECK_EQ(FILCH_RUN(pool, &r, fib, 10), 0);
	CHECK_EQ(r, 55);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
}

static void bursts_leave_nothing_behind(void)
{
	const uint32_t workers = 4;
	uint64_t n = 200 + test_scaled(2800), round = 0, early = 0, late;
	int threads, descriptors;
	struct filch_stats s;

	test_watchdog(60);
	pools_begin();
	told = whole_loops = cut_loops = 0;
	pool = pool_open(workers, 0);
	threads = test_threads();
	descriptors = test_descriptors();
	for (; round < n || (!pool_stats(pool).steals && round < 1000000); round++) {
		if (round % 100 == 0)
			test_watchdog(60);
		burst(round);
		pool_until_asleep(pool, workers);
		if (round == 100)
			early = test_resident();
	}
	late = test_resident();
	s = pool_stats(pool);
	CHECK_EQ(test_threads(), threads);
	CHECK_EQ(test_descriptors(), descriptors);
	CHECK_EQ(told, round * CALLBACKS);
	/* two of the four waited for */
	CHECK(whole_loops >= 2 * round, "%llu loops", (unsigned long long)whole_loops);
	if (!TEST_SANITIZED) /* their allocators keep what is freed for a while */
		CHECK(late < early + (1 << 20), "%llu KiB after 100 bursts, %llu after %llu",
			(unsigned long long)early / 1024, (unsigned long long)late / 1024,
			(unsigned long long)round);
	printf("    %llu bursts, %llu KiB after 100, %llu KiB at the end; %llu loops whole, %llu "
	       "cut short\n",
		(unsigned long long)round, (unsigned long long)early / 1024,
		(unsigned long long)late / 1024, (unsigned long long)whole_loops,
		(unsigned long long)cut_loops);
	/*
	 * a wake may also meet a worker that was about to sleep and has found something by itself
	 */
	CHECK(s.parks <= s.wakes + workers, "%llu parks, %llu wakes", (unsigned long long)s.parks,
		(unsigned long long)s.wakes);
	pool_close(pool);
	pools_print();
	POOLS_COVER(steals);
	POOLS_COVER(parks);
	POOLS_COVER(jobs_nested);
}

int main(void)
{
	test_watchdog(60);
	(void)test_seed();
	test_case("bursts of work leave nothing behind, and workers sleep until they are woken",
		bursts_leave_nothing_behind);
	return test_finish("soak");
}
