/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same as the value of a new variable, where clang looks at types first.
 *
 * first: only.in.a.task.body|.leaf_filch_call
 * expect: only in a task body|filch_only_in_a_task_body
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

int main(void)
{
#ifdef MENDED
	long r = 0;
	int error = FILCH_RUN(NULL, &r, leaf, 10);
	return error;
#else
	long r = FILCH_CALL(leaf, 10);
	return (int)r;
#endif
}
