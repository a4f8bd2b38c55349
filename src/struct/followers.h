/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where dependencies are kept: a list and a count for each slot, and the edges (after.h). Made when
 * the first job of a pool follows others. The memory costs nothing until it is touched.
 *
 * Edges are bounded. An edge is held from the submit until the predecessor ends, also if the
 * follower is cancelled.
 */
#ifndef FILCHI_FOLLOWERS_H
#define FILCHI_FOLLOWERS_H

#include <stddef.h>

#include "struct/after.h"

struct filchi_followers {
	struct filchi_follow *of; /* by slot */
	struct filchi_edge *edge; /* [1, edges] */
	uint32_t edges;
	size_t bytes;
	/* stack of edges that were given back:  63..24 pops so far | 23..0 edge */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 free;
	filch_atomic_u32 begun; /* edges up to this have been used */
};

/* @slots: all of a pool. NULL: no memory. */
struct filchi_followers *filchi_followers_make(uint32_t slots);
void filchi_followers_free(struct filchi_followers *f);

/* Any thread. @n > 0 edges, linked: the first, or FILCHI_EDGE_NONE where there are not as many. */
uint32_t filchi_edges_take(struct filchi_followers *f, uint32_t n);

/* Any thread. Those from @first to @last, linked, are free again. */
void filchi_edges_give(struct filchi_followers *f, uint32_t first, uint32_t last);

static inline uint32_t filchi_edge_next(struct filchi_followers *f, uint32_t edge)
{
	return filch_load_relaxed(&f->edge[edge].next);
}

#endif
