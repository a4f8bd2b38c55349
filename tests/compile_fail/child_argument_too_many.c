/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child with too many arguments.
 *
 * first: too many arguments
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
#ifdef MENDED
	FILCH_SPAWN_CHILD(&kids, n);
#else
	FILCH_SPAWN_CHILD(&kids, n, 1);
#endif
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, two, 1);
}
