/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin that uses filch: with the shared library, the static one, and another static one. */
#include "plugin.h"

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>

#include <filch/filch.h>

FILCH_TASK(long, fib, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long b = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + b;
}

struct inside {
	struct filch_pool *pool;
	void *(*other_current)(void);
	int right;
};

/* In this copy it is a worker; in another it is a thread like any. */
static int look(void *arg)
{
	struct inside *i = arg;

	i->right = filch_pool_current() == i->pool && (!i->other_current || !i->other_current());
	return 5;
}

static int use(struct filch_pool *pool, void *(*other_current)(void))
{
	struct inside inside = { pool, other_current, 0 };
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	struct pollfd descriptor = { .events = POLLIN };
	long r = 0;

	if (FILCH_RUN(pool, &r, fib, 16) || r != 987)
		return 2;
	if (filch_cq_create(&how.cq, 2))
		return 3;
	descriptor.fd = filch_cq_fd(how.cq);
	if (filch_submit(pool, look, &inside, &how) <= 0)
		return 4;
	while (poll(&descriptor, 1, -1) != 1)
		;
	if (filch_cq_reap(how.cq, &c, 1) != 1 || c.status != 5 || !inside.right)
		return 5;
	return filch_cq_destroy(how.cq) ? 6 : 0;
}

int plugin_use(unsigned long long flags, void *(*other_current)(void))
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	int error;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | flags;
	if (filch_pool_create(&pool, &config))
		return 1;
	error = use(pool, other_current);
	return filch_pool_destroy(pool) ? 7 : error;
}

static struct filch_pool *live;

int plugin_go_live(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	return filch_pool_create(&live, &config) ? 1 : filch_pool_live(live, 1);
}

int plugin_end_live(void)
{
	return filch_pool_destroy(live);
}

static int is_busy, has_used_default;

static int share(void *arg, int worker)
{
	((int *)arg)[worker % 1024]++;
	return 0;
}

int plugin_use_default(void *(*other_current)(void))
{
	int ran[1024] = { 0 }, error = use(filch_pool_default(), other_current);
	long r = 0;

	has_used_default = 1;
	if (error)
		return error;
	if (FILCH_RUN(NULL, &r, fib, 16) || r != 987)
		return 11;
	if (filch_pool_each(NULL, share, ran))
		return 12;
	for (int i = 0; i < 1024; i++)
		if (ran[i] != (i < filch_pool_workers(NULL)))
			return 13;
	return 0;
}

/*
 * The program's destructors may use the pool, of a plugin that is closed as well: it ends after
 * them.
 */
__attribute__((destructor)) static void use_to_the_end(void)
{
	long r = 0;

	if (has_used_default && !is_busy && (FILCH_RUN(NULL, &r, fib, 16) || r != 987))
		abort();
}

static int never_end(void *arg)
{
	*(volatile int *)arg = 1;
	while (poll(NULL, 0, -1) <= 0)
		;
	return 0;
}

int plugin_keep_busy(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	static volatile int begun;

	is_busy = 1;
	how.flags = FILCH_JOB_DETACHED;
	if (filch_submit(NULL, never_end, (void *)(uintptr_t)&begun, &how) <= 0)
		return 1;
	while (!begun)
		(void)poll(NULL, 0, 1);
	return 0;
}

void *plugin_current(void)
{
	return filch_pool_current();
}

const void *plugin_filch(void)
{
	return (const void *)(uintptr_t)filch_pool_create;
}
