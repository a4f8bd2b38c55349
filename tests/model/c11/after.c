/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dependencies: two jobs that end, and two that follow both; each of these starts once, after both
 * have ended, or was cancelled.
 *
 * labels: model
 *
 * Threads, once for each round (explored: one round with one follower; with -DCANCELS it is
 * cancelled, with -DSUCCEEDS the slot is used again):
 * - two enders: end a job as move_on() of src/struct/job_slot.c does, and release its followers:
 *   filchi_after_release() of src/calls/after.c. Then they end the next job in the slot: a follower
 *   that comes late meets that one.
 * - two followers: hang an edge on each, and count themselves off: filchi_submit_after().
 * - a successor: as soon as the first job is over it begins the next one in its slot, and follows
 *   that.
 * - canceller: claims the first follower, filchi_job_claim_waiting(), and begins a job that follows
 *   others in its slot.
 *
 * What the jobs write is plain: a missing order is a data race to a checker.
 *
 * Asserts:
 * - A follower that is ready sees what both jobs have written. It is ready once, or cancelled.
 * - It has failed if one of the two has, unless that one's slot was in use again; never else.
 * - A list holds no edge when all is over, and the job in a cancelled one's slot is not ready.
 * - In an ordinary run these have happened: edges hung and released, lists found closed, jobs found
 *   over, slots in use again; followers made ready by an ender and by themselves; cancelled in time
 *   and too late, and with edges left behind.
 *
 * Mutants found by an ordinary run:
 *   hang_by_store     a follower hangs its edge on by a store
 *   flag_left_out     it does not set FOLLOWED
 *   look_left_out     it does not look at the state word again
 *   close_late        a list is closed when the job is over
 *   close_by_store    a list is read, then closed by a store
 *   count_by_store    an edge is counted off by a store
 *   ready_by_store    a follower is made ready by a store
 *   generation_unread an edge is counted off whatever generation there is
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   count_without_order   edges are counted off relaxed
 */
#include "driver.h"

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"

/* inside filchi_after_hang() 'h', _ended() 'e', _ready() 'r' */
#define IN(letter) (__func__[sizeof "filchi_after_" - 1] == (letter))

static inline bool is_list(const volatile void *p);
static inline bool is_word(const volatile void *p);
static inline uint64_t remembered(const volatile void *p);

#if defined(MUTANT_HANG_BY_STORE)
#define STORES(p) (IN('h') && is_list(p))
#elif defined(MUTANT_COUNT_BY_STORE)
#define STORES(p) IN('e')
#elif defined(MUTANT_READY_BY_STORE)
#define STORES(p) IN('r')
#endif
#if defined(STORES) || defined(MUTANT_FLAG_LEFT_OUT)
static bool cas_or_store(
	filch_atomic_u64 *p, uint64_t *expected, uint64_t v, bool stores, bool skips)
{
	if (skips)
		return true;
	if (!stores)
		return atomic_compare_exchange_strong_explicit(
			p, expected, v, memory_order_acq_rel, memory_order_acquire);
	HOLD();
	atomic_store_explicit(p, v, memory_order_release);
	return true;
}
#undef filchi_cas_acq_rel
#if defined(STORES)
#define filchi_cas_acq_rel(p, expected, v) cas_or_store((p), (expected), (v), STORES(p), false)
#else
#define filchi_cas_acq_rel(p, expected, v) \
	cas_or_store((p), (expected), (v), false, IN('h') && is_word(p))
#endif
#elif defined(MUTANT_COUNT_WITHOUT_ORDER)
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)                             \
	atomic_compare_exchange_strong_explicit((p), (expected), (v),  \
		IN('e') ? memory_order_relaxed : memory_order_acq_rel, \
		IN('e') ? memory_order_relaxed : memory_order_acquire)
#endif
#if defined(MUTANT_LOOK_LEFT_OUT)
/* a second look at a state word says what the first one did */
#undef filchi_load_acquire
#define filchi_load_acquire(p)                                             \
	(IN('h') && is_word(p) ? (HOLD(), (__typeof__(*(p)))remembered(p)) \
			       : atomic_load_explicit((p), memory_order_acquire))
#endif
#if defined(MUTANT_CLOSE_BY_STORE)
static uint64_t exchange_or_store(filch_atomic_u64 *p, uint64_t v)
{
	uint64_t before = atomic_load_explicit(p, memory_order_acquire);

	HOLD();
	atomic_store_explicit(p, v, memory_order_release);
	return before;
}
#undef filchi_exchange_acq_rel
#define filchi_exchange_acq_rel(p, v) exchange_or_store((p), (v))
#endif

#include "struct/after.h"

#if defined(STORES) || defined(MUTANT_FLAG_LEFT_OUT) || defined(MUTANT_COUNT_WITHOUT_ORDER)
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)       \
	atomic_compare_exchange_strong_explicit( \
		(p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
#endif
#if defined(MUTANT_LOOK_LEFT_OUT)
#undef filchi_load_acquire
#define filchi_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#endif

/* the words of job_slot.h */
enum { FREE = 0, RUNNING = 2, FINISHING = 3, DONE = 4, WAITING = 7, SHIFT = 16 };
enum { ENDERS = 2, FOLLOWERS = 2, SUCCESSOR = FOLLOWERS, EDGES = ENDERS * FOLLOWERS + 2 };

/* slots of the jobs that end, then of those that follow */
static filch_atomic_u64 word[ENDERS + FOLLOWERS + 1];
static struct filchi_follow follow[ENDERS + FOLLOWERS + 1];
static struct filchi_edge edge[EDGES];
static int written[ENDERS], next_written; /* by the jobs; plain */
/*
 * What a round is to be, and what it was, told between threads that meet. Atomic: with its
 * ThreadSanitizer gcc 12 may take a plain static object for one that no other thread writes.
 */
static atomic_bool fails[ENDERS]; /* as planned, and told by none but the protocol */
static atomic_bool fail_by_two;   /* the next jobs in their slots */
static atomic_bool failed_seen[FOLLOWERS + 1], cancelled;
/* it has met a slot in use again, and how the job ended is not known */
static atomic_bool unsure[FOLLOWERS + 1];
static atomic_uint readied[FOLLOWERS + 1];
static atomic_uint left_behind; /* edges that met another generation */
static atomic_ulong hung, closed, over, by_ender, by_self, cancels, cancelled_late, stale, reused;
static _Thread_local bool is_ender;
#if defined(MUTANT_LOOK_LEFT_OUT)
static _Thread_local uint64_t read_first;
#endif

__attribute__((unused)) static inline bool is_list(const volatile void *p)
{
	bool is = false;

	for (int i = 0; i < ENDERS; i++)
		is = is || is_at(p, &follow[i].list);
	return is;
}

__attribute__((unused)) static inline bool is_word(const volatile void *p)
{
	bool is = false;

	for (int i = 0; i < ENDERS; i++)
		is = is || is_at(p, &word[i]);
	return is;
}

__attribute__((unused)) static inline uint64_t remembered(const volatile void *p)
{
	(void)p;
#if defined(MUTANT_LOOK_LEFT_OUT)
	return read_first;
#else
	return 0;
#endif
}

static uint64_t word_of(uint64_t generation, unsigned state)
{
	return generation << SHIFT | state;
}

/* ready() of calls/after.c; then the job runs, at once. */
static void make_ready(int slot, uint64_t s, bool failed)
{
	int me = slot - ENDERS;

	if (!filchi_after_ready(&word[slot], &s, failed)) {
		atomic_fetch_add_explicit(&cancelled_late, 1, memory_order_relaxed);
		return;
	}
	assert(atomic_fetch_add_explicit(&readied[me], 1, memory_order_relaxed) == 0);
	if (me == SUCCESSOR)
		assert(next_written == 1);
	else
		assert(written[0] == 1 && written[1] == 2);
	atomic_store_explicit(&failed_seen[me], failed, memory_order_relaxed);
	atomic_fetch_add_explicit(is_ender ? &by_ender : &by_self, 1, memory_order_relaxed);
}

static void count_off(int slot, uint64_t s, uint32_t n, bool failed)
{
#if defined(MUTANT_GENERATION_UNREAD)
	s = atomic_load_explicit(&follow[slot].count, memory_order_relaxed) >> 24 << 16;
#endif
	if (filchi_after_ended(&follow[slot].count, s, n, &failed))
		make_ready(slot, s, failed);
}

/* filchi_after_release(). */
static void release(uint32_t first, bool failed)
{
	for (uint32_t e = first, next; e != FILCHI_EDGE_NONE; e = next) {
		const struct filchi_edge *of = &edge[e];

		next = filch_load_relaxed(&of->next);
		if (!filchi_after_same(
			    filchi_load_acquire(&follow[of->slot].count), of->generation))
			atomic_fetch_add_explicit(&left_behind, 1, memory_order_relaxed);
		count_off((int)of->slot, of->generation, 1, failed && !of->any);
	}
}

/* move_on() of job_slot.c, to DONE and, reaped at once, to FREE. */
static void end_job(int me, bool failed)
{
	const uint64_t mark = failed ? FILCHI_AFTER_FAILED : 0;
	uint64_t s = filchi_load_acquire(&word[me]), next;
	uint32_t first = FILCHI_EDGE_NONE;
	bool is_closed = false;

	do {
#if !defined(MUTANT_CLOSE_LATE)
		if (s & FILCHI_AFTER_FOLLOWED && !is_closed) {
			first = filchi_after_close(&follow[me].list, s, failed);
			is_closed = true;
			PAUSE_AT_RANDOM();
		}
#endif
		next = (s & ~UINT64_C(0xffff)) | mark | DONE;
	} while (!filchi_cas_seq_cst(&word[me], &s, next));
#if defined(MUTANT_CLOSE_LATE)
	HOLD();
	if (s & FILCHI_AFTER_FOLLOWED)
		first = filchi_after_close(&follow[me].list, s, failed);
	is_closed = true;
#endif
	(void)is_closed;
	release(first, failed);
}

static void ender(int me)
{
	uint64_t s = filchi_load_acquire(&word[me]);

	is_ender = true;
	written[me] = me + 1;
	end_job(me, fails[me]);
	PAUSE_AT_RANDOM();
	if (me == 0) {
#if defined(FILCH_EXPLORE) && !defined(SUCCEEDS)
		return;
#endif
		s = word_of((s >> SHIFT) + 1, RUNNING);
		while (filchi_load_acquire(&word[me]) >> SHIFT != s >> SHIFT)
			RELAX();
		next_written = 1;
	} else {
		filchi_store_release(&word[me], word_of((s >> SHIFT) + 1, RUNNING));
		PAUSE_AT_RANDOM();
	}
	end_job(me, fail_by_two);
}

/* outcome() of calls/after.c, of a job that is not unfinished. */
static bool is_over(int me, uint64_t s, uint64_t generation, bool *failed)
{
	if (s >> SHIFT == generation) {
		atomic_fetch_add_explicit(&over, 1, memory_order_relaxed);
		*failed = *failed || s & FILCHI_AFTER_FAILED;
	} else {
		atomic_fetch_add_explicit(&reused, 1, memory_order_relaxed);
		atomic_store_explicit(&unsure[me - ENDERS], true, memory_order_relaxed);
	}
	return false; /* no edge hangs */
}

/* hang() of calls/after.c. True: the edge hangs. */
static bool hang(int me, int on, uint64_t of, uint64_t generation, uint32_t number, bool *failed)
{
	uint64_t s = filchi_load_acquire(&word[on]);

	if (s >> SHIFT != generation || (s & 7) == DONE)
		return is_over(me, s, generation, failed);
	PAUSE_AT_RANDOM();
#if defined(MUTANT_LOOK_LEFT_OUT)
	read_first = s;
#endif
	edge[number].generation = of;
	edge[number].slot = (uint32_t)me;
	edge[number].any = false;
	switch (filchi_after_hang(&word[on], &s, &follow[on].list, &edge[number], number)) {
	case FILCHI_HUNG:
		atomic_fetch_add_explicit(&hung, 1, memory_order_relaxed);
		return true;
	case FILCHI_HUNG_FAILED:
		*failed = true;
		/* fall through */
	case FILCHI_HUNG_CLOSED:
		atomic_fetch_add_explicit(&closed, 1, memory_order_relaxed);
		return false;
	case FILCHI_HUNG_OVER:
		return is_over(me, s, generation, failed);
	}
	return false;
}

static void follower(int which, uint64_t of, uint64_t generation)
{
	uint32_t left = ENDERS;
	int me = ENDERS + which;
	bool failed = false;

	is_ender = false;
	for (int i = 0; i < ENDERS; i++) {
		int on = which ? ENDERS - 1 - i : i;

		left -= hang(me, on, of, generation, 1 + (uint32_t)(which * ENDERS + i), &failed);
		PAUSE_AT_RANDOM();
	}
	count_off(me, of, left + 1, failed);
}

/* Of the first ender's job, whose slot is used again at once. */
static void succeed(uint64_t of, uint64_t generation)
{
	bool failed = false;
	uint32_t left = 1;

	is_ender = false;
	while (filchi_load_acquire(&word[0]) >> SHIFT != generation ||
		(filchi_load_acquire(&word[0]) & 7) != DONE)
		RELAX();
	filchi_store_release(&word[0], word_of(generation + 1, RUNNING));
	PAUSE_AT_RANDOM();
	left -= hang(ENDERS + SUCCESSOR, 0, of, generation + 1, EDGES - 1, &failed);
	count_off(ENDERS + SUCCESSOR, of, left + 1, failed);
}

/* filch_cancel(); the slot is then used by a job that follows another which does not end. */
static void cancel(uint64_t of)
{
	uint64_t s = filchi_load_acquire(&word[ENDERS]), next;

	do {
		if (s >> SHIFT != of >> SHIFT || (s & 7) != WAITING)
			return;
	} while (!filchi_cas_acq_rel(&word[ENDERS], &s, (s & ~UINT64_C(7)) | FINISHING));
	atomic_store_explicit(&cancelled, true, memory_order_relaxed);
	atomic_fetch_add_explicit(&cancels, 1, memory_order_relaxed);
	PAUSE_AT_RANDOM();
	next = ((of >> SHIFT) + 1) << SHIFT;
	filchi_store_release(&word[ENDERS], next);
	filchi_after_begin(&follow[ENDERS].count, next, 1);
	filchi_store_release(&word[ENDERS], next | WAITING);
}

static void begin_round(uint64_t generation)
{
	for (int i = 0; i < ENDERS; i++) {
		written[i] = 0;
		filchi_store_release(&word[i], word_of(generation, RUNNING));
	}
	next_written = 0;
	for (int i = 0; i < FOLLOWERS + 1; i++) {
		filchi_after_begin(&follow[ENDERS + i].count, word_of(generation, FREE),
			i == SUCCESSOR ? 1 : ENDERS);
		filchi_store_release(&word[ENDERS + i], word_of(generation, WAITING));
		atomic_store_explicit(&readied[i], 0, memory_order_relaxed);
		failed_seen[i] = unsure[i] = false;
	}
	atomic_store_explicit(&left_behind, 0, memory_order_relaxed);
	cancelled = false;
}

/* All threads have acted. */
static void end_round(uint64_t generation)
{
	for (int i = 0; i < FOLLOWERS + 1; i++) {
		unsigned times = atomic_load_explicit(&readied[i], memory_order_relaxed);

		bool fail = i == SUCCESSOR ? fail_by_two : fails[0] || fails[1];

		assert(times == (i == 0 && cancelled ? 0 : 1));
		if (times)
			assert(failed_seen[i] == fail || (fail && unsure[i]));
	}
	for (int i = 0; i < ENDERS; i++) {
		uint64_t list = filchi_load_acquire(&follow[i].list);

		assert(!filchi_after_same(list, generation << SHIFT) ||
			(list & FILCHI_EDGE_BITS) >= FILCHI_LIST_FAILED);
	}
	if (cancelled)
		/* nothing was counted off */
		assert(filchi_load_acquire(&follow[ENDERS].count) ==
			filchi_after_word((generation + 1) << SHIFT, 2));
	if (atomic_load_explicit(&left_behind, memory_order_relaxed))
		atomic_fetch_add_explicit(&stale, 1, memory_order_relaxed);
}

#if defined(FILCH_EXPLORE)

static void *end_one(void *number)
{
	ender(number ? 1 : 0);
	return NULL;
}

static void *follow_both(void *number)
{
	follower(number ? 1 : 0, word_of(1, FREE), 1);
	return NULL;
}

#if defined(SUCCEEDS)
static void *succeed_one(void *unused)
{
	(void)unused;
	succeed(word_of(1, FREE), 1);
	return NULL;
}
#else
static void skip(int follower, bool fail)
{
	atomic_store_explicit(&readied[follower], 1, memory_order_relaxed);
	failed_seen[follower] = fail;
}
#endif

int main(void)
{
	pthread_t thread[3];

	fails[0] = true;
	begin_round(1);
#if defined(SUCCEEDS)
	written[1] = 2;
	filchi_store_release(&word[1], word_of(1, DONE));
	atomic_store_explicit(&readied[1], 1, memory_order_relaxed);
	failed_seen[1] = true;
	pthread_create(&thread[0], NULL, end_one, NULL);
	pthread_create(&thread[1], NULL, succeed_one, NULL);
	follower(0, word_of(1, FREE), 1);
#elif defined(CANCELS)
	skip(1, true);
	skip(SUCCESSOR, false);
	written[1] = 2;
	filchi_store_release(&word[1], word_of(1, DONE));
	pthread_create(&thread[0], NULL, end_one, NULL);
	pthread_create(&thread[1], NULL, follow_both, NULL);
	cancel(word_of(1, FREE));
#else
	skip(1, true);
	skip(SUCCESSOR, false);
	pthread_create(&thread[0], NULL, end_one, NULL);
	pthread_create(&thread[1], NULL, end_one, (void *)&word);
	follower(0, word_of(1, FREE), 1);
#endif
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	end_round(1);
	return 0;
}

#else

enum { THREADS = ENDERS + FOLLOWERS + 2 };
static struct meeting start, finish_line;
static _Atomic uint64_t generation = 1;
static atomic_bool stops, cancels_one;

static void act(int me)
{
	for (uint32_t i = random_below(3); i; i--)
		PAUSE_AT_RANDOM();
	if (me < ENDERS)
		ender(me);
	else if (me < ENDERS + FOLLOWERS)
		follower(me - ENDERS, word_of(generation, FREE), generation);
	else if (me == ENDERS + FOLLOWERS)
		succeed(word_of(generation, FREE), generation);
	else if (cancels_one)
		cancel(word_of(generation, FREE));
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
	return atomic_load(&hung) && atomic_load(&closed) && atomic_load(&over) &&
	       atomic_load(&reused) && atomic_load(&by_ender) && atomic_load(&by_self) &&
	       atomic_load(&cancels) && atomic_load(&cancelled_late) && atomic_load(&stale);
}

int main(void)
{
	uint32_t rounds = scaled(30000);
	pthread_t thread[THREADS];

	seed_with(100);
	for (uintptr_t i = 1; i < THREADS; i++)
		assert(!pthread_create(&thread[i], NULL, others, (void *)i));
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		fails[0] = random_below(4) == 0;
		fails[1] = random_below(4) == 0;
		fail_by_two = random_below(2);
		cancels_one = random_below(3) == 0;
		generation += 2; /* the next one is of the slots' second jobs */
		begin_round(generation);
		meet(&start, THREADS);
		act(0);
		meet(&finish_line, THREADS);
		end_round(generation);
	}
	stops = true;
	meet(&start, THREADS);
	for (unsigned i = 1; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	COVERED(covered());
	return 0;
}

#endif
