/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is zero, and costs nothing until it is touched: for what is large and may never be
 * used, and for what must not depend on malloc. The owner of a deque may be lost inside malloc,
 * whose lock is then held for ever.
 */
#ifndef FILCHI_MAP_H
#define FILCHI_MAP_H

#include <stddef.h>
#include <stdlib.h>
#if defined(FILCH_MODEL) || defined(__SANITIZE_ADDRESS__)
#define FILCHI_MAP_MALLOC 1 /* no system calls; a sanitizer sees what lies beside it */
#else
#include <sys/mman.h>
#endif

/* NULL: no memory. Aligned to 128 bytes at the least. To a model checker it is not zero yet. */
static inline void *filchi_map(size_t size)
{
#if defined(FILCH_MODEL)
	return malloc(size);
#elif defined(FILCHI_MAP_MALLOC)
	void *map = aligned_alloc(128, (size + 127) / 128 * 128);

	return map ? __builtin_memset(map, 0, size) : NULL;
#else
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
#endif
}

static inline void filchi_unmap(void *map, size_t size)
{
#if defined(FILCHI_MAP_MALLOC)
	(void)size;
	free(map);
#else
	if (map)
		(void)munmap(map, size);
#endif
}

#endif
