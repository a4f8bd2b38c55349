/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs through a real pool, what clients do with them: cancellation in every state, start_by,
 * lanes, batches, waits inside jobs, and bad input to each call. The single job and the full queue
 * are in jobs.c.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

/* --- cancellation ----------------------------------------------------- */

static int is_cancelled(void *arg)
{
	(void)arg;
	return filch_job_cancelled();
}

static int until_cancelled(void *arg)
{
	gate_raise(arg);
	while (!filch_job_cancelled())
		sched_yield();
	return -EINTR;
}

Test(jobs_more, cancelling_depends_on_how_far_the_job_is)
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

Test(jobs_more, the_cancel_flag_of_one_job_is_not_seen_by_the_next_in_its_slot)
{
	struct gate started = GATE_INIT;

	begin(1, 1, 1);
	for (int i = 1; i <= 20; i++) {
		int64_t id = filch_submit(pool, until_cancelled, &started, NULL);

		cr_assert(id > 0);
		gate_wait(&started, i);
		EQ(filch_cancel(pool, id), 0);
		EQ(wait_status(id), -EINTR);
		EQ(wait_status(filch_submit(pool, is_cancelled, NULL, NULL)), 0);
	}
	end();
}

Test(jobs_more, the_canceller_runs_the_callback_of_a_queued_job)
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

Test(jobs_more, a_job_that_is_late_does_not_start)
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

/* --- lanes ------------------------------------------------------------ */

static int order[200], ordered;

static int note_order(void *arg)
{
	order[ordered++] = (int)(intptr_t)arg; /* one worker */
	return 0;
}

Test(jobs_more, the_urgent_lane_goes_first_and_does_not_starve_the_other)
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
	cr_assert(first_normal >= 0 && first_normal < 20, "the first normal job came as number %d",
		first_normal);
	cr_assert(last_urgent < 130, "the last urgent job came as number %d", last_urgent);
	end();
}

/* --- batches ---------------------------------------------------------- */

Test(jobs_more, a_batch_is_submitted_as_one_by_one_would_be)
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

Test(jobs_more, a_batch_stops_at_the_first_job_that_is_not_accepted)
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

/* Past what one call takes at once, and to a completion queue with fewer credits than jobs. */
Test(jobs_more, a_large_batch_is_accepted_whole_and_starts_in_its_order)
{
	enum { N = 1000 };
	static struct filch_job_spec spec[N];
	static struct filch_completion done[N];
	static int64_t id[N];
	struct filch_submit how = policy(FILCH_BLOCK);
	struct filch_cq *cq;
	int n[1] = { 0 };

	begin(1, 64, 0);
	EQ(filch_cq_create(&cq, N - 50), 0);
	how.cq = cq;
	for (int i = 0; i < N; i++)
		spec[i] = (struct filch_job_spec){ .fn = answer, .arg = &n[0], .user = &spec[i] };
	EQ(filch_submit_batch(pool, spec, N, &how, id), N - 50);
	EQ(filch_submit_batch(pool, spec, N, &how, id), -ENOBUFS);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n[0], N - 50);
	EQ(filch_cq_reap(cq, done, N), N - 50);
	for (int i = 0; i < N - 50; i++)
		cr_assert(done[i].user == &spec[i] && done[i].id == id[i],
			"completion %d is of another job", i);
	end();
	EQ(filch_cq_destroy(cq), 0);
}

/* --- waits inside jobs ------------------------------------------------ */

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

Test(jobs_more, a_hundred_jobs_that_wait_for_each_other_run_on_one_worker)
{
	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct hold h = HOLD_INIT;

		begin(workers, 0, 0);
		if (workers == 1)
			hold_worker(&h); /* the ids are known before the first starts */
		for (intptr_t i = 100; i >= 0; i--)
			cr_assert((chain[i] = filch_submit(
					   pool, wait_for_the_next, (void *)i, NULL)) > 0);
		if (workers == 1)
			let_go(&h);
		EQ(wait_status(chain[0]), 0);
		end();
	}
}

Test(jobs_more, a_waiting_worker_runs_the_awaited_jobs_and_no_other)
{
	struct hold h = HOLD_INIT;

	begin(1, 0, 0);
	hold_worker(&h);
	/* the first waits for the second, which is queued behind it ... */
	for (intptr_t i = 0; i <= 100; i++)
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

Test(jobs_more, a_job_that_waits_for_itself_is_told_so)
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
	if (filch_wait(pool, awaited, &past, NULL) != -ETIMEDOUT ||
		filch_wait(pool, awaited, &soon, NULL) != -ETIMEDOUT)
		return -1;
	/* queued: it can be run here */
	return filch_wait(pool, filch_submit(pool, answer, NULL, NULL), &past, NULL);
}

Test(jobs_more, a_wait_inside_a_job_keeps_its_deadline)
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

Test(jobs_more, a_worker_that_waits_for_a_running_job_wakes_when_it_is_done)
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

Test(jobs_more, of_several_waits_for_one_id_one_succeeds)
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
			cr_assert((intptr_t)result == 0 || (intptr_t)result == -ESRCH, "%ld",
				(long)(intptr_t)result);
			reaped += !result;
		}
		EQ(reaped, 1);
		end();
	}
}

/* --- bad input -------------------------------------------------------- */

#define REFUSED(error, field, value)                                                              \
	do {                                                                                      \
		struct filch_submit how_ = FILCH_SUBMIT_INIT;                                     \
		struct filch_job_spec spec_ = { answer, &n, NULL };                               \
		int64_t id_ = -77;                                                                \
		how_.field = (value);                                                             \
		cr_assert(filch_submit(pool, answer, &n, &how_) == (error), #field " = " #value); \
		cr_assert(filch_submit_batch(pool, &spec_, 1, &how_, &id_) == (error),            \
			#field " = " #value);                                                     \
		EQ(id_, -77);                                                                     \
	} while (0)

Test(jobs_more, bad_arguments_of_a_submit_are_refused_and_nothing_runs)
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
	EQ(filch_submit(NULL, NULL, &n, NULL), -EINVAL);
	EQ(filch_submit(pool, NULL, &n, NULL), -EINVAL);
	REFUSED(-EINVAL, size, 0);
	REFUSED(-EINVAL, size, 8);
	REFUSED(-EINVAL, size, offsetof(struct filch_submit, after) - 1);
	for (int bit = 1; bit < 64; bit++)
		if (!(UINT64_C(1) << bit & (FILCH_JOB_FREE | FILCH_JOB_AFTER_ANY)))
			REFUSED(-EINVAL, flags, UINT64_C(1) << bit);
	REFUSED(-EINVAL, when_full, 4);
	REFUSED(-EINVAL, when_full, UINT32_MAX);
	REFUSED(-EINVAL, when_full, FILCH_UNTIL); /* without a deadline */
	REFUSED(-EINVAL, lane, FILCH_LANES);
	both.flags = FILCH_JOB_DETACHED;
	both.on_complete = tell;
	EQ(filch_submit(pool, answer, &n, &both), -EINVAL);
	newer.how.size = sizeof newer;
	newer.tail = UINT64_C(1) << 56;
	EQ(filch_submit(pool, answer, &n, &newer.how), -E2BIG);
	EQ(filch_submit_batch(pool, NULL, 1, NULL, id), -EINVAL);
	EQ(filch_submit_batch(pool, spec, 1, NULL, NULL), -EINVAL); /* nobody could wait */
	/* the second has no function: nor does the first run */
	EQ(filch_submit_batch(pool, spec, 2, NULL, id), -EINVAL);
	EQ(id[0], -77);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n, 0);
	EQ(stats().jobs, 0);
	newer.tail = 0;
	EQ(wait_status(filch_submit(pool, answer, &n, &newer.how)), 42);
	end();
}

Test(jobs_more, ids_of_nobody_are_refused)
{
	const int64_t bad[] = { 0, 1, -1, INT64_MAX, INT64_MIN, -EAGAIN };
	struct filch_pool *first;
	int64_t id;

	begin(1, 0, 0);
	for (int i = 0; i < 6; i++) {
		EQ(filch_wait(pool, bad[i], NULL, NULL), -ESRCH);
		EQ(filch_cancel(pool, bad[i]), -ESRCH);
	}
	/* no default pool: no such job */
	EQ(filch_wait(NULL, 1, NULL, NULL), -ESRCH);
	EQ(filch_cancel(NULL, 1), -ESRCH);
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
Test(jobs_more, a_malformed_deadline_is_refused, .timeout = 5)
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

static int nothing_to_do(void *arg)
{
	(void)arg;
	return 0;
}

/* Each wait runs the job it waits for, and leaves its number in the ring. */
static int submit_and_wait_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		int64_t id = filch_submit(pool, nothing_to_do, NULL, NULL);

		if (id < 0)
			return (int)id;
		EQ(filch_wait(pool, id, NULL, NULL), 0);
	}
	return 1;
}

Test(jobs_more, a_job_that_submits_and_waits_for_ever_does_not_run_out_of_slots)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_completion completion;
	int64_t id;

	config.workers = 1;
	config.queue_capacity = 8;
	config.jobs_max = 16;
	EQ(filch_pool_create(&pool, &config), 0);
	id = filch_submit(pool, submit_and_wait_often, NULL, NULL);
	EQ(filch_wait(pool, id, NULL, &completion), 0);
	EQ(completion.status, 1);
	EQ(filch_pool_destroy(pool), 0);
}

static struct filch_lane_stats lane_stats(uint32_t lane)
{
	struct filch_lane_stats stats = FILCH_LANE_STATS_INIT;

	EQ(filch_pool_lane_stats(pool, lane, &stats), 0);
	return stats;
}

static int wait_until_told(void *arg)
{
	while (!__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE))
		sched_yield();
	return 0;
}

Test(jobs_more, each_lane_tells_what_became_of_its_jobs)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit urgent = FILCH_SUBMIT_INIT, try = FILCH_SUBMIT_INIT,
			    late = FILCH_SUBMIT_INIT;
	struct timespec past = { 0, 1 };
	struct filch_lane_stats s;
	int go = 0, i;
	int64_t id, first;

	config.workers = 1;
	config.queue_capacity = 4;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_pool_lane_stats(NULL, 0, NULL), -EINVAL);
	EQ(filch_pool_lane_stats(pool, FILCH_LANES, &s), -EINVAL);
	EQ(filch_pool_lane_stats(pool, 0, NULL), -EINVAL);
	EQ(lane_stats(FILCH_LANE_NORMAL).accepted, 0);
	first = filch_submit(pool, wait_until_told, &go, NULL);
	while (lane_stats(FILCH_LANE_NORMAL).running == 0)
		sched_yield();
	try.when_full = FILCH_TRY;
	late.start_by = &past;
	urgent.lane = FILCH_LANE_URGENT;
	id = filch_submit(pool, nothing_to_do, NULL, &try);
	cr_assert(id > 0 && filch_submit(pool, nothing_to_do, NULL, &late) > 0);
	for (i = 0; i < 2; i++)
		cr_assert(filch_submit(pool, nothing_to_do, NULL, &urgent) > 0);
	EQ(filch_submit(pool, nothing_to_do, NULL, &try), -EAGAIN);
	s = lane_stats(FILCH_LANE_NORMAL);
	EQ(s.queued, 2);
	EQ(s.rejected, 1);
	EQ(s.accepted, 3);
	cr_assert(s.oldest_ns > 0);
	EQ(lane_stats(FILCH_LANE_URGENT).queued, 2);
	EQ(filch_cancel(pool, id), 0);
	__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	EQ(filch_pool_drain(pool, NULL), 0);
	s = lane_stats(FILCH_LANE_NORMAL);
	EQ(s.queued + s.running + s.oldest_ns, 0);
	EQ(s.accepted, 3);
	EQ(s.completed, 1);
	EQ(s.shed, 1);
	EQ(s.cancelled, 1);
	s = lane_stats(FILCH_LANE_URGENT);
	EQ(s.accepted, 2);
	EQ(s.completed, 2);
	EQ(s.rejected, 0);
	EQ(filch_wait(pool, first, NULL, NULL), 0);
	EQ(filch_pool_destroy(pool), 0);
}
