/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A quota that is followed. It says how much CPU time the process gets, and not to whom: with more
 * workers than it pays for all of them are stopped for a part of each period, in the midst of
 * whatever they do. With as many as it allows they are not.
 *
 * The kernel tells nobody that a quota has changed, so it is read again and again. A quota that
 * cannot be read counts as none, as at create: place/budget.h.
 */
#include "pool/quota.h"

#include "core/elastic.h"

void filchi_quota_look(struct filch_pool *pool)
{
	struct filchi_budget budget;

	/* without memory it stays as it was */
	if (!filchi_budget_read(filchi_load_acquire(&pool->roots), &budget, NULL))
		filchi_elastic_set_quota(pool, filchi_budget_whole(&budget));
}

void filchi_quota_set_roots(struct filch_pool *pool, const struct filchi_roots *roots)
{
	filchi_store_release(&pool->roots, roots);
}
