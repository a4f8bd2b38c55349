/* SPDX-License-Identifier: Apache-2.0 */
/* See records.h. Three copies: as drawn, sorted by qsort, and the one being sorted. */
#include "programs/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "programs/data.h"

struct record *records, *records_scratch;
static struct record *drawn, *sorted;
static size_t count;

/* By key, then by place: the order a stable sort by key leaves. */
static int compare(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

static void records_free(void)
{
	free(records);
	free(records_scratch);
	free(drawn);
	free(sorted);
	records = records_scratch = drawn = sorted = NULL;
	count = 0;
}

/* arg: records. Returns 0 or -ENOMEM. */
static int records_prepare(const struct bench_size *size)
{
	size_t n = (size_t)size->arg[0];

	if (n != count) {
		records_free();
		records = malloc(n * sizeof *records);
		records_scratch = calloc(n, sizeof *records_scratch);
		drawn = malloc(n * sizeof *drawn);
		sorted = malloc(n * sizeof *sorted);
		if (!records || !records_scratch || !drawn || !sorted) {
			records_free();
			return -ENOMEM;
		}
		for (size_t i = 0; i < n; i++)
			drawn[i] = (struct record){ .key = bench_splitmix64(i) % (n / 2 + 1),
				.place = i };
		memcpy(sorted, drawn, n * sizeof *sorted);
		qsort(sorted, n, sizeof *sorted, compare);
		/* touched before the first timing */
		memset(records_scratch, 1, n * sizeof *records_scratch);
		count = n;
	}
	memcpy(records, drawn, n * sizeof *records);
	return 0;
}

static void records_check(const struct bench_size *size, struct bench_outcome *out)
{
	(void)size;
	out->value[1] = !memcmp(records, sorted, count * sizeof *records);
}

const struct bench_data_ops records_data = { "sort", records_prepare, records_check, records_free };
const struct bench_data_ops records_typed_data = { "sort_typed", records_prepare, records_check,
	records_free };
const struct bench_data_ops records_void_data = { "sort_void", records_prepare, records_check,
	records_free };
