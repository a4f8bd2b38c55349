/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bodies of the loop programs, and how their results are checked: the same for every
 * contestant, in C and in C++. All work on the same arrays, so that luck with physical pages
 * decides nothing.
 *
 * A program of loops.c in five lines, for a contestant with loops of its own:
 *
 *     tiny, tiny_caller  begin; arg[0] times: loops_tiny over [0, LOOPS_TINY), grain chosen by the
 *     contestant; value loops_tiny_right
 *     saxpy              begin; arg[0] times: loops_saxpy over [0, LOOPS_MOST), likewise; value
 *                        loops_saxpy_right
 *     grains             begin; once: loops_grains over [0, LOOPS_MOST), at most one item to a
 *                        body; value loops_sum(LOOPS_MOST)
 *     grains_ptr         the same, loops_grains being called through a pointer that the compiler
 *                        knows nothing of
 *     triangle           begin; once: loops_triangle over [0, arg[0]), grain chosen by the
 *                        contestant; value loops_sum(arg[0])
 *
 * "begin" is loops_begin(of, repeats), before the first loop. tiny runs its loops within one
 * parallel region, task or job, however the contestant calls what costs least; tiny_caller calls
 * each loop from a thread that is outside between two loops. tasks: loops for tiny and tiny_caller,
 * items (times repeats) for the others.
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include <stddef.h>
#include <stdint.h>

#include "bench.h"

#define LOOPS_TINY   1000u
#define LOOPS_MOST   1000000u
#define LOOPS_ROUNDS 27u /* of the mixer: about 75 ns */

#define LOOPS_UNUSED __attribute__((unused))
#define LOOPS_BODY   __attribute__((unused, aligned(64)))
/* where a short loop comes to lie can halve its speed */
#define LOOPS_SHORT __attribute__((unused, aligned(64), noinline))

/*
 * Which array; and how often each was worked on so far: what it must show, so that a body left out
 * is seen.
 */
enum loops_of { LOOPS_OF_TINY, LOOPS_OF_SAXPY, LOOPS_OF_MIXED };

struct bench_loops {
	uint64_t done[3];
	uint32_t cell[LOOPS_TINY] __attribute__((aligned(4096)));
	float x[LOOPS_MOST] __attribute__((aligned(4096)));
	float y[LOOPS_MOST] __attribute__((aligned(4096)));
	uint64_t mixed[LOOPS_MOST] __attribute__((aligned(4096)));
};

#ifdef __cplusplus
extern "C" {
#endif
extern struct bench_loops bench_loops; /* loops_data.c, in the driver; modules find it there */
#ifdef __cplusplus
}
#endif

/* Before the first loop of a run of @repeats loops. */
LOOPS_UNUSED static void loops_begin(enum loops_of of, unsigned repeats)
{
	if (bench_loops.x[1] < 1)
		for (size_t i = 0; i < LOOPS_MOST; i++)
			bench_loops.x[i] = (float)(i % 8);
	bench_loops.done[of] += repeats;
}

/* An addition for each item: under 0.1 ns of work. */
LOOPS_SHORT static void loops_tiny(size_t b, size_t e, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++)
		bench_loops.cell[i] += 1;
}

/* y = a x + y with a = 1/2: exact for 10^6 repeats. */
LOOPS_SHORT static void loops_saxpy(size_t b, size_t e, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++)
		bench_loops.y[i] += 0.5f * bench_loops.x[i];
}

LOOPS_UNUSED static inline uint64_t loops_mix(uint64_t x, size_t rounds)
{
	for (size_t k = 0; k < rounds; k++)
		x = bench_splitmix64(x);
	return x;
}

/* About 75 ns for each item. */
LOOPS_BODY static void loops_grains(size_t b, size_t e, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++)
		bench_loops.mixed[i] =
			loops_mix(i, LOOPS_ROUNDS) + bench_loops.done[LOOPS_OF_MIXED];
}

/* Item i costs i rounds. */
LOOPS_BODY static void loops_triangle(size_t b, size_t e, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++)
		bench_loops.mixed[i] = loops_mix(i, i) + bench_loops.done[LOOPS_OF_MIXED];
}

/* How many cells show every repeat. */
LOOPS_UNUSED static uint64_t loops_tiny_right(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i < LOOPS_TINY; i++)
		n += bench_loops.cell[i] == (uint32_t)bench_loops.done[LOOPS_OF_TINY];
	return n;
}

LOOPS_UNUSED static uint64_t loops_saxpy_right(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i < LOOPS_MOST; i++)
		n += bench_loops.y[i] ==
		     0.5f * bench_loops.x[i] * (float)bench_loops.done[LOOPS_OF_SAXPY];
	return n;
}

LOOPS_UNUSED static uint64_t loops_sum(size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += bench_loops.mixed[i] - bench_loops.done[LOOPS_OF_MIXED];
	return sum;
}

#endif
