/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oneTBB, C++: tasks as parallel_invoke makes them, which is the cheapest way oneTBB has: the task
 * object lies in its spawner's frame (nothing is allocated), all tasks of a run share one
 * task_group_context, and a frame waits once, at its first sync, on a wait_context. With
 * task_group, which allocates each task and binds a context per group, fib took 1.5 to 1.9 times as
 * long.
 *
 * parallel_invoke itself takes a fixed number of functors, and our frames spawn as many as they
 * find. So this file uses the three functions under it, of the namespace tbb::detail::d1 in
 * oneTBB's installed headers; they are not promised to stay. Written for 2021.8.
 */
#ifndef BENCH_TBB_BACKEND_H
#define BENCH_TBB_BACKEND_H

#include <cstddef>
#include <new>
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_group.h>

#include "backends/args.h"

/* The context of all tasks of the run under way; one run at a time. */
extern tbb::task_group_context *tbb_context;

/* Calls @fn(arg) in the engine's arena, on its first thread. */
void tbb_in_arena(void *engine, void (*fn)(void *), void *arg);

/* What a frame has spawned and not yet waited for. */
class tbb_open
{
	alignas(tbb::detail::d1::wait_context) unsigned char room[sizeof(
		tbb::detail::d1::wait_context)];
	bool any = false;

      public:
	tbb::detail::d1::wait_context &count()
	{
		return *reinterpret_cast<tbb::detail::d1::wait_context *>(room);
	}
	void spawn(tbb::detail::d1::task &task)
	{
		if (any)
			count().reserve();
		else
			new (room) tbb::detail::d1::wait_context(1);
		any = true;
		tbb::detail::d1::spawn(task, *tbb_context);
	}
	void join()
	{
		if (any)
			tbb::detail::d1::wait(count(), *tbb_context);
		any = false;
	}
};

/* A task whose @F is called as F(frame) when it runs. */
template <typename Frame> class tbb_task final : public tbb::detail::d1::task
{
	Frame *frame;
	tbb::detail::d1::wait_context &count;

      public:
	tbb_task(Frame *f, tbb::detail::d1::wait_context &c) : frame(f), count(c)
	{
	}
	tbb::detail::d1::task *execute(tbb::detail::d1::execution_data &) override
	{
		tbb::detail::d1::wait_context &c = count;

		frame->enter();
		c.release(); /* the frame and this object may be gone after it */
		return nullptr;
	}
	tbb::detail::d1::task *cancel(tbb::detail::d1::execution_data &) override
	{
		count.release();
		return nullptr;
	}
};

/*
 * Loops of @body(begin, end), a functor, so that the library's loop and the body are compiled as
 * one, as in its users' programs.
 *
 * Bodies that are alike, @grain 0: as many pieces as there are threads, dealt out before it begins
 * (static_partitioner). Others: cut while it runs, as auto_partitioner chooses, down to @grain; no
 * body has more than @grain items then. With auto_partitioner a loop of 1,000 tiny bodies took ten
 * times as long, with simple_partitioner a million bodies longer than with auto_partitioner.
 */
template <typename Body> static int tbb_for(size_t begin, size_t end, Body body)
{
	tbb::parallel_for(
		tbb::blocked_range<size_t>(begin, end),
		[=](const tbb::blocked_range<size_t> &r) { body(r.begin(), r.end()); },
		tbb::static_partitioner(), *tbb_context);
	return 0;
}

template <typename Body>
static int tbb_for_uneven(size_t begin, size_t end, size_t grain, Body body)
{
	tbb::parallel_for(
		tbb::blocked_range<size_t>(begin, end, grain ? grain : 1),
		[=](const tbb::blocked_range<size_t> &r) {
			size_t piece = grain ? grain : r.size();

			for (size_t b = r.begin(); b < r.end(); b += piece)
				body(b, r.end() - b < piece ? r.end() : b + piece);
		},
		tbb::auto_partitioner(), *tbb_context);
	return 0;
}

/* From outside. */
template <typename Body>
static int tbb_loop(void *engine, size_t begin, size_t end, size_t grain, Body body)
{
	auto loop = [&] {
		grain ? tbb_for_uneven(begin, end, grain, body) : tbb_for(begin, end, body);
	};

	tbb_in_arena(
		engine, [](void *f) { (*static_cast<decltype(loop) *>(f))(); }, &loop);
	return 0;
}

#define TBB_BODY(body, arg)                    \
	[body_arg = static_cast<void *>(arg)]( \
		size_t body_begin, size_t body_end) { body(body_begin, body_end, body_arg); }

#define BENCH_FRAME(name)      struct name##_frame
#define BENCH_TASK(...)        BENCH_TASK_AS(static, __VA_ARGS__)
#define BENCH_TASK_INLINE(...) BENCH_TASK_AS(static inline, __VA_ARGS__)
#define BENCH_TASK_AS(link, R, name, ...)                                                          \
	link R name##_body(tbb_open &&bench_open, BENCH_LIST(BENCH_PARAM, __VA_ARGS__));           \
	struct name##_frame {                                                                      \
		/* Room only, so that an array of frames costs nothing until it is used. */        \
		alignas(tbb_task<name##_frame>) unsigned char task[2 *                             \
								   sizeof(tbb::detail::d1::task)]; \
		BENCH_EACH(BENCH_FIELD, __VA_ARGS__)                                               \
		R result;                                                                          \
		void enter()                                                                       \
		{                                                                                  \
			struct name##_frame *frame = this;                                         \
			result = name##_body(tbb_open(), BENCH_LIST(BENCH_LOAD, __VA_ARGS__));     \
		}                                                                                  \
	};                                                                                         \
	__attribute__((unused)) static inline void name##_spawn(tbb_open &bench_open,              \
		struct name##_frame *frame, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))                  \
	{                                                                                          \
		static_assert(sizeof frame->task >= sizeof(tbb_task<struct name##_frame>),         \
			"room for the task");                                                      \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                               \
		bench_open.spawn(*new (frame->task) tbb_task<struct name##_frame>(                 \
			frame, bench_open.count()));                                               \
	}                                                                                          \
	__attribute__((unused)) static int name##_run(                                             \
		void *engine, R *out, BENCH_LIST(BENCH_PARAM, __VA_ARGS__))                        \
	{                                                                                          \
		struct name##_frame root, *frame = &root;                                          \
		BENCH_EACH(BENCH_STORE, __VA_ARGS__)                                               \
		tbb_in_arena(                                                                      \
			engine,                                                                    \
			[](void *arg) { static_cast<struct name##_frame *>(arg)->enter(); },       \
			frame);                                                                    \
		*out = root.result;                                                                \
		return 0;                                                                          \
	}                                                                                          \
	link R name##_body(__attribute__((unused)) tbb_open &&bench_open,                          \
		BENCH_LIST(BENCH_PARAM, __VA_ARGS__))
#define BENCH_CALL(name, ...) name##_body(tbb_open(), __VA_ARGS__)
#define BENCH_SPAWN(h, name, ...) \
	struct name##_frame h;    \
	name##_spawn(bench_open, &h, __VA_ARGS__)
#define BENCH_SYNC(h)                      (bench_open.join(), (h).result)
#define BENCH_SPAWN_INTO(frame, name, ...) name##_spawn(bench_open, frame, __VA_ARGS__)
#define BENCH_SYNC_FROM(name, frame)       (bench_open.join(), (frame)->result)
#define BENCH_RUN(engine, out, name, ...)  name##_run(engine, out, __VA_ARGS__)
#define BENCH_LOOP(engine, begin, end, grain, body, arg) \
	BENCH_FOR_CALLER(engine, begin, end, grain, body, arg)
#define BENCH_FOR(begin, end, grain, body, arg) \
	((void)(grain), tbb_for(begin, end, TBB_BODY(body, arg)))
#define BENCH_FOR_UNEVEN(begin, end, grain, body, arg) \
	tbb_for_uneven(begin, end, grain, TBB_BODY(body, arg))
#define BENCH_FOR_CALLER(engine, begin, end, grain, body, arg) \
	tbb_loop(engine, begin, end, grain, TBB_BODY(body, arg))

/* A flow graph of continue_nodes, kept for each engine. */
int tbb_dag(void *engine);
#define BENCH_DAG(engine) tbb_dag(engine)

#endif
