/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loops: loops of random range, grain, kind and length of bodies, nested, called at once by several
 * threads from outside and by the creating thread, on 2, 3 and 16 workers: every item exactly once,
 * by a ledger of all of them. And loops that are cancelled, by a body of theirs or by another
 * thread: no item twice, and 0 is returned if and only if every item was run.
 *
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "ledger.h"
#include "pools.h"

static struct ledger ledger;
static struct filch_pool *pool;

/* A range of ids that one loop is to enter, and how. */
struct part {
	uint64_t first, rng;
	unsigned depth;
};

static void spin(uint64_t rounds)
{
	for (volatile uint64_t i = 0; i < rounds; i++)
		;
}

static void loop_over(struct filch_pool *on, struct part part, uint64_t n);

static void enter(const struct part *part, size_t b, size_t e)
{
	uint64_t rng = part->rng + b;

	if (part->depth && test_random(&rng) % 8 == 0) {
		loop_over(NULL, (struct part){ part->first + b, rng, part->depth - 1 }, e - b);
		return;
	}
	for (size_t i = b; i < e; i++) {
		ledger_enter(&ledger, part->first + i);
		rng = part->rng + i;
		if (test_random(&rng) % 64 == 0)
			spin(rng % 2000);
	}
}

static void for_body(size_t b, size_t e, void *arg)
{
	enter(arg, b, e);
}

static void reduce_body(size_t b, size_t e, void *acc, void *arg)
{
	enter(arg, b, e);
	/* order is checked by unit tests; lengths here */
	*(uint64_t *)acc = *(uint64_t *)acc * UINT64_C(0x100000001b3) + (e - b);
	((uint64_t *)acc)[1] += e - b;
}

static void scan_body(size_t b, size_t e, void *acc, bool write, void *arg)
{
	if (write)
		enter(arg, b, e);
	((uint64_t *)acc)[1] += e - b;
}

static void add_second(void *acc, const void *right, void *arg)
{
	(void)arg;
	((uint64_t *)acc)[1] += ((const uint64_t *)right)[1];
}

static void loop_over(struct filch_pool *on, struct part part, uint64_t n)
{
	const uint64_t zero[2] = { 0, 0 };
	uint64_t dice = test_random(&part.rng), sum[2] = { 0, n };
	size_t grain = dice / 16 % 2 ? 0 : dice / 64 % 100 + 1;

	switch (dice % 4) {
	case 0:
		CHECK_EQ(filch_reduce(on, 0, n, grain, sizeof zero, zero, reduce_body, add_second,
				 &part, sum),
			0);
		break;
	case 1:
		CHECK_EQ(filch_scan(on, 0, n, grain, sizeof zero, zero, scan_body, add_second,
				 &part, sum),
			0);
		break;
	default:
		CHECK_EQ(filch_for(on, 0, n, grain, for_body, &part), 0);
		break;
	}
	CHECK_EQ(sum[1], n);
}

enum { PIECE = 20000 };
static uint64_t next_id, ids;

/* Takes ids a stretch at a time, until there are none. */
static void *caller(void *arg)
{
	uint64_t rng = test_seed() + (uintptr_t)arg, first;

	while ((first = __atomic_fetch_add(&next_id, PIECE, __ATOMIC_RELAXED)) < ids) {
		uint64_t n = ids - first < PIECE ? ids - first : PIECE, at = 0;

		while (at < n) {
			uint64_t dice = test_random(&rng),
				 step = 1 + dice / 8 % (dice % 8 ? 3000 : 40);

			if (step > n - at)
				step = n - at;
			loop_over(pool, (struct part){ first + at, test_random(&rng), 2 }, step);
			at += step;
		}
	}
	return NULL;
}

/* Until @n ids are done, and something was stolen. */
static void loops(uint32_t workers, uint64_t flags, uint64_t n, unsigned threads)
{
	pthread_t thread[8];

	pools_begin();
	for (uint64_t done = 0, bound = 100 * n + 10000000;
		done < n || (!pools_sum.steals && done < bound); done += ids) {
		test_watchdog(120);
		pool = pool_open(workers, flags);
		ids = n < 1000000 ? n : 1000000;
		next_id = 0;
		ledger_open(&ledger, ids);
		for (uintptr_t i = 0; i < threads; i++)
			CHECK_EQ(pthread_create(&thread[i], NULL, caller, (void *)(i + 1)), 0);
		if (flags & FILCH_POOL_CALLER)
			(void)caller(NULL);
		for (unsigned i = 0; i < threads; i++)
			CHECK_EQ(pthread_join(thread[i], NULL), 0);
		ledger_close(&ledger);
		pool_close(pool);
	}
	pools_print();
	POOLS_COVER(steals);
}

static void called_from_outside(void)
{
	loops(2, 0, test_scaled(10000000), 2);
	loops(3, 0, test_scaled(4000000), 4);
}

static void called_by_the_creating_thread(void)
{
	loops(2, FILCH_POOL_CALLER, test_scaled(10000000), 0);
	loops(3, FILCH_POOL_CALLER, test_scaled(4000000), 2);
}

static void on_more_workers_than_cores(void)
{
	loops(16, 0, test_scaled(4000000), 3);
	loops(16, FILCH_POOL_CALLER, test_scaled(4000000), 1);
}

/* --- cancellation ----------------------------------------------------- */

enum { ITEMS = 2000, CANCELLERS = 2 };
static _Atomic uint8_t seen[ITEMS];
static _Atomic uint64_t run_items;
/* the job that the other threads are to cancel; 0 none, -1 they end */
static _Atomic int64_t target;
static uint64_t cancel_at; /* the body that runs this item cancels its own job */
/* the one of this item waits until another thread has: on one core that may never be at hand */
static uint64_t meet_at;

static void see(size_t b, size_t e)
{
	for (size_t i = b; i < e; i++) {
		CHECK_EQ(seen[i]++, 0);
		run_items++;
		if (i == cancel_at)
			CHECK_EQ(filch_cancel(pool, filch_job_id()), 0);
		while (i == meet_at && !filch_job_cancelled())
			sched_yield();
		spin(20);
	}
}

static void see_for(size_t b, size_t e, void *arg)
{
	(void)arg;
	see(b, e);
}

static void see_reduce(size_t b, size_t e, void *acc, void *arg)
{
	(void)arg;
	see(b, e);
	((uint64_t *)acc)[1] += e - b;
}

static void see_scan(size_t b, size_t e, void *acc, bool write, void *arg)
{
	(void)arg;
	if (write)
		see(b, e);
	((uint64_t *)acc)[1] += e - b;
}

static int cancelled_loop(void *arg)
{
	const uint64_t dice = *(const uint64_t *)arg, zero[2] = { 0, 0 };
	const size_t grain = dice / 8 % 2 ? 0 : dice / 16 % 20 + 1;
	uint64_t sum[2] = { 0, 77 };
	int error;

	if (dice / 1024 % 2)
		target = filch_job_id();
	switch (dice % 4) {
	case 0:
		error = filch_reduce(NULL, 0, ITEMS, grain, sizeof zero, zero, see_reduce,
			add_second, NULL, sum);
		CHECK_EQ(sum[1], error ? 77 : ITEMS);
		break;
	case 1:
		error = filch_scan(
			NULL, 0, ITEMS, grain, sizeof zero, zero, see_scan, add_second, NULL, sum);
		break;
	default:
		error = filch_for(NULL, 0, ITEMS, grain, see_for, NULL);
		break;
	}
	CHECK(error == 0 || error == -ECANCELED, "%d", error);
	CHECK((run_items == ITEMS) == !error, "%d, %llu items", error,
		(unsigned long long)run_items);
	return error;
}

static void *canceller(void *arg)
{
	int64_t id;

	(void)arg;
	while ((id = target) >= 0) {
		if (id)
			(void)filch_cancel(pool, id); /* it may be over already */
		sched_yield();
	}
	return NULL;
}

/*
 * Until @n loops were stopped early by a body, as many by another thread, and something was stolen.
 */
static void cancelled_loops(uint32_t workers, uint64_t n)
{
	pthread_t thread[CANCELLERS];
	uint64_t by_body = 0, by_other = 0, whole = 0, rng = test_seed();

	pools_begin();
	test_watchdog(120);
	pool = pool_open(workers, 0);
	target = 0;
	for (unsigned i = 0; i < CANCELLERS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, canceller, NULL), 0);
	while (by_body < n || by_other < n || !pool_stats(pool).steals) {
		uint64_t dice = test_random(&rng);
		struct filch_completion c;

		memset((void *)seen, 0, sizeof seen);
		run_items = 0;
		cancel_at = dice / 1024 % 2 ? ITEMS : dice / 4096 % ITEMS;
		meet_at = dice / 1024 % 2 && dice / 2048 % 2 ? dice / 4096 % ITEMS : ITEMS;
		CHECK_EQ(
			filch_wait(pool, filch_submit(pool, cancelled_loop, &dice, NULL), NULL, &c),
			0);
		target = 0;
		if (!c.status)
			whole++;
		else if (cancel_at < ITEMS)
			by_body++;
		else
			by_other++;
	}
	target = -1;
	for (unsigned i = 0; i < CANCELLERS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	pool_close(pool);
	printf("    %llu stopped by a body, %llu by another thread, %llu not stopped\n",
		(unsigned long long)by_body, (unsigned long long)by_other,
		(unsigned long long)whole);
	pools_print();
}

static void cancelled(void)
{
	cancelled_loops(2, test_scaled(2000));
	cancelled_loops(4, test_scaled(2000));
}

int main(void)
{
	test_case("the ledger finds what is lost or doubled", ledger_self_test);
	test_case("loops called from outside run every item once", called_from_outside);
	test_case("loops called by the creating thread run every item once",
		called_by_the_creating_thread);
	test_case(
		"loops on more workers than cores run every item once", on_more_workers_than_cores);
	test_case("a cancelled loop runs no item twice and says whether it ran all", cancelled);
	return test_finish("loops");
}
