/* SPDX-License-Identifier: Apache-2.0 */
/* Job slots, ids and states: see job.h. */
#include "job.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "park_futex.h"

#define TAG_BITS 14
#define ID_BITS 63

/* Tags of living pools. A tag is given again only after all others have been: ids of a pool that is gone stay unknown for long. */
static pthread_mutex_t tag_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char tag_used[1 << TAG_BITS];
static uint32_t tag_last;
static uint64_t tags_given;

static uint32_t tag_take(uint64_t *generation)
{
	uint32_t tag = 0;

	pthread_mutex_lock(&tag_lock);
	for (uint32_t i = 1; i < 1 << TAG_BITS && !tag; i++) {
		uint32_t next = (tag_last + i) % (1 << TAG_BITS);
		if (next && !tag_used[next])
			tag = next;
	}
	if (tag) {
		tag_used[tag] = 1;
		tag_last = tag;
		tags_given++;
	}
	/* pools that have had the same tag start their generations far apart */
	*generation = tags_given / (1 << TAG_BITS) * UINT64_C(0x9e3779b9) + 1;
	pthread_mutex_unlock(&tag_lock);
	return tag;
}

static void tag_give(uint32_t tag)
{
	pthread_mutex_lock(&tag_lock);
	tag_used[tag] = 0;
	pthread_mutex_unlock(&tag_lock);
}

void filchi_jobs_before_fork(void)
{
	pthread_mutex_lock(&tag_lock);
}

static uint64_t id_generation_mask(const struct filchi_jobs *jobs)
{
	return (UINT64_C(1) << (ID_BITS - TAG_BITS - jobs->slot_bits)) - 1;
}

int64_t filchi_job_id_of(const struct filchi_jobs *jobs, const struct filchi_job *job, uint64_t state)
{
	uint64_t generation = FILCHI_JOB_GENERATION(state) & id_generation_mask(jobs);

	return (int64_t)((uint64_t)jobs->tag << (ID_BITS - TAG_BITS) | generation << jobs->slot_bits | (uint64_t)(job - jobs->slot));
}

int filchi_jobs_init(struct filchi_jobs *jobs, uint32_t count, uint32_t threads, uint32_t *ring_slots)
{
	uint32_t slots = 2;
	uint64_t generation;

	/* the ring's progress argument wants room for as many threads as may be inside: see ring.h */
	while (slots < count || slots < 2 * threads)
		slots *= 2;
	memset(jobs, 0, sizeof *jobs);
	jobs->count = count;
	jobs->slots = count + 1;
	jobs->batch = slots / threads < FILCHI_JOBS_BATCH ? slots / threads : FILCHI_JOBS_BATCH;
	jobs->slot_bits = 1;
	while (UINT32_C(1) << jobs->slot_bits < jobs->slots)
		jobs->slot_bits++;
	jobs->slot = aligned_alloc(FILCH_CACHELINE, (size_t)jobs->slots * sizeof jobs->slot[0]);
	if (!jobs->slot)
		return -ENOMEM;
	if (filchi_ring_init(&jobs->free, slots)) {
		free(jobs->slot);
		return -ENOMEM;
	}
	jobs->tag = tag_take(&generation);
	if (!jobs->tag) {
		filchi_ring_destroy(&jobs->free);
		free(jobs->slot);
		return -EAGAIN;
	}
	memset((void *)jobs->slot, 0, (size_t)jobs->slots * sizeof jobs->slot[0]);
	for (uint32_t i = 0; i < jobs->slots; i++) {
		filchi_store_relaxed(&jobs->slot[i].state, generation << 16);
		filchi_store_relaxed(&jobs->slot[i].crew.inside, 1);
		if (i < count)
			filchi_ring_put(&jobs->free, i);
	}
	*ring_slots = slots;
	return 0;
}

void filchi_jobs_destroy(struct filchi_jobs *jobs)
{
	tag_give(jobs->tag);
	filchi_ring_destroy(&jobs->free);
	free(jobs->slot);
}

static struct filchi_job *begin(struct filchi_jobs *jobs, uint32_t slot)
{
	struct filchi_job *job = &jobs->slot[slot];

	job->id = filchi_job_id_of(jobs, job, filchi_load_acquire(&job->state));
	job->cq = NULL;
	return job;
}

struct filchi_job *filchi_job_new(struct filchi_jobs *jobs)
{
	uint32_t slot = filchi_ring_take(&jobs->free);

	return slot == FILCHI_RING_EMPTY ? NULL : begin(jobs, slot);
}

uint32_t filchi_job_new_many(struct filchi_jobs *jobs, struct filchi_job **job, uint32_t n)
{
	uint32_t slot[FILCHI_JOBS_BATCH], got = filchi_ring_take_many(&jobs->free, slot, n);

	for (uint32_t i = 0; i < got; i++)
		__builtin_prefetch(&jobs->slot[slot[i]], 1); /* each was a worker's: fetched together, they come faster */
	for (uint32_t i = 0; i < got; i++)
		job[i] = begin(jobs, slot[i]);
	return got;
}

bool filchi_job_send_to(struct filchi_job *job, struct filch_cq *cq)
{
	job->cell = filchi_cq_take_credit(cq);
	if (job->cell == FILCHI_CELL_NONE)
		return false;
	job->cq = cq;
	return true;
}

uint32_t filchi_job_send_many(struct filchi_job **job, uint32_t n, struct filch_cq *cq)
{
	uint32_t cell[FILCHI_JOBS_BATCH], got = filchi_cq_take_credits(cq, cell, n);

	for (uint32_t i = 0; i < got; i++) {
		job[i]->cell = cell[i];
		job[i]->cq = cq;
	}
	return got;
}

/* The job is not to be: its credit goes back. */
static void send_nowhere(struct filchi_job *job)
{
	if (job->cq)
		filchi_cq_give_credit(job->cq, job->cell);
}

void filchi_job_publish(struct filchi_job *job, unsigned state, uint64_t flags)
{
	uint64_t s = filchi_load_relaxed(&job->state); /* FREE, ours alone */

	filchi_store_release(&job->state, s | state | flags | (state == FILCHI_JOB_QUEUED ? FILCHI_JOB_IN_RING : 0));
}

struct filchi_job *filchi_job_caller_begin(struct filchi_jobs *jobs)
{
	struct filchi_job *job = &jobs->slot[jobs->count];
	uint64_t s = filchi_load_relaxed(&job->state); /* FREE, ours alone */

	job->id = filchi_job_id_of(jobs, job, s);
	filchi_store_then_fence(&job->state, s | FILCHI_JOB_RUNNING | FILCHI_JOB_NOBODY);
	return job;
}

void filchi_job_caller_end(struct filchi_job *job)
{
	uint64_t s = filchi_load_relaxed(&job->state); /* others set flags only */

	s = (s & ~UINT64_C(0xffff)) + FILCHI_JOB_GENERATION_ONE;
	if (filchi_exchange_seq_cst(&job->state, s) & FILCHI_JOB_FOR_THREAD)
		filchi_futex_wake((filch_atomic_u32 *)(void *)&job->state, INT_MAX);
}

void filchi_job_discard(struct filchi_jobs *jobs, struct filchi_job *job)
{
	send_nowhere(job);
	filchi_ring_put(&jobs->free, (uint32_t)(job - jobs->slot));
}

void filchi_job_discard_many(struct filchi_jobs *jobs, struct filchi_job **job, uint32_t n)
{
	uint32_t slot[FILCHI_JOBS_BATCH];

	for (uint32_t i = 0; i < n; i++) {
		send_nowhere(job[i]);
		slot[i] = (uint32_t)(job[i] - jobs->slot);
	}
	filchi_ring_put_many(&jobs->free, slot, n);
}

/*
 * Leaves the slot's present state for @state, dropping all flags but IN_RING; from GONE without IN_RING it becomes free. Returns
 * the flags it had. The CAS is the fence of I5: the caller may go on to read what workers wait for.
 */
static uint64_t move_on(struct filchi_jobs *jobs, struct filchi_job *job, unsigned state)
{
	uint64_t s = filchi_load_acquire(&job->state), next;

	do {
		next = (s & ~UINT64_C(0xffff)) | (s & (FILCHI_JOB_IN_RING | FILCHI_JOB_NOBODY)) | state;
		if (state == FILCHI_JOB_GONE && !(s & FILCHI_JOB_IN_RING))
			next = (s & ~UINT64_C(0xffff)) + FILCHI_JOB_GENERATION_ONE; /* FREE */
	} while (!filchi_cas_seq_cst(&job->state, &s, next));
	FILCH_HOOK(job_moved_on);
	if (s & FILCHI_JOB_FOR_THREAD && (state == FILCHI_JOB_DONE || state == FILCHI_JOB_GONE))
		filchi_futex_wake((filch_atomic_u32 *)(void *)&job->state, INT_MAX); /* no read of the slot: only its address */
	if (FILCHI_JOB_STATE(next) == FILCHI_JOB_FREE)
		filchi_ring_put(&jobs->free, (uint32_t)(job - jobs->slot));
	return FILCHI_JOB_FLAGS(s);
}

struct filchi_job *filchi_job_popped(struct filchi_jobs *jobs, uint32_t slot)
{
	struct filchi_job *job = &jobs->slot[slot];
	uint64_t s = filchi_load_acquire(&job->state), next;

	do {
		next = s & ~FILCHI_JOB_IN_RING;
		if (FILCHI_JOB_STATE(s) == FILCHI_JOB_QUEUED)
			next += FILCHI_JOB_RUNNING - FILCHI_JOB_QUEUED;
		else if (FILCHI_JOB_STATE(s) == FILCHI_JOB_GONE)
			next = (s & ~UINT64_C(0xffff)) + FILCHI_JOB_GENERATION_ONE;
	} while (!filchi_cas_acq_rel(&job->state, &s, next));
	if (FILCHI_JOB_STATE(s) == FILCHI_JOB_QUEUED)
		return job;
	if (FILCHI_JOB_STATE(s) == FILCHI_JOB_GONE)
		filchi_ring_put(&jobs->free, slot);
	return NULL;
}

bool filchi_job_claim(struct filchi_job *job, int64_t id, const struct filchi_jobs *jobs, unsigned state)
{
	uint64_t s = filchi_load_acquire(&job->state), next;

	do {
		if (!filchi_job_is(jobs, s, id) || FILCHI_JOB_STATE(s) != FILCHI_JOB_QUEUED)
			return false;
		next = (s & ~UINT64_C(7)) | state;
	} while (!filchi_cas_acq_rel(&job->state, &s, next));
	return true;
}

static void completion_of(const struct filchi_job *job, struct filch_completion *out)
{
	uint64_t queued_at = filchi_load_relaxed(&job->queued_at), left = job->started_at ? job->started_at : job->ended_at;

	*out = (struct filch_completion){
		.id = job->id,
		.arg = job->arg,
		.user = job->user,
		.status = job->status,
		.worker = job->worker,
		.queued_ns = left > queued_at ? left - queued_at : 0,
		.run_ns = job->started_at ? job->ended_at - job->started_at : 0,
	};
	if (job->flags & FILCHI_JOB_ABORTED) {
		out->flags = job->fault_signal ? FILCH_DONE_FAULT : FILCH_DONE_EXITED;
		out->detail[0] = job->fault_signal;
		out->detail[1] = job->fault_address;
	}
}

/* The callbacks the thread is in, innermost first: they nest when one cancels a job, of the same pool or another. */
struct calling {
	struct filchi_jobs *jobs;
	struct filchi_job *job;
	const struct calling *outer;
};
static _Thread_local const struct calling *calling;

/* A callback has returned, or the program has left its thread in it: either way it has had the completion, and the job is over. */
static void call_over(void *arg)
{
	const struct calling *here = arg;

	calling = here->outer;
	(void)move_on(here->jobs, here->job, FILCHI_JOB_GONE);
}

static void call_back(struct filchi_jobs *jobs, struct filchi_job *job)
{
	struct calling here = { .jobs = jobs, .job = job, .outer = calling };
	struct filch_completion completion;

	completion_of(job, &completion);
	calling = &here;
	pthread_cleanup_push(call_over, &here);
	job->on_complete(&completion);
	pthread_cleanup_pop(1);
}

void filchi_callbacks_lost(void)
{
	while (calling)
		call_over((void *)(uintptr_t)calling);
}

void filchi_job_set_aborted(struct filchi_job *job)
{
	job->flags |= FILCHI_JOB_ABORTED;
	job->status = job->fault_signal ? -EFAULT : -ECANCELED;
	job->ended_at = filchi_now();
}

void filchi_jobs_after_fork(bool in_child)
{
	if (in_child)
		calling = NULL; /* the callback is the parent's; the child's pools are others */
	pthread_mutex_unlock(&tag_lock);
}

bool filchi_job_in_callback(const struct filchi_jobs *jobs)
{
	const struct calling *c = calling;

	while (c && c->jobs != jobs)
		c = c->outer;
	return c;
}

bool filchi_in_callback(void)
{
	return calling;
}

uint64_t filchi_job_complete(struct filchi_jobs *jobs, struct filchi_job *job)
{
	bool gone = job->cq || job->flags & FILCH_JOB_DETACHED;

	if (job->cq) {
		/* before the slot is seen to be finished: who has drained the pool finds everything in its queues */
		completion_of(job, &job->cq->cell[job->cell].completion);
		filchi_cq_put(job->cq, job->cell);
	} else if (job->on_complete) {
		call_back(jobs, job);
		return 0; /* nobody waits for such a job */
	}
	return move_on(jobs, job, gone ? FILCHI_JOB_GONE : FILCHI_JOB_DONE) & FILCHI_JOB_FOR_WORKER;
}

void filchi_job_take_back(struct filchi_jobs *jobs, struct filchi_job *job)
{
	send_nowhere(job);
	(void)move_on(jobs, job, FILCHI_JOB_GONE);
}

bool filchi_job_withdraw(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id)
{
	if (!filchi_job_claim(job, id, jobs, FILCHI_JOB_FINISHING))
		return false;
	filchi_job_take_back(jobs, job);
	return true;
}

struct filchi_job *filchi_job_find(const struct filchi_jobs *jobs, int64_t id)
{
	uint64_t slot = (uint64_t)id & ((UINT64_C(1) << jobs->slot_bits) - 1);

	if (id <= 0 || (uint64_t)id >> (ID_BITS - TAG_BITS) != jobs->tag || slot >= jobs->slots)
		return NULL;
	return &jobs->slot[slot];
}

bool filchi_job_is(const struct filchi_jobs *jobs, uint64_t s, int64_t id)
{
	return ((FILCHI_JOB_GENERATION(s) ^ (uint64_t)id >> jobs->slot_bits) & id_generation_mask(jobs)) == 0;
}

int filchi_job_reap(struct filchi_jobs *jobs, int64_t id, struct filch_completion *out)
{
	struct filchi_job *job = filchi_job_find(jobs, id);

	if (!job)
		return -ESRCH;
	uint64_t s = filchi_load_acquire(&job->state);
	do {
		if (!filchi_job_is(jobs, s, id))
			return -ESRCH;
		switch (FILCHI_JOB_STATE(s)) {
		case FILCHI_JOB_QUEUED:
		case FILCHI_JOB_RUNNING:
		case FILCHI_JOB_FINISHING:
			return s & FILCHI_JOB_NOBODY ? -EINVAL : -EAGAIN;
		case FILCHI_JOB_DONE:
			break;
		default:
			return -ESRCH;
		}
	} while (!filchi_cas_acq_rel(&job->state, &s, (s & ~UINT64_C(7)) | FILCHI_JOB_REAPING));
	FILCH_HOOK(reap_won);
	if (out)
		completion_of(job, out);
	if (s & FILCHI_JOB_IN_RING) {
		(void)move_on(jobs, job, FILCHI_JOB_GONE);
	} else {
		/* nobody else writes the word of a job that is REAPING and in no ring: a store will do */
		filchi_store_release(&job->state, (s & ~UINT64_C(0xffff)) + FILCHI_JOB_GENERATION_ONE);
		filchi_ring_put(&jobs->free, (uint32_t)(job - jobs->slot));
	}
	return 0;
}

static bool unfinished(const struct filchi_jobs *jobs, uint64_t s, int64_t id)
{
	return filchi_job_is(jobs, s, id) && FILCHI_JOB_STATE(s) >= FILCHI_JOB_QUEUED && FILCHI_JOB_STATE(s) <= FILCHI_JOB_FINISHING;
}

bool filchi_job_flag(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id, uint64_t flag)
{
	uint64_t s = filchi_load_acquire(&job->state);

	do {
		if (!unfinished(jobs, s, id))
			return false;
	} while (!(s & flag) && !filchi_cas_acq_rel(&job->state, &s, s | flag));
	return true;
}

int filchi_job_await(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id, const struct timespec *deadline)
{
	int error = 0;

	while (filchi_job_flag(jobs, job, id, FILCHI_JOB_FOR_THREAD)) {
		uint64_t s = filchi_load_acquire(&job->state);

		if (!unfinished(jobs, s, id))
			break;
		if (error)
			return error;
		FILCH_HOOK(await_flagged);
		if (s & FILCHI_JOB_FOR_THREAD)
			error = filchi_futex_wait((filch_atomic_u32 *)(void *)&job->state, (uint32_t)s, deadline);
	}
	return 0;
}
