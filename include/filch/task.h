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
 * A task is a function of 0 to 8 arguments of any copyable object type, with any result type
 * (FILCH_VOID_TASK: none). Its frame lives in the spawner's stack frame: a spawn allocates nothing.
 * What is spawned is visible to thieves at once.
 *
 * Rules:
 *
 *   - Syncs in a frame are strictly newest first.
 *   - Every spawn is synced once, before its block is left, on every path.
 *   - longjmp across a spawn is undefined.
 *   - Hold no lock over a sync that another task or job may want. A worker that waits in a sync
 *     runs other tasks on top of this one. The frame that has the lock would then lie beneath the
 *     one that wants it, and neither would go on.
 *
 * A task runs on one worker from its first to its last statement. A spawned task sees all writes
 * made before the spawn. After the sync the spawner sees all writes of the task. When a deque
 * cannot grow the task runs at its spawn.
 *
 * On top of a frame that waits. A sync whose task was stolen, a nested loop, sort or set of
 * children, and filch_wait() suspend their frame until what they wait for is done. Meanwhile the
 * same thread may run, on top of that frame, any other task or body of the same job, and the job
 * that is waited for. Such work meets what the frame beneath has left half done:
 *
 *   - A lock that is held over the wait. Work that takes the same lock waits for ever, since its
 *     holder lies beneath it; a recursive lock lets it in.
 *   - Memory by filch_worker_id(), and thread-local variables: they are the same.
 *
 * Inside a scope (scope.h) only what was made in that scope is run on top. So hold a lock, or leave
 * such memory half changed, over a scope: with the loop, the sync or the wait inside it. A task
 * that ends before its spawner syncs, or that waits for nothing, needs no scope.
 *
 * What compilers say of a mistake names what to do. A handle that is never synced is a warning of
 * -Wall: unused variable handle_in_FILCH_SYNC. Mistakes of order and of paths no compiler sees. A
 * program built with FILCH_DEBUG >= 1 is stopped at them, with the task's name; a release build
 * goes wrong, or waits for ever.
 *
 * C++: task bodies are noexcept, arguments and results trivially copyable and no references. A
 * task is no member of a class. Other namespaces name it as they name a function:
 * FILCH_CALL(trees::leaves, 3).
 */
#ifndef FILCH_TASK_H
#define FILCH_TASK_H

#include "detail/fast_deque.h"
#include "detail/task_macros.h"

struct filch_pool;

/*
 * Define a task. In one file:
 *
 *     FILCH_TASK(R, name, (type, argument)...) { body }
 *     FILCH_VOID_TASK(name, (type, argument)...) { body }     without a result
 *     FILCH_TASK_INLINE(R, name, pairs...) { body }           the body declared inline
 *     FILCH_VOID_TASK_INLINE(name, pairs...) { body }
 *
 * In a header, for tasks that one file defines and others use:
 *
 *     FILCH_TASK_DECL(R, name, pairs...);
 *     FILCH_VOID_TASK_DECL(name, pairs...);
 *
 * and in that file, with the same types:
 *
 *     FILCH_TASK_IMPL(R, name, pairs...) { body }
 *     FILCH_VOID_TASK_IMPL(name, pairs...) { body }
 *
 * Each argument is a pair in parentheses; a task without arguments has none. An argument of array
 * type (a typedef) is copied into the frame, and the body receives a pointer to that copy. A result
 * type that holds a comma needs a typedef.
 *
 * An inline body is worth a try for a task of a few instructions. gcc then puts it into its calls
 * and syncs, and into itself, several levels deep. Some programs gain and some lose by that, and
 * code grows: measure.
 *
 * The plain name stays free: a function of that name may stand beside the task.
 */
#define FILCH_TASK(...) \
	FILCH_CAT(FILCH_VALUE_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_BOTH, static, __VA_ARGS__)
#define FILCH_VOID_TASK(...) \
	FILCH_CAT(FILCH_VOID_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_BOTH, static, __VA_ARGS__)
#define FILCH_TASK_INLINE(...)                            \
	FILCH_CAT(FILCH_VALUE_, FILCH_COUNT(__VA_ARGS__)) \
	(FILCH_GENERATE_BOTH, static inline, __VA_ARGS__)
#define FILCH_VOID_TASK_INLINE(...)                      \
	FILCH_CAT(FILCH_VOID_, FILCH_COUNT(__VA_ARGS__)) \
	(FILCH_GENERATE_BOTH, static inline, __VA_ARGS__)
#define FILCH_TASK_DECL(...) \
	FILCH_CAT(FILCH_VALUE_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_DECL, , __VA_ARGS__)
#define FILCH_TASK_IMPL(...) \
	FILCH_CAT(FILCH_VALUE_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_IMPL, , __VA_ARGS__)
#define FILCH_VOID_TASK_DECL(...) \
	FILCH_CAT(FILCH_VOID_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_DECL, , __VA_ARGS__)
#define FILCH_VOID_TASK_IMPL(...) \
	FILCH_CAT(FILCH_VOID_, FILCH_COUNT(__VA_ARGS__))(FILCH_GENERATE_IMPL, , __VA_ARGS__)

/*
 * FILCH_SPAWN(handle, name, arguments...): spawns a task, which another worker may steal.
 *
 * Callers:  the body of a task. Declares @handle in the enclosing block, which has braces.
 * Progress: wait-free but for a deque that must grow (one allocation) and a parked worker that must
 *           be woken (one system call).
 * Ordering: all writes before it are visible to the task.
 * Lifetime: the frame is the handle; FILCH_SYNC it before its block is left.
 */
#define FILCH_SPAWN(...) FILCH_CAT(FILCH_SPAWN_, FILCH_FEW(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_SPAWN_2(handle, name)                        \
	FILCH_SPAWN_HANDLE(handle, name) = FILCH_SPAWN_OF( \
		handle, name##_filch_spawn(filch_worker_, &filch_carried_, &handle))
#define FILCH_SPAWN_3(handle, name, a)                     \
	FILCH_SPAWN_HANDLE(handle, name) = FILCH_SPAWN_OF( \
		handle, name##_filch_spawn(filch_worker_, &filch_carried_, &handle, a))
#define FILCH_SPAWN_N(handle, name, ...)                   \
	FILCH_SPAWN_HANDLE(handle, name) = FILCH_SPAWN_OF( \
		handle, name##_filch_spawn(filch_worker_, &filch_carried_, &handle, __VA_ARGS__))
#define FILCH_SPAWN_HANDLE(handle, name)                                                   \
	filch_spawn_needs_braces_ const FILCH_UNUSED FILCH_SPAWN_of_##handle##_in_braces = \
		((void)filch_worker_, (int)sizeof(name##_must_be_a_FILCH_TASK));           \
	struct name##_filch handle FILCH_VERIFY_SCOPE(name);                               \
	__typeof__(&name##_filch_sync) const handle##_in_FILCH_SYNC = name##_filch_sync;   \
	int const FILCH_UNUSED handle##_filch_spawned
#define FILCH_SPAWN_OF(handle, ...) ((void)FILCH_SPAWN_of_##handle##_in_braces, __VA_ARGS__)

/*
 * FILCH_SYNC(handle): the result of the task.
 *
 * Callers:  the body that spawned it, newest first, once.
 * Lifetime: the frame is the caller's again.
 * Progress: runs the task here unless it was stolen; then runs other tasks of the same job until
 *           the thief is done, or parks. See "On top of a frame that waits" above.
 * Ordering: all writes of the task are visible afterwards.
 */
#define FILCH_SYNC(handle) ((*handle##_in_FILCH_SYNC)(filch_worker_, &filch_carried_, &handle))

/*
 * FILCH_CALL(name, arguments...): runs the task here, as a plain call; its result. From the body of
 * a task.
 */
#define FILCH_CALL(...)          FILCH_CAT(FILCH_CALL_, FILCH_FEW(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_CALL_1(name)       FILCH_CALL_OF(name, filch_worker_, &filch_carried_)
#define FILCH_CALL_2(name, a)    FILCH_CALL_OF(name, filch_worker_, &filch_carried_, a)
#define FILCH_CALL_3(name, a, b) FILCH_CALL_OF(name, filch_worker_, &filch_carried_, a, b)
#define FILCH_CALL_N(name, ...)  FILCH_CALL_OF(name, filch_worker_, &filch_carried_, __VA_ARGS__)
#define FILCH_CALL_OF(name, ...) \
	((void)sizeof(name##_must_be_a_FILCH_TASK), name##_filch_call(__VA_ARGS__))

/*
 * Children in a number known only at run time, spawned in loops and synced as a whole:
 *
 *     FILCH_CHILDREN_FOLD(kids, place, add, &solutions);
 *     for (...)
 *             FILCH_SPAWN_CHILD(&kids, n, row + 1, ...);
 *     FILCH_SYNC_CHILDREN(&kids);
 *
 * FILCH_CHILDREN(kids, name): declares a set of children of the task @name, in the enclosing block,
 * which has braces. Their results are dropped; a FILCH_VOID_TASK has none.
 *
 * FILCH_CHILDREN_FOLD(kids, name, fold, into): their results are folded. @into is a pointer, and
 * fold(into, result) a function without a result, in C++ also a lambda without captures. It is
 * called once for each child, here, in this task: it needs no lock.
 *
 * FILCH_SPAWN_CHILD(&kids, arguments...): spawns one more. FILCH_SYNC_CHILDREN(&kids): syncs and
 * folds all of them, newest first. Afterwards the set is empty, and may be used again; the sync of
 * an empty one does nothing.
 *
 * Callers:  the body of a task, as FILCH_SPAWN and FILCH_SYNC. Children are spawns like others, and
 *           syncs are newest first: what is spawned after a child, a handle or a child of another
 *           set, is synced before FILCH_SYNC_CHILDREN.
 * Progress: spawn and sync as FILCH_SPAWN and FILCH_SYNC. The first 16 frames lie in the spawner's
 *           stack frame, so the task takes that much stack. More are allocated, in blocks that grow
 *           with their number, and freed by the sync. A child for which there is no memory is run
 *           at its spawn, and folded there.
 * Ordering: as FILCH_SPAWN and FILCH_SYNC. But for lack of memory the fold goes from the newest to
 *           the oldest.
 * Cost:     that of FILCH_SPAWN and its sync, and some instructions. Declare the set, and what it
 *           folds into, after the tests that end the recursion.
 * Lifetime: sync them before their block is left, on every path. @into stays until then.
 */
#define FILCH_CHILDREN(kids, name) \
	FILCH_CHILDREN_OF(kids, name, 1, name##_filch_drop, (const int *)0)
#define FILCH_CHILDREN_FOLD(kids, name, fold, into) \
	FILCH_CHILDREN_OF(kids, name, name##_filch_folds, fold, into)
#define FILCH_SPAWN_CHILD(...)    FILCH_CAT(FILCH_SPAWN_CHILD_, FILCH_FEW(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_SPAWN_CHILD_1(kids) FILCH_SPAWN_CHILD_OF(kids, filch_worker_, (kids)->filch_state_)
#define FILCH_SPAWN_CHILD_2(kids, a) \
	FILCH_SPAWN_CHILD_OF(kids, filch_worker_, (kids)->filch_state_, a)
#define FILCH_SPAWN_CHILD_3(kids, a, b) \
	FILCH_SPAWN_CHILD_OF(kids, filch_worker_, (kids)->filch_state_, a, b)
#define FILCH_SPAWN_CHILD_N(kids, ...) \
	FILCH_SPAWN_CHILD_OF(kids, filch_worker_, (kids)->filch_state_, __VA_ARGS__)
#define FILCH_SYNC_CHILDREN(kids)                                                              \
	(__extension__({                                                                       \
		while ((kids)->filch_left_((kids)->filch_state_, (kids)->filch_room_)) {       \
			(kids)->filch_fold_((kids)->filch_into_,                               \
				(kids)->FILCH_SYNC_CHILDREN_of(                                \
					filch_worker_, filch_carried_, (kids)->filch_state_)); \
			filch_carried_ = (kids)->filch_state_->carried;                        \
		}                                                                              \
	}))
#define FILCH_SPAWN_CHILD_OF(kids, ...)                                           \
	(FILCH_LIKELY((kids)->FILCH_SPAWN_CHILD_of(__VA_ARGS__))                  \
			? filch_spawn_kept(filch_worker_, &filch_carried_,        \
				  &((kids)->filch_state_->next - 1)->filch_task_) \
			: (kids)->filch_fold_((kids)->filch_into_, (kids)->filch_state_->alone))
#define FILCH_CHILDREN_OF(handle, name, folds, f, i)                                              \
	filch_spawn_needs_braces_ const FILCH_UNUSED FILCH_CHILDREN_##handle##_in_braces =        \
		((void)filch_worker_, (int)sizeof(name##_must_be_a_FILCH_TASK));                  \
	FILCH_FOLD_LOOK(folds, name, f, i);                                                       \
	struct name##_filch_room FILCH_ROOM_of_##handle;                                          \
	struct name##_filch_kids FILCH_STATE_of_##handle FILCH_VERIFY_KIDS(name);                 \
	int const FILCH_UNUSED handle##_filch_begun = ((void)FILCH_CHILDREN_##handle##_in_braces, \
		name##_filch_no_kids(&FILCH_STATE_of_##handle, &FILCH_ROOM_of_##handle));         \
	const struct FILCH_address_of_##handle {                                                  \
		__typeof__(&name##_filch_keep_child) FILCH_SPAWN_CHILD_of;                        \
		__typeof__(&name##_filch_sync_child) FILCH_SYNC_CHILDREN_of;                      \
		__typeof__(&name##_filch_has_kids) filch_left_;                                   \
		struct name##_filch_kids *filch_state_;                                           \
		struct name##_filch_room *filch_room_;                                            \
		void (*filch_fold_)(FILCH_POINTER(i), name##_filch_folded);                       \
		FILCH_POINTER(i) filch_into_;                                                     \
	} handle = { name##_filch_keep_child, name##_filch_sync_child, name##_filch_has_kids,     \
		&FILCH_STATE_of_##handle, &FILCH_ROOM_of_##handle, f, i }

/*
 * Frames may also stand in arrays of the program's own. The contracts are FILCH_SPAWN's and
 * FILCH_SYNC's, and a frame stays where it is until it is synced:
 *
 *     FILCH_FRAME(queens) kid[32];
 *     for (n = 0; ...; n++) FILCH_SPAWN_INTO(&kid[n], queens, ...);
 *     while (n-- > 0) sum += FILCH_SYNC_FROM(queens, &kid[n]);
 */
#define FILCH_FRAME(name)     struct name##_filch
#define FILCH_SPAWN_INTO(...) FILCH_CAT(FILCH_SPAWN_INTO_, FILCH_FEW(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_SPAWN_INTO_2(frame, name) \
	((void)name##_filch_spawn(filch_worker_, &filch_carried_, (frame)))
#define FILCH_SPAWN_INTO_3(frame, name, a) \
	((void)name##_filch_spawn(filch_worker_, &filch_carried_, (frame), a))
#define FILCH_SPAWN_INTO_N(frame, name, ...) \
	((void)name##_filch_spawn(filch_worker_, &filch_carried_, (frame), __VA_ARGS__))
#define FILCH_SYNC_FROM(name, frame) (name##_filch_sync(filch_worker_, &filch_carried_, (frame)))

/*
 * FILCH_RUN(pool, result, name, arguments...): runs a task and everything it spawns; 0 or a
 * negative errno.
 *
 * Callers:  any thread. From a worker of @pool, and with a NULL pool from any worker, it is a call.
 *           Elsewhere a NULL pool is filch_pool_default().
 *           From outside it is one job, and the caller sleeps until the job is done; it waits for
 *           room in a full queue, as FILCH_BLOCK.
 * Progress: see filch_submit() and filch_wait(). Pools may call each other: a worker that waits for
 *           another pool runs jobs of its own pool that the wait needs (docs/jobs.md).
 * Ordering: writes before it are visible to the task; the task's writes are visible afterwards.
 * Cost:     a plain helper function reaches the tasks through FILCH_RUN(NULL, ...): one look-up of
 *           a thread-local and one indirect call. From outside: two hand-overs between threads.
 * Lifetime: arguments are copied; what they point to must stay until the call returns.
 * Result:   @result is a pointer to R, or NULL; with a FILCH_VOID_TASK it is NULL. It is written
 *           only on 0.
 * Returns:  0, or:
 *           -ENOBUFS    no job slot
 *           -ESHUTDOWN  the pool has been shut down
 *           -ECANCELED  the pool was abandoned or destroyed before the job started; or the task, or
 *                       one of its tasks, called pthread_exit()
 *           -ECHILD     after fork
 *           -EDEADLK    a FILCH_POOL_CALLER pool whose only worker is the calling thread, which is
 *                       busy as a worker of another pool
 *           -EDEADLK    from a worker of another pool: the pools wait for each other, and no worker
 *                       of theirs can run this call; nothing of it has run
 *           With a NULL pool also why there is no default pool, as filch_pool_create().
 */
#define FILCH_RUN(pool, result, ...) \
	FILCH_CAT(FILCH_RUN_, FILCH_FEW(__VA_ARGS__))(pool, result, __VA_ARGS__)
#define FILCH_RUN_1(pool, result, name) \
	FILCH_RUN_OF(name, result, (pool), FILCH_RUN_OUT(name, result))
#define FILCH_RUN_2(pool, result, name, a) \
	FILCH_RUN_OF(name, result, (pool), FILCH_RUN_OUT(name, result), a)
#define FILCH_RUN_3(pool, result, name, a, b) \
	FILCH_RUN_OF(name, result, (pool), FILCH_RUN_OUT(name, result), a, b)
#define FILCH_RUN_N(pool, result, name, ...) \
	FILCH_RUN_OF(name, result, (pool), FILCH_RUN_OUT(name, result), __VA_ARGS__)
#define FILCH_RUN_OF(name, result, ...) \
	(FILCH_RUN_LOOK(name, result), name##_filch_run(__VA_ARGS__))

FILCH_EXTERN_C_BEGIN

/*
 * The untyped form, for generated code and other languages: real functions of the library.
 *
 * A filch_context is what a typed task carries in two registers: the worker, and where the next
 * push goes. It is valid in the function that obtained it, until that function returns, and is
 * passed by value to nobody: a callee obtains its own.
 */
struct filch_context {
	struct filch_worker *worker;
	filch_index index;
};

/*
 * Fills @context.
 *
 * Callers:  a thunk passes its own worker and index; any other function running on a worker calls
 *           filch_context_here().
 * Progress: wait-free.
 * Returns:  0, or -EPERM when the thread is not a worker.
 */
FILCH_API int filch_context_here(struct filch_context *context);

/*
 * Spawns @thunk with @task, the head of the caller's own frame structure, which holds the arguments
 * and must stay until it is joined. Like FILCH_SPAWN; moves context->index.
 */
FILCH_API void filch_fork(
	struct filch_context *context, struct filch_task *task, filch_thunk *thunk);

/*
 * Waits for @task or runs it here. Like FILCH_SYNC: newest first, once. @thunk as given to
 * filch_fork(); the result is in the frame.
 */
FILCH_API void filch_join(
	struct filch_context *context, struct filch_task *task, filch_thunk *thunk);

#if FILCH_DEBUG >= 1
/*
 * Of debug builds: @worker, of the body where the macro stands, is that of this thread, and no task
 * lies above @carried.
 */
FILCH_INLINE void filch_check_here(
	const struct filch_worker *worker, filch_index carried, const char *name)
{
	struct filch_context here;

	if (filch_context_here(&here))
		return;
	if (here.worker != worker)
		filch_misuse(FILCH_SAY_HERE, name);
	if (filch_index_after(here.index, carried) && filch_index_after(here.index, worker->floor))
		filch_misuse(FILCH_SAY_ABOVE, name);
}
#endif

/* What FILCH_RUN calls; the contract is FILCH_RUN's. Typed code has no need of it. */
FILCH_API int filch_run_task(struct filch_pool *pool, struct filch_task *task, filch_thunk *thunk);

FILCH_EXTERN_C_END

#endif
