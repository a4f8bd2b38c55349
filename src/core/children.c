/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of children beyond those in their spawner's stack frame.
 *
 * Each annex has twice the frames of the one before, so that few children take little memory and
 * many take few allocations. The first is small enough for the fast lists of the C library. None
 * is so large that the C library would map it by itself, since mapping costs a fault for each page.
 */
#include <filch/task.h>

#include <stdlib.h>

#define ANNEX_BYTES_MAX (UINT64_C(1) << 16)

struct filch_annex *filch_annex_new(struct filch_annex *older, size_t size, size_t alignment)
{
	size_t frames = FILCH_CHILDREN_HERE, head = sizeof(struct filch_annex);
	struct filch_annex *annex = NULL;
	void *memory = NULL;

	if (older) {
		frames = (size_t)((char *)older->end - (char *)older->begin) / size;
		if (2 * frames * size <= ANNEX_BYTES_MAX)
			frames *= 2;
	}
	/* both are powers of two, and the size of a frame is a multiple of its alignment */
	head = (head + alignment - 1) & ~(alignment - 1);
	if (alignment <= _Alignof(max_align_t))
		memory = malloc(head + frames * size);
	else if (posix_memalign(&memory, alignment, head + frames * size))
		memory = NULL;
	annex = memory;
	if (annex) {
		annex->older = older;
		annex->begin = (char *)memory + head;
		annex->end = (char *)memory + head + frames * size;
	}
	return annex;
}

struct filch_annex *filch_annex_free(struct filch_annex *annex)
{
	struct filch_annex *older = annex->older;

	free(annex);
	return older;
}
