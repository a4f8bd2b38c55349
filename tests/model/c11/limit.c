/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit of workers against workers that retire, that go to sleep, and that posters rely on. No
 * work is left lying while a worker sleeps that may run it.
 *
 * labels: model
 *
 * Threads (ordinary run: 2 workers; explored: WORKERS, default 1):
 * - poster: posts an item, while the changer is at work; then waits until it has run. Explored: it
 *   is the changer too, and posts before or after the change by SCENE.
 * - changer: sets the limit one to three times a round, at last not to 0.
 * - worker: retires if it is surplus, else looks for the item; finds it, or prepares to sleep,
 *   looks again, cancels or sleeps. Explored: LOOKS times at most (default 3); its thread ends
 *   where it would sleep.
 *
 * Explored scenes:
 *   0  the limit rises from 0 to all, with an item posted: a worker retires meanwhile
 *   1  it falls from all to 1, and an item is posted after that: a searcher, or a sleeper, retires
 *   2  it rises from 1 to all and an item is posted
 *
 * retire, park and the poster are those of src/core/worker.c, the changer review_locked() of
 * src/core/elastic.c.
 *
 * Asserts:
 * - Ordinary: once poster and changer are through, an item is not left while all workers are seen
 *   in the same sleep twice. Each runs once. Workers have retired, been woken of it, been woken to
 *   it, and found at their second look that they need not.
 * - Explored: after the end an item is left only if some worker is awake.
 *
 * Mutants found by an ordinary run:
 *   retire_without_second_look   a worker retires without looking at the limit again: R1
 *   state_read_early             the changer reads a state before its limit is visible: R2
 *   retires_untold               a searcher retires as if nobody relied on it
 *   raise_wakes_nobody           the changer leaves retired workers asleep
 *
 * Mutants found by a model checker alone, for on x86-64 a read-modify-write is a fence in any case:
 *   retire_without_fence         the retiring worker has none: R1
 *   set_without_fence            the changer has none: R2
 */
#include "driver.h"

#if !defined(FILCH_EXPLORE)
/* Here a mutant holds its thread until a worker sleeps, if one does so soon. */
#if defined(MUTANT_STATE_READ_EARLY) || defined(MUTANT_RETIRE_WITHOUT_SECOND_LOOK)
static void hold_for_others(void);
#endif
#undef HOLD
#define HOLD() hold_for_others()
#endif

#define FILCHI_SEGMENTS 2u

#include "base/atomic.h"
#include <filch/detail/fast_deque.h>

#if defined(FILCH_EXPLORE)
#define FILCHI_PARK(word, expected, deadline) \
	((void)(word), (void)(deadline), pthread_exit(NULL), 0)
#else
static bool park_here(filch_atomic_u32 *word, uint32_t expected);
#define FILCHI_PARK(word, expected, deadline) ((void)(deadline), park_here((word), (expected)))
#endif
/* a sleeper here looks at the word now and then */
#define FILCHI_UNPARK(word) ((void)(word))

#include "struct/idle.h"

/* inside filchi_limit_set() 's' or filchi_limit_look() 'l' */
#define IN_FUNCTION(letter) (__func__[sizeof "filchi_limit_" - 1] == (letter))

#if defined(MUTANT_RETIRE_WITHOUT_FENCE) || defined(MUTANT_SET_WITHOUT_FENCE)
#if defined(MUTANT_RETIRE_WITHOUT_FENCE)
#define UNFENCED 'r'
#else
#define UNFENCED 's'
#endif
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v)                           \
	(atomic_store_explicit((p), (v), memory_order_release), \
		IN_FUNCTION(UNFENCED) ? (void)0 : atomic_thread_fence(memory_order_seq_cst))
#elif defined(MUTANT_STATE_READ_EARLY)
/* the limit lies in a store buffer while the state is read */
static _Thread_local filch_atomic_u32 *limit_held;
static _Thread_local uint32_t held_value;
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v)                                  \
	(IN_FUNCTION('s') ? (void)(limit_held = (p), held_value = (v)) \
			  : atomic_store_explicit((p), (v), memory_order_seq_cst))
#undef filchi_load_acquire
#define filchi_load_acquire(p) \
	(IN_FUNCTION('l') ? late_limit(p) : atomic_load_explicit((p), memory_order_acquire))
static inline uint32_t late_limit(filch_atomic_u32 *state)
{
	uint32_t early = atomic_load_explicit(state, memory_order_acquire);

	if (!limit_held)
		return early;
	HOLD();
	atomic_store_explicit(limit_held, held_value, memory_order_seq_cst);
	limit_held = NULL;
	return early;
}
#endif

#include "struct/limit.h"

#if defined(MUTANT_STATE_READ_EARLY)
#undef filchi_load_acquire
#define filchi_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#endif
#if defined(MUTANT_STATE_READ_EARLY) || defined(UNFENCED)
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#endif

#if defined(FILCH_EXPLORE)
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef LOOKS
#define LOOKS 3
#endif
#ifndef SCENE
#define SCENE 0
#endif
#else
enum { WORKERS = 2 };
#endif

static filch_atomic_u32 cell, limit, stop;
static struct filchi_idle idle;
static struct filchi_sleeper sleeper[WORKERS];
static atomic_ulong executed, retired, unretired, woken_to_retire, cancels, wakes;
static _Thread_local unsigned me;
static const struct filchi_filter anything = { .any = true };

/* No deque is pushed to here. */
void filch_push_asked(struct filch_worker *hot)
{
	(void)hot;
}

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	(void)hot, (void)task;
	return carried;
}

bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	(void)hot, (void)carried, (void)task;
	return false;
}

static void count(atomic_ulong *n)
{
	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

/* --- src/core/worker.c, for jobs and free workers --------------------------- */

static void wake_one(void)
{
	for (unsigned i = WORKERS; i--;) { /* the one that may not run first */
		uint32_t state = filchi_sleeper_serves(&sleeper[i], NULL, NULL);

		if (state && filchi_idle_wake(&idle, &sleeper[i], state)) {
			count(&wakes);
			return;
		}
	}
}

static void posted(void)
{
	uint64_t counts = filchi_idle_posted(&idle);

	if (FILCHI_IDLE_FREES(counts) && FILCHI_IDLE_SEARCH(counts) <= 0)
		wake_one();
}

static void found(void)
{
	if (filchi_idle_found(&idle, &sleeper[me]) && filchi_load_acquire(&cell))
		wake_one();
}

static void retire(void)
{
#if defined(MUTANT_RETIRES_UNTOLD)
	(void)filchi_idle_found(&idle, &sleeper[me]);
#else
	found();
#endif
	count(&retired);
	while (filchi_limit_bars(&limit, me) && !filchi_load_acquire(&stop)) {
		PAUSE_AT_RANDOM();
#if defined(MUTANT_RETIRE_WITHOUT_SECOND_LOOK) && !defined(FILCH_EXPLORE)
		HOLD();
#endif
		filchi_limit_retire(&sleeper[me]);
		PAUSE_AT_RANDOM();
#if !defined(MUTANT_RETIRE_WITHOUT_SECOND_LOOK)
		if (!filchi_limit_bars_still(&limit, me) || filchi_load_acquire(&stop)) {
			filchi_idle_cancel(&idle, &sleeper[me]);
			count(&unretired);
			continue;
		}
#endif
		(void)filchi_idle_sleep(&idle, &sleeper[me], NULL);
	}
	filchi_idle_search(&idle);
}

static bool run_any(void)
{
	if (filchi_limit_bars(&limit, me)) {
		retire();
		return false;
	}
	if (!filchi_load_acquire(&cell) || !filchi_exchange_acq_rel(&cell, 0))
		return false;
	found();
	atomic_fetch_add_explicit(&executed, 1, memory_order_release);
	filchi_idle_search(&idle);
	return true;
}

static void park(void)
{
	PAUSE_AT_RANDOM();
	filchi_idle_prepare(&idle, &sleeper[me], &anything);
	PAUSE_AT_RANDOM();
	if (filchi_load_acquire(&cell) || filchi_load_acquire(&stop) ||
		filchi_limit_bars_still(&limit, me)) {
		filchi_idle_cancel(&idle, &sleeper[me]);
		count(&cancels);
		return;
	}
	(void)filchi_idle_sleep(&idle, &sleeper[me], NULL);
}

/* --- src/core/elastic.c ------------------------------------------------------ */

static void set_limit(uint32_t to)
{
	uint32_t before = filch_load_relaxed(&limit);
	bool raised = to > before;

	if (to == before)
		return;
	filchi_limit_set(&limit, to);
	for (uint32_t i = raised ? before : to; i < (raised ? to : before); i++) {
		uint32_t asleep = filchi_limit_look(&sleeper[i], raised);

#if defined(MUTANT_RAISE_WAKES_NOBODY)
		if (raised)
			continue;
#endif
		if (asleep && filchi_idle_wake(&idle, &sleeper[i], asleep) && !raised)
			count(&woken_to_retire);
	}
}

static void post(void)
{
	(void)filchi_exchange_seq_cst(&cell, 1);
	posted();
}

static void begin(uint32_t first)
{
	filchi_idle_init(&idle);
	filch_store_relaxed(&cell, 0);
	filch_store_relaxed(&stop, 0);
	filch_store_relaxed(&limit, first);
	for (unsigned i = 0; i < WORKERS; i++) {
		filchi_sleeper_init(&sleeper[i]);
		filchi_idle_search(&idle);
	}
}

#if defined(FILCH_EXPLORE)

static void *worker(void *number)
{
	me = (unsigned)(uintptr_t)number;
	for (int i = 0; i < LOOKS; i++)
		if (!run_any())
			park();
	return NULL;
}

int main(void)
{
	static const uint32_t first[] = { 0, WORKERS, 1 }, then[] = { WORKERS, 1, WORKERS };
	pthread_t thread[WORKERS];
	bool awake = false;

	begin(first[SCENE]);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i);
	if (SCENE == 0)
		post();
	set_limit(then[SCENE]);
	if (SCENE != 0)
		post();
	for (int i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < WORKERS; i++)
		awake |= FILCHI_SLEEP_KIND(filchi_load_acquire(&sleeper[i].state)) == FILCHI_AWAKE;
	assert(awake || !filchi_load_acquire(&cell));
	assert(atomic_load_explicit(&executed, memory_order_acquire) <= 1);
	return 0;
}

#else

static struct meeting start;
static atomic_uint rounds_begun, rounds_changed;
static atomic_bool ended;
static atomic_ulong at_rest[WORKERS], polls[WORKERS]; /* as in cq.c */

#if defined(MUTANT_STATE_READ_EARLY) || defined(MUTANT_RETIRE_WITHOUT_SECOND_LOOK)
static void hold_for_others(void)
{
	for (uint32_t i = random_below(4) * 50; i--;)
		RELAX();
}
#endif

static bool park_here(filch_atomic_u32 *word, uint32_t expected)
{
	static _Thread_local unsigned long number;

	atomic_store(&at_rest[me], ++number);
	while (filchi_load_acquire(word) == expected) {
		atomic_fetch_add(&polls[me], 1);
		RELAX();
	}
	atomic_store(&at_rest[me], 0);
	return false;
}

static void *worker(void *number)
{
	me = (unsigned)(uintptr_t)number;
	seed_with(me);
	meet(&start, WORKERS + 2);
	while (!filchi_load_acquire(&stop))
		if (!run_any())
			park();
	return NULL;
}

static void *changer(void *unused)
{
	(void)unused;
	seed_with(50);
	meet(&start, WORKERS + 2);
	for (unsigned round = 1;; round++) {
		while (atomic_load(&rounds_begun) != round) {
			if (atomic_load(&ended))
				return NULL;
			RELAX();
		}
		for (uint32_t i = random_below(3); i--;) {
			PAUSE_AT_RANDOM();
			set_limit(random_below(WORKERS + 1));
		}
		PAUSE_AT_RANDOM();
		set_limit(1 + random_below(WORKERS));
		atomic_store(&rounds_changed, round);
	}
}

/* A worker sleeps, in this very sleep; 0: it does not. */
static unsigned long asleep_in(unsigned i)
{
	unsigned long in = atomic_load(&at_rest[i]), looked = atomic_load(&polls[i]);

	while (in && atomic_load(&at_rest[i]) == in && atomic_load(&polls[i]) - looked < 2)
		RELAX();
	return atomic_load(&at_rest[i]) == in ? in : 0;
}

/* Until the item has run. Fails if all sleep: nobody would run it. */
static void until_run(unsigned long items)
{
	while (atomic_load_explicit(&executed, memory_order_acquire) != items) {
		unsigned long in[WORKERS];
		unsigned still = 0;

		for (unsigned i = 0; i < WORKERS; i++)
			in[i] = asleep_in(i);
		for (unsigned i = 0; i < WORKERS; i++)
			still += in[i] && asleep_in(i) == in[i];
		assert(still < WORKERS ||
			atomic_load_explicit(&executed, memory_order_acquire) == items);
		RELAX();
	}
}

static bool covered(void)
{
	return atomic_load(&retired) && atomic_load(&unretired) && atomic_load(&woken_to_retire) &&
	       atomic_load(&cancels) && atomic_load(&wakes);
}

int main(void)
{
	const uint32_t rounds = scaled(40000);
	pthread_t thread[WORKERS], change;

	seed_with(100);
	begin(1);
	for (unsigned i = 0; i < WORKERS; i++)
		assert(!pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i));
	assert(!pthread_create(&change, NULL, changer, NULL));
	meet(&start, WORKERS + 2);
	for (uint32_t i = 1; i <= rounds || (!covered() && i / PATIENCE < rounds); i++) {
		atomic_store(&rounds_begun, i);
		PAUSE_AT_RANDOM();
		post();
		while (atomic_load(&rounds_changed) != i)
			RELAX();
		until_run(i);
	}
	atomic_store(&ended, true);
	pthread_join(change, NULL);
	filchi_store_then_fence(&stop, 1);
	for (unsigned i = 0; i < WORKERS; i++)
		(void)filchi_idle_wake(
			&idle, &sleeper[i], filchi_fence_then_load_acquire(&sleeper[i].state));
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	COVERED(covered());
	return 0;
}

#endif
