/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accumulators: those of reduce and scan are aligned as any type of their size may need, small ones
 * in frames and large ones from the heap, whoever's they are.
 */
#include <criterion/criterion.h>

#include "unit.h"

enum { ITEMS = 3000 };

/* What is asked of one size. */
struct ask {
	size_t size, align;
	int bodies, joins;
};

static void look(const void *acc, const struct ask *ask)
{
	EQ((uintptr_t)acc % ask->align, 0);
}

/* A word at either end, so that the whole size is used. */
static uint64_t *last(void *acc, const struct ask *ask)
{
	return (uint64_t *)(void *)((char *)acc + ask->size - sizeof(uint64_t));
}

static void add(size_t b, size_t e, void *acc, void *arg)
{
	struct ask *ask = arg;

	look(acc, ask);
	__atomic_fetch_add(&ask->bodies, 1, __ATOMIC_RELAXED);
	for (size_t i = b; i < e; i++) {
		*(uint64_t *)acc += i;
		*last(acc, ask) += 1;
	}
}

static void add_and_write(size_t b, size_t e, void *acc, bool write, void *arg)
{
	(void)write;
	add(b, e, acc, arg);
}

static void join(void *acc, const void *right, void *arg)
{
	struct ask *ask = arg;

	look(acc, ask);
	look(right, ask);
	__atomic_fetch_add(&ask->joins, 1, __ATOMIC_RELAXED);
	*(uint64_t *)acc += *(const uint64_t *)right;
	*last(acc, ask) += *last((void *)(uintptr_t)right, ask);
}

/* The largest alignment that a type of @size bytes can have, or the most that is promised. */
static size_t align_of(size_t size)
{
	size_t align = 1;

	while (align < 128 && size % (2 * align) == 0)
		align *= 2;
	return align;
}

static const size_t sizes[] = { 16, 24, 32, 48, 64, 96, 128, 160, 256, 272, 288, 320, 384, 512, 640,
	4096, 4224 };

static void check(struct filch_pool *pool, size_t grain, bool scan)
{
	_Alignas(128) static unsigned char zero[4224], result[4224];

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct ask ask = { .size = sizes[i], .align = align_of(sizes[i]) };
		int error = scan ? filch_scan(pool, 0, ITEMS, grain, ask.size, zero, add_and_write,
					   join, &ask, result)
				 : filch_reduce(pool, 0, ITEMS, grain, ask.size, zero, add, join,
					   &ask, result);

		EQ(error, 0);
		cr_assert(ask.bodies > 0);
		if (grain)
			cr_assert(ask.joins > 0, "%zu bytes: nothing was joined", ask.size);
		EQ(*(uint64_t *)(void *)result, (uint64_t)ITEMS * (ITEMS - 1) / 2);
		EQ(*last(result, &ask), ITEMS);
	}
}

Test(accumulators, are_aligned_as_any_type_of_their_size_may_need)
{
	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct filch_pool *pool = pool_of(workers, 0);

		for (size_t grain = 0; grain <= 100; grain += 50) {
			check(pool, grain, false);
			check(pool, grain, true);
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}
