/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of the merge sort, made and checked outside the timed part and the same for every
 * contestant.
 */
#ifndef BENCH_RECORDS_H
#define BENCH_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct record {
	/* from a range smaller than their number, so that equal keys occur */
	uint64_t key;
	/* where the record stood before: shows whether the sort is stable */
	uint64_t place;
};

/*
 * The array to sort and the scratch of the same length, the same records before every measurement.
 * They are right afterwards if they are what qsort makes of them, equal keys in their first order;
 * that qsort runs once and is kept. See data.h.
 */
extern struct record *records, *records_scratch;

/* The same for integers, of 64 or of 32 bits, the program decides: integers_data.c. */
extern void *integers, *integers_scratch;

#ifdef __cplusplus
}
#endif

#endif
