/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task without a result is written as one with a result.
 *
 * first: a task without a result is a FILCH_VOID_TASK
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_VOID_TASK(set, (long *, to))
#else
FILCH_TASK(void, set, (long *, to))
#endif
{
	*to = 1;
}

int main(void)
{
	long one;

	return FILCH_RUN(NULL, NULL, set, &one);
}
