/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a trace: see trace_events.h. */
#define _GNU_SOURCE
#include "core/trace_events.h"

#include <filch/trace.h>
#include <unistd.h>

#include "base/this_thread.h"
#include "core/serial.h"
#include "struct/names.h"

filch_atomic_u32 filchi_tracing;
FILCH_ATOMIC(struct filchi_trace_ring *) filchi_trace_outside[FILCHI_TRACE_OUTSIDE];
filch_atomic_u64 filchi_trace_lost;

static uint32_t thread_number(void)
{
	if (!filchi_this_thread.number)
		filchi_this_thread.number = (uint32_t)gettid();
	return filchi_this_thread.number;
}

/* A thread that is no worker: into whichever ring is not taken, its own of the last time first. */
static void put_outside(uint64_t event[FILCHI_TRACE_WORDS])
{
	uint32_t number = thread_number();

	event[1] |= (uint64_t)(number & 0xffffff) << 8;
	for (uint32_t i = 0; i < FILCHI_TRACE_OUTSIDE; i++) {
		struct filchi_trace_ring *ring = filchi_load_acquire(
			&filchi_trace_outside[(number + i) % FILCHI_TRACE_OUTSIDE]);

		if (!ring || !filchi_trace_ring_take(ring))
			continue;
		filchi_trace_ring_put(ring, event);
		filchi_trace_ring_give(ring);
		return;
	}
	(void)filchi_fetch_add_acq_rel(&filchi_trace_lost, 1);
}

void filchi_trace_put(enum filchi_trace_kind kind, uint64_t a, uint64_t b)
{
	struct filchi_worker *w = filchi_this_thread.worker;
	struct filchi_trace_ring *ring = w ? filchi_load_acquire(&w->trace) : NULL;
	uint64_t event[FILCHI_TRACE_WORDS] = { filchi_now(), kind, a, b };

	if (!w) {
		put_outside(event);
	} else if (ring) { /* else its pool is left out */
		event[1] |= filch_load_relaxed(&w->counters.barred) << 32;
		filchi_trace_ring_put(ring, event);
	}
}

void filchi_trace_job(struct filchi_worker *w, const struct filchi_job *job)
{
	filchi_trace_put(FILCHI_TRACE_JOB_BEGIN, (uint64_t)job->id,
		(uintptr_t)filchi_name_of(&w->pool->jobs, job->id));
}

void filchi_trace_task(const struct filchi_team *team, const struct filch_task *task,
	filch_thunk *thunk, int victim)
{
	const struct filchi_job *job = (const void *)team;

	if (victim >= 0)
		filchi_trace_put(
			FILCHI_TRACE_TASK_FROM, (uint64_t)victim, job ? (uint64_t)job->id : 0);
	filchi_trace_put(FILCHI_TRACE_TASK_BEGIN, (uintptr_t)task, (uintptr_t)thunk);
}

void filchi_trace_piece(size_t first, size_t end, bool begins)
{
	struct filchi_worker *w = filchi_this_thread.worker;

	if (w && w->serial)
		filchi_serial_piece(w->serial, begins ? 0 : end - first);
	filchi_trace_put(begins ? FILCHI_TRACE_PIECE_BEGIN : FILCHI_TRACE_PIECE_END, first, end);
}

void filch_trace_begin(const char *name)
{
	if (FILCH_UNLIKELY(filch_load_relaxed(&filchi_tracing)))
		filchi_trace_put(FILCHI_TRACE_SPAN_BEGIN, 0, (uintptr_t)name);
}

void filch_trace_end(void)
{
	if (FILCH_UNLIKELY(filch_load_relaxed(&filchi_tracing)))
		filchi_trace_put(FILCHI_TRACE_SPAN_END, 0, 0);
}
