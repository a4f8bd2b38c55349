/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The team of a job that is aborted: its stack is given up while thieves have tasks of it. The last
 * one out completes it, once.
 *
 * labels: model
 *
 * Threads (ordinary run: two thieves; explored: THIEVES, default 1):
 * - owner: a job after another, all in one slot, so that a thief may come late by a whole job. It
 *   opens a segment and pushes one to four tasks (explored: TASKS, default 2). Then it faults, or
 *   joins them and gives up at the first that is orphaned. Giving up is filchi_fault_abort()
 *   without the pool: abort, withdraw, close the segment, leave the team. The thread that brings
 *   the count to 0 completes the job. Explored: one fault; then, as the thread that becomes the
 *   worker next, a task of a second job.
 * - thief: filchi_deque_steal(); runs the task, or faults in it (explored: with -DFAULTS), which
 *   orphans the task and aborts the job. It leaves the team, also after a steal in vain. Explored:
 *   STEALS attempts (default 1).
 *
 * Asserts:
 * - An aborted job completes, once. Ordinary: when each thief has ended two more attempts, it is
 *   complete. A job that is not aborted never completes by a count.
 * - Its completer sees the first fault and all writes to its stack. No thread is on that stack any
 *   more: it is scribbled over.
 * - Each task runs once, or is withdrawn, or is orphaned, never two of these.
 * - The next job on the same deque loses nothing.
 * - In the end the count is the 1 it began with.
 * - In an ordinary run these have happened: completions by owner and by thief, second faults,
 *   steals in vain, and withdrawn tasks.
 *
 * Mutants found by an ordinary run:
 *   count_after_cas      a thief raises the count when its CAS has succeeded, not before
 *   leave_by_store       the thread that brings the count to 0 stores the 1, without the CAS that
 *                        lets one of several win
 *   abort_by_store       an aborter loads the count and stores it marked
 *   withdraw_by_store    tasks are withdrawn by load, compare and store
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   leave_without_order  the count is lowered relaxed
 */
#include "driver.h"

#define FILCHI_SEGMENTS 2u

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"

/*
 * inside filchi_team_leave() 'l' or filchi_team_abort() 'a'; filchi_deque_withdraw() 'w' or
 * filchi_deque_steal() 's'
 */
#define IN_TEAM(letter)  (__func__[sizeof "filchi_team_" - 1] == (letter))
#define IN_DEQUE(letter) (__func__[sizeof "filchi_deque_" - 1] == (letter))

#if defined(MUTANT_COUNT_AFTER_CAS)
static _Thread_local filch_atomic_u64 *to_raise;
#undef filchi_fetch_add_acq_rel
#define filchi_fetch_add_acq_rel(p, v) ((void)(v), to_raise = (p), (uint64_t)0)
static bool cas_then_count(filch_atomic_u64 *p, uint64_t *expected, uint64_t v, bool steals)
{
	bool won = atomic_compare_exchange_strong_explicit(
		p, expected, v, memory_order_seq_cst, memory_order_seq_cst);

	if (steals && to_raise) {
		HOLD();
		atomic_fetch_add_explicit(to_raise, 1, memory_order_acq_rel);
		to_raise = NULL;
	}
	return won;
}
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v) cas_then_count((p), (expected), (v), IN_DEQUE('s'))
#elif defined(MUTANT_LEAVE_BY_STORE) || defined(MUTANT_ABORT_BY_STORE)
#if defined(MUTANT_LEAVE_BY_STORE)
#define STORES IN_TEAM('l')
#else
#define STORES IN_TEAM('a')
#endif
static bool count_by_store(filch_atomic_u64 *p, uint64_t *expected, uint64_t v, bool stores)
{
	if (!stores)
		return atomic_compare_exchange_strong_explicit(
			p, expected, v, memory_order_acq_rel, memory_order_acquire);
	HOLD();
	atomic_store_explicit(p, v, memory_order_release);
	return true;
}
/* a place in a crew is no count */
static bool place_by_cas(filch_atomic_u32 *p, uint32_t *expected, uint32_t v, bool stores)
{
	(void)stores;
	return atomic_compare_exchange_strong_explicit(
		p, expected, v, memory_order_acq_rel, memory_order_acquire);
}
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v) \
	_Generic((p), filch_atomic_u32 *   \
		 : place_by_cas, default   \
		 : count_by_store)((p), (expected), (v), STORES)
#elif defined(MUTANT_WITHDRAW_BY_STORE)
static bool top_by_store(filch_atomic_u64 *p, uint64_t *expected, uint64_t v, bool stores)
{
	if (!stores)
		return atomic_compare_exchange_strong_explicit(
			p, expected, v, memory_order_seq_cst, memory_order_seq_cst);
	if (atomic_load_explicit(p, memory_order_acquire) != *expected) {
		*expected = atomic_load_explicit(p, memory_order_acquire);
		return false;
	}
	HOLD();
	atomic_store_explicit(p, v, memory_order_seq_cst);
	return true;
}
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v) top_by_store((p), (expected), (v), IN_DEQUE('w'))
#elif defined(MUTANT_LEAVE_WITHOUT_ORDER)
#undef filchi_fetch_sub_acq_rel
#define filchi_fetch_sub_acq_rel(p, n) atomic_fetch_sub_explicit((p), (n), memory_order_relaxed)
#endif

#include "struct/deque.h"

#if defined(FILCH_EXPLORE)
#ifndef THIEVES
#define THIEVES 1
#endif
#ifndef STEALS
#define STEALS 1
#endif
#ifndef TASKS
#define TASKS 2
#endif
enum { TASKS_MAX = TASKS };
#else
enum { TASKS_MAX = 4, THIEVES = 2 };
#endif

enum { LOST = 2, POISON = -1 }; /* a task's word; what a stack shows that is not there any more */

/* A task in its spawner's stack. Plain: a missing order is a data race to a checker. */
struct frame {
	struct filch_task task;
	int argument, result;
};

/* What happened to it: not on the stack, for it outlives that. */
struct fate {
	atomic_uint ran, lost;
};

static struct filchi_deque deque;
static struct filchi_team team; /* of the job in the slot */
static struct frame frame[TASKS_MAX];
static struct fate fate[TASKS_MAX];
static int fault;               /* the first; plain as well */
static atomic_uint completions; /* of the present job */
static atomic_bool completed;
static atomic_ulong by_owner, by_thief, second_faults, in_vain, losses;
static _Thread_local bool is_thief;

static void complete(void)
{
	assert(atomic_fetch_add_explicit(&completions, 1, memory_order_relaxed) == 0);
	assert(fault);
	for (int i = 0; i < TASKS_MAX; i++) /* as if it were unmapped */
		frame[i].argument = frame[i].result = POISON;
	atomic_fetch_add_explicit(is_thief ? &by_thief : &by_owner, 1, memory_order_relaxed);
	atomic_store_explicit(&completed, true, memory_order_release);
}

static void leave(struct filchi_team *of)
{
	if (of && filchi_team_leave(of)) {
		assert(of == &team);
		complete();
	}
}

static void mark_dead(struct filchi_team *of)
{
	assert(of == &team);
	if (filchi_team_abort(of)) {
		assert(!fault);
		fault = 1;
	} else {
		atomic_fetch_add_explicit(&second_faults, 1, memory_order_relaxed);
	}
}

/* The task: its argument must be what was spawned, from its begin to its end. */
static void run(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	struct frame *f = (struct frame *)(void *)task;
	int number = (int)(f - frame);

	(void)w;
	(void)carried;
	assert(f->argument == number + 1);
	assert(atomic_fetch_add_explicit(&fate[number].ran, 1, memory_order_relaxed) == 0);
	PAUSE_AT_RANDOM();
	f->result = f->argument + 1;
	assert(f->argument == number + 1);
}

/* --- src/core/await.c and src/core/fault.c without the pool ---------------------- */

void filch_take_quiet(struct filch_worker *hot)
{
	assert(is_at(hot, &deque.hot));
	filchi_deque_look(&deque);
}

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	filch_index index = 0;
	bool pushed =
		filchi_deque_push_slow((struct filchi_deque *)(void *)hot, carried, task, &index);

	assert(pushed); /* there is room for all */
	return filch_index_add(index, 1);
}

void filch_push_asked(struct filch_worker *hot)
{
	filch_store_relaxed(&hot->ask, 0); /* nobody parks here */
}

/* filchi_fault_abort(). */
static uint32_t give_up(void)
{
	uint32_t withdrawn;

	mark_dead(&team);
	withdrawn = filchi_deque_withdraw(&deque);
	filchi_segment_close(&deque);
	leave(&team);
	return withdrawn;
}

static void spawn(filch_index *carried, int number)
{
	struct frame *f = &frame[number];

	f->argument = number + 1;
	filch_store_relaxed(&f->task.word, (uintptr_t)run);
	filch_push(&deque.hot, carried, &f->task);
}

/* --- a thief ---------------------------------------------------------- */

static void thief_once(bool faults)
{
	static const struct filchi_filter anything = { .any = true };
	struct filchi_found in;
	struct filchi_team *of = NULL;
	struct filch_task *task;
	uintptr_t word;

	switch (filchi_deque_steal(&deque, &anything, &task, &of, &in)) {
	case FILCHI_STEAL_GOT:
		PAUSE_AT_RANDOM();
		if (faults && of == &team) {
			mark_dead(of);
			atomic_fetch_add_explicit(&fate[(struct frame *)(void *)task - frame].lost,
				1, memory_order_relaxed);
			atomic_fetch_add_explicit(&losses, 1, memory_order_relaxed);
			(void)filchi_exchange_seq_cst(&task->word, (uintptr_t)LOST);
		} else {
			word = filchi_load_acquire(&task->word);
			assert(word > LOST); /* what was spawned */
			((filch_thunk *)word)(NULL, 0, task);
			(void)filchi_exchange_seq_cst(&task->word, (uintptr_t)0);
		}
		leave(of);
		break;
	case FILCHI_STEAL_RACED:
		atomic_fetch_add_explicit(&in_vain, 1, memory_order_relaxed);
		leave(of);
		break;
	default:
		break;
	}
}

/* Each of @tasks has one fate: it ran, or it was lost, or it is one of those @withdrawn. */
static void ledger(int tasks, uint32_t withdrawn)
{
	uint32_t known = withdrawn;

	for (int i = 0; i < tasks; i++) {
		uint32_t fates = atomic_load_explicit(&fate[i].ran, memory_order_relaxed) +
				 atomic_load_explicit(&fate[i].lost, memory_order_relaxed);

		assert(fates <= 1);
		known += fates;
	}
	assert(known == (uint32_t)tasks);
}

#if defined(FILCH_EXPLORE)

static struct filchi_team second; /* of the next job, in another slot */
static struct frame after;        /* its task */
static atomic_uint after_ran;

static void run_after(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	(void)w;
	(void)carried;
	assert(task == &after.task && after.argument == 7);
	assert(atomic_fetch_add_explicit(&after_ran, 1, memory_order_relaxed) == 0);
}

static void *thief(void *unused)
{
	(void)unused;
	is_thief = true;
	for (int i = 0; i < STEALS; i++) {
#if defined(FAULTS)
		thief_once(true);
#else
		thief_once(false);
#endif
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THIEVES];
	filch_index carried, index;
	uint32_t withdrawn;

	assert(!filchi_deque_init(&deque, 4, false));
	filch_store_relaxed(&team.inside, 1);
	filch_store_relaxed(&second.inside, 1);
	for (int i = 0; i < THIEVES; i++)
		pthread_create(&thread[i], NULL, thief, NULL);
	(void)filchi_segment_open(&deque, &team, NULL);
	carried = filchi_deque_carried(&deque);
	for (int i = 0; i < TASKS; i++)
		spawn(&carried, i);
	withdrawn = give_up();

	(void)filchi_segment_open(&deque, &second, NULL);
	carried = filchi_deque_carried(&deque);
	after.argument = 7;
	filch_store_relaxed(&after.task.word, (uintptr_t)run_after);
	filch_push(&deque.hot, &carried, &after.task);
	index = filch_index_add(carried, -1);
	if (filch_take(&deque.hot, index, &after.task) ||
		filchi_deque_take_last(&deque, carried, index))
		run_after(NULL, 0, &after.task);

	for (int i = 0; i < THIEVES; i++)
		pthread_join(thread[i], NULL);
	assert(atomic_load_explicit(&completions, memory_order_relaxed) == 1);
	ledger(TASKS, withdrawn);
	assert(atomic_load_explicit(&after_ran, memory_order_relaxed) == 1);
	assert(filchi_load_acquire(&team.inside) == 1 && filchi_load_acquire(&second.inside) == 1);
	filchi_deque_destroy(&deque);
	return 0;
}

#else

static atomic_bool over;
static atomic_ulong looks[THIEVES]; /* attempts that each has ended */
static uint64_t withdrawn_ever, ordinary;

static void *thief(void *number)
{
	is_thief = true;
	seed_with((uintptr_t)number);
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		thief_once(random_below(8) == 0);
		atomic_fetch_add(&looks[(uintptr_t)number], 1);
		PAUSE_AT_RANDOM();
	}
	return NULL;
}

/* filch_sync_slow() and what follows it. False: the task is lost. */
static bool sync(filch_index *carried, int number)
{
	struct frame *f = &frame[number];
	filch_index index = filch_index_add(*carried, -1);
	uintptr_t word;

	if (filch_take(&deque.hot, index, &f->task)) {
		*carried = index;
		run(&deque.hot, index, &f->task);
	} else if (!filchi_load_acquire(&f->task.word)) {
		filchi_deque_settle(&deque, *carried);
	} else if (filchi_deque_take_last(&deque, *carried, index)) {
		run(&deque.hot, deque.hot.floor, &f->task);
	} else {
		while ((word = filchi_load_acquire(&f->task.word)) && word != LOST)
			RELAX();
		if (word == LOST)
			return false;
	}
	assert(f->result == number + 2);
	return true;
}

/*
 * The owner has left. A thief in whose hands the end is, is inside an attempt: when each has ended
 * two, the job is complete.
 */
static void await_completion(void)
{
	unsigned long since[THIEVES];

	for (int i = 0; i < THIEVES; i++)
		since[i] = atomic_load(&looks[i]);
	while (!atomic_load_explicit(&completed, memory_order_acquire)) {
		int through = 0;

		for (int i = 0; i < THIEVES; i++)
			through += atomic_load(&looks[i]) - since[i] >= 2;
		assert(through < THIEVES || atomic_load_explicit(&completed, memory_order_acquire));
		RELAX();
	}
}

static void job(void)
{
	int tasks = 1 + (int)random_below(TASKS_MAX), joined = tasks;
	bool faults = random_below(3) == 0;
	uint32_t withdrawn = 0;
	filch_index carried;

	fault = 0;
	atomic_store_explicit(&completions, 0, memory_order_relaxed);
	atomic_store_explicit(&completed, false, memory_order_relaxed);
	for (int i = 0; i < TASKS_MAX; i++) {
		atomic_store_explicit(&fate[i].ran, 0, memory_order_relaxed);
		atomic_store_explicit(&fate[i].lost, 0, memory_order_relaxed);
	}
	(void)filchi_segment_open(&deque, &team, NULL);
	carried = filchi_deque_carried(&deque);
	for (int i = 0; i < tasks; i++)
		spawn(&carried, i);
	PAUSE_AT_RANDOM();
	while (!faults && joined && sync(&carried, joined - 1))
		joined--;
	if (faults || joined) {
		withdrawn = give_up();
		await_completion();
		withdrawn_ever += withdrawn;
	} else {
		filchi_segment_close(&deque);
		ordinary++;
		assert(!fault && !atomic_load_explicit(&completions, memory_order_relaxed));
	}
	ledger(tasks, withdrawn);
}

static bool covered(void)
{
	return atomic_load(&by_owner) && atomic_load(&by_thief) && atomic_load(&second_faults) &&
	       atomic_load(&in_vain) && atomic_load(&losses) && withdrawn_ever && ordinary;
}

int main(void)
{
	uint32_t jobs = scaled(400000);
	pthread_t thread[THIEVES];

	seed_with(100);
	assert(!filchi_deque_init(&deque, 4, false));
	filch_store_relaxed(&team.inside, 1);
	for (int i = 0; i < THIEVES; i++)
		assert(!pthread_create(&thread[i], NULL, thief, (void *)(uintptr_t)i));
	for (uint32_t i = 0; i < jobs || (!covered() && i / PATIENCE < jobs); i++)
		job();
	atomic_store(&over, true);
	for (int i = 0; i < THIEVES; i++)
		pthread_join(thread[i], NULL);
	assert(filchi_load_acquire(&team.inside) == 1);
	COVERED(covered());
	filchi_deque_destroy(&deque);
	return 0;
}

#endif
