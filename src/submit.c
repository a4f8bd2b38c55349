/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public job calls, and FILCH_RUN: getting work into a pool from outside, and waiting for it there.
 *
 * A submit takes a slot, then room in the queue, fills the slot, publishes it, puts its number into the ring, passes a full fence,
 * and then looks twice: whether somebody must be woken (idle.h), and whether the pool has begun to close. The second look and the
 * closer's scan of the slots are a Dekker pair: either the closer sees the job, and completes it, or the submitter sees the closing
 * flag, and takes the job back.
 */
#include "submit.h"

#include "guard.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

/* --- submit ------------------------------------------------------------------------------------------------------------------ */

#define TOMBSTONE_LOOKS 8u /* numbers of each lane that a submit without a slot looks at */
#define SUBMIT_SIZE_V1 64 /* of the first release; never changes */

int filchi_submit_import(const struct filch_pool *pool, struct filch_submit *to, const struct filch_submit *how)
{
	*to = (struct filch_submit)FILCH_SUBMIT_INIT;
	if (!how)
		return 0;
	if (how->size < SUBMIT_SIZE_V1)
		return -EINVAL;
	for (size_t i = sizeof *to; i < how->size; i++)
		if (((const unsigned char *)how)[i])
			return -E2BIG;
	*to = *how;
	if (to->flags & ~(FILCH_JOB_DETACHED | FILCH_JOB_GUARD) || to->when_full > FILCH_CALLER_RUNS || to->lane >= FILCHI_LANES)
		return -EINVAL;
	if ((to->when_full == FILCH_UNTIL && !to->deadline) || !filchi_deadline_ok(to->deadline) || !filchi_deadline_ok(to->start_by))
		return -EINVAL;
	if ((to->flags & FILCH_JOB_DETACHED) + (to->on_complete != NULL) + (to->cq != NULL) > 1)
		return -EINVAL;
	if (to->flags & FILCH_JOB_GUARD && (!pool->guards || to->when_full == FILCH_CALLER_RUNS))
		return -EINVAL;
	return to->cq && filchi_cq_forked(to->cq) ? -ECHILD : 0;
}

/* A time as nanoseconds; 0 is for none, so the beginning of time is a nanosecond later, and what is too far ahead the last there is. */
static uint64_t nanoseconds(const struct timespec *t)
{
	uint64_t ns;

	if (!t)
		return 0;
	if (__builtin_mul_overflow((uint64_t)t->tv_sec, UINT64_C(1000000000), &ns) ||
	    __builtin_add_overflow(ns, (uint64_t)t->tv_nsec, &ns))
		return UINT64_MAX;
	return ns ? ns : 1;
}

void filchi_submit_fill(struct filchi_job *job, const struct filchi_work *work, const struct filch_submit *how, uint64_t now)
{
	if (work->fn) {
		job->fn = work->fn;
		job->arg = work->arg;
		job->flags = (uint32_t)how->flags;
	} else {
		job->thunk = work->thunk;
		job->task = work->task;
		job->flags = (uint32_t)how->flags | FILCHI_JOB_TASK;
	}
	job->user = work->user;
	job->on_complete = how->on_complete;
	job->start_by = nanoseconds(how->start_by);
	filchi_store_relaxed(&job->queued_at, now); /* filch_pool_lane_stats() looks at it, whoever owns the slot */
	job->started_at = job->ended_at = 0;
	job->status = 0;
	job->worker = -1;
	job->lane = (uint8_t)how->lane;
}

uint64_t filchi_submit_flags(const struct filch_submit *how)
{
	return (how->cq || how->on_complete || how->flags & FILCH_JOB_DETACHED ? FILCHI_JOB_NOBODY : 0) |
	       (how->flags & FILCH_JOB_GUARD ? FILCHI_JOB_GUARDED : 0) | FILCHI_JOB_IN_LANE(how->lane);
}

uint64_t filchi_submit_time(const struct filch_submit *how)
{
	return how->flags & FILCH_JOB_DETACHED && !how->start_by ? filchi_now_coarse() : filchi_now();
}

static void complete(struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	job->ended_at = filchi_now();
	if (filchi_job_complete(&pool->jobs, job))
		filchi_worker_job_done(pool, id);
}

/* The program has left its thread in a job that this thread ran: it ends as it would on a worker. */
static void run_left(void *arg)
{
	const struct filchi_foreign *here = arg;

	filchi_foreign_leave(here);
	filchi_worker_abandon(here->pool, here->job);
}

/* FILCH_CALLER_RUNS with a full queue, on a thread that is no worker. As filchi_worker_run_job(), also with what comes too late. */
static void run_here(struct filch_pool *pool, struct filchi_job *job)
{
	struct filchi_foreign here = { .pool = pool };

	job->started_at = filchi_now();
	if (job->start_by && job->started_at > job->start_by) {
		(void)filchi_fetch_add_acq_rel(&pool->outside.expired, 1);
		(void)filchi_fetch_add_acq_rel(&pool->outside_lane[job->lane].shed, 1);
		job->started_at = 0;
		job->status = -ETIMEDOUT;
		complete(pool, job, job->id);
		return;
	}
	filchi_foreign_enter(&here, job);
	pthread_cleanup_push(run_left, &here);
	job->status = job->fn(job->arg);
	pthread_cleanup_pop(0);
	filchi_foreign_leave(&here);
	(void)filchi_fetch_add_acq_rel(&pool->outside_lane[job->lane].completed, 1);
	complete(pool, job, job->id);
}

/*
 * The one worker there is may be the submitter itself (FILCH_POOL_CALLER): then it makes the room it waits for, and looks between two jobs
 * at what else may end the wait. 0: admitted; -ETIMEDOUT, -ESHUTDOWN; -EPERM: it is not.
 */
static int make_room(struct filch_pool *pool, const struct timespec *deadline)
{
	struct filchi_worker *w = pool->running == 1 ? filchi_caller_enter(pool) : NULL;
	int error = 0;

	if (!w)
		return -EPERM;
	while (!error && !filchi_injector_admit(&pool->injector, false)) {
		if (filchi_load_acquire(&pool->closing))
			error = -ESHUTDOWN;
		else if (filchi_deadline_passed(deadline))
			error = -ETIMEDOUT;
		else if (!filchi_worker_run_one(w))
			sched_yield(); /* a submitter has been admitted and is about to put its job */
	}
	filchi_caller_leave();
	return error;
}

/* Room in the queue for one more job: 0, with *@here set if the job is to be run by the submitter; or the policy's error. */
static int find_room(struct filch_pool *pool, const struct filch_submit *how, bool *here)
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
		return filchi_injector_wait(&pool->injector, deadline, &pool->closing);
	}
}

/* Fills, publishes and announces a slot whose job has been admitted, or runs it @here; the id, or -ESHUTDOWN. */
static int64_t post(struct filch_pool *pool, struct filchi_job *job, const struct filchi_work *work, const struct filch_submit *how,
		    uint64_t now, bool here)
{
	int64_t id = job->id;

	filchi_submit_fill(job, work, how, now);
	filchi_job_publish(job, here ? FILCHI_JOB_RUNNING : FILCHI_JOB_QUEUED, filchi_submit_flags(how));
	FILCH_HOOK(submit_published);
	if (here) {
		/* S1 below, here too: the closer waits for a job that runs, or we see that the pool is closing, and do not start it */
		if (filchi_fence_then_load_acquire(&pool->closing)) {
			filchi_job_take_back(&pool->jobs, job);
			return -ESHUTDOWN;
		}
		run_here(pool, job);
		return id;
	}
	filchi_injector_put(&pool->injector, how->lane, (uint32_t)(job - pool->jobs.slot));
	FILCH_HOOK(submit_put);
	/*
	 * FENCE S1   publish the job -> read closing        pairs with: S2 in filchi_pool_close()
	 * Ensures:   the closer's scan sees the job, or the submitter sees that the pool is closing.
	 * Without:   a job is accepted by a pool that will never run it.
	 * Weaker?    no: store->load. The fence is I3's, in filchi_worker_posted().
	 * Checked:   tests/stress/shutdown.c
	 */
	if (filchi_worker_posted(pool))
		filchi_guest_woke_for(id);
	FILCH_HOOK(submit_announced);
	if (filchi_load_acquire(&pool->closing) && filchi_job_withdraw(&pool->jobs, job, id)) {
		filchi_injector_release(&pool->injector);
		return -ESHUTDOWN;
	}
	return id;
}

/*
 * No slot is free. Those of jobs that were cancelled, or run under a wait, are free but for their numbers in the rings, which else only a
 * worker with an empty stack takes out. Takes out one such number; true if it found one among the oldest of a lane. The number of a
 * job that is still queued goes back to the end; a worker that has parked meanwhile must be told of it anew.
 */
static bool clear_tombstone(struct filch_pool *pool)
{
	for (uint32_t i = 0; i < FILCHI_LANES * TOMBSTONE_LOOKS; i++) {
		uint32_t slot = filchi_ring_take(&pool->injector.lane[i % FILCHI_LANES]);

		if (slot == FILCHI_RING_EMPTY)
			continue;
		if (FILCHI_JOB_STATE(filchi_load_acquire(&pool->jobs.slot[slot].state)) == FILCHI_JOB_GONE) {
			(void)filchi_job_popped(&pool->jobs, slot);
			return true;
		}
		filchi_injector_put(&pool->injector, i % FILCHI_LANES, slot);
		(void)filchi_worker_posted(pool);
	}
	return false;
}

/* A submit refused for want of room is counted by lane. */
static int refuse(struct filch_pool *pool, const struct filch_submit *how, int error)
{
	if (error == -EAGAIN || error == -ETIMEDOUT || error == -ENOBUFS)
		(void)filchi_fetch_add_acq_rel(&pool->outside_lane[how->lane].rejected, 1);
	return error;
}

/* A submit that found the queue full, and its slot while that is not posted. */
struct full {
	struct filch_pool *pool;
	struct filchi_job *job;
	bool here;
};

static void full_left(void *arg)
{
	struct full *f = arg;

	if (f->job)
		filchi_job_discard(&f->pool->jobs, f->job);
	filchi_guest_out(f->pool);
}

/* The program's code may run in here, and leave the thread: a job that is not posted by then is not to be. */
static int64_t submit_to_full(struct filch_pool *pool, struct filchi_job *job, const struct filchi_work *work,
			      const struct filch_submit *how, uint64_t now)
{
	struct full f = { .pool = pool, .job = job };
	int64_t id;

	filchi_guest_in(pool); /* to the last touch of the pool: a destroy that let us out of the queue waits for that */
	pthread_cleanup_push(full_left, &f);
	id = find_room(pool, how, &f.here);
	if (id) {
		(void)refuse(pool, how, (int)id);
	} else {
		f.job = NULL;
		id = post(pool, job, work, how, now, f.here);
	}
	pthread_cleanup_pop(1);
	return id;
}

int64_t filchi_submit_one(struct filch_pool *pool, const struct filchi_work *work, const struct filch_submit *how, uint64_t now)
{
	struct filchi_job *job;

	if (filchi_load_acquire(&pool->closing))
		return -ESHUTDOWN;
	job = filchi_job_new(&pool->jobs);
	if (!job && clear_tombstone(pool))
		job = filchi_job_new(&pool->jobs);
	if (!job)
		return refuse(pool, how, -ENOBUFS);
	if (how->cq && !filchi_job_send_to(job, how->cq)) {
		filchi_job_discard(&pool->jobs, job);
		return refuse(pool, how, -ENOBUFS);
	}
	if (filchi_injector_admit(&pool->injector, filchi_worker_here(pool) != NULL))
		return post(pool, job, work, how, now, false);
	FILCH_HOOK(submit_full);
	return submit_to_full(pool, job, work, how, now);
}

int64_t filch_submit(struct filch_pool *pool, filch_job_fn *fn, void *arg, const struct filch_submit *how)
{
	struct filch_submit to;
	int error;

	if (!pool || !fn)
		return -EINVAL;
	if (filchi_forked(pool))
		return -ECHILD;
	error = filchi_submit_import(pool, &to, how);
	if (error)
		return error;
	filchi_guard_touch(NULL, 0);
	return filchi_submit_one(pool, &(struct filchi_work){ .fn = fn, .arg = arg, .user = to.user }, &to, filchi_submit_time(&to));
}

/* --- wait and cancel --------------------------------------------------------------------------------------------------------- */

static int wait_outside(struct filch_pool *pool, struct filchi_job *job, int64_t id, const struct timespec *deadline,
			struct filch_completion *out)
{
	int error;

	filchi_guest_waits_for(id);
	error = filchi_job_reap(&pool->jobs, id, out);
	if (error != -EAGAIN)
		return error;
	if (filchi_caller_is_away(pool))
		return -EDEADLK;
	filchi_guest_in(pool);
	error = filchi_wait_as_guest(pool, job, id, deadline, out, false);
	filchi_guest_out(pool);
	return error;
}

/*
 * The creating thread as worker 0, between filchi_caller_enter() and _leave(). No job that runs stands for it while it sleeps here, so
 * it is a guest as well, whom destroy lets out first. A job that it runs here must not leave the thread: docs/jobs.md.
 */
static int wait_as_caller(struct filchi_worker *w, struct filchi_job *job, int64_t id, const struct timespec *deadline,
			  struct filch_completion *out)
{
	struct filch_pool *pool = w->pool;
	int error = filchi_job_reap(&pool->jobs, id, out);

	if (error != -EAGAIN)
		return error;
	filchi_guest_in(pool);
	error = filchi_wait_job(w, job, id, deadline, out);
	filchi_guest_out(pool);
	return error;
}

int filch_wait(struct filch_pool *pool, int64_t id, const struct timespec *deadline, struct filch_completion *out)
{
	struct filchi_worker *w;
	struct filchi_job *job;
	int error;

	if (!pool)
		return -EINVAL;
	if (filchi_forked(pool))
		return -ECHILD;
	if (!filchi_deadline_ok(deadline))
		return -EINVAL;
	job = filchi_job_find(&pool->jobs, id);
	if (!job)
		return -ESRCH;
	if (filchi_runs_here(job) && filchi_job_is(&pool->jobs, filchi_load_acquire(&job->state), id))
		return -EDEADLK;
	filchi_guard_touch(out, out ? sizeof *out : 0);
	w = filchi_worker_here(pool);
	if (w)
		return filchi_wait_job(w, job, id, deadline, out);
	w = filchi_caller_enter(pool);
	if (!w)
		return wait_outside(pool, job, id, deadline, out);
	error = wait_as_caller(w, job, id, deadline, out);
	filchi_caller_leave();
	return error;
}

bool filchi_cancel_queued(struct filch_pool *pool, struct filchi_job *job, int64_t id)
{
	if (!filchi_job_claim(job, id, &pool->jobs, FILCHI_JOB_FINISHING))
		return false;
	filchi_injector_release(&pool->injector);
	(void)filchi_fetch_add_acq_rel(&pool->outside.cancelled, 1);
	(void)filchi_fetch_add_acq_rel(&pool->outside_lane[job->lane].cancelled, 1);
	job->status = -ECANCELED;
	FILCH_HOOK(cancel_claimed);
	complete(pool, job, id);
	return true;
}

int filch_cancel(struct filch_pool *pool, int64_t id)
{
	struct filchi_job *job;
	uint64_t s;

	if (!pool)
		return -EINVAL;
	if (filchi_forked(pool))
		return -ECHILD;
	job = filchi_job_find(&pool->jobs, id);
	if (!job)
		return -ESRCH;
	filchi_guard_touch(NULL, 0);
	if (filchi_cancel_queued(pool, job, id) || filchi_job_flag(&pool->jobs, job, id, FILCHI_JOB_CANCEL))
		return 0;
	s = filchi_load_acquire(&job->state);
	return filchi_job_is(&pool->jobs, s, id) && FILCHI_JOB_STATE(s) == FILCHI_JOB_DONE ? -EALREADY : -ESRCH;
}

static struct filchi_job *job_here(void)
{
	struct filchi_worker *w = filchi_worker_self();
	const struct filchi_foreign *foreign = filchi_foreign_here();
	struct filchi_crew *crew = w ? filchi_segment_crew(&w->deque) : NULL;

	return foreign && foreign->job ? foreign->job : crew ? filchi_job_of(crew) : NULL;
}

bool filch_job_cancelled(void)
{
	struct filchi_job *job = job_here();

	return job && filchi_load_acquire(&job->state) & FILCHI_JOB_CANCEL;
}

filch_atomic_u64 *filchi_job_word_here(void)
{
	struct filchi_job *job = job_here();

	return job ? &job->state : NULL;
}

int64_t filch_job_id(void)
{
	struct filchi_job *job = job_here();

	return job ? job->id : 0;
}

/* --- run --------------------------------------------------------------------------------------------------------------------- */

/*
 * The creating thread of a FILCH_POOL_CALLER pool, as worker 0: the job need not change threads. It costs what a loop of a thousand tiny
 * bodies can bear: a slot of its own, no ring, no clock. What a pool's end relies on holds: the job can be seen, waited for and
 * cancelled, and S1 is kept.
 */
static int run_as_caller(struct filchi_worker *w, const struct filchi_work *work)
{
	struct filch_pool *pool = w->pool;
	struct filchi_job *job = filchi_job_caller_begin(&pool->jobs); /* S1, the publishing half */
	struct filchi_foreign hidden;

	if (filchi_load_acquire(&pool->closing)) {
		filchi_job_caller_end(job);
		return -ESHUTDOWN;
	}
	filchi_foreign_enter(&hidden, NULL);
	filchi_count(&w->counters, jobs);
	(void)filchi_segment_open(&w->deque, &job->crew); /* there is room: the stack is empty */
	work->thunk(&w->deque.hot, filchi_deque_carried(&w->deque), work->task);
	filchi_segment_close(&w->deque);
	filchi_foreign_leave(&hidden);
	filchi_job_caller_end(job);
	return 0;
}

static int run_outside(struct filch_pool *pool, const struct filchi_work *work)
{
	static const struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion completion;
	int64_t id;
	int error;

	filchi_guest_in(pool); /* before submit's look at closing: destroy sees us, or we see it */
	filchi_guest_here()->runs = true;
	id = filchi_submit_one(pool, work, &how, filchi_now_coarse());
	filchi_guest_here()->runs = false;
	if (id < 0) {
		error = (int)id;
	} else {
		error = filchi_wait_as_guest(pool, filchi_job_find(&pool->jobs, id), id, NULL, &completion, true);
		if (!error)
			error = completion.status;
	}
	filchi_guest_out(pool);
	return error;
}

int filch_run_task(struct filch_pool *pool, struct filch_task *task, filch_thunk *thunk)
{
	const struct filchi_work work = { .task = task, .thunk = thunk };
	struct filchi_worker *w = filchi_worker_self();
	int error;

	if (w && (!pool || w->pool == pool)) {
		thunk(&w->deque.hot, filchi_deque_carried(&w->deque), task);
		return 0;
	}
	if (!pool)
		return -EINVAL;
	if (filchi_forked(pool))
		return -ECHILD;
	w = filchi_caller_enter(pool);
	if (!w)
		return filchi_caller_is_away(pool) ? -EDEADLK : run_outside(pool, &work);
	error = run_as_caller(w, &work);
	filchi_caller_leave();
	return error;
}

void filchi_run_queued_as_caller(struct filch_pool *pool, const struct timespec *deadline)
{
	struct filchi_worker *w = filchi_caller_enter(pool);

	if (!w)
		return;
	while (!filchi_deadline_passed(deadline) && filchi_worker_run_one(w))
		;
	filchi_caller_leave();
}

void filchi_run_as_caller(struct filch_pool *pool, struct filchi_job *job, int64_t id, const struct timespec *deadline)
{
	struct filchi_worker *w = filchi_caller_enter(pool);

	if (!w)
		return;
	if (!filchi_deadline_passed(deadline) && filchi_job_claim(job, id, &pool->jobs, FILCHI_JOB_RUNNING)) {
		filchi_injector_release(&pool->injector); /* its number stays in the ring, a tombstone */
		filchi_worker_run_job(w, job, false);
	}
	filchi_caller_leave();
}
