/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting on a worker for a stolen task, or for a job: see await.c. */
#ifndef FILCHI_AWAIT_H
#define FILCHI_AWAIT_H

#include "core/worker.h"

/* Worker: waits until a stolen task, or a share of an errand, is done. */
void filchi_wait_task(struct filchi_worker *w, struct filch_task *task);

/* filch_wait() on a worker of the pool; @job is the slot of @id. Returns as filch_wait() does. */
int filchi_wait_job(struct filchi_worker *w, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, struct filch_completion *out);

/* Worker, which waits for a group: runs a job of it, if that is still queued. */
void filchi_run_one_of(struct filchi_worker *w, struct filchi_job *job, int64_t id);

/*
 * The same: waits for a job of it, as filchi_wait_job(), but does not reap it. Returns also when
 * the worker has had news of the group since it had read @news of w->group_news.
 */
int filchi_wait_one_of(struct filchi_worker *w, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, uint32_t news);

/*
 * The owner of a frame that waits for @task, which a thief has: one turn of that. Returns when the
 * task is done, when it has run something on top of the frame, or when it was woken.
 */
void filchi_wait_turn(struct filchi_worker *w, struct filch_task *task);

/*
 * The creator of a FILCH_POOL_CALLER pool of one worker, with nothing on its stack: runs what is
 * queued, and waits, while the job of @id waits for others; or until @deadline.
 */
void filchi_wait_ready(struct filchi_worker *w, struct filchi_job *job, int64_t id,
	const struct timespec *deadline);

#endif
