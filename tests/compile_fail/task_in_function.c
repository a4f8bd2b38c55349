/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task is defined inside a function.
 *
 * first: (invalid|.static.) storage class|function.definition is not allowed here
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK(long, next, (long, n))
{
	return n + 1;
}
#endif

int main(void)
{
#ifndef MENDED
	FILCH_TASK(long, next, (long, n))
	{
		return n + 1;
	}
#endif
	return FILCH_RUN(NULL, NULL, next, 1);
}
