/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork: every call that would act on an inherited pool is -ECHILD and none hangs; the child may
 * make a pool of its own; the parent's pool goes on as if nothing had happened.
 */
#include <criterion/criterion.h>

#include "unit.h"
#include <fib.h>

#include <stdio.h>

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void no_body(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)arg;
	_exit(99);
}

static void no_acc(size_t b, size_t e, void *acc, void *arg)
{
	(void)acc;
	no_body(b, e, arg);
}

static void no_join(void *acc, const void *right, void *arg)
{
	(void)acc;
	(void)right;
	(void)arg;
	_exit(99);
}

static void no_scan(size_t b, size_t e, void *acc, bool write, void *arg)
{
	(void)write;
	no_acc(b, e, acc, arg);
}

static int no_cmp(const void *a, const void *b, void *arg)
{
	(void)a;
	(void)b;
	(void)arg;
	_exit(99);
}

static void no_call(void *arg)
{
	(void)arg;
	_exit(99);
}

struct inherited {
	struct filch_pool *pool;
	int64_t id;
	bool only_calls; /* the child makes no pool of its own */
};

/* The number of the first call that is not -ECHILD, 0 if all are. */
static int call_everything(void *arg)
{
	const struct inherited *i = arg;
	struct filch_job_spec spec = { nothing, NULL, NULL };
	struct timespec past = { 0, 1 };
	void (*const fn[1])(void *) = { no_call };
	int64_t id;
	long r = 0;

	alarm(20); /* a hang is a death by signal */
	if (filch_submit(i->pool, nothing, NULL, NULL) != -ECHILD)
		return 1;
	if (filch_submit_batch(i->pool, &spec, 1, NULL, &id) != -ECHILD)
		return 2;
	if (filch_wait(i->pool, i->id, NULL, NULL) != -ECHILD)
		return 3;
	if (filch_wait(i->pool, i->id, &past, NULL) != -ECHILD)
		return 4;
	if (filch_cancel(i->pool, i->id) != -ECHILD)
		return 5;
	if (FILCH_RUN(i->pool, &r, fib, 5) != -ECHILD)
		return 6;
	if (filch_for(i->pool, 0, 10, 1, no_body, NULL) != -ECHILD)
		return 7;
	if (filch_reduce(i->pool, 0, 10, 1, sizeof r, &r, no_acc, no_join, NULL, &r) != -ECHILD)
		return 8;
	if (filch_invoke(i->pool, 1, fn, NULL) != -ECHILD)
		return 9;
	if (filch_pool_drain(i->pool, NULL) != -ECHILD)
		return 10;
	if (filch_pool_shutdown(i->pool, FILCH_DRAIN, NULL) != -ECHILD)
		return 11;
	if (filch_pool_shutdown(i->pool, FILCH_ABANDON, NULL) != -ECHILD)
		return 12;
	if (filch_pool_destroy(i->pool) != -ECHILD)
		return 13;
	/* questions about the thread, not about a pool */
	if (filch_pool_current() || filch_worker_id() != -1 || filch_job_id() ||
		filch_job_cancelled())
		return 14;
	if (!i->only_calls && (FILCH_RUN(NULL, &r, fib, 5) || r != 5)) /* a pool of its own */
		return 15;
	/* with nothing to do as well */
	if (filch_for(i->pool, 3, 3, 1, no_body, NULL) != -ECHILD ||
		filch_invoke(i->pool, 0, fn, NULL) != -ECHILD)
		return 16;
	if (filch_reduce(i->pool, 3, 3, 1, sizeof r, &r, no_acc, no_join, NULL, &r) != -ECHILD)
		return 17;
	if (filch_scan(i->pool, 3, 3, 1, sizeof r, &r, no_scan, no_join, NULL, &r) != -ECHILD)
		return 18;
	if (filch_sort(i->pool, &r, 1, sizeof r, no_cmp, NULL) != -ECHILD ||
		filch_sort(i->pool, NULL, 0, 200, no_cmp, NULL) != -ECHILD)
		return 19;
	return filch_submit_batch(i->pool, NULL, 0, NULL, NULL) == -ECHILD ? 0 : 20;
}

static void left_with(int expected, int (*body)(void *arg), void *arg)
{
	char text[4096];
	int status = in_child(body, arg, text, sizeof text);

	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == expected, "status %#x, said: %s",
		(unsigned)status, text);
}

Test(fork, every_call_that_acts_on_an_inherited_pool_is_refused)
{
	struct inherited i = { .pool = pool_of(2, 0) };
	struct filch_stats s = FILCH_STATS_INIT;

	i.id = filch_submit(i.pool, nothing, NULL, NULL);
	left_with(0, call_everything, &i);
	EQ(filch_wait(i.pool, i.id, NULL, NULL), 0); /* the parent's job is untouched */
	EQ(filch_pool_stats(i.pool, &s), 0);
	EQ(s.jobs, 1);
	EQ(filch_pool_destroy(i.pool), 0);
}

/* What only asks goes on working: the child has the memory. */
static int ask_everything(void *arg)
{
	const struct inherited *i = arg;
	struct filch_stats s = FILCH_STATS_INIT;
	FILE *nowhere = fopen("/dev/null", "w");

	alarm(20);
	if (filch_pool_workers(i->pool) != 2)
		return 1;
	if (filch_pool_stats(i->pool, &s) || s.jobs != 1)
		return 2;
	return !nowhere || filch_pool_describe(i->pool, nowhere, FILCH_TEXT) ? 3 : 0;
}

Test(fork, questions_about_an_inherited_pool_are_answered)
{
	struct inherited i = { .pool = pool_of(2, 0) };

	EQ(filch_wait(i.pool, filch_submit(i.pool, nothing, NULL, NULL), NULL, NULL), 0);
	left_with(0, ask_everything, &i);
	EQ(filch_pool_destroy(i.pool), 0);
}

static int pool_of_ones_own(void *arg)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	long r = 0;

	(void)arg;
	alarm(60);
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	if (filch_pool_create(&pool, &config))
		return 1;
	for (int k = 0; k < 20; k++) {
		if (FILCH_RUN(pool, &r, fib, 15) || r != 610)
			return 2;
		if (filch_wait(pool, filch_submit(pool, nothing, NULL, NULL), NULL, NULL))
			return 3;
	}
	return filch_pool_destroy(pool) ? 4 : 0;
}

Test(fork, a_child_makes_a_pool_of_its_own)
{
	struct filch_pool *pool = pool_of(2, 0);
	long r = 0;

	for (int k = 0; k < 5; k++) {
		left_with(0, pool_of_ones_own, NULL);
		EQ(FILCH_RUN(pool, &r, fib, 15), 0);
		EQ(r, 610);
	}
	EQ(filch_pool_destroy(pool), 0);
}

static int both(void *arg)
{
	int failed = call_everything(arg);

	return failed ? failed : pool_of_ones_own(NULL) ? 50 : call_everything(arg);
}

static int grandchild(void *arg)
{
	char text[4096];
	int status;

	alarm(60);
	status = in_child(both, arg, text, sizeof text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 70;
}

Test(fork, a_grandchild_is_treated_alike)
{
	struct inherited i = { .pool = pool_of(1, 0) };

	i.id = filch_submit(i.pool, nothing, NULL, NULL);
	left_with(0, grandchild, &i);
	EQ(filch_pool_destroy(i.pool), 0);
}

static int fork_in_a_job(void *arg)
{
	pid_t child = fork();
	int status = 0;

	if (!child)
		_exit(call_everything(arg));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 70;
}

Test(fork, a_child_forked_by_a_worker_is_no_worker)
{
	struct inherited i = { .pool = pool_of(2, 0) };
	struct filch_completion c;

	i.id = filch_submit(i.pool, nothing, NULL, NULL);
	EQ(filch_wait(i.pool, filch_submit(i.pool, fork_in_a_job, &i, NULL), NULL, &c), 0);
	EQ(c.status, 0);
	EQ(filch_pool_destroy(i.pool), 0);
}

/* --- in the midst of a call ------------------------------------------- */

/*
 * What a child may do that was forked in a callback or a job, on whichever thread: it is in
 * neither.
 */
static int on_its_own(void *arg)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct timespec past = { 0, 1 };
	struct filch_completion c;
	struct filch_pool *pool;
	int failed = call_everything(arg);

	if (failed)
		return failed;
	config.workers = 1;
	config.watchdog_ns = UINT64_C(1000000000000);
	if (filch_cq_create(&how.cq, 4) || filch_pool_create(&pool, &config))
		return 20;
	if (filch_cq_wait(how.cq, &c, 1, &past) != -ETIMEDOUT)
		return 21;
	if (filch_submit(pool, nothing, NULL, &how) < 0 || filch_cq_wait(how.cq, &c, 1, NULL) != 1)
		return 22;
	if (filch_pool_drain(pool, NULL) || filch_pool_destroy(pool) || filch_cq_destroy(how.cq))
		return 23;
	return call_everything(arg);
}

static struct inherited mine;
static int forked = -1;
static struct gate told = GATE_INIT;

static int fork_here(void *arg)
{
	pid_t child = fork();
	int status = 0;

	(void)arg;
	if (!child)
		_exit(on_its_own(&mine));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 70;
}

static void fork_in_a_callback(const struct filch_completion *c)
{
	(void)c;
	forked = fork_here(NULL);
	gate_raise(&told);
}

#if defined(UNIT_ADDRESS_SANITIZER)
#define NOT_UNDER_THE_SANITIZER()                                                                  \
	cr_skip_test(                                                                              \
		"the sanitizer's malloc may hang in a child that was forked while another thread " \
		"allocated")
#else
#define NOT_UNDER_THE_SANITIZER() (void)0
#endif

static struct gate started = GATE_INIT, release = GATE_INIT;

static int hold(void *arg)
{
	gate_raise(&started);
	gate_wait(&release, 1);
	return arg != NULL;
}

static void begin_held(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.queue_capacity = 1;
	EQ(filch_pool_create(&mine.pool, &config), 0);
	mine.id = filch_submit(mine.pool, hold, NULL, NULL);
	gate_wait(&started, 1);
}

static void end_held(void)
{
	gate_raise(&release);
	EQ(filch_pool_drain(mine.pool, NULL), 0);
	EQ(filch_pool_destroy(mine.pool), 0);
}

Test(fork, a_child_forked_in_a_callback_is_in_no_callback)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	NOT_UNDER_THE_SANITIZER();
	begin_held();
	how.on_complete = fork_in_a_callback;
	id = filch_submit(mine.pool, nothing, NULL, &how);
	cr_assert(id > 0);
	EQ(filch_cancel(mine.pool, id), 0); /* on this thread */
	EQ(forked, 0);
	forked = -1;
	cr_assert(filch_submit(mine.pool, nothing, NULL, &how) > 0);
	gate_raise(&release);
	gate_wait(&told, 2); /* on the worker */
	EQ(forked, 0);
	end_held();
}

Test(fork, a_child_forked_in_a_job_that_its_submitter_runs_is_in_no_job)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	int64_t id;

	NOT_UNDER_THE_SANITIZER();
	begin_held();
	cr_assert(filch_submit(mine.pool, nothing, NULL, NULL) > 0); /* full */
	how.when_full = FILCH_CALLER_RUNS;
	id = filch_submit(mine.pool, fork_here, NULL, &how);
	EQ(filch_wait(mine.pool, id, NULL, &c), 0);
	EQ(c.worker, -1);
	EQ(c.status, 0);
	end_held();
}

/*
 * The watchdog asks this job's thread where it is, by SIGURG, and waits. The signal is blocked
 * here: while it is pending the watchdog is in the midst of that.
 */
static int fork_while_asked(void *arg)
{
	sigset_t urgent, pending;

	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	pthread_sigmask(SIG_BLOCK, &urgent, NULL);
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGURG));
	return fork_here(arg);
}

static void on_stuck(void *arg, const struct filch_stuck *stuck)
{
	(void)stuck;
	gate_raise(arg);
}

Test(fork, a_child_forked_while_the_watchdog_asks_makes_a_watched_pool)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_completion c;

	NOT_UNDER_THE_SANITIZER();
	config.workers = 1;
	config.watchdog_ns = 10000000;
	config.on_stuck = on_stuck;
	config.hook_arg = &told;
	EQ(filch_pool_create(&mine.pool, &config), 0);
	mine.id = filch_submit(mine.pool, fork_while_asked, NULL, NULL);
	EQ(filch_wait(mine.pool, mine.id, NULL, &c), 0);
	EQ(c.status, 0);
	gate_wait(&told, 1);
	EQ(filch_pool_destroy(mine.pool), 0);
}

/* --- while others work ------------------------------------------------ */

static int stop;

static void *create_and_destroy(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct filch_config config = FILCH_CONFIG_INIT;
		struct filch_pool *pool;

		config.workers = 1;
		config.flags = FILCH_POOL_OVERSUBSCRIBE;
		if (filch_pool_create(&pool, &config) || filch_pool_destroy(pool))
			abort();
	}
	return NULL;
}

static int one_pool(void *arg)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	(void)arg;
	alarm(20);
	config.workers = 1;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	if (filch_pool_create(&pool, &config))
		return 1;
	return filch_pool_destroy(pool) ? 2 : 0;
}

Test(fork, a_child_makes_a_pool_though_its_parent_was_making_one)
{
	pthread_t thread[2];

	if (test_is_emulated())
		cr_skip_test("qemu-user holds a lock of its own while it makes a thread, also over "
			     "a fork");
#if defined(UNIT_ADDRESS_SANITIZER)
	cr_skip_test("the sanitizer's malloc may hang in a child that was forked while "
		     "another thread allocated");
#endif
	for (int k = 0; k < 2; k++)
		EQ(pthread_create(&thread[k], NULL, create_and_destroy, NULL), 0);
	for (uint64_t k = 0; k < test_scaled(100); k++)
		left_with(0, one_pool, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int k = 0; k < 2; k++)
		EQ(pthread_join(thread[k], NULL), 0);
}

static void *busy(void *pool)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		long r = 0;

		if (FILCH_RUN(pool, &r, fib, 12) || r != 144)
			abort();
	}
	return NULL;
}

Test(fork, a_busy_pool_is_forked_and_neither_side_minds)
{
	struct inherited i = { .pool = pool_of(2, 0) };
	pthread_t thread;

#if defined(UNIT_ADDRESS_SANITIZER)
	/* the sanitizer's malloc may hang there: other threads allocate while this one forks */
	i.only_calls = true;
#endif
	i.id = filch_submit(i.pool, nothing, NULL, NULL);
	EQ(pthread_create(&thread, NULL, busy, i.pool), 0);
	for (uint64_t k = 0; k < test_scaled(200); k++)
		left_with(0, call_everything, &i);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	EQ(pthread_join(thread, NULL), 0);
	EQ(filch_pool_destroy(i.pool), 0);
}
