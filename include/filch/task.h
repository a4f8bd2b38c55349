/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed nested fork-join: spawn, call, sync.
 *
 *     FILCH_TASK(long, fib, (long, n))
 *     {
 *             if (n < 2)
 *                     return n;
 *             FILCH_SPAWN(a, fib, n - 1);
 *             long y = FILCH_CALL(fib, n - 2);
 *             return FILCH_SYNC(a) + y;
 *     }
 *
 *     long r;
 *     int error = FILCH_RUN(pool, &r, fib, 42);
 *
 * A task is a function of 0 to 8 arguments of any copyable object type, with any result type (FILCH_VOID_TASK: none). Its frame
 * lives in the spawner's stack frame: a spawn allocates nothing. What is spawned is visible to thieves at once.
 *
 * Rules. Syncs in a frame are strictly newest first, and every spawn is synced before its scope is left, on every path. A task
 * runs on one worker from its first to its last statement. A spawned task sees all writes made before the spawn; after the sync
 * the spawner sees all writes of the task. When a deque cannot grow the task runs at its spawn. Built with FILCH_DEBUG >= 1, a
 * program that breaks the first two rules is stopped with the task's name.
 *
 * A task's generated names stand in the scope it is defined in: in C++ spawn one of another namespace after `using namespace`.
 * In C++ task bodies are noexcept and arguments and results trivially copyable; longjmp across a spawn is undefined.
 */
#ifndef FILCH_TASK_H
#define FILCH_TASK_H

#include "detail/deque.h"
#include "detail/macros.h"

struct filch_pool;

/*
 * FILCH_TASK(R, name, (type, argument)...) { body }     a task of this file
 * FILCH_VOID_TASK(name, (type, argument)...) { body }   the same, without a result
 *
 * FILCH_TASK_INLINE(R, name, pairs...) { }              the same with the body declared inline (and FILCH_VOID_TASK_INLINE): worth
 *                                                       trying for a task of a few instructions. gcc then puts it into its calls and
 *                                                       syncs, and into itself, several levels deep. On such programs that gained up
 *                                                       to 28 %, on others it lost up to 13 %, and code grows several times: measure
 *
 * FILCH_TASK_DECL(R, name, pairs...);       in a header: declares a task that other files define
 * FILCH_TASK_IMPL(R, name, pairs...) { }    in one file: defines it (and FILCH_VOID_TASK_DECL, FILCH_VOID_TASK_IMPL)
 *
 * An argument of array type (a typedef) is copied into the frame, the body receives a pointer to that copy.
 * A result type that holds a comma needs a typedef.
 */
#define FILCH_TASK(...)           FILCH_CAT(FILCH_VALUE_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_BOTH, static, __VA_ARGS__)
#define FILCH_VOID_TASK(...)      FILCH_CAT(FILCH_VOID_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_BOTH, static, __VA_ARGS__)
#define FILCH_TASK_INLINE(...) \
	FILCH_CAT(FILCH_VALUE_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_BOTH, static inline, __VA_ARGS__)
#define FILCH_VOID_TASK_INLINE(...) \
	FILCH_CAT(FILCH_VOID_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_BOTH, static inline, __VA_ARGS__)
#define FILCH_TASK_DECL(...)      FILCH_CAT(FILCH_VALUE_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_DECL, , __VA_ARGS__)
#define FILCH_TASK_IMPL(...)      FILCH_CAT(FILCH_VALUE_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_IMPL, , __VA_ARGS__)
#define FILCH_VOID_TASK_DECL(...) FILCH_CAT(FILCH_VOID_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_DECL, , __VA_ARGS__)
#define FILCH_VOID_TASK_IMPL(...) FILCH_CAT(FILCH_VOID_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_IMPL, , __VA_ARGS__)

/*
 * FILCH_SPAWN(handle, name, arguments...);
 *
 * Callers:  the body of a task. Declares @handle in the enclosing block.
 * Progress: wait-free but for a deque that must grow (one allocation) and a parked worker that must be woken (one system call).
 * Ordering: all writes before it are visible to the task.
 * Lifetime: the frame is the handle; it must be synced before its block is left.
 */
#define FILCH_SPAWN(...) FILCH_CAT(FILCH_SPAWN_, FILCH_FEW(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_SPAWN_2(handle, name)                                                                                    \
	FILCH_SPAWN_HANDLE(handle, name) = name##_filch_spawn(filch_worker_, &filch_carried_, &handle)
#define FILCH_SPAWN_3(handle, name, a)                                                                                 \
	FILCH_SPAWN_HANDLE(handle, name) = name##_filch_spawn(filch_worker_, &filch_carried_, &handle, a)
#define FILCH_SPAWN_N(handle, name, ...)                                                                               \
	FILCH_SPAWN_HANDLE(handle, name) = name##_filch_spawn(filch_worker_, &filch_carried_, &handle, __VA_ARGS__)
#define FILCH_SPAWN_HANDLE(handle, name)                                                                               \
	struct name##_filch handle FILCH_VERIFY_SCOPE(name);                                                           \
	FILCH_UNUSED __typeof__(&name##_filch_sync) const handle##_filch_sync = name##_filch_sync;                     \
	FILCH_UNUSED int const handle##_filch_spawned

/*
 * FILCH_SYNC(handle): the result of the task.
 *
 * Callers:  the body that spawned it, newest first, once.
 * Lifetime: the frame is the caller's again.
 * Progress: runs the task here unless it was stolen; then runs other tasks of the same job until the thief is done, or parks.
 * Ordering: all writes of the task are visible afterwards.
 */
#define FILCH_SYNC(handle) (handle##_filch_sync(filch_worker_, &filch_carried_, &handle))

/* FILCH_CALL(name, arguments...): runs the task here, as a plain call; its result. From the body of a task. */
#define FILCH_CALL(...)        FILCH_CAT(FILCH_CALL_, FILCH_FEW(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_CALL_1(name)     (name##_filch_body(filch_worker_, filch_carried_))
#define FILCH_CALL_2(name, a)  (name##_filch_body(filch_worker_, filch_carried_, a))
#define FILCH_CALL_3(name, a, b) (name##_filch_body(filch_worker_, filch_carried_, a, b))
#define FILCH_CALL_N(name, ...) (name##_filch_body(filch_worker_, filch_carried_, __VA_ARGS__))

/*
 * A dynamic number of children. Frames may stand in arrays; the contracts are FILCH_SPAWN's and FILCH_SYNC's, and a frame stays where
 * it is until it is synced:
 *
 *     FILCH_FRAME(queens) kid[32];
 *     for (n = 0; ...; n++) FILCH_SPAWN_INTO(&kid[n], queens, ...);
 *     while (n-- > 0) sum += FILCH_SYNC_FROM(queens, &kid[n]);
 */
#define FILCH_FRAME(name)      struct name##_filch
#define FILCH_SPAWN_INTO(...)  FILCH_CAT(FILCH_SPAWN_INTO_, FILCH_FEW(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_SPAWN_INTO_2(frame, name)      ((void)name##_filch_spawn(filch_worker_, &filch_carried_, (frame)))
#define FILCH_SPAWN_INTO_3(frame, name, a)   ((void)name##_filch_spawn(filch_worker_, &filch_carried_, (frame), a))
#define FILCH_SPAWN_INTO_N(frame, name, ...) ((void)name##_filch_spawn(filch_worker_, &filch_carried_, (frame), __VA_ARGS__))
#define FILCH_SYNC_FROM(name, frame)         (name##_filch_sync(filch_worker_, &filch_carried_, (frame)))

/*
 * FILCH_RUN(pool, result, name, arguments...): runs a task and everything it spawns; 0 or a negative errno.
 *
 * Callers:  any thread. From a worker of @pool, and with a NULL pool from any worker, it is a call; from outside it is one job,
 *           and the caller sleeps until the job is done (it waits for room in a full queue, as FILCH_BLOCK).
 * Progress: see filch_submit() and filch_wait().
 * Ordering: writes before it are visible to the task; the task's writes are visible afterwards.
 * Cost:     a plain helper function reaches the tasks through FILCH_RUN(NULL, ...): one look-up of a thread-local and one
 *           indirect call, about 2 ns; from outside two hand-overs between threads, microseconds.
 * Lifetime: arguments are copied; what they point to must stay until the call returns.
 * Returns:  0; -EINVAL (NULL pool outside a worker), -ENOBUFS (no job slot), -ESHUTDOWN, -ECANCELED (the pool was abandoned or
 *           destroyed before it started), -ECHILD (after fork), -EDEADLK (a FILCH_POOL_CALLER pool whose only worker is the calling
 *           thread, which is busy as a worker of another pool). @result (may be NULL) is written only on 0.
 */
#define FILCH_RUN(pool, result, ...) FILCH_CAT(FILCH_RUN_, FILCH_FEW(__VA_ARGS__))(pool, result, __VA_ARGS__)
#define FILCH_RUN_1(pool, result, name)       (name##_filch_run((pool), (result)))
#define FILCH_RUN_2(pool, result, name, a)    (name##_filch_run((pool), (result), a))
#define FILCH_RUN_3(pool, result, name, a, b) (name##_filch_run((pool), (result), a, b))
#define FILCH_RUN_N(pool, result, name, ...)  (name##_filch_run((pool), (result), __VA_ARGS__))

FILCH_EXTERN_C_BEGIN

/*
 * The untyped form, for generated code and other languages: real functions of the library.
 *
 * A filch_context is what a typed task carries in two registers: the worker, and where the next push goes. It is valid in the
 * function that obtained it, until that function returns, and is passed by value to nobody: a callee obtains its own.
 */
struct filch_context {
	struct filch_worker *worker;
	filch_index index;
};

/*
 * Fills @context.
 *
 * Callers:  a thunk passes its own worker and index; any other function running on a worker calls filch_context_here().
 * Progress: wait-free.
 * Returns:  0, or -EPERM when the thread is not a worker.
 */
FILCH_API int filch_context_here(struct filch_context *context);

/*
 * Spawns @thunk with @task, the head of the caller's own frame structure, which holds the arguments and must stay until it is joined.
 * Like FILCH_SPAWN; moves context->index.
 */
FILCH_API void filch_fork(struct filch_context *context, struct filch_task *task, filch_thunk *thunk);

/* Waits for @task or runs it here. Like FILCH_SYNC: newest first, once. @thunk as given to filch_fork(); the result is in the frame. */
FILCH_API void filch_join(struct filch_context *context, struct filch_task *task, filch_thunk *thunk);

/* What FILCH_RUN calls; the contract is FILCH_RUN's. Typed code has no need of it. */
FILCH_API int filch_run_task(struct filch_pool *pool, struct filch_task *task, filch_thunk *thunk);

FILCH_EXTERN_C_END

#endif
