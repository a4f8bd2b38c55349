/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An argument that is copied as bytes, but of which a frame cannot hold one.
 *
 * first: filch: an argument of a task is kept in a frame
 */
#include <filch/filch.h>

struct key {
#ifndef MENDED
	explicit key(long n) : value(n)
	{
	}
#endif
	long value;
};

FILCH_TASK(long, look, (key, of))
{
	return of.value;
}

int main()
{
	return 0;
}
