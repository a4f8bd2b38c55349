/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completion queues: every way a job may end puts exactly one completion into its queue; credits
 * bound what is out; slots do not wait for the reaper; a queue and its pools may go in either
 * order. The descriptor and the waits are in cq_wait.c.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

#include <sched.h>

#include <struct/cq_cells.h>

static struct filch_cq *cq;

static void begin_cq(uint32_t workers, uint32_t capacity, uint32_t jobs_max, uint32_t cq_capacity)
{
	begin(workers, capacity, jobs_max);
	EQ(filch_cq_create(&cq, cq_capacity), 0);
}

static void end_cq(void)
{
	struct filch_completion c;

	EQ(filch_cq_reap(cq, &c, 1), 0);
	end();
	EQ(filch_cq_reap(cq, &c, 1), 0);
	EQ(filch_cq_destroy(cq), 0);
}

static struct filch_submit to_cq(uint32_t when_full)
{
	struct filch_submit how = policy(when_full);

	how.cq = cq;
	return how;
}

static int64_t submit_to(uint32_t when_full, void *arg)
{
	struct filch_submit how = to_cq(when_full);

	return filch_submit(pool, answer, arg, &how);
}

/* The next completion, waited for; the queue has nothing else. */
static struct filch_completion only_one(void)
{
	struct filch_completion c[2];

	EQ(filch_cq_wait(cq, c, 2, NULL), 1);
	EQ(filch_cq_reap(cq, &c[1], 1), 0);
	return c[0];
}

/* --- one completion for every end ------------------------------------- */

Test(cq, a_completion_comes_out_of_its_queue_once)
{
	struct filch_submit how;
	struct filch_completion c;
	int64_t id;
	int n = 0;

	begin_cq(1, 0, 0, 0);
	how = to_cq(FILCH_BLOCK);
	how.user = &how;
	id = filch_submit(pool, answer, &n, &how);
	cr_assert(id > 0);
	c = only_one();
	EQ(c.id, id);
	EQ(c.status, 42);
	EQ(c.worker, 0);
	cr_assert(c.arg == &n && c.user == &how);
	EQ(c.flags | c.detail[0] | c.detail[1] | c.reserved[0] | c.reserved[1], 0);
	EQ(n, 1);
	end_cq();
}

Test(cq, nobody_else_can_wait_for_its_jobs)
{
	struct hold h = HOLD_INIT;
	int64_t id;

	begin_cq(1, 0, 0, 0);
	hold_worker(&h);
	id = submit_to(FILCH_BLOCK, NULL);
	EQ(filch_wait(pool, id, NULL, NULL), -EINVAL);
	let_go(&h);
	EQ(only_one().id, id);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_wait(pool, id, NULL, NULL), -ESRCH);
	EQ(filch_cancel(pool, id), -ESRCH);
	end_cq();
}

Test(cq, completions_come_in_the_order_in_which_they_were_put)
{
	struct filch_completion c[100];
	struct hold h = HOLD_INIT;
	int64_t id[100];

	begin_cq(1, 0, 0, 100);
	hold_worker(&h);
	for (int i = 0; i < 100; i++)
		cr_assert((id[i] = submit_to(FILCH_BLOCK, NULL)) > 0);
	let_go(&h);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_reap(cq, c, 30), 30);
	EQ(filch_cq_reap(cq, c + 30, 100), 70);
	for (int i = 0; i < 100; i++)
		EQ(c[i].id, id[i]);
	end_cq();
}

Test(cq, a_job_cancelled_in_the_queue_is_there_at_once)
{
	struct hold h = HOLD_INIT;
	struct filch_completion c;
	int64_t id;
	int n = 0;

	begin_cq(1, 0, 0, 0);
	hold_worker(&h);
	id = submit_to(FILCH_BLOCK, &n);
	EQ(filch_cancel(pool, id), 0);
	c = only_one();
	EQ(c.id, id);
	EQ(c.status, -ECANCELED);
	EQ(c.worker, -1);
	let_go(&h);
	EQ(n, 0);
	end_cq();
}

static int until_cancelled(void *arg)
{
	gate_raise(arg);
	while (!filch_job_cancelled())
		sched_yield();
	return 9;
}

Test(cq, a_job_cancelled_while_it_runs_says_what_it_made_of_that)
{
	struct gate started = GATE_INIT;
	struct filch_submit how;
	int64_t id;

	begin_cq(2, 0, 0, 0);
	how = to_cq(FILCH_BLOCK);
	id = filch_submit(pool, until_cancelled, &started, &how);
	gate_wait(&started, 1);
	EQ(filch_cancel(pool, id), 0);
	EQ(only_one().status, 9);
	end_cq();
}

Test(cq, a_job_that_is_reached_too_late_is_shed_into_its_queue)
{
	struct timespec past = { 0, 1 };
	struct filch_submit how;
	struct filch_completion c;
	int n = 0;

	begin_cq(1, 0, 0, 0);
	how = to_cq(FILCH_BLOCK);
	how.start_by = &past;
	cr_assert(filch_submit(pool, answer, &n, &how) > 0);
	c = only_one();
	EQ(c.status, -ETIMEDOUT);
	EQ(c.worker, -1);
	EQ(n, 0);
	end_cq();
}

Test(cq, a_job_its_submitter_runs_is_there_when_submit_returns)
{
	struct hold h = HOLD_INIT;
	struct filch_completion c[2];
	int64_t queued, id;

	begin_cq(1, 1, 0, 0);
	hold_worker(&h);
	queued = submit_to(FILCH_CALLER_RUNS, NULL);
	EQ(filch_cq_reap(cq, c, 2), 0);
	id = submit_to(FILCH_CALLER_RUNS, NULL);
	EQ(filch_cq_reap(cq, c, 2), 1);
	EQ(c[0].id, id);
	EQ(c[0].status, 42);
	EQ(c[0].worker, -1);
	let_go(&h);
	EQ(only_one().id, queued);
	end_cq();
}

static void ends_with(int how_many, int64_t running, void (*end_of_pool)(void))
{
	struct filch_completion c[20];
	int got, ran = 0;

	end_of_pool();
	got = filch_cq_reap(cq, c, 20);
	EQ(got, how_many + 1);
	for (int i = 0; i < got; i++) {
		if (c[i].id == running) {
			EQ(c[i].status, 9);
			ran++;
		} else {
			EQ(c[i].status, -ECANCELED);
		}
	}
	EQ(ran, 1);
}

static void abandon(void)
{
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
}

static void abandoned_or_destroyed(void (*end_of_pool)(void))
{
	struct gate started = GATE_INIT;
	struct filch_submit how;
	int64_t running;
	int n = 0;

	begin_cq(1, 0, 0, 0);
	how = to_cq(FILCH_BLOCK);
	running = filch_submit(pool, until_cancelled, &started, &how);
	gate_wait(&started, 1);
	for (int i = 0; i < 10; i++)
		cr_assert(submit_to(FILCH_BLOCK, &n) > 0);
	ends_with(10, running, end_of_pool);
	EQ(n, 0);
}

Test(cq, the_jobs_of_an_abandoned_pool_are_all_there)
{
	abandoned_or_destroyed(abandon);
	/* and its queue is not used up by submits that come too late */
	for (int i = 0; i < 100; i++)
		EQ(submit_to(FILCH_BLOCK, NULL), -ESHUTDOWN);
	end_cq();
}

Test(cq, the_jobs_of_a_destroyed_pool_are_all_there)
{
	abandoned_or_destroyed(end);
	EQ(filch_cq_destroy(cq), 0);
}

Test(cq, a_drained_pool_has_put_everything)
{
	struct filch_completion c[64];

	begin_cq(3, 0, 0, 64);
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 64; i++)
			cr_assert(submit_to(FILCH_BLOCK, NULL) > 0);
		EQ(filch_pool_drain(pool, NULL), 0);
		EQ(filch_cq_reap(cq, c, 64), 64);
	}
	end_cq();
}

Test(cq, a_batch_needs_no_place_for_ids)
{
	const struct filch_job_spec spec[3] = { { answer, NULL, NULL }, { answer, NULL, NULL },
		{ answer, NULL, NULL } };
	struct filch_completion c[3];
	struct filch_submit how;

	begin_cq(2, 0, 0, 2);
	how = to_cq(FILCH_BLOCK);
	EQ(filch_submit_batch(pool, spec, 3, &how, NULL), 2); /* as many as there are credits */
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_reap(cq, c, 3), 2);
	end_cq();
}

/* --- credits ---------------------------------------------------------- */

Test(cq, a_full_queue_is_refused_at_once_under_every_policy)
{
	struct timespec never = filch_after(UINT64_C(3600000000000));
	struct filch_completion c[3];
	struct filch_submit until;

	begin_cq(1, 100, 100, 3);
	until = to_cq(FILCH_UNTIL);
	until.deadline = &never;
	/* more refusals than there are slots: none keeps one */
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 3; i++)
			cr_assert(submit_to(FILCH_BLOCK, NULL) > 0);
		EQ(submit_to(FILCH_BLOCK, NULL), -ENOBUFS); /* in flight or not */
		EQ(filch_pool_drain(pool, NULL), 0);
		EQ(submit_to(FILCH_BLOCK, NULL), -ENOBUFS);
		EQ(submit_to(FILCH_TRY, NULL), -ENOBUFS);
		EQ(submit_to(FILCH_CALLER_RUNS, NULL), -ENOBUFS);
		EQ(filch_submit(pool, answer, NULL, &until), -ENOBUFS);
		EQ(filch_cq_reap(cq, c, 1), 1);
		cr_assert(submit_to(FILCH_TRY, NULL) > 0, "one was reaped: there is room for one");
		EQ(submit_to(FILCH_TRY, NULL), -ENOBUFS);
		EQ(filch_pool_drain(pool, NULL), 0);
		EQ(filch_cq_reap(cq, c, 3), 3);
	}
	end_cq();
}

Test(cq, a_submit_that_is_refused_keeps_no_credit)
{
	struct timespec past = { 0, 1 };
	struct hold h = HOLD_INIT;
	struct filch_submit until;
	int64_t id;

	begin_cq(1, 1, 100, 2);
	until = to_cq(FILCH_UNTIL);
	until.deadline = &past;
	hold_worker(&h);
	cr_assert((id = submit_to(FILCH_TRY, NULL)) > 0);
	for (int i = 0; i < 50; i++) {
		EQ(submit_to(FILCH_TRY, NULL), -EAGAIN);
		EQ(filch_submit(pool, answer, NULL, &until), -ETIMEDOUT);
	}
	let_go(&h);
	EQ(only_one().id, id);
	end_cq();
}

Test(cq, slots_bound_only_what_is_unfinished)
{
	struct filch_completion c[200];
	int64_t id;

	begin_cq(1, 0, 2, 200);
	for (int i = 0; i < 200; i++) {
		while ((id = submit_to(FILCH_BLOCK, NULL)) == -ENOBUFS)
			sched_yield(); /* both slots belong to jobs that have yet to end */
		cr_assert(id > 0);
	}
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_reap(cq, c, 200), 200);
	end_cq();
}

/* --- lives ------------------------------------------------------------ */

Test(cq, a_queue_with_jobs_in_flight_is_not_destroyed)
{
	struct hold h = HOLD_INIT;
	struct filch_submit how;
	struct filch_completion c;

	begin_cq(1, 0, 0, 3);
	how = to_cq(FILCH_BLOCK);
	h.id = filch_submit(pool, hold, &h, &how);
	gate_wait(&h.started, 1);
	EQ(filch_cq_destroy(cq), -EBUSY); /* running */
	EQ(filch_cancel(pool, submit_to(FILCH_BLOCK, NULL)), 0);
	EQ(filch_cq_destroy(cq), -EBUSY);
	EQ(only_one().status, -ECANCELED); /* nothing was dropped */
	gate_raise(&h.release);
	c = only_one();
	EQ(c.id, h.id);
	EQ(c.status, 5);
	end_cq();
}

Test(cq, a_destroyed_queue_drops_what_nobody_has_reaped)
{
	begin_cq(2, 0, 0, 5);
	for (int i = 0; i < 5; i++)
		cr_assert(submit_to(FILCH_BLOCK, NULL) > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_destroy(cq), 0);
	EQ(filch_cq_create(&cq, 5), 0); /* and none of it is in the next one */
	for (int i = 0; i < 5; i++)
		cr_assert(submit_to(FILCH_BLOCK, NULL) > 0);
	EQ(submit_to(FILCH_BLOCK, NULL), -ENOBUFS);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_destroy(cq), 0);
	end();
}

Test(cq, a_queue_may_be_destroyed_as_soon_as_the_last_completion_is_reaped)
{
	struct filch_completion c;

	begin(2, 0, 0);
	for (int round = 0; round < 3000; round++) {
		EQ(filch_cq_create(&cq, 1 + (uint32_t)round % 5), 0);
		if (round % 2)
			cr_assert(filch_cq_fd(cq) >= 0);
		cr_assert(submit_to(FILCH_BLOCK, NULL) > 0);
		EQ(filch_cq_wait(cq, &c, 1, NULL), 1);
		EQ(filch_cq_destroy(cq), 0);
	}
	end();
}

Test(cq, one_queue_serves_two_pools_and_outlives_both)
{
	struct filch_completion c[10];
	struct filch_pool *first;

	begin_cq(1, 0, 0, 10);
	first = pool;
	for (int i = 0; i < 5; i++)
		cr_assert(submit_to(FILCH_BLOCK, NULL) > 0);
	begin(1, 0, 0);
	for (int i = 0; i < 5; i++)
		cr_assert(submit_to(FILCH_BLOCK, NULL) > 0);
	EQ(submit_to(FILCH_BLOCK, NULL), -ENOBUFS);
	end();
	pool = first;
	end();
	EQ(filch_cq_reap(cq, c, 10), 10);
	for (int i = 0; i < 10; i++)
		cr_assert(c[i].status == 42 || c[i].status == -ECANCELED);
	EQ(filch_cq_destroy(cq), 0);
}

/* --- several reapers -------------------------------------------------- */

enum { SHARED = 4000 };
static unsigned char seen[SHARED];
static int reaped;

static void *reap_too(void *arg)
{
	struct filch_completion c[7];

	(void)arg;
	while (__atomic_load_n(&reaped, __ATOMIC_ACQUIRE) < SHARED) {
		struct timespec soon = filch_after(1000000);
		int got = filch_cq_wait(cq, c, 7, &soon);

		for (int i = 0; i < got; i++) {
			EQ(__atomic_fetch_add(&seen[(uintptr_t)c[i].user], 1, __ATOMIC_RELAXED), 0);
			__atomic_fetch_add(&reaped, 1, __ATOMIC_ACQ_REL);
		}
		cr_assert(got > 0 || got == -ETIMEDOUT, "%d", got);
	}
	return NULL;
}

Test(cq, two_reapers_get_each_completion_once)
{
	pthread_t thread[2];
	struct filch_submit how;
	int64_t id;

	begin_cq(2, 0, 0, 64);
	how = to_cq(FILCH_BLOCK);
	for (int i = 0; i < 2; i++)
		EQ(pthread_create(&thread[i], NULL, reap_too, NULL), 0);
	for (uintptr_t i = 0; i < SHARED; i++) {
		how.user = (void *)i;
		while ((id = filch_submit(pool, answer, NULL, &how)) == -ENOBUFS)
			sched_yield();
		cr_assert(id > 0);
	}
	for (int i = 0; i < 2; i++)
		EQ(pthread_join(thread[i], NULL), 0);
	EQ(reaped, SHARED);
	end_cq();
}

/* --- bad input -------------------------------------------------------- */

Test(cq, bad_arguments_are_refused_and_change_nothing)
{
	struct timespec past = { 0, 1 }, none = { 0, -1 };
	struct filch_completion c;
	struct filch_submit how;

	begin_cq(1, 0, 0, 1);
	EQ(filch_cq_create(NULL, 1), -EINVAL);
	EQ(filch_cq_create(&(struct filch_cq *){ NULL }, (1u << 23) + 1), -EINVAL);
	EQ(filch_cq_create(&(struct filch_cq *){ NULL }, UINT32_MAX), -EINVAL);
	EQ(filch_cq_destroy(NULL), -EINVAL);
	EQ(filch_cq_fd(NULL), -EINVAL);
	EQ(filch_cq_reap(NULL, &c, 1), -EINVAL);
	EQ(filch_cq_reap(cq, NULL, 1), -EINVAL);
	EQ(filch_cq_reap(cq, &c, 0), -EINVAL);
	EQ(filch_cq_wait(NULL, &c, 1, &past), -EINVAL);
	EQ(filch_cq_wait(cq, NULL, 1, &past), -EINVAL);
	EQ(filch_cq_wait(cq, &c, 0, &past), -EINVAL);
	EQ(filch_cq_wait(cq, &c, 1, &none), -EINVAL);
	how = to_cq(FILCH_BLOCK);
	how.flags = FILCH_JOB_DETACHED;
	EQ(filch_submit(pool, answer, NULL, &how), -EINVAL);
	how.flags = 0;
	how.on_complete = tell;
	EQ(filch_submit(pool, answer, NULL, &how), -EINVAL);
	how.flags = FILCH_JOB_DETACHED;
	EQ(filch_submit(pool, answer, NULL, &how), -EINVAL);
	cr_assert(submit_to(FILCH_BLOCK, NULL) > 0, "the one credit is still there");
	EQ(only_one().status, 42);
	EQ(gate_count(&told), 0);
	end_cq();
}

static int in_the_child(void *arg)
{
	struct timespec past = { 0, 1 };
	struct filch_completion c;
	struct filch_submit how = to_cq(FILCH_TRY);
	struct filch_config config = FILCH_CONFIG_INIT;

	(void)arg;
	alarm(60);
	if (filch_cq_reap(cq, &c, 1) != -ECHILD || filch_cq_wait(cq, &c, 1, &past) != -ECHILD)
		return 1;
	if (filch_cq_fd(cq) != -ECHILD || filch_cq_destroy(cq) != -ECHILD)
		return 2;
	config.workers = 1;
	if (filch_submit(pool, answer, NULL, &how) != -ECHILD || filch_pool_create(&pool, &config))
		return 3;
	/* a pool of its own, the queue of its parent */
	if (filch_submit(pool, answer, NULL, &how) != -ECHILD)
		return 4;
	if (filch_cq_create(&cq, 3))
		return 5;
	how.cq = cq;
	if (filch_submit(pool, answer, NULL, &how) <= 0 || filch_cq_wait(cq, &c, 1, NULL) != 1 ||
		c.status != 42)
		return 6;
	return filch_pool_destroy(pool) || filch_cq_destroy(cq) ? 7 : 0;
}

Test(cq, a_queue_from_before_a_fork_is_refused)
{
	char text[4096];
	int status;

	begin_cq(1, 0, 0, 3);
	cr_assert(filch_cq_fd(cq) >= 0);
	cr_assert(submit_to(FILCH_BLOCK, NULL) > 0);
	status = in_child(in_the_child, NULL, text, sizeof text);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x: %s", (unsigned)status,
		text);
	EQ(only_one().status, 42);
	end_cq();
}
