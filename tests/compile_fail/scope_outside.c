/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A typed call in a scope, in a function that is no task.
 *
 * first: only in a task body
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

#ifdef MENDED
FILCH_TASK(long, top)
#else
static long top(void)
#endif
{
	int status = 0;

	return FILCH_SCOPE(&status, leaf, 10) + status;
}

int main(void)
{
#ifdef MENDED
	return FILCH_RUN(NULL, NULL, top);
#else
	return (int)top();
#endif
}
