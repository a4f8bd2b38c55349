/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task of nine arguments.
 *
 * first: at most 8 arguments
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK(
	int, many, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g), (int, h))
#else
FILCH_TASK(int, many, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g),
	(int, h), (int, i))
#endif
{
	return a + b + c + d + e + f + g + h;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, many, 1, 2, 3, 4, 5, 6, 7, 8);
}
