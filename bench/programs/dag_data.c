/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graphs of dag.c.
 *
 * wavefront: arg: side, rounds. Node (row, column) comes after those to the left and above.
 * random_dag: arg: nodes, rounds. Node i comes after up to 5 of the 200 before it.
 *
 * A result is right if each node's value is that of those before it: one that ran too early, or not
 * at all, would differ.
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

static void release(void)
{
	uint32_t stamp = bench_dag.stamp;

	free(bench_dag.first_before);
	free(bench_dag.before);
	free(bench_dag.value);
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

static void check(const struct bench_size *size, struct bench_outcome *out)
{
	(void)size;
	out->value[1] = 1;
	for (uint32_t i = 0; i < bench_dag.n; i++)
		if (bench_dag.value[i] != bench_dag_value(i))
			out->value[1] = 0;
}

const struct bench_data_ops wavefront_data = { "wavefront", prepare_wavefront, check, release },
			    random_dag_data = { "random_dag", prepare_random, check, release };
