/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public job calls: getting work into a pool from outside, and waiting for it there.
 *
 * A submit:
 *
 *   - takes a slot, then room in the queue
 *   - fills the slot, publishes it, and puts its number into the SCQ
 *   - passes a full fence
 *   - looks whether a worker must be woken (idle.h), and whether the pool has begun to close
 *
 * The last look and the closer's scan of the slots are a Dekker pair. Either the closer sees the
 * job, and completes it; or the submitter sees the closing flag, and takes the job back.
 */
#include "calls/submit.h"

#include "base/import.h"
#include "core/fault.h"
#include "core/given.h"
#include "core/trace_events.h"
#include "struct/credit.h"
#include "struct/names.h"

#include <errno.h>
#include <sched.h>

/* --- submit ----------------------------------------------------------- */

#define SUBMIT_SIZE_V1 64 /* of the first release; never changes */

/* Whether each field is one that this library knows. */
static bool known(const struct filch_submit *how)
{
	return !(how->flags & ~(FILCH_JOB_DETACHED | FILCH_JOB_GUARD | FILCH_JOB_FREE |
				      FILCH_JOB_WAIT_CQ | FILCH_JOB_AFTER_ANY)) &&
	       how->when_full <= FILCH_CALLER_RUNS && how->lane < FILCH_LANES &&
	       filchi_deadline_ok(how->deadline) && filchi_deadline_ok(how->start_by) &&
	       filchi_deadline_ok(how->finish_by);
}

/* Whether the fields go together, in this pool. */
static bool consistent(const struct filch_pool *pool, const struct filch_submit *how)
{
	if (how->when_full == FILCH_UNTIL && !how->deadline)
		return false;
	if (how->flags & FILCH_JOB_WAIT_CQ && !how->cq)
		return false;
	if (how->after_count && !how->after)
		return false;
	/* a completion goes to one place */
	if ((how->flags & FILCH_JOB_DETACHED) + (how->on_complete != NULL) + (how->cq != NULL) > 1)
		return false;
	if (how->when_full == FILCH_CALLER_RUNS && !filchi_may_run_inline(pool))
		return false;
	if (FILCH_UNLIKELY(how->group != NULL) && how->group->pool != pool)
		return false;
	return !(how->flags & FILCH_JOB_GUARD) ||
	       (pool->guards && how->when_full != FILCH_CALLER_RUNS);
}

/* Of a program that is older or newer. */
FILCH_COLD static int import_other(struct filch_submit *to, const struct filch_submit *how)
{
	*to = (struct filch_submit)FILCH_SUBMIT_INIT;
	return filchi_import(to, sizeof *to, how, SUBMIT_SIZE_V1);
}

FILCH_INLINE int import(
	const struct filch_pool *pool, struct filch_submit *to, const struct filch_submit *how)
{
	int error;

	if (FILCH_UNLIKELY(!filchi_import_whole(to, sizeof *to, how))) {
		error = import_other(to, how);
		if (error)
			return error;
	}
	if (!known(to) || !consistent(pool, to))
		return -EINVAL;
	if (FILCH_UNLIKELY(to->after_count != 0) && !filchi_after_known(pool, to))
		return -ESRCH;
	return to->cq && filchi_cq_forked(to->cq) ? -ECHILD : 0;
}

int filchi_submit_import(
	const struct filch_pool *pool, struct filch_submit *to, const struct filch_submit *how)
{
	if (filchi_forked(pool))
		return -ECHILD;
	if (how)
		return import(pool, to, how);
	*to = (struct filch_submit)FILCH_SUBMIT_INIT;
	return 0;
}

void filchi_submit_fill(struct filchi_job *job, const struct filchi_work *work,
	const struct filch_submit *how, uint64_t now)
{
	const uint64_t finish_by = filchi_nanoseconds(how->finish_by);

	if (work->fn) {
		filch_store_relaxed(&job->fn, work->fn);
		filch_store_relaxed(&job->arg, work->arg);
		job->flags = (uint32_t)how->flags;
	} else {
		filch_store_relaxed(&job->thunk, work->thunk);
		filch_store_relaxed(&job->task, work->task);
		job->flags = (uint32_t)how->flags | FILCHI_JOB_TASK;
	}
	filch_store_relaxed(&job->user, work->user);
	job->on_complete = how->on_complete;
	job->start_by = filchi_nanoseconds(how->start_by);
	if (finish_by && (!job->start_by || job->start_by > finish_by))
		job->start_by = finish_by;
	/*
	 * filch_pool_lane_stats() and looks for a standstill read these, whatever becomes of the
	 * slot; releases, so that they then see the slot to be another job's
	 */
	filchi_store_release(&job->finish_by, finish_by);
	filchi_store_release(&job->queued_at, now);
	filch_store_release(&job->lane, (uint8_t)how->lane);
	filch_store_relaxed(&job->started_at, 0);
	job->ended_at = 0;
	job->status = 0;
	job->worker = -1;
}

uint64_t filchi_submit_flags(const struct filch_submit *how)
{
	return (how->cq || how->on_complete || how->flags & FILCH_JOB_DETACHED ? FILCHI_JOB_NOBODY
									       : 0) |
	       (how->flags & FILCH_JOB_GUARD ? FILCHI_JOB_GUARDED : 0);
}

bool filchi_submit_ignores_full(const struct filch_pool *pool, const struct filch_submit *how)
{
	const struct filchi_worker *w = filchi_worker_here(pool);

	return w && (how->when_full != FILCH_CALLER_RUNS || !filchi_worker_has_stack(w));
}

uint64_t filchi_submit_time(const struct filch_submit *how)
{
	return how->flags & FILCH_JOB_DETACHED && !how->start_by && !how->finish_by
		       ? filchi_now_coarse()
		       : filchi_now();
}

static void late_at(struct filch_pool *pool, const struct filch_submit *how, int64_t id)
{
	/* nothing of the slot, which a pool that closes may have given to another job */
	const uint32_t slot = (uint32_t)(filchi_job_find(&pool->jobs, id) - pool->jobs.slot);
	const uint64_t at = filchi_nanoseconds(how->finish_by);
	struct filchi_timer *timer = filchi_load_acquire(&pool->timer);

	pthread_mutex_lock(&timer->lock);
	if (filchi_deadlines_set(&timer->deadlines, slot, id, at))
		pthread_cond_signal(&timer->change);
	pthread_mutex_unlock(&timer->lock);
}

void filchi_submit_add(struct filch_pool *pool, const struct filch_submit *how, int64_t id)
{
	if (how->name)
		filchi_name_set(&pool->jobs, id, how->name);
	if (how->finish_by)
		late_at(pool, how, id);
}

void filchi_complete(struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	uint64_t told;

	job->ended_at = filchi_now();
	told = filchi_job_complete(&pool->jobs, job);
	if (told & FILCHI_JOB_FOR_WORKER)
		filchi_worker_job_done(pool, id);
	if (told != FILCHI_JOB_IN_CHILD)
		filchi_abroad_changed(&pool->involved);
}

/*
 * If the one worker there is is the submitter itself (FILCH_POOL_CALLER), it makes the room that it
 * waits for. Between two jobs it looks at what else may end the wait. Returns 0 (admitted),
 * -ETIMEDOUT, -ESHUTDOWN, -ECHILD, or -EPERM: another thread can make room.
 */
static int make_room(struct filch_pool *pool, const struct timespec *deadline)
{
	struct filchi_worker *w = filchi_enter_alone(pool);
	int error = 0;

	if (!w)
		return -EPERM;
	while (!error && !filchi_injector_admit(&pool->injector, false)) {
		if (filchi_load_acquire(&pool->closing))
			error = -ESHUTDOWN;
		else if (filchi_deadline_passed(deadline))
			error = -ETIMEDOUT;
		else if (!filchi_worker_run_one(w))
			/* a submitter has been admitted and is about to put its job */
			sched_yield();
		if (filchi_forked(pool)) /* in that job */
			error = -ECHILD;
	}
	filchi_caller_leave();
	return error;
}

/*
 * Room in the queue for @job: 0, with *@here set if it is to be run by the submitter; or the
 * policy's error.
 */
static int find_room(
	struct filch_pool *pool, struct filchi_job *job, const struct filch_submit *how, bool *here)
{
	const struct timespec *deadline = how->when_full == FILCH_UNTIL ? how->deadline : NULL;
	int error;

	switch (how->when_full) {
	case FILCH_TRY:
		return -EAGAIN;
	case FILCH_CALLER_RUNS:
		*here = true;
		return 0;
	default:
		error = make_room(pool, deadline);
		if (error != -EPERM)
			return error;
		if (filchi_caller_is_away(pool))
			return -EDEADLK;
		if (filchi_worker_self())
			return filchi_abroad_room(filchi_worker_self(), pool, deadline, job);
		return filchi_outside_room(pool, deadline, job);
	}
}

/* post(), for a job of no group, or one that its group does not hold. */
static int64_t post_plain(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now, bool here)
{
	int64_t id = job->id;

	filchi_submit_fill(job, work, how, now);
	filchi_job_publish(job, here ? FILCHI_JOB_RUNNING : FILCHI_JOB_QUEUED,
		filchi_submit_flags(how) | (work->fn ? 0 : FILCHI_JOB_OF_TASK));
	if (FILCH_UNLIKELY(filchi_submit_adds(how)))
		filchi_submit_add(pool, how, id);
	FILCH_HOOK(submit_published);
	if (here) {
		/*
		 * S1 below, here too: the closer waits for a job that runs, or we see that the pool
		 * is closing, and do not start it
		 */
		if (filchi_fence_then_load_acquire(&pool->closing)) {
			filchi_job_take_back(&pool->jobs, job);
			return -ESHUTDOWN;
		}
		filchi_run_inline(pool, job);
		return filchi_forked(pool) ? -ECHILD : id;
	}
	filchi_trace(pool, QUEUED, (uint64_t)id, 0);
	FILCHI_PROBE(queued, pool, id);
	filchi_injector_put(&pool->injector, how->lane, (uint32_t)(job - pool->jobs.slot));
	FILCH_HOOK(submit_put);
	/*
	 * FENCE S1   publish the job -> read closing        pairs with: S2 in filchi_pool_close()
	 * Ensures:   the closer's scan sees the job, or the submitter sees that the pool is
	 *            closing.
	 * Without:   a job is accepted by a pool that will never run it.
	 * Weaker?    no: store->load. The fence is I3's, in filchi_worker_posted().
	 * Checked:   tests/stress/shutdown.c
	 */
	if (filchi_worker_posted(pool))
		filchi_client_woke_for(id);
	FILCH_HOOK(submit_announced);
	if (filchi_load_acquire(&pool->closing) && filchi_job_withdraw(&pool->jobs, job, id)) {
		filchi_abroad_release(pool);
		return -ESHUTDOWN;
	}
	return id;
}

/* The same for a job of a group; @room: it has been admitted to the queue. */
FILCH_COLD static int64_t post_grouped(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now, bool here,
	bool room)
{
	int64_t id;

	filchi_group_begin(&how->group->word, 1);
	FILCH_HOOK(group_begun);
	if (how->group->running_max) {
		id = filchi_group_hold(pool, job, work, how, now);
		if (id) {
			if (room)
				filchi_abroad_release(pool);
			return id;
		}
	}
	if (!room && !here)
		(void)filchi_injector_admit(&pool->injector, true);
	id = post_plain(pool, job, work, how, now, here);
	if (id > 0 && !here)
		filchi_group_posted(pool, how->group);
	return id;
}

/*
 * Fills, publishes and announces a slot whose job has been admitted, or runs it @here; the id, or
 * -ESHUTDOWN.
 */
FILCH_INLINE int64_t post(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now, bool here,
	bool grouped)
{
	return grouped ? post_grouped(pool, job, work, how, now, here, !here)
		       : post_plain(pool, job, work, how, now, here);
}

/*
 * As many numbers of @lane as lie there now are taken out. Those of queued jobs go back, at the end
 * and in their order. A worker that has parked meanwhile must be told of each anew.
 */
static void sweep_lane(struct filch_pool *pool, uint32_t lane)
{
	for (uint64_t left = filchi_scq_length(&pool->injector.lane[lane]); left; left--) {
		uint32_t slot = filchi_scq_take(&pool->injector.lane[lane]);

		if (slot == FILCHI_SCQ_EMPTY)
			break;
		if (FILCHI_JOB_STATE(filchi_load_acquire(&pool->jobs.slot[slot].state)) ==
			FILCHI_JOB_GONE) {
			(void)filchi_job_popped(&pool->jobs, slot);
			continue;
		}
		filchi_injector_put(&pool->injector, lane, slot);
		(void)filchi_worker_posted(pool);
		/* it may sleep bound, and found the lane empty: what it waits for may come after */
		if (pool->has_caller && pool->running == 1)
			(void)filchi_worker_wake(pool, pool->first);
	}
}

/*
 * No slot is free. The slot of a job that was cancelled, or run under a wait, cannot be used again
 * while its number is still in an SCQ. Only a worker with an empty stack takes such numbers out.
 * Here the submitter takes all of them out, if that costs few looks for each. The SCQs are walked
 * whole: a walk that stops early would put the oldest jobs behind the others. True if it has.
 */
FILCH_COLD static bool sweep_tombstones(struct filch_pool *pool)
{
	if (!filchi_injector_worth_sweeping(&pool->injector))
		return false;
	for (uint32_t lane = 0; lane < FILCH_LANES; lane++)
		sweep_lane(pool, lane);
	return true;
}

/* A submit refused for want of room is counted by lane. */
static int refuse(struct filch_pool *pool, const struct filch_submit *how, int error)
{
	if (error == -EAGAIN || error == -ETIMEDOUT || error == -ENOBUFS)
		(void)filchi_fetch_add_acq_rel(&pool->external_lane[how->lane].rejected, 1);
	return error;
}

/*
 * A submit that found something full. What it has while its job is not posted: a slot; or room in
 * a group.
 */
struct full {
	struct filch_pool *pool;
	struct filchi_job *job;
	struct filch_group *group;
	bool here;
};

static void full_exited(void *arg)
{
	struct full *f = arg;

	if (f->job)
		filchi_job_discard(&f->pool->jobs, f->job);
	if (f->group)
		filchi_group_over(f->group, 0, 1);
	filchi_client_out(f->pool);
}

/*
 * The program's code may run in here, and leave the thread. A job that is not posted by then never
 * will be.
 */
static int64_t submit_to_full(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now, bool here)
{
	struct full f = { .pool = pool, .job = job, .here = here };
	int64_t id;

	/* to the last touch of the pool: a destroy that let us out of the queue waits for that */
	filchi_client_in(pool);
	pthread_cleanup_push(full_exited, &f);
	id = here ? 0 : find_room(pool, job, how, &f.here);
	if (id) {
		(void)refuse(pool, how, (int)id);
	} else {
		f.job = NULL;
		id = post(pool, job, work, how, now, f.here, how->group);
	}
	pthread_cleanup_pop(1);
	return id;
}

static struct filchi_job *new_slot(struct filch_pool *pool)
{
	struct filchi_job *job = filchi_job_new(&pool->jobs);

	return !job && sweep_tombstones(pool) ? filchi_job_new(&pool->jobs) : job;
}

/* A submit that gives up before it has a slot: its room in a group goes back. */
static int give_up(struct filch_pool *pool, const struct filch_submit *how, int error)
{
	if (how->group)
		filchi_group_over(how->group, 0, 1);
	return refuse(pool, how, error);
}

/*
 * The owner of a slot that has its credit: into the queue, or as the policy says if it is full.
 * @here: its group is, and it is to be run by the submitter. @grouped is how->group != NULL: a
 * constant where that is known, so that jobs of no group do not ask at each step.
 */
FILCH_INLINE int64_t submit_slot(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now, bool grouped,
	bool here)
{
	if (grouped)
		filchi_job_join(&pool->jobs, job, how->group);
	if (FILCH_UNLIKELY(how->after_count != 0)) {
		int64_t id = filchi_submit_after(pool, job, work, how, now);

		if (id)
			return id < 0 ? refuse(pool, how, (int)id) : id;
	}
	if (grouped && filchi_admission_seems_full(how->group))
		return post_grouped(pool, job, work, how, now, here, false);
	if (!here && filchi_injector_admit(&pool->injector, filchi_submit_ignores_full(pool, how)))
		return post(pool, job, work, how, now, false, grouped);
	FILCH_HOOK(submit_full);
	if (filchi_worker_here(pool)) /* FILCH_CALLER_RUNS: others have been admitted */
		return post(pool, job, work, how, now, true, grouped);
	return submit_to_full(pool, job, work, how, now, here);
}

/*
 * No credit of how->cq is left: 0 and a cell, waited for if that was asked for and is of use; or an
 * error. The waiting thread holds no slot. One that is the pool's only worker would not run what
 * makes the completions, so it does not wait.
 */
static int find_credit(struct filch_pool *pool, const struct filch_submit *how, uint32_t *cell)
{
	const struct timespec *deadline = how->when_full == FILCH_UNTIL ? how->deadline : NULL;

	if (!(how->flags & FILCH_JOB_WAIT_CQ) || how->when_full == FILCH_CALLER_RUNS ||
		filchi_worker_here(pool))
		return -ENOBUFS;
	if (how->when_full == FILCH_TRY)
		return -EAGAIN;
	if (pool->has_caller && pool->running == 1 && pthread_equal(pool->caller, pthread_self()))
		return -EDEADLK;
	if (filchi_worker_self())
		return filchi_abroad_credit(
			filchi_worker_self(), pool, how->cq, how->group, deadline, cell);
	return filchi_outside_credit(pool, how->cq, how->group, deadline, cell);
}

static int64_t submit_to_full_cq(struct filch_pool *pool, const struct filchi_work *work,
	const struct filch_submit *how, uint64_t now, bool here)
{
	struct full f = { .pool = pool, .group = how->group };
	struct filchi_job *job = NULL;
	uint32_t cell;
	int64_t id;

	filchi_client_in(pool); /* as in submit_to_full() */
	pthread_cleanup_push(full_exited, &f);
	id = find_credit(pool, how, &cell);
	if (!id) {
		job = new_slot(pool);
		if (job) {
			filch_store_relaxed(&job->cell, cell);
			filch_store_relaxed(&job->cq, how->cq);
			f.group = NULL; /* the slot has its room */
			id = submit_slot(pool, job, work, how, now, how->group, here);
		} else {
			filchi_credit_return(how->cq, cell);
			id = -ENOBUFS;
		}
	}
	if (!job)
		(void)refuse(pool, how, (int)id);
	pthread_cleanup_pop(1);
	return id;
}

FILCH_INLINE int64_t submit(struct filch_pool *pool, const struct filchi_work *work,
	const struct filch_submit *how, uint64_t now, bool grouped, bool here)
{
	struct filchi_job *job = new_slot(pool);

	if (!job)
		return give_up(pool, how, -ENOBUFS);
	if (how->cq && !filchi_job_send_to(job, how->cq)) {
		filchi_job_discard(&pool->jobs, job);
		return submit_to_full_cq(pool, work, how, now, here);
	}
	return submit_slot(pool, job, work, how, now, grouped, here);
}

FILCH_COLD static int64_t submit_with_room(struct filch_pool *pool, const struct filchi_work *work,
	const struct filch_submit *how, uint64_t now, bool here)
{
	return submit(pool, work, how, now, true, here);
}

/* What waits for room in a group holds no slot. As submit_to_full(). */
FILCH_COLD static int64_t submit_to_group(struct filch_pool *pool, const struct filchi_work *work,
	const struct filch_submit *how, uint64_t now)
{
	struct full f = { .pool = pool };
	int64_t id;

	if (filchi_group_room(how->group, 1, filchi_submit_ignores_full(pool, how)) ||
		(filchi_group_is_here(how->group) && filchi_group_room(how->group, 1, true)))
		return submit_with_room(pool, work, how, now, false);
	FILCH_HOOK(group_full);
	if (how->when_full == FILCH_TRY)
		return refuse(pool, how, -EAGAIN);
	if (how->when_full == FILCH_CALLER_RUNS) {
		(void)filchi_group_room(how->group, 1, true);
		return submit_with_room(pool, work, how, now, true);
	}
	filchi_client_in(pool);
	pthread_cleanup_push(full_exited, &f);
	id = filchi_group_await_room(pool, how);
	id = id ? refuse(pool, how, (int)id) : submit_with_room(pool, work, how, now, false);
	pthread_cleanup_pop(1);
	return id;
}

int64_t filchi_submit_one(struct filch_pool *pool, const struct filchi_work *work,
	const struct filch_submit *how, uint64_t now)
{
	if (filchi_load_acquire(&pool->closing))
		return -ESHUTDOWN;
	if (FILCH_UNLIKELY(how->finish_by != NULL) && pool->start_timer(pool))
		return -ENOMEM;
	if (FILCH_UNLIKELY(how->group != NULL))
		return submit_to_group(pool, work, how, now);
	return submit(pool, work, how, now, false, false);
}

int64_t filch_submit(
	struct filch_pool *pool, filch_job_fn *fn, void *arg, const struct filch_submit *how)
{
	static const struct filch_submit defaults = FILCH_SUBMIT_INIT;
	const struct filch_submit *as = &defaults;
	struct filch_submit to;
	int64_t id;
	int error;

	if (!fn)
		return -EINVAL;
	error = filchi_given(&pool);
	if (error)
		return error;
	if (filchi_forked(pool))
		return -ECHILD;
	if (how) {
		error = import(pool, &to, how);
		if (error)
			return error;
		as = &to;
	}
	filchi_fault_touch(NULL, 0);
	id = filchi_submit_one(pool,
		&(struct filchi_work){ .fn = fn, .arg = arg, .user = as->user }, as,
		filchi_submit_time(as));
	if (FILCH_UNLIKELY(as->cq != NULL) && id > 0)
		filchi_abroad_changed(
			&as->cq->blocked); /* A7: it holds a credit, and I3 has passed */
	return id;
}

/* --- wait and cancel -------------------------------------------------- */

static int wait_external(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, struct filch_completion *out)
{
	int error;

	filchi_client_waits_for(id);
	error = filchi_job_reap(&pool->jobs, id, out);
	if (error != -EAGAIN)
		return error;
	if (filchi_caller_is_away(pool))
		return -EDEADLK;
	filchi_client_in(pool);
	filchi_trace(pool, WAIT_BEGIN, (uint64_t)id, FILCHI_TRACE_WAIT_JOB);
	error = filchi_wait_as_client(pool, job, id, deadline, out, false);
	filchi_trace(pool, WAIT_END, (uint64_t)id, FILCHI_TRACE_WAIT_JOB);
	filchi_client_out(pool);
	return error;
}

/*
 * The creating thread as worker 0, between filchi_caller_enter() and _leave(). While it sleeps here
 * no running job represents it. So it is a client as well, and destroy lets it out first. A job
 * that it runs here must not leave the thread: docs/jobs.md.
 */
static int wait_as_caller(struct filchi_worker *w, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, struct filch_completion *out)
{
	struct filch_pool *pool = w->pool;
	int error = filchi_job_reap(&pool->jobs, id, out);

	if (error != -EAGAIN)
		return error;
	filchi_client_in(pool);
	error = filchi_wait_job(w, job, id, deadline, out);
	filchi_client_out(pool);
	return error;
}

int filch_wait(struct filch_pool *pool, int64_t id, const struct timespec *deadline,
	struct filch_completion *out)
{
	struct filchi_worker *w;
	struct filchi_job *job;
	int error;

	if (!filchi_deadline_ok(deadline))
		return -EINVAL;
	error = filchi_given_with(&pool, id);
	if (error)
		return error;
	if (filchi_forked(pool))
		return -ECHILD;
	job = filchi_job_find(&pool->jobs, id);
	if (!job)
		return -ESRCH;
	if (filchi_is_inline_here(job) &&
		filchi_job_is(&pool->jobs, filchi_load_acquire(&job->state), id))
		return -EDEADLK;
	filchi_fault_touch(out, out ? sizeof *out : 0);
	w = filchi_worker_here(pool);
	if (w)
		return filchi_wait_job(w, job, id, deadline, out);
	w = filchi_caller_enter(pool);
	if (!w)
		return wait_external(pool, job, id, deadline, out);
	error = wait_as_caller(w, job, id, deadline, out);
	filchi_caller_leave();
	return error;
}
