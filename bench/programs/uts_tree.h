/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees of UTS as published, apart from any search: see uts.c. For it and for the simulator.
 *
 * A node's state is the SHA-1 of its parent's state and its own number, big-endian; the root's that
 * of 16 zero bytes and the seed.
 */
#ifndef BENCH_UTS_TREE_H
#define BENCH_UTS_TREE_H

#include <math.h>
#include <openssl/sha.h>
#include <stdint.h>

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

static inline void big_endian(unsigned char *to, uint32_t x)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(x >> (24 - 8 * i));
}

static inline void hash(const unsigned char *head, size_t n, uint32_t number, struct state *out)
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
static inline double uniform(const struct state *s)
{
	const unsigned char *b = &s->byte[16];
	uint32_t x = ((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]) &
		     INT32_MAX;

	return (double)x / 2147483648.0;
}

static inline uint32_t children(const struct shape *shape, const struct state *s, uint32_t depth)
{
	if (shape->q > 0)
		return uniform(s) < shape->q ? shape->m : 0;
	if (depth >= shape->depth)
		return 0;
	double n = floor(log(1 - uniform(s)) / shape->log_1p);

	return n < GEOMETRIC_MAX ? (uint32_t)n : GEOMETRIC_MAX;
}

#endif
