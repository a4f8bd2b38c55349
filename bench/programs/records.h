/* SPDX-License-Identifier: Apache-2.0 */
/* The records of the merge sort, made and checked outside the timed part and the same for every contestant. */
#ifndef BENCH_RECORDS_H
#define BENCH_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct record {
	uint64_t key;            /* from a range smaller than their number, so that equal keys occur */
	uint64_t place;          /* where the record stood before: shows whether the sort is stable */
};

/* The array to sort and the scratch of the same length; valid between records_prepare() and the next call of it. */
extern struct record *records, *records_scratch;

/* (Re)fills `records` with @n records, the same ones every time. Returns 0 or -ENOMEM. */
int records_prepare(size_t n);

/* Whether `records` equals what qsort makes of them, equal keys in their first order. The qsort runs once and is kept. */
bool records_check(size_t n);

void records_free(void);

#ifdef __cplusplus
}
#endif

#endif
