/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sync names a handle that does not exist.
 *
 * first: aa_in_FILCH_SYNC
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, next, (long, n))
{
	FILCH_SPAWN(a, leaf, n);
#ifdef MENDED
	return FILCH_SYNC(a);
#else
	return FILCH_SYNC(aa);
#endif
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, next, 1);
}
