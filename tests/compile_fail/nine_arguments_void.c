/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same without a result.
 *
 * first: at most 8 arguments
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_VOID_TASK(
	many, (int *, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g), (int, h))
#else
FILCH_VOID_TASK(many, (int *, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g),
	(int, h), (int, i))
#endif
{
	*a = b + c + d + e + f + g + h;
}

int main(void)
{
	int sum;

	return FILCH_RUN(NULL, NULL, many, &sum, 2, 3, 4, 5, 6, 7, 8);
}
