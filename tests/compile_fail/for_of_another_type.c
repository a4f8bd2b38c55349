/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled-in loop is given an argument of another type.
 *
 * first: argument 5 of .twice.|pointer types passing .int|convert .int\*|no matching .* .twice.
 */
#include <filch/filch.h>

static inline void double_all(size_t b, size_t e, long *of)
{
	for (size_t i = b; i < e; i++)
		of[i] *= 2;
}
FILCH_FOR_DEFINE(twice, long, double_all);

int main(void)
{
#ifdef MENDED
	long a[2] = { 2, 1 };
#else
	int a[2] = { 2, 1 };
#endif

	return twice(NULL, 0, 2, 1, a);
}
