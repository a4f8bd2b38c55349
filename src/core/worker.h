/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: finding work, running it, searching, parking. The rules of the stack are kept here and
 * in await.c:
 *
 *   - a worker with an empty stack takes jobs and steals from anyone (filchi_filter.any);
 *   - a worker with a suspended frame takes only tasks of the jobs its wait names;
 *   - one with little stack left takes nothing more.
 */
#ifndef FILCHI_WORKER_H
#define FILCHI_WORKER_H

#include "core/spin_wait.h"

/* The calling thread's worker, or NULL. */
static inline struct filchi_worker *filchi_worker_self(void)
{
	return filchi_this_thread.worker;
}

static inline void filchi_worker_set_self(struct filchi_worker *w)
{
	filchi_this_thread.worker = w;
}

/*
 * Worker: a piece of work begins on its stack: @task, stolen, of @scope or none; or the function of
 * @team's job (@task NULL). There is room, because the stack is empty or filchi_worker_has_stack()
 * has said so. From now on a fault is the work's own. The creator of a FILCH_POOL_CALLER pool has
 * no thread object: if that thread goes, the program meant it.
 */
static inline void filchi_worker_enter(struct filchi_worker *w, struct filchi_team *team,
	struct filch_task *task, struct filchi_segment *scope)
{
	(void)filchi_segment_open_in(&w->deque, team, task, scope);
	if (FILCH_UNLIKELY(filchi_this_thread.context != NULL))
		filchi_context_enter(&filchi_segment_top(&w->deque)->context, FILCHI_CONTEXT_WORK);
	if (w->thread)
		filch_store_relaxed(&w->thread->user, 1);
}

/*
 * Around work of the program that this worker runs, @is_job or a stolen task: what the work leaves
 * changed of the processor's control and of the thread's cancellation does not reach the next. A
 * job finds it as the thread began with it; a wait finds it as it was before what it ran meanwhile.
 *
 * A job that is not @nested in other work needs no look: nothing has run since the last was
 * restored, or since the thread began.
 */
static inline struct filchi_cpu_control filchi_worker_control(
	const struct filchi_worker *w, bool is_job, bool nested)
{
	struct filchi_cpu_control now;

	if (is_job && w->thread && !nested)
		return w->thread->control;
	now = filchi_cpu_control();
	if (is_job && w->thread)
		filchi_cpu_control_restore(w->thread->control);
	return now;
}

static inline void filchi_worker_restore(
	const struct filchi_worker *w, struct filchi_cpu_control before)
{
	int ignored;

	filchi_cpu_flags_clear();
	/* an errand has changed what the next job is to find */
	if (w->thread && FILCH_UNLIKELY(w->thread->has_new_control) &&
		filch_load_relaxed(&w->deque.depth) == 1) {
		before = w->thread->control;
		w->thread->has_new_control = false;
	}
	filchi_cpu_control_restore(before);
	if (w->thread)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &ignored);
}

/*
 * In a guarding pool, before work of @team's job begins on this worker or goes on there: a guarded
 * one finds its thread's signal stack and signal mask fit for a fault, whatever a job before it has
 * done. Also before any other code of the program runs there; @team is NULL then.
 *
 * It costs two system calls. What a job does to these two cannot be seen without, and the kernel
 * kills where a fault finds them unfit. So a worker that has run a guarded job makes itself fit
 * again while it has nothing to do, by filchi_worker_rest(), and the next job starts without.
 */
void filchi_worker_arm(struct filchi_worker *w, struct filchi_team *team);
void filchi_worker_rest(struct filchi_worker *w);

/*
 * Worker with an empty stack, but for work that has just returned: calls that block without their
 * end are over. With FILCH_DEBUG that is a misuse of the job that made them. See elastic.c.
 */
FILCH_COLD void filchi_blocking_mend(struct filchi_worker *w);

/*
 * The same work has returned, fully synced. The creator of a FILCH_POOL_CALLER pool, whose rank is
 * 0, does not look for work as others do; and once its job is complete the pool may go.
 */
static inline void filchi_worker_leave(struct filchi_worker *w)
{
	if (w->thread)
		filch_store_relaxed(&w->thread->user, 0);
	else if (FILCH_UNLIKELY(w->rank) && filch_load_relaxed(&w->deque.depth) == 1)
		filchi_blocking_mend(w);
	if (FILCH_UNLIKELY(filchi_this_thread.context != NULL))
		filchi_context_leave(filchi_this_thread.context); /* ours: others have left */
	filchi_segment_close(&w->deque);
}

/* The owner, before it works: makes its deque. False: no memory. */
bool filchi_worker_make_deque(struct filchi_worker *w);

/* The owner: works until the pool stops. */
void filchi_worker_work(struct filchi_worker *w);

/*
 * Any thread: completes an aborted job that all workers have left. filchi_team_leave() has made it
 * the caller's.
 */
void filchi_worker_deliver(struct filch_pool *pool, struct filchi_job *job);

/* The same for a job that its submitter ran, and that will not return: as after pthread_exit(). */
void filchi_worker_abandon(struct filch_pool *pool, struct filchi_job *job);

/* The cold half of filchi_worker_in_child(). */
FILCH_COLD void filchi_worker_end_child(const struct filchi_worker *w, int status);

/*
 * Worker: code of the program has returned, and may have forked. In the child a thread of the
 * pool's ends here, with @status: beneath lies the parent's work. True: this is the child, on the
 * creator's own thread (FILCH_POOL_CALLER), whose call is to return -ECHILD.
 */
static inline bool filchi_worker_in_child(const struct filchi_worker *w, int status)
{
	if (FILCH_LIKELY(!filchi_forked(w->pool)))
		return false;
	filchi_worker_end_child(w, status);
	return true;
}

/*
 * Any thread: calls the function of a job or scope with FILCH_JOB_FREE. Meanwhile the thread has
 * the masks of the one that created its pool, if it is a worker. Returns what the function does.
 */
int filchi_worker_run_free(int (*fn)(void *arg), void *arg);

/*
 * Worker: looks at its own deque and at every other, nearest first, for a task that @filter allows,
 *         and runs one. @first >= 0 names a worker to try before all others. True if one was run.
 */
bool filchi_worker_help(struct filchi_worker *w, const struct filchi_filter *filter, int first);

/*
 * Worker: runs a job that is RUNNING and the worker's; completes it. @nested: on top of a frame
 *         that waits for it.
 */
void filchi_worker_run_job(struct filchi_worker *w, struct filchi_job *job, bool nested);

/* Worker, in a traced pool: a job begins on it, or has returned. */
FILCH_COLD void filchi_worker_trace_begin(struct filchi_worker *w, const struct filchi_job *job);
FILCH_COLD void filchi_worker_trace_end(struct filchi_worker *w, int64_t id);

/* Worker: runs a share of an errand, begun, of @team's job, whose count was raised for it. */
void filchi_worker_run_share(
	struct filchi_worker *w, struct filch_task *task, struct filchi_team *team);

/*
 * Worker with an empty stack that is no searcher: runs the next queued job; false if there is none.
 */
bool filchi_worker_run_one(struct filchi_worker *w);

/*
 * Worker: the last steps before it may sleep, after filchi_idle_prepare(). Raises ask at every
 *         deque, passes the heavy fence, and looks at everything once more. True: there is
 *         something it may run, or the pool stops.
 */
bool filchi_worker_look_again(struct filchi_worker *w, const struct filchi_filter *filter);

/* Worker: whether a stolen task or an awaited job may be started on top of the present frames. */
static inline bool filchi_worker_has_stack(const struct filchi_worker *w)
{
	return (uintptr_t)__builtin_frame_address(0) > w->stack_low &&
	       filch_load_relaxed(&w->deque.depth) < FILCHI_SEGMENTS;
}

/*
 * Waking. A sleeper is free, and may run anything, or bound, and may run tasks of its one or two
 * jobs. A woken free worker counts as a searcher from then on. There are six moments at which a
 * sleeper may have to be woken, each with its function:
 *
 *   - A job was put into the injector: filchi_worker_posted() wakes one free worker.
 *   - A push found its deque's ask raised: filch_push_asked() wakes one free worker, or one bound
 *     to the job of the task.
 *   - A searcher has found work, leaves more of it there, and fewer search than are busy: found()
 *     wakes one free worker.
 *   - The last searcher has found work: wake_next() wakes one free worker, and bound ones.
 *   - A bound sleeper leaves its wait: filchi_worker_pass_on() does the same.
 *   - The task or job that one sleeper waits for is done: filchi_worker_wake() and
 *     filchi_worker_job_done() wake that sleeper, be it this pool's or another's.
 *
 * Why one is enough. New work needs one worker. The next work has a poster of its own, and whatever
 * was there before has had one. A poster may even wake none while a searcher is on its way, because
 * that searcher owes a look at everything. If it finds work it counts itself down and, having been
 * the last, calls wake_next(). If it finds none it looks again before it sleeps. Both looks come
 * after the poster's publish. A spawner that has trusted searchers also for its next pushes is owed
 * the end of that: ask, raised again. The proof is in docs/idle-protocol.md.
 */

/* Any thread: it has ended this worker's sleep. Counts that. */
void filchi_worker_woken(struct filchi_worker *w);

/* Any thread: wakes this worker if it sleeps. Its task, its job, or the pool, has ended. */
bool filchi_worker_wake(struct filch_pool *pool, struct filchi_worker *w);

/*
 * Worker: it has slept as a bound one and leaves its wait. The wake-up may have been for a task
 *         that it now will not look for, and its waker has woken nobody else. So unless a searcher
 *         is on its way, it does what a searcher does that has found work.
 */
void filchi_worker_pass_on(struct filchi_worker *w);

/*
 * Any thread: it has put a job into the injector. Wakes one free worker unless a searcher is on its
 * way. Bound sleepers are left alone: a job starts on an empty stack, or under a wait for that very
 * job, which claims it before it sleeps. Passes a full fence. True if it woke one.
 *
 * One searcher does not count: a worker that the calling thread has woken and still keeps from
 * running, because they share a core. Which free worker is woken depends on the caller, see
 * spin_wait.c. A worker wakes its nearest. A client that will wait wakes the worker of its own core
 * first, since it makes way, and one that goes on wakes it last.
 */
bool filchi_worker_posted(struct filch_pool *pool);

/* Any thread: job @id is complete, and a worker may be parked for it. */
void filchi_worker_job_done(struct filch_pool *pool, int64_t id);

/* The same as filchi_jobs.tell, of a pool. */
void filchi_worker_told(struct filchi_jobs *jobs, int64_t id);

#endif
