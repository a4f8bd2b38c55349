/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces: what the workers of this process did, event by event, as a file that Perfetto, Chrome's
 * about:tracing and filch-trace read. FILCH_TRACE=FILE traces from the first pool to the end of the
 * process; the calls below begin and end at any time. See docs/traces.md.
 */
#ifndef FILCH_TRACE_H
#define FILCH_TRACE_H

#include "detail/words.h"

FILCH_EXTERN_C_BEGIN

/* size: as in struct filch_config */
struct filch_trace_config {
	size_t size;
	/*
	 * Written at the end, and made at once. "%p" in it stands for the process id. It must
	 * outlive the call only.
	 */
	const char *file;
	/*
	 * For each worker, rounded up to a power of 2; 0: 65536. Each takes 32 bytes once it is
	 * used. Of more events the newest are kept, and the others are counted. Rings that an
	 * earlier trace has made keep their size.
	 */
	uint32_t events;
	uint32_t reserved; /* 0 */
};
#define FILCH_TRACE_CONFIG_INIT FILCH_SIZED(struct filch_trace_config)

/*
 * Begins a trace of all pools of the process, those that are made later as well.
 *
 * Callers:  any thread, a worker included; not a signal handler.
 * Progress: may allocate, opens the file, takes a lock.
 * Ordering: what a pool does after the return is in the trace.
 * Lifetime: the trace is the process's, and ends with filch_trace_stop() or with the process.
 * Returns:  0; -EALREADY (there is one, maybe by FILCH_TRACE); -EINVAL (no @config, no file, a bad
 *           size, more than 2^24 events, reserved not 0); -E2BIG (a newer struct that sets unknown
 *           fields); -ENOMEM; -EDEADLK in a fork handler; the error of opening the file, negative.
 */
FILCH_API int filch_trace_start(const struct filch_trace_config *config) FILCH_MUST_CHECK;

/*
 * Ends the trace and writes the file. Pools go on meanwhile.
 *
 * Callers:  as filch_trace_start().
 * Progress: writes some 150 bytes for each event kept; takes a lock.
 * Ordering: all that a pool had done when it was called is in the file, unless it was overwritten.
 * Lifetime: names given to spans and jobs must be there until it returns.
 * Returns:  0; -ENOENT (there is no trace); -EDEADLK in a fork handler; the error of opening or
 *           writing the file, negative: the trace is over nevertheless.
 */
FILCH_API int filch_trace_stop(void) FILCH_MUST_CHECK;

/*
 * A span of the caller's own, in the track of its thread: from the begin to the end. Spans of one
 * thread are nested, and one does not reach across a spawn, a sync or a wait: the frame may go on
 * elsewhere only after it, never in between.
 *
 * Callers:  any thread; not a signal handler.
 * Progress: wait-free. Without a trace it is one load.
 * Ordering: none.
 * Lifetime: @name is kept, not copied: a text that stays until the trace is written, ASCII.
 * Returns:  nothing. A thread that is no worker and finds all places taken leaves the event out,
 *           and it is counted as lost.
 */
FILCH_API void filch_trace_begin(const char *name);
FILCH_API void filch_trace_end(void);

FILCH_EXTERN_C_END

#endif
