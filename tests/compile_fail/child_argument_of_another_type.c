/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A structure is given where the child takes a number.
 *
 * first: FILCH_SPAWN_CHILD_of|.(struct )?interval. to .*long
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

static void add(long *sum, long one)
{
	*sum += one;
}

struct interval {
	long from, to;
};

FILCH_TASK(long, two, (long, n))
{
	struct interval whole = { 1, n };
	long sum = 0;

	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
#ifdef MENDED
	FILCH_SPAWN_CHILD(&kids, whole.to - whole.from);
#else
	FILCH_SPAWN_CHILD(&kids, whole);
#endif
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, two, 1);
}
