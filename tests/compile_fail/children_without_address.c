/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set is given without its address.
 *
 * first: FILCH_address_of_kids
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

FILCH_TASK(long, three, (long, n))
{
	long sum = 0;

	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
	for (long i = 0; i < 3; i++)
#ifdef MENDED
		FILCH_SPAWN_CHILD(&kids, n);
#else
		FILCH_SPAWN_CHILD(kids, n);
#endif
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, three, 1);
}
