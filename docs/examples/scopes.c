/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes: a lock held over a nested loop, scratch memory that stays over one, a search that ends
 * and leaves the rest of its job going. And a loop that ends with the first error.
 */
#include <filch/filch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { BOOKS = 64, PAGES = 5000, WORDS = 100 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long *table; /* built by whoever needs it first */
static _Atomic int found;

static unsigned long word_of(size_t book, size_t page, size_t word)
{
	return (book * PAGES + page) * WORDS + word;
}

static void fill(size_t begin, size_t end, void *arg)
{
	for (size_t i = begin; i < end; i++)
		((unsigned long *)arg)[i] = i * 2654435761u;
}

static int build(void *arg)
{
	return filch_for(NULL, 0, WORDS * PAGES, 0, fill, arg);
}

/* Bodies of the outer loop meet here. The lock is held over a loop: the loop stands in a scope. */
static int need_table(void)
{
	int error = 0;

	pthread_mutex_lock(&lock);
	if (!table) {
		table = calloc(WORDS * PAGES, sizeof table[0]);
		error = table ? filch_scope(NULL, NULL, build, table) : 1;
	}
	pthread_mutex_unlock(&lock);
	return error;
}

struct search {
	size_t book;
	unsigned long word;
};

static void look_into(size_t begin, size_t end, void *arg)
{
	const struct search *s = arg;

	for (size_t page = begin; page < end; page++)
		for (size_t i = 0; i < WORDS; i++)
			if (word_of(s->book, page, i) == s->word)
				(void)filch_scope_cancel((int)page + 1); /* ends this search */
}

/* The number of the page, from 1; 0: the word is not there. */
static int search_book(void *arg)
{
	int error = filch_for(NULL, 0, PAGES, 16, look_into, arg);

	return error; /* of no account once the scope is cancelled */
}

struct scratch {
	_Alignas(128) int pages[BOOKS];
};

static int library(size_t begin, size_t end, void *arg)
{
	struct scratch *scratch = arg;

	for (size_t book = begin; book < end; book++) {
		struct search s = { book, word_of(book, book * 7, 3) };
		/* ours while this body runs, also over the scope below */
		int *mine = &scratch[filch_scope_slot()].pages[book];

		if (need_table())
			return 1; /* ends the loop */
		*mine = -1;
		*mine += filch_scope(NULL, NULL, search_book, &s);
		if (*mine == (int)book * 7)
			found++;
	}
	return 0;
}

static int all_books(void *arg)
{
	return filch_for_until(NULL, 0, BOOKS, 1, library, arg);
}

int main(void)
{
	struct filch_pool *pool;
	struct scratch *scratch;
	int error;

	if (filch_pool_create(&pool, NULL))
		return 1;
	scratch = calloc((size_t)filch_pool_workers(pool) + 1, sizeof *scratch);
	if (!scratch)
		return 1;
	error = filch_scope(pool, NULL, all_books, scratch);
	printf("found %d of %d: %d\n", found, BOOKS, error);
	free(scratch);
	free(table);
	return filch_pool_destroy(pool) || error || found != BOOKS;
}
