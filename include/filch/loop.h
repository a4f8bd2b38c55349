/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel loops, written on the public task interface alone. Bodies take ranges, so that compilers vectorise them.
 *
 * Callers of all: any thread; a NULL pool is the current worker's. From a worker a loop is nested work of the running job; from
 * outside it is one job. All return 0, or -EINVAL (NULL body, begin > end, NULL pool outside a worker), -ENOMEM, -ENOBUFS,
 * -ESHUTDOWN, -ECANCELED, -ECHILD as FILCH_RUN does; on an error no body has run, but for -ENOMEM from a reduction whose
 * accumulators are larger than 256 bytes: there some may have, and the result is untouched. The bodies' writes are visible
 * after the call. @grain is the largest range, in items, handed to a body at a time; 0 chooses one from the range and the
 * workers.
 */
#ifndef FILCH_LOOP_H
#define FILCH_LOOP_H

#include "detail/base.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* body(b, e, arg) for ranges that cover [begin, end) exactly once. */
FILCH_API int filch_for(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
			void (*body)(size_t b, size_t e, void *arg), void *arg);

/*
 * Folds [begin, end) into @result (@size bytes, may not be NULL). Each accumulator starts as a copy of @identity; body(b, e, acc,
 * arg) adds a range to one; join(acc, right, arg) adds to @acc the fold of the range directly to its right. The operation must
 * be associative, it need not commute. With a fixed @grain > 0 the tree of joins depends on the range and the grain alone, so
 * that floating-point results are the same bits at any number of workers.
 */
FILCH_API int filch_reduce(struct filch_pool *pool, size_t begin, size_t end, size_t grain, size_t size, const void *identity,
			   void (*body)(size_t b, size_t e, void *acc, void *arg),
			   void (*join)(void *acc, const void *right, void *arg), void *arg, void *result);

/* Runs fn[i](arg[i]) for all i < n, in parallel where workers are free; @arg may be NULL (every function then gets NULL). */
FILCH_API int filch_invoke(struct filch_pool *pool, size_t n, void (*const fn[])(void *arg), void *const arg[]);

FILCH_EXTERN_C_END

#endif
