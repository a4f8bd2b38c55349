/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room in the injector: submitters that wait against releases and a close. Nobody sleeps on while
 * there is room or the pool is closing.
 *
 * labels: model
 *
 * The text under test is src/struct/injector.c itself; the futex is the driver's.
 *
 * Threads:
 * - submitter: is admitted to a queue of capacity 1, at once or by filchi_injector_wait(); then its
 *   job is queued. Ordinary run: 1 of them, then 3, over and over. Explored: WAITERS (default 1),
 *   once, and the queue is full at the start. Its thread ends where it would sleep.
 * - releaser: takes a queued job and releases its room. Explored: RELEASES of them (default 1), one
 *   job each; the capacity is as large.
 * - closer: explored with -DCLOSER; at the end of each ordinary run.
 *
 * Asserts:
 * - The count of queued jobs is that of the admitted ones, and at most the capacity.
 * - Ordinary: when all submitters sleep, the queue is full or a job is queued that will be
 *   released. All are seen in the same sleep twice.
 * - Explored: after the end one sleeps while there is room, or while the pool is closing, only if
 *   `room` is 1, so that its futex wait returns.
 * - In an ordinary run sleeps and tellings have happened.
 *
 * Mutants found by an ordinary run:
 *   blocked_read_early     a releaser reads `blocked`, then counts down: J1
 *   counted_late           a submitter tries for room, then counts itself blocked: J2
 *   room_cleared_late      a submitter tries for room, then clears `room`: J3
 *
 * Mutants found by a model checker alone, for on x86-64 a read-modify-write is a fence in any case:
 *   wait_without_fence     neither J2 nor J3 has its fenced load
 *   release_without_fence  J1 has none
 */
#include "driver.h"

#include "base/atomic.h"

/* inside filchi_injector_release() 'r', or filchi_injector_wait() 'w' */
#define IN_FUNCTION(letter) (__func__[sizeof "filchi_injector_" - 1] == (letter))

#if defined(MUTANT_WAIT_WITHOUT_FENCE)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	(IN_FUNCTION('w') ? filchi_load_acquire(p) : filchi_fence_then_load_acquire(p))
#elif defined(MUTANT_RELEASE_WITHOUT_FENCE)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	(IN_FUNCTION('r') ? filchi_load_acquire(p) : filchi_fence_then_load_acquire(p))
#elif defined(MUTANT_BLOCKED_READ_EARLY)
/* the count down lies in a store buffer while `blocked` is read */
static _Thread_local filch_atomic_i64 *count_held;
static inline uint32_t late_count(filch_atomic_u32 *blocked)
{
	uint32_t early = filchi_load_acquire(blocked);

	if (count_held) {
		HOLD();
		(void)atomic_fetch_sub_explicit(count_held, 1, memory_order_seq_cst);
		count_held = NULL;
	}
	return early;
}
static int64_t hold_count(filch_atomic_i64 *queued)
{
	count_held = queued;
	return 0;
}
/* of `queued`; `blocked` is counted down in the same words */
#undef filchi_fetch_sub_seq_cst
#define filchi_fetch_sub_seq_cst(p, n)                                  \
	_Generic((p), filch_atomic_i64 *                                \
		 : hold_count((filch_atomic_i64 *)(void *)(p)), default \
		 : atomic_fetch_sub_explicit((p), (n), memory_order_seq_cst))
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) late_count(p)
#elif defined(MUTANT_COUNTED_LATE) || defined(MUTANT_ROOM_CLEARED_LATE)
/* the store lies in a buffer until the next look is over, which ends in the sleep */
static _Thread_local filch_atomic_u32 *count_held, *clear_held;
#if defined(MUTANT_COUNTED_LATE)
#undef filchi_fetch_add_seq_cst
#define filchi_fetch_add_seq_cst(p, n)                                                  \
	(IN_FUNCTION('w') ? (count_held = (filch_atomic_u32 *)(void *)(p), (uint32_t)0) \
			  : (uint32_t)atomic_fetch_add_explicit((p), (n), memory_order_seq_cst))
#else
#undef filchi_exchange_seq_cst
#define filchi_exchange_seq_cst(p, v)              \
	(IN_FUNCTION('w') ? (clear_held = (p), 0u) \
			  : atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#endif
#define HOLDS_STORES
#endif

/* Before a sleep, and after the call: what a mutant has held back becomes visible. */
static void stores_drain(void)
{
#if defined(HOLDS_STORES)
	HOLD();
	if (count_held)
		(void)atomic_fetch_add_explicit(count_held, 1, memory_order_seq_cst);
	if (clear_held)
		(void)atomic_exchange_explicit(clear_held, 0, memory_order_seq_cst);
	count_held = clear_held = NULL;
#endif
}

#include "struct/injector.c"

static struct filchi_injector q;
static filch_atomic_u32 closing;
static _Thread_local unsigned me;

#if defined(FILCH_EXPLORE)

#ifndef WAITERS
#define WAITERS 1
#endif
#ifndef RELEASES
#define RELEASES 1
#endif

static bool asleep[WAITERS], admitted[WAITERS];

int filchi_futex_wait(filch_atomic_u32 *word, uint32_t expected, const struct timespec *deadline)
{
	(void)deadline;
	stores_drain();
	if (filchi_load_acquire(word) != expected)
		return 0;
	asleep[me] = true;
	pthread_exit(NULL);
}

void filchi_futex_wake(filch_atomic_u32 *word, int threads)
{
	(void)word;
	(void)threads;
}

static void *submitter(void *number)
{
	me = (unsigned)(uintptr_t)number;
	admitted[me] = filchi_injector_wait(&q, NULL, &closing) == 0;
	return NULL;
}

static void *releaser(void *unused)
{
	(void)unused;
	filchi_injector_release(&q);
	return NULL;
}

#if defined(CLOSER)
/* filchi_pool_close() */
static void *closer(void *unused)
{
	(void)unused;
	filchi_store_then_fence(&closing, 1);
	filchi_injector_close(&q);
	return NULL;
}
#endif

int main(void)
{
	pthread_t thread[WAITERS + RELEASES + 1];
	int n = 0, sleeping = 0, in = 0;

	q.capacity = RELEASES;
	filch_store_relaxed(&q.queued, RELEASES);
	for (int i = 0; i < WAITERS; i++)
		pthread_create(&thread[n++], NULL, submitter, (void *)(uintptr_t)i);
	for (int i = 0; i < RELEASES; i++)
		pthread_create(&thread[n++], NULL, releaser, NULL);
#if defined(CLOSER)
	pthread_create(&thread[n++], NULL, closer, NULL);
#endif
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < WAITERS; i++) {
		sleeping += asleep[i];
		in += admitted[i];
	}
	assert(filchi_load_acquire(&q.queued) == in);
	if (sleeping && (in < q.capacity || filchi_load_acquire(&closing)))
		assert(filchi_load_acquire(&q.room) == 1);
	return 0;
}

#else

enum { SUBMITTERS = 3 };

static unsigned submitters; /* in this run */
static struct meeting start;
static atomic_ulong tellings, admissions;
static atomic_ulong rest[SUBMITTERS], polls[SUBMITTERS]; /* as in cq.c */

/* Sleeps until the word has changed. */
int filchi_futex_wait(filch_atomic_u32 *word, uint32_t expected, const struct timespec *deadline)
{
	static _Thread_local unsigned long number;

	assert(is_at(word, &q.room) && expected == 0 && !deadline);
	stores_drain();
	atomic_store(&rest[me], ++number);
	while (filchi_load_acquire(word) == expected) {
		atomic_fetch_add(&polls[me], 1);
		RELAX();
	}
	atomic_store(&rest[me], 0);
	return 0;
}

void filchi_futex_wake(filch_atomic_u32 *word, int threads)
{
	/* a sleeper here looks at the word now and then */
	assert(is_at(word, &q.room) && threads >= 1);
	atomic_fetch_add(&tellings, 1);
}

static void *submitter(void *number)
{
	me = (unsigned)(uintptr_t)number;
	seed_with(me);
	meet(&start, submitters + 1);
	for (;;) {
		PAUSE_AT_RANDOM();
		if (!filchi_injector_admit(&q, false)) {
			int error = filchi_injector_wait(&q, NULL, &closing);

			stores_drain();
			if (error) {
				assert(error == -ESHUTDOWN && filchi_load_acquire(&closing));
				return NULL;
			}
		} else if (filchi_load_acquire(&closing)) {
			filchi_injector_release(&q);
			return NULL;
		}
		atomic_fetch_add_explicit(&admissions, 1, memory_order_release);
		if (random_below(4) == 0)
			RELAX(); /* the releaser comes before this thread waits again */
	}
}

/* Until a job is queued. Fails if all submitters sleep and none is: they would for ever. */
static void until_queued(unsigned long released)
{
	while (atomic_load_explicit(&admissions, memory_order_acquire) == released) {
		unsigned long in[SUBMITTERS], looked[SUBMITTERS];
		bool all = true;

		for (unsigned i = 0; i < submitters; i++) {
			in[i] = atomic_load(&rest[i]);
			looked[i] = atomic_load(&polls[i]);
		}
		for (unsigned i = 0; i < submitters && all; i++) {
			while (in[i] && atomic_load(&rest[i]) == in[i] &&
				atomic_load(&polls[i]) - looked[i] < 2)
				RELAX();
			all = in[i] && atomic_load(&rest[i]) == in[i];
		}
		for (unsigned i = 0; i < submitters && all; i++)
			all = atomic_load(&rest[i]) == in[i];
		assert(!all || atomic_load(&admissions) != released);
		RELAX();
	}
}

/* Submitters slept, and were told. */
static bool covered(void)
{
	return atomic_load(&tellings) && atomic_load(&polls[0]) &&
	       (submitters == 1 || atomic_load(&polls[1]) + atomic_load(&polls[2]));
}

static void run(uint32_t rounds)
{
	pthread_t thread[SUBMITTERS];
	unsigned long released = 0;

	assert(!filchi_injector_init(&q, 2, 1));
	filch_store_relaxed(&closing, 0);
	atomic_store(&admissions, 0);
	for (unsigned i = 0; i < submitters; i++)
		assert(!pthread_create(&thread[i], NULL, submitter, (void *)(uintptr_t)i));
	meet(&start, submitters + 1);
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		until_queued(released);
		PAUSE_AT_RANDOM();
		released++;
		filchi_injector_release(&q);
	}
	filchi_store_then_fence(&closing, 1);
	filchi_injector_close(&q);
	for (unsigned i = 0; i < submitters; i++) /* or the test's timeout ends what sleeps on */
		pthread_join(thread[i], NULL);
	assert(!filchi_load_acquire(&q.blocked));
	filchi_injector_destroy(&q);
	COVERED(covered());
}

int main(void)
{
	seed_with(100);
	for (submitters = 1; submitters <= SUBMITTERS; submitters += SUBMITTERS - 1)
		run(scaled(60000));
	return 0;
}

#endif
