/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenMP: `omp task` for a spawn, `omp taskwait` for a sync, for whichever runtime the module is
 *         linked with.
 *
 * A task's arguments and result lie in its frame in the spawner's, and the task captures one
 * pointer: the least an OpenMP task can capture. A taskwait waits for all children of the task that
 * executes it, so a frame has one at its first sync and none at the later ones, as one would write
 * it by hand; bench_open is the frame's note that it has spawned since the last.
 *
 * A call is a plain call, so a taskwait inside it also waits for what the caller has spawned: the
 * usual way, and right. A call as a task of its own (`if(0)`) waits exactly, costs more on one
 * worker (fib with libomp 1.7 times as much) and gained on two in some rows only (fib with libomp,
 * skynet with libgomp; fib with libgomp and UTS lost).
 *
 * No cut-off, no `if`, no `final`, tied tasks: what the programs are for is the price of a task.
 */
#ifndef BENCH_OPENMP_BACKEND_H
#define BENCH_OPENMP_BACKEND_H

#include <omp.h>
#include <stddef.h>

#include "backends/args.h"

/* How many threads the team of @engine has, see peers/openmp.c. */
int openmp_workers(const void *engine);

/* How many of @n items a piece of a loop has. */
__attribute__((unused)) static size_t openmp_piece(size_t n, size_t grain, int workers)
{
	return grain ? grain : n / (size_t)workers + (n % (size_t)workers != 0);
}

static inline void openmp_join(int *open)
{
	if (!*open)
		return;
	*open = 0;
#pragma omp taskwait
}

/*
 * A loop from outside is a parallel region with a loop in it, pieces of @grain (0: one per thread)
 * dealt out before it begins.
 */
__attribute__((unused)) static int openmp_loop(const void *engine, size_t begin, size_t end,
	size_t grain, void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	size_t piece = openmp_piece(end - begin, grain, openmp_workers(engine));

#pragma omp parallel for num_threads(openmp_workers(engine)) schedule(static)
	for (size_t b = begin; b < end; b += piece)
		body(b, end - b < piece ? end : b + piece, arg);
	return 0;
}

/*
 * The same inside a parallel region, by all of its threads: no region is made, what it costs is one
 * barrier.
 */
__attribute__((unused)) static int openmp_for(size_t begin, size_t end, size_t grain,
	void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	size_t piece = openmp_piece(end - begin, grain, omp_get_num_threads());

#pragma omp for schedule(static)
	for (size_t b = begin; b < end; b += piece)
		body(b, end - b < piece ? end : b + piece, arg);
	return 0;
}

/*
 * The same for bodies that differ: dealt out while it runs, in pieces that get smaller, down to
 * @grain. `dynamic`, which deals out one item at a time, took 3 times as long for the million
 * bodies of `grains` with libgomp, 10 times with libomp.
 */
__attribute__((unused)) static int openmp_for_uneven(size_t begin, size_t end, size_t grain,
	void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	size_t piece = grain ? grain : 1;

#pragma omp for schedule(guided)
	for (size_t b = begin; b < end; b += piece)
		body(b, end - b < piece ? end : b + piece, arg);
	return 0;
}

#define BENCH_FRAME(name)      struct name##_frame
#define BENCH_TASK(...)        BENCH_TASK_AS(static, __VA_ARGS__)
#define BENCH_TASK_INLINE(...) BENCH_TASK_AS(static inline, __VA_ARGS__)
#define BENCH_TASK_AS(link, R, name, ...)                                                       \
	struct name##_frame {                                                                   \
		BENCH_EACH(BENCH_FIELD, __VA_ARGS__) R result;                                  \
	};                                                                                      \
	link R name##_body(int bench_open, BENCH_LIST(BENCH_PARAM, __VA_ARGS__));               \
	__attribute__((unused)) static inline void name##_spawn(                                \
		struct name##_frame *frame, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))               \
	{                                                                                       \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                            \
		_Pragma("omp task firstprivate(frame)") frame->result =                         \
			name##_body(0, BENCH_LIST(BENCH_LOAD, __VA_ARGS__));                    \
	}                                                                                       \
	__attribute__((unused)) static int name##_run(                                          \
		const void *engine, R *out, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))               \
	{                                                                                       \
		struct name##_frame root, *frame = &root;                                       \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                            \
		_Pragma("omp parallel num_threads(openmp_workers(engine)) firstprivate(frame)") \
			_Pragma("omp master") frame->result =                                   \
			name##_body(0, BENCH_LIST(BENCH_LOAD, __VA_ARGS__));                    \
		*out = root.result;                                                             \
		return 0;                                                                       \
	}                                                                                       \
	/* For loops: all threads run the task and share out the loops in it. */                \
	__attribute__((unused)) static int name##_run_on_all(                                   \
		const void *engine, R *out, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))               \
	{                                                                                       \
		struct name##_frame root, *frame = &root;                                       \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                            \
		_Pragma("omp parallel num_threads(openmp_workers(engine)) firstprivate(frame)") \
		{                                                                               \
			R result = name##_body(0, BENCH_LIST(BENCH_LOAD, __VA_ARGS__));         \
			_Pragma("omp master") frame->result = result;                           \
		}                                                                               \
		*out = root.result;                                                             \
		return 0;                                                                       \
	}                                                                                       \
	link R name##_body(                                                                     \
		__attribute__((unused)) int bench_open, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))
#define BENCH_CALL(name, ...) name##_body(0, __VA_ARGS__)
#define BENCH_SPAWN(h, name, ...)      \
	struct name##_frame h;         \
	name##_spawn(&h, __VA_ARGS__); \
	bench_open = 1
#define BENCH_SYNC(h) (openmp_join(&bench_open), (h).result)
#define BENCH_SPAWN_INTO(frame, name, ...) \
	(name##_spawn(frame, __VA_ARGS__), (void)(bench_open = 1))
#define BENCH_SYNC_FROM(name, frame)      (openmp_join(&bench_open), (frame)->result)
#define BENCH_RUN(engine, out, name, ...) name##_run(engine, out, __VA_ARGS__)
#define BENCH_LOOP(engine, begin, end, grain, body, arg) \
	openmp_loop(engine, begin, end, grain, body, arg)
#define BENCH_FOR(begin, end, grain, body, arg) openmp_for(begin, end, grain, body, arg)
#define BENCH_FOR_UNEVEN(begin, end, grain, body, arg) \
	openmp_for_uneven(begin, end, grain, body, arg)
#define BENCH_FOR_CALLER(engine, begin, end, grain, body, arg) \
	openmp_loop(engine, begin, end, grain, body, arg)
#define BENCH_RUN_LOOPS(engine, out, name, ...) name##_run_on_all(engine, out, __VA_ARGS__)

/*
 * A task for each node, in the order of their numbers; what a node writes stands for the node.
 * Needs programs/dag.h where it is used.
 */
#define BENCH_DAG(engine) openmp_dag(engine, &bench_dag, bench_dag_visit)
struct bench_dag;
int openmp_dag(const void *engine, const struct bench_dag *dag, void (*visit)(uint32_t i));

#endif
