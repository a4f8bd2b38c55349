/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graphs of dag.c.
 *
 * wavefront: arg: side, rounds. Node (row, column) comes after those to the left and above.
 * random_dag: arg: nodes, rounds. Node i comes after up to 5 of the 200 before it.
 * cholesky_dag: arg: those of cholesky. A node is one call of the BLAS on a tile.
 *
 * A result is right if each node's value is that of those before it: one that ran too early, or not
 * at all, would differ. That of cholesky_dag is right if cholesky's is.
 */
#include "programs/dag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "programs/data.h"

#define REACH 200u
#define MOST  5u

struct bench_dag bench_dag;
static const struct bench_size *made;
static uint32_t edges;

/* cholesky_dag: of each node, at step @k: the factor of tile (k, k) if i = j = k; the tile (i, k)
   below it if j = k; else an update of tile (i, j). */
static struct tile_call {
	uint16_t i, j, k;
} * tile_call;
static uint32_t *writer; /* of each tile: the node that has changed it last */

static void release(void)
{
	uint32_t stamp = bench_dag.stamp;

	free(bench_dag.first_before);
	free(bench_dag.before);
	free(bench_dag.value);
	free(tile_call);
	free(writer);
	tile_call = NULL;
	writer = NULL;
	bench_dag = (struct bench_dag){ .stamp = stamp };
	made = NULL;
}

/* 0 or -ENOMEM: an empty graph of @n nodes with room for @most edges. */
static int start(const struct bench_size *size, uint32_t n, size_t most)
{
	uint32_t stamp = bench_dag.stamp + 1;

	release();
	bench_dag.first_before = malloc((n + (size_t)1) * sizeof bench_dag.first_before[0]);
	bench_dag.before = malloc((most + 1) * sizeof bench_dag.before[0]);
	bench_dag.value = malloc(n * sizeof bench_dag.value[0]);
	bench_dag.n = n;
	bench_dag.rounds = (uint32_t)size->arg[1];
	bench_dag.stamp = stamp;
	edges = 0;
	if (!bench_dag.first_before || !bench_dag.before || !bench_dag.value) {
		release();
		return -ENOMEM;
	}
	made = size;
	return 0;
}

static void add_before(uint32_t node)
{
	bench_dag.before[edges++] = node;
}

static int prepare_wavefront(const struct bench_size *size)
{
	uint32_t side = (uint32_t)size->arg[0], n = side * side;

	if (made != size) {
		if (start(size, n, 2 * (size_t)n))
			return -ENOMEM;
		for (uint32_t i = 0; i < n; i++) {
			bench_dag.first_before[i] = edges;
			if (i % side)
				add_before(i - 1);
			if (i >= side)
				add_before(i - side);
		}
		bench_dag.first_before[n] = edges;
	}
	memset(bench_dag.value, 0, n * sizeof bench_dag.value[0]);
	return 0;
}

static int prepare_random(const struct bench_size *size)
{
	uint32_t n = (uint32_t)size->arg[0];
	uint64_t rng = 1;

	if (made != size) {
		if (start(size, n, (size_t)MOST * n))
			return -ENOMEM;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t reach = i < REACH ? i : REACH;

			bench_dag.first_before[i] = edges;
			rng = bench_splitmix64(rng);
			for (uint64_t k = i ? rng % (MOST + 1) : 0; k--;) {
				rng = bench_splitmix64(rng);
				add_before(i - 1 - (uint32_t)(rng % reach));
			}
		}
		bench_dag.first_before[n] = edges;
	}
	memset(bench_dag.value, 0, n * sizeof bench_dag.value[0]);
	return 0;
}

static void call_blas(uint32_t node)
{
	const struct tile_call *c = &tile_call[node];
	int side = (int)bench_tiled.side;

	if (c->i == c->k)
		bench_tiled.blas->factor(side, bench_tile(c->k, c->k));
	else if (c->j == c->k)
		bench_tiled.blas->solve(side, bench_tile(c->k, c->k), bench_tile(c->i, c->k));
	else if (c->i == c->j)
		bench_tiled.blas->square(side, bench_tile(c->i, c->k), bench_tile(c->i, c->i));
	else
		bench_tiled.blas->product(side, bench_tile(c->i, c->k), bench_tile(c->j, c->k),
			bench_tile(c->i, c->j));
}

/* The next node, a call on tile (i, j) at step k: after the last one there, and ... */
static uint32_t add_call(uint32_t node, uint32_t i, uint32_t j, uint32_t k)
{
	tile_call[node] = (struct tile_call){ (uint16_t)i, (uint16_t)j, (uint16_t)k };
	bench_dag.first_before[node] = edges;
	if (k)
		add_before(writer[i * bench_tiled.n + j]);
	writer[i * bench_tiled.n + j] = node;
	return node + 1;
}

static void connect_tiles(void)
{
	const uint32_t n = bench_tiled.n;
	uint32_t node = 0;

	for (uint32_t k = 0; k < n; k++) {
		node = add_call(node, k, k, k);
		for (uint32_t i = k + 1; i < n; i++) {
			node = add_call(node, i, k, k);
			add_before(writer[k * n + k]);
		}
		for (uint32_t i = k + 1; i < n; i++) {
			for (uint32_t j = k + 1; j <= i; j++) {
				node = add_call(node, i, j, k);
				add_before(writer[i * n + k]);
				if (i != j)
					add_before(writer[j * n + k]);
			}
		}
	}
	bench_dag.first_before[node] = edges;
}

static int prepare_cholesky(const struct bench_size *size)
{
	uint32_t n = (uint32_t)size->arg[0], nodes = n * (n + 1) * (n + 2) / 6;
	int error = cholesky_data.prepare(size);

	if (error)
		return error;
	if (made != size) {
		if (start(size, nodes, 3 * (size_t)nodes))
			return -ENOMEM;
		tile_call = malloc(nodes * sizeof tile_call[0]);
		writer = malloc((size_t)n * n * sizeof writer[0]);
		if (!tile_call || !writer) {
			release();
			return -ENOMEM;
		}
		bench_dag.work = call_blas;
		connect_tiles();
	}
	memset(bench_dag.value, 0, nodes * sizeof bench_dag.value[0]);
	return 0;
}

static void check_cholesky(const struct bench_size *size, struct bench_outcome *out)
{
	cholesky_data.check(size, out);
	for (uint32_t i = 0; i < bench_dag.n; i++)
		if (bench_dag.value[i] != i + 1)
			out->value[1] = 0;
}

static void check(const struct bench_size *size, struct bench_outcome *out)
{
	(void)size;
	out->value[1] = 1;
	for (uint32_t i = 0; i < bench_dag.n; i++)
		if (bench_dag.value[i] != bench_dag_value(i))
			out->value[1] = 0;
}

const struct bench_data_ops wavefront_data = { "wavefront", prepare_wavefront, check, release },
			    random_dag_data = { "random_dag", prepare_random, check, release },
			    cholesky_dag_data = { "cholesky_dag", prepare_cholesky, check_cholesky,
				    release };
