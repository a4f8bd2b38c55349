/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snippets of docs/embedding.md: a library that takes its caller's pool or none, a child
 * process with a pool of its own, a program that is started with all cores.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <filch/filch.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void square(size_t begin, size_t end, void *arg)
{
	double *x = arg;

	for (size_t i = begin; i < end; i++)
		x[i] *= x[i];
}

/* A library's function, which has no pool: on a worker it is part of the running job. */
static int square_all(struct filch_pool *pool, double *x, size_t n)
{
	return filch_for(pool, 0, n, 0, square, x);
}

/* A forked child: the parent's pool is of no use here. */
static int child(struct filch_pool *inherited)
{
	double x[100] = { 3.0 };

	if (filch_for(inherited, 0, 100, 0, square, x) != -ECHILD)
		return 1;
	if (square_all(NULL, x, 100)) /* makes the child's default pool */
		return 1;
	return x[0] < 8.5 || x[0] > 9.5;
}

/* A job that starts a program, which would inherit the worker's one core. */
static int start_true(void *arg)
{
	char *argv[] = { "/bin/true", NULL };

	return -posix_spawn(arg, argv[0], NULL, NULL, argv, environ);
}

static int64_t start(struct filch_pool *pool, pid_t *pid)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.flags = FILCH_JOB_FREE; /* for its time the worker has the creator's cores */
	return filch_submit(pool, start_true, pid, &how);
}

static int status_of(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(void)
{
	struct filch_completion done;
	struct filch_pool *pool;
	double x[1000];
	int64_t id;
	pid_t pid;
	int error;

	if (filch_pool_create(&pool, NULL))
		return 1;
	for (int i = 0; i < 1000; i++)
		x[i] = i;
	if (square_all(pool, x, 1000) || x[30] < 899.5 || x[30] > 900.5)
		return 1;
	if (square_all(NULL, x, 1000) || x[3] < 80.5 || x[3] > 81.5) /* the process' default pool */
		return 1;

	pid = fork();
	if (pid == 0)
		_exit(child(pool));
	error = pid < 0 || status_of(pid);

	id = start(pool, &pid);
	if (id < 0 || filch_wait(pool, id, NULL, &done) || done.status)
		return 1;
	error |= status_of(pid) != 0;
	printf("%s\n", error ? "wrong" : "a library, a child and a program: as expected");
	return filch_pool_destroy(pool) || error;
}
