/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join: the word of a stolen task. Its four ways from thunk to zero, whom its completion tells, and
 * that no address of a function, odd ones included, is taken for the name of a worker.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <struct/join.h>
#include <sched.h>

enum { WORKERS = 5 };

/* as a pool's mapping of workers: a range of addresses, of which nothing is read */
static const struct filchi_marks marks = {
	.base = 0x7f0000100000, .stride = 0x2000, .size = WORKERS * 0x2000
};

static struct filch_task task;

static void a_thunk(struct filch_worker *worker, filch_index index, struct filch_task *t)
{
	(void)worker;
	(void)index;
	(void)t;
}

static uintptr_t word(void)
{
	return filchi_load_acquire(&task.word);
}

static void spawn(uintptr_t thunk)
{
	task.saved = 0xdead;
	filch_store_relaxed(&task.word, thunk);
	cr_assert(!filchi_task_done(&task));
}

Test(join, a_mark_names_its_worker_and_its_role)
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		uintptr_t thief = filchi_mark_thief(&marks, i),
			  joiner = filchi_mark_joiner(&marks, i);

		cr_assert(filchi_mark_is(&marks, thief) && filchi_mark_is(&marks, joiner));
		EQ(filchi_mark_worker(&marks, thief, false), i);
		EQ(filchi_mark_worker(&marks, thief, true), -1);
		EQ(filchi_mark_worker(&marks, joiner, true), i);
		EQ(filchi_mark_worker(&marks, joiner, false), -1);
	}
}

Test(join, no_function_is_taken_for_a_worker)
{
	const uintptr_t thunks[] = { 0x401001, 0x401003, (uintptr_t)a_thunk, marks.base - 1,
		marks.base - marks.stride, marks.base + marks.size, marks.base + marks.size + 1,
		0x7fffffffffff };

	for (size_t i = 0; i < sizeof thunks / sizeof thunks[0]; i++) {
		cr_assert(!filchi_mark_is(&marks, thunks[i]), "%zu", i);
		EQ(filchi_mark_worker(&marks, thunks[i], true), -1);
		EQ(filchi_mark_worker(&marks, thunks[i], false), -1);
		spawn(thunks[i]);
		EQ(filchi_task_thief(&task, &marks), -1);
		EQ((uintptr_t)filchi_task_begin(&task, &marks, 4), thunks[i]);
		EQ(filchi_task_thief(&task, &marks), 4);
		EQ(filchi_task_finish(&task, &marks), -1);
		/* and with the joiner there first */
		spawn(thunks[i]);
		cr_assert(filchi_task_await(&task, &marks, 1));
		EQ((uintptr_t)filchi_task_begin(&task, &marks, 4), thunks[i]);
		EQ(filchi_task_finish(&task, &marks), 1);
	}
	EQ(filchi_mark_worker(&marks, 0, true), -1);
	EQ(filchi_mark_worker(&marks, 0, false), -1);
}

Test(join, thunk_thief_done_wakes_nobody)
{
	spawn((uintptr_t)a_thunk);
	cr_assert(filchi_task_begin(&task, &marks, 0) == a_thunk);
	EQ(word(), filchi_mark_thief(&marks, 0));
	EQ(filchi_task_thief(&task, &marks), 0);
	EQ(filchi_task_finish(&task, &marks), -1);
	cr_assert(filchi_task_done(&task));
	EQ(task.saved, 0xdead);
}

Test(join, thunk_thief_joiner_done_wakes_the_joiner)
{
	spawn((uintptr_t)a_thunk);
	filchi_task_begin(&task, &marks, 4);
	cr_assert(filchi_task_await(&task, &marks, 0));
	EQ(word(), filchi_mark_joiner(&marks, 0));
	EQ(filchi_task_thief(&task, &marks), -1);
	cr_assert(!filchi_task_done(&task));
	EQ(filchi_task_finish(&task, &marks), 0);
	cr_assert(filchi_task_done(&task));
}

Test(join, thunk_joiner_done_gives_the_thief_the_saved_thunk)
{
	spawn((uintptr_t)a_thunk);
	cr_assert(filchi_task_await(&task, &marks, 2));
	EQ(word(), filchi_mark_joiner(&marks, 2));
	EQ(task.saved, (uintptr_t)a_thunk);
	cr_assert(filchi_task_begin(&task, &marks, 3) == a_thunk);
	EQ(word(), filchi_mark_joiner(&marks, 2));
	EQ(filchi_task_finish(&task, &marks), 2);
	cr_assert(filchi_task_done(&task));
}

Test(join, thunk_done_is_not_waited_for)
{
	spawn((uintptr_t)a_thunk);
	filchi_task_begin(&task, &marks, 1);
	EQ(filchi_task_finish(&task, &marks), -1);
	cr_assert(!filchi_task_await(&task, &marks, 0));
	EQ(word(), 0);
}

Test(join, a_joiner_that_parks_again_finds_its_mark_in_place)
{
	spawn((uintptr_t)a_thunk);
	filchi_task_begin(&task, &marks, 1);
	for (int i = 0; i < 3; i++)
		cr_assert(filchi_task_await(&task, &marks, 0));
	EQ(word(), filchi_mark_joiner(&marks, 0));
	EQ(task.saved, 0xdead);
	EQ(filchi_task_finish(&task, &marks), 0);
	cr_assert(!filchi_task_await(&task, &marks, 0));
}

/* --- thief and joiner at once ----------------------------------------- */

enum { ROUNDS = 20000 };

static pthread_barrier_t both;
static int finished[ROUNDS];
static int result[ROUNDS];

static void *thief(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&both);
		if (filchi_task_begin(&task, &marks, 1) != a_thunk)
			abort();
		result[i] = i;
		finished[i] = filchi_task_finish(&task, &marks);
		pthread_barrier_wait(&both);
	}
	return NULL;
}

Test(join, the_completion_tells_the_joiner_if_and_only_if_its_mark_came_first)
{
	pthread_t thread;
	int marked = 0;

	pthread_barrier_init(&both, NULL, 2);
	EQ(pthread_create(&thread, NULL, thief, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		bool waits;

		spawn((uintptr_t)a_thunk);
		pthread_barrier_wait(&both);
		if (i % 2)
			sched_yield();
		waits = filchi_task_await(&task, &marks, 2);
		while (!filchi_task_done(&task))
			sched_yield();
		EQ(result[i], i);
		pthread_barrier_wait(&both);
		EQ(finished[i], waits ? 2 : -1);
		marked += waits;
	}
	EQ(pthread_join(thread, NULL), 0);
	pthread_barrier_destroy(&both);
	cr_log_info("%d of %d joins marked first", marked, ROUNDS);
}
