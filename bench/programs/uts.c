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
 * A node's state is the SHA-1 of its parent's state and its own number, big-endian; the root's that
 * of 16 zero bytes and the seed. A child computes its own state from its parent's, which stays in
 * the parent's frame until all children are joined. A node with more than CHUNK children halves the
 * range of them, the same for all contestants.
 */
/* SHA1() is what replaces Init/Update/Final; it looks the algorithm up at each call */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "bench.h"
#include BENCH_BACKEND

#include <math.h>
#include <openssl/sha.h>

#define CHUNK         8
#define GEOMETRIC_MAX 100 /* the published limit of a geometric node's children */

struct state {
	unsigned char byte[SHA_DIGEST_LENGTH];
};

struct shape {
	double q;          /* binomial: probability of m children; 0: geometric */
	double log_1p;     /* geometric: log(1 - p), p = 1 / (1 + b) */
	uint32_t m, depth; /* children of a binomial node; depth at which a geometric tree ends */
};

struct tree {
	uint32_t nodes, leaves, depth, splits;
};

static void big_endian(unsigned char *to, uint32_t x)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(x >> (24 - 8 * i));
}

static void hash(const unsigned char *head, size_t n, uint32_t number, struct state *out)
{
	unsigned char tail[4];
	SHA_CTX sha;

	big_endian(tail, number);
	SHA1_Init(&sha);
	SHA1_Update(&sha, head, n);
	SHA1_Update(&sha, tail, sizeof tail);
	SHA1_Final(out->byte, &sha);
}

/* A number in [0, 1) that belongs to the node. */
static double uniform(const struct state *s)
{
	const unsigned char *b = &s->byte[16];
	uint32_t x = ((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]) &
		     INT32_MAX;

	return (double)x / 2147483648.0;
}

static uint32_t children(const struct shape *shape, const struct state *s, uint32_t depth)
{
	if (shape->q > 0)
		return uniform(s) < shape->q ? shape->m : 0;
	if (depth >= shape->depth)
		return 0;
	double n = floor(log(1 - uniform(s)) / shape->log_1p);

	return n < GEOMETRIC_MAX ? (uint32_t)n : GEOMETRIC_MAX;
}

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
