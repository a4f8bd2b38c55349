/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graphs: what is refused, the order of nodes, runs again and on other pools, the first status, a
 * cancellation, circles, the stack, the text. Exactly once on many workers is stress/graph.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <sched.h>
#include <stdlib.h>

static _Atomic int order;

/* What a node was: when it ran, and how often. */
struct seen {
	_Atomic int when, runs;
	int status;
};

static int see(void *arg)
{
	struct seen *seen = arg;

	seen->when = ++order;
	seen->runs++;
	return seen->status;
}

static struct filch_graph *new_graph(void)
{
	struct filch_graph *graph;

	EQ(filch_graph_create(&graph), 0);
	return graph;
}

/* Nodes 0 to @n - 1, each seen at its place. */
static struct filch_graph *graph_of(struct seen *seen, int n)
{
	struct filch_graph *graph = new_graph();

	for (int i = 0; i < n; i++)
		EQ(filch_graph_node(graph, see, &seen[i]), i);
	return graph;
}

Test(graph, bad_arguments_are_refused)
{
	struct seen seen[2] = { 0 };
	struct filch_pool *pool = pool_of(1, 0);
	struct filch_graph *graph;

	EQ(filch_graph_create(NULL), -EINVAL);
	graph = graph_of(seen, 2);
	EQ(filch_graph_node(NULL, see, NULL), -EINVAL);
	EQ(filch_graph_node(graph, NULL, NULL), -EINVAL);
	EQ(filch_graph_edge(NULL, 0, 1), -EINVAL);
	EQ(filch_graph_edge(graph, -1, 1), -EINVAL);
	EQ(filch_graph_edge(graph, 0, 2), -EINVAL);
	EQ(filch_graph_edge(graph, 1, 1), -EINVAL);
	EQ(filch_graph_name(NULL, 0, "a"), -EINVAL);
	EQ(filch_graph_name(graph, 0, NULL), -EINVAL);
	EQ(filch_graph_name(graph, 2, "a"), -EINVAL);
	EQ(filch_graph_run(pool, NULL), -EINVAL);
	EQ(filch_graph_run(NULL, NULL), -EINVAL);
	EQ(filch_graph_dot(NULL, stdout), -EINVAL);
	EQ(filch_graph_dot(graph, NULL), -EINVAL);
	EQ(filch_graph_destroy(NULL), -EINVAL);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(filch_graph_run(pool, graph), -ESHUTDOWN);
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(pool), 0);
	EQ(order, 0);
}

Test(graph, a_graph_without_nodes_has_run_at_once)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct filch_graph *graph = new_graph();

	EQ(filch_graph_run(pool, graph), 0);
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(pool), 0);
}

Test(graph, a_node_starts_after_those_before_it)
{
	for (int workers = 1; workers <= 4; workers++) {
		struct filch_pool *pool = pool_of(workers, 0);
		struct seen seen[6] = { 0 };
		struct filch_graph *graph = graph_of(seen, 6);
		static const int edge[][2] = { { 5, 0 }, { 5, 1 }, { 0, 2 }, { 1, 2 }, { 2, 3 },
			{ 0, 3 }, { 0, 3 }, { 4, 3 } };

		for (size_t i = 0; i < sizeof edge / sizeof edge[0]; i++)
			EQ(filch_graph_edge(graph, edge[i][0], edge[i][1]), 0);
		for (int run = 1; run <= 100; run++) {
			EQ(filch_graph_run(pool, graph), 0);
			for (int i = 0; i < 6; i++)
				EQ(seen[i].runs, run);
			for (size_t i = 0; i < sizeof edge / sizeof edge[0]; i++)
				cr_assert(seen[edge[i][0]].when < seen[edge[i][1]].when);
		}
		EQ(filch_graph_destroy(graph), 0);
		EQ(filch_pool_destroy(pool), 0);
	}
}

Test(graph, nodes_that_wait_for_each_other_are_a_loop_and_none_runs)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct seen seen[4] = { 0 };
	struct filch_graph *graph = graph_of(seen, 4);

	EQ(filch_graph_edge(graph, 0, 1), 0);
	EQ(filch_graph_edge(graph, 1, 2), 0);
	EQ(filch_graph_edge(graph, 2, 1), 0);
	EQ(filch_graph_run(pool, graph), -ELOOP);
	EQ(filch_graph_run(pool, graph), -ELOOP);
	EQ(order, 0);
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(pool), 0);
}

Test(graph, a_graph_may_grow_between_runs_and_change_pools)
{
	struct filch_pool *small = pool_of(1, 0), *large = pool_of(4, 0);
	struct seen seen[300] = { 0 };
	struct filch_graph *graph = graph_of(seen, 1);

	EQ(filch_graph_run(small, graph), 0);
	for (int i = 1; i < 300; i++) {
		EQ(filch_graph_node(graph, see, &seen[i]), i);
		EQ(filch_graph_edge(graph, (i - 1) / 2, i), 0);
	}
	EQ(filch_graph_run(large, graph), 0);
	EQ(filch_graph_run(small, graph), 0);
	EQ(seen[0].runs, 3);
	for (int i = 1; i < 300; i++) {
		EQ(seen[i].runs, 2);
		cr_assert(seen[(i - 1) / 2].when < seen[i].when);
	}
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(small), 0);
	EQ(filch_pool_destroy(large), 0);
}

Test(graph, the_first_status_ends_a_run_and_the_next_begins_anew)
{
	for (int workers = 1; workers <= 2; workers++) {
		struct filch_pool *pool = pool_of(workers, 0);
		struct seen seen[4] = { { .status = 0 }, { .status = 7 } };
		struct filch_graph *graph = graph_of(seen, 4);

		/* 0, 1, 2 one after the other, and 3 with two before it */
		EQ(filch_graph_edge(graph, 0, 1), 0);
		EQ(filch_graph_edge(graph, 1, 2), 0);
		EQ(filch_graph_edge(graph, 0, 3), 0);
		EQ(filch_graph_edge(graph, 2, 3), 0);
		for (int run = 1; run <= 3; run++) {
			EQ(filch_graph_run(pool, graph), 7);
			EQ(seen[0].runs, run);
			EQ(seen[1].runs, run);
			EQ(seen[2].runs + seen[3].runs, 0);
		}
		seen[1].status = 0;
		EQ(filch_graph_run(pool, graph), 0);
		for (int i = 0; i < 4; i++)
			EQ(seen[i].runs, i < 2 ? 4 : 1);
		EQ(filch_graph_destroy(graph), 0);
		EQ(filch_pool_destroy(pool), 0);
	}
}

static int found(void *arg)
{
	(void)arg;
	EQ(filch_scope_cancel(0), 0);
	cr_assert(filch_cancelled());
	return 0;
}

Test(graph, a_node_may_end_the_run_with_success)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct seen seen[1] = { 0 };
	struct filch_graph *graph = new_graph();

	EQ(filch_graph_node(graph, found, NULL), 0);
	EQ(filch_graph_node(graph, see, &seen[0]), 1);
	EQ(filch_graph_edge(graph, 0, 1), 0);
	EQ(filch_graph_run(pool, graph), 0);
	EQ(seen[0].runs, 0);
	EQ(filch_graph_run(pool, graph), 0);
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(pool), 0);
}

static int cancel_this_job(void *arg)
{
	EQ(filch_cancel(arg, filch_job_id()), 0);
	return 0;
}

static int run_graph(void *arg)
{
	return filch_graph_run(NULL, arg);
}

Test(graph, a_cancelled_job_ends_the_run_in_it)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct seen seen[1] = { 0 };
	struct filch_graph *graph = new_graph();
	struct filch_completion c;
	int64_t id;

	EQ(filch_graph_node(graph, cancel_this_job, pool), 0);
	EQ(filch_graph_node(graph, see, &seen[0]), 1);
	EQ(filch_graph_edge(graph, 0, 1), 0);
	id = filch_submit(pool, run_graph, graph, NULL);
	cr_assert(id > 0);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, -ECANCELED);
	EQ(seen[0].runs, 0);
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(pool), 0);
}

struct busy {
	struct filch_graph *graph;
	int64_t says[6];
};

static int use_it(void *arg)
{
	struct busy *busy = arg;

	busy->says[0] = filch_graph_run(NULL, busy->graph);
	busy->says[1] = filch_graph_node(busy->graph, use_it, NULL);
	busy->says[2] = filch_graph_edge(busy->graph, 0, 1);
	busy->says[3] = filch_graph_name(busy->graph, 0, "a");
	busy->says[4] = filch_graph_destroy(busy->graph);
	busy->says[5] = filch_graph_dot(busy->graph, stdout);
	return 0;
}

Test(graph, a_graph_that_runs_is_busy)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct busy busy = { .graph = new_graph() };

	EQ(filch_graph_node(busy.graph, use_it, &busy), 0);
	EQ(filch_graph_node(busy.graph, use_it, &busy), 1);
	EQ(filch_graph_run(pool, busy.graph), 0);
	for (int i = 0; i < 6; i++)
		EQ(busy.says[i], -EBUSY);
	EQ(filch_graph_run(pool, busy.graph), 0);
	EQ(filch_graph_destroy(busy.graph), 0);
	EQ(filch_pool_destroy(pool), 0);
}

struct inner {
	struct filch_graph *graph;
	_Atomic int sum;
};

static void add_one(size_t b, size_t e, void *arg)
{
	*(_Atomic int *)arg += (int)(e - b);
}

static int loop_and_graph(void *arg)
{
	struct inner *inner = arg;

	EQ(filch_for(NULL, 0, 100, 1, add_one, &inner->sum), 0);
	return filch_graph_run(NULL, inner->graph);
}

Test(graph, nodes_may_loop_and_run_other_graphs)
{
	struct filch_pool *pool = pool_of(4, 0);
	struct seen seen[64] = { 0 };
	struct inner inner[64] = { 0 };
	struct filch_graph *graph = new_graph();

	for (int i = 0; i < 64; i++) {
		inner[i].graph = graph_of(&seen[i], 1);
		EQ(filch_graph_node(graph, loop_and_graph, &inner[i]), i);
	}
	EQ(filch_graph_run(pool, graph), 0);
	for (int i = 0; i < 64; i++) {
		EQ(inner[i].sum, 100);
		EQ(seen[i].runs, 1);
		EQ(filch_graph_destroy(inner[i].graph), 0);
	}
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(pool), 0);
}

/* Two nodes that meet: neither is hidden behind the other. */
static int meet(void *arg)
{
	struct gate *gate = arg;

	gate_raise(gate);
	gate_wait(gate, 4);
	return 0;
}

Test(graph, as_many_nodes_as_workers_run_at_once)
{
	struct filch_pool *pool = pool_of(4, 0);

	for (int run = 0; run < 200; run++) {
		struct gate gate = GATE_INIT;
		struct seen seen[1] = { 0 };
		struct filch_graph *graph = graph_of(seen, 1);

		for (int i = 1; i <= 4; i++) {
			EQ(filch_graph_node(graph, meet, &gate), i);
			EQ(filch_graph_edge(graph, 0, i), 0);
		}
		EQ(filch_graph_run(pool, graph), 0);
		EQ(filch_graph_destroy(graph), 0);
	}
	EQ(filch_pool_destroy(pool), 0);
}

/* The same over several batches: what is left of one is offered by whoever has taken from it. */
Test(graph, as_many_nodes_as_workers_run_at_once_also_when_they_become_ready_one_after_another)
{
	struct filch_pool *pool = pool_of(3, 0);

	for (int run = 0; run < 200; run++) {
		struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1 };
		struct seen seen[2] = { 0 };
		struct filch_graph *graph = graph_of(seen, 2);
		static const int edge[][2] = { { 0, 2 }, { 0, 1 }, { 1, 3 }, { 1, 4 } };

		for (int i = 2; i <= 4; i++)
			EQ(filch_graph_node(graph, meet, &gate), i);
		for (int i = 0; i < 4; i++)
			EQ(filch_graph_edge(graph, edge[i][0], edge[i][1]), 0);
		EQ(filch_graph_run(pool, graph), 0);
		EQ(filch_graph_destroy(graph), 0);
	}
	EQ(filch_pool_destroy(pool), 0);
}

struct waiting {
	struct filch_pool *pool;
	struct gate other; /* the other node has run */
};

static int wait_for_other(void *arg)
{
	struct waiting *w = arg;

	gate_wait(&w->other, 1);
	return 0;
}

static int raise_other(void *arg)
{
	gate_raise(&((struct waiting *)arg)->other);
	return 0;
}

/* Waits for a job that waits for the other node. */
static int wait_for_job(void *arg)
{
	struct waiting *w = arg;
	int64_t id = filch_submit(w->pool, wait_for_other, w, NULL);

	cr_assert(id > 0);
	return filch_wait(w->pool, id, NULL, NULL);
}

Test(graph, a_node_that_waits_takes_no_offer_away)
{
	struct filch_pool *pool = pool_of(2, 0);

	for (int run = 0; run < 200; run++) {
		struct waiting w = { pool, GATE_INIT };
		struct seen seen[1] = { 0 };
		struct filch_graph *graph = graph_of(seen, 1);

		EQ(filch_graph_node(graph, wait_for_job, &w), 1);
		EQ(filch_graph_node(graph, raise_other, &w), 2);
		EQ(filch_graph_edge(graph, 0, 1), 0);
		EQ(filch_graph_edge(graph, 0, 2), 0);
		EQ(filch_graph_run(pool, graph), 0);
		EQ(filch_graph_destroy(graph), 0);
	}
	EQ(filch_pool_destroy(pool), 0);
}

enum { RUNGS = 80 };

/* A ladder: of each rung, whether its two nodes have begun. */
struct ladder {
	struct filch_pool *pool;
	_Atomic bool begun[RUNGS + 2];
	struct rung {
		struct ladder *ladder;
		int number;
	} rung[RUNGS + 2];
};

static uint64_t asleep_in(struct filch_pool *pool)
{
	struct filch_stats s = FILCH_STATS_INIT;

	EQ(filch_pool_stats(pool, &s), 0);
	return s.asleep;
}

/* On another worker than stay_on_rung(): until the next one has begun. */
static int hold_rung(void *arg)
{
	const struct rung *rung = arg;

	rung->ladder->begun[rung->number] = true;
	while (rung->number <= RUNGS && !rung->ladder->begun[rung->number + 1])
		sched_yield();
	return 0;
}

/* Until the rung's other node has begun, and whoever held the last rung sleeps. */
static int stay_on_rung(void *arg)
{
	const struct rung *rung = arg;

	while (!rung->ladder->begun[rung->number])
		sched_yield();
	while (rung->number <= RUNGS && !asleep_in(rung->ladder->pool))
		sched_yield();
	return 0;
}

/*
 * One worker goes up. Two others take turns in holding a rung, so that one of them is inside
 * whenever the other is offered work. There is always a frame for that offer, and it is told.
 */
Test(graph, an_offer_is_told_though_thieves_of_others_have_never_all_left)
{
	struct filch_pool *pool = pool_of(3, 0);
	static struct ladder ladder;
	struct seen seen[1] = { 0 };
	struct filch_graph *graph = graph_of(seen, 1);
	int64_t below = 0;

	ladder = (struct ladder){ .pool = pool };
	for (int i = 0; i <= RUNGS + 1; i++) {
		int64_t held, stayed;

		ladder.rung[i] = (struct rung){ &ladder, i };
		held = filch_graph_node(graph, hold_rung, &ladder.rung[i]);
		stayed = filch_graph_node(graph, stay_on_rung, &ladder.rung[i]);
		EQ(filch_graph_edge(graph, below, held), 0);
		EQ(filch_graph_edge(graph, below, stayed), 0);
		below = stayed;
	}
	EQ(filch_graph_run(pool, graph), 0);
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(pool), 0);
}

/* The lowest and the highest stack address of nodes on each worker. */
static char *_Atomic lowest[8], *_Atomic highest[8];

static int note_stack(void *arg)
{
	/* not of a variable, which a sanitizer may put elsewhere */
	char *here = __builtin_frame_address(0);
	int worker = filch_worker_id();

	(void)arg;
	if (!lowest[worker] || here < lowest[worker])
		lowest[worker] = here;
	if (!highest[worker] || here > highest[worker])
		highest[worker] = here;
	return 0;
}

Test(graph, the_stack_does_not_grow_with_the_graph)
{
	enum { SIDE = 400 };

	for (int workers = 1; workers <= 4; workers++) {
		struct filch_pool *pool = pool_of(workers, 0);
		struct filch_graph *graph = new_graph();

		for (int i = 0; i < 8; i++)
			lowest[i] = highest[i] = NULL;
		for (int i = 0; i < SIDE * SIDE; i++) {
			EQ(filch_graph_node(graph, note_stack, NULL), i);
			if (i % SIDE)
				EQ(filch_graph_edge(graph, i - 1, i), 0);
			if (i >= SIDE)
				EQ(filch_graph_edge(graph, i - SIDE, i), 0);
		}
		EQ(filch_graph_run(pool, graph), 0);
		for (int i = 0; i < workers; i++)
			/* the longest path has 800 nodes: 80 bytes for each would be more */
			cr_assert(highest[i] - lowest[i] < 65536, "%d",
				(int)(highest[i] - lowest[i]));
		EQ(filch_graph_destroy(graph), 0);
		EQ(filch_pool_destroy(pool), 0);
	}
}

static _Atomic int turn;

/* Of a diamond's two nodes the one that a thief has taken ends last. */
static int either(void *arg)
{
	int began = turn++;

	(void)note_stack(arg);
	while (began % 2 == 0 && turn == began + 1 && !filch_cancelled())
		sched_yield();
	return 0;
}

Test(graph, the_stack_does_not_grow_where_two_workers_starve_in_turn)
{
	enum { DIAMONDS = 3000 };
	struct filch_pool *pool = pool_of(2, 0);
	struct filch_graph *graph = new_graph();
	int64_t last = filch_graph_node(graph, note_stack, NULL);

	for (int i = 0; i < 8; i++)
		lowest[i] = highest[i] = NULL;
	for (int i = 0; i < DIAMONDS; i++) {
		int64_t end = filch_graph_node(graph, note_stack, NULL);

		for (int side = 0; side < 2; side++) {
			int64_t node = filch_graph_node(graph, either, NULL);

			EQ(filch_graph_edge(graph, last, node), 0);
			EQ(filch_graph_edge(graph, node, end), 0);
		}
		last = end;
	}
	EQ(filch_graph_run(pool, graph), 0);
	EQ(turn, 2 * DIAMONDS);
	for (int i = 0; i < 2; i++)
		cr_assert(highest[i] - lowest[i] < 65536, "%d", (int)(highest[i] - lowest[i]));
	EQ(filch_graph_destroy(graph), 0);
	EQ(filch_pool_destroy(pool), 0);
}

static struct seen *_Atomic leaves_at;

static int see_and_leave(void *arg)
{
	if (arg == leaves_at)
		pthread_exit(NULL);
	return see(arg);
}

/* One worker: without guards a stolen task may not leave its thread. */
Test(graph, after_a_node_that_left_its_thread_a_run_is_in_order)
{
	struct filch_pool *pool = pool_of(1, 0);

	for (int leaver = 1; leaver <= 8; leaver++) {
		struct seen seen[10] = { 0 };
		struct filch_graph *graph = new_graph();

		for (int i = 0; i < 10; i++)
			EQ(filch_graph_node(graph, see_and_leave, &seen[i]), i);
		for (int i = 1; i < 9; i++) {
			EQ(filch_graph_edge(graph, 0, i), 0);
			EQ(filch_graph_edge(graph, i, 9), 0);
		}
		leaves_at = &seen[leaver];
		EQ(filch_graph_run(pool, graph), -ECANCELED);
		EQ(seen[9].runs, 0);
		leaves_at = NULL;
		for (int run = 0; run < 3; run++) {
			EQ(filch_graph_run(pool, graph), 0);
			for (int i = 1; i < 9; i++) {
				cr_assert(seen[0].when < seen[i].when);
				cr_assert(seen[i].when < seen[9].when);
			}
		}
		EQ(filch_graph_destroy(graph), 0);
	}
	EQ(filch_pool_destroy(pool), 0);
}

Test(graph, dot_has_names_nodes_and_edges)
{
	struct seen seen[2] = { 0 };
	struct filch_graph *graph = graph_of(seen, 2);
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	EQ(filch_graph_edge(graph, 0, 1), 0);
	EQ(filch_graph_name(graph, 1, "the \"last\""), 0);
	EQ(filch_graph_dot(graph, to), 0);
	EQ(fclose(to), 0);
	cr_assert_str_eq(text, "digraph filch {\n"
			       "\tn0 [label=\"0\"];\n"
			       "\tn1 [label=\"the \\\"last\\\"\"];\n"
			       "\tn0 -> n1;\n"
			       "}\n");
	free(text);
	EQ(filch_graph_destroy(graph), 0);
}
