/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of children is synced like a handle.
 *
 * first: kids_in_FILCH_SYNC
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
	long sum = 0;

	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
	FILCH_SPAWN_CHILD(&kids, n);
#ifdef MENDED
	FILCH_SYNC_CHILDREN(&kids);
#else
	FILCH_SYNC(kids);
#endif
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, two, 1);
}
