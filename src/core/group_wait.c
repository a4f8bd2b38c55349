/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker does while it waits for a group of jobs.
 *
 * It looks for an unfinished job of the group, in its slots, and waits for that one as filch_wait()
 * does: one that is queued it runs on top, for one that runs it sleeps. Then it looks for the next.
 * Jobs that can be run here come first.
 *
 * It may sleep for a job that runs while another of the group is queued, and nobody else is there
 * to run that. So whoever queues a job of a group tells the workers that wait for this group, and
 * they look again. What tells them is a count of news, which is read before the slots are.
 *
 * Jobs that wait for others are none to wait for: those others are not run here unless they are of
 * the group. If nothing else is left the wait is refused. That must not be said of a job which is
 * about to be made ready by one of the group that has ended just now. Such a one is still counted,
 * and not found any more. So: all that are counted were found waiting, and none has ended between.
 */
#include "core/group_wait.h"

#include "core/await.h"
#include "core/fault.h"
#include "core/stays.h"

#include <errno.h>
#include <sched.h>

/* Of how much use it is to wait for a job: the best one first. */
enum use { NONE, WAITS_FOR_OTHERS, CANNOT_RUN_HERE, RUNS, CAN_RUN_HERE };

/* What a look at the slots has found. */
struct found {
	enum use use;
	struct filchi_job *job;
	int64_t id;
	uint32_t waiting; /* how many wait for others */
};

static bool is_of(
	struct filchi_jobs *jobs, const struct filchi_job *job, const struct filch_group *group)
{
	struct filchi_groups *groups = filchi_load_acquire(&jobs->groups);

	return groups && filchi_group_at(groups, (uint32_t)(job - jobs->slot)) == group;
}

/* A state word in which the job is unfinished, and of the group; or 0. */
static uint64_t state_in(
	struct filchi_jobs *jobs, struct filchi_job *job, const struct filch_group *group)
{
	uint64_t s = filchi_load_acquire(&job->state), first = s;

	if (!(s & FILCHI_JOB_GROUPED) || !filchi_job_is_pending(s) || !is_of(jobs, job, group))
		return 0;
	s = filchi_load_acquire(&job->state); /* and it was of the group all the time */
	return filchi_job_is_pending(s) && FILCHI_JOB_GENERATION(s) == FILCHI_JOB_GENERATION(first)
		       ? s
		       : 0;
}

static enum use use_of(uint64_t s, bool can_run)
{
	switch (FILCHI_JOB_STATE(s)) {
	case FILCHI_JOB_QUEUED:
		return can_run && !(s & FILCHI_JOB_GUARDED) ? CAN_RUN_HERE : CANNOT_RUN_HERE;
	case FILCHI_JOB_WAITING:
		return WAITS_FOR_OTHERS;
	default:
		return RUNS;
	}
}

/* Looks at the group's slots in [@from, @to), or until one can be run here. */
static void look_from(struct found *best, struct filchi_jobs *jobs, const struct filch_group *group,
	bool can_run, uint32_t from, uint32_t to)
{
	for (; best->use != CAN_RUN_HERE && (from = filchi_group_next(group, from, to)) < to;
		from++) {
		struct filchi_job *job = &jobs->slot[from];
		uint64_t s = state_in(jobs, job, group);
		enum use use = s ? use_of(s, can_run) : NONE;

		best->waiting += use == WAITS_FOR_OTHERS;
		if (use <= best->use)
			continue;
		best->use = use;
		best->job = job;
		best->id = filchi_job_id_of(jobs, job, s);
	}
}

/* The same at all of them, from *@cursor on. */
static struct found look(
	struct filchi_jobs *jobs, const struct filch_group *group, bool can_run, uint32_t *cursor)
{
	const uint32_t begun = filchi_jobs_begun(jobs);
	struct found best = { .use = NONE };

	look_from(&best, jobs, group, can_run, *cursor, begun);
	look_from(&best, jobs, group, can_run, 0, *cursor);
	if (best.use == CAN_RUN_HERE)
		*cursor = (uint32_t)(best.job - jobs->slot);
	return best;
}

/* A wait of a worker, of the group's pool or another. */
struct group_wait {
	struct filchi_worker *w;
	struct filch_group *group;
	const struct timespec *deadline;
	bool for_room;
	uint32_t cursor;
};

static bool is_over(struct group_wait *me)
{
	struct filch_group *group = me->group;

	if (me->for_room)
		return filchi_group_room(group, 1, false);
	if (filchi_group_unfinished(filchi_load_acquire(&group->word)))
		return false;
	filch_tsan_acquire(&group->word);
	return true;
}

/*
 * A job that is worth to be waited for. False: there is none just now, but will be; a submit is
 * about to publish one, or a job that ends is about to make one ready.
 */
static bool find(struct group_wait *me, struct found *found, bool can_run)
{
	uint64_t before = filchi_load_acquire(&me->group->word), after;

	*found = look(&me->group->pool->jobs, me->group, can_run, &me->cursor);
	after = filchi_load_acquire(&me->group->word);
	FILCH_HOOK(group_looked);
	return found->use > WAITS_FOR_OTHERS ||
	       (found->use == WAITS_FOR_OTHERS &&
		       filchi_group_ends(before) == filchi_group_ends(after) &&
		       filchi_group_unfinished(after) == found->waiting);
}

/* One step of a wait that is not over: 0, or the error that ends it. */
static int step(struct group_wait *me)
{
	struct filchi_worker *w = me->w;
	struct filch_pool *pool = me->group->pool;
	const bool is_ours = w->pool == pool;
	uint32_t news = filchi_load_acquire(&w->group_news);
	struct found found;

	if (me->for_room && filchi_load_acquire(&pool->closing))
		return -ESHUTDOWN;
	if (filchi_deadline_passed(me->deadline))
		return -ETIMEDOUT;
	if (!find(me, &found, is_ours && filchi_worker_has_stack(w))) {
		sched_yield();
		return 0;
	}
	if (found.use == CAN_RUN_HERE) {
		/* where another worker has been faster, it looks for the next */
		filchi_run_one_of(w, found.job, found.id);
		return 0;
	}
	if (is_ours)
		return filchi_wait_one_of(w, found.job, found.id, me->deadline, news);
	return filchi_abroad_wait(w, pool, found.job, found.id, me->deadline, FILCHI_STAY_WAIT);
}

static int wait_for(struct group_wait *me)
{
	struct filch_pool *own = me->w->pool;
	int error = 0;

	while (!is_over(me)) {
		if (error)
			return error;
		error = step(me);
		if (filchi_forked(own))
			return -ECHILD;
	}
	return 0;
}

int filchi_wait_group(struct filchi_worker *w, struct filch_group *group, bool for_room,
	const struct timespec *deadline)
{
	struct group_wait me = {
		.w = w, .group = group, .for_room = for_room, .deadline = deadline
	};
	const uint64_t outer = filch_load_relaxed(&w->group);
	struct filch_pool *pool = w->pool;
	uint32_t user = filchi_fault_off(w);
	int error;

	filchi_store_release(&w->group, (uint64_t)(uintptr_t)group);
	/*
	 * FENCE G3   count the wait -> look at the slots   pairs with: I3 of the submit
	 * Ensures:   a submit sees that a worker waits for its group, or that one sees the job.
	 * Without:   the worker sleeps for another job, and nobody may be there to run the queued
	 *            one.
	 * Weaker?    no: store->load; the read-modify-write is the fence.
	 * Checked:   tests/stress/groups.c, one worker that waits beside jobs with deferred ends
	 */
	if (!outer)
		(void)filchi_fetch_add_seq_cst(&pool->group_waits, 1);
	(void)filchi_rmw_fence_then_load_acquire(&pool->group_waits);
	error = wait_for(&me);
	if (error == -ECHILD)
		return error;
	filchi_store_release(&w->group, outer);
	if (!outer)
		(void)filchi_fetch_sub_seq_cst(&pool->group_waits, 1);
	filchi_fault_on(w, user);
	return error;
}

int filchi_abroad_group(
	struct filchi_worker *w, struct filch_group *group, const struct timespec *deadline)
{
	struct group_wait me = { .w = w, .group = group, .deadline = deadline };

	return wait_for(&me);
}

void filchi_group_tell(struct filch_pool *pool, const struct filch_group *group)
{
	for (uint32_t i = 0; i < pool->running; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);

		if (filchi_load_acquire(&w->group) != (uint64_t)(uintptr_t)group)
			continue;
		/* I5 and I2: the sleeper sees the news in its last look, or is seen asleep */
		(void)filchi_fetch_add_seq_cst(&w->group_news, 1);
		(void)filchi_worker_wake(pool, w);
	}
}

void filchi_group_wait_lost(struct filchi_worker *w)
{
	if (!filch_load_relaxed(&w->group))
		return;
	filchi_store_release(&w->group, 0);
	(void)filchi_fetch_sub_seq_cst(&w->pool->group_waits, 1);
}

/* --- a job that waits for its own group -------------------------------- */

static bool is_unfinished_in(
	struct filchi_jobs *jobs, struct filchi_job *job, const struct filch_group *group)
{
	return filch_load_relaxed(&job->state) & FILCHI_JOB_GROUPED && is_of(jobs, job, group);
}

bool filchi_group_is_here(struct filch_group *group)
{
	struct filchi_jobs *jobs = &group->pool->jobs;
	struct filchi_worker *w = filchi_worker_self();
	uint32_t depth = w && w->pool == group->pool ? filch_load_relaxed(&w->deque.depth) : 0;

	while (depth--) {
		struct filchi_team *team = filch_load_relaxed(&w->deque.segment[depth].team);

		if (team && is_unfinished_in(jobs, filchi_job_of(team), group))
			return true;
	}
	for (struct filchi_context *c = filchi_this_thread.context; c; c = c->outer) {
		const struct filchi_job_context *of = (void *)c;

		if (c->kind == FILCHI_CONTEXT_WORK || of->jobs != jobs)
			continue;
		if (is_unfinished_in(jobs, of->job, group))
			return true;
		if (c->kind != FILCHI_CONTEXT_CALLBACK)
			continue;
		for (struct filchi_job *job = of->due; job; job = filch_load_relaxed(&job->after))
			if (is_unfinished_in(jobs, job, group))
				return true;
	}
	return false;
}

/* --- room --------------------------------------------------------------- */

static bool has_room(void *group)
{
	return filchi_group_has_room(group);
}

static bool take(void *group, uint32_t *unused)
{
	(void)unused;
	return filchi_group_room(group, 1, false);
}

/* No reader: what makes room is the end of a job, which takes it as long as it takes. */
static bool may_come(void *unused)
{
	(void)unused;
	return false;
}

static bool is_held_by(void *group, struct filch_pool *pool, struct filchi_job *job)
{
	return filchi_load_acquire(&job->state) & FILCHI_JOB_GROUPED &&
	       is_of(&pool->jobs, job, group);
}

static void block_exited(void *arg)
{
	struct filch_group *group = arg;

	if (!filchi_forked_since(group->fork_generation))
		filchi_group_block_end(group);
}

int filchi_abroad_group_room(
	struct filchi_worker *w, struct filch_group *group, const struct timespec *deadline)
{
	const struct filchi_source source = { .of = group,
		.awaited = &group->abroad,
		.is_there = has_room,
		.may_come = may_come,
		.take = take,
		.is_held_by = is_held_by,
		.size = group->unfinished_max,
		.pool = group->pool };
	int error;

	/* a job that runs on top may leave the thread */
	filchi_group_block_begin(group);
	pthread_cleanup_push(block_exited, group);
	/*
	 * FENCE G2   count the stay -> look for room   pairs with: G1 in filchi_group_over()
	 * Ensures, without: see G1.
	 * Weaker?    no: store->load; the read-modify-write of link_in() in abroad.c is the fence.
	 * Checked:   tests/stress/groups.c, submits by workers of another pool
	 */
	error = filchi_abroad_source(w, group->pool, &source, NULL, deadline, NULL);
	pthread_cleanup_pop(0);
	if (error != -ECHILD)
		filchi_group_block_end(group);
	return error;
}

void filchi_abroad_has_group_room(struct filch_group *group)
{
	filchi_abroad_has_some(group);
}
