/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skynet: a tree of ten children per node, depth 7, that sums the numbers of its ten million
 * leaves.
 *
 * Not good for: imbalance. Every subtree of a level is equally large, so any distribution of the
 * first level will do.
 */
#include "bench.h"
#include BENCH_BACKEND

#define WAYS 10

/* Sums the numbers of @leaves leaves from @first on. */
BENCH_TASK_INLINE(int64_t, skynet, (int64_t, first), (int64_t, leaves))
{
	BENCH_FRAME(skynet) kid[WAYS - 1];

	if (leaves == 1)
		return first;
	int64_t part = leaves / WAYS;

	for (int i = 0; i < WAYS - 1; i++)
		BENCH_SPAWN_INTO(&kid[i], skynet, first + i * part, part);
	int64_t sum = BENCH_CALL(skynet, first + (WAYS - 1) * part, part);

	for (int i = WAYS - 1; i-- > 0;)
		sum += BENCH_SYNC_FROM(skynet, &kid[i]);
	return sum;
}

/* arg: leaves, a power of ten. value: the sum. tasks: nodes, (10 leaves - 1) / 9, by formula. */
int BENCH_ENTRY(skynet)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	int64_t sum = 0, leaves = (int64_t)size->arg[0];
	int err = BENCH_RUN(engine, &sum, skynet, (int64_t)0, leaves);

	*out = (struct bench_outcome){ .value = { (uint64_t)sum },
		.tasks = (uint64_t)(WAYS * leaves - 1) / (WAYS - 1) };
	return err;
}
