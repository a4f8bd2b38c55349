/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel loops: many tiny ones inside one run; the same called from outside; saxpy; a million
 * short bodies with a grain of one, and the same through a pointer; a triangular loop, whose body i
 * costs i.
 *
 * A backend that has loops defines BENCH_FOR(begin, end, grain, body, arg), used inside a task, and
 * BENCH_FOR_CALLER(engine, begin, end, grain, body, arg), used in the entry: 0 or a negative errno;
 * grain 0 is the contestant's own choice. For the others it is the natural loop on their tasks:
 * halves down to the grain, or to PIECES pieces. Where who writes the loop has to say that its
 * bodies differ, a backend defines BENCH_FOR_UNEVEN as well; where a loop must be made for its body
 * at file scope, BENCH_FOR_BODY(body), and BENCH_FOR_POINTER for a body that is known when it runs;
 * and BENCH_RUN_LOOPS, as BENCH_RUN, where a task with loops begins differently from one with tasks
 * (OpenMP: on all threads).
 *
 * Not good for: loops whose bodies touch much memory (saxpy alone does), machines with caches of
 * different speed.
 */
#include "bench.h"
#include BENCH_BACKEND

#include "programs/loops.h"

#ifndef BENCH_FOR
#define PIECES 16u

struct loop {
	void (*body)(size_t b, size_t e, void *arg);
	void *arg;
	size_t grain;
};

BENCH_TASK(int, range, (struct loop, loop), (size_t, begin), (size_t, end))
{
	if (end - begin <= loop.grain) {
		loop.body(begin, end, loop.arg);
		return 0;
	}
	size_t middle = begin + (end - begin) / 2;

	BENCH_SPAWN(upper, range, loop, middle, end);
	int error = BENCH_CALL(range, loop, begin, middle);

	return error | BENCH_SYNC(upper);
}

static inline struct loop loop_of(
	void (*body)(size_t b, size_t e, void *arg), void *arg, size_t items, size_t grain)
{
	struct loop loop = { body, arg, grain ? grain : items / PIECES + 1 };

	return loop;
}

static int from_outside(void *engine, struct loop loop, size_t begin, size_t end)
{
	int result = 0, error = BENCH_RUN(engine, &result, range, loop, begin, end);

	return error ? error : result;
}

#define BENCH_FOR(begin, end, grain, body, arg) \
	BENCH_CALL(range, loop_of(body, arg, (end) - (begin), grain), begin, end)
#define BENCH_FOR_CALLER(engine, begin, end, grain, body, arg) \
	from_outside(engine, loop_of(body, arg, (end) - (begin), grain), begin, end)
#endif
#ifndef BENCH_FOR_UNEVEN
#define BENCH_FOR_UNEVEN(begin, end, grain, body, arg) BENCH_FOR(begin, end, grain, body, arg)
#endif
#ifndef BENCH_FOR_POINTER
#define BENCH_FOR_POINTER(begin, end, grain, body, arg) \
	BENCH_FOR_UNEVEN(begin, end, grain, body, arg)
#endif
#ifdef BENCH_FOR_BODY
BENCH_FOR_BODY(loops_tiny);
BENCH_FOR_BODY(loops_saxpy);
BENCH_FOR_BODY(loops_grains);
BENCH_FOR_BODY(loops_triangle);
#endif
#ifndef BENCH_RUN_LOOPS
#define BENCH_RUN_LOOPS(engine, out, name, ...) BENCH_RUN(engine, out, name, __VA_ARGS__)
#endif

BENCH_TASK(int, tiny, (unsigned, repeats))
{
	int error = 0;

	for (unsigned i = 0; i < repeats; i++)
		error |= BENCH_FOR((size_t)0, (size_t)LOOPS_TINY, (size_t)0, loops_tiny, NULL);
	return error;
}

BENCH_TASK(int, saxpy, (unsigned, repeats))
{
	int error = 0;

	for (unsigned i = 0; i < repeats; i++)
		error |= BENCH_FOR((size_t)0, (size_t)LOOPS_MOST, (size_t)0, loops_saxpy, NULL);
	return error;
}

BENCH_TASK(int, grains, (size_t, n))
{
	return BENCH_FOR_UNEVEN((size_t)0, n, (size_t)1, loops_grains, NULL);
}

/* The compiler does not see the body, as in a program that hands it on as an argument. */
static void (*volatile body_in_memory)(size_t b, size_t e, void *arg) = loops_grains;

BENCH_TASK(int, grains_ptr, (size_t, n))
{
	return BENCH_FOR_POINTER((size_t)0, n, (size_t)1, body_in_memory, NULL);
}

BENCH_TASK(int, triangle, (size_t, n))
{
	return BENCH_FOR_UNEVEN((size_t)0, n, (size_t)0, loops_triangle, NULL);
}

/* arg: repeats. value: cells that show every repeat. tasks: loops. */
int BENCH_ENTRY(tiny)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	unsigned repeats = (unsigned)size->arg[0];
	int inner = 0, error;

	loops_begin(LOOPS_OF_TINY, repeats);
	error = BENCH_RUN_LOOPS(engine, &inner, tiny, repeats);
	*out = (struct bench_outcome){ .value = { loops_tiny_right() }, .tasks = repeats };
	return error ? error : inner;
}

/* The same, but each loop is called from outside, by the thread that made the contestant. */
int BENCH_ENTRY(tiny_caller)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	unsigned repeats = (unsigned)size->arg[0];
	int error = 0;

	loops_begin(LOOPS_OF_TINY, repeats);
	for (unsigned i = 0; i < repeats && !error; i++)
		error = BENCH_FOR_CALLER(
			engine, (size_t)0, (size_t)LOOPS_TINY, (size_t)0, loops_tiny, NULL);
	*out = (struct bench_outcome){ .value = { loops_tiny_right() }, .tasks = repeats };
	return error;
}

/* arg: repeats. value: elements that show every repeat. tasks: elements times repeats. */
int BENCH_ENTRY(saxpy)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	unsigned repeats = (unsigned)size->arg[0];
	int inner = 0, error;

	loops_begin(LOOPS_OF_SAXPY, repeats);
	error = BENCH_RUN_LOOPS(engine, &inner, saxpy, repeats);
	*out = (struct bench_outcome){ .value = { loops_saxpy_right() },
		.tasks = (uint64_t)repeats * LOOPS_MOST };
	return error ? error : inner;
}

/* arg: items. value: sum of what the items came to. tasks: items. */
int BENCH_ENTRY(grains)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	size_t n = (size_t)size->arg[0];
	int inner = 0, error;

	loops_begin(LOOPS_OF_MIXED, 1);
	error = BENCH_RUN_LOOPS(engine, &inner, grains, n);
	*out = (struct bench_outcome){ .value = { loops_sum(n) }, .tasks = n };
	return error ? error : inner;
}

/* As grains. */
int BENCH_ENTRY(grains_ptr)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	size_t n = (size_t)size->arg[0];
	int inner = 0, error;

	loops_begin(LOOPS_OF_MIXED, 1);
	error = BENCH_RUN_LOOPS(engine, &inner, grains_ptr, n);
	*out = (struct bench_outcome){ .value = { loops_sum(n) }, .tasks = n };
	return error ? error : inner;
}

/* As grains. */
int BENCH_ENTRY(triangle)(void *engine, const struct bench_size *size, struct bench_outcome *out)
{
	size_t n = (size_t)size->arg[0];
	int inner = 0, error;

	loops_begin(LOOPS_OF_MIXED, 1);
	error = BENCH_RUN_LOOPS(engine, &inner, triangle, n);
	*out = (struct bench_outcome){ .value = { loops_sum(n) }, .tasks = n };
	return error ? error : inner;
}
