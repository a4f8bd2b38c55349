/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch_sort() with a comparison function, on records of 16 bytes; serial is glibc's qsort_r() with
 * the same function. Contestants without such a sort do not take part: they are built without this
 * file.
 *
 * Not good for: the scheduler alone; what is compared is a whole sort. No tasks are counted, items
 * are records.
 */
#define _GNU_SOURCE
#include "bench.h"
#include BENCH_BACKEND

#include <stdlib.h>

#include "programs/records.h"

static int by_key(const void *a, const void *b, void *arg)
{
	const struct record *x = a, *y = b;

	(void)arg;
	return (x->key > y->key) - (x->key < y->key);
}

/*
 * arg: records. value: records, and 1 if the result is qsort's (written by the driver, outside the
 * timing). tasks: records.
 */
int BENCH_ENTRY(sort_void)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	size_t n = (size_t)size->arg[0];
	int err = 0;

#if defined(BENCH_FILCH_BACKEND_H)
	err = filch_sort(engine, records, n, sizeof *records, by_key, NULL);
#else
	(void)engine;
	/* stable while glibc has memory for its merges: the check sees it */
	qsort_r(records, n, sizeof *records, by_key, NULL);
#endif
	*out = (struct bench_outcome){ .value = { n }, .tasks = n };
	return err;
}
