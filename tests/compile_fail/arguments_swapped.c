/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two arguments in the wrong order.
 *
 * first: length_filch_spawn|.int.* to .*const char ?\*
 */
#include <filch/filch.h>

FILCH_TASK(long, length, (const char *, text), (int, most))
{
	if (most < 2)
		return text[0] != 0;
#ifdef MENDED
	FILCH_SPAWN(a, length, text + 1, most - 1);
#else
	FILCH_SPAWN(a, length, most - 1, text + 1);
#endif
	return FILCH_SYNC(a) + 1;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, length, "text", 4);
}
