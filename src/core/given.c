/* SPDX-License-Identifier: Apache-2.0 */
/* Which pool a call means: see given.h. */
#include "core/given.h"

#include <errno.h>

FILCH_ATOMIC(struct filch_pool *) filchi_default;

int filchi_given_none(struct filch_pool **pool)
{
	struct filchi_worker *w = filchi_worker_self();

	if (!w)
		return filchi_default_get(pool);
	*pool = w->pool;
	return 0;
}

int filchi_given_with(struct filch_pool **pool, int64_t id)
{
	struct filchi_worker *w = filchi_worker_self();

	if (FILCH_LIKELY(*pool != NULL))
		return 0;
	if (w && filchi_job_find(&w->pool->jobs, id)) {
		*pool = w->pool;
		return 0;
	}
	/* in a fork handler that runs before ours the pool may be another process' */
	*pool = filchi_this_thread_forks() ? NULL : filchi_load_acquire(&filchi_default);
	return *pool ? 0 : -ESRCH;
}
