/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cholesky factorisation by tiles (Buttari, Langou, Kurzak, Dongarra 2009), a task per tile, each
 * one call of a BLAS: for each diagonal tile its factor, then the tiles below it, then an update of
 * every tile right of those, spawned by halves. A step ends before the next begins.
 *
 * Not good for: how far tiles can scale. With dependences between tasks the steps would overlap;
 * here the tail of each step has fewer tasks than workers. Nor for the BLAS: large tiles would suit
 * it better, small ones show the scheduler.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <stddef.h>

#include "programs/data.h"

/* Step @k, tiles @begin to @end of its column. Returns tasks. */
BENCH_TASK(uint32_t, column, (uint32_t, k), (uint32_t, begin), (uint32_t, end))
{
	if (end - begin == 1) {
		bench_tiled.blas->solve(
			(int)bench_tiled.side, bench_tile(k, k), bench_tile(begin, k));
		return 1;
	}
	uint32_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, column, k, middle, end);
	uint32_t tasks = BENCH_CALL(column, k, begin, middle);

	return tasks + BENCH_SYNC(upper) + 1;
}

/* Step @k, tiles @begin to @end of row @i. Returns tasks. */
BENCH_TASK(uint32_t, update_row, (uint32_t, k), (uint32_t, i), (uint32_t, begin), (uint32_t, end))
{
	if (end - begin == 1) {
		if (begin == i)
			bench_tiled.blas->square(
				(int)bench_tiled.side, bench_tile(i, k), bench_tile(i, i));
		else
			bench_tiled.blas->product((int)bench_tiled.side, bench_tile(i, k),
				bench_tile(begin, k), bench_tile(i, begin));
		return 1;
	}
	uint32_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, update_row, k, i, middle, end);
	uint32_t tasks = BENCH_CALL(update_row, k, i, begin, middle);

	return tasks + BENCH_SYNC(upper) + 1;
}

/* Step @k, rows @begin to @end. Returns tasks. */
BENCH_TASK(uint32_t, update, (uint32_t, k), (uint32_t, begin), (uint32_t, end))
{
	if (end - begin == 1)
		return 1 + BENCH_CALL(update_row, k, begin, k + 1, begin + 1);
	uint32_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, update, k, middle, end);
	uint32_t tasks = BENCH_CALL(update, k, begin, middle);

	return tasks + BENCH_SYNC(upper) + 1;
}

/* All @n steps. Returns tasks. */
BENCH_TASK(uint32_t, factorise, (uint32_t, n))
{
	uint32_t tasks = 1;

	for (uint32_t k = 0; k < n; k++) {
		bench_tiled.blas->factor((int)bench_tiled.side, bench_tile(k, k));
		if (k + 1 == n)
			break;
		tasks += BENCH_CALL(column, k, k + 1, n);
		tasks += BENCH_CALL(update, k, k + 1, n);
	}
	return tasks;
}

/*
 * arg: tiles in a row, numbers in a tile's row. value: tiles in a row, 1 if the factor is right.
 * tasks: counted.
 */
int BENCH_ENTRY(cholesky)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	uint32_t tasks = 0, n = (uint32_t)size->arg[0];
	int err = BENCH_RUN(engine, &tasks, factorise, n);

	*out = (struct bench_outcome){ .value = { n }, .tasks = tasks };
	return err;
}
