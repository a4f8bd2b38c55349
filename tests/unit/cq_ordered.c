/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ordered completion queues, and submits that wait for room in a queue: completions come in the
 * order of the submits, whatever the order of the ends; what was not accepted leaves no gap.
 */
#include <criterion/criterion.h>

#include "jobs_support.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include <struct/cq_cells.h>

static struct filch_cq *cq;

static void begin_cq(uint32_t workers, uint32_t capacity, uint32_t jobs_max, uint64_t flags,
	uint32_t cq_capacity)
{
	struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;

	begin(workers, capacity, jobs_max);
	config.flags = flags;
	config.capacity = cq_capacity;
	EQ(filch_cq_create_with(&cq, &config), 0);
}

static void end_cq(void)
{
	struct filch_completion c;

	EQ(filch_cq_reap(cq, &c, 1), 0);
	EQ(filch_cq_destroy(cq), 0);
	end();
}

static struct filch_submit to_cq(uint32_t when_full, uint64_t flags)
{
	struct filch_submit how = policy(when_full);

	how.cq = cq;
	how.flags = flags;
	return how;
}

static int64_t submit_to(uint32_t when_full, uint64_t flags, filch_job_fn *fn, void *arg)
{
	struct filch_submit how = to_cq(when_full, flags);

	return filch_submit(pool, fn, arg, &how);
}

static bool readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

/* --- the configuration ------------------------------------------------ */

Test(cq_ordered, a_bad_configuration_is_refused)
{
	struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;
	struct {
		struct filch_cq_config known;
		uint64_t unknown;
	} newer = { .known = FILCH_CQ_CONFIG_INIT };

	EQ(filch_cq_create_with(NULL, &config), -EINVAL);
	config.flags = UINT64_C(1) << 40;
	EQ(filch_cq_create_with(&cq, &config), -EINVAL);
	config.flags = 0;
	config.capacity = UINT32_MAX;
	EQ(filch_cq_create_with(&cq, &config), -EINVAL);
	config.capacity = 0;
	config.size = 8;
	EQ(filch_cq_create_with(&cq, &config), -EINVAL);
	newer.known.size = sizeof newer;
	newer.unknown = 1;
	EQ(filch_cq_create_with(&cq, &newer.known), -E2BIG);
	newer.unknown = 0;
	EQ(filch_cq_create_with(&cq, &newer.known), 0);
	EQ(filch_cq_destroy(cq), 0);
	EQ(filch_cq_create_with(&cq, NULL), 0);
	EQ(filch_cq_destroy(cq), 0);
}

Test(cq_ordered, waiting_for_a_queue_that_is_not_given_is_refused)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	begin(1, 0, 0);
	how.flags = FILCH_JOB_WAIT_CQ;
	EQ(filch_submit(pool, answer, NULL, &how), -EINVAL);
	end();
}

/* --- the order -------------------------------------------------------- */

Test(cq_ordered, the_last_job_may_end_first_and_is_reaped_last)
{
	struct filch_completion c[3];
	struct hold first = HOLD_INIT;
	int64_t id[3];

	begin_cq(2, 0, 0, FILCH_CQ_ORDERED, 0);
	id[0] = submit_to(FILCH_BLOCK, 0, hold, &first);
	gate_wait(&first.started, 1);
	for (int i = 1; i < 3; i++)
		id[i] = submit_to(FILCH_BLOCK, 0, answer, NULL);
	while (stats().jobs < 2) /* the other worker has ended both */
		sched_yield();
	EQ(filch_cq_reap(cq, c, 3), 0);
	gate_raise(&first.release);
	for (int got = 0; got < 3;)
		got += filch_cq_wait(cq, c + got, (size_t)(3 - got), NULL);
	for (int i = 0; i < 3; i++)
		EQ(c[i].id, id[i]);
	end_cq();
}

/* Each job ends when the next one has: the ends come in the reverse order. */
static struct gate ended[9];

static int after_the_next(void *arg)
{
	size_t me = (size_t)((struct gate *)arg - ended);

	if (me < 7)
		gate_wait(&ended[me + 1], 1);
	gate_raise(&ended[me]);
	return (int)me;
}

Test(cq_ordered, ends_in_reverse_are_reaped_in_the_order_of_the_submits)
{
	struct filch_job_spec spec[8];
	struct filch_completion c[8];
	struct filch_submit how;
	int64_t id[8];

	begin_cq(8, 0, 0, FILCH_CQ_ORDERED, 8);
	how = to_cq(FILCH_BLOCK, 0);
	for (int i = 0; i < 8; i++)
		spec[i] = (struct filch_job_spec){ after_the_next, &ended[i], NULL };
	EQ(filch_submit_batch(pool, spec, 8, &how, id), 8);
	EQ(submit_to(FILCH_TRY, 0, answer, NULL), -ENOBUFS);
	for (int got = 0; got < 8;)
		got += filch_cq_wait(cq, c + got, (size_t)(8 - got), NULL);
	for (int i = 0; i < 8; i++) {
		EQ(c[i].id, id[i]);
		EQ(c[i].status, i);
	}
	end_cq();
}

Test(cq_ordered, a_cancelled_job_keeps_its_place)
{
	struct filch_completion c[3];
	struct hold h = HOLD_INIT;
	int64_t id[3];

	begin_cq(1, 0, 0, FILCH_CQ_ORDERED, 0);
	hold_worker(&h);
	for (int i = 0; i < 3; i++)
		id[i] = submit_to(FILCH_BLOCK, 0, answer, NULL);
	EQ(filch_cancel(pool, id[1]), 0);
	EQ(filch_cq_reap(cq, c, 3), 0);
	EQ(filch_cancel(pool, id[0]), 0);
	EQ(filch_cq_reap(cq, c, 3), 2);
	EQ(c[0].id, id[0]);
	EQ(c[1].id, id[1]);
	EQ(c[1].status, -ECANCELED);
	let_go(&h);
	EQ(filch_cq_wait(cq, c, 3, NULL), 1);
	EQ(c[0].id, id[2]);
	end_cq();
}

Test(cq_ordered, a_submit_that_was_refused_leaves_no_gap)
{
	struct filch_completion c[4];
	struct hold h = HOLD_INIT;
	int64_t id[2];

	begin_cq(1, 1, 0, FILCH_CQ_ORDERED, 4);
	hold_worker(&h);
	id[0] = submit_to(FILCH_TRY, 0, answer, NULL);
	cr_assert(id[0] > 0);
	EQ(submit_to(FILCH_TRY, 0, answer, NULL), -EAGAIN);
	EQ(submit_to(FILCH_TRY, 0, answer, NULL), -EAGAIN);
	let_go(&h);
	EQ(filch_pool_drain(pool, NULL), 0);
	id[1] = submit_to(FILCH_TRY, 0, answer, NULL);
	cr_assert(id[1] > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_reap(cq, c, 4), 2);
	EQ(c[0].id, id[0]);
	EQ(c[1].id, id[1]);
	end_cq();
}

Test(cq_ordered, the_ring_goes_round_at_a_capacity_that_is_no_power_of_two)
{
	struct filch_completion c[7];
	int64_t next = 0, sent = 0;
	int values[1000];

	begin_cq(2, 0, 0, FILCH_CQ_ORDERED, 7);
	while (next < 1000) {
		while (sent < 1000 && sent < next + 7) {
			values[sent] = 0;
			cr_assert(submit_to(FILCH_BLOCK, 0, answer, &values[sent]) > 0);
			sent++;
		}
		int got = filch_cq_wait(cq, c, 3, NULL);
		for (int i = 0; i < got; i++)
			cr_assert(c[i].arg == &values[next++]);
	}
	end_cq();
}

Test(cq_ordered, the_descriptor_becomes_readable_for_the_head_alone)
{
	struct hold first = HOLD_INIT;
	struct filch_completion c[2];
	int fd;

	begin_cq(2, 0, 0, FILCH_CQ_ORDERED, 0);
	fd = filch_cq_fd(cq);
	cr_assert(fd >= 0);
	(void)submit_to(FILCH_BLOCK, 0, hold, &first);
	gate_wait(&first.started, 1);
	(void)submit_to(FILCH_BLOCK, 0, answer, NULL);
	while (stats().jobs < 1)
		sched_yield();
	EQ(filch_cq_reap(cq, c, 2), 0);
	cr_assert(!readable(fd));
	gate_raise(&first.release);
	EQ(filch_pool_drain(pool, NULL), 0);
	cr_assert(readable(fd));
	EQ(filch_cq_reap(cq, c, 2), 2);
	EQ(filch_cq_reap(cq, c, 2), 0);
	cr_assert(!readable(fd));
	end_cq();
}

Test(cq_ordered, a_queue_with_a_job_in_flight_is_not_destroyed_and_what_is_unreaped_is_dropped)
{
	struct hold h = HOLD_INIT;

	begin_cq(2, 0, 0, FILCH_CQ_ORDERED, 0);
	(void)submit_to(FILCH_BLOCK, 0, hold, &h);
	(void)submit_to(FILCH_BLOCK, 0, answer, NULL);
	EQ(filch_cq_destroy(cq), -EBUSY);
	gate_raise(&h.release);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_destroy(cq), 0);
	end();
}

/* --- waiting for room ------------------------------------------------- */

struct submitter {
	pthread_t thread;
	uint32_t when_full;
	int64_t result;
};

static void *submit_one(void *arg)
{
	struct submitter *s = arg;

	s->result = submit_to(s->when_full, FILCH_JOB_WAIT_CQ, answer, NULL);
	return NULL;
}

static void wait_until_it_waits(void)
{
	while (!filchi_load_acquire(&cq->blocked))
		sched_yield();
}

static void full_queue_lets_a_submitter_go_on(uint64_t flags)
{
	struct submitter s = { .when_full = FILCH_BLOCK };
	struct filch_completion c[2];
	struct hold h = HOLD_INIT;
	int64_t id;

	begin_cq(2, 0, 0, flags, 1);
	id = submit_to(FILCH_BLOCK, FILCH_JOB_WAIT_CQ, hold, &h);
	cr_assert(id > 0);
	EQ(submit_to(FILCH_TRY, FILCH_JOB_WAIT_CQ, answer, NULL), -EAGAIN);
	EQ(submit_to(FILCH_CALLER_RUNS, FILCH_JOB_WAIT_CQ, answer, NULL), -ENOBUFS);
	EQ(pthread_create(&s.thread, NULL, submit_one, &s), 0);
	wait_until_it_waits();
	EQ(filch_cq_destroy(cq), -EBUSY);
	gate_raise(&h.release);
	EQ(filch_cq_wait(cq, c, 2, NULL), 1);
	EQ(c[0].id, id);
	EQ(pthread_join(s.thread, NULL), 0);
	cr_assert(s.result > 0);
	EQ(filch_cq_wait(cq, c, 2, NULL), 1);
	EQ(c[0].id, s.result);
	end_cq();
}

Test(cq_ordered, a_reap_lets_a_waiting_submit_go_on)
{
	full_queue_lets_a_submitter_go_on(0);
	full_queue_lets_a_submitter_go_on(FILCH_CQ_ORDERED);
}

Test(cq_ordered, a_submit_waits_for_room_until_its_deadline)
{
	struct timespec soon = filch_after(2000000);
	struct filch_completion c;
	struct filch_submit how;

	begin_cq(1, 0, 0, 0, 1);
	cr_assert(submit_to(FILCH_BLOCK, 0, answer, NULL) > 0);
	how = to_cq(FILCH_UNTIL, FILCH_JOB_WAIT_CQ);
	how.deadline = &soon;
	EQ(filch_submit(pool, answer, NULL, &how), -ETIMEDOUT);
	EQ(filch_cq_wait(cq, &c, 1, NULL), 1);
	end_cq();
}

Test(cq_ordered, a_pool_that_closes_ends_the_wait_and_leaves_that_of_another_pool)
{
	struct submitter s = { .when_full = FILCH_BLOCK };
	struct filch_completion c[2];
	struct filch_pool *mine, *other;

	begin_cq(1, 0, 0, FILCH_CQ_ORDERED, 1);
	cr_assert(submit_to(FILCH_BLOCK, 0, answer, NULL) > 0);
	mine = pool;
	begin(1, 0, 0);
	other = pool;
	EQ(pthread_create(&s.thread, NULL, submit_one, &s), 0);
	EQ(filch_pool_drain(mine, NULL), 0);
	wait_until_it_waits();
	EQ(filch_pool_shutdown(mine, FILCH_DRAIN, NULL), 0);
	EQ(filch_pool_shutdown(other, FILCH_DRAIN, NULL), 0);
	EQ(pthread_join(s.thread, NULL), 0);
	EQ(s.result, -ESHUTDOWN);
	EQ(filch_cq_reap(cq, c, 2), 1);
	EQ(filch_pool_destroy(mine), 0);
	end_cq();
}

static int submits_to_full(void *arg)
{
	(void)arg;
	return (int)submit_to(FILCH_BLOCK, FILCH_JOB_WAIT_CQ, answer, NULL);
}

Test(cq_ordered, a_worker_does_not_wait_for_room)
{
	struct filch_completion c;

	begin_cq(1, 0, 0, 0, 1);
	EQ(submit_to(FILCH_BLOCK, 0, submits_to_full, NULL) > 0, 1);
	EQ(filch_cq_wait(cq, &c, 1, NULL), 1);
	EQ(c.status, -ENOBUFS);
	end_cq();
}

Test(cq_ordered, a_caller_that_is_the_only_worker_does_not_wait_for_room)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_completion c;

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_cq_create(&cq, 1), 0);
	cr_assert(submit_to(FILCH_BLOCK, FILCH_JOB_WAIT_CQ, answer, NULL) > 0);
	EQ(submit_to(FILCH_BLOCK, FILCH_JOB_WAIT_CQ, answer, NULL), -EDEADLK);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_cq_reap(cq, &c, 1), 1);
	end_cq();
}

static void *submit_many(void *arg)
{
	struct filch_job_spec spec[64];
	struct filch_submit how = to_cq(FILCH_BLOCK, FILCH_JOB_WAIT_CQ);

	for (int i = 0; i < 64; i++)
		spec[i] = (struct filch_job_spec){ answer, NULL, (void *)(intptr_t)i };
	*(int64_t *)arg = filch_submit_batch(pool, spec, 64, &how, NULL);
	return NULL;
}

Test(cq_ordered, a_batch_larger_than_the_queue_waits_piece_by_piece)
{
	struct filch_completion c[8];
	int64_t accepted = 0;
	pthread_t thread;

	begin_cq(2, 0, 0, FILCH_CQ_ORDERED, 5);
	EQ(pthread_create(&thread, NULL, submit_many, &accepted), 0);
	for (intptr_t next = 0; next < 64;) {
		int got = filch_cq_wait(cq, c, 8, NULL);

		cr_assert(got > 0 && got <= 5);
		for (int i = 0; i < got; i++)
			cr_assert(c[i].user == (void *)next++);
	}
	EQ(pthread_join(thread, NULL), 0);
	EQ(accepted, 64);
	end_cq();
}
