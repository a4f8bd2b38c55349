/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that start after others: see struct/after.h.
 *
 * A submit looks which of its predecessors are unfinished. If none is, and none has failed, it is a
 * submit as any other. Else the job waits, in a slot and outside of the queue:
 *
 *   - edges are taken, all that may be needed: nothing has been kept when there are too few
 *   - the job is published as WAITING
 *   - its edges are hung on, one after the other
 *   - the look at closing, as in a submit; the share of the submit itself is counted off
 *
 * When the last one is counted off, the job goes into the queue, whose SCQs have a place for every
 * slot. It is not asked whether there is room: the thread that has ended a job cannot wait.
 */
#include "calls/submit.h"
#include "core/trace_events.h"

#include <errno.h>

bool filchi_after_known(const struct filch_pool *pool, const struct filch_submit *how)
{
	for (size_t i = 0; i < how->after_count; i++)
		if (!filchi_job_find(&pool->jobs, *(const volatile int64_t *)&how->after[i]))
			return false;
	return true;
}

enum outcome { UNFINISHED, ENDED, HAS_FAILED };

/*
 * What became of job @id, whose slot has state word @s. Of one whose slot has passed on to another
 * it is not known any more, and it counts as one that has not failed.
 */
static enum outcome outcome(const struct filchi_jobs *jobs, uint64_t s, int64_t id)
{
	bool is_free = FILCHI_JOB_STATE(s) == FILCHI_JOB_FREE;

	if (filchi_job_is(jobs, is_free ? s - FILCHI_JOB_GENERATION_ONE : s, id)) {
		if (filchi_job_is_pending(s))
			return UNFINISHED;
		if (s & FILCHI_AFTER_FAILED)
			return HAS_FAILED;
	}
	return ENDED;
}

static struct filchi_followers *followers(struct filch_pool *pool)
{
	struct filchi_followers *f = filchi_load_acquire(&pool->jobs.followers), *none = NULL;

	if (f)
		return f;
	f = filchi_followers_make(pool->jobs.slots);
	if (!f || filchi_cas_acq_rel(&pool->jobs.followers, &none, f))
		return f;
	filchi_followers_free(f);
	return none;
}

/*
 * It is counted as queued before it is: whoever takes it out counts it off. One that a cancel has
 * won just now is counted in vain for a moment.
 *
 * The creator of a pool may be its one worker, and sleep until something is ready:
 * filchi_wait_ready().
 */
void filchi_submit_ready(struct filch_pool *pool, uint32_t slot, uint64_t s, bool failed)
{
	struct filchi_job *job = &pool->jobs.slot[slot];

	if (!filchi_after_waits(&job->state, s))
		return;
	(void)filchi_injector_admit(&pool->injector, true);
	FILCH_HOOK(after_admitted);
	if (!filchi_after_ready(&job->state, &s, failed)) {
		filchi_abroad_release(pool); /* it was cancelled */
		return;
	}
	FILCH_HOOK(after_ready);
	filchi_trace(pool, QUEUED, (uint64_t)filchi_job_id_of(&pool->jobs, job, s), 0);
	FILCHI_PROBE(queued, pool, slot);
	filchi_injector_put(&pool->injector, filch_load_relaxed(&job->lane), slot);
	(void)filchi_worker_posted(pool);
	if (FILCH_UNLIKELY(s & FILCHI_JOB_GROUPED))
		filchi_group_slot_posted(pool, slot);
	if (s & FILCHI_JOB_FOR_WORKER)
		filchi_worker_job_done(pool, filchi_job_id_of(&pool->jobs, job, s));
	if (pool->has_caller && pool->running == 1)
		(void)filchi_worker_wake(pool, pool->first);
}

/* The last of those that the job in @slot follows has ended, in the generation of @s. */
static void ready(struct filch_pool *pool, uint32_t slot, uint64_t s, bool failed)
{
	if (filchi_load_acquire(&pool->jobs.slot[slot].state) & FILCHI_JOB_GROUPED &&
		filchi_group_holds(pool, slot, s, failed))
		return;
	filchi_submit_ready(pool, slot, s, failed);
}

/*
 * A job that waits, and that nothing comes before any more, is about to become ready: until the
 * release no look for a standstill takes it for one that cannot.
 */
void filchi_after_hold(struct filchi_jobs *jobs)
{
	struct filch_pool *pool = filchi_pool_of(jobs);

	filchi_client_in(pool);
	(void)filchi_fetch_add_acq_rel(&pool->releases, 1);
}

/* It is ready, or not about to be. */
static void let_go(struct filch_pool *pool)
{
	(void)filchi_fetch_sub_seq_cst(&pool->releases, 1);
	filchi_abroad_changed(&pool->involved);
	filchi_client_out(pool);
}

void filchi_after_release(struct filchi_jobs *jobs, uint32_t first, bool failed)
{
	struct filch_pool *pool = filchi_pool_of(jobs);
	struct filchi_followers *f = filchi_load_acquire(&jobs->followers);
	uint32_t last = FILCHI_EDGE_NONE;

	FILCH_HOOK(after_releases);
	for (uint32_t e = first; e != FILCHI_EDGE_NONE; e = filchi_edge_next(f, e)) {
		const struct filchi_edge *edge = &f->edge[e];
		bool fails = failed && !edge->any;

		if (filchi_after_ended(&f->of[edge->slot].count, edge->generation, 1, &fails))
			ready(pool, edge->slot, edge->generation, fails);
		last = e;
	}
	if (last != FILCHI_EDGE_NONE)
		filchi_edges_give(f, first, last);
	let_go(pool);
}

/* A submit of a job that follows others. */
struct following {
	struct filch_pool *pool;
	const struct filch_submit *how;
	struct filchi_followers *f;
	uint32_t unhung; /* edges, linked */
	uint32_t left;   /* how many these are */
	bool failed;     /* one of those that have ended */
};

/* How many are unfinished. Later there may be fewer. */
static size_t count_unfinished(struct following *me)
{
	struct filchi_jobs *jobs = &me->pool->jobs;
	size_t n = 0;

	for (size_t i = 0; i < me->how->after_count; i++) {
		int64_t id = me->how->after[i];
		struct filchi_job *job = filchi_job_find(jobs, id);
		enum outcome o = job ? outcome(jobs, filchi_load_acquire(&job->state), id) : ENDED;

		n += o == UNFINISHED;
		if (o == HAS_FAILED)
			me->failed = true;
	}
	return n;
}

/* Hangs an edge of the job in @slot, with state word @of, on the list of job @id. */
static void hang(struct following *me, uint32_t slot, uint64_t of, int64_t id)
{
	struct filchi_jobs *jobs = &me->pool->jobs;
	struct filchi_job *job = filchi_job_find(jobs, id);
	uint64_t s = job ? filchi_load_acquire(&job->state) : 0;
	/* its own id can be guessed: nothing comes after itself */
	bool is_other = job && job != &jobs->slot[slot];
	enum outcome o = is_other ? outcome(jobs, s, id) : ENDED;
	uint32_t number = me->unhung, next;

	if (o == UNFINISHED && number != FILCHI_EDGE_NONE) {
		struct filchi_edge *edge = &me->f->edge[number];

		next = filchi_edge_next(me->f, number);
		edge->generation = of;
		edge->slot = slot;
		edge->any = me->how->flags & FILCH_JOB_AFTER_ANY;
		switch (filchi_after_hang(
			&job->state, &s, &me->f->of[job - jobs->slot].list, edge, number)) {
		case FILCHI_HUNG:
			me->unhung = next;
			me->left--;
			return;
		case FILCHI_HUNG_FAILED:
			o = HAS_FAILED;
			break;
		case FILCHI_HUNG_OVER:
			o = outcome(jobs, s, id);
			break;
		case FILCHI_HUNG_CLOSED:
			break;
		}
		filch_store_relaxed(&edge->next, next);
	}
	if (o == HAS_FAILED)
		me->failed = true;
	if (job)
		filch_tsan_acquire(&job->state);
}

static void give_back(const struct following *me)
{
	uint32_t last = me->unhung;

	if (last == FILCHI_EDGE_NONE)
		return;
	while (filchi_edge_next(me->f, last) != FILCHI_EDGE_NONE)
		last = filchi_edge_next(me->f, last);
	filchi_edges_give(me->f, me->unhung, last);
}

static bool take_edges(struct following *me, size_t n)
{
	me->f = followers(me->pool);
	if (!me->f || n > me->f->edges)
		return false;
	me->left = (uint32_t)n;
	me->unhung = n ? filchi_edges_take(me->f, me->left) : FILCHI_EDGE_NONE;
	return !n || me->unhung != FILCHI_EDGE_NONE;
}

int64_t filchi_submit_after(struct filch_pool *pool, struct filchi_job *job,
	const struct filchi_work *work, const struct filch_submit *how, uint64_t now)
{
	const uint64_t s = filch_load_relaxed(&job->state); /* FREE, ours alone */
	const uint32_t slot = (uint32_t)(job - pool->jobs.slot);
	struct following me = { .pool = pool, .how = how };
	const int64_t id = job->id;
	size_t unfinished = count_unfinished(&me);
	bool failed;

	if (how->flags & FILCH_JOB_AFTER_ANY)
		me.failed = false;
	if (!unfinished && !me.failed)
		return 0;
	if (!take_edges(&me, unfinished)) {
		filchi_job_discard(&pool->jobs, job);
		return -ENOBUFS;
	}
	filchi_submit_fill(job, work, how, now);
	job->flags |= FILCHI_JOB_FOLLOWS;
	filchi_after_begin(&me.f->of[slot].count, s, me.left);
	if (how->group)
		filchi_group_begin(&how->group->word, 1);
	filchi_after_hold(&pool->jobs);
	filchi_job_publish(job, FILCHI_JOB_WAITING, filchi_submit_flags(how));
	if (filchi_submit_adds(how))
		filchi_submit_add(pool, how, id);
	FILCH_HOOK(after_published);
	for (size_t i = 0; i < how->after_count; i++)
		hang(&me, slot, s, how->after[i]);
	give_back(&me);
	FILCH_HOOK(after_hung);
	/*
	 * S1 of submit.c, here too. A job that the closer has cancelled was accepted. Edges that
	 * hang meet another generation.
	 */
	if (filchi_fence_then_load_acquire(&pool->closing) &&
		filchi_job_claim_waiting(job, id, &pool->jobs)) {
		filchi_job_take_back(&pool->jobs, job);
		let_go(pool);
		return -ESHUTDOWN;
	}
	failed = me.failed && !(how->flags & FILCH_JOB_AFTER_ANY);
	if (filchi_after_ended(&me.f->of[slot].count, s, me.left + 1, &failed))
		ready(pool, slot, s, failed);
	let_go(pool); /* and it holds room of its group from now on */
	return id;
}
