/* SPDX-License-Identifier: Apache-2.0 */
/* Where each word of a text begins in a packed copy: an exclusive scan of their lengths. */
#include <filch/filch.h>
#include <stdio.h>

#define N 100000

static size_t length[N], offset[N];

static void add_lengths(size_t begin, size_t end, void *acc, bool write, void *arg)
{
	size_t *sum = acc;

	(void)arg;
	for (size_t i = begin; i < end; i++) {
		if (write)
			offset[i] = *sum; /* exclusive; after the addition it would be inclusive */
		*sum += length[i];
	}
}

static void join_sums(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(size_t *)acc += *(const size_t *)right;
}

int main(void)
{
	struct filch_pool *pool;
	const size_t zero = 0;
	size_t total = 0, expected = 0;

	for (size_t i = 0; i < N; i++)
		length[i] = 1 + i % 12;
	if (filch_pool_create(&pool, NULL))
		return 1;
	if (filch_scan(pool, 0, N, 0, sizeof zero, &zero, add_lengths, join_sums, NULL, &total))
		return 1;
	for (size_t i = 0; i < N; i++) {
		if (offset[i] != expected)
			return 1;
		expected += length[i];
	}
	printf("%d words, %zu characters\n", N, total);
	return filch_pool_destroy(pool) || total != expected;
}
