/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spawn of a task that does not exist.
 *
 * first: leaf_must_be_a_FILCH_TASK
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}
#endif

FILCH_TASK(long, top, (long, n))
{
	FILCH_SPAWN(a, leaf, n);
	return FILCH_SYNC(a);
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, top, 4);
}
