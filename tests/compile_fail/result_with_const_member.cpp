/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A result that cannot be stored: a member is const.
 *
 * first: filch: a result of a task is stored in a frame
 */
#include <filch/filch.h>

struct key {
#ifdef MENDED
	long value;
#else
	const long value;
#endif
};

FILCH_TASK(key, look, (long, n))
{
	return { n };
}

int main()
{
	return 0;
}
