/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An argument of an inline task is written as in C.
 *
 * first: write each argument of a task as a pair, \(type, name\)
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK_INLINE(long, next, (long, n))
#else
FILCH_TASK_INLINE(long, next, long n)
#endif
{
	return n + 1;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, next, 1);
}
