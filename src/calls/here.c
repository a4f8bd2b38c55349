/* SPDX-License-Identifier: Apache-2.0 */
/* The job whose code runs on the calling thread: its id, whether it was cancelled. */
#include "calls/submit.h"

struct filchi_job *filchi_job_here(void)
{
	struct filchi_worker *w = filchi_worker_self();
	struct filchi_context *context = filchi_this_thread.context;
	struct filchi_team *team = w ? filchi_segment_team(&w->deque) : NULL;

	while (context && context->kind == FILCHI_CONTEXT_CALLBACK)
		context = context->outer;
	if (context && context->kind == FILCHI_CONTEXT_INLINE)
		return ((struct filchi_job_context *)(void *)context)->job;
	return team ? filchi_job_of(team) : NULL;
}

bool filch_job_cancelled(void)
{
	struct filchi_job *job = filchi_job_here();

	if (!job || !(filchi_load_acquire(&job->state) & FILCHI_JOB_CANCEL))
		return false;
	filch_tsan_acquire(&job->state);
	return true;
}

filch_atomic_u64 *filchi_job_word_here(void)
{
	struct filchi_job *job = filchi_job_here();

	return job ? &job->state : NULL;
}

int64_t filch_job_id(void)
{
	struct filchi_job *job = filchi_job_here();

	return job ? job->id : 0;
}
