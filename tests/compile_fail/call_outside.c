/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call of a task in a function that is no task.
 *
 * first: only in a task body
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

int main(void)
{
#ifdef MENDED
	return FILCH_RUN(NULL, NULL, leaf, 10);
#else
	return (int)FILCH_CALL(leaf, 10);
#endif
}
