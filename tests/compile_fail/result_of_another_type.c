/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The result of a run goes where a smaller type lies.
 *
 * first: filch: FILCH_RUN writes the result of the task: give a pointer to that type
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

int main(void)
{
#ifdef MENDED
	long r = 0;
#else
	int r = 0;
#endif

	return FILCH_RUN(NULL, &r, leaf, 3) || r;
}
