/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lambda that captures nothing spawns: it is a function, and no task.
 *
 * first: filch_worker_. is not captured|variable .filch_worker_. cannot be implicitly captured
 */
#include <filch/filch.h>

FILCH_TASK(long, leaf, (long, n))
{
	return 3 * n + 1;
}

FILCH_TASK(long, top, (long, n))
{
#ifdef MENDED
	auto twice = [&](long k) {
#else
	auto twice = [](long k) {
#endif
		FILCH_SPAWN(a, leaf, k);
		return 2 * FILCH_SYNC(a);
	};

	return twice(n);
}

int main()
{
	return FILCH_RUN(nullptr, nullptr, top, 1);
}
