/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An argument that is a pointer is declared as in C, its star before the name.
 *
 * first: the name in a pair stands alone
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK(int, first, (char *, text))
#else
FILCH_TASK(int, first, (char, *text))
#endif
{
	return text[0];
}

int main(void)
{
	char text[] = "t";

	return FILCH_RUN(NULL, NULL, first, text);
}
