/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pace: how many items of a loop make a piece that is worth its spawn. What for, reduce and scan share.
 *
 * Idea. A range is halved until a half is one piece; the right half is spawned, the left gone on with. So all of a loop but the
 * pieces under way lies in deques, the largest parts where thieves take first: work is shared whenever somebody is idle, and is
 * never hidden behind a long body. What adapts is the size of a piece. Each worker measures its own bodies and makes its pieces
 * PACE_LONG long, or, where that were much of the loop, PACE_SHORT. What a piece costs is less its spawn and sync than its end,
 * a mispredicted branch, until which the processor has not begun the next body, and a look at the clock: some 30 ns in all.
 *
 * The start is serial: pieces that grow from a few items until PACE_START has passed, before anything is spawned. A loop that is
 * over by then wakes and disturbs nobody. A loop of few items (fewer than PACE_FEW for each worker) is taken for one of long bodies
 * and is split to single items at once: there a serial start could cost more than the loop's own time, and bodies that wait for
 * each other (a barrier among as many items as workers) all get their worker.
 *
 * With one worker nobody waits for a share: pieces only bound how late a cancellation is seen, and where each grain looks at that by
 * itself the whole loop is one piece, without a clock.
 *
 * The grain of the user is the largest range that one body gets, not the size of a piece: a piece may be many bodies.
 *
 * What must stay true: a pace belongs to one worker; a task that finds itself on another makes its own, beginning from what the
 * spawner's had come to. It lies in the frame of the task that made it and lives as long as all that this task spawns.
 *
 * Rejected. A fixed tree of 16 pieces per worker: a tiny loop paid for spawns and wakes it had no use for (measured: docs/design.md,
 * loops). Lazy binary splitting (Tzannes, Caragea, Barua, Vishkin 2010), which spawns only when the own deque is empty: up to half of
 * the loop then lies hidden in a frame behind a body that may be long, and with pieces of microseconds there are hardly any spawns left
 * to save; not measured for that reason. Growing the serial start by items instead of time: it says nothing about bodies.
 */
#ifndef FILCHI_PACE_H
#define FILCHI_PACE_H

#include <errno.h>

#include <filch/task.h>

#include "submit.h"

/*
 * A clock that costs little and is read between bodies only. On x86-64 the time stamp counter, which runs at 2 to 4 ticks per
 * nanosecond (some 8 ns to read; clock_gettime 25 ns): the times below are orders of magnitude, no more is needed.
 */
static inline uint64_t filchi_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return filchi_now() * 2;
#endif
}

#define PACE_START 2000u /* ticks: how long a loop is serial, about 0.5 to 1 us */
#define PACE_SHORT 10000u /* ticks: how long a piece should take, about 3 to 5 us */
#define PACE_LONG  40000u /* ticks: the same in a loop of which that is little */
#define PACE_LITTLE 128u  /* that is, this part of what each worker gets, in items */
#define PACE_GROWTH 8u   /* a piece is at most so many times the one before: one quick body proves little */
#define PACE_GROWTH_ALONE 64u /* with one worker all it can do is to delay a cancellation */
#define PACE_FEW   8u    /* up to so many grains per worker a loop is split to single ones at once */

/* What all workers of a loop share. */
struct filchi_span {
	size_t grain;                   /* items to a body at most, 0 = any number */
	size_t little;                  /* items: up to so many make a piece that takes PACE_LONG */
	uint32_t growth;
	bool timed;                     /* pieces go by the clock; else they stay as they are at first */
	bool alone;                     /* there is one worker */
	filch_atomic_u64 *job;          /* the state word of the job that the loop is part of, or one that stays 0 */
	filch_atomic_u32 left_out;      /* a body was not started because of that */
};

struct filchi_pace {
	const struct filch_worker *worker;
	filch_atomic_u64 piece;         /* items; the owner's, thieves read it */
	size_t next;                    /* where the last piece ended, and `then` when: the clock is read once a piece */
	uint64_t then;
	uint64_t start;                 /* when the loop began */
};

/* A body is not started, because the job is cancelled. */
static inline void filchi_span_leave_out(struct filchi_span *span)
{
	filchi_store_relaxed(&span->left_out, 1); /* read after the last sync */
}

/* The loop is over: another body must not start. A load, when nothing was cancelled. */
static inline bool filchi_span_cancelled(struct filchi_span *span)
{
	if (FILCH_LIKELY(!(filchi_load_acquire(span->job) & FILCHI_JOB_CANCEL)))
		return false;
	filchi_span_leave_out(span);
	return true;
}

/* Work whose result nobody will want: because of filchi_span_cancelled(), so that each task of a cancelled loop returns at once. */
static inline bool filchi_span_over(struct filchi_span *span)
{
	return filchi_load_relaxed(&span->left_out);
}

static inline size_t filchi_pace_piece(const struct filchi_pace *pace)
{
	return filchi_load_relaxed(&pace->piece);
}

/* @items times @ratio / 256, or more than any loop needs. */
static inline size_t filchi_pace_scale(size_t items, uint64_t ratio)
{
	size_t scaled;

	if (FILCH_LIKELY(!__builtin_mul_overflow(items, ratio, &scaled)))
		return scaled >> 8;
	return __builtin_mul_overflow(items >> 8, ratio, &scaled) ? SIZE_MAX >> 1 : scaled;
}

/* A piece of @items took @ticks: the size of the next. */
static inline void filchi_pace_set(struct filchi_pace *pace, const struct filchi_span *span, size_t items, uint64_t ticks)
{
	uint64_t ratio = ((uint64_t)PACE_LONG << 8) / (ticks | 1), most = (uint64_t)span->growth << 8;
	size_t piece = filchi_pace_scale(items, ratio < most ? ratio : most);

	if (piece > span->little) {
		ratio /= PACE_LONG / PACE_SHORT;
		piece = filchi_pace_scale(items, ratio < most ? ratio : most);
		if (piece < span->little)
			piece = span->little;
	}
	filchi_store_relaxed(&pace->piece, piece ? piece : 1);
}

/* Before a piece that begins at @begin. */
static inline void filchi_pace_begin(struct filchi_pace *pace, const struct filchi_span *span, size_t begin)
{
	if (span->timed && pace->next != begin)
		pace->then = filchi_ticks();
}

/* After the piece [@begin, @end). */
static inline void filchi_pace_end(struct filchi_pace *pace, const struct filchi_span *span, size_t begin, size_t end)
{
	if (span->timed) {
		uint64_t now = filchi_ticks();

		filchi_pace_set(pace, span, end - begin, now - pace->then);
		pace->then = now;
		pace->next = end;
	}
}

/* The pace for a task on @worker that was spawned under @spawner's: that one, or @own, made from it. */
static inline struct filchi_pace *filchi_pace_here(struct filchi_pace *spawner, struct filchi_pace *own,
						   const struct filch_worker *worker)
{
	if (FILCH_LIKELY(spawner->worker == worker))
		return spawner;
	own->worker = worker;
	filchi_store_relaxed(&own->piece, filchi_load_relaxed(&spawner->piece));
	own->next = 0;
	own->then = 0; /* no piece begins at 0 but the first of a loop, which no thief gets */
	return own;
}

/*
 * The task of the whole loop over [@begin, @end), not empty, before anything is run: fills @span but for its grain, and @pace.
 * True: the loop starts serially.
 */
static inline bool filchi_span_open(struct filchi_span *span, struct filchi_pace *pace, const struct filch_worker *worker,
				    size_t begin, size_t end)
{
	static filch_atomic_u64 no_job;
	size_t workers = ((const struct filchi_worker *)(const void *)worker)->pool->running, items = end - begin, bound;
	unsigned shift = workers == 1 ? 0 : 64 - (unsigned)__builtin_clzl(workers - 1); /* no division: a loop may be 80 ns long */
	size_t first = items >> 6 >> shift; /* so many can be run serially though they be long: a 64th of the loop's time */
	bool few = workers > 1 && (__builtin_mul_overflow(PACE_FEW * workers, span->grain ? span->grain : 1, &bound) || items <= bound);

	span->job = filchi_job_word_here();
	if (!span->job)
		span->job = &no_job;
	filchi_store_relaxed(&span->left_out, 0);
	span->alone = workers == 1;
	span->timed = !few && !(span->alone && span->grain);
	span->growth = span->alone ? PACE_GROWTH_ALONE : PACE_GROWTH;
	span->little = span->alone ? SIZE_MAX : items / PACE_LITTLE >> shift;
	pace->worker = worker;
	if (first >= 4)
		first = (first + 7) & ~(size_t)7;
	filchi_store_relaxed(&pace->piece, span->alone && span->grain ? SIZE_MAX : few || !first ? 1 : first);
	pace->next = begin;
	pace->then = pace->start = span->timed ? filchi_ticks() : 0;
	return !few;
}

/*
 * A place to cut at or a little before @at, far from @begin: at a multiple of 16 items, so that vectors stay aligned from piece to piece
 * and two pieces seldom share a cache line.
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

/* In the serial start: where a piece that begins at @begin ends. */
static inline size_t filchi_pace_stop(const struct filchi_pace *pace, size_t begin, size_t end)
{
	size_t piece = filchi_pace_piece(pace);

	if (end - begin <= piece)
		return end;
	return filchi_cut(begin, begin + piece);
}

/* In the serial start, after a piece: whether it goes on. With one worker it always does. */
static inline bool filchi_pace_serial(const struct filchi_pace *pace, const struct filchi_span *span)
{
	return span->alone || pace->then - pace->start < PACE_START;
}

/* What the loop returns, after its last sync: 0, or -ECANCELED if a body was left out. */
static inline int filchi_span_close(struct filchi_span *span)
{
	return filchi_load_relaxed(&span->left_out) ? -ECANCELED : 0;
}

#endif
