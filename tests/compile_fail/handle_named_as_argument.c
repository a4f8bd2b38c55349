/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle has the name of one of the body's arguments.
 *
 * first: .n. redeclared|redefinition of .n.|next_filch n. shadows a parameter
 */
#include <filch/filch.h>

FILCH_TASK(long, next, (long, n))
{
	if (n > 3)
		return n;
#ifdef MENDED
	FILCH_SPAWN(h, next, 7);
	return FILCH_SYNC(h);
#else
	FILCH_SPAWN(n, next, 7);
	return FILCH_SYNC(n);
#endif
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, next, 1);
}
