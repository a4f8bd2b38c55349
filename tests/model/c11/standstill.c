/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether all sleep: the last worker to go to sleep sees it, and nobody sees it who is wrong.
 *
 * labels: model
 *
 * Eight scenes, in turn; explored: SCENE (default 0). A worker sleeps as in src/core/await.c and
 * src/core/abroad.c: prepare, settle, look at the others. It leaves itself out of the look, which
 * in the library adds nothing. Nobody sleeps on: a scene ends where its threads would.
 *
 *   0 last   two workers go to sleep, one bound and one free. One of them at least sees that the
 *            other does.
 *   1 false  worker 0 sleeps. Worker 1 wakes it, and sleeps. Worker 2 sleeps. Worker 0 is awake
 *            whenever worker 1 sleeps: nobody may see all of them asleep.
 *   2 event  worker 0 prepares, sees that its event has come, and goes on; or settles, and is
 *            woken. Worker 1 brings the event, and sleeps. It may not see worker 0 asleep.
 *   3 post   worker 0 sleeps, free. Thread 1 is no worker: it puts a job into the queue, and then
 *            wakes worker 0. Worker 2 knows of that job, and sleeps. It may not see worker 0
 *            asleep for want of work. A word stands for the queue, whose put is as strong.
 *
 *   4 goes   worker 0 is a creator, inside. It goes, and worker 1 sleeps. One of them sees that the
 *            other is out, or asleep. It has slept before.
 *   5 comes  worker 0 is a creator, out. It comes, wakes worker 1, which sleeps again, and stays.
 *            Worker 2 sleeps. Nobody may see it out, and worker 1 in that second sleep.
 *
 *   6 asks   worker 0 sleeps free, and looks only if a stay is counted. Worker 1 counts a stay, and
 *            sleeps. One of them sees that the other does.
 *   7 holds  worker 0 sleeps. Worker 1 sleeps, and leaves word if it misses a job that holds the
 *            last of what it waits for. Thread 2 is no worker. It publishes that job, and looks
 *            only if it finds the word. One of them sees all asleep, and the job.
 *
 * Asserts: these sentences. In an ordinary run each scene has had both outcomes that it allows. In
 * 3 worker 0 was seen asleep with the job in the queue, and in 5 worker 1 in its second sleep.
 *
 * Mutants found by an ordinary run:
 *   settled_after_look   a worker's settling is visible only after its look: A1
 *   one_round            the second round is left out
 *   unsettled            a worker counts as asleep from its prepare on
 *   posted_unseen        a free sleeper counts though work was posted: the queue is left out
 *   met_unseen           a creator that goes does not look whether it was met: A4
 *   word_after_look      what is left for a creator is visible only after the look: A5
 *   last_sleep           a creator's seat is compared with its last sleep
 *   seat_once            the second round leaves a creator's seat out
 *   asked_before_settled a free sleeper reads whether a stay is counted before it settles: A1
 *   counted_after_look   a stay is counted only after its look: A1
 *   asked_before_change  a thread outside looks for the word before it publishes: A7
 *   missed_after_look    what is left for it is visible only after the second look: A6
 */
#include "driver.h"

#define FILCHI_SEGMENTS 2u

#include "base/atomic.h"

#define FILCHI_PARK(word, expected, deadline) ((void)(word), (void)(expected), (void)(deadline), 0)
#define FILCHI_UNPARK(word)                   ((void)(word))

#include "struct/idle.h"

static filch_atomic_u32 seat_depth, was_met; /* of worker 0, a creator; of its leaving */
static filch_atomic_u32 was_missed;          /* word left for a thread outside */

#if defined(MUTANT_SETTLED_AFTER_LOOK) || defined(MUTANT_WORD_AFTER_LOOK)
#if defined(MUTANT_WORD_AFTER_LOOK)
#define IS_HELD(p) ((p) == &was_met)
#else
#define IS_HELD(p) ((p) != &was_met && (p) != &was_missed)
#endif
/* the store lies in a buffer */
static _Thread_local filch_atomic_u32 *held_at;
static _Thread_local uint32_t held;
static inline void store_or_hold(filch_atomic_u32 *p, uint32_t v)
{
	if (IS_HELD(p)) {
		held_at = p;
		held = v;
	} else {
		filchi_store_then_fence(p, v);
	}
}
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v) store_or_hold((p), (v))
/* ... until here */
#define HELD_DRAINS()                                                                            \
	(HOLD(), held_at ? atomic_store_explicit(held_at, held, memory_order_release) : (void)0, \
		held_at = NULL)
#else
#define HELD_DRAINS() ((void)0)
#endif

#include "struct/standstill.h"

#if defined(MUTANT_ONE_ROUND)
#define filchi_standstill_same(s, noted) ((void)(s), (void)(noted), true)
#elif defined(MUTANT_UNSETTLED)
#define filchi_standstill_note(s, noted) \
	(*(noted) = filchi_load_acquire(&(s)->state), FILCHI_SLEEP_KIND(*(noted)))
#elif defined(MUTANT_MET_UNSEEN)
#define filchi_standstill_was_met(met) ((void)(met), false)
#endif

#if defined(MUTANT_ASKED_BEFORE_SETTLED)
static inline bool ask_and_settle(struct filchi_sleeper *s, filch_atomic_u32 *involved)
{
	const bool asked = filchi_load_acquire(involved);

	HOLD();
	filchi_standstill_settle(s);
	return asked;
}
#define filchi_standstill_settle_free(s, involved) ask_and_settle((s), (involved))
#endif

enum { WORKERS = 3 };
static const struct filchi_filter nothing = { .any = false }, anything = { .any = true };
static struct filchi_idle idle;
static struct filchi_sleeper sleeper[WORKERS];
static filch_atomic_u32 event, marked, queued, involved;
static _Thread_local bool met_work; /* in the queue, while a free worker was asleep */
static bool has_seat;               /* worker 0 is a creator, who comes and goes */
static uint32_t first_sleep;        /* worker 1's in the last scene ... */
static bool saw_second;             /* ... which worker 2 has seen end */

static void prepare(unsigned me)
{
	filchi_idle_prepare(&idle, &sleeper[me], &nothing);
}

static void prepare_free(unsigned me)
{
	filchi_idle_search(&idle);
	filchi_idle_prepare(&idle, &sleeper[me], &anything);
}

/* will_be_woken() of src/core/still.c. */
static bool has_work(void)
{
#if defined(MUTANT_POSTED_UNSEEN)
	return false;
#else
	met_work = filchi_load_acquire(&queued);
	return met_work;
#endif
}

/* Worker 1 has not gone to sleep again. */
static bool is_first(void)
{
	uint32_t state = filchi_load_acquire(&sleeper[1].state);

	return state == first_sleep || FILCHI_SLEEP_KIND(state) == FILCHI_AWAKE;
}

static bool is_out(unsigned i)
{
	return has_seat && i == 0 && filchi_standstill_is_out(&sleeper[0], &seat_depth, &was_met);
}

static bool is_same(unsigned i, uint32_t noted)
{
#if defined(MUTANT_LAST_SLEEP)
	return filchi_standstill_same(&sleeper[i], noted);
#elif defined(MUTANT_SEAT_ONCE)
	return FILCHI_SLEEP_KIND(noted) == FILCHI_AWAKE ||
	       filchi_standstill_same(&sleeper[i], noted);
#else
	return FILCHI_SLEEP_KIND(noted) == FILCHI_AWAKE
		       ? is_out(i)
		       : filchi_standstill_same(&sleeper[i], noted);
#endif
}

/* note(), will_be_woken() and is_same() of src/core/still.c. */
static bool see_others(unsigned me, unsigned workers)
{
	uint32_t noted[WORKERS];
	bool all = true, free = false;

	for (unsigned i = 0; i < workers && all; i++) {
		unsigned kind = i == me ? FILCHI_ASLEEP_BOUND
					: filchi_standstill_note(&sleeper[i], &noted[i]);

		all = kind != FILCHI_AWAKE;
		if (i != me && !all && is_out(i)) {
#if !defined(MUTANT_LAST_SLEEP)
			noted[i] = FILCHI_AWAKE;
#endif
			all = true;
		}
		if (me == 2 && i == 1)
			saw_second = has_seat && all && noted[1] != first_sleep;
		free = free || kind == FILCHI_ASLEEP_FREE;
#if !defined(FILCH_EXPLORE)
		PAUSE_AT_RANDOM();
		/* or the creator hardly ever comes in between */
		for (uint32_t turns = has_seat && me == 2 && !i && random_below(2) ? 100 : 0;
			turns && is_first(); turns--)
			RELAX();
#endif
	}
	all = all && !(free && has_work());
	for (unsigned i = 0; i < workers && all; i++)
		all = i == me || is_same(i, noted[i]);
	return all;
}

static bool settle_and_look(unsigned me, unsigned workers)
{
	bool all;

	filchi_standstill_settle(&sleeper[me]);
#if !defined(FILCH_EXPLORE)
	/* or the first is through before the second has begun, and both hardly ever see it */
	if (random_below(4) == 0)
		RELAX();
#endif
	all = see_others(me, workers);
	HELD_DRAINS();
	return all;
}

/* filchi_abroad_settle_free() of src/core/abroad.h. */
static bool settle_free_and_look(void)
{
	bool all = filchi_standstill_settle_free(&sleeper[0], &involved) && see_others(0, 2);

	HELD_DRAINS();
	return all;
}

/* link_in() and settle() of src/core/abroad.c. */
static bool stay_and_look(unsigned me, unsigned workers)
{
	bool all;

	prepare(me);
#if !defined(MUTANT_COUNTED_AFTER_LOOK)
	filchi_standstill_count(&involved);
#endif
	all = settle_and_look(me, workers);
#if defined(MUTANT_COUNTED_AFTER_LOOK)
	HOLD();
	filchi_standstill_count(&involved);
#endif
	return all;
}

/* look_once() of src/core/still.c, by worker 1: all sleep, and the job holds what it waits for. */
static bool see_held(void)
{
	return see_others(1, 1) && filchi_load_acquire(&queued);
}

/* look_from() of the same. */
static bool look_twice(void)
{
	bool all;

	prepare(1);
	filchi_standstill_settle(&sleeper[1]);
	all = see_held();
#if defined(MUTANT_MISSED_AFTER_LOOK)
	all = all || see_held();
	HOLD();
	filchi_standstill_miss(&was_missed);
#else
	if (!all) {
		filchi_standstill_miss(&was_missed);
		all = see_held();
	}
#endif
	HELD_DRAINS();
	return all;
}

/* A submit, and filchi_abroad_changed() of src/core/abroad.h. */
static bool publish_and_ask(void)
{
#if defined(MUTANT_ASKED_BEFORE_CHANGE)
	const bool asked = filchi_standstill_is_missed(&was_missed);

	HOLD();
	(void)filchi_exchange_seq_cst(&queued, 1);
	return asked;
#else
	(void)filchi_exchange_seq_cst(&queued, 1);
	return filchi_standstill_is_missed(&was_missed);
#endif
}

static bool is_asleep(unsigned i)
{
	return FILCHI_SLEEP_KIND(filchi_load_acquire(&sleeper[i].state)) != FILCHI_AWAKE;
}

static void sleep_before(unsigned i)
{
	prepare(i);
	filchi_standstill_settle(&sleeper[i]);
	HELD_DRAINS();
}

/* What worker @me does in a scene; whether it has seen all the others asleep. */
static bool act(unsigned scene, unsigned me)
{
	switch (scene * WORKERS + me) {
	case 0:
		prepare(0);
		return settle_and_look(0, 2);
	case 1:
		prepare_free(1);
		return settle_and_look(1, 2);
	case 4:
		(void)filchi_idle_wake(&idle, &sleeper[0], filchi_load_acquire(&sleeper[0].state));
		prepare(1);
		return settle_and_look(1, 3);
	case 5:
		prepare(2);
		return settle_and_look(2, 3);
	case 6:
		prepare(0);
		(void)filchi_exchange_seq_cst(&marked, 1);
		if (filchi_rmw_fence_then_load_acquire(&event))
			filchi_idle_cancel(&idle, &sleeper[0]);
		else
			filchi_standstill_settle(&sleeper[0]);
		HELD_DRAINS();
		return false;
	case 7:
		(void)filchi_exchange_seq_cst(&event, 1);
		if (filchi_rmw_fence_then_load_acquire(&marked))
			(void)filchi_idle_wake(
				&idle, &sleeper[0], filchi_load_acquire(&sleeper[0].state));
		prepare(1);
		return settle_and_look(1, 2);
	case 10:
		(void)filchi_exchange_seq_cst(&queued, 1);
		filchi_store_release(&event, 1);
#if !defined(FILCH_EXPLORE)
		for (uint32_t turns = random_below(4) ? 0 : 50; turns; turns--)
			RELAX();
#endif
		if (FILCHI_IDLE_FREES(filchi_idle_posted(&idle)))
			(void)filchi_idle_wake(
				&idle, &sleeper[0], filchi_load_acquire(&sleeper[0].state));
		return false;
	case 11:
#if !defined(FILCH_EXPLORE)
		/* or it hardly ever looks before the free one has been woken */
		for (int turn = 0; turn < 100 && !filchi_load_acquire(&event); turn++)
			RELAX();
#endif
		if (!filchi_load_acquire(&event))
			return false;
		prepare(2);
		return settle_and_look(2, 1);
	case 12:
		filchi_store_release(&seat_depth, 0);
		(void)filchi_exchange_seq_cst(&event, 1); /* the end of what it ran */
		return filchi_standstill_was_met(&was_met) && see_others(0, 2);
	case 13:
		prepare(1);
		return settle_and_look(1, 2);
	case 15:
		filchi_store_release(&seat_depth, 1);
		(void)filchi_idle_wake(&idle, &sleeper[1], filchi_load_acquire(&sleeper[1].state));
		return false;
	case 16:
#if !defined(FILCH_EXPLORE)
		for (int turn = 0; turn < 100 && is_asleep(1); turn++)
			RELAX();
#endif
		if (is_asleep(1))
			return false;
		prepare(1);
		return settle_and_look(1, 3);
	case 17:
		prepare(2);
		return settle_and_look(2, 3);
	case 18:
		prepare_free(0);
		return settle_free_and_look();
	case 19:
		return stay_and_look(1, 2);
	case 22:
		return look_twice();
	case 23:
#if !defined(FILCH_EXPLORE)
		/* or it hardly ever comes too late for the second look */
		for (uint32_t turns = random_below(2) ? 100 : 0;
			turns && !filchi_load_acquire(&was_missed); turns--)
			RELAX();
#endif
		return publish_and_ask() && see_others(2, 2);
	default:
		return false;
	}
}

static void set_up(unsigned scene)
{
	filch_store_relaxed(&event, 0);
	filch_store_relaxed(&marked, 0);
	filch_store_relaxed(&queued, 0);
	filch_store_relaxed(&seat_depth, scene == 4);
	filch_store_relaxed(&was_met, 0);
	filch_store_relaxed(&involved, 0);
	filch_store_relaxed(&was_missed, 0);
	has_seat = scene == 4 || scene == 5;
	saw_second = false;
	if (scene == 1 || scene == 7) {
		sleep_before(0);
	} else if (has_seat) {
		sleep_before(0);
		filchi_idle_cancel(&idle, &sleeper[0]);
		if (scene == 5)
			sleep_before(1);
		first_sleep = filch_load_relaxed(&sleeper[1].state);
	} else if (scene == 3) {
		prepare_free(0);
		filchi_standstill_settle(&sleeper[0]);
		HELD_DRAINS();
	}
}

static void check(unsigned scene, const bool *seen)
{
	if (scene == 0 || scene == 4 || scene == 6)
		assert(seen[0] || seen[1]);
	else if (scene == 7)
		assert(seen[1] || seen[2]);
	else if (scene == 5)
		assert(!seen[0] && !seen[1] && !(seen[2] && saw_second));
	else
		assert(!seen[0] && !seen[1] && !seen[2]);
}

#if defined(FILCH_EXPLORE)

#if !defined(SCENE)
#define SCENE 0
#endif
static bool seen[WORKERS];

static void *worker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	seen[me] = act(SCENE, me);
	return NULL;
}

int main(void)
{
	pthread_t thread[WORKERS];
	unsigned first = SCENE % 2 && SCENE != 5, last = SCENE % 2 ? 3 : 2;

	filchi_idle_init(&idle);
	for (unsigned i = 0; i < WORKERS; i++)
		filchi_sleeper_init(&sleeper[i]);
	set_up(SCENE);
	for (unsigned i = first; i < last; i++)
		pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i);
	for (unsigned i = first; i < last; i++)
		pthread_join(thread[i], NULL);
	check(SCENE, seen);
	return 0;
}

#else

static struct meeting start, end;
static bool seen[WORKERS];
static unsigned scene, met_queued;
static atomic_bool over;

static void *worker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	seed_with(me);
	for (;;) {
		meet(&start, WORKERS + 1);
		if (atomic_load(&over))
			return NULL;
		PAUSE_AT_RANDOM();
		met_work = false;
		seen[me] = act(scene, me);
		if (met_work)
			met_queued++; /* worker 2's alone */
		meet(&end, WORKERS + 1);
	}
}

int main(void)
{
	pthread_t thread[WORKERS];
	uint32_t rounds = scaled(18000), one = 0, two = 0, woken = 0, kept = 0;
	uint32_t out = 0, inside = 0, first_seen = 0, asked[2] = { 0 }, holds[2] = { 0 };
#if defined(__SANITIZE_THREAD__)
	uint32_t second = 1; /* hardly ever there */
#else
	uint32_t second = 0;
#endif

	seed_with(100);
	filchi_idle_init(&idle);
	for (unsigned i = 0; i < WORKERS; i++)
		filchi_sleeper_init(&sleeper[i]);
	for (uintptr_t i = 0; i < WORKERS; i++)
		assert(!pthread_create(&thread[i], NULL, worker, (void *)i));
	for (uint32_t i = 0; i < rounds || (!(one && two && woken && kept && met_queued && out &&
						    inside && second && first_seen && asked[0] &&
						    asked[1] && holds[0] && holds[1]) &&
						   i / PATIENCE < rounds);
		i++) {
		scene = i % 8;
		set_up(scene);
		meet(&start, WORKERS + 1);
		meet(&end, WORKERS + 1);
		check(scene, seen);
		if (scene == 0)
			*(seen[0] && seen[1] ? &two : &one) += 1;
		else if (scene == 2)
			/* settled before it was woken, or went on by itself */
			*(filch_load_relaxed(&sleeper[0].settled) ==
						(filch_load_relaxed(&sleeper[0].state) |
							FILCHI_ASLEEP_BOUND)
					? &woken
					: &kept) += 1;
		else if (scene == 4)
			*(seen[1] ? &out : &inside) += 1;
		else if (scene == 5) {
			second += saw_second;
			first_seen += seen[2];
		} else if (scene == 6)
			asked[seen[0]]++;
		else if (scene == 7)
			holds[seen[2]]++;
		for (unsigned w = 0; w < WORKERS; w++)
			filchi_idle_cancel(&idle, &sleeper[w]);
		filchi_idle_init(&idle); /* a free one is left a searcher */
	}
	atomic_store(&over, true);
	meet(&start, WORKERS + 1);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	COVERED(one && two && woken && kept && met_queued && out && inside && second && first_seen);
	COVERED(asked[0] && asked[1] && holds[0] && holds[1]);
	return 0;
}

#endif
