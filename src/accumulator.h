/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for the accumulators of reduce and scan, of which the size is known and the type is not.
 *
 * A type's size is a multiple of its alignment, so the largest power of two that divides the size is alignment enough for any type that
 * has it: a vector of 32 bytes gets 32, a struct of 24 gets 8. Up to FILCH_CACHELINE; sizes beyond that are seldom meant as alignments.
 * What fits lies in the frame that needs it, where the alignment is the most there is, since it has to be known when compiling.
 */
#ifndef FILCHI_ACCUMULATOR_H
#define FILCHI_ACCUMULATOR_H

#include <stddef.h>
#include <stdlib.h>

#include <filch/detail/base.h>

#define FILCHI_ACCUMULATOR_SMALL 256u /* bytes; larger ones come from the heap */

FILCH_STATIC_ASSERT(FILCH_CACHELINE == 128, "loop.h promises alignments up to this");

/* Room for small ones in a frame. */
#define FILCHI_ACCUMULATOR_ROOM(name, n) FILCH_ALIGNED(FILCH_CACHELINE) unsigned char name[(n) * FILCHI_ACCUMULATOR_SMALL]

/* Room for @n of @size bytes each, for free(); NULL: no memory. */
static inline void *filchi_accumulators_new(size_t n, size_t size)
{
	size_t align = size & -size, bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	if (align <= _Alignof(max_align_t))
		return malloc(bytes);
	return aligned_alloc(align < FILCH_CACHELINE ? align : FILCH_CACHELINE, bytes);
}

#endif
