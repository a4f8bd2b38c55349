/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of a trace: pool/tracing.c begins and ends one. Most of the time there is none, and each
 * place that has an event costs one look at a word that is read anyway, or a branch.
 *
 * The kinds, with their words a and b. Who: the worker in whose ring it lies, or a thread's number.
 */
#ifndef FILCHI_TRACE_EVENTS_H
#define FILCHI_TRACE_EVENTS_H

#include "core/probes.h"
#include "core/types.h"
#include "struct/trace_ring.h"

#define FILCHI_TRACE_LIST(X)                                                            \
	X(NONE, "")                                                                     \
	X(THREAD, "a thread begins on this seat; what the one before had open is over") \
	X(QUEUED, "a: the job's id")                                                    \
	X(JOB_BEGIN, "a: its id, b: its name or NULL")                                  \
	X(JOB_END, "a: its id")                                                         \
	X(TASK_BEGIN, "stolen; a: the task, b: the thunk")                              \
	X(TASK_FROM, "just before; a: the victim, b: the id of its job")                \
	X(TASK_END, "a: the task")                                                      \
	X(JOINED, "a task that a thief had is done; a: the task")                       \
	X(WAIT_BEGIN, "a: the task or the job's id, b: FILCHI_TRACE_WAIT_...")          \
	X(WAIT_END, "a: the same")                                                      \
	X(SEARCH, "it begins to look for work, until it has some or parks")             \
	X(PARK, "a: 0 with an empty stack, 1 with a suspended frame, 2 retired")        \
	X(UNPARK, "a: 1 = woken, 0 = its deadline has passed")                          \
	X(WAKE, "a: the worker that is woken, b: the number of its pool")               \
	X(PIECE_BEGIN, "a: the first item of a chunk of a loop, b: the one after it")   \
	X(PIECE_END, "")                                                                \
	X(SPAN_BEGIN, "b: its name")                                                    \
	X(SPAN_END, "")                                                                 \
	X(SERIAL, "FILCH_SERIAL: a job's a: work, b: span, in nanoseconds")             \
	X(SPAWNS, "just after; a: spawns of it, b: the span with a burden on each")

enum filchi_trace_kind {
#define FILCHI_TRACE_KIND(kind, meaning) FILCHI_TRACE_##kind,
	FILCHI_TRACE_LIST(FILCHI_TRACE_KIND)
#undef FILCHI_TRACE_KIND
};

#define FILCHI_TRACE_WAIT_TASK 0u
#define FILCHI_TRACE_WAIT_JOB  1u

/* The words of an event: when, what and who, a, b. */
struct filchi_trace_event {
	uint64_t at;
	/*
	 * its kind, 8 bits; 24 bits: the number of a thread that is no worker; 32 bits: how often
	 * the worker had been barred by then, modulo 2^32
	 */
	uint64_t what;
	uint64_t a, b;
};

/* The process's trace, pool/tracing.c. */
extern filch_atomic_u32 filchi_tracing; /* 1: there is one */

#define FILCHI_TRACE_OUTSIDE 8u /* rings for threads that are no workers */
extern FILCH_ATOMIC(struct filchi_trace_ring *) filchi_trace_outside[FILCHI_TRACE_OUTSIDE];
extern filch_atomic_u64 filchi_trace_lost; /* events that found all of them taken */

static inline bool filchi_is_traced(const struct filch_pool *pool)
{
	return FILCH_UNLIKELY(filch_load_relaxed(&((struct filch_pool *)(uintptr_t)pool)->heeds) &
			      FILCHI_HEEDS_TRACE);
}

/* Any thread: puts an event into its ring. Call it through the macro. */
FILCH_COLD void filchi_trace_put(enum filchi_trace_kind kind, uint64_t a, uint64_t b);

#define filchi_trace(pool, kind, a, b)                                   \
	do {                                                             \
		if (filchi_is_traced(pool))                              \
			filchi_trace_put(FILCHI_TRACE_##kind, (a), (b)); \
	} while (0)

/* The same for jobs and stolen tasks that begin: the worker heeds them already. */
FILCH_COLD void filchi_trace_job(struct filchi_worker *w, const struct filchi_job *job);
FILCH_COLD void filchi_trace_task(const struct filchi_team *team, const struct filch_task *task,
	filch_thunk *thunk, int victim);

/* A worker: a chunk of a loop begins or ends. */
FILCH_COLD void filchi_trace_piece(size_t first, size_t end, bool begins);

#endif
