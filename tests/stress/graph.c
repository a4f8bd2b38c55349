/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph: each node of a graph runs exactly once in a run, after those before it, on 1, 2, 8 and 32
 * workers: random graphs, run again and again and with other nodes that end the run; a wavefront;
 * one node before very many and one after them; graphs of several threads on one pool at once;
 * nodes that loop. A node checks what those before it have left, which is plain memory. timeout:
 * 300
 */
#define _GNU_SOURCE
#include "pools.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct node {
	uint64_t run; /* of the last run in which it ran; plain: the graph's edges order it */
	uint32_t *before, n_before;
	struct suite *suite;
	uint32_t number, turns;
};

/* A graph and what is known of it. */
struct suite {
	struct filch_graph *graph;
	struct node *node;
	uint32_t n, *edges;
	uint64_t run, rng;
	_Atomic uint64_t returned;
	uint32_t ends_at; /* the node whose status ends the run; n: none */
};

static struct {
	_Atomic uint64_t nodes, runs, ended_early, loops;
} met;
static _Atomic uint32_t on_workers; /* bits: workers that have run a node */

static void turn(size_t b, size_t e, void *arg)
{
	*(_Atomic uint64_t *)arg += e - b;
}

static int visit(void *arg)
{
	struct node *me = arg;
	struct suite *s = me->suite;
	_Atomic uint64_t turns = 0;

	CHECK(me->run < s->run, "node %u runs twice in run %llu", me->number,
		(unsigned long long)s->run);
	for (uint32_t i = 0; i < me->n_before; i++)
		CHECK_EQ(s->node[me->before[i]].run, s->run);
	if (me->turns) {
		int error = filch_for(NULL, 0, me->turns, 1, turn, &turns);

		/* a node elsewhere may have ended the run */
		CHECK(error == 0 || (error == -ECANCELED && filch_cancelled()), "%d", error);
		CHECK(error || turns == me->turns, "a body is missing");
		atomic_fetch_add_explicit(&met.loops, 1, memory_order_relaxed);
	}
	me->run = s->run;
	s->returned++;
	atomic_fetch_or_explicit(&on_workers, 1u << (filch_worker_id() & 31), memory_order_relaxed);
	return me->number == s->ends_at ? 5 : 0;
}

static struct suite new_suite(uint32_t n, uint64_t seed)
{
	struct suite s = { .n = n, .rng = seed, .ends_at = n };

	s.node = calloc(n, sizeof s.node[0]);
	CHECK(s.node, "memory");
	CHECK_EQ(filch_graph_create(&s.graph), 0);
	return s;
}

/* In place: nodes know where the suite is. */
static void add_nodes(struct suite *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		s->node[i].suite = s;
		s->node[i].number = i;
		CHECK_EQ(filch_graph_node(s->graph, visit, &s->node[i]), i);
	}
}

static void add_edge(struct suite *s, uint32_t from, uint32_t to)
{
	struct node *node = &s->node[to];

	if (!(node->n_before & (node->n_before + 1))) {
		node->before = realloc(
			node->before, (2 * (size_t)node->n_before + 2) * sizeof node->before[0]);
		CHECK(node->before, "memory");
	}
	node->before[node->n_before++] = from;
	CHECK_EQ(filch_graph_edge(s->graph, from, to), 0);
}

static void run(struct filch_pool *pool, struct suite *s)
{
	int status;

	s->run++;
	s->returned = 0;
	status = filch_graph_run(pool, s->graph);
	CHECK_EQ(status, s->ends_at < s->n ? 5 : 0);
	if (s->ends_at == s->n) {
		CHECK_EQ(s->returned, s->n);
		for (uint32_t i = 0; i < s->n; i++)
			CHECK_EQ(s->node[i].run, s->run);
	} else if (s->returned < s->n) {
		met.ended_early++;
	}
	met.nodes += s->returned;
	met.runs++;
}

static void free_suite(struct suite *s)
{
	CHECK_EQ(filch_graph_destroy(s->graph), 0);
	for (uint32_t i = 0; i < s->n; i++)
		free(s->node[i].before);
	free(s->node);
}

static void random_graphs(struct filch_pool *pool, uint64_t seed, uint64_t graphs)
{
	for (uint64_t g = 0; g < graphs; g++) {
		uint64_t rng = seed + g;
		struct suite s = new_suite(1 + (uint32_t)(test_random(&rng) % 300), rng);
		uint32_t density = 1 + (uint32_t)(test_random(&rng) % 6),
			 reach = 1 + (uint32_t)(test_random(&rng) % 40);

		add_nodes(&s);
		for (uint32_t i = 1; i < s.n; i++) {
			for (uint64_t e = test_random(&rng) % density; e--;)
				add_edge(&s,
					i - 1 -
						(uint32_t)(test_random(&rng) %
							   (i < reach ? i : reach)),
					i);
			if (test_random(&rng) % 16 == 0)
				s.node[i].turns = 1 + (uint32_t)(test_random(&rng) % 9);
		}
		for (int again = 0; again < 6; again++) {
			s.ends_at = again % 3 == 1 ? (uint32_t)(test_random(&rng) % s.n) : s.n;
			run(pool, &s);
		}
		free_suite(&s);
	}
}

static void wavefront(struct filch_pool *pool, uint32_t side)
{
	struct suite s = new_suite(side * side, 1);

	add_nodes(&s);
	for (uint32_t i = 0; i < s.n; i++) {
		if (i % side)
			add_edge(&s, i - 1, i);
		if (i >= side)
			add_edge(&s, i - side, i);
	}
	run(pool, &s);
	run(pool, &s);
	free_suite(&s);
}

/* One before @n, one after them; and @n that wait for nothing. */
static void fan(struct filch_pool *pool, uint32_t n)
{
	struct suite s = new_suite(n + 2, 1), roots = new_suite(n, 1);

	add_nodes(&s);
	for (uint32_t i = 1; i <= n; i++) {
		add_edge(&s, 0, i);
		add_edge(&s, i, n + 1);
	}
	run(pool, &s);
	run(pool, &s);
	free_suite(&s);
	add_nodes(&roots);
	run(pool, &roots);
	free_suite(&roots);
}

struct part {
	struct filch_pool *pool;
	uint64_t seed, graphs;
};

static void *part(void *arg)
{
	struct part *p = arg;

	random_graphs(p->pool, p->seed, p->graphs);
	return NULL;
}

static void on(uint32_t workers)
{
	struct filch_pool *pool = pool_open(workers, 0);
	pthread_t thread[3];
	struct part p[3];

	for (uint32_t i = 0; i < 3; i++) {
		p[i] = (struct part){ pool, test_seed() + i * 1000003u, test_scaled(300) };
		CHECK_EQ(pthread_create(&thread[i], NULL, part, &p[i]), 0);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	wavefront(pool, 300);
	fan(pool, (uint32_t)test_scaled(100000) + 100);
	pool_close(pool);
}

static void one_worker(void)
{
	on(1);
}

static void two_workers(void)
{
	on(2);
}

static void eight_workers(void)
{
	on(8);
}

static void many_workers(void)
{
	on(32);
}

/* Nodes come to more than one worker, whatever the machine does. */
static void others_help(void)
{
	struct filch_pool *pool = pool_open(4, 0);
	uint64_t tries = 0;

	on_workers = 0;
	do
		wavefront(pool, 60);
	while (!(on_workers & (on_workers - 1)) && tries++ < 10000);
	CHECK(on_workers & (on_workers - 1), "one worker has run all");
	pool_close(pool);
}

int main(void)
{
	test_watchdog(280);
	(void)test_seed();
	test_case("graphs on one worker", one_worker);
	test_case("graphs on two workers", two_workers);
	test_case("graphs on eight workers", eight_workers);
	test_case("graphs on 32 workers", many_workers);
	test_case("others help", others_help);
	printf("  %llu runs, %llu nodes; %llu runs ended early, %llu loops in nodes\n",
		(unsigned long long)met.runs, (unsigned long long)met.nodes,
		(unsigned long long)met.ended_early, (unsigned long long)met.loops);
	CHECK(met.ended_early && met.loops, "not all was met");
	return test_finish("graph");
}
