/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch: a lock-free work-stealing scheduler for one machine. This header is the umbrella.
 *
 *   pool.h   a pool of pinned workers: create, drain, shut down, destroy.
 *   task.h   nested fork-join with typed tasks: spawn, call, sync.
 *   loop.h   parallel for, reduce, scan, invoke.
 *   scope.h  a piece of a job with an end of its own: isolation, cancellation, the first error.
 *   graph.h  work with dependencies, built once and run many times.
 *   sort.h   stable sorts: of a type, or with a comparison function.
 *   job.h    jobs from outside: submit, wait, cancel; ids and exactly one completion.
 *   stats.h  counters.
 *   trace.h  what workers did, event by event, as a file.
 *
 * The library never prints, exits or aborts on an error that a caller can handle. Errors are
 * negative errno.
 */
#ifndef FILCH_H
#define FILCH_H

#include "pool.h"
#include "task.h"
#include "loop.h"
#include "scope.h"
#include "graph.h"
#include "sort.h"
#include "job.h"
#include "group.h"
#include "stats.h"
#include "trace.h"
#include <filch/version.h>

#endif
