/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch_scan: all prefixes of an operation that is associative, in two passes over blocks (Blelloch
 * 1990, "Prefix sums and their applications"). Each block is folded. The folds are joined from left
 * to right. Then each block writes its prefixes, beginning from the fold of all before it. That is
 * twice the serial work, so the first pass is done only where it is of use:
 *
 *   front    One worker writes block after block from the left, needing no fold: the serial scan.
 *            It stops at the first block that another worker has begun to fold. Alone, it reaches
 *            the end: a scan that nobody helps costs one pass.
 *   folds    Meanwhile thieves fold the blocks further right. A block is claimed by a CAS, for the
 *            front or a fold.
 *   tail     The last part is not folded: nothing begins from it. One worker writes it serially in
 *            the second pass.
 *
 * With w workers front, each worker's folds and tail are equally long: the scan takes 2/(w+1) of
 * the serial time.
 *
 * With a grain the bits of all results depend on the range and the grain alone. Every block is
 * folded from the identity, also by the front; prefixes are joins of those folds; there is no tail.
 * Blocks then are whole grains, BLOCKS_MOST at most.
 *
 * Memory: where the array of folds is not to be had, the front goes all the way alone.
 *
 * Rejected: decoupled look-back (Merrill and Garland 2016), one pass over memory. Its blocks spin
 *           for those to their left. Against rule 3 a worker would wait for a task it does not run.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <filch/loop.h>
#include <filch/pool.h>

#include "algo/accumulator.h"
#include "algo/chunk.h"

/* with a grain: bounds the joins that one worker makes between the passes */
#define BLOCKS_MOST 4096u
#define BLOCKS_EACH 16u /* without: in each of the w + 1 parts */

struct scan {
	struct filchi_loop loop;
	size_t size;
	const void *identity;
	void (*body)(size_t b, size_t e, void *acc, bool write, void *arg);
	void (*join)(void *acc, const void *right, void *arg);
	void *arg;
	size_t begin, end;    /* the range of all blocks */
	size_t block, blocks; /* items in a block; their number */
	unsigned char *fold;  /* of each block; after the first pass, of all before it */
	filch_atomic_u32 *claimed;
	filch_atomic_u32 reached_end;         /* by the front: there is nothing left to fold */
	unsigned char *prefix, *spare, *copy; /* accumulators of the front */
};

static size_t block_begin(const struct scan *s, size_t k)
{
	return s->begin + k * s->block; /* k < blocks */
}

static size_t block_end(const struct scan *s, size_t k)
{
	size_t b = block_begin(s, k);

	return s->end - b > s->block ? b + s->block : s->end;
}

static void *fold_of(const struct scan *s, size_t k)
{
	return s->fold + k * s->size;
}

/* Gives [@begin, @end) to the body, a grain at a time. */
static void run(struct scan *s, size_t begin, size_t end, void *acc, bool write)
{
	size_t grain = s->loop.grain ? s->loop.grain : SIZE_MAX;

	filchi_piece_begin(begin, end);
	for (size_t b = begin, e; b < end; b = e) {
		if (filchi_loop_cancelled(&s->loop))
			break;
		e = end - b > grain ? b + grain : end;
		s->body(b, e, acc, write, s->arg);
	}
	filchi_piece_end(begin, end);
}

/* The front writes block @k, and brings the prefix behind it. */
static void write_on(struct scan *s, size_t k)
{
	if (!s->loop.grain) {
		run(s, block_begin(s, k), block_end(s, k), s->prefix, true);
		return;
	}
	memcpy(s->spare, s->identity, s->size);
	run(s, block_begin(s, k), block_end(s, k), s->spare, false);
	memcpy(s->copy, s->prefix, s->size);
	run(s, block_begin(s, k), block_end(s, k), s->copy, true);
	if (!filchi_loop_over(&s->loop))
		s->join(s->prefix, s->spare, s->arg);
}

static bool claim(struct scan *s, size_t k)
{
	uint32_t expected = 0;

	return !filch_load_relaxed(&s->claimed[k]) &&
	       filchi_cas_acq_rel(&s->claimed[k], &expected, 1);
}

/* First pass: folds those of the blocks [@low, @high) that the front has not written. */
FILCH_VOID_TASK(fold_blocks, (struct scan *, s), (size_t, low), (size_t, high))
{
	if (filch_load_relaxed(&s->reached_end) || filchi_loop_over(&s->loop))
		return;
	if (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		FILCH_SPAWN(right, fold_blocks, s, middle, high);
		FILCH_CALL(fold_blocks, s, low, middle);
		FILCH_SYNC(right);
	} else if (claim(s, low)) {
		memcpy(fold_of(s, low), s->identity, s->size);
		run(s, block_begin(s, low), block_end(s, low), fold_of(s, low), false);
	}
}

/* Second pass: writes the blocks [@low, @high), each from the fold of all before it. */
FILCH_VOID_TASK(write_blocks, (struct scan *, s), (size_t, low), (size_t, high))
{
	if (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (filchi_loop_over(&s->loop))
			return;
		FILCH_SPAWN(right, write_blocks, s, middle, high);
		FILCH_CALL(write_blocks, s, low, middle);
		FILCH_SYNC(right);
	} else if (high > low) {
		run(s, block_begin(s, low), block_end(s, low), fold_of(s, low), true);
	}
}

/*
 * Between the passes: the folds of the blocks [@low, @high) become prefixes, exclusive ones.
 * s->prefix moves on to @high.
 */
static void join_folds(struct scan *s, size_t low, size_t high)
{
	for (size_t k = low; k < high; k++) {
		memcpy(s->spare, fold_of(s, k), s->size);
		memcpy(fold_of(s, k), s->prefix, s->size);
		s->join(s->prefix, s->spare, s->arg);
	}
}

/* How many may run now. */
static size_t workers_of(struct filch_worker *hot)
{
	return filch_load_relaxed(&filchi_worker_of(hot)->pool->allowed);
}

/* The blocks from @k on, in parallel. */
FILCH_VOID_TASK(blocks, (struct scan *, s), (size_t, k))
{
	size_t part = (s->blocks - k) / (workers_of(filch_worker_) + 1);
	size_t low = k + part, high = s->loop.grain ? s->blocks : s->blocks - part;

	FILCH_SPAWN(folds, fold_blocks, s, low, high);
	while (k < s->blocks && !filchi_loop_over(&s->loop) && claim(s, k))
		write_on(s, k++);
	if (k == s->blocks)
		filch_store_relaxed(&s->reached_end, 1);
	FILCH_SYNC(folds);
	if (k == s->blocks || filchi_loop_over(&s->loop))
		return;
	join_folds(s, k, high);
	FILCH_SPAWN(rest, write_blocks, s, k, high);
	for (; high < s->blocks; high++)
		run(s, block_begin(s, high), block_end(s, high), s->prefix, true);
	FILCH_SYNC(rest);
}

/* Cuts [s->begin, s->end), not empty, into blocks. @parts: one more than workers. */
static void cut(struct scan *s, size_t parts)
{
	size_t items = s->end - s->begin, most = s->loop.grain ? BLOCKS_MOST : BLOCKS_EACH * parts,
	       grain = s->loop.grain;

	s->block = (items - 1) / most + 1;
	if (grain >= s->block)
		s->block = grain;
	else if (grain)
		s->block = (s->block - 1) / grain * grain + grain;
	s->blocks = (items - 1) / s->block + 1;
}

/* The whole scan: its serial start, then the rest. */
FILCH_VOID_TASK(whole, (struct scan *, s))
{
	struct filchi_chunker chunker;
	bool serial = filchi_loop_open(&s->loop, &chunker, filch_worker_, s->begin, s->end);
	size_t parts = workers_of(filch_worker_) + 1, k = 0;

	while (serial && !s->loop.grain) {
		size_t stop = filchi_chunker_stop(&chunker, s->begin, s->end);

		filchi_chunker_begin(&chunker, &s->loop, s->begin);
		run(s, s->begin, stop, s->prefix, true);
		filchi_chunker_end(&chunker, &s->loop, s->begin, stop);
		s->begin = stop;
		if (s->begin == s->end || filchi_loop_over(&s->loop))
			return;
		serial = filchi_chunker_serial(&chunker, &s->loop);
	}
	cut(s, parts);
	while (serial && k < s->blocks && !filchi_loop_over(&s->loop)) {
		write_on(s, k++);
		chunker.then = filchi_ticks();
		serial = filchi_chunker_serial(&chunker, &s->loop);
	}
	if (s->blocks - k > 1) {
		s->fold = filchi_accumulators_new(s->blocks, s->size);
		s->claimed = calloc(s->blocks, sizeof s->claimed[0]);
	}
	if (s->fold && s->claimed)
		FILCH_CALL(blocks, s, k);
	else
		while (k < s->blocks && !filchi_loop_over(&s->loop))
			write_on(s, k++);
	free(s->fold);
	free((void *)s->claimed);
}

/* Scans with @room for three accumulators. */
static int scan_in(struct filch_pool *pool, struct scan *s, unsigned char *room)
{
	int error;

	s->prefix = room;
	s->spare = room + s->size;
	s->copy = room + 2 * s->size;
	memcpy(s->prefix, s->identity, s->size);
	if (s->begin == s->end)
		return 0;
	error = FILCH_RUN(pool, NULL, whole, s);
	return error ? error : filchi_loop_close(&s->loop);
}

int filch_scan(struct filch_pool *pool, size_t begin, size_t end, size_t grain, size_t size,
	const void *identity, void (*body)(size_t b, size_t e, void *acc, bool write, void *arg),
	void (*join)(void *acc, const void *right, void *arg), void *arg, void *result)
{
	struct scan s = {
		.loop = { .grain = grain },
		.size = size,
		.identity = identity,
		.body = body,
		.join = join,
		.arg = arg,
		.begin = begin,
		.end = end,
	};
	FILCHI_ACCUMULATOR_ROOM(small, 3);
	unsigned char *room;
	int error;

	if (!body || !join || !identity || !size || begin > end)
		return -EINVAL;
	if (pool && filchi_forked(pool))
		return -ECHILD;
	room = size > FILCHI_ACCUMULATOR_SMALL ? filchi_accumulators_new(3, size)
					       : filchi_accumulators_in(small, size);
	if (!room)
		return -ENOMEM;
	error = scan_in(pool, &s, room);
	if (!error && result)
		memcpy(result, s.prefix, size);
	if (size > FILCHI_ACCUMULATOR_SMALL)
		free(room);
	return error;
}
