/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool, with FILCH_POOL_CALLER: the creating thread is worker 0 while it is inside a run, a loop or
 * a wait, and no other thread ever is; a pool whose only worker it is works, and nothing it calls
 * waits for a worker that is itself.
 */
#include <criterion/criterion.h>

#include "unit.h"
#include <fib.h>

#include <sched.h>
#include <core/types.h>

static struct filch_pool *caller_pool(uint32_t workers, uint32_t capacity)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	config.workers = workers;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_OVERSUBSCRIBE;
	config.queue_capacity = capacity;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_pool_workers(pool), workers);
	return pool;
}

struct where {
	pthread_t thread;
	int worker;
	struct filch_pool *pool;
};

FILCH_VOID_TASK(look, (struct where *, where))
{
	where->thread = pthread_self();
	where->worker = filch_worker_id();
	where->pool = filch_pool_current();
}

static int look_in_a_job(void *arg)
{
	struct where *where = arg;

	where->thread = pthread_self();
	where->worker = filch_worker_id();
	where->pool = filch_pool_current();
	return 3;
}

Test(pool_caller, a_run_stays_on_the_creating_thread_as_worker_zero)
{
	const int threads = test_threads();

	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct filch_pool *pool = caller_pool(workers, 0);

		EQ(test_threads(), threads + (int)workers - 1);
		for (int i = 0; i < 20; i++) {
			struct where where;
			long r = 0;

			EQ(FILCH_RUN(pool, NULL, look, &where), 0);
			cr_assert(pthread_equal(where.thread, pthread_self()));
			EQ(where.worker, 0);
			cr_assert(where.pool == pool);
			cr_assert(!filch_pool_current());
			EQ(filch_worker_id(), -1);
			EQ(FILCH_RUN(pool, &r, fib, 15), 0);
			EQ(r, 610);
		}
		EQ(filch_pool_destroy(pool), 0);
		EQ(test_threads(), threads);
	}
}

FILCH_VOID_TASK(raise, (struct gate *, g))
{
	gate_raise(g);
}

FILCH_TASK(int, is_stolen, (struct gate *, g))
{
	FILCH_SPAWN(a, raise, g);
	gate_wait(g, 1);
	FILCH_SYNC(a);
	return filch_worker_id();
}

Test(pool_caller, the_other_workers_steal_from_the_creating_thread)
{
	struct filch_pool *pool = caller_pool(2, 0);

	for (int i = 0; i < 50; i++) {
		struct gate g = GATE_INIT;
		int worker = -1;

		EQ(FILCH_RUN(pool, &worker, is_stolen, &g), 0);
		EQ(worker, 0);
	}
	EQ(filch_pool_destroy(pool), 0);
}

static void *run_elsewhere(void *arg)
{
	struct where *where = arg;
	struct filch_pool *pool = where->pool;

	return FILCH_RUN(pool, NULL, look, where) ? pool : NULL;
}

Test(pool_caller, other_threads_hand_over_to_a_worker)
{
	struct filch_pool *pool = caller_pool(2, 0);
	struct where where = { .pool = pool };
	pthread_t thread;
	void *failed;

	EQ(pthread_create(&thread, NULL, run_elsewhere, &where), 0);
	EQ(pthread_join(thread, &failed), 0);
	cr_assert(!failed);
	EQ(where.worker, 1);
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool_caller, a_pool_of_the_creating_thread_alone_runs_jobs_when_it_waits)
{
	struct filch_pool *pool = caller_pool(1, 0);
	struct filch_completion c;
	struct where where;

	for (int i = 0; i < 50; i++) {
		int64_t first = filch_submit(pool, look_in_a_job, &where, NULL);
		int64_t second = filch_submit(pool, look_in_a_job, &where, NULL);

		EQ(filch_wait(pool, second, NULL, &c), 0);
		EQ(c.status, 3);
		EQ(c.worker, 0);
		cr_assert(pthread_equal(where.thread, pthread_self()));
		EQ(filch_wait(pool, first, NULL, &c), 0);
		EQ(c.status, 3);
	}
	EQ(filch_pool_destroy(pool), 0);
}

static int count(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
	return 0;
}

static const struct filch_submit detached = { .size = sizeof detached,
	.flags = FILCH_JOB_DETACHED };

Test(pool_caller, drain_and_shutdown_run_what_is_queued)
{
	struct filch_pool *pool = caller_pool(1, 0);
	int n = 0;

	for (int i = 0; i < 20; i++)
		cr_assert(filch_submit(pool, count, &n, &detached) > 0);
	EQ(n, 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n, 20);
	for (int i = 0; i < 20; i++)
		cr_assert(filch_submit(pool, count, &n, &detached) > 0);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(n, 40);
	EQ(filch_pool_destroy(pool), 0);
}

/* "Submit waits only for what the pool itself will finish": here the pool is the submitter. */
Test(pool_caller, a_full_queue_does_not_block_the_thread_that_is_its_only_worker)
{
	struct filch_pool *pool = caller_pool(1, 2);
	int n = 0;

	for (int i = 0; i < 10; i++)
		cr_assert(filch_submit(pool, count, &n, &detached) > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n, 10);
	EQ(filch_pool_destroy(pool), 0);
}

/*
 * A job that outlasts the deadline of the call it runs in, and leaves the queue as full as it was.
 * The call looks at the time through a pointer: the job sets it to one that has passed, so that the
 * test depends on no clock.
 */
struct chain {
	struct filch_pool *pool;
	struct timespec deadline;
	int runs;
};
#define FAR UINT64_C(3600000000000)

static int outlast(void *arg)
{
	struct chain *c = arg;

	c->deadline = (struct timespec){ 0, 1 };
	if (++c->runs < 100)
		cr_assert(filch_submit(c->pool, outlast, c, &detached) > 0);
	return 0;
}

Test(pool_caller, a_submit_that_makes_room_looks_at_its_deadline_before_each_job)
{
	struct filch_submit until = detached;
	struct timespec past = { 0, 1 };
	struct chain c = { .runs = 0 };
	int n = 0;

	c.pool = caller_pool(1, 2);
	until.when_full = FILCH_UNTIL;
	until.deadline = &past;
	cr_assert(filch_submit(c.pool, count, &n, &detached) > 0);
	cr_assert(filch_submit(c.pool, count, &n, &detached) > 0);
	EQ(filch_submit(c.pool, count, &n, &until), -ETIMEDOUT);
	EQ(n, 0);
	EQ(filch_pool_drain(c.pool, NULL), 0);
	EQ(n, 2);
	/*
	 * a job that has been started is run to its end; the one that it has left in its place is
	 * not started
	 */
	c.deadline = filch_after(FAR);
	until.deadline = &c.deadline;
	cr_assert(filch_submit(c.pool, outlast, &c, &detached) > 0);
	cr_assert(filch_submit(c.pool, count, &n, &detached) > 0);
	EQ(filch_submit(c.pool, count, &n, &until), -ETIMEDOUT);
	EQ(c.runs, 1);
	EQ(n, 2);
	EQ(filch_pool_drain(c.pool, NULL), 0);
	EQ(c.runs, 100);
	EQ(n, 3);
	EQ(filch_pool_destroy(c.pool), 0);
}

Test(pool_caller, a_drain_starts_no_job_after_its_deadline)
{
	struct timespec past = { 0, 1 };

	for (uint32_t end = 0; end < 2; end++) {
		struct chain c = {
			.pool = caller_pool(1, 0), .deadline = filch_after(FAR), .runs = 99
		};
		int n = 0;

		cr_assert(filch_submit(c.pool, outlast, &c, &detached) > 0);
		cr_assert(filch_submit(c.pool, count, &n, &detached) > 0);
		cr_assert(filch_submit(c.pool, count, &n, &detached) > 0);
		EQ(filch_pool_drain(c.pool, &past), -ETIMEDOUT);
		EQ(c.runs, 99);
		EQ(end ? filch_pool_shutdown(c.pool, FILCH_DRAIN, &c.deadline)
		       : filch_pool_drain(c.pool, &c.deadline),
			-ETIMEDOUT);
		EQ(c.runs, 100);
		EQ(n, 0);
		EQ(end ? filch_pool_shutdown(c.pool, FILCH_DRAIN, NULL)
		       : filch_pool_drain(c.pool, NULL),
			0);
		EQ(n, 2);
		EQ(filch_pool_drain(c.pool, &past), 0); /* there is nothing left to wait for */
		EQ(filch_pool_destroy(c.pool), 0);
	}
}

static struct filch_pool *own;
static int deadlocks;

FILCH_VOID_TASK(try_to_end_the_pool)
{
	struct timespec past = { 0, 1 };

	deadlocks += filch_pool_drain(own, &past) == -EDEADLK;
	deadlocks += filch_pool_shutdown(own, FILCH_DRAIN, &past) == -EDEADLK;
	deadlocks += filch_pool_destroy(own) == -EDEADLK;
}

Test(pool_caller, inside_a_run_the_creating_thread_is_a_worker_and_cannot_end_the_pool)
{
	own = caller_pool(2, 0);
	EQ(FILCH_RUN(own, NULL, try_to_end_the_pool), 0);
	EQ(deadlocks, 3);
	EQ(filch_pool_shutdown(own, FILCH_DRAIN, NULL), 0);
	EQ(FILCH_RUN(own, NULL, try_to_end_the_pool), -ESHUTDOWN);
	EQ(filch_pool_destroy(own), 0);
}

FILCH_TASK(long, into, (struct filch_pool *, there), (int, n))
{
	long r = -1;

	return FILCH_RUN(there, &r, fib, n) ? -1 : r;
}

Test(pool_caller, the_seat_is_one_for_each_pool_and_a_worker_takes_no_second)
{
	struct filch_pool *a = caller_pool(2, 0), *b = caller_pool(2, 0), *plain = pool_of(1, 0);
	long r = 0;

	EQ(FILCH_RUN(a, &r, into, b, 10), 0); /* a's worker 0 hands over to b's worker 1 */
	EQ(r, 55);
	EQ(FILCH_RUN(a, &r, into, plain, 10), 0);
	EQ(r, 55);
	EQ(FILCH_RUN(plain, &r, into, a, 10), 0);
	EQ(r, 55);
	EQ(filch_pool_destroy(plain), 0);
	EQ(filch_pool_destroy(b), 0);
	EQ(filch_pool_destroy(a), 0);
}

static int starts, stops, zero_starts;

static void on_start(void *arg, int worker)
{
	(void)arg;
	__atomic_fetch_add(&starts, 1, __ATOMIC_RELAXED);
	zero_starts += worker == 0;
}

static void on_stop(void *arg, int worker)
{
	(void)arg;
	(void)worker;
	__atomic_fetch_add(&stops, 1, __ATOMIC_RELAXED);
}

Test(pool_caller, hooks_run_for_worker_zero_as_well)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	config.workers = 3;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_OVERSUBSCRIBE;
	config.on_worker_start = on_start;
	config.on_worker_stop = on_stop;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(starts, 3);
	EQ(zero_starts, 1);
	EQ(filch_pool_destroy(pool), 0);
	EQ(stops, 3);
}

Test(pool_caller, destroy_cancels_what_nobody_ran)
{
	struct filch_pool *pool = caller_pool(1, 0);
	int n = 0;

	for (int i = 0; i < 20; i++)
		cr_assert(filch_submit(pool, count, &n, &detached) > 0);
	EQ(filch_pool_destroy(pool), 0);
	EQ(n, 0);
}

static int run_on_a_pool_of_its_own(void *arg)
{
	struct filch_pool *mine = caller_pool(1, 1);
	struct filch_completion completion;
	int64_t id = filch_submit(mine, look_in_a_job, arg, NULL);
	long result = 0;

	cr_assert(id > 0);
	EQ(FILCH_RUN(mine, &result, fib, 5), -EDEADLK);
	EQ(filch_for(mine, 0, 10, 1, NULL, NULL), -EINVAL);
	EQ(filch_wait(mine, id, NULL, NULL), -EDEADLK);
	EQ(filch_pool_drain(mine, NULL), -EDEADLK);
	EQ(filch_pool_shutdown(mine, FILCH_DRAIN, NULL), -EDEADLK);
	EQ(filch_submit(mine, look_in_a_job, arg, NULL), -EDEADLK); /* the queue has room for one */
	EQ(filch_pool_shutdown(mine, FILCH_ABANDON, NULL), 0);
	EQ(filch_wait(mine, id, NULL, &completion), 0);
	EQ(completion.status, -ECANCELED);
	EQ(filch_pool_destroy(mine), 0);
	return 7;
}

Test(pool_caller, a_creator_that_works_for_another_pool_is_not_left_waiting_for_itself)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_completion completion;
	struct filch_pool *pool;
	struct where where;
	int64_t id;

	config.workers = 1;
	EQ(filch_pool_create(&pool, &config), 0);
	id = filch_submit(pool, run_on_a_pool_of_its_own, &where, NULL);
	EQ(filch_wait(pool, id, NULL, &completion), 0);
	EQ(completion.status, 7);
	EQ(filch_pool_destroy(pool), 0);
}

static int until_cancelled(void *arg)
{
	gate_raise(arg);
	while (!filch_job_cancelled())
		sched_yield();
	return -EINTR;
}

/* Destroys the pool when its creator is seen inside a call. */
static void *destroy_around_the_creator(void *arg)
{
	struct filch_pool *pool = arg;

	while (!filchi_load_acquire(&pool->clients_inside))
		sched_yield();
	EQ(filch_pool_destroy(pool), 0);
	return NULL;
}

Test(pool_caller, a_creator_that_waits_for_a_job_is_let_out_before_the_pool_is_gone)
{
	for (int i = 0; i < 20; i++) {
		struct filch_pool *pool = caller_pool(2, 0);
		struct filch_completion completion;
		struct gate started = GATE_INIT;
		pthread_t thread;
		int64_t id;
		int n = 0;

		id = filch_submit(pool, count, &n, NULL);
		EQ(filch_wait(pool, id, NULL, NULL), 0);
		EQ(filchi_load_acquire(&pool->clients_inside), 0);
		id = filch_submit(pool, until_cancelled, &started, NULL);
		gate_wait(&started, 1); /* on the other worker */
		EQ(pthread_create(&thread, NULL, destroy_around_the_creator, pool), 0);
		EQ(filch_wait(pool, id, NULL, &completion), 0);
		EQ(completion.status, -EINTR);
		EQ(pthread_join(thread, NULL), 0);
	}
}

static int64_t outer_id;

static int wait_for_the_outer_job(void *arg)
{
	EQ(filch_wait(arg, outer_id, NULL, NULL), -EDEADLK);
	return 1;
}

FILCH_VOID_TASK(wait_in_a_run, (struct filch_pool *, pool))
{
	EQ(filch_wait(pool, outer_id, NULL, NULL), -EDEADLK);
}

static int wait_for_oneself(void *arg)
{
	int64_t id;

	outer_id = filch_job_id();
	EQ(filch_wait(arg, outer_id, NULL, NULL), -EDEADLK);
	EQ(FILCH_RUN(arg, NULL, wait_in_a_run, arg), 0);
	/* a job that this thread runs as worker 0, on top of that one */
	EQ(filch_pool_workers(arg), 1);
	/* makes room by running what is queued */
	id = filch_submit(arg, wait_for_the_outer_job, arg, NULL);
	cr_assert(id > 0);
	EQ(filch_wait(arg, id, NULL, NULL), 0);
	return 2;
}

Test(pool_caller, a_job_that_the_creator_runs_in_its_submit_is_not_left_waiting_for_itself)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_pool *pool = caller_pool(1, 1);
	struct filch_completion completion;
	int64_t id;
	int n = 0;

	how.when_full = FILCH_CALLER_RUNS;
	cr_assert(filch_submit(pool, count, &n, &detached) > 0);
	id = filch_submit(pool, wait_for_oneself, pool, &how);
	cr_assert(id > 0);
	EQ(n, 1);
	EQ(filch_wait(pool, id, NULL, &completion), 0);
	EQ(completion.status, 2);
	EQ(completion.worker, -1);
	EQ(filch_pool_destroy(pool), 0);
}
