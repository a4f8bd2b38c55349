/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jobs that must end before a wait of a worker abroad can: case 1 of abroad.c. All under the
 * lock of the stays.
 */
#include "core/stays.h"

static void need(struct filchi_needs *needs, struct filchi_need *n, struct filch_pool *pool,
	struct filchi_job *job)
{
	if (n->pool || !job)
		return;
	*n = (struct filchi_need){ .pool = pool, .job = job };
	if (needs->last)
		needs->last->next = n;
	else
		needs->first = n;
	needs->last = n;
}

void filchi_needs_forget(const struct filchi_needs *needs)
{
	for (struct filchi_need *n = needs->first; n; n = n->next)
		n->pool = NULL;
}

/*
 * The lowest segment of the worker's that is of @team; UINT32_MAX: none. What lies beneath a stay
 * does not change: its worker has the lock of the stays to pass before it can go on.
 */
static uint32_t lowest_of(struct filchi_worker *w, const struct filchi_team *team)
{
	uint32_t lowest = UINT32_MAX;

	for (uint32_t n = filchi_load_acquire(&w->deque.depth); n--;)
		if (filch_load_relaxed(&w->deque.segment[n].team) == team)
			lowest = n;
	return lowest;
}

/*
 * The job of its own pool that the worker waits for, on top of a frame of @team's; NULL if it does
 * not. One and the same sleep throughout, so that the frames are those of the wait.
 */
static struct filchi_job *own_wait_above(struct filchi_worker *w, const struct filchi_team *team)
{
	uint32_t asleep = filchi_load_acquire(&w->sleeper.state);
	int64_t id = (int64_t)filchi_load_acquire(&w->awaits);
	struct filchi_job *job = filchi_job_find(&w->pool->jobs, id);
	uint64_t state = job ? filchi_load_acquire(&job->state) : 0;

	if (!job || FILCHI_SLEEP_KIND(asleep) != FILCHI_ASLEEP_BOUND ||
		lowest_of(w, team) == UINT32_MAX)
		return NULL;
	return filchi_job_is(&w->pool->jobs, state, id) && filchi_job_is_pending(state) &&
			       filchi_load_acquire(&w->sleeper.state) == asleep
		       ? job
		       : NULL;
}

/*
 * The job ends when all its frames have returned, and one of them not before whatever lies above
 * it on the same stack. So it needs each job that a worker waits for above such a frame.
 */
static void need_those_above(struct filchi_needs *needs, const struct filchi_need *of)
{
	const struct filchi_team *team = &of->job->team;

	for (uint32_t i = 0; i < of->pool->running; i++) {
		struct filchi_worker *w = filchi_worker_at(of->pool, i);

		w->lowest = lowest_of(w, team);
		if (w->lowest != UINT32_MAX)
			need(needs, &w->need, of->pool, own_wait_above(w, team));
	}
	FILCHI_EACH_STAY(s)
	if (s->worker->pool == of->pool && s->depth > s->worker->lowest &&
		filchi_stay_state(s) != FILCHI_JOB_FREE)
		need(needs, &s->need, s->pool, s->job);
}

struct filchi_needs filchi_needs_of(struct filchi_stay *s)
{
	struct filchi_needs needs = { .first = NULL };

	if (filchi_stay_state(s) != FILCHI_JOB_FREE)
		need(&needs, &s->need, s->pool, s->job);
	for (struct filchi_need *n = needs.first; n; n = n->next)
		need_those_above(&needs, n);
	return needs;
}
