/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errands: a function that each worker of a pool runs once (filch_pool_each()). A share of one is a
 * task, but one that lies in no deque: it is for one worker, which finds it where it looks for
 * work. See errand.c.
 */
#ifndef FILCHI_ERRAND_H
#define FILCHI_ERRAND_H

#include "core/worker.h"
#include "struct/share.h"

void filchi_errands_init(struct filch_pool *pool);

/*
 * Worker: whether there is a share for it that it has not begun. Exact, since nobody else begins
 * them; but one that has just been posted may be seen late.
 */
static inline bool filchi_errands_wait(struct filchi_worker *w)
{
	return filchi_share_waits(&w->pool->errands, &w->errands_begun);
}

/* Worker: runs the oldest of its shares, on top of what lies on its stack. False: there is none. */
FILCH_COLD bool filchi_errands_run(struct filchi_worker *w);

/*
 * Worker, in work of a job: has every worker of its pool run fn(arg, its number) once, itself
 * included, and waits for all. As filch_pool_each().
 */
int filchi_errand_each(struct filchi_worker *w, int (*fn)(void *arg, int worker), void *arg);

/*
 * The seat has no thread any more: said before another thread can fill it. Or it has one again:
 * said by that. While it has none, calls pass it over.
 */
void filchi_errands_vacant(struct filchi_worker *w, bool is_vacant);

/*
 * Then: ends what shares it had, so that none waits for it. They have not run, and their calls are
 * told so. May call callbacks. A new thread on the seat runs what is left.
 */
void filchi_errands_decline(struct filchi_worker *w);

#endif
