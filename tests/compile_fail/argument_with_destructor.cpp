/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An argument whose copy is plain, but whose end is not.
 *
 * first: an argument of a task is copied as bytes: its type must be trivially
 */
#include <filch/filch.h>

struct counted {
	long n;
#ifndef MENDED
	~counted()
	{
		n = 0;
	}
#endif
};

FILCH_VOID_TASK(take, (long *, to), (counted, c))
{
	*to = c.n;
}

int main()
{
	long n = 0;

	return FILCH_RUN(nullptr, nullptr, take, &n, counted{ 1 });
}
