/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of a running graph that may start: a stack for each worker, of lists through the nodes.
 *
 * Each node becomes ready once in a run, so the lists need no memory of their own. A list of nodes,
 * linked by `next`, is a batch. A stack holds batches, linked by `next_batch` of their first nodes
 * (Treiber 1986). Batches, so that thousands of ready nodes do not go from hand to hand
 * one by one. Their order is nobody's concern: what is ready waits for nothing.
 *
 * Whoever pops a batch runs its first node before anything else. So no node is the first of a batch
 * twice in a run, and a pop's CAS cannot take one stack for another. A pop may read the next batch
 * in a node that another pop has taken meanwhile: it stays where it is, and the CAS fails.
 */
#ifndef FILCHI_GRAPH_READY_H
#define FILCHI_GRAPH_READY_H

#include "base/atomic.h"

#define FILCHI_NO_NODE UINT32_MAX

struct filchi_node {
	int (*fn)(void *arg);
	void *arg;
	filch_atomic_u32 pending; /* nodes before it that have not returned */
	uint32_t before;          /* nodes that have an edge to it */
	uint32_t first, end;      /* of those after it, in graph.after */
	uint32_t next;            /* in a batch: its owner's */
	filch_atomic_u32 next_batch;
};

/* One worker's. */
struct filchi_ready {
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 head; /* first node of the newest batch */
	/* a task that helps lies in this worker's deque, or is on its way to a thief */
	filch_atomic_u32 offered;
	/* its own: 1 + the depth of its stack in which a runner waits; 0: none does */
	uint32_t waits_at;
};

static inline void filchi_ready_init(struct filchi_ready *ready)
{
	filch_store_relaxed(&ready->head, FILCHI_NO_NODE);
	filch_store_relaxed(&ready->offered, 0);
	ready->waits_at = 0;
}

/* A hint, but for a thread that alone pushes and pops. */
static inline bool filchi_ready_seems_empty(struct filchi_ready *ready)
{
	return filch_load_relaxed(&ready->head) == FILCHI_NO_NODE;
}

/* Any worker: adds the batch that begins with @first. */
static inline void filchi_ready_push(
	struct filchi_ready *ready, struct filchi_node *node, uint32_t first)
{
	uint32_t head = filchi_load_acquire(&ready->head);

	filch_tsan_release(&ready->head);
	do
		filch_store_relaxed(&node[first].next_batch, head);
	while (!filchi_cas_acq_rel(&ready->head, &head, first));
}

/* Any worker: the newest batch, whose first node must be run next, or FILCHI_NO_NODE. */
static inline uint32_t filchi_ready_pop(struct filchi_ready *ready, struct filchi_node *node)
{
	uint32_t head = filchi_load_acquire(&ready->head), next;

	do {
		if (head == FILCHI_NO_NODE)
			return FILCHI_NO_NODE;
		next = filch_load_relaxed(&node[head].next_batch);
	} while (!filchi_cas_acq_rel(&ready->head, &head, next));
	filch_tsan_acquire(&ready->head);
	return head;
}

/*
 * One node before @node has returned. True: it was the last, and the caller has @node. Where there
 * is but one, nobody else counts.
 */
static inline bool filchi_node_released(struct filchi_node *node)
{
	if (node->before == 1)
		return true;
	filch_tsan_release(&node->pending);
	if (filchi_fetch_sub_acq_rel(&node->pending, 1) != 1)
		return false;
	filch_tsan_acquire(&node->pending);
	return true;
}

#endif
