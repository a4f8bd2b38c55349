/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spawn with too many arguments.
 *
 * first: too many arguments|no matching function for call to .leaf_filch_spawn.
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, next, (long, n))
{
#ifdef MENDED
	FILCH_SPAWN(h, leaf, n);
#else
	FILCH_SPAWN(h, leaf, n, 7);
#endif
	return FILCH_SYNC(h);
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, next, 1);
}
