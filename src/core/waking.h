/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker owes to others when it finds work, and what is done if it does not come. All else
 * that wakes is in worker.h.
 */
#ifndef FILCHI_WAKING_H
#define FILCHI_WAKING_H

#include "core/types.h"

/*
 * A searcher has found work, in the deque of @victim or, NULL, elsewhere; it ceases to be one.
 *
 * If it leaves work there, and more may search, it wakes the next. Else the owner's next push is to
 * see for itself, for one more is busy now than at its last.
 *
 * If it was the last one, it owes what posters and spawners rely on: a look at everything, and the
 * end of their trust.
 */
void filchi_waking_found(struct filchi_worker *w, struct filchi_worker *victim);

/*
 * Any thread, whose job is still queued: wakes another worker if those on their way have not looked
 * for too long. False: nobody sleeps who could be woken.
 */
bool filchi_waking_hurry(struct filch_pool *pool);

/* Raises ask at every deque, and passes the heavy fence: whoever pushes later sees it. */
void filchi_waking_ask_all(struct filch_pool *pool);

#endif
