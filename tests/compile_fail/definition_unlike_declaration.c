/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task is declared with other types than it is defined with.
 *
 * first: FILCH_TASK_IMPL has other types than|conflicting types for .next_filch_body
 */
#include <filch/filch.h>

FILCH_TASK_DECL(long, next, (long, n));

#ifdef MENDED
FILCH_TASK_IMPL(long, next, (long, n))
#else
FILCH_TASK_IMPL(long, next, (int, n))
#endif
{
	return n + 1;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, next, 1);
}
