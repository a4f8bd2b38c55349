/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guarded job that switches the processor's alignment checks on, in its own function and in
 * tasks, stolen and not. Compiled code and the C library do not stand them. So the library's code
 * must not run under them where a fault would end the process, or leave something half done.
 *
 * LD_BIND_NOT makes each call of a shared library go through the dynamic linker, as otherwise only
 * the first one does. That has unaligned accesses in any case.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "pools.h"

/* The job's own code under the checks makes no call, and no access that is not aligned. */
#if defined(__x86_64__)
#define ALIGN 0x40000ull
/* compilers move even volatile accesses over the flags */
#define BARRIER() __asm__ volatile("" : : : "memory")

static inline void checks_on(void)
{
	BARRIER();
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | ALIGN);
	BARRIER();
}

static inline void checks_off(void)
{
	BARRIER();
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~ALIGN);
	BARRIER();
}

static inline void pause_here(void)
{
	__builtin_ia32_pause();
}
#else
static inline void checks_on(void)
{
}

static inline void checks_off(void)
{
}

static inline void pause_here(void)
{
}
#endif

static struct filch_pool *pool;

static void open_pool(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	int error;

	pools_begin();
	config.workers = 2;
	config.deque_capacity = 64;
	config.flags = FILCH_POOL_GUARD | FILCH_POOL_OVERSUBSCRIBE;
	error = filch_pool_create(&pool, &config);
	if (error == -ENOTSUP)
		test_skip("guards are not supported here");
	CHECK_EQ(error, 0);
}

static struct filch_completion run(filch_job_fn *fn, void *arg)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	int64_t id;

	test_watchdog(60);
	how.flags = FILCH_JOB_GUARD;
	id = filch_submit(pool, fn, arg, &how);
	CHECK(id > 0, "%d", (int)id);
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	return c;
}

/* --- spawns and syncs ------------------------------------------------- */

FILCH_TASK(long, tree, (long, n))
{
	long right;

	checks_on();
	if (n < 2)
		return n;
	FILCH_SPAWN(left, tree, n - 1);
	right = FILCH_CALL(tree, n - 2);
	checks_on();
	return FILCH_SYNC(left) + right;
}

static int grows_a_tree(void *arg)
{
	long result = 0;

	(void)FILCH_RUN(NULL, &result, tree, *(long *)arg);
	checks_off();
	return (int)result;
}

static void trees_grow_under_the_checks(void)
{
	long n = 18;

	open_pool();
	/* until a worker has waited for a stolen task, and one been woken by a push */
	for (uint64_t k = 0;
		k < test_scaled(50) || !pool_stats(pool).joins_waited || !pool_stats(pool).steals;
		k++)
		CHECK_EQ(run(grows_a_tree, &n).status, 2584);
	CHECK_EQ(pool_stats(pool).faults, 0);
	pool_close(pool);
	pools_print();
}

FILCH_VOID_TASK(leaf)
{
	checks_on();
}

FILCH_VOID_TASK(chain, (int, n))
{
	if (!n)
		return;
	checks_on();
	FILCH_SPAWN(kid, leaf);
	FILCH_CALL(chain, n - 1);
	checks_on();
	FILCH_SYNC(kid);
}

static int hangs_on_a_chain(void *arg)
{
	int error = FILCH_RUN(NULL, NULL, chain, *(int *)arg);

	checks_off();
	return error;
}

static void a_deque_grows_under_the_checks(void)
{
	int n = 5000, tries = 0;

	do {
		open_pool();
		for (uint64_t k = 0; k < test_scaled(20); k++)
			CHECK_EQ(run(hangs_on_a_chain, &n).status, 0);
		CHECK_EQ(pool_stats(pool).faults, 0);
		pool_close(pool);
	} while (!(pools_sum.grows && pools_sum.asked) && ++tries < 100);
	POOLS_COVER(grows);
	POOLS_COVER(asked);
}

/* --- waits ------------------------------------------------------------ */

static int work(void *arg)
{
	return (int)(uintptr_t)arg;
}

static _Atomic bool awaited;

static int work_until_awaited(void *arg)
{
	while (!awaited)
		sched_yield();
	return work(arg);
}

static int waits_for_others(void *arg)
{
	struct filch_completion c;
	int64_t here, there;

	(void)arg;
	awaited = false;
	there = filch_submit(pool, work_until_awaited, (void *)2, NULL);
	here = filch_submit(pool, work, (void *)1, NULL);
	if (here < 0 || there < 0)
		return -1;
	while (pool_stats(pool).queued > 1)
		sched_yield(); /* the other worker has the first */
	checks_on();
	if (filch_wait(pool, here, NULL, &c) || c.status != 1)
		return -2;
	awaited = true;
	checks_on();
	if (filch_wait(pool, there, NULL, &c) || c.status != 2)
		return -3;
	return 0;
}

static void a_job_waits_under_the_checks(void)
{
	open_pool();
	for (uint64_t k = 0; k < test_scaled(100); k++)
		CHECK_EQ(run(waits_for_others, NULL).status, 0);
	CHECK_EQ(pool_stats(pool).faults, 0);
	pool_close(pool);
	POOLS_COVER(jobs_nested);
}

/* --- faults ----------------------------------------------------------- */

static uint64_t words[2];
static _Atomic int taken;

/* By another worker than its spawner: that one goes on only then. */
FILCH_VOID_TASK(faults_when_taken, (bool, is_aligned))
{
	volatile char *at = is_aligned ? NULL : (volatile char *)words + 1;

	taken = 1;
	checks_on();
	*(volatile uint32_t *)(volatile void *)at = 1;
}

FILCH_TASK(int, waits_for_a_fault, (bool, is_aligned))
{
	FILCH_SPAWN(kid, faults_when_taken, is_aligned);
	while (!taken)
		pause_here();
	checks_on();
	FILCH_SYNC(kid);
	return 1;
}

static int has_a_fault_taken(void *arg)
{
	int result = 0;

	taken = 0;
	(void)FILCH_RUN(NULL, &result, waits_for_a_fault, *(bool *)arg);
	return result;
}

/* What a program may do and should not: the first calls of a process fault in the linker. */
static int calls_the_c_library(void *arg)
{
	checks_on();
	return (int)getppid() + (arg != NULL);
}

static void a_stolen_task_faults_under_the_checks(void)
{
	long n = 10;

	open_pool();
	for (uint64_t k = 0; k < test_scaled(50); k++) {
		bool is_aligned = k % 2;
		struct filch_completion c = run(has_a_fault_taken, &is_aligned);

		CHECK_EQ(c.status, -EFAULT);
		CHECK_EQ(c.detail[0], is_aligned ? SIGSEGV : SIGBUS);
		CHECK_EQ(run(grows_a_tree, &n).status, 55);
	}
	pool_close(pool);
	CHECK_EQ(pools_sum.given_up, 2 * test_scaled(50)); /* the thief's thread and the joiner's */
}

static void a_call_of_the_c_library_under_the_checks_is_the_jobs_own_fault(void)
{
	long n = 10;

	open_pool();
	for (uint64_t k = 0; k < test_scaled(20); k++) {
		struct filch_completion c = run(calls_the_c_library, NULL);

		CHECK(c.status >= 0 || (c.status == -EFAULT && c.detail[0] == SIGBUS), "%d, %d",
			c.status, (int)c.detail[0]);
		CHECK_EQ(run(grows_a_tree, &n).status, 55);
	}
	pool_close(pool);
}

int main(int argc, char **argv)
{
	(void)argc;
	if (TEST_SANITIZED)
		test_skip("the sanitizers' code does not run under alignment checks");
	if (!getenv("LD_BIND_NOT")) {
		CHECK_EQ(setenv("LD_BIND_NOT", "1", 1), 0);
		execv("/proc/self/exe", argv);
		test_fail(__FILE__, __LINE__, "execv", "%s", "/proc/self/exe");
	}
#define CASE(name) test_case(#name, name)
	CASE(trees_grow_under_the_checks);
	CASE(a_deque_grows_under_the_checks);
	CASE(a_job_waits_under_the_checks);
	CASE(a_stolen_task_faults_under_the_checks);
	CASE(a_call_of_the_c_library_under_the_checks_is_the_jobs_own_fault);
	return test_finish("alignment");
}
