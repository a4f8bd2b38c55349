/* SPDX-License-Identifier: Apache-2.0 */
/* The timer: the pool's thread for jobs that are to finish by some time. See timer.c. */
#ifndef FILCHI_TIMER_H
#define FILCHI_TIMER_H

#include "pool/thread.h"

/* filch_pool.start_timer: 0; -ENOMEM: no memory, or no thread. Any number of threads at once. */
int filchi_timer_start(struct filch_pool *pool);

/* Destroy, when no job is left. */
void filchi_timer_stop(struct filch_pool *pool);

#endif
