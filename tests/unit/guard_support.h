/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of guarded jobs share: the faults, and pools in which they are contained. */
#ifndef GUARD_SUPPORT_H
#define GUARD_SUPPORT_H

#include "unit.h"

#include <ill.h>

static struct filch_pool *pool;

/* Ends a case where pools do not guard. Not in a child, whose case goes on. */
#define NEEDS_GUARDS()                                         \
	do {                                                   \
		if (!TEST_HAS_GUARDS)                          \
			cr_skip_test("guards are for x86-64"); \
	} while (0)

/* A program of such cases alone: Criterion takes one without any that ran for a failure. */
#if defined(ALL_NEED_GUARDS) && !TEST_HAS_GUARDS
__attribute__((constructor)) static void skip_all(void)
{
	puts("SKIP: guards are for x86-64");
	fflush(stdout);
	_exit(77);
}
#endif

__attribute__((unused)) static void begin(uint32_t workers, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	NEEDS_GUARDS();
	cr_assert(ill_begin());
	config.workers = workers;
	config.flags = flags | FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_GUARD;
	config.stack_bytes = ILL_STACK;
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

/* Waits for a thing that is counted and not told. */
#define UNTIL(condition)               \
	do {                           \
		while (!(condition))   \
			sched_yield(); \
	} while (0)

__attribute__((unused)) static int64_t guarded(filch_job_fn *fn, void *arg)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	how.flags = FILCH_JOB_GUARD;
	id = filch_submit(pool, fn, arg, &how);
	cr_assert(id > 0, "%lld", (long long)id);
	return id;
}

__attribute__((unused)) static struct filch_completion completion_of(int64_t id)
{
	struct filch_completion c;

	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.id, id);
	return c;
}

__attribute__((unused)) static void ended_by(int64_t id, int signal_number)
{
	struct filch_completion c = completion_of(id);

	EQ(c.status, -EFAULT);
	EQ(c.flags, FILCH_DONE_FAULT);
	EQ(c.detail[0], signal_number);
}

__attribute__((unused)) static int answer(void *arg)
{
	(void)arg;
	return 42;
}

__attribute__((unused)) static void still_works(void)
{
	EQ(completion_of(guarded(answer, NULL)).status, 42);
	int64_t id = filch_submit(pool, answer, NULL, NULL);
	cr_assert(id > 0);
	EQ(completion_of(id).status, 42);
}

#endif
