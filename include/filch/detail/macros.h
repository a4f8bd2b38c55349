/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The preprocessor's part of task.h: counting arguments, walking a list of (type, name) pairs, and the one generator from which
 * every task is made. Nothing here is API; a debugger never steps in a macro, because each generated piece is a small function.
 *
 * A pair is (type, name). The type may hold commas (C++ templates: up to three), so the name is the last element, and the type
 * is all before it, always written inside __typeof__(): function pointers and arrays then declare as `__typeof__(T) name`.
 *
 * Strictly ISO in one respect that matters for -pedantic: no variadic macro is called with an empty "...".
 */
#ifndef FILCH_DETAIL_MACROS_H
#define FILCH_DETAIL_MACROS_H

#include "base.h"

#define FILCH_CAT(a, b)  FILCH_CAT_(a, b)
#define FILCH_CAT_(a, b) a##b

/* number of arguments, 1 to 12 */
#define FILCH_COUNT(...) FILCH_COUNT_(__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define FILCH_COUNT_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, n, ...) n

/* 1, 2 or 3 for exactly that many arguments, N for more (up to 32: a compound literal's commas count) */
#define FILCH_FEW(...) \
	FILCH_FEW_(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, 3, 2, 1, 0)
#define FILCH_FEW_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, \
		   a25, a26, a27, a28, a29, a30, a31, a32, n, ...) n

/* a pair's name and type */
#define FILCH_PAIR_NAME(...)              FILCH_CAT(FILCH_PAIR_NAME_, FILCH_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_PAIR_NAME_2(t, n)           n
#define FILCH_PAIR_NAME_3(t, u, n)        n
#define FILCH_PAIR_NAME_4(t, u, v, n)     n
#define FILCH_PAIR_NAME_5(t, u, v, w, n)  n
#define FILCH_PAIR_TYPE(...)              FILCH_CAT(FILCH_PAIR_TYPE_, FILCH_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define FILCH_PAIR_TYPE_2(t, n)           __typeof__(t)
#define FILCH_PAIR_TYPE_3(t, u, n)        __typeof__(t, u)
#define FILCH_PAIR_TYPE_4(t, u, v, n)     __typeof__(t, u, v)
#define FILCH_PAIR_TYPE_5(t, u, v, w, n)  __typeof__(t, u, v, w)

/* m applied to each pair of a list of k */
#define FILCH_EACH(k, m, ...) FILCH_CAT(FILCH_EACH_, k)(m, __VA_ARGS__)
#define FILCH_EACH_0(m, none)
#define FILCH_EACH_1(m, a)      m a
#define FILCH_EACH_2(m, a, ...) m a FILCH_EACH_1(m, __VA_ARGS__)
#define FILCH_EACH_3(m, a, ...) m a FILCH_EACH_2(m, __VA_ARGS__)
#define FILCH_EACH_4(m, a, ...) m a FILCH_EACH_3(m, __VA_ARGS__)
#define FILCH_EACH_5(m, a, ...) m a FILCH_EACH_4(m, __VA_ARGS__)
#define FILCH_EACH_6(m, a, ...) m a FILCH_EACH_5(m, __VA_ARGS__)
#define FILCH_EACH_7(m, a, ...) m a FILCH_EACH_6(m, __VA_ARGS__)
#define FILCH_EACH_8(m, a, ...) m a FILCH_EACH_7(m, __VA_ARGS__)

#define FILCH_PAIR_FIELD(...) FILCH_PAIR_TYPE(__VA_ARGS__) FILCH_PAIR_NAME(__VA_ARGS__);
#define FILCH_PAIR_PARAM(...) , FILCH_PAIR_TYPE(__VA_ARGS__) FILCH_PAIR_NAME(__VA_ARGS__)
#define FILCH_PAIR_PASS(...)  , filch_frame_->FILCH_PAIR_NAME(__VA_ARGS__)
#define FILCH_PAIR_GIVE(...)  , FILCH_PAIR_NAME(__VA_ARGS__)
#define FILCH_PAIR_KEEP(...)                                                                                           \
	__builtin_memcpy((void *)&filch_frame_->FILCH_PAIR_NAME(__VA_ARGS__),                                          \
			 FILCH_OBJECT(FILCH_PAIR_TYPE(__VA_ARGS__), FILCH_PAIR_NAME(__VA_ARGS__)),                     \
			 sizeof filch_frame_->FILCH_PAIR_NAME(__VA_ARGS__));

/*
 * The object that a parameter declared `T name` stands for: itself, or, where T is an array and the parameter therefore a
 * pointer, what it points to. An array argument is copied into the frame like any other.
 */
#ifdef __cplusplus
#define FILCH_OBJECT(T, name) (filch_object_<T>::of(name))
#else
#define FILCH_OBJECT(T, name)                                                                                          \
	__builtin_choose_expr(__builtin_types_compatible_p(T, __typeof__(name)), (const void *)&name,                  \
			      filch_pointer_in(&name))
FILCH_INLINE const void *filch_pointer_in(const void *at)
{
	const void *pointer;
	__builtin_memcpy(&pointer, at, sizeof pointer);
	return pointer;
}
#endif

/* What differs between a task with a result and one without. */
#define FILCH_VALUE_FIELD(R)      R filch_result_;
#define FILCH_VALUE_STORE(frame)  frame->filch_result_ =
#define FILCH_VALUE_RESULT(frame) return frame->filch_result_
#define FILCH_VALUE_RETURN(call)  return call
#define FILCH_VALUE_OUT(R)        R *
#define FILCH_VALUE_COPY(frame, out) \
	if (out)                     \
		*out = frame->filch_result_;
#define FILCH_VOID_FIELD(R)
#define FILCH_VOID_STORE(frame)
#define FILCH_VOID_RESULT(frame)  return
#define FILCH_VOID_RETURN(call)   \
	do {                      \
		call;             \
		return;           \
	} while (0)
#define FILCH_VOID_OUT(R)         void *
#define FILCH_VOID_COPY(frame, out) (void)out;

/*
 * The generator: everything about task `name` but its body's text.
 * V is VALUE or VOID, link is static or nothing, k the number of pairs.
 */
#define FILCH_TASK_GENERATE(V, link, R, name, k, ...)                                                                  \
	struct name##_filch {                                                                                          \
		struct filch_task filch_task_;                                                                         \
		FILCH_##V##_FIELD(R) FILCH_EACH(k, FILCH_PAIR_FIELD, __VA_ARGS__)                                      \
	};                                                                                                             \
	FILCH_HOT link R name##_filch_body(struct filch_worker *, filch_index FILCH_EACH(k, FILCH_PAIR_PARAM,           \
								    __VA_ARGS__))                      \
		FILCH_NOEXCEPT;                                                                                        \
	FILCH_UNUSED static void name##_filch_thunk(struct filch_worker *filch_worker_, filch_index filch_carried_,    \
						    struct filch_task *filch_any_)                                     \
	{                                                                                                              \
		struct name##_filch *filch_frame_ = (struct name##_filch *)(void *)filch_any_;                         \
		(void)filch_frame_;                                                                                    \
		FILCH_##V##_STORE(filch_frame_)                                                                        \
			name##_filch_body(filch_worker_, filch_carried_ FILCH_EACH(k, FILCH_PAIR_PASS, __VA_ARGS__));  \
		FILCH_CHECK_SYNCED(filch_worker_, filch_carried_, name);                                               \
	}                                                                                                              \
	FILCH_INLINE int name##_filch_spawn(struct filch_worker *filch_worker_, filch_index *filch_carried_,           \
						    struct name##_filch *filch_frame_                                  \
							    FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__))              \
	{                                                                                                              \
		FILCH_EACH(k, FILCH_PAIR_KEEP, __VA_ARGS__)                                                            \
		filch_store_relaxed(&filch_frame_->filch_task_.word, (uintptr_t)name##_filch_thunk);                   \
		filch_push(filch_worker_, filch_carried_, &filch_frame_->filch_task_);                                 \
		return 0;                                                                                              \
	}                                                                                                              \
	FILCH_COLD FILCH_UNUSED static R name##_filch_sync_slow(struct filch_worker *filch_worker_,                    \
								filch_index filch_carried_,                            \
								struct name##_filch *filch_frame_)                     \
	{                                                                                                              \
		if (filch_sync_slow(filch_worker_, filch_carried_, &filch_frame_->filch_task_)) {                      \
			FILCH_VERIFY_DONE(filch_frame_);                                                               \
			FILCH_##V##_STORE(filch_frame_)                                                                \
				name##_filch_body(filch_worker_, filch_worker_->floor FILCH_EACH(k, FILCH_PAIR_PASS,   \
												 __VA_ARGS__));        \
		}                                                                                                      \
		FILCH_##V##_RESULT(filch_frame_);                                                                      \
	}                                                                                                              \
	FILCH_INLINE R name##_filch_sync(struct filch_worker *filch_worker_, filch_index *filch_carried_,              \
					 struct name##_filch *filch_frame_)                                            \
	{                                                                                                              \
		filch_index filch_index_ = filch_index_add(*filch_carried_, -1);                                       \
		FILCH_CHECK_NEWEST(filch_worker_, filch_index_, &filch_frame_->filch_task_, name);                     \
		if (filch_take(filch_worker_, filch_index_, &filch_frame_->filch_task_)) {                             \
			FILCH_VERIFY_DONE(filch_frame_);                                                               \
			*filch_carried_ = filch_index_;                                                                \
			FILCH_##V##_RETURN(name##_filch_body(                                                          \
				filch_worker_, filch_index_ FILCH_EACH(k, FILCH_PAIR_PASS, __VA_ARGS__)));             \
		}                                                                                                      \
		FILCH_##V##_RETURN(name##_filch_sync_slow(filch_worker_, *filch_carried_, filch_frame_));              \
	}                                                                                                              \
	FILCH_UNUSED static inline int name##_filch_run(struct filch_pool *filch_pool_,                                \
							FILCH_##V##_OUT(R) filch_out_                                  \
								FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__))          \
	{                                                                                                              \
		struct name##_filch filch_space_, *filch_frame_ = &filch_space_;                                       \
		FILCH_EACH(k, FILCH_PAIR_KEEP, __VA_ARGS__)                                                            \
		int filch_error_ = filch_run_task(filch_pool_, &filch_frame_->filch_task_, name##_filch_thunk);        \
		if (!filch_error_) {                                                                                   \
			FILCH_##V##_COPY(filch_frame_, filch_out_)                                                     \
		}                                                                                                      \
		return filch_error_;                                                                                   \
	}                                                                                                              \
	FILCH_UNUSED static inline void name##_filch_verify(struct name##_filch *filch_frame_)                         \
	{                                                                                                              \
		if (filch_load_relaxed(&filch_frame_->filch_task_.word))                                               \
			filch_misuse("a handle left its scope without FILCH_SYNC", #name);                             \
	}                                                                                                              \
	FILCH_STATIC_ASSERT(1, "")

#define FILCH_TASK_BODY(link, R, name, k, ...)                                                                         \
	link R name##_filch_body(FILCH_UNUSED struct filch_worker *filch_worker_,                                      \
				 FILCH_UNUSED filch_index filch_carried_                                               \
					 FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__)) FILCH_NOEXCEPT

/* Checks of debug builds (FILCH_DEBUG >= 1 in the including program); nothing otherwise. */
#if FILCH_DEBUG >= 1
#define FILCH_VERIFY_DONE(frame) filch_store_relaxed(&(frame)->filch_task_.word, (uintptr_t)0)
#define FILCH_VERIFY_SCOPE(name) __attribute__((cleanup(name##_filch_verify)))
#define FILCH_CHECK_NEWEST(worker, index, task, name)                                                                  \
	do {                                                                                                           \
		if (filch_load_relaxed(&(task)->word) && !filch_index_after((worker)->floor, (index)) &&               \
		    filch_load_relaxed(&(worker)->slot[(index) & (worker)->mask]) != (task))                           \
			filch_misuse("FILCH_SYNC out of order: newest first", #name);                                  \
	} while (0)
#define FILCH_CHECK_SYNCED(worker, carried, name)                                                                      \
	do {                                                                                                           \
		filch_index filch_bottom_ = filch_load_relaxed(&(worker)->bottom);                                     \
		if (filch_index_after(filch_bottom_, (carried)) && filch_index_after(filch_bottom_, (worker)->floor))  \
			filch_misuse("the task returned with a spawn unsynced", #name);                                \
	} while (0)
#else
#define FILCH_VERIFY_DONE(frame)                          ((void)0)
#define FILCH_VERIFY_SCOPE(name)
#define FILCH_CHECK_NEWEST(worker, index, task, name)     ((void)0)
#define FILCH_CHECK_SYNCED(worker, carried, name)         ((void)0)
#endif

/* FILCH_TASK(R, name, pair...): the number of pairs is the number of arguments less two; FILCH_VOID_TASK less one. */
#define FILCH_VALUE_2(G, l, R, n)       G(VALUE, l, R, n, 0, ~)
#define FILCH_VALUE_3(G, l, R, n, ...)  G(VALUE, l, R, n, 1, __VA_ARGS__)
#define FILCH_VALUE_4(G, l, R, n, ...)  G(VALUE, l, R, n, 2, __VA_ARGS__)
#define FILCH_VALUE_5(G, l, R, n, ...)  G(VALUE, l, R, n, 3, __VA_ARGS__)
#define FILCH_VALUE_6(G, l, R, n, ...)  G(VALUE, l, R, n, 4, __VA_ARGS__)
#define FILCH_VALUE_7(G, l, R, n, ...)  G(VALUE, l, R, n, 5, __VA_ARGS__)
#define FILCH_VALUE_8(G, l, R, n, ...)  G(VALUE, l, R, n, 6, __VA_ARGS__)
#define FILCH_VALUE_9(G, l, R, n, ...)  G(VALUE, l, R, n, 7, __VA_ARGS__)
#define FILCH_VALUE_10(G, l, R, n, ...) G(VALUE, l, R, n, 8, __VA_ARGS__)
#define FILCH_VOID_1(G, l, n)           G(VOID, l, void, n, 0, ~)
#define FILCH_VOID_2(G, l, n, ...)      G(VOID, l, void, n, 1, __VA_ARGS__)
#define FILCH_VOID_3(G, l, n, ...)      G(VOID, l, void, n, 2, __VA_ARGS__)
#define FILCH_VOID_4(G, l, n, ...)      G(VOID, l, void, n, 3, __VA_ARGS__)
#define FILCH_VOID_5(G, l, n, ...)      G(VOID, l, void, n, 4, __VA_ARGS__)
#define FILCH_VOID_6(G, l, n, ...)      G(VOID, l, void, n, 5, __VA_ARGS__)
#define FILCH_VOID_7(G, l, n, ...)      G(VOID, l, void, n, 6, __VA_ARGS__)
#define FILCH_VOID_8(G, l, n, ...)      G(VOID, l, void, n, 7, __VA_ARGS__)
#define FILCH_VOID_9(G, l, n, ...)      G(VOID, l, void, n, 8, __VA_ARGS__)

#define FILCH_GENERATE_DECL(V, l, R, n, k, ...) FILCH_TASK_GENERATE(V, l, R, n, k, __VA_ARGS__)
#define FILCH_GENERATE_IMPL(V, l, R, n, k, ...) FILCH_TASK_BODY(l, R, n, k, __VA_ARGS__)
#define FILCH_GENERATE_BOTH(V, l, R, n, k, ...)           \
	FILCH_TASK_GENERATE(V, l, R, n, k, __VA_ARGS__); \
	FILCH_TASK_BODY(l, R, n, k, __VA_ARGS__)

#ifdef __cplusplus
extern "C++" {
template <typename T> struct filch_object_ {
	static const void *of(const T &object) { return static_cast<const void *>(&object); }
};
template <typename T, size_t n> struct filch_object_<T[n]> {
	static const void *of(const T *object) { return static_cast<const void *>(object); }
};
}
#endif

#endif
