/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See race_windows.h. The windows are listed here by name, so that one that is renamed, or no
 * longer passed through, is missed: a window that is not in the list fails the test, and so does
 * one in the list that no thread has yielded in.
 */
#define _GNU_SOURCE
#include "race_windows.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "test.h"

void filchi_hook(const char *point);

static const char *const window[] = {
	"asked_counted",
	"await_flagged",
	"blocked_counted",
	"blocked_sleeps",
	"cancel_claimed",
	"closing_set",
	"gate_shut",
	"job_drawn",
	"job_moved_on",
	"job_returned",
	"job_wait_left",
	"job_wait_prepared",
	"join_park_decided",
	"join_prepared",
	"limit_set",
	"park_begins",
	"park_decided",
	"park_prepared",
	"posted_counted",
	"reap_won",
	"released",
	"retire_begins",
	"retire_prepared",
	"scq_put_drawn",
	"scq_take_drawn",
	"search_ends",
	"search_goes_on",
	"steal_before_cas",
	"submit_announced",
	"submit_full",
	"submit_published",
	"submit_put",
	"take_before_cas",
	"task_finished",
	"task_stolen",
	"wake_chosen",
	"woken_comes",
	"woken_uncounted",
};
#define WINDOWS (sizeof window / sizeof window[0])

/*
 * Known as well, but calls in any order do not come there, or by chance alone: no completion queue
 * is among them yet, no wait on a full stack, and pools seldom wait for each other.
 */
static const char *const elsewhere[] = { "abroad_looked", "abroad_prepared", "after_admitted",
	"after_closes", "after_flagged", "after_hung", "after_published", "after_ready",
	"after_releases", "cq_posted", "cq_put", "credit_sleeps", "deferred_marked",
	"deferred_returned", "errand_posted", "finish_claimed", "gate_opens", "group_asked",
	"group_begun", "group_blocks", "group_counts_off", "group_full", "group_held",
	"group_lets_next", "group_looked", "group_moved_on", "group_sleeps", "group_tells",
	"miss_decided", "missed_uncounted", "notifier_cleared", "notifier_disarmed", "order_moved",
	"outsider_admitted", "trust_begins", "trust_ends", "wait_without_room" };

static _Atomic uint64_t yields[WINDOWS + 1];
static _Atomic uint64_t seed, threads;
static _Atomic uint64_t generation;

static _Thread_local const char *hold_at;
/* one that is held sleeps: if it spun, those that are to go on would share their cores with it */
static pthread_mutex_t holding = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static bool held, let_go;

static size_t number_of(const char *point)
{
	size_t i = 0;

	while (i < WINDOWS && strcmp(window[i], point) != 0)
		i++;
	for (size_t k = 0; i == WINDOWS && k < sizeof elsewhere / sizeof elsewhere[0]; k++)
		if (strcmp(elsewhere[k], point) == 0)
			return WINDOWS;
	CHECK(i < WINDOWS, "the window %s is not in the list of tests/windows/race_windows.c",
		point);
	return i;
}

void filchi_hook(const char *point)
{
	static _Thread_local uint64_t rng, of_generation;
	uint64_t dice;

	if (hold_at && strcmp(hold_at, point) == 0) {
		hold_at = NULL;
		pthread_mutex_lock(&holding);
		held = true;
		pthread_cond_broadcast(&change);
		while (!let_go)
			pthread_cond_wait(&change, &holding);
		pthread_mutex_unlock(&holding);
	}
	/* relaxed: the lots are not to order what they disturb */
	if (of_generation != atomic_load_explicit(&generation, memory_order_relaxed) + 1) {
		of_generation = atomic_load_explicit(&generation, memory_order_relaxed) + 1;
		rng = atomic_load_explicit(&seed, memory_order_relaxed) +
		      atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
	}
	dice = test_random(&rng);
	if (dice % 8)
		return;
	atomic_fetch_add_explicit(&yields[number_of(point)], 1, memory_order_relaxed);
	if (dice % 512)
		sched_yield();
	else
		nanosleep(&(struct timespec){ .tv_nsec = (long)(dice / 512 % 100000) }, NULL);
}

void paused_begin(uint64_t from)
{
	seed = from;
	threads = 0;
	generation++;
}

void paused_hold_me(const char *point)
{
	(void)number_of(point); /* it exists */
	pthread_mutex_lock(&holding);
	let_go = false;
	pthread_mutex_unlock(&holding);
	hold_at = point;
}

void paused_until_held(void)
{
	pthread_mutex_lock(&holding);
	while (!held)
		pthread_cond_wait(&change, &holding);
	pthread_mutex_unlock(&holding);
}

bool paused_is_held(void)
{
	bool is;

	pthread_mutex_lock(&holding);
	is = held;
	pthread_mutex_unlock(&holding);
	return is;
}

bool paused_held_me(void)
{
	return !hold_at;
}

void paused_let_go(void)
{
	pthread_mutex_lock(&holding);
	held = false;
	let_go = true;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&holding);
}

bool paused_all_met(void)
{
	for (size_t i = 0; i < WINDOWS; i++)
		if (!yields[i])
			return false;
	return true;
}

void paused_print(void)
{
	printf("    yields:");
	for (size_t i = 0; i < WINDOWS; i++)
		printf(" %s %llu", window[i], (unsigned long long)yields[i]);
	printf("\n");
}
