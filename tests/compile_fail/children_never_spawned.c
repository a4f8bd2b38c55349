/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of children that nothing is spawned into.
 *
 * first: unused variable .kids.
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

FILCH_TASK(long, two, (long, n))
{
	long sum = n;

	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
#ifdef MENDED
	FILCH_SPAWN_CHILD(&kids, n);
	FILCH_SYNC_CHILDREN(&kids);
#endif
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, two, 1);
}
