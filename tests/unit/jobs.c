/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs through a real pool: status, times and worker of each completion; every policy of a full
 * queue; no slots; detached jobs and callbacks. Cancellation, lanes, batches, waits inside jobs and
 * bad input are in jobs_more.c.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

#include <stdlib.h>

/* --- one job ---------------------------------------------------------- */

Test(jobs, a_completion_says_what_when_and_where)
{
	struct hold h = HOLD_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	uint64_t before = test_now(), after;
	int64_t id;
	int n = 0;

	begin(1, 0, 0);
	hold_worker(&h);
	how.user = &how;
	id = filch_submit(pool, answer, &n, &how);
	cr_assert(id > 0 && id != h.id);
	for (uint64_t now = test_now(); test_now() - now < 2000000;)
		sched_yield(); /* so that it is queued for two milliseconds at least */
	gate_raise(&h.release);
	memset(&c, 0xff, sizeof c);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	after = test_now();
	EQ(c.id, id);
	EQ(c.status, 42);
	EQ(c.worker, 0);
	cr_assert(c.arg == &n && c.user == &how);
	cr_assert(c.queued_ns >= 2000000 && c.queued_ns <= after - before, "%llu",
		(unsigned long long)c.queued_ns);
	cr_assert(c.run_ns <= after - before);
	EQ(c.flags | c.detail[0] | c.detail[1] | c.reserved[0] | c.reserved[1], 0);
	EQ(filch_wait(pool, h.id, NULL, &c), 0);
	EQ(c.status, 5);
	cr_assert(c.run_ns >= 2000000, "%llu", (unsigned long long)c.run_ns);
	EQ(n, 1);
	end();
}

static int give_back(void *arg)
{
	return *(int *)arg;
}

Test(jobs, any_int_is_a_status)
{
	int status[] = { 0, 1, -1, INT32_MAX, INT32_MIN, -ECANCELED };

	begin(2, 0, 0);
	for (int i = 0; i < 6; i++)
		EQ(wait_status(filch_submit(pool, give_back, &status[i], NULL)), status[i]);
	end();
}

Test(jobs, a_wait_may_time_out_and_be_repeated_but_reaps_once)
{
	struct hold h = HOLD_INIT;
	struct timespec past = { 0, 1 }, soon;

	begin(1, 0, 0);
	hold_worker(&h);
	EQ(filch_wait(pool, h.id, &past, NULL), -ETIMEDOUT);
	soon = filch_after(2000000);
	EQ(filch_wait(pool, h.id, &soon, NULL), -ETIMEDOUT);
	cr_assert(test_now() >= (uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec);
	gate_raise(&h.release);
	EQ(wait_status(h.id), 5);
	EQ(filch_wait(pool, h.id, NULL, NULL), -ESRCH);
	EQ(filch_cancel(pool, h.id), -ESRCH);
	end();
}

static int64_t seen_id;

FILCH_TASK(int64_t, id_in_a_task)
{
	return filch_job_id();
}

static int note_id(void *arg)
{
	int64_t inner = 0;

	(void)arg;
	seen_id = filch_job_id();
	return FILCH_RUN(NULL, &inner, id_in_a_task) || inner != seen_id || filch_job_cancelled();
}

Test(jobs, a_job_and_its_tasks_know_its_id)
{
	int64_t id;

	begin(2, 0, 0);
	EQ(filch_job_id(), 0);
	cr_assert(!filch_job_cancelled());
	id = filch_submit(pool, note_id, NULL, NULL);
	EQ(wait_status(id), 0);
	EQ(seen_id, id);
	EQ(filch_job_id(), 0);
	end();
}

/* --- a full queue ----------------------------------------------------- */

Test(jobs, a_full_queue_refuses_who_only_tries)
{
	struct hold h = HOLD_INIT;
	int64_t id[3];

	begin(1, 3, 100);
	hold_worker(&h);
	for (int i = 0; i < 3; i++)
		cr_assert((id[i] = submit(FILCH_TRY)) > 0);
	for (int i = 0; i < 200; i++) /* more often than there are slots: a refusal keeps none */
		EQ(submit(FILCH_TRY), -EAGAIN);
	EQ(stats().queued, 3);
	EQ(filch_cancel(pool, id[1]), 0);
	cr_assert(submit(FILCH_TRY) > 0, "a cancelled job is queued no more");
	EQ(submit(FILCH_TRY), -EAGAIN);
	let_go(&h);
	EQ(wait_status(id[0]), 42);
	EQ(wait_status(id[1]), -ECANCELED);
	EQ(wait_status(id[2]), 42);
	end();
}

Test(jobs, a_full_queue_lets_wait_until_the_deadline)
{
	struct filch_submit how = policy(FILCH_UNTIL);
	struct timespec past = { 0, 1 }, soon;
	struct hold h = HOLD_INIT;
	int64_t id;

	begin(1, 1, 4);
	hold_worker(&h);
	how.deadline = &past;
	id = filch_submit(pool, answer, NULL, &how); /* there is room: no matter how late */
	cr_assert(id > 0);
	for (int i = 0; i < 20; i++)
		EQ(filch_submit(pool, answer, NULL, &how), -ETIMEDOUT);
	soon = filch_after(2000000);
	how.deadline = &soon;
	EQ(filch_submit(pool, answer, NULL, &how), -ETIMEDOUT);
	cr_assert(test_now() >= (uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec);
	let_go(&h);
	EQ(wait_status(id), 42);
	soon = filch_after(UINT64_C(60000000000));
	for (int i = 0; i < 100; i++)
		EQ(wait_status(filch_submit(pool, answer, NULL, &how)), 42);
	end();
}

static void *submit_blocking(void *id)
{
	*(int64_t *)id = submit(FILCH_BLOCK);
	return NULL;
}

Test(jobs, a_blocked_submit_goes_on_when_there_is_room)
{
	struct hold h = HOLD_INIT;
	pthread_t thread[3];
	int64_t id[3], first;

	begin(1, 1, 8);
	hold_worker(&h);
	first = submit(FILCH_BLOCK);
	for (int i = 0; i < 3; i++)
		EQ(pthread_create(&thread[i], NULL, submit_blocking, &id[i]), 0);
	let_go(&h);
	for (int i = 0; i < 3; i++) {
		EQ(pthread_join(thread[i], NULL), 0);
		EQ(wait_status(id[i]), 42);
	}
	EQ(wait_status(first), 42);
	end();
}

static pthread_t ran_on;
static int64_t outer_id;

static int note_thread(void *arg)
{
	(void)arg;
	ran_on = pthread_self();
	outer_id = filch_job_id();
	EQ(filch_worker_id(), -1);
	EQ(filch_wait(pool, outer_id, NULL, NULL), -EDEADLK);
	EQ(filch_cancel(pool, outer_id), 0);
	return filch_job_cancelled() ? 7 : 8;
}

Test(jobs, a_full_queue_may_make_the_caller_run_its_job)
{
	struct filch_submit how = policy(FILCH_CALLER_RUNS);
	struct timespec past = { 0, 1 };
	struct hold h = HOLD_INIT;
	struct filch_completion c;
	int64_t queued, id;

	begin(1, 1, 0);
	hold_worker(&h);
	queued = filch_submit(pool, answer, NULL, &how); /* there is room */
	id = filch_submit(pool, note_thread, &c, &how);
	cr_assert(id > 0);
	EQ(outer_id, id);
	cr_assert(pthread_equal(ran_on, pthread_self()));
	EQ(filch_cancel(pool, id), -EALREADY);
	EQ(filch_wait(pool, id, &past, &c), 0); /* complete already */
	EQ(c.status, 7);
	EQ(c.worker, -1);
	cr_assert(c.arg == &c);
	EQ(filch_wait(pool, id, NULL, NULL), -ESRCH);
	EQ(filch_job_id(), 0);
	EQ(filch_wait(pool, queued, &past, NULL), -ETIMEDOUT);
	let_go(&h);
	EQ(wait_status(queued), 42);
	end();
}

static struct filch_pool *second;
static int64_t id_there;

static int note_id_there(void *arg)
{
	(void)arg;
	id_there = filch_job_id();
	return 0;
}

static int submit_to_the_second(void *arg)
{
	struct filch_submit how = policy(FILCH_CALLER_RUNS);
	int64_t mine = filch_job_id();

	*(int64_t *)arg = filch_submit(second, note_id_there, NULL, &how);
	return filch_job_id() == mine ? 0 : -1;
}

/* "Inside a job or a task of it: its id": the innermost job is the one that runs. */
Test(jobs, a_job_run_by_another_pools_worker_knows_its_own_id)
{
	struct filch_completion c;
	struct hold h = HOLD_INIT;
	int64_t there = 0, waiting;

	begin(1, 1, 0);
	second = pool;
	hold_worker(&h);
	waiting = submit(FILCH_TRY);
	begin(1, 0, 0);
	EQ(filch_wait(pool, filch_submit(pool, submit_to_the_second, &there, NULL), NULL, &c), 0);
	EQ(c.status, 0);
	end();
	pool = second;
	let_go(&h);
	EQ(wait_status(waiting), 42);
	cr_assert(there > 0);
	EQ(id_there, there);
	EQ(wait_status(there), 0);
	end();
}

FILCH_TASK(int64_t, id_of_the_run)
{
	return filch_job_id();
}

static int run_as_caller(void *arg)
{
	int64_t mine = filch_job_id();

	/* this thread made @second: it is its worker 0 inside the run, whose job is another */
	if (FILCH_RUN(second, (int64_t *)arg, id_of_the_run))
		return -1;
	return filch_job_id() == mine ? 0 : -2;
}

Test(jobs, a_run_inside_a_job_that_its_submitter_runs_has_an_id_of_its_own)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = policy(FILCH_CALLER_RUNS);
	struct hold h = HOLD_INIT;
	int64_t waiting, id, inner = 0;

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER;
	EQ(filch_pool_create(&second, &config), 0);
	begin(1, 1, 0);
	hold_worker(&h);
	waiting = submit(FILCH_TRY);
	id = filch_submit(pool, run_as_caller, &inner, &how);
	EQ(wait_status(id), 0);
	cr_assert(inner > 0);
	cr_assert(inner != id, "the run's job is not the one around it");
	let_go(&h);
	EQ(wait_status(waiting), 42);
	end();
	EQ(filch_pool_destroy(second), 0);
}

Test(jobs, without_a_free_slot_every_policy_is_refused_at_once)
{
	struct filch_submit how = policy(FILCH_UNTIL);
	struct timespec never = filch_after(UINT64_C(3600000000000));
	int64_t id[3];

	begin(1, 100, 3);
	for (int i = 0; i < 3; i++)
		cr_assert((id[i] = submit(FILCH_BLOCK)) > 0);
	EQ(filch_pool_drain(pool, NULL), 0); /* all complete, none reaped */
	how.deadline = &never;
	for (int i = 0; i < 5; i++) {
		EQ(submit(FILCH_BLOCK), -ENOBUFS);
		EQ(submit(FILCH_TRY), -ENOBUFS);
		EQ(submit(FILCH_CALLER_RUNS), -ENOBUFS);
		EQ(filch_submit(pool, answer, NULL, &how), -ENOBUFS);
		EQ(filch_for(pool, 0, 1, 0, (void (*)(size_t, size_t, void *))abort, NULL),
			-ENOBUFS);
	}
	EQ(wait_status(id[1]), 42);
	cr_assert((id[1] = submit(FILCH_TRY)) > 0);
	EQ(submit(FILCH_TRY), -ENOBUFS);
	for (int i = 0; i < 3; i++)
		EQ(wait_status(id[i]), 42);
	end();
}

enum { WIDTH = 8, DEPTH = 4, LEAVES = WIDTH * WIDTH * WIDTH * WIDTH };
static int visits, visits_refused;
static uint64_t most_queued;

/* A job that submits a job for each of its children. */
static int visit(void *depth)
{
	struct filch_submit how = policy(FILCH_CALLER_RUNS);
	uint64_t queued;

	how.flags = FILCH_JOB_DETACHED;
	if (!(intptr_t)depth)
		visits++; /* one worker */
	for (int i = 0; (intptr_t)depth && i < WIDTH; i++)
		visits_refused +=
			filch_submit(pool, visit, (void *)((intptr_t)depth - 1), &how) < 0;
	queued = stats().queued;
	most_queued = queued > most_queued ? queued : most_queued;
	return 0;
}

Test(jobs, a_tree_of_jobs_that_may_run_here_is_visited_whole_whatever_the_queue_holds)
{
	struct filch_completion c;

	begin(1, 2, 0);
	EQ(filch_wait(pool, filch_submit(pool, visit, (void *)DEPTH, NULL), NULL, &c), 0);
	while (__atomic_load_n(&visits, __ATOMIC_ACQUIRE) < LEAVES && !visits_refused)
		EQ(filch_pool_drain(pool, NULL), 0); /* jobs may have come from those drained */
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(visits, LEAVES);
	EQ(visits_refused, 0);
	EQ(most_queued, 2);
	cr_assert(stats().jobs_nested > 0);
	end();
}

static int chain_left;
static uint64_t chain_nested;

/* Always on top of the job before it, until there is no stack left. */
static int next_on_top(void *arg)
{
	struct filch_submit how = policy(FILCH_CALLER_RUNS);

	how.flags = FILCH_JOB_DETACHED;
	return --chain_left ? filch_submit(pool, next_on_top, arg, &how) < 0 : 0;
}

static int first_of_the_chain(void *arg)
{
	struct filch_submit how = policy(FILCH_TRY);

	how.flags = FILCH_JOB_DETACHED;
	if (filch_submit(pool, answer, NULL, &how) < 0) /* the queue is full */
		return -1;
	if (next_on_top(arg))
		return -1;
	chain_nested = stats().jobs_nested;
	return 0;
}

Test(jobs, that_run_here_without_end_are_queued_when_the_stack_is_used_up)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_completion c;

	config.workers = 1;
	config.queue_capacity = 1;
	config.jobs_max = 8192;
	config.stack_bytes = 256 << 10;
	chain_left = 8000; /* far more than such a stack holds */
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_wait(pool, filch_submit(pool, first_of_the_chain, NULL, NULL), NULL, &c), 0);
	EQ(c.status, 0);
	cr_assert(chain_nested > 10 && chain_nested < 7000, "%d nested", (int)chain_nested);
	while (__atomic_load_n(&chain_left, __ATOMIC_ACQUIRE))
		EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(chain_left, 0);
	end();
}

static int submit_twenty(void *arg)
{
	int64_t *id = arg;

	for (int i = 0; i < 20; i++) {
		id[i] = submit(i % 2 ? FILCH_BLOCK : FILCH_TRY);
		if (id[i] < 0)
			return (int)id[i];
	}
	return submit(FILCH_BLOCK) == -ENOBUFS ? 0 : -1; /* the slots do bound it */
}

Test(jobs, a_worker_submits_above_the_capacity_and_never_waits)
{
	int64_t id[20];

	begin(1, 2, 21);
	EQ(wait_status(filch_submit(pool, submit_twenty, id, NULL)), 0);
	for (int i = 0; i < 20; i++)
		EQ(wait_status(id[i]), 42);
	end();
}

/* --- who is told ------------------------------------------------------ */

Test(jobs, a_detached_job_runs_and_is_forgotten)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	int64_t id = 0;
	int n = 0;

	begin(1, 4, 4);
	how.flags = FILCH_JOB_DETACHED;
	for (int i = 0; i < 1000; i++) {
		while ((id = filch_submit(pool, answer, &n, &how)) == -ENOBUFS)
			sched_yield();
		cr_assert(id > 0);
	}
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n, 1000);
	EQ(filch_wait(pool, id, NULL, NULL), -ESRCH);
	hold_worker(&h);
	id = filch_submit(pool, answer, &n, &how);
	EQ(filch_wait(pool, id, NULL, NULL), -EINVAL);
	EQ(filch_cancel(pool, id), 0);
	let_go(&h);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n, 1000);
	end();
}

Test(jobs, a_callback_is_called_once_on_the_worker)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;
	int n = 0;

	begin(3, 0, 2);
	how.on_complete = tell;
	how.user = &how;
	for (int i = 1; i <= 300; i++) {
		while ((id = filch_submit(pool, answer, &n, &how)) == -ENOBUFS)
			sched_yield();
		cr_assert(id > 0);
		gate_wait(&told, i);
		EQ(told_of.id, id);
		EQ(told_of.status, 42);
		EQ(told_of.worker, told_worker);
		cr_assert(told_of.arg == &n && told_of.user == &how);
		cr_assert(told_worker >= 0);
		/* the callback may not have returned yet */
		int error = filch_wait(pool, id, NULL, NULL);
		cr_assert(error == -ESRCH || error == -EINVAL, "%d", error);
	}
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_wait(pool, id, NULL, NULL), -ESRCH);
	EQ(gate_count(&told), 300);
	EQ(n, 300);
	end();
}

static int64_t chained;

static void submit_the_next(const struct filch_completion *c)
{
	intptr_t left = (intptr_t)c->user;
	struct filch_submit how = FILCH_SUBMIT_INIT;

	gate_raise(&told);
	if (!left)
		return;
	how.on_complete = submit_the_next;
	how.user = (void *)(left - 1);
	chained = filch_submit(filch_pool_current(), answer, NULL, &how);
	if (chained <= 0)
		abort();
}

Test(jobs, a_callback_may_submit)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	begin(2, 1, 8);
	how.on_complete = submit_the_next;
	how.user = (void *)(intptr_t)99;
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	gate_wait(&told, 100);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(gate_count(&told), 100);
	end();
}
