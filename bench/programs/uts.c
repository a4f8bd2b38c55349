/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTS, the Unbalanced Tree Search (Olivier and others, LCPC 2006), with SHA-1 as published, so that
 * node counts can be compared:
 *   T1, -t 1 -a 3 -d 10 -b 4 -r 19: geometric, fixed branching down to depth 10: 4,130,071 nodes,
 *   3,305,118 leaves T3, -t 0 -b 2000 -q 0.124875 -m 8 -r 42: binomial: 4,112,897 nodes, 3,599,034
 *   leaves, depth 1,572
 *
 * Not good for: the price of a task, because SHA-1 (some 70 ns a node) hides it. For that see
 * cheap_uts.c and fib.c.
 *
 * uts_tree.h has the nodes. A child computes its own state from its parent's, which stays in the
 * parent's frame until all children are joined. A node with more than CHUNK children halves the
 * range of them, the same for all contestants.
 */
/* SHA1() is what replaces Init/Update/Final; it looks the algorithm up at each call */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "bench.h"
#include BENCH_BACKEND

#include "programs/uts_tree.h"

struct tree {
	uint32_t nodes, leaves, depth, splits;
};

static inline struct tree add(struct tree a, struct tree b)
{
	return (struct tree){
		.nodes = a.nodes + b.nodes,
		.leaves = a.leaves + b.leaves,
		.depth = a.depth > b.depth ? a.depth : b.depth,
		.splits = a.splits + b.splits,
	};
}

/*
 * Children @begin to @end, at @depth, of the node with state @parent, with all that is below them.
 */
BENCH_TASK(struct tree, search, (const struct shape *, shape), (const struct state *, parent),
	(uint32_t, depth), (uint32_t, begin), (uint32_t, end))
{
	BENCH_FRAME(search) kid[CHUNK - 1];
	const struct state *from = parent;
	struct tree sum = { .depth = depth };
	struct state own;
	int kids = 0;

	if (end - begin == 1) {
		hash(parent->byte, sizeof parent->byte, begin, &own);
		sum.nodes = 1;
		begin = 0;
		end = children(shape, &own, depth);
		if (!end) {
			sum.leaves = 1;
			return sum;
		}
		from = &own;
		depth++;
		if (end > CHUNK)
			return add(sum, BENCH_CALL(search, shape, from, depth, begin, end));
	} else {
		sum.depth = 0;
		sum.splits = 1;
		if (end - begin > CHUNK) {
			uint32_t middle = begin + (end - begin) / 2;

			BENCH_SPAWN(upper, search, shape, from, depth, middle, end);
			sum = add(sum, BENCH_CALL(search, shape, from, depth, begin, middle));
			return add(sum, BENCH_SYNC(upper));
		}
	}
	for (; end - begin > 1; begin++) {
		BENCH_SPAWN_INTO(&kid[kids], search, shape, from, depth, begin, begin + 1);
		kids++;
	}
	sum = add(sum, BENCH_CALL(search, shape, from, depth, begin, end));
	while (kids-- > 0)
		sum = add(sum, BENCH_SYNC_FROM(search, &kid[kids]));
	return sum;
}

/*
 * arg: tree type t (0 binomial, 1 geometric), b, seed r, q, m, d. value: nodes, leaves, depth.
 * tasks: nodes and splits, counted.
 */
int BENCH_ENTRY(uts)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	static const unsigned char zero[16] = { 0 };
	double b = size->arg[1];
	const struct shape shape = {
		.q = size->arg[0] > 0 ? 0 : size->arg[3],
		.log_1p = log(1 - 1 / (1 + b)),
		.m = (uint32_t)size->arg[4],
		.depth = (uint32_t)size->arg[5],
	};
	struct tree sum = { 0 };
	struct state root;

	hash(zero, sizeof zero, (uint32_t)size->arg[2], &root);
	/* A binomial tree's root has b children, as published; everywhere else the draw decides. */
	uint32_t kids = shape.q > 0 ? (uint32_t)b : children(&shape, &root, 0);
	int err = BENCH_RUN(engine, &sum, search, (const struct shape *)&shape,
		(const struct state *)&root, 1u, 0u, kids);

	*out = (struct bench_outcome){ .value = { sum.nodes + 1, sum.leaves, sum.depth },
		.tasks = sum.nodes + sum.splits };
	return err;
}
