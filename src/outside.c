/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that are no workers of the pool they call: who they are to it, and how they wait. */
#include "outside.h"

#include <errno.h>

bool filchi_runs_job_of(const struct filch_pool *pool)
{
	const struct filchi_foreign *f = filchi_foreign_here();

	while (f && !(f->job >= pool->jobs.slot && f->job < pool->jobs.slot + pool->jobs.count))
		f = f->outer;
	return f;
}

bool filchi_runs_here(const struct filchi_job *job)
{
	const struct filchi_foreign *f = filchi_foreign_here();

	while (f && f->job != job)
		f = f->outer;
	return f;
}

struct filchi_worker *filchi_worker_here(const struct filch_pool *pool)
{
	struct filchi_worker *w = filchi_worker_self();

	return w && w->pool == pool ? w : NULL;
}

bool filchi_caller_is_away(const struct filch_pool *pool)
{
	return pool->has_caller && pool->running == 1 && pthread_equal(pool->caller, pthread_self()) && filchi_worker_self() &&
	       filchi_worker_self()->pool != pool;
}

#define GUEST_AWAY  5000u /* ns: a look that took longer had its core taken by somebody else, most likely by a worker */
#define GUEST_TURNS 8u    /* a guest looks so many times search_ns at most, as the wall clock goes */
#define GUEST_APART 16u   /* the same where a core is left for it */

/*
 * filchi_linger() for a guest, who holds back nobody's wake-up: only time that it used counts. With as many workers as cores it shares
 * one with a worker that is at the job; its yield then lasts until that worker yields, and it is at hand when the job is done.
 * Counted by the wall clock, it was put to sleep during each loop of 80 us that it called, and its wake-up took 10 to 30 us. Where
 * there are fewer workers than cores it takes none's time, and looks longer: asleep on a core of its own, which then idles, it took 20 to
 * 60 us to come back, and the worker had parked meanwhile. Not for waits by id: many producers that wait would take turns with the workers.
 */
static bool linger_as_guest(const struct filch_pool *pool, uint64_t *since, uint64_t *first)
{
	bool apart = pool->plan->usable > pool->running;
	uint64_t before = filchi_now(), most = (uint64_t)(apart ? GUEST_APART : GUEST_TURNS) * pool->search_ns, took;

	if (!*first)
		*first = before;
	if (!filchi_linger(pool, NULL, since))
		return false;
	took = filchi_now() - before;
	if (before - *first < most) {
		if (apart)
			*since = before + took - pool->search_ns / 2; /* goes on, and yields at each look */
		else if (took > GUEST_AWAY)
			*since += took;
	}
	return true;
}

int filchi_wait_as_guest(struct filch_pool *pool, struct filchi_job *job, int64_t id, const struct timespec *deadline,
			 struct filch_completion *out, bool ours)
{
	uint64_t since = 0, first = 0;
	int error, late = 0;

	while ((error = filchi_job_reap(&pool->jobs, id, out)) == -EAGAIN && !late) {
		if (filchi_deadline_passed(deadline))
			late = -ETIMEDOUT;
		else if (!(ours ? linger_as_guest(pool, &since, &first) : filchi_linger(pool, NULL, &since)))
			late = filchi_job_await(&pool->jobs, job, id, deadline);
	}
	return error == -EAGAIN ? late : error;
}
