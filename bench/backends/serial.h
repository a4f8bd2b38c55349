/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serial: a spawn is a plain call at the place of the spawn, a sync reads its result. Same
 *         compiler, same flags.
 * The root is called through a volatile pointer, so that the compiler knows neither argument nor
 * result.
 */
#ifndef BENCH_SERIAL_H
#define BENCH_SERIAL_H

#include <stddef.h>

#include "backends/args.h"

#define BENCH_FRAME(name)      struct name##_frame
#define BENCH_TASK(...)        BENCH_TASK_AS(static, __VA_ARGS__)
#define BENCH_TASK_INLINE(...) BENCH_TASK_AS(static inline, __VA_ARGS__)
#define BENCH_TASK_AS(link, R, name, ...)                            \
	struct name##_frame {                                        \
		R result;                                            \
	};                                                           \
	link R name##_body(BENCH_LIST(BENCH_PARAM, __VA_ARGS__));    \
	__attribute__((unused)) static R (*volatile name##_root)(    \
		BENCH_LIST(BENCH_PARAM, __VA_ARGS__)) = name##_body; \
	link R name##_body(BENCH_LIST(BENCH_PARAM, __VA_ARGS__))
#define BENCH_CALL(name, ...) name##_body(__VA_ARGS__)

#define BENCH_SPAWN(h, name, ...) const struct name##_frame h = { name##_body(__VA_ARGS__) }

#define BENCH_SYNC(h)                      ((h).result)
#define BENCH_SPAWN_INTO(frame, name, ...) ((void)((frame)->result = name##_body(__VA_ARGS__)))
#define BENCH_SYNC_FROM(name, frame)       ((frame)->result)
/* A child is called and folded at its spawn. */
#define BENCH_CHILDREN_FOLD(kids, name, f, i)  \
	const struct {                         \
		__typeof__(&name##_body) body; \
		__typeof__(&(f)) fold;         \
		__typeof__(i) into;            \
	} kids = { name##_body, f, i }
#define BENCH_SPAWN_CHILD(kids, ...)      ((kids)->fold((kids)->into, (kids)->body(__VA_ARGS__)))
#define BENCH_SYNC_CHILDREN(kids)         ((void)(kids))
#define BENCH_RUN(engine, out, name, ...) ((void)(engine), *(out) = name##_root(__VA_ARGS__), 0)
#define BENCH_LOOP(engine, begin, end, grain, body, arg) \
	((void)(engine), (void)(grain), body(begin, end, arg), 0)

/*
 * A loop is one call, through a volatile pointer, so that two loops one after the other stay two.
 */
__attribute__((unused)) static inline int serial_for(
	size_t begin, size_t end, void (*body)(size_t b, size_t e, void *arg), void *arg)
{
	void (*volatile root)(size_t b, size_t e, void *arg) = body;

	root(begin, end, arg);
	return 0;
}
#define BENCH_FOR(begin, end, grain, body, arg) ((void)(grain), serial_for(begin, end, body, arg))
#define BENCH_FOR_CALLER(engine, begin, end, grain, body, arg) \
	((void)(engine), BENCH_FOR(begin, end, grain, body, arg))

/* Numbers are such an order. */
#define BENCH_DAG(engine) ((void)(engine), serial_dag(bench_dag.n))
#define serial_dag(n)                                          \
	(__extension__({                                       \
		for (uint32_t dag_i = 0; dag_i < (n); dag_i++) \
			bench_dag_visit(dag_i);                \
		0;                                             \
	}))

#endif
