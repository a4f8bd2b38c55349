/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of the arguments of a task without a result the last is written as in C.
 *
 * first: write each argument of a task as a pair, \(type, name\)
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_VOID_TASK(store, (long *, to), (long, a), (long, b))
#else
FILCH_VOID_TASK(store, (long *, to), (long, a), long b)
#endif
{
	*to = a + b;
}

int main(void)
{
	long sum;

	return FILCH_RUN(NULL, NULL, store, &sum, 1, 2);
}
