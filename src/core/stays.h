/* SPDX-License-Identifier: Apache-2.0 */
/* A stay, the list of all, and what one needs: for abroad.c, needs.c and still.c. */
#ifndef FILCHI_STAYS_H
#define FILCHI_STAYS_H

#include "core/abroad.h"

/* What else a stay may wait for than a job or room in a pool's queue. */
struct filchi_source {
	void *of;
	filch_atomic_u32 *awaited; /* counts its stays: whoever gives something looks at it */
	bool (*is_there)(void *of);
	bool (*may_come)(void *of); /* of itself, just now */
	bool (*take)(void *of, uint32_t *it);
	/*
	 * whether the job in a slot of @pool holds some of what must come back before any can be
	 * taken; how many hold all of that
	 */
	bool (*is_held_by)(void *of, struct filch_pool *pool, struct filchi_job *job);
	uint32_t size;
	struct filch_pool *pool; /* whose jobs alone hold it; NULL: those of any */
};

/*
 * A submit by a thread that is no worker, in its frame: it waits without a deadline, and holds
 * room that stays may wait for. It is in the list from before it sleeps until it has what it waits
 * for. All but the constants belong to the lock.
 */
struct filchi_outsider {
	struct filchi_outsider *next, **link;
	struct filch_pool *pool;            /* to which it submits */
	const struct filchi_source *source; /* what it waits for; NULL: room in the pool's queue */
	struct filchi_job *slot;            /* as of a stay */
	const struct filch_group *group;
	bool is_followed; /* a look has met it */
};

/* A wait of a worker, in its frame. All but the constants belong to the lock. */
struct filchi_stay {
	struct filchi_stay *next, **link; /* link: what points here */
	struct filchi_worker *worker;
	struct filch_pool *pool;            /* whose job it waits for */
	struct filchi_job *job;             /* NULL: for room */
	const struct filchi_source *source; /* for that, and not for the pool's queue */
	struct filchi_job *slot;         /* of a submit, not published, with what that has so far */
	const struct filch_group *group; /* without a slot: the one in which a submit has room */
	struct filchi_context *context;  /* what lies beneath on the worker's thread */
	int64_t id;
	uint32_t depth; /* segments of the worker's that lie beneath */
	struct filchi_need need;
	enum filchi_stay_kind kind;
	bool timed;
	bool linked;        /* the worker's own: it is in the list */
	bool can_run;       /* there is stack for a job on top */
	bool serves;        /* buried: something runs there, and this is not the topmost wait */
	bool may_run_any;   /* nothing else goes on */
	bool is_refused;    /* the same, and nothing can be run */
	bool has_been_told; /* of room */
};

/*
 * Worker @w, for a job of @pool, with room in @group or NULL: waits until it can take something of
 * @source, in *@it: 0, -ETIMEDOUT, -ESHUTDOWN, -ECHILD; -EDEADLK if what cannot go on holds all.
 */
int filchi_abroad_source(struct filchi_worker *w, struct filch_pool *pool,
	const struct filchi_source *source, const struct filch_group *group,
	const struct timespec *deadline, uint32_t *it);

/* Thread that is no worker: before it waits, and after. Between the two it is in the list. */
void filchi_outsider_enter(struct filchi_outsider *o);
void filchi_outsider_leave(struct filchi_outsider *o);

/* Any thread: there is some of @of, and stays wait for it. */
void filchi_abroad_has_some(const void *of);

extern struct filchi_stay *filchi_stays; /* newest first */
#define FILCHI_EACH_STAY(s) for (struct filchi_stay *s = filchi_stays; s; s = s->next)

extern struct filchi_outsider *filchi_outsiders;
#define FILCHI_EACH_OUTSIDER(o) for (struct filchi_outsider *o = filchi_outsiders; o; o = o->next)

/* The state of the awaited job; FREE if it is over, or if none is awaited. */
static inline unsigned filchi_stay_state(const struct filchi_stay *s)
{
	uint64_t state = s->job ? filchi_load_acquire(&s->job->state) : 0;

	return s->job && filchi_job_is(&s->pool->jobs, state, s->id) && filchi_job_is_pending(state)
		       ? FILCHI_JOB_STATE(state)
		       : FILCHI_JOB_FREE;
}

/* Whether the awaited job lies queued, and may run on top of a frame. */
static inline bool filchi_stay_may_be_run(const struct filchi_stay *s)
{
	return filchi_stay_state(s) == FILCHI_JOB_QUEUED &&
	       !(filchi_load_acquire(&s->job->state) & FILCHI_JOB_GUARDED);
}

/* After a read-modify-write of the caller's that is a full fence: room in the pool's queue. */
static inline bool filchi_stay_has_room(const struct filchi_stay *s)
{
	struct filchi_injector *q = &s->pool->injector;

	return filchi_rmw_fence_then_load_acquire(&q->queued) < q->capacity;
}

/* The jobs that must end before one wait can: a list to which they are added while it is read. */
struct filchi_needs {
	struct filchi_need *first, *last;
};

/*
 * All that @s needs: each such job's stay or worker has a need with its pool. The caller forgets it
 * before it gives the lock back.
 */
struct filchi_needs filchi_needs_of(struct filchi_stay *s);
void filchi_needs_forget(const struct filchi_needs *needs);

/*
 * Worker that has settled, or NULL: if all sleep that could end what the stays of some pool wait
 * for, one is told that it may run a job on top, or that it is refused.
 */
void filchi_still_look(const struct filchi_worker *self);

#endif
