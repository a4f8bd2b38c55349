/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of a task without a result is given a place for one, which nothing would write.
 *
 * first: filch: FILCH_RUN writes the result of the task: give a pointer to that type
 */
#include <filch/filch.h>

FILCH_VOID_TASK(set, (long *, to))
{
	*to = 1;
}

int main(void)
{
	long r = 0, one;

#ifdef MENDED
	return FILCH_RUN(NULL, NULL, set, &one) || r;
#else
	return FILCH_RUN(NULL, &r, set, &one) || r;
#endif
}
