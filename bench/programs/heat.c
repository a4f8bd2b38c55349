/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heat spreading over a plate, Jacobi's method: time steps, each one parallel loop over the rows,
 * called from outside the pool. A program that was serial and got parallel loops looks like this;
 * what is measured is how dear it is to begin and end a loop. A backend may bring a loop of its own
 * (BENCH_LOOP); without one the rows are tasks by halves.
 *
 * Not good for: the price of a task (there are few), and for bandwidth: both grids fit in a
 * second-level cache together.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <stddef.h>

#include "programs/data.h"
#include "programs/kernels.h"

#ifndef BENCH_LOOP
BENCH_TASK(int, halves, (size_t, begin), (size_t, end), (size_t, grain), (struct step *, step))
{
	if (end - begin <= grain) {
		kernel_heat_rows(begin, end, step);
		return 0;
	}
	size_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, halves, middle, end, grain, step);
	BENCH_CALL(halves, begin, middle, grain, step);
	return BENCH_SYNC(upper);
}
#endif

/*
 * arg: inner points in a row, steps, rows a task has at most, share of a neighbour that flows in
 * one step. value: steps, 1 if the plate is right. tasks: steps times pieces of @grain rows, by
 * formula: a loop may cut as it likes.
 */
int BENCH_ENTRY(heat)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	size_t n = bench_plate.n, steps = (size_t)size->arg[1], grain = (size_t)size->arg[2];
	struct step step = { .side = n + 2, .share = size->arg[3] };
	int err = 0;

	for (size_t s = 0; s < steps && !err; s++) {
		step.from = bench_plate.grid[s % 2];
		step.to = bench_plate.grid[(s + 1) % 2];
#ifdef BENCH_LOOP
		err = BENCH_LOOP(engine, (size_t)1, n + 1, grain, kernel_heat_rows, &step);
#else
		int done;

		err = BENCH_RUN(engine, &done, halves, 1, n + 1, grain, &step);
#endif
	}
	*out = (struct bench_outcome){ .value = { steps },
		.tasks = steps * ((n + grain - 1) / grain) };
	return err;
}
