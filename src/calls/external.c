/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that are no workers of the pool they call: see external.h. */
#include "calls/external.h"

#include "core/waking.h"
#include "struct/policy.h"

#include <errno.h>

bool filchi_in_callback_of(struct filch_pool *pool)
{
	return filchi_context_find(FILCHI_CONTEXT_CALLBACK, &pool->jobs, NULL);
}

bool filchi_in_inline_job_of(struct filch_pool *pool)
{
	return filchi_context_find(FILCHI_CONTEXT_INLINE, &pool->jobs, NULL);
}

bool filchi_is_inline_here(const struct filchi_job *job)
{
	return filchi_context_find(FILCHI_CONTEXT_INLINE, NULL, job);
}

bool filchi_may_run_inline(const struct filch_pool *pool)
{
	const struct filchi_worker *w = filchi_worker_self();

	return !w || w->pool == pool || !w->pool->guards;
}

struct filchi_worker *filchi_worker_here(const struct filch_pool *pool)
{
	struct filchi_worker *w = filchi_worker_self();

	return w && w->pool == pool ? w : NULL;
}

bool filchi_caller_is_away(const struct filch_pool *pool)
{
	return pool->has_caller && pool->running == 1 &&
	       pthread_equal(pool->caller, pthread_self()) && filchi_worker_self() &&
	       filchi_worker_self()->pool != pool;
}

/* ns: a look that took longer had its core taken by somebody else, most likely by a worker */
#define CLIENT_AWAY 5000u
/* a client looks so many times search_ns at most, as the wall clock goes */
#define CLIENT_TURNS 8u
#define CLIENT_APART 16u /* the same where a core is left for it */

/*
 * filchi_spin_wait() for a client, which holds back nobody's wake-up.
 *
 * With as many workers as cores it shares one with a worker that is at the job. Its yield then
 * lasts until that worker yields, and it is at hand when the job is done. So only time that it used
 * counts: by the wall clock it would sleep in each short loop that it calls, and a wake-up costs
 * more than it saves. With fewer workers than cores it takes none's time, and looks longer: its own
 * core would idle, and the worker would have parked before it is back.
 *
 * Not for waits by id: many producers that wait would take turns with the workers.
 */
static bool spin_wait_as_client(const struct filch_pool *pool, uint64_t *since, uint64_t *first)
{
	bool apart = pool->plan->usable > filch_load_relaxed(&pool->allowed);
	uint64_t before = filchi_now(),
		 most = (uint64_t)(apart ? CLIENT_APART : CLIENT_TURNS) * pool->search_ns, took;

	if (!*first)
		*first = before;
	if (!filchi_spin_wait(pool, NULL, since))
		return false;
	took = filchi_now() - before;
	if (before - *first < most) {
		if (apart)
			/* goes on, and yields at each look */
			*since = before + took - pool->search_ns / 2;
		else if (took > CLIENT_AWAY)
			*since += took;
	}
	return true;
}

/* ns: the first nap of a client whose job has not been begun; each is twice as long as the last */
#define CLIENT_NAP (FILCHI_MISSING_NS + FILCHI_MISSING_NS / 4)

/*
 * Sleeps until job @id is complete. While it is queued, and workers sleep, somebody must be on his
 * way to it; the client looks after some time whether he is.
 */
static int sleep_outside(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline)
{
	for (uint64_t nap = CLIENT_NAP;; nap *= 2) {
		struct timespec until = filch_after(nap);
		uint64_t state;
		int error;

		if (deadline && filchi_nanoseconds(deadline) <= filchi_nanoseconds(&until))
			break;
		error = filchi_job_await(&pool->jobs, job, id, &until);
		if (error != -ETIMEDOUT)
			return error;
		state = filchi_load_acquire(&job->state);
		if (!filchi_job_is(&pool->jobs, state, id) ||
			FILCHI_JOB_STATE(state) == FILCHI_JOB_RUNNING)
			break;
		if (FILCHI_JOB_STATE(state) == FILCHI_JOB_QUEUED && !filchi_waking_hurry(pool))
			break;
	}
	return filchi_job_await(&pool->jobs, job, id, deadline);
}

int filchi_sleep_as_client(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, enum filchi_stay_kind kind)
{
	struct filchi_worker *w = filchi_worker_self();

	return w ? filchi_abroad_wait(w, pool, job, id, deadline, kind)
		 : sleep_outside(pool, job, id, deadline);
}

/* The same where a job may run on top and leave the thread: the client leaves too. */
static int sleep_and_leave(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, enum filchi_stay_kind kind)
{
	int error;

	pthread_cleanup_push(filchi_client_exited, pool);
	error = filchi_sleep_as_client(pool, job, id, deadline, kind);
	pthread_cleanup_pop(0);
	return error;
}

/*
 * Whether workers of @pool wait for other pools, and none looks for work: then the caller, a worker
 * itself, may well be one that they wait for. It had better be found.
 */
static bool is_all_abroad(const struct filch_pool *pool)
{
	uint64_t counts = filch_load_relaxed(&pool->idle.counts);

	return filch_load_relaxed(&pool->abroad) && !FILCHI_IDLE_FREES(counts) &&
	       FILCHI_IDLE_SEARCH(counts) <= 0;
}

int filchi_wait_as_client(struct filch_pool *pool, struct filchi_job *job, int64_t id,
	const struct timespec *deadline, struct filch_completion *out, bool ours)
{
	uint64_t since = 0, first = 0;
	bool sleeps = filchi_worker_self() && is_all_abroad(pool);
	int error, late = 0;

	while ((error = filchi_job_reap(&pool->jobs, id, out)) == -EAGAIN && !late) {
		if (filchi_deadline_passed(deadline))
			late = -ETIMEDOUT;
		else if (sleeps || !(ours ? spin_wait_as_client(pool, &since, &first)
					  : filchi_spin_wait(pool, NULL, &since)))
			late = sleep_and_leave(pool, job, id, deadline,
				ours ? FILCHI_STAY_CALL : FILCHI_STAY_WAIT);
		if (late == -EDEADLK && ours)
			return late; /* and the job has been taken back */
	}
	return error == -EAGAIN ? late : error;
}
