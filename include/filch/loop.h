/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel loops: for, reduce, scan, invoke. Bodies take ranges, so that compilers vectorise them.
 * FILCH_FOR_DEFINE makes a for whose body is compiled in.
 *
 * The contract of all:
 *
 * Callers:  any thread; a NULL pool is as in pool.h. From a worker a loop is nested work of
 *           the running job; from outside it is one job. On the creating thread of a
 *           FILCH_POOL_CALLER pool it costs no change of threads.
 * Progress: a call returns when every body has. A body under way is never interrupted. From outside
 *           the call waits for room in a full queue, as FILCH_BLOCK. Pools may call each other,
 *           as with FILCH_RUN.
 *           Hold no lock over a loop that a body or another task or job may want: a worker that
 *           waits in it runs other tasks of its job on top of this frame.
 * Ordering: writes before the call are visible to the bodies, theirs after it. Between bodies there
 *           is only the order that reduce and scan promise.
 * Lifetime: @arg, and everything it leads to, must stay until the call returns.
 * Returns:  0 when every body has run. Errors:
 *           -EINVAL     NULL body, begin > end; no body has run.
 *           -ENOBUFS, -ESHUTDOWN, -EDEADLK, -ECHILD
 *                       as FILCH_RUN: no body has run.
 *           -ECANCELED  the job, or a scope around the loop, was cancelled before every body had
 *                       started: see filch_cancelled(); abandoning or destroying the pool does it
 *                       too. Some bodies may have run, none starts afterwards, and results are
 *                       untouched.
 *           -ENOMEM     see below; results are untouched.
 *
 * What a nested loop waits for: other workers that run a part of it. Meanwhile this worker may run
 * any other work of the same job on top of the caller's frame, other bodies of an outer loop as
 * well. Hold no lock over a nested loop, and leave no memory of the worker half changed, unless the
 * loop stands in a scope: scope.h, and task.h for what may run on top of a frame that waits.
 *
 * Cancellation: of the job, by filch_cancel(); of a part of it, by filch_scope_cancel(); of one
 * loop, by a body of filch_for_until().
 *
 * Grain: the largest range, in items, that one body gets; 0 leaves that to the loop. It is not the
 * size of a task. A loop begins serially, measures its bodies, and hands out chunks of some
 * microseconds, each of as many grains as that takes. One that is over within a microsecond wakes
 * nobody. A loop of up to eight grains for each worker is taken for one of long bodies. It is split
 * at once, each grain a task of its own. Bodies of larger loops may not wait for each other.
 */
#ifndef FILCH_LOOP_H
#define FILCH_LOOP_H

#include "detail/loop_body.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* Calls body(b, e, arg) for ranges that cover [begin, end) exactly once. */
FILCH_API int filch_for(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
	void (*body)(size_t b, size_t e, void *arg), void *arg);

/*
 * The same with bodies that can end the loop: the first status that is not 0 ends it, and is
 * returned. No further body starts then; those under way are not interrupted, and the status of
 * one that ends later is dropped. Loops inside of a body go on: filch_scope_cancel() ends those as
 * well. A status should be told from the errors above; a positive one is.
 */
FILCH_API int filch_for_until(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
	int (*body)(size_t b, size_t e, void *arg), void *arg) FILCH_MUST_CHECK;

/*
 * Folds [begin, end) into @result (@size bytes, not NULL).
 * - Each accumulator starts as a copy of @identity.
 * - body(b, e, acc, arg) adds a range to one.
 * - join(acc, right, arg) adds to @acc the fold of the range directly to its right.
 *
 * The operation must be associative; it need not commute. An accumulator may be of any type aligned
 * to 128 bytes at most. Each lies at a multiple of the largest power of two, up to 128, that
 * divides @size. With size = sizeof(type) that is alignment enough.
 *
 * With a @grain > 0 the tree of joins depends on the range and the grain alone. Floating-point
 * results are then the same bits at any number of workers, at any time. Each grain is folded from
 * the identity and joined, so it should be worth that. With 0 the brackets depend on which workers
 * were idle. That is the fastest, and the same result for operations on integers. For floating
 * point the last bits may differ from call to call.
 *
 * -ENOMEM: accumulators larger than 256 bytes come from the heap; bodies may have run.
 */
FILCH_API int filch_reduce(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
	size_t size, const void *identity, void (*body)(size_t b, size_t e, void *acc, void *arg),
	void (*join)(void *acc, const void *right, void *arg), void *arg, void *result);

/*
 * All prefixes of [begin, end). body(b, e, acc, write, arg) adds items [b, e) to @acc, from left to
 * right, as in filch_reduce(). With @write it also writes their results; @acc then begins as the
 * fold of all items before b:
 *
 *     for (i = b; i < e; i++) {
 *             if (write)
 *                     out[i] = *acc;      exclusive: before the item is added.
 *             *acc += in[i];
 *             if (write)
 *                     out[i] = *acc;      inclusive: after.
 *     }
 *
 * Every item is written exactly once, and added without @write at most once before. in and out may
 * be the same array. @result, if not NULL, receives the fold of all. @identity, @join, @size,
 * alignment, and the meaning of @grain for floating-point results are as in filch_reduce().
 *
 * -ENOMEM: for accumulators larger than 256 bytes; no body has run. Without memory for the blocks
 * the scan is serial.
 */
FILCH_API int filch_scan(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
	size_t size, const void *identity,
	void (*body)(size_t b, size_t e, void *acc, bool write, void *arg),
	void (*join)(void *acc, const void *right, void *arg), void *arg, void *result);

/*
 * Runs fn[i](arg[i]) for all i < n, in parallel where workers are free. @arg may be NULL; every
 * function then gets NULL.
 */
FILCH_API int filch_invoke(
	struct filch_pool *pool, size_t n, void (*const fn[])(void *arg), void *const arg[]);

FILCH_EXTERN_C_END

/*
 * FILCH_FOR_DEFINE(name, type, body): makes a loop whose body is compiled in.
 *
 *     static int name(struct filch_pool *pool, size_t begin, size_t end, size_t grain, type *arg)
 *
 * is filch_for() with that body; the rest of its contract holds. body(b, e, arg)
 * is a function, a macro that is a statement, or in C++ an object of the file that can be called.
 * @arg has the type given, void if it is to be any, or const. It is worth it where bodies get few
 * items: a call through a pointer must set everything up anew in each.
 *
 *     static inline void scale(size_t b, size_t e, struct image *image) { ... }
 *     FILCH_FOR_DEFINE(scale_all, struct image, scale);
 *
 *     int error = scale_all(pool, 0, image->rows, 1, image);
 */
#define FILCH_FOR_DEFINE(name, type, body)                                               \
	FILCH_LOOP_PIECE(name##_filch_piece, __typeof__(type), body)                     \
	FILCH_UNUSED static int name(struct filch_pool *pool, size_t begin, size_t end,  \
		size_t grain, __typeof__(type) *arg)                                     \
	{                                                                                \
		return filch_for_with(pool, begin, end, grain, name##_filch_piece, arg); \
	}                                                                                \
	FILCH_STATIC_ASSERT(1, "")

#endif
