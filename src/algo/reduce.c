/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch_reduce: a fold in order, of an operation that is associative.
 *
 * With a grain the tree is fixed: halves down to the grain, each leaf folded from the identity,
 * joins on the way up. It depends on the range and the grain alone, and so do the bits of the
 * result. Whether a half is spawned or called does not change the tree.
 *
 * Without one the thieves make the tree. A half that nobody stole is folded straight on into the
 * accumulator of the half to its left: no second accumulator, no join. So a fold that meets no
 * thief is as cheap as the serial loop. A task recognises that case by two facts:
 * - it runs on the worker that spawned it;
 * - the left half is through (`left_done`). A worker that waits for another task may run this one
 *   before that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <filch/loop.h>
#include <filch/pool.h>

#include "algo/accumulator.h"
#include "algo/chunk.h"

struct fold {
	struct filchi_loop loop;
	size_t size;
	const void *identity;
	void (*body)(size_t b, size_t e, void *acc, void *arg);
	void (*join)(void *acc, const void *right, void *arg);
	void *arg;
};

/* An accumulator that holds the identity: in @small if it fits. NULL: no memory. */
static void *accumulator_new(const struct fold *f, unsigned char *small)
{
	void *acc = f->size > FILCHI_ACCUMULATOR_SMALL ? filchi_accumulators_new(1, f->size)
						       : filchi_accumulators_in(small, f->size);

	if (acc)
		memcpy(acc, f->identity, f->size);
	return acc;
}

static void accumulator_free(const struct fold *f, void *acc)
{
	if (f->size > FILCHI_ACCUMULATOR_SMALL)
		free(acc);
}

static void run_chunk(
	struct fold *f, struct filchi_chunker *chunker, size_t begin, size_t end, void *acc)
{
	if (filchi_loop_cancelled(&f->loop))
		return;
	filchi_chunker_begin(chunker, &f->loop, begin);
	filchi_piece_begin(begin, end);
	f->body(begin, end, acc, f->arg);
	filchi_piece_end(begin, end);
	filchi_chunker_end(chunker, &f->loop, begin, end);
}

/* --- a tree as the thieves make it ------------------------------------ */

/* A range in two halves, in the frame that has spawned the right one. */
struct halves {
	const struct filch_worker *worker; /* the frame's worker */
	bool left_done;                    /* written and read by that worker only */
	void *acc;                         /* of the left half */
	void *right;                       /* of the right half, if it has its own; else NULL */
	FILCHI_ACCUMULATOR_ROOM(small, 1);
};

/*
 * Folds [begin, end); 0 or -ENOMEM.
 * - A left half: @of is NULL, and it folds into @acc.
 * - A right half: @of is the frame that spawned it. It folds into the left half's accumulator or
 *   one of its own.
 */
FILCH_TASK(int, fold, (struct fold *, f), (struct filchi_chunker *, spawner), (struct halves *, of),
	(size_t, begin), (size_t, end), (void *, acc))
{
	struct filchi_chunker own, *chunker = filchi_chunker_here(spawner, &own, filch_worker_);
	struct halves h;

	if (of) {
		acc = of->acc;
		if (of->worker != filch_worker_ || !of->left_done)
			acc = of->right = accumulator_new(f, of->small);
		if (!acc)
			return -ENOMEM;
	}
	if (end - begin <= filchi_chunker_size(chunker)) {
		run_chunk(f, chunker, begin, end, acc);
		return 0;
	}
	if (filchi_loop_over(&f->loop))
		return 0;
	size_t middle = filchi_middle(begin, end);
	h.worker = filch_worker_;
	h.left_done = false;
	h.acc = acc;
	h.right = NULL;
	FILCH_SPAWN(right, fold, f, chunker, &h, middle, end, NULL);
	int error = FILCH_CALL(fold, f, chunker, NULL, begin, middle, acc);
	h.left_done = true;
	int error_right = FILCH_SYNC(right);
	if (h.right) {
		if (!error && !error_right)
			f->join(acc, h.right, f->arg);
		accumulator_free(f, h.right);
	}
	return error ? error : error_right;
}

/* The whole fold: its serial start, then the rest. */
FILCH_TASK(int, whole, (struct fold *, f), (size_t, begin), (size_t, end), (void *, acc))
{
	struct filchi_chunker chunker;
	bool start = filchi_loop_open(&f->loop, &chunker, filch_worker_, begin, end);

	while (start) {
		size_t stop = filchi_chunker_stop(&chunker, begin, end);

		run_chunk(f, &chunker, begin, stop, acc);
		begin = stop;
		if (begin == end || filchi_loop_over(&f->loop))
			return 0;
		start = filchi_chunker_serial(&chunker, &f->loop);
	}
	return FILCH_CALL(fold, f, &chunker, NULL, begin, end, acc);
}

/* --- a fixed tree ----------------------------------------------------- */

/*
 * Folds [begin, end) into @acc, which holds the identity. 0, or -ENOMEM: then @acc is of no use.
 * @serial: spawns nothing.
 */
FILCH_TASK(int, tree, (struct fold *, f), (struct filchi_chunker *, spawner), (size_t, begin),
	(size_t, end), (void *, acc), (bool, serial))
{
	FILCHI_ACCUMULATOR_ROOM(small, 1);
	struct filchi_chunker own, *chunker = filchi_chunker_here(spawner, &own, filch_worker_);
	bool chunk = !serial &&
		     (end - begin <= f->loop.grain || end - begin <= filchi_chunker_size(chunker));
	int error, error_right;

	if (chunk)
		filchi_chunker_begin(chunker, &f->loop, begin);
	if (end - begin <= f->loop.grain) {
		if (!filchi_loop_cancelled(&f->loop))
			f->body(begin, end, acc, f->arg);
		error = 0;
	} else if (filchi_loop_over(&f->loop)) {
		error = 0;
	} else {
		size_t middle = begin + (end - begin) / 2;
		void *other = accumulator_new(f, small);

		if (!other)
			return -ENOMEM;
		if (serial || chunk) {
			error = FILCH_CALL(tree, f, chunker, begin, middle, acc, true);
			error_right = FILCH_CALL(tree, f, chunker, middle, end, other, true);
		} else {
			FILCH_SPAWN(right, tree, f, chunker, middle, end, other, false);
			error = FILCH_CALL(tree, f, chunker, begin, middle, acc, false);
			error_right = FILCH_SYNC(right);
		}
		error = error ? error : error_right;
		if (!error)
			f->join(acc, other, f->arg);
		accumulator_free(f, other);
	}
	if (chunk)
		filchi_chunker_end(chunker, &f->loop, begin, end);
	return error;
}

/*
 * The whole fixed tree. It has no serial start: by naming a grain the user says that it is worth a
 * task.
 */
FILCH_TASK(int, whole_tree, (struct fold *, f), (size_t, begin), (size_t, end), (void *, acc))
{
	struct filchi_chunker chunker;

	(void)filchi_loop_open(&f->loop, &chunker, filch_worker_, begin, end);
	filch_store_relaxed(&chunker.size, 1);
	return FILCH_CALL(tree, f, &chunker, begin, end, acc, f->loop.alone);
}

/* Folds [@begin, @end) into @acc, which holds the identity. */
static int fold(struct filch_pool *pool, struct fold *f, size_t begin, size_t end, void *acc)
{
	int error, inner = 0;

	if (begin == end)
		return pool && filchi_forked(pool) ? -ECHILD : 0;
	if (f->loop.grain)
		error = FILCH_RUN(pool, &inner, whole_tree, f, begin, end, acc);
	else
		error = FILCH_RUN(pool, &inner, whole, f, begin, end, acc);
	if (!error)
		error = inner;
	return error ? error : filchi_loop_close(&f->loop);
}

int filch_reduce(struct filch_pool *pool, size_t begin, size_t end, size_t grain, size_t size,
	const void *identity, void (*body)(size_t b, size_t e, void *acc, void *arg),
	void (*join)(void *acc, const void *right, void *arg), void *arg, void *result)
{
	struct fold f = { .loop = { .grain = grain },
		.size = size,
		.identity = identity,
		.body = body,
		.join = join,
		.arg = arg };
	FILCHI_ACCUMULATOR_ROOM(small, 1);
	void *acc;
	int error;

	if (!body || !join || !identity || !result || !size || begin > end)
		return -EINVAL;
	/* not @result: it stays untouched on an error, and may be the identity */
	acc = accumulator_new(&f, small);
	if (!acc)
		return -ENOMEM;
	error = fold(pool, &f, begin, end, acc);
	if (!error)
		memcpy(result, acc, size);
	accumulator_free(&f, acc);
	return error;
}
