/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two handles of one name in one block.
 *
 * first: (redefinition|redeclaration) of .*FILCH_SPAWN_of_a_
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, pair, (long, n))
{
	FILCH_SPAWN(a, leaf, n);
#ifdef MENDED
	FILCH_SPAWN(b, leaf, n + 1);
	long right = FILCH_SYNC(b);
#else
	FILCH_SPAWN(a, leaf, n + 1);
	long right = FILCH_SYNC(a);
#endif
	return right + FILCH_SYNC(a);
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, pair, 1);
}
