/* SPDX-License-Identifier: Apache-2.0 */
/* The definitions; see main.cpp. */
#include "shapes.hpp"

namespace shapes {

FILCH_TASK_IMPL(long, sum_span, (std::pair<long, long>, span), (long, grain))
{
	const long middle = span.first + (span.second - span.first) / 2;
	long sum = 0;

	if (span.second - span.first <= grain) {
		for (long i = span.first; i < span.second; i++)
			sum += i;
		return sum;
	}
	FILCH_SPAWN(right, sum_span, std::pair<long, long>(middle, span.second), grain);
	sum = FILCH_CALL(sum_span, std::pair<long, long>(span.first, middle), grain);
	return sum + FILCH_SYNC(right);
}

FILCH_TASK_IMPL(span, widen, (std::array<long, 2>, by), (std::pair<long, long>, span))
{
	return { span.first - by[0], span.second + by[1] };
}

FILCH_VOID_TASK_IMPL(put, (long *, to), (long, value))
{
	*to = value;
}

}
