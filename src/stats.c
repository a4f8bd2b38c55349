/* SPDX-License-Identifier: Apache-2.0 */
/* Summing the workers' counters: see filch/stats.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared.h"

int filch_pool_stats(const struct filch_pool *pool, struct filch_stats *out)
{
	struct filch_stats sum = FILCH_STATS_INIT;
	struct filch_pool *p = (struct filch_pool *)(uintptr_t)pool; /* the counters are read only, the loads want them plain */
	uint64_t counts;
	size_t size;

	if (!pool || !out || out->size < sizeof out->size)
		return -EINVAL;
	for (uint32_t i = 0; i <= p->workers; i++) {
		struct filchi_counters *c = i < p->workers ? &filchi_worker_at(p, i)->counters : &p->outside;
#define FILCHI_SUM(name, meaning) sum.name += filchi_load_relaxed(&c->name);
		FILCH_STATS_LIST(FILCHI_SUM)
#undef FILCHI_SUM
	}
	counts = filchi_load_relaxed(&p->idle.counts);
	sum.queued = (uint64_t)filchi_load_relaxed(&p->injector.queued);
	sum.asleep = FILCHI_IDLE_FREES(counts) + FILCHI_IDLE_BOUNDS(counts);
	size = out->size < sizeof sum ? out->size : sizeof sum;
	memset((char *)out + sizeof out->size, 0, out->size - sizeof out->size);
	memcpy((char *)out + sizeof out->size, (char *)&sum + sizeof sum.size, size - sizeof sum.size);
	return 0;
}
