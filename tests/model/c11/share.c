/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work for each worker against workers that go to sleep: none sleeps on with a share not begun.
 *
 * labels: model
 *
 * Threads (ordinary run: 1 worker, then 2; explored: WORKERS, default 1):
 * - poster: raises `posted`, looks at each worker's state and wakes it if it sleeps; then waits
 *   until all have begun. Explored: once.
 * - worker: begins what has been posted; else prepares to sleep, looks again, cancels or sleeps.
 *   Explored: LOOKS times at most (default 2); its thread ends where it would sleep.
 *
 * The worker's loop is that of src/core/worker.c, the poster's that of post() in core/errand.c with
 * filchi_worker_wake().
 *
 * Asserts:
 * - Ordinary: no worker with a share not begun is seen in the same sleep twice once the poster is
 *   through. Sleeps, wakes and cancelled sleeps have happened.
 * - Explored: after the end a worker that sleeps has begun all, or was woken.
 *
 * Mutants found by an ordinary run:
 *   park_without_second_look   a worker sleeps without looking again
 *   state_read_early           the poster reads the state before its post is visible: I5
 *
 * Mutants found by a model checker alone, for on x86-64 a read-modify-write is a fence in any case:
 *   post_without_fence         the poster has no fence
 *   park_without_fence         the parking worker has none
 */
#include "driver.h"

#if !defined(FILCH_EXPLORE)
/* Here a mutant holds the poster until a worker sleeps, if one does so soon. */
#if defined(MUTANT_STATE_READ_EARLY)
static void hold_until_asleep(void);
#endif
#undef HOLD
#define HOLD() hold_until_asleep()
#endif

#define FILCHI_SEGMENTS 2u

#include "base/atomic.h"

#if defined(MUTANT_PARK_WITHOUT_FENCE)
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v) filchi_store_release((p), (v))
#endif

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

#if defined(MUTANT_STATE_READ_EARLY)
/* the post lies in a store buffer while the state is read */
static _Thread_local filch_atomic_u32 *post_held;
#undef filchi_fetch_add_seq_cst
#define filchi_fetch_add_seq_cst(p, n) (post_held = (p), 0u)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) late_post(p)
static inline uint32_t late_post(filch_atomic_u32 *state)
{
	uint32_t early = filchi_load_acquire(state);

	HOLD();
	if (post_held)
		(void)atomic_fetch_add_explicit(post_held, 1, memory_order_seq_cst);
	post_held = NULL;
	return early;
}
#elif defined(MUTANT_POST_WITHOUT_FENCE)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) filchi_load_acquire(p)
#endif

#include "struct/share.h"

#if defined(FILCH_EXPLORE)
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef LOOKS
#define LOOKS 2
#endif
#else
enum { WORKERS = 2 };
#endif

static filch_atomic_u32 posted, begun[WORKERS], stop;
static struct filchi_idle idle;
static struct filchi_sleeper sleeper[WORKERS];
static unsigned workers = WORKERS;
static atomic_ulong wakes, cancels;
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

static bool look_again(void)
{
#if defined(MUTANT_PARK_WITHOUT_SECOND_LOOK)
	return filchi_load_acquire(&stop);
#else
	return filchi_load_acquire(&stop) || filchi_share_waits(&posted, &begun[me]);
#endif
}

/* One look. True: it may go on looking. */
static void look(void)
{
	if (filchi_share_waits(&posted, &begun[me])) {
		filchi_store_release(&begun[me], filchi_load_acquire(&posted));
		return;
	}
	PAUSE_AT_RANDOM();
	filchi_idle_prepare(&idle, &sleeper[me], &anything);
	PAUSE_AT_RANDOM();
	if (look_again()) {
		filchi_idle_cancel(&idle, &sleeper[me]);
		atomic_fetch_add_explicit(&cancels, 1, memory_order_relaxed);
		return;
	}
	(void)filchi_idle_sleep(&idle, &sleeper[me], NULL);
}

static void post(void)
{
	filchi_share_post(&posted);
	for (unsigned i = 0; i < workers; i++)
		if (filchi_idle_wake(&idle, &sleeper[i], filchi_share_look(&sleeper[i].state)))
			atomic_fetch_add_explicit(&wakes, 1, memory_order_relaxed);
}

static void begin(void)
{
	filchi_idle_init(&idle);
	filch_store_relaxed(&posted, 0);
	filch_store_relaxed(&stop, 0);
	for (unsigned i = 0; i < workers; i++) {
		filch_store_relaxed(&begun[i], 0);
		filchi_sleeper_init(&sleeper[i]);
		filchi_idle_search(&idle);
	}
}

#if defined(FILCH_EXPLORE)

static void *worker(void *number)
{
	me = (unsigned)(uintptr_t)number;
	for (int i = 0; i < LOOKS; i++)
		look();
	return NULL;
}

static void *poster(void *unused)
{
	(void)unused;
	post();
	return NULL;
}

int main(void)
{
	pthread_t thread[WORKERS + 1];

	begin();
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i);
	pthread_create(&thread[WORKERS], NULL, poster, NULL);
	for (int i = 0; i <= WORKERS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < WORKERS; i++)
		assert(FILCHI_SLEEP_KIND(filchi_load_acquire(&sleeper[i].state)) == FILCHI_AWAKE ||
			!filchi_share_waits(&posted, &begun[i]));
	return 0;
}

#else

static struct meeting start;
static atomic_ulong rest[WORKERS], polls[WORKERS]; /* as in cq.c */

#if defined(MUTANT_STATE_READ_EARLY)
static void hold_until_asleep(void)
{
	for (unsigned turn = 0; turn < 1000; turn++) {
		for (unsigned i = 0; i < workers; i++)
			if (atomic_load(&rest[i]))
				return;
		RELAX();
	}
}
#endif

static bool park_here(filch_atomic_u32 *word, uint32_t expected)
{
	static _Thread_local unsigned long number;

	atomic_store(&rest[me], ++number);
	while (filchi_load_acquire(word) == expected) {
		atomic_fetch_add(&polls[me], 1);
		RELAX();
	}
	atomic_store(&rest[me], 0);
	return true;
}

static void *worker(void *number)
{
	me = (unsigned)(uintptr_t)number;
	seed_with(me);
	meet(&start, workers + 1);
	while (!filchi_load_acquire(&stop))
		look();
	return NULL;
}

/* Until all have begun. Fails if one sleeps that has not: it would for ever. */
static void until_begun(void)
{
	for (unsigned i = 0; i < workers; i++) {
		while (filchi_share_waits(&posted, &begun[i])) {
			unsigned long in = atomic_load(&rest[i]), looked = atomic_load(&polls[i]);

			while (in && atomic_load(&rest[i]) == in &&
				atomic_load(&polls[i]) - looked < 2)
				RELAX();
			assert(!in || atomic_load(&rest[i]) != in ||
				!filchi_share_waits(&posted, &begun[i]));
			RELAX();
		}
	}
}

static bool covered(void)
{
	return atomic_load(&wakes) && atomic_load(&cancels) && atomic_load(&polls[0]);
}

static void run(uint32_t rounds)
{
	pthread_t thread[WORKERS];

	begin();
	for (unsigned i = 0; i < workers; i++)
		assert(!pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i));
	meet(&start, workers + 1);
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		PAUSE_AT_RANDOM();
		post();
		until_begun();
	}
	filchi_store_then_fence(&stop, 1);
	for (unsigned i = 0; i < workers; i++)
		(void)filchi_idle_wake(
			&idle, &sleeper[i], filchi_fence_then_load_acquire(&sleeper[i].state));
	for (unsigned i = 0; i < workers; i++)
		pthread_join(thread[i], NULL);
	COVERED(covered());
}

int main(void)
{
	seed_with(100);
	for (workers = 1; workers <= WORKERS; workers++)
		run(scaled(40000));
	return 0;
}

#endif
