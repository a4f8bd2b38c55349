/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pool a call means: the one given to it; NULL: the calling worker's, and outside of workers
 * the default pool, which is made at its first use.
 */
#ifndef FILCHI_GIVEN_H
#define FILCHI_GIVEN_H

#include "core/worker.h"

/* The default pool of this process, or NULL: none was asked for, or the process is a child. */
extern FILCH_ATOMIC(struct filch_pool *) filchi_default __attribute__((visibility("hidden")));

/*
 * The default pool, made if there is none: 0 or as filch_pool_create(). The one call that goes up,
 * to pool/default.c: a pool is made by the room that knows how, and any call may be the first.
 */
FILCH_COLD int filchi_default_get(struct filch_pool **pool);

/* The cold half of filchi_given(). */
FILCH_COLD int filchi_given_none(struct filch_pool **pool);

/* *@pool is not NULL afterwards: 0; or why there is none. */
static inline int filchi_given(struct filch_pool **pool)
{
	return FILCH_LIKELY(*pool != NULL) ? 0 : filchi_given_none(pool);
}

/* The same where @pool is only read. */
static inline int filchi_given_const(const struct filch_pool *pool, struct filch_pool **to)
{
	*to = (struct filch_pool *)(uintptr_t)pool;
	return filchi_given(to);
}

/*
 * The same for a call on the job of @id. An id names its pool: with NULL the job may be one of the
 * worker's pool or of the default one. No pool is made for it: then no such job is known, -ESRCH.
 */
int filchi_given_with(struct filch_pool **pool, int64_t id);

#endif
