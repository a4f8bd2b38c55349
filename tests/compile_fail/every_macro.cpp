/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No mistake: what only C++ has, types with commas, namespaces, null pointers of its own.
 *
 * silent: runs
 */
#include "one_worker.h"

#include <array>
#include <utility>

namespace inner
{
using longs = std::pair<long, long>;
FILCH_TASK_DECL(longs, turn, (std::pair<long, long>, p));
FILCH_VOID_TASK_DECL(
	put, (std::array<std::pair<long, long>, 2> *, to), (std::array<long, 2>, from));
FILCH_TASK_IMPL(longs, turn, (std::pair<long, long>, p))
{
	return { p.second, p.first };
}
FILCH_VOID_TASK_IMPL(put, (std::array<std::pair<long, long>, 2> *, to), (std::array<long, 2>, from))
{
	(*to)[0] = longs(from[0], from[1]);
}
} // namespace inner

using namespace inner;
typedef std::array<std::pair<long, long>, 2> pairs;

FILCH_TASK(long, top, (std::array<std::pair<int, char>, 3>, of), (long, n))
{
	pairs two{};

	FILCH_SPAWN(a, turn, longs(n, of[0].first));
	FILCH_SPAWN(b, put, &two, std::array<long, 2>{ { 7, 8 } });
	longs here = FILCH_CALL(turn, std::pair<long, long>(1, 2));
	longs same = FILCH_SCOPE(nullptr, turn, std::pair<long, long>(1, 2));
	if (same != here)
		two[1].first = 1;
	FILCH_SYNC(b);
	longs there = FILCH_SYNC(a);
	return here.first + 10 * there.first + 100 * two[0].first + 1000 * two[0].second +
	       10000 * two[1].first;
}

int main()
{
	filch_pool *pool = one_worker();
	std::array<std::pair<int, char>, 3> of{ { { 5, 'a' }, { 6, 'b' }, { 7, 'c' } } };
	long r = 0, array[1] = { 0 };
	longs turned;

	if (!pool || FILCH_RUN(pool, &r, top, of, 3) || FILCH_RUN(pool, nullptr, top, of, 3) ||
		FILCH_RUN(pool, NULL, top, of, 3) || FILCH_RUN(pool, array, top, of, 4) ||
		FILCH_RUN(pool, &turned, turn, longs(1, 2)) || filch_pool_destroy(pool))
		return 1;
	return !(r == 2 + 50 + 700 + 8000 && array[0] == r && turned.first == 2);
}
