/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs through a real pool: status, times and worker of each completion; every policy of a full queue; no slots; detached jobs,
 * callbacks, lanes, start_by, batches; cancellation in every state; waits inside jobs; and bad input to each call.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <sched.h>
#include <stdlib.h>

static struct filch_pool *pool;

static void begin(uint32_t workers, uint32_t capacity, uint32_t jobs_max)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.queue_capacity = capacity;
	config.jobs_max = jobs_max;
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

static int answer(void *arg)
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
#define HOLD_INIT { GATE_INIT, GATE_INIT, 0 }

static int hold(void *arg)
{
	struct hold *h = arg;

	gate_raise(&h->started);
	gate_wait(&h->release, 1);
	return 5;
}

static void hold_worker(struct hold *h)
{
	h->id = filch_submit(pool, hold, h, NULL);
	cr_assert(h->id > 0);
	gate_wait(&h->started, 1);
}

static void let_go(struct hold *h)
{
	gate_raise(&h->release);
	EQ(filch_wait(pool, h->id, NULL, NULL), 0);
}

static struct filch_submit policy(uint32_t when_full)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = when_full;
	return how;
}

static int64_t submit(uint32_t when_full)
{
	struct filch_submit how = policy(when_full);

	return filch_submit(pool, answer, NULL, &how);
}

static int wait_status(int64_t id)
{
	struct filch_completion c;

	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.id, id);
	return c.status;
}

/* --- one job ------------------------------------------------------------------------------------------------------------------- */

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
	cr_assert(c.queued_ns >= 2000000 && c.queued_ns <= after - before, "%llu", (unsigned long long)c.queued_ns);
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

/* --- a full queue -------------------------------------------------------------------------------------------------------------- */

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
		EQ(filch_for(pool, 0, 1, 0, (void (*)(size_t, size_t, void *))abort, NULL), -ENOBUFS);
	}
	EQ(wait_status(id[1]), 42);
	cr_assert((id[1] = submit(FILCH_TRY)) > 0);
	EQ(submit(FILCH_TRY), -ENOBUFS);
	for (int i = 0; i < 3; i++)
		EQ(wait_status(id[i]), 42);
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

/* --- who is told --------------------------------------------------------------------------------------------------------------- */

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

static struct gate told = GATE_INIT;
static struct filch_completion told_of;
static int told_worker;
static pthread_t told_on;

static void tell(const struct filch_completion *c)
{
	told_of = *c;
	told_worker = filch_worker_id();
	told_on = pthread_self();
	gate_raise(&told);
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
		int error = filch_wait(pool, id, NULL, NULL); /* the callback may not have returned yet */
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

/* --- cancellation -------------------------------------------------------------------------------------------------------------- */

static int until_cancelled(void *arg)
{
	gate_raise(arg);
	while (!filch_job_cancelled())
		sched_yield();
	return -EINTR;
}

Test(jobs, cancelling_depends_on_how_far_the_job_is)
{
	struct gate started = GATE_INIT;
	struct filch_completion c;
	int64_t running, queued;
	int n = 0;

	begin(1, 0, 0);
	running = filch_submit(pool, until_cancelled, &started, NULL);
	gate_wait(&started, 1);
	queued = filch_submit(pool, answer, &n, NULL);
	EQ(filch_cancel(pool, queued), 0);
	EQ(filch_cancel(pool, queued), -EALREADY); /* complete at once */
	EQ(filch_wait(pool, queued, NULL, &c), 0); /* while the worker is busy */
	EQ(c.status, -ECANCELED);
	EQ(c.worker, -1);
	EQ(c.run_ns, 0);
	EQ(filch_cancel(pool, queued), -ESRCH);
	EQ(filch_cancel(pool, running), 0);
	EQ(wait_status(running), -EINTR);
	EQ(filch_cancel(pool, running), -ESRCH);
	queued = filch_submit(pool, answer, &n, NULL);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cancel(pool, queued), -EALREADY);
	EQ(wait_status(queued), 42);
	EQ(n, 1);
	EQ(stats().cancelled, 1);
	end();
}

Test(jobs, the_cancel_flag_of_one_job_is_not_seen_by_the_next_in_its_slot)
{
	struct gate started = GATE_INIT;

	begin(1, 1, 1);
	for (int i = 1; i <= 20; i++) {
		int64_t id = filch_submit(pool, until_cancelled, &started, NULL);

		cr_assert(id > 0);
		gate_wait(&started, i);
		EQ(filch_cancel(pool, id), 0);
		EQ(wait_status(id), -EINTR);
		EQ(wait_status(filch_submit(pool, note_id, NULL, NULL)), 0); /* which fails if it is cancelled */
	}
	end();
}

Test(jobs, the_canceller_runs_the_callback_of_a_queued_job)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	int64_t id;

	begin(1, 0, 0);
	hold_worker(&h);
	how.on_complete = tell;
	id = filch_submit(pool, answer, NULL, &how);
	EQ(filch_cancel(pool, id), 0);
	EQ(gate_count(&told), 1);
	EQ(told_of.status, -ECANCELED);
	EQ(told_of.id, id);
	cr_assert(pthread_equal(told_on, pthread_self()));
	EQ(filch_cancel(pool, id), -ESRCH);
	let_go(&h);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(gate_count(&told), 1);
	end();
}

Test(jobs, a_job_that_is_late_does_not_start)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct timespec past = { 0, 1 }, later = filch_after(UINT64_C(3600000000000));
	struct filch_completion c;
	int n = 0;

	begin(1, 0, 0);
	how.start_by = &past;
	EQ(filch_wait(pool, filch_submit(pool, answer, &n, &how), NULL, &c), 0);
	EQ(c.status, -ETIMEDOUT);
	EQ(c.worker, -1);
	EQ(c.run_ns, 0);
	EQ(n, 0);
	EQ(stats().expired, 1);
	how.start_by = &later;
	EQ(wait_status(filch_submit(pool, answer, &n, &how)), 42);
	EQ(n, 1);
	EQ(stats().expired, 1);
	end();
}

/* --- lanes --------------------------------------------------------------------------------------------------------------------- */

static int order[200], ordered;

static int note_order(void *arg)
{
	order[ordered++] = (int)(intptr_t)arg; /* one worker */
	return 0;
}

Test(jobs, the_urgent_lane_goes_first_and_does_not_starve_the_other)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	int first_normal = -1, last_urgent = -1, urgent_in_ten = 0;

	begin(1, 0, 0);
	hold_worker(&h);
	how.flags = FILCH_JOB_DETACHED;
	for (intptr_t i = 0; i < 200; i++) {
		how.lane = i < 100 ? FILCH_LANE_NORMAL : FILCH_LANE_URGENT;
		cr_assert(filch_submit(pool, note_order, (void *)i, &how) > 0);
	}
	let_go(&h);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(ordered, 200);
	for (int i = 0, normal = -1, urgent = 99; i < 200; i++) {
		if (order[i] >= 100) {
			EQ(order[i], ++urgent); /* each lane in its order */
			last_urgent = i;
			urgent_in_ten += i < 10;
		} else {
			EQ(order[i], ++normal);
			if (first_normal < 0)
				first_normal = i;
		}
	}
	cr_assert(urgent_in_ten >= 8, "%d of the first ten", urgent_in_ten);
	cr_assert(first_normal >= 0 && first_normal < 20, "the first normal job came as number %d", first_normal);
	cr_assert(last_urgent < 130, "the last urgent job came as number %d", last_urgent);
	end();
}

/* --- batches ------------------------------------------------------------------------------------------------------------------- */

Test(jobs, a_batch_is_submitted_as_one_by_one_would_be)
{
	struct filch_job_spec spec[50];
	struct filch_completion c;
	int64_t id[50];
	int n[50] = { 0 };

	begin(2, 0, 0);
	for (int i = 0; i < 50; i++)
		spec[i] = (struct filch_job_spec){ .fn = answer, .arg = &n[i], .user = &spec[i] };
	EQ(filch_submit_batch(pool, spec, 50, NULL, id), 50);
	for (int i = 0; i < 50; i++) {
		EQ(filch_wait(pool, id[i], NULL, &c), 0);
		EQ(c.status, 42);
		cr_assert(c.arg == &n[i] && c.user == &spec[i]);
		EQ(n[i], 1);
	}
	EQ(filch_submit_batch(pool, spec, 0, NULL, NULL), 0);
	EQ(filch_submit_batch(pool, NULL, 0, NULL, NULL), 0);
	end();
}

Test(jobs, a_batch_stops_at_the_first_job_that_is_not_accepted)
{
	struct filch_submit how = policy(FILCH_TRY);
	struct filch_job_spec spec[10];
	struct hold h = HOLD_INIT;
	int64_t id[10];
	int n[10] = { 0 };

	begin(1, 4, 100);
	hold_worker(&h);
	for (int i = 0; i < 10; i++) {
		spec[i] = (struct filch_job_spec){ .fn = answer, .arg = &n[i] };
		id[i] = -77;
	}
	EQ(filch_submit_batch(pool, spec, 10, &how, id), 4);
	EQ(id[4], -77);
	EQ(filch_submit_batch(pool, spec, 10, &how, id + 5), -EAGAIN);
	EQ(id[5], -77);
	let_go(&h);
	for (int i = 0; i < 4; i++)
		EQ(wait_status(id[i]), 42);
	for (int i = 0; i < 10; i++)
		EQ(n[i], i < 4);
	end();
}

/* --- waits inside jobs --------------------------------------------------------------------------------------------------------- */

static int64_t chain[101];

static int wait_for_the_next(void *arg)
{
	intptr_t i = (intptr_t)arg;
	struct filch_completion c;

	if (i == 100)
		return 100;
	if (filch_wait(pool, chain[i + 1], NULL, &c))
		return -1;
	return c.status - 1;
}

Test(jobs, a_hundred_jobs_that_wait_for_each_other_run_on_one_worker)
{
	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct hold h = HOLD_INIT;

		begin(workers, 0, 0);
		if (workers == 1)
			hold_worker(&h); /* the ids are known before the first starts */
		for (intptr_t i = 100; i >= 0; i--)
			cr_assert((chain[i] = filch_submit(pool, wait_for_the_next, (void *)i, NULL)) > 0);
		if (workers == 1)
			let_go(&h);
		EQ(wait_status(chain[0]), 0);
		end();
	}
}

Test(jobs, a_waiting_worker_runs_the_awaited_jobs_and_no_other)
{
	struct hold h = HOLD_INIT;

	begin(1, 0, 0);
	hold_worker(&h);
	for (intptr_t i = 0; i <= 100; i++) /* the first waits for the second, which is queued behind it ... */
		cr_assert((chain[i] = filch_submit(pool, wait_for_the_next, (void *)i, NULL)) > 0);
	let_go(&h);
	EQ(wait_status(chain[0]), 0);
	EQ(stats().jobs_nested, 100);
	for (int i = 1; i <= 100; i++) /* each was reaped by the one before */
		EQ(filch_wait(pool, chain[i], NULL, NULL), -ESRCH);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(stats().jobs, 102);
	end();
}

static int wait_for_itself(void *arg)
{
	(void)arg;
	return filch_wait(pool, filch_job_id(), NULL, NULL);
}

static int submit_and_wait(void *arg)
{
	struct filch_completion c;
	int64_t id = filch_submit(pool, wait_for_itself, arg, NULL);
	int error = filch_wait(pool, id, NULL, &c);

	return error ? error : c.status;
}

Test(jobs, a_job_that_waits_for_itself_is_told_so)
{
	begin(1, 0, 0);
	EQ(wait_status(filch_submit(pool, wait_for_itself, NULL, NULL)), -EDEADLK);
	EQ(wait_status(filch_submit(pool, submit_and_wait, NULL, NULL)), -EDEADLK);
	end();
}

static int64_t awaited;

static int wait_briefly(void *arg)
{
	struct timespec past = { 0, 1 }, soon = filch_after(2000000);

	(void)arg;
	if (filch_wait(pool, awaited, &past, NULL) != -ETIMEDOUT || filch_wait(pool, awaited, &soon, NULL) != -ETIMEDOUT)
		return -1;
	return filch_wait(pool, filch_submit(pool, answer, NULL, NULL), &past, NULL); /* queued: it can be run here */
}

Test(jobs, a_wait_inside_a_job_keeps_its_deadline)
{
	struct hold h = HOLD_INIT;

	begin(2, 0, 0);
	hold_worker(&h);
	awaited = h.id;
	int status = wait_status(filch_submit(pool, wait_briefly, NULL, NULL));
	cr_assert(status == 0 || status == -ETIMEDOUT, "%d", status);
	let_go(&h);
	end();
}

static int wait_for_awaited(void *arg)
{
	struct filch_completion c;
	int error;

	gate_raise(arg);
	error = filch_wait(pool, awaited, NULL, &c);
	return error ? error : c.status;
}

Test(jobs, a_worker_that_waits_for_a_running_job_wakes_when_it_is_done)
{
	for (int i = 0; i < 50; i++) {
		struct hold h = HOLD_INIT;
		struct gate g = GATE_INIT;
		int64_t id;

		begin(2, 0, 0);
		hold_worker(&h);
		awaited = h.id;
		id = filch_submit(pool, wait_for_awaited, &g, NULL);
		gate_wait(&g, 1);
		if (i % 2)
			while (stats().asleep < 1)
				sched_yield(); /* until it is parked */
		gate_raise(&h.release);
		EQ(wait_status(id), 5);
		EQ(filch_wait(pool, h.id, NULL, NULL), -ESRCH);
		end();
	}
}

static void *wait_for_it(void *arg)
{
	int64_t id = *(int64_t *)arg;

	return (void *)(intptr_t)filch_wait(pool, id, NULL, NULL);
}

Test(jobs, of_several_waits_for_one_id_one_succeeds)
{
	for (int round = 0; round < 50; round++) {
		struct hold h = HOLD_INIT;
		pthread_t thread[4];
		int reaped = 0;

		begin(1, 0, 0);
		hold_worker(&h);
		for (int i = 0; i < 4; i++)
			EQ(pthread_create(&thread[i], NULL, wait_for_it, &h.id), 0);
		gate_raise(&h.release);
		for (int i = 0; i < 4; i++) {
			void *result;

			EQ(pthread_join(thread[i], &result), 0);
			cr_assert((intptr_t)result == 0 || (intptr_t)result == -ESRCH, "%ld", (long)(intptr_t)result);
			reaped += !result;
		}
		EQ(reaped, 1);
		end();
	}
}

/* --- bad input ----------------------------------------------------------------------------------------------------------------- */

#define REFUSED(error, field, value)                                                                             \
	do {                                                                                                     \
		struct filch_submit how_ = FILCH_SUBMIT_INIT;                                                    \
		struct filch_job_spec spec_ = { answer, &n, NULL };                                              \
		int64_t id_ = -77;                                                                               \
		how_.field = (value);                                                                            \
		cr_assert(filch_submit(pool, answer, &n, &how_) == (error), #field " = " #value);                \
		cr_assert(filch_submit_batch(pool, &spec_, 1, &how_, &id_) == (error), #field " = " #value);     \
		EQ(id_, -77);                                                                                    \
	} while (0)

Test(jobs, bad_arguments_of_a_submit_are_refused_and_nothing_runs)
{
	struct {
		struct filch_submit how;
		uint64_t tail;
	} newer = { FILCH_SUBMIT_INIT, 0 };
	struct filch_submit both = FILCH_SUBMIT_INIT;
	struct filch_job_spec spec[2] = { { answer, NULL, NULL }, { NULL, NULL, NULL } };
	int64_t id[2] = { -77, -77 };
	int n = 0;

	begin(1, 0, 0);
	EQ(filch_submit(NULL, answer, &n, NULL), -EINVAL);
	EQ(filch_submit(pool, NULL, &n, NULL), -EINVAL);
	REFUSED(-EINVAL, size, 0);
	REFUSED(-EINVAL, size, 8);
	REFUSED(-EINVAL, size, sizeof(struct filch_submit) - 1);
	for (int bit = 1; bit < 64; bit++)
		REFUSED(-EINVAL, flags, UINT64_C(1) << bit);
	REFUSED(-EINVAL, when_full, 4);
	REFUSED(-EINVAL, when_full, UINT32_MAX);
	REFUSED(-EINVAL, when_full, FILCH_UNTIL); /* without a deadline */
	REFUSED(-EINVAL, lane, 2);
	REFUSED(-ENOTSUP, cq, (struct filch_cq *)&n);
	both.flags = FILCH_JOB_DETACHED;
	both.on_complete = tell;
	EQ(filch_submit(pool, answer, &n, &both), -EINVAL);
	newer.how.size = sizeof newer;
	newer.tail = UINT64_C(1) << 56;
	EQ(filch_submit(pool, answer, &n, &newer.how), -E2BIG);
	EQ(filch_submit_batch(NULL, spec, 1, NULL, id), -EINVAL);
	EQ(filch_submit_batch(pool, NULL, 1, NULL, id), -EINVAL);
	EQ(filch_submit_batch(pool, spec, 1, NULL, NULL), -EINVAL); /* nobody could wait */
	EQ(filch_submit_batch(pool, spec, 2, NULL, id), -EINVAL);   /* the second has no function: nor does the first run */
	EQ(id[0], -77);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n, 0);
	EQ(stats().jobs, 0);
	newer.tail = 0;
	EQ(wait_status(filch_submit(pool, answer, &n, &newer.how)), 42);
	end();
}

Test(jobs, ids_of_nobody_are_refused)
{
	const int64_t bad[] = { 0, 1, -1, INT64_MAX, INT64_MIN, -EAGAIN };
	struct filch_pool *first;
	int64_t id;

	begin(1, 0, 0);
	for (int i = 0; i < 6; i++) {
		EQ(filch_wait(pool, bad[i], NULL, NULL), -ESRCH);
		EQ(filch_cancel(pool, bad[i]), -ESRCH);
	}
	EQ(filch_wait(NULL, 1, NULL, NULL), -EINVAL);
	EQ(filch_cancel(NULL, 1), -EINVAL);
	id = submit(FILCH_TRY);
	first = pool;
	begin(1, 0, 0);
	EQ(filch_wait(pool, id, NULL, NULL), -ESRCH); /* another pool's */
	EQ(filch_cancel(pool, id), -ESRCH);
	end();
	pool = first;
	EQ(wait_status(id), 42);
	end();
}

/* Not a number of nanoseconds, and before the machine was started: no such call may hang. */
Test(jobs, a_malformed_deadline_is_refused, .timeout = 5)
{
	const struct timespec bad[] = { { 0, 2000000000 }, { 0, -1 }, { -1, 0 } };
	struct hold h = HOLD_INIT;

	begin(1, 1, 8);
	hold_worker(&h);
	cr_assert(submit(FILCH_TRY) > 0);
	for (int i = 0; i < 3; i++) {
		struct filch_submit how = policy(FILCH_UNTIL);
		int error = filch_wait(pool, h.id, &bad[i], NULL);

		cr_assert(error == -EINVAL || error == -ETIMEDOUT, "%d", error);
		how.deadline = &bad[i];
		error = (int)filch_submit(pool, answer, NULL, &how);
		cr_assert(error == -EINVAL || error == -ETIMEDOUT, "%d", error);
		error = filch_pool_drain(pool, &bad[i]);
		cr_assert(error == -EINVAL || error == -ETIMEDOUT, "%d", error);
	}
	let_go(&h);
	end();
}
