/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the guard's handlers off while faults of the application's are inside them, and an action
 * that is good for one signal.
 */
#define _GNU_SOURCE
#include "guard_support.h"

#include <base/sigchain.h>

/* --- a page that is opened by the application's handler --------------- */

static _Thread_local char *closed;
static _Atomic uint64_t opened;
static _Atomic bool is_over;

static void opens(int signal_number, siginfo_t *info, void *context)
{
	(void)signal_number;
	(void)context;
	if ((char *)info->si_addr != closed || !closed)
		_exit(90);
	mprotect(closed, 4096, PROT_READ | PROT_WRITE);
	opened++;
}

static void *faults_all_the_time(void *arg)
{
	(void)arg;
	closed = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (closed == MAP_FAILED)
		_exit(91);
	while (!is_over) {
		*(volatile char *)closed = 1;
		mprotect(closed, 4096, PROT_NONE);
	}
	return NULL;
}

static struct filchi_sigchain chain;
FILCHI_SIGNAL_ENTRY(ours, none_of_ours)

void none_of_ours(int signal_number, siginfo_t *info, void *context, bool from_kernel)
{
	(void)signal_number;
	filchi_sigchain_pass(&chain, info, context, from_kernel);
}

static int comes_and_goes(void *arg)
{
	struct sigaction action;
	struct timespec end = filch_after(UINT64_C(3000000000)), now;
	pthread_t thread;

	(void)arg;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = opens;
	action.sa_flags = SA_SIGINFO;
	chain.signal = SIGSEGV;
	chain.flags = SA_ONSTACK | SA_RESTART;
	chain.ours = ours;
	if (sigaction(SIGSEGV, &action, NULL) ||
		pthread_create(&thread, NULL, faults_all_the_time, NULL))
		return 98;
	do {
		if (filchi_sigchain_install(&chain))
			return 97;
		for (volatile int i = 0; i < 300; i++)
			;
		filchi_sigchain_remove(&chain);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	is_over = true;
	pthread_join(thread, NULL);
	return opened > 1000 ? 7 : 96;
}

Test(guard_removal, a_fault_of_the_applications_that_is_inside_reaches_its_handler)
{
	char text[4096];
	int status = in_child(comes_and_goes, NULL, text, sizeof text);

	cr_assert(WIFEXITED(status), "status %#x %s", status, text);
	EQ(WEXITSTATUS(status), 7);
}

/* --- SA_RESETHAND ----------------------------------------------------- */

#define RACERS 4
static _Atomic int had;
static struct gate ready = GATE_INIT, go = GATE_INIT;

static void once(int signal_number)
{
	(void)signal_number;
	had++;
}

static void *sends(void *arg)
{
	gate_raise(&ready);
	gate_wait(&go, (int)(intptr_t)arg);
	(void)raise(SIGURG);
	return NULL;
}

Test(guard_removal, an_action_for_one_signal_is_taken_once)
{
	struct sigaction action, now;
	pthread_t thread[RACERS];

	memset(&chain, 0, sizeof chain);
	chain.signal = SIGURG;
	chain.is_ignored = true;
	chain.ours = ours;
	memset(&action, 0, sizeof action);
	action.sa_handler = once;
	action.sa_flags = (int)SA_RESETHAND;
	for (int round = 1; round <= 300; round++) {
		EQ(sigaction(SIGURG, &action, NULL), 0);
		EQ(filchi_sigchain_install(&chain), 0);
		for (int i = 0; i < RACERS; i++)
			EQ(pthread_create(&thread[i], NULL, sends, (void *)(intptr_t)round), 0);
		gate_wait(&ready, round * RACERS);
		gate_raise(&go);
		for (int i = 0; i < RACERS; i++)
			EQ(pthread_join(thread[i], NULL), 0);
		EQ(had, round);
		filchi_sigchain_remove(&chain);
		EQ(sigaction(SIGURG, NULL, &now), 0);
		cr_assert(now.sa_handler == SIG_DFL);
	}
}
