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
	void (*body)(size_t b, size_t e, void *arg);
	void *arg;
};

static void run_piece(struct loop *loop, struct filchi_pace *pace, size_t begin, size_t end)
{
	size_t grain = loop->span.grain ? loop->span.grain : SIZE_MAX;

	filchi_pace_begin(pace, &loop->span, begin);
	for (size_t b = begin, e; b < end; b = e) {
		if (filchi_span_cancelled(&loop->span))
			return;
		e = end - b > grain ? b + grain : end;
		loop->body(b, e, loop->arg);
	}
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

	while (start) {
		size_t stop = filchi_pace_stop(&pace, begin, end);

		run_piece(loop, &pace, begin, stop);
		begin = stop;
		if (begin == end || filchi_span_over(&loop->span))
			return;
		start = filchi_pace_serial(&pace, &loop->span);
	}
	FILCH_CALL(range, loop, &pace, begin, end);
}

int filch_for(struct filch_pool *pool, size_t begin, size_t end, size_t grain, void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	struct loop loop = { .span = { .grain = grain }, .body = body, .arg = arg };
	int error;

	if (!body || begin > end)
		return -EINVAL;
	if (begin == end && !pool)
		return filch_pool_current() ? 0 : -EINVAL;
	if (begin == end)
		return filchi_forked(pool) ? -ECHILD : 0;
	error = FILCH_RUN(pool, NULL, whole, &loop, begin, end);
	return error ? error : filchi_span_close(&loop.span);
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
