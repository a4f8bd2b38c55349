/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes: a thief is told the scope of the task that it gets, and one that waits inside a scope
 * gets nothing from outside, though the places of closed scopes are used again.
 *
 * labels: model
 *
 * Threads (ordinary run: 3 thieves; explored: THIEVES, default 1):
 * - owner: opens a segment of team A and pushes 0; a scope for two workers, and pushes 1; work of
 *   a foreign scope Q, as if stolen, and pushes 2; a scope on top of that, and pushes 3. It takes 3
 *   and 2 back and closes these two. At the place of Q's work it opens another scope, and pushes 4.
 *   It takes all back, and closes.
 * - thief: filchi_deque_steal(), STEALS times (default 1). The first and the third may run
 *   anything. The second waits inside Q: of A's work it may run what was made in there. With
 *   -DBOUND the first does, too; with -DANY all may run anything.
 *
 * Asserts:
 * - The scope of a stolen task is the one that was open when it was pushed.
 * - A thief that waits inside Q gets 2 and 3 only.
 * - No two thieves run 1 and 4 at the same time: beside the owner one may be in that scope.
 * - Every task runs once; in the end the team's count is the 1 that it began with.
 * - In an ordinary run these have happened: steals of each task by the first thief, of 2 and 3 by
 *   the second, and refusals.
 *
 * Mutants found by an ordinary run:
 *   scope_kept       a segment that is opened keeps the scopes that its place had
 *   oldest_for_all   a thief takes the oldest segment for that of every task
 */
#include "driver.h"

#define FILCHI_SEGMENTS  4u
#define FILCHI_DEQUE_MAX INT32_C(16)

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"

struct filchi_segment;

#if defined(MUTANT_SCOPE_KEPT)
static inline void keep(void *scope, struct filchi_segment *to)
{
	FILCH_ATOMIC(struct filchi_segment *) *at = scope;

	if (!atomic_load_explicit(at, memory_order_relaxed))
		atomic_store_explicit(at, to, memory_order_relaxed);
}
#undef filch_store_relaxed
#define filch_store_relaxed(p, v)                                                      \
	_Generic((p), FILCH_ATOMIC(struct filchi_segment *) *                          \
		 : keep((void *)(p), (struct filchi_segment *)(uintptr_t)(v)), default \
		 : atomic_store_explicit((p), (v), memory_order_relaxed))
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

#undef filch_store_relaxed
#define filch_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#undef filchi_load_acquire
#define filchi_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)

#ifndef STEALS
#define STEALS 1
#endif
#if defined(FILCH_EXPLORE)
#ifndef THIEVES
#define THIEVES 1
#endif
#else
enum { THIEVES = 3 };
#endif
enum { TASKS = 5 };

struct frame {
	struct filch_task task;
	int argument, result; /* plain: a missing order is a data race to a checker */
	atomic_int ran;
};

static struct filchi_deque deque;
static struct filchi_team a;
static struct filchi_segment q;
static atomic_int thieves_inside; /* the owner's scope for two */
static struct frame frame[TASKS];
static struct filchi_filter filter[3] = {
#if defined(BOUND)
	{ .team = { &a, NULL }, .scope = &q },
#else
	{ .any = true },
#endif
#if defined(ANY)
	{ .any = true, .worker = 1 },
#else
	{ .team = { &a, NULL }, .scope = &q, .worker = 1 },
#endif
	{ .any = true, .worker = 2 },
};

static void body(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	struct frame *f = (struct frame *)(void *)task;

	(void)carried;
	assert(atomic_fetch_add_explicit(&f->ran, 1, memory_order_relaxed) == 0);
	if (w == NULL && (f == &frame[1] || f == &frame[4])) /* a thief */
		assert(atomic_fetch_add_explicit(&thieves_inside, 1, memory_order_relaxed) == 0);
	f->result = f->argument + 1;
	PAUSE_AT_RANDOM();
	if (w == NULL && (f == &frame[1] || f == &frame[4]))
		atomic_fetch_sub_explicit(&thieves_inside, 1, memory_order_relaxed);
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

/* Pushes task @n at the present level. Returns what sync() is to be given. */
static filch_index begin(int n)
{
	filch_index carried = filchi_deque_carried(&deque);

	spawn(&carried, n);
	PAUSE_AT_RANDOM();
	return carried;
}

static void end(filch_index carried, int n)
{
	sync(&carried, n);
	filchi_segment_close(&deque);
}

static void owner(void)
{
	static struct filch_task stolen;
	filch_index at[TASKS];

	assert(filchi_segment_open(&deque, &a, NULL));
	at[0] = begin(0);
	assert(filchi_scope_open_with(&deque, filchi_crew_open(&deque, THIEVES, 2)) ==
		&deque.segment[1]);
	at[1] = begin(1);
	assert(filchi_segment_open_in(&deque, &a, &stolen, &q));
	at[2] = begin(2);
	assert(filchi_scope_open(&deque) == &deque.segment[3]);
	at[3] = begin(3);
	assert(!filchi_scope_open(&deque));
	end(at[3], 3);
	end(at[2], 2);
	assert(filchi_scope_open(&deque) == &deque.segment[2]);
	at[4] = begin(4);
	end(at[4], 4);
	end(at[1], 1);
	end(at[0], 0);
}

/* The scope that task @n was pushed in. */
static struct filchi_segment *scope_of(long n)
{
	switch (n) {
	case 0:
		return NULL;
	case 2:
		return &q;
	case 4:
		return &deque.segment[2];
	default:
		return &deque.segment[n];
	}
}

/* One attempt of thief @n: the number of the task it got, TASKS if it was refused, or -1. */
static long steal_one(unsigned n)
{
	struct filchi_found in;
	struct filchi_team *team = NULL;
	struct filch_task *task;
	enum filchi_steal outcome = filchi_deque_steal(&deque, &filter[n], &task, &team, &in);
	long got = -1;

	if (outcome == FILCHI_STEAL_GOT) {
		got = (struct frame *)(void *)task - frame;
		assert(team == &a && in.scope == scope_of(got));
		assert(filter[n].any || got == 2 || got == 3);
		((filch_thunk *)filchi_load_acquire(&task->word))(NULL, 0, task);
		filchi_places_leave(&in, n);
		filchi_store_release(&task->word, 0);
	}
	if ((outcome == FILCHI_STEAL_GOT || outcome == FILCHI_STEAL_RACED) && team)
		assert(!filchi_team_leave(team));
	return outcome == FILCHI_STEAL_BARRED ? TASKS : got;
}

static void ledger(void)
{
	assert(filchi_deque_seems_empty(&deque));
	for (int i = 0; i < TASKS; i++)
		assert(atomic_load_explicit(&frame[i].ran, memory_order_relaxed) == 1);
}

/* The memory of a new deque is zero where it is not a model's. */
static void open_deque(void)
{
	assert(!filchi_deque_init(&deque, 8, false));
	for (unsigned i = 0; i < FILCHI_SEGMENTS; i++) {
		atomic_store_explicit(&deque.segment[i].scope, NULL, memory_order_relaxed);
		atomic_store_explicit(&deque.segment[i].outer, NULL, memory_order_relaxed);
	}
	atomic_store_explicit(&q.scope, &q, memory_order_relaxed);
	atomic_store_explicit(&q.outer, NULL, memory_order_relaxed);
}

#if defined(FILCH_EXPLORE)

static void *thief(void *number)
{
	for (int i = 0; i < STEALS; i++)
		(void)steal_one((unsigned)(uintptr_t)number);
	return NULL;
}

int main(void)
{
	pthread_t thread[THIEVES];

	filch_store_relaxed(&a.inside, 1);
	open_deque();
	for (int i = 0; i < THIEVES; i++)
		pthread_create(&thread[i], NULL, thief, (void *)(uintptr_t)i);
	owner();
	for (int i = 0; i < THIEVES; i++)
		pthread_join(thread[i], NULL);
	ledger();
	assert(filchi_load_acquire(&a.inside) == 1);
	filchi_deque_destroy(&deque);
	return 0;
}

#else

static struct meeting start, over;
static atomic_bool ended, finished;
static atomic_ulong got[THIEVES][TASKS + 1]; /* by thief: each task, and refusals */

static void *thief(void *number)
{
	unsigned me = (unsigned)(uintptr_t)number;

	seed_with(me);
	for (;;) {
		meet(&start, THIEVES + 1);
		if (atomic_load(&finished))
			return NULL;
		while (!atomic_load_explicit(&ended, memory_order_acquire)) {
			long n = steal_one(me);

			if (n >= 0)
				atomic_fetch_add(&got[me][n], 1);
			PAUSE_AT_RANDOM();
		}
		meet(&over, THIEVES + 1);
	}
}

static bool covered(void)
{
	for (int i = 0; i < TASKS; i++)
		if (!atomic_load(&got[0][i]))
			return false;
	return atomic_load(&got[1][2]) && atomic_load(&got[1][3]) && atomic_load(&got[1][TASKS]);
}

int main(void)
{
	pthread_t thread[THIEVES];
	uint32_t rounds = scaled(10000);

	seed_with(100);
	filch_store_relaxed(&a.inside, 1);
	for (int i = 0; i < THIEVES; i++)
		assert(!pthread_create(&thread[i], NULL, thief, (void *)(uintptr_t)i));
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		open_deque();
		atomic_store(&ended, false);
		meet(&start, THIEVES + 1);
		for (int turn = 0; turn < 50; turn++) {
			for (int k = 0; k < TASKS; k++)
				frame[k] = (struct frame){ .argument = 0 };
			owner();
			ledger();
		}
		atomic_store_explicit(&ended, true, memory_order_release);
		meet(&over, THIEVES + 1);
		assert(filchi_load_acquire(&a.inside) == 1);
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
