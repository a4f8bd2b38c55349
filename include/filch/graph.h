/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs of work: built once, run many times.
 *
 *     filch_graph_create(&graph);
 *     a = filch_graph_node(graph, load, &x);
 *     b = filch_graph_node(graph, solve, &x);
 *     filch_graph_edge(graph, a, b);              b starts when a has returned
 *     error = filch_graph_run(pool, graph);
 *
 * A run calls each node's function once, after those of all nodes that have an edge to it. Nodes
 * that do not wait for each other run at the same time, as far as there are workers. Between nodes
 * nothing is allocated, and the stack does not grow with the graph.
 *
 * A run is a scope (scope.h). The first status that is not 0 ends it: no further node starts, those
 * under way go on, and filch_cancelled() is true in them. A node may also call
 * filch_scope_cancel(). A node may wait, spawn and loop; it may run other graphs.
 *
 * One thread at a time may call functions of this header for a graph. While it runs, others may be
 * called, and are -EBUSY.
 */
#ifndef FILCH_GRAPH_H
#define FILCH_GRAPH_H

#include <stdint.h>
#include <stdio.h>

#include "detail/words.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;
struct filch_graph;

/*
 * Makes a graph without nodes. It belongs to no pool.
 *
 * Callers:  any thread.
 * Progress: allocates.
 * Lifetime: until filch_graph_destroy().
 * Returns:  0; -EINVAL (NULL), -ENOMEM.
 */
FILCH_API int filch_graph_create(struct filch_graph **graph) FILCH_MUST_CHECK;

/*
 * Adds a node, which calls fn(arg). A status that is not 0 ends the run.
 *
 * Callers:  one thread at a time.
 * Progress: allocates now and then.
 * Lifetime: @arg, and what it leads to, must stay as long as the graph is run. Nodes are not taken
 *           away.
 * Returns:  its number: 0, 1, 2, ...; -EINVAL (NULL), -ENOMEM (also beyond 2^30 nodes), -EBUSY (the
 *           graph runs).
 */
FILCH_API int64_t filch_graph_node(
	struct filch_graph *graph, int (*fn)(void *arg), void *arg) FILCH_MUST_CHECK;

/*
 * Node @after starts when @before has returned. The same edge twice is as good as once.
 *
 * Callers:  one thread at a time.
 * Progress: allocates now and then.
 * Returns:  0; -EINVAL (NULL, no such node, an edge from a node to itself), -ENOMEM (also beyond
 *           2^31 edges), -EBUSY (the graph runs).
 */
FILCH_API int filch_graph_edge(struct filch_graph *graph, int64_t before, int64_t after);

/*
 * Gives a node a name, for filch_graph_dot().
 *
 * Callers:  one thread at a time.
 * Lifetime: @name is copied.
 * Returns:  0; -EINVAL (NULL, no such node), -ENOMEM, -EBUSY (the graph runs).
 */
FILCH_API int filch_graph_name(struct filch_graph *graph, int64_t node, const char *name);

/*
 * Runs all nodes, here; from outside of @pool as one job of it, to whose end it waits.
 *
 * Callers:  any thread; a NULL pool is as in pool.h.
 * Progress: as FILCH_RUN. The first run after a change looks at the whole graph, and allocates; so
 *           does the first on a larger pool. Others allocate nothing.
 * Ordering: writes before the call are visible to the nodes, a node's to those that wait for it,
 *           and all after the call.
 * Lifetime: no change and no destroy before it returns. Where a node ends the job, by a fault or by
 *           pthread_exit(), a run from outside returns as filch_scope() does. One inside of that
 *           job does not return, and the graph runs for ever.
 * Returns:  0 when all have run and returned 0; the first status of a node that is not 0, or the
 *           first given to filch_scope_cancel(). Where no node has run:
 *           -EINVAL     NULL @graph.
 *           -ELOOP      nodes wait for each other in a circle.
 *           -EBUSY      the graph runs.
 *           -ENOMEM     see above.
 *           -ENOBUFS, -ESHUTDOWN, -EDEADLK, -ECHILD
 *                       as filch_scope().
 *           -ECANCELED  the job, or a scope around the call, was cancelled before all had started.
 */
FILCH_API int filch_graph_run(struct filch_pool *pool, struct filch_graph *graph) FILCH_MUST_CHECK;

/*
 * Writes the graph in the language of graphviz(7).
 *
 * Callers:  one thread at a time.
 * Progress: writes to the stream, and flushes it.
 * Returns:  0; -EINVAL (NULL), -EBUSY (the graph runs), -EIO (the stream has an error).
 */
FILCH_API int filch_graph_dot(struct filch_graph *graph, FILE *to);

/*
 * Frees a graph.
 *
 * Callers:  one thread, after all others.
 * Returns:  0; -EINVAL (NULL), -EBUSY (the graph runs; nothing has happened).
 */
FILCH_API int filch_graph_destroy(struct filch_graph *graph);

FILCH_EXTERN_C_END

#endif
