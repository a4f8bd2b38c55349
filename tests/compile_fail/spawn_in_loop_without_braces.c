/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spawn is the whole of a loop. Its handle would be over before anything could sync it. In C
 * clang says "expected expression", and quotes the macro with the word.
 *
 * first: expected expression|FILCH_SPAWN_of_a_in_braces
 * expect: filch_spawn_needs_braces_|FILCH_SPAWN_of_a_in_braces
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, loops, (long, n))
{
	long sum = 0;

#ifdef MENDED
	for (long i = 0; i < n; i++) {
		FILCH_SPAWN(a, leaf, i);
		sum += FILCH_SYNC(a);
	}
#else
	for (long i = 0; i < n; i++)
		FILCH_SPAWN(a, leaf, i);
#endif
	return sum;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, loops, 4);
}
