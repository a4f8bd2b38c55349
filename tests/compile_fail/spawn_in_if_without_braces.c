/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same behind an if.
 *
 * first: expected expression|FILCH_SPAWN_of_a_in_braces
 * expect: filch_spawn_needs_braces_|FILCH_SPAWN_of_a_in_braces
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, maybe, (long, n))
{
	long sum = 0;

#ifdef MENDED
	if (n > 2) {
		FILCH_SPAWN(a, leaf, n);
		sum = FILCH_SYNC(a);
	}
#else
	if (n > 2)
		FILCH_SPAWN(a, leaf, n);
#endif
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, maybe, 4);
}
