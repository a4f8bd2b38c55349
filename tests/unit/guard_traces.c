/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job leaves behind on its thread does not reach the next: blocked signals, another signal
 * stack, rounding, flags, cancellation. And a fault is contained whatever of that it happens under.
 */
#define _GNU_SOURCE
#include "guard_support.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int ill(void *arg)
{
	return fall_ill((enum ailment)(intptr_t)arg);
}

static int status_of(int64_t id)
{
	cr_assert(id > 0, "%lld", (long long)id);
	return completion_of(id).status;
}

static int64_t plain(filch_job_fn *fn, void *arg)
{
	return filch_submit(pool, fn, arg, NULL);
}

/* --- signals ---------------------------------------------------------- */

static int blocks_all(void *arg)
{
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	return pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static int breaks_signal_stack(void *arg)
{
	const stack_t none = { .ss_flags = SS_DISABLE };

	(void)arg;
	return sigaltstack(&none, NULL);
}

static void contains_after(filch_job_fn *before, enum ailment ailment)
{
	begin(1, 0);
	for (int i = 0; i < 3; i++) {
		EQ(status_of(i % 2 ? guarded(before, NULL) : plain(before, NULL)), 0);
		EQ(status_of(guarded(ill, (void *)(intptr_t)ailment)), -EFAULT);
	}
	still_works();
	end();
}

Test(guard_traces, a_fault_is_contained_after_a_job_that_blocked_all_signals)
{
	contains_after(blocks_all, NULL_STORE);
	contains_after(blocks_all, DIVISION);
}

Test(guard_traces, a_stack_overflow_is_contained_after_a_job_that_took_the_signal_stack)
{
	contains_after(breaks_signal_stack, RECURSION);
}

/* The worker has nothing between the two jobs, or both were queued before. */
static void contains_at_once_and_later(filch_job_fn *before, enum ailment ailment)
{
	begin(1, FILCH_POOL_NO_SEARCH);
	for (int i = 0; i < 6; i++) {
		int64_t first = i % 2 ? guarded(before, NULL) : plain(before, NULL);
		int64_t second;

		if (i < 2)
			UNTIL(stats().asleep == 1);
		second = guarded(ill, (void *)(intptr_t)ailment);
		EQ(status_of(first), 0);
		EQ(status_of(second), -EFAULT);
		UNTIL(stats().asleep == 1); /* and what follows may be another thread */
		EQ(status_of(guarded(answer, NULL)), 42);
	}
	end();
}

Test(guard_traces, it_is_contained_at_once_and_after_a_rest)
{
	contains_at_once_and_later(blocks_all, NULL_STORE);
	contains_at_once_and_later(breaks_signal_stack, RECURSION);
}

static _Atomic int blockers;

static void blocks_all_at_the_end(const struct filch_completion *c)
{
	EQ(c->status, -ETIMEDOUT);
	EQ(blocks_all(NULL), 0);
	blockers++;
}

Test(guard_traces, and_after_a_callback_of_a_job_that_was_not_run)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	const struct timespec past = { .tv_sec = 1 };

	how.start_by = &past;
	how.on_complete = blocks_all_at_the_end;
	begin(1, FILCH_POOL_NO_SEARCH);
	for (int i = 0; i < 5; i++) {
		EQ(status_of(guarded(answer, NULL)), 42);
		UNTIL(stats().asleep == 1);
		cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
		EQ(status_of(guarded(ill, (void *)(intptr_t)NULL_STORE)), -EFAULT);
	}
	EQ(blockers, 5);
	end();
}

static int ill_after_a_wait(void *arg)
{
	int64_t id = filch_submit(pool, blocks_all, NULL, NULL);

	(void)arg;
	cr_assert(id > 0);
	EQ(filch_wait(pool, id, NULL, NULL), 0);
	return fall_ill(NULL_STORE);
}

Test(guard_traces, and_after_a_wait_under_which_another_job_blocked_them)
{
	begin(1, 0);
	for (int i = 0; i < 5; i++)
		EQ(status_of(guarded(ill_after_a_wait, NULL)), -EFAULT);
	EQ(stats().jobs_nested, 5);
	end();
}

static struct gate stolen = GATE_INIT;

FILCH_VOID_TASK(ill_when_stolen)
{
	gate_raise(&stolen);
	(void)fall_ill(NULL_STORE);
}

FILCH_TASK(int, has_it_stolen)
{
	FILCH_SPAWN(kid, ill_when_stolen);
	gate_wait(&stolen, 1);
	FILCH_SYNC(kid);
	return 1;
}

static int job_has_it_stolen(void *arg)
{
	int result = 0;

	(void)arg;
	EQ(FILCH_RUN(NULL, &result, has_it_stolen), 0);
	return result;
}

static struct gate both = GATE_INIT;

static int blocks_all_beside_another(void *arg)
{
	gate_raise(&both);
	gate_wait(&both, 2);
	return blocks_all(arg);
}

Test(guard_traces, so_is_a_fault_in_a_stolen_task)
{
	int64_t id[2];

	begin(2, 0);
	for (int i = 0; i < 2; i++)
		id[i] = plain(blocks_all_beside_another, NULL);
	for (int i = 0; i < 2; i++)
		EQ(status_of(id[i]), 0);
	EQ(status_of(guarded(job_has_it_stolen, NULL)), -EFAULT);
	EQ(stats().given_up, 2);
	still_works();
	end();
}

/* --- the processor, cancellation -------------------------------------- */

static int enables_cancellation(void *arg)
{
	int before;

	(void)arg;
	EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before), 0);
	return before;
}

static void finds_cancellation_off(uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.flags = flags;
	EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 0; i < 3; i++)
		EQ(status_of(plain(enables_cancellation, NULL)), PTHREAD_CANCEL_DISABLE);
	end();
}

Test(guard_traces, cancellation_is_off_for_each_job)
{
	finds_cancellation_off(0);
	if (TEST_HAS_GUARDS)
		finds_cancellation_off(FILCH_POOL_GUARD);
}

#if defined(__x86_64__)
#define UPWARD UINT32_C(0x4000)
#define ALIGN  0x40000ull

struct control {
	uint32_t sse;
	uint16_t x87;
};

static struct control control(void)
{
	struct control now;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(now.sse), "=m"(now.x87));
	now.sse &= ~UINT32_C(0x3f); /* what was raised */
	return now;
}

static int changes_control(void *arg)
{
	struct control to = control();

	(void)arg;
	to.sse = (to.sse | UPWARD) & ~UINT32_C(0x200); /* and division by 0 traps */
	to.x87 |= 0x800;
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(to.sse), "m"(to.x87));
	return 0;
}

static int sets_alignment_checks(void *arg)
{
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | ALIGN);
	return arg != NULL;
}

static int finds_control(void *arg)
{
	const struct control *before = arg, now = control();

	return now.sse == before->sse && now.x87 == before->x87 &&
	       !(__builtin_ia32_readeflags_u64() & ALIGN);
}

static struct gate is_stolen = GATE_INIT;

FILCH_VOID_TASK(changes_control_when_stolen)
{
	(void)changes_control(NULL);
	gate_raise(&is_stolen);
}

FILCH_TASK(int, keeps_control)
{
	struct control mine;

	(void)changes_control(NULL);
	mine = control();
	FILCH_SPAWN(kid, changes_control_when_stolen);
	gate_wait(&is_stolen, 1);
	FILCH_SYNC(kid);
	return finds_control(&mine);
}

static int job_keeps_control(void *arg)
{
	int result = 0;

	(void)arg;
	EQ(FILCH_RUN(NULL, &result, keeps_control), 0);
	return result;
}

static int waits_for_one(void *arg)
{
	struct control mine;
	struct filch_completion c;
	int64_t id;

	(void)changes_control(NULL);
	mine = control();
	id = filch_submit(pool, finds_control, arg, NULL);
	return id > 0 && !filch_wait(pool, id, NULL, &c) && c.status == 1 && finds_control(&mine);
}

static void each_job_finds_it(uint32_t workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct control before = control();

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 0; i < 10; i++) {
		EQ(status_of(plain(i % 2 ? changes_control : sets_alignment_checks, NULL)), 0);
		EQ(status_of(plain(finds_control, &before)), 1);
	}
	if (workers > 1) {
		EQ(status_of(plain(job_keeps_control, NULL)), 1);
		for (int i = 0; i < 10; i++)
			EQ(status_of(plain(finds_control, &before)), 1);
	} else {
		EQ(status_of(plain(waits_for_one, &before)), 1);
	}
	end();
}
#endif

Test(guard_traces, a_job_finds_rounding_traps_and_flags_as_the_thread_began)
{
#if defined(__x86_64__)
	each_job_finds_it(1);
	each_job_finds_it(2);
#else
	cr_skip_test("reads the registers of x86-64");
#endif
}

#if defined(__x86_64__) && !ILL_SANITIZED
static int faults_with_alignment_checks(void *arg)
{
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | ALIGN);
	if (arg)
		return *(volatile int *)((char *)arg + 1);
	*(volatile int *)0 = 1;
	return 0;
}
#endif

Test(guard_traces, a_fault_under_alignment_checks_is_contained)
{
#if defined(__x86_64__) && !ILL_SANITIZED
	static uint64_t words[2];

	begin(1, 0);
	for (int i = 0; i < 10; i++) {
		ended_by(guarded(faults_with_alignment_checks, NULL), SIGSEGV);
		ended_by(guarded(faults_with_alignment_checks, words), SIGBUS);
	}
	still_works();
	end();
#else
	cr_skip_test("sets a flag of x86-64, under which the sanitizers' code does not run");
#endif
}

/* --- where handlers are refused --------------------------------------- */

/* sigaction() for SIGFPE is -EPERM from now on. */
static bool refuse_floats(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigaction, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SIGFPE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof filter / sizeof filter[0], .filter = filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void applications(int signal_number)
{
	(void)signal_number;
}

static int is_refused(void *arg)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct sigaction now;

	(void)arg;
	signal(SIGSEGV, applications);
	signal(SIGBUS, SIG_DFL);
	if (!refuse_floats())
		return 95;
	config.workers = 1;
	config.flags = FILCH_POOL_GUARD;
	for (int i = 0; i < 3; i++) {
		if (filch_pool_create(&pool, &config) != -EPERM)
			return 98;
		if (sigaction(SIGSEGV, NULL, &now) || now.sa_handler != applications)
			return 97;
		if (sigaction(SIGBUS, NULL, &now) || now.sa_handler != SIG_DFL)
			return 96;
	}
	config.flags = 0;
	return filch_pool_create(&pool, &config) || filch_pool_destroy(pool) ? 94 : 7;
}

Test(guard_traces, where_a_handler_is_refused_create_says_so)
{
	char text[4096];
	int status;

	NEEDS_GUARDS();
	status = in_child(is_refused, NULL, text, sizeof text);

	cr_assert(WIFEXITED(status), "status %#x %s", status, text);
	if (WEXITSTATUS(status) == 95)
		cr_skip_test("no seccomp here");
	EQ(WEXITSTATUS(status), 7);
}
