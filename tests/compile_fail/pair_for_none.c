/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task without arguments is written with void.
 *
 * first: write each argument of a task as a pair, \(type, name\)
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK(long, one)
#else
FILCH_TASK(long, one, void)
#endif
{
	return 1;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, one);
}
