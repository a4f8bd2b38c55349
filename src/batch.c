/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs submitted many at a time.
 *
 * Idea. What a submit does with one read-modify-write each, a batch does once for many jobs: it draws its slots with one operation on the
 * ring of free ones, its credits with one on the completion queue's stack, its room with one on the queue's count; it fills and
 * publishes each slot, draws its places in the lane with one operation, passes one fence, and wakes one worker, which wakes the next
 * when it has found work. What is left for each job is two read-modify-writes: its entry in either ring.
 *
 * Only what can be had at once is taken so. Where nothing can, the next job goes the way of a single submit (filchi_submit_one()), which
 * waits, runs it here, or says what is wrong, as the policy wants; then the rest is tried together again. So a batch says and does what
 * as many submits in a row would, and while it waits it holds no slot but one.
 *
 * Rejected: workers that take several jobs with one draw. What a worker has drawn no other can reach, and behind a long job it would lie
 * while others idle; stealing it back would cost what the draw has saved.
 */
#include "submit.h"

#include "guard.h"

#include <errno.h>

/*
 * The pool has begun to close behind these jobs' back: takes back what has not started, from the last on, up to the first that somebody
 * else has started or cancelled. The ids returned are the first ones, so what stands before that one stays accepted, and if it has not
 * started, ends here: the closer may have looked before it was there. Returns how many are left.
 */
static uint32_t take_back(struct filch_pool *pool, struct filchi_job **job, const int64_t *id, uint32_t n)
{
	while (n && filchi_job_withdraw(&pool->jobs, job[n - 1], id[n - 1])) {
		filchi_injector_release(&pool->injector);
		n--;
	}
	for (uint32_t i = 0; i + 1 < n; i++)
		(void)filchi_cancel_queued(pool, job[i], id[i]);
	return n;
}

/* Slots with credits and room for up to @n jobs, as many as can be had at once. */
static uint32_t admit(struct filch_pool *pool, const struct filch_submit *how, struct filchi_job **job, uint32_t n)
{
	bool inside = filchi_worker_here(pool) != NULL;
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

/* Submits up to @n jobs together, as many as the pool takes at once; their number, ids in @id. */
static uint32_t submit_some(struct filch_pool *pool, const struct filch_job_spec *spec, uint32_t n, const struct filch_submit *how,
			    uint64_t now, int64_t *id)
{
	const uint64_t flags = filchi_submit_flags(how);
	struct filchi_job *job[FILCHI_JOBS_BATCH];
	uint32_t slot[FILCHI_JOBS_BATCH];

	if (filchi_load_acquire(&pool->closing))
		return 0;
	n = admit(pool, how, job, n);
	if (!n)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct filchi_work work = { .fn = spec[i].fn, .arg = spec[i].arg, .user = spec[i].user };

		id[i] = job[i]->id;
		slot[i] = (uint32_t)(job[i] - pool->jobs.slot);
		filchi_submit_fill(job[i], &work, how, now);
		filchi_job_publish(job[i], FILCHI_JOB_QUEUED, flags);
	}
	FILCH_HOOK(submit_published);
	filchi_injector_put_many(&pool->injector, how->lane, slot, n);
	FILCH_HOOK(submit_put);
	filchi_worker_posted(pool); /* its fence is I3 and S1, for all of them */
	FILCH_HOOK(submit_announced);
	return filchi_load_acquire(&pool->closing) ? take_back(pool, job, id, n) : n;
}

int64_t filch_submit_batch(struct filch_pool *pool, const struct filch_job_spec *jobs, size_t n, const struct filch_submit *how,
			   int64_t *ids)
{
	int64_t id[FILCHI_JOBS_BATCH];
	struct filch_submit to;
	uint64_t now;
	int error;

	if (!pool || (n && !jobs) || n > INT64_MAX)
		return -EINVAL;
	if (filchi_forked(pool))
		return -ECHILD;
	error = filchi_submit_import(pool, &to, how);
	if (error)
		return error;
	if (n && !ids && !(filchi_submit_flags(&to) & FILCHI_JOB_NOBODY))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!jobs[i].fn)
			return -EINVAL;
	filchi_guard_touch(ids, ids ? n * sizeof ids[0] : 0);
	now = filchi_submit_time(&to);
	for (size_t i = 0; i < n;) {
		size_t most = pool->jobs.batch, left = n - i;
		uint32_t got = submit_some(pool, jobs + i, (uint32_t)(left < most ? left : most), &to, now, id);

		if (!got) {
			const struct filchi_work work = { .fn = jobs[i].fn, .arg = jobs[i].arg, .user = jobs[i].user };

			id[0] = filchi_submit_one(pool, &work, &to, now);
			if (id[0] < 0)
				return i ? (int64_t)i : id[0];
			got = 1;
		}
		for (uint32_t k = 0; ids && k < got; k++)
			ids[i + k] = id[k];
		i += got;
	}
	return (int64_t)n;
}
