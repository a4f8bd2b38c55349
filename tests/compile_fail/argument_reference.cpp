/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An argument that is a reference.
 *
 * first: its type must be trivially copyable and no reference; give a pointer
 */
#include <filch/filch.h>

#ifdef MENDED
FILCH_VOID_TASK(set, (long *, to))
{
	*to = 1;
}
#else
FILCH_VOID_TASK(set, (long &, to))
{
	to = 1;
}
#endif

int main()
{
	long n = 0;

#ifdef MENDED
	return FILCH_RUN(nullptr, nullptr, set, &n);
#else
	return FILCH_RUN(nullptr, nullptr, set, n);
#endif
}
