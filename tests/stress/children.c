/* SPDX-License-Identifier: Apache-2.0 */
/*
 * children: every child of a set runs exactly once and its result is folded once, on 1, 2, 8 and 32
 * workers: trees whose numbers of children are known only at run time, from none to far beyond what
 * a stack frame holds, with handles among them; one set of a million; many sets that come and go
 * while thieves are in their frames. Ids are entered in a ledger with a bit each, and count and XOR
 * travel up through the folds. timeout: 300
 */
#define _GNU_SOURCE
#include "ledger.h"
#include "pools.h"

static struct ledger ledger;

struct sum {
	uint64_t count, xored, folds;
};

static inline void add(struct sum *to, struct sum more)
{
	to->count += more.count;
	to->xored ^= more.xored;
	to->folds += more.folds + 1;
}

static void check_sum(struct sum sum, uint64_t n)
{
	uint64_t expected = 0;

	for (uint64_t id = 0; id < n; id++)
		expected ^= ledger_mix(id);
	CHECK_EQ(sum.count, n);
	CHECK_EQ(sum.xored, expected);
}

static _Atomic uint64_t beyond; /* nodes with more children than a stack frame holds */

/* Ids [begin, end): itself, and the rest cut into children of random sizes, in one or more sets. */
FILCH_TASK(struct sum, tree, (uint64_t, begin), (uint64_t, end))
{
	struct sum sum = { 1, ledger_mix(begin), 0 }, last = { 0, 0, 0 };
	uint64_t rng = begin * 2654435761u + end, at = begin + 1, in_set = 0;

	ledger_enter(&ledger, begin);
	FILCH_CHILDREN_FOLD(kids, tree, add, &sum);
	while (at < end) {
		uint64_t dice = test_random(&rng), width = end - at;
		uint64_t step = 1 + dice / 256 % (1 + width / (2 + dice / 16 % 64));

		switch (dice % 16) {
		case 0: {
			FILCH_SPAWN(a, tree, at, at + step);
			last = FILCH_SYNC(a);
			add(&sum, last);
			break;
		}
		case 1:
			if (dice / 16 % 4 == 0) { /* the set is used again */
				FILCH_SYNC_CHILDREN(&kids);
				in_set = 0;
			}
			last = FILCH_CALL(tree, at, at + step);
			add(&sum, last);
			break;
		default:
			FILCH_SPAWN_CHILD(&kids, at, at + step);
			if (++in_set == 17)
				atomic_fetch_add_explicit(&beyond, 1, memory_order_relaxed);
			break;
		}
		at += step;
	}
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

static void trees(uint32_t workers, uint64_t n, uint64_t rounds)
{
	uint64_t bound = rounds + 1000;

	pools_begin();
	atomic_store(&beyond, 0);
	do {
		struct filch_pool *pool = pool_open(workers, 0);
		struct sum sum = { 0, 0, 0 };

		test_watchdog(120);
		ledger_open(&ledger, n);
		CHECK_EQ(FILCH_RUN(pool, &sum, tree, 0, n), 0);
		check_sum(sum, n);
		CHECK_EQ(sum.folds, n - 1);
		ledger_close(&ledger);
		pool_close(pool);
		rounds -= rounds > 0;
	} while (rounds ||
		 (workers > 1 && !(pools_sum.steals && pools_sum.joins_waited) && bound--));
	printf("    %llu nodes with more than 16 children\n",
		(unsigned long long)atomic_load(&beyond));
	pools_print();
	CHECK(atomic_load(&beyond) > 0, "no set was larger than a stack frame's");
	if (workers > 1) {
		POOLS_COVER(steals);
		POOLS_COVER(joins_waited);
	}
}

static void trees_on_one_worker(void)
{
	trees(1, test_scaled(1000000), 1);
}

static void trees_on_two_workers(void)
{
	trees(2, test_scaled(1000000), 3);
}

static void trees_on_eight_workers(void)
{
	trees(8, test_scaled(1000000), 2);
}

static void trees_on_32_workers(void)
{
	trees(32, test_scaled(1000000), 2);
}

FILCH_TASK(struct sum, leaf, (uint64_t, id))
{
	ledger_enter(&ledger, id);
	return (struct sum){ 1, ledger_mix(id), 0 };
}

FILCH_TASK(struct sum, flat, (uint64_t, begin), (uint64_t, n))
{
	struct sum sum = { 0, 0, 0 };

	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
	for (uint64_t i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&kids, begin + i);
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

static void a_million_children_of_one_task(void)
{
	uint64_t n = test_scaled(1000000);

	pools_begin();
	for (uint32_t workers = 1; workers <= 32; workers = workers == 2 ? 32 : workers * 2) {
		unsigned tries = 0;

		do {
			struct filch_pool *pool = pool_open(workers, 0);
			struct sum sum = { 0, 0, 0 };

			test_watchdog(120);
			ledger_open(&ledger, n);
			CHECK_EQ(FILCH_RUN(pool, &sum, flat, 0, n), 0);
			check_sum(sum, n);
			CHECK_EQ(sum.folds, n);
			ledger_close(&ledger);
			pool_close(pool);
		} while (workers > 1 && !pools_sum.steals && tries++ < 1000);
	}
	pools_print();
	POOLS_COVER(steals);
}

/* Sets of 1 to 100 that come and go: their annexes are freed and taken again at once. */
FILCH_TASK(struct sum, sets, (uint64_t, begin), (uint64_t, n))
{
	struct sum sum = { 0, 0, 0 };
	uint64_t rng = begin + 1, at = 0;

	while (at < n) {
		uint64_t some = 1 + test_random(&rng) % 100, i = 0;

		FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
		for (; i < some && at < n; i++)
			FILCH_SPAWN_CHILD(&kids, begin + at++);
		FILCH_SYNC_CHILDREN(&kids);
	}
	return sum;
}

FILCH_TASK(struct sum, many_sets, (uint64_t, n))
{
	struct sum sum = { 0, 0, 0 };
	uint64_t part = n / 40;

	FILCH_CHILDREN_FOLD(kids, sets, add, &sum);
	for (uint64_t at = 0; at < n; at += part)
		FILCH_SPAWN_CHILD(&kids, at, at + part < n ? part : n - at);
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

static void sets_come_and_go(void)
{
	uint64_t n = test_scaled(1000000), rounds = 3, bound = 1000;

	pools_begin();
	do {
		struct filch_pool *pool = pool_open(4, 0);
		struct sum sum = { 0, 0, 0 };

		test_watchdog(120);
		ledger_open(&ledger, n);
		CHECK_EQ(FILCH_RUN(pool, &sum, many_sets, n), 0);
		check_sum(sum, n);
		ledger_close(&ledger);
		pool_close(pool);
		rounds -= rounds > 0;
	} while (rounds || (!(pools_sum.steals && pools_sum.joins_waited) && bound--));
	pools_print();
	POOLS_COVER(steals);
	POOLS_COVER(joins_waited);
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("trees of children on one worker", trees_on_one_worker);
	test_case("trees of children on two workers", trees_on_two_workers);
	test_case("trees of children on eight workers", trees_on_eight_workers);
	test_case("trees of children on 32 workers", trees_on_32_workers);
	test_case("a million children of one task", a_million_children_of_one_task);
	test_case("sets of children come and go", sets_come_and_go);
	return test_finish("children");
}
