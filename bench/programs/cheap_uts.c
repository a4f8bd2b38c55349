/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cheap UTS: an unbalanced tree as in UTS, with a mixer of a few instructions in place of SHA-1, so
 * that the scheduler is what is measured. The root has 2,000 children, another node has 8 or none;
 * 16,001,889 nodes, depth 3,388.
 *
 * Not good for: comparison with published UTS figures (that is uts.c), and for memory: a node is
 * one number.
 */
#include "bench.h"
#include BENCH_BACKEND

#define KIDS         8
#define ROOT_STATE   42
#define BRANCH_BELOW UINT64_C(2303591209400008704)

struct tree {
	uint32_t nodes, depth;
};

static inline uint64_t child_state(uint64_t state, uint32_t i)
{
	return bench_splitmix64(state + i * UINT64_C(0xD1B54A32D192ED03) + 1);
}

static inline void add(struct tree *sum, struct tree kid)
{
	sum->nodes += kid.nodes;
	if (sum->depth < kid.depth + 1)
		sum->depth = kid.depth + 1;
}

/* The subtree under a node with @state: its nodes, and its depth below this one. */
BENCH_TASK(struct tree, subtree, (uint64_t, state))
{
	BENCH_FRAME(subtree) kid[KIDS - 1];
	struct tree sum = { .nodes = 1, .depth = 0 };

	if (state >= BRANCH_BELOW)
		return sum;
	for (uint32_t i = 0; i < KIDS - 1; i++)
		BENCH_SPAWN_INTO(&kid[i], subtree, child_state(state, i));
	add(&sum, BENCH_CALL(subtree, child_state(state, KIDS - 1)));
	for (uint32_t i = KIDS - 1; i-- > 0;)
		add(&sum, BENCH_SYNC_FROM(subtree, &kid[i]));
	return sum;
}

/* Children @begin to @end of the root, by halves: nodes, and the greatest depth below a child. */
BENCH_TASK(struct tree, top, (uint32_t, begin), (uint32_t, end))
{
	struct tree sum, other;

	if (end - begin == 1)
		return BENCH_CALL(subtree, child_state(ROOT_STATE, begin));
	uint32_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, top, middle, end);
	sum = BENCH_CALL(top, begin, middle);
	other = BENCH_SYNC(upper);
	sum.nodes += other.nodes;
	sum.depth = sum.depth > other.depth ? sum.depth : other.depth;
	return sum;
}

/*
 * arg: children of the root. value: nodes, depth. tasks: nodes, and the halving's inner ones
 * (children - 1).
 */
int BENCH_ENTRY(cheap_uts)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	struct tree sum = { 0, 0 };
	uint32_t kids = (uint32_t)size->arg[0];
	int err = BENCH_RUN(engine, &sum, top, 0u, kids);

	*out = (struct bench_outcome){ .value = { sum.nodes + 1, sum.depth + 1 },
		.tasks = sum.nodes + kids - 1 };
	return err;
}
