/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baseline: nested tasks and jobs on one FIFO queue under one pthread mutex.
 *
 * This is what a careful programmer writes without a work-stealing scheduler, and it is meant to be
 * as good as that can be. It offers what filch offers in the comparison: tasks in their spawner's
 * frame (nothing is allocated per task), joins that help, jobs with ids and exactly one completion,
 * policies when the queue is full, completion queues, pinned workers.
 *
 * Not offered, because the comparison does not use it: cancellation, deadlines, lanes, guarded
 * jobs, waits from inside a job.
 */
#ifndef BENCH_BASELINE_H
#define BENCH_BASELINE_H

#include <stddef.h>
#include <stdint.h>

struct base_pool;
struct base_worker;
struct base_cq;
struct base_task;

/* A link of the one queue, of a sleepers' list or of a completion queue. */
struct base_link {
	struct base_link *next, *prev;
};

typedef void base_task_fn(struct base_worker *worker, struct base_task *task);

/*
 * One task. It lies in the frame that spawned it and stays there until that frame has joined it.
 * Its fields are the pool's.
 */
struct base_task {
	struct base_link link; /* first: the queue holds links */
	base_task_fn *fn;      /* never NULL; tells a task from a job in the queue */
	uint32_t state;        /* enum in baseline.c */
	struct base_worker *joiner;
};

/*
 * Makes @task visible to every worker, newest at the tail. Callers: @worker's own thread, inside a
 * task.
 */
void base_spawn(struct base_worker *worker, struct base_task *task, base_task_fn *fn);

/*
 * Returns when @task has run: takes it back and runs it here if nobody has begun it, helps with
 * others or sleeps if somebody has.
 */
void base_join(struct base_worker *worker, struct base_task *task);

/*
 * Runs @task as one job of @pool and waits for its end. Callers: threads outside the pool. Returns
 * 0 or what base_submit returns.
 */
int base_run(struct base_pool *pool, struct base_task *task, base_task_fn *fn);

struct base_config {
	int workers;             /* at least 1 */
	const int *cpus;         /* one CPU for each worker; NULL: not pinned */
	uint32_t queue_capacity; /* jobs queued, not yet started; 0 = 4096 */
	/* jobs whose completion is not yet reaped; 0 = 4 x queue_capacity */
	uint32_t jobs_max;
	size_t stack_bytes; /* of each worker; 0 = 8 MiB */
	/* how often who waits looks before it sleeps; 0 = some 5 us long, -1 = not at all */
	int looks;
};

/*
 * Starts the workers. Returns 0, -EINVAL, -ENOMEM or what pthread_create says, negative; nothing is
 * left behind on failure.
 */
int base_pool_create(struct base_pool **pool, const struct base_config *config);

/* Waits until every accepted job is complete. Callers: threads outside the pool. */
void base_pool_drain(struct base_pool *pool);

/*
 * Drains, stops and frees. Nobody else may be inside a call on @pool; its completion queues must be
 * destroyed first.
 */
void base_pool_destroy(struct base_pool *pool);

typedef int base_job_fn(void *arg);

enum { BASE_BLOCK, BASE_TRY }; /* when the queue is full: wait for room, or -EAGAIN */
enum { BASE_DETACHED = 1 };    /* nobody reaps: the slot is freed when the job has ended */

struct base_submit {
	uint32_t when_full;
	uint32_t flags;
	struct base_cq *cq; /* where the completion goes; NULL: base_wait() */
};

struct base_completion {
	int64_t id;
	void *arg;
	int32_t status; /* what the job returned */
	int32_t worker;
};

/*
 * Queues a job; @how may be NULL. A submit from a worker ignores the capacity and never waits.
 * Returns its id (> 0), -EAGAIN (full, BASE_TRY), or -ENOBUFS at once when no slot or no room in
 * the completion queue is left.
 */
int64_t base_submit(
	struct base_pool *pool, base_job_fn *fn, void *arg, const struct base_submit *how);

struct base_job {
	base_job_fn *fn;
	void *arg;
};

/*
 * Queues @n jobs, as many under one hold of the lock as there is room for. Returns how many, or the
 * error of the first.
 */
int64_t base_submit_batch(struct base_pool *pool, const struct base_job *jobs, size_t n,
	const struct base_submit *how);

/*
 * Waits for job @id and reaps it. Returns 0, -ESRCH (unknown or already reaped), -EINVAL (detached,
 * or it has a completion queue).
 */
int base_wait(struct base_pool *pool, int64_t id, struct base_completion *out);

/* A completion queue for @capacity jobs that are not yet reaped. Returns 0, -EINVAL or -ENOMEM. */
int base_cq_create(struct base_cq **cq, struct base_pool *pool, uint32_t capacity);

/* Frees @cq. Returns 0, or -EBUSY while jobs are on their way to it. */
int base_cq_destroy(struct base_cq *cq);

/* Takes up to @n completions, oldest first; does not wait. Returns how many. */
int base_cq_reap(struct base_cq *cq, struct base_completion *out, size_t n);

/* As base_cq_reap(), but waits for the first one. */
int base_cq_wait(struct base_cq *cq, struct base_completion *out, size_t n);

/* What the pool did since it was made; for tests and for the curious. */
struct base_counts {
	uint64_t taken_back; /* joins that found their task still queued */
	uint64_t helped;     /* tasks run by a joiner while its own was elsewhere */
	uint64_t passed;     /* tasks run by a worker with an empty stack */
	uint64_t sleeps;     /* of workers */
	uint64_t wakes;      /* of workers, for new work */
	uint64_t blocked;    /* submits that waited for room */
};
void base_pool_counts(struct base_pool *pool, struct base_counts *out);

#endif
