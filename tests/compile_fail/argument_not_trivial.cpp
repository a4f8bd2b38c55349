/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An argument that owns memory would be freed twice.
 *
 * first: an argument of a task is copied as bytes: its type must be trivially
 */
#include <filch/filch.h>
#include <string>

#ifdef MENDED
FILCH_TASK(long, length, (const std::string *, s))
{
	return static_cast<long>(s->size());
}
#else
FILCH_TASK(long, length, (std::string, s))
{
	return static_cast<long>(s.size());
}
#endif

FILCH_TASK(long, top, (long, n))
{
	std::string s(static_cast<size_t>(n), 'x');

#ifdef MENDED
	FILCH_SPAWN(a, length, &s);
#else
	FILCH_SPAWN(a, length, s);
#endif
	return FILCH_SYNC(a);
}

int main()
{
	return FILCH_RUN(nullptr, nullptr, top, 100);
}
