/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default pool in a process that forks and ends: a child has one of its own, whenever the fork
 * comes, and no end of a process waits for it.
 * timeout: 240
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fib.h"
#include "pools.h"

static int run(void)
{
	long r = 0;
	int error = FILCH_RUN(NULL, &r, fib, 12);

	return error ? -error : r == 144 ? 0 : 200;
}

/* A child calls @fn and ends as by _exit(); its status. */
static int child_of(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0, "%s", strerror(errno));
	if (!pid)
		_exit(fn());
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(WIFEXITED(status), "%#x", (unsigned)status);
	return WEXITSTATUS(status);
}

static struct filch_pool *parents;

static int use_both(void)
{
	long r;

	if (FILCH_RUN(parents, &r, fib, 5) != -ECHILD)
		return 201;
	if (filch_wait(NULL, 1, NULL, NULL) != -ESRCH)
		return 202; /* there is no default pool yet */
	if (run())
		return 203;
	return filch_pool_default() == parents ? 204 : child_of(run);
}

static void a_child_has_one_of_its_own(void)
{
	CHECK_EQ(run(), 0);
	parents = filch_pool_default();
	for (int k = 0; k < 20; k++) {
		test_watchdog(60);
		CHECK_EQ(child_of(use_both), 0);
		CHECK_EQ(run(), 0);
		CHECK(filch_pool_default() == parents, "another one");
	}
	CHECK_EQ(filch_pool_destroy(parents), 0);
}

static atomic_bool enough;
static atomic_ulong made;

static void *make_and_end(void *arg)
{
	while (!atomic_load(&enough)) {
		CHECK_EQ(run(), 0);
		CHECK_EQ(filch_pool_destroy(filch_pool_default()), 0);
		atomic_fetch_add(&made, 1);
	}
	return arg;
}

/* The fork comes at any step of a making or an end. */
static void a_fork_beside_the_first_use(void)
{
	unsigned long children = 0;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, make_and_end, NULL), 0);
	for (uint64_t k = test_scaled(200); k || atomic_load(&made) < 10; k -= k > 0) {
		test_watchdog(60);
		CHECK_EQ(child_of(run), 0);
		children++;
	}
	atomic_store(&enough, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	printf("    %lu children beside %lu pools\n", children, atomic_load(&made));
}

/* In a job: the child is no worker any more, and goes on with a pool of its own. */
static int fork_in_job(void *arg)
{
	(void)arg;
	return child_of(run);
}

static void a_fork_in_a_job_of_it(void)
{
	struct filch_completion c;

	for (int k = 0; k < 20; k++) {
		test_watchdog(60);
		CHECK_EQ(
			filch_wait(NULL, filch_submit(NULL, fork_in_job, NULL, NULL), NULL, &c), 0);
		CHECK_EQ(c.status, 0);
	}
}

static pid_t parent;

static int fork_each(void *arg, int worker)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		return 0; /* where it must not come back from */
	CHECK(pid > 0, "%s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(WIFEXITED(status), "%#x", (unsigned)status);
	((int *)arg)[worker]++;
	return WEXITSTATUS(status);
}

/* On the creator's own thread the child comes back with -ECHILD; elsewhere it ends. */
static void a_fork_in_what_each_worker_runs(void)
{
	for (uint64_t flags = 0; flags <= FILCH_POOL_CALLER; flags += FILCH_POOL_CALLER) {
		struct filch_pool *pool = pool_open(2, flags);
		int ran[2] = { 0, 0 }, error;

		test_watchdog(60);
		error = filch_pool_each(pool, fork_each, ran);
		if (getpid() != parent)
			_exit(error == -ECHILD && flags ? 0 : 205);
		CHECK_EQ(error, 0);
		CHECK(ran[0] == 1 && ran[1] == 1, "%d and %d", ran[0], ran[1]);
		CHECK_EQ(filch_pool_destroy(pool), 0);
	}
}

static int never_end(void *arg)
{
	atomic_store((atomic_bool *)arg, true);
	while (pause() < 0)
		;
	return 0;
}

/* exit(3), not _exit(2): with a job that never ends, from outside, and from a job. */
static int exit_beside_a_job(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	static atomic_bool begun;

	how.flags = FILCH_JOB_DETACHED;
	CHECK(filch_submit(NULL, never_end, &begun, &how) > 0, "submit");
	while (!atomic_load(&begun))
		sched_yield();
	exit(33);
}

static int exit_in_job(void *arg)
{
	(void)arg;
	exit(34);
}

static int exit_from_a_job(void)
{
	(void)filch_wait(NULL, filch_submit(NULL, exit_in_job, NULL, NULL), NULL, NULL);
	return 206;
}

static int exit_idle(void)
{
	exit(run() ? 207 : 35);
}

static void no_end_of_a_process_waits_for_it(void)
{
	test_watchdog(60);
	CHECK_EQ(child_of(exit_beside_a_job), 33);
	CHECK_EQ(child_of(exit_from_a_job), 34);
	CHECK_EQ(child_of(exit_idle), 35);
}

/* --- before and after main() ---------------------------------------------- */

/*
 * Constructors of the program run before those of the static library, and its destructors may run
 * after the library's. Each uses the pool, and forks beside it. Only the last does not fork: the C
 * library has dropped the program's fork handlers by then.
 */
static int before_main = -1;

static int run_and_fork(void)
{
	int error = run();

	return error ? error : child_of(run);
}

__attribute__((constructor(101))) static void first_of_all(void)
{
	if (!TEST_SANITIZED)
		before_main = run_and_fork();
}

__attribute__((constructor)) static void before(void)
{
	if (!TEST_SANITIZED && !before_main)
		before_main = run_and_fork();
}

/* Not in children of the other cases, whose pools are busy. */
static void end_with(int (*fn)(void))
{
	if (!TEST_SANITIZED && getpid() == parent && fn())
		_exit(1);
}

__attribute__((destructor)) static void after(void)
{
	end_with(run_and_fork);
}

__attribute__((destructor(101))) static void last_of_all(void)
{
	end_with(run);
}

static void constructors_and_destructors_use_it(void)
{
	CHECK_EQ(before_main, 0);
	CHECK_EQ(run_and_fork(), 0);
	/* a failure of after() and of last_of_all() is this program's status */
}

int main(void)
{
	parent = getpid();
	if (TEST_SANITIZED)
		test_skip("its runtime starts no threads in a child, or has malloc's locks there");
	test_watchdog(60);
#define CASE(name) test_case(#name, name)
	CASE(constructors_and_destructors_use_it);
	CASE(a_child_has_one_of_its_own);
	CASE(a_fork_beside_the_first_use);
	CASE(a_fork_in_a_job_of_it);
	CASE(a_fork_in_what_each_worker_runs);
	CASE(no_end_of_a_process_waits_for_it);
	return test_finish("default_pool");
}
