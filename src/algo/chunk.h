/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: how many items of a loop make a chunk that is worth its spawn. Shared by for, reduce and
 * scan.
 *
 * Idea. A range is halved until a half is one chunk. The right half is spawned, and the worker goes
 * on with the left. So all of a loop but the chunks under way lies in deques, the largest parts
 * where thieves take first. Work is shared whenever a worker is idle, and is never hidden behind a
 * long body.
 *
 * The size of a chunk adapts. Each worker measures its own bodies. It makes its chunks CHUNK_LONG
 * long or, where that would be much of the loop, CHUNK_SHORT. A chunk costs mostly a mispredicted
 * branch at its end and one look at the clock; spawn and sync are small.
 *
 * The start is serial: chunks grow from a few items until CHUNK_START has passed, before anything
 * is spawned. A loop that is over by then wakes and disturbs nobody. A loop of few items (fewer
 * than CHUNK_FEW for each worker) is taken for one of long bodies, and is split to single items at
 * once:
 * - a serial start could cost more than the loop's own time;
 * - bodies that wait for each other (a barrier among as many items as workers) all get their
 *   worker.
 *
 * With one worker nobody waits for a share, and chunks only bound how late a cancellation is seen.
 * Where each grain looks at that by itself, the whole loop is one chunk, without a clock.
 *
 * The grain of the user is the largest range that one body gets, not the size of a chunk: a chunk
 * may be many bodies.
 *
 * A chunker belongs to one worker. A task that finds itself on another makes its own, beginning
 * from the size that the spawner's had reached. It lies in the frame of the task that made it, and
 * lives as long as all that this task spawns.
 *
 * Rejected:
 * - A fixed tree of chunks, some for each worker: a tiny loop pays for spawns and wakes it has no
 *   use for (docs/design.md, Loops).
 * - Lazy binary splitting (Tzannes, Caragea, Barua, Vishkin 2010), which spawns only when the own
 *   deque is empty. Up to half of the loop then lies hidden behind a body that may be long. With
 *   chunks of microseconds there are few spawns left to save.
 * - Growing the serial start by items instead of time: it says nothing about bodies.
 */
#ifndef FILCHI_CHUNK_H
#define FILCHI_CHUNK_H

#include <errno.h>

#include <filch/task.h>

#include "calls/scopes.h"
#include "calls/submit.h"
#include "core/trace_events.h"

/*
 * A cheap clock, read between bodies only. On x86-64 it is the time stamp counter, which runs at 2
 * to 4 ticks per nanosecond. The times below are orders of magnitude; no more is needed.
 */
static inline uint64_t filchi_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return filchi_now() * 2;
#endif
}

#define CHUNK_START  2000u  /* ticks: how long a loop is serial */
#define CHUNK_SHORT  10000u /* ticks: how long a chunk should take */
#define CHUNK_LONG   40000u /* ticks: the same where that is little of the loop */
#define CHUNK_LITTLE 128u   /* little: this part of a worker's share, in items */
/* a chunk is at most so many times the one before: one quick body proves little */
#define CHUNK_GROWTH       8u
#define CHUNK_GROWTH_ALONE 64u /* one worker: it can only delay a cancellation */
#define CHUNK_FEW          8u  /* grains per worker up to which a loop is split to single ones */

/* What all workers of a loop share. */
struct filchi_loop {
	size_t grain;  /* items to a body at most, 0 = any number */
	size_t little; /* items: up to so many make a chunk that takes CHUNK_LONG */
	uint32_t growth;
	bool timed;            /* chunks go by the clock; else they keep their first size */
	bool alone;            /* there is one worker */
	filch_atomic_u64 *job; /* state word of the loop's job, or a word that stays 0 */
	/* the innermost scope around the loop, or NULL */
	struct filchi_segment *scope;
	filch_atomic_u32 left_out; /* a body was not started, because one of them is cancelled */
};

struct filchi_chunker {
	const struct filch_worker *worker;
	filch_atomic_u64 size; /* items; the owner's, thieves read it */
	size_t next; /* where the last chunk ended; `then` is when: one look at the clock a chunk */
	uint64_t then;
	uint64_t start; /* when the loop began */
};

/* Around bodies that run one after another, for a trace. */
static inline void filchi_piece_begin(size_t begin, size_t end)
{
	if (FILCH_UNLIKELY(filch_load_relaxed(&filchi_tracing)))
		filchi_trace_piece(begin, end, true);
	FILCHI_PROBE(piece_begin, begin, end);
}

static inline void filchi_piece_end(size_t begin, size_t end)
{
	if (FILCH_UNLIKELY(filch_load_relaxed(&filchi_tracing)))
		filchi_trace_piece(begin, end, false);
	FILCHI_PROBE(piece_end, begin, end);
	(void)begin, (void)end;
}

/* A body is not started, because the job is cancelled, or a scope around the loop. */
static inline void filchi_loop_leave_out(struct filchi_loop *loop)
{
	filch_store_relaxed(&loop->left_out, 1); /* read after the last sync */
}

/*
 * The loop is over: no other body may start. Outside of scopes it costs one load when nothing was
 * cancelled.
 */
static inline bool filchi_loop_cancelled(struct filchi_loop *loop)
{
	if (FILCH_LIKELY(!(filchi_load_acquire(loop->job) & FILCHI_JOB_CANCEL)) &&
		(FILCH_LIKELY(!loop->scope) || !filchi_scope_is_cancelled(loop->scope)))
		return false;
	filchi_loop_leave_out(loop);
	return true;
}

/* True once the loop is over: its tasks then return at once. */
static inline bool filchi_loop_over(struct filchi_loop *loop)
{
	return filch_load_relaxed(&loop->left_out);
}

static inline size_t filchi_chunker_size(const struct filchi_chunker *chunker)
{
	return filch_load_relaxed(&chunker->size);
}

/* @items times @ratio / 256, or more than any loop needs. */
static inline size_t filchi_chunker_scale(size_t items, uint64_t ratio)
{
	size_t scaled;

	if (FILCH_LIKELY(!__builtin_mul_overflow(items, ratio, &scaled)))
		return scaled >> 8;
	return __builtin_mul_overflow(items >> 8, ratio, &scaled) ? SIZE_MAX >> 1 : scaled;
}

/* A chunk of @items took @ticks: the size of the next. */
static inline void filchi_chunker_set(struct filchi_chunker *chunker,
	const struct filchi_loop *loop, size_t items, uint64_t ticks)
{
	uint64_t ratio = ((uint64_t)CHUNK_LONG << 8) / (ticks | 1),
		 most = (uint64_t)loop->growth << 8;
	size_t chunk = filchi_chunker_scale(items, ratio < most ? ratio : most);

	if (chunk > loop->little) {
		ratio /= CHUNK_LONG / CHUNK_SHORT;
		chunk = filchi_chunker_scale(items, ratio < most ? ratio : most);
		if (chunk < loop->little)
			chunk = loop->little;
	}
	filch_store_relaxed(&chunker->size, chunk ? chunk : 1);
}

/* Before a chunk that begins at @begin. */
static inline void filchi_chunker_begin(
	struct filchi_chunker *chunker, const struct filchi_loop *loop, size_t begin)
{
	if (loop->timed && chunker->next != begin)
		chunker->then = filchi_ticks();
}

/* After the chunk [@begin, @end). */
static inline void filchi_chunker_end(
	struct filchi_chunker *chunker, const struct filchi_loop *loop, size_t begin, size_t end)
{
	if (loop->timed) {
		uint64_t now = filchi_ticks();

		filchi_chunker_set(chunker, loop, end - begin, now - chunker->then);
		chunker->then = now;
		chunker->next = end;
	}
}

/*
 * The chunker for a task on @worker that was spawned under @spawner: @spawner itself, or @own, made
 * from it.
 */
static inline struct filchi_chunker *filchi_chunker_here(struct filchi_chunker *spawner,
	struct filchi_chunker *own, const struct filch_worker *worker)
{
	if (FILCH_LIKELY(spawner->worker == worker))
		return spawner;
	own->worker = worker;
	filch_store_relaxed(&own->size, filch_load_relaxed(&spawner->size));
	own->next = 0;
	own->then = 0; /* no chunk begins at 0 but the first of a loop, which no thief gets */
	return own;
}

/*
 * The task of the whole loop over [@begin, @end), not empty, before any body has run. Fills @loop
 * but for its grain, and @chunker. True: the loop starts serially.
 */
static inline bool filchi_loop_open(struct filchi_loop *loop, struct filchi_chunker *chunker,
	struct filch_worker *worker, size_t begin, size_t end)
{
	static filch_atomic_u64 no_job;
	struct filch_pool *pool = filchi_worker_of(worker)->pool;
	size_t workers = filch_load_relaxed(&pool->allowed), items = end - begin, bound;
	/* no division: a loop may be very short */
	unsigned shift = workers == 1 ? 0 : 64 - (unsigned)__builtin_clzl(workers - 1);
	/* run serially even if bodies are long: it is a 64th of a worker's share */
	size_t first = items >> 6 >> shift;
	bool few = workers > 1 && (__builtin_mul_overflow(CHUNK_FEW * workers,
					   loop->grain ? loop->grain : 1, &bound) ||
					  items <= bound);

	loop->job = filchi_job_word_here();
	if (!loop->job)
		loop->job = &no_job;
	loop->scope = filchi_scope_here(filchi_worker_of(worker));
	filch_store_relaxed(&loop->left_out, 0);
	loop->alone = pool->running == 1;
	loop->timed = !few && !(loop->alone && loop->grain);
	loop->growth = loop->alone ? CHUNK_GROWTH_ALONE : CHUNK_GROWTH;
	loop->little = loop->alone ? SIZE_MAX : items / CHUNK_LITTLE >> shift;
	chunker->worker = worker;
	if (first >= 4)
		first = (first + 7) & ~(size_t)7;
	filch_store_relaxed(&chunker->size, loop->alone && loop->grain ? SIZE_MAX
					    : few || !first            ? 1
								       : first);
	chunker->next = begin;
	chunker->then = chunker->start = loop->timed ? filchi_ticks() : 0;
	return !few;
}

/*
 * A place to cut at or a little before @at, far from @begin. It is a multiple of 16 items, so that
 * vectors stay aligned from chunk to chunk, and two chunks seldom share a cache line.
 */
static inline size_t filchi_cut(size_t begin, size_t at)
{
	return at - begin < 64 ? at : at & ~(size_t)15;
}

/* Where to halve a range. */
static inline size_t filchi_middle(size_t begin, size_t end)
{
	return filchi_cut(begin, begin + (end - begin) / 2);
}

/* In the serial start: where a chunk that begins at @begin ends. */
static inline size_t filchi_chunker_stop(
	const struct filchi_chunker *chunker, size_t begin, size_t end)
{
	size_t chunk = filchi_chunker_size(chunker);

	if (end - begin <= chunk)
		return end;
	return filchi_cut(begin, begin + chunk);
}

/* In the serial start, after a chunk: whether it goes on. With one worker it always does. */
static inline bool filchi_chunker_serial(
	const struct filchi_chunker *chunker, const struct filchi_loop *loop)
{
	return loop->alone || chunker->then - chunker->start < CHUNK_START;
}

/* The loop's result, after its last sync: 0, or -ECANCELED if a body was left out. */
static inline int filchi_loop_close(struct filchi_loop *loop)
{
	return filch_load_relaxed(&loop->left_out) ? -ECANCELED : 0;
}

#endif
