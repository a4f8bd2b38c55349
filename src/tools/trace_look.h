/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a trace tells: what each worker was at and why it was idle, how long the work and the span
 * of the run were, and the chain of events that the end came from.
 */
#ifndef FILCHI_TRACE_LOOK_H
#define FILCHI_TRACE_LOOK_H

#include "tools/trace_read.h"

enum look_state {
	LOOK_BUSY,
	LOOK_NO_WORK, /* looks for work, or sleeps with an empty stack */
	LOOK_WAKING,  /* sleeps, and has been woken */
	LOOK_WAITING, /* for a stolen task or a job, and there is nothing that it may run */
	LOOK_BARRED,  /* the same, or it looks for work; there is some, which it may not run now */
	LOOK_RETIRED, /* it may not run: resize, a quota, a pause, a spare */
	LOOK_AWAY,    /* worker 0 of a FILCH_POOL_CALLER pool, outside of its calls */
	LOOK_UNKNOWN, /* before its first event */
	LOOK_STATES,
};

/* In words. */
extern const char *const look_words[LOOK_STATES];

struct look_piece {
	int64_t from, to;
	enum look_state state;
};

/* A worker's time, from the trace's beginning to its end. */
struct look_worker {
	const struct trace_track *track;
	struct look_piece *piece; /* [count], without gaps */
	size_t count, room;
	int64_t ns[LOOK_STATES];
};

enum look_step_kind {
	LOOK_STEP_WORK,
	LOOK_STEP_HANDING, /* until the next heard of it: a wake, a steal, the end of a wait */
	LOOK_STEP_OUTSIDE, /* a thread that is no worker */
};

struct look_step {
	int64_t from, to;
	size_t track; /* of the trace */
	enum look_step_kind kind;
};

struct look {
	const struct trace *trace;
	struct look_worker *worker; /* [workers], in the trace's order */
	size_t workers;
	int64_t work, span, burdened; /* of the run: see docs/traces.md */
	struct look_step *step; /* [steps]: the critical path, from its end to its beginning */
	size_t steps;
	int64_t path[3]; /* its time, by enum look_step_kind */
	/* FILCH_SERIAL: the sums of all jobs */
	uint64_t serial_jobs, serial_work, serial_span, serial_burdened, serial_spawns;
	uint64_t jobs, steals, parks, wakes, submits, joins; /* events */
};

/* False: no memory. Free it in both cases. */
bool look_at(struct look *look, const struct trace *trace);
void look_free(struct look *look);

#endif
