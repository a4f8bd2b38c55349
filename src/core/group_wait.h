/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that wait for a group of jobs: see group_wait.c. */
#ifndef FILCHI_GROUP_WAIT_H
#define FILCHI_GROUP_WAIT_H

#include "core/abroad.h"

/*
 * Worker @w of the group's pool: runs jobs of the group, and waits for those that run, until none
 * is unfinished; @for_room: until there is room for one more, which it takes. 0, or:
 *
 *   -ETIMEDOUT  @deadline has passed; no further job was begun since
 *   -EDEADLK    what is unfinished waits for jobs outside of the group, or is queued and cannot be
 *               run here, as of filchi_wait_job()
 *   -ESHUTDOWN  @for_room: the pool is closing
 *   -ECHILD     a job that ran here has forked
 */
int filchi_wait_group(struct filchi_worker *w, struct filch_group *group, bool for_room,
	const struct timespec *deadline);

/*
 * Worker @w of another pool: waits until none is unfinished. As filchi_abroad_wait(), of kind WAIT.
 */
int filchi_abroad_group(
	struct filchi_worker *w, struct filch_group *group, const struct timespec *deadline);

/*
 * The same until there is room, which it takes: 0, -ETIMEDOUT, -ESHUTDOWN, -ECHILD. Never -EDEADLK:
 * a job that makes room may have its end from outside.
 */
int filchi_abroad_group_room(
	struct filchi_worker *w, struct filch_group *group, const struct timespec *deadline);

/* Any thread: there is room, and such a wait may sleep; it is filch_group.tell. */
void filchi_abroad_has_group_room(struct filch_group *group);

/* Whether a job of the group, or its callback, is on the calling thread's stack, or due there. */
bool filchi_group_is_here(struct filch_group *group);

/*
 * Any thread, a full fence after it has queued a job of @group, which is only compared: workers
 * that wait for the group hear of it. And the job has room in the group.
 */
FILCH_COLD void filchi_group_tell(struct filch_pool *pool, const struct filch_group *group);

static inline void filchi_group_posted(struct filch_pool *pool, const struct filch_group *group)
{
	if (FILCH_UNLIKELY(filchi_rmw_fence_then_load_acquire(&pool->group_waits)))
		filchi_group_tell(pool, group);
	filchi_abroad_changed(&pool->involved);
}

/* The thread of the worker has been given up, and its waits with it. */
void filchi_group_wait_lost(struct filchi_worker *w);

#endif
