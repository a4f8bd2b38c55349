/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An array of another type is given to a sort.
 *
 * first: argument 2 of .ordered.|pointer types passing .int|convert .int\*|no matching .* .ordered.
 */
#include <filch/filch.h>

#define BELOW(a, b) ((a) < (b))
FILCH_SORT_DEFINE(ordered, long, BELOW);

int main(void)
{
#ifdef MENDED
	long a[2] = { 2, 1 };
#else
	int a[2] = { 2, 1 };
#endif

	return ordered(NULL, a, 2);
}
