/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sort of elements that own memory.
 *
 * first: std::string cannot be copied as bytes
 */
#include <filch/filch.h>
#include <string>

#define BELOW(a, b) ((a) < (b))
#ifdef MENDED
FILCH_SORT_DEFINE(sort_numbers, int, BELOW);
#else
FILCH_SORT_DEFINE(sort_strings, std::string, BELOW);
#endif

int main()
{
#ifdef MENDED
	int a[2] = { 2, 1 };

	return sort_numbers(nullptr, a, 2);
#endif
}
