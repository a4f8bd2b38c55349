/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sort: pieces of one array that move between two sides under several workers, also under
 * ThreadSanitizer: sorted, stable, and pieces were stolen. Full campaign: FILCH_TEST_SCALE=10.
 */
#include <stdlib.h>

#include "pools.h"

struct tagged {
	uint32_t key, tag;
};

#define BY_KEY(a, b) ((a).key < (b).key)
FILCH_SORT_DEFINE(sort_tagged, struct tagged, BY_KEY);

static int compare(const void *a, const void *b, void *arg)
{
	const struct tagged *x = a, *y = b;

	(void)arg;
	return (x->key > y->key) - (x->key < y->key);
}

static void stolen_pieces_come_back_sorted_and_in_their_order(void)
{
	const size_t n = 200000;
	struct tagged *a = malloc(n * sizeof *a);
	uint64_t state = test_seed(), round = 0;

	CHECK(a, "no memory");
	pools_begin();
	for (; round < test_scaled(20) || !pools_sum.steals; round++) {
		struct filch_pool *pool = pool_open((uint32_t)(2 + round % 3), 0);

		test_watchdog(120);
		for (size_t i = 0; i < n; i++)
			a[i] = (struct tagged){
				(uint32_t)(i < n / 4 ? i : test_random(&state) % 1000), (uint32_t)i
			};
		CHECK_EQ(round % 2 ? sort_tagged(pool, a, n)
				   : filch_sort(pool, a, n, sizeof *a, compare, NULL),
			0);
		for (size_t i = 1; i < n; i++)
			CHECK(a[i - 1].key < a[i].key ||
					(a[i - 1].key == a[i].key && a[i - 1].tag < a[i].tag),
				"at %zu", i);
		pool_close(pool);
	}
	pools_print();
	free(a);
	POOLS_COVER(steals);
}

int main(void)
{
	test_watchdog(120);
	test_case("stolen pieces come back sorted, and equal ones in their order",
		stolen_pieces_come_back_sorted_and_in_their_order);
	return test_finish("sort");
}
