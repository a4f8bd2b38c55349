/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oneTBB, C++: a task_group per frame, run() for a spawn, wait() for the first sync after it.
 *
 * The group lives in the frame of the task that spawns and is made at its first spawn only: a leaf pays nothing. What a spawn
 * captures is the pointer to its frame, where arguments and result lie. The later syncs of a frame find nothing to wait for.
 */
#ifndef BENCH_TBB_BACKEND_H
#define BENCH_TBB_BACKEND_H

#include <cstddef>
#include <new>
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_group.h>

#include "backends/args.h"

/* Calls @fn(arg) in the engine's arena, on its first thread. */
void tbb_in_arena(void *engine, void (*fn)(void *), void *arg);

/* The group of one frame, made when it is first needed. */
class tbb_frame {
	alignas(tbb::task_group) unsigned char room[sizeof(tbb::task_group)];
	bool made = false, open = false;

	tbb::task_group *group()
	{
		return reinterpret_cast<tbb::task_group *>(room);
	}

public:
	template <typename F> void run(const F &f)
	{
		if (!made)
			new (room) tbb::task_group;
		made = open = true;
		group()->run(f);
	}
	void join()
	{
		if (open)
			group()->wait();
		open = false;
	}
	~tbb_frame()
	{
		if (made)
			group()->~task_group();
	}
};

/* A loop from outside, cut by the library's own choice of pieces down to @grain. */
__attribute__((unused)) static int tbb_loop(
	void *engine, size_t begin, size_t end, size_t grain, void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	auto loop = [&] {
		tbb::parallel_for(tbb::blocked_range<size_t>(begin, end, grain),
			[=](const tbb::blocked_range<size_t> &r) { body(r.begin(), r.end(), arg); });
	};

	tbb_in_arena(engine, [](void *f) { (*static_cast<decltype(loop) *>(f))(); }, &loop);
	return 0;
}

#define BENCH_FRAME(name) struct name##_frame
#define BENCH_TASK(R, name, ...)                                                                               \
	struct name##_frame { BENCH_EACH(BENCH_FIELD, __VA_ARGS__) R result; };                                \
	static R name##_body(tbb_frame &&tbb_open, BENCH_LIST(BENCH_PARAM, __VA_ARGS__));                      \
	__attribute__((unused)) static inline void name##_spawn(tbb_frame &tbb_open, struct name##_frame *frame, \
								BENCH_LIST(BENCH_PARAM, __VA_ARGS__))          \
	{                                                                                                      \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                                           \
		tbb_open.run([frame] {                                                                         \
			frame->result = name##_body(tbb_frame(), BENCH_LIST(BENCH_LOAD, __VA_ARGS__));         \
		});                                                                                            \
	}                                                                                                      \
	__attribute__((unused)) static void name##_enter(void *arg)                                            \
	{                                                                                                      \
		struct name##_frame *frame = static_cast<struct name##_frame *>(arg);                          \
		frame->result = name##_body(tbb_frame(), BENCH_LIST(BENCH_LOAD, __VA_ARGS__));                 \
	}                                                                                                      \
	__attribute__((unused)) static int name##_run(void *engine, R *out, BENCH_LIST(BENCH_PARAM, __VA_ARGS__)) \
	{                                                                                                      \
		struct name##_frame root, *frame = &root;                                                      \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                                           \
		tbb_in_arena(engine, name##_enter, frame);                                                     \
		*out = root.result;                                                                            \
		return 0;                                                                                      \
	}                                                                                                      \
	static R name##_body(__attribute__((unused)) tbb_frame &&tbb_open, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))
#define BENCH_CALL(name, ...) name##_body(tbb_frame(), __VA_ARGS__)
#define BENCH_SPAWN(h, name, ...)                                                                              \
	struct name##_frame h;                                                                                 \
	name##_spawn(tbb_open, &h, __VA_ARGS__)
#define BENCH_SYNC(h) (tbb_open.join(), (h).result)
#define BENCH_SPAWN_INTO(frame, name, ...) name##_spawn(tbb_open, frame, __VA_ARGS__)
#define BENCH_SYNC_FROM(name, frame) (tbb_open.join(), (frame)->result)
#define BENCH_RUN(engine, out, name, ...) name##_run(engine, out, __VA_ARGS__)
#define BENCH_LOOP(engine, begin, end, grain, body, arg) tbb_loop(engine, begin, end, grain, body, arg)

#endif
