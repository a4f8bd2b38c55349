/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan: every prefix, inclusive or exclusive, of operations that need not commute; each item
 * written once; the same bits at any number of workers with a fixed grain; what others fold
 * meanwhile is used; refused calls run nothing.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <stdlib.h>

enum { MOST = 70000 };

/* 2x2 matrices modulo 2^64: their product is associative and does not commute. */
struct matrix {
	uint64_t a, b, c, d;
};
static const struct matrix one = { 1, 0, 0, 1 };

static struct matrix times(struct matrix x, struct matrix y)
{
	return (struct matrix){ x.a * y.a + x.b * y.c, x.a * y.b + x.b * y.d, x.c * y.a + x.d * y.c,
		x.c * y.b + x.d * y.d };
}

static struct matrix matrix_of(size_t i)
{
	return (struct matrix){ i + 1, 2 * i + 3, i * i, 5 };
}

static struct matrix out[MOST];
static int written[MOST], folded[MOST];
static size_t longest, from;
static bool exclusive;

static void body(size_t b, size_t e, void *acc, bool write, void *arg)
{
	struct matrix *m = acc;
	size_t length = e - b, seen = __atomic_load_n(&longest, __ATOMIC_RELAXED);

	EQ((uintptr_t)arg, 0x55);
	cr_assert(b < e, "a body gets no empty range");
	while (length > seen && !__atomic_compare_exchange_n(&longest, &seen, length, 0,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	for (size_t i = b; i < e; i++) {
		__atomic_fetch_add(
			write ? &written[i - from] : &folded[i - from], 1, __ATOMIC_RELAXED);
		if (write && exclusive)
			out[i - from] = *m;
		*m = times(*m, matrix_of(i));
		if (write && !exclusive)
			out[i - from] = *m;
	}
}

static void join(void *acc, const void *right, void *arg)
{
	EQ((uintptr_t)arg, 0x55);
	*(struct matrix *)acc = times(*(struct matrix *)acc, *(const struct matrix *)right);
}

/* One scan of @n items from @begin, compared with the serial one. */
static void check(struct filch_pool *pool, size_t begin, size_t n, size_t grain)
{
	struct matrix m = one, total = { 9, 9, 9, 9 };

	memset(written, 0, sizeof written);
	memset(folded, 0, sizeof folded);
	longest = 0;
	from = begin;
	EQ(filch_scan(pool, begin, begin + n, grain, sizeof one, &one, body, join, (void *)0x55,
		   &total),
		0);
	for (size_t i = 0; i < n; i++) {
		if (!exclusive)
			m = times(m, matrix_of(begin + i));
		cr_assert(written[i] == 1 && folded[i] <= 1,
			"item %zu of %zu by %zu: written %d times, folded %d", i, n, grain,
			written[i], folded[i]);
		cr_assert(!memcmp(&out[i], &m, sizeof m), "prefix %zu of %zu by %zu", i, n, grain);
		if (exclusive)
			m = times(m, matrix_of(begin + i));
	}
	cr_assert(!memcmp(&total, &m, sizeof m), "the total of %zu by %zu", n, grain);
	if (grain)
		cr_assert(longest <= grain, "a range of %zu with grain %zu", longest, grain);
}

Test(scan, every_prefix_is_written_once_for_every_range_grain_and_number_of_workers)
{
	const size_t n[] = { 0, 1, 2, 3, 7, 64, 100, 1000, 4097, MOST },
		     grain[] = { 0, 1, 2, 3, 64, 5000, SIZE_MAX };
	const uint32_t workers[] = { 1, 2, 5 };

	for (int w = 0; w < 3; w++) {
		struct filch_pool *pool = pool_of(workers[w], w == 1 ? FILCH_POOL_CALLER : 0);

		for (int i = 0; i < 10; i++) {
			for (int k = 0; k < 7; k++) {
				exclusive = (i + k) % 2;
				check(pool, 0, n[i], grain[k]);
				exclusive = !exclusive;
				check(pool, 5, n[i], grain[k]);
			}
		}
		check(pool, SIZE_MAX - 1000, 1000, 0);
		check(pool, SIZE_MAX - 1000, 1000, 7);
		EQ(filch_pool_destroy(pool), 0);
	}
}

static int scans_in_a_job(void *arg)
{
	check(arg, 0, 1000, 10);
	check(NULL, 0, 4097, 0);
	return 0;
}

Test(scan, a_job_may_scan)
{
	struct filch_pool *pool = pool_of(3, 0);
	struct filch_completion c;

	EQ(filch_wait(pool, filch_submit(pool, scans_in_a_job, pool, NULL), NULL, &c), 0);
	EQ(c.status, 0);
	EQ(filch_pool_destroy(pool), 0);
}

static float floats[MOST];

static void add_floats(size_t b, size_t e, void *acc, bool write, void *arg)
{
	float sum = *(float *)acc;

	(void)arg;
	for (size_t i = b; i < e; i++) {
		sum += 1.0f / (float)(i + 1);
		if (write)
			floats[i] = sum;
	}
	*(float *)acc = sum;
}

static void join_floats(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(float *)acc += *(const float *)right;
}

Test(scan, with_a_fixed_grain_all_prefixes_are_the_same_bits_everywhere)
{
	static float first[MOST];
	const uint32_t workers[] = { 1, 2, 8 };
	const size_t grain[] = { 1, 37, 1000, 30000 };
	const float zero = 0;

	for (int k = 0; k < 4; k++) {
		float total = 0, first_total = 0;

		for (int w = 0; w < 3; w++) {
			struct filch_pool *pool = pool_of(workers[w], 0);

			for (int round = 0; round < 5; round++) {
				EQ(filch_scan(pool, 0, MOST, grain[k], sizeof zero, &zero,
					   add_floats, join_floats, NULL, &total),
					0);
				if (!w && !round) {
					memcpy(first, floats, sizeof first);
					first_total = total;
				}
				cr_assert(!memcmp(first, floats, sizeof first),
					"grain %zu, %u workers", grain[k], workers[w]);
				cr_assert(!memcmp(&total, &first_total, sizeof total));
			}
			EQ(filch_pool_destroy(pool), 0);
		}
	}
}

/* --- both passes ------------------------------------------------------ */

static struct gate folding = GATE_INIT;
static int folds_wanted;
static uint64_t sums[1000];

/*
 * Body 20 waits, while it writes, until somebody has folded further right; the ones before it take
 * long enough to end the serial start.
 */
static void write_after_a_fold(size_t b, size_t e, void *acc, bool write, void *arg)
{
	uint64_t since = test_now();

	(void)arg;
	for (size_t i = b; i < e; i++) {
		*(uint64_t *)acc += i;
		if (write)
			sums[i] = *(uint64_t *)acc;
		if (write && i == 20)
			gate_wait(&folding, folds_wanted);
		if (!write && i > 100)
			gate_raise(&folding);
	}
	while (test_now() - since < 5000)
		;
}

static void join_sums(void *acc, const void *right, void *arg)
{
	(void)arg;
	*(uint64_t *)acc += *(const uint64_t *)right;
}

Test(scan, what_thieves_fold_meanwhile_is_used)
{
	const uint64_t zero = 0;

	for (uint32_t workers = 2; workers <= 4; workers++) {
		struct filch_pool *pool = pool_of(workers, 0);

		for (size_t grain = 0; grain < 9; grain += 4) {
			uint64_t total = 0;

			memset(sums, 0, sizeof sums);
			folds_wanted = gate_count(&folding) + 1;
			EQ(filch_scan(pool, 0, 1000, grain, sizeof zero, &zero, write_after_a_fold,
				   join_sums, NULL, &total),
				0);
			for (size_t i = 0; i < 1000; i++)
				EQ(sums[i], i * (i + 1) / 2);
			EQ(total, 499500);
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}

/* --- large accumulators, in place ------------------------------------- */

enum { BINS = 100 };
static unsigned char digit[5000];
static unsigned seen_before[5000];

/* Prefixes of histograms: how often each item's digit has occurred before it. */
static void histogram(size_t b, size_t e, void *acc, bool write, void *arg)
{
	(void)arg;
	for (size_t i = b; i < e; i++) {
		if (write)
			seen_before[i] = ((unsigned *)acc)[digit[i]];
		((unsigned *)acc)[digit[i]]++;
	}
}

static void add_histograms(void *acc, const void *right, void *arg)
{
	(void)arg;
	for (int i = 0; i < BINS; i++)
		((unsigned *)acc)[i] += ((const unsigned *)right)[i];
}

Test(scan, accumulators_may_be_large)
{
	static const unsigned zero[BINS];
	struct filch_pool *pool = pool_of(3, 0);
	unsigned total[BINS];

	for (size_t i = 0; i < 5000; i++)
		digit[i] = (unsigned char)(i * 7919 % BINS);
	for (size_t grain = 0; grain < 300; grain += 100) {
		unsigned count[BINS] = { 0 };

		EQ(filch_scan(pool, 0, 5000, grain, sizeof zero, zero, histogram, add_histograms,
			   NULL, total),
			0);
		for (size_t i = 0; i < 5000; i++)
			EQ(seen_before[i], count[digit[i]]++);
		cr_assert(!memcmp(total, count, sizeof total));
	}
	EQ(filch_pool_destroy(pool), 0);
}

static void in_place(size_t b, size_t e, void *acc, bool write, void *arg)
{
	uint64_t *at = arg;

	for (size_t i = b; i < e; i++) {
		*(uint64_t *)acc += at[i];
		if (write)
			at[i] = *(uint64_t *)acc;
	}
}

Test(scan, input_and_output_may_be_one_array_and_the_result_may_be_left_out)
{
	static uint64_t at[MOST];
	const uint64_t zero = 0;
	struct filch_pool *pool = pool_of(3, 0);

	for (size_t grain = 0; grain < 200; grain += 100) {
		for (size_t i = 0; i < MOST; i++)
			at[i] = i;
		EQ(filch_scan(
			   pool, 0, MOST, grain, sizeof zero, &zero, in_place, join_sums, at, NULL),
			0);
		for (size_t i = 0; i < MOST; i++)
			EQ(at[i], i * (i + 1) / 2);
	}
	EQ(filch_pool_destroy(pool), 0);
}

Test(scan, bad_input_is_refused_and_runs_nothing)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct matrix r = { 9, 9, 9, 9 };

	EQ(filch_scan(pool, 0, 10, 0, sizeof r, &one, NULL, join, NULL, &r), -EINVAL);
	EQ(filch_scan(pool, 0, 10, 0, sizeof r, &one, body, NULL, NULL, &r), -EINVAL);
	EQ(filch_scan(pool, 0, 10, 0, sizeof r, NULL, body, join, NULL, &r), -EINVAL);
	EQ(filch_scan(pool, 0, 10, 0, 0, &one, body, join, NULL, &r), -EINVAL);
	EQ(filch_scan(pool, 10, 9, 0, sizeof r, &one, body, join, NULL, &r), -EINVAL);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(filch_scan(pool, 0, 10, 0, sizeof r, &one, body, join, NULL, &r), -ESHUTDOWN);
	EQ(r.a, 9);
	EQ(written[0], 0);
	EQ(filch_pool_destroy(pool), 0);
}
