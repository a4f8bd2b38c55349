/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of jobs: room is taken, jobs begin and end, a thread sleeps until none is unfinished, and
 * frees the group at once.
 *
 * labels: model
 *
 * Threads, once for each group (explored: two jobs and room for one; with -DPOLLS the
 * waiter does not sleep):
 * - jobs, one on each of several threads: takes room, or sleeps for it, as
 *   filchi_group_sleep_for_room() of src/struct/groups.c; begins; ends, as filchi_group_over().
 * - waiter: when all have begun, sleeps until they are over, filchi_group_sleep(), or gives that
 *   up and looks again and again, and destroys the group, filchi_group_end().
 *
 * The condition variables are counts that a sleeper waits to see raised. What jobs write is plain,
 * and so is what the mutex protects: a missing order is a data race to a checker.
 *
 * Asserts:
 * - Never do more jobs have room than there is.
 * - The waiter sees what all jobs have written, and a sleeper is told.
 * - When the waiter has destroyed the group, nobody is inside the mutex, and nobody comes.
 * - Nothing is counted afterwards, and nobody waits any more.
 * - In an ordinary run these have happened: ends that told and that did not; sleeps for the end and
 *   for room, and waits that did not have to sleep.
 *
 * Mutants found by an ordinary run:
 *   take_by_store     who takes room loads the word and stores it
 *   count_by_store    who counts off does likewise
 *   await_by_store    WAITED is set likewise
 *   block_by_store    BLOCKED is set likewise
 *   bits_unread       an end counts off without a look at the bits
 *   told_late         an end that must tell counts off before it takes the mutex
 *   freed_unlocked    the group is destroyed without a last turn in the mutex
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   count_without_order   an end counts off relaxed
 */
#include "driver.h"

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"

/* inside filchi_group_take() 't', _count_off() 'c', _await() 'a', _block() 'b' */
#define IN(letter) (__func__[sizeof "filchi_group_" - 1] == (letter))

#if defined(MUTANT_TAKE_BY_STORE)
#define STORES IN('t')
#elif defined(MUTANT_COUNT_BY_STORE)
#define STORES IN('c')
#elif defined(MUTANT_AWAIT_BY_STORE)
#define STORES IN('a')
#elif defined(MUTANT_BLOCK_BY_STORE)
#define STORES IN('b')
#endif
#if defined(STORES)
static bool cas_or_store(filch_atomic_u64 *p, uint64_t *expected, uint64_t v, bool stores)
{
	if (!stores)
		return atomic_compare_exchange_strong_explicit(
			p, expected, v, memory_order_acq_rel, memory_order_acquire);
	HOLD();
	atomic_store_explicit(p, v, memory_order_release);
	return true;
}
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v) cas_or_store((p), (expected), (v), STORES)
#elif defined(MUTANT_COUNT_WITHOUT_ORDER)
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)                             \
	atomic_compare_exchange_strong_explicit((p), (expected), (v),  \
		IN('c') ? memory_order_relaxed : memory_order_acq_rel, \
		IN('c') ? memory_order_relaxed : memory_order_acquire)
#endif

#include "struct/group_word.h"

#if defined(FILCH_EXPLORE)
enum { JOBS = 2, MOST = 1 };
#else
enum { JOBS = 3, MOST = 2 };
#endif
#define GONE UINT64_MAX /* the word of a group whose memory is gone */

static filch_atomic_u64 word;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned waiting, blocked; /* the mutex's */
static atomic_uint ended, given;  /* a condition variable each: how often it was told */
static atomic_uint begun, over;   /* jobs */
static atomic_uint sleeping;      /* for room, and not told */
static atomic_uint inside;        /* threads in the mutex for an end */
static atomic_bool destroyed;
static atomic_bool awaited; /* the waiter has said that it waits */
static int written[JOBS];   /* by the jobs; plain */
static atomic_ulong fast, told, slept, blocked_once, awake, polled;

/*
 * Until the count is not @seen any more. When all jobs are over, or sleep, nobody is left who could
 * tell: a failure, and no hang.
 */
static void sleep_on(atomic_uint *count, unsigned seen)
{
	for (;;) {
		unsigned ends = atomic_load_explicit(&over, memory_order_acquire);
		unsigned asleep = atomic_load_explicit(&sleeping, memory_order_acquire);

		if (atomic_load_explicit(count, memory_order_acquire) != seen)
			return;
		assert(ends + asleep < JOBS && "somebody will tell");
		RELAX();
	}
}

/* With the mutex. */
static void tell(atomic_uint *count)
{
	if (count == &given)
		atomic_store_explicit(&sleeping, 0, memory_order_release);
	atomic_fetch_add_explicit(count, 1, memory_order_acq_rel);
}

/* filchi_group_sleep_for_room(). A telling wakes all that sleep: it takes from each its excuse. */
static void take_room(void)
{
	if (filchi_group_take(&word, 1, MOST, false))
		return;
	atomic_fetch_add_explicit(&blocked_once, 1, memory_order_relaxed);
	pthread_mutex_lock(&lock);
	blocked++;
	while (filchi_group_block(&word, MOST)) {
		unsigned seen = atomic_load_explicit(&given, memory_order_relaxed);

		atomic_fetch_add_explicit(&sleeping, 1, memory_order_release);
		pthread_mutex_unlock(&lock);
		sleep_on(&given, seen);
		pthread_mutex_lock(&lock);
	}
	if (--blocked)
		tell(&given);
	else
		filchi_group_clear(&word, FILCHI_GROUP_BLOCKED);
	pthread_mutex_unlock(&lock);
}

/* filchi_group_over(). */
static void end_job(void)
{
	uint64_t now;

#if defined(MUTANT_BITS_UNREAD)
	(void)filchi_group_count_off_locked(&word, 1, 1);
	return;
#endif
	if (filchi_group_count_off(&word, 1, 1)) {
		atomic_fetch_add_explicit(&fast, 1, memory_order_relaxed);
		return;
	}
#if defined(MUTANT_TOLD_LATE)
	now = filchi_group_count_off_locked(&word, 1, 1);
	HOLD();
#elif defined(MUTANT_FREED_UNLOCKED)
	HOLD();
#endif
	pthread_mutex_lock(&lock);
	assert(!atomic_load_explicit(&destroyed, memory_order_relaxed));
	atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed);
#if !defined(MUTANT_TOLD_LATE)
	now = filchi_group_count_off_locked(&word, 1, 1);
#endif
#if defined(MUTANT_FREED_UNLOCKED)
	HOLD();
#endif
	if (!filchi_group_unfinished(now) && waiting)
		tell(&ended);
	if (blocked)
		tell(&given);
	atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
	atomic_fetch_add_explicit(&told, 1, memory_order_relaxed);
}

/*
 * What is rare by chance is made to happen in crowded rounds. Nobody who has room goes on before
 * each of the others has begun too, or sleeps for room. And the last to begin ends after the waiter
 * has come.
 */
#if defined(FILCH_EXPLORE)
#define STAY_IN_THE_CROWD(last) ((void)(last))
#else
static bool crowded; /* set between the rounds */

static void stay_in_the_crowd(bool last)
{
	while (crowded && (atomic_load(&begun) + atomic_load(&sleeping) < JOBS ||
				  (last && !atomic_load(&awaited))))
		RELAX();
}

#define STAY_IN_THE_CROWD(last) stay_in_the_crowd(last)
#endif

static void job(int me)
{
	unsigned ends;

	take_room();
	ends = atomic_load_explicit(&over, memory_order_acquire);
	assert(filchi_group_room_taken(filchi_load_acquire(&word)) <= MOST);
	assert(filchi_group_room_taken(filchi_load_acquire(&word)) + ends <= JOBS);
	PAUSE_AT_RANDOM();
	filchi_group_begin(&word, 1);
	STAY_IN_THE_CROWD(atomic_fetch_add_explicit(&begun, 1, memory_order_release) == JOBS - 1);
	PAUSE_AT_RANDOM();
	written[me] = me + 1;
	end_job();
	atomic_fetch_add_explicit(&over, 1, memory_order_release);
}

/* filchi_group_sleep(). */
static void sleep_for_end(void)
{
	unsigned seen;

	pthread_mutex_lock(&lock);
	waiting++;
	seen = atomic_load_explicit(&ended, memory_order_relaxed);
	if (filchi_group_await(&word)) {
		pthread_mutex_unlock(&lock);
		atomic_store_explicit(&awaited, true, memory_order_relaxed);
		atomic_fetch_add_explicit(&slept, 1, memory_order_relaxed);
		sleep_on(&ended, seen);
		pthread_mutex_lock(&lock);
	} else {
		atomic_fetch_add_explicit(&awake, 1, memory_order_relaxed);
	}
	if (!--waiting)
		filchi_group_clear(&word, FILCHI_GROUP_WAITED);
	pthread_mutex_unlock(&lock);
}

/* filchi_group_sleep() with a deadline that has passed, then filch_group_wait() until it is 0. */
static void poll_for_end(void)
{
	pthread_mutex_lock(&lock);
	waiting++;
	(void)filchi_group_await(&word);
	pthread_mutex_unlock(&lock);
	atomic_store_explicit(&awaited, true, memory_order_relaxed);
	PAUSE_AT_RANDOM();
	pthread_mutex_lock(&lock);
	if (!--waiting)
		filchi_group_clear(&word, FILCHI_GROUP_WAITED);
	pthread_mutex_unlock(&lock);
	for (;;) {
		unsigned ends = atomic_load_explicit(&over, memory_order_acquire);

		if (!filchi_group_unfinished(filchi_load_acquire(&word)))
			break;
		assert(ends < JOBS && "what is over was counted off");
		RELAX();
	}
	atomic_fetch_add_explicit(&polled, 1, memory_order_relaxed);
}

/* @polls, and then filchi_group_end(). */
static void wait_and_destroy(bool polls)
{
	while (atomic_load_explicit(&begun, memory_order_acquire) != JOBS)
		RELAX();
	PAUSE_AT_RANDOM();
	if (polls)
		poll_for_end();
	else
		sleep_for_end();
	assert(!filchi_group_unfinished(filchi_load_acquire(&word)));
	assert(!filchi_group_room_taken(filchi_load_acquire(&word)));
	for (int i = 0; i < JOBS; i++)
		assert(written[i] == i + 1);
#if !defined(MUTANT_FREED_UNLOCKED)
	pthread_mutex_lock(&lock);
	assert(!waiting && !blocked);
	pthread_mutex_unlock(&lock);
#endif
	assert(!atomic_load_explicit(&inside, memory_order_relaxed));
	atomic_store_explicit(&destroyed, true, memory_order_relaxed);
	filchi_store_release(&word, GONE);
}

static void begin_group(void)
{
	filchi_store_release(&word, 0);
	atomic_store_explicit(&begun, 0, memory_order_relaxed);
	atomic_store_explicit(&over, 0, memory_order_relaxed);
	atomic_store_explicit(&sleeping, 0, memory_order_relaxed);
	atomic_store_explicit(&destroyed, false, memory_order_relaxed);
	atomic_store_explicit(&awaited, false, memory_order_relaxed);
	for (int i = 0; i < JOBS; i++)
		written[i] = 0;
}

static void end_group(void)
{
	assert(filchi_load_acquire(&word) == GONE);
}

#if defined(FILCH_EXPLORE)

static void *run_job(void *number)
{
	job(number ? 1 : 0);
	return NULL;
}

int main(void)
{
	pthread_t thread[JOBS];

	begin_group();
	pthread_create(&thread[0], NULL, run_job, NULL);
	pthread_create(&thread[1], NULL, run_job, (void *)&word);
#if defined(POLLS)
	wait_and_destroy(true);
#else
	wait_and_destroy(false);
#endif
	for (int i = 0; i < JOBS; i++)
		pthread_join(thread[i], NULL);
	end_group();
	return 0;
}

#else

enum { THREADS = JOBS + 1 };
static struct meeting start, finish_line;
static atomic_bool stops;

static void act(int me)
{
	for (uint32_t i = random_below(3); i; i--)
		PAUSE_AT_RANDOM();
	if (me == JOBS)
		wait_and_destroy(random_below(3) == 0);
	else
		job(me);
}

static void *others(void *number)
{
	seed_with((uintptr_t)number);
	for (;;) {
		meet(&start, THREADS);
		if (stops)
			return NULL;
		act((int)(uintptr_t)number);
		meet(&finish_line, THREADS);
	}
}

static bool covered(void)
{
	return atomic_load(&fast) && atomic_load(&told) && atomic_load(&slept) &&
	       atomic_load(&blocked_once) && atomic_load(&awake) && atomic_load(&polled);
}

int main(void)
{
	uint32_t rounds = scaled(20000);
	pthread_t thread[THREADS];

	seed_with(100);
	for (uintptr_t i = 1; i < THREADS; i++)
		assert(!pthread_create(&thread[i], NULL, others, (void *)i));
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		begin_group();
		crowded = random_below(8) == 0;
		meet(&start, THREADS);
		act(0);
		meet(&finish_line, THREADS);
		end_group();
	}
	stops = true;
	meet(&start, THREADS);
	for (unsigned i = 1; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	COVERED(covered());
	return 0;
}

#endif
