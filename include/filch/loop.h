/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel loops: for, reduce, scan, invoke. Bodies take ranges, so that compilers vectorise them. FILCH_FOR_DEFINE makes a for whose
 * body is compiled in.
 *
 * Callers of all: any thread; a NULL pool is the current worker's. From a worker a loop is nested work of the running job; from
 * outside it is one job, on the creating thread of a FILCH_POOL_CALLER pool one that costs no change of threads.
 *
 * Progress: a call returns when every body has; bodies that are under way are never interrupted. From outside it waits for room in a
 * full queue, as FILCH_BLOCK. Ordering: writes before the call are visible to the bodies, theirs after it; between bodies there is no
 * order but what reduce and scan say. Lifetime: @arg and what it leads to must stay until the call returns; nothing is kept.
 *
 * Grain: the largest range, in items, handed to a body at a time; 0 leaves that to the loop. It is not what a task costs: a loop
 * begins serially, measures its bodies, and hands out pieces of some microseconds, each made of as many grains as that takes; one
 * that is over within a microsecond wakes nobody. A loop of up to eight grains for each worker is taken for one of long bodies:
 * it is split at once, each grain a task of its own. Bodies of larger loops may not wait for each other.
 *
 * All return 0 when every body has run; -EINVAL (NULL body, begin > end, NULL pool outside a worker); -ENOBUFS, -ESHUTDOWN, -ECHILD
 * as FILCH_RUN: then no body has run. -ECANCELED: the job was cancelled (filch_job_cancelled(); also by abandoning or destroying
 * the pool) before every body had started. No further body starts once the flag is up, some may have run, results are untouched.
 * -ENOMEM: see below; results are untouched.
 */
#ifndef FILCH_LOOP_H
#define FILCH_LOOP_H

#include "detail/loop.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* body(b, e, arg) for ranges that cover [begin, end) exactly once. */
FILCH_API int filch_for(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
			void (*body)(size_t b, size_t e, void *arg), void *arg);

/*
 * Folds [begin, end) into @result (@size bytes, may not be NULL). Each accumulator starts as a copy of @identity; body(b, e, acc,
 * arg) adds a range to one; join(acc, right, arg) adds to @acc the fold of the range directly to its right. The operation must
 * be associative, it need not commute. An accumulator may be of any type aligned to 128 bytes at most: each lies at a multiple of the
 * largest power of two, up to 128, that divides @size, which with size = sizeof(type) is alignment enough.
 *
 * With a @grain > 0 the tree of joins depends on the range and the grain alone: floating-point results are the same bits at any
 * number of workers, at any time. Each grain is folded from the identity and joined, so it should be worth that. With 0 the brackets
 * are set by who was idle when: the fastest, and for operations on integers the same result; for floating point the last bits may
 * differ from call to call.
 *
 * -ENOMEM: accumulators larger than 256 bytes come from the heap; bodies may have run.
 */
FILCH_API int filch_reduce(struct filch_pool *pool, size_t begin, size_t end, size_t grain, size_t size, const void *identity,
			   void (*body)(size_t b, size_t e, void *acc, void *arg),
			   void (*join)(void *acc, const void *right, void *arg), void *arg, void *result);

/*
 * All prefixes of [begin, end). body(b, e, acc, write, arg) adds items [b, e) to @acc, from left to right, as in filch_reduce();
 * with @write it also writes their results, @acc being the fold of all items before b when it is called:
 *
 *     for (i = b; i < e; i++) {
 *             if (write)
 *                     out[i] = *acc;      exclusive: before the item is added
 *             *acc += in[i];
 *             if (write)
 *                     out[i] = *acc;      inclusive: after
 *     }
 *
 * Every item is written exactly once, and added without @write at most once before; in and out may be the same array. @result, if
 * not NULL, receives the fold of all. Associativity, @identity, @join, @size, alignment and the meaning of @grain for floating-point
 * results as in filch_reduce().
 *
 * -ENOMEM: for accumulators larger than 256 bytes; no body has run. Where there is no memory for the blocks the scan is serial.
 */
FILCH_API int filch_scan(struct filch_pool *pool, size_t begin, size_t end, size_t grain, size_t size, const void *identity,
			 void (*body)(size_t b, size_t e, void *acc, bool write, void *arg),
			 void (*join)(void *acc, const void *right, void *arg), void *arg, void *result);

/* Runs fn[i](arg[i]) for all i < n, in parallel where workers are free; @arg may be NULL (every function then gets NULL). */
FILCH_API int filch_invoke(struct filch_pool *pool, size_t n, void (*const fn[])(void *arg), void *const arg[]);

FILCH_EXTERN_C_END

/*
 * FILCH_FOR_DEFINE(name, type, body);
 *
 * makes    static int name(struct filch_pool *pool, size_t begin, size_t end, size_t grain, type *arg)
 *
 * filch_for() with the body compiled in; the rest of its contract holds. body(b, e, arg) is a function, a macro that is a statement, or in
 * C++ an object of the file that can be called. @arg has the type given, void if it is to be any, or const. Worth it where bodies get few
 * items: a call through a pointer costs some 3 ns with what has to be set up anew in each.
 *
 *     static inline void scale(size_t b, size_t e, struct image *image) { ... }
 *     FILCH_FOR_DEFINE(scale_all, struct image, scale);
 *
 *     int error = scale_all(pool, 0, image->rows, 1, image);
 */
#define FILCH_FOR_DEFINE(name, type, body)                                                                             \
	FILCH_LOOP_PIECE(name##_filch_piece, __typeof__(type), body)                                                   \
	FILCH_UNUSED static int name(struct filch_pool *pool, size_t begin, size_t end, size_t grain, __typeof__(type) *arg) \
	{                                                                                                              \
		return filch_for_with(pool, begin, end, grain, name##_filch_piece, arg);                               \
	}                                                                                                              \
	FILCH_STATIC_ASSERT(1, "")

#endif
