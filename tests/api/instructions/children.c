/* SPDX-License-Identifier: Apache-2.0 */
/*
 * n-queens by its creating thread alone, for counting instructions: see children.sh. The children
 * stand in an array of frames, or with SETS they are a set. Prints how many tasks it takes to place
 * as many queens as its argument says; exits with 1 if that is impossible.
 */
#include <stdio.h>
#include <stdlib.h>

#include <filch/filch.h>

struct queens {
	uint32_t solutions, placed;
};

static inline void add(struct queens *sum, struct queens one)
{
	sum->solutions += one.solutions;
	sum->placed += one.placed;
}

FILCH_TASK(struct queens, queens, (uint32_t, all), (uint32_t, columns), (uint32_t, left),
	(uint32_t, right))
{
	uint32_t open = all & ~(columns | left | right);

	if (!open) {
		struct queens end = { .solutions = columns == all, .placed = 1 };

		return end;
	}
	struct queens sum = { .solutions = 0, .placed = 1 };

#ifdef SETS
	FILCH_CHILDREN_FOLD(kids, queens, add, &sum);
#else
	FILCH_FRAME(queens) kid[16];
	int kids = 0;
#endif
	for (; open; open &= open - 1) {
		uint32_t q = open & -open;

#ifdef SETS
		FILCH_SPAWN_CHILD(&kids, all, columns | q, (left | q) << 1, (right | q) >> 1);
#else
		FILCH_SPAWN_INTO(
			&kid[kids], queens, all, columns | q, (left | q) << 1, (right | q) >> 1);
		kids++;
#endif
	}
#ifdef SETS
	FILCH_SYNC_CHILDREN(&kids);
#else
	while (kids-- > 0)
		add(&sum, FILCH_SYNC_FROM(queens, &kid[kids]));
#endif
	return sum;
}

int main(int argc, char **argv)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;
	struct queens sum = { 0, 0 };
	uint32_t all = (1u << (argc > 1 ? atoi(argv[1]) : 8)) - 1;

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_NO_PIN; /* no look at other processes */
	if (filch_pool_create(&pool, &config) || FILCH_RUN(pool, &sum, queens, all, 0, 0, 0) ||
		filch_pool_destroy(pool))
		return 1;
	printf("%u\n", sum.placed);
	return !sum.solutions;
}
