/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ready nodes of a graph: each runs once, after those before it, whoever takes it.
 *
 * labels: model
 *
 * Threads, on one graph at a time (explored: a node, two after it, one after both; the first lies
 * ready):
 * - workers: look into their own stack, then into the others'. Share all but the first node of
 *   what they have found, run that, and share what it has made ready. As the runner of
 *   src/algo/graph.c, without what brings thieves there. Explored: LOOKS times at most (default
 *   2); the main thread runs what is left.
 *
 * What a node writes is plain: a missing order is a data race to a checker.
 *
 * Asserts:
 * - A node runs once in a run, and sees what those before it have written.
 * - All have run.
 * - In an ordinary run these have happened: nodes taken from another's stack, batches of several
 *   nodes, CAS that failed, nodes released by each of several workers.
 *
 * Mutants found by an ordinary run:
 *   pop_by_store      a pop loads the head and stores the next
 *   push_by_store     a push stores its batch over what came meanwhile
 *   release_by_store  two that release a node at once count one
 */
#include "driver.h"

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"

/* counts of an ordinary run; to a checker they would be further steps to order */
#if defined(FILCH_EXPLORE)
#define COUNT(counter) ((void)0)
#else
#define COUNT(counter) ((void)atomic_fetch_add_explicit((counter), 1, memory_order_relaxed))
static atomic_ulong lost_cas;
#endif

/* inside filchi_ready_pop() 'p' 'o', filchi_ready_push() 'p' 'u' */
#define IN(letter) (__func__[sizeof "filchi_ready_p" - 1] == (letter))

#undef filchi_cas_acq_rel
#if defined(MUTANT_POP_BY_STORE)
#define filchi_cas_acq_rel(p, expected, v) cas((p), (expected), (v), IN('o'))
#elif defined(MUTANT_PUSH_BY_STORE)
#define filchi_cas_acq_rel(p, expected, v) cas((p), (expected), (v), IN('u'))
#else
#define filchi_cas_acq_rel(p, expected, v) cas((p), (expected), (v), false)
#endif
static inline bool cas(filch_atomic_u32 *p, uint32_t *expected, uint32_t v, bool stores)
{
	bool ok = true;

#if !defined(FILCH_EXPLORE)
	HOLD();
#endif
	if (stores)
		atomic_store_explicit(p, v, memory_order_release);
	else
		ok = atomic_compare_exchange_strong_explicit(
			p, expected, v, memory_order_acq_rel, memory_order_acquire);
	if (!ok)
		COUNT(&lost_cas);
	return ok;
}

#if defined(MUTANT_RELEASE_BY_STORE)
#undef filchi_fetch_sub_acq_rel
#define filchi_fetch_sub_acq_rel(p, n) sub_by_store(p)
static inline uint32_t sub_by_store(filch_atomic_u32 *p)
{
	uint32_t old = atomic_load_explicit(p, memory_order_acquire);

	HOLD();
	atomic_store_explicit(p, old - 1, memory_order_release);
	return old;
}
#endif

#include "struct/graph_ready.h"

#if defined(FILCH_EXPLORE)
enum { WORKERS = 2, NODES = 4, EDGES = 4 };
#ifndef LOOKS
#define LOOKS 2
#endif
#else
enum { WORKERS = 3, NODES = 24, EDGES = 64 };
#endif

static struct filchi_node node[NODES];
static struct filchi_ready ready[WORKERS];
static uint32_t after[EDGES], before[NODES][NODES], nodes = NODES;
static uint64_t wrote[NODES]; /* of this run: what each has written; plain */
static uint64_t round_number = 1;
static atomic_uint executed;
#if !defined(FILCH_EXPLORE)
static atomic_uint looks, looking; /* begun, under way */
static atomic_ulong stolen, several, released[WORKERS];
#endif

static int run_it(void *arg)
{
	(void)arg;
	return 0;
}

/* The rest of a list becomes a batch. */
static void share(unsigned me, uint32_t list)
{
	if (list == FILCHI_NO_NODE)
		return;
	if (node[list].next != FILCHI_NO_NODE)
		COUNT(&several);
	filchi_ready_push(&ready[me], node, list);
}

static void run_node(unsigned me, uint32_t number)
{
	struct filchi_node *n = &node[number];
	uint32_t list = FILCHI_NO_NODE;

	assert(wrote[number] == round_number - 1); /* once */
	for (uint32_t i = 0; i < n->before; i++)
		assert(wrote[before[number][i]] == round_number);
	(void)n->fn(n->arg);
	wrote[number] = round_number;
	filch_store_relaxed(&n->pending, n->before);
	PAUSE_AT_RANDOM();
	for (uint32_t i = n->first; i < n->end; i++) {
		if (!filchi_node_released(&node[after[i]]))
			continue;
		COUNT(&released[me]);
		node[after[i]].next = list;
		list = after[i];
	}
	share(me, list);
	atomic_fetch_add_explicit(&executed, 1, memory_order_release);
}

static bool look_at(unsigned me)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		uint32_t first = filchi_ready_pop(&ready[(me + i) % WORKERS], node);

		if (first == FILCHI_NO_NODE)
			continue;
		if (i)
			COUNT(&stolen);
		share(me, node[first].next);
		run_node(me, first);
		return true;
	}
	return false;
}

/* One look, and what is found is run; false: there was nothing. */
static bool look(unsigned me)
{
	bool found;

#if !defined(FILCH_EXPLORE)
	atomic_fetch_add(&looks, 1);
	atomic_fetch_add(&looking, 1);
#endif
	found = look_at(me);
#if !defined(FILCH_EXPLORE)
	atomic_fetch_sub(&looking, 1);
#endif
	return found;
}

static void edge(uint32_t from, uint32_t to, uint32_t *edges)
{
	after[(*edges)++] = to;
	node[from].end = *edges;
	before[to][node[to].before++] = from;
}

/* The nodes that wait for nothing lie in the first stack. */
static void make_ready(void)
{
	uint32_t list = FILCHI_NO_NODE;

	for (uint32_t i = 0; i < nodes; i++) {
		filch_store_relaxed(&node[i].pending, node[i].before);
		if (node[i].before)
			continue;
		node[i].next = list;
		list = i;
	}
	share(0, list);
}

#if defined(FILCH_EXPLORE)

static void *worker(void *number)
{
	for (int i = 0; i < LOOKS; i++)
		(void)look((unsigned)(uintptr_t)number);
	return NULL;
}

int main(void)
{
	pthread_t thread[WORKERS];
	uint32_t edges = 0;

	for (uint32_t i = 0; i < NODES; i++) {
		node[i].fn = run_it;
		node[i].first = edges;
		node[i].end = edges;
		if (i == 0) {
			edge(0, 1, &edges);
			edge(0, 2, &edges);
		} else if (i < 3) {
			edge(i, 3, &edges);
		}
	}
	for (unsigned i = 0; i < WORKERS; i++)
		filchi_ready_init(&ready[i]);
	make_ready();
	for (uintptr_t i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, worker, (void *)i);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	while (look(0))
		;
	assert(atomic_load_explicit(&executed, memory_order_acquire) == NODES);
	return 0;
}

#else

static struct meeting start, finish_line;
static bool over;

/* A random graph: most nodes have some before them, the lower numbers first. */
static void make_graph(void)
{
	uint32_t edges = 0;

	nodes = 2 + random_below(NODES - 1);
	for (uint32_t i = 0; i < nodes; i++)
		node[i].before = 0;
	for (uint32_t i = 0; i < nodes; i++) {
		node[i].fn = run_it;
		node[i].first = node[i].end = edges;
		for (uint32_t n = random_below(5); n-- && i + 1 < nodes && edges < EDGES;)
			edge(i, i + 1 + random_below(nodes - i - 1 < 6 ? nodes - i - 1 : 6),
				&edges);
	}
	for (uint32_t i = 0; i < nodes; i++)
		wrote[i] = round_number - 1;
	atomic_store(&executed, 0);
	for (unsigned i = 0; i < WORKERS; i++)
		assert(filchi_ready_seems_empty(&ready[i]));
	make_ready();
}

/* Nobody holds a node, and none is ready, at one moment: then all must have run. */
static void expect_none_lost(void)
{
	unsigned begun = atomic_load(&looks);
	bool empty = atomic_load(&looking) == 0;

	for (unsigned i = 0; i < WORKERS; i++)
		empty &= filchi_ready_seems_empty(&ready[i]);
	if (empty && atomic_load(&looking) == 0 && atomic_load(&looks) == begun)
		assert(atomic_load(&executed) == nodes);
}

static void take_part(unsigned me)
{
	while (atomic_load_explicit(&executed, memory_order_acquire) < nodes) {
		if (look(me))
			continue;
		expect_none_lost();
		sched_yield();
	}
	assert(atomic_load(&executed) == nodes);
}

static void *others(void *number)
{
	seed_with((uintptr_t)number);
	for (;;) {
		meet(&start, WORKERS);
		if (over)
			return NULL;
		take_part((unsigned)(uintptr_t)number);
		meet(&finish_line, WORKERS);
	}
}

static bool covered(void)
{
	bool all = atomic_load(&stolen) && atomic_load(&several) && atomic_load(&lost_cas);

	for (unsigned i = 0; i < WORKERS; i++)
		all &= atomic_load(&released[i]) != 0;
	return all;
}

int main(void)
{
	uint32_t rounds = scaled(10000);
	pthread_t thread[WORKERS];

	seed_with(100);
	for (unsigned i = 0; i < WORKERS; i++)
		filchi_ready_init(&ready[i]);
	for (uintptr_t i = 1; i < WORKERS; i++)
		assert(!pthread_create(&thread[i], NULL, others, (void *)i));
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		round_number++;
		make_graph();
		meet(&start, WORKERS);
		take_part(0);
		meet(&finish_line, WORKERS);
	}
	over = true;
	meet(&start, WORKERS);
	for (unsigned i = 1; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	COVERED(covered());
	return 0;
}

#endif
