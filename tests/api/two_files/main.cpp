/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public headers as C++17: argument types with commas, tasks in a namespace, lambdas as loop
 * bodies, a task of one file used in another. Prints what failed and returns 1.
 */
#include "shapes.hpp"

#include <cerrno>
#include <cstdio>
#include <type_traits>

static int failures;

#define CHECK(condition)                                                                     \
	((condition) ? (void)0                                                               \
		     : (void)(++failures, std::fprintf(stderr, "%s:%d: does not hold: %s\n", \
						  __FILE__, __LINE__, #condition)))

typedef int vector[4];

template <typename T> struct box {
	T value;
};

FILCH_TASK(long, fib, (int, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long y = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + y;
}

FILCH_TASK_INLINE(long, fib_inline, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib_inline, n - 1);
	long y = FILCH_CALL(fib_inline, n - 2);
	return FILCH_SYNC(a) + y;
}

FILCH_TASK(int, sum_vector, (vector, v), (std::pair<int, box<char>>, p), (int (*)(int, int), f))
{
	return f(v[0] + v[1] + v[2] + v[3], p.first + p.second.value);
}

typedef std::pair<int, char> pair;
static bool lower(const pair &a, const pair &b)
{
	return a.first < b.first;
}
FILCH_SORT_DEFINE(sort_pairs, pair, lower);

static constexpr auto count_pairs = [](size_t b, size_t e, std::pair<long, long> *p) {
	for (size_t i = b; i < e; i++)
		p[i].second += p[i].first;
};
typedef std::pair<long, long> longs;
FILCH_FOR_DEFINE(count_all, longs, count_pairs);

static int add(int a, int b)
{
	return a + b;
}

FILCH_TASK(long, everything, (long, n))
{
	FILCH_FRAME(fib) kid[5];
	vector v = { 1, 2, 3, 4 };
	long out = 0, sum = 0;

	FILCH_SPAWN(a, sum_vector, v, std::pair<int, box<char>>(10, box<char>{ 5 }), add);
	FILCH_SPAWN(b, fib, 10);
	for (int i = 0; i < 5; i++)
		FILCH_SPAWN_INTO(&kid[i], fib, 10 + i);
	for (int i = 4; i >= 0; i--)
		sum += FILCH_SYNC_FROM(fib, &kid[i]);
	sum += FILCH_SYNC(b);
	sum += FILCH_SYNC(a);
	{
		/* a task's generated names are looked up by its plain name */
		using namespace shapes;
		FILCH_SPAWN(c, put, &out, n);
		FILCH_SYNC(c);
	}
	return sum + out;
}

/* Children of this file and of another, whose arguments and results have constructors. */
FILCH_TASK(shapes::span, children, (int, n))
{
	using namespace shapes;
	span all(0, 0), *const into = &all;
	long sum = 0;

	FILCH_CHILDREN_FOLD(
		sums, sum_span, [](long *s, long one) { *s += one; }, &sum);
	for (int i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&sums, span(0, i), 5);
	FILCH_SYNC_CHILDREN(&sums);
	FILCH_CHILDREN_FOLD(
		kids, widen,
		[](span *to, span one) {
			to->first += one.first;
			to->second += one.second;
		},
		into);
	const auto spawn = [&](int i) {
		FILCH_SPAWN_CHILD(&kids, std::array<long, 2>{ { 1, 2 } }, span(i, i + 10));
	};
	for (int i = 0; i < n; i++)
		spawn(i);
	FILCH_SYNC_CHILDREN(&kids);
	all.second += sum;
	return all;
}

static void run(uint32_t workers)
{
	filch_config config = FILCH_CONFIG_INIT;
	filch_pool *pool = nullptr;
	shapes::span s{ 0, 0 };
	long r = 0;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	CHECK(filch_pool_create(&pool, &config) == 0);
	CHECK(filch_pool_workers(pool) == static_cast<int>(workers));
	for (int i = 0; i < 20; i++) {
		CHECK(FILCH_RUN(pool, &r, fib, 15) == 0 && r == 610);
		CHECK(FILCH_RUN(pool, &r, fib_inline, 15) == 0 && r == 610);
		CHECK(FILCH_RUN(pool, &r, everything, 1000) == 0 &&
			r == 55 + 89 + 144 + 233 + 377 + 55 + 25 + 1000);
		CHECK(FILCH_RUN(pool, &r, shapes::sum_span, shapes::span(0, 1000), 10) == 0 &&
			r == 499500);
		CHECK(FILCH_RUN(pool, &s, shapes::widen, std::array<long, 2>{ { 1, 2 } },
			      shapes::span(10, 20)) == 0);
		CHECK(s == shapes::span(9, 22));
		long n = 5 * i, sum = n * (n - 1) / 2, sums = n * (n - 1) * (n - 2) / 6;
		CHECK(FILCH_RUN(pool, &s, children, 5 * i) == 0);
		CHECK(s == shapes::span(sum - n, sum + 12 * n + sums));
	}
	long hits[100] = {};
	CHECK(filch_for(
		      pool, 0, 100, 7,
		      [](size_t b, size_t e, void *arg) {
			      for (size_t i = b; i < e; i++)
				      static_cast<long *>(arg)[i]++;
		      },
		      hits) == 0);
	for (long hit : hits)
		CHECK(hit == 1);
	static longs counted[1000];
	for (long i = 0; i < 1000; i++)
		counted[i] = longs(i, 0);
	CHECK(count_all(pool, 0, 1000, 1, counted) == 0);
	CHECK(count_all(pool, 500, 1000, 0, counted) == 0);
	CHECK(count_all(nullptr, 0, 500, 0, counted) == 0);
	for (long i = 0; i < 1000; i++)
		CHECK(counted[i].second == 2 * i);
	static pair sorted[3000];
	for (int i = 0; i < 3000; i++)
		sorted[i] = pair((i * 7 % 3000) / 2, static_cast<char>(i & 1));
	CHECK(sort_pairs(pool, sorted, 3000) == 0);
	for (int i = 0; i < 3000; i++)
		CHECK(sorted[i].first == i / 2);
	CHECK(filch_sort(
		      pool, sorted, 3000, sizeof sorted[0],
		      [](const void *a, const void *b, void *) {
			      return static_cast<const pair *>(b)->first -
				     static_cast<const pair *>(a)->first;
		      },
		      nullptr) == 0);
	for (int i = 0; i < 3000; i++)
		CHECK(sorted[i].first == 1499 - i / 2);
	int64_t id = filch_submit(
		pool, [](void *arg) { return *static_cast<int *>(arg); }, &failures, nullptr);
	filch_completion completion;
	CHECK(id > 0 && filch_wait(pool, id, nullptr, &completion) == 0 &&
		completion.status == failures);
	CHECK(filch_pool_destroy(pool) == 0);
}

int main()
{
	static_assert(std::is_standard_layout<filch_config>::value, "a C structure");
	static_assert(std::is_trivially_copyable<struct filch_submit>::value, "a C structure");
	run(1);
	run(3);
	std::printf("cxx: %s\n", failures ? "failed" : "passed");
	return failures != 0;
}
