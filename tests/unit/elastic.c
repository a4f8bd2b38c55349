/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many workers run: resize, pause and calls that block, by what they let start and what they
 * return. That nothing is lost while they change at once is shown by stress.elastic.
 */
#include "unit.h"

#include <sched.h>
#include <stdlib.h>

#include "ill.h"

#define MANY 8u

static struct filch_pool *pool;

/* @workers, up to @max of them, and @spares, on any machine. */
static void begin(uint32_t workers, uint32_t max, uint32_t spares, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.workers_max = max;
	config.spares = spares;
	config.flags = flags | FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&pool, &config), 0);
}

static void end(void)
{
	EQ(filch_pool_destroy(pool), 0);
}

static struct filch_stats stats(void)
{
	struct filch_stats s = FILCH_STATS_INIT;

	EQ(filch_pool_stats(pool, &s), 0);
	return s;
}

/* Returns when workers have stopped @n times because they may not run. */
static void until_retired(uint64_t n)
{
	while (stats().retired < n)
		sched_yield();
}

/* --- jobs that say where they are ---------------------------------------- */

/* Jobs that occupy their workers until they are let go. */
struct crowd {
	struct gate inside, release;
	_Atomic uint32_t workers; /* a bit for each that one has run on */
	bool blocks;
	int64_t id[MANY];
	int n;
};
#define CROWD_INIT                                                                               \
	{                                                                                        \
		.inside = GATE_INIT, .release = GATE_INIT, .workers = 0, .blocks = false, .n = 0 \
	}

static int stand(void *arg)
{
	struct crowd *c = arg;

	c->workers |= 1u << filch_worker_id();
	if (c->blocks)
		EQ(filch_blocking_begin(), 0);
	gate_raise(&c->inside);
	gate_wait(&c->release, 1);
	if (c->blocks)
		EQ(filch_blocking_end(), 0);
	return 0;
}

static void come(struct crowd *c, int n)
{
	while (n--) {
		c->id[c->n] = filch_submit(pool, stand, c, NULL);
		cr_assert(c->id[c->n] > 0);
		c->n++;
	}
}

static void leave(struct crowd *c)
{
	gate_raise(&c->release);
	for (int i = 0; i < c->n; i++)
		EQ(filch_wait(pool, c->id[i], NULL, NULL), 0);
	c->n = 0;
}

static int note_worker(void *arg)
{
	*(_Atomic uint32_t *)arg |= 1u << filch_worker_id();
	return 0;
}

/* Runs @n short jobs at once; a bit for each worker that has run one. */
static uint32_t run_short(int n)
{
	static _Atomic uint32_t workers;
	int64_t id[200];

	workers = 0;
	for (int i = 0; i < n; i++)
		cr_assert((id[i] = filch_submit(pool, note_worker, (void *)&workers, NULL)) > 0);
	for (int i = 0; i < n; i++)
		EQ(filch_wait(pool, id[i], NULL, NULL), 0);
	return workers;
}

/* --- resize -------------------------------------------------------------- */

Test(elastic, a_pool_without_reserve_has_as_many_as_it_was_made_with, .timeout = 60)
{
	begin(3, 0, 0, 0);
	EQ(filch_pool_workers(pool), 3);
	EQ(filch_pool_workers_max(pool), 3);
	EQ(filch_pool_resize(pool, 4), -EINVAL);
	EQ(filch_pool_resize(pool, 0), -EINVAL);
	EQ(filch_pool_resize(pool, 1), 0);
	EQ(filch_pool_workers(pool), 1);
	EQ(filch_pool_resize(pool, 3), 0);
	end();
}

Test(elastic, as_many_run_as_resize_says_up_and_down, .timeout = 120)
{
	static const uint32_t sizes[] = { 1, 4, 2, 3, 1, 2, 4 };

	begin(2, 4, 0, 0);
	EQ(filch_pool_workers(pool), 2);
	EQ(filch_pool_workers_max(pool), 4);
	until_retired(2);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct crowd c = CROWD_INIT;

		EQ(filch_pool_resize(pool, sizes[i]), 0);
		EQ(filch_pool_workers(pool), sizes[i]);
		come(&c, (int)sizes[i]);
		gate_wait(&c.inside, (int)sizes[i]); /* all at once */
		EQ(c.workers, (1u << sizes[i]) - 1);
		come(&c, 1); /* one too many waits */
		EQ(stats().queued, 1);
		leave(&c);
		EQ(c.workers, (1u << sizes[i]) - 1);
	}
	end();
}

Test(elastic, what_was_begun_goes_on_when_its_worker_may_not_run, .timeout = 60)
{
	struct crowd c = CROWD_INIT;
	uint64_t before;

	begin(2, 2, 0, 0);
	come(&c, 2);
	gate_wait(&c.inside, 2);
	before = stats().retired;
	EQ(filch_pool_resize(pool, 1), 0);
	EQ(stats().retired, before);
	leave(&c);
	until_retired(before + 1);
	EQ(run_short(50), 1);
	end();
}

static int resize_from_inside(void *arg)
{
	(void)arg;
	EQ(filch_pool_resize(NULL, 1), 0);
	EQ(filch_pool_resize(NULL, 3), 0);
	EQ(filch_pool_workers(NULL), 3);
	return filch_pool_resize(NULL, 4);
}

Test(elastic, a_job_may_resize_its_own_pool, .timeout = 60)
{
	struct filch_completion c;
	int64_t id;

	begin(1, 3, 0, 0);
	id = filch_submit(pool, resize_from_inside, NULL, NULL);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, -EINVAL);
	EQ(filch_pool_workers(pool), 3);
	end();
}

Test(elastic, work_that_was_left_to_a_worker_that_retires_is_done_by_another, .timeout = 120)
{
	begin(4, 4, 0, 0);
	for (int i = 0; i < 2000; i++) {
		_Atomic uint32_t seen = 0;
		int64_t id = filch_submit(pool, note_worker, &seen, NULL);

		EQ(filch_pool_resize(pool, 1 + (uint32_t)i % 4), 0);
		EQ(filch_wait(pool, id, NULL, NULL), 0);
	}
	end();
}

/* --- pause --------------------------------------------------------------- */

Test(elastic, a_paused_pool_accepts_and_starts_nothing, .timeout = 60)
{
	const struct timespec soon = filch_after(20000000);
	_Atomic uint32_t workers = 0;
	int64_t id;

	begin(2, 0, 0, 0);
	EQ(filch_pool_pause(pool), 0);
	EQ(filch_pool_pause(pool), 0);
	EQ(filch_pool_workers(pool), 2);
	until_retired(2);
	id = filch_submit(pool, note_worker, &workers, NULL);
	cr_assert(id > 0);
	EQ(filch_wait(pool, id, &soon, NULL), -ETIMEDOUT);
	EQ(filch_pool_drain(pool, &soon), -ETIMEDOUT);
	EQ(workers, 0);
	EQ(stats().queued, 1);
	EQ(filch_pool_resume(pool), 0);
	EQ(filch_wait(pool, id, NULL, NULL), 0);
	EQ(filch_pool_resume(pool), 0);
	cr_assert(workers);
	end();
}

static int fib_job(void *arg)
{
	struct crowd *c = arg;
	_Atomic uint32_t workers = 0;
	int64_t id = filch_submit(NULL, note_worker, &workers, NULL);

	gate_raise(&c->inside);
	gate_wait(&c->release, 1);
	EQ(filch_wait(NULL, id, NULL, NULL), 0); /* it runs here, nested */
	return workers == 1u << filch_worker_id();
}

Test(elastic, what_a_running_job_waits_for_is_run_in_a_paused_pool, .timeout = 60)
{
	struct crowd c = CROWD_INIT;
	struct filch_completion done;
	int64_t id;

	begin(1, 0, 0, 0);
	id = filch_submit(pool, fib_job, &c, NULL);
	gate_wait(&c.inside, 1);
	EQ(filch_pool_pause(pool), 0);
	gate_raise(&c.release);
	EQ(filch_wait(pool, id, NULL, &done), 0);
	EQ(done.status, 1);
	EQ(filch_pool_resume(pool), 0);
	end();
}

Test(elastic, a_paused_pool_is_abandoned_and_destroyed, .timeout = 60)
{
	struct filch_completion c;
	int64_t id;

	begin(2, 4, 2, 0);
	EQ(filch_pool_pause(pool), 0);
	id = filch_submit(pool, note_worker, NULL, NULL);
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, -ECANCELED);
	end();
	begin(2, 4, 2, 0);
	EQ(filch_pool_pause(pool), 0);
	cr_assert(filch_submit(pool, note_worker, NULL, NULL) > 0);
	end();
}

static struct filch_pool *other;

static int call_other(void *arg)
{
	struct crowd *c = arg;
	_Atomic uint32_t workers = 0;
	int64_t id = filch_submit(other, note_worker, &workers, NULL);

	gate_raise(&c->inside);
	EQ(filch_wait(other, id, NULL, NULL), 0);
	return 7;
}

Test(elastic, a_wait_of_another_pools_worker_is_no_deadlock_while_the_pool_is_paused, .timeout = 60)
{
	struct crowd c = CROWD_INIT;
	struct filch_completion done;
	int64_t id;

	begin(1, 0, 0, 0);
	other = pool_of(1, 0);
	EQ(filch_pool_pause(other), 0);
	id = filch_submit(pool, call_other, &c, NULL);
	gate_wait(&c.inside, 1);
	while (stats().asleep < 1) /* it waits */
		sched_yield();
	EQ(filch_pool_resume(other), 0);
	EQ(filch_wait(pool, id, NULL, &done), 0);
	EQ(done.status, 7);
	EQ(filch_pool_destroy(other), 0);
	end();
}

/* --- calls that block ---------------------------------------------------- */

Test(elastic, a_spare_runs_while_a_worker_blocks_and_goes_afterwards, .timeout = 60)
{
	struct crowd blocked = CROWD_INIT, behind = CROWD_INIT;

	begin(1, 0, 2, 0);
	EQ(filch_pool_workers(pool), 1);
	EQ(filch_pool_workers_max(pool), 3);
	until_retired(2); /* the spares, before they are let in */
	blocked.blocks = true;
	come(&blocked, 3); /* one runs, and a spare for each that blocks */
	gate_wait(&blocked.inside, 3);
	EQ(blocked.workers, 7);
	come(&behind, 1);
	EQ(stats().queued, 1); /* there is no third spare */
	leave(&blocked);
	gate_wait(&behind.inside, 1);
	leave(&behind);
	/* each is through with what it had, and the next job is worker 0's */
	until_retired(4);
	EQ(run_short(50), 1);
	end();
}

Test(elastic, one_that_blocks_above_the_limit_lets_in_nobody, .timeout = 120)
{
	bool above = false, below = false;

	/* two jobs are on two workers, and the one that blocks is not always worker 0's */
	for (int i = 0; i < 1000 && !(above && below); i++) {
		struct crowd works = CROWD_INIT, blocked = CROWD_INIT;
		struct crowd *first = i % 2 ? &works : &blocked, *then = i % 2 ? &blocked : &works;
		uint32_t expected;

		begin(3, 0, 1, 0);
		blocked.blocks = true;
		come(first, 1);
		gate_wait(&first->inside, 1);
		come(then, 1);
		gate_wait(&then->inside, 1);
		EQ(filch_pool_resize(pool, 1), 0);
		leave(&works);
		/* in the place of worker 0 the next one is let in; in that of another nobody */
		expected = blocked.workers == 1 ? 2 : 1;
		while (run_short(20) != expected)
			;
		EQ(run_short(100), expected);
		*(blocked.workers == 1 ? &below : &above) = true;
		leave(&blocked);
		end();
	}
	cr_assert(above);
}

static int unmatched(void *arg)
{
	(void)arg;
	EQ(filch_blocking_end(), -EINVAL);
	EQ(filch_blocking_begin(), 0);
	EQ(filch_blocking_begin(), 0);
	EQ(filch_blocking_end(), 0);
	EQ(filch_blocking_end(), 0);
	return filch_blocking_end();
}

Test(elastic, pairs_nest_and_an_end_without_its_begin_is_an_error, .timeout = 60)
{
	struct filch_completion c;
	int64_t id;

	EQ(filch_blocking_begin(), -EPERM);
	EQ(filch_blocking_end(), -EPERM);
	for (uint32_t spares = 0; spares < 2; spares++) {
		begin(1, 0, spares, 0);
		id = filch_submit(pool, unmatched, NULL, NULL);
		EQ(filch_wait(pool, id, NULL, &c), 0);
		EQ(c.status, -EINVAL);
		end();
	}
}

static int begin_alone(void *arg)
{
	(void)arg;
	EQ(filch_blocking_begin(), 0);
	return filch_worker_id();
}

static int end_alone(void *arg)
{
	(void)arg;
	return filch_blocking_end();
}

static int exit_blocked(void *arg)
{
	EQ(filch_blocking_begin(), 0);
	if (arg)
		*(volatile int *)arg = 1;
	pthread_exit(NULL);
}

/* One job runs at a time again: nothing is left of calls that did not end. */
static void check_none_blocked(void)
{
	struct filch_completion done;
	int64_t id = filch_submit(pool, end_alone, NULL, NULL);

	EQ(filch_wait(pool, id, NULL, &done), 0);
	EQ(done.status, -EINVAL);
	/* a spare that came may still end what it has begun */
	while (run_short(20) != 1)
		;
	EQ(run_short(200), 1);
}

#if FILCH_DEBUG < 1
Test(elastic, a_begin_without_its_end_ends_with_the_job, .timeout = 60)
{
	begin(1, 0, 1, 0);
	for (int i = 0; i < 20; i++) {
		int64_t id = filch_submit(pool, begin_alone, NULL, NULL);

		EQ(filch_wait(pool, id, NULL, NULL), 0);
	}
	check_none_blocked();
	end();
}

Test(elastic, a_begin_of_the_creator_ends_with_its_job_too, .timeout = 60)
{
	struct filch_completion c;

	begin(2, 2, 1, FILCH_POOL_CALLER);
	EQ(filch_pool_pause(pool), 0); /* so that the creator runs it */
	EQ(filch_wait(pool, filch_submit(pool, begin_alone, NULL, NULL), NULL, &c), 0);
	EQ(c.status, 0);
	EQ(filch_wait(pool, filch_submit(pool, end_alone, NULL, NULL), NULL, &c), 0);
	EQ(c.status, -EINVAL);
	EQ(filch_pool_resume(pool), 0);
	end();
}
#else
static int begin_in_child(void *arg)
{
	(void)arg;
	begin(1, 0, 1, 0);
	return filch_wait(pool, filch_submit(pool, begin_alone, NULL, NULL), NULL, NULL) ||
	       filch_pool_drain(pool, NULL) || filch_pool_destroy(pool);
}

Test(elastic, a_begin_without_its_end_is_a_misuse, .timeout = 60)
{
	char text[1024];
	int status = in_child(begin_in_child, NULL, text, sizeof text);

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	cr_assert(strstr(text, "filch_blocking_begin() without its end"), "%s", text);
}
#endif

Test(elastic, a_thread_that_leaves_while_it_blocks_counts_no_more, .timeout = 60)
{
	begin(1, 0, 1, 0);
	for (int i = 0; i < 20; i++) {
		int64_t id = filch_submit(pool, exit_blocked, NULL, NULL);

		EQ(filch_wait(pool, id, NULL, NULL), 0);
	}
	check_none_blocked();
	end();
}

#if TEST_HAS_GUARDS
static int fault_blocked(void *arg)
{
	(void)arg;
	EQ(filch_blocking_begin(), 0);
	return fall_ill(NULL_STORE);
}

Test(elastic, a_guarded_job_that_faults_while_it_blocks_counts_no_more, .timeout = 60)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	cr_assert(ill_begin());
	begin(1, 0, 1, FILCH_POOL_GUARD);
	how.flags = FILCH_JOB_GUARD;
	for (int i = 0; i < 20; i++) {
		struct filch_completion c;
		int64_t id = filch_submit(pool, fault_blocked, NULL, &how);

		EQ(filch_wait(pool, id, NULL, &c), 0);
		EQ(c.flags & FILCH_DONE_FAULT, FILCH_DONE_FAULT);
	}
	check_none_blocked();
	end();
}
#endif

/* --- what else is every worker's ----------------------------------------- */

static _Atomic uint32_t each_ran, hooks;

static int note_each(void *arg, int worker)
{
	(void)arg;
	EQ(filch_worker_id(), worker);
	each_ran |= 1u << worker;
	return 0;
}

Test(elastic, each_runs_on_all_that_there_are, .timeout = 60)
{
	begin(1, 3, 2, 0);
	for (int i = 0; i < 200; i++) {
		each_ran = 0;
		EQ(filch_pool_each(pool, note_each, NULL), 0);
		EQ(each_ran, 31);
		EQ(filch_pool_resize(pool, 1 + (uint32_t)i % 3), 0);
	}
	end();
}

static void note_hook(void *arg, int worker)
{
	(void)arg;
	hooks |= 1u << worker;
}

Test(elastic, hooks_are_called_on_all_that_there_are, .timeout = 60)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.workers_max = 2;
	config.spares = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.on_worker_start = note_hook;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(hooks, 15);
	end();
}

Test(elastic, the_creator_is_not_held_up_inside_a_call, .timeout = 60)
{
	_Atomic uint32_t workers = 0;
	int64_t id;

	begin(2, 3, 1, FILCH_POOL_CALLER);
	EQ(filch_pool_resize(pool, 1), -EINVAL);
	EQ(filch_pool_resize(pool, 3), 0);
	EQ(filch_pool_resize(pool, 2), 0);
	EQ(filch_pool_pause(pool), 0);
	id = filch_submit(pool, note_worker, &workers, NULL);
	EQ(filch_wait(pool, id, NULL, NULL), 0); /* it runs it itself */
	EQ(workers, 1);
	EQ(filch_pool_resume(pool), 0);
	end();
}

Test(elastic, no_more_may_be_asked_for_than_there_can_be, .timeout = 60)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 3;
	config.workers_max = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&pool, &config), -EINVAL);
	config.workers_max = 1025;
	EQ(filch_pool_create(&pool, &config), -EINVAL);
	config.workers_max = 1000;
	config.spares = 25;
	EQ(filch_pool_create(&pool, &config), -EINVAL);
	config.workers_max = 0;
	config.spares = UINT32_MAX;
	EQ(filch_pool_create(&pool, &config), -EINVAL);
	config.workers = 1;
	config.spares = 1;
	config.flags |= FILCH_POOL_CALLER;
	EQ(filch_pool_create(&pool, &config), -EINVAL);
	config = (struct filch_config)FILCH_CONFIG_INIT;
	config.workers_max = 1; /* the default number gives way */
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_pool_workers(pool), 1);
	end();
}

Test(elastic, the_report_tells_who_is_in_reserve, .timeout = 60)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	begin(1, 3, 2, 0);
	EQ(filch_pool_describe(pool, out, FILCH_TEXT), 0);
	fclose(out);
	cr_assert(strstr(text, "workers 1, "), "%s", text);
	cr_assert(strstr(text, "reserve: workers 1 to 2, when the pool is resized\n"), "%s", text);
	cr_assert(strstr(text, "spares: workers 3 to 4, while others block"), "%s", text);
	free(text);
	end();
}

static int in_fork(void *arg)
{
	(void)arg;
	return filch_pool_resize(pool, 1) != -ECHILD || filch_pool_pause(pool) != -ECHILD ||
	       filch_pool_resume(pool) != -ECHILD || filch_pool_workers(pool) != 2 ||
	       filch_pool_workers_max(pool) != 3;
}

Test(elastic, the_child_of_a_fork_may_ask_and_not_change, .timeout = 60)
{
	char text[256];

	begin(2, 3, 0, 0);
	EQ(in_child(in_fork, NULL, text, sizeof text), 0);
	end();
}
