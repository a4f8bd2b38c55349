/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three bounded queues of many producers and many consumers, apart from any scheduler: what jobs
 * from outside go through.
 *
 *     ck_ring    Concurrency Kit's. A producer that has written waits until all that reserved a
 *                place before it have published.
 *     vyukov     an array of cells with a sequence number each, after Vyukov's description (2010):
 *                a producer that was preempted between reserving and writing stops the consumers at
 *                its cell, and the others after one round.
 *     scq        src/struct/scq.h as the library uses it: two rings of numbers, of free places and
 *                of full ones, so that it is bounded.
 *
 * Measured: values taken per second with 1, 2, 4 and 8 producers and 2 consumers; the longest
 *           single put or take; and what the
 * others get done while one producer is held for 10 ms at its worst point, having reserved a place
 * and not yet published it. Throughput and longest operation are runs of their own, because the
 * clock costs as much as an operation.
 *
 * Every value put is taken exactly once: number, sum and XOR are compared after each run, and a
 * difference ends the program with 1.
 *
 * All give way alike when a ring is full or empty: some pauses, then sched_yield. Threads are not
 * pinned: there are more of them than cores, as with the producers of a pool, and preempted
 * producers are what this is about.
 *
 * Not good for: the scheduler (no parking, no wake-ups), or one producer and one consumer, for
 * which there are better rings.
 */
#define _GNU_SOURCE
#include <ck_ring.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

/* The library's mark of the worst point is where a producer is held here. */
#undef FILCH_HOOK
#define FILCH_HOOK(point) AT_##point
#define AT_scq_put_drawn  worst_point()
#define AT_scq_take_drawn ((void)0)
static inline void worst_point(void);

#include "struct/scq.h"

#include "number.h"
#include "stats.h"

#define CAPACITY       1024u
#define PRODUCERS_MAX  8
#define CONSUMERS      2
#define THREADS_MAX    (PRODUCERS_MAX + CONSUMERS)
#define RUN_NS         60000000u
#define BEFORE_NS      5000000u
#define HOLD_NS        10000000u
#define ROUNDS_MAX     101
#define ROUNDS_DEFAULT 7

struct vyukov_cell {
	atomic_size_t sequence;
	uint64_t value;
};

static struct {
	struct vyukov_cell cell[CAPACITY];
	atomic_size_t tail __attribute__((aligned(128)));
	atomic_size_t head __attribute__((aligned(128)));
} vyukov;

static struct {
	struct filchi_scq unused, ready;
	uint64_t value[CAPACITY];
} scq;

static struct {
	ck_ring_t ring;
	ck_ring_buffer_t slot[2 * CAPACITY]; /* it holds one less than it has slots */
} ck;

struct ring {
	const char *name;
	void (*init)(void);
	void (*destroy)(void);
	bool (*put)(uint64_t value);   /* false: full */
	bool (*take)(uint64_t *value); /* false: empty */
};

struct member {
	const struct ring *ring;
	unsigned number;
	bool producer, timed;
	uint64_t sum, xor;
	double longest;
	atomic_uint_fast64_t done; /* operations that succeeded */
	pthread_t thread;
} __attribute__((aligned(128)));

static struct member member[THREADS_MAX];
static unsigned members;
static atomic_bool stop, producers_gone, hold_asked;
static uint64_t meanwhile; /* operations of the others while one was held */
static __thread bool hold_me;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sleep_ns(long ns)
{
	struct timespec t = { .tv_nsec = ns };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static uint64_t operations(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < members; i++)
		n += atomic_load_explicit(&member[i].done, memory_order_relaxed);
	return n;
}

/* Between reserving a place and publishing it. The one that is to be held sleeps here, once. */
static inline void worst_point(void)
{
	if (__builtin_expect(!hold_me, 1))
		return;
	hold_me = false;
	uint64_t before = operations();

	sleep_ns(HOLD_NS);
	meanwhile = operations() - before;
}

static void vyukov_init(void)
{
	for (size_t i = 0; i < CAPACITY; i++)
		atomic_init(&vyukov.cell[i].sequence, i);
	atomic_init(&vyukov.tail, 0);
	atomic_init(&vyukov.head, 0);
}

static bool vyukov_put(uint64_t value)
{
	size_t at = atomic_load_explicit(&vyukov.tail, memory_order_relaxed);

	for (;;) {
		struct vyukov_cell *cell = &vyukov.cell[at % CAPACITY];
		size_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);

		if (sequence == at) {
			if (!atomic_compare_exchange_weak_explicit(&vyukov.tail, &at, at + 1,
				    memory_order_relaxed, memory_order_relaxed))
				continue;
			worst_point();
			cell->value = value;
			atomic_store_explicit(&cell->sequence, at + 1, memory_order_release);
			return true;
		}
		if ((ptrdiff_t)(sequence - at) < 0)
			return false;
		at = atomic_load_explicit(&vyukov.tail, memory_order_relaxed);
	}
}

static bool vyukov_take(uint64_t *value)
{
	size_t at = atomic_load_explicit(&vyukov.head, memory_order_relaxed);

	for (;;) {
		struct vyukov_cell *cell = &vyukov.cell[at % CAPACITY];
		size_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);

		if (sequence == at + 1) {
			if (!atomic_compare_exchange_weak_explicit(&vyukov.head, &at, at + 1,
				    memory_order_relaxed, memory_order_relaxed))
				continue;
			*value = cell->value;
			atomic_store_explicit(&cell->sequence, at + CAPACITY, memory_order_release);
			return true;
		}
		if ((ptrdiff_t)(sequence - (at + 1)) < 0)
			return false;
		at = atomic_load_explicit(&vyukov.head, memory_order_relaxed);
	}
}

static void scq_init(void)
{
	if (filchi_scq_init(&scq.unused, CAPACITY) || filchi_scq_init(&scq.ready, CAPACITY))
		abort(); /* a benchmark program may */
	for (uint32_t i = 0; i < CAPACITY; i++)
		filchi_scq_put(&scq.unused, i);
}

static void scq_destroy(void)
{
	filchi_scq_destroy(&scq.unused);
	filchi_scq_destroy(&scq.ready);
}

static bool scq_put(uint64_t value)
{
	uint32_t place = filchi_scq_take(&scq.unused);

	if (place == FILCHI_SCQ_EMPTY)
		return false;
	scq.value[place] = value;
	filchi_scq_put(&scq.ready, place);
	return true;
}

static bool scq_take(uint64_t *value)
{
	bool held = hold_me;

	hold_me = false; /* a consumer's put of the free place is not what is looked at */
	uint32_t place = filchi_scq_take(&scq.ready);

	if (place != FILCHI_SCQ_EMPTY) {
		*value = scq.value[place];
		filchi_scq_put(&scq.unused, place);
	}
	hold_me = held;
	return place != FILCHI_SCQ_EMPTY;
}

static void ring_init(void)
{
	ck_ring_init(&ck.ring, CAPACITY);
}

/* The enqueue in its two halves, as ck_ring offers them. */
static bool ring_put(uint64_t value)
{
	unsigned ticket;
	void **place = ck_ring_enqueue_reserve_mpmc(&ck.ring, ck.slot, &ticket);

	if (!place)
		return false;
	worst_point();
	*place = (void *)(uintptr_t)value;
	ck_ring_enqueue_commit_mpmc(&ck.ring, ticket);
	return true;
}

static bool ring_take(uint64_t *value)
{
	void *pointer;

	if (!ck_ring_dequeue_mpmc(&ck.ring, ck.slot, &pointer))
		return false;
	*value = (uintptr_t)pointer;
	return true;
}

static void nothing(void)
{
}

static const struct ring rings[] = {
	{ "ck_ring", ring_init, nothing, ring_put, ring_take },
	{ "vyukov", vyukov_init, nothing, vyukov_put, vyukov_take },
	{ "scq", scq_init, scq_destroy, scq_put, scq_take },
};
#define RINGS (sizeof rings / sizeof rings[0])

/* After the @tries-th operation in a row that found the ring full or empty. */
static void give_way(unsigned tries)
{
	if (tries % 8)
		for (int i = 0; i < 16; i++)
			filchi_pause();
	else
		sched_yield();
}

static void *run_member(void *arg)
{
	struct member *m = arg;
	uint64_t next = ((uint64_t)m->number << 32) + 1, value = 0;
	unsigned tries = 0;

	for (;;) {
		if (m->producer && atomic_load_explicit(&stop, memory_order_relaxed))
			return NULL;
		if (m->producer && !m->number &&
			atomic_load_explicit(&hold_asked, memory_order_relaxed)) {
			atomic_store(&hold_asked, false);
			hold_me = true;
		}
		/* Before the take: what is empty after the last producer has gone stays so. */
		bool last =
			!m->producer && atomic_load_explicit(&producers_gone, memory_order_acquire);
		double begun = m->timed ? now() : 0;
		bool done = m->producer ? m->ring->put(next) : m->ring->take(&value);

		if (m->timed) {
			double took = now() - begun;

			m->longest = took > m->longest ? took : m->longest;
		}
		if (!done) {
			if (last)
				return NULL;
			give_way(++tries);
			continue;
		}
		tries = 0;
		if (m->producer)
			value = next++;
		m->sum += value;
		m->xor ^= value;
		atomic_store_explicit(&m->done,
			atomic_load_explicit(&m->done, memory_order_relaxed) + 1,
			memory_order_relaxed);
	}
}

struct outcome {
	double rate, longest;
	bool right;
};

static void start(unsigned i)
{
	if (pthread_create(&member[i].thread, NULL, run_member, &member[i]))
		abort(); /* a benchmark program may */
}

/* One run of @ring; @hold: one producer is held once. */
static struct outcome run(const struct ring *ring, unsigned producers, bool timed, bool hold)
{
	struct outcome o = { .right = true };
	uint64_t puts = 0, takes = 0, sum = 0, xor = 0;

	ring->init();
	members = producers + CONSUMERS;
	atomic_store(&stop, false);
	atomic_store(&producers_gone, false);
	atomic_store(&hold_asked, false);
	memset(member, 0, sizeof member);
	for (unsigned i = 0; i < members; i++) {
		member[i].ring = ring;
		member[i].number = i;
		member[i].producer = i < producers;
		member[i].timed = timed;
	}
	double begun = now();

	for (unsigned i = 0; i < members; i++)
		start(i);
	if (hold) {
		sleep_ns(BEFORE_NS);
		meanwhile = UINT64_MAX;
		atomic_store(&hold_asked, true);
	}
	sleep_ns(hold ? 3 * HOLD_NS : RUN_NS);
	uint64_t reached = 0;

	for (unsigned i = producers; i < members; i++)
		reached += atomic_load_explicit(&member[i].done, memory_order_relaxed);
	o.rate = (double)reached / (now() - begun);
	/* The one that is to be held may get its turn late: it is waited for. */
	while (hold && (atomic_load(&hold_asked) || *(volatile uint64_t *)&meanwhile == UINT64_MAX))
		sleep_ns(1000000);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < producers; i++)
		pthread_join(member[i].thread, NULL);
	atomic_store_explicit(&producers_gone, true, memory_order_release);
	for (unsigned i = producers; i < members; i++)
		pthread_join(member[i].thread, NULL);
	for (unsigned i = 0; i < members; i++) {
		*(member[i].producer ? &puts : &takes) += atomic_load(&member[i].done);
		sum += member[i].producer ? member[i].sum : -member[i].sum;
		xor ^= member[i].xor ;
		o.longest = member[i].longest > o.longest ? member[i].longest : o.longest;
	}
	o.right = puts == takes && !sum && !xor;
	ring->destroy();
	return o;
}

int main(int argc, char **argv)
{
	static const unsigned producers[] = { 1, 2, 4, 8 };
	static double rate[4][RINGS][ROUNDS_MAX], longest[4][RINGS][ROUNDS_MAX],
		others[RINGS][ROUNDS_MAX];
	double wanted = ROUNDS_DEFAULT;
	bool right = true;
	int rounds;

	if (argc > 2 || (argc > 1 && !bench_number("rings: ROUNDS", argv[1], strlen(argv[1]), true,
					     1, ROUNDS_MAX, &wanted))) {
		fprintf(stderr, "usage: rings [ROUNDS]\n");
		return 2;
	}
	rounds = (int)wanted;
	for (int r = 0; r < rounds; r++)
		for (size_t k = 0; k < RINGS; k++) {
			size_t i = (k + (size_t)r) % RINGS; /* each round begins with the next */

			for (size_t p = 0; p < 4; p++) {
				struct outcome fast = run(&rings[i], producers[p], false, false);
				struct outcome timed = run(&rings[i], producers[p], true, false);

				rate[p][i][r] = fast.rate;
				longest[p][i][r] = timed.longest;
				right &= fast.right & timed.right;
			}
			right &= run(&rings[i], 4, false, true).right;
			others[i][r] = (double)meanwhile;
		}
	printf("%d rounds of %u ms, %u places, %u consumers; medians [min..max]\n\n", rounds,
		RUN_NS / 1000000, CAPACITY, CONSUMERS);
	printf("| ring | producers | values taken, M/s | longest operation, ms |\n"
	       "|---|---|---|---|\n");
	for (size_t p = 0; p < 4; p++)
		for (size_t i = 0; i < RINGS; i++) {
			struct bench_spread a = bench_spread_of(rate[p][i], (size_t)rounds);
			struct bench_spread b = bench_spread_of(longest[p][i], (size_t)rounds);

			printf("| %s | %u | %.2f [%.2f..%.2f] | %.2f [%.2f..%.2f] |\n",
				rings[i].name, producers[p], a.median * 1e-6, a.min * 1e-6,
				a.max * 1e-6, b.median * 1e3, b.min * 1e3, b.max * 1e3);
		}
	printf("\n| ring | operations of the others while one of 4 producers is held for 10 ms |\n"
	       "|---|---|\n");
	for (size_t i = 0; i < RINGS; i++) {
		struct bench_spread s = bench_spread_of(others[i], (size_t)rounds);

		printf("| %s | %.0f [%.0f..%.0f] |\n", rings[i].name, s.median, s.min, s.max);
	}
	if (!right)
		fputs("rings: values were lost or came twice\n", stderr);
	return right ? 0 : 1;
}
