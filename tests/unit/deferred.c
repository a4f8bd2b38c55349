/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deferred ends: a job is complete when its function has returned and it was finished, in either
 * order, by any thread; once; and whatever its completion goes to.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

#include <ill.h>

/* A job that defers its end, says so, and returns when it may. */
struct late {
	struct gate deferred, release;
	int64_t id; /* as the job was told */
	int64_t again;
	bool holds;
	bool cancelled; /* as it saw when it returned */
};
#define LATE_INIT                                           \
	{                                                   \
		.deferred = GATE_INIT, .release = GATE_INIT \
	}

static int defer(void *arg)
{
	struct late *late = arg;

	late->id = filch_job_defer();
	late->again = filch_job_defer();
	gate_raise(&late->deferred);
	if (late->holds)
		gate_wait(&late->release, 1);
	late->cancelled = filch_job_cancelled();
	return 77; /* ignored */
}

static int64_t submit_late(struct late *late, const struct filch_submit *how)
{
	int64_t id = filch_submit(pool, defer, late, how);

	cr_assert(id > 0);
	gate_wait(&late->deferred, 1);
	EQ(late->id, id);
	EQ(late->again, id);
	return id;
}

/* The function of @id's job has returned: its worker has started another one. One worker. */
static void returned(void)
{
	EQ(wait_status(submit(FILCH_BLOCK)), 42);
}

static int wait_no_longer(int64_t id)
{
	struct timespec past = { 0, 1 };

	return filch_wait(pool, id, &past, NULL);
}

Test(deferred, a_job_that_has_returned_is_complete_when_it_is_finished)
{
	struct late late = LATE_INIT;
	struct filch_completion c;
	int64_t id;

	begin(1, 0, 0);
	id = submit_late(&late, NULL);
	returned();
	EQ(wait_no_longer(id), -ETIMEDOUT);
	EQ(filch_job_finish(pool, id, -EIO), 0);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, -EIO);
	EQ(c.id, id);
	EQ(c.worker, 0);
	EQ(c.flags, 0);
	cr_assert(c.run_ns > 0 && c.arg == &late);
	end();
}

Test(deferred, a_job_that_is_finished_is_complete_when_it_returns)
{
	struct late late = LATE_INIT;
	int64_t id;

	begin(1, 0, 0);
	late.holds = true;
	id = submit_late(&late, NULL);
	EQ(filch_job_finish(pool, id, 11), 0);
	EQ(wait_no_longer(id), -ETIMEDOUT);
	EQ(filch_job_finish(pool, id, 12), -ESRCH);
	gate_raise(&late.release);
	EQ(wait_status(id), 11);
	end();
}

Test(deferred, a_second_finish_and_a_stale_one_are_refused)
{
	struct late late = LATE_INIT;
	int64_t id;

	begin(1, 0, 0);
	id = submit_late(&late, NULL);
	returned();
	EQ(filch_job_finish(pool, id, 1), 0);
	EQ(filch_job_finish(pool, id, 2), -ESRCH);
	EQ(wait_status(id), 1);
	EQ(filch_job_finish(pool, id, 3), -ESRCH);
	EQ(filch_job_finish(pool, 0, 0), -ESRCH);
	EQ(filch_job_finish(pool, id ^ (INT64_C(1) << 60), 0), -ESRCH);
	EQ(filch_job_finish(NULL, id, 0), -ESRCH);
	end();
}

Test(deferred, only_a_job_that_was_deferred_can_be_finished)
{
	struct hold h = HOLD_INIT;
	int64_t queued, done;

	begin(1, 0, 0);
	done = submit(FILCH_BLOCK);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_job_finish(pool, done, 0), -ESRCH);
	EQ(wait_status(done), 42);
	hold_worker(&h);
	queued = submit(FILCH_BLOCK);
	EQ(filch_job_finish(pool, h.id, 0), -EINVAL);
	EQ(filch_job_finish(pool, queued, 0), -EINVAL);
	let_go(&h);
	EQ(wait_status(queued), 42);
	end();
}

static int64_t deferred_in_callback;

static void defer_in_callback(const struct filch_completion *c)
{
	deferred_in_callback = filch_job_defer();
	tell(c);
}

FILCH_TASK(int64_t, defer_in_task)
{
	return filch_job_defer();
}

Test(deferred, only_a_submitted_job_can_defer_its_end)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t got = 0;

	begin(1, 0, 0);
	EQ(filch_job_defer(), -EPERM);
	EQ(FILCH_RUN(pool, &got, defer_in_task), 0);
	EQ(got, -EPERM);
	how.on_complete = defer_in_callback;
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	gate_wait(&told, 1);
	EQ(deferred_in_callback, -EPERM);
	end();
	pool = pool_of(1, FILCH_POOL_CALLER);
	EQ(FILCH_RUN(pool, &got, defer_in_task), 0);
	EQ(got, -EPERM);
	end();
}

static struct gate thief_has_it = GATE_INIT;

FILCH_TASK(int64_t, defer_on_a_thief)
{
	int64_t id = filch_job_defer();

	gate_raise(&thief_has_it);
	return id;
}

FILCH_TASK(int64_t, let_a_thief_defer)
{
	FILCH_SPAWN(kid, defer_on_a_thief);
	gate_wait(&thief_has_it, 1);
	return FILCH_SYNC(kid);
}

static int job_of_tasks(void *arg)
{
	EQ(FILCH_RUN(NULL, (int64_t *)arg, let_a_thief_defer), 0);
	return 0;
}

Test(deferred, a_task_that_was_stolen_can_defer_the_end_of_its_job)
{
	int64_t id, got = 0;

	begin(2, 0, 0);
	id = filch_submit(pool, job_of_tasks, &got, NULL);
	cr_assert(id > 0);
	gate_wait(&thief_has_it, 1);
	EQ(filch_job_finish(pool, id, 6), 0);
	EQ(wait_status(id), 6);
	EQ(got, id);
	end();
}

static int finish_myself(void *arg)
{
	(void)arg;
	return filch_job_finish(pool, filch_job_defer(), 8);
}

Test(deferred, a_job_can_finish_itself)
{
	begin(1, 0, 0);
	EQ(wait_status(filch_submit(pool, finish_myself, NULL, NULL)), 8);
	end();
}

/* --- where the completion goes ---------------------------------------- */

Test(deferred, a_completion_queue_gets_it_from_the_finish)
{
	struct late late = LATE_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	struct filch_cq *cq;

	for (uint64_t flags = 0; flags <= FILCH_CQ_ORDERED; flags++) {
		struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;

		late = (struct late)LATE_INIT;
		begin(1, 0, 0);
		config.flags = flags;
		EQ(filch_cq_create_with(&cq, &config), 0);
		how.cq = cq;
		how.user = &how;
		int64_t id = submit_late(&late, &how);
		returned();
		EQ(filch_cq_reap(cq, &c, 1), 0);
		EQ(filch_cq_destroy(cq), -EBUSY);
		EQ(filch_job_finish(pool, id, 4), 0);
		EQ(filch_cq_reap(cq, &c, 1), 1);
		EQ(c.status, 4);
		cr_assert(c.id == id && c.user == &how);
		EQ(filch_job_finish(pool, id, 5), -ESRCH);
		end();
		EQ(filch_cq_destroy(cq), 0);
	}
}

Test(deferred, a_callback_runs_in_the_later_of_return_and_finish)
{
	struct late late = LATE_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	begin(1, 0, 0);
	how.on_complete = tell;
	id = submit_late(&late, &how);
	returned();
	EQ(gate_count(&told), 0);
	EQ(filch_job_finish(pool, id, 9), 0);
	EQ(gate_count(&told), 1);
	EQ(told_of.status, 9);
	cr_assert(pthread_equal(told_on, pthread_self()));

	late = (struct late)LATE_INIT;
	late.holds = true;
	id = submit_late(&late, &how);
	EQ(filch_job_finish(pool, id, 10), 0);
	EQ(gate_count(&told), 1);
	gate_raise(&late.release);
	gate_wait(&told, 2);
	EQ(told_of.status, 10);
	EQ(told_worker, 0);
	end();
}

enum { CHAIN = 20000 };
static int64_t chain[CHAIN];
static int in_chain, deepest, depth;

static void finish_next(const struct filch_completion *c)
{
	int next = (int)((int64_t *)c->user - chain) + 1;

	depth++;
	deepest = depth > deepest ? depth : deepest;
	in_chain++;
	if (next < CHAIN)
		EQ(filch_job_finish(pool, chain[next], 0), 0);
	depth--;
}

static int just_defer(void *arg)
{
	(void)arg;
	return filch_job_defer() < 0;
}

Test(deferred, a_callback_may_finish_the_next_job_without_end_on_one_stack)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	begin(1, 0, CHAIN + 1);
	how.on_complete = finish_next;
	for (int i = 0; i < CHAIN; i++) {
		how.user = &chain[i];
		chain[i] = filch_submit(pool, just_defer, NULL, &how);
		cr_assert(chain[i] > 0);
	}
	returned();
	EQ(filch_job_finish(pool, chain[0], 0), 0);
	EQ(in_chain, CHAIN);
	EQ(deepest, 1);
	end();
}

Test(deferred, a_detached_job_keeps_its_slot_until_it_is_finished)
{
	struct late late = LATE_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	begin(1, 0, 1);
	how.flags = FILCH_JOB_DETACHED;
	id = submit_late(&late, &how);
	EQ(submit(FILCH_BLOCK), -ENOBUFS);
	EQ(filch_job_finish(pool, id, 0), 0);
	/* its worker may be about to give the slot back, if it was the later of the two */
	while ((id = submit(FILCH_BLOCK)) == -ENOBUFS)
		sched_yield();
	EQ(wait_status(id), 42);
	end();
}

Test(deferred, a_job_that_its_submitter_ran_is_not_complete_before_its_finish)
{
	struct late late = LATE_INIT;
	struct filch_submit how = policy(FILCH_CALLER_RUNS);
	struct hold h = HOLD_INIT;
	int64_t id, queued;

	begin(1, 1, 0);
	hold_worker(&h);
	queued = submit(FILCH_BLOCK);
	id = submit_late(&late, &how);
	EQ(wait_no_longer(id), -ETIMEDOUT);
	EQ(filch_job_finish(pool, id, 3), 0);
	EQ(wait_status(id), 3);
	let_go(&h);
	EQ(wait_status(queued), 42);
	end();
}

/* --- waits, cancels, ends --------------------------------------------- */

static void *finish_after(void *arg)
{
	struct late *late = arg;

	gate_wait(&late->release, 1);
	cr_assert(!filch_job_finish(pool, late->id, 21));
	return NULL;
}

static int wait_for_late(void *arg)
{
	struct late *late = arg;
	struct filch_completion c;
	int error;

	gate_raise(&late->release); /* while we wait, or before */
	error = filch_wait(pool, late->id, NULL, &c);
	return error ? error : c.status;
}

Test(deferred, a_worker_that_waits_for_it_is_woken_by_the_finish)
{
	begin(1, 0, 0);
	for (int i = 0; i < 200; i++) {
		struct late late = LATE_INIT;
		pthread_t finisher;

		(void)submit_late(&late, NULL);
		EQ(pthread_create(&finisher, NULL, finish_after, &late), 0);
		EQ(wait_status(filch_submit(pool, wait_for_late, &late, NULL)), 21);
		EQ(pthread_join(finisher, NULL), 0);
	}
	end();
}

Test(deferred, a_cancel_raises_the_flag_and_leaves_the_end_to_the_finish)
{
	struct late late = LATE_INIT;
	int64_t id;

	begin(1, 0, 0);
	late.holds = true;
	id = submit_late(&late, NULL);
	EQ(filch_cancel(pool, id), 0);
	gate_raise(&late.release);
	returned();
	EQ(late.cancelled, true);
	EQ(filch_cancel(pool, id), 0);
	EQ(wait_no_longer(id), -ETIMEDOUT);
	EQ(filch_job_finish(pool, id, -ECANCELED), 0);
	EQ(filch_cancel(pool, id), -EALREADY);
	EQ(wait_status(id), -ECANCELED);
	end();
}

Test(deferred, a_closed_pool_can_still_be_finished_and_waits_for_it)
{
	struct late late = LATE_INIT;
	struct timespec past = { 0, 1 };
	int64_t id;

	begin(1, 0, 0);
	id = submit_late(&late, NULL);
	EQ(filch_pool_drain(pool, &past), -ETIMEDOUT);
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, &past), -ETIMEDOUT);
	EQ(submit(FILCH_BLOCK), -ESHUTDOWN);
	EQ(filch_job_finish(pool, id, 2), 0);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(wait_status(id), 2);
	end();
}

static struct gate destroying = GATE_INIT;

static void *finish_under_destroy(void *arg)
{
	gate_wait(&destroying, 1);
	for (int i = 0; i < *(int *)arg; i++)
		sched_yield();
	cr_assert(!filch_job_finish(pool, chain[0], 0));
	return NULL;
}

Test(deferred, a_finish_lets_a_destroy_go_that_waits_for_it)
{
	for (int i = 0; i < 100; i++) {
		struct late late = LATE_INIT;
		pthread_t finisher;
		int turns = i % 10;

		destroying = (struct gate)GATE_INIT;
		begin(1, 0, 0);
		chain[0] = submit_late(&late, NULL);
		EQ(pthread_create(&finisher, NULL, finish_under_destroy, &turns), 0);
		gate_raise(&destroying);
		end();
		EQ(pthread_join(finisher, NULL), 0);
	}
}

static int defer_and_exit(void *arg)
{
	(void)arg;
	cr_assert(filch_job_defer() > 0);
	pthread_exit(NULL);
}

Test(deferred, a_job_that_leaves_its_thread_is_complete_without_a_finish)
{
	struct filch_completion c;
	int64_t id;

	begin(1, 0, 0);
	id = filch_submit(pool, defer_and_exit, NULL, NULL);
	cr_assert(id > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_job_finish(pool, id, 0), -ESRCH);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, -ECANCELED);
	EQ(c.flags, FILCH_DONE_EXITED);
	end();
}

static int defer_and_fault(void *arg)
{
	struct late *late = arg;

	late->id = filch_job_defer();
	gate_raise(&late->deferred);
	gate_wait(&late->release, 1);
	return fall_ill(NULL_STORE);
}

/* Whether it was finished before or not. */
static void fault_after_defer(bool finished)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct late late = LATE_INIT;
	struct filch_completion c;
	int64_t id;

	how.flags = FILCH_JOB_GUARD;
	id = filch_submit(pool, defer_and_fault, &late, &how);
	cr_assert(id > 0);
	gate_wait(&late.deferred, 1);
	if (finished)
		EQ(filch_job_finish(pool, id, 0), 0);
	gate_raise(&late.release);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_job_finish(pool, id, 0), -ESRCH);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, -EFAULT);
	EQ(c.flags, FILCH_DONE_FAULT);
}

Test(deferred, a_job_that_faults_is_complete_without_a_finish)
{
	if (!TEST_HAS_GUARDS)
		cr_skip_test("guards are for x86-64");
	cr_assert(ill_begin());
	pool = pool_of(1, FILCH_POOL_GUARD);
	fault_after_defer(false);
	fault_after_defer(true);
	end();
}

static int finish_in_child(void *arg)
{
	return filch_job_finish(pool, *(int64_t *)arg, 0) == -ECHILD;
}

Test(deferred, the_child_of_a_fork_cannot_finish_the_parents_job)
{
	struct late late = LATE_INIT;
	char text[200];
	int64_t id;
	int status;

	begin(1, 0, 0);
	id = submit_late(&late, NULL);
	returned();
	status = in_child(finish_in_child, &id, text, sizeof text);
	EQ(WEXITSTATUS(status), 1);
	EQ(filch_job_finish(pool, id, 0), 0);
	EQ(wait_status(id), 0);
	end();
}

Test(deferred, its_end_is_counted_as_completed)
{
	struct late late = LATE_INIT;
	struct filch_lane_stats lane = FILCH_LANE_STATS_INIT;
	int64_t id;

	begin(1, 0, 0);
	id = submit_late(&late, NULL);
	returned();
	EQ(filch_pool_lane_stats(pool, FILCH_LANE_NORMAL, &lane), 0);
	EQ(lane.completed, 1);
	EQ(filch_job_finish(pool, id, 0), 0);
	EQ(filch_pool_lane_stats(pool, FILCH_LANE_NORMAL, &lane), 0);
	EQ(lane.completed, 2);
	EQ(wait_status(id), 0);
	end();
}
