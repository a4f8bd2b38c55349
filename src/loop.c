/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch_for and filch_invoke: a range is halved down to pieces, right halves spawned, left ones gone on with; pace.h says how large a
 * piece is and when a loop is split at all. Tasks are typed ones, as a user would write them.
 *
 * A piece is many bodies where the user's grain is small: 10^6 bodies of 75 ns with a grain of 1 are some 10^5 spawns.
 */
#include <errno.h>

#include <filch/loop.h>
#include <filch/pool.h>

#include "pace.h"

struct loop {
	struct filchi_span span;
	struct filch_loop open; /* what the runner of a piece sees */
	filch_loop_piece *piece;
};

static void run_bodies(struct loop *loop, size_t begin, size_t end)
{
	if (FILCH_UNLIKELY(!loop->piece(&loop->open, begin, end)))
		filchi_span_leave_out(&loop->span);
}

static void run_piece(struct loop *loop, struct filchi_pace *pace, size_t begin, size_t end)
{
	filchi_pace_begin(pace, &loop->span, begin);
	run_bodies(loop, begin, end);
	filchi_pace_end(pace, &loop->span, begin, end);
}

/* [begin, end), not empty, in parallel. @spawner: the pace of who spawned or called this. */
FILCH_VOID_TASK(range, (struct loop *, loop), (struct filchi_pace *, spawner), (size_t, begin), (size_t, end))
{
	struct filchi_pace own, *pace = filchi_pace_here(spawner, &own, filch_worker_);

	if (end - begin <= loop->span.grain || end - begin <= filchi_pace_piece(pace)) {
		run_piece(loop, pace, begin, end);
		return;
	}
	if (filchi_span_over(&loop->span))
		return;
	size_t middle = filchi_middle(begin, end);
	FILCH_SPAWN(right, range, loop, pace, middle, end);
	FILCH_CALL(range, loop, pace, begin, middle);
	FILCH_SYNC(right);
}

/* The whole loop: its serial start, then the rest. */
FILCH_VOID_TASK(whole, (struct loop *, loop), (size_t, begin), (size_t, end))
{
	struct filchi_pace pace;
	bool start = filchi_span_open(&loop->span, &pace, filch_worker_, begin, end);

	loop->open.state = loop->span.job;
	while (start) {
		size_t stop = filchi_pace_stop(&pace, begin, end);

		if (stop == end) { /* the last, which nothing is to be learnt from */
			run_bodies(loop, begin, end);
			return;
		}
		run_piece(loop, &pace, begin, stop);
		begin = stop;
		if (filchi_span_over(&loop->span))
			return;
		start = filchi_pace_serial(&pace, &loop->span);
	}
	FILCH_CALL(range, loop, &pace, begin, end);
}

int filch_for_with(struct filch_pool *pool, size_t begin, size_t end, size_t grain, filch_loop_piece *piece, const void *arg)
{
	struct loop loop = {
		.span = { .grain = grain },
		.open = { .cancelled = FILCHI_JOB_CANCEL, .grain = grain ? grain : SIZE_MAX, .arg = arg },
		.piece = piece,
	};
	int error;

	if (!piece || begin > end)
		return -EINVAL;
	if (begin == end)
		return pool || filch_pool_current() ? 0 : -EINVAL;
	error = FILCH_RUN(pool, NULL, whole, &loop, begin, end);
	return error ? error : filchi_span_close(&loop.span);
}

struct body {
	void (*call)(size_t b, size_t e, void *arg);
	void *arg;
};

#define CALL(b, e, body) (body)->call((b), (e), (body)->arg)
FILCH_LOOP_PIECE(call_bodies, const struct body, CALL)

int filch_for(struct filch_pool *pool, size_t begin, size_t end, size_t grain, void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	const struct body called = { body, arg };

	return body ? filch_for_with(pool, begin, end, grain, call_bodies, &called) : -EINVAL;
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
