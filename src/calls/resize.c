/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many workers may run, as a program asks for it and is told. core/elastic.c has the rest.
 *
 * On a worker these are library code: a fault in them is not the job's, and a stack that is used up
 * is met before the lock is taken.
 */
#include "core/elastic.h"

#include <errno.h>

#include <filch/pool.h>

#include "core/fault.h"
#include "core/given.h"

static int change(struct filch_pool *pool, void (*what)(struct filch_pool *pool, uint32_t value),
	uint32_t value)
{
	struct filchi_worker *w = filchi_worker_self();
	uint32_t user;

	filchi_fault_touch(NULL, 0);
	if (!w) {
		what(pool, value);
		return 0;
	}
	user = filchi_fault_off(w);
	what(pool, value);
	filchi_fault_on(w, user);
	return 0;
}

/* The pool that is meant, not a parent's: 0 or the error. */
static int find(struct filch_pool **pool)
{
	int error = filchi_given(pool);

	if (error)
		return error;
	return filchi_forked(*pool) ? -ECHILD : 0;
}

int filch_pool_resize(struct filch_pool *pool, uint32_t workers)
{
	int error = find(&pool);

	if (error)
		return error;
	if (!workers || workers > pool->config.workers_max)
		return -EINVAL;
	if (pool->config.flags & FILCH_POOL_CALLER && workers == 1 && pool->running > 1)
		return -EINVAL;
	return change(pool, filchi_elastic_set_target, workers);
}

static void set_paused(struct filch_pool *pool, uint32_t paused)
{
	filchi_elastic_pause(pool, paused);
}

int filch_pool_pause(struct filch_pool *pool)
{
	int error = find(&pool);

	return error ? error : change(pool, set_paused, true);
}

int filch_pool_resume(struct filch_pool *pool)
{
	int error = find(&pool);

	return error ? error : change(pool, set_paused, false);
}

int filch_pool_workers(const struct filch_pool *pool)
{
	struct filch_pool *given;
	int error = filchi_given_const(pool, &given);

	return error ? error : (int)filch_load_relaxed(&given->allowed);
}

int filch_pool_workers_max(const struct filch_pool *pool)
{
	struct filch_pool *given;
	int error = filchi_given_const(pool, &given);

	return error ? error : (int)given->running;
}

int filch_blocking_begin(void)
{
	struct filchi_worker *w = filchi_worker_self();
	uint32_t user;

	if (!w)
		return -EPERM;
	filchi_fault_touch(NULL, 0);
	user = filchi_fault_off(w);
	filchi_blocking_begin(w);
	filchi_fault_on(w, user);
	return 0;
}

int filch_blocking_end(void)
{
	struct filchi_worker *w = filchi_worker_self();
	uint32_t user;
	bool ended;

	if (!w)
		return -EPERM;
	filchi_fault_touch(NULL, 0);
	user = filchi_fault_off(w);
	ended = filchi_blocking_end(w);
	filchi_fault_on(w, user);
	return ended ? 0 : -EINVAL;
}
