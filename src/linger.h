/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting awake, and what is known of the thread that waits: see linger.c. All of it is advice: a wrong guess costs time, never a
 * wake-up.
 */
#ifndef FILCHI_LINGER_H
#define FILCHI_LINGER_H

#include "shared.h"

/* The calling thread as a guest of pools: one that posts jobs and waits for them, and is no worker there. */
struct filchi_guest {
	bool has_woken;    /* it has woken a worker for the job it posted last: a wait that follows offers its core at once */
	bool runs;         /* it posts for FILCH_RUN, and will wait: no need to guess */
	unsigned times;    /* so often in a row it has waited at once for a job for which it woke a worker */
	int64_t id;        /* the last such job, until it waits for it or wakes a worker for another */
	uint64_t at;       /* when it had posted that */
	uint32_t stuck;    /* waits in a row that began beside a worker that is awake */
	uint32_t patience; /* so many of them before it sleeps instead; 0 = none yet */
	const struct filch_pool *overdue; /* whose worker on this CPU it has woken and not yet made way for */
};
struct filchi_guest *filchi_guest_here(void);

/* The worker whose seat is the CPU that the calling thread is on, or NULL. */
struct filchi_worker *filchi_neighbour(const struct filch_pool *pool);

static inline bool filchi_is_awake(struct filchi_worker *w)
{
	return FILCHI_SLEEP_KIND(filchi_load_relaxed(&w->sleeper.state)) == FILCHI_AWAKE;
}

/* Whether a guest is about to wait for the job it posts, by what it does or has done so far. */
bool filchi_guest_waits(const struct filchi_guest *guest);

/* A guest has woken a worker for job @id. */
void filchi_guest_woke_for(int64_t id);

/* A guest begins to wait for job @id. */
void filchi_guest_waits_for(int64_t id);

/*
 * Any thread that waits: one step of a bounded search before it sleeps; it pauses for a microsecond, then it yields its core; at once
 * where somebody it waits for, or who waits for it, shares that core. False when the time since *@since (0 = not begun) is used up,
 * or a sleep is better. @self: the pool's worker that waits; NULL: a guest.
 */
bool filchi_linger(const struct filch_pool *pool, struct filchi_worker *self, uint64_t *since);

/* A worker that has run something: lets a guest that waits on its core look. */
void filchi_give_way(struct filchi_worker *w);

#endif
