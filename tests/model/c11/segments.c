/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: a thief is told the team of the task that it gets, and a bound one gets no other.
 *
 * labels: model
 *
 * Threads (ordinary run: 2 thieves; explored: THIEVES, default 1):
 * - owner: opens a segment of team A and pushes a; on top of it one of team B and pushes b. It
 *   takes b back and closes B, then takes a back and closes A. With -DGROW (and half of an ordinary
 *   run) A's segment has three tasks on a deque of capacity 2.
 * - thief: filchi_deque_steal(), STEALS times (default 1). The first may run anything, the second
 *   the work of B alone.
 *
 * Asserts:
 * - The team of a stolen task is that of its segment; a bound thief has none of another's.
 * - Every task runs once.
 * - In the end each team's count is the 1 that it began with.
 * - In an ordinary run these have happened: steals from both segments, and refusals.
 *
 * Mutants found by an ordinary run:
 *   oldest_for_all         a thief takes the oldest segment for that of every task
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   open_without_release   filchi_segment_open() publishes the depth relaxed
 *   find_without_acquire   filchi_segment_find() reads it so
 */
#include "driver.h"

#define FILCHI_SEGMENTS  3u
#define FILCHI_DEQUE_MAX INT32_C(16)

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"

/* inside filchi_segment_open() 'o' or filchi_segment_find() 'f' */
#define IN_SEGMENT(letter)                        \
	(__func__[sizeof "filchi_" - 1] == 's' && \
		__func__[sizeof "filchi_segment_" - 1] == (letter))

#if defined(MUTANT_OPEN_WITHOUT_RELEASE)
#undef filchi_store_release
#define filchi_store_release(p, v)                       \
	(IN_SEGMENT('o') ? filch_store_relaxed((p), (v)) \
			 : atomic_store_explicit((p), (v), memory_order_release))
#elif defined(MUTANT_FIND_WITHOUT_ACQUIRE)
#undef filchi_load_acquire
#define filchi_load_acquire(p) \
	(IN_SEGMENT('f') ? filch_load_relaxed(p) : atomic_load_explicit((p), memory_order_acquire))
#elif defined(MUTANT_OLDEST_FOR_ALL)
/* of the depth, the only count of 32 bits that deque.h acquires: never more than the first */
static inline uint32_t at_most_one(filch_atomic_u32 *depth)
{
	return atomic_load_explicit(depth, memory_order_acquire) > 0;
}
#undef filchi_load_acquire
#define filchi_load_acquire(p)                                           \
	_Generic((p), filch_atomic_u32 *                                 \
		 : at_most_one((filch_atomic_u32 *)(void *)(p)), default \
		 : atomic_load_explicit((p), memory_order_acquire))
#endif

#include "struct/deque.h"

#undef filchi_load_acquire
#define filchi_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)

#ifndef STEALS
#define STEALS 1
#endif
#if defined(FILCH_EXPLORE)
#ifndef THIEVES
#define THIEVES 1
#endif
#if defined(GROW)
enum { OF_A = 3 };
#else
enum { OF_A = 1 };
#endif
#else
enum { THIEVES = 2, OF_A = 3 };
#endif
enum { TASKS = OF_A + 1 }; /* the last is B's */

struct frame {
	struct filch_task task;
	int argument, result; /* plain: a missing order is a data race to a checker */
	atomic_int ran;
};

static struct filchi_deque deque;
static struct filchi_team a, b;
static struct frame frame[TASKS];
static struct filchi_filter filter[2] = { { .any = true }, { .team = { &b, NULL } } };

static void body(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	struct frame *f = (struct frame *)(void *)task;

	(void)w;
	(void)carried;
	assert(atomic_fetch_add_explicit(&f->ran, 1, memory_order_relaxed) == 0);
	f->result = f->argument + 1;
}

/* --- src/core/await.c without the pool -------------------------------------- */

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	filch_index index;
	bool pushed = filchi_deque_push_slow(&deque, carried, task, &index);

	assert(pushed && is_at(hot, &deque.hot));
	return filch_index_add(index, 1);
}

void filch_push_asked(struct filch_worker *hot)
{
	filch_store_relaxed(&hot->ask, 0); /* a segment was opened; nobody parks here */
}

void filch_take_quiet(struct filch_worker *hot)
{
	assert(is_at(hot, &deque.hot));
	filchi_deque_look(&deque);
}

bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	assert(is_at(hot, &deque.hot));
	if (!filchi_load_acquire(&task->word)) {
		filchi_deque_settle(&deque, carried);
		return false;
	}
	if (filchi_deque_take_last(&deque, carried, filch_index_add(carried, -1)))
		return true;
#if !defined(FILCH_EXPLORE)
	while (filchi_load_acquire(&task->word))
		RELAX();
#endif
	return false;
}

static void spawn(filch_index *carried, int n)
{
	frame[n].argument = n + 1;
	filch_store_relaxed(&frame[n].task.word, (uintptr_t)body);
	filch_push(&deque.hot, carried, &frame[n].task);
}

static void sync(filch_index *carried, int n)
{
	filch_index index = filch_index_add(*carried, -1);

	if (filch_take(&deque.hot, index, &frame[n].task)) {
		*carried = index;
		body(&deque.hot, index, &frame[n].task);
	} else if (filch_sync_slow(&deque.hot, *carried, &frame[n].task)) {
		body(&deque.hot, deque.hot.floor, &frame[n].task);
	}
}

static void owner(int of_a)
{
	filch_index carried, above;

	assert(filchi_segment_open(&deque, &a, NULL));
	carried = filchi_deque_carried(&deque);
	for (int i = 0; i < of_a; i++)
		spawn(&carried, i);
	PAUSE_AT_RANDOM();
	assert(filchi_segment_open(&deque, &b, NULL));
	above = filchi_deque_carried(&deque);
	spawn(&above, TASKS - 1);
	PAUSE_AT_RANDOM();
	sync(&above, TASKS - 1);
	filchi_segment_close(&deque);
	for (int i = of_a; i--;)
		sync(&carried, i);
	filchi_segment_close(&deque);
}

/* One attempt of thief @n. */
static enum filchi_steal steal_one(unsigned n, struct filchi_team **team)
{
	struct filchi_found in;
	struct filch_task *task;
	enum filchi_steal outcome;

	*team = NULL;
	outcome = filchi_deque_steal(&deque, &filter[n], &task, team, &in);
	if (outcome == FILCHI_STEAL_GOT) {
		struct frame *f = (struct frame *)(void *)task;

		assert(*team == (f == &frame[TASKS - 1] ? &b : &a));
		assert(filter[n].any || *team == &b);
		((filch_thunk *)filchi_load_acquire(&task->word))(NULL, 0, task);
		filchi_store_release(&task->word, 0);
	}
	if ((outcome == FILCHI_STEAL_GOT || outcome == FILCHI_STEAL_RACED) && *team)
		assert(!filchi_team_leave(*team));
	return outcome;
}

static void ledger(int of_a)
{
	assert(filchi_deque_seems_empty(&deque));
	for (int i = 0; i < TASKS; i++)
		assert(atomic_load_explicit(&frame[i].ran, memory_order_relaxed) ==
			(i < of_a || i == TASKS - 1));
}

#if defined(FILCH_EXPLORE)

static void *thief(void *number)
{
	struct filchi_team *team;

	for (int i = 0; i < STEALS; i++)
		(void)steal_one((unsigned)(uintptr_t)number, &team);
	return NULL;
}

int main(void)
{
	pthread_t thread[THIEVES];

	filch_store_relaxed(&a.inside, 1);
	filch_store_relaxed(&b.inside, 1);
	assert(!filchi_deque_init(&deque, 2, false));
	for (int i = 0; i < THIEVES; i++)
		pthread_create(&thread[i], NULL, thief, (void *)(uintptr_t)i);
	owner(OF_A);
	for (int i = 0; i < THIEVES; i++)
		pthread_join(thread[i], NULL);
	ledger(OF_A);
	assert(filchi_load_acquire(&a.inside) == 1 && filchi_load_acquire(&b.inside) == 1);
	filchi_deque_destroy(&deque);
	return 0;
}

#else

static struct meeting start, end;
static atomic_bool over, finished;
static atomic_ulong of[2], barred; /* steals from A and B; refusals */

static void *thief(void *number)
{
	unsigned me = (unsigned)(uintptr_t)number;
	struct filchi_team *team;

	seed_with(me);
	for (;;) {
		meet(&start, THIEVES + 1);
		if (atomic_load(&finished))
			return NULL;
		while (!atomic_load_explicit(&over, memory_order_acquire)) {
			switch (steal_one(me, &team)) {
			case FILCHI_STEAL_GOT:
				atomic_fetch_add(&of[team == &b], 1);
				break;
			case FILCHI_STEAL_BARRED:
				atomic_fetch_add(&barred, 1);
				break;
			default:
				break;
			}
			PAUSE_AT_RANDOM();
		}
		meet(&end, THIEVES + 1);
	}
}

static bool covered(void)
{
	return atomic_load(&of[0]) && atomic_load(&of[1]) && atomic_load(&barred);
}

int main(void)
{
	pthread_t thread[THIEVES];
	uint32_t rounds = scaled(20000);

	seed_with(100);
	filch_store_relaxed(&a.inside, 1);
	filch_store_relaxed(&b.inside, 1);
	for (int i = 0; i < THIEVES; i++)
		assert(!pthread_create(&thread[i], NULL, thief, (void *)(uintptr_t)i));
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		assert(!filchi_deque_init(&deque, 2, false));
		atomic_store(&over, false);
		meet(&start, THIEVES + 1);
		for (int turn = 0; turn < 50; turn++) {
			int of_a = turn % 2 ? OF_A : 1;

			for (int k = 0; k < TASKS; k++)
				frame[k] = (struct frame){ .argument = 0 };
			owner(of_a);
			ledger(of_a);
		}
		atomic_store_explicit(&over, true, memory_order_release);
		meet(&end, THIEVES + 1);
		assert(filchi_load_acquire(&a.inside) == 1 && filchi_load_acquire(&b.inside) == 1);
		filchi_deque_destroy(&deque);
	}
	atomic_store(&finished, true);
	meet(&start, THIEVES + 1);
	for (int i = 0; i < THIEVES; i++)
		pthread_join(thread[i], NULL);
	COVERED(covered());
	return 0;
}

#endif
