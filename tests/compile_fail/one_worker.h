/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of one worker, so that no thief hides a mistake; NULL if there is none to be had. */
#ifndef ONE_WORKER_H
#define ONE_WORKER_H

#include <filch/filch.h>

static inline struct filch_pool *one_worker(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	config.workers = 1;
	return filch_pool_create(&pool, &config) ? NULL : pool;
}

#endif
