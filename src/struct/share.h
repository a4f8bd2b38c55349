/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work for each worker of a pool: how one that sleeps comes to hear of it. Calls are numbered, and
 * `posted` is the number of the last. A worker remembers the last that it has begun.
 *
 * The parking worker              | A poster
 *   1 state = asleep              |   a posted is raised
 *   2 full fence (prepare)        |   b full fence
 *   3 look: posted against begun  |   c look at each worker's state, wake it if it sleeps
 * If 2 comes before b, the poster sees 1; else the worker sees a in 3. These are I2 and I5, see
 * core/worker.c. Unlike other work this is for every worker, so each is looked at.
 *
 * What a call is, and which are not begun, stands under a mutex: core/errand.c.
 */
#ifndef FILCHI_SHARE_H
#define FILCHI_SHARE_H

#include "base/atomic.h"

/* The worker: whether it has a share that it has not begun. After 2 it is not seen late. */
static inline bool filchi_share_waits(filch_atomic_u32 *posted, filch_atomic_u32 *begun)
{
	return FILCH_UNLIKELY(filch_load_relaxed(posted) != filch_load_relaxed(begun));
}

/* The poster: step a. */
static inline void filchi_share_post(filch_atomic_u32 *posted)
{
	(void)filchi_fetch_add_seq_cst(posted, 1);
}

/* The poster: steps b and c for one worker; the state that is to be ended if it is a sleep's. */
static inline uint32_t filchi_share_look(filch_atomic_u32 *state)
{
	return filchi_rmw_fence_then_load_acquire(state);
}

#endif
