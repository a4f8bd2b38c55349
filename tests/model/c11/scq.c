/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCQ: two producers, two consumers, capacity 2. Each value arrives exactly once and in order.
 *
 * labels: model
 *
 * Threads, ordinary run. Two slots of memory go round through two SCQs of capacity 2, as job slots
 * do: `vacant` and `ready`.
 * - producer (2): takes a slot from vacant, writes {producer, number} into it, puts it into ready.
 *   Its numbers count up.
 * - consumer (2): takes a slot from ready, reads it, puts it into vacant.
 *
 * Threads, explored. One SCQ of capacity 2.
 * - producer: PRODUCERS of them (default 1). Each puts its own value, PUTS times (default 1); at
 *   most two values in all.
 * - consumer: CONSUMERS of them (default 1). Each tries TAKES times (default 1). With -DMANY: all
 *   PUTS values with one draw, and up to TAKES at a time.
 * - main: takes the rest after all have ended.
 * With -DLAP: one thread puts a value, once. Another puts the other value, takes what there is,
 * puts it again, and so on, LAPS times (default 4). So it comes round to the entry at which the
 * first one's put, or with -DLAP=2 a take, is late.
 * With -DVAIN: takers, VAIN of them, 1 to 3, one after another. Together they take in vain so often
 * that the next take would say empty without a look. Then one thread puts a value. What tells each
 * that its turn has come orders nothing. Capacity 4.
 *
 * Asserts:
 * - A value is taken once; nothing is left over and nothing is invented.
 * - A write before a put is seen after the take.
 * - The items of one producer reach each consumer in the order of their puts.
 * - An SCQ from which nobody takes any more hands out all that is in it and then says empty.
 * - In an ordinary run takes in vain, and puts of two together, have happened.
 *
 * Mutants found by an ordinary run:
 *   draw_by_store          head and tail move by load and store instead of fetch-and-add
 *   entry_by_store         an entry is written by load, compare and store
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   take_without_acquire   every load and CAS of the SCQ loses its acquire
 *   late_put_wins          a put does not look at the entry's cycle: with -DLAP
 *   draws_relaxed          head and tail are drawn from relaxed: with -DVAIN=2
 */
#include "driver.h"

#include "base/atomic.h"

#if defined(MUTANT_DRAW_BY_STORE)
static inline uint64_t draw_by_store(filch_atomic_u64 *p)
{
	uint64_t old = atomic_load_explicit(p, memory_order_seq_cst);

	HOLD();
	atomic_store_explicit(p, old + 1, memory_order_seq_cst);
	return old;
}
#undef filchi_fetch_add_seq_cst
#define filchi_fetch_add_seq_cst(p, n) draw_by_store(p)
#endif
#if defined(MUTANT_ENTRY_BY_STORE)
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v)                                 \
	(atomic_load_explicit((p), memory_order_acquire) == *(expected) && \
		(HOLD(), atomic_store_explicit((p), (v), memory_order_seq_cst), true))
#endif
#if defined(MUTANT_TAKE_WITHOUT_ACQUIRE)
#undef filchi_load_acquire
#define filchi_load_acquire(p) filch_load_relaxed(p)
#undef filchi_and_acq_rel
#define filchi_and_acq_rel(p, bits) \
	((void)atomic_fetch_and_explicit((p), (bits), memory_order_release))
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v)       \
	atomic_compare_exchange_strong_explicit( \
		(p), (expected), (v), memory_order_release, memory_order_relaxed)
#undef filchi_fetch_add_seq_cst
#define filchi_fetch_add_seq_cst(p, n) atomic_fetch_add_explicit((p), (n), memory_order_release)
#undef filchi_fetch_sub_seq_cst
#define filchi_fetch_sub_seq_cst(p, n) atomic_fetch_sub_explicit((p), (n), memory_order_release)
#endif

#if defined(MUTANT_LATE_PUT_WINS)
/* inside filchi_scq_put_at() 'p': whatever the entry holds by now */
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v)                                              \
	(__func__[sizeof "filchi_scq_" - 1] == 'p'                                      \
			? (atomic_store_explicit((p), (v), memory_order_seq_cst), true) \
			: atomic_compare_exchange_strong_explicit((p), (expected), (v), \
				  memory_order_seq_cst, memory_order_acquire))
#elif defined(MUTANT_DRAWS_RELAXED)
#undef filchi_fetch_add_seq_cst
#define filchi_fetch_add_seq_cst(p, n) atomic_fetch_add_explicit((p), (n), memory_order_relaxed)
#endif

#include "struct/scq.h"

#if defined(FILCH_EXPLORE)

#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef PUTS
#define PUTS 1
#endif
#ifndef TAKES
#define TAKES 1
#endif
enum { VALUES = PRODUCERS * PUTS };
_Static_assert(VALUES <= 2, "the ring's capacity");

static struct filchi_scq ring;
#if defined(LAP)

#ifndef LAPS
#define LAPS 4
#endif

static atomic_int held[2];

static uint32_t take_held(void)
{
	uint32_t value = filchi_scq_take(&ring);

	if (value != FILCHI_SCQ_EMPTY) {
		assert(value < 2);
		assert(atomic_fetch_sub_explicit(&held[value], 1, memory_order_relaxed) == 1);
	}
	return value;
}

static void put_held(uint32_t value)
{
	assert(atomic_fetch_add_explicit(&held[value], 1, memory_order_relaxed) == 0);
	filchi_scq_put(&ring, value);
}

static void *late(void *unused)
{
	(void)unused;
	if (LAP == 2) {
		uint32_t value = take_held();

		if (value != FILCHI_SCQ_EMPTY)
			put_held(value);
	} else {
		put_held(0);
	}
	return NULL;
}

static void *round_it(void *unused)
{
	uint32_t value = 1;

	(void)unused;
	for (int i = 0; i < LAPS && value != FILCHI_SCQ_EMPTY; i++) {
		put_held(value);
		value = take_held();
		/*
		 * our put is complete, and so one value at least is there, unless the other has it
		 */
		assert(LAP == 2 || value != FILCHI_SCQ_EMPTY);
	}
	if (value != FILCHI_SCQ_EMPTY)
		put_held(value);
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	assert(!filchi_scq_init(&ring, 2));
	if (LAP == 2)
		put_held(0);
	pthread_create(&thread[0], NULL, late, NULL);
	pthread_create(&thread[1], NULL, round_it, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert(take_held() != FILCHI_SCQ_EMPTY && take_held() != FILCHI_SCQ_EMPTY);
	assert(filchi_scq_take(&ring) == FILCHI_SCQ_EMPTY);
	filchi_scq_destroy(&ring);
	return 0;
}

#elif defined(VAIN)

/* so many takes bring the threshold below 0 */
enum { CAPACITY = 4, IN_VAIN = 3 * CAPACITY };

static atomic_int turn; /* whose it is; it orders nothing */

/* The last has as many as there are entries: the put comes to the one at which it was first. */
static int takes_of(int me)
{
	if (me + 1 == VAIN)
		return VAIN == 1 ? IN_VAIN : 2 * CAPACITY;
	return VAIN == 2 ? CAPACITY : CAPACITY / 2;
}

static void *in_vain(void *number)
{
	int me = (int)(uintptr_t)number;

	if (atomic_load_explicit(&turn, memory_order_relaxed) != me)
		return NULL;
	for (int i = 0; i < takes_of(me); i++)
		assert(filchi_scq_take(&ring) == FILCHI_SCQ_EMPTY);
	atomic_store_explicit(&turn, me + 1, memory_order_relaxed);
	return NULL;
}

static void *put_after(void *unused)
{
	(void)unused;
	if (atomic_load_explicit(&turn, memory_order_relaxed) != VAIN)
		return NULL;
	filchi_scq_put(&ring, 1);
	atomic_store_explicit(&turn, VAIN + 1, memory_order_relaxed);
	return NULL;
}

int main(void)
{
	pthread_t thread[VAIN + 1];

	assert(!filchi_scq_init(&ring, CAPACITY));
	filchi_scq_put(&ring, 0);
	assert(filchi_scq_take(&ring) == 0);
	for (int i = 0; i < VAIN; i++)
		pthread_create(&thread[i], NULL, in_vain, (void *)(uintptr_t)i);
	pthread_create(&thread[VAIN], NULL, put_after, NULL);
	for (int i = 0; i <= VAIN; i++)
		pthread_join(thread[i], NULL);
	if (atomic_load_explicit(&turn, memory_order_relaxed) == VAIN + 1)
		assert(filchi_scq_take(&ring) == 1);
	filchi_scq_destroy(&ring);
	return 0;
}

#else

static int message[VALUES]; /* plain: a missing order is a data race to a checker */
static atomic_int taken[VALUES];

static void *producer(void *number)
{
	uint32_t first = (uint32_t)(uintptr_t)number * PUTS;
	uint32_t value[PUTS];

	for (uint32_t i = 0; i < PUTS; i++) {
		value[i] = first + i;
		message[value[i]] = (int)value[i] + 1;
#if !defined(MANY)
		filchi_scq_put(&ring, value[i]);
#endif
	}
#if defined(MANY)
	filchi_scq_put_many(&ring, value, PUTS);
#endif
	return NULL;
}

/* The value taken is a new one. */
static void check(uint32_t value)
{
	assert(value < VALUES);
	assert(atomic_fetch_add_explicit(&taken[value], 1, memory_order_relaxed) == 0);
	assert(message[value] == (int)value + 1);
}

static uint32_t take_one(void)
{
	uint32_t value = filchi_scq_take(&ring);

	if (value != FILCHI_SCQ_EMPTY)
		check(value);
	return value;
}

static void *consumer(void *unused)
{
	uint32_t before = FILCHI_SCQ_EMPTY;

	(void)unused;
#if defined(MANY)
	uint32_t got[TAKES], n = filchi_scq_take_many(&ring, got, TAKES);
#endif
	for (int i = 0; i < TAKES; i++) {
#if defined(MANY)
		if ((uint32_t)i == n)
			break;
		uint32_t value = got[i];

		check(value);
#else
		uint32_t value = take_one();
#endif

		if (value == FILCHI_SCQ_EMPTY)
			continue;
		if (before != FILCHI_SCQ_EMPTY && before / PUTS == value / PUTS)
			assert(before < value);
		before = value;
	}
	return NULL;
}

int main(void)
{
	pthread_t put[PRODUCERS], take[CONSUMERS + 1];

	assert(!filchi_scq_init(&ring, 2));
	for (int i = 0; i < PRODUCERS; i++)
		pthread_create(&put[i], NULL, producer, (void *)(uintptr_t)i);
	for (int i = 0; i < CONSUMERS; i++)
		pthread_create(&take[i], NULL, consumer, NULL);
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(put[i], NULL);
	for (int i = 0; i < CONSUMERS; i++)
		pthread_join(take[i], NULL);
	for (int i = 0; i < VALUES; i++)
		(void)take_one();
	for (int i = 0; i < VALUES; i++)
		assert(atomic_load_explicit(&taken[i], memory_order_relaxed) == 1);
	assert(filchi_scq_take(&ring) == FILCHI_SCQ_EMPTY);
	filchi_scq_destroy(&ring);
	return 0;
}

#endif

#else

enum { SLOTS = 2, SIDE = 2 };

static struct filchi_scq vacant, ready;
static struct {
	uint32_t producer, number;
} slot[SLOTS];
static atomic_int holder[SLOTS]; /* threads that believe the slot is theirs */
static struct meeting start, end;
static uint32_t items; /* of each producer */
static atomic_uchar *arrived[SIDE];
static atomic_uint arrivals;
static atomic_ulong pairs; /* puts of both slots together */
/* takes that got something, of all; takes in vain, of each thread */
static atomic_ulong moves, vain[2 * SIDE];

/*
 * A slot that neither SCQ hands out any more would stop everybody. There are two stages. First,
 * each thread has made a take in vain since @w began and nobody has got anything: then nobody holds
 * a slot and all puts are through. Second, each has made one more: then the slots are lost.
 */
struct watch {
	unsigned long moves, vain[2 * SIDE];
	int stage;
};

static void watch_begin(struct watch *w, int stage)
{
	w->stage = stage;
	w->moves = atomic_load(&moves);
	for (int i = 0; i < 2 * SIDE; i++)
		w->vain[i] = atomic_load(&vain[i]);
}

static void watch(struct watch *w)
{
	for (int i = 0; i < 2 * SIDE; i++) {
		if (atomic_load(&vain[i]) - w->vain[i] < 2)
			return;
	}
	if (atomic_load(&moves) != w->moves) {
		watch_begin(w, 1);
		return;
	}
	assert(w->stage == 1); /* else a slot is lost */
	watch_begin(w, 2);
}

/*
 * Takes a slot from @ring until there is one; none when @enough (0: never) items have arrived. The
 * slot is nobody else's. @me: 0 and 1 the producers, 2 and 3 the consumers.
 */
static uint32_t take_one(struct filchi_scq *ring, uint32_t me, uint32_t enough)
{
	struct watch w;

	watch_begin(&w, 1);
	for (;;) {
		uint32_t s = filchi_scq_take(ring);

		if (s != FILCHI_SCQ_EMPTY) {
			assert(s < SLOTS);
			assert(atomic_fetch_add_explicit(&holder[s], 1, memory_order_relaxed) == 0);
			atomic_fetch_add(&moves, 1);
			return s;
		}
		atomic_fetch_add(&vain[me], 1);
		if (enough && atomic_load(&arrivals) >= enough)
			return s;
		watch(&w);
		if (random_below(4) == 0)
			sched_yield();
	}
}

/* One slot more, with the draw of many, or none; how many. */
static uint32_t take_more(struct filchi_scq *ring, uint32_t *s)
{
	uint32_t n = filchi_scq_take_many(ring, s, 1);

	if (n) {
		assert(*s < SLOTS);
		assert(atomic_fetch_add_explicit(&holder[*s], 1, memory_order_relaxed) == 0);
		atomic_fetch_add(&moves, 1);
	}
	return n;
}

static void put_one(struct filchi_scq *ring, uint32_t s)
{
	atomic_fetch_sub_explicit(&holder[s], 1, memory_order_relaxed);
	filchi_scq_put(ring, s);
}

static void *producer(void *number)
{
	uint32_t me = (uint32_t)(uintptr_t)number;

	seed_with(me);
	meet(&start, 2 * SIDE);
	for (uint32_t i = 0; i < items;) {
		uint32_t s[SLOTS], n = 1;

		s[0] = take_one(&vacant, me, 0);
		if (i + 1 < items && random_below(2))
			n += take_more(&vacant, s + 1);
		for (uint32_t k = 0; k < n; k++) {
			slot[s[k]].producer = me;
			slot[s[k]].number = i++;
			PAUSE_AT_RANDOM();
			atomic_fetch_sub_explicit(&holder[s[k]], 1, memory_order_relaxed);
		}
		filchi_scq_put_many(&ready, s, n);
		atomic_fetch_add(&pairs, n == 2);
	}
	meet(&end, 2 * SIDE);
	return NULL;
}

static void *consumer(void *number)
{
	uint32_t me = SIDE + (uint32_t)(uintptr_t)number;
	uint32_t next[SIDE] = { 0 };

	seed_with(me);
	meet(&start, 2 * SIDE);
	for (;;) {
		uint32_t s = take_one(&ready, me, SIDE * items);

		if (s == FILCHI_SCQ_EMPTY)
			break;
		uint32_t from = slot[s].producer, n = slot[s].number;
		PAUSE_AT_RANDOM();
		assert(from < SIDE && n < items);
		assert(n >= next[from]); /* in the order of their puts */
		next[from] = n + 1;
		assert(atomic_fetch_add_explicit(&arrived[from][n], 1, memory_order_relaxed) == 0);
		atomic_fetch_add(&arrivals, 1);
		put_one(&vacant, s);
	}
	meet(&end, 2 * SIDE);
	return NULL;
}

int main(void)
{
	pthread_t thread[2 * SIDE];

	items = scaled(500000);
	assert(!filchi_scq_init(&vacant, SLOTS) && !filchi_scq_init(&ready, SLOTS));
	for (uint32_t s = 0; s < SLOTS; s++)
		filchi_scq_put(&vacant, s);
	for (int i = 0; i < SIDE; i++) {
		arrived[i] = calloc(items, sizeof *arrived[i]);
		assert(arrived[i]);
	}
	for (int i = 0; i < SIDE; i++) {
		assert(!pthread_create(&thread[i], NULL, producer, (void *)(uintptr_t)i));
		assert(!pthread_create(&thread[SIDE + i], NULL, consumer, (void *)(uintptr_t)i));
	}
	for (int i = 0; i < 2 * SIDE; i++)
		pthread_join(thread[i], NULL);
	assert(atomic_load(&arrivals) == SIDE * items);
	for (int i = 0; i < SIDE; i++) {
		for (uint32_t n = 0; n < items; n++)
			assert(atomic_load_explicit(&arrived[i][n], memory_order_relaxed) == 1);
		free(arrived[i]);
	}
	assert(filchi_scq_take(&ready) == FILCHI_SCQ_EMPTY);
	for (uint32_t s = 0; s < SLOTS; s++)
		assert(take_one(&vacant, 0, 0) < SLOTS);
	assert(filchi_scq_take(&vacant) == FILCHI_SCQ_EMPTY);
	COVERED(atomic_load(&pairs));
	COVERED(atomic_load(&vain[0]) + atomic_load(&vain[1]) &&
		atomic_load(&vain[2]) + atomic_load(&vain[3]));
	filchi_scq_destroy(&vacant);
	filchi_scq_destroy(&ready);
	return 0;
}

#endif
