/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs submitted many at a time.
 *
 * Idea. What a submit does with one read-modify-write each, a batch does once for many jobs:
 *
 *   - slots: one operation on the SCQ of free ones
 *   - credits: one on the completion queue's stack
 *   - room: one on the queue's count
 *   - places in the lane: one on its SCQ
 *   - one fence, and one worker woken, which wakes the next when it has found work
 *
 * What is left for each job is two read-modify-writes: its entry in either SCQ.
 *
 * Only what can be had at once is taken so. Where nothing can, the next job goes the way of a
 * single submit (filchi_submit_one()). That one waits, runs the job here, or says what is wrong, as
 * the policy wants. Then the rest is tried together again. So a batch says and does what as many
 * submits in a row would, and while it waits it holds no slot but one.
 *
 * Rejected: workers that take several jobs with one draw. What a worker has drawn no other can
 *           reach, and behind a long job it would lie while others idle. Stealing it back would
 *           cost what the draw has saved.
 */
#include "calls/submit.h"

#include "core/fault.h"
#include "core/given.h"
#include "core/trace_events.h"
#include "struct/names.h"

#include <errno.h>
#include <string.h>

/*
 * The pool has begun to close, and its closer may have scanned the slots before these jobs were
 * there. Takes back those that have not started, from the last on, up to the first that another
 * thread has started or cancelled. Jobs before that one stay accepted, since the ids returned are
 * the first ones. Those that have not started are cancelled here. Returns how many are left.
 */
static uint32_t take_back(
	struct filch_pool *pool, struct filchi_job **job, const int64_t *id, uint32_t n)
{
	while (n && filchi_job_withdraw(&pool->jobs, job[n - 1], id[n - 1])) {
		filchi_abroad_release(pool);
		n--;
	}
	for (uint32_t i = 0; i + 1 < n; i++)
		(void)filchi_cancel_queued(pool, job[i], id[i]);
	return n;
}

/* Slots with credits and room for up to @n jobs, as many as can be had at once. */
static uint32_t admit(struct filch_pool *pool, const struct filch_submit *how,
	struct filchi_job **job, uint32_t n)
{
	bool inside = filchi_submit_ignores_full(pool, how);
	int64_t room = inside ? n : filchi_injector_room(&pool->injector);
	uint32_t slots, admitted;

	if (room < n)
		n = room > 0 ? (uint32_t)room : 0;
	if (n < 2) /* nothing to be saved */
		return 0;
	slots = filchi_job_new_many(&pool->jobs, job, n);
	admitted = how->cq ? filchi_job_send_many(job, slots, how->cq) : slots;
	if (admitted)
		admitted = filchi_injector_admit_many(&pool->injector, inside, admitted);
	if (admitted < slots)
		filchi_job_discard_many(&pool->jobs, job + admitted, slots - admitted);
	return admitted;
}

/*
 * The same for jobs of a group, which count as unfinished then. What it may have to hold is
 * submitted one by one.
 */
FILCH_COLD static uint32_t admit_to_group(struct filch_pool *pool, const struct filch_submit *how,
	struct filchi_job **job, uint32_t n)
{
	struct filch_group *group = how->group;
	uint32_t room, admitted;

	if (group->running_max)
		return 0;
	room = filchi_group_room(group, n, filchi_submit_ignores_full(pool, how));
	admitted = room ? admit(pool, how, job, room) : 0;
	if (admitted < room)
		filchi_group_over(group, 0, room - admitted);
	for (uint32_t i = 0; i < admitted; i++)
		filchi_job_join(&pool->jobs, job[i], group);
	if (admitted)
		filchi_group_begin(&group->word, admitted);
	return admitted;
}

/* Submits up to @n jobs together, as many as the pool takes at once; their number, ids in @id. */
static uint32_t submit_some(struct filch_pool *pool, const struct filch_job_spec *spec, uint32_t n,
	const struct filch_submit *how, uint64_t now, int64_t *id)
{
	const uint64_t flags = filchi_submit_flags(how);
	struct filchi_job *job[FILCHI_JOBS_BATCH];
	uint32_t slot[FILCHI_JOBS_BATCH];

	if (filchi_load_acquire(&pool->closing) || how->after_count || how->finish_by)
		return 0;
	n = FILCH_UNLIKELY(how->group != NULL) ? admit_to_group(pool, how, job, n)
					       : admit(pool, how, job, n);
	if (!n)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct filchi_work work = {
			.fn = spec[i].fn, .arg = spec[i].arg, .user = spec[i].user
		};

		id[i] = job[i]->id;
		slot[i] = (uint32_t)(job[i] - pool->jobs.slot);
		filchi_submit_fill(job[i], &work, how, now);
		filchi_job_publish(job[i], FILCHI_JOB_QUEUED, flags);
	}
	for (uint32_t i = 0; FILCH_UNLIKELY(how->name != NULL) && i < n; i++)
		filchi_name_set(&pool->jobs, id[i], how->name);
	FILCH_HOOK(submit_published);
	for (uint32_t i = 0; filchi_is_traced(pool) && i < n; i++)
		filchi_trace_put(FILCHI_TRACE_QUEUED, (uint64_t)id[i], 0);
	FILCHI_PROBE(queued, pool, id[0]);
	filchi_injector_put_many(&pool->injector, how->lane, slot, n);
	FILCH_HOOK(submit_put);
	filchi_worker_posted(pool); /* its fence is I3 and S1, for all of them */
	if (FILCH_UNLIKELY(how->group != NULL))
		filchi_group_posted(pool, how->group);
	if (how->cq)
		filchi_abroad_changed(&how->cq->blocked); /* as filch_submit() */
	FILCH_HOOK(submit_announced);
	return filchi_load_acquire(&pool->closing) ? take_back(pool, job, id, n) : n;
}

/* Whether the arguments are good; with @how imported. */
static int check(const struct filch_job_spec *jobs, size_t n, const struct filch_submit *how,
	const int64_t *ids)
{
	if ((n && !jobs) || n > INT64_MAX)
		return -EINVAL;
	if (n && !ids && !(filchi_submit_flags(how) & FILCHI_JOB_NOBODY))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		/* all of it: if the array ends early, it faults before a slot is taken */
		const volatile struct filch_job_spec *spec = &jobs[i];
		bool given = spec->fn;

		(void)spec->arg;
		(void)spec->user;
		if (!given)
			return -EINVAL;
	}
	return 0;
}

/* Submits @spec alone, as a single submit would: 1, id in @id, or the error. */
static int submit_next(struct filch_pool *pool, const struct filch_job_spec *spec,
	const struct filch_submit *how, uint64_t now, int64_t *id)
{
	const struct filchi_work work = { .fn = spec->fn, .arg = spec->arg, .user = spec->user };

	*id = filchi_submit_one(pool, &work, how, now);
	if (*id < 0)
		return (int)*id;
	if (how->cq)
		filchi_abroad_changed(&how->cq->blocked); /* as filch_submit() */
	return 1;
}

int64_t filch_submit_batch(struct filch_pool *pool, const struct filch_job_spec *jobs, size_t n,
	const struct filch_submit *how, int64_t *ids)
{
	int64_t id[FILCHI_JOBS_BATCH];
	struct filch_submit to;
	uint64_t now;
	int error = filchi_given(&pool);

	if (!error)
		error = filchi_submit_import(pool, &to, how);
	if (!error)
		error = check(jobs, n, &to, ids);
	if (error)
		return error;
	filchi_fault_touch(ids, ids ? n * sizeof ids[0] : 0);
	now = filchi_submit_time(&to);
	for (size_t i = 0; i < n;) {
		size_t most = pool->jobs.batch, left = n - i;
		int got = (int)submit_some(
			pool, jobs + i, (uint32_t)(left < most ? left : most), &to, now, id);

		if (!got)
			got = submit_next(pool, &jobs[i], &to, now, id);
		if (got < 0)
			return i ? (int64_t)i : got;
		if (ids)
			memcpy(ids + i, id, (size_t)got * sizeof id[0]);
		i += (size_t)got;
	}
	return (int64_t)n;
}
