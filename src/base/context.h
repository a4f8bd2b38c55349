/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies on a thread's stack besides the plain work of its own pool: a list of contexts,
 * innermost first.
 *
 *   - CALLBACK: a completion callback.
 *   - INLINE: a job that its submitter runs itself (FILCH_CALLER_RUNS).
 *   - WORK: a job or a stolen task of the thread's own pool, on top of one of the others. A look
 *     for the job that runs now goes no further.
 *
 * The first two lie in frames and begin a struct filchi_job_context (struct/job_slot.h). Each has a
 * cleanup handler that takes it off, and all above it. The third lies in a segment of a deque
 * (struct/deque.h) and has no handler. It needs none: it is only entered above one of the others.
 */
#ifndef FILCHI_CONTEXT_H
#define FILCHI_CONTEXT_H

enum { FILCHI_CONTEXT_WORK, FILCHI_CONTEXT_INLINE, FILCHI_CONTEXT_CALLBACK };

struct filchi_context {
	struct filchi_context *outer;
	unsigned kind;
};

#endif
