/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queens and cheap UTS once more, as queens.c and cheap_uts.c, but their children are a set whose
 * number nobody knows beforehand. Beside those programs this shows what a set costs over an array
 * of frames.
 *
 * Not good for: sets larger than what a stack frame holds.
 */
#include "bench.h"
#include BENCH_BACKEND

struct queens {
	uint32_t solutions, placed;
};

static inline void add_queens(struct queens *sum, struct queens one)
{
	sum->solutions += one.solutions;
	sum->placed += one.placed;
}

BENCH_TASK(struct queens, queens, (uint32_t, all), (uint32_t, columns), (uint32_t, left),
	(uint32_t, right))
{
	uint32_t open = all & ~(columns | left | right);

	if (!open) {
		struct queens end = { .solutions = columns == all, .placed = 1 };

		return end;
	}
	struct queens sum = { .solutions = 0, .placed = 1 };

	BENCH_CHILDREN_FOLD(kids, queens, add_queens, &sum);
	for (; open & (open - 1); open &= open - 1) {
		uint32_t q = open & -open;

		BENCH_SPAWN_CHILD(&kids, all, columns | q, (left | q) << 1, (right | q) >> 1);
	}
	add_queens(&sum,
		BENCH_CALL(queens, all, columns | open, (left | open) << 1, (right | open) >> 1));
	BENCH_SYNC_CHILDREN(&kids);
	return sum;
}

int BENCH_ENTRY(queens_children)(
	void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	struct queens sum = { 0, 0 };
	uint32_t all = (1u << (unsigned)size->arg[0]) - 1;
	int err = BENCH_RUN(engine, &sum, queens, all, 0u, 0u, 0u);

	*out = (struct bench_outcome){ .value = { sum.solutions }, .tasks = sum.placed };
	return err;
}

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

static inline void add_tree(struct tree *sum, struct tree kid)
{
	sum->nodes += kid.nodes;
	if (sum->depth < kid.depth + 1)
		sum->depth = kid.depth + 1;
}

BENCH_TASK(struct tree, subtree, (uint64_t, state))
{
	if (state >= BRANCH_BELOW) {
		struct tree leaf = { .nodes = 1, .depth = 0 };

		return leaf;
	}
	struct tree sum = { .nodes = 1, .depth = 0 };

	BENCH_CHILDREN_FOLD(kids, subtree, add_tree, &sum);
	for (uint32_t i = 0; i < KIDS - 1; i++)
		BENCH_SPAWN_CHILD(&kids, child_state(state, i));
	add_tree(&sum, BENCH_CALL(subtree, child_state(state, KIDS - 1)));
	BENCH_SYNC_CHILDREN(&kids);
	return sum;
}

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

int BENCH_ENTRY(cheap_uts_children)(
	void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	struct tree sum = { 0, 0 };
	uint32_t kids = (uint32_t)size->arg[0];
	int err = BENCH_RUN(engine, &sum, top, 0u, kids);

	*out = (struct bench_outcome){ .value = { sum.nodes + 1, sum.depth + 1 },
		.tasks = sum.nodes + kids - 1 };
	return err;
}
