/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strassen's matrix product (1969): seven products of half the side instead of eight, each a task that first forms the sums it
 * multiplies. Sums and products lie in one arena that is cut up by the recursion, so no memory is allocated while it runs; the
 * Barcelona OpenMP Tasks Suite allocates in the tasks instead.
 *
 * Not good for: the price of a task (they are large), nor as a matrix product (the leaf is three plain loops). The arena is wide,
 * so that no two products share a part of it: more memory is touched than one worker alone would need.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <stddef.h>

#include "programs/data.h"

/* A square part of a matrix: its first number, and how far apart its rows are. */
struct view {
	double *at;
	size_t ld;
};

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

/* to = x + sign y */
static void sum(struct view to, struct view x, struct view y, double sign, uint32_t n)
{
	for (size_t i = 0; i < n; i++) {
		double *__restrict__ t = to.at + i * to.ld;
		const double *u = x.at + i * x.ld, *v = y.at + i * y.ld;

		for (size_t j = 0; j < n; j++)
			t[j] = u[j] + sign * v[j];
	}
}

static void small_product(struct view c, struct view a, struct view b, uint32_t n)
{
	for (size_t i = 0; i < n; i++) {
		double *__restrict__ row = c.at + i * c.ld;

		for (size_t j = 0; j < n; j++)
			row[j] = 0;
		for (size_t k = 0; k < n; k++) {
			const double factor = a.at[i * a.ld + k], *other = b.at + k * b.ld;

			for (size_t j = 0; j < n; j++)
				row[j] += factor * other[j];
		}
	}
}

/* How many numbers of the arena a product of side @n needs. */
static size_t arena_of(uint32_t n, uint32_t leaf)
{
	return n <= leaf ? 0 : 7 * (3 * (size_t)(n / 2) * (n / 2) + arena_of(n / 2, leaf));
}

/*
 * The seven factors: first operand x + s y of quarters of a, second of quarters of b (row and column as two bits); no y where s
 * is 0.
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

/* Where the parts of product @i lie in its parent's arena: the product, two sums, and the rest for its own recursion. */
static inline double *part_of(double *arena, int i, uint32_t h, uint32_t leaf)
{
	return arena + (size_t)i * (3 * (size_t)h * h + arena_of(h, leaf));
}

static struct view operand(struct view m, int x, int y, double sign, double *to, uint32_t h)
{
	struct view t = packed(to, h), first = quarter(m, h, x >> 1, x & 1);

	if (sign == 0)
		return first;
	sum(t, first, quarter(m, h, y >> 1, y & 1), sign, h);
	return t;
}

/* c from the seven products at @m. */
static void combine(struct view c, double *arena, uint32_t h, uint32_t leaf)
{
	const double *m[7];

	for (int i = 0; i < 7; i++)
		m[i] = part_of(arena, i, h, leaf);
	for (size_t i = 0; i < h; i++) {
		double *__restrict__ upper = c.at + i * c.ld, *__restrict__ lower = upper + h * c.ld;

		for (size_t j = 0; j < h; j++) {
			size_t at = i * h + j;

			upper[j] = m[0][at] + m[3][at] - m[4][at] + m[6][at];
			upper[j + h] = m[2][at] + m[4][at];
			lower[j] = m[1][at] + m[3][at];
			lower[j + h] = m[0][at] - m[1][at] + m[2][at] + m[5][at];
		}
	}
}

/*
 * Product @i of (a, b) of side 2 @h, or with @i = 7 the whole product of side @h into @to. Returns tasks. One task for both, so
 * that it may spawn itself. @to: c's first number and its rows' distance; a part of the arena is packed.
 */
BENCH_TASK(uint32_t, strassen, (struct view, a), (struct view, b), (struct view, to), (int, i), (uint32_t, h), (uint32_t, leaf))
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
		small_product(to, a, b, h);
		return 1;
	}
	for (int k = 0; k < 6; k++)
		BENCH_SPAWN_INTO(&kid[k], strassen, a, b, packed(part_of(arena, k, h / 2, leaf), h / 2), k, h / 2, leaf);
	tasks += BENCH_CALL(strassen, a, b, packed(part_of(arena, 6, h / 2, leaf), h / 2), 6, h / 2, leaf);
	for (int k = 6; k-- > 0;)
		tasks += BENCH_SYNC_FROM(strassen, &kid[k]);
	combine(to, arena, h / 2, leaf);
	return tasks;
}

/* arg: n, and the side at which the recursion ends, n divided by a power of two. value: n, 1 if right. tasks: counted. */
int BENCH_ENTRY(strassen)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	uint32_t tasks = 0, n = (uint32_t)size->arg[0], leaf = (uint32_t)size->arg[1];
	struct view a = { bench_dense.a, bench_dense.ld }, b = { bench_dense.b, bench_dense.ld },
		    c = { bench_dense.c, bench_dense.ld };
	int err = BENCH_RUN(engine, &tasks, strassen, a, b, c, 7, n, leaf);

	*out = (struct bench_outcome){ .value = { n }, .tasks = tasks };
	return err;
}
