/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integers that sort_int64 and sort_int32 sort: as drawn, sorted by qsort, and those being
 * sorted. See records.h and data.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "programs/data.h"
#include "programs/records.h"

void *integers, *integers_scratch;
static void *drawn, *sorted;
static size_t count, width;

static int compare64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int compare32(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

static void integers_free(void)
{
	free(integers);
	free(integers_scratch);
	free(drawn);
	free(sorted);
	integers = integers_scratch = drawn = sorted = NULL;
	count = 0;
}

/* @n of @bytes each, uniform over all values. Returns 0 or -ENOMEM. */
static int prepare(size_t n, size_t bytes)
{
	if (n != count || bytes != width) {
		integers_free();
		integers = malloc(n * bytes);
		integers_scratch = malloc(n * bytes);
		drawn = malloc(n * bytes);
		sorted = malloc(n * bytes);
		if (!integers || !integers_scratch || !drawn || !sorted) {
			integers_free();
			return -ENOMEM;
		}
		for (size_t i = 0; i < n; i++) {
			int64_t wide = (int64_t)bench_splitmix64(i);
			int32_t narrow = (int32_t)wide;

			memcpy((char *)drawn + i * bytes,
				bytes == sizeof wide ? (void *)&wide : (void *)&narrow, bytes);
		}
		memcpy(sorted, drawn, n * bytes);
		qsort(sorted, n, bytes, bytes == sizeof(int64_t) ? compare64 : compare32);
		memset(integers_scratch, 1, n * bytes); /* touched before the first timing */
		count = n;
		width = bytes;
	}
	memcpy(integers, drawn, n * bytes);
	return 0;
}

static int prepare64(const struct bench_size *size)
{
	return prepare((size_t)size->arg[0], sizeof(int64_t));
}

static int prepare32(const struct bench_size *size)
{
	return prepare((size_t)size->arg[0], sizeof(int32_t));
}

static void check(const struct bench_size *size, struct bench_outcome *out)
{
	(void)size;
	out->value[1] = !memcmp(integers, sorted, count * width);
}

const struct bench_data_ops integers64_data = { "sort_int64", prepare64, check, integers_free };
const struct bench_data_ops integers32_data = { "sort_int32", prepare32, check, integers_free };
