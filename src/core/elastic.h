/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many workers may run, and what that is made of. See elastic.c; struct/limit.h has the
 * protocol.
 */
#ifndef FILCHI_ELASTIC_H
#define FILCHI_ELASTIC_H

#include "core/worker.h"

/* The creator, before the workers: the pool starts with @target of them, and this quota. */
void filchi_elastic_init(struct filch_pool *pool, uint32_t target, uint32_t quota);

/* Any thread: what the limit is made of has changed. */
void filchi_elastic_review(struct filch_pool *pool);

/* Any thread: one part of it. */
void filchi_elastic_set_target(struct filch_pool *pool, uint32_t target);
void filchi_elastic_set_quota(struct filch_pool *pool, uint32_t quota);
void filchi_elastic_pause(struct filch_pool *pool, bool paused);

/* Worker: a call that blocks begins or ends. False: none has begun. */
void filchi_blocking_begin(struct filchi_worker *w);
bool filchi_blocking_end(struct filchi_worker *w);

/* As filchi_blocking_mend() for a worker whose thread is lost: before another takes the seat. */
void filchi_blocking_forget(struct filchi_worker *w);

#endif
