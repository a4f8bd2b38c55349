/* SPDX-License-Identifier: Apache-2.0 */
/* What the pool needs of the job calls: see submit.c. */
#ifndef FILCHI_SUBMIT_H
#define FILCHI_SUBMIT_H

#include "outside.h"

/* What is to be run: a function, or (fn NULL) a task. */
struct filchi_work {
	filch_job_fn *fn;
	void *arg, *user;
	struct filch_task *task;
	filch_thunk *thunk;
};

/* Brings @how into the form of this library; 0, -EINVAL, -E2BIG, -ECHILD. */
int filchi_submit_import(const struct filch_pool *pool, struct filch_submit *to, const struct filch_submit *how);

/* When a job is queued: exactly if its completion or its deadline asks for it. */
uint64_t filchi_submit_time(const struct filch_submit *how);

/* What a job's state word says of how it was submitted. */
uint64_t filchi_submit_flags(const struct filch_submit *how);

/* The owner of a new slot: writes what is to be run. */
void filchi_submit_fill(struct filchi_job *job, const struct filchi_work *work, const struct filch_submit *how, uint64_t now);

/* One submit; @now is when it was asked for. As filch_submit(). */
int64_t filchi_submit_one(struct filch_pool *pool, const struct filchi_work *work, const struct filch_submit *how, uint64_t now);

/* Whether the process has forked since the pool was created: pool.c. */
bool filchi_forked(const struct filch_pool *pool);

/* Any thread: submits get -ESHUTDOWN from now on. Completes what has not started with -ECANCELED, flags what runs: pool.c. */
void filchi_pool_close(struct filch_pool *pool);
void filchi_pool_cancel_all(struct filch_pool *pool);

/* Completes a job that is still queued with -ECANCELED; false if it is not queued. */
bool filchi_cancel_queued(struct filch_pool *pool, struct filchi_job *job, int64_t id);

/*
 * On the creating thread of a FILCH_POOL_CALLER pool: runs what is queued, as worker 0, and starts nothing once @deadline has passed.
 * Nothing on any other thread.
 */
void filchi_run_queued_as_caller(struct filch_pool *pool, const struct timespec *deadline);

/*
 * The same for one job, if it is still queued: what came after the queue was found empty must not be slept for by who may be the one
 * worker there is.
 */
void filchi_run_as_caller(struct filch_pool *pool, struct filchi_job *job, int64_t id, const struct timespec *deadline);

/* The state word of the job that runs on this thread, for who looks at its FILCHI_JOB_CANCEL often; NULL outside of jobs. */
filch_atomic_u64 *filchi_job_word_here(void);

#endif
