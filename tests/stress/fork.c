/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork: a process with busy pools forks, from an outside thread, while other threads submit, wait,
 * run trees, and create and destroy pools. The child leaves, or runs another program, or gets
 * -ECHILD from every call on a pool it has inherited, or makes a pool of its own and works; it
 * never hangs. The parent does not notice. A child that takes longer than 20 seconds is ended by
 * its alarm, which the parent sees.
 *
 * In CI (scale 1) 200 children; the campaign of 10^3 and more is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fib.h"
#include "pools.h"

#define PATIENCE 20u /* seconds */

static struct filch_pool *pool;
static _Atomic bool over;
static _Atomic uint64_t jobs_run, runs, lives;
static _Atomic int64_t some_id;

static int count_one(void *arg)
{
	(void)arg;
	jobs_run++;
	return 0;
}

static void *submit_and_wait(void *unused)
{
	(void)unused;
	while (!over) {
		int64_t id = filch_submit(pool, count_one, NULL, NULL);

		CHECK(id > 0, "%lld", (long long)id);
		some_id = id;
		CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	}
	return NULL;
}

FILCH_VOID_TASK(take, (_Atomic bool *, taken))
{
	*taken = true;
}

/*
 * Not over before another worker has stolen from it: on one processor a small tree is hardly ever
 * stolen from by chance.
 */
FILCH_VOID_TASK(until_stolen)
{
	_Atomic bool taken = false;

	FILCH_SPAWN(kid, take, &taken);
	while (!taken)
		sched_yield();
	FILCH_SYNC(kid);
}

static void *run_trees(void *unused)
{
	(void)unused;
	while (!over) {
		long r = 0;

		CHECK_EQ(FILCH_RUN(pool, &r, fib, 15), 0);
		CHECK_EQ(r, 610);
		if (runs % 8 == 0)
			CHECK_EQ(FILCH_RUN(pool, NULL, until_stolen), 0);
		runs++;
	}
	return NULL;
}

static void *create_and_destroy(void *unused)
{
	(void)unused;
	while (!over) {
		struct filch_pool *passing = pool_open(2, 0);
		long r = 0;

		CHECK_EQ(FILCH_RUN(passing, &r, fib, 5), 0);
		CHECK_EQ(filch_pool_destroy(passing), 0);
		lives++;
	}
	return NULL;
}

/* --- children: their statuses say what went wrong --------------------- */

#define FINE 0
static const char *const complaint[] = { "fine", "submit", "submit_batch", "wait", "cancel",
	"drain", "shutdown", "destroy", "run", "for", "current", "create", "run in a new pool",
	"result", "job in a new pool", "its completion", "destroy of a new pool" };

#define EXPECT(what, condition)      \
	do {                         \
		if (!(condition))    \
			_exit(what); \
	} while (0)

static void nothing(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)arg;
}

static void inherited_pools_are_refused(void)
{
	const struct filch_job_spec spec = { .fn = count_one };
	const struct filch_submit detached = { .size = sizeof detached,
		.flags = FILCH_JOB_DETACHED };
	long r;

	EXPECT(1, filch_submit(pool, count_one, NULL, NULL) == -ECHILD);
	EXPECT(2, filch_submit_batch(pool, &spec, 1, &detached, NULL) == -ECHILD);
	EXPECT(3, filch_wait(pool, some_id, NULL, NULL) == -ECHILD);
	EXPECT(4, filch_cancel(pool, some_id) == -ECHILD);
	EXPECT(5, filch_pool_drain(pool, NULL) == -ECHILD);
	EXPECT(6, filch_pool_shutdown(pool, FILCH_ABANDON, NULL) == -ECHILD);
	EXPECT(7, filch_pool_destroy(pool) == -ECHILD);
	EXPECT(8, FILCH_RUN(pool, &r, fib, 5) == -ECHILD);
	EXPECT(9, filch_for(pool, 0, 10, 1, nothing, NULL) == -ECHILD);
	EXPECT(10, !filch_pool_current() && filch_worker_id() == -1);
}

static void new_pools_work(void)
{
	const struct filch_config config = {
		.size = sizeof config, .workers = 2, .flags = FILCH_POOL_OVERSUBSCRIBE
	};
	struct filch_pool *own = NULL;
	struct filch_completion c;
	long r = 0;
	int64_t id;

	EXPECT(11, filch_pool_create(&own, &config) == 0);
	EXPECT(12, FILCH_RUN(own, &r, fib, 18) == 0);
	EXPECT(13, r == 2584);
	id = filch_submit(own, count_one, NULL, NULL);
	EXPECT(14, id > 0);
	EXPECT(15, filch_wait(own, id, NULL, &c) == 0 && c.status == 0);
	EXPECT(7, filch_pool_destroy(pool) == -ECHILD);
	EXPECT(16, filch_pool_destroy(own) == 0);
}

static _Noreturn void child(uint64_t kind)
{
	signal(SIGALRM, SIG_DFL);
	alarm(PATIENCE);
	switch (kind % 4) {
	case 0:
		_exit(FINE);
	case 1:
		inherited_pools_are_refused();
		_exit(FINE);
	case 2:
		/*
		 * a sanitizer's runtime may not start threads in a child of a process with threads
		 */
		if (!TEST_SANITIZED)
			new_pools_work();
		inherited_pools_are_refused();
		_exit(FINE);
	default:
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
}

static void await_child(pid_t pid, uint64_t kind)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(!WIFSIGNALED(status), "a child of kind %llu was ended by signal %d%s",
		(unsigned long long)kind % 4, WTERMSIG(status),
		WTERMSIG(status) == SIGALRM ? ": it hung" : "");
	unsigned code = (unsigned)WEXITSTATUS(status);
	CHECK(code == FINE, "a child of kind %llu complains: %s (%u)", (unsigned long long)kind % 4,
		code < sizeof complaint / sizeof complaint[0] ? complaint[code] : "unknown", code);
}

static void children_of_a_busy_process_never_hang(void)
{
	static void *(*const body[4])(
		void *) = { submit_and_wait, submit_and_wait, run_trees, create_and_destroy };
	uint64_t n = test_scaled(200);
	pthread_t thread[4];

	over = false;
	jobs_run = runs = lives = 0;
	pools_begin();
	pool = pool_open(3, 0);
	pool_until_asleep(pool, 3);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, body[i], NULL), 0);
	for (uint64_t round = 0;
		round < n ||
		(!(jobs_run && runs && lives && pool_stats(pool).steals) && round < n + 10000);
		round++) {
		pid_t pid;

		test_watchdog(60);
		pid = fork();
		CHECK(pid >= 0, "%s", strerror(errno));
		if (!pid)
			child(round);
		await_child(pid, round);
	}
	over = true;
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	printf("    meanwhile the parent ran %llu jobs, %llu trees, %llu pools\n",
		(unsigned long long)jobs_run, (unsigned long long)runs, (unsigned long long)lives);
	pool_close(pool);
	pools_print();
	POOLS_COVER(parks);
	POOLS_COVER(steals);
}

/* --- from inside a job ------------------------------------------------ */

static int fork_in_a_job(void *arg)
{
	uint64_t round = (uintptr_t)arg;
	pid_t pid = fork();

	CHECK(pid >= 0, "%s", strerror(errno));
	if (!pid)
		child(round);
	await_child(pid, round);
	return 0;
}

static void a_job_may_fork(void)
{
	uint64_t n = test_scaled(100);

	pool = pool_open(2, 0);
	some_id = 1;
	for (uint64_t round = 0; round < n; round++) {
		int64_t id[2];

		test_watchdog(60);
		for (unsigned i = 0; i < 2; i++) {
			id[i] = filch_submit(
				pool, fork_in_a_job, (void *)(uintptr_t)(round + i), NULL);
			CHECK(id[i] > 0, "%lld", (long long)id[i]);
		}
		for (unsigned i = 0; i < 2; i++)
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
	}
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

int main(void)
{
	test_watchdog(60);
	(void)test_seed();
	test_case("children of a busy process never hang", children_of_a_busy_process_never_hang);
	test_case("a job may fork", a_job_may_fork);
	return test_finish("fork");
}
