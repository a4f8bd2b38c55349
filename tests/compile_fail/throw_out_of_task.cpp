/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exception leaves a task.
 *
 * first: will always call .terminate.|non-throwing exception specification
 */
#include <filch/filch.h>
#include <stdexcept>

FILCH_TASK(long, risky, (long, n))
{
#ifdef MENDED
	try {
		if (n)
			throw std::runtime_error("no");
	} catch (const std::exception &) {
		return -1;
	}
#else
	if (n)
		throw std::runtime_error("no");
#endif
	return n;
}

int main()
{
	return FILCH_RUN(nullptr, nullptr, risky, 1);
}
