/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: finding work, running it, searching, parking. The rules of the stack are kept here and in wait.c:
 *
 *   - a worker with an empty stack takes jobs and steals from anyone (filchi_want.any);
 *   - a worker with a suspended frame takes only tasks of the jobs its wait names;
 *   - one with little stack left takes nothing more.
 */
#ifndef FILCHI_WORKER_H
#define FILCHI_WORKER_H

#include "linger.h"

/* The calling thread's worker, or NULL. */
struct filchi_worker *filchi_worker_self(void);
void filchi_worker_set_self(struct filchi_worker *w);

/*
 * The jobs that FILCH_CALLER_RUNS runs on this thread, which is no worker of their pools: entries in its frames, innermost first.
 * They nest when such a job submits to another pool, and an entry with no job hides those below it while work of the thread's own
 * pool runs on top of them. Each enter() ends with a leave() of the same entry.
 */
struct filchi_foreign {
	struct filchi_job *job;
	struct filch_pool *pool; /* whose job it is */
	const struct filchi_foreign *outer;
};
void filchi_foreign_enter(struct filchi_foreign *here, struct filchi_job *job);
void filchi_foreign_leave(const struct filchi_foreign *here);
const struct filchi_foreign *filchi_foreign_here(void);

/* The thread's frames are gone, or will not be gone on with: it has no entries any more. Returns what it had. */
const struct filchi_foreign *filchi_foreign_forget(void);

/* The owner, before it works: makes its deque. False: no memory. */
bool filchi_worker_make_deque(struct filchi_worker *w);

/* The owner: works until the pool stops. */
void filchi_worker_work(struct filchi_worker *w);

/* Any thread: completes an aborted job that all workers have left. @job was the caller's by filchi_crew_leave(). */
void filchi_worker_deliver(struct filch_pool *pool, struct filchi_job *job);

/* The same for a job that its submitter ran, and that will not return: as after pthread_exit(). */
void filchi_worker_abandon(struct filch_pool *pool, struct filchi_job *job);

/*
 * Worker: looks at its own deque and at every other, nearest first, for a task that @want allows, and runs one; @first >= 0 names a
 * worker to try before all others. True if one was run.
 */
bool filchi_worker_help(struct filchi_worker *w, const struct filchi_want *want, int first);

/* Worker: runs a job that is RUNNING and the worker's; completes it. @nested: on top of a frame that waits for it. */
void filchi_worker_run_job(struct filchi_worker *w, struct filchi_job *job, bool nested);

/* Worker with an empty stack that is no searcher: runs the next queued job; false if there is none. */
bool filchi_worker_run_one(struct filchi_worker *w);

/*
 * Worker: the last steps before it may sleep, after filchi_idle_prepare(): raises ask at every deque, passes the heavy fence, and
 * looks at everything once more. True: there is something it may run, or the pool stops.
 */
bool filchi_worker_look_again(struct filchi_worker *w, const struct filchi_want *want);

/* Worker: whether a stolen task or an awaited job may be started on top of the present frames. */
static inline bool filchi_worker_has_stack(const struct filchi_worker *w)
{
	return (uintptr_t)__builtin_frame_address(0) > w->stack_low && (!w->shift || w->shift->parts < FILCHI_PARTS);
}

/* Any thread: wakes this worker if it sleeps. */
bool filchi_worker_wake(struct filch_pool *pool, struct filchi_worker *w);

/* Worker: it has slept as a bound one and leaves its wait; a wake-up it was given for a task goes to the next who may run it. */
void filchi_worker_pass_on(struct filchi_worker *w);

/*
 * Any thread: a job was put into the injector; wakes one free worker unless a searcher is on its way. Passes a full fence. True if it
 * woke one.
 */
bool filchi_worker_posted(struct filch_pool *pool);

/* Any thread: job @id is complete and a worker may be parked for it. */
void filchi_worker_job_done(struct filch_pool *pool, int64_t id);

#endif
