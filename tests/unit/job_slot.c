/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job slots: every legal move of the state word and none else; one completion per use; a slot is
 * free again only when it has been both reaped and popped from its ring; an id names one use of one
 * slot of one pool for ever.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <struct/job_slot.h>
#include <sched.h>

static struct filchi_jobs jobs;

static void begin(uint32_t count)
{
	uint32_t slots = 0;

	EQ(filchi_jobs_init(&jobs, count, 4, &slots), 0);
	cr_assert(slots >= count && slots >= 8 && (slots & (slots - 1)) == 0, "%u", slots);
}

static void end(void)
{
	filchi_jobs_destroy(&jobs);
}

static uint32_t number(const struct filchi_job *job)
{
	return (uint32_t)(job - jobs.slot);
}

static unsigned state_of(struct filchi_job *job)
{
	return FILCHI_JOB_STATE(filchi_load_acquire(&job->state));
}

static bool in_ring(struct filchi_job *job)
{
	return filchi_load_acquire(&job->state) & FILCHI_JOB_IN_QUEUE;
}

static struct filchi_job *new_job(
	uint64_t flags, void (*on_complete)(const struct filch_completion *))
{
	struct filchi_job *job = filchi_job_new(&jobs);

	cr_assert(job);
	job->flags = flags;
	job->on_complete = on_complete;
	job->arg = job->user = NULL;
	job->queued_at = 1000;
	job->started_at = job->ended_at = 0;
	job->status = 0;
	job->worker = -1;
	return job;
}

static struct filchi_job *queued_job(void)
{
	struct filchi_job *job = new_job(0, NULL);

	filchi_job_publish(job, FILCHI_JOB_QUEUED, 0);
	EQ(state_of(job), FILCHI_JOB_QUEUED);
	cr_assert(in_ring(job));
	return job;
}

/* Whether the one slot of a pool of one is to be had. */
static bool is_free(void)
{
	struct filchi_job *job = filchi_job_new(&jobs);

	if (job)
		filchi_job_discard(&jobs, job);
	return job != NULL;
}

Test(job, there_are_as_many_slots_as_asked_for)
{
	struct filchi_job *job[5];

	begin(5); /* not a power of two */
	for (int i = 0; i < 5; i++) {
		job[i] = filchi_job_new(&jobs);
		cr_assert(job[i]);
		for (int k = 0; k < i; k++)
			cr_assert(job[i] != job[k] && job[i]->id != job[k]->id);
		cr_assert(job[i]->id > 0);
		cr_assert(filchi_job_find(&jobs, job[i]->id) == job[i]);
	}
	cr_assert(!filchi_job_new(&jobs));
	filchi_job_discard(&jobs, job[3]);
	cr_assert(filchi_job_new(&jobs) == job[3]);
	cr_assert(!filchi_job_new(&jobs));
	end();
}

Test(job, queued_popped_run_done_reaped_and_free)
{
	struct filchi_job *job;
	struct filch_completion c;
	int64_t id;

	begin(1);
	job = queued_job();
	id = job->id;
	job->arg = &c;
	job->user = &id;
	EQ(filchi_job_reap(&jobs, id, NULL), -EAGAIN);
	cr_assert(filchi_job_popped(&jobs, number(job)) == job);
	EQ(state_of(job), FILCHI_JOB_RUNNING);
	cr_assert(!in_ring(job));
	EQ(filchi_job_reap(&jobs, id, NULL), -EAGAIN);
	job->worker = 3;
	job->status = -7;
	job->started_at = 1500;
	job->ended_at = 1900;
	EQ(filchi_job_complete(&jobs, job), 0);
	EQ(state_of(job), FILCHI_JOB_DONE);
	cr_assert(!is_free());
	memset(&c, 0xff, sizeof c);
	EQ(filchi_job_reap(&jobs, id, &c), 0);
	EQ(c.id, id);
	cr_assert(c.arg == &c && c.user == &id);
	EQ(c.status, -7);
	EQ(c.worker, 3);
	EQ(c.queued_ns, 500);
	EQ(c.run_ns, 400);
	EQ(c.flags | c.detail[0] | c.detail[1] | c.reserved[0] | c.reserved[1], 0);
	EQ(state_of(job), FILCHI_JOB_FREE);
	cr_assert(is_free());
	end();
}

Test(job, a_second_reap_finds_nobody)
{
	struct filchi_job *job;
	int64_t id;

	begin(1);
	job = queued_job();
	id = job->id;
	filchi_job_popped(&jobs, number(job));
	filchi_job_complete(&jobs, job);
	EQ(filchi_job_reap(&jobs, id, NULL), 0);
	EQ(filchi_job_reap(&jobs, id, NULL), -ESRCH);
	end();
}

Test(job, a_job_that_never_started_has_waited_until_its_end)
{
	struct filchi_job *job;
	struct filch_completion c;

	begin(1);
	job = queued_job();
	cr_assert(filchi_job_claim(job, job->id, &jobs, FILCHI_JOB_FINISHING));
	job->status = -ECANCELED;
	job->ended_at = 1300;
	filchi_job_complete(&jobs, job);
	EQ(filchi_job_reap(&jobs, job->id, &c), 0);
	EQ(c.status, -ECANCELED);
	EQ(c.worker, -1);
	EQ(c.queued_ns, 300);
	EQ(c.run_ns, 0);
	end();
}

/* --- tombstones ------------------------------------------------------- */

Test(job, a_claimed_job_that_was_reaped_is_free_once_its_number_is_popped)
{
	struct filchi_job *job;

	begin(1);
	job = queued_job();
	cr_assert(filchi_job_claim(job, job->id, &jobs, FILCHI_JOB_RUNNING));
	EQ(state_of(job), FILCHI_JOB_RUNNING);
	cr_assert(in_ring(job));
	filchi_job_complete(&jobs, job);
	EQ(filchi_job_reap(&jobs, job->id, NULL), 0);
	EQ(state_of(job), FILCHI_JOB_GONE);
	cr_assert(!is_free());
	EQ(filchi_job_reap(&jobs, job->id, NULL), -ESRCH);
	cr_assert(!filchi_job_popped(&jobs, number(job)));
	EQ(state_of(job), FILCHI_JOB_FREE);
	cr_assert(is_free());
	end();
}

Test(job, a_claimed_job_that_was_popped_is_free_once_it_is_reaped)
{
	struct filchi_job *job;

	begin(1);
	job = queued_job();
	cr_assert(filchi_job_claim(job, job->id, &jobs, FILCHI_JOB_RUNNING));
	cr_assert(!filchi_job_popped(&jobs, number(job)));
	EQ(state_of(job), FILCHI_JOB_RUNNING);
	cr_assert(!in_ring(job));
	filchi_job_complete(&jobs, job);
	cr_assert(!is_free());
	EQ(filchi_job_reap(&jobs, job->id, NULL), 0);
	cr_assert(is_free());
	end();
}

Test(job, a_done_job_whose_number_is_popped_stays_to_be_reaped)
{
	struct filchi_job *job;

	begin(1);
	job = queued_job();
	filchi_job_claim(job, job->id, &jobs, FILCHI_JOB_FINISHING);
	filchi_job_complete(&jobs, job);
	EQ(state_of(job), FILCHI_JOB_DONE);
	cr_assert(!filchi_job_popped(&jobs, number(job)));
	EQ(state_of(job), FILCHI_JOB_DONE);
	EQ(filchi_job_reap(&jobs, job->id, NULL), 0);
	cr_assert(is_free());
	end();
}

Test(job, only_a_queued_job_of_that_generation_is_claimed)
{
	struct filchi_job *job;
	int64_t id, old;

	begin(1);
	job = queued_job();
	old = id = job->id;
	cr_assert(filchi_job_claim(job, id, &jobs, FILCHI_JOB_RUNNING));
	cr_assert(!filchi_job_claim(job, id, &jobs, FILCHI_JOB_RUNNING));
	cr_assert(!filchi_job_claim(job, id, &jobs, FILCHI_JOB_FINISHING));
	filchi_job_popped(&jobs, number(job));
	filchi_job_complete(&jobs, job);
	cr_assert(!filchi_job_claim(job, id, &jobs, FILCHI_JOB_RUNNING));
	EQ(filchi_job_reap(&jobs, id, NULL), 0);
	job = queued_job();
	cr_assert(job->id != old);
	cr_assert(!filchi_job_claim(job, old, &jobs, FILCHI_JOB_FINISHING));
	EQ(state_of(job), FILCHI_JOB_QUEUED);
	end();
}

static int told;
static bool inside, inside_other;
static struct filch_completion seen;
static struct filchi_jobs other;

static void on_complete(const struct filch_completion *c)
{
	told++;
	seen = *c;
	inside = filchi_context_find(FILCHI_CONTEXT_CALLBACK, &jobs, NULL);
	inside_other = filchi_context_find(FILCHI_CONTEXT_CALLBACK, &other, NULL);
}

Test(job, a_withdrawn_job_tells_nobody_and_frees_its_slot)
{
	struct filchi_job *job;

	begin(1);
	job = new_job(0, on_complete);
	filchi_job_publish(job, FILCHI_JOB_QUEUED, FILCHI_JOB_NOBODY);
	cr_assert(filchi_job_withdraw(&jobs, job, job->id));
	cr_assert(!filchi_job_withdraw(&jobs, job, job->id));
	cr_assert(!is_free());
	cr_assert(!filchi_job_popped(&jobs, number(job)));
	cr_assert(is_free());
	EQ(told, 0);
	end();
}

Test(job, a_job_that_has_started_is_not_withdrawn)
{
	struct filchi_job *job;

	begin(1);
	job = queued_job();
	filchi_job_popped(&jobs, number(job));
	cr_assert(!filchi_job_withdraw(&jobs, job, job->id));
	EQ(state_of(job), FILCHI_JOB_RUNNING);
	end();
}

/* --- who is told ------------------------------------------------------ */

Test(job, a_callback_is_called_once_and_its_return_frees_the_slot)
{
	struct filchi_job *job;
	uint32_t slots;
	int64_t id;

	begin(1);
	EQ(filchi_jobs_init(&other, 1, 1, &slots), 0);
	job = new_job(0, on_complete);
	id = job->id;
	filchi_job_publish(job, FILCHI_JOB_QUEUED, FILCHI_JOB_NOBODY);
	EQ(filchi_job_reap(&jobs, id, NULL), -EINVAL);
	filchi_job_popped(&jobs, number(job));
	EQ(filchi_job_reap(&jobs, id, NULL), -EINVAL);
	job->status = 11;
	cr_assert(!filchi_context_find(FILCHI_CONTEXT_CALLBACK, &jobs, NULL));
	filchi_job_complete(&jobs, job);
	EQ(told, 1);
	EQ(seen.id, id);
	EQ(seen.status, 11);
	cr_assert(inside && !inside_other);
	cr_assert(!filchi_context_find(FILCHI_CONTEXT_CALLBACK, &jobs, NULL));
	cr_assert(is_free());
	EQ(filchi_job_reap(&jobs, id, NULL), -ESRCH);
	filchi_jobs_destroy(&other);
	end();
}

Test(job, a_detached_job_frees_its_slot_as_it_ends)
{
	struct filchi_job *job;
	int64_t id;

	begin(1);
	job = new_job(FILCH_JOB_DETACHED, NULL);
	id = job->id;
	filchi_job_publish(job, FILCHI_JOB_QUEUED, FILCHI_JOB_NOBODY);
	EQ(filchi_job_reap(&jobs, id, NULL), -EINVAL);
	filchi_job_popped(&jobs, number(job));
	filchi_job_complete(&jobs, job);
	cr_assert(is_free());
	EQ(filchi_job_reap(&jobs, id, NULL), -ESRCH);
	end();
}

Test(job, a_job_run_by_its_submitter_is_in_no_ring)
{
	struct filchi_job *job;

	begin(1);
	job = new_job(0, NULL);
	filchi_job_publish(job, FILCHI_JOB_RUNNING, 0);
	EQ(state_of(job), FILCHI_JOB_RUNNING);
	cr_assert(!in_ring(job));
	filchi_job_complete(&jobs, job);
	EQ(filchi_job_reap(&jobs, job->id, NULL), 0);
	cr_assert(is_free());
	end();
}

/* --- ids -------------------------------------------------------------- */

Test(job, ids_that_are_not_this_pools_name_nothing)
{
	uint32_t slots;
	struct filchi_job *job;
	int64_t id;

	begin(4);
	EQ(filchi_jobs_init(&other, 4, 1, &slots), 0);
	cr_assert(other.tag != jobs.tag);
	job = queued_job();
	id = job->id;
	const int64_t bad[] = { 0, -1, INT64_MIN, 1, INT64_MAX, -EAGAIN, id ^ INT64_C(1) << 62,
		id ^ INT64_C(1) << 49 };
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		cr_assert(!filchi_job_find(&jobs, bad[i]), "%lld", (long long)bad[i]);
		EQ(filchi_job_reap(&jobs, bad[i], NULL), -ESRCH);
	}
	cr_assert(!filchi_job_find(&other, id));
	EQ(filchi_job_reap(&other, id, NULL), -ESRCH);
	EQ(filchi_job_reap(&jobs, id, NULL), -EAGAIN);
	filchi_jobs_destroy(&other);
	end();
}

Test(job, an_id_beyond_the_slots_names_nothing)
{
	struct filchi_job *job;

	begin(5); /* three bits: slot 5 is the caller's, 6 and 7 do not exist */
	job = filchi_job_new(&jobs);
	cr_assert(!filchi_job_find(&jobs, (job->id & ~INT64_C(7)) | 6));
	cr_assert(!filchi_job_find(&jobs, (job->id & ~INT64_C(7)) | 7));
	cr_assert(filchi_job_find(&jobs, (job->id & ~INT64_C(7)) | 4));
	end();
}

Test(job, each_use_of_a_slot_has_an_id_of_its_own)
{
	enum { USES = 2000 };
	static int64_t id[USES];

	begin(1);
	for (int i = 0; i < USES; i++) {
		struct filchi_job *job = queued_job();

		id[i] = job->id;
		filchi_job_popped(&jobs, number(job));
		filchi_job_complete(&jobs, job);
		if (i)
			EQ(filchi_job_reap(&jobs, id[i - 1], NULL), -ESRCH);
		EQ(filchi_job_reap(&jobs, id[i], NULL), 0);
	}
	for (int i = 0; i < USES; i++)
		for (int k = 0; k < i; k++)
			if (id[i] == id[k])
				EQ(id[i], -1);
	end();
}

Test(job, the_ids_of_a_pool_that_is_gone_are_unknown_to_the_next)
{
	int64_t id;

	begin(1);
	id = queued_job()->id;
	end();
	begin(1);
	(void)queued_job();
	EQ(filchi_job_reap(&jobs, id, NULL), -ESRCH);
	end();
}

/* --- flags and waiting ------------------------------------------------ */

Test(job, flags_are_raised_while_a_job_is_unfinished_and_gone_with_its_generation)
{
	struct filchi_job *job;
	int64_t id;

	begin(1);
	job = queued_job();
	id = job->id;
	cr_assert(filchi_job_flag(&jobs, job, id, FILCHI_JOB_CANCEL));
	cr_assert(filchi_job_popped(&jobs, number(job)) == job);
	cr_assert(filchi_load_acquire(&job->state) & FILCHI_JOB_CANCEL);
	cr_assert(filchi_job_flag(&jobs, job, id, FILCHI_JOB_FOR_WORKER));
	EQ(filchi_job_complete(&jobs, job), FILCHI_JOB_FOR_WORKER);
	cr_assert(!filchi_job_flag(&jobs, job, id, FILCHI_JOB_CANCEL));
	EQ(filchi_job_reap(&jobs, id, NULL), 0);
	cr_assert(!filchi_job_flag(&jobs, job, id, FILCHI_JOB_CANCEL));
	job = queued_job();
	EQ(FILCHI_JOB_FLAGS(filchi_load_acquire(&job->state)), FILCHI_JOB_IN_QUEUE);
	cr_assert(!filchi_job_flag(&jobs, job, id, FILCHI_JOB_CANCEL));
	EQ(FILCHI_JOB_FLAGS(filchi_load_acquire(&job->state)), FILCHI_JOB_IN_QUEUE);
	end();
}

Test(job, a_wait_ends_at_its_deadline_and_the_job_goes_on)
{
	struct timespec past = { 0, 1 }, soon = filch_after(1000000);
	struct filchi_job *job;

	begin(1);
	job = queued_job();
	EQ(filchi_job_await(&jobs, job, job->id, &past), -ETIMEDOUT);
	EQ(filchi_job_await(&jobs, job, job->id, &soon), -ETIMEDOUT);
	cr_assert(filchi_job_popped(&jobs, number(job)) == job);
	filchi_job_complete(&jobs, job);
	EQ(filchi_job_await(&jobs, job, job->id, &past), 0);
	EQ(filchi_job_reap(&jobs, job->id, NULL), 0);
	end();
}

Test(job, a_wait_for_a_stale_id_is_over_at_once)
{
	struct filchi_job *job;
	int64_t id;

	begin(1);
	job = queued_job();
	id = job->id;
	filchi_job_popped(&jobs, number(job));
	filchi_job_complete(&jobs, job);
	filchi_job_reap(&jobs, id, NULL);
	job = queued_job();
	EQ(filchi_job_await(&jobs, job, id, NULL), 0);
	end();
}

struct waiter {
	struct filchi_job *job;
	int64_t id;
	int awaited, reaped;
};

static void *wait_and_reap(void *arg)
{
	struct waiter *w = arg;

	w->awaited = filchi_job_await(&jobs, w->job, w->id, NULL);
	w->reaped = filchi_job_reap(&jobs, w->id, NULL);
	return NULL;
}

Test(job, of_four_waiting_threads_all_are_woken_and_one_reaps)
{
	struct filchi_job *job;
	struct waiter w[4];
	pthread_t thread[4];
	int reaped = 0;

	begin(1);
	for (int round = 0; round < 200; round++) {
		job = queued_job();
		for (int i = 0; i < 4; i++) {
			w[i] = (struct waiter){ .job = job, .id = job->id, .awaited = 1 };
			EQ(pthread_create(&thread[i], NULL, wait_and_reap, &w[i]), 0);
		}
		while (!(filchi_load_acquire(&job->state) & FILCHI_JOB_FOR_THREAD))
			sched_yield();
		cr_assert(filchi_job_popped(&jobs, number(job)) == job);
		filchi_job_complete(&jobs, job);
		reaped = 0;
		for (int i = 0; i < 4; i++) {
			EQ(pthread_join(thread[i], NULL), 0);
			EQ(w[i].awaited, 0);
			cr_assert(w[i].reaped == 0 || w[i].reaped == -ESRCH, "%d", w[i].reaped);
			reaped += w[i].reaped == 0;
		}
		EQ(reaped, 1);
		cr_assert(is_free());
	}
	end();
}
