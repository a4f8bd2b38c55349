/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children of a plain function.
 *
 * first: plain_must_be_a_FILCH_TASK
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

static inline long plain(long n)
{
	return n;
}

FILCH_TASK(long, three, (long, n))
{
	long sum = plain(0);

#ifdef MENDED
	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
#else
	FILCH_CHILDREN_FOLD(kids, plain, add, &sum);
#endif
	FILCH_SPAWN_CHILD(&kids, n);
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, three, 1);
}
