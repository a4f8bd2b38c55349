/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spawn with too few arguments.
 *
 * first: too few arguments|no matching function for call to .add_filch_spawn.
 */
#include <filch/filch.h>

FILCH_TASK(long, add, (long, a), (long, b))
{
	if (a > b)
		return a;
#ifdef MENDED
	FILCH_SPAWN(h, add, b, a);
#else
	FILCH_SPAWN(h, add, b);
#endif
	return FILCH_SYNC(h) + b;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, add, 1, 2);
}
