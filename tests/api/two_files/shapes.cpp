/* SPDX-License-Identifier: Apache-2.0 */
/* The definitions; see main.cpp. */
#include "shapes.hpp"

namespace shapes
{

FILCH_TASK_IMPL(long, sum_span, (std::pair<long, long>, whole), (long, grain))
{
	const long middle = whole.first + (whole.second - whole.first) / 2;
	long sum = 0;

	if (whole.second - whole.first <= grain) {
		for (long i = whole.first; i < whole.second; i++)
			sum += i;
		return sum;
	}
	FILCH_SPAWN(right, sum_span, std::pair<long, long>(middle, whole.second), grain);
	sum = FILCH_CALL(sum_span, std::pair<long, long>(whole.first, middle), grain);
	return sum + FILCH_SYNC(right);
}

FILCH_TASK_IMPL(span, widen, (std::array<long, 2>, by), (std::pair<long, long>, old))
{
	return { old.first - by[0], old.second + by[1] };
}

FILCH_VOID_TASK_IMPL(put, (long *, to), (long, value))
{
	*to = value;
}

} // namespace shapes
