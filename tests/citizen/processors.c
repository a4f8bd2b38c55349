/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPUs of what a job starts. A child made by fork() has those of the thread that created the
 * pool. Everything else inherits the worker's one, unless the job is FILCH_JOB_FREE.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pools.h"

extern char **environ;

static struct filch_pool *pool;
static int cpus; /* of the creating thread */

static int run(filch_job_fn *fn, void *arg, uint64_t flags)
{
	return pool_run(pool, fn, arg, flags);
}

static int cpus_here(void)
{
	cpu_set_t set;

	CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
	return CPU_COUNT(&set);
}

static int count_here(void *arg)
{
	(void)arg;
	return cpus_here();
}

static int exit_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK(WIFEXITED(status), "%#x", (unsigned)status);
	return WEXITSTATUS(status);
}

static int count_in_a_child(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (!pid)
		_exit(cpus_here());
	return exit_status(pid);
}

static int workers_of_a_pool(void)
{
	struct filch_pool *own;
	int n;

	CHECK_EQ(filch_pool_create(&own, NULL), 0);
	n = filch_pool_workers(own);
	CHECK_EQ(filch_pool_destroy(own), 0);
	return n;
}

static int workers_in_a_child(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (!pid)
		_exit(workers_of_a_pool());
	return exit_status(pid);
}

static int workers_here(void *arg)
{
	(void)arg;
	return workers_of_a_pool();
}

/* This program once more, as another: it ends with the number of its CPUs. */
static const char *self;

static int count_in_a_program(void *arg)
{
	char *argv[] = { (char *)(uintptr_t)self, (char *)"count", NULL };
	pid_t pid;

	(void)arg;
	CHECK_EQ(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
	return exit_status(pid);
}

static void *count_in(void *result)
{
	*(int *)result = cpus_here();
	return NULL;
}

static void *workers_in(void *result)
{
	*(int *)result = workers_of_a_pool();
	return NULL;
}

static int in_a_thread(void *body)
{
	void *(*fn)(void *);
	pthread_t thread;
	int result;

	memcpy(&fn, body, sizeof fn);
	CHECK_EQ(pthread_create(&thread, NULL, fn, &result), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	return result;
}

static int count_in_a_shell(void *arg)
{
	FILE *out = popen("nproc", "r");
	int n = 0;

	(void)arg;
	CHECK(out && fscanf(out, "%d", &n) == 1, "popen");
	CHECK_EQ(pclose(out), 0);
	return n;
}

static void open_pool(uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.flags = flags | FILCH_POOL_PIN; /* whoever else is busy here */
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	if (run(count_here, NULL, 0) != 1)
		test_skip("workers are not pinned here");
}

static void a_forked_child_has_the_creators(void)
{
	open_pool(0);
	CHECK_EQ(run(count_in_a_child, NULL, 0), cpus);
	CHECK_EQ(run(count_here, NULL, 0), 1); /* the worker itself stays */
	if (!TEST_SANITIZED)                   /* whose runtime may not start threads in a child */
		CHECK_EQ(run(workers_in_a_child, NULL, 0), run(workers_here, NULL, 0));
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static void a_free_job_starts_free_ones(void)
{
	void *(*counts)(void *) = count_in, *(*pools)(void *) = workers_in;
	int workers = workers_of_a_pool();

	open_pool(0);
	CHECK_EQ(run(count_in_a_program, NULL, 0), 1);
	CHECK_EQ(run(in_a_thread, &counts, 0), 1);
	for (int k = 0; k < 20; k++) {
		CHECK_EQ(run(count_here, NULL, FILCH_JOB_FREE), cpus);
		CHECK_EQ(run(count_in_a_program, NULL, FILCH_JOB_FREE), cpus);
		CHECK_EQ(run(in_a_thread, &counts, FILCH_JOB_FREE), cpus);
		CHECK_EQ(run(in_a_thread, &pools, FILCH_JOB_FREE), workers);
		CHECK_EQ(run(workers_here, NULL, FILCH_JOB_FREE), workers);
		CHECK_EQ(run(count_in_a_child, NULL, FILCH_JOB_FREE), cpus);
		CHECK_EQ(run(count_in_a_shell, NULL, FILCH_JOB_FREE), cpus);
		CHECK_EQ(run(count_here, NULL, 0), 1); /* pinned again */
	}
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

/* What a job that is free waits for, and runs on top of itself. */
static int nested(void *inner)
{
	int status = run(count_here, NULL, *(uint64_t *)inner);

	CHECK_EQ(status, *(int *)inner == FILCH_JOB_FREE || cpus_here() == cpus ? cpus : 1);
	return cpus_here();
}

/* A scope in a job that is not free, and its waits; behind it the worker is as before. */
static int count_around_a_free_scope(void *unused)
{
	struct filch_scope_config config = FILCH_SCOPE_INIT;

	CHECK_EQ(cpus_here(), 1);
	config.flags = FILCH_JOB_FREE;
	for (int k = 0; k < 3; k++) {
		CHECK_EQ(filch_scope(NULL, &config, count_here, unused), cpus);
		CHECK_EQ(filch_scope(NULL, &config, count_in_a_program, unused), cpus);
		CHECK_EQ(cpus_here(), 1);
	}
	config.flags = FILCH_JOB_FREE << 1;
	CHECK_EQ(filch_scope(NULL, &config, count_here, unused), -EINVAL);
	return 7;
}

static void a_free_scope_starts_free_ones(void)
{
	struct filch_scope_config config = FILCH_SCOPE_INIT;

	open_pool(0);
	CHECK_EQ(run(count_around_a_free_scope, NULL, 0), 7);
	config.flags = FILCH_JOB_FREE;
	CHECK_EQ(filch_scope(pool, &config, count_here, NULL), cpus); /* from outside */
	CHECK_EQ(run(count_here, NULL, 0), 1);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static void free_jobs_nest(void)
{
	uint64_t plain = 0, free = FILCH_JOB_FREE;

	open_pool(0);
	CHECK_EQ(run(nested, &plain, 0), 1);
	CHECK_EQ(run(nested, &free, 0), 1);
	CHECK_EQ(run(nested, &plain, FILCH_JOB_FREE), cpus);
	CHECK_EQ(run(nested, &free, FILCH_JOB_FREE), cpus); /* the inner one pins nothing */
	CHECK_EQ(run(count_here, NULL, 0), 1);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

static int leave(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static void a_worker_is_pinned_after_a_free_job_that_left_it(void)
{
	open_pool(0);
	CHECK_EQ(run(leave, NULL, FILCH_JOB_FREE), -ECANCELED);
	CHECK_EQ(run(count_here, NULL, 0), 1);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

/* A free job on the creating thread, and on a worker of another pool. */
static int run_inline(void *arg)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_pool *other = arg;
	struct filch_completion c;
	int64_t id;

	how.when_full = FILCH_TRY;
	while ((id = filch_submit(other, count_here, NULL, &how)) > 0)
		;
	CHECK_EQ(id, -EAGAIN);
	how.when_full = FILCH_CALLER_RUNS;
	how.flags = FILCH_JOB_FREE;
	id = filch_submit(other, count_here, NULL, &how);
	CHECK(id > 0, "%d", (int)id);
	CHECK_EQ(filch_wait(other, id, NULL, &c), 0);
	CHECK_EQ(c.worker, -1);
	return c.status;
}

static _Atomic bool held, holding;

static int hold(void *arg)
{
	(void)arg;
	holding = true;
	while (held)
		sched_yield();
	return 0;
}

static void a_free_job_that_its_submitter_runs(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *other;

	config.workers = 1;
	config.queue_capacity = 1;
	config.jobs_max = 64;
	CHECK_EQ(filch_pool_create(&other, &config), 0);
	open_pool(0);
	held = true;
	CHECK(filch_submit(other, hold, NULL, NULL) > 0, "submit");
	/* begun: else it leaves the full queue later, and makes the room that must not be there */
	while (!holding)
		sched_yield();
	CHECK_EQ(run_inline(other), cpus);
	CHECK_EQ(run(run_inline, other, 0), cpus);
	CHECK_EQ(run(count_here, NULL, 0), 1);
	CHECK_EQ(cpus_here(), cpus);
	held = false;
	CHECK_EQ(filch_pool_destroy(pool), 0);
	CHECK_EQ(filch_pool_destroy(other), 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "count"))
		_exit(cpus_here());
	self = argv[0];
	cpus = cpus_here();
	test_watchdog(60);
	if (cpus < 2)
		test_skip("one CPU: pinned and free are the same");
#define CASE(name) test_case(#name, name)
	CASE(a_forked_child_has_the_creators);
	CASE(a_free_job_starts_free_ones);
	CASE(free_jobs_nest);
	CASE(a_free_scope_starts_free_ones);
	CASE(a_worker_is_pinned_after_a_free_job_that_left_it);
	CASE(a_free_job_that_its_submitter_runs);
	return test_finish("processors");
}
