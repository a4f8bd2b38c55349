/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs of work: a wavefront, whose nodes wait for those to the left and above; a random one; and
 * the tiles of a Cholesky factorisation (cholesky.c), whose steps overlap so. With a body of
 * nothing the price of a node and its two edges is left.
 *
 * What is built once is not timed but in a contestant's first round, which no median shows. OpenMP
 * has no such thing: its tasks with `depend` are made anew each time.
 *
 * Not good for: graphs that are built to be run once.
 */
#include "bench.h"
#include BENCH_BACKEND

#include "programs/dag.h"

/* arg: dag_data.c has them. value: the last node's. tasks: nodes. */
static int run(void *engine, struct bench_outcome *out)
{
	int error = BENCH_DAG(engine);

	*out = (struct bench_outcome){ .value = { bench_dag.value[bench_dag.n - 1] },
		.tasks = bench_dag.n };
	return error;
}

int BENCH_ENTRY(wavefront)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	(void)size;
	return run(engine, out);
}

int BENCH_ENTRY(random_dag)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	(void)size;
	return run(engine, out);
}

int BENCH_ENTRY(cholesky_dag)(
	void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	(void)size;
	return run(engine, out);
}
