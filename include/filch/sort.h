/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stable parallel sorts: of elements of any size with a comparison function, as qsort_r(), and of a
 * type with a comparison that is compiled in.
 *
 *     #define BY_TIME(a, b) ((a).time < (b).time)
 *     FILCH_SORT_DEFINE(sort_by_time, struct event, BY_TIME);
 *
 *     int error = sort_by_time(pool, events, n);
 *
 * Both are one merge sort (detail/sort_merge.h, src/algo/sort.c). Pieces of 8 KiB are sorted and
 * then merged by twos, the merges in parallel as well. No branch depends on a comparison's result.
 * It makes about n log2(n) comparisons. Input that is in order, or strictly falls, is recognised
 * with n - 1, and parts that are in order are not moved until they must be.
 *
 * Memory: an array in order needs none. Any other needs room for @n elements, up to 4 KiB of it on
 * the stack; above 4 MiB it is rounded up to the next 2 MiB. filch_sort() on elements of more than
 * 128 bytes sorts their addresses instead, and moves each element once, on one worker. It then
 * needs room for 2 @n pointers and one element.
 */
#ifndef FILCH_SORT_H
#define FILCH_SORT_H

#include "detail/sort_merge.h"

FILCH_EXTERN_C_BEGIN

/*
 * Sorts @n elements of @size bytes at @base. cmp(a, b, arg) is the comparison of qsort_r(): below
 * zero when a belongs before b, above when behind, zero when either order will do.
 *
 * Callers:  any thread; a NULL pool is as in pool.h. From a worker the sort is nested work
 *           of the running job; from outside it is one job. With few elements the two hand-overs
 *           cost more than the sort. @cmp runs on several workers at once.
 * Progress: as FILCH_RUN. Between pieces it looks whether the job was cancelled.
 * Ordering: stable: equal elements stay in their order, so the result is the same with any number
 *           of workers. All writes to the array are visible after the call.
 * Lifetime: only the sort may touch @base until the call returns. @cmp is given addresses in the
 *           array or in scratch memory (aligned to 64 bytes at element 0), valid during that
 *           comparison alone. @cmp may sort, and spawn through FILCH_RUN, but not leave by longjmp
 *           or an exception.
 * Returns:  0. On an error but -ECANCELED the array is as it was.
 *           -EINVAL     NULL @base with @n > 0; NULL @cmp; @size 0; more bytes than an address
 *                       space has.
 *           -ENOMEM     no memory.
 *           -ENOBUFS, -ESHUTDOWN, -EDEADLK, -ECHILD
 *                       as FILCH_RUN.
 *           -ECANCELED  the job was cancelled; the array holds its elements in some order.
 *
 * With fewer than two elements it returns 0 and runs nothing. A @cmp that contradicts itself leaves
 * the elements in some order; nothing else is touched, and the call returns.
 */
FILCH_API int filch_sort(struct filch_pool *pool, void *base, size_t n, size_t size,
	int (*cmp)(const void *a, const void *b, void *arg), void *arg);

FILCH_EXTERN_C_END

/*
 * FILCH_SORT_DEFINE(name, type, less): makes a sort of a type.
 *
 *     static int name(struct filch_pool *pool, type *base, size_t n)
 *
 * less(a, b) says whether a must come before b (not when they are equal). It gets two lvalues of
 * const type. So it may be a macro, a function of two values, or in C++ one of two references. It
 * is compiled into the sort, and should itself be cheap and free of branches. The contract of
 * name() is filch_sort()'s, with sizeof(type) and less for @size and @cmp.
 *
 * @type is any type that may be copied as bytes, aligned to 64 bytes at most. One with commas needs
 * a typedef.
 */
#define FILCH_SORT_DEFINE(name, type, less)                                                     \
	FILCH_STATIC_ASSERT(FILCH_SORT_BYTES(type), #type " cannot be copied as bytes");        \
	FILCH_STATIC_ASSERT(                                                                    \
		FILCH_SORT_ALIGNMENT(type) <= 64, #type " is aligned to more than 64 bytes");   \
	FILCH_UNUSED static inline bool name##_filch_less(                                      \
		const void *a, const void *b, void *filch_arg_)                                 \
	{                                                                                       \
		(void)filch_arg_;                                                               \
		return less((*(__typeof__(type) const *)a), (*(__typeof__(type) const *)b));    \
	}                                                                                       \
	FILCH_SORT_KERNEL(name, sizeof(type), sizeof(type), name##_filch_less);                 \
	FILCH_UNUSED static int name(struct filch_pool *pool, __typeof__(type) *base, size_t n) \
	{                                                                                       \
		return filch_sort_with(pool, &name##_filch_kernel, base, n, NULL);              \
	}                                                                                       \
	FILCH_STATIC_ASSERT(1, "")

#ifdef __cplusplus
#define FILCH_SORT_BYTES(type) \
	(__is_trivially_constructible(__typeof__(type), __typeof__(type) const &))
#define FILCH_SORT_ALIGNMENT(type) alignof(__typeof__(type))
#else
#define FILCH_SORT_BYTES(type)     1
#define FILCH_SORT_ALIGNMENT(type) __alignof__(type)
#endif

#endif
