/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers abroad: what a worker does while it waits for another pool.
 *
 * A worker that waits for a job of another pool is lost to its own. If that pool's workers wait for
 * this one in the same way, a job may lie queued here that they need, and nobody starts it. So a
 * worker abroad runs jobs of its own pool on top of the frame that waits. Only jobs that a worker
 * of another pool waits for, and only in two cases:
 *
 *   1 The job is needed here. A worker waits for it on top of the job that this worker waits for,
 *     or on top of one that that worker's pool waits for in turn, and so on. The wait cannot end
 *     before it does. So it takes nothing from the frame below: a lock held over the call would
 *     have stopped it anyway.
 *   2 Nothing else goes on. All workers of this pool sleep, and so do all those of each pool that
 *     they wait for, directly or not. A free one sleeps as well where nothing is queued for it.
 *     Then any such job will do.
 *
 * Everything else stays queued for a worker with an empty stack, as rule 3 has it.
 *
 * Why pools that call each other come to an end, whatever the depth. Take a moment at which nothing
 * goes on, and a worker's topmost wait.
 *
 *   - It is for something that was started, or for a job that lies queued. Where a free worker
 *     sleeps, none lies queued.
 *   - What was started lies on the stack of a worker that waits as well. Its topmost wait began
 *     later than ours, since whatever runs on top of a frame started later. So the way from wait to
 *     wait ends, and it ends at a queued job.
 *   - In that job's pool, then, every worker waits. A wait for a stolen task is for work of the
 *     same pool that started later. So at least one of them waits abroad, topmost, and case 2 runs
 *     the job there.
 *
 * Where it cannot be run, for want of stack, in a guarding pool or because it is guarded, a wait is
 * refused: -EDEADLK. So it is where the way ends at room that jobs hold which nobody waits for.
 * That is said only where nothing can change it from outside: no deadline, no job on a thread that
 * is no worker, none that the timer will end, no creator of a FILCH_POOL_CALLER pool that may come.
 *
 * One lock for all stays of the process. It is taken by a worker that has looked in vain and will
 * sleep, and by whoever ends such a sleep. A stay is in the list before its job's word is flagged,
 * so a completer that finds the flag finds the stay. A sleeper has prepared before it takes the
 * lock and looks. So whoever changes the list before that is seen by the look, and whoever changes
 * it later finds a sleeper to wake.
 *
 * Rejected: docs/adr/0023.
 */
#define _GNU_SOURCE
#include "core/abroad.h"

#include "core/errand.h"

#include "core/fault.h"
#include "core/live_words.h"
#include "core/stays.h"

#include <errno.h>
#include <pthread.h>

filch_atomic_u32 filchi_abroad_count;
struct filchi_abroad_words filchi_abroad_words;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
struct filchi_stay *filchi_stays;
struct filchi_outsider *filchi_outsiders;

/* --- the list, under the lock ------------------------------------------ */

/* What those that can end the stay look at. */
static filch_atomic_u32 *count_of(const struct filchi_stay *s)
{
	if (s->job)
		return &s->pool->awaited;
	return s->source ? s->source->awaited : &s->pool->room_awaited;
}

static void link_in(struct filchi_stay *s)
{
	s->next = filchi_stays;
	s->link = &filchi_stays;
	if (filchi_stays)
		filchi_stays->link = &s->next;
	filchi_stays = s;
	(void)filchi_fetch_add_seq_cst(&filchi_abroad_count, 1);
	(void)filchi_fetch_add_acq_rel(&s->worker->pool->abroad, 1);
	filchi_standstill_count(&s->worker->pool->involved);
	filchi_standstill_count(&s->pool->involved);
	/* last: what follows is a look that this precedes */
	(void)filchi_fetch_add_seq_cst(count_of(s), 1);
}

static void take_out(struct filchi_stay *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	(void)filchi_fetch_sub_seq_cst(&filchi_abroad_count, 1);
	(void)filchi_fetch_sub_seq_cst(&s->worker->pool->abroad, 1);
	(void)filchi_fetch_sub_acq_rel(&s->worker->pool->involved, 1);
	(void)filchi_fetch_sub_acq_rel(&s->pool->involved, 1);
	(void)filchi_fetch_sub_seq_cst(count_of(s), 1);
}

/* The first from @from on whose job could run on top of @s: of its pool, and queued. */
static struct filchi_stay *next_queued(const struct filchi_stay *s, struct filchi_stay *from)
{
	while (from && !(from->pool == s->worker->pool && filchi_stay_may_be_run(from)))
		from = from->next;
	return from;
}

/* A job that may run on top of @s, now RUNNING and the caller's; NULL if there is none. */
static struct filchi_job *claim_for(struct filchi_stay *s)
{
	struct filchi_jobs *jobs = &s->worker->pool->jobs;
	struct filchi_stay *other = s->can_run ? next_queued(s, filchi_stays) : NULL;
	struct filchi_job *job = NULL;
	struct filchi_needs needs;

	if (!other)
		return NULL;
	needs = filchi_needs_of(s);
	for (; other && !job; other = next_queued(s, other->next))
		if ((s->may_run_any || other->need.pool) &&
			filchi_job_claim(other->job, other->id, jobs, FILCHI_JOB_RUNNING))
			job = other->job;
	filchi_needs_forget(&needs);
	return job;
}

/* Whether a job lies queued that the stay needs, and that may run on top of it. */
static bool is_needed_one_queued(struct filchi_stay *s)
{
	struct filchi_stay *other = s->can_run && !s->serves ? next_queued(s, filchi_stays) : NULL;
	struct filchi_needs needs;

	if (!other)
		return false;
	needs = filchi_needs_of(s);
	while (other && !other->need.pool)
		other = next_queued(s, other->next);
	filchi_needs_forget(&needs);
	return other;
}

/* A wait has begun, @but's: it may be needed by one that sleeps, or be a step on the way to one. */
static void wake_servers(const struct filchi_stay *but)
{
	FILCHI_EACH_STAY(s)
	if (s != but && is_needed_one_queued(s))
		(void)filchi_worker_wake(s->worker->pool, s->worker);
}

/* Of its queue, and of nothing else. */
static bool waits_for_room(const struct filchi_stay *s, const struct filch_pool *pool)
{
	return s->pool == pool && !s->job && !s->source;
}

/*
 * There is room for one more in the queue of @pool: tells one of those that wait for it. If the
 * pool closes, tells all that submit to it. Not one that is buried, which may be so for long, and
 * which looks by itself when it comes up.
 */
static void tell_of_room(struct filch_pool *pool)
{
	const bool closes = filchi_load_acquire(&pool->closing);

	FILCHI_EACH_STAY(s)
	{
		if (s->serves || s->has_been_told ||
			!(closes ? s->pool == pool && !s->job : waits_for_room(s, pool)))
			continue;
		s->has_been_told = true;
		(void)filchi_worker_wake(s->worker->pool, s->worker);
		if (!closes)
			break;
	}
}

/* Something runs on top from now on: what the stay was told is another's. */
static void bury(struct filchi_stay *s)
{
	const bool told = s->has_been_told;

	s->serves = true;
	s->has_been_told = s->may_run_any = s->is_refused = false;
	if (told)
		tell_of_room(s->pool);
}

/* --- a stay ------------------------------------------------------------ */

void filchi_abroad_last_look(struct filchi_worker *w)
{
	pthread_mutex_lock(&lock);
	filch_store_relaxed(&filchi_abroad_words.met_holder, 0); /* A6 follows, likewise */
	if (filchi_load_acquire(&w->awaits))
		wake_servers(NULL);
	filchi_still_look(w);
	pthread_mutex_unlock(&lock);
}

/* What a worker abroad finds when it has prepared to sleep. */
struct found {
	struct filchi_job *job; /* to be run on top */
	bool refused;
	bool sleeps;
};

/*
 * FENCE A2   count room awaited -> read queued   pairs with: A3 in filchi_abroad_release()
 * Ensures:   the releaser sees a stay that waits for room, or that one sees room.
 * Without:   it sleeps while there is room, for ever if nothing else is released.
 * Weaker?    no: store->load; the read-modify-write of link_in() is the fence.
 * Checked:   tests/stress/mutual.c; J1 and J2 are the same between other words
 */
static bool wants_sleep(struct filchi_stay *s)
{
	if (filchi_errands_wait(s->worker)) /* I2 and I5: after prepare */
		return false;
	if (s->job)
		return filchi_job_flag(&s->pool->jobs, s->job, s->id, FILCHI_JOB_FOR_WORKER);
	if (s->source) /* C8 or G2, likewise */
		return filchi_rmw_fence_then_load_acquire(s->source->awaited) &&
		       !filchi_load_acquire(&s->pool->closing) &&
		       !s->source->is_there(s->source->of);
	return !filchi_load_acquire(&s->pool->closing) && !filchi_stay_has_room(s);
}

/*
 * The stay sleeps: whether with it all do. If it had been told of room, somebody else has that.
 */
static void settle(struct filchi_stay *s)
{
	s->has_been_told = false;
	filchi_standstill_settle(&s->worker->sleeper);
	filchi_still_look(s->worker);
}

/*
 * The last look before a sleep, after filchi_idle_prepare(). A worker that does not sleep after all
 * is awake again before the lock is given back: to others it is never asleep without a cause.
 */
static struct found look(struct filchi_stay *s)
{
	struct filchi_worker *w = s->worker;
	struct found found = { .job = NULL };

	pthread_mutex_lock(&lock);
	s->serves = false;
	if (!s->linked) {
		s->linked = true;
		link_in(s);
		wake_servers(s);
	}
	found.job = claim_for(s);
	s->may_run_any = false; /* what that was for is claimed, by this or by another */
	if (!found.job && !s->is_refused && wants_sleep(s)) {
		settle(s);
		if (s->may_run_any)
			found.job = claim_for(s);
		s->may_run_any = false;
		found.sleeps = !found.job && !s->is_refused;
	}
	found.refused = s->is_refused;
	s->is_refused = false;
	if (found.job)
		bury(s);
	if (!found.sleeps)
		filchi_idle_cancel(&w->pool->idle, &w->sleeper);
	pthread_mutex_unlock(&lock);
	return found;
}

static void leave(struct filchi_stay *s)
{
	if (!s->linked)
		return;
	s->linked = false;
	pthread_mutex_lock(&lock);
	take_out(s);
	pthread_mutex_unlock(&lock);
}

/* A job that runs on top of a stay. */
struct served {
	struct filchi_stay *stay;
	uint32_t depth; /* of segments, below it */
};

/*
 * The program has left its thread in there. That ends the job, and the stay. But a job that was
 * called from the frames below goes on, and its arguments lie there.
 */
static void served_exited(void *arg)
{
	const struct served *served = arg;
	struct filchi_stay *s = served->stay;
	struct filchi_worker *w = s->worker;
	int error;

	if (filchi_forked(w->pool))
		return;
	if (!w->thread) { /* the program's own thread, which is not to be left: docs/jobs.md */
		leave(s);
		return;
	}
	filchi_fault_abort_above(w, served->depth);
	leave(s);
	while (s->kind == FILCHI_STAY_CALL &&
		(error = filchi_job_reap(&s->pool->jobs, s->id, NULL)) == -EAGAIN)
		(void)filchi_job_await(&s->pool->jobs, s->job, s->id, NULL);
}

static void serve(struct filchi_stay *s, struct filchi_job *job)
{
	struct filchi_worker *w = s->worker;
	struct served served = { .stay = s, .depth = filch_load_relaxed(&w->deque.depth) };

	filchi_abroad_release(w->pool);
	pthread_cleanup_push(served_exited, &served);
	filchi_worker_run_job(w, job, true);
	pthread_cleanup_pop(0);
}

/* The same for a share of an errand, which may call other pools in turn. */
static void run_errand(struct filchi_stay *s)
{
	struct served served = { .stay = s, .depth = filch_load_relaxed(&s->worker->deque.depth) };

	if (s->linked) {
		pthread_mutex_lock(&lock);
		bury(s);
		pthread_mutex_unlock(&lock);
	}
	pthread_cleanup_push(served_exited, &served);
	(void)filchi_errands_run(s->worker);
	pthread_cleanup_pop(0);
}

/* One step: runs something, or sleeps. 0 or the error that ends the stay. */
static int step(struct filchi_stay *s, const struct timespec *deadline)
{
	static const struct filchi_filter nothing = { .any = false };
	struct filchi_worker *w = s->worker;
	struct found found;

	if (filchi_deadline_passed(deadline))
		return -ETIMEDOUT;
	if (filchi_errands_wait(w)) {
		run_errand(s);
		return 0;
	}
	filchi_idle_prepare(&w->pool->idle, &w->sleeper, &nothing);
	FILCH_HOOK(abroad_prepared);
	found = look(s);
	FILCH_HOOK(abroad_looked);
	if (found.sleeps) {
		filchi_count(&w->counters, parks);
		return filchi_worker_sleep(w, deadline) ? 0 : -ETIMEDOUT;
	}
	if (found.job)
		serve(s, found.job);
	else if (found.refused && (s->kind != FILCHI_STAY_CALL ||
					  filchi_job_withdraw(&s->pool->jobs, s->job, s->id))) {
		if (s->kind == FILCHI_STAY_CALL)
			filchi_abroad_release(s->pool);
		return -EDEADLK;
	}
	return 0;
}

static struct filchi_stay stay_of(
	struct filchi_worker *w, struct filch_pool *pool, const struct timespec *deadline)
{
	return (struct filchi_stay){
		.worker = w,
		.pool = pool,
		.depth = filch_load_relaxed(&w->deque.depth),
		.timed = deadline != NULL,
		.can_run = filchi_worker_has_stack(w) && !w->pool->guards,
		.context = filchi_this_thread.context,
	};
}

int filchi_abroad_wait(struct filchi_worker *w, struct filch_pool *pool, struct filchi_job *job,
	int64_t id, const struct timespec *deadline, enum filchi_stay_kind kind)
{
	struct filchi_stay s = stay_of(w, pool, deadline);
	uint32_t user = filchi_fault_off(w);
	int error = 0;

	s.job = job;
	s.id = id;
	s.kind = kind;
	while (!error && filchi_stay_state(&s) != FILCHI_JOB_FREE) {
		error = step(&s, deadline);
		/* the child of a fork in a job that ran on top, on the creator's own thread */
		if (filchi_forked(w->pool))
			return -ECHILD;
	}
	leave(&s);
	filchi_fault_on(w, user);
	return error;
}

int filchi_abroad_room(struct filchi_worker *w, struct filch_pool *pool,
	const struct timespec *deadline, struct filchi_job *job)
{
	struct filchi_stay s = stay_of(w, pool, deadline);
	uint32_t user = filchi_fault_off(w);
	bool admitted = false;
	int error = 0;

	s.kind = FILCHI_STAY_ROOM;
	s.slot = job;
	for (;;) {
		if (filchi_load_acquire(&pool->closing))
			error = -ESHUTDOWN;
		else if ((admitted = filchi_injector_admit(&pool->injector, false)))
			error = 0;
		if (admitted || error)
			break;
		error = step(&s, deadline);
		if (filchi_forked(w->pool))
			return -ECHILD;
	}
	leave(&s);
	if (s.has_been_told)
		filchi_abroad_has_room(pool); /* there may be more, or we have not taken it */
	filchi_fault_on(w, user);
	return error;
}

int filchi_abroad_source(struct filchi_worker *w, struct filch_pool *pool,
	const struct filchi_source *source, const struct filch_group *group,
	const struct timespec *deadline, uint32_t *it)
{
	struct filchi_stay s = stay_of(w, pool, deadline);
	uint32_t user = filchi_fault_off(w);
	int error = 0;

	s.kind = FILCHI_STAY_SOURCE;
	s.source = source;
	s.group = group;
	while (!error) {
		if (filchi_load_acquire(&pool->closing)) {
			error = -ESHUTDOWN;
			break;
		}
		if (source->take(source->of, it))
			break;
		error = step(&s, deadline);
		if (filchi_forked(w->pool))
			return -ECHILD;
	}
	leave(&s);
	filchi_fault_on(w, user);
	return error;
}

/* With the lock: a look by a thread that was missed. */
static void look_again(void)
{
	filch_store_relaxed(&filchi_abroad_words.missed, 0); /* A6 follows, if it must be 1 */
	filchi_still_look(NULL);
}

/* --- submits from outside ----------------------------------------------- */

/*
 * It may be the last to sleep. A look that has not met it in the list has left its word by now, for
 * that is done under the lock.
 */
void filchi_outsider_enter(struct filchi_outsider *o)
{
	pthread_mutex_lock(&lock);
	o->next = filchi_outsiders;
	o->link = &filchi_outsiders;
	if (filchi_outsiders)
		filchi_outsiders->link = &o->next;
	filchi_outsiders = o;
	if (filchi_load_acquire(&filchi_abroad_words.missed))
		look_again();
	pthread_mutex_unlock(&lock);
}

void filchi_outsider_leave(struct filchi_outsider *o)
{
	pthread_mutex_lock(&lock);
	*o->link = o->next;
	if (o->next)
		o->next->link = o->link;
	pthread_mutex_unlock(&lock);
}

int filchi_outside_room(
	struct filch_pool *pool, const struct timespec *deadline, struct filchi_job *job)
{
	struct filchi_outsider o = { .pool = pool, .slot = job };
	const bool holds = filch_load_relaxed(&job->cq) ||
			   filch_load_relaxed(&job->state) & FILCHI_JOB_GROUPED;
	int error;

	if (deadline || !holds)
		return filchi_injector_wait(&pool->injector, deadline, &pool->closing);
	filchi_outsider_enter(&o);
	error = filchi_injector_wait(&pool->injector, NULL, &pool->closing);
	FILCH_HOOK(outsider_admitted);
	filchi_outsider_leave(&o);
	return error;
}

/* --- what ends a stay -------------------------------------------------- */

void filchi_abroad_done(struct filch_pool *pool, int64_t id)
{
	pthread_mutex_lock(&lock);
	FILCHI_EACH_STAY(s)
	if (s->pool == pool && s->job && s->id == id)
		(void)filchi_worker_wake(s->worker->pool, s->worker);
	pthread_mutex_unlock(&lock);
}

void filchi_abroad_has_room(struct filch_pool *pool)
{
	pthread_mutex_lock(&lock);
	tell_of_room(pool);
	pthread_mutex_unlock(&lock);
}

void filchi_abroad_has_some(const void *of)
{
	pthread_mutex_lock(&lock);
	FILCHI_EACH_STAY(s)
	if (s->source && s->source->of == of)
		(void)filchi_worker_wake(s->worker->pool, s->worker);
	pthread_mutex_unlock(&lock);
}

void filchi_abroad_look_again(void)
{
	pthread_mutex_lock(&lock);
	FILCHI_EACH_STAY(s)
	(void)filchi_worker_wake(s->worker->pool, s->worker);
	pthread_mutex_unlock(&lock);
}

void filchi_abroad_look(void)
{
	pthread_mutex_lock(&lock);
	look_again();
	pthread_mutex_unlock(&lock);
}

void filchi_abroad_creator_left(void)
{
	pthread_mutex_lock(&lock);
	filch_store_relaxed(&filchi_abroad_words.met, 0);
	/* its own pool may be gone by now; those with a stay are not */
	filchi_still_look(NULL);
	pthread_mutex_unlock(&lock);
}

/* --- fork -------------------------------------------------------------- */

void filchi_abroad_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

void filchi_abroad_after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

void filchi_abroad_in_child(void)
{
	filchi_stays = NULL;
	filchi_outsiders = NULL;
	filch_store_relaxed(&filchi_abroad_count, 0);
	filch_store_relaxed(&filchi_abroad_words.met, 0);
	filch_store_relaxed(&filchi_abroad_words.missed, 0);
	filch_store_relaxed(&filchi_abroad_words.met_holder, 0);
	pthread_mutex_unlock(&lock);
}
