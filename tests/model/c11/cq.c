/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bell of a completion queue: whoever puts against readers who rest; nothing is left lying while all of them rest.
 *
 * labels: model
 *
 * Threads
 *   poster   puts 1 to 3 values into the ring and tells; waits until they are taken; and so on; explored: PUTS values (default 1)
 *   reader   (ordinary run: two, of each pairing of kinds; explored: one of KIND, default 0)
 *              0 descriptor  takes until there is nothing or it is tired, as filch_cq_reap(), then waits for the descriptor
 *              1 sleeper     takes one at a time, as filch_cq_wait()
 *            reap, ring_if_any and the sleeper's loop are those of src/cq.c. Explored: a reader's thread ends where it would rest.
 *
 * Asserts. Ordinary: when both readers rest (each has looked at what would wake it twice since the poster was through, in one
 * and the same rest), nothing is left. Every value is taken once. Rests, rings and tellings have happened. Explored: after the end a
 * value is left only if its reader would not have rested for ever: the descriptor is readable, or there is news.
 *
 * Mutants: found by an ordinary run
 *   post_before_put            attention is read before the value is put: C1
 *   arm_without_second_look    a reader goes to wait for the descriptor as soon as it has armed: C2
 *   sleep_without_second_look  a sleeper sleeps as soon as it has counted itself: C3
 *   news_taken_late            a sleeper looks, then takes the news off: C4
 *   clear_after_look           the descriptor is cleared after the second look
 *   left_unrung                a reader that leaves something behind its second look does not ring
 * Found by an ordinary run of mutant.sh too, but only after a minute or more of it, and so by no test
 *   look_by_take               the second look is a take alone, which goes by the ring's threshold. On x86-64 nothing orders the put's
 *                              store to that before C1's load, whose fence is the put's last read-modify-write: the mutant's poster
 *                              reads attention between the two, as a store buffer would have it
 * Found by a model checker alone (on x86-64 the read-modify-writes are fences whatever is left out):
 *   rest_without_fence         the second looks have no fence before them: found with KIND=1
 */
#include "driver.h"

#include "atomic.h"

#if defined(FILCH_EXPLORE)
#define FILCHI_PARK(word, expected, deadline) ((void)(word), (void)(expected), (void)(deadline), 0)
#else
static int park_here(filch_atomic_u32 *word, uint32_t expected);
#define FILCHI_PARK(word, expected, deadline) ((void)(deadline), park_here((word), (expected)))
#endif
#define FILCHI_UNPARK(word) ((void)(word)) /* who sleeps here looks at the word now and then */
#define FILCHI_BELL_WRITE(b) ((void)(b), atomic_fetch_add_explicit(&event, 1, memory_order_acq_rel))
#if defined(MUTANT_CLEAR_AFTER_LOOK)
#define FILCHI_BELL_CLEAR(b) ((void)(b))
#else
#define FILCHI_BELL_CLEAR(b) ((void)(b), atomic_exchange_explicit(&event, 0, memory_order_acq_rel))
#endif

static atomic_uint event; /* the eventfd */

/* inside filchi_bell_posted() 'p', _arm() 'a', _lie_down() 'l' or _heard() 'h' */
#define IN_FUNCTION(letter) (__func__[sizeof "filchi_bell_" - 1] == (letter))

#if defined(MUTANT_POST_BEFORE_PUT)
static _Thread_local uint32_t early_attention;
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) (IN_FUNCTION('p') ? early_attention : filchi_fence_then_load_acquire(p))
#elif defined(MUTANT_LOOK_BY_TAKE)
static uint32_t attention_now(void);
static _Thread_local uint32_t early_attention;
static _Thread_local bool is_early;
#undef filchi_store_release
#define filchi_store_release(p, v) \
	(__func__[sizeof "filchi_" - 1] == 'r' && __func__[sizeof "filchi_ring_" - 1] == 'p' \
		 ? (early_attention = attention_now(), is_early = true, HOLD(), HOLD(), HOLD(), HOLD()) \
		 : (void)0, \
	 atomic_store_explicit((p), (v), memory_order_release))
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	(IN_FUNCTION('p') && is_early ? (is_early = false, early_attention) : filchi_fence_then_load_acquire(p))
#elif defined(MUTANT_REST_WITHOUT_FENCE)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) (IN_FUNCTION('p') ? filchi_fence_then_load_acquire(p) : filchi_load_acquire(p))
#endif

#include "bell.h"
#include "ring.h"

#if defined(FILCH_EXPLORE)
#ifndef PUTS
#define PUTS 1
#endif
#ifndef KIND
#define KIND 0
#endif
enum { VALUES = PUTS, READERS = 1 };
_Static_assert(VALUES <= 2, "the ring's capacity");
#else
enum { VALUES = 3, READERS = 2 };
#endif

static struct filchi_ring ring;
static struct filchi_bell bell;
static int message[VALUES]; /* plain: a missing order is a data race to a checker */
static atomic_uint holds[VALUES];
#if defined(MUTANT_LOOK_BY_TAKE)
static uint32_t attention_now(void)
{
	return filchi_load_acquire(&bell.attention);
}
#endif
static atomic_ulong taken;

/* --- src/cq.c ------------------------------------------------------------------------------------------------------------------- */

static bool take_one(void)
{
	uint32_t value = filchi_ring_take(&ring);

	if (value == FILCHI_RING_EMPTY)
		return false;
	assert(value < VALUES && message[value] == (int)value + 1);
	assert(atomic_fetch_sub_explicit(&holds[value], 1, memory_order_relaxed) == 1);
	message[value] = 0;
	atomic_fetch_add_explicit(&taken, 1, memory_order_release);
	return true;
}

static bool nothing_there(void)
{
#if defined(MUTANT_LOOK_BY_TAKE) && !defined(CONTROL)
	return filchi_load_acquire(&ring.threshold) < 0;
#else
	return filchi_ring_seems_empty(&ring);
#endif
}

static void post(uint32_t value)
{
	message[value] = (int)value + 1;
	atomic_fetch_add_explicit(&holds[value], 1, memory_order_relaxed);
#if defined(MUTANT_POST_BEFORE_PUT)
	early_attention = filchi_load_acquire(&bell.attention);
	HOLD();
#endif
	filchi_ring_put(&ring, value);
	filchi_bell_posted(&bell);
}

/* filch_cq_reap() of one. */
static bool reap_one(void)
{
	bool got = take_one();

#if defined(MUTANT_ARM_WITHOUT_SECOND_LOOK) || defined(MUTANT_LEFT_UNRUNG)
	if (!got)
		HOLD();
#endif
	if (got || !filchi_bell_arm(&bell))
		return got;
#if !defined(MUTANT_ARM_WITHOUT_SECOND_LOOK)
	got = take_one();
#if defined(MUTANT_POST_BEFORE_PUT)
	early_attention = filchi_load_acquire(&bell.attention);
#endif
#if !defined(MUTANT_LEFT_UNRUNG)
	if (!nothing_there())
		filchi_bell_posted(&bell);
#endif
#endif
#if defined(MUTANT_CLEAR_AFTER_LOOK)
	HOLD();
	atomic_exchange_explicit(&event, 0, memory_order_acq_rel);
#endif
	return got;
}

#if defined(FILCH_EXPLORE)

static bool rests;

static void *reader(void *number)
{
	(void)number;
	if (KIND == 0) {
		while (reap_one())
			;
		rests = true;
		return NULL;
	}
	for (int i = 0; i < PUTS && take_one(); i++)
		;
	filchi_bell_lie_down(&bell);
	/* once round the loop of filch_cq_wait(): a wait that would return at once is one more look */
	for (int look = 0; look < 2 && !rests; look++) {
		if (take_one() || !nothing_there())
			break;
		rests = filchi_load_acquire(&bell.news) == 0;
		if (!rests)
			filchi_bell_heard(&bell);
	}
	return NULL;
}

static void *poster(void *unused)
{
	(void)unused;
	for (uint32_t value = 0; value < PUTS; value++)
		post(value);
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	assert(!filchi_ring_init(&ring, 2));
	filchi_bell_init(&bell);
	if (KIND == 0) {
		filchi_store_relaxed(&bell.fd, 1);
		(void)filchi_bell_arm(&bell);
	}
	pthread_create(&thread[0], NULL, poster, NULL);
	pthread_create(&thread[1], NULL, reader, NULL);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	if (rests && atomic_load(&taken) < PUTS)
		assert(KIND == 0 ? atomic_load(&event) > 0 : filchi_load_acquire(&bell.news) > 0);
	filchi_ring_destroy(&ring);
	return 0;
}

#else

enum kind { DESCRIPTOR, SLEEPER };

static _Thread_local unsigned me;
static struct meeting start, end;
static enum kind kind_of[READERS];
static atomic_ulong posted, rest[READERS], polls[READERS]; /* number of the rest it is in, 0 = none; looks at what would wake it */
static atomic_bool over;
static atomic_ulong rests_met;

/* A rest of this reader until @awake says so; false if the run is over. */
static bool rest_until(bool (*awake)(void))
{
	static _Thread_local unsigned long number;

	atomic_store(&rest[me], ++number);
	atomic_fetch_add_explicit(&rests_met, 1, memory_order_relaxed);
	while (!awake() && !atomic_load(&over)) {
		atomic_fetch_add(&polls[me], 1);
		RELAX();
	}
	atomic_store(&rest[me], 0);
	return !atomic_load(&over);
}

static bool event_there(void)
{
	return atomic_load_explicit(&event, memory_order_acquire) > 0;
}

static bool news_there(void)
{
	return filchi_load_acquire(&bell.news) > 0;
}

/* FILCHI_PARK of a sleeper; a real one may also return for no reason. */
static int park_here(filch_atomic_u32 *word, uint32_t expected)
{
	assert(word == &bell.news && expected == 0);
	if (random_below(64))
		(void)rest_until(news_there);
	return 0;
}

static void read_by_descriptor(void)
{
	do {
		while (reap_one() && random_below(4)) /* who goes back to wait with something left finds the descriptor readable */
			PAUSE_AT_RANDOM();
	} while (rest_until(event_there));
}

/* look(): takes in vain before it sleeps, often enough that the ring's threshold says empty. */
static bool looked_in_vain(void)
{
	for (uint32_t i = random_below(2) * 16; i; i--)
		if (take_one())
			return false;
	return true;
}

/* filch_cq_wait() of one, over and over. */
static void read_asleep(void)
{
	while (!atomic_load(&over)) {
		PAUSE_AT_RANDOM();
		if (take_one() || !looked_in_vain())
			continue;
#if defined(MUTANT_SLEEP_WITHOUT_SECOND_LOOK)
		HOLD();
#endif
		filchi_bell_lie_down(&bell);
#if defined(MUTANT_SLEEP_WITHOUT_SECOND_LOOK)
		(void)FILCHI_PARK(&bell.news, 0, NULL);
		filchi_bell_heard(&bell);
#endif
		while (!take_one() && !atomic_load(&over)) {
			if (!nothing_there()) {
				RELAX();
				continue;
			}
			(void)FILCHI_PARK(&bell.news, 0, NULL);
#if defined(MUTANT_NEWS_TAKEN_LATE)
			if (take_one())
				break;
			HOLD();
			filchi_bell_heard(&bell);
			(void)FILCHI_PARK(&bell.news, 0, NULL);
#else
			filchi_bell_heard(&bell);
#endif
		}
		PAUSE_AT_RANDOM();
		filchi_bell_get_up(&bell, !nothing_there());
	}
}

static void *reader(void *number)
{
	me = (unsigned)(uintptr_t)number;
	seed_with(me);
	meet(&start, READERS + 1);
	if (kind_of[me] == DESCRIPTOR)
		read_by_descriptor();
	else
		read_asleep();
	meet(&end, READERS + 1);
	return NULL;
}

/* Until all that was posted is taken; fails when all readers rest and it is not. */
static void until_taken(void)
{
	unsigned long in[READERS], looked[READERS];

	while (atomic_load_explicit(&taken, memory_order_acquire) < atomic_load(&posted)) {
		bool all = true;

		for (int i = 0; i < READERS; i++) {
			in[i] = atomic_load(&rest[i]);
			looked[i] = atomic_load(&polls[i]);
		}
		for (int i = 0; i < READERS && all; i++) {
			while (in[i] && atomic_load(&rest[i]) == in[i] && atomic_load(&polls[i]) - looked[i] < 2)
				RELAX();
			all = in[i] && atomic_load(&rest[i]) == in[i];
		}
		/* seen in the same rest before and after each had looked: nobody was awake in between */
		for (int i = 0; i < READERS && all; i++)
			all = atomic_load(&rest[i]) == in[i];
		assert(!all || atomic_load(&taken) == atomic_load(&posted));
		RELAX();
	}
}

static void run(uint32_t rounds, enum kind first, enum kind second)
{
	pthread_t thread[READERS];

	kind_of[0] = first;
	kind_of[1] = second;
	assert(!filchi_ring_init(&ring, 4));
	filchi_bell_init(&bell);
	atomic_store(&event, 0);
	filchi_store_relaxed(&bell.fd, first == DESCRIPTOR || second == DESCRIPTOR);
	(void)filchi_bell_arm(&bell);
	atomic_store(&over, false);
	for (int i = 0; i < READERS; i++)
		assert(!pthread_create(&thread[i], NULL, reader, (void *)(uintptr_t)i));
	meet(&start, READERS + 1);
	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t n = 1 + random_below(VALUES);

		for (uint32_t value = 0; value < n; value++) {
			PAUSE_AT_RANDOM();
			atomic_fetch_add(&posted, 1);
			post(value);
		}
		until_taken();
		if (round % 8 == 0) { /* and into a queue whose readers all rest */
			for (int i = 0; i < READERS; i++)
				for (unsigned turn = 0; turn < 100 && !atomic_load(&rest[i]); turn++)
					RELAX();
		}
	}
	atomic_store(&over, true);
	meet(&end, READERS + 1);
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	assert(filchi_ring_take(&ring) == FILCHI_RING_EMPTY);
	COVERED(filchi_load_relaxed(&bell.rings) || (first == SLEEPER && second == SLEEPER));
	COVERED(filchi_load_relaxed(&bell.told) || (first == DESCRIPTOR && second == DESCRIPTOR));
	filchi_ring_destroy(&ring);
}

int main(void)
{
	uint32_t rounds = scaled(60000);

	seed_with(7);
	run(rounds, DESCRIPTOR, DESCRIPTOR);
	run(rounds, SLEEPER, SLEEPER);
	run(rounds, DESCRIPTOR, SLEEPER);
	assert(atomic_load(&taken) == atomic_load(&posted));
	COVERED(atomic_load(&rests_met) > rounds / 8);
	return 0;
}

#endif
