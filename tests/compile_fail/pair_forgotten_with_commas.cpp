/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An argument whose type has commas is written as in C++.
 *
 * first: write each argument of a task as a pair, \(type, name\)
 */
#include <array>
#include <filch/filch.h>

#ifdef MENDED
FILCH_TASK(long, first, (std::array<long, 3>, of))
#else
FILCH_TASK(long, first, std::array<long, 3> of)
#endif
{
	return of[0];
}

int main()
{
	return FILCH_RUN(nullptr, nullptr, first, std::array<long, 3>{ { 1, 2, 3 } });
}
