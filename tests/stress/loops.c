/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loops: loops of random range, grain, kind and length of bodies, nested, called at once by several threads from outside and by the
 * creating thread, on 2, 3 and 16 workers: every item exactly once, by a ledger of all of them.
 *
 * timeout: 300
 */
#include <pthread.h>

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
	*(uint64_t *)acc = *(uint64_t *)acc * UINT64_C(0x100000001b3) + (e - b); /* order is checked by unit tests; lengths here */
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
		CHECK_EQ(filch_reduce(on, 0, n, grain, sizeof zero, zero, reduce_body, add_second, &part, sum), 0);
		break;
	case 1:
		CHECK_EQ(filch_scan(on, 0, n, grain, sizeof zero, zero, scan_body, add_second, &part, sum), 0);
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
			uint64_t dice = test_random(&rng), step = 1 + dice / 8 % (dice % 8 ? 3000 : 40);

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
	for (uint64_t done = 0, bound = 100 * n + 10000000; done < n || (!pools_sum.steals && done < bound); done += ids) {
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

int main(void)
{
	test_case("the ledger finds what is lost or doubled", ledger_self_test);
	test_case("loops called from outside run every item once", called_from_outside);
	test_case("loops called by the creating thread run every item once", called_by_the_creating_thread);
	test_case("loops on more workers than cores run every item once", on_more_workers_than_cores);
	return test_finish("loops");
}
