/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Baseline: a task's frame holds link, function, arguments and result, and lies in the spawner's
 *           frame; see
 * baseline/baseline.h.
 */
#ifndef BENCH_BASELINE_BACKEND_H
#define BENCH_BASELINE_BACKEND_H

#include "backends/args.h"
#include "baseline/baseline.h"

#define BENCH_FRAME(name)      struct name##_frame
#define BENCH_TASK(...)        BENCH_TASK_AS(static, __VA_ARGS__)
#define BENCH_TASK_INLINE(...) BENCH_TASK_AS(static inline, __VA_ARGS__)
#define BENCH_TASK_AS(link, R, name, ...)                                                     \
	struct name##_frame {                                                                 \
		struct base_task task;                                                        \
		BENCH_EACH(BENCH_FIELD, __VA_ARGS__) R result;                                \
	};                                                                                    \
	link R name##_body(struct base_worker *base_w, BENCH_LIST(BENCH_PARAM, __VA_ARGS__)); \
	static void name##_enter(struct base_worker *worker, struct base_task *task)          \
	{                                                                                     \
		struct name##_frame *frame = (struct name##_frame *)(void *)task;             \
		frame->result = name##_body(worker, BENCH_LIST(BENCH_LOAD, __VA_ARGS__));     \
	}                                                                                     \
	__attribute__((unused)) static inline void name##_spawn(struct base_worker *worker,   \
		struct name##_frame *frame, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))             \
	{                                                                                     \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                          \
		base_spawn(worker, &frame->task, name##_enter);                               \
	}                                                                                     \
	__attribute__((unused)) static int name##_run(                                        \
		struct base_pool *pool, R *out, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))         \
	{                                                                                     \
		struct name##_frame root, *frame = &root;                                     \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                          \
		int err = base_run(pool, &root.task, name##_enter);                           \
		if (!err)                                                                     \
			*out = root.result;                                                   \
		return err;                                                                   \
	}                                                                                     \
	link R name##_body(__attribute__((unused)) struct base_worker *base_w,                \
		BENCH_LIST(BENCH_PARAM, __VA_ARGS__))
#define BENCH_CALL(name, ...) name##_body(base_w, __VA_ARGS__)
#define BENCH_SPAWN(h, name, ...) \
	struct name##_frame h;    \
	name##_spawn(base_w, &h, __VA_ARGS__)
#define BENCH_SYNC(h)                      (base_join(base_w, &(h).task), (h).result)
#define BENCH_SPAWN_INTO(frame, name, ...) name##_spawn(base_w, frame, __VA_ARGS__)
#define BENCH_SYNC_FROM(name, frame)       (base_join(base_w, &(frame)->task), (frame)->result)
#define BENCH_RUN(engine, out, name, ...)  name##_run(engine, out, __VA_ARGS__)

#endif
