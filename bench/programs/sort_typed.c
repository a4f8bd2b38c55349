/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole sorts with a comparison that is compiled in: of records of 16 bytes by key, equal keys in
 * their first order, and of integers of 64 and 32 bits.
 *
 *     filch      FILCH_SORT_DEFINE
 *     serial     its leaves and merges on one thread, without a task
 *     tbb        parallel_sort, which is not stable: it compares (key, place), so that its result
 *                is the same
 *
 * Contestants without such a sort do not take part: they are built without this file.
 *
 * Not good for: the scheduler alone; what is compared is a whole sort. No tasks are counted, items
 * are what is sorted.
 */
#include "bench.h"
#include BENCH_BACKEND

#include <string.h>

#include "programs/records.h"

#if defined(BENCH_TBB_BACKEND_H)
#include <oneapi/tbb/parallel_sort.h>

/* In the engine's arena, by @less. */
template <typename T, typename Less>
static int sort_in_arena(void *engine, T *a, size_t n, Less less)
{
	auto sort = [=] { tbb::parallel_sort(a, a + n, less); };

	tbb_in_arena(
		engine, [](void *f) { (*static_cast<decltype(sort) *>(f))(); },
		const_cast<void *>(static_cast<const void *>(&sort)));
	return 0;
}

static int sort_records(void *engine, struct record *a, size_t n)
{
	return sort_in_arena(engine, a, n, [](const struct record &x, const struct record &y) {
		return x.key != y.key ? x.key < y.key : x.place < y.place;
	});
}

static int sort_int64(void *engine, int64_t *a, size_t n)
{
	return sort_in_arena(engine, a, n, [](int64_t x, int64_t y) { return x < y; });
}

static int sort_int32(void *engine, int32_t *a, size_t n)
{
	return sort_in_arena(engine, a, n, [](int32_t x, int32_t y) { return x < y; });
}

#define SORT(name, T, engine, a, scratch, n) name(engine, a, n)
#else
#include <filch/sort.h>

#define BY_KEY(a, b)   ((a).key < (b).key)
#define BY_VALUE(a, b) ((a) < (b))
FILCH_SORT_DEFINE(sort_records, struct record, BY_KEY);
FILCH_SORT_DEFINE(sort_int64, int64_t, BY_VALUE);
FILCH_SORT_DEFINE(sort_int32, int32_t, BY_VALUE);

#if defined(BENCH_SERIAL_H)
/*
 * Sorts @n elements of @size bytes by @depth halvings, into @t if @into and else in @a, with kernel
 * @k of a typed sort.
 */
static void halves(const struct filch_sort_kernel *k, char *a, char *t, size_t n, size_t size,
	unsigned depth, bool into)
{
	const char *from = into ? a : t;
	char *to = into ? t : a;
	size_t half = n / 2;

	if (!depth) {
		if (k->leaf(a, t, n, into, NULL) != into)
			memcpy(into ? t : a, into ? a : t, n * size);
		return;
	}
	halves(k, a, t, half, size, depth - 1, !into);
	halves(k, a + half * size, t + half * size, n - half, size, depth - 1, !into);
	k->merge(from, half, from + half * size, n - half, to, NULL);
}

static int sort_serially(const struct filch_sort_kernel *k, void *a, void *t, size_t n, size_t size)
{
	unsigned depth = 0;

	while ((n - 1) >> depth >= k->leaf_most)
		depth++;
	halves(k, a, t, n, size, depth, false);
	return 0;
}

#define SORT(name, T, engine, a, scratch, n) \
	((void)(engine), sort_serially(&name##_filch_kernel, a, scratch, n, sizeof(T)))
#else
#define SORT(name, T, engine, a, scratch, n) name(engine, a, n)
#endif
#endif

/*
 * arg: elements. value: elements, and 1 if the result is qsort's (written by the driver, outside
 * the timing). tasks: elements.
 */
#define SORT_ENTRY(program, name, T, a, scratch)                                        \
	int BENCH_ENTRY(program)(                                                       \
		void *engine, const struct bench_size *size, struct bench_outcome *out) \
	{                                                                               \
		size_t n = (size_t)size->arg[0];                                        \
		int err = SORT(name, T, engine, a, scratch, n);                         \
                                                                                        \
		*out = (struct bench_outcome){ .value = { n }, .tasks = n };            \
		return err;                                                             \
	}
SORT_ENTRY(sort_typed, sort_records, struct record, records, records_scratch)
SORT_ENTRY(sort_int64, sort_int64, int64_t, (int64_t *)integers, integers_scratch)
SORT_ENTRY(sort_int32, sort_int32, int32_t, (int32_t *)integers, integers_scratch)
