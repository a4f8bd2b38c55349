/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for the accumulators of reduce and scan, of which the size is known and the type is not.
 *
 * A type's size is a multiple of its alignment. So the largest power of two that divides the size
 * is alignment enough: a vector of 32 bytes gets 32, a struct of 24 gets 8. FILCH_CACHELINE is the
 * most; sizes beyond that are seldom meant as alignments.
 *
 * Small ones lie in the frame that needs them, in room enough to begin at such a multiple. A frame
 * that is itself aligned so would cost each task of a reduce some instructions more.
 */
#ifndef FILCHI_ACCUMULATOR_H
#define FILCHI_ACCUMULATOR_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <filch/detail/words.h>

#define FILCHI_ACCUMULATOR_SMALL 256u /* bytes; larger ones come from the heap */

FILCH_STATIC_ASSERT(FILCH_CACHELINE == 128, "loop.h promises alignments up to this");

/* Room for @n small ones in a frame: a variable of type unsigned char[]. */
#define FILCHI_ACCUMULATOR_ROOM(name, n)    \
	_Alignas(max_align_t) unsigned char \
		name[(n)*FILCHI_ACCUMULATOR_SMALL + FILCH_CACHELINE - _Alignof(max_align_t)]

/* Where in such room accumulators of @size bytes begin. */
static inline unsigned char *filchi_accumulators_in(unsigned char *room, size_t size)
{
	return room + (-(uintptr_t)room & ((size & -size) - 1) & (FILCH_CACHELINE - 1));
}

/* Room for @n of @size bytes each, for free(). NULL: no memory. */
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
