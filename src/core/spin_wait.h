/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting awake, and what is known of the thread that waits: see spin_wait.c. All of it is advice:
 * a wrong guess costs time, never a wake-up.
 */
#ifndef FILCHI_SPIN_WAIT_H
#define FILCHI_SPIN_WAIT_H

#include "base/this_thread.h"
#include "core/types.h"

/* The calling thread as a client of pools: it posts jobs and waits, and is no worker there. */
static inline struct filchi_client *filchi_client_here(void)
{
	return &filchi_this_thread.client;
}

/* The worker whose seat is the CPU that the calling thread is on, or NULL. */
struct filchi_worker *filchi_worker_on_cpu(const struct filch_pool *pool);

static inline bool filchi_is_awake(struct filchi_worker *w)
{
	return FILCHI_SLEEP_KIND(filch_load_relaxed(&w->sleeper.state)) == FILCHI_AWAKE;
}

/* Whether a client is about to wait for the job it posts, by what it does or has done so far. */
bool filchi_client_waits(const struct filchi_client *client);

/* A client has woken a worker for job @id. */
void filchi_client_woke_for(int64_t id);

/* A client begins to wait for job @id. */
void filchi_client_waits_for(int64_t id);

/*
 * Any thread that waits: one step of a bounded search before it sleeps. For the first microsecond
 * it pauses; after that, or at once if the other party of the wait shares this core, it yields.
 * False when the time since *@since (0 = not begun) is used up, or a sleep is better. @self: the
 * pool's worker that waits; NULL: a client.
 */
bool filchi_spin_wait(const struct filch_pool *pool, struct filchi_worker *self, uint64_t *since);

/* A worker that has run something: lets a client that waits on its core look. */
void filchi_give_way(struct filchi_worker *w);

#endif
