/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring: every value put, singly or together with others, is taken exactly once; what one producer
 * puts, any one consumer takes in that order; a producer that is stopped between drawing its
 * position and writing it stops nobody else, and the ring does not seem empty meanwhile.
 *
 * The values of the library's rings are slot numbers, each in a ring at most once, so a producer
 * here first takes a free slot from a second ring, writes its message into it and puts the slot's
 * number: the free ring is under the same load. src/struct/scq.h is compiled into this driver with
 * hooks.
 *
 * In CI (scale 1) about 4 million messages; the campaign is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define FILCH_HOOKS
#include "struct/scq.h"

#include "ledger.h"
#include "test.h"

#define PRODUCERS 4u
#define CONSUMERS 4u
#define MANY      4u /* slots taken and put together, at most */

static struct filchi_scq ready, spare;
static struct ledger ledger;
/* slot -> producer << 32 | number, plain: the ring's order is what makes it visible */
static uint64_t message[64];
static uint64_t per_producer;
static _Atomic uint64_t taken, empty_looks, full_looks, batches;

/* --- hooks: yields, and one producer that is held --------------------- */

static _Atomic unsigned hook_rate;
static _Atomic uint64_t hook_yields;
static _Thread_local uint64_t hook_rng;
static _Thread_local bool hold_me; /* this thread stops at the next scq_put_drawn ... */
static _Atomic bool held, let_go;  /* ... says so, and goes on when it is told */

void filchi_hook(const char *point)
{
	unsigned rate = atomic_load_explicit(&hook_rate, memory_order_relaxed);

	if (hold_me && point[4] == 'p') { /* scq_put_drawn */
		hold_me = false;
		held = true;
		while (!let_go)
			sched_yield();
	}
	if (!rate)
		return;
	if (!hook_rng)
		hook_rng = test_seed() ^ (uintptr_t)&hook_rng;
	if (test_random(&hook_rng) % rate == 0) {
		atomic_fetch_add_explicit(&hook_yields, 1, memory_order_relaxed);
		sched_yield();
	}
}

/* --- producers and consumers ------------------------------------------ */

/* Takes a spare slot, or waits for one: small rings are full most of the time. */
static uint32_t spare_slot(void)
{
	uint32_t slot;

	while ((slot = filchi_scq_take(&spare)) == FILCHI_SCQ_EMPTY) {
		atomic_fetch_add_explicit(&full_looks, 1, memory_order_relaxed);
		sched_yield();
	}
	return slot;
}

static void *produce(void *arg)
{
	uint64_t me = (uintptr_t)arg, rng = test_seed() + me;

	for (uint64_t i = 0; i < per_producer;) {
		uint32_t slot[MANY], n = 0;

		if (test_random(&rng) % 2) { /* as many as there are, singly or together */
			uint64_t most = 1 + test_random(&rng) % MANY, left = per_producer - i;

			n = filchi_scq_take_many(
				&spare, slot, (uint32_t)(most < left ? most : left));
		}
		if (!n)
			slot[n++] = spare_slot();
		for (uint32_t k = 0; k < n; k++)
			message[slot[k]] = me << 32 | i++;
		if (n > 1)
			atomic_fetch_add_explicit(&batches, 1, memory_order_relaxed);
		filchi_scq_put_many(&ready, slot, n);
	}
	return NULL;
}

static void *consume(void *unused)
{
	uint64_t next[PRODUCERS] = { 0 };

	(void)unused;
	while (atomic_load_explicit(&taken, memory_order_relaxed) < PRODUCERS * per_producer) {
		uint32_t slot = filchi_scq_take(&ready);

		if (slot == FILCHI_SCQ_EMPTY) {
			atomic_fetch_add_explicit(&empty_looks, 1, memory_order_relaxed);
			sched_yield();
			continue;
		}
		uint64_t producer = message[slot] >> 32, number = message[slot] & UINT32_MAX;

		CHECK(producer < PRODUCERS, "slot %u holds %llx", slot,
			(unsigned long long)message[slot]);
		CHECK(number >= next[producer],
			"message %llu of producer %llu came to a consumer that had seen %llu",
			(unsigned long long)number, (unsigned long long)producer,
			(unsigned long long)next[producer] - 1);
		next[producer] = number + 1;
		ledger_enter(&ledger, producer * per_producer + number);
		atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
		filchi_scq_put(&spare, slot);
	}
	return NULL;
}

static void open_rings(uint32_t capacity)
{
	CHECK_EQ(filchi_scq_init(&ready, capacity), 0);
	CHECK_EQ(filchi_scq_init(&spare, capacity), 0);
	CHECK(filchi_scq_seems_empty(&ready), "a fresh ring holds something");
	for (uint32_t i = 0; i < capacity; i++)
		filchi_scq_put(&spare, i);
	taken = empty_looks = full_looks = batches = 0;
}

static void close_rings(void)
{
	filchi_scq_destroy(&ready);
	filchi_scq_destroy(&spare);
}

/*
 * The paper's bound on takes wants no more threads inside than values: with capacity 2 and 8
 * threads a take may say "empty" of a ring that is not. The consumers here look again, as workers
 * do before they park; exactly once and the order hold regardless.
 */
static void through(uint32_t capacity, uint64_t messages, unsigned rate)
{
	pthread_t thread[PRODUCERS + CONSUMERS];

	test_watchdog(240);
	open_rings(capacity);
	per_producer = messages / PRODUCERS + 1;
	ledger_open(&ledger, PRODUCERS * per_producer);
	hook_rate = rate;
	hook_yields = 0;
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, produce, (void *)i), 0);
	for (unsigned i = 0; i < CONSUMERS; i++)
		CHECK_EQ(pthread_create(&thread[PRODUCERS + i], NULL, consume, NULL), 0);
	for (unsigned i = 0; i < PRODUCERS + CONSUMERS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	hook_rate = 0;
	printf("    capacity %u: %llu messages, %llu puts of several, found empty %llu times, "
	       "full %llu times, %llu yields in the windows\n",
		capacity, (unsigned long long)taken, (unsigned long long)batches,
		(unsigned long long)empty_looks, (unsigned long long)full_looks,
		(unsigned long long)hook_yields);
	ledger_close(&ledger);
	CHECK_EQ(filchi_scq_take(&ready), FILCHI_SCQ_EMPTY);
	for (uint32_t i = 0; i < capacity; i++)
		CHECK(filchi_scq_take(&spare) != FILCHI_SCQ_EMPTY, "only %u of %u slots came back",
			i, capacity);
	CHECK_EQ(filchi_scq_take(&spare), FILCHI_SCQ_EMPTY);
	close_rings();
	CHECK(empty_looks + full_looks > 0, "the ring was never empty or full");
	if (capacity >= 2 * PRODUCERS * MANY) /* small rings seldom have two spare slots at once */
		CHECK(batches > 0, "nothing was put together");
	if (rate)
		CHECK(hook_yields > 0, "no window was visited");
}

static void one_thread_takes_what_it_put_in_order(void)
{
	for (uint32_t capacity = 2; capacity <= 64; capacity *= 2) {
		open_rings(capacity);
		for (uint32_t lap = 0; lap < 1000; lap++) {
			uint32_t n = 1 + lap % capacity, put[64];

			for (uint32_t i = 0; i < n; i++) {
				put[i] = filchi_scq_take(&spare);
				filchi_scq_put(&ready, put[i]);
			}
			CHECK(!filchi_scq_seems_empty(&ready), "a ring of %u seems empty", n);
			for (uint32_t i = 0; i < n; i++) {
				uint32_t slot = filchi_scq_take(&ready);

				CHECK_EQ(slot, put[i]);
				filchi_scq_put(&spare, slot);
			}
			for (unsigned vain = 0; vain < lap % 7; vain++)
				CHECK_EQ(filchi_scq_take(&ready), FILCHI_SCQ_EMPTY);
		}
		close_rings();
	}
}

static void capacity_2_loses_and_doubles_nothing(void)
{
	through(2, test_scaled(400000), 0);
	through(2, test_scaled(100000), 8);
}

static void capacity_4_loses_and_doubles_nothing(void)
{
	through(4, test_scaled(600000), 0);
	through(4, test_scaled(150000), 8);
}

static void capacity_64_loses_and_doubles_nothing(void)
{
	through(64, test_scaled(2000000), 0);
	through(64, test_scaled(400000), 8);
}

/* --- a producer at its worst point ------------------------------------ */

static _Atomic uint64_t moved; /* what others have put and taken while one is held */

static void *put_one_and_be_held(void *arg)
{
	hold_me = true;
	filchi_scq_put(&ready, *(uint32_t *)arg);
	return NULL;
}

/* Puts and takes until enough has been moved by all. */
static void *move(void *enough)
{
	while (moved < *(uint64_t *)enough) {
		uint32_t slot = filchi_scq_take(&spare);

		if (slot != FILCHI_SCQ_EMPTY)
			filchi_scq_put(&ready, slot);
		slot = filchi_scq_take(&ready);
		if (slot != FILCHI_SCQ_EMPTY) {
			moved++;
			filchi_scq_put(&spare, slot);
		}
	}
	return NULL;
}

static void a_producer_held_at_its_worst_point_stops_nobody(void)
{
	uint64_t enough = test_scaled(100000);
	uint32_t slot;
	pthread_t held_one, mover[3];
	bool seen[64] = { false };

	for (unsigned round = 0; round < 10; round++) {
		test_watchdog(60);
		open_rings(64);
		held = let_go = false;
		moved = 0;
		slot = filchi_scq_take(&spare);
		CHECK_EQ(pthread_create(&held_one, NULL, put_one_and_be_held, &slot), 0);
		while (!held)
			sched_yield();
		CHECK(!filchi_scq_seems_empty(&ready),
			"a worker would park though a put is under way");
		for (unsigned i = 0; i < 3; i++)
			CHECK_EQ(pthread_create(&mover[i], NULL, move, &enough), 0);
		for (unsigned i = 0; i < 3; i++)
			CHECK_EQ(pthread_join(mover[i], NULL), 0);
		let_go = true;
		CHECK_EQ(pthread_join(held_one, NULL), 0);
		for (unsigned i = 0; i < 64; i++)
			seen[i] = false;
		for (;;) {
			uint32_t got = filchi_scq_take(&ready);

			if (got == FILCHI_SCQ_EMPTY)
				got = filchi_scq_take(&spare);
			if (got == FILCHI_SCQ_EMPTY)
				break;
			CHECK(got < 64 && !seen[got], "slot %u twice", got);
			seen[got] = true;
		}
		for (unsigned i = 0; i < 64; i++)
			CHECK(seen[i], "slot %u is lost", i);
		close_rings();
	}
	printf("    %llu messages passed in each of 10 rounds while one producer stood still\n",
		(unsigned long long)moved);
	CHECK(moved > 0, "the others did nothing");
}

int main(void)
{
	test_watchdog(240);
	(void)test_seed();
	test_case("the ledger finds a duplicate and a loss", ledger_self_test);
	test_case("one thread takes what it put, in order", one_thread_takes_what_it_put_in_order);
	test_case("capacity 2: 4 producers and 4 consumers lose and double nothing",
		capacity_2_loses_and_doubles_nothing);
	test_case("capacity 4: 4 producers and 4 consumers lose and double nothing",
		capacity_4_loses_and_doubles_nothing);
	test_case("capacity 64: 4 producers and 4 consumers lose and double nothing",
		capacity_64_loses_and_doubles_nothing);
	test_case("a producer held at its worst point stops nobody",
		a_producer_held_at_its_worst_point_stops_nobody);
	return test_finish("ring");
}
