/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch_for, filch_for_until and filch_invoke. A range is halved down to chunks; right halves are
 * spawned, and the worker goes on with the left ones. chunk.h decides how large a chunk is and when
 * a loop is split at all. Tasks are typed ones, as a user would write them.
 *
 * A chunk is many bodies where the user's grain is small, so short bodies with a grain of 1 do not
 * pay a spawn each.
 */
#include <errno.h>

#include <filch/loop.h>
#include <filch/pool.h>

#include "algo/chunk.h"

struct loop {
	struct filchi_loop loop;
	struct filch_loop open; /* as the runner of a chunk sees it */
	filch_loop_chunk *chunk;
};

/* A chunk inside a scope. Its runner looks at the job alone, so it gets one body at a time. */
static bool run_in_scope(struct loop *loop, size_t begin, size_t end)
{
	for (size_t to; begin < end; begin = to) {
		if (filchi_loop_cancelled(&loop->loop))
			return false;
		to = end - begin > loop->open.grain ? begin + loop->open.grain : end;
		if (!loop->chunk(&loop->open, begin, to))
			return false;
	}
	return true;
}

static void run_bodies(struct loop *loop, size_t begin, size_t end)
{
	bool all;

	filchi_piece_begin(begin, end);
	all = FILCH_LIKELY(!loop->loop.scope) ? loop->chunk(&loop->open, begin, end)
					      : run_in_scope(loop, begin, end);
	filchi_piece_end(begin, end);
	if (FILCH_UNLIKELY(!all))
		filchi_loop_leave_out(&loop->loop);
}

static void run_chunk(struct loop *loop, struct filchi_chunker *chunker, size_t begin, size_t end)
{
	filchi_chunker_begin(chunker, &loop->loop, begin);
	run_bodies(loop, begin, end);
	filchi_chunker_end(chunker, &loop->loop, begin, end);
}

/* [begin, end), not empty, in parallel. @spawner: the chunker of the task that spawned this one. */
FILCH_VOID_TASK(range, (struct loop *, loop), (struct filchi_chunker *, spawner), (size_t, begin),
	(size_t, end))
{
	struct filchi_chunker own, *chunker = filchi_chunker_here(spawner, &own, filch_worker_);

	if (end - begin <= loop->loop.grain || end - begin <= filchi_chunker_size(chunker)) {
		run_chunk(loop, chunker, begin, end);
		return;
	}
	if (filchi_loop_over(&loop->loop))
		return;
	size_t middle = filchi_middle(begin, end);
	FILCH_SPAWN(right, range, loop, chunker, middle, end);
	FILCH_CALL(range, loop, chunker, begin, middle);
	FILCH_SYNC(right);
}

/* The whole loop: its serial start, then the rest. */
FILCH_VOID_TASK(whole, (struct loop *, loop), (size_t, begin), (size_t, end))
{
	struct filchi_chunker chunker;
	bool start = filchi_loop_open(&loop->loop, &chunker, filch_worker_, begin, end);

	loop->open.state = loop->loop.job;
	while (start) {
		size_t stop = filchi_chunker_stop(&chunker, begin, end);

		if (stop == end) { /* the last: nothing to be learnt from it */
			run_bodies(loop, begin, end);
			return;
		}
		run_chunk(loop, &chunker, begin, stop);
		begin = stop;
		if (filchi_loop_over(&loop->loop))
			return;
		start = filchi_chunker_serial(&chunker, &loop->loop);
	}
	FILCH_CALL(range, loop, &chunker, begin, end);
}

int filch_for_with(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
	filch_loop_chunk *chunk, const void *arg)
{
	struct loop loop = {
		.loop = { .grain = grain },
		.open = { .cancelled = FILCHI_JOB_CANCEL,
			.grain = grain ? grain : SIZE_MAX,
			.arg = arg },
		.chunk = chunk,
	};
	int error;

	if (!chunk || begin > end)
		return -EINVAL;
	if (begin == end)
		return pool && filchi_forked(pool) ? -ECHILD : 0;
	error = FILCH_RUN(pool, NULL, whole, &loop, begin, end);
	return error ? error : filchi_loop_close(&loop.loop);
}

struct body {
	void (*call)(size_t b, size_t e, void *arg);
	void *arg;
};

#define CALL(b, e, body) (body)->call((b), (e), (body)->arg)
FILCH_LOOP_PIECE(call_bodies, const struct body, CALL)

int filch_for(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
	void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	const struct body called = { body, arg };

	return body ? filch_for_with(pool, begin, end, grain, call_bodies, &called) : -EINVAL;
}

/* A loop that ends with the first status that is not 0. */
struct until {
	int (*body)(size_t b, size_t e, void *arg);
	void *arg;
	filch_atomic_u32 *status;
};

static bool run_until(const struct filch_loop *loop, size_t begin, size_t end)
{
	const struct until *until = loop->arg;

	for (size_t to; begin < end; begin = to) {
		uint32_t none = 0, status;

		if (filch_load_relaxed(until->status) ||
			filchi_load_acquire(loop->state) & loop->cancelled)
			return false;
		to = end - begin > loop->grain ? begin + loop->grain : end;
		status = (uint32_t)until->body(begin, to, until->arg);
		if (FILCH_UNLIKELY(status)) {
			(void)filchi_cas_acq_rel(until->status, &none, status);
			return false;
		}
	}
	return true;
}

int filch_for_until(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
	int (*body)(size_t b, size_t e, void *arg), void *arg)
{
	filch_atomic_u32 status;
	const struct until until = { body, arg, &status };
	int error;

	if (!body)
		return -EINVAL;
	filch_store_relaxed(&status, 0);
	error = filch_for_with(pool, begin, end, grain, run_until, &until);
	return filch_load_relaxed(&status) ? (int)(int32_t)filch_load_relaxed(&status) : error;
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

int filch_invoke(
	struct filch_pool *pool, size_t n, void (*const fn[])(void *arg), void *const arg[])
{
	struct calls calls = { .fn = fn, .arg = arg };

	if (n && !fn)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!fn[i])
			return -EINVAL;
	return filch_for(pool, 0, n, 1, invoke, &calls);
}
