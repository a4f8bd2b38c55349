/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch_reduce: a fold in order, of an operation that is associative.
 *
 * With a grain the tree is fixed: halves down to the grain, each leaf folded from the identity, joins on the way up. It depends on
 * the range and the grain alone, and so do the bits of the result. Whether a half is spawned or called does not change the tree.
 *
 * Without one the tree is what the thieves make of it. A half that nobody stole is folded straight on into the accumulator of what
 * lies to its left: no second accumulator, no join; so a fold that meets no thief is as cheap as the serial loop. The task finds out
 * by two facts: it runs on the worker that spawned it, and after the left half (`left_done`). The worker alone would not do: while
 * it waits for another task it may run this one before the left half is through.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <filch/loop.h>
#include <filch/pool.h>

#include "accumulator.h"
#include "pace.h"

struct fold {
	struct filchi_span span;
	size_t size;
	const void *identity;
	void (*body)(size_t b, size_t e, void *acc, void *arg);
	void (*join)(void *acc, const void *right, void *arg);
	void *arg;
};

/* An accumulator that holds the identity: in @small if it fits. NULL: no memory. */
static void *accumulator_new(const struct fold *f, unsigned char *small)
{
	void *acc = f->size > FILCHI_ACCUMULATOR_SMALL ? filchi_accumulators_new(1, f->size) : filchi_accumulators_in(small, f->size);

	if (acc)
		memcpy(acc, f->identity, f->size);
	return acc;
}

static void accumulator_free(const struct fold *f, void *acc)
{
	if (f->size > FILCHI_ACCUMULATOR_SMALL)
		free(acc);
}

static void run_piece(struct fold *f, struct filchi_pace *pace, size_t begin, size_t end, void *acc)
{
	if (filchi_span_cancelled(&f->span))
		return;
	filchi_pace_begin(pace, &f->span, begin);
	f->body(begin, end, acc, f->arg);
	filchi_pace_end(pace, &f->span, begin, end);
}

/* --- a tree as the thieves make it -------------------------------------------------------------------------------------------- */

/* A range in two halves, in the frame that has spawned the right one. */
struct halves {
	const struct filch_worker *worker; /* whose frame it is */
	bool left_done;                    /* the owner's: looked at by a task on that worker only */
	void *acc;                         /* of the left half */
	void *right;                       /* of the right half, if it has one of its own; else NULL */
	FILCHI_ACCUMULATOR_ROOM(small, 1);
};

/*
 * Folds [begin, end). A left half: @of is NULL, and @acc is what it folds into. A right half: @of is the frame that spawned it, and it
 * folds into the left half's accumulator or one of its own. 0 or -ENOMEM.
 */
FILCH_TASK(int, fold, (struct fold *, f), (struct filchi_pace *, spawner), (struct halves *, of), (size_t, begin), (size_t, end),
	   (void *, acc))
{
	struct filchi_pace own, *pace = filchi_pace_here(spawner, &own, filch_worker_);
	struct halves h;

	if (of) {
		acc = of->acc;
		if (of->worker != filch_worker_ || !of->left_done)
			acc = of->right = accumulator_new(f, of->small);
		if (!acc)
			return -ENOMEM;
	}
	if (end - begin <= filchi_pace_piece(pace)) {
		run_piece(f, pace, begin, end, acc);
		return 0;
	}
	if (filchi_span_over(&f->span))
		return 0;
	size_t middle = filchi_middle(begin, end);
	h.worker = filch_worker_;
	h.left_done = false;
	h.acc = acc;
	h.right = NULL;
	FILCH_SPAWN(right, fold, f, pace, &h, middle, end, NULL);
	int error = FILCH_CALL(fold, f, pace, NULL, begin, middle, acc);
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
	struct filchi_pace pace;
	bool start = filchi_span_open(&f->span, &pace, filch_worker_, begin, end);

	while (start) {
		size_t stop = filchi_pace_stop(&pace, begin, end);

		run_piece(f, &pace, begin, stop, acc);
		begin = stop;
		if (begin == end || filchi_span_over(&f->span))
			return 0;
		start = filchi_pace_serial(&pace, &f->span);
	}
	return FILCH_CALL(fold, f, &pace, NULL, begin, end, acc);
}

/* --- a fixed tree ------------------------------------------------------------------------------------------------------------- */

/* Folds [begin, end) into @acc, which holds the identity. 0, or -ENOMEM: then @acc is of no use. @serial: spawns nothing. */
FILCH_TASK(int, tree, (struct fold *, f), (struct filchi_pace *, spawner), (size_t, begin), (size_t, end), (void *, acc), (bool, serial))
{
	FILCHI_ACCUMULATOR_ROOM(small, 1);
	struct filchi_pace own, *pace = filchi_pace_here(spawner, &own, filch_worker_);
	bool piece = !serial && (end - begin <= f->span.grain || end - begin <= filchi_pace_piece(pace));
	int error, error_right;

	if (piece)
		filchi_pace_begin(pace, &f->span, begin);
	if (end - begin <= f->span.grain) {
		if (!filchi_span_cancelled(&f->span))
			f->body(begin, end, acc, f->arg);
		error = 0;
	} else if (filchi_span_over(&f->span)) {
		error = 0;
	} else {
		size_t middle = begin + (end - begin) / 2;
		void *other = accumulator_new(f, small);

		if (!other)
			return -ENOMEM;
		if (serial || piece) {
			error = FILCH_CALL(tree, f, pace, begin, middle, acc, true);
			error_right = FILCH_CALL(tree, f, pace, middle, end, other, true);
		} else {
			FILCH_SPAWN(right, tree, f, pace, middle, end, other, false);
			error = FILCH_CALL(tree, f, pace, begin, middle, acc, false);
			error_right = FILCH_SYNC(right);
		}
		error = error ? error : error_right;
		if (!error)
			f->join(acc, other, f->arg);
		accumulator_free(f, other);
	}
	if (piece)
		filchi_pace_end(pace, &f->span, begin, end);
	return error;
}

/* The whole fixed tree. It has no serial start: whoever names a grain says what is worth a task. */
FILCH_TASK(int, whole_tree, (struct fold *, f), (size_t, begin), (size_t, end), (void *, acc))
{
	struct filchi_pace pace;

	(void)filchi_span_open(&f->span, &pace, filch_worker_, begin, end);
	filchi_store_relaxed(&pace.piece, 1);
	return FILCH_CALL(tree, f, &pace, begin, end, acc, f->span.alone);
}

int filch_reduce(struct filch_pool *pool, size_t begin, size_t end, size_t grain, size_t size, const void *identity,
		 void (*body)(size_t b, size_t e, void *acc, void *arg), void (*join)(void *acc, const void *right, void *arg),
		 void *arg, void *result)
{
	struct fold f = {
		.span = { .grain = grain }, .size = size, .identity = identity, .body = body, .join = join, .arg = arg
	};
	FILCHI_ACCUMULATOR_ROOM(small, 1);
	int error, inner = 0;
	void *acc;

	if (!body || !join || !identity || !result || !size || begin > end || (!pool && !filch_pool_current()))
		return -EINVAL;
	acc = accumulator_new(&f, small); /* not @result: it stays untouched on an error, and may be the identity */
	if (!acc)
		return -ENOMEM;
	if (begin == end)
		error = pool && filchi_forked(pool) ? -ECHILD : 0;
	else if (grain)
		error = FILCH_RUN(pool, &inner, whole_tree, &f, begin, end, acc);
	else
		error = FILCH_RUN(pool, &inner, whole, &f, begin, end, acc);
	if (!error)
		error = inner ? inner : begin == end ? 0 : filchi_span_close(&f.span);
	if (!error)
		memcpy(result, acc, size);
	accumulator_free(&f, acc);
	return error;
}
