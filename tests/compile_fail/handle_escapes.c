/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame is synced through its address when its block is over: the handle itself never is.
 *
 * first: unused variable .inner_in_FILCH_SYNC.
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, keeps, (long, n))
{
#ifdef MENDED
	FILCH_SPAWN(inner, leaf, n);
	return FILCH_SYNC(inner);
#else
	FILCH_FRAME(leaf) * kept;
	{
		FILCH_SPAWN(inner, leaf, n);
		kept = &inner;
	}
	return FILCH_SYNC_FROM(leaf, kept);
#endif
}

int main(void)
{
	return FILCH_RUN(NULL, NULL, keeps, 1);
}
