/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a trace that filch has written (pool/trace_write.c), for filch-trace: its own form alone,
 * one event on each line. Nothing in it is believed before it was checked: what is handed out has
 * times that do not run back in a track, and begins and ends that match.
 */
#ifndef FILCHI_TRACE_READ_H
#define FILCHI_TRACE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_kind {
	TRACE_JOB,
	TRACE_TASK,
	TRACE_WAIT,
	TRACE_PARK,
	TRACE_LOOP,
	TRACE_SPAN,
	TRACE_SUBMIT, /* from here on: moments */
	TRACE_JOIN,
	TRACE_SEARCH,
	TRACE_WAKE,
	TRACE_THREAD,
	TRACE_SERIAL,
	TRACE_KINDS,
};

/* What begins and ends, or a moment with both the same. */
struct trace_event {
	int64_t begin, end; /* nanoseconds from the beginning of the trace */
	enum trace_kind kind;
	uint32_t depth; /* how many are open around it */
	const char *name;
	uint64_t task, job; /* 0: none */
	int64_t from;       /* a stolen task's victim; -1: none */
	uint64_t barred;    /* of a park or search: how often it had been, modulo 2^32 */
	uint64_t value[4];  /* by the kind: see read_values() */
};

struct trace_track {
	uint64_t process, thread;
	const char *name;
	bool is_worker, is_caller;
	uint32_t pool, worker;
	uint64_t lost, jobs, steals, parks; /* a worker's, as its counters have it */
	struct trace_event *event;          /* [count], by begin, outer ones first */
	size_t count, room;
};

struct trace {
	int64_t ns;                /* from its beginning to its end */
	uint64_t lost, left_out;   /* events of threads outside; pools */
	struct trace_track *track; /* [count] */
	size_t count;
	char **texts; /* what names point into: lines of the file */
	size_t text_count;
	char why[160]; /* it could not be read */
};

/* True; or false, and why says why. Free it in both cases. */
bool trace_read(struct trace *trace, const char *path);
void trace_free(struct trace *trace);

/* The worker's track, or NULL. */
struct trace_track *trace_worker(const struct trace *trace, uint64_t pool, uint64_t worker);

#endif
