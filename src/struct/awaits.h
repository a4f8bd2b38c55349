/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which workers of a pool wait for a job: a bit for each. The thread that ends a job for which a
 * worker waits looks at these, and at the lines of no other worker.
 *
 * The waiting worker              | The thread that ends the job
 *   1 awaits = id, then its bit   |   a the job is done, and its flag taken off
 *   2 state = asleep, full fence  |   b full fence (a's CAS)
 *   3 flags the job, or it is done|   c read bits, ids, states: wake those of this job
 * If 2 comes before b, c finds the worker; else 3 finds the job done. These are I2 and I5.
 *
 * Only its worker changes a bit, or the thread that gives its seat up.
 */
#ifndef FILCHI_AWAITS_H
#define FILCHI_AWAITS_H

#include "base/atomic.h"

#define FILCHI_AWAITS_MAX 1024u

struct filchi_awaits {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 word[FILCHI_AWAITS_MAX / 64];
};

#define FILCHI_AWAITS_BIT(worker) (UINT64_C(1) << ((worker) % 64))

static inline void filchi_awaits_init(struct filchi_awaits *awaits)
{
	for (uint32_t i = 0; i < FILCHI_AWAITS_MAX / 64; i++)
		filch_store_relaxed(&awaits->word[i], 0);
}

static inline void filchi_awaits_add(struct filchi_awaits *awaits, uint32_t worker)
{
	filch_atomic_u64 *word = &awaits->word[worker / 64];

	if (!(filch_load_relaxed(word) & FILCHI_AWAITS_BIT(worker)))
		(void)filchi_fetch_add_acq_rel(word, FILCHI_AWAITS_BIT(worker));
}

static inline void filchi_awaits_remove(struct filchi_awaits *awaits, uint32_t worker)
{
	filch_atomic_u64 *word = &awaits->word[worker / 64];

	if (filch_load_relaxed(word) & FILCHI_AWAITS_BIT(worker))
		filchi_and_acq_rel(word, ~FILCHI_AWAITS_BIT(worker));
}

/* After a read-modify-write: the first from @from on whose bit is set; @workers: none. */
static inline uint32_t filchi_awaits_next(
	struct filchi_awaits *awaits, uint32_t from, uint32_t workers)
{
	while (from < workers) {
		uint64_t bits = filchi_rmw_fence_then_load_acquire(&awaits->word[from / 64]);

		bits &= ~UINT64_C(0) << (from % 64);
		if (bits) {
			from = from / 64 * 64 + (uint32_t)__builtin_ctzll(bits);
			return from < workers ? from : workers;
		}
		from = (from / 64 + 1) * 64;
	}
	return workers;
}

#endif
