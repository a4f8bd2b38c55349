/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The task that tests run when any tree of tasks will do: two children a call, without a cut-off.
 */
#ifndef FILCH_TEST_FIB_H
#define FILCH_TEST_FIB_H

#include <filch/task.h>

FILCH_TASK(long, fib, (int, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long y = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + y;
}

#endif
