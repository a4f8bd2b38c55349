/* SPDX-License-Identifier: Apache-2.0 */
/* Closing a pool: see close.h; the other half of its race with submits is in submit.c. */
#include "calls/close.h"

#include "calls/submit.h"
#include "struct/closing.h"

void filchi_pool_close(struct filch_pool *pool)
{
	/*
	 * FENCE S2   set closing -> scan the slots          pairs with: S1 in filchi_submit_one()
	 * Ensures, without, weaker: see S1. Blocked submitters see the flag when the word they
	 *                           sleep on changes.
	 * Checked:   tests/stress/shutdown.c
	 */
	filchi_store_then_fence(&pool->closing, 1);
	FILCH_HOOK(closing_set);
	filchi_injector_close(&pool->injector);
	filchi_closing_tell(&pool->closing);
	filchi_abroad_has_room(pool);
}

/*
 * Cancels what has not started, then raises the flag of what runs. In the other order a job that
 * heeds its flag would make way for one that is still to be cancelled.
 */
void filchi_pool_cancel_all(struct filch_pool *pool)
{
	const uint32_t begun = filchi_jobs_begun(&pool->jobs);

	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < begun; i++) {
			struct filchi_job *job = filchi_jobs_at(&pool->jobs, begun, i);
			uint64_t s = filchi_load_acquire(&job->state);
			int64_t id = filchi_job_id_of(&pool->jobs, job, s);

			if (!filchi_job_is_pending(s))
				continue;
			if (filchi_forked(pool))
				return; /* in a callback: the others are the parent's */
			if (pass == 0)
				(void)filchi_cancel_queued(pool, job, id);
			else
				(void)filchi_job_flag(&pool->jobs, job, id, FILCHI_JOB_CANCEL);
		}
	}
}
