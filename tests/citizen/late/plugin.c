/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin that uses filch: with the shared library, the static one, and another static one. */
#include "plugin.h"

#include <poll.h>
#include <stdint.h>

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

void *plugin_current(void)
{
	return filch_pool_current();
}

const void *plugin_filch(void)
{
	return (const void *)(uintptr_t)filch_pool_create;
}
