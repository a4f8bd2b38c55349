/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errands. A call has one share for each worker. Calls of one pool are numbered and stand in a
 * list, oldest first; each worker runs its shares in that order, and remembers the number of the
 * last that it has begun. So one look at one word tells it whether there is something for it, and
 * nobody has to be told where it stands. A call leaves the list when its last share was begun.
 *
 * A share runs where its worker looks for work: on an empty stack, or on top of a frame that waits,
 * whatever that waits for. So no wait of one worker can keep a call from its end, and calls that
 * meet end as well: each waiting worker runs the others' shares. What is run on top is over before
 * the frame below goes on, which delays it and changes nothing for it. A worker whose stack has no
 * room declines its share rather than wait with it: what lies below could wait for this very call.
 *
 * Otherwise a share is a stolen task of the calling job. It counts in the job's team, its join is a
 * sync (join.h), and what it spawns is the job's. The call itself is allocated: pthread_exit() in a
 * share unwinds the caller's stack while others have not begun. Then it is lost with that thread.
 *
 * Rejected: a job for each worker. It would need as many slots, and wait for an empty stack; a call
 *           from a job would then wait for frames that wait for it.
 */
#include "core/errand.h"

#include <errno.h>
#include <stdlib.h>

#include "core/await.h"

struct share {
	struct filch_task task; /* first */
	struct errand *of;
	int status;
	bool declined;
};

struct errand {
	struct errand *next;
	uint32_t number;
	uint32_t not_begun; /* shares */
	struct filchi_team *team;
	int (*fn)(void *arg, int worker);
	void *arg;
	struct share share[]; /* one per worker */
};

void filchi_errands_init(struct filch_pool *pool)
{
	pthread_mutex_init(&pool->errand_lock, NULL);
}

/* --- the list, under its lock ------------------------------------------ */

/* The worker's oldest share, begun from now on; or NULL. */
static struct share *begin_locked(struct filchi_worker *w)
{
	struct errand **link = &w->pool->errand, *e;
	uint32_t begun = filch_load_relaxed(&w->errands_begun);

	/* differences: numbers wrap */
	while ((e = *link) && (int32_t)(e->number - begun) <= 0)
		link = &e->next;
	if (!e)
		return NULL;
	filch_store_relaxed(&w->errands_begun, e->number);
	if (!--e->not_begun)
		*link = e->next;
	return &e->share[w->id];
}

static struct share *begin(struct filchi_worker *w)
{
	struct share *share;

	pthread_mutex_lock(&w->pool->errand_lock);
	share = begin_locked(w);
	pthread_mutex_unlock(&w->pool->errand_lock);
	if (share)
		filch_tsan_acquire(&w->pool->errands);
	return share;
}

/* --- a worker's side --------------------------------------------------- */

/* Ends a share that was begun and is not run. */
static void decline(struct filchi_worker *w, struct share *share)
{
	struct filch_pool *pool = w->pool;
	struct filchi_team *team = share->of->team;
	int joiner;

	share->declined = true;
	(void)filchi_task_begin(&share->task, &pool->marks, w->id);
	joiner = filchi_task_finish(&share->task, &pool->marks);
	/* from here on the share may be gone */
	if (filchi_team_leave(team))
		filchi_worker_deliver(pool, filchi_job_of(team));
	if (joiner >= 0)
		(void)filchi_worker_wake(pool, filchi_worker_at(pool, (uint32_t)joiner));
}

/*
 * The thunk of a share. What the function leaves of the processor's control is kept, for the jobs
 * that this thread runs from now on; work that lies below gets its own back.
 */
static void run_share(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct share *share = (struct share *)(void *)task;
	struct filchi_thread *thread = filchi_worker_of(hot)->thread;

	(void)carried;
	if (thread)
		filchi_cpu_control_restore(thread->control);
	share->status = share->of->fn(share->of->arg, (int)filchi_worker_of(hot)->id);
	if (!thread)
		return;
	thread->control = filchi_cpu_control();
	thread->has_new_control = true;
}

bool filchi_errands_run(struct filchi_worker *w)
{
	struct share *share = begin(w);

	if (!share)
		return false;
	if (filchi_worker_has_stack(w))
		filchi_worker_run_share(w, &share->task, share->of->team);
	else
		decline(w, share);
	return true;
}

void filchi_errands_vacant(struct filchi_worker *w, bool is_vacant)
{
	pthread_mutex_lock(&w->pool->errand_lock);
	w->declines = is_vacant; /* with it the next call passes this worker over */
	pthread_mutex_unlock(&w->pool->errand_lock);
}

void filchi_errands_decline(struct filchi_worker *w)
{
	struct share *share;

	do {
		pthread_mutex_lock(&w->pool->errand_lock);
		share = w->declines ? begin_locked(w) : NULL;
		pthread_mutex_unlock(&w->pool->errand_lock);
		if (share)
			decline(w, share);
	} while (share);
}

/* --- the caller's side ------------------------------------------------- */

/* Shares of workers that cannot run any are over at once. */
static void post(struct filch_pool *pool, struct errand *e)
{
	struct errand **link = &pool->errand;

	pthread_mutex_lock(&pool->errand_lock);
	e->number = filch_load_relaxed(&pool->errands) + 1;
	for (uint32_t i = 0; i < pool->running; i++) {
		struct filchi_worker *w = filchi_worker_at(pool, i);
		bool declines = w->declines;

		e->share[i] = (struct share){ .of = e, .declined = declines };
		filch_store_relaxed(
			&e->share[i].task.word, declines ? 0 : (uintptr_t)(filch_thunk *)run_share);
		if (declines)
			filch_store_relaxed(&w->errands_begun, e->number);
		else
			e->not_begun++;
	}
	/* before a share can end; the caller's own is one of them, so that none is the last */
	(void)filchi_fetch_add_acq_rel(&e->team->inside, e->not_begun);
	while (*link)
		link = &(*link)->next;
	*link = e;
	filch_tsan_release(&pool->errands);
	filchi_share_post(&pool->errands); /* I5, the completing half */
	pthread_mutex_unlock(&pool->errand_lock);
	FILCH_HOOK(errand_posted);
	for (uint32_t i = 0; i < pool->running; i++) {
		filchi_store_release(&filchi_worker_at(pool, i)->called, 1);
		(void)filchi_worker_wake(pool, filchi_worker_at(pool, i));
	}
}

/* Of the lowest worker that has something to say. */
static int status_of(const struct filch_pool *pool, const struct errand *e)
{
	int status = 0;

	for (uint32_t i = pool->running; i--;) {
		if (e->share[i].declined)
			return -ENOBUFS;
		if (e->share[i].status)
			status = e->share[i].status;
	}
	return status;
}

int filchi_errand_each(struct filchi_worker *w, int (*fn)(void *arg, int worker), void *arg)
{
	struct filch_pool *pool = w->pool;
	struct errand *e = calloc(1, sizeof *e + pool->running * sizeof e->share[0]);
	int status;

	if (!e)
		return -ENOMEM;
	e->team = filchi_segment_team(&w->deque);
	e->fn = fn;
	e->arg = arg;
	post(pool, e);
	while (filchi_errands_wait(w) && !filchi_forked(pool))
		(void)filchi_errands_run(w);
	if (filchi_forked(pool))
		return -ECHILD; /* in there, on the creator's own thread: the rest is not ours */
	for (uint32_t i = 0; i < pool->running; i++)
		if (!filchi_task_done(&e->share[i].task))
			filchi_wait_task(w, &e->share[i].task);
	status = status_of(pool, e);
	free(e);
	return status;
}
