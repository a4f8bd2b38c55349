/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service thread: one thread of a guarding or watching pool, which puts new threads on the
 * seats of lost ones. See service.c.
 */
#ifndef FILCHI_SERVICE_H
#define FILCHI_SERVICE_H

#include "pool/thread.h"

#define FILCHI_SERVICE_END 1u /* in the service word */

/* The creator, before the workers: 0 or an errno (positive). */
int filchi_service_start(struct filch_pool *pool);

/* Destroy, when no job is left: every lost thread is joined, the pool's own threads gone. */
void filchi_service_stop(struct filch_pool *pool);

/*
 * Starts a thread of the pool's own, named after the pool and @name (6 characters at most). 0 or an
 * errno (positive).
 */
int filchi_service_thread(pthread_t *handle, void *(*body)(void *arg), void *arg,
	const struct filch_pool *pool, const char *name);

#endif
