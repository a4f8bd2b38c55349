/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An argument that is an array is declared as in C, its length behind the name.
 *
 * first: the name in a pair stands alone
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK(int, first, (int[4], four))
#else
FILCH_TASK(int, first, (int, four[4]))
#endif
{
	return four[0];
}

int main(void)
{
	int four[4] = { 1, 2, 3, 4 };

	return FILCH_RUN(NULL, NULL, first, four);
}
