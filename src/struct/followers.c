/* SPDX-License-Identifier: Apache-2.0 */
/* Storage of dependencies: see followers.h. */
#include "struct/followers.h"

#include "base/map.h"

#define PER_SLOT 4u    /* edges: for graphs whose jobs follow few others each */
#define AT_LEAST 1024u /* for a job of a small pool that follows many, one after the other */

struct filchi_followers *filchi_followers_make(uint32_t slots)
{
	uint32_t edges = slots > (FILCHI_COUNT_MOST - AT_LEAST) / PER_SLOT
				 ? FILCHI_COUNT_MOST
				 : PER_SLOT * slots + AT_LEAST;
	size_t of = (sizeof(struct filchi_followers) + FILCH_CACHELINE - 1) / FILCH_CACHELINE *
		    FILCH_CACHELINE;
	size_t edge = of + slots * sizeof(struct filchi_follow);
	size_t bytes = edge + (edges + (size_t)1) * sizeof(struct filchi_edge);
	char *map = filchi_map(bytes);
	struct filchi_followers *f = (void *)map;

	if (!map)
		return NULL;
	f->of = (void *)(map + of);
	f->edge = (void *)(map + edge);
	f->edges = edges;
	f->bytes = bytes;
	return f;
}

void filchi_followers_free(struct filchi_followers *f)
{
	if (f)
		filchi_unmap(f, f->bytes);
}

static uint32_t begin_new(struct filchi_followers *f)
{
	uint32_t begun = filchi_load_acquire(&f->begun);

	do {
		if (begun == f->edges)
			return FILCHI_EDGE_NONE;
	} while (!filchi_cas_acq_rel(&f->begun, &begun, begun + 1));
	return begun + 1;
}

/* The count in the word makes the CAS fail when others came between. */
static uint32_t pop(struct filchi_followers *f)
{
	uint64_t top = filchi_load_acquire(&f->free), next;
	uint32_t edge;

	do {
		edge = (uint32_t)(top & FILCHI_EDGE_BITS);
		if (edge == FILCHI_EDGE_NONE)
			return begin_new(f);
		next = ((top >> 24) + 1) << 24 | filchi_edge_next(f, edge);
	} while (!filchi_cas_acq_rel(&f->free, &top, next));
	return edge;
}

uint32_t filchi_edges_take(struct filchi_followers *f, uint32_t n)
{
	uint32_t first = FILCHI_EDGE_NONE, last = FILCHI_EDGE_NONE;

	while (n--) {
		uint32_t edge = pop(f);

		if (edge == FILCHI_EDGE_NONE) {
			if (first != FILCHI_EDGE_NONE)
				filchi_edges_give(f, first, last);
			return FILCHI_EDGE_NONE;
		}
		if (first == FILCHI_EDGE_NONE)
			last = edge;
		filch_store_relaxed(&f->edge[edge].next, first);
		first = edge;
	}
	return first;
}

void filchi_edges_give(struct filchi_followers *f, uint32_t first, uint32_t last)
{
	uint64_t top = filchi_load_acquire(&f->free);

	do
		filch_store_relaxed(&f->edge[last].next, (uint32_t)(top & FILCHI_EDGE_BITS));
	while (!filchi_cas_acq_rel(&f->free, &top, (top & ~FILCHI_EDGE_BITS) | first));
}
