/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A result type that holds a comma.
 *
 * first: a result type with commas needs a typedef
 */
#include <filch/filch.h>
#include <utility>

#ifdef MENDED
using longs = std::pair<long, long>;
FILCH_TASK(longs, both, (long, n))
#else
FILCH_TASK(std::pair<long, long>, both, (long, n))
#endif
{
	return { n, n };
}

int main()
{
	return FILCH_RUN(nullptr, nullptr, both, 1);
}
