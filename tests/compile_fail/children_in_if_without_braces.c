/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children are declared where a statement stands.
 *
 * first: expected expression|FILCH_CHILDREN_kids_in_braces
 * expect: filch_spawn_needs_braces_|FILCH_CHILDREN_kids_in_braces
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

#ifdef MENDED
	FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
#else
	if (n > 1)
		FILCH_CHILDREN_FOLD(kids, leaf, add, &sum);
#endif
	if (n > 1)
		FILCH_SPAWN_CHILD(&kids, n);
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, two, 1);
}
