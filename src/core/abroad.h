/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers that wait for a job of another pool, or for room in its queue: they are abroad, and each
 * such wait is a stay. See abroad.c for what they do meanwhile, and why pools that call each other
 * do not come to a standstill.
 */
#ifndef FILCHI_ABROAD_H
#define FILCHI_ABROAD_H

#include "core/worker.h"
#include "struct/standstill.h"

/* Stays of this process that may be asleep. */
extern filch_atomic_u32 filchi_abroad_count;

/*
 * A look for a standstill has met the creator of a FILCH_POOL_CALLER pool at work there; or has
 * found all asleep, and that others may change it. Apart from the count, which changes more often.
 */
struct filchi_abroad_words {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 met;
	filch_atomic_u32 missed;
	filch_atomic_u32 met_holder; /* a pool that holds what stays wait for was awake */
};
extern struct filchi_abroad_words filchi_abroad_words;

/* How a stay is ended: see filchi_abroad_wait(). */
enum filchi_stay_kind {
	FILCHI_STAY_CALL,  /* the worker has posted the job, which is nobody else's to wait for */
	FILCHI_STAY_WAIT,  /* the job goes on whether or not the wait does */
	FILCHI_STAY_FIRM,  /* the same, and the wait is not to be refused */
	FILCHI_STAY_ROOM,  /* no job: for room in the queue */
	FILCHI_STAY_SOURCE /* no job: for room in a completion queue or in a group */
};

/*
 * Worker @w, of another pool than @pool: sleeps until the job of @id is no longer queued or
 * running. Meanwhile it may run a job of its own pool on top. 0, -ETIMEDOUT, -ECHILD, or:
 *
 *   -EDEADLK   nothing can go on. The job of a CALL has been taken back. A FIRM wait never gets it.
 */
int filchi_abroad_wait(struct filchi_worker *w, struct filch_pool *pool, struct filchi_job *job,
	int64_t id, const struct timespec *deadline, enum filchi_stay_kind kind);

/*
 * The same for room in @pool's queue, for the job in slot @job, with what it has so far: 0, with
 * one admitted; -ETIMEDOUT, -ESHUTDOWN, -ECHILD, -EDEADLK.
 */
int filchi_abroad_room(struct filchi_worker *w, struct filch_pool *pool,
	const struct timespec *deadline, struct filchi_job *job);

/*
 * The same for a credit of @cq, a cell in *@cell, for a job of @pool, of @group or NULL, in which
 * it has room: 0, -ETIMEDOUT, -ESHUTDOWN, -ECHILD; -EDEADLK if what cannot go on holds all credits.
 */
int filchi_abroad_credit(struct filchi_worker *w, struct filch_pool *pool, struct filch_cq *cq,
	const struct filch_group *group, const struct timespec *deadline, uint32_t *cell);

/*
 * Thread that is no worker: the same two waits, of which looks for a standstill know where the
 * submit holds something that workers may wait for. Never -EDEADLK.
 */
int filchi_outside_room(
	struct filch_pool *pool, const struct timespec *deadline, struct filchi_job *job);
int filchi_outside_credit(struct filch_pool *pool, struct filch_cq *cq,
	const struct filch_group *group, const struct timespec *deadline, uint32_t *cell);

/* Any thread: credits of @cq were given, and submits wait for them; it is filch_cq.tell. */
void filchi_abroad_has_credit(struct filch_cq *cq);

/* Any thread: job @id of @pool is complete, and workers abroad may sleep for it. */
void filchi_abroad_done(struct filch_pool *pool, int64_t id);

/* Any thread: there is room in the queue of @pool, for one; or it is closing. */
void filchi_abroad_has_room(struct filch_pool *pool);

/* Any thread: room for one more in the queue, after its job has left it. */
static inline void filchi_abroad_release(struct filch_pool *pool)
{
	filchi_injector_release(&pool->injector);
	/*
	 * FENCE A3   count down queued -> read room awaited   pairs with: A2 in abroad.c
	 * Ensures, without: see A2.
	 * Weaker?    no: store->load; the release's read-modify-write is the fence.
	 * Checked:   tests/stress/mutual.c
	 */
	if (FILCH_UNLIKELY(filchi_rmw_fence_then_load_acquire(&pool->room_awaited)))
		filchi_abroad_has_room(pool);
}

/*
 * Worker that has prepared to sleep, and has decided to: if it is the last to do so, and some are
 * abroad, another one is woken that can go on.
 */
void filchi_abroad_last_look(struct filchi_worker *w);

static inline void filchi_abroad_settle(struct filchi_worker *w)
{
	filchi_standstill_settle(&w->sleeper);
	/* after A1: a stay that counts itself later sees us settled */
	if (FILCH_UNLIKELY(filchi_load_acquire(&filchi_abroad_count)))
		filchi_abroad_last_look(w);
}

/* The same for one that sleeps free: two loads where it is not concerned. */
static inline void filchi_abroad_settle_free(struct filchi_worker *w)
{
	if (FILCH_UNLIKELY(filchi_standstill_settle_free(&w->sleeper, &w->pool->involved)) ||
		FILCH_UNLIKELY(filchi_load_acquire(&filchi_abroad_words.met_holder))) /* A6, A1 */
		filchi_abroad_last_look(w);
}

/* A thread that was missed: looks in place of those that sleep. */
FILCH_COLD void filchi_abroad_look(void);

/*
 * Any thread, a full fence after it has changed what a stay may hang on, and does not sleep: it has
 * ended a job, made one ready, or published one that holds some of what is waited for. @awaited
 * counts the stays that may be concerned.
 */
static inline void filchi_abroad_changed(filch_atomic_u32 *awaited)
{
	if (FILCH_UNLIKELY(filchi_standstill_is_missed(&filchi_abroad_words.missed)) &&
		filchi_load_acquire(awaited))
		filchi_abroad_look();
}

/* Any thread: all that are abroad look whether all sleep, as if they went to sleep just now. */
void filchi_abroad_look_again(void);

/* A creator that is out of its pool, and was met: looks in place of those that met it. */
void filchi_abroad_creator_left(void);

/* Held over a fork; the child has no stays. */
void filchi_abroad_before_fork(void);
void filchi_abroad_after_fork(void);
void filchi_abroad_in_child(void);

#endif
