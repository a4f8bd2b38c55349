/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of a task that is defined further down.
 *
 * first: leaf_must_be_a_FILCH_TASK
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK_DECL(long, leaf, (long, n));
#endif

int main(void)
{
	return FILCH_RUN(NULL, NULL, leaf, 4);
}

#ifdef MENDED
FILCH_TASK_IMPL(long, leaf, (long, n))
#else
FILCH_TASK(long, leaf, (long, n))
#endif
{
	return n;
}
