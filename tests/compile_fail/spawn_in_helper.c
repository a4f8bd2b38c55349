/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain helper of a task spawns.
 *
 * first: only in a task body
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

static long helper(long n)
{
	long r = 0;

#ifdef MENDED
	return FILCH_RUN(NULL, &r, leaf, n) ? -1 : r;
#else
	FILCH_SPAWN(a, leaf, n);
	r = FILCH_SYNC(a);
	return r;
#endif
}

FILCH_TASK(long, top, (long, n))
{
	return helper(n);
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, top, 1);
}
