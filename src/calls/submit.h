/* SPDX-License-Identifier: Apache-2.0 */
/* What the pool needs of the job calls: see submit.c. */
#ifndef FILCHI_SUBMIT_H
#define FILCHI_SUBMIT_H

#include "calls/external.h"
#include "core/group_wait.h"

/* What is to be run: a function, or (fn NULL) a task. */
struct filchi_work {
	filch_job_fn *fn;
	void *arg, *user;
	struct filch_task *task;
	filch_thunk *thunk;
};

/*
 * What every submit begins with: brings @how into the form of this library. Returns 0, -EINVAL,
 * -E2BIG or -ECHILD.
 */
int filchi_submit_import(
	const struct filch_pool *pool, struct filch_submit *to, const struct filch_submit *how);

/* When a job is queued: exactly if its completion or its deadline asks for it. */
uint64_t filchi_submit_time(const struct filch_submit *how);

/*
 * Whether the calling thread's submits are admitted to a full queue: those of a worker of @pool.
 * With FILCH_CALLER_RUNS only if it has no stack left to run the job on.
 */
bool filchi_submit_ignores_full(const struct filch_pool *pool, const struct filch_submit *how);

/* What a job's state word says of how it was submitted. */
uint64_t filchi_submit_flags(const struct filch_submit *how);

/* The owner of a new slot: writes what is to be run. */
void filchi_submit_fill(struct filchi_job *job, const struct filchi_work *work,
	const struct filch_submit *how, uint64_t now);

/* One submit; @now is when it was asked for. As filch_submit(). */
int64_t filchi_submit_one(struct filch_pool *pool, const struct filchi_work *work,
	const struct filch_submit *how, uint64_t now);

/* As filch_run_task(); from outside a job that is submitted as @how says. */
int filchi_run_as(struct filch_pool *pool, struct filch_task *task, filch_thunk *thunk,
	const struct filch_submit *how);

/*
 * The owner of a new slot, with its credit, whose job follows others: the id, or an error; or 0 if
 * all of these have ended, and the job is to be submitted as any other. See after.c.
 */
int64_t filchi_submit_after(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now);

/*
 * Whether each id is one that this pool may have given. Called before a slot is taken: the array
 * may fault.
 */
bool filchi_after_known(const struct filch_pool *pool, const struct filch_submit *how);

/* Any thread: the job in @slot, WAITING in the generation of @s, is queued, unless cancelled. */
void filchi_submit_ready(struct filch_pool *pool, uint32_t slot, uint64_t s, bool failed);

/* A submit that waits for room in how->group, which has no slot yet: 0, or the policy's error. */
int filchi_group_await_room(struct filch_pool *pool, const struct filch_submit *how);

/*
 * The owner of a slot of how->group, whose job is counted as unfinished: 0 if it is to run as any
 * other; or the id of a job that is held, published; or -ESHUTDOWN.
 */
int64_t filchi_group_hold(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now);

/*
 * Any thread that is about to make the job in @slot ready, which waits in the generation of @s:
 * whether its group holds it instead.
 */
bool filchi_group_holds(struct filch_pool *pool, uint32_t slot, uint64_t s, bool failed);

/* filchi_group_posted() for the group of the job that was in @slot, whatever is there now. */
FILCH_COLD void filchi_group_slot_posted(struct filch_pool *pool, uint32_t slot);

/* filchi_jobs.let_next */
void filchi_group_let_next(struct filchi_jobs *jobs, uint32_t slot);

/* The creator of a FILCH_POOL_CALLER pool as its one worker, which it is not yet; or NULL. */
static inline struct filchi_worker *filchi_enter_alone(struct filch_pool *pool)
{
	return pool->running == 1 ? filchi_caller_enter(pool) : NULL;
}

/* filchi_jobs.hold, filchi_jobs.release */
void filchi_after_hold(struct filchi_jobs *jobs);
void filchi_after_release(struct filchi_jobs *jobs, uint32_t first, bool failed);

/* The submitter of a RUNNING job: runs it here, on whatever lies on this thread's stack. */
void filchi_run_inline(struct filch_pool *pool, struct filchi_job *job);

/*
 * The submitter of a published job, which no worker can have yet: its finish_by and its name, which
 * few jobs have.
 */
static inline bool filchi_submit_adds(const struct filch_submit *how)
{
	return ((uintptr_t)how->finish_by | (uintptr_t)how->name) != 0;
}
FILCH_COLD void filchi_submit_add(
	struct filch_pool *pool, const struct filch_submit *how, int64_t id);

/*
 * Its finish_by has come: one that has not started completes with -ETIMEDOUT, else its cancel flag
 * is raised. Nothing, if it is over.
 */
void filchi_job_late(struct filch_pool *pool, int64_t id);

/* The owner of a job that is over, its status written. */
void filchi_complete(struct filch_pool *pool, struct filchi_job *job, int64_t id);

/*
 * The job whose code runs here, or NULL: a callback's code is of the job beneath it, if there is
 * one.
 */
struct filchi_job *filchi_job_here(void);

/* completion_queue.c: destroyed queues are held over a fork. */
void filchi_cqs_before_fork(void);
void filchi_cqs_after_fork(void);

/* Completes a job that has not started with -ECANCELED; false if it has. */
bool filchi_cancel_queued(struct filch_pool *pool, struct filchi_job *job, int64_t id);

/*
 * On the creating thread of a FILCH_POOL_CALLER pool: runs what is queued, as worker 0, and starts
 * nothing once @deadline has passed. Nothing on any other thread.
 */
void filchi_run_queued_as_caller(struct filch_pool *pool, const struct timespec *deadline);

/*
 * The same for one job, if it is still queued, or waits for others. It may have come after the
 * queue was found empty, and the caller, which may be the one worker there is, must not sleep for
 * it.
 */
void filchi_run_as_caller(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline);

/*
 * The state word of the job that runs on this thread, for a caller that looks at its
 * FILCHI_JOB_CANCEL often; NULL outside of jobs.
 */
filch_atomic_u64 *filchi_job_word_here(void);

#endif
