/* SPDX-License-Identifier: Apache-2.0 */
/* The attendant: the pool's thread for all that may wait. See attendant.c. */
#ifndef FILCHI_ATTENDANT_H
#define FILCHI_ATTENDANT_H

#include "pool/thread.h"

/* The creator, before the service thread: 0 or an errno (positive). */
int filchi_attendant_start(struct filch_pool *pool);

/*
 * Destroy, when no job is left. await(): until every lost thread is gone; false: the attendant does
 * not come back from one. stop(): after the end was set in the service word, with that result.
 */
bool filchi_attendant_await(struct filch_pool *pool);
void filchi_attendant_stop(struct filch_pool *pool, bool is_free);

/* The service thread: @lost has been replaced, and is to be joined once it has ended. */
void filchi_attendant_take(struct filch_pool *pool, struct filchi_thread *lost);

/* Whether this is the attendant: on_stuck runs. */
bool filchi_attendant_is_here(const struct filch_pool *pool);

#endif
