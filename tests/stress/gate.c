/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate: an owner that takes without a fence against thieves that call membarrier(2), on one deque
 * whose gate is opened at every fourth take or so. One task at a time lies in it, so that owner and
 * thieves want the same one each time. Each is run once, by whom it may be.
 *
 * This is where the system call itself is at stake: models have a fence in its place. Without it a
 * task is lost or runs twice here within a second, in optimised code.
 *
 * The headers are compiled into this driver; the cold half of spawn and sync is one of its own.
 * timeout: 120
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define FILCHI_PATIENCE 2
#include <filch/task.h>

#include "base/membarrier.h"
#include "struct/join.h"

#include "test.h"

#define THIEVES 2u
#define TASKS   4096u /* in use in turn */
#define NOBODY  UINT32_C(1000000000)

static struct filchi_deque deque;
static struct filchi_team team;
static struct filch_task task[TASKS];
static atomic_bool stop;
static _Atomic uint64_t stolen, raced;
static uint64_t openings, light;

/* --- the cold half ---------------------------------------------------- */

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *t)
{
	filch_index index;

	(void)hot;
	CHECK(filchi_deque_push_slow(&deque, carried, t, &index), "a deque of one task is full");
	return filch_index_add(index, 1);
}

int filch_context_here(struct filch_context *context)
{
	(void)context;
	return -EPERM;
}

void filch_push_asked(struct filch_worker *hot)
{
	filch_store_relaxed(&hot->ask, 0);
}

void filch_take_quiet(struct filch_worker *hot)
{
	(void)hot;
	filchi_deque_look(&deque);
}

/* A task that is neither the owner's nor done after so long is lost. */
bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *t)
{
	(void)hot;
	if (filchi_load_acquire(&t->word) &&
		filchi_deque_take_last(&deque, carried, filch_index_add(carried, -1)))
		return true;
	for (uint32_t i = 0; filchi_load_acquire(&t->word); i++) {
		CHECK(i < NOBODY, "nobody has the task at the top");
		filchi_pause();
	}
	filchi_deque_settle(&deque, carried);
	return false;
}

/* --- the threads ------------------------------------------------------- */

static void *thief(void *arg)
{
	static const struct filchi_filter anything = { .any = true };
	uint64_t lost = 0;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		struct filchi_team *of = NULL;
		struct filch_task *t;
		struct filchi_found in;

		switch (filchi_deque_steal(&deque, &anything, &t, &of, &in)) {
		case FILCHI_STEAL_GOT:
			atomic_fetch_add(&stolen, 1);
			CHECK(filchi_exchange_acq_rel(&t->word, 0) == 1, "it ran before");
			(void)filchi_team_leave(of);
			break;
		case FILCHI_STEAL_RACED:
			lost++;
			if (of)
				(void)filchi_team_leave(of);
			break;
		default:
			break;
		}
		filchi_pause();
	}
	atomic_fetch_add(&raced, lost);
	return NULL;
}

/* @n tasks, with a pause of some cycles before each sync. Returns how many the owner has taken. */
static uint64_t own(uint64_t n)
{
	filch_index carried = filchi_deque_carried(&deque);
	uint64_t rng = test_seed(), taken = 0;

	for (uint64_t i = 0; i < n; i++) {
		struct filch_task *t = &task[i % TASKS];
		filch_index index;
		bool ours;

		filch_store_relaxed(&t->word, (uintptr_t)1);
		filch_push(&deque.hot, &carried, t);
		for (uint32_t k = (uint32_t)(test_random(&rng) % 128); k--;)
			__asm__ volatile("");
		index = filch_index_add(carried, -1);
		ours = filch_take(&deque.hot, index, t);
		if (ours) {
			light += filchi_load_acquire(&deque.hot.gate) != FILCH_GATE_SHUT;
			carried = index;
		} else if (filch_sync_slow(&deque.hot, carried, t)) {
			ours = true;
			carried = deque.hot.floor;
		}
		if (ours) {
			taken++;
			CHECK(filchi_exchange_acq_rel(&t->word, 0) == 1, "it ran before");
		}
	}
	return taken;
}

static void run_with(unsigned thieves)
{
	uint64_t n = test_scaled(3000000), taken = 0, pushed = 0, since = test_now();
	pthread_t at[THIEVES];

	test_watchdog(100);
	atomic_store(&stop, false);
	atomic_store(&stolen, 0);
	atomic_store(&raced, 0);
	openings = light = 0;
	CHECK_EQ(filchi_deque_init(&deque, 64, false), 0);
	CHECK(filchi_segment_open(&deque, &team, NULL), "no segment");
	for (unsigned i = 0; i < thieves; i++)
		CHECK_EQ(pthread_create(&at[i], NULL, thief, NULL), 0);
	do {
		taken += own(n);
		pushed += n;
		openings = filchi_top_epoch(filchi_load_acquire(&deque.hot.top));
	} while ((!openings || !light || !atomic_load(&stolen)) &&
		 test_now() - since < UINT64_C(60000000000));
	atomic_store(&stop, true);
	for (unsigned i = 0; i < thieves; i++)
		CHECK_EQ(pthread_join(at[i], NULL), 0);
	printf("    %u thieves: %llu tasks, %llu stolen, %llu lost races, %llu openings, "
	       "%llu light\n",
		thieves, (unsigned long long)pushed, (unsigned long long)atomic_load(&stolen),
		(unsigned long long)atomic_load(&raced), (unsigned long long)openings,
		(unsigned long long)light);
	CHECK_EQ(taken + atomic_load(&stolen), pushed);
	CHECK(openings && light, "the gate was never open");
	CHECK(atomic_load(&stolen), "nothing was stolen");
	filchi_segment_close(&deque);
	filchi_deque_destroy(&deque);
}

static void each_task_runs_once_against_one_thief(void)
{
	run_with(1);
}

static void each_task_runs_once_against_two_thieves(void)
{
	run_with(2);
}

int main(void)
{
	if (!filchi_membarrier_register())
		test_skip("no membarrier(2)");
#define CASE(name) test_case(#name, name)
	CASE(each_task_runs_once_against_one_thief);
	CASE(each_task_runs_once_against_two_thieves);
	return test_finish("gate");
}
