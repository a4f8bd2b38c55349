/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog: what runs too long is told once, with where it is; what does not is not; the signal
 * it uses goes on to its owner.
 */
#define _GNU_SOURCE
#include "unit.h"

#include <sched.h>

#define LIMIT UINT64_C(20000000)

static struct filch_pool *pool;
static struct gate told = GATE_INIT, release = GATE_INIT;
static struct filch_stuck told_of;
static bool told_where, told_of_asked, cancels, ends;

static volatile int turning = 1;

/* Whose code a trace of a worker that turns must lead through. */
__attribute__((noinline)) static int turn(void)
{
	int turns = 0;

	while (turning && !filch_job_cancelled())
		turns++;
	return turns > 0 ? 7 : 8;
}

/* The code of is_asked(), in a section of its own: the linker tells where it begins and ends. */
extern const char __start_code_asked[], __stop_code_asked[];

static void on_stuck(void *arg, const struct filch_stuck *stuck)
{
	EQ((intptr_t)arg, (intptr_t)&told);
	told_of = *stuck;
	for (uint32_t i = 0; i < stuck->frames; i++)
		if ((uintptr_t)stuck->frame[i] - (uintptr_t)turn < 4096)
			told_where = true;
	for (uint32_t i = 0; i < stuck->frames; i++)
		if ((const char *)stuck->frame[i] > __start_code_asked &&
			(const char *)stuck->frame[i] <= __stop_code_asked)
			told_of_asked = true;
	if (cancels)
		EQ(filch_cancel(pool, stuck->id), 0);
	if (ends) {
		EQ(filch_pool_drain(pool, NULL), -EDEADLK);
		EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), -EDEADLK);
		EQ(filch_pool_destroy(pool), -EDEADLK);
	}
	gate_raise(&told);
}

static void begin(uint32_t workers, uint64_t limit, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | flags;
	config.watchdog_ns = limit;
	config.on_stuck = on_stuck;
	config.hook_arg = &told;
	EQ(filch_pool_create(&pool, &config), 0);
}

static uint64_t stuck(void)
{
	struct filch_stats s = FILCH_STATS_INIT;

	EQ(filch_pool_stats(pool, &s), 0);
	return s.stuck;
}

static int turns(void *arg)
{
	(void)arg;
	return turn();
}

static int finish(int64_t id)
{
	struct filch_completion c;

	EQ(filch_wait(pool, id, NULL, &c), 0);
	return c.status;
}

Test(watchdog, a_job_that_runs_too_long_is_told_once_with_where_it_is)
{
	uint64_t begun;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int argument, mark;
	int64_t id;

	begin(2, LIMIT, 0);
	begun = test_now();
	how.user = &mark;
	id = filch_submit(pool, turns, &argument, &how);
	cr_assert(id > 0);
	gate_wait(&told, 1);
	cr_assert(told_of.fn == turns && told_of.arg == &argument && told_of.user == &mark);
	cr_assert(test_now() - begun >= LIMIT);
	EQ(told_of.id, id);
	cr_assert(told_of.run_ns >= LIMIT && told_of.run_ns <= test_now() - begun);
	cr_assert(told_of.worker == 0 || told_of.worker == 1);
	cr_assert(told_of.frames > 1);
	cr_assert(told_where, "%u frames, and none in the job's function", told_of.frames);
	/* another one is told, so a second telling of the first would have come */
	int64_t other = filch_submit(pool, turns, NULL, NULL);
	cr_assert(other > 0);
	gate_wait(&told, 2);
	EQ(told_of.id, other);
	turning = 0;
	EQ(finish(id), 7);
	EQ(finish(other), 7);
	EQ(stuck(), 2);
	EQ(filch_pool_destroy(pool), 0);
	EQ(gate_count(&told), 2);
}

Test(watchdog, it_may_cancel_what_it_is_told_of)
{
	int64_t id;

	begin(1, LIMIT, TEST_HAS_GUARDS ? FILCH_POOL_GUARD : 0);
	cancels = true;
	id = filch_submit(pool, turns, NULL, NULL);
	cr_assert(id > 0);
	EQ(finish(id), 7);
	EQ(gate_count(&told), 1);
	EQ(filch_pool_destroy(pool), 0);
}

FILCH_TASK(int, turning_task)
{
	return turn();
}

static void *run_turning_task(void *result)
{
	EQ(FILCH_RUN(pool, (int *)result, turning_task), 0);
	return NULL;
}

Test(watchdog, what_a_run_is_has_no_function_of_the_program)
{
	pthread_t client;
	int result = 0;

	begin(1, LIMIT, 0);
	EQ(pthread_create(&client, NULL, run_turning_task, &result), 0);
	gate_wait(&told, 1);
	cr_assert(told_of.id > 0 && !told_of.fn && !told_of.arg && !told_of.user);
	cr_assert(told_where);
	turning = 0;
	EQ(pthread_join(client, NULL), 0);
	EQ(result, 7);
	EQ(filch_pool_destroy(pool), 0);
}

static int block_and_turn(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	EQ(pthread_sigmask(SIG_SETMASK, &all, arg), 0);
	(void)turn();
	return pthread_sigmask(SIG_SETMASK, arg, NULL);
}

Test(watchdog, a_worker_that_answers_no_signal_is_told_of_with_its_function)
{
	sigset_t before;
	int64_t id;

	begin(1, LIMIT, 0);
	id = filch_submit(pool, block_and_turn, &before, NULL);
	cr_assert(id > 0);
	gate_wait(&told, 1);
	EQ(told_of.frames, 0);
	cr_assert(told_of.fn == block_and_turn && told_of.arg == &before);
	turning = 0;
	EQ(finish(id), 0);
	EQ(filch_pool_destroy(pool), 0);
}

static int quick(void *arg)
{
	(void)arg;
	return 0;
}

Test(watchdog, jobs_that_end_in_time_are_not_told_however_many_there_are)
{
	uint64_t end;
	int64_t id;

	begin(1, UINT64_C(2000000000), 0);
	end = test_now() + 5 * LIMIT;
	do {
		id = filch_submit(pool, quick, NULL, NULL);
		cr_assert(id > 0);
		EQ(finish(id), 0);
	} while (test_now() < end);
	EQ(stuck(), 0);
	EQ(filch_pool_destroy(pool), 0);
}

static int sleeps(void *arg)
{
	(void)arg;
	gate_wait(&release, 1);
	return 5;
}

Test(watchdog, a_job_that_sleeps_is_told_and_sleeps_on)
{
	int64_t id;

	begin(1, LIMIT, 0);
	id = filch_submit(pool, sleeps, NULL, NULL);
	cr_assert(id > 0);
	gate_wait(&told, 1);
	cr_assert(told_of.frames > 0);
	gate_raise(&release);
	EQ(finish(id), 5);
	EQ(filch_pool_destroy(pool), 0);
}

static volatile sig_atomic_t urgent;

static void applications(int signal_number)
{
	urgent = signal_number;
}

Test(watchdog, the_applications_own_urgent_signals_reach_it)
{
	struct sigaction now;
	int64_t id;

	signal(SIGURG, applications);
	begin(1, LIMIT, 0);
	EQ(raise(SIGURG), 0);
	EQ(urgent, SIGURG);
	urgent = 0;
	id = filch_submit(pool, sleeps, NULL, NULL);
	gate_wait(&told, 1);
	EQ(urgent, 0); /* ours did not */
	gate_raise(&release);
	EQ(finish(id), 5);
	EQ(filch_pool_destroy(pool), 0);
	EQ(sigaction(SIGURG, NULL, &now), 0);
	cr_assert(now.sa_handler == applications);
}

static struct sigaction found;

static void chains(int signal_number, siginfo_t *info, void *context)
{
	if (++urgent < 20 && found.sa_flags & SA_SIGINFO)
		found.sa_sigaction(signal_number, info, context);
}

Test(watchdog, an_applications_handler_that_chains_is_called_once)
{
	struct sigaction ours;

	signal(SIGURG, SIG_DFL);
	memset(&ours, 0, sizeof ours);
	ours.sa_sigaction = chains;
	ours.sa_flags = SA_SIGINFO;
	begin(1, LIMIT, 0);
	EQ(sigaction(SIGURG, &ours, &found), 0);
	EQ(filch_pool_destroy(pool), 0);
	for (int i = 1; i <= 3; i++) {
		EQ(raise(SIGURG), 0);
		EQ(urgent, 2 * i - 1);
		begin(1, LIMIT, 0);
		EQ(raise(SIGURG), 0);
		EQ(urgent, 2 * i);
		EQ(filch_pool_destroy(pool), 0);
	}
}

/* --- late answers ----------------------------------------------------- */

static struct gate answered = GATE_INIT, asked = GATE_INIT;

static void urgent_is(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	pthread_sigmask(how, &set, NULL);
}

/*
 * Its trace is asked for and not had; its question reaches it when another job's thread has been
 * asked.
 */
static int is_late(void *arg)
{
	urgent_is(SIG_BLOCK);
	gate_wait(&asked, 1);
	urgent_is(SIG_UNBLOCK);
	gate_raise(&answered);
	gate_wait(&release, 1);
	return arg != NULL;
}

__attribute__((noinline, section("code_asked"))) static int is_asked(void *arg)
{
	sigset_t pending;

	(void)arg;
	urgent_is(SIG_BLOCK);
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGURG));
	gate_raise(&asked);
	gate_wait(&answered, 1);
	urgent_is(SIG_UNBLOCK);
	return turn() ? 3 : 4;
}

Test(watchdog, a_late_answer_is_not_taken_for_anothers)
{
	int64_t late, other;

	begin(2, LIMIT, 0);
	late = filch_submit(pool, is_late, NULL, NULL);
	gate_wait(&told, 1);
	EQ(told_of.id, late);
	EQ(told_of.frames, 0);
	other = filch_submit(pool, is_asked, NULL, NULL);
	gate_wait(&told, 2);
	EQ(told_of.id, other);
	cr_assert(!told_of.frames || told_of_asked, "%u frames of another's", told_of.frames);
	turning = 0;
	gate_raise(&release);
	EQ(finish(late), 0);
	EQ(finish(other), 3);
	EQ(filch_pool_destroy(pool), 0);
}

Test(watchdog, it_may_not_end_the_pool_that_tells_it)
{
	ends = cancels = true;
	begin(1, LIMIT, 0);
	EQ(finish(filch_submit(pool, turns, NULL, NULL)), 7);
	EQ(gate_count(&told), 1);
	EQ(filch_pool_destroy(pool), 0);
}

Test(watchdog, a_callback_without_a_limit_is_refused)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.on_stuck = on_stuck;
	EQ(filch_pool_create(&pool, &config), -EINVAL);
}

Test(watchdog, a_pool_without_a_limit_has_no_thread_for_it)
{
	int before = test_threads();
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(test_threads(), before + 1);
	EQ(filch_pool_destroy(pool), 0);
}
