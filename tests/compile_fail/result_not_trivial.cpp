/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A result that owns memory.
 *
 * first: a result of a task is copied as bytes: its type must be trivially copyable
 */
#include <filch/filch.h>
#include <string>

#ifdef MENDED
FILCH_VOID_TASK(digits, (std::string *, to), (long, n))
{
	*to = std::to_string(n);
}
#else
FILCH_TASK(std::string, digits, (long, n))
{
	return std::to_string(n);
}
#endif

int main()
{
	std::string s;

#ifdef MENDED
	return FILCH_RUN(nullptr, nullptr, digits, &s, 7);
#else
	return FILCH_RUN(nullptr, &s, digits, 7);
#endif
}
