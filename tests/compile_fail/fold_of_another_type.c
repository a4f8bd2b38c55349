/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fold into a number of another type.
 *
 * first: filch: a fold is a function|from .*int.* to .*long|no known conversion|cannot initialize
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

static inline void add_int(int *sum, long one)
{
	*sum += (int)one;
}

FILCH_TASK(long, two, (long, n))
{
	long sum = 0;
	int sum_int = 0;

	add(&sum, 0);
	add_int(&sum_int, 0);
#ifdef MENDED
	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
#else
	FILCH_CHILDREN_FOLD(kids, leaf, add_int, &sum);
#endif
	FILCH_SPAWN_CHILD(&kids, n);
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, two, 1);
}
