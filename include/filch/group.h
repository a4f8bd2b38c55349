/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: a set of jobs of one pool, to bound, wait for and cancel together.
 *
 *     struct filch_group *group;
 *     struct filch_group_config config = FILCH_GROUP_INIT;
 *     struct filch_submit how = FILCH_SUBMIT_INIT;
 *
 *     config.unfinished_max = 100;
 *     filch_group_create(&group, pool, &config);
 *     how.group = group;
 *     how.flags = FILCH_JOB_DETACHED;
 *     while (read(&item))
 *             filch_submit(pool, work, item, &how);       waits while 100 are unfinished
 *     filch_group_wait(group, NULL);
 *
 * A job is one of the group if filch_submit.group says so. It is unfinished from its submit until
 * it is complete, its callback has returned or its completion is in its queue. A completion may be
 * seen a moment before its job has left the group. How a job is submitted otherwise is free:
 * detached, with an id, a queue or a callback, in a batch, after others, guarded, deferred. Any job
 * may submit into a group, also one of that group.
 *
 * Two bounds, which may be set each or both:
 *
 *   unfinished_max  so many jobs may be unfinished. A submit beyond that waits, or not, as
 *                   when_full says: FILCH_BLOCK, FILCH_TRY, FILCH_UNTIL, FILCH_CALLER_RUNS. A
 *                   submit that must not wait, by a worker of the pool or by a job of the group,
 *                   goes beyond the bound.
 *   running_max     so many jobs are queued or run. Those beyond it are accepted and held, in the
 *                   order of their submits, and take no room in the pool's queue. It is never
 *                   passed. With 1 the jobs of a group run one after the other, on any worker.
 *                   One that comes after others takes its place when these are complete.
 */
#ifndef FILCH_GROUP_H
#define FILCH_GROUP_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "detail/words.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;
struct filch_group;

/* size as in struct filch_config: set it before the call, as FILCH_GROUP_INIT does. */
struct filch_group_config {
	size_t size;
	uint64_t flags;          /* none yet */
	uint32_t running_max;    /* 0 = no bound */
	uint32_t unfinished_max; /* 0 = no bound; more than 2^23 - 1 are so many */
};
#define FILCH_GROUP_INIT FILCH_SIZED(struct filch_group_config)

/*
 * Makes a group of jobs of @pool, as @config says; NULL: no bounds.
 *
 * Callers:  any thread; a NULL pool is as in pool.h.
 * Progress: allocates; the first group of a pool also what the pool needs for groups.
 * Lifetime: until filch_group_destroy(). The pool may go first, as soon as its jobs are over.
 * Returns:  0. Errors:
 *           -EINVAL  NULL; an unknown flag; a config that is too short.
 *           -E2BIG   a newer struct that sets unknown fields.
 *           -ENOMEM
 *           -ECHILD  after fork().
 *           With a NULL pool also why there is no default pool, as filch_pool_create().
 */
FILCH_API int filch_group_create(struct filch_group **group, struct filch_pool *pool,
	const struct filch_group_config *config) FILCH_MUST_CHECK;

/*
 * Frees a group. Wait for it before: jobs whose completions were seen may be about to leave it.
 *
 * Callers:  any thread. No other call with the group may run, a submit included, or follow a 0.
 * Progress: does not wait for jobs.
 * Lifetime: the group is gone after a 0. Its jobs, which are over, may still be reaped.
 * Returns:  0. Errors:
 *           -EBUSY   jobs of it are unfinished, or a thread sleeps in filch_group_wait() or waits
 *                    for room in it. Nothing has happened.
 *           -EINVAL  NULL.
 *           -ECHILD  after fork().
 */
FILCH_API int filch_group_destroy(struct filch_group *group) FILCH_MUST_CHECK;

/*
 * Waits until no job of the group is unfinished. Nothing is reaped: an id is waited for as ever.
 *
 * Callers:  any thread, several at once. A worker of the pool runs jobs of the group that are
 *           queued, and tasks of those and of its own job, and parks while there are none. A worker
 *           of another pool may run jobs of its own pool for which others wait: see docs/jobs.md.
 * Progress: blocks until there is a moment at which none is unfinished, or the deadline has passed;
 *           signals do not end it. On a worker the deadline bounds looking and sleeping, and what
 *           is begun, not the work run meanwhile. Jobs that are submitted meanwhile are waited for
 *           as well.
 * Ordering: what the jobs have written is visible afterwards.
 * Lifetime: the group's.
 * Returns:  0. Errors:
 *           -ETIMEDOUT  the deadline has passed.
 *           -EINVAL     NULL; a deadline that is no time.
 *           -EDEADLK    a job of the group waits for it, or a callback of one.
 *           -EDEADLK    on a worker: what is unfinished is queued and cannot be run here, for want
 *                       of stack or because it is guarded, as with filch_wait(); or waits for jobs
 *                       that are not of the group, and are not run here.
 *           -EDEADLK    the pool's one worker is the calling thread, which works for another pool.
 *           -EDEADLK    on a worker: all workers of the pools that wait for each other wait, and
 *                       none can go on; of the group's own pool only if that is one of them.
 *           -ECHILD     after fork().
 */
FILCH_API int filch_group_wait(
	struct filch_group *group, const struct timespec *deadline) FILCH_MUST_CHECK;

/*
 * Cancels each job of the group that is unfinished now, as filch_cancel(): what has not started
 * completes with -ECANCELED, of what runs the flag is raised. A job that is submitted later, or
 * meanwhile, is accepted.
 *
 * Callers:  any thread, jobs of the group included.
 * Progress: looks at all slots that the pool has used; lock-free but for wakes, and for the group's
 *           list of jobs that are held. Callbacks run here, as in filch_cancel().
 * Ordering: as filch_cancel().
 * Lifetime: the group's, which goes on.
 * Returns:  0; -EINVAL (NULL), -ECHILD (after fork()).
 */
FILCH_API int filch_group_cancel(struct filch_group *group);

FILCH_EXTERN_C_END

#endif
