/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stable merge sort of records of 16 bytes, the merges parallel as well. Bound by memory as much
 * as by the scheduler.
 *
 * Not good for: the price of a task (a leaf sorts LEAF records, a merge task handles LEAF or more),
 * nor as a sorting record: the inner loops are plain. Every contestant has the same cut-off, LEAF,
 * and the same tree of tasks.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <string.h>

#include "programs/records.h"

#define LEAF 2048
#define RUN  16

/* Insertion sort of [begin, end). */
static void insertion_sort(struct record *a, size_t begin, size_t end)
{
	for (size_t i = begin + 1; i < end; i++) {
		struct record r = a[i];
		size_t k = i;

		for (; k > begin && r.key < a[k - 1].key; k--)
			a[k] = a[k - 1];
		a[k] = r;
	}
}

/* Merges sorted [a, a_end) and [b, b_end) into @to; of equal keys those of a come first. */
static void merge_serial(const struct record *a, const struct record *a_end, const struct record *b,
	const struct record *b_end, struct record *to)
{
	while (a < a_end && b < b_end)
		*to++ = b->key < a->key ? *b++ : *a++;
	memcpy(to, a, (size_t)(a_end - a) * sizeof *a);
	memcpy(to + (a_end - a), b, (size_t)(b_end - b) * sizeof *b);
}

/*
 * Sorts @n records of @a in place, with scratch @t of the same length: runs, then merges back and
 * forth.
 */
static void sort_leaf(struct record *a, struct record *t, size_t n)
{
	struct record *from = a, *to = t;

	for (size_t i = 0; i < n; i += RUN)
		insertion_sort(a, i, i + RUN < n ? i + RUN : n);
	for (size_t width = RUN; width < n; width *= 2) {
		for (size_t i = 0; i < n; i += 2 * width) {
			size_t middle = i + width < n ? i + width : n,
			       end = i + 2 * width < n ? i + 2 * width : n;

			merge_serial(from + i, from + middle, from + middle, from + end, to + i);
		}
		struct record *swap = from;

		from = to;
		to = swap;
	}
	if (from != a)
		memcpy(a, from, n * sizeof *a);
}

/* The first of @n sorted records whose key is above @key (@after) or not below it. */
static size_t bound(const struct record *a, size_t n, uint64_t key, int after)
{
	size_t low = 0;

	while (n) {
		size_t half = n / 2;

		if (a[low + half].key < key || (after && a[low + half].key == key)) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low;
}

/*
 * Merges @a of @na and @b of @nb records into @to: the longer run is cut in the middle, the other
 * where that key belongs. Returns tasks.
 */
BENCH_TASK(uint32_t, merge, (const struct record *, a), (size_t, na), (const struct record *, b),
	(size_t, nb), (struct record *, to))
{
	size_t ca, cb;

	if (na + nb <= 2 * LEAF) {
		merge_serial(a, a + na, b, b + nb, to);
		return 1;
	}
	if (na >= nb) {
		ca = na / 2;
		cb = bound(b, nb, a[ca].key, 0);
	} else {
		cb = nb / 2;
		ca = bound(a, na, b[cb].key, 1);
	}
	BENCH_SPAWN(upper, merge, a + ca, na - ca, b + cb, nb - cb, to + ca + cb);
	uint32_t tasks = BENCH_CALL(merge, a, ca, b, cb, to);

	return tasks + BENCH_SYNC(upper) + 1;
}

/* Sorts @n records of @a; the result is left in @t when @into_t, else in @a. Returns tasks. */
BENCH_TASK(uint32_t, sort, (struct record *, a), (struct record *, t), (size_t, n), (int, into_t))
{
	if (n <= LEAF) {
		sort_leaf(a, t, n);
		if (into_t)
			memcpy(t, a, n * sizeof *a);
		return 1;
	}
	size_t half = n / 2;
	const struct record *from = into_t ? a : t;

	BENCH_SPAWN(upper, sort, a + half, t + half, n - half, !into_t);
	uint32_t tasks = BENCH_CALL(sort, a, t, half, !into_t);

	tasks += BENCH_SYNC(upper);
	return tasks + 1 + BENCH_CALL(merge, from, half, from + half, n - half, into_t ? t : a);
}

/*
 * arg: records. value: records, and 1 if the result is qsort's (written by the driver, outside the
 * timing). tasks: counted.
 */
int BENCH_ENTRY(sort)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	uint32_t tasks = 0;
	size_t n = (size_t)size->arg[0];
	int err = BENCH_RUN(engine, &tasks, sort, records, records_scratch, n, 0);

	*out = (struct bench_outcome){ .value = { n }, .tasks = tasks };
	return err;
}
