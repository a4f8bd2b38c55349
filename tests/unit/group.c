/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groups: waiting for a set of jobs, on any thread; how many are unfinished, and how many run;
 * cancelling them; and what ends a job of a group, in whatever way, lets it leave the group.
 */
#include <criterion/criterion.h>

#include <core/types.h>

#include "jobs_support.h"

#include <ill.h>

static struct filch_group *group;

static void begin_group(
	uint32_t workers, uint32_t capacity, uint32_t running_max, uint32_t unfinished_max)
{
	struct filch_group_config config = FILCH_GROUP_INIT;

	begin(workers, capacity, capacity ? 256 : 0);
	config.running_max = running_max;
	config.unfinished_max = unfinished_max;
	EQ(filch_group_create(&group, pool, &config), 0);
}

/* Room, admission and queue are as they were: nothing was kept. */
static void end_group(void)
{
	EQ(filch_group_wait(group, NULL), 0);
	EQ(filchi_group_room_taken(group->word), 0);
	EQ(group->active, 0);
	EQ(group->first, 0);
	EQ(filch_group_destroy(group), 0);
	end();
}

static struct filch_submit into(uint64_t flags, uint32_t when_full)
{
	struct filch_submit how = policy(when_full);

	how.flags = flags;
	how.group = group;
	return how;
}

static int64_t add(filch_job_fn *fn, void *arg)
{
	struct filch_submit how = into(FILCH_JOB_DETACHED, FILCH_BLOCK);
	int64_t id = filch_submit(pool, fn, arg, &how);

	cr_assert(id > 0, "%d", (int)id);
	return id;
}

static int64_t add_waited(filch_job_fn *fn, void *arg, const int64_t *after)
{
	struct filch_submit how = into(0, FILCH_BLOCK);
	int64_t id;

	how.after = after;
	how.after_count = after ? 1 : 0;
	id = filch_submit(pool, fn, arg, &how);
	cr_assert(id > 0, "%d", (int)id);
	return id;
}

static void hold_in_group(struct hold *h)
{
	h->id = add_waited(hold, h, NULL);
	gate_wait(&h->started, 1);
}

static int run_status(filch_job_fn *fn, void *arg)
{
	int64_t id = filch_submit(pool, fn, arg, NULL);

	cr_assert(id > 0, "%d", (int)id);
	return wait_status(id);
}

/* A thread that sleeps for the group, or for room in it. */
static void until_waited(uint64_t bit)
{
	while (!(filchi_load_acquire(&group->word) & bit))
		sched_yield();
}

/* --- waiting ---------------------------------------------------------- */

Test(group, is_waited_for_until_all_its_jobs_are_over)
{
	int64_t id[100];
	int ran = 0;

	begin_group(2, 0, 0, 0);
	EQ(filch_group_wait(group, NULL), 0);
	for (int i = 0; i < 100; i++)
		id[i] = add_waited(answer, &ran, NULL);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(ran, 100);
	for (int i = 0; i < 100; i++)
		EQ(wait_status(id[i]), 42); /* nothing was reaped */
	end_group();
}

Test(group, does_not_wait_for_jobs_of_others)
{
	struct filch_group *other;
	struct hold h = HOLD_INIT;
	int ran = 0;

	begin_group(2, 0, 0, 0);
	EQ(filch_group_create(&other, pool, NULL), 0);
	hold_in_group(&h);
	for (int i = 0; i < 50; i++) {
		struct filch_submit how = into(FILCH_JOB_DETACHED, FILCH_BLOCK);

		how.group = other;
		cr_assert(filch_submit(pool, answer, &ran, &how) > 0);
	}
	EQ(filch_group_wait(other, NULL), 0);
	EQ(ran, 50);
	EQ(filch_group_destroy(other), 0);
	let_go(&h);
	end_group();
}

Test(group, is_waited_for_until_a_deadline)
{
	struct timespec past = { 0, 1 }, soon;
	struct hold h = HOLD_INIT;

	begin_group(1, 0, 0, 0);
	hold_in_group(&h);
	EQ(filch_group_wait(group, &past), -ETIMEDOUT);
	soon = filch_after(20000000);
	EQ(filch_group_wait(group, &soon), -ETIMEDOUT);
	cr_assert(test_now() >= (uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec);
	let_go(&h);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(filch_group_wait(group, &past), 0);
	end_group();
}

static void *wait_outside(void *result)
{
	*(int *)result = filch_group_wait(group, NULL);
	return NULL;
}

Test(group, is_not_destroyed_with_jobs_left_or_under_a_wait)
{
	struct hold h = HOLD_INIT;
	pthread_t thread[3];
	int result[3] = { 1, 1, 1 };

	begin_group(1, 0, 0, 0);
	hold_in_group(&h);
	EQ(filch_group_destroy(group), -EBUSY);
	for (int i = 0; i < 3; i++)
		EQ(pthread_create(&thread[i], NULL, wait_outside, &result[i]), 0);
	until_waited(FILCHI_GROUP_WAITED);
	EQ(filch_group_destroy(group), -EBUSY);
	let_go(&h);
	for (int i = 0; i < 3; i++) {
		EQ(pthread_join(thread[i], NULL), 0);
		EQ(result[i], 0);
	}
	end_group();
}

Test(group, may_outlive_its_pool)
{
	begin_group(1, 0, 0, 0);
	for (int i = 0; i < 10; i++)
		add(answer, NULL);
	end();
	EQ(filch_group_wait(group, NULL), 0);
	EQ(filch_group_cancel(group), 0);
	EQ(filch_group_destroy(group), 0);
}

/* --- a worker that waits ---------------------------------------------- */

static int wait_inside(void *unused)
{
	(void)unused;
	return filch_group_wait(group, NULL);
}

static int fill_and_wait(void *ran)
{
	for (int i = 0; i < 20; i++)
		add(answer, ran);
	return filch_group_wait(group, NULL);
}

Test(group, a_worker_that_waits_runs_its_jobs)
{
	int ran = 0;

	begin_group(1, 0, 0, 0);
	EQ(run_status(fill_and_wait, &ran), 0);
	EQ(ran, 20);
	EQ(stats().jobs_nested, 20);
	end_group();
}

Test(group, a_worker_that_waits_runs_those_that_are_held)
{
	int ran = 0;

	begin_group(1, 4, 1, 0);
	EQ(run_status(fill_and_wait, &ran), 0);
	EQ(ran, 20);
	end_group();
}

static int chain_and_wait(void *ran)
{
	int64_t id = add_waited(answer, ran, NULL), first = id;

	for (int i = 1; i < 20; i++)
		id = add_waited(answer, ran, &id);
	EQ(filch_group_wait(group, NULL), 0);
	return filch_wait(pool, first, NULL, NULL);
}

Test(group, a_worker_that_waits_runs_jobs_after_jobs)
{
	int ran = 0;

	begin_group(1, 0, 0, 0);
	EQ(run_status(chain_and_wait, &ran), 0);
	EQ(ran, 20);
	end_group();
}

static int after_another_and_wait(void *ran)
{
	int64_t id = filch_submit(pool, answer, ran, NULL), last = add_waited(answer, ran, &id);

	EQ(filch_group_wait(group, NULL), -EDEADLK);
	EQ(filch_wait(pool, id, NULL, NULL), 0);
	EQ(filch_group_wait(group, NULL), 0);
	return filch_wait(pool, last, NULL, NULL);
}

Test(group, a_worker_does_not_wait_for_what_waits_for_others_outside)
{
	int ran = 0;

	begin_group(1, 0, 0, 0);
	EQ(run_status(after_another_and_wait, &ran), 0);
	EQ(ran, 2);
	end_group();
}

static int late_and_wait(void *ran)
{
	struct timespec past = { 0, 1 };

	for (int i = 0; i < 3; i++)
		add(answer, ran);
	EQ(filch_group_wait(group, &past), -ETIMEDOUT);
	EQ(*(int *)ran, 0);
	return 0;
}

Test(group, a_worker_begins_nothing_after_its_deadline)
{
	int ran = 0;

	begin_group(1, 0, 0, 0);
	EQ(run_status(late_and_wait, &ran), 0);
	end_group();
	EQ(ran, 3);
}

static int no_stack_fits(void *unused)
{
	struct filch_submit how = into(FILCH_JOB_GUARD, FILCH_BLOCK);
	int64_t id = filch_submit(pool, answer, NULL, &how);

	(void)unused;
	EQ(filch_group_wait(group, NULL), -EDEADLK);
	return id > 0 ? 0 : -1;
}

Test(group, a_worker_does_not_wait_for_a_guarded_job_that_is_queued)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.flags = FILCH_POOL_GUARD | FILCH_POOL_OVERSUBSCRIBE;
	if (filch_pool_create(&pool, &config))
		cr_skip_test("no guards here");
	EQ(filch_group_create(&group, pool, NULL), 0);
	EQ(run_status(no_stack_fits, NULL), 0);
	end_group();
}

static struct gate deferred = GATE_INIT;
static int64_t deferred_id;

static int defer(void *unused)
{
	(void)unused;
	deferred_id = filch_job_defer();
	gate_raise(&deferred);
	return 0;
}

static int finish(void *status)
{
	return filch_job_finish(pool, deferred_id, *(int *)status);
}

Test(group, a_deferred_job_is_in_it_until_it_is_finished)
{
	struct timespec past = { 0, 1 };
	int status = 7;
	int64_t id;

	begin_group(1, 0, 1, 0);
	id = add_waited(defer, NULL, NULL);
	gate_wait(&deferred, 1);
	EQ(filch_pool_drain(pool, &past), -ETIMEDOUT);
	EQ(filch_group_wait(group, &past), -ETIMEDOUT);
	EQ(finish(&status), 0);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(wait_status(id), 7);
	end_group();
}

/* The one worker sleeps for the deferred job, and hears of the other. */
Test(group, a_worker_that_waits_runs_what_comes_later)
{
	int64_t id, waiter;
	int status = 3;

	begin_group(1, 0, 0, 0);
	id = add_waited(defer, NULL, NULL);
	gate_wait(&deferred, 1);
	waiter = filch_submit(pool, wait_inside, NULL, NULL);
	while (!stats().asleep)
		sched_yield();
	add(finish, &status);
	EQ(wait_status(waiter), 0);
	EQ(wait_status(id), 3);
	end_group();
}

static const struct filch_submit urgent = { .size = sizeof urgent, .lane = FILCH_LANE_URGENT };
static struct gate meeting = GATE_INIT;
static int meetings;

static int meet(void *unused)
{
	(void)unused;
	gate_raise(&meeting);
	gate_wait(&meeting, 2 * meetings);
	return 0;
}

/* Each of the two jobs ends when both have begun, and there is nobody else to run them. */
Test(group, workers_that_wait_run_a_job_each)
{
	begin_group(2, 0, 0, 0);
	for (meetings = 1; meetings <= 300; meetings++) {
		struct hold h[2] = { HOLD_INIT, HOLD_INIT };
		int64_t waiter[2];

		hold_worker(&h[0]);
		hold_worker(&h[1]);
		add(meet, NULL);
		add(meet, NULL);
		for (int i = 0; i < 2; i++)
			waiter[i] = filch_submit(pool, wait_inside, NULL, &urgent);
		for (int i = 0; i < 2; i++)
			let_go(&h[i]);
		for (int i = 0; i < 2; i++)
			EQ(wait_status(waiter[i]), 0);
	}
	end_group();
}

/* --- waiting for oneself ---------------------------------------------- */

static _Atomic int refused;

static void wait_in_body(size_t from, size_t to, void *unused)
{
	(void)unused;
	for (; from < to; from++)
		refused += filch_group_wait(group, NULL) == -EDEADLK;
}

static int wait_in_bodies(void *unused)
{
	(void)unused;
	filch_for(NULL, 0, 1000, 1, wait_in_body, NULL);
	return filch_group_wait(group, NULL);
}

Test(group, a_job_does_not_wait_for_its_own_nor_do_its_tasks)
{
	begin_group(2, 0, 0, 0);
	EQ(wait_status(add_waited(wait_inside, NULL, NULL)), -EDEADLK);
	EQ(wait_status(add_waited(wait_in_bodies, NULL, NULL)), -EDEADLK);
	EQ(refused, 1000);
	end_group();
}

static int waited;

static void wait_in_callback(const struct filch_completion *completion)
{
	waited = filch_group_wait(group, NULL);
	tell(completion);
}

static void cancel_in_callback(const struct filch_completion *completion)
{
	EQ(filch_group_cancel(group), 0);
	wait_in_callback(completion);
}

Test(group, a_callback_does_not_wait_for_its_own)
{
	struct filch_submit how = FILCH_SUBMIT_INIT, mine;
	struct hold h = HOLD_INIT;

	begin_group(1, 0, 0, 0);
	mine = into(0, FILCH_BLOCK);
	mine.on_complete = wait_in_callback;
	cr_assert(filch_submit(pool, answer, NULL, &mine) > 0);
	gate_wait(&told, 1);
	EQ(waited, -EDEADLK);
	/* nor for one that comes after it on this thread */
	hold_worker(&h);
	cr_assert(filch_submit(pool, answer, NULL, &mine) > 0);
	how.on_complete = cancel_in_callback;
	EQ(filch_cancel(pool, filch_submit(pool, answer, NULL, &how)), 0);
	gate_wait(&told, 3);
	EQ(waited, -EDEADLK);
	let_go(&h);
	end_group();
}

static int wait_and_add(void *unused)
{
	struct filch_submit how = into(FILCH_JOB_DETACHED, FILCH_BLOCK);

	(void)unused;
	/* a job of the group does not wait for room there either */
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	return filch_group_wait(group, NULL);
}

Test(group, an_inline_job_does_not_wait_for_its_own)
{
	struct filch_submit how;
	struct hold h = HOLD_INIT;
	int64_t id;

	begin_group(1, 8, 0, 1);
	hold_in_group(&h);
	how = into(0, FILCH_CALLER_RUNS);
	id = filch_submit(pool, wait_and_add, NULL, &how); /* here: the group is full */
	EQ(wait_status(id), -EDEADLK);
	let_go(&h);
	end_group();
}

/* --- unfinished_max --------------------------------------------------- */

Test(group, bounds_the_unfinished_as_the_policy_says)
{
	struct filch_lane_stats lane = FILCH_LANE_STATS_INIT;
	struct filch_submit how;
	struct timespec past = { 0, 1 };
	struct hold h = HOLD_INIT;
	int ran = 0;

	begin_group(1, 0, 0, 3);
	hold_in_group(&h);
	add(answer, &ran);
	add(answer, &ran);
	how = into(FILCH_JOB_DETACHED, FILCH_TRY);
	EQ(filch_submit(pool, answer, &ran, &how), -EAGAIN);
	how.when_full = FILCH_UNTIL;
	how.deadline = &past;
	EQ(filch_submit(pool, answer, &ran, &how), -ETIMEDOUT);
	how.when_full = FILCH_CALLER_RUNS;
	cr_assert(filch_submit(pool, answer, &ran, &how) > 0);
	EQ(ran, 1); /* here */
	EQ(filch_pool_lane_stats(pool, FILCH_LANE_NORMAL, &lane), 0);
	EQ(lane.rejected, 2);
	let_go(&h);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(ran, 3);
	how.when_full = FILCH_TRY;
	cr_assert(filch_submit(pool, answer, &ran, &how) > 0);
	end_group();
}

static void *add_outside(void *result)
{
	struct filch_submit how = into(FILCH_JOB_DETACHED, FILCH_BLOCK);

	*(int64_t *)result = filch_submit(pool, answer, NULL, &how);
	return NULL;
}

Test(group, submits_wait_for_room_and_each_gets_some)
{
	struct hold h = HOLD_INIT;
	pthread_t thread[4];
	int64_t id[4];

	begin_group(1, 0, 0, 1);
	hold_in_group(&h);
	for (int i = 0; i < 4; i++)
		EQ(pthread_create(&thread[i], NULL, add_outside, &id[i]), 0);
	until_waited(FILCHI_GROUP_BLOCKED);
	EQ(filch_group_destroy(group), -EBUSY);
	let_go(&h);
	for (int i = 0; i < 4; i++) {
		EQ(pthread_join(thread[i], NULL), 0);
		cr_assert(id[i] > 0, "%d", (int)id[i]);
	}
	end_group();
}

Test(group, a_pool_that_closes_ends_the_wait_for_room)
{
	struct hold h = HOLD_INIT;
	pthread_t thread[2];
	int64_t id[2];

	begin_group(1, 0, 0, 1);
	hold_in_group(&h);
	for (int i = 0; i < 2; i++)
		EQ(pthread_create(&thread[i], NULL, add_outside, &id[i]), 0);
	until_waited(FILCHI_GROUP_BLOCKED);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, &(struct timespec){ 0, 1 }), -ETIMEDOUT);
	for (int i = 0; i < 2; i++) {
		EQ(pthread_join(thread[i], NULL), 0);
		EQ(id[i], -ESHUTDOWN);
	}
	let_go(&h);
	end_group();
}

static int add_many(void *ran)
{
	for (int i = 0; i < 10; i++)
		add(answer, ran);
	return 0;
}

Test(group, a_worker_does_not_wait_for_room)
{
	int ran = 0;

	begin_group(1, 0, 0, 2);
	EQ(run_status(add_many, &ran), 0);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(ran, 10);
	end_group();
}

static int add_or_run(void *ran)
{
	struct filch_submit how = into(FILCH_JOB_DETACHED, FILCH_CALLER_RUNS);

	for (int i = 0; i < 10; i++)
		cr_assert(filch_submit(pool, answer, ran, &how) > 0);
	return *(int *)ran;
}

Test(group, a_worker_runs_a_job_itself_where_there_is_no_room)
{
	int ran = 0;

	begin_group(1, 0, 0, 2);
	EQ(run_status(add_or_run, &ran), 8);
	end_group();
	EQ(ran, 10);
}

Test(group, batches_take_as_much_room_as_there_is)
{
	struct filch_job_spec spec[8];
	struct filch_submit how;
	struct hold h = HOLD_INIT;
	int ran = 0;

	for (int i = 0; i < 8; i++)
		spec[i] = (struct filch_job_spec){ .fn = answer, .arg = &ran };
	begin_group(1, 0, 0, 6);
	hold_in_group(&h);
	how = into(FILCH_JOB_DETACHED, FILCH_TRY);
	EQ(filch_submit_batch(pool, spec, 8, &how, NULL), 5);
	EQ(filch_submit_batch(pool, spec, 8, &how, NULL), -EAGAIN);
	how.when_full = FILCH_CALLER_RUNS;
	EQ(filch_submit_batch(pool, spec, 2, &how, NULL), 2);
	EQ(ran, 2);
	let_go(&h);
	how.when_full = FILCH_BLOCK;
	EQ(filch_submit_batch(pool, spec, 8, &how, NULL), 8);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(ran, 15);
	end_group();
}

Test(group, a_submit_that_is_refused_otherwise_gives_its_room_back)
{
	struct filch_submit how;
	struct hold h = HOLD_INIT;
	struct filch_cq *cq;

	begin_group(1, 1, 0, 1);
	EQ(filch_cq_create(&cq, 1), 0);
	hold_worker(&h);
	how = policy(FILCH_BLOCK);
	how.cq = cq;
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	how.group = group;
	EQ(filch_submit(pool, answer, NULL, &how), -ENOBUFS); /* the queue of completions is full */
	how.cq = NULL;
	how.when_full = FILCH_TRY;
	EQ(filch_submit(pool, answer, NULL, &how), -EAGAIN); /* the pool's is */
	EQ(filchi_group_room_taken(group->word), 0);
	let_go(&h);
	end_group();
	EQ(filch_cq_destroy(cq), 0);
}

/* --- running_max ------------------------------------------------------ */

static _Atomic int running, most;

static int run_beside(void *arg)
{
	int now = ++running, seen = most;

	while (seen < now && !__atomic_compare_exchange_n((int *)&most, &seen, now, 0,
				     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	while (arg && running < *(int *)arg && most < *(int *)arg)
		sched_yield();
	running--;
	return 0;
}

Test(group, bounds_how_many_run_and_uses_the_bound)
{
	int bound = 2;

	begin_group(4, 0, 2, 0);
	for (int i = 0; i < 200; i++)
		add(run_beside, &bound);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(most, 2);
	end_group();
}

static _Atomic int order;

static int is_next(void *number)
{
	return order++ == (int)(intptr_t)number ? 0 : -EIO;
}

Test(group, of_one_that_runs_keeps_the_order_and_takes_no_room)
{
	int64_t id[100];
	struct hold h = HOLD_INIT;

	begin_group(2, 2, 1, 0);
	hold_in_group(&h);
	for (int i = 0; i < 100; i++) /* many more than the queue has room for */
		id[i] = add_waited(is_next, (void *)(intptr_t)i, NULL);
	EQ(stats().queued, 0);
	let_go(&h);
	for (int i = 0; i < 100; i++)
		EQ(wait_status(id[i]), 0);
	end_group();
}

Test(group, a_job_that_is_held_can_be_cancelled)
{
	struct hold h = HOLD_INIT;
	int64_t id[5];
	int ran = 0;

	begin_group(1, 0, 1, 0);
	hold_in_group(&h);
	for (int i = 0; i < 5; i++)
		id[i] = add_waited(answer, &ran, NULL);
	EQ(filch_cancel(pool, id[0]), 0);
	EQ(filch_cancel(pool, id[2]), 0);
	EQ(filch_cancel(pool, id[4]), 0);
	for (int i = 0; i < 5; i += 2)
		EQ(wait_status(id[i]), -ECANCELED);
	let_go(&h);
	EQ(wait_status(id[1]), 42);
	EQ(wait_status(id[3]), 42);
	EQ(ran, 2);
	end_group();
}

Test(group, times_of_jobs_that_are_held_are_kept)
{
	struct hold h = HOLD_INIT;
	struct timespec soon;
	struct filch_submit how;
	int64_t late, never;
	int ran = 0;

	begin_group(1, 0, 1, 0);
	hold_in_group(&h);
	soon = filch_after(5000000);
	how = into(0, FILCH_BLOCK);
	how.finish_by = &soon;
	late = filch_submit(pool, answer, &ran, &how);
	how.finish_by = NULL;
	how.start_by = &soon;
	never = filch_submit(pool, answer, &ran, &how);
	EQ(wait_status(late), -ETIMEDOUT); /* while the other runs */
	let_go(&h);
	EQ(wait_status(never), -ETIMEDOUT);
	EQ(ran, 0);
	end_group();
}

Test(group, jobs_after_others_take_their_place_when_these_are_over)
{
	struct hold first = HOLD_INIT, other = HOLD_INIT;
	int64_t id[3];
	uint32_t last;

	begin_group(2, 0, 1, 0);
	hold_worker(&other);
	id[0] = add_waited(is_next, (void *)1, &other.id);
	hold_in_group(&first); /* it does not wait behind the one before */
	id[1] = add_waited(is_next, (void *)0, NULL);
	last = __atomic_load_n(&group->last, __ATOMIC_ACQUIRE);
	let_go(&other);
	while (__atomic_load_n(&group->last, __ATOMIC_ACQUIRE) == last)
		sched_yield(); /* it takes its place a moment after the other is over */
	id[2] = add_waited(is_next, (void *)2, NULL);
	let_go(&first);
	EQ(wait_status(id[1]), 0);
	EQ(wait_status(id[0]), 0);
	EQ(wait_status(id[2]), 0);
	end_group();
}

Test(group, a_failure_is_not_forgotten_by_a_job_that_is_held)
{
	struct filch_completion c;
	struct hold h = HOLD_INIT, bad = HOLD_INIT;
	int64_t id;
	int ran = 0;

	begin_group(2, 0, 1, 0);
	hold_in_group(&h);
	hold_worker(&bad);
	id = add_waited(answer, &ran, &bad.id);
	EQ(filch_cancel(pool, bad.id), 0);
	gate_raise(&bad.release);
	EQ(filch_wait(pool, bad.id, NULL, &c), 0);
	EQ(c.status, 5); /* it does not heed its flag, and has not failed */
	let_go(&h);
	EQ(wait_status(id), 42);
	EQ(ran, 1);
	end_group();
}

static int fail(void *h)
{
	(void)hold(h);
	return -EIO;
}

Test(group, a_job_behind_a_failure_is_held_and_does_not_run)
{
	struct filch_completion c;
	struct hold h = HOLD_INIT, bad = HOLD_INIT;
	int64_t id;
	int ran = 0;

	begin_group(2, 0, 1, 0);
	hold_in_group(&h);
	bad.id = filch_submit(pool, fail, &bad, NULL);
	id = add_waited(answer, &ran, &bad.id);
	let_go(&bad);
	let_go(&h);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, -ECANCELED);
	EQ(c.flags, FILCH_DONE_AFTER);
	EQ(ran, 0);
	end_group();
}

/* --- cancelling ------------------------------------------------------- */

static int until_cancelled(void *started)
{
	gate_raise(started);
	while (!filch_job_cancelled())
		sched_yield();
	return -ECANCELED;
}

static void cancel_all_of(uint32_t running_max)
{
	struct gate started = GATE_INIT;
	int64_t id[20];
	int ran = 0;

	begin_group(1, 0, running_max, 0);
	id[0] = add_waited(until_cancelled, &started, NULL);
	gate_wait(&started, 1);
	for (int i = 1; i < 20; i++)
		id[i] = add_waited(answer, &ran, i % 3 ? NULL : &id[i - 1]);
	EQ(filch_group_cancel(group), 0);
	EQ(filch_group_wait(group, NULL), 0);
	for (int i = 0; i < 20; i++)
		EQ(wait_status(id[i]), -ECANCELED);
	EQ(ran, 0);
	EQ(filch_group_cancel(group), 0);
	EQ(wait_status(add_waited(answer, &ran, NULL)), 42); /* it goes on */
	end_group();
}

Test(group, is_cancelled_as_a_whole)
{
	cancel_all_of(0);
}

Test(group, is_cancelled_with_those_that_are_held)
{
	cancel_all_of(1);
}

Test(group, leaves_others_alone_when_it_is_cancelled)
{
	struct hold h = HOLD_INIT;
	int64_t id;

	begin_group(1, 0, 0, 0);
	hold_worker(&h);
	id = filch_submit(pool, answer, NULL, NULL);
	add(answer, NULL);
	EQ(filch_group_cancel(group), 0);
	EQ(filch_group_wait(group, NULL), 0);
	let_go(&h);
	EQ(wait_status(id), 42);
	end_group();
}

/* --- ends of other kinds ---------------------------------------------- */

static int leave_thread(void *unused)
{
	(void)unused;
	pthread_exit(NULL);
}

Test(group, a_job_that_leaves_its_thread_leaves_the_group)
{
	struct filch_completion c;
	int64_t id;

	begin_group(2, 0, 1, 0);
	id = add_waited(leave_thread, NULL, NULL);
	add(answer, NULL);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.flags, FILCH_DONE_EXITED);
	end_group();
}

static int fault(void *unused)
{
	(void)unused;
	return fall_ill(NULL_STORE);
}

Test(group, a_guarded_job_that_faults_leaves_the_group)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how;
	struct filch_completion c;
	int64_t id;

	config.workers = 2;
	config.flags = FILCH_POOL_GUARD | FILCH_POOL_OVERSUBSCRIBE;
	if (!ill_begin() || filch_pool_create(&pool, &config))
		cr_skip_test("no guards here");
	EQ(filch_group_create(&group, pool, NULL), 0);
	how = into(FILCH_JOB_GUARD, FILCH_BLOCK);
	id = filch_submit(pool, fault, NULL, &how);
	cr_assert(id > 0);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, -EFAULT);
	end_group();
}

static void close_with_held(int mode, int status)
{
	struct hold h = HOLD_INIT;
	int64_t id[6];

	begin_group(1, 0, 1, 0);
	hold_in_group(&h);
	for (int i = 0; i < 6; i++)
		id[i] = add_waited(answer, NULL, NULL);
	EQ(filch_pool_shutdown(pool, mode, &(struct timespec){ 0, 1 }), -ETIMEDOUT);
	let_go(&h);
	EQ(filch_group_wait(group, NULL), 0);
	for (int i = 0; i < 6; i++)
		EQ(wait_status(id[i]), status);
	end_group();
}

Test(group, jobs_that_are_held_run_when_the_pool_is_drained)
{
	close_with_held(FILCH_DRAIN, 42);
}

Test(group, jobs_that_are_held_end_when_the_pool_is_abandoned)
{
	close_with_held(FILCH_ABANDON, -ECANCELED);
}

static int use_in_child(void *unused)
{
	struct filch_submit how = into(0, FILCH_BLOCK);

	(void)unused;
	return filch_group_wait(group, NULL) == -ECHILD && filch_group_cancel(group) == -ECHILD &&
			       filch_group_destroy(group) == -ECHILD &&
			       filch_submit(pool, answer, NULL, &how) == -ECHILD
		       ? 0
		       : 1;
}

Test(group, belongs_to_the_parent_after_a_fork)
{
	char text[4096];
	int status;

	begin_group(1, 0, 0, 0);
	status = in_child(use_in_child, NULL, text, sizeof text);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x: %s", (unsigned)status,
		text);
	end_group();
}

/* --- pools ------------------------------------------------------------ */

Test(group, takes_no_job_of_another_pool)
{
	struct filch_pool *other;
	struct filch_submit how;

	begin_group(1, 0, 0, 0);
	other = pool_of(1, 0);
	how = into(0, FILCH_BLOCK);
	EQ(filch_submit(other, answer, NULL, &how), -EINVAL);
	EQ(filch_pool_destroy(other), 0);
	end_group();
}

Test(group, is_in_the_memory_of_its_pool)
{
	struct filch_memory before = FILCH_MEMORY_INIT, after = FILCH_MEMORY_INIT;
	struct filch_group *second;

	begin(1, 0, 256);
	EQ(filch_pool_memory(pool, &before), 0);
	EQ(filch_group_create(&group, pool, NULL), 0);
	EQ(filch_pool_memory(pool, &after), 0);
	cr_assert(after.slots.reserved >=
		  before.slots.reserved + 256 * sizeof(struct filchi_grouped));
	cr_assert(after.slots.resident > before.slots.resident);
	EQ(filch_group_create(&second, pool, NULL), 0);
	EQ(filch_pool_memory(pool, &before), 0);
	EQ(before.slots.reserved, after.slots.reserved); /* all groups of a pool share them */
	EQ(filch_group_destroy(second), 0);
	end_group();
}

Test(group, of_no_pool_is_the_default_pools)
{
	EQ(filch_group_create(&group, NULL, NULL), 0);
	pool = filch_pool_default();
	for (int i = 0; i < 10; i++)
		add(answer, NULL);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(filch_group_destroy(group), 0);
}

Test(group, a_creator_who_is_the_one_worker_waits_by_working)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_group_config bounds = FILCH_GROUP_INIT;
	struct filch_submit how;
	int ran = 0;

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&pool, &config), 0);
	bounds.unfinished_max = 3;
	bounds.running_max = 2;
	EQ(filch_group_create(&group, pool, &bounds), 0);
	for (int i = 0; i < 20; i++)
		add(answer, &ran); /* makes room */
	cr_assert(ran >= 17);
	how = into(FILCH_JOB_DETACHED, FILCH_UNTIL);
	how.deadline = &(struct timespec){ 0, 1 };
	while (filchi_group_room_taken(group->word) < 3)
		cr_assert(filch_submit(pool, answer, &ran, &how) > 0);
	EQ(filch_submit(pool, answer, &ran, &how), -ETIMEDOUT);
	EQ(filch_group_wait(group, NULL), 0);
	cr_assert(ran >= 20);
	end_group();
}

static int add_from_abroad(void *ran)
{
	for (int i = 0; i < 50; i++)
		add(answer, ran); /* waits for room */
	return filch_group_wait(group, NULL);
}

Test(group, a_worker_of_another_pool_waits_for_room_and_for_the_end)
{
	struct filch_pool *other;
	int64_t id[2];
	int ran[2] = { 0, 0 };

	begin_group(1, 0, 1, 1);
	other = pool_of(2, 0);
	for (int i = 0; i < 2; i++)
		id[i] = filch_submit(other, add_from_abroad, &ran[i], NULL);
	for (int i = 0; i < 2; i++) {
		struct filch_completion c;

		EQ(filch_wait(other, id[i], NULL, &c), 0);
		EQ(c.status, 0);
		EQ(ran[i], 50);
	}
	EQ(filch_pool_destroy(other), 0);
	end_group();
}

static struct filch_pool *pools[2];

/* Each level waits for a group of the other pool. */
static int call_the_other(void *depth)
{
	struct filch_submit how = policy(FILCH_BLOCK);
	int left = (int)(intptr_t)depth, at = left % 2;

	if (!left)
		return 0;
	how.flags = FILCH_JOB_DETACHED;
	EQ(filch_group_create(&how.group, pools[at], NULL), 0);
	cr_assert(filch_submit(pools[at], call_the_other, (void *)(intptr_t)(left - 1), &how) > 0);
	EQ(filch_group_wait(how.group, NULL), 0);
	return filch_group_destroy(how.group);
}

Test(group, pools_that_wait_for_each_others_groups_end)
{
	struct filch_completion c;
	int64_t id;

	for (int i = 0; i < 2; i++)
		pools[i] = pool_of(1, 0);
	for (intptr_t depth = 1; depth < 12; depth++) {
		id = filch_submit(pools[(depth + 1) % 2], call_the_other, (void *)depth, NULL);
		cr_assert(id > 0);
		EQ(filch_wait(pools[(depth + 1) % 2], id, NULL, &c), 0);
		EQ(c.status, 0);
	}
	for (int i = 0; i < 2; i++)
		EQ(filch_pool_destroy(pools[i]), 0);
}

static int add_from_abroad_until_closed(void *status)
{
	struct filch_submit how = into(FILCH_JOB_DETACHED, FILCH_BLOCK);

	*(int64_t *)status = filch_submit(pool, answer, NULL, &how);
	return 0;
}

Test(group, a_pool_that_closes_ends_the_wait_for_room_of_another_pools_worker)
{
	struct filch_pool *other;
	struct hold h = HOLD_INIT;
	int64_t id, status = 0;

	begin_group(1, 0, 0, 1);
	other = pool_of(1, 0);
	hold_in_group(&h);
	id = filch_submit(other, add_from_abroad_until_closed, &status, NULL);
	while (!filchi_load_acquire(&group->abroad))
		sched_yield();
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, &(struct timespec){ 0, 1 }), -ETIMEDOUT);
	EQ(filch_wait(other, id, NULL, NULL), 0);
	EQ(status, -ESHUTDOWN);
	let_go(&h);
	EQ(filch_pool_destroy(other), 0);
	end_group();
}

/* --- threads that are lost in a wait ----------------------------------- */

static int wait_for_one_that_leaves(void *unused)
{
	(void)unused;
	add(leave_thread, NULL);
	return filch_group_wait(group, NULL);
}

Test(group, is_as_before_when_a_worker_that_waited_has_left_its_thread)
{
	struct filch_completion c;
	int ran = 0;

	begin_group(1, 0, 1, 0);
	for (int i = 0; i < 5; i++) {
		int64_t id = filch_submit(pool, wait_for_one_that_leaves, NULL, NULL);

		EQ(filch_wait(pool, id, NULL, &c), 0);
		EQ(c.flags, FILCH_DONE_EXITED);
		EQ(filch_group_wait(group, NULL), 0);
		EQ(pool->group_waits, 0);
		EQ(run_status(fill_and_wait, &ran), 0);
	}
	EQ(ran, 100);
	end_group();
}

static int room_from_abroad_and_leave(void *unused)
{
	(void)unused;
	add(answer, NULL);
	return 0;
}

static int leave_on_top(void *unused)
{
	(void)unused;
	pthread_exit(NULL);
}

static int need_one_that_leaves(void *other)
{
	struct filch_completion c;
	int64_t id = filch_submit(other, leave_on_top, NULL, NULL);

	EQ(filch_wait(other, id, NULL, &c), 0);
	return (int)c.flags;
}

/* A job runs on top of a wait for room, since that needs it, and takes the thread with it. */
Test(group, a_wait_for_room_that_is_lost_with_its_thread_blocks_nobody)
{
	struct filch_pool *other;
	struct filch_completion c;
	int64_t id, blocked;

	begin_group(1, 0, 0, 1);
	other = pool_of(1, 0);
	id = add_waited(need_one_that_leaves, other, NULL);
	blocked = filch_submit(other, room_from_abroad_and_leave, NULL, NULL);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, (int)FILCH_DONE_EXITED);
	EQ(filch_wait(other, blocked, NULL, NULL), 0);
	EQ(filch_group_wait(group, NULL), 0);
	EQ(group->blocked, 0);
	EQ(filch_pool_destroy(other), 0);
	end_group();
}
