/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle of a task without a result that is never synced, beside one that is.
 *
 * first: unused variable .right_in_FILCH_SYNC.
 */
#include <filch/filch.h>

FILCH_VOID_TASK(fill, (int *, to), (int, n))
{
	*to = n;
}

FILCH_VOID_TASK(both, (int *, pair))
{
	FILCH_SPAWN(left, fill, &pair[0], 1);
	FILCH_SPAWN(right, fill, &pair[1], 2);
#ifdef MENDED
	FILCH_SYNC(right);
#endif
	FILCH_SYNC(left);
}

int main(void)
{
	int pair[2];

	return FILCH_RUN(NULL, NULL, both, pair);
}
