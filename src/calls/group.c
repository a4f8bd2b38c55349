/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of jobs: created, bounded, waited for, cancelled, destroyed. See struct/group_word.h and
 * struct/groups.h for what a group is, core/group_wait.c for workers that wait for one.
 *
 * A submit into a group, in the order in which it takes things:
 *
 *   - room in the group, if its unfinished jobs are bounded: what waits for it has nothing yet
 *   - a slot, its credit, and room in the queue, as any submit
 *   - it counts its job as unfinished
 *   - admission, if the group bounds what runs: the job is active, or it is held, and the room in
 *     the queue goes back
 *
 * Admission comes last. A submit that waits for room in the queue must not be one of the active
 * jobs: those held behind it would wait for the queue, which a worker may be the one to empty that
 * waits for the group. Where the group seems full the queue is left out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <filch/group.h>

#include "base/import.h"
#include "calls/submit.h"
#include "core/fault.h"
#include "core/given.h"

#define GROUP_CONFIG_SIZE_V1 24 /* of the first release that has it; never changes */

/* --- create and destroy ------------------------------------------------- */

/* 0 or -ENOMEM: entries for the slots of the pool. */
static int make_entries(struct filchi_jobs *jobs)
{
	struct filchi_groups *none = NULL, *groups;

	if (filchi_load_acquire(&jobs->groups))
		return 0;
	groups = filchi_groups_make(jobs->slots);
	if (!groups)
		return -ENOMEM;
	if (!filchi_cas_acq_rel(&jobs->groups, &none, groups))
		filchi_groups_free(groups);
	return 0;
}

static struct filch_group *new_group(struct filch_pool *pool, const struct filch_group_config *as)
{
	struct filch_group *group = aligned_alloc(FILCH_CACHELINE, sizeof *group);

	if (!group)
		return NULL;
	memset((void *)group, 0, sizeof *group);
	group->pool = pool;
	group->fork_generation = pool->fork_generation;
	group->running_max = as->running_max;
	group->unfinished_max =
		as->unfinished_max < FILCHI_GROUP_MOST ? as->unfinished_max : FILCHI_GROUP_MOST;
	group->tell = filchi_abroad_has_group_room;
	if (filchi_group_init(group, pool->jobs.slots)) {
		free(group);
		return NULL;
	}
	return group;
}

int filch_group_create(
	struct filch_group **out, struct filch_pool *pool, const struct filch_group_config *config)
{
	struct filch_group_config as = FILCH_GROUP_INIT;
	struct filch_group *group;
	int error;

	if (!out)
		return -EINVAL;
	error = config ? filchi_import(&as, sizeof as, config, GROUP_CONFIG_SIZE_V1) : 0;
	if (!error && as.flags)
		error = -EINVAL;
	if (!error)
		error = filchi_given(&pool);
	if (error)
		return error;
	if (filchi_forked(pool))
		return -ECHILD;
	error = make_entries(&pool->jobs);
	if (error)
		return error;
	group = new_group(pool, &as);
	if (!group)
		return -ENOMEM;
	*out = group;
	return 0;
}

int filch_group_destroy(struct filch_group *group)
{
	int error;

	if (!group)
		return -EINVAL;
	if (filchi_forked_since(group->fork_generation))
		return -ECHILD;
	error = filchi_group_end(group);
	if (!error)
		free(group);
	return error;
}

/* --- room and admission ------------------------------------------------- */

int filchi_group_await_room(struct filch_pool *pool, const struct filch_submit *how)
{
	const struct timespec *deadline = how->when_full == FILCH_UNTIL ? how->deadline : NULL;
	struct filch_group *group = how->group;
	struct filchi_worker *w;
	int error;

	w = filchi_enter_alone(pool);
	if (w) {
		error = filchi_wait_group(w, group, true, deadline);
		filchi_caller_leave();
		return error;
	}
	if (filchi_caller_is_away(pool))
		return -EDEADLK;
	if (filchi_worker_self())
		return filchi_abroad_group_room(filchi_worker_self(), group, deadline);
	return filchi_group_sleep_for_room(group, &pool->closing, deadline);
}

int64_t filchi_group_hold(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now)
{
	const uint64_t s = filch_load_relaxed(&job->state); /* FREE, ours alone */
	const uint32_t slot = (uint32_t)(job - pool->jobs.slot);
	struct filchi_groups *groups = filchi_load_acquire(&pool->jobs.groups);
	pthread_mutex_t *admission = filchi_admission_of(groups, how->group);
	const int64_t id = job->id;

	pthread_mutex_lock(admission);
	if (filchi_admit(groups, how->group, slot)) {
		pthread_mutex_unlock(admission);
		return 0;
	}
	filchi_submit_fill(job, work, how, now);
	job->flags |= FILCHI_JOB_FOLLOWS;
	filchi_job_publish(job, FILCHI_JOB_WAITING, filchi_submit_flags(how));
	if (filchi_submit_adds(how)) /* before it can run */
		filchi_submit_add(pool, how, id);
	filchi_admission_hold(groups, how->group, slot, s, false);
	pthread_mutex_unlock(admission);
	FILCH_HOOK(group_held);
	/* S1 of submit.c, here too */
	if (filchi_fence_then_load_acquire(&pool->closing) &&
		filchi_job_claim_waiting(job, id, &pool->jobs)) {
		filchi_job_take_back(&pool->jobs, job);
		return -ESHUTDOWN;
	}
	filchi_abroad_changed(&pool->involved); /* the job has room that stays may wait for */
	return id;
}

/* The group is another's if the job is not the one that was meant: groups.h, admission. */
bool filchi_group_holds(struct filch_pool *pool, uint32_t slot, uint64_t s, bool failed)
{
	struct filchi_groups *groups = filchi_load_acquire(&pool->jobs.groups);
	struct filch_group *group = filchi_group_at(groups, slot);
	pthread_mutex_t *admission = filchi_admission_of(groups, group);
	bool holds = false;

	FILCH_HOOK(group_asked);
	pthread_mutex_lock(admission);
	if (filchi_after_waits(&pool->jobs.slot[slot].state, s) && group->running_max &&
		!filchi_admit(groups, group, slot)) {
		filchi_admission_hold(groups, group, slot, s, failed);
		holds = true;
	}
	pthread_mutex_unlock(admission);
	return holds;
}

void filchi_group_let_next(struct filchi_jobs *jobs, uint32_t slot)
{
	struct filchi_grouped next;

	if (!filchi_admission_leave(filchi_load_acquire(&jobs->groups), &slot, &next))
		return;
	FILCH_HOOK(group_lets_next);
	filchi_submit_ready(filchi_pool_of(jobs), slot, next.state, next.failed);
}

void filchi_group_slot_posted(struct filch_pool *pool, uint32_t slot)
{
	filchi_group_posted(pool, filchi_group_at(filchi_load_acquire(&pool->jobs.groups), slot));
}

/* --- wait and cancel ---------------------------------------------------- */

/* On a worker of another pool, as a client of the group's. */
static int wait_abroad(struct filch_group *group, const struct timespec *deadline)
{
	struct filch_pool *pool = group->pool;
	int error;

	if (filchi_caller_is_away(pool))
		return -EDEADLK;
	filchi_client_in(pool);
	pthread_cleanup_push(filchi_client_exited, pool);
	error = filchi_abroad_group(filchi_worker_self(), group, deadline);
	pthread_cleanup_pop(1);
	return error;
}

static int wait_unfinished(struct filch_group *group, const struct timespec *deadline)
{
	struct filch_pool *pool = group->pool;
	struct filchi_worker *w = filchi_worker_here(pool);
	int error;

	filchi_fault_touch(NULL, 0);
	if (filchi_group_is_here(group))
		return -EDEADLK;
	if (w)
		return filchi_wait_group(w, group, false, deadline);
	if (filchi_worker_self())
		return wait_abroad(group, deadline);
	w = filchi_caller_enter(pool);
	if (!w)
		return filchi_group_sleep(group, deadline);
	filchi_client_in(pool);
	error = filchi_wait_group(w, group, false, deadline);
	filchi_client_out(pool);
	filchi_caller_leave();
	return error;
}

int filch_group_wait(struct filch_group *group, const struct timespec *deadline)
{
	if (!group || !filchi_deadline_ok(deadline))
		return -EINVAL;
	if (filchi_forked_since(group->fork_generation))
		return -ECHILD;
	/* with none the pool may be gone */
	if (!filchi_group_unfinished(filchi_load_acquire(&group->word))) {
		filch_tsan_acquire(&group->word);
		return 0;
	}
	return wait_unfinished(group, deadline);
}

/* The id of the unfinished job in @job's slot, if it is of @group; or 0. */
static int64_t unfinished_in(
	struct filch_pool *pool, struct filchi_job *job, const struct filch_group *group)
{
	uint64_t s = filchi_load_acquire(&job->state);

	if (!(s & FILCHI_JOB_GROUPED) || !filchi_job_is_pending(s) ||
		filchi_group_at(filchi_load_acquire(&pool->jobs.groups),
			(uint32_t)(job - pool->jobs.slot)) != group)
		return 0;
	return filchi_job_id_of(&pool->jobs, job, s);
}

/* As filchi_pool_cancel_all(): what has not started first. */
int filch_group_cancel(struct filch_group *group)
{
	struct filch_pool *pool;
	uint32_t begun;

	if (!group)
		return -EINVAL;
	if (filchi_forked_since(group->fork_generation))
		return -ECHILD;
	if (!filchi_group_unfinished(filchi_load_acquire(&group->word)))
		return 0;
	pool = group->pool;
	filchi_fault_touch(NULL, 0);
	begun = filchi_jobs_begun(&pool->jobs);
	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; (i = filchi_group_next(group, i, begun)) < begun; i++) {
			struct filchi_job *job = &pool->jobs.slot[i];
			int64_t id = unfinished_in(pool, job, group);

			if (!id)
				continue;
			if (pass == 0)
				(void)filchi_cancel_queued(pool, job, id);
			else
				(void)filchi_job_flag(&pool->jobs, job, id, FILCHI_JOB_CANCEL);
			if (filchi_forked(pool))
				return -ECHILD; /* in its callback */
		}
	}
	return 0;
}
