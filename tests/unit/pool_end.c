/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool, its end: drain, shutdown and destroy from every state and from every kind of thread;
 * nothing that was accepted is left without its one completion, nothing that had not started is
 * started, and whoever was blocked in a call comes home.
 */
#include <criterion/criterion.h>

#include "unit.h"
#include <fib.h>

#include <sched.h>
#include <core/types.h>

static struct filch_config config_of(uint32_t workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	return config;
}

static int one(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
	return 1;
}

/* --- the end of a pool ------------------------------------------------ */

struct hold {
	struct gate started, release;
};
#define HOLD_INIT                    \
	{                            \
		GATE_INIT, GATE_INIT \
	}

static int hold(void *arg)
{
	struct hold *h = arg;

	gate_raise(&h->started);
	gate_wait(&h->release, 1);
	return 5;
}

/* Runs until its job is cancelled. */
static int until_cancelled(void *arg)
{
	gate_raise(arg);
	while (!filch_job_cancelled())
		sched_yield();
	return -EINTR;
}

static int completions[64], statuses[64];

static void tell(const struct filch_completion *c)
{
	size_t i = (size_t)(uintptr_t)c->user;

	statuses[i] = c->status;
	__atomic_fetch_add(&completions[i], 1, __ATOMIC_RELAXED);
}

static int64_t submit_telling(struct filch_pool *pool, filch_job_fn *fn, void *arg, size_t i)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.on_complete = tell;
	how.user = (void *)(uintptr_t)i;
	return filch_submit(pool, fn, arg, &how);
}

Test(pool_end, drain_waits_for_what_was_accepted_before_it)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct timespec past = { 0, 1 }, soon;
	struct hold h = HOLD_INIT;
	int n = 0;

	EQ(filch_pool_drain(pool, &past), 0);
	cr_assert(submit_telling(pool, hold, &h, 0) > 0);
	cr_assert(submit_telling(pool, one, &n, 1) > 0);
	gate_wait(&h.started, 1);
	EQ(filch_pool_drain(pool, &past), -ETIMEDOUT);
	soon = filch_after(2000000);
	EQ(filch_pool_drain(pool, &soon), -ETIMEDOUT);
	EQ(completions[0], 0);
	gate_raise(&h.release);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(completions[0], 1);
	EQ(completions[1], 1);
	EQ(statuses[0], 5);
	cr_assert(submit_telling(pool, one, &n, 2) > 0, "a drained pool is open");
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(completions[2], 1);
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool_end, shutdown_refuses_what_comes_after_and_runs_what_came_before)
{
	struct filch_pool *pool = pool_of(1, 0);
	struct filch_completion c;
	int64_t id;
	int n = 0;

	for (size_t i = 0; i < 20; i++)
		cr_assert(submit_telling(pool, one, &n, i) > 0);
	id = filch_submit(pool, one, &n, NULL);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(n, 21);
	EQ(filch_submit(pool, one, &n, NULL), -ESHUTDOWN);
	EQ(submit_telling(pool, one, &n, 30), -ESHUTDOWN);
	EQ(filch_submit_batch(
		   pool, &(struct filch_job_spec){ one, &n, NULL }, 1, NULL, &(int64_t){ 0 }),
		-ESHUTDOWN);
	EQ(FILCH_RUN(pool, NULL, fib, 3), -ESHUTDOWN);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, 1);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n, 21);
	EQ(completions[30], 0);
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool_end, shutdown_may_time_out_and_then_abandon)
{
	struct filch_pool *pool = pool_of(1, 0);
	struct timespec soon = filch_after(2000000);
	struct gate started = GATE_INIT;
	struct filch_completion c;
	int64_t running = filch_submit(pool, until_cancelled, &started, NULL), queued;
	int n = 0;

	gate_wait(&started, 1);
	queued = filch_submit(pool, one, &n, NULL);
	for (size_t i = 0; i < 10; i++)
		cr_assert(submit_telling(pool, one, &n, i) > 0);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, &soon), -ETIMEDOUT);
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	EQ(n, 0);
	EQ(filch_wait(pool, running, NULL, &c), 0);
	EQ(c.status, -EINTR);
	EQ(filch_wait(pool, queued, NULL, &c), 0);
	EQ(c.status, -ECANCELED);
	EQ(c.worker, -1);
	for (int i = 0; i < 10; i++) {
		EQ(completions[i], 1);
		EQ(statuses[i], -ECANCELED);
	}
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool_end, destroy_completes_what_is_queued_once_and_flags_what_runs)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct gate started = GATE_INIT;
	int n = 0, threads;

	cr_assert(submit_telling(pool, until_cancelled, &started, 40) > 0);
	cr_assert(submit_telling(pool, until_cancelled, &started, 41) > 0);
	gate_wait(&started, 2);
	for (size_t i = 0; i < 40; i++)
		cr_assert(submit_telling(pool, one, &n, i) > 0);
	threads = test_threads();
	EQ(filch_pool_destroy(pool), 0);
	EQ(test_threads(), threads - 2);
	EQ(n, 0);
	for (int i = 0; i < 42; i++) {
		EQ(completions[i], 1);
		EQ(statuses[i], i < 40 ? -ECANCELED : -EINTR);
	}
}

Test(pool_end, destroy_needs_no_shutdown_and_may_follow_any)
{
	for (int before = 0; before < 4; before++) {
		struct filch_pool *pool = pool_of(2, 0);
		int n = 0;

		for (int i = 0; i < 10; i++)
			cr_assert(filch_submit(pool, one, &n, NULL) > 0); /* never reaped */
		if (before == 1)
			EQ(filch_pool_drain(pool, NULL), 0);
		if (before == 2)
			EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
		if (before == 3)
			EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
		EQ(filch_pool_destroy(pool), 0);
		if (before == 1 || before == 2)
			EQ(n, 10);
	}
}

/* What a thread that sits inside a call of the pool when it is destroyed comes back with. */
struct client {
	struct filch_pool *pool;
	int64_t id, result;
	struct filch_completion completion;
};

static void *guest_submits(void *arg)
{
	struct client *g = arg;

	g->result = filch_submit(g->pool, one, &(int){ 0 }, NULL);
	return NULL;
}

static void *guest_waits(void *arg)
{
	struct client *g = arg;

	g->result = filch_wait(g->pool, g->id, NULL, &g->completion);
	return NULL;
}

static void *guest_runs(void *arg)
{
	struct client *g = arg;

	g->result = FILCH_RUN(g->pool, NULL, fib, 3);
	return NULL;
}

static void *guest_drains(void *arg)
{
	struct client *g = arg;

	g->result = filch_pool_drain(g->pool, NULL);
	return NULL;
}

static void guests_come_home(bool abandon_first)
{
	struct filch_config config = config_of(1);
	void *(*const call[])(void *) = { guest_runs, guest_submits, guest_submits, guest_waits,
		guest_waits, guest_drains };
	struct gate started = GATE_INIT;
	struct filch_pool *pool;
	struct client client[6];
	pthread_t thread[6];
	int n = 0;

	config.queue_capacity = 2;
	config.jobs_max = 16;
	EQ(filch_pool_create(&pool, &config), 0);
	client[4].id = filch_submit(pool, until_cancelled, &started, NULL);
	gate_wait(&started, 1);
	client[3].id = filch_submit(pool, one, &n, NULL);
	for (int i = 0; i < 6; i++) {
		client[i].pool = pool;
		client[i].result = 999;
		EQ(pthread_create(&thread[i], NULL, call[i], &client[i]), 0);
		if (i == 0)
			/* its job fills the queue */
			while (filchi_load_acquire(&pool->injector.queued) < 2)
				sched_yield();
	}
	/* all inside: the two submitters count as clients and as blocked */
	while (filchi_load_acquire(&pool->clients_inside) < 6 ||
		filchi_load_acquire(&pool->injector.blocked) < 2)
		sched_yield();
	if (abandon_first)
		EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	EQ(filch_pool_destroy(pool), 0);
	for (int i = 0; i < 6; i++)
		EQ(pthread_join(thread[i], NULL), 0);
	EQ(client[0].result, -ECANCELED);
	EQ(client[1].result, -ESHUTDOWN);
	EQ(client[2].result, -ESHUTDOWN);
	EQ(client[3].result, 0);
	EQ(client[3].completion.status, -ECANCELED);
	EQ(client[4].result, 0);
	EQ(client[4].completion.status, -EINTR);
	EQ(client[5].result, 0);
	EQ(n, 0);
}

Test(pool_end, callers_blocked_in_a_call_return_when_the_pool_is_destroyed)
{
	for (int i = 0; i < 20; i++)
		guests_come_home(false);
}

Test(pool_end, callers_blocked_in_a_call_return_when_the_pool_is_abandoned)
{
	for (int i = 0; i < 20; i++)
		guests_come_home(true);
}

/* --- calls that would wait for themselves ----------------------------- */

static struct filch_pool *own;
static int deadlocks;

static int try_to_end_the_pool(void *arg)
{
	struct timespec past = { 0, 1 };

	(void)arg;
	deadlocks += filch_pool_drain(own, &past) == -EDEADLK;
	deadlocks += filch_pool_shutdown(own, FILCH_DRAIN, &past) == -EDEADLK;
	deadlocks += filch_pool_shutdown(own, FILCH_ABANDON, &past) == -EDEADLK;
	deadlocks += filch_pool_destroy(own) == -EDEADLK;
	return 0;
}

static void try_in_a_callback(const struct filch_completion *c)
{
	(void)c;
	(void)try_to_end_the_pool(NULL);
}

FILCH_VOID_TASK(try_in_a_task)
{
	(void)try_to_end_the_pool(NULL);
}

static void try_in_a_loop(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)try_to_end_the_pool(arg);
}

static void still_open(void)
{
	int n = 0;

	EQ(filch_wait(own, filch_submit(own, one, &n, NULL), NULL, NULL), 0);
	EQ(n, 1);
}

Test(pool_end, a_worker_cannot_end_its_own_pool)
{
	own = pool_of(2, 0);
	EQ(filch_wait(own, filch_submit(own, try_to_end_the_pool, NULL, NULL), NULL, NULL), 0);
	EQ(deadlocks, 4);
	EQ(FILCH_RUN(own, NULL, try_in_a_task), 0);
	EQ(deadlocks, 8);
	EQ(filch_for(own, 0, 1, 1, try_in_a_loop, NULL), 0);
	EQ(deadlocks, 12);
	still_open();
	EQ(filch_pool_destroy(own), 0);
}

Test(pool_end, a_callback_cannot_end_its_pool_on_whichever_thread_it_runs)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	int64_t id;
	int n = 0;

	own = pool_of(1, 0);
	how.on_complete = try_in_a_callback;
	cr_assert(filch_submit(own, one, &n, &how) > 0);
	EQ(filch_pool_drain(own, NULL), 0);
	EQ(deadlocks, 4); /* on the worker */
	cr_assert(filch_submit(own, hold, &h, NULL) > 0);
	gate_wait(&h.started, 1);
	id = filch_submit(own, one, &n, &how);
	EQ(filch_cancel(own, id), 0);
	EQ(deadlocks, 8); /* on this thread, which cancelled */
	gate_raise(&h.release);
	still_open();
	EQ(filch_pool_destroy(own), 0);
}

Test(pool_end, a_job_that_its_submitter_runs_cannot_end_the_pool)
{
	struct filch_config config = config_of(1);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	struct filch_completion c;
	int64_t id;
	int n = 0;

	config.queue_capacity = 1;
	EQ(filch_pool_create(&own, &config), 0);
	cr_assert(filch_submit(own, hold, &h, NULL) > 0);
	gate_wait(&h.started, 1);
	cr_assert(filch_submit(own, one, &n, NULL) > 0); /* full */
	how.when_full = FILCH_CALLER_RUNS;
	id = filch_submit(own, try_to_end_the_pool, NULL, &how);
	cr_assert(id > 0);
	EQ(deadlocks, 4);
	EQ(filch_wait(own, id, NULL, &c), 0);
	EQ(c.worker, -1);
	gate_raise(&h.release);
	still_open();
	EQ(filch_pool_destroy(own), 0);
}

/*
 * A pool of one worker, which is held, whose queue is full: its submitters with FILCH_CALLER_RUNS
 * run their jobs themselves.
 */
static struct filch_pool *full_pool(struct hold *h, int *n)
{
	struct filch_config config = config_of(1);
	struct filch_pool *pool = NULL;

	config.queue_capacity = 1;
	EQ(filch_pool_create(&pool, &config), 0);
	cr_assert(filch_submit(pool, hold, h, NULL) > 0);
	gate_wait(&h->started, 1);
	cr_assert(filch_submit(pool, one, n, NULL) > 0);
	return pool;
}

static int64_t run_by_me(struct filch_pool *pool, filch_job_fn *fn)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	how.when_full = FILCH_CALLER_RUNS;
	id = filch_submit(pool, fn, NULL, &how);
	cr_assert(id > 0);
	return id;
}

static struct filch_pool *other;
static int64_t outer_id;

/*
 * Runs on top of a job of own's, on the same thread: of another pool, so the innermost job is not
 * own's.
 */
static int try_on_top(void *arg)
{
	EQ(filch_wait(own, outer_id, NULL, NULL), -EDEADLK);
	cr_assert(filch_job_id() != outer_id);
	return try_to_end_the_pool(arg);
}

static int run_one_of_another_pool_on_top(void *arg)
{
	(void)arg;
	outer_id = filch_job_id();
	EQ(filch_wait(other, run_by_me(other, try_on_top), NULL, NULL), 0);
	EQ(filch_job_id(), outer_id);
	return 0;
}

Test(pool_end,
	jobs_of_two_pools_that_a_submitter_runs_on_top_of_each_other_cannot_end_the_outer_pool)
{
	struct hold h[2] = { HOLD_INIT, HOLD_INIT };
	int n = 0;

	own = full_pool(&h[0], &n);
	other = full_pool(&h[1], &n);
	EQ(filch_wait(own, run_by_me(own, run_one_of_another_pool_on_top), NULL, NULL), 0);
	EQ(deadlocks, 4);
	EQ(filch_job_id(), 0);
	for (int i = 0; i < 2; i++)
		gate_raise(&h[i].release);
	still_open();
	EQ(filch_pool_destroy(other), 0);
	EQ(filch_pool_destroy(own), 0);
}

static int wait_for_one_of_my_pool(void *arg)
{
	int64_t id = filch_submit(other, try_on_top, arg, NULL);

	outer_id = filch_job_id();
	cr_assert(id > 0);
	/* there is one worker, and this is it: it runs the job here */
	EQ(filch_wait(other, id, NULL, NULL), 0);
	EQ(filch_job_id(), outer_id);
	return 0;
}

static int run_one_of_own(void *arg)
{
	int64_t mine = filch_job_id();

	(void)arg;
	EQ(filch_wait(own, run_by_me(own, wait_for_one_of_my_pool), NULL, NULL), 0);
	EQ(filch_job_id(), mine);
	return 0;
}

Test(pool_end, a_job_that_runs_on_top_of_another_pools_job_cannot_end_that_pool)
{
	struct hold h = HOLD_INIT;
	int n = 0;

	own = full_pool(&h, &n);
	other = pool_of(1, 0);
	EQ(filch_wait(other, filch_submit(other, run_one_of_own, NULL, NULL), NULL, NULL), 0);
	EQ(deadlocks, 4);
	gate_raise(&h.release);
	still_open();
	EQ(filch_pool_destroy(other), 0);
	EQ(filch_pool_destroy(own), 0);
}

Test(pool_end, another_pools_worker_may_end_a_pool)
{
	struct filch_pool *theirs = pool_of(1, 0);

	own = pool_of(2, 0);
	EQ(filch_wait(theirs, filch_submit(theirs, try_to_end_the_pool, NULL, NULL), NULL, NULL),
		0);
	EQ(deadlocks, 0); /* all four calls went through */
	EQ(filch_pool_destroy(theirs), 0);
}

Test(pool_end, bad_arguments_of_the_last_calls_are_refused)
{
	struct filch_pool *pool = pool_of(1, 0);
	int n = 0;

	EQ(filch_pool_drain(NULL, NULL), -EINVAL);
	EQ(filch_pool_shutdown(NULL, FILCH_DRAIN, NULL), -EINVAL);
	EQ(filch_pool_destroy(NULL), -EINVAL);
	EQ(filch_pool_shutdown(pool, 2, NULL), -EINVAL);
	EQ(filch_pool_shutdown(pool, -1, NULL), -EINVAL);
	cr_assert(filch_submit(pool, one, &n, NULL) > 0, "a refused shutdown closes nothing");
	EQ(filch_pool_destroy(pool), 0);
}
