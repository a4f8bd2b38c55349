/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the pages of live processes (pool/live_page.h), for the tools.
 *
 * Nothing on a page is believed before it was checked: sizes, counts, texts and states. What is
 * handed out can be followed and printed whatever was in the file. It is a copy, so that nothing
 * changes under its reader.
 *
 * Only pages of the user's own are read, from a directory that nobody else can write to.
 */
#ifndef FILCHI_LIVE_READ_H
#define FILCHI_LIVE_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "pool/live_page.h"

struct live_process {
	const struct filchi_page_header *header; /* the page, whole and checked */
	const struct filchi_page_pool **pool;    /* [header->pools], by number */
	uint64_t age;                            /* of the page, nanoseconds */
	bool answers;                            /* it is not older than a page gets */
};

struct live_list {
	struct live_process *process; /* [count], by process number, and copy of the library */
	size_t count;
	size_t removed; /* pages of processes that are gone */
	size_t refused; /* files that are no pages, or of another version */
	char why[160];  /* one of these was, or the directory; "" = none */
};

/*
 * Reads all pages in the user's directory; with @pid > 0 of that process alone. Removes those of
 * processes that are gone. @directory NULL: the real one. 0, also where there are none; or -errno:
 * the directory cannot be read, and `why` says so.
 */
int live_read(struct live_list *list, const char *directory, int64_t pid);
void live_free(struct live_list *list);

/*
 * Checks @size bytes of a page at @page, 8-byte aligned, and makes its texts printable. NULL; or
 * what is wrong with it.
 */
const char *live_check(char *page, size_t size);

/* What follows the record of a pool. */
static inline const struct filchi_page_worker *live_worker(
	const struct filchi_page_pool *pool, uint32_t i)
{
	return (const struct filchi_page_worker *)(const void *)(pool + 1) + i;
}

static inline const char *live_reasons(const struct filchi_page_pool *pool)
{
	return (const char *)(const void *)live_worker(pool, pool->workers);
}

static inline const char *live_changes(const struct filchi_page_pool *pool)
{
	return live_reasons(pool) + filchi_page_round(pool->reasons_size);
}

#endif
