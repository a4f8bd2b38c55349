/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server to practise on, docs/operating.md: requests come faster than they are served, and one
 * job, a report, takes as long as the server lives. Its argument says for how many seconds that is.
 */
#include <filch/filch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { QUEUED = 100, TURNS = 2000000 };

static atomic_long served;

static void count(const struct filch_completion *completion)
{
	if (!completion->status)
		served++;
}

static int serve(void *arg)
{
	for (volatile int i = 0; i < TURNS; i++)
		;
	(void)arg;
	return 0;
}

static int report(void *arg)
{
	(void)arg;
	while (!filch_job_cancelled())
		;
	return 0;
}

int main(int argc, char **argv)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.1;
	struct timespec end = filch_after((uint64_t)(seconds * 1e9));
	struct timespec pause = { 0, 20000000 }, now;
	struct filch_pool *pool;

	config.name = "server";
	config.queue_capacity = QUEUED;
	if (filch_pool_create(&pool, &config))
		return 1;
	how.flags = FILCH_JOB_DETACHED;
	how.when_full = FILCH_TRY;
	how.name = "report";
	if (filch_submit(pool, report, NULL, &how) < 0)
		return 1;
	how.name = "request";
	how.flags = 0;
	how.on_complete = count;
	do {
		while (filch_submit(pool, serve, NULL, &how) >= 0)
			;
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (
		now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	if (filch_pool_destroy(pool))
		return 1;
	printf("%ld requests served\n", served);
	return 0;
}
