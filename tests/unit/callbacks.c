/* SPDX-License-Identifier: Apache-2.0 */
/*
 * callbacks of jobs, on a worker and on the thread that cancels: they run with no lock of ours
 * held, so every call made from one returns, with what it promises or with its own errno.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

#include <sched.h>

static struct filch_pool *other;
static struct {
	int64_t submitted, batch;
	int wait_own, wait_new, wait_late, cancel_own, cancel_queued, drain, shutdown, abandon,
		destroy, drain_other, destroy_other, run;
	int told_inside;
} got;
static int64_t queued_id;

FILCH_TASK(int, three)
{
	return 3;
}

static void tell_inside(const struct filch_completion *c)
{
	(void)c;
	got.told_inside++;
}

static void call_everything(const struct filch_completion *c)
{
	const struct filch_job_spec spec = { answer, NULL, NULL };
	struct filch_submit detached = FILCH_SUBMIT_INIT;
	struct timespec past = { 0, 1 };
	struct filch_completion out;
	int r = 0;

	detached.flags = FILCH_JOB_DETACHED;
	got.wait_own = filch_wait(pool, c->id, NULL, NULL);
	got.cancel_own = filch_cancel(pool, c->id);
	got.batch = filch_submit_batch(pool, &spec, 1, &detached, NULL);
	got.submitted = filch_submit(pool, answer, NULL, NULL);
	got.wait_late = filch_wait(pool, got.submitted, &past, &out);
	if (got.wait_late == -ETIMEDOUT)
		got.wait_new = filch_wait(pool, got.submitted, NULL, &out);
	else
		got.wait_new = got.wait_late;
	if (queued_id)
		/* whose callback runs inside this one */
		got.cancel_queued = filch_cancel(pool, queued_id);
	got.run = FILCH_RUN(pool, &r, three) ? -1 : r;
	got.drain = filch_pool_drain(pool, NULL);
	got.shutdown = filch_pool_shutdown(pool, FILCH_DRAIN, NULL);
	got.abandon = filch_pool_shutdown(pool, FILCH_ABANDON, NULL);
	got.destroy = filch_pool_destroy(pool);
	got.drain_other = filch_pool_drain(other, NULL);
	got.destroy_other = filch_pool_destroy(other);
	tell(c);
}

static void check_everything(void)
{
	EQ(got.wait_own, -EINVAL);
	EQ(got.cancel_own, 0); /* the flag of a job that is finishing: it makes nothing of it */
	EQ(got.batch, 1);
	cr_assert(got.submitted > 0);
	EQ(got.wait_new, 0);
	EQ(got.run, 3);
	EQ(got.drain, -EDEADLK);
	EQ(got.shutdown, -EDEADLK);
	EQ(got.abandon, -EDEADLK);
	EQ(got.destroy, -EDEADLK);
	EQ(got.drain_other, 0);
	EQ(got.destroy_other, 0);
}

static void begin_two(uint32_t workers)
{
	begin(1, 0, 0);
	other = pool;
	begin(workers, 0, 0);
}

Test(callbacks, on_a_worker_may_call_everything)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	begin_two(1); /* the one worker is in the callback: what it waits for it runs itself */
	how.on_complete = call_everything;
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	gate_wait(&told, 1);
	EQ(told_worker, 0);
	check_everything();
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(told_of.status, 42);
	end();
}

Test(callbacks, on_the_cancelling_thread_may_call_everything)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	int64_t id;

	/*
	 * one worker is held, the other serves what the callback waits for; urgent jobs pass the
	 * one to be cancelled
	 */
	begin_two(2);
	hold_worker(&h);
	struct hold second = HOLD_INIT;
	hold_worker(&second);
	how.on_complete = tell_inside;
	queued_id = filch_submit(pool, answer, NULL, &how);
	how.on_complete = call_everything;
	id = filch_submit(pool, answer, NULL, &how);
	cr_assert(queued_id > 0 && id > 0);
	/* from here on both may also be run by the worker: then they are not cancelled */
	gate_raise(&second.release);
	int error = filch_cancel(pool, id);
	cr_assert(error == 0 || error == -ESRCH, "%d", error);
	gate_wait(&told, 1);
	check_everything();
	EQ(wait_status(second.id), 5);
	let_go(&h);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(got.told_inside, 1);
	end();
}

static void wait_for_a_queued_one(const struct filch_completion *c)
{
	got.cancel_queued = filch_cancel(pool, queued_id);
	tell(c);
}

Test(callbacks, inside_callbacks_run_on_the_same_thread)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	int64_t id;

	begin(1, 0, 0);
	hold_worker(&h);
	how.on_complete = tell_inside;
	queued_id = filch_submit(pool, answer, NULL, &how);
	how.on_complete = wait_for_a_queued_one;
	id = filch_submit(pool, answer, NULL, &how);
	EQ(filch_cancel(pool, id), 0);
	cr_assert(pthread_equal(told_on, pthread_self()));
	EQ(got.cancel_queued, 0);
	EQ(got.told_inside, 1);
	EQ(told_of.status, -ECANCELED);
	let_go(&h);
	end();
}

static void end_the_pool(const struct filch_completion *c)
{
	got.destroy = filch_pool_destroy(pool);
	tell(c);
}

Test(callbacks, during_a_destroy_cannot_destroy_again)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;

	begin(1, 0, 0);
	h.id = filch_submit(pool, hold, &h, NULL);
	gate_wait(&h.started, 1);
	how.on_complete = end_the_pool;
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	gate_raise(&h.release);
	end(); /* cancels what is queued, on this thread, or the worker has run it */
	EQ(gate_count(&told), 1);
	EQ(got.destroy, -EDEADLK);
}

/* --- chains ----------------------------------------------------------- */

enum { CHAIN = 20000 };
static int64_t link_id[CHAIN];
static int64_t links_told;
static int links_refused, links_out_of_order;
static char *lowest, *highest;

/* Where the stack is while a callback of the chain runs. */
__attribute__((noinline)) static void note_stack(void)
{
	/* a local may lie elsewhere under a sanitizer */
	char *at = __builtin_frame_address(0);

	if (!lowest || at < lowest)
		lowest = at;
	if (!highest || at > highest)
		highest = at;
}

static void cancel_the_next(const struct filch_completion *c)
{
	int64_t i = (int64_t)(intptr_t)c->user;

	note_stack();
	links_out_of_order += i != links_told;
	links_told++;
	if (i + 1 < CHAIN)
		links_refused += filch_cancel(pool, link_id[i + 1]) != 0;
}

Test(callbacks, each_of_which_cancels_the_next_job_need_the_stack_of_one)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;

	begin(1, 2 * CHAIN, 0);
	hold_worker(&h);
	how.on_complete = cancel_the_next;
	for (int64_t i = 0; i < CHAIN; i++) {
		how.user = (void *)(intptr_t)i;
		link_id[i] = filch_submit(pool, answer, NULL, &how);
		cr_assert(link_id[i] > 0);
	}
	EQ(filch_cancel(pool, link_id[0]), 0);
	EQ(links_told, CHAIN); /* before the first cancel has returned */
	EQ(links_refused, 0);
	EQ(links_out_of_order, 0);
	cr_assert(highest - lowest < 16384, "%td bytes of stack", highest - lowest);
	EQ(stats().cancelled, CHAIN);
	let_go(&h);
	end();
}

static int inside, deepest;

/* On a full queue the next job runs here, and its callback is due here. */
static void submit_the_next(const struct filch_completion *c)
{
	int64_t i = (int64_t)(intptr_t)c->user;
	struct filch_submit how = FILCH_SUBMIT_INIT;

	inside++;
	deepest = inside > deepest ? inside : deepest;
	note_stack();
	links_told++;
	how.when_full = FILCH_CALLER_RUNS;
	how.on_complete = submit_the_next;
	how.user = (void *)(intptr_t)(i + 1);
	if (i + 1 < CHAIN)
		links_refused += filch_submit(pool, answer, NULL, &how) <= 0;
	inside--;
}

Test(callbacks, each_of_which_runs_the_next_job_need_the_stack_of_one)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	int64_t waiting;

	begin(1, 1, 0);
	hold_worker(&h);
	waiting = filch_submit(pool, answer, NULL, NULL); /* the queue is full */
	how.when_full = FILCH_CALLER_RUNS;
	how.on_complete = submit_the_next;
	cr_assert(filch_submit(pool, answer, NULL, &how) > 0);
	EQ(links_told, CHAIN);
	EQ(links_refused, 0);
	EQ(deepest, 1);
	cr_assert(highest - lowest < 16384, "%td bytes of stack", highest - lowest);
	let_go(&h);
	EQ(wait_status(waiting), 42);
	end();
}

static void leave_after_a_cancel(const struct filch_completion *c)
{
	EQ(filch_cancel(pool, queued_id), 0);
	EQ(got.told_inside, 0); /* not yet */
	tell(c);
	pthread_exit(NULL);
}

static void *cancel_and_leave(void *id)
{
	(void)filch_cancel(pool, *(int64_t *)id);
	return NULL;
}

Test(callbacks, that_leave_their_thread_lose_none_that_is_due)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	pthread_t thread;
	int64_t id;

	begin(1, 0, 0);
	hold_worker(&h);
	how.on_complete = tell_inside;
	queued_id = filch_submit(pool, answer, NULL, &how);
	how.on_complete = leave_after_a_cancel;
	id = filch_submit(pool, answer, NULL, &how);
	cr_assert(queued_id > 0 && id > 0);
	EQ(pthread_create(&thread, NULL, cancel_and_leave, &id), 0);
	EQ(pthread_join(thread, NULL), 0);
	EQ(got.told_inside, 1);
	let_go(&h);
	end();
}

static int64_t of_other;
static int told_before;
static struct hold other_hold = HOLD_INIT;

static void cancel_one_of_the_other_pool(const struct filch_completion *c)
{
	got.cancel_queued = filch_cancel(other, of_other);
	told_before = got.told_inside;
	gate_raise(&other_hold.release);
	/* its job is over, so the other pool can be drained from here */
	got.drain_other = filch_pool_drain(other, NULL);
	tell(c);
}

Test(callbacks, of_another_pool_run_before_the_cancel_returns)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	struct filch_pool *first;
	int64_t id;

	begin_two(1);
	first = pool;
	pool = other;
	hold_worker(&other_hold);
	how.on_complete = tell_inside;
	of_other = filch_submit(other, answer, NULL, &how);
	pool = first;
	hold_worker(&h);
	how.on_complete = cancel_one_of_the_other_pool;
	id = filch_submit(pool, answer, NULL, &how);
	cr_assert(of_other > 0 && id > 0);
	EQ(filch_cancel(pool, id), 0);
	EQ(got.cancel_queued, 0);
	EQ(told_before, 1);
	EQ(got.drain_other, 0);
	let_go(&h);
	end();
	EQ(filch_wait(other, other_hold.id, NULL, NULL), 0);
	pool = other;
	end();
}
