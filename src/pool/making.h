/* SPDX-License-Identifier: Apache-2.0 */
/* What pool.c and default.c need of each other. */
#ifndef FILCHI_MAKING_H
#define FILCHI_MAKING_H

#include "core/types.h"

/*
 * filch_pool_create(). @of_process: the pool plans with the CPUs of the process' first thread as
 * well, since it is not the calling thread's alone.
 */
int filchi_pool_make(struct filch_pool **pool, const struct filch_config *config, bool of_process);

/* @pool is about to be destroyed: if it is the default one, the next use makes another. */
void filchi_default_forget(struct filch_pool *pool);

/* The child of a fork makes a default pool of its own. */
void filchi_default_in_child(void);

#endif
