/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strassen's matrix product (1969): seven products of half the side instead of eight, each a task
 * that first forms the sums it multiplies. Sums and products lie in one arena that is cut up by the
 * recursion, so no memory is allocated while it runs; the Barcelona OpenMP Tasks Suite allocates in
 * the tasks instead.
 *
 * Not good for: the price of a task (they are large), nor as a matrix product (the leaf is three
 * plain loops). The arena is wide, so that no two products share a part of it: more memory is
 * touched than one worker alone would need.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <stddef.h>

#include "programs/data.h"
#include "programs/kernels.h"

static inline struct view quarter(struct view m, uint32_t h, int row, int column)
{
	struct view q = { m.at + (size_t)row * h * m.ld + (size_t)column * h, m.ld };

	return q;
}

static inline struct view packed(double *at, uint32_t n)
{
	struct view v = { at, n };

	return v;
}

/* How many numbers of the arena a product of side @n needs. */
static size_t arena_of(uint32_t n, uint32_t leaf)
{
	return n <= leaf ? 0 : 7 * (3 * (size_t)(n / 2) * (n / 2) + arena_of(n / 2, leaf));
}

/*
 * The seven factors: first operand x + s y of quarters of a, second of quarters of b (row and
 * column as two bits); no y where s is 0.
 */
static const struct factor {
	int ax, ay, bx, by;
	double as, bs;
} factors[7] = {
	{ 0, 3, 0, 3, 1, 1 },
	{ 2, 3, 0, 0, 1, 0 },
	{ 0, 0, 1, 3, 0, -1 },
	{ 3, 0, 2, 0, 0, -1 },
	{ 0, 1, 3, 0, 1, 0 },
	{ 2, 0, 0, 1, -1, 1 },
	{ 1, 3, 2, 3, -1, 1 },
};

/*
 * Where the parts of product @i lie in its parent's arena: the product, two sums, and the rest for
 * its own recursion.
 */
static inline double *part_of(double *arena, int i, uint32_t h, uint32_t leaf)
{
	return arena + (size_t)i * (3 * (size_t)h * h + arena_of(h, leaf));
}

static struct view operand(struct view m, int x, int y, double sign, double *to, uint32_t h)
{
	struct view t = packed(to, h), first = quarter(m, h, x >> 1, x & 1);

	if (sign == 0)
		return first;
	kernel_sum(t, first, quarter(m, h, y >> 1, y & 1), sign, h);
	return t;
}

/*
 * Product @i of (a, b) of side 2 @h, or with @i = 7 the whole product of side @h into @to. Returns
 * tasks. One task for both, so that it may spawn itself. @to: c's first number and its rows'
 * distance; a part of the arena is packed.
 */
BENCH_TASK(uint32_t, strassen, (struct view, a), (struct view, b), (struct view, to), (int, i),
	(uint32_t, h), (uint32_t, leaf))
{
	BENCH_FRAME(strassen) kid[6];
	double *arena = i == 7 ? bench_dense.scratch : to.at + 3 * (size_t)h * h;
	uint32_t tasks = 1;

	if (i < 7) {
		const struct factor *f = &factors[i];
		double *sums = to.at + (size_t)h * h;

		a = operand(a, f->ax, f->ay, f->as, sums, h);
		b = operand(b, f->bx, f->by, f->bs, sums + (size_t)h * h, h);
	}
	if (h <= leaf) {
		kernel_small_product(to, a, b, h);
		return 1;
	}
	for (int k = 0; k < 6; k++)
		BENCH_SPAWN_INTO(&kid[k], strassen, a, b,
			packed(part_of(arena, k, h / 2, leaf), h / 2), k, h / 2, leaf);
	tasks += BENCH_CALL(
		strassen, a, b, packed(part_of(arena, 6, h / 2, leaf), h / 2), 6, h / 2, leaf);
	for (int k = 6; k-- > 0;)
		tasks += BENCH_SYNC_FROM(strassen, &kid[k]);

	const double *m[7];

	for (int k = 0; k < 7; k++)
		m[k] = part_of(arena, k, h / 2, leaf);
	kernel_combine(to, m, h / 2);
	return tasks;
}

/*
 * arg: n, and the side at which the recursion ends, n divided by a power of two. value: n, 1 if
 * right. tasks: counted.
 */
int BENCH_ENTRY(strassen)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	uint32_t tasks = 0, n = (uint32_t)size->arg[0], leaf = (uint32_t)size->arg[1];
	struct view a = { bench_dense.a, bench_dense.ld }, b = { bench_dense.b, bench_dense.ld },
		    c = { bench_dense.c, bench_dense.ld };
	int err = BENCH_RUN(engine, &tasks, strassen, a, b, c, 7, n, leaf);

	*out = (struct bench_outcome){ .value = { n }, .tasks = tasks };
	return err;
}
