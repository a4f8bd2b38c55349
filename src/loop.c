/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops on the public task interface: a range is halved until it is no larger than the grain, one half spawned, the other gone on
 * with. So a thief that steals the oldest task of a loop takes the largest piece there is.
 *
 * The grain that 0 stands for: enough pieces for every worker to have PIECES of them, so that uneven bodies even out; one worker
 * has one piece.
 *
 * A fold keeps one accumulator per open half on the stack of who works on it; the tree of halves, and so the order of joins,
 * depends on the range and the grain alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <filch/loop.h>
#include <filch/pool.h>
#include <filch/task.h>

#define PIECES 16u
#define SMALL_ACCUMULATOR 256u /* bytes; larger ones come from the heap */

static size_t grain_for(struct filch_pool *pool, size_t items, size_t grain)
{
	int workers = filch_pool_workers(pool ? pool : filch_pool_current());

	if (grain)
		return grain;
	if (workers <= 1)
		return items;
	grain = items / ((size_t)workers * PIECES);
	return grain ? grain : 1;
}

struct loop {
	void (*body)(size_t b, size_t e, void *arg);
	void *arg;
	size_t grain;
};

FILCH_VOID_TASK(range, (const struct loop *, loop), (size_t, begin), (size_t, end))
{
	if (end - begin <= loop->grain) {
		loop->body(begin, end, loop->arg);
		return;
	}
	size_t middle = begin + (end - begin) / 2;
	FILCH_SPAWN(right, range, loop, middle, end);
	FILCH_CALL(range, loop, begin, middle);
	FILCH_SYNC(right);
}

int filch_for(struct filch_pool *pool, size_t begin, size_t end, size_t grain, void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	struct loop loop = { .body = body, .arg = arg };

	if (!body || begin > end || (!pool && !filch_pool_current()))
		return -EINVAL;
	if (begin == end)
		return 0;
	loop.grain = grain_for(pool, end - begin, grain);
	return FILCH_RUN(pool, NULL, range, &loop, begin, end);
}

struct fold {
	size_t grain, size;
	const void *identity;
	void (*body)(size_t b, size_t e, void *acc, void *arg);
	void (*join)(void *acc, const void *right, void *arg);
	void *arg;
};

/* Folds a range into @acc, which holds the identity. 0, or -ENOMEM: then @acc is of no use, and bodies may have run. */
FILCH_TASK(int, fold, (const struct fold *, f), (size_t, begin), (size_t, end), (void *, acc))
{
	_Alignas(max_align_t) unsigned char small[SMALL_ACCUMULATOR];
	void *other = small;
	size_t middle = begin + (end - begin) / 2;

	if (end - begin <= f->grain) {
		f->body(begin, end, acc, f->arg);
		return 0;
	}
	if (f->size > sizeof small) {
		other = malloc(f->size);
		if (!other)
			return -ENOMEM;
	}
	memcpy(other, f->identity, f->size);
	FILCH_SPAWN(right, fold, f, middle, end, other);
	int error = FILCH_CALL(fold, f, begin, middle, acc);
	int error_right = FILCH_SYNC(right);
	if (!error)
		error = error_right;
	if (!error)
		f->join(acc, other, f->arg);
	if (other != small)
		free(other);
	return error;
}

int filch_reduce(struct filch_pool *pool, size_t begin, size_t end, size_t grain, size_t size, const void *identity,
		 void (*body)(size_t b, size_t e, void *acc, void *arg), void (*join)(void *acc, const void *right, void *arg),
		 void *arg, void *result)
{
	struct fold f = { .size = size, .identity = identity, .body = body, .join = join, .arg = arg };
	int error, inner = 0;
	void *acc;

	if (!body || !join || !identity || !result || !size || begin > end || (!pool && !filch_pool_current()))
		return -EINVAL;
	acc = malloc(size); /* not @result: it stays untouched on an error, and may be the identity */
	if (!acc)
		return -ENOMEM;
	memcpy(acc, identity, size);
	f.grain = grain_for(pool, end - begin, grain);
	error = begin == end ? 0 : FILCH_RUN(pool, &inner, fold, &f, begin, end, acc);
	if (!error)
		error = inner;
	if (!error)
		memcpy(result, acc, size);
	free(acc);
	return error;
}

struct calls {
	void (*const *fn)(void *arg);
	void *const *arg;
};

static void invoke(size_t b, size_t e, void *arg)
{
	const struct calls *calls = arg;

	for (size_t i = b; i < e; i++)
		calls->fn[i](calls->arg ? calls->arg[i] : NULL);
}

int filch_invoke(struct filch_pool *pool, size_t n, void (*const fn[])(void *arg), void *const arg[])
{
	struct calls calls = { .fn = fn, .arg = arg };

	if (n && !fn)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!fn[i])
			return -EINVAL;
	return filch_for(pool, 0, n, 1, invoke, &calls);
}
