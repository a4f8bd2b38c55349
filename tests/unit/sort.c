/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sorts: stable, for elements of any size, whatever their order was; a permutation even when the
 * comparison contradicts itself or the job is cancelled; from outside, from workers, nested, from
 * the creating thread; a refused call has touched nothing.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

/* --- arrays to sort, and what a stable sort makes of them ------------- */

/*
 * A key of few values and the place it came from: what equal keys may be told apart by, and the
 * comparison may not look at.
 */
struct tagged {
	uint32_t key, tag;
};

enum order {
	RANDOM,
	FEW_KEYS,
	SORTED,
	REVERSED,
	EQUAL,
	ORGAN_PIPE,
	SAWTOOTH,
	ALMOST,
	HALVES_SWAPPED,
	KILLER,
	ORDERS
};

/* The key at place @i of @n. */
static uint32_t key_of(enum order order, size_t i, size_t n, uint64_t *state)
{
	switch (order) {
	case RANDOM:
		return (uint32_t)test_random(state);
	case FEW_KEYS:
		return (uint32_t)(test_random(state) % 7);
	case SORTED:
		return (uint32_t)(i / 2);
	case REVERSED:
		return (uint32_t)(n - i);
	case EQUAL:
		return 5;
	case ORGAN_PIPE:
		return (uint32_t)(i < n / 2 ? i : n - i);
	case SAWTOOTH:
		return (uint32_t)(i % 100);
	case ALMOST:
		return (uint32_t)(test_random(state) % 50 ? i : i / 2);
	case HALVES_SWAPPED:
		return (uint32_t)((i + n / 2) % (n ? n : 1));
	default: /* what a median of three falls for: odd places rise, even ones lie in between */
		return (uint32_t)(i % 2 ? i : n / 2 + i / 2);
	}
}

static bool tagged_before(const struct tagged *a, const struct tagged *b)
{
	return a->key < b->key || (a->key == b->key && a->tag < b->tag);
}

#define BY_KEY(a, b) ((a).key < (b).key)
FILCH_SORT_DEFINE(sort_tagged, struct tagged, BY_KEY);

Test(sort, a_typed_sort_is_stable_for_every_length_and_order)
{
	struct filch_pool *pool = pool_of(3, 0);
	uint64_t state = test_seed();
	static struct tagged a[100003];

	for (size_t n = 0; n <= sizeof a / sizeof a[0]; n = n < 300 ? n + 1 : n * 3 + 1) {
		for (enum order order = 0; order < ORDERS; order++) {
			uint64_t sum = 0, sum_after = 0;

			for (size_t i = 0; i < n; i++) {
				a[i] = (struct tagged){ key_of(order, i, n, &state), (uint32_t)i };
				sum += a[i].key * UINT64_C(0x9E3779B97F4A7C15) ^ a[i].tag;
			}
			EQ(sort_tagged(pool, a, n), 0);
			for (size_t i = 0; i < n; i++) {
				cr_assert(!i || tagged_before(&a[i - 1], &a[i]),
					"order %d, length %zu: place %zu", order, n, i);
				sum_after += a[i].key * UINT64_C(0x9E3779B97F4A7C15) ^ a[i].tag;
			}
			EQ(sum, sum_after);
		}
	}
	EQ(filch_pool_destroy(pool), 0);
}

/*
 * Elements of any size: the key in the first bytes, then the place they came from as far as there
 * is room, then a pattern.
 */
struct bytes {
	size_t size, key;
};

static int compare_bytes(const void *a, const void *b, void *arg)
{
	const struct bytes *how = arg;

	return memcmp(a, b, how->key);
}

static unsigned char pattern(size_t tag, size_t at)
{
	return (unsigned char)(tag * 31 + at);
}

static void check_size(
	struct filch_pool *pool, size_t size, size_t n, enum order order, uint64_t *state)
{
	struct bytes how = { size, size > 8 ? 4 : size > 1 ? size / 2 : 1 };
	unsigned char *a = malloc(n * size + 1), *expect = malloc(n * size + 1);

	cr_assert(a && expect);
	for (size_t i = 0; i < n; i++) {
		uint32_t key = __builtin_bswap32(key_of(order, i, n, state)), tag = (uint32_t)i;
		unsigned char *e = a + i * size;

		for (size_t at = 8; at < size; at++)
			e[at] = pattern(tag, at);
		memcpy(e, (unsigned char *)&key + 4 - how.key, how.key);
		for (size_t at = how.key; at < size && at < how.key + 4; at++)
			e[at] = (unsigned char)(tag >> 8 * (at - how.key));
	}
	memcpy(expect, a, n * size);
	/* glibc's merges, and is stable, as long as there is memory */
	qsort_r(expect, n, size, compare_bytes, &how);
	EQ(filch_sort(pool, a, n, size, compare_bytes, &how), 0);
	cr_assert(!memcmp(a, expect, n * size), "%zu elements of %zu bytes, order %d", n, size,
		order);
	free(a);
	free(expect);
}

Test(sort, elements_of_any_size_are_sorted_as_by_glibc)
{
	const size_t size[] = { 1, 2, 3, 4, 8, 12, 16, 24, 33, 100, 128, 129, 4096 };
	const size_t n[] = { 0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 257, 1000, 3000 };
	struct filch_pool *pool = pool_of(2, 0);
	uint64_t state = test_seed();

	for (size_t s = 0; s < sizeof size / sizeof size[0]; s++) {
		for (enum order order = 0; order < ORDERS; order++)
			for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
				if (n[i] * size[s] < 2000000)
					check_size(pool, size[s], n[i], order, &state);
		check_size(pool, size[s], 4000000 / (size[s] + 36), RANDOM, &state);
	}
	EQ(filch_pool_destroy(pool), 0);
}

/* --- comparisons counted ---------------------------------------------- */

static uint64_t compared;

static int count_compare(const void *a, const void *b, void *arg)
{
	uint64_t x, y;

	(void)arg;
	__atomic_fetch_add(&compared, 1, __ATOMIC_RELAXED);
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

Test(sort, what_is_in_order_or_strictly_falls_costs_one_comparison_per_element)
{
	enum { N = 100000 };
	static uint64_t a[N];
	struct filch_pool *pool = pool_of(2, 0);

	for (uint64_t i = 0; i < N; i++)
		a[i] = i / 3;
	EQ(filch_sort(pool, a, N, sizeof a[0], count_compare, NULL), 0);
	cr_assert(compared <= N, "%llu", (unsigned long long)compared);
	for (uint64_t i = 0; i < N; i++)
		a[i] = N - i;
	compared = 0;
	EQ(filch_sort(pool, a, N, sizeof a[0], count_compare, NULL), 0);
	cr_assert(compared <= N + 1, "%llu", (unsigned long long)compared);
	for (uint64_t i = 0; i < N; i++)
		EQ(a[i], i + 1);
	/* one element out of place at the end: the parts before it are recognised as well */
	a[N - 1] = 0;
	compared = 0;
	EQ(filch_sort(pool, a, N, sizeof a[0], count_compare, NULL), 0);
	cr_assert(compared <= 5 * N, "%llu", (unsigned long long)compared);
	EQ(a[0], 0);
	EQ(a[1], 1);
	/* and at worst n log2 n and a little: 17 per element */
	for (uint64_t i = 0; i < N; i++)
		a[i] = i * UINT64_C(0x9E3779B97F4A7C15);
	compared = 0;
	EQ(filch_sort(pool, a, N, sizeof a[0], count_compare, NULL), 0);
	cr_assert(compared > 14 * N && compared < 18 * N, "%llu", (unsigned long long)compared);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- comparisons that lie --------------------------------------------- */

static uint64_t lies;

static int contradict(const void *a, const void *b, void *arg)
{
	uint64_t x = __atomic_fetch_add(&lies, 1, __ATOMIC_RELAXED);

	(void)a;
	(void)b;
	switch (*(int *)arg) {
	case 0:
		return -1;
	case 1:
		return 1;
	case 2:
		return x % 2 ? 1 : -1;
	default:
		x += test_seed();
		return test_random(&x) % 2 ? 1 : -1;
	}
}

Test(sort, a_comparison_that_contradicts_itself_leaves_a_permutation)
{
	const size_t size[] = { 4, 8, 12, 16, 200 },
		     n[] = { 2, 3, 4, 31, 64, 100, 1000, 5000, 20000 };
	struct filch_pool *pool = pool_of(3, 0);

	for (int how = 0; how < 4; how++) {
		for (size_t s = 0; s < 5; s++) {
			for (size_t k = 0; k < 9; k++) {
				/* exactly: the sanitizer sees what is beyond */
				char *a = malloc(n[k] * size[s]);
				bool *seen = calloc(n[k], sizeof *seen);

				cr_assert(a && seen);
				memset(a, 0x5a, n[k] * size[s]);
				for (uint32_t i = 0; i < n[k]; i++)
					memcpy(a + i * size[s], &i, sizeof i);
				EQ(filch_sort(pool, a, n[k], size[s], contradict, &how), 0);
				for (size_t i = 0; i < n[k]; i++) {
					uint32_t tag;

					memcpy(&tag, a + i * size[s], sizeof tag);
					cr_assert(tag < n[k] && !seen[tag],
						"lie %d, %zu of %zu bytes: %u", how, n[k], size[s],
						tag);
					seen[tag] = true;
				}
				free(a);
				free(seen);
			}
		}
	}
	EQ(filch_pool_destroy(pool), 0);
}

static inline bool below(double a, double b)
{
	return a < b;
}
FILCH_SORT_DEFINE(sort_doubles, double, below);

Test(sort, numbers_that_are_not_numbers_do_not_lose_the_others)
{
	static double a[5000];
	struct filch_pool *pool = pool_of(2, 0);
	double sum = 0, sum_after = 0;
	int nans = 0;

	for (int i = 0; i < 5000; i++) {
		a[i] = i % 7 ? i * 7919 % 5000 : __builtin_nan("");
		sum += i % 7 ? a[i] : 0;
	}
	EQ(sort_doubles(pool, a, 5000), 0);
	for (int i = 0; i < 5000; i++) {
		bool nan = __builtin_isnan(a[i]);

		nans += nan;
		sum_after += nan ? 0 : a[i];
	}
	EQ(nans, 715);
	EQ(sum, sum_after);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- from everywhere -------------------------------------------------- */

#define LESS(a, b) ((a) < (b))
FILCH_SORT_DEFINE(sort_words, uint64_t, LESS);

static void shuffle(uint64_t *a, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		a[i] = (i + seed) * UINT64_C(0x9E3779B97F4A7C15) >> 20;
}

static bool in_order(const uint64_t *a, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (a[i] < a[i - 1])
			return false;
	return true;
}

enum { ROWS = 40, ROW = 3000 };

static uint64_t all_rows[ROWS * ROW];

static uint64_t *row(size_t i)
{
	return all_rows + i * ROW;
}

static void sort_rows(size_t b, size_t e, void *arg)
{
	for (size_t i = b; i < e; i++) {
		shuffle(row(i), ROW, i);
		EQ(i % 2 ? sort_words(arg, row(i), ROW)
			 : filch_sort(NULL, row(i), ROW, 8, count_compare, NULL),
			0);
	}
}

static int sort_in_a_job(void *arg)
{
	shuffle(all_rows, ROWS * (size_t)ROW, 1);
	return sort_words(arg, all_rows, ROWS * (size_t)ROW);
}

static bool rows_in_order(void)
{
	for (size_t i = 0; i < ROWS; i++)
		if (!in_order(row(i), ROW))
			return false;
	return true;
}

Test(sort, sorts_run_in_loops_and_jobs_and_on_the_creating_thread)
{
	for (uint32_t workers = 1; workers <= 4; workers++) {
		struct filch_pool *pool = pool_of(workers, workers % 2 ? 0 : FILCH_POOL_CALLER);
		struct filch_completion c;

		EQ(filch_for(pool, 0, ROWS, 1, sort_rows, pool), 0);
		cr_assert(rows_in_order());
		EQ(filch_wait(pool, filch_submit(pool, sort_in_a_job, NULL, NULL), NULL, &c), 0);
		EQ(c.status, 0);
		cr_assert(in_order(all_rows, ROWS * (size_t)ROW));
		shuffle(all_rows, ROWS * (size_t)ROW, 2);
		EQ(sort_words(pool, all_rows, ROWS * (size_t)ROW), 0);
		cr_assert(in_order(all_rows, ROWS * (size_t)ROW));
		EQ(filch_pool_destroy(pool), 0);
	}
}

/* A comparison that sorts: by the smallest of three. */
static int compare_smallest(const void *a, const void *b, void *arg)
{
	uint64_t x[3], y[3];

	(void)arg;
	memcpy(x, a, sizeof x);
	memcpy(y, b, sizeof y);
	EQ(sort_words(NULL, x, 3), 0);
	EQ(filch_sort(NULL, y, 3, 8, count_compare, NULL), 0);
	return x[0] < y[0] ? -1 : x[0] > y[0];
}

static uint64_t smallest(const uint64_t *a)
{
	uint64_t least = a[0] < a[1] ? a[0] : a[1];

	return least < a[2] ? least : a[2];
}

Test(sort, a_comparison_may_sort)
{
	struct filch_pool *pool = pool_of(2, 0);

	shuffle(all_rows, 2400, 3);
	EQ(filch_sort(pool, all_rows, 800, 24, compare_smallest, NULL), 0);
	for (size_t i = 3; i < 2400; i += 3)
		cr_assert(smallest(all_rows + i - 3) <= smallest(all_rows + i));
	EQ(filch_pool_destroy(pool), 0);
}

/* --- cancelled -------------------------------------------------------- */

static struct filch_pool *cancel_pool;
static int64_t cancel_id;
static uint64_t cancel_at;
static struct gate id_known = GATE_INIT;

/* Cancels its own job at one of its comparisons. */
static int compare_and_cancel(const void *a, const void *b, void *arg)
{
	if (__atomic_load_n(&compared, __ATOMIC_RELAXED) == cancel_at)
		EQ(filch_cancel(cancel_pool, cancel_id), 0);
	return count_compare(a, b, arg);
}

static int sort_to_cancel(void *arg)
{
	gate_wait(&id_known, *(int *)arg);
	return filch_sort(NULL, all_rows, ROWS * (size_t)ROW, 8, compare_and_cancel, NULL);
}

Test(sort, a_cancelled_sort_ends_early_and_leaves_a_permutation)
{
	const size_t n = ROWS * (size_t)ROW;
	uint64_t all, seen_early = 0;

	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct filch_pool *pool = cancel_pool = pool_of(workers, 0);

		shuffle(all_rows, n, 5);
		compared = 0;
		EQ(filch_sort(pool, all_rows, n, 8, count_compare, NULL), 0);
		all = compared;
		for (int at = 0; at < 20; at++) {
			int turn = (int)(workers - 1) * 20 + at + 1;
			struct filch_completion c;

			for (size_t i = 0; i < n; i++)
				/* a permutation: 7919 is prime and no divisor of n */
				all_rows[i] = i * 7919 % n;
			compared = 0;
			cancel_at = all / 20 * (uint64_t)at + 1;
			cancel_id = filch_submit(pool, sort_to_cancel, &turn, NULL);
			gate_raise(&id_known);
			EQ(filch_wait(pool, cancel_id, NULL, &c), 0);
			if (c.status) {
				EQ(c.status, -ECANCELED);
				cr_assert(compared < all);
				seen_early++;
			}
			EQ(sort_words(pool, all_rows, n), 0);
			for (size_t i = 0; i < n; i++)
				EQ(all_rows[i], i);
		}
		EQ(filch_pool_destroy(pool), 0);
	}
	cr_assert(seen_early > 30, "%llu of 60 sorts were cancelled in time",
		(unsigned long long)seen_early);
}

/* --- bad input -------------------------------------------------------- */

Test(sort, bad_input_is_refused_and_touches_nothing)
{
	struct filch_pool *pool = pool_of(2, 0);
	uint64_t a[3] = { 3, 2, 1 };

	EQ(filch_sort(pool, NULL, 3, 8, count_compare, NULL), -EINVAL);
	EQ(filch_sort(pool, a, 3, 8, NULL, NULL), -EINVAL);
	EQ(filch_sort(pool, a, 3, 0, count_compare, NULL), -EINVAL);
	EQ(filch_sort(pool, a, SIZE_MAX / 4, 8, count_compare, NULL), -EINVAL);
	EQ(filch_sort(pool, a, SIZE_MAX / 200, 1000, count_compare, NULL), -EINVAL);
	EQ(sort_words(pool, a, SIZE_MAX / 8), -EINVAL);
	EQ(sort_words(pool, NULL, 3), -EINVAL);
	EQ(filch_sort(pool, NULL, 0, 8, count_compare, NULL), 0);
	EQ(filch_sort(pool, a, 1, 8, count_compare, NULL), 0);
	EQ(sort_words(pool, NULL, 0), 0);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(filch_sort(pool, a, 3, 8, count_compare, NULL), -ESHUTDOWN);
	EQ(sort_words(pool, a, 3), -ESHUTDOWN);
	EQ(compared, 0);
	cr_assert(a[0] == 3 && a[1] == 2 && a[2] == 1);
	EQ(filch_pool_destroy(pool), 0);
}
