/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server's requests have done for them on another thread. The message is the argument and
 * holds the result.
 */
#ifndef WORK_H
#define WORK_H

#include <stdint.h>

struct work {
	uint64_t n, tag, ms; /* in */
	uint64_t result;     /* out */
};

/*
 * @n steps of a linear congruential generator that begins at @tag: a long time on the processor,
 * and one answer. The cancel flag is looked at between pieces: then -ECANCELED.
 */
int work_compute(void *work);

/* Stores to an address that is not mapped. */
int work_crash(void *work);

/*
 * Pieces of work without end, but for the cancel flag, which is looked at between two of them: then
 * -ETIMEDOUT.
 */
int work_slow(void *work);

/* As work_slow() for @ms, and never looks at the flag: nobody can do more than wait for it. */
int work_stubborn(void *work);

/*
 * Knuth's MMIX generator. What a client checks an answer with: n steps at once are log n
 * multiplications.
 */
#define WORK_FACTOR UINT64_C(6364136223846793005)
#define WORK_ADDEND UINT64_C(1442695040888963407)

/* Of the state after n steps so much is the result: it fits a number in JSON. */
#define WORK_SHIFT 16

#endif
