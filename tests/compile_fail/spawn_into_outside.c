/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spawn into a frame, in a function that is no task.
 *
 * first: only.in.a.task.body|.leaf_filch_spawn
 * expect: only in a task body|filch_only_in_a_task_body
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
	FILCH_FRAME(leaf) kid[1];

	FILCH_SPAWN_INTO(&kid[0], leaf, 10);
	return FILCH_SYNC_FROM(leaf, &kid[0]);
}

int main(void)
{
#ifdef MENDED
	return FILCH_RUN(NULL, NULL, top);
#else
	return (int)top();
#endif
}
