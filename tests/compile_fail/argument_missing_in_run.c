/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run with too few arguments.
 *
 * first: too few arguments|no matching function for call to .add_filch_run.
 */
#include <filch/filch.h>

FILCH_TASK(long, add, (long, a), (long, b))
{
	return a + b;
}

int main(void)
{
	long r = 0;

#ifdef MENDED
	return FILCH_RUN(NULL, &r, add, 1, 2);
#else
	return FILCH_RUN(NULL, &r, add, 1);
#endif
}
