/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bound sleeper: it is woken for the work of its own jobs, by the filter of this very sleep.
 *
 * labels: model
 *
 * Threads:
 * - worker: sleeps bound to team A, then bound to team B, and so on. Each time: prepare, a look for
 *   that team's work, cancel or sleep. Explored: one sleep for A that it ends itself, then one for
 *   B; its thread ends where it would sleep.
 * - poster: posts work of one team, by an exchange; asks whether the worker serves that team, and
 *   wakes it if it does. Explored: once, of B.
 *
 * The worker's steps are those of src/core/await.c, the poster's those of src/core/worker.c.
 *
 * Asserts:
 * - Work of the team that the worker sleeps for does not lie there while it sleeps on. Ordinary:
 *   the poster is through, and the worker is seen in the same sleep twice.
 * - In an ordinary run sleeps, wakes and refusals have happened.
 *
 * Mutants found by an ordinary run:
 *   filter_after_state       prepare() writes the filter after the state and its fence
 *
 * A mutant that no checker finds, and why:
 *   serves_without_acquire   filchi_sleeper_serves() reads the state relaxed. The fences of I2 and
 *                            I3 carry the filter too: a poster whose fence comes first is seen by
 *                            the worker's look, and one whose fence comes later sees the filter.
 */
#include "driver.h"

#define FILCHI_SEGMENTS 2u

#include "base/atomic.h"

#if defined(MUTANT_SERVES_WITHOUT_ACQUIRE)
/* inside filchi_sleeper_serves(): the only function of a name that begins so and loads */
#undef filchi_load_acquire
#define filchi_load_acquire(p)                   \
	(__func__[sizeof "filchi_sl" - 1] == 'e' \
			? filch_load_relaxed(p)  \
			: atomic_load_explicit((p), memory_order_acquire))
#endif

#include "struct/deque.h"

#if defined(MUTANT_FILTER_AFTER_STATE)
/* stores of a team lie in a buffer until the state is written */
static FILCH_ATOMIC(struct filchi_team *) * held_at[2];
static struct filchi_team *held[2];
static inline void hold_filter(FILCH_ATOMIC(struct filchi_team *) * at, struct filchi_team *team)
{
	int n = held_at[0] != NULL;

	held_at[n] = at;
	held[n] = team;
}
static inline void filter_drains(void)
{
	HOLD();
	for (int n = 0; n < 2; n++) {
		if (held_at[n])
			atomic_store_explicit(held_at[n], held[n], memory_order_relaxed);
		held_at[n] = NULL;
	}
}
#undef filch_store_relaxed
#define filch_store_relaxed(p, v) hold_filter((p), (v))
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v)                           \
	(atomic_store_explicit((p), (v), memory_order_release), \
		atomic_thread_fence(memory_order_seq_cst))
#define FILTER_DRAINS() filter_drains()
#else
#define FILTER_DRAINS() ((void)0)
#endif

#if defined(FILCH_EXPLORE)
#define FILCHI_PARK(word, expected, deadline) \
	((void)(word), (void)(expected), (void)(deadline), pthread_exit(NULL), 0)
#else
static bool park_here(filch_atomic_u32 *word, uint32_t expected);
#define FILCHI_PARK(word, expected, deadline) ((void)(deadline), park_here((word), (expected)))
#endif
#define FILCHI_UNPARK(word) ((void)(word))

#if defined(MUTANT_FILTER_AFTER_STATE)
/* init's stores are counts and states too: only prepare()'s are held */
#undef filch_store_relaxed
#define filch_store_relaxed(p, v)                                                          \
	_Generic((p), FILCH_ATOMIC(struct filchi_team *) *                                 \
		 : hold_filter((void *)(p), (struct filchi_team *)(uintptr_t)(v)), default \
		 : atomic_store_explicit((p), (v), memory_order_relaxed))
#endif

#include "struct/idle.h"

#undef filch_store_relaxed
#define filch_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#undef filchi_load_acquire
#define filchi_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)

static struct filchi_team team[2]; /* A, B */
static struct filchi_idle idle;
static struct filchi_sleeper sleeper;
static filch_atomic_u32 work[2]; /* of A, of B */

/* --- src/core/worker.c ------------------------------------------------------ */

/* Posts work of team @n. What it asked of the sleeper: 0 if that does not serve. */
static uint32_t post(int n)
{
	uint64_t counts;
	uint32_t state = 0;

	(void)filchi_exchange_seq_cst(&work[n], 1);
	counts = filchi_idle_posted(&idle);
	if (FILCHI_IDLE_BOUNDS(counts)) {
		state = filchi_sleeper_serves(&sleeper, &team[n], NULL);
		if (state)
			(void)filchi_idle_wake(&idle, &sleeper, state);
	}
	return state;
}

/* --- src/core/await.c ------------------------------------------------------- */

/* A sleep for the work of team @n. False: there was some. */
static void sleep_for(int n)
{
	const struct filchi_filter filter = { .team = { &team[n], NULL } };

	filchi_idle_prepare(&idle, &sleeper, &filter);
	if (filchi_load_acquire(&work[n])) {
		FILTER_DRAINS();
		filchi_idle_cancel(&idle, &sleeper);
		return;
	}
	FILTER_DRAINS();
	(void)filchi_idle_sleep(&idle, &sleeper, NULL);
}

static void set_up(void)
{
	filchi_idle_init(&idle);
	filchi_sleeper_init(&sleeper);
	FILTER_DRAINS();
}

#if defined(FILCH_EXPLORE)

static bool rests;

static void *worker(void *unused)
{
	const struct filchi_filter filter = { .team = { &team[0], NULL } };

	(void)unused;
	filchi_idle_prepare(&idle, &sleeper, &filter);
	FILTER_DRAINS();
	filchi_idle_cancel(&idle, &sleeper);
	rests = true;
	sleep_for(1);
	rests = false;
	return NULL;
}

static void *poster(void *unused)
{
	(void)unused;
	(void)post(1);
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	set_up();
	pthread_create(&thread[0], NULL, worker, NULL);
	pthread_create(&thread[1], NULL, poster, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	/* its thread has ended in a sleep: then it was woken, and to good purpose */
	assert(!rests || FILCHI_SLEEP_KIND(filchi_load_acquire(&sleeper.state)) == FILCHI_AWAKE);
	return 0;
}

#else

static struct meeting start;
static atomic_bool over;
static atomic_ulong rest, sleeps; /* number of the sleep it is in, 0 = none; looks in sleeps */
static atomic_ulong done[2];      /* work that it has found */

static bool park_here(filch_atomic_u32 *word, uint32_t expected)
{
	static unsigned long number;

	atomic_store(&rest, ++number);
	while (filchi_load_acquire(word) == expected && !atomic_load(&over)) {
		atomic_fetch_add(&sleeps, 1);
		RELAX();
	}
	atomic_store(&rest, 0);
	return atomic_load(&over);
}

static void *worker(void *unused)
{
	(void)unused;
	seed_with(1);
	meet(&start, 2);
	/* the poster posts in the same order */
	for (unsigned long i = 0; !atomic_load(&over); i++) {
		int n = i % 2;

		while (!filchi_load_acquire(&work[n]) && !atomic_load(&over)) {
			PAUSE_AT_RANDOM();
			sleep_for(n);
		}
		(void)filchi_exchange_acq_rel(&work[n], 0);
		atomic_fetch_add(&done[n], 1);
		if (random_below(4) == 0)
			RELAX();
	}
	return NULL;
}

/* Until work of team @n, the @count-th, is found; fails if the worker sleeps on. */
static void until_found(int n, unsigned long count)
{
	while (atomic_load(&done[n]) < count) {
		unsigned long in = atomic_load(&rest), looked = atomic_load(&sleeps);

		while (in && atomic_load(&rest) == in && atomic_load(&sleeps) - looked < 2)
			RELAX();
		assert(!in || atomic_load(&rest) != in || atomic_load(&done[n]) >= count);
		RELAX();
	}
}

int main(void)
{
	uint32_t rounds = scaled(200000), served = 0, refused = 0;
	pthread_t thread;

	set_up();
	seed_with(100);
	assert(!pthread_create(&thread, NULL, worker, NULL));
	meet(&start, 2);
	for (uint32_t i = 0; i < rounds || (!(served && refused && atomic_load(&sleeps)) &&
						   i / PATIENCE < rounds);
		i++) {
		int n = i % 2;

		PAUSE_AT_RANDOM();
		if (random_below(4) == 0) /* the worker sleeps for the other, or not at all */
			refused += !filchi_sleeper_serves(&sleeper, &team[!n], NULL);
		served += post(n) != 0;
		until_found(n, i / 2 + 1);
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	COVERED(served && refused && atomic_load(&sleeps));
	return 0;
}

#endif
