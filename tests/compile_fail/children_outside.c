/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children in a plain function.
 *
 * first: FILCH_CHILDREN work only in a task body
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

static long three(long n)
{
	long sum = n;

#ifndef MENDED
	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
	FILCH_SPAWN_CHILD(&kids, n);
	FILCH_SYNC_CHILDREN(&kids);
#else
	add(&sum, n);
#endif
	return sum;
}

FILCH_TASK(long, two, (long, n))
{
	return three(n);
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, two, 1);
}
