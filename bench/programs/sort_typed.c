/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's own stable sort with a comparison that is compiled in, on records of 16 bytes. serial is the same leaves and merges
 * on one thread, without a task. Contestants without such a sort do
 * not take part: they are built without this file.
 *
 * Not good for: the scheduler alone; what is compared is a whole sort. No tasks are counted, items are records.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <filch/sort.h>

#include "programs/records.h"

#define BY_KEY(a, b) ((a).key < (b).key)
FILCH_SORT_DEFINE(sort_records, struct record, BY_KEY);

#ifdef BENCH_SERIAL_H
/* Sorts @n records by @depth halvings, into @t if @into and else in @a, with the kernel of the typed sort. */
static void halves(struct record *a, struct record *t, size_t n, unsigned depth, bool into)
{
	const struct filch_sort_kernel *k = &sort_records_filch_kernel;
	struct record *from = into ? a : t, *to = into ? t : a;
	size_t half = n / 2;

	if (!depth) {
		if (k->leaf((char *)a, (char *)t, n, into, NULL) != into)
			for (size_t i = 0; i < n; i++)
				t[i] = a[i];
		return;
	}
	halves(a, t, half, depth - 1, !into);
	halves(a + half, t + half, n - half, depth - 1, !into);
	k->merge((const char *)from, half, (const char *)(from + half), n - half, (char *)to, NULL);
}
#endif

/* arg: records. value: records, and 1 if the result is qsort's (written by the driver, outside the timing). tasks: records. */
int BENCH_ENTRY(sort_typed)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	size_t n = (size_t)size->arg[0];
	int err = 0;

#if defined(BENCH_FILCH_BACKEND_H)
	err = sort_records(engine, records, n);
#else
	unsigned depth = 0;

	(void)engine;
	while ((n - 1) >> depth >= sort_records_filch_kernel.leaf_most)
		depth++;
	halves(records, records_scratch, n, depth, false);
#endif
	*out = (struct bench_outcome){ .value = { n }, .tasks = n };
	return err;
}
