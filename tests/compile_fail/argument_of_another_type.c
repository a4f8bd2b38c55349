/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A structure is given where the task takes a number.
 *
 * first: fib_filch_spawn|.(struct )?interval. to .*long
 */
#include <filch/filch.h>

struct interval {
	long from, to;
};

FILCH_TASK(long, fib, (long, n))
{
	struct interval whole = { 1, n };

	if (n < 2)
		return n;
#ifdef MENDED
	FILCH_SPAWN(a, fib, whole.to - whole.from);
#else
	FILCH_SPAWN(a, fib, whole);
#endif
	return FILCH_SYNC(a);
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, fib, 2);
}
