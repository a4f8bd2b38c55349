/* SPDX-License-Identifier: Apache-2.0 */
/* filch: the BENCH_ macros are its own. */
#ifndef BENCH_FILCH_BACKEND_H
#define BENCH_FILCH_BACKEND_H

#include "bench.h"
#include <filch/filch.h>

#define BENCH_FRAME(name)            FILCH_FRAME(name)
#define BENCH_TASK(...)              FILCH_TASK(__VA_ARGS__)
#define BENCH_TASK_INLINE(...)       FILCH_TASK_INLINE(__VA_ARGS__)
#define BENCH_CALL(...)              FILCH_CALL(__VA_ARGS__)
#define BENCH_SPAWN(...)             FILCH_SPAWN(__VA_ARGS__)
#define BENCH_SYNC(h)                FILCH_SYNC(h)
#define BENCH_SPAWN_INTO(...)        FILCH_SPAWN_INTO(__VA_ARGS__)
#define BENCH_SYNC_FROM(name, frame) FILCH_SYNC_FROM(name, frame)
#define BENCH_CHILDREN_FOLD(...)     FILCH_CHILDREN_FOLD(__VA_ARGS__)
#define BENCH_SPAWN_CHILD(...)       FILCH_SPAWN_CHILD(__VA_ARGS__)
#define BENCH_SYNC_CHILDREN(kids)    FILCH_SYNC_CHILDREN(kids)
#define BENCH_RUN(engine, ...)       FILCH_RUN((struct filch_pool *)(engine), __VA_ARGS__)
#define BENCH_LOOP(engine, begin, end, grain, body, arg) \
	filch_for((struct filch_pool *)(engine), begin, end, grain, body, arg)

/* Loops have their bodies compiled in, as the peers'. */
#define BENCH_FOR_BODY(body)                    FILCH_FOR_DEFINE(body##_for, void, body)
#define BENCH_FOR(begin, end, grain, body, arg) body##_for(NULL, begin, end, grain, arg)
#define BENCH_FOR_POINTER(begin, end, grain, body, arg) \
	filch_for(NULL, begin, end, grain, body, arg)
#define BENCH_FOR_CALLER(engine, begin, end, grain, body, arg) \
	body##_for(bench_filch_caller(engine), begin, end, grain, arg)

/*
 * A pool like @engine, but with the driver's thread as worker 0 (FILCH_POOL_CALLER); made when it
 * is first asked for. NULL: none.
 */
struct filch_pool *bench_filch_caller(void *engine);

/* The driver's one graph, built when it is first asked for. */
int bench_filch_dag(void *engine);
#define BENCH_DAG(engine) bench_filch_dag(engine)

#endif
