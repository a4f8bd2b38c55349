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
 *   - It has frames for a bounded number of offers, and uses that of any which has ended again: a
 *     thief that stays keeps one alone. With none left it relies on the thief of the newest, which
 *     looks again before it leaves; others are told when that one has left.
 *   - A runner that has found nothing, and has offered one that a thief is in, waits for that. What
 *     it may do meanwhile it does in turns, and looks for nodes after each. An offer that it
 *     steals so is told by its depth on the stack, and returns at once, to that look. Else two
 *     workers that starve in turn would each go on on top of itself, and the stacks grow.
 *
 * Rejected: docs/adr/0031.
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
#include "core/await.h"

#define NODES_MAX (UINT32_C(1) << 30)
#define EDGES_MAX (UINT32_C(1) << 31)
#define BATCH     32 /* nodes that become ready go to others at the latest when they are so many */
#define HELPERS   32 /* runners that one runner has offered and not yet synced */
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

/*
 * Whether all nodes can be reached in the order of a run: none waits for itself (Kahn 1962). Links
 * them by `next_batch` from *@last on, each before all that it waits for; none is pending then.
 */
static bool ends(struct filch_graph *graph, uint32_t *last)
{
	uint32_t reached = 0, list = FILCHI_NO_NODE, behind = FILCHI_NO_NODE;

	for (uint32_t i = 0; i < graph->roots; i++) {
		graph->node[graph->root[i]].next = list;
		list = graph->root[i];
	}
	while (list != FILCHI_NO_NODE) {
		struct filchi_node *node = &graph->node[list];

		filch_store_relaxed(&node->next_batch, behind);
		behind = list;
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
	*last = behind;
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

/*
 * A run goes on with the last of the nodes that one makes ready. So that is the one from which the
 * longest path goes on (Hu 1961), and such paths are not what is left at the end. Of equal ones it
 * is the first, which often lies nearest in the program's data. The others stay in the order of
 * their edges. @last: as of ends().
 */
static void put_longest_last(struct filch_graph *graph, uint32_t last)
{
	while (last != FILCHI_NO_NODE) {
		struct filchi_node *node = &graph->node[last];
		uint32_t level = 0, longest = 0;

		for (uint32_t i = node->first; i < node->end; i++) {
			uint32_t after = graph->after[i];
			/* its level, now that nobody counts there */
			uint32_t below = filch_load_relaxed(&graph->node[after].pending);

			if (below >= level) {
				level = below + 1;
				longest = i;
			}
		}
		filch_store_relaxed(&node->pending, level);
		for (; level && longest + 1 < node->end; longest++) {
			uint32_t after = graph->after[longest];

			graph->after[longest] = graph->after[longest + 1];
			graph->after[longest + 1] = after;
		}
		last = filch_load_relaxed(&node->next_batch);
	}
}

/* After a change: 0, -ENOMEM, -ELOOP. */
static int prepare(struct filch_graph *graph)
{
	uint32_t last;

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
	graph->prepared = ends(graph, &last);
	if (graph->prepared)
		put_longest_last(graph, last);
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
	bool syncs;     /* a runner that it has offered, and for nothing else */
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

/* True: it was one node more than a list may have, and all are shared. */
static bool add(struct runner *me, uint32_t ready)
{
	me->run->node[ready].next = me->list;
	me->list = ready;
	if (++me->held < BATCH)
		return false;
	share(me);
	return true;
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

/* Calls a node's function; false: its status ends the run. */
static bool call(struct filchi_node *node)
{
	int status = node->fn(node->arg);

	/* for the next run; nobody counts it down any more in this one */
	filch_store_relaxed(&node->pending, node->before);
	if (FILCH_UNLIKELY(status))
		(void)filch_scope_cancel(status);
	return !status;
}

/* Adds what is ready now of @left to @end, or of a part of that. Returns where it got to. */
static uint32_t release(struct runner *me, uint32_t left, uint32_t end)
{
	const struct run *run = me->run;

	while (left < end) {
		uint32_t after = run->after[left++];

		if (filchi_node_released(&run->node[after]) && add(me, after))
			break;
	}
	return left;
}

/*
 * A runner with nothing to run tells whoever has offered it that it leaves, and looks once more.
 * True: it has found some after all.
 *
 * FENCE H1   say that it leaves -> look at the nodes   pairs with: H2 in comes_back()
 * Ensures:   a thief that leaves sees the nodes that were shared, or is seen to leave.
 * Without:   nodes lie ready behind one that takes its time, and no other worker is told.
 * Weaker?    no: store->load.
 * Checked:   tests/unit/graph.c, two workers that starve in turn
 */
static bool found_in_leaving(struct runner *me, filch_atomic_u32 *leaves)
{
	filchi_store_then_fence(leaves, 1);
	if (is_over(me->run) || !look(me))
		return false;
	filchi_store_release(leaves, 0);
	return true;
}

/* An offered runner has ended: its frame is free. */
static bool has_ended(void *helper)
{
	return filchi_task_done(helper); /* a frame begins with its task */
}

/* The first of @n frames of @size bytes whose runner has ended, or has not; or @n. */
static unsigned first_that(void *helpers, size_t size, unsigned n, bool has)
{
	unsigned i = 0;

	while (i < n && has_ended((char *)helpers + i * size) != has)
		i++;
	return i;
}

/*
 * There is no frame for one more offer, and what was shared is to be seen by the thief of the
 * newest. False: that has ended, and there is a frame now.
 *
 * FENCE H2   share nodes -> read whether it leaves   pairs with: H1 in found_in_leaving()
 * Ensures, without: see H1.
 * Weaker?    no: store->load.
 * Checked:   see H1
 */
static bool comes_back(void *helper, filch_atomic_u32 *leaves)
{
	while (filchi_fence_then_load_acquire(leaves)) {
		if (has_ended(helper))
			return false;
		filchi_pause();
	}
	return !has_ended(helper);
}

/* Others should come: there are nodes where this runner has shared or taken some. */
static bool should_offer(const struct runner *me)
{
	return !filch_load_relaxed(&me->own->offered) &&
	       (!filchi_ready_seems_empty(me->own) ||
		       !filchi_ready_seems_empty(&me->run->ready[me->where]));
}

/*
 * A runner begins. False: it has nothing to do here, since one beneath it on this stack waits for
 * just that, and looks for itself.
 *
 * The offer is taken back before the first look. Should both see the state before, a batch and an
 * offer, the looks that follow find the batch.
 */
static bool begin(
	struct runner *me, struct run *run, const struct runner *by, const struct filchi_worker *w)
{
	uint32_t id = w->id;

	*me = (struct runner){ .run = run,
		.own = &run->ready[id],
		.id = id,
		.list = FILCHI_NO_NODE,
		.where = by ? by->id : id };
	if (!by)
		return true;
	filch_store_relaxed(&run->ready[by->id].offered, 0);
	if (me->own->waits_at == filch_load_relaxed(&w->deque.depth))
		return false;
	return by->id != id || !by->syncs;
}

/*
 * A runner without nodes, whose newest helper may be in a node: until that has ended, or something
 * was run on top, or it was woken.
 */
static void wait_for(struct runner *me, struct filchi_worker *w, void *helper)
{
	uint32_t before = me->own->waits_at;

	me->own->waits_at = filch_load_relaxed(&w->deque.depth) + 1;
	filchi_wait_turn(w, helper);
	me->own->waits_at = before;
}

/*
 * @by: who has offered it, and lives as long, as @leaves does; NULL: the first runner, which has
 * the roots.
 */
FILCH_VOID_TASK(
	runner, (struct run *, run), (const struct runner *, by), (filch_atomic_u32 *, leaves))
{
	FILCH_FRAME(runner) helper[HELPERS];
	filch_atomic_u32 helper_leaves[HELPERS];
	struct runner me;
	uint32_t number, left = 0, end = 0, root = by ? run->graph->roots : 0;
	uint64_t returned = 0;
	struct filchi_worker *w = filchi_worker_of(filch_worker_);
	/* frames that were used; that of the newest offer, which alone may lie in the deque */
	unsigned helpers = 0, newest = HELPERS, frame;

	if (!begin(&me, run, by, w))
		return;
	for (;;) {
		while (!is_over(run)) {
			number = FILCHI_NO_NODE;
			if (left < end) {
				left = release(&me, left, end);
			} else if (root < run->graph->roots) {
				(void)add(&me, run->graph->root[root++]);
			} else {
				number = next(&me);
				if (number == FILCHI_NO_NODE)
					break;
				/* nothing is hidden behind a node that takes its time */
				if (me.list != FILCHI_NO_NODE && !run->alone)
					share(&me);
			}
			if (!run->alone && should_offer(&me)) {
				frame = first_that(helper, sizeof helper[0], helpers, true);
				if (frame == HELPERS &&
					!comes_back(&helper[newest], &helper_leaves[newest]))
					frame = newest;
				if (frame < HELPERS) {
					helpers += frame == helpers;
					newest = frame;
					filch_store_relaxed(&me.own->offered, 1);
					filch_store_relaxed(&helper_leaves[frame], 0);
					FILCH_SPAWN_INTO(&helper[frame], runner, run, &me,
						&helper_leaves[frame]);
				}
			}
			if (number != FILCHI_NO_NODE && call(&run->node[number])) {
				returned++;
				left = run->node[number].first;
				end = run->node[number].end;
			}
		}
		frame = newest;
		if (frame == HELPERS || has_ended(&helper[frame]))
			frame = first_that(helper, sizeof helper[0], helpers, false);
		if (frame == helpers) {
			if (by && found_in_leaving(&me, leaves))
				continue;
			break;
		}
		/* thieves take the oldest first: with none left in the deque all are gone */
		if (filchi_deque_seems_empty(&w->deque)) {
			wait_for(&me, w, &helper[frame]);
			continue;
		}
		me.syncs = true;
		FILCH_SYNC_FROM(runner, &helper[frame]);
		me.syncs = false;
		/* if it was taken back for that, nobody has written its word */
		filch_store_relaxed(&helper[frame].filch_task_.word, 0);
	}
	/* what thieves have taken was waited for without a sync, which does this */
	if (helpers)
		filchi_deque_settle(&w->deque, filch_carried_);
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
	error = FILCH_RUN(NULL, NULL, runner, &run, NULL, NULL);
	graph->started = filch_load_relaxed(&run.returned) != graph->nodes;
	return error || !graph->started ? error : -ECANCELED;
}

int filch_graph_run(struct filch_pool *pool, struct filch_graph *graph)
{
	int status;

	if (!graph)
		return -EINVAL;
	if (!lock(graph))
		return -EBUSY;
	status = prepare(graph);
	if (!status) {
		if (graph->started)
			reset(graph);
		/* until all have returned: a node may end its thread, and the job with it */
		graph->started = true;
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
	return fflush(to) || ferror(to) ? -EIO : 0;
}
