/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals and workers. A worker blocks what its pool's creator blocked, so:
 *   - a collector that stops threads by a signal reaches workers wherever they are
 *   - raise() and timers for one thread run their handlers in a job
 *   - a program that a job starts can be ended
 * With FILCH_POOL_BLOCK_SIGNALS the process's signals are handled elsewhere.
 * timeout: 240
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fib.h"
#include "pools.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

extern char **environ;

static struct filch_pool *pool;

static struct filch_config config_of(uint32_t workers, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = flags | FILCH_POOL_OVERSUBSCRIBE;
	return config;
}

static int run(filch_job_fn *fn, void *arg, uint64_t flags)
{
	return pool_run(pool, fn, arg, flags);
}

/* --- which are blocked ------------------------------------------------ */

/* Of the signals up to 31, as a mask; those that cannot be blocked count as not. */
static uint32_t blocked_here(void)
{
	uint32_t mask = 0;
	sigset_t now;

	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
	for (int s = 1; s < 32; s++)
		mask |= sigismember(&now, s) == 1 ? UINT32_C(1) << s : 0;
	return mask;
}

static int ask(void *arg)
{
	*(uint32_t *)arg = blocked_here();
	return 0;
}

static int leave(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static uint32_t bit(int s)
{
	return UINT32_C(1) << s;
}

static void change(int how, int s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, s);
	CHECK_EQ(pthread_sigmask(how, &set, NULL), 0);
}

static void workers_block_what_their_creator_did(void)
{
	static const uint64_t kinds[] = { 0, FILCH_POOL_GUARD };
	uint32_t mask;

	CHECK_EQ(blocked_here(), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct filch_config config = config_of(1, kinds[i]);
		int error;

		change(SIG_BLOCK, SIGUSR2);
		change(SIG_BLOCK, SIGSEGV);
		error = filch_pool_create(&pool, &config);
		change(SIG_UNBLOCK, SIGSEGV);
		change(SIG_UNBLOCK, SIGUSR2);
		if (error == -ENOTSUP)
			continue;
		CHECK_EQ(error, 0);
		CHECK_EQ(run(ask, &mask, 0), 0);
		CHECK_EQ(mask, bit(SIGUSR2)); /* faults are never blocked */
		/* the next thread on the seat too, whichever thread has made it */
		CHECK_EQ(run(leave, NULL, 0), -ECANCELED);
		CHECK_EQ(run(ask, &mask, 0), 0);
		CHECK_EQ(mask, bit(SIGUSR2));
		CHECK_EQ(filch_pool_destroy(pool), 0);
	}
}

static void a_flag_keeps_signals_from_workers(void)
{
	struct filch_config config = config_of(1, FILCH_POOL_BLOCK_SIGNALS);
	const uint32_t open = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) |
			      bit(SIGTRAP) | bit(SIGSYS) | bit(SIGABRT) | bit(SIGPROF) |
			      bit(SIGKILL) | bit(SIGSTOP);
	uint32_t mask;

	change(SIG_BLOCK, SIGUSR2);
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	change(SIG_UNBLOCK, SIGUSR2);
	CHECK_EQ(run(ask, &mask, 0), 0);
	CHECK_EQ(mask, ~open & ~UINT32_C(1));
	CHECK_EQ(run(ask, &mask, FILCH_JOB_FREE), 0);
	CHECK_EQ(mask, bit(SIGUSR2));
	CHECK_EQ(run(ask, &mask, 0), 0);
	CHECK_EQ(mask, ~open & ~UINT32_C(1));
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static int block_two(void *arg)
{
	(void)arg;
	change(SIG_BLOCK, SIGTERM);
	change(SIG_BLOCK, SIGSEGV);
	return 0;
}

static void block_as_a_hook(void *arg, int worker)
{
	(void)worker;
	(void)arg;
	change(SIG_BLOCK, SIGUSR1);
}

/* A guarded job begins as its worker's hook left it; one that is free as the creator was. */
static void what_a_job_blocks_does_not_reach_a_guarded_or_a_free_one(void)
{
	static const uint64_t kinds[] = { 0, FILCH_POOL_BLOCK_SIGNALS };
	uint32_t mask, begun;

	for (unsigned i = 0; i < 2; i++) {
		struct filch_config config = config_of(1, kinds[i] | FILCH_POOL_GUARD);
		int error;

		config.on_worker_start = block_as_a_hook;
		change(SIG_BLOCK, SIGUSR2);
		error = filch_pool_create(&pool, &config);
		change(SIG_UNBLOCK, SIGUSR2);
		if (error == -ENOTSUP)
			return;
		CHECK_EQ(error, 0);
		CHECK_EQ(run(ask, &begun, 0), 0);
		CHECK(begun & bit(SIGUSR1) && begun & bit(SIGUSR2), "%#x", begun);
		for (unsigned round = 0; round < 20; round++) {
			const uint64_t by = round & 1 ? FILCH_JOB_GUARD : 0;

			CHECK_EQ(run(block_two, NULL, by), 0);
			CHECK_EQ(run(ask, &mask, FILCH_JOB_GUARD), 0);
			CHECK_EQ(mask, begun);
			CHECK_EQ(run(block_two, NULL, by), 0);
			CHECK_EQ(run(ask, &mask, FILCH_JOB_FREE), 0);
			CHECK_EQ(mask, bit(SIGUSR2));
			CHECK_EQ(run(ask, &mask, FILCH_JOB_FREE | FILCH_JOB_GUARD), 0);
			CHECK_EQ(mask, bit(SIGUSR2));
		}
		CHECK_EQ(filch_pool_destroy(pool), 0);
	}
}

static int store_nowhere(void *arg)
{
	*(volatile int *)arg = 1;
	return 0;
}

/* Whatever its creator blocks: a blocked fault would end the process. */
static void a_free_job_that_faults_ends_alone(void)
{
	struct filch_config config = config_of(1, FILCH_POOL_GUARD | FILCH_POOL_BLOCK_SIGNALS);
	sigset_t all, before;
	int error;

	sigfillset(&all);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
	error = filch_pool_create(&pool, &config);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	if (error == -ENOTSUP)
		return;
	CHECK_EQ(error, 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(run(store_nowhere, (void *)64, FILCH_JOB_GUARD | FILCH_JOB_FREE), -EFAULT);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

/*
 * The pool's own threads: all but faults, SIGABRT and SIGPROF, but the program finds on_stuck as a
 * job. A callback that leaves its thread changes nothing of it.
 */
static _Atomic uint32_t stuck_mask;
static _Atomic int stuck_told;
static _Atomic bool stuck_leaves;
static _Atomic pid_t stuck_thread;

static void tell(void *arg, const struct filch_stuck *stuck)
{
	(void)arg;
	(void)stuck;
	stuck_mask = blocked_here();
	stuck_thread = (pid_t)syscall(SYS_gettid);
	stuck_told++;
	if (stuck_leaves)
		pthread_exit(NULL);
}

static int wait_until_told(void *arg)
{
	while (!stuck_told)
		sched_yield();
	return arg != NULL;
}

/* As the kernel has it: once the thread sleeps it is out of the callback. */
static uint32_t blocked_in(pid_t thread)
{
	char path[64], line[128];
	unsigned long long mask = 0;
	bool sleeps = false;

	snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)thread);
	while (!sleeps) {
		FILE *status = fopen(path, "r");

		CHECK(status, "%s", path);
		while (fgets(line, sizeof line, status)) {
			sleeps |= !strncmp(line, "State:\tS", 8);
			(void)sscanf(line, "SigBlk: %llx", &mask);
		}
		fclose(status);
	}
	return (uint32_t)(mask << 1);
}

static void callbacks_of_the_pools_own_threads_block_what_a_job_does(void)
{
	static const uint64_t kinds[] = { 0, FILCH_POOL_BLOCK_SIGNALS };
	const uint32_t open = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) |
			      bit(SIGTRAP) | bit(SIGSYS) | bit(SIGABRT) | bit(SIGPROF) |
			      bit(SIGKILL) | bit(SIGSTOP);
	const uint32_t shut = ~open & ~UINT32_C(1);

	for (unsigned i = 0; i < 4; i++) {
		struct filch_config config = config_of(1, kinds[i % 2]);

		config.watchdog_ns = UINT64_C(5000000);
		config.on_stuck = tell;
		stuck_leaves = i >= 2;
		change(SIG_BLOCK, SIGUSR2);
		CHECK_EQ(filch_pool_create(&pool, &config), 0);
		change(SIG_UNBLOCK, SIGUSR2);
		for (int k = 0; k < 2; k++) {
			stuck_told = 0;
			CHECK_EQ(run(wait_until_told, NULL, 0), 0);
			CHECK_EQ(stuck_mask, kinds[i % 2] ? shut : bit(SIGUSR2));
			CHECK_EQ(blocked_in(stuck_thread), shut);
		}
		CHECK_EQ(filch_pool_destroy(pool), 0);
	}
}

/* --- signals of a thread's own ---------------------------------------- */

static _Atomic int got;
static _Atomic int got_on; /* the worker, plus one */

static void count(int s)
{
	(void)s;
	got++;
	got_on = filch_worker_id() + 1;
}

static int raise_here(void *arg)
{
	(void)arg;
	got = 0;
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(got, 1);
	return 0;
}

static int time_here(void *arg)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };
	const struct itimerspec soon = { .it_value.tv_nsec = 1000000 };
	timer_t timer;

	(void)arg;
	got = 0;
	event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &soon, NULL), 0);
	/* it may have come before the sleep begins */
	while (!got)
		CHECK_EQ(nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL) &&
				 errno != EINTR,
			0);
	CHECK_EQ(timer_delete(timer), 0);
	return 0;
}

static void a_job_gets_signals_of_its_own(void)
{
	struct filch_config config = config_of(1, 0);
	struct sigaction action = { .sa_handler = count };

	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR2, &action, NULL), 0);
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	for (uint64_t k = 0; k < test_scaled(50); k++) {
		CHECK_EQ(run(raise_here, NULL, 0), 0);
		CHECK_EQ(run(time_here, NULL, 0), 0);
	}
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

/* --- a collector ------------------------------------------------------ */

#define WORKERS 2

static pthread_t mutator[WORKERS];
static sem_t stopped, started;
static _Atomic uint64_t stops;
static _Atomic bool world_stopped;

/* As the Boehm collector: says that it has stopped, and sleeps in the handler until the other. */
static void on_stop(int s)
{
	sigset_t wait;

	(void)s;
	stops++;
	sem_post(&stopped);
	sigfillset(&wait);
	sigdelset(&wait, SIGUSR2);
	do
		sigsuspend(&wait);
	while (world_stopped);
	sem_post(&started);
}

static void on_go(int s)
{
	(void)s;
}

static void await_all(sem_t *sem)
{
	for (int i = 0; i < WORKERS; i++)
		while (sem_wait(sem))
			CHECK_EQ(errno, EINTR);
}

/* A worker that does not answer is the watchdog's. */
static void collect(void)
{
	test_watchdog(60);
	world_stopped = true;
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_kill(mutator[i], SIGUSR1), 0);
	await_all(&stopped);
	world_stopped = false;
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_kill(mutator[i], SIGUSR2), 0);
	await_all(&started);
}

static void announce(void *arg, int worker)
{
	(void)arg;
	mutator[worker] = pthread_self();
}

static _Atomic bool held;

static int hold(void *arg)
{
	(void)arg;
	while (held)
		sched_yield();
	return 0;
}

static int await_job(void *arg)
{
	return filch_wait(pool, *(int64_t *)arg, NULL, NULL);
}

static void collect_in(uint64_t flags)
{
	struct filch_config config = config_of(WORKERS, flags);
	uint64_t n = test_scaled(100);
	int64_t id[2];
	long r;

	config.on_worker_start = announce;
	if (filch_pool_create(&pool, &config) == -ENOTSUP)
		return;
	stops = 0;
	pool_until_asleep(pool, WORKERS);
	for (uint64_t k = 0; k < n; k++)
		collect(); /* all of them parked */
	for (uint64_t k = 0; k < n; k++) {
		id[0] = filch_submit(pool, hold, NULL, NULL);
		CHECK_EQ(filch_wait(pool, id[0], NULL, NULL), 0);
		collect(); /* looking for work, or going to sleep */
	}
	for (uint64_t k = 0; k < n; k++) {
		const struct filch_submit how = FILCH_SUBMIT_INIT;

		held = true;
		id[0] = filch_submit(pool, hold, NULL, &how);
		id[1] = filch_submit(pool, await_job, &id[0], &how);
		collect(); /* in a job; in a wait for a job */
		held = false;
		CHECK_EQ(filch_wait(pool, id[1], NULL, NULL), 0);
	}
	for (uint64_t k = 0; k < n; k++) {
		const struct filch_submit how = { .size = sizeof how, .flags = FILCH_JOB_DETACHED };

		CHECK(filch_submit(pool, hold, NULL, &how) > 0, "submit");
		CHECK_EQ(FILCH_RUN(pool, &r, fib, 15), 0);
		CHECK_EQ(r, 610);
		collect();
	}
	CHECK_EQ(stops, 4 * n * WORKERS);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	CHECK_EQ(filch_pool_destroy(pool), 0);
	printf("    %llu stops\n", (unsigned long long)stops);
}

static _Atomic bool trees_over;

static void *grow_trees(void *arg)
{
	uint64_t *trees = arg;

	while (!trees_over) {
		long r = 0;

		CHECK_EQ(FILCH_RUN(pool, &r, fib, 18), 0);
		CHECK_EQ(r, 2584);
		++*trees;
	}
	return NULL;
}

/* In the midst of spawns, steals and syncs. */
static void collect_while_trees_grow(void)
{
	struct filch_config config = config_of(WORKERS, 0);
	uint64_t trees = 0, n = test_scaled(500);
	pthread_t thread;

	config.on_worker_start = announce;
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	trees_over = false;
	CHECK_EQ(pthread_create(&thread, NULL, grow_trees, &trees), 0);
	for (uint64_t k = 0; k < n; k++)
		collect();
	trees_over = true;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(trees, "no tree was grown");
	printf("    %llu trees under %llu collections\n", (unsigned long long)trees,
		(unsigned long long)n);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static void a_collector_stops_every_worker(void)
{
	struct sigaction stop = { .sa_handler = on_stop, .sa_flags = SA_RESTART },
			 start = { .sa_handler = on_go, .sa_flags = SA_RESTART };

	sigfillset(&stop.sa_mask);
	sigfillset(&start.sa_mask);
	CHECK_EQ(sigaction(SIGUSR1, &stop, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR2, &start, NULL), 0);
	CHECK_EQ(sem_init(&stopped, 0, 0), 0);
	CHECK_EQ(sem_init(&started, 0, 0), 0);
	collect_in(0);
	if (TEST_HAS_GUARDS)
		collect_in(FILCH_POOL_GUARD);
	collect_in(FILCH_POOL_NO_SEARCH);
	collect_while_trees_grow();
}

/* --- a handler that wants the signal stack ----------------------------- */

/* As much as a crash reporter or a language's runtime may use of it. */
#define HANDLER_BYTES (48 << 10)

static void use_much(int s)
{
	volatile char room[HANDLER_BYTES];

	(void)s;
	for (size_t i = sizeof room; i; i -= 64)
		room[i - 1] = 1;
	got += room[63];
}

static _Atomic bool up_to_its_end;

static __attribute__((noinline)) int deeper(volatile char *outer)
{
	volatile char here[256];

	here[0] = (char)(outer[0] + 1);
	return outer[0] == here[0] ? 0 : deeper(here) + here[0]; /* never equal */
}

static void use_all(int s)
{
	volatile char start = 0;

	(void)s;
	up_to_its_end = true;
	got += deeper(&start);
}

static void a_handler_has_room_on_a_guarded_threads_signal_stack(void)
{
	struct filch_config config = config_of(1, FILCH_POOL_GUARD);
	struct sigaction action = { .sa_handler = use_much, .sa_flags = SA_ONSTACK };
	int error;

	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	config.on_worker_start = announce;
	error = filch_pool_create(&pool, &config);
	if (error == -ENOTSUP)
		return;
	CHECK_EQ(error, 0);
	for (uint64_t k = 0; k < test_scaled(50); k++) {
		CHECK_EQ(run(raise_here, NULL, 0), 0);
		CHECK_EQ(run(raise_here, NULL, FILCH_JOB_GUARD), 0);
		pool_until_asleep(pool, 1);
		got = 0;
		CHECK_EQ(pthread_kill(mutator[0], SIGUSR1), 0);
		while (!got)
			sched_yield();
	}
	/* one that uses up the stack meets pages without access, not somebody's memory */
	action.sa_handler = use_all;
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	for (uint64_t k = 0; !TEST_SANITIZED && k < test_scaled(50); k++) {
		up_to_its_end = false;
		CHECK_EQ(run(raise_here, NULL, FILCH_JOB_GUARD), -EFAULT);
		CHECK(up_to_its_end, "the handler has not run");
		CHECK_EQ(run(hold, NULL, FILCH_JOB_GUARD), 0);
	}
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

/* --- a signal of the process ------------------------------------------ */

static void a_signal_of_the_process_is_handled_once(void)
{
	static const uint64_t kinds[] = { 0, FILCH_POOL_BLOCK_SIGNALS };
	struct sigaction action = { .sa_handler = count };
	sigset_t term, none;

	CHECK_EQ(sigaction(SIGTERM, &action, NULL), 0);
	sigemptyset(&none);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	for (unsigned i = 0; i < 2; i++) {
		struct filch_config config = config_of(2, kinds[i]);

		CHECK_EQ(filch_pool_create(&pool, &config), 0);
		pool_until_asleep(pool, 2);
		for (int k = 0; k < 20; k++) {
			test_watchdog(60);
			got = 0;
			got_on = -1;
			/* this thread will not have it now */
			CHECK_EQ(pthread_sigmask(SIG_BLOCK, &term, NULL), 0);
			CHECK_EQ(kill(getpid(), SIGTERM), 0);
			if (kinds[i]) /* nobody has it: it waits for this thread */
				CHECK_EQ(sigsuspend(&none), -1);
			else
				while (got_on < 0)
					sched_yield();
			CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &term, NULL), 0);
			CHECK_EQ(got, 1);
			CHECK((got_on > 0) == !kinds[i], "handled by worker %d", got_on - 1);
		}
		CHECK_EQ(filch_pool_destroy(pool), 0);
	}
}

/* --- children --------------------------------------------------------- */

static int start_and_end(void *arg)
{
	char *argv[] = { (char *)"sleep", (char *)"86400", NULL };
	pid_t pid;
	int status;

	(void)arg;
	CHECK_EQ(posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ), 0);
	CHECK_EQ(kill(pid, SIGTERM), 0); /* one that outlives it hangs here: the watchdog's */
	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "%#x", (unsigned)status);
	return 0;
}

static void what_a_job_starts_can_be_ended(void)
{
	struct filch_config config = config_of(1, 0);

	signal(SIGTERM, SIG_DFL);
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	CHECK_EQ(run(start_and_end, NULL, 0), 0);
	CHECK_EQ(filch_pool_destroy(pool), 0);
	config = config_of(1, FILCH_POOL_BLOCK_SIGNALS);
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	CHECK_EQ(run(start_and_end, NULL, FILCH_JOB_FREE), 0);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

int main(void)
{
#if defined(TEST_THREAD_SANITIZER)
	test_skip("ThreadSanitizer holds signals back until a call that blocks");
#endif
	/* the thread of the watchdog may have none of them */
	sigset_t all, before;

	sigfillset(&all);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
	test_watchdog(60);
	sigemptyset(&before);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
#define CASE(name) test_case(#name, name)
	CASE(workers_block_what_their_creator_did);
	CASE(a_flag_keeps_signals_from_workers);
	CASE(what_a_job_blocks_does_not_reach_a_guarded_or_a_free_one);
	CASE(a_free_job_that_faults_ends_alone);
	CASE(callbacks_of_the_pools_own_threads_block_what_a_job_does);
	CASE(a_job_gets_signals_of_its_own);
	CASE(a_signal_of_the_process_is_handled_once);
	CASE(what_a_job_starts_can_be_ended);
	CASE(a_collector_stops_every_worker);
	CASE(a_handler_has_room_on_a_guarded_threads_signal_stack);
	return test_finish("signals");
}
