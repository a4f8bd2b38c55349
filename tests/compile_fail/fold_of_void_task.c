/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fold of children that have no result.
 *
 * first: filch: a fold is a function
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

FILCH_VOID_TASK(silent, (long, n))
{
	(void)n;
}

FILCH_TASK(long, two, (long, n))
{
	long sum = 0;

	add(&sum, FILCH_CALL(leaf, n));
#ifdef MENDED
	FILCH_CHILDREN(kids, silent);
#else
	FILCH_CHILDREN_FOLD(kids, silent, add, &sum);
#endif
	FILCH_SPAWN_CHILD(&kids, n);
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, two, 1);
}
