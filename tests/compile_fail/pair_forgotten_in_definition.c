/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The declaration has a pair, the definition has none.
 *
 * first: write each argument of a task as a pair, \(type, name\)
 */
#include <filch/filch.h>

FILCH_TASK_DECL(long, next, (long, n));

#ifdef MENDED
FILCH_TASK_IMPL(long, next, (long, n))
#else
FILCH_TASK_IMPL(long, next, long n)
#endif
{
	return n + 1;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, next, 1);
}
