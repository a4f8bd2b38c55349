/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs of work. A run is a loop on each worker that takes part, not a task for each node. So the
 * stack stays flat, however long the paths, and a node costs no frame.
 *
 *   - A runner goes from node to node. Of the nodes that one makes ready it goes on with the last,
 *     whose data are the warmest, and puts the others where all see them (struct/graph_ready.h).
 *   - Whoever has put some there offers work: it spawns a runner, which a thief may take. The thief
 *     looks for ready nodes, and offers work in turn. So thieves come by the scheduler's own
 *     way: they are woken as for any task, and stay within the job and the scope.
 *   - A runner that finds no node looks some more times, then returns. Nodes that get ready later
 *     are offered anew by whoever makes them so.
 *   - A runner that nobody has stolen is synced by its spawner, and returns at once: the spawner
 *     looks for itself.
 *
 * Rejected:
 *   - A task for each node, spawned by the last one before it. It lies in the frame of that one,
 *     which must wait for it: the stack grows with the longest path.
 *   - A queue for all workers: each node would go through two shared words.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <filch/graph.h>
#include <filch/pool.h>
#include <filch/scope.h>
#include <filch/task.h>

#include "struct/graph_ready.h"
#include "base/map.h"
#include "calls/scopes.h"
#include "calls/submit.h"

#define NODES_MAX (UINT32_C(1) << 30)
#define EDGES_MAX (UINT32_C(1) << 31)
#define BATCH     32 /* nodes that become ready go to others at the latest when they are so many */
#define HELPERS   8  /* runners that one runner has offered and not yet synced */
#define LOOKS     16 /* in vain, before a runner returns */

struct edge {
	uint32_t before, after;
};

struct filch_graph {
	filch_atomic_u32 runs; /* 1: nothing may change */
	bool prepared;         /* `after` and the counts are those of the edges */
	bool started;          /* a run has ended early, and has left counts as they were */
	uint32_t nodes, room, edges, edges_room;
	struct filchi_node *node;
	char **name; /* NULL, or of each node; NULL for none */
	struct edge *edge;
	uint32_t *after; /* nodes after each node: first to end of each */
	uint32_t *root;  /* the nodes that wait for nothing */
	uint32_t roots;
	struct filchi_ready *ready; /* of each worker of the largest pool so far */
	uint32_t workers;
};

/* --- building --------------------------------------------------------- */

static bool lock(struct filch_graph *graph)
{
	uint32_t none = 0;

	if (!filchi_cas_acq_rel(&graph->runs, &none, 1))
		return false;
	filch_tsan_acquire(&graph->runs);
	return true;
}

static void unlock(struct filch_graph *graph)
{
	filch_tsan_release(&graph->runs);
	filchi_store_release(&graph->runs, 0);
}

static bool runs(struct filch_graph *graph)
{
	return filchi_load_acquire(&graph->runs);
}

/* Room for one more of @size bytes in @array, of which there are @n; false: no memory. */
static bool grow(void **array, uint32_t n, uint32_t *room, uint32_t most, size_t size)
{
	uint32_t wanted = *room < 32 ? 64 : *room > most / 2 ? most : *room * 2;
	void *larger;

	if (n < *room)
		return true;
	larger = n < most ? realloc(*array, wanted * size) : NULL;
	if (!larger)
		return false;
	*array = larger;
	*room = wanted;
	return true;
}

int filch_graph_create(struct filch_graph **graph)
{
	if (!graph)
		return -EINVAL;
	*graph = calloc(1, sizeof **graph);
	return *graph ? 0 : -ENOMEM;
}

int64_t filch_graph_node(struct filch_graph *graph, int (*fn)(void *arg), void *arg)
{
	uint32_t names = 0;

	if (!graph || !fn)
		return -EINVAL;
	if (runs(graph))
		return -EBUSY;
	if (graph->nodes == graph->room) {
		names = graph->name ? graph->room : 0;
		if (!grow((void **)&graph->node, graph->nodes, &graph->room, NODES_MAX,
			    sizeof graph->node[0]))
			return -ENOMEM;
	}
	if (names) {
		char **larger = realloc(graph->name, graph->room * sizeof graph->name[0]);

		if (!larger) {
			graph->room = names; /* the nodes have more, which does no harm */
			return -ENOMEM;
		}
		memset(larger + names, 0, (graph->room - names) * sizeof larger[0]);
		graph->name = larger;
	}
	graph->node[graph->nodes] = (struct filchi_node){ .fn = fn, .arg = arg };
	graph->prepared = false;
	return graph->nodes++;
}

static bool is_node(const struct filch_graph *graph, int64_t node)
{
	return node >= 0 && node < graph->nodes;
}

int filch_graph_edge(struct filch_graph *graph, int64_t before, int64_t after)
{
	if (!graph || !is_node(graph, before) || !is_node(graph, after) || before == after)
		return -EINVAL;
	if (runs(graph))
		return -EBUSY;
	if (!grow((void **)&graph->edge, graph->edges, &graph->edges_room, EDGES_MAX,
		    sizeof graph->edge[0]))
		return -ENOMEM;
	graph->edge[graph->edges++] = (struct edge){ (uint32_t)before, (uint32_t)after };
	graph->prepared = false;
	return 0;
}

int filch_graph_name(struct filch_graph *graph, int64_t node, const char *name)
{
	char *copy;

	if (!graph || !name || !is_node(graph, node))
		return -EINVAL;
	if (runs(graph))
		return -EBUSY;
	if (!graph->name)
		graph->name = calloc(graph->room, sizeof graph->name[0]);
	copy = graph->name ? strdup(name) : NULL;
	if (!copy)
		return -ENOMEM;
	free(graph->name[node]);
	graph->name[node] = copy;
	return 0;
}

int filch_graph_destroy(struct filch_graph *graph)
{
	if (!graph)
		return -EINVAL;
	if (runs(graph))
		return -EBUSY;
	for (uint32_t i = 0; graph->name && i < graph->nodes; i++)
		free(graph->name[i]);
	free(graph->name);
	free(graph->node);
	free(graph->edge);
	free(graph->after);
	free(graph->root);
	filchi_unmap(graph->ready, graph->workers * sizeof graph->ready[0]);
	free(graph);
	return 0;
}

/* --- before a run ----------------------------------------------------- */

/* As if nothing had run. */
static void reset(struct filch_graph *graph)
{
	for (uint32_t i = 0; i < graph->nodes; i++)
		filch_store_relaxed(&graph->node[i].pending, graph->node[i].before);
	graph->started = false;
}

/* Whether all nodes can be reached in the order of a run: none waits for itself (Kahn 1962). */
static bool ends(struct filch_graph *graph)
{
	uint32_t reached = 0, list = FILCHI_NO_NODE;

	for (uint32_t i = 0; i < graph->roots; i++) {
		graph->node[graph->root[i]].next = list;
		list = graph->root[i];
	}
	while (list != FILCHI_NO_NODE) {
		const struct filchi_node *node = &graph->node[list];

		list = node->next;
		reached++;
		for (uint32_t i = node->first; i < node->end; i++) {
			struct filchi_node *after = &graph->node[graph->after[i]];
			uint32_t left = filch_load_relaxed(&after->pending) - 1;

			filch_store_relaxed(&after->pending, left);
			if (!left) {
				after->next = list;
				list = graph->after[i];
			}
		}
	}
	return reached == graph->nodes;
}

/* Sorts the edges by the node before them. */
static void sort_edges(struct filch_graph *graph)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < graph->nodes; i++)
		graph->node[i].end = graph->node[i].before = 0;
	for (uint32_t i = 0; i < graph->edges; i++) {
		graph->node[graph->edge[i].before].end++;
		graph->node[graph->edge[i].after].before++;
	}
	graph->roots = 0;
	for (uint32_t i = 0; i < graph->nodes; i++) {
		struct filchi_node *node = &graph->node[i];
		uint32_t n = node->end;

		node->first = node->end = first;
		first += n;
		if (!node->before)
			graph->root[graph->roots++] = i;
	}
	for (uint32_t i = 0; i < graph->edges; i++)
		graph->after[graph->node[graph->edge[i].before].end++] = graph->edge[i].after;
}

/* After a change: 0, -ENOMEM, -ELOOP. */
static int prepare(struct filch_graph *graph)
{
	if (graph->prepared)
		return 0;
	free(graph->after);
	free(graph->root);
	graph->after = malloc((graph->edges + (size_t)1) * sizeof graph->after[0]);
	graph->root = malloc((graph->nodes + (size_t)1) * sizeof graph->root[0]);
	if (!graph->after || !graph->root)
		return -ENOMEM;
	sort_edges(graph);
	reset(graph);
	graph->prepared = ends(graph);
	reset(graph);
	return graph->prepared ? 0 : -ELOOP;
}

/* A stack of ready nodes for each of @workers: 0 or -ENOMEM. */
static int make_stacks(struct filch_graph *graph, uint32_t workers)
{
	struct filchi_ready *ready;

	if (workers > graph->workers) {
		ready = filchi_map(workers * sizeof ready[0]);
		if (!ready)
			return -ENOMEM;
		filchi_unmap(graph->ready, graph->workers * sizeof ready[0]);
		graph->ready = ready;
		graph->workers = workers;
	}
	for (uint32_t i = 0; i < workers; i++)
		filchi_ready_init(&graph->ready[i]);
	return 0;
}

/* --- a run ------------------------------------------------------------ */

struct run {
	const struct filch_graph *graph;
	struct filchi_node *node;
	const uint32_t *after;
	struct filchi_ready *ready;
	uint32_t workers;
	bool alone;
	filch_atomic_u64 *job; /* state word of the job, or one that stays 0 */
	struct filchi_segment *scope;
	filch_atomic_u64 returned; /* nodes, of runners that have ended */
};

/* A runner's own: nodes that only it knows of, and where it looks for others. */
struct runner {
	struct run *run;
	struct filchi_ready *own;
	uint32_t id;    /* the worker's */
	uint32_t list;  /* linked by `next` */
	uint32_t held;  /* nodes in it that it has added itself */
	uint32_t where; /* whose nodes it has last found some of */
};

static bool is_over(const struct run *run)
{
	return filchi_load_acquire(run->job) & FILCHI_JOB_CANCEL ||
	       filchi_scope_is_cancelled(run->scope);
}

/* The list becomes a batch that any worker may take. */
static void share(struct runner *me)
{
	filchi_ready_push(me->own, me->run->node, me->list);
	me->list = FILCHI_NO_NODE;
	me->held = 0;
}

static void add(struct runner *me, uint32_t ready)
{
	me->run->node[ready].next = me->list;
	me->list = ready;
	if (++me->held == BATCH)
		share(me);
}

/* One look at the nodes of all workers: its own first, then from where there were some last. */
static bool look(struct runner *me)
{
	struct filchi_ready *ready = me->run->ready;
	uint32_t from = me->where;

	me->held = 0;
	me->list = filchi_ready_pop(me->own, me->run->node);
	for (uint32_t i = 0; me->list == FILCHI_NO_NODE && i < me->run->workers; i++) {
		me->where = from;
		me->list = filchi_ready_pop(&ready[from], me->run->node);
		if (++from == me->run->workers)
			from = 0;
	}
	return me->list != FILCHI_NO_NODE;
}

/* The next node, or FILCHI_NO_NODE after some looks in vain. */
static uint32_t next(struct runner *me)
{
	uint32_t node;

	for (uint32_t looks = 0; me->list == FILCHI_NO_NODE && !look(me); looks++) {
		if (looks == LOOKS || me->run->alone)
			return FILCHI_NO_NODE;
		filchi_pause();
	}
	node = me->list;
	me->list = me->run->node[node].next;
	return node;
}

/* Runs one node; false: its status ends the run. */
static bool run_node(struct runner *me, uint32_t number)
{
	const struct run *run = me->run;
	struct filchi_node *node = &run->node[number];
	int status = node->fn(node->arg);

	/* for the next run; nobody counts it down any more in this one */
	filch_store_relaxed(&node->pending, node->before);
	if (FILCH_UNLIKELY(status)) {
		(void)filch_scope_cancel(status);
		return false;
	}
	for (uint32_t i = node->first; i < node->end; i++)
		if (filchi_node_released(&run->node[run->after[i]]))
			add(me, run->after[i]);
	return true;
}

/* The newest of the offered runners has ended, or has been told to: its sync does not wait. */
static bool has_ended(void *helper)
{
	struct filch_task *task = helper; /* a frame begins with it */

	return !filchi_load_acquire(&task->word);
}

/* @offered_by: the worker that has ready nodes; or run->workers, for the first runner. */
FILCH_VOID_TASK(runner, (struct run *, run), (uint32_t, offered_by))
{
	FILCH_FRAME(runner) helper[HELPERS];
	struct runner me = { .run = run, .list = FILCHI_NO_NODE };
	uint32_t number, root = run->graph->roots;
	uint64_t returned = 0;
	unsigned helpers = 0;

	me.id = filchi_worker_of(filch_worker_)->id;
	me.own = &run->ready[me.id];
	if (offered_by < run->workers) {
		filch_store_relaxed(&run->ready[offered_by].offered, 0);
		if (me.id == offered_by)
			return; /* nobody has taken it */
		me.where = offered_by;
	} else {
		me.where = me.id;
		root = 0;
	}
	for (;;) {
		while (!is_over(run)) {
			if (root < run->graph->roots) {
				number = FILCHI_NO_NODE;
				add(&me, run->graph->root[root++]);
			} else if ((number = next(&me)) == FILCHI_NO_NODE) {
				break;
			} else if (me.list != FILCHI_NO_NODE && !run->alone) {
				/* nothing is hidden behind a node that takes its time */
				share(&me);
			}
			if (!run->alone && !filch_load_relaxed(&me.own->offered) &&
				!filchi_ready_seems_empty(me.own)) {
				while (helpers && has_ended(&helper[helpers - 1]))
					FILCH_SYNC_FROM(runner, &helper[--helpers]);
				if (helpers < HELPERS) {
					filch_store_relaxed(&me.own->offered, 1);
					FILCH_SPAWN_INTO(&helper[helpers++], runner, run, me.id);
				}
			}
			if (number != FILCHI_NO_NODE)
				returned += run_node(&me, number);
		}
		if (!helpers)
			break;
		FILCH_SYNC_FROM(runner, &helper[--helpers]);
	}
	(void)filchi_fetch_add_acq_rel(&run->returned, returned);
}

static int run_here(void *arg)
{
	static filch_atomic_u64 no_job;
	struct filchi_worker *w = filchi_worker_self();
	struct filch_graph *graph = arg;
	struct run run = { .graph = graph, .node = graph->node, .after = graph->after };
	int error = make_stacks(graph, w->pool->workers);

	if (error)
		return error;
	run.ready = graph->ready;
	run.workers = w->pool->workers;
	run.alone = w->pool->running == 1;
	run.job = filchi_job_word_here();
	if (!run.job)
		run.job = &no_job;
	run.scope = filchi_scope_here(w);
	filch_store_relaxed(&run.returned, 0);
	error = FILCH_RUN(NULL, NULL, runner, &run, run.workers);
	graph->started = filch_load_relaxed(&run.returned) != graph->nodes;
	return error || !graph->started ? error : -ECANCELED;
}

int filch_graph_run(struct filch_pool *pool, struct filch_graph *graph)
{
	int status;

	if (!graph || (!pool && !filch_pool_current()))
		return -EINVAL;
	if (!lock(graph))
		return -EBUSY;
	status = prepare(graph);
	if (!status) {
		if (graph->started)
			reset(graph);
		status = filch_scope(pool, NULL, run_here, graph);
	}
	unlock(graph);
	return status;
}

/* --- as text ---------------------------------------------------------- */

static void put_name(const char *name, FILE *to)
{
	for (; *name; name++) {
		if (*name == '"' || *name == '\\')
			putc('\\', to);
		if (*name == '\n')
			fputs("\\n", to);
		else
			putc(*name, to);
	}
}

int filch_graph_dot(struct filch_graph *graph, FILE *to)
{
	if (!graph || !to)
		return -EINVAL;
	if (runs(graph))
		return -EBUSY;
	fputs("digraph filch {\n", to);
	for (uint32_t i = 0; i < graph->nodes; i++) {
		fprintf(to, "\tn%u [label=\"", i);
		if (graph->name && graph->name[i])
			put_name(graph->name[i], to);
		else
			fprintf(to, "%u", i);
		fputs("\"];\n", to);
	}
	for (uint32_t i = 0; i < graph->edges; i++)
		fprintf(to, "\tn%u -> n%u;\n", graph->edge[i].before, graph->edge[i].after);
	fputs("}\n", to);
	return ferror(to) ? -EIO : 0;
}
