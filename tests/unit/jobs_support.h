/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of jobs share: one pool, a job that answers, a job that occupies its worker,
 * policies, and a callback that notes.
 */
#ifndef JOBS_SUPPORT_H
#define JOBS_SUPPORT_H

#include "unit.h"

#include <sched.h>

static struct filch_pool *pool;

__attribute__((unused)) static void begin(uint32_t workers, uint32_t capacity, uint32_t jobs_max)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.queue_capacity = capacity;
	config.jobs_max = jobs_max;
	EQ(filch_pool_create(&pool, &config), 0);
}

__attribute__((unused)) static void end(void)
{
	EQ(filch_pool_destroy(pool), 0);
}

__attribute__((unused)) static struct filch_stats stats(void)
{
	struct filch_stats s = FILCH_STATS_INIT;

	EQ(filch_pool_stats(pool, &s), 0);
	return s;
}

__attribute__((unused)) static int answer(void *arg)
{
	if (arg)
		__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
	return 42;
}

/* A job that occupies its worker until it is let go. */
struct hold {
	struct gate started, release;
	int64_t id;
};
#define HOLD_INIT                       \
	{                               \
		GATE_INIT, GATE_INIT, 0 \
	}

__attribute__((unused)) static int hold(void *arg)
{
	struct hold *h = arg;

	gate_raise(&h->started);
	gate_wait(&h->release, 1);
	return 5;
}

__attribute__((unused)) static void hold_worker(struct hold *h)
{
	h->id = filch_submit(pool, hold, h, NULL);
	cr_assert(h->id > 0);
	gate_wait(&h->started, 1);
}

__attribute__((unused)) static void let_go(struct hold *h)
{
	gate_raise(&h->release);
	EQ(filch_wait(pool, h->id, NULL, NULL), 0);
}

__attribute__((unused)) static struct filch_submit policy(uint32_t when_full)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = when_full;
	return how;
}

__attribute__((unused)) static int64_t submit(uint32_t when_full)
{
	struct filch_submit how = policy(when_full);

	return filch_submit(pool, answer, NULL, &how);
}

__attribute__((unused)) static int wait_status(int64_t id)
{
	struct filch_completion c;

	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.id, id);
	return c.status;
}

__attribute__((unused)) static struct gate told = GATE_INIT;
static struct filch_completion told_of;
__attribute__((unused)) static int told_worker;
__attribute__((unused)) static pthread_t told_on;

__attribute__((unused)) static void tell(const struct filch_completion *c)
{
	told_of = *c;
	told_worker = filch_worker_id();
	told_on = pthread_self();
	gate_raise(&told);
}

#endif
