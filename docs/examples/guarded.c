/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other snippets of docs/servers.md: a job whose fault ends it alone, and a report of jobs that
 * run too long. x86-64 only: elsewhere the program says so and leaves with 77.
 */
#include <errno.h>
#include <filch/filch.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int stuck;

static int parse(void *arg)
{
	const volatile char *text = arg;

	return text[0]; /* a wrong pointer is a fault here */
}

static int endless(void *arg)
{
	(void)arg;
	while (!filch_job_cancelled())
		;
	return -ECANCELED;
}

/* On a thread of the pool's own, once for each job that runs longer than watchdog_ns. */
static void on_stuck(void *pool, const struct filch_stuck *what)
{
	atomic_fetch_add(&stuck, 1);
	(void)filch_cancel(*(struct filch_pool **)pool, what->id);
}

int main(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion done;
	struct filch_pool *pool = NULL;
	int64_t id;
	int error;

	config.flags = FILCH_POOL_GUARD;
	config.watchdog_ns = UINT64_C(50000000); /* 50 ms */
	config.on_stuck = on_stuck;
	config.hook_arg = &pool;
	error = filch_pool_create(&pool, &config);
	if (error == -ENOTSUP) {
		printf("skipped: no guards on this processor\n");
		return 77;
	}
	if (error)
		return 1;

	how.flags = FILCH_JOB_GUARD;
	id = filch_submit(pool, parse, (void *)(uintptr_t)16, &how);
	if (id < 0 || filch_wait(pool, id, NULL, &done))
		return 1;
	if (done.status == -EFAULT && done.flags & FILCH_DONE_FAULT)
		printf("signal %d at address %#llx\n", (int)done.detail[0],
			(unsigned long long)done.detail[1]);
	if (done.status != -EFAULT || done.detail[0] != SIGSEGV)
		return 1;

	id = filch_submit(pool, endless, NULL, NULL);
	if (id < 0 || filch_wait(pool, id, NULL, &done))
		return 1;
	error = filch_pool_destroy(pool);
	return error || done.status != -ECANCELED || atomic_load(&stuck) != 1;
}
