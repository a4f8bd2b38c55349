/* SPDX-License-Identifier: Apache-2.0 */
/* A program that dies with a job that runs, one that waits for it, and queued ones: see gdb.sh. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <filch/filch.h>

static _Atomic int running;

static int runs(void *arg)
{
	(void)arg;
	running = 1;
	for (;;)
		pause();
	return 0;
}

static int is_queued(void *arg)
{
	(void)arg;
	return 0;
}

int main(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_pool *pool;

	config.workers = 1;
	config.name = "dying";
	if (filch_pool_create(&pool, &config))
		return 1;
	how.name = "for ever";
	if (filch_submit(pool, runs, NULL, &how) < 0)
		return 1;
	while (!running)
		usleep(100);
	how.name = NULL;
	for (int i = 0; i < 3; i++)
		if (filch_submit(pool, is_queued, NULL, &how) < 0)
			return 1;
	abort();
}
