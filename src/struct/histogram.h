/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log-linear histograms in fixed memory: eight buckets to each power of two, so that a value is
 * known to an eighth, whatever its size. One thread adds, with plain stores; any thread reads.
 */
#ifndef FILCHI_HISTOGRAM_H
#define FILCHI_HISTOGRAM_H

#include <stdint.h>

#include "base/atomic.h"

#define FILCHI_HISTOGRAM_BITS    3u  /* 2^3 buckets to a power of two */
#define FILCHI_HISTOGRAM_TOP     40u /* values from 2^40 on lie in the last bucket */
#define FILCHI_HISTOGRAM_BUCKETS ((FILCHI_HISTOGRAM_TOP - FILCHI_HISTOGRAM_BITS + 1) << 3)

struct filchi_histogram {
	filch_atomic_u64 bucket[FILCHI_HISTOGRAM_BUCKETS];
};

static inline uint32_t filchi_histogram_index(uint64_t value)
{
	uint32_t top;

	if (value < 1u << FILCHI_HISTOGRAM_BITS)
		return (uint32_t)value;
	top = 63u - (uint32_t)__builtin_clzll(value);
	if (top >= FILCHI_HISTOGRAM_TOP)
		return FILCHI_HISTOGRAM_BUCKETS - 1;
	return ((top - FILCHI_HISTOGRAM_BITS) << FILCHI_HISTOGRAM_BITS) +
	       (uint32_t)(value >> (top - FILCHI_HISTOGRAM_BITS));
}

/* The smallest value of bucket @i; of the one behind the last: 2^40. */
static inline uint64_t filchi_histogram_least(uint32_t i)
{
	const uint32_t each = 1u << FILCHI_HISTOGRAM_BITS;

	return i < 2 * each ? i : (uint64_t)(each + i % each) << (i / each - 1);
}

/* The one thread that adds: @value, @times times. */
static inline void filchi_histogram_add(struct filchi_histogram *h, uint64_t value, uint64_t times)
{
	filch_atomic_u64 *bucket = &h->bucket[filchi_histogram_index(value)];

	filch_store_relaxed(bucket, filch_load_relaxed(bucket) + times);
}

/* How many values there are in a copy. */
static inline uint64_t filchi_histogram_count(const uint64_t *bucket)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < FILCHI_HISTOGRAM_BUCKETS; i++)
		n += bucket[i];
	return n;
}

/*
 * In a copy, a value that @share of all values do not exceed, to the end of its bucket; 0 if there
 * are none. @share is in thousandths.
 */
static inline uint64_t filchi_histogram_quantile(const uint64_t *bucket, uint32_t share)
{
	const uint64_t n = filchi_histogram_count(bucket);
	const uint64_t rank = n / 1000 * share + (n % 1000 * share + 999) / 1000;
	uint64_t seen = 0;

	if (!n)
		return 0;
	for (uint32_t i = 0; i < FILCHI_HISTOGRAM_BUCKETS; i++) {
		seen += bucket[i];
		if (seen >= rank && seen)
			return filchi_histogram_least(i + 1) - 1;
	}
	return filchi_histogram_least(FILCHI_HISTOGRAM_BUCKETS) - 1;
}

#endif
