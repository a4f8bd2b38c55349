/* SPDX-License-Identifier: Apache-2.0 */
/* Job slots, ids and states: see job_slot.h. */
#include "struct/job_slot.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu_control.h"
#include "base/fork.h"
#include "base/park_futex.h"
#include "struct/callbacks.h"
#include "struct/credit.h"
#include "struct/names.h"
#include "struct/tags.h"

#define TAG_BITS      FILCHI_TAG_BITS
#define ID_BITS       63
#define BEGUN_AT_ONCE 256u

static uint64_t id_generation_mask(const struct filchi_jobs *jobs)
{
	return (UINT64_C(1) << (ID_BITS - TAG_BITS - jobs->slot_bits)) - 1;
}

int64_t filchi_job_id_of(
	const struct filchi_jobs *jobs, const struct filchi_job *job, uint64_t state)
{
	uint64_t generation = FILCHI_JOB_GENERATION(state) & id_generation_mask(jobs);

	return (int64_t)((uint64_t)jobs->tag << (ID_BITS - TAG_BITS) |
			 generation << jobs->slot_bits | (uint64_t)(job - jobs->slot));
}

static size_t slot_bytes(const struct filchi_jobs *jobs)
{
	return (size_t)jobs->slots * sizeof jobs->slot[0];
}

/* The rest is zero, or as it was left. */
static void slot_init(struct filchi_jobs *jobs, uint32_t slot)
{
	filch_store_relaxed(&jobs->slot[slot].state, jobs->generation << 16);
	filch_store_relaxed(&jobs->slot[slot].team.inside, 1);
}

int filchi_jobs_init(
	struct filchi_jobs *jobs, uint32_t count, uint32_t threads, uint32_t *scq_slots)
{
	uint32_t slots = 2;

	/* the SCQ's progress needs room for as many threads as may be inside: see scq.h */
	while (slots < count || slots < 2 * threads)
		slots *= 2;
	memset(jobs, 0, sizeof *jobs);
	jobs->count = count;
	jobs->slots = count + 1;
	jobs->batch = slots / threads < FILCHI_JOBS_BATCH ? slots / threads : FILCHI_JOBS_BATCH;
	jobs->slot_bits = 1;
	while (UINT32_C(1) << jobs->slot_bits < jobs->slots)
		jobs->slot_bits++;
	jobs->slot = filchi_map(slot_bytes(jobs));
	if (!jobs->slot)
		return -ENOMEM;
	if (filchi_scq_init(&jobs->free, slots)) {
		filchi_unmap(jobs->slot, slot_bytes(jobs));
		return -ENOMEM;
	}
	jobs->tag = filchi_tag_take(&jobs->generation);
	if (!jobs->tag) {
		filchi_scq_destroy(&jobs->free);
		filchi_unmap(jobs->slot, slot_bytes(jobs));
		return -EAGAIN;
	}
	slot_init(jobs, count);
	jobs->slot[count].flags = FILCHI_JOB_TASK; /* the caller's runs nothing else */
	for (uint32_t i = 0; i < count && i < BEGUN_AT_ONCE; i++) {
		slot_init(jobs, i);
		filchi_scq_put(&jobs->free, i);
	}
	filch_store_relaxed(&jobs->begun, count < BEGUN_AT_ONCE ? count : BEGUN_AT_ONCE);
	*scq_slots = slots;
	return 0;
}

void filchi_jobs_destroy(struct filchi_jobs *jobs)
{
	filchi_tag_give(jobs->tag);
	filchi_followers_free(filch_load_relaxed(&jobs->followers));
	filchi_groups_free(filch_load_relaxed(&jobs->groups));
	filchi_names_free(jobs);
	filchi_scq_destroy(&jobs->free);
	filchi_unmap(jobs->slot, slot_bytes(jobs));
}

/*
 * Up to @n slots that were never used, and are the caller's from now on: the first, and how many in
 * *@got. A scan may see them before they are initialised: zero is FREE.
 */
static uint32_t begin_new(struct filchi_jobs *jobs, uint32_t n, uint32_t *got)
{
	uint32_t first = filchi_load_acquire(&jobs->begun);

	do {
		*got = jobs->count - first < n ? jobs->count - first : n;
		if (!*got)
			return 0;
	} while (!filchi_cas_acq_rel(&jobs->begun, &first, first + *got));
	for (uint32_t i = 0; i < *got; i++)
		slot_init(jobs, first + i);
	return first;
}

static struct filchi_job *begin(struct filchi_jobs *jobs, uint32_t slot)
{
	struct filchi_job *job = &jobs->slot[slot];

	job->id = filchi_job_id_of(jobs, job, filchi_load_acquire(&job->state));
	filch_store_relaxed(&job->cq, NULL);
	return job;
}

struct filchi_job *filchi_job_new(struct filchi_jobs *jobs)
{
	uint32_t slot = filchi_scq_take(&jobs->free), got = 1;

	if (slot == FILCHI_SCQ_EMPTY)
		slot = begin_new(jobs, 1, &got);
	return got ? begin(jobs, slot) : NULL;
}

uint32_t filchi_job_new_many(struct filchi_jobs *jobs, struct filchi_job **job, uint32_t n)
{
	uint32_t slot[FILCHI_JOBS_BATCH], got = 0;

	/*
	 * Before few are left. A batch is else as small as what lies there, and takers and putters
	 * of a queue that is hardly ever more than empty meet at one line of it.
	 */
	if (filchi_scq_length(&jobs->free) < BEGUN_AT_ONCE) {
		uint32_t first = begin_new(jobs, n, &got);

		for (uint32_t i = 0; i < got; i++)
			slot[i] = first + i;
	}
	if (got < n)
		got += filchi_scq_take_many(&jobs->free, slot + got, n - got);
	for (uint32_t i = 0; i < got; i++)
		/* each was last a worker's: fetched together, they come faster */
		__builtin_prefetch(&jobs->slot[slot[i]], 1);
	for (uint32_t i = 0; i < got; i++)
		job[i] = begin(jobs, slot[i]);
	return got;
}

void filchi_job_join(struct filchi_jobs *jobs, struct filchi_job *job, struct filch_group *group)
{
	struct filchi_grouped *entry = &filchi_load_acquire(&jobs->groups)->of[job - jobs->slot];

	entry->held = FILCHI_HELD_NOT;
	filchi_store_release(&entry->group, group);
	filchi_group_enter(group, (uint32_t)(job - jobs->slot));
	/* FREE, ours alone */
	filch_store_relaxed(&job->state, filch_load_relaxed(&job->state) | FILCHI_JOB_GROUPED);
}

/* The owner of a slot that is not published: its room is given back. */
FILCH_COLD static void leave_group(struct filchi_jobs *jobs, struct filchi_job *job)
{
	const uint32_t slot = (uint32_t)(job - jobs->slot);
	struct filch_group *group = filchi_group_at(filchi_load_acquire(&jobs->groups), slot);

	filch_store_relaxed(&job->state, filch_load_relaxed(&job->state) & ~FILCHI_JOB_GROUPED);
	filchi_group_leave(group, slot);
	filchi_group_over(group, 0, 1);
}

bool filchi_job_send_to(struct filchi_job *job, struct filch_cq *cq)
{
	uint32_t cell;

	if (!filchi_credit_take(cq, &cell, 1))
		return false;
	filch_store_relaxed(&job->cell, cell);
	filch_store_relaxed(&job->cq, cq);
	return true;
}

uint32_t filchi_job_send_many(struct filchi_job **job, uint32_t n, struct filch_cq *cq)
{
	uint32_t cell[FILCHI_JOBS_BATCH], got = filchi_credit_take(cq, cell, n);

	for (uint32_t i = 0; i < got; i++) {
		filch_store_relaxed(&job[i]->cell, cell[i]);
		filch_store_relaxed(&job[i]->cq, cq);
	}
	return got;
}

/* The submit is given up: its credit goes back. */
static void send_nowhere(struct filchi_job *job)
{
	struct filch_cq *cq = filch_load_relaxed(&job->cq);

	if (cq)
		filchi_credit_return(cq, filch_load_relaxed(&job->cell));
}

static inline void publish(struct filchi_job *job, unsigned state, uint64_t flags)
{
	/* FREE, ours alone; what became of the job before is forgotten */
	uint64_t s = filch_load_relaxed(&job->state) & ~FILCHI_AFTER_FAILED;

	filchi_store_release(&job->state,
		s | state | flags | (state == FILCHI_JOB_QUEUED ? FILCHI_JOB_IN_QUEUE : 0));
}

/* Apart, so that the hot form saves no registers for a call that is hardly ever made. */
FILCH_COLD static void publish_and_tell(struct filchi_job *job, unsigned state, uint64_t flags)
{
	filch_tsan_release(&job->state);
	publish(job, state, flags);
}

void filchi_job_publish(struct filchi_job *job, unsigned state, uint64_t flags)
{
	if (FILCH_UNLIKELY(filch_tsan_present()))
		publish_and_tell(job, state, flags);
	else
		publish(job, state, flags);
}

/* The owner of a job that has followers, and of what hangs on its list from now on. */
FILCH_COLD static uint32_t close_list(
	struct filchi_jobs *jobs, const struct filchi_job *job, uint64_t s, bool failed)
{
	jobs->hold(jobs);
	FILCH_HOOK(after_closes);
	return filchi_after_close(
		&filchi_load_acquire(&jobs->followers)->of[job - jobs->slot].list, s, failed);
}

struct filchi_job *filchi_job_caller_begin(struct filchi_jobs *jobs)
{
	struct filchi_job *job = &jobs->slot[jobs->count];
	uint64_t s = filch_load_relaxed(&job->state); /* FREE, ours alone */

	job->id = filchi_job_id_of(jobs, job, s);
	filchi_store_then_fence(&job->state, s | FILCHI_JOB_RUNNING | FILCHI_JOB_NOBODY);
	return job;
}

void filchi_job_discard(struct filchi_jobs *jobs, struct filchi_job *job)
{
	send_nowhere(job);
	if (FILCH_UNLIKELY(filch_load_relaxed(&job->state) & FILCHI_JOB_GROUPED))
		leave_group(jobs, job);
	filchi_scq_put(&jobs->free, (uint32_t)(job - jobs->slot));
}

void filchi_job_discard_many(struct filchi_jobs *jobs, struct filchi_job **job, uint32_t n)
{
	uint32_t slot[FILCHI_JOBS_BATCH];

	for (uint32_t i = 0; i < n; i++) {
		send_nowhere(job[i]);
		slot[i] = (uint32_t)(job[i] - jobs->slot);
	}
	filchi_scq_put_many(&jobs->free, slot, n);
}

/*
 * What state word @s becomes, with the flags of the job's end: all others but IN_QUEUE are dropped.
 * From GONE without IN_QUEUE it is free.
 */
static inline uint64_t moved(uint64_t s, unsigned state, uint64_t failed)
{
	if (state == FILCHI_JOB_GONE && !(s & FILCHI_JOB_IN_QUEUE))
		return ((s & ~UINT64_C(0xffff)) | failed) + FILCHI_JOB_GENERATION_ONE; /* FREE */
	return (s & ~UINT64_C(0xffff)) | (s & (FILCHI_JOB_IN_QUEUE | FILCHI_JOB_NOBODY)) | failed |
	       state;
}

/* Its word was @told. */
static void caller_ended(struct filchi_jobs *jobs, struct filchi_job *job, uint64_t told)
{
	if (told & FILCHI_JOB_FOR_THREAD)
		filchi_futex_wake((filch_atomic_u32 *)(void *)&job->state, INT_MAX);
	if (FILCH_UNLIKELY(told & FILCHI_JOB_FOR_WORKER))
		jobs->tell(jobs, job->id);
}

/* As move_on_otherwise(). */
FILCH_COLD static void caller_end_followed(
	struct filchi_jobs *jobs, struct filchi_job *job, uint64_t s)
{
	uint32_t first = close_list(jobs, job, s, false);

	while (!filchi_cas_seq_cst(&job->state, &s, moved(s, FILCHI_JOB_GONE, 0)))
		;
	caller_ended(jobs, job, s);
	jobs->release(jobs, first, false);
}

void filchi_job_caller_end(struct filchi_jobs *jobs, struct filchi_job *job)
{
	uint64_t s = filchi_load_acquire(&job->state); /* others set flags only */

	filch_tsan_release(&job->state);
	do {
		if (FILCH_UNLIKELY(s & FILCHI_AFTER_FOLLOWED)) {
			caller_end_followed(jobs, job, s);
			return;
		}
	} while (!filchi_cas_seq_cst(&job->state, &s, moved(s, FILCHI_JOB_GONE, 0)));
	caller_ended(jobs, job, s);
}

/* Its word was @s and is @next. */
static inline uint64_t has_moved(
	struct filchi_jobs *jobs, struct filchi_job *job, unsigned state, uint64_t s, uint64_t next)
{
	FILCH_HOOK(job_moved_on);
	if (s & FILCHI_JOB_FOR_THREAD && (state == FILCHI_JOB_DONE || state == FILCHI_JOB_GONE))
		/* no read of the slot: only its address */
		filchi_futex_wake((filch_atomic_u32 *)(void *)&job->state, INT_MAX);
	if (FILCHI_JOB_STATE(next) == FILCHI_JOB_FREE)
		filchi_scq_put(&jobs->free, (uint32_t)(job - jobs->slot));
	return FILCHI_JOB_FLAGS(s);
}

/*
 * Its list is closed before the step, its followers are made ready after it. The next one of its
 * group is made ready before it, while it keeps the pool alive. It is counted off last: whoever
 * waits for the group and finds nothing but jobs that wait, and all that are counted, may rely on
 * none being about to be made ready.
 */
FILCH_COLD static uint64_t move_on_otherwise(
	struct filchi_jobs *jobs, struct filchi_job *job, unsigned state, uint64_t failed)
{
	const uint32_t slot = (uint32_t)(job - jobs->slot);
	uint64_t s = filchi_load_acquire(&job->state), told;
	struct filch_group *group = NULL;
	uint32_t first = FILCHI_EDGE_NONE;
	bool followed = false;

	if (s & FILCHI_JOB_GROUPED) {
		group = filchi_group_at(filchi_load_acquire(&jobs->groups), slot);
		if (group->running_max)
			jobs->let_next(jobs, slot);
		filchi_group_leave(group, slot); /* later the slot may be another's */
	}
	do {
		if (s & FILCHI_AFTER_FOLLOWED && !followed) {
			first = close_list(jobs, job, s, failed);
			followed = true;
		}
	} while (!filchi_cas_seq_cst(&job->state, &s, moved(s, state, failed)));
	told = has_moved(jobs, job, state, s, moved(s, state, failed));
	if (followed)
		jobs->release(jobs, first, failed);
	FILCH_HOOK(group_moved_on);
	if (group)
		filchi_group_over(group, 1, 1);
	return told;
}

/*
 * Leaves the slot's present state for @state. Returns the flags it had. The CAS is the fence of I5:
 * the caller may go on to read the events that workers wait for.
 */
static uint64_t move_on(struct filchi_jobs *jobs, struct filchi_job *job, unsigned state)
{
	uint64_t s = filchi_load_acquire(&job->state), next;
	const uint64_t failed = job->status < 0 ? FILCHI_AFTER_FAILED : 0;

	filch_tsan_release(&job->state);
	do {
		if (FILCH_UNLIKELY(s & (FILCHI_AFTER_FOLLOWED | FILCHI_JOB_GROUPED)))
			return move_on_otherwise(jobs, job, state, failed);
		next = moved(s, state, failed);
	} while (!filchi_cas_seq_cst(&job->state, &s, next));
	return has_moved(jobs, job, state, s, next);
}

/* The job is over, and none of the callers will tell workers of it. */
void filchi_job_be_gone(struct filchi_jobs *jobs, struct filchi_job *job)
{
	int64_t id = job->id;

	if (move_on(jobs, job, FILCHI_JOB_GONE) & FILCHI_JOB_FOR_WORKER)
		jobs->tell(jobs, id);
}

struct filchi_job *filchi_job_popped(struct filchi_jobs *jobs, uint32_t slot)
{
	struct filchi_job *job = &jobs->slot[slot];
	uint64_t s = filchi_load_acquire(&job->state), next;

	do {
		next = s & ~FILCHI_JOB_IN_QUEUE;
		if (FILCHI_JOB_STATE(s) == FILCHI_JOB_QUEUED)
			next += FILCHI_JOB_RUNNING - FILCHI_JOB_QUEUED;
		else if (FILCHI_JOB_STATE(s) == FILCHI_JOB_GONE)
			next = (s & (~UINT64_C(0xffff) | FILCHI_AFTER_FAILED)) +
			       FILCHI_JOB_GENERATION_ONE;
	} while (!filchi_cas_acq_rel(&job->state, &s, next));
	filch_tsan_acquire(&job->state);
	if (FILCHI_JOB_STATE(s) == FILCHI_JOB_QUEUED)
		return job;
	if (FILCHI_JOB_STATE(s) == FILCHI_JOB_GONE)
		filchi_scq_put(&jobs->free, slot);
	return NULL;
}

bool filchi_job_claim(
	struct filchi_job *job, int64_t id, const struct filchi_jobs *jobs, unsigned state)
{
	uint64_t s = filchi_load_acquire(&job->state), next;

	do {
		if (!filchi_job_is(jobs, s, id) || FILCHI_JOB_STATE(s) != FILCHI_JOB_QUEUED)
			return false;
		next = (s & ~UINT64_C(7)) | state;
	} while (!filchi_cas_acq_rel(&job->state, &s, next));
	filch_tsan_acquire(&job->state);
	return true;
}

bool filchi_job_claim_waiting(struct filchi_job *job, int64_t id, const struct filchi_jobs *jobs)
{
	uint64_t s = filchi_load_acquire(&job->state);

	do {
		if (!filchi_job_is(jobs, s, id) || FILCHI_JOB_STATE(s) != FILCHI_JOB_WAITING)
			return false;
	} while (!filchi_cas_acq_rel(&job->state, &s, (s & ~UINT64_C(7)) | FILCHI_JOB_FINISHING));
	filch_tsan_acquire(&job->state);
	return true;
}

void filchi_job_completion(const struct filchi_job *job, struct filch_completion *out)
{
	uint64_t queued_at = filch_load_relaxed(&job->queued_at);
	uint64_t started_at = filch_load_relaxed(&job->started_at);
	uint64_t finish_by = filch_load_relaxed(&job->finish_by);
	uint64_t left = started_at ? started_at : job->ended_at;

	*out = (struct filch_completion){
		.id = job->id,
		.arg = filch_load_relaxed(&job->arg),
		.user = filch_load_relaxed(&job->user),
		.status = job->status,
		.worker = job->worker,
		.queued_ns = left > queued_at ? left - queued_at : 0,
		.run_ns = started_at ? job->ended_at - started_at : 0,
	};
	if (finish_by && job->ended_at > finish_by)
		out->flags = FILCH_DONE_LATE;
	if (job->flags & FILCHI_JOB_ABORTED) {
		out->flags |= job->fault_signal ? FILCH_DONE_FAULT : FILCH_DONE_EXITED;
		out->detail[0] = job->fault_signal;
		out->detail[1] = job->fault_address;
	} else if (job->flags & FILCHI_JOB_BEHIND) {
		out->flags |= FILCH_DONE_AFTER;
	}
}

void filchi_job_set_aborted(struct filchi_job *job)
{
	job->flags |= FILCHI_JOB_ABORTED;
	job->status = job->fault_signal ? -EFAULT : -ECANCELED;
	job->ended_at = filchi_now();
}

void filchi_job_set_finished(struct filchi_job *job)
{
	if (job->flags & FILCHI_JOB_ABORTED)
		return;
	job->status = job->end_status;
	job->ended_at = filchi_now();
}

bool filchi_job_returned(struct filchi_job *job)
{
	FILCH_HOOK(deferred_returned);
	if (!filchi_deferred_arrive(&job->state))
		return false;
	filchi_job_set_finished(job);
	return true;
}

uint64_t filchi_job_complete(struct filchi_jobs *jobs, struct filchi_job *job)
{
	struct filch_cq *cq = filch_load_relaxed(&job->cq);
	bool gone = cq || job->flags & FILCH_JOB_DETACHED;

	if (cq) {
		/*
		 * before the slot is seen to be finished: after a drain every completion is in its
		 * queue
		 */
		const uint32_t cell = filch_load_relaxed(&job->cell);

		filchi_job_completion(job, &cq->cell[cell].completion);
		if (cq->ordered)
			filchi_cq_order_put(cq, cell, FILCHI_CELL_READY);
		else
			filchi_cq_put(cq, cell);
	} else if (job->on_complete) {
		return filchi_call_back(jobs, job); /* nobody waits for such a job */
	}
	return move_on(jobs, job, gone ? FILCHI_JOB_GONE : FILCHI_JOB_DONE) & FILCHI_JOB_FOR_WORKER;
}

void filchi_job_take_back(struct filchi_jobs *jobs, struct filchi_job *job)
{
	send_nowhere(job);
	filchi_job_be_gone(jobs, job);
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
	return ((FILCHI_JOB_GENERATION(s) ^ (uint64_t)id >> jobs->slot_bits) &
		       id_generation_mask(jobs)) == 0;
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
		case FILCHI_JOB_WAITING:
			return s & FILCHI_JOB_NOBODY ? -EINVAL : -EAGAIN;
		case FILCHI_JOB_DONE:
			break;
		default:
			return -ESRCH;
		}
	} while (!filchi_cas_acq_rel(&job->state, &s, (s & ~UINT64_C(7)) | FILCHI_JOB_REAPING));
	filch_tsan_acquire(&job->state);
	FILCH_HOOK(reap_won);
	if (out)
		filchi_job_completion(job, out);
	if (s & FILCHI_JOB_IN_QUEUE) {
		(void)move_on(jobs, job, FILCHI_JOB_GONE);
	} else {
		/*
		 * a store will do: nobody else writes the word of a job that is REAPING and in no
		 * lane
		 */
		filchi_store_release(&job->state, (s & (~UINT64_C(0xffff) | FILCHI_AFTER_FAILED)) +
							  FILCHI_JOB_GENERATION_ONE);
		filchi_scq_put(&jobs->free, (uint32_t)(job - jobs->slot));
	}
	return 0;
}

bool filchi_job_flag(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id, uint64_t flag)
{
	uint64_t s = filchi_load_acquire(&job->state);

	filch_tsan_release(&job->state);
	do {
		if (!filchi_job_is(jobs, s, id) || !filchi_job_is_pending(s))
			return false;
	} while (!(s & flag) && !filchi_cas_acq_rel(&job->state, &s, s | flag));
	return true;
}

bool filchi_job_peek(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id,
	struct filchi_job_origin *origin)
{
	uint64_t s = filchi_load_acquire(&job->state);
	struct filchi_job_origin read;

	do {
		if (!filchi_job_is(jobs, s, id) || FILCHI_JOB_STATE(s) != FILCHI_JOB_RUNNING)
			return false;
		read = (struct filchi_job_origin){ 0 };
		if (s & FILCHI_JOB_OF_TASK)
			continue;
		read.fn = filch_load_relaxed(&job->fn);
		read.arg = filch_load_relaxed(&job->arg);
		read.user = filch_load_relaxed(&job->user);
		/*
		 * Nothing is changed. But what we have read comes before this, and this before the
		 * step that ends the job, if the word is as it was: so it is all of this job.
		 */
	} while (!filchi_cas_acq_rel(&job->state, &s, s));
	filch_tsan_acquire(&job->state);
	*origin = read;
	return true;
}

int filchi_job_await(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id,
	const struct timespec *deadline)
{
	int error = 0;

	while (filchi_job_flag(jobs, job, id, FILCHI_JOB_FOR_THREAD)) {
		uint64_t s = filchi_load_acquire(&job->state);

		if (!filchi_job_is(jobs, s, id) || !filchi_job_is_pending(s))
			break;
		if (error)
			return error;
		FILCH_HOOK(await_flagged);
		if (s & FILCHI_JOB_FOR_THREAD)
			error = filchi_futex_wait(
				(filch_atomic_u32 *)(void *)&job->state, (uint32_t)s, deadline);
	}
	return 0;
}
