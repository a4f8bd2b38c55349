/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace of a process: pools that take part in it, and the file. See tracing.c; the events are
 * in core/trace_events.h.
 */
#ifndef FILCHI_TRACING_H
#define FILCHI_TRACING_H

#include "core/trace_events.h"

/* A worker's counters, for comparison with its events. */
struct filchi_trace_counts {
	uint64_t jobs, steals, parks;
};

/* The rings of a pool's workers; they outlive a pool that ends during a trace. */
struct filchi_trace_rings {
	struct filchi_trace_rings *next; /* in the trace's list of ended pools */
	uint32_t pool;                   /* its number */
	uint32_t workers;
	bool has_caller; /* worker 0 is the creator, in its calls */
	char name[64];   /* of the pool */
	struct filchi_trace_track {
		struct filchi_trace_ring *ring;
		uint64_t first; /* events from before this trace */
		struct filchi_trace_counts before, after;
		int cpu; /* the worker's seat; -1 without one */
	} track[];
};

/* What a file is made of. */
struct filchi_trace_file {
	const char *path;
	uint64_t begun, ended;                  /* as of filchi_now() */
	uint64_t lost;                          /* events of threads outside that found no ring */
	uint64_t left_out;                      /* pools that had no memory for rings */
	uint64_t outside[FILCHI_TRACE_OUTSIDE]; /* where the rings of threads outside begin */
};

/* Writes the file: 0 or -errno. The rings are those of pools that live, and of ended ones. */
int filchi_trace_write(const struct filchi_trace_file *file,
	struct filchi_trace_rings *const *rings, uint32_t count);

/*
 * The creator of a pool, before its workers run: the pool is one of the process's, and with
 * FILCH_TRACE the first one begins the trace; @notes tells why not. 0 or -ENOMEM.
 */
int filchi_trace_join(struct filch_pool *pool, FILE *notes);

/* Destroy, when its workers have ended, and before they are unmapped. */
void filchi_trace_end(struct filch_pool *pool);

/* Held over a fork; the child has no trace. */
void filchi_trace_before_fork(void);
void filchi_trace_after_fork(void);
void filchi_trace_in_child(void);

#endif
