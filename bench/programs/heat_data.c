/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plate for heat: at first half a sine wave each way, which the steps only shrink, each by the
 * same factor, so that the result is known in closed form at every point.
 */
#include "programs/data.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PI 0x1.921fb54442d18p+1

struct plate bench_plate;
static double *initial;

static void release(void)
{
	free(bench_plate.grid[0]);
	free(bench_plate.grid[1]);
	free(initial);
	bench_plate = (struct plate){ 0 };
	initial = NULL;
}

static double wave(uint32_t i, uint32_t n)
{
	return i == 0 || i == n + 1 ? 0 : sin(PI * i / (n + 1));
}

/* arg: inner points in a row, steps, grain, share of a neighbour that flows in one step. */
static int prepare(const struct bench_size *size)
{
	uint32_t n = (uint32_t)size->arg[0];
	size_t side = n + 2, bytes = side * side * sizeof(double);

	if (n != bench_plate.n) {
		release();
		bench_plate.n = n;
		bench_plate.grid[0] = malloc(bytes);
		bench_plate.grid[1] = malloc(bytes);
		initial = malloc(bytes);
		if (!bench_plate.grid[0] || !bench_plate.grid[1] || !initial) {
			release();
			return -ENOMEM;
		}
		for (uint32_t i = 0; i < side; i++)
			for (uint32_t j = 0; j < side; j++)
				initial[i * side + j] = wave(i, n) * wave(j, n);
	}
	memcpy(bench_plate.grid[0], initial, bytes);
	memcpy(bench_plate.grid[1], initial, bytes);
	return 0;
}

static bool right_plate(const struct bench_size *size, const double *grid)
{
	size_t side = bench_plate.n + 2;
	double shrinks = 1 + size->arg[3] * (4 * cos(PI / (bench_plate.n + 1)) - 4),
	       factor = pow(shrinks, size->arg[1]);

	for (size_t i = 0; i < side * side; i++)
		if (!(fabs(grid[i] - factor * initial[i]) < 1e-11))
			return false;
	return true;
}

static void check(const struct bench_size *size, struct bench_outcome *out)
{
	const double *grid = bench_plate.grid[(unsigned)size->arg[1] % 2];
	enum data_bits bits = data_bits(
		size, grid, (size_t)(bench_plate.n + 2) * (bench_plate.n + 2) * sizeof *grid);

	out->value[1] = bits == DATA_FIRST ? right_plate(size, grid) : bits == DATA_SAME;
	if (bits == DATA_FIRST && !out->value[1])
		data_bits_forget();
}

const struct bench_data_ops heat_data = { "heat", prepare, check, release };
