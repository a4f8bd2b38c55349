/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directed acyclic graphs of work, made by dag_data.c, the same for all contestants. Node i comes
 * after those in before[first_before[i]] to before[first_before[i + 1]], whose numbers are smaller.
 *
 * A contestant that has graphs defines BENCH_DAG(engine): calls bench_dag_visit(i) once for each
 * node, in an order that the graph allows; 0 or a negative errno. What is built once and run many
 * times it builds at the first call for a `stamp`, and keeps.
 */
#ifndef BENCH_DAG_H
#define BENCH_DAG_H

#include <stdint.h>

#include "bench.h"

struct bench_dag {
	uint32_t n, rounds, stamp; /* rounds of the mixer in a node; the stamp differs by graph */
	uint32_t *first_before, *before;
	uint64_t *value;          /* of each node: a mix of those before it; 0 = it has not run */
	void (*work)(uint32_t i); /* instead of the mixer: what node i does */
};

#ifdef __cplusplus
extern "C" {
#endif
extern struct bench_dag bench_dag; /* dag_data.c, in the driver; modules find it there */
#ifdef __cplusplus
}
#endif

/* What node @i comes to. */
static inline uint64_t bench_dag_value(uint32_t i)
{
	uint64_t mix = i + 1;

	for (uint32_t k = bench_dag.first_before[i]; k < bench_dag.first_before[i + 1]; k++)
		mix += bench_dag.value[bench_dag.before[k]];
	for (uint32_t k = 0; k < bench_dag.rounds; k++)
		mix = bench_splitmix64(mix);
	return mix | 1;
}

static inline void bench_dag_visit(uint32_t i)
{
	if (bench_dag.work) {
		bench_dag.work(i);
		bench_dag.value[i] = i + 1;
	} else {
		bench_dag.value[i] = bench_dag_value(i);
	}
}

#endif
