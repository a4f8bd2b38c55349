/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A declaration has an argument as in C.
 *
 * first: write each argument of a task as a pair, \(type, name\)
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK_DECL(long, next, (long, n));
#else
FILCH_TASK_DECL(long, next, long n);
#endif

FILCH_TASK_IMPL(long, next, (long, n))
{
	return n + 1;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, next, 1);
}
