/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dependencies: a job starts when those that it comes after are complete, however they end; one
 * that has failed keeps it from running; it completes once, whatever becomes of the pool.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

#include <ill.h>

/* Jobs that note their order. */
static _Atomic int turn;
struct step {
	int at; /* 0: it has not run */
	int status;
};

static int step(void *arg)
{
	struct step *s = arg;

	s->at = ++turn;
	return s->status;
}

static struct filch_submit following(const int64_t *after, size_t n, uint64_t flags)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.after = after;
	how.after_count = n;
	how.flags = flags;
	return how;
}

static int64_t submit_after(struct step *s, const int64_t *after, size_t n, uint64_t flags)
{
	struct filch_submit how = following(after, n, flags);

	return filch_submit(pool, step, s, &how);
}

static int64_t accepted(int64_t id)
{
	cr_assert(id > 0, "%d", (int)id);
	return id;
}

static struct filch_completion wait_for(int64_t id)
{
	struct filch_completion c;

	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.id, id);
	return c;
}

static void is_behind(int64_t id)
{
	struct filch_completion c = wait_for(id);

	EQ(c.status, -ECANCELED);
	EQ(c.flags, FILCH_DONE_AFTER);
	EQ(c.worker, -1);
	EQ(c.run_ns, 0);
}

static bool is_waiting(int64_t id)
{
	struct timespec past = { 0, 1 };

	return filch_wait(pool, id, &past, NULL) == -ETIMEDOUT;
}

/* Room in the queue and slots are free again: nothing was kept. */
static void end_empty(void)
{
	EQ(filch_pool_drain(pool, NULL), 0);
	while (stats().queued) /* a follower that a cancel has won just now */
		sched_yield();
	end();
}

Test(after, a_job_starts_when_those_before_it_are_complete)
{
	struct hold h = HOLD_INIT;
	struct step a = { 0, 0 }, b = { 0, 0 }, c = { 0, 0 };
	int64_t ids[3];

	begin(2, 0, 0);
	hold_worker(&h);
	ids[0] = h.id;
	ids[1] = accepted(submit_after(&b, ids, 1, 0));
	ids[2] = accepted(submit_after(&a, NULL, 0, 0));
	EQ(wait_status(ids[2]), 0);
	cr_assert(is_waiting(ids[1]));
	EQ(b.at, 0);
	ids[2] = accepted(submit_after(&c, ids, 2, 0));
	let_go(&h);
	EQ(wait_status(ids[2]), 0);
	EQ(wait_status(ids[1]), 0);
	EQ(a.at, 1);
	EQ(b.at, 2);
	EQ(c.at, 3);
	end_empty();
}

Test(after, ids_that_are_complete_are_not_waited_for)
{
	struct step s = { 0, 0 };
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t ids[3];

	begin(1, 0, 0);
	ids[0] = submit(FILCH_BLOCK);
	EQ(filch_pool_drain(pool, NULL), 0);
	ids[1] = submit(FILCH_BLOCK);
	EQ(wait_status(ids[1]), 42);
	how.flags = FILCH_JOB_DETACHED;
	ids[2] = accepted(filch_submit(pool, answer, NULL, &how));
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(wait_status(accepted(submit_after(&s, ids, 3, 0))), 0);
	EQ(s.at, 1);
	EQ(wait_status(ids[0]), 42);
	end_empty();
}

Test(after, a_failure_keeps_its_followers_from_running)
{
	struct hold h = HOLD_INIT;
	struct step bad = { 0, -EIO }, good = { 0, 7 }, s[3] = { { 0 } };
	int64_t ids[2], id[3];

	begin(1, 0, 0);
	hold_worker(&h);
	ids[0] = accepted(submit_after(&bad, &h.id, 1, 0));
	ids[1] = accepted(submit_after(&good, &h.id, 1, 0));
	id[0] = accepted(submit_after(&s[0], ids, 2, 0));
	id[1] = accepted(submit_after(&s[1], &ids[1], 1, 0));
	id[2] = accepted(submit_after(&s[2], ids, 2, FILCH_JOB_AFTER_ANY));
	let_go(&h);
	is_behind(id[0]);
	EQ(wait_status(id[1]), 0);
	EQ(wait_status(id[2]), 0);
	EQ(s[0].at, 0);
	cr_assert(s[1].at > 0 && s[2].at > 0);
	EQ(wait_status(ids[0]), -EIO);
	EQ(wait_status(ids[1]), 7);
	EQ(stats().cancelled, 1);
	end_empty();
}

Test(after, a_failure_travels_and_is_late_for_nobody)
{
	enum { CHAIN = 300 };
	static struct step s[CHAIN];
	struct hold h = HOLD_INIT;
	struct step bad = { 0, -EIO }, last = { 0, 0 };
	int64_t id[CHAIN], before, end_of_it;

	begin(2, 0, 0);
	hold_worker(&h);
	before = accepted(submit_after(&bad, &h.id, 1, 0));
	for (int i = 0; i < CHAIN; i++)
		id[i] = accepted(submit_after(&s[i], i ? &id[i - 1] : &before, 1, 0));
	end_of_it = accepted(submit_after(&last, &id[CHAIN - 1], 1, FILCH_JOB_AFTER_ANY));
	let_go(&h);
	EQ(wait_status(end_of_it), 0);
	for (int i = 0; i < CHAIN; i++) {
		is_behind(id[i]);
		EQ(s[i].at, 0);
	}
	EQ(last.at, 2);
	EQ(wait_status(before), -EIO);
	end_empty();
}

Test(after, a_failure_before_the_submit_is_known)
{
	struct step s = { 0, -EIO }, t = { 0, 0 };
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id, last;

	begin(1, 0, 0);
	id = accepted(filch_submit(pool, step, &s, NULL));
	EQ(filch_pool_drain(pool, NULL), 0);
	is_behind(accepted(submit_after(&t, &id, 1, 0)));
	EQ(wait_status(id), -EIO);
	/* reaped, and its slot is nobody's */
	is_behind(last = accepted(submit_after(&t, &id, 1, 0)));
	is_behind(accepted(submit_after(&t, &last, 1, 0)));
	EQ(wait_status(accepted(submit_after(&t, &last, 1, FILCH_JOB_AFTER_ANY))), 0);
	how.on_complete = tell;
	last = accepted(filch_submit(pool, step, &s, &how));
	EQ(filch_pool_drain(pool, NULL), 0);
	is_behind(accepted(submit_after(&t, &last, 1, 0)));
	end_empty();
}

Test(after, a_slot_that_is_used_again_has_no_failure)
{
	struct step bad = { 0, -EIO }, s = { 0, 0 };
	int64_t id, first;

	begin(1, 1, 2);
	first = id = accepted(filch_submit(pool, step, &bad, NULL));
	EQ(wait_status(id), -EIO);
	for (int i = 0; i < 8; i++) {
		id = accepted(filch_submit(pool, step, &s, NULL));
		EQ(wait_status(id), 0);
		EQ(wait_status(accepted(submit_after(&s, &id, 1, 0))), 0);
	}
	EQ(wait_status(accepted(submit_after(&s, &first, 1, 0))), 0);
	end_empty();
}

/* --- how the ones before may end ---------------------------------------- */

static struct gate deferred = GATE_INIT;

static int defer(void *arg)
{
	*(int64_t *)arg = filch_job_defer();
	gate_raise(&deferred);
	return 0;
}

Test(after, a_deferred_end_is_waited_for)
{
	struct step s = { 0, 0 }, t = { 0, 0 };
	int64_t late, id, other;

	begin(2, 0, 0);
	for (int status = -1; status < 2; status++) {
		id = accepted(filch_submit(pool, defer, &late, NULL));
		gate_wait(&deferred, status + 2);
		id = accepted(submit_after(&s, &late, 1, 0));
		other = accepted(submit_after(&t, &id, 1, 0));
		cr_assert(is_waiting(id) && is_waiting(other));
		EQ(filch_job_finish(pool, late, status), 0);
		if (status < 0)
			is_behind(id), is_behind(other);
		else
			EQ(wait_status(id) + wait_status(other), 0);
		EQ(wait_status(late), status);
	}
	end_empty();
}

Test(after, a_job_that_has_not_started_cannot_be_finished)
{
	struct step s = { 0, 0 };
	int64_t late, id;

	begin(1, 0, 0);
	cr_assert(filch_submit(pool, defer, &late, NULL) > 0);
	gate_wait(&deferred, 1);
	id = accepted(submit_after(&s, &late, 1, 0));
	EQ(filch_job_finish(pool, id, 0), -EINVAL);
	EQ(filch_job_finish(pool, late, 0), 0);
	EQ(wait_status(id), 0);
	EQ(wait_status(late), 0);
	end_empty();
}

Test(after, one_that_was_cancelled_has_failed)
{
	struct hold h = HOLD_INIT;
	struct step s[3] = { { 0 } };
	int64_t id[3];

	begin(1, 0, 0);
	hold_worker(&h);
	id[0] = submit(FILCH_BLOCK);
	id[1] = accepted(submit_after(&s[1], &id[0], 1, 0));
	id[2] = accepted(submit_after(&s[2], &id[1], 1, 0));
	EQ(filch_cancel(pool, id[0]), 0);
	EQ(filch_cancel(pool, id[0]), -EALREADY);
	let_go(&h);
	is_behind(id[2]);
	is_behind(id[1]);
	EQ(wait_status(id[0]), -ECANCELED);
	end_empty();
}

Test(after, one_that_comes_too_late_has_failed)
{
	struct hold h = HOLD_INIT;
	struct timespec past = { 0, 1 };
	struct step s = { 0, 0 };
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t late, id;

	begin(1, 0, 0);
	hold_worker(&h);
	how.start_by = &past;
	late = accepted(filch_submit(pool, step, &s, &how));
	id = accepted(submit_after(&s, &late, 1, 0));
	let_go(&h);
	is_behind(id);
	EQ(wait_status(late), -ETIMEDOUT);
	end_empty();
}

Test(after, a_job_may_be_too_late_when_it_is_ready)
{
	struct hold h = HOLD_INIT;
	struct timespec past = { 0, 1 };
	struct step s = { 0, 0 };
	struct filch_submit how;
	int64_t id;

	begin(1, 0, 0);
	hold_worker(&h);
	how = following(&h.id, 1, 0);
	how.start_by = &past;
	id = accepted(filch_submit(pool, step, &s, &how));
	cr_assert(is_waiting(id));
	let_go(&h);
	EQ(wait_status(id), -ETIMEDOUT);
	EQ(s.at, 0);
	end_empty();
}

Test(after, completions_have_been_delivered_when_the_next_job_starts)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c[2];
	struct filch_cq *cq;
	struct step s[3] = { { 0 } };
	struct hold h = HOLD_INIT;
	int64_t id[2], last;

	begin(1, 0, 0);
	EQ(filch_cq_create(&cq, 2), 0);
	hold_worker(&h);
	how.on_complete = tell;
	id[0] = accepted(filch_submit(pool, step, &s[0], &how));
	how = following(id, 1, 0);
	how.cq = cq;
	id[1] = accepted(filch_submit(pool, step, &s[1], &how));
	last = accepted(submit_after(&s[2], &id[1], 1, 0));
	let_go(&h);
	EQ(wait_status(last), 0);
	gate_wait(&told, 1);
	EQ(told_of.id, id[0]);
	EQ(filch_cq_reap(cq, c, 2), 1);
	EQ(c[0].id, id[1]);
	EQ(c[0].status, 0);
	EQ(s[2].at, 3);
	end_empty();
	EQ(filch_cq_destroy(cq), 0);
}

Test(after, a_failure_is_told_in_a_queue_and_by_a_callback)
{
	struct hold h = HOLD_INIT;
	struct step bad = { 0, -EIO }, s = { 0, 0 };
	struct filch_completion c;
	struct filch_submit how;
	struct filch_cq *cq;
	int64_t before, id;

	begin(1, 0, 0);
	EQ(filch_cq_create(&cq, 2), 0);
	hold_worker(&h);
	before = accepted(filch_submit(pool, step, &bad, NULL));
	how = following(&before, 1, 0);
	how.cq = cq;
	id = accepted(filch_submit(pool, step, &s, &how));
	how = following(&id, 1, 0);
	how.on_complete = tell;
	cr_assert(filch_submit(pool, step, &s, &how) > 0);
	let_go(&h);
	gate_wait(&told, 1);
	EQ(told_of.status, -ECANCELED);
	EQ(told_of.flags, FILCH_DONE_AFTER);
	EQ(filch_cq_reap(cq, &c, 1), 1);
	EQ(c.status, -ECANCELED);
	EQ(c.flags, FILCH_DONE_AFTER);
	EQ(s.at, 0);
	EQ(wait_status(before), -EIO);
	end_empty();
	EQ(filch_cq_destroy(cq), 0);
}

static int fault(void *unused)
{
	(void)unused;
	return fall_ill(NULL_STORE);
}

static int leave_thread(void *unused)
{
	(void)unused;
	pthread_exit(NULL);
}

Test(after, one_that_does_not_return_has_failed)
{
	struct step s = { 0, 0 }, t = { 0, 0 };
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id, other;

	if (!TEST_HAS_GUARDS)
		cr_skip_test("guards are for x86-64");
	cr_assert(ill_begin());
	config.workers = 1;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_GUARD;
	config.stack_bytes = ILL_STACK;
	EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 0; i < 2; i++) {
		struct hold h = HOLD_INIT;

		hold_worker(&h);
		how.flags = FILCH_JOB_GUARD;
		id = accepted(filch_submit(pool, i ? leave_thread : fault, NULL, &how));
		how = following(&id, 1, FILCH_JOB_GUARD);
		other = accepted(filch_submit(pool, step, &s, &how));
		how = following(&other, 1, FILCH_JOB_GUARD | FILCH_JOB_AFTER_ANY);
		cr_assert(is_waiting(other));
		let_go(&h);
		EQ(wait_status(accepted(filch_submit(pool, step, &t, &how))), 0);
		is_behind(other);
		EQ(wait_status(id), i ? -ECANCELED : -EFAULT);
		EQ(s.at, 0);
	}
	end_empty();
}

static int64_t id_inside;
static struct gate inside = GATE_INIT, outside = GATE_INIT;

FILCH_TASK(int, stay_inside)
{
	id_inside = filch_job_id();
	gate_raise(&inside);
	gate_wait(&outside, 1);
	return 9;
}

static void *submit_beside(void *result)
{
	static struct step s;

	gate_wait(&inside, 1);
	*(int64_t *)result = submit_after(&s, &id_inside, 1, 0);
	cr_assert(is_waiting(*(int64_t *)result));
	gate_raise(&outside);
	return NULL;
}

static void run_is_waited_for(void)
{
	pthread_t thread;
	int64_t id;
	int result = 0, error;

	EQ(pthread_create(&thread, NULL, submit_beside, &id), 0);
	error = FILCH_RUN(pool, &result, stay_inside);
	EQ(error, 0);
	EQ(result, 9);
	EQ(pthread_join(thread, NULL), 0);
	EQ(wait_status(accepted(id)), 0);
	end_empty();
}

Test(after, a_run_is_waited_for_as_well)
{
	begin(2, 0, 0);
	run_is_waited_for();
}

static void begin_caller(uint32_t workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&pool, &config), 0);
}

Test(after, a_run_of_the_caller_is_waited_for_as_well)
{
	begin_caller(2);
	run_is_waited_for();
}

static int64_t successor;

static int submit_own_successor(void *arg)
{
	int64_t me = filch_job_id();

	successor = submit_after(arg, &me, 1, 0);
	EQ(filch_wait(pool, successor, NULL, NULL), -EDEADLK);
	return 3;
}

Test(after, a_job_may_submit_what_comes_after_itself)
{
	struct step s = { 0, 0 };

	begin(1, 0, 0);
	EQ(wait_status(accepted(filch_submit(pool, submit_own_successor, &s, NULL))), 3);
	EQ(wait_status(accepted(successor)), 0);
	EQ(s.at, 1);
	end_empty();
}

/* --- what is bounded ----------------------------------------------------- */

enum { IN = 1000 };

static int count_in(void *n)
{
	return __atomic_add_fetch((int *)n, 1, __ATOMIC_RELAXED) < 0;
}

static int read_count(void *n)
{
	return *(int *)n;
}

Test(after, one_job_may_come_after_a_thousand)
{
	static int64_t ids[IN];
	struct hold h = HOLD_INIT;
	struct filch_submit how = following(ids, IN, 0);
	int64_t id;
	int n = 0;

	begin(2, 0, 0);
	hold_worker(&h);
	for (int i = 0; i < IN; i++) {
		struct filch_submit first = following(&h.id, 1, 0);

		ids[i] = accepted(filch_submit(pool, count_in, &n, &first));
	}
	id = accepted(filch_submit(pool, read_count, &n, &how));
	let_go(&h);
	EQ(wait_status(id), IN);
	for (int i = 0; i < IN; i++)
		EQ(wait_status(ids[i]), 0);
	end_empty();
}

Test(after, an_id_may_come_twice)
{
	struct hold h = HOLD_INIT;
	struct step s = { 0, 0 };
	int64_t ids[3], id;

	begin(1, 0, 0);
	hold_worker(&h);
	ids[0] = ids[1] = ids[2] = h.id;
	id = accepted(submit_after(&s, ids, 3, 0));
	let_go(&h);
	EQ(wait_status(id), 0);
	EQ(s.at, 1);
	end_empty();
}

Test(after, too_many_are_refused_and_nothing_is_kept)
{
	enum { SLOTS = 4, EDGES = 1024 + 4 * (SLOTS + 1) };
	static int64_t ids[EDGES + 1];
	struct filch_completion c;
	struct step s[2] = { { 0 } };
	struct filch_submit how;
	struct filch_cq *cq;

	begin(1, 4, SLOTS);
	EQ(filch_cq_create(&cq, 2), 0);
	for (int round = 0; round < 3; round++) {
		struct hold h = HOLD_INIT;

		hold_worker(&h);
		for (int i = 0; i <= EDGES; i++)
			ids[i] = h.id;
		EQ(submit_after(&s[0], ids, EDGES + 1, 0), -ENOBUFS);
		how = following(ids, EDGES - 1, 0);
		how.cq = cq;
		cr_assert(filch_submit(pool, step, &s[0], &how) > 0);
		how.after_count = 2;
		for (int i = 0; i < 2 * SLOTS; i++)
			EQ(filch_submit(pool, step, &s[1], &how), -ENOBUFS);
		how.after_count = 1;
		cr_assert(filch_submit(pool, step, &s[1], &how) > 0);
		EQ(filch_submit(pool, step, &s[1], &how), -ENOBUFS);
		let_go(&h);
		for (int i = 0; i < 2; i++)
			EQ(filch_cq_wait(cq, &c, 1, NULL), 1);
	}
	end_empty();
	EQ(filch_cq_destroy(cq), 0);
}

Test(after, a_job_that_waits_takes_no_room_and_is_never_refused_any)
{
	enum { WAITING = 10 };
	struct hold h = HOLD_INIT;
	struct step s[WAITING] = { { 0 } };
	struct filch_submit how;
	int64_t id[WAITING], queued;

	begin(1, 1, 2 * WAITING);
	hold_worker(&h);
	for (uint32_t i = 0; i < WAITING; i++) {
		how = following(&h.id, 1, 0);
		how.when_full = i % 2 ? FILCH_TRY : FILCH_CALLER_RUNS;
		id[i] = accepted(filch_submit(pool, step, &s[i], &how));
	}
	EQ(stats().queued, 0);
	queued = accepted(submit(FILCH_TRY));
	EQ(submit(FILCH_TRY), -EAGAIN);
	/* complete, so there is nothing to wait for */
	how = following(NULL, 0, 0);
	how.when_full = FILCH_TRY;
	EQ(filch_submit(pool, step, &s[0], &how), -EAGAIN);
	let_go(&h);
	for (int i = 0; i < WAITING; i++) {
		EQ(wait_status(id[i]), 0);
		cr_assert(s[i].at > 0);
	}
	EQ(wait_status(queued), 42);
	end_empty();
}

Test(after, a_batch_comes_after_the_same_jobs)
{
	enum { JOBS = 100 };
	static struct filch_job_spec spec[JOBS];
	static struct step s[JOBS];
	static int64_t id[JOBS];
	struct hold h = HOLD_INIT;
	struct filch_submit how;

	begin(1, 0, 0);
	hold_worker(&h);
	how = following(&h.id, 1, 0);
	for (int i = 0; i < JOBS; i++)
		spec[i] = (struct filch_job_spec){ step, &s[i], NULL };
	EQ(filch_submit_batch(pool, spec, JOBS, &how, id), JOBS);
	EQ(stats().queued, 0);
	for (int i = 0; i < JOBS; i++)
		cr_assert(is_waiting(id[i]));
	let_go(&h);
	for (int i = 0; i < JOBS; i++)
		EQ(wait_status(id[i]), 0);
	end_empty();
}

Test(after, what_is_wrong_is_refused)
{
	struct step s = { 0, 0 };
	struct filch_submit how = following(NULL, 1, 0);
	int64_t id, foreign = 0;

	begin(1, 0, 0);
	EQ(filch_submit(pool, step, &s, &how), -EINVAL);
	EQ(submit_after(&s, &foreign, 1, 0), -ESRCH);
	id = submit(FILCH_BLOCK);
	foreign = id ^ (INT64_C(1) << 60);
	EQ(submit_after(&s, &foreign, 1, 0), -ESRCH);
	EQ(wait_status(id), 42);
	EQ(s.at, 0);
	end_empty();
}

Test(after, a_program_that_knows_nothing_of_it_is_served)
{
	struct step s = { 0, 5 };
	int64_t nobody = -1;
	struct filch_submit how = following(&nobody, 1, 0);

	how.size = offsetof(struct filch_submit, after);
	begin(1, 0, 0);
	EQ(wait_status(accepted(filch_submit(pool, step, &s, &how))), 5);
	end_empty();
}

/* --- cancelled while it waits -------------------------------------------- */

Test(after, a_job_that_waits_is_cancelled_at_once)
{
	struct hold h = HOLD_INIT;
	struct step s[2] = { { 0 } };
	struct filch_completion c;
	int64_t id, next;

	begin(1, 0, 0);
	hold_worker(&h);
	id = accepted(submit_after(&s[0], &h.id, 1, 0));
	next = accepted(submit_after(&s[1], &id, 1, 0));
	EQ(filch_cancel(pool, id), 0);
	c = wait_for(id);
	EQ(c.status, -ECANCELED);
	EQ(c.flags, 0);
	EQ(filch_cancel(pool, id), -ESRCH);
	EQ(stats().queued, 1); /* the next one, which is to be told */
	let_go(&h);
	is_behind(next);
	EQ(s[0].at + s[1].at, 0);
	end_empty();
}

Test(after, edges_of_a_cancelled_job_mean_nothing_to_the_next_in_its_slot)
{
	struct hold h = HOLD_INIT, other = HOLD_INIT;
	struct step s = { 0, 0 };
	int64_t id;

	begin(2, 0, 3);
	hold_worker(&h);
	hold_worker(&other);
	for (int i = 0; i < 50; i++) { /* the third slot, again and again */
		id = accepted(submit_after(&s, &h.id, 1, 0));
		EQ(filch_cancel(pool, id), 0);
		EQ(wait_status(id), -ECANCELED);
	}
	id = accepted(submit_after(&s, &other.id, 1, 0));
	let_go(&h);
	EQ(filch_pool_drain(pool, &(struct timespec){ 0, 1 }), -ETIMEDOUT);
	cr_assert(is_waiting(id));
	EQ(s.at, 0);
	let_go(&other);
	EQ(wait_status(id), 0);
	EQ(s.at, 1);
	end_empty();
}

Test(after, a_chain_of_callbacks_that_cancel_needs_no_stack)
{
	struct hold h = HOLD_INIT;
	struct step s[2] = { { 0 } };
	struct filch_submit how;
	int64_t id;

	begin(1, 0, 0);
	hold_worker(&h);
	how = following(&h.id, 1, 0);
	how.on_complete = tell;
	id = accepted(filch_submit(pool, step, &s[0], &how));
	EQ(filch_cancel(pool, id), 0);
	EQ(told.count, 1);
	EQ(told_of.status, -ECANCELED);
	EQ(told_of.flags, 0);
	cr_assert(pthread_equal(told_on, pthread_self()));
	let_go(&h);
	end_empty();
}

/* --- waits and ends ------------------------------------------------------- */

static int64_t awaited;
static int error_inside;

static int wait_inside(void *arg)
{
	struct hold *h = arg;

	gate_raise(&h->started);
	error_inside = filch_wait(pool, awaited, NULL, NULL);
	return 0;
}

Test(after, a_worker_does_not_wait_for_a_job_that_waits)
{
	struct hold h = HOLD_INIT, waiter = HOLD_INIT;
	struct step s = { 0, 0 };
	int64_t id;

	begin(2, 0, 0);
	hold_worker(&h);
	awaited = accepted(submit_after(&s, &h.id, 1, 0));
	id = accepted(filch_submit(pool, wait_inside, &waiter, NULL));
	EQ(wait_status(id), 0);
	EQ(error_inside, -EDEADLK);
	let_go(&h);
	EQ(wait_status(awaited), 0);
	end_empty();
}

static void *destroy(void *unused)
{
	(void)unused;
	end();
	return NULL;
}

Test(after, a_destroy_cancels_what_waits)
{
	struct hold h = HOLD_INIT;
	struct step s[3] = { { 0 } };
	struct filch_completion c[3];
	struct filch_submit how;
	struct filch_cq *cq;
	pthread_t thread;
	int64_t id[3];
	int n = 0;

	begin(1, 0, 0);
	EQ(filch_cq_create(&cq, 3), 0);
	hold_worker(&h);
	for (int i = 0; i < 3; i++) {
		how = following(i ? &id[i - 1] : &h.id, 1, 0);
		how.cq = cq;
		id[i] = accepted(filch_submit(pool, step, &s[i], &how));
	}
	EQ(pthread_create(&thread, NULL, destroy, NULL), 0);
	while (n < 3)
		n += filch_cq_wait(cq, c + n, (size_t)(3 - n), NULL);
	for (int i = 0; i < 3; i++)
		EQ(c[i].status, -ECANCELED);
	gate_raise(&h.release);
	EQ(pthread_join(thread, NULL), 0);
	EQ(s[0].at + s[1].at + s[2].at, 0);
	EQ(filch_cq_destroy(cq), 0);
}

Test(after, a_draining_shutdown_runs_what_waits)
{
	struct hold h = HOLD_INIT;
	struct step s[2] = { { 0 } };
	int64_t id[2];

	begin(1, 0, 0);
	hold_worker(&h);
	id[0] = accepted(submit_after(&s[0], &h.id, 1, 0));
	id[1] = accepted(submit_after(&s[1], id, 1, 0));
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, &(struct timespec){ 0, 1 }), -ETIMEDOUT);
	EQ(submit_after(&s[0], &h.id, 1, 0), -ESHUTDOWN);
	gate_raise(&h.release);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(wait_status(id[0]), 0);
	EQ(wait_status(id[1]), 0);
	EQ(s[1].at, 2);
	end();
}

Test(after, an_abandoning_shutdown_cancels_what_waits)
{
	struct step s = { 0, 0 };
	int64_t late, id;

	begin(1, 0, 0);
	cr_assert(filch_submit(pool, defer, &late, NULL) > 0);
	gate_wait(&deferred, 1);
	id = accepted(submit_after(&s, &late, 1, 0));
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, &(struct timespec){ 0, 1 }), -ETIMEDOUT);
	EQ(wait_status(id), -ECANCELED);
	EQ(filch_job_finish(pool, late, 0), 0);
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	EQ(s.at, 0);
	end();
}

Test(after, jobs_that_wait_are_accepted_and_not_queued)
{
	struct filch_lane_stats lane = FILCH_LANE_STATS_INIT;
	struct hold h = HOLD_INIT;
	struct step s = { 0, 0 };
	int64_t id;

	begin(1, 0, 0);
	hold_worker(&h);
	id = accepted(submit_after(&s, &h.id, 1, 0));
	EQ(filch_pool_lane_stats(pool, FILCH_LANE_NORMAL, &lane), 0);
	EQ(lane.accepted, 2);
	EQ(lane.queued, 0);
	EQ(lane.running, 1);
	let_go(&h);
	EQ(wait_status(id), 0);
	lane = (struct filch_lane_stats)FILCH_LANE_STATS_INIT;
	EQ(filch_pool_lane_stats(pool, FILCH_LANE_NORMAL, &lane), 0);
	EQ(lane.accepted, 2);
	EQ(lane.completed, 2);
	end_empty();
}

/* --- where a job ends, and where it is made -------------------------------- */

static struct step inline_step;

static int submit_successor(void *unused)
{
	int64_t me = filch_job_id();

	(void)unused;
	EQ(filch_worker_id(), -1);
	successor = submit_after(&inline_step, &me, 1, 0);
	cr_assert(is_waiting(successor));
	return 3;
}

Test(after, a_job_that_its_submitter_runs_is_waited_for)
{
	struct filch_submit how = policy(FILCH_CALLER_RUNS);
	struct hold h = HOLD_INIT;
	int64_t queued, id;

	begin(1, 1, 0);
	hold_worker(&h);
	queued = submit(FILCH_TRY);
	id = accepted(filch_submit(pool, submit_successor, NULL, &how));
	EQ(wait_status(id), 3);
	let_go(&h);
	EQ(wait_status(accepted(successor)), 0);
	EQ(wait_status(queued), 42);
	end_empty();
}

Test(after, a_policy_is_asked_where_there_is_nothing_to_wait_for)
{
	struct hold h = HOLD_INIT;
	struct step s = { 0, 0 };
	struct filch_submit how;
	int64_t queued, over;

	begin(1, 1, 0);
	over = submit(FILCH_BLOCK);
	EQ(wait_status(over), 42);
	hold_worker(&h);
	queued = submit(FILCH_TRY);
	how = following(&over, 1, 0);
	how.when_full = FILCH_TRY;
	EQ(filch_submit(pool, step, &s, &how), -EAGAIN);
	how.when_full = FILCH_CALLER_RUNS;
	EQ(wait_status(accepted(filch_submit(pool, step, &s, &how))), 0);
	EQ(s.at, 1);
	let_go(&h);
	EQ(wait_status(queued), 42);
	end_empty();
}

static struct step callback_step;

static void follow_in_callback(const struct filch_completion *c)
{
	EQ(c->status, -ECANCELED);
	successor = submit_after(&callback_step, &c->id, 1, 0);
	cr_assert(is_waiting(successor));
}

Test(after, a_callback_submits_what_comes_after_its_job)
{
	struct hold h = HOLD_INIT;
	struct step s = { 0, 0 };
	struct filch_submit how;
	int64_t id;

	begin(1, 0, 0);
	hold_worker(&h);
	how = following(&h.id, 1, 0);
	how.on_complete = follow_in_callback;
	id = accepted(filch_submit(pool, step, &s, &how));
	EQ(filch_cancel(pool, id), 0);
	let_go(&h);
	is_behind(accepted(successor));
	EQ(s.at + callback_step.at, 0);
	end_empty();
}

struct ordered {
	struct filch_cq *cq;
	int jobs;
};

static int fails_at_times(void *number)
{
	return (uintptr_t)number % 7 == 3 ? -EIO : 0;
}

/* Each comes after up to three before it; some are cancelled while they wait. */
static void *submit_in_order(void *arg)
{
	const struct ordered *o = arg;
	int64_t last[3];

	for (int i = 0; i < o->jobs; i++) {
		struct filch_submit how = following(last, i < 3 ? (size_t)i : 3,
			FILCH_JOB_WAIT_CQ | (i % 3 ? FILCH_JOB_AFTER_ANY : 0));
		int64_t id;

		how.cq = o->cq;
		id = accepted(filch_submit(pool, fails_at_times, (void *)(uintptr_t)i, &how));
		if (i % 11 == 0)
			(void)filch_cancel(pool, id);
		last[i % 3] = id;
	}
	return NULL;
}

Test(after, an_ordered_queue_tells_of_followers_in_their_order)
{
	struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;
	struct ordered o = { .jobs = 2000 };
	struct filch_completion c[4];
	unsigned kinds = 0;
	pthread_t thread;

	config.flags = FILCH_CQ_ORDERED;
	config.capacity = 8;
	begin(2, 4, 0);
	EQ(filch_cq_create_with(&o.cq, &config), 0);
	EQ(pthread_create(&thread, NULL, submit_in_order, &o), 0);
	for (int i = 0; i < o.jobs;) {
		int n = filch_cq_wait(o.cq, c, 4, NULL);

		cr_assert(n > 0);
		for (int k = 0; k < n; k++, i++) {
			EQ((uintptr_t)c[k].arg, i);
			kinds |= c[k].flags & FILCH_DONE_AFTER ? 1 : c[k].status == 0 ? 2 : 4;
		}
	}
	EQ(pthread_join(thread, NULL), 0);
	EQ(kinds, 7);
	end_empty();
	EQ(filch_cq_destroy(o.cq), 0);
}

static int fork_inside(void *child)
{
	int64_t me = filch_job_id();
	static struct step s;

	*(pid_t *)child = fork();
	if (*(pid_t *)child == 0)
		_exit(submit_after(&s, &me, 1, 0) == -ECHILD ? 17 : 18);
	return 0;
}

Test(after, a_child_of_a_fork_releases_nothing)
{
	struct hold h = HOLD_INIT;
	struct step s = { 0, 0 };
	int64_t id, other;
	pid_t child;
	int status;

	begin(1, 0, 0);
	hold_worker(&h);
	id = accepted(filch_submit(pool, fork_inside, &child, NULL));
	other = accepted(submit_after(&s, &id, 1, 0));
	let_go(&h);
	EQ(wait_status(other), 0);
	EQ(waitpid(child, &status, 0), child);
	EQ(WEXITSTATUS(status), 17);
	EQ(wait_status(id), 0);
	end_empty();
}

/* --- other pools ----------------------------------------------------------- */

static struct filch_pool *other_pool;
static int64_t job_of_other;

static int wait_for_waiting(void *unused)
{
	(void)unused;
	return filch_wait(pool, awaited, NULL, NULL);
}

Test(after, a_worker_of_another_pool_waits_for_a_job_that_waits)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_completion c;
	struct hold h = HOLD_INIT;
	struct step s = { 0, 0 };
	int64_t id;

	begin(1, 0, 0);
	config.workers = 1;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	EQ(filch_pool_create(&other_pool, &config), 0);
	hold_worker(&h);
	awaited = accepted(submit_after(&s, &h.id, 1, 0));
	id = accepted(filch_submit(other_pool, wait_for_waiting, NULL, NULL));
	let_go(&h);
	EQ(filch_wait(other_pool, id, NULL, &c), 0);
	EQ(c.status, 0);
	EQ(s.at, 1);
	EQ(filch_pool_destroy(other_pool), 0);
	end_empty();
}

static int wait_for_other(void *unused)
{
	(void)unused;
	return filch_wait(other_pool, job_of_other, NULL, NULL);
}

/* Waits for a job of the other pool, which waits for one that waits for us. */
static int wait_in_a_circle(void *s)
{
	int64_t before;

	job_of_other = filch_job_id();
	before = filch_submit(pool, wait_for_other, NULL, NULL);
	awaited = submit_after(s, &before, 1, 0);
	if (before < 0 || awaited < 0)
		return 1;
	error_inside = wait_for_waiting(NULL);
	return 0;
}

Test(after, a_circle_over_two_pools_is_refused)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 1;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	for (int i = 0; i < 20; i++) {
		struct step s = { 0, 0 };

		begin(1, 0, 0);
		EQ(filch_pool_create(&other_pool, &config), 0);
		error_inside = 1;
		cr_assert(filch_submit(other_pool, wait_in_a_circle, &s, NULL) > 0);
		EQ(filch_pool_drain(other_pool, NULL), 0);
		EQ(filch_pool_drain(pool, NULL), 0);
		/* which of the two waits is refused depends on who comes last */
		cr_assert(error_inside == -EDEADLK || error_inside == 0, "%d", error_inside);
		EQ(filch_pool_destroy(other_pool), 0);
		end();
	}
}

/* --- the creator as the one worker ---------------------------------------- */

static void *finish_late(void *late)
{
	gate_wait(&deferred, 1);
	EQ(filch_job_finish(pool, *(int64_t *)late, 0), 0);
	return NULL;
}

/* A chain behind a deferred end, which another thread finishes; and one that needs no other. */
static int64_t chain_of_the_creator(struct step *s, pthread_t *thread, bool finished)
{
	static int64_t late;
	int64_t id[3];

	deferred = (struct gate)GATE_INIT;
	id[0] = finished ? accepted(filch_submit(pool, defer, &late, NULL)) : submit(FILCH_BLOCK);
	id[1] = accepted(submit_after(&s[0], &id[0], 1, 0));
	id[2] = accepted(submit_after(&s[1], &id[1], 1, 0));
	if (finished)
		EQ(pthread_create(thread, NULL, finish_late, &late), 0);
	return id[2];
}

Test(after, the_creator_that_is_the_one_worker_runs_what_is_before)
{
	for (int i = 0; i < 400; i++) {
		struct step s[2] = { { 0 } };
		bool finished = i % 2, waits = i / 2 % 2;
		pthread_t thread;
		int64_t id;

		begin_caller(1);
		id = chain_of_the_creator(s, &thread, finished);
		if (!waits)
			EQ(filch_pool_drain(pool, NULL), 0);
		EQ(wait_status(id), 0);
		cr_assert(s[0].at > 0 && s[1].at > s[0].at);
		if (finished)
			EQ(pthread_join(thread, NULL), 0);
		end();
	}
}

Test(after, a_deadline_bounds_the_creators_wait)
{
	struct timespec past = { 0, 1 }, soon;
	struct step s[2] = { { 0 } };
	static int64_t late;
	int64_t id;

	begin_caller(1);
	cr_assert(filch_submit(pool, defer, &late, NULL) > 0);
	id = accepted(submit_after(&s[0], &(int64_t){ 0 }, 0, 0));
	EQ(wait_status(id), 0);
	EQ(filch_pool_drain(pool, &past), -ETIMEDOUT);
	while (!gate_count(&deferred)) { /* runs the job, if the time has not passed before */
		soon = filch_after(1000000);
		EQ(filch_pool_drain(pool, &soon), -ETIMEDOUT);
	}
	id = accepted(submit_after(&s[1], &late, 1, 0));
	EQ(filch_wait(pool, id, &past, NULL), -ETIMEDOUT);
	soon = filch_after(1000000);
	EQ(filch_wait(pool, id, &soon, NULL), -ETIMEDOUT);
	soon = filch_after(1000000);
	EQ(filch_pool_drain(pool, &soon), -ETIMEDOUT);
	EQ(filch_job_finish(pool, late, 0), 0);
	EQ(wait_status(id), 0);
	end();
}
