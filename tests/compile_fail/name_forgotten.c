/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task with a result type, or with a name, but not with both.
 *
 * first: a task has a name: FILCH_TASK\(result, name
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK(long, next, (long, n))
#else
FILCH_TASK(next, (long, n))
#endif
{
	return n + 1;
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, next, 1);
}
