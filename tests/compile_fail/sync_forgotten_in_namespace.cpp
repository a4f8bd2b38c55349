/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle that is never synced, of a task of a namespace.
 *
 * first: unused variable .half_in_FILCH_SYNC.
 */
#include <filch/filch.h>
#include <utility>

namespace sums
{
using range = std::pair<long, long>;

FILCH_TASK(long, sum, (range, of))
{
	const long middle = of.first + (of.second - of.first) / 2;

	if (of.second - of.first < 2)
		return of.first;
	FILCH_SPAWN(half, sum, range(middle, of.second));
	long left = FILCH_CALL(sum, range(of.first, middle));
#ifdef MENDED
	left += FILCH_SYNC(half);
#endif
	return left;
}
} // namespace sums

int main()
{
	using namespace sums;
	long r = 0;

	return FILCH_RUN(nullptr, &r, sum, range(0, 100));
}
