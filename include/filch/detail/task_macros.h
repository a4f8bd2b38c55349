/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The preprocessor's part of task.h: counting arguments, walking a list of (type, name) pairs, and
 * the one generator from which every task is made. Nothing here is API. A debugger never steps in a
 * macro, because each generated piece is a small function.
 *
 * A pair is (type, name). The type may hold commas (C++ templates: up to three), so the name is the
 * last element and the type is all before it. It is always written inside __typeof__(): function
 * pointers and arrays then declare as `__typeof__(T) name`.
 *
 * Mistakes speak (docs/adr/0013):
 *
 *   - What a task is written with is looked at before anything is generated from it. So the first
 *     error is a sentence of ours, and not what the generator makes of nonsense.
 *   - g++ puts the errors of token pasting before all else: nothing is pasted before the look.
 *   - Where a compiler names an identifier that is undeclared or unused, the identifier says what
 *     to do.
 *   - tests/compile_fail has a program for each mistake.
 *
 * Strictly ISO in one respect that matters for -pedantic: no variadic macro is called with an empty
 * "...".
 */
#ifndef FILCH_DETAIL_MACROS_H
#define FILCH_DETAIL_MACROS_H

#include "children_macros.h"
#include "fast_deque.h"

#define FILCH_CAT(a, b)  FILCH_CAT_(a, b)
#define FILCH_CAT_(a, b) a##b

/* number of arguments: 1 to 10, MANY for more (up to 32) */
#define FILCH_COUNT(...)                                                                          \
	FILCH_COUNT_(__VA_ARGS__, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY,     \
		MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, 10, 9, 8, \
		7, 6, 5, 4, 3, 2, 1, 0)
#define FILCH_COUNT_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
	a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, n, ...)       \
	n

/*
 * 1, 2 or 3 for exactly that many arguments, N for more (up to 32: a compound literal's commas
 * count)
 */
#define FILCH_FEW(...)                                                                            \
	FILCH_FEW_(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, \
		N, N, N, N, N, N, N, 3, 2, 1, 0)
#define FILCH_FEW_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
	a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, n, ...)     \
	n

/* a pair's name and type */
#define FILCH_PAIR_NAME(...) FILCH_CAT(FILCH_PAIR_NAME_, FILCH_COUNT(__VA_ARGS__))(__VA_ARGS__)

#define FILCH_PAIR_NAME_2(t, n)          n
#define FILCH_PAIR_NAME_3(t, u, n)       n
#define FILCH_PAIR_NAME_4(t, u, v, n)    n
#define FILCH_PAIR_NAME_5(t, u, v, w, n) n

#define FILCH_PAIR_TYPE(...) FILCH_CAT(FILCH_PAIR_TYPE_, FILCH_COUNT(__VA_ARGS__))(__VA_ARGS__)

#define FILCH_PAIR_TYPE_2(t, n)          __typeof__(t)
#define FILCH_PAIR_TYPE_3(t, u, n)       __typeof__(t, u)
#define FILCH_PAIR_TYPE_4(t, u, v, n)    __typeof__(t, u, v)
#define FILCH_PAIR_TYPE_5(t, u, v, w, n) __typeof__(t, u, v, w)

/*
 * The look at what a task is written with. Whether @a, of which nothing is known, is a pair: two to
 * five elements in parentheses. The probe is called only if @a begins with a parenthesis; else its
 * bare name stays, and the second element is the 0 behind it.
 */
#define FILCH_IS_PAIR(a)             FILCH_SECOND(FILCH_PROBE_PAIR a, 0, 0)
#define FILCH_IS_PARENTHESIS(a)      FILCH_SECOND(FILCH_PROBE_PARENTHESIS a, 0, 0)
#define FILCH_PROBE_PAIR(...)        ~, FILCH_CAT(FILCH_PAIR_OF_, FILCH_COUNT(__VA_ARGS__)),
#define FILCH_PROBE_PARENTHESIS(...) ~, 1,
#define FILCH_SECOND(...)            FILCH_SECOND_(__VA_ARGS__)
#define FILCH_SECOND_(a, b, ...)     b
#define FILCH_PAIR_OF_1              0
#define FILCH_PAIR_OF_2              1
#define FILCH_PAIR_OF_3              1
#define FILCH_PAIR_OF_4              1
#define FILCH_PAIR_OF_5              1
#define FILCH_PAIR_OF_6              0
#define FILCH_PAIR_OF_7              0
#define FILCH_PAIR_OF_8              0
#define FILCH_PAIR_OF_9              0
#define FILCH_PAIR_OF_10             0
#define FILCH_PAIR_OF_MANY           0

#define FILCH_BOTH(a, b)  FILCH_BOTH_(a, b)
#define FILCH_BOTH_(a, b) FILCH_BOTH_##a##b
#define FILCH_BOTH_00     0
#define FILCH_BOTH_01     0
#define FILCH_BOTH_10     0
#define FILCH_BOTH_11     1

/* whether all of a list of k are pairs */
#define FILCH_ARE_PAIRS(k, ...)   FILCH_CAT(FILCH_ARE_PAIRS_, k)(__VA_ARGS__)
#define FILCH_ARE_PAIRS_0(none)   1
#define FILCH_ARE_PAIRS_1(a)      FILCH_IS_PAIR(a)
#define FILCH_ARE_PAIRS_2(a, ...) FILCH_BOTH(FILCH_IS_PAIR(a), FILCH_ARE_PAIRS_1(__VA_ARGS__))
#define FILCH_ARE_PAIRS_3(a, ...) FILCH_BOTH(FILCH_IS_PAIR(a), FILCH_ARE_PAIRS_2(__VA_ARGS__))
#define FILCH_ARE_PAIRS_4(a, ...) FILCH_BOTH(FILCH_IS_PAIR(a), FILCH_ARE_PAIRS_3(__VA_ARGS__))
#define FILCH_ARE_PAIRS_5(a, ...) FILCH_BOTH(FILCH_IS_PAIR(a), FILCH_ARE_PAIRS_4(__VA_ARGS__))
#define FILCH_ARE_PAIRS_6(a, ...) FILCH_BOTH(FILCH_IS_PAIR(a), FILCH_ARE_PAIRS_5(__VA_ARGS__))
#define FILCH_ARE_PAIRS_7(a, ...) FILCH_BOTH(FILCH_IS_PAIR(a), FILCH_ARE_PAIRS_6(__VA_ARGS__))
#define FILCH_ARE_PAIRS_8(a, ...) FILCH_BOTH(FILCH_IS_PAIR(a), FILCH_ARE_PAIRS_7(__VA_ARGS__))

/* What is said. Each sentence begins with what is wrong and ends with what to write. */
#define FILCH_SAY_PAIR                                                                         \
	"filch: write each argument of a task as a pair, (type, name), and nothing for none; " \
	"a result type with commas needs a typedef"
#define FILCH_SAY_PLAIN                                                                      \
	"filch: the name in a pair stands alone, the whole type before it: (char *, text), " \
	"(int[4], four)"
#define FILCH_SAY_NAME                                                              \
	"filch: a task has a name: FILCH_TASK(result, name, (type, argument)...), " \
	"FILCH_VOID_TASK(name, (type, argument)...)"
#define FILCH_SAY_MANY "filch: a task has at most 8 arguments: put them in a structure"
#define FILCH_SAY_VOID "filch: a task without a result is a FILCH_VOID_TASK"
#define FILCH_SAY_RUN                                                                           \
	"filch: FILCH_RUN writes the result of the task: give a pointer to that type, or NULL " \
	"(a FILCH_VOID_TASK: NULL)"
#define FILCH_SAY_COPIED                                                                        \
	"filch: an argument of a task is copied as bytes: its type must be trivially copyable " \
	"and no reference; give a pointer"
#define FILCH_SAY_RESULT                                                                     \
	"filch: a result of a task is copied as bytes: its type must be trivially copyable " \
	"and no reference; write it through a pointer"
#define FILCH_SAY_HELD                                                                   \
	"filch: an argument of a task is kept in a frame: its type must have a default " \
	"constructor, and neither it nor a member be const; give a pointer"
#define FILCH_SAY_STORED                                                                \
	"filch: a result of a task is stored in a frame: its type must have a default " \
	"constructor and an assignment, and no const member; write it through a pointer"
#define FILCH_SAY_FOLD                                                                         \
	"filch: a fold is a function void fold(accumulator, result): the pointer given here, " \
	"and a result of the task (a FILCH_VOID_TASK has none: FILCH_CHILDREN)"
#define FILCH_SAY_DECL \
	"filch: FILCH_TASK_IMPL has other types than FILCH_TASK_DECL had for this task"
#define FILCH_SAY_CLASS \
	"filch: a task is no member: define it at namespace scope, outside of the class"
#define FILCH_SAY_BODY                                                                      \
	"FILCH_SPAWN, FILCH_CALL, FILCH_SYNC and FILCH_CHILDREN work only in a task body; " \
	"elsewhere use FILCH_RUN"

/*
 * What stands for the parameters of a body where there is none. Functions, because a parameter that
 * shadows a function is no warning of -Wshadow; never defined. clang may complain of their type
 * before it says that they are unavailable, so the type says it as well.
 */
#if defined(__has_attribute)
#if __has_attribute(unavailable)
#define FILCH_ONLY_IN_A_TASK_BODY __attribute__((unavailable(FILCH_SAY_BODY)))
#endif
#endif
#if !defined(FILCH_ONLY_IN_A_TASK_BODY)
#define FILCH_ONLY_IN_A_TASK_BODY __attribute__((deprecated(FILCH_SAY_BODY)))
#endif
FILCH_EXTERN_C_BEGIN
struct filch_only_in_a_task_body;
FILCH_ONLY_IN_A_TASK_BODY struct filch_only_in_a_task_body *filch_worker_(void);
FILCH_ONLY_IN_A_TASK_BODY struct filch_only_in_a_task_body *filch_carried_(void);
FILCH_EXTERN_C_END

/* Begins a declaration of FILCH_SPAWN, where a statement without braces may not have one. */
typedef int filch_spawn_needs_braces_;

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
#define FILCH_PAIR_KEEP(...)                                                              \
	__builtin_memcpy((void *)&filch_frame_->FILCH_PAIR_NAME(__VA_ARGS__),             \
		FILCH_OBJECT(FILCH_PAIR_TYPE(__VA_ARGS__), FILCH_PAIR_NAME(__VA_ARGS__)), \
		sizeof filch_frame_->FILCH_PAIR_NAME(__VA_ARGS__));

/*
 * The object that a parameter declared `T name` stands for: itself, or, where T is an array and the
 * parameter therefore a pointer, what it points to. An array argument is copied into the frame like
 * any other.
 */
#ifdef __cplusplus
#define FILCH_OBJECT(T, name) (filch_object_<T>::of(name))
#else
#define FILCH_OBJECT(T, name)                                                    \
	__builtin_choose_expr(__builtin_types_compatible_p(T, __typeof__(name)), \
		(const void *)&name, filch_pointer_in(&name))
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
#define FILCH_VALUE_FOLDED(R)     R
#define FILCH_VALUE_IS_FOLDED     1
#define FILCH_VALUE_FOLD(call)    return call
#define FILCH_VALUE_LOOK(R)                                        \
	FILCH_STATIC_ASSERT(!FILCH_IS_VOID(R), FILCH_SAY_VOID);    \
	FILCH_STATIC_ASSERT(FILCH_IS_COPIED(R), FILCH_SAY_RESULT); \
	FILCH_STATIC_ASSERT(FILCH_IS_STORED(R), FILCH_SAY_STORED);
#define FILCH_VALUE_COPY(frame, out) \
	if (out)                     \
		*out = frame->filch_result_;
#define FILCH_VOID_FIELD(R)
#define FILCH_VOID_STORE(frame)
#define FILCH_VOID_RESULT(frame) return
#define FILCH_VOID_RETURN(call) \
	do {                    \
		call;           \
		return;         \
	} while (0)
#define FILCH_VOID_OUT(R) void *
/* what stands for the result in a fold that drops it */
#define FILCH_VOID_FOLDED(R) int
#define FILCH_VOID_IS_FOLDED 0
#define FILCH_VOID_FOLD(call) \
	do {                  \
		call;         \
		return 0;     \
	} while (0)
#define FILCH_VOID_LOOK(R)
#define FILCH_VOID_COPY(frame, out) (void)out;

#define FILCH_PAIR_LOOK(...)                                                                  \
	FILCH_STATIC_ASSERT(FILCH_IS_COPIED(FILCH_PAIR_TYPE(__VA_ARGS__)), FILCH_SAY_COPIED); \
	FILCH_STATIC_ASSERT(FILCH_IS_HELD(FILCH_PAIR_TYPE(__VA_ARGS__)), FILCH_SAY_HELD);     \
	FILCH_STATIC_ASSERT(                                                                  \
		FILCH_IS_PLAIN(FILCH_PAIR_TYPE(__VA_ARGS__), FILCH_PAIR_NAME(__VA_ARGS__)),   \
		FILCH_SAY_PLAIN);

/*
 * What only C++ has to look at:
 *
 *   - Types that are not copied as bytes, and those of which a frame cannot hold one.
 *   - A task in a class. Its constexpr function is no constant before the class is complete.
 *   - A definition unlike its declaration, which C refuses by itself. To C++ it is another function
 *     of that name.
 *
 * A name with a piece of its type, as in (int, a[4]) or (char, *p), declares a parameter of another
 * type than the pair's.
 */
#ifdef __cplusplus
#define FILCH_IS_VOID(T)   (filch_copied_<T>::is_void)
#define FILCH_IS_COPIED(T) (filch_copied_<T>::as_bytes)
#define FILCH_IS_HELD(T)   (filch_copied_<T>::is_held)
#define FILCH_IS_STORED(T) (filch_copied_<T>::is_stored)
#define FILCH_LOOK_AROUND(name)                                   \
	FILCH_UNUSED static constexpr bool name##_filch_outside() \
	{                                                         \
		return true;                                      \
	}                                                         \
	FILCH_STATIC_ASSERT(__builtin_constant_p(name##_filch_outside()), FILCH_SAY_CLASS);
#define FILCH_IS_PLAIN(T, name) (filch_same_<void(T), void(T name)>::is)
#define FILCH_LOOK_DECLARED(R, name, k, ...)                                        \
	FILCH_STATIC_ASSERT(filch_declared_<R (*)(struct filch_worker *,            \
				    filch_index FILCH_EACH(k, FILCH_PAIR_PARAM,     \
					    __VA_ARGS__))>::as(&name##_filch_body), \
		FILCH_SAY_DECL);
#else
#define FILCH_LOOK_DECLARED(R, name, k, ...)
#define FILCH_IS_VOID(T)        __builtin_types_compatible_p(T, void)
#define FILCH_IS_COPIED(T)      1
#define FILCH_IS_HELD(T)        1
#define FILCH_IS_STORED(T)      1
#define FILCH_IS_PLAIN(T, name) __builtin_types_compatible_p(void(T), void(T name))
#define FILCH_LOOK_AROUND(name)
#endif

/*
 * FILCH_RUN's look at @result, an expression without effect, and what it then hands on. In C a
 * pointer to void passes, as it does everywhere: NULL is one.
 */
#ifdef __cplusplus
#define FILCH_RUN_LOOK(name, result) ((void)sizeof(name##_must_be_a_FILCH_TASK))
#define FILCH_RUN_OUT(name, result)  (filch_out_<name##_must_be_a_FILCH_TASK>::of(result))
#else
#define FILCH_RUN_LOOK(name, result)                                                       \
	((void)sizeof(name##_must_be_a_FILCH_TASK), (void)sizeof(struct {                  \
		FILCH_STATIC_ASSERT(                                                       \
			FILCH_IS_OUT(name, __typeof__((void)0, (result))), FILCH_SAY_RUN); \
		char filch_one_;                                                           \
	}))
#define FILCH_RUN_OUT(name, result) (result)
#define FILCH_IS_OUT(name, T)                                                                      \
	(__builtin_types_compatible_p(T, name##_must_be_a_FILCH_TASK) ||                           \
		__builtin_types_compatible_p(T, void *) || __builtin_types_compatible_p(T, int) || \
		FILCH_IS_NULLPTR(T))
#if defined(__clang__)
#define FILCH_HAS_NULLPTR (__STDC_VERSION__ > 201710L && __clang_major__ >= 16)
#else
#define FILCH_HAS_NULLPTR (__STDC_VERSION__ > 201710L && __GNUC__ >= 13)
#endif
#if FILCH_HAS_NULLPTR
#define FILCH_IS_NULLPTR(T) __builtin_types_compatible_p(T, __typeof__(nullptr))
#else
#define FILCH_IS_NULLPTR(T) 0
#endif
#endif

#define FILCH_TASK_LOOK(V, R, k, ...) \
	FILCH_##V##_LOOK(R) FILCH_EACH(k, FILCH_PAIR_LOOK, __VA_ARGS__) FILCH_STATIC_ASSERT(1, "")

/* Makes the frame a task that can be pushed: its arguments, its word. */
#define FILCH_KEEP(name, k, ...)                    \
	FILCH_EACH(k, FILCH_PAIR_KEEP, __VA_ARGS__) \
	filch_store_relaxed(&filch_frame_->filch_task_.word, (uintptr_t)name##_filch_thunk);

/*
 * The generator: everything about task `name` but its body's text.
 * V is VALUE or VOID, link is static or nothing, k the number of pairs.
 *
 * What is called with the user's arguments gets the address of the carried index, not its value.
 * An argument may hold a sync or a spawn, which move the index, and compilers evaluate arguments
 * in any order. A function's body comes after all of them.
 */
#define FILCH_TASK_GENERATE(V, link, R, name, k, ...)                                              \
	FILCH_TASK_LOOK(V, R, k, __VA_ARGS__);                                                     \
	struct name##_filch {                                                                      \
		struct filch_task filch_task_;                                                     \
		FILCH_##V##_FIELD(R) FILCH_EACH(k, FILCH_PAIR_FIELD, __VA_ARGS__)                  \
	};                                                                                         \
	FILCH_LOOK_AROUND(name)                                                                    \
	typedef FILCH_##V##_OUT(R) name##_must_be_a_FILCH_TASK;                                    \
	FILCH_HOT link R name##_filch_body(struct filch_worker *,                                  \
		filch_index FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__)) FILCH_NOEXCEPT;          \
	FILCH_UNUSED static void name##_filch_thunk(struct filch_worker *filch_worker_,            \
		filch_index filch_carried_, struct filch_task *filch_any_)                         \
	{                                                                                          \
		struct name##_filch *filch_frame_ = (struct name##_filch *)(void *)filch_any_;     \
		(void)filch_frame_;                                                                \
		FILCH_##V##_STORE(filch_frame_) name##_filch_body(filch_worker_,                   \
			filch_carried_ FILCH_EACH(k, FILCH_PAIR_PASS, __VA_ARGS__));               \
		FILCH_CHECK_SYNCED(filch_worker_, filch_carried_, name);                           \
	}                                                                                          \
	FILCH_INLINE int name##_filch_spawn(struct filch_worker *filch_worker_,                    \
		filch_index *filch_carried_,                                                       \
		struct name##_filch *filch_frame_ FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__))    \
	{                                                                                          \
		FILCH_CHECK_HERE(filch_worker_, *filch_carried_, name);                            \
		FILCH_KEEP(name, k, __VA_ARGS__)                                                   \
		filch_spawn_kept(filch_worker_, filch_carried_, &filch_frame_->filch_task_);       \
		return 0;                                                                          \
	}                                                                                          \
	FILCH_INLINE R name##_filch_call(struct filch_worker *filch_worker_,                       \
		const filch_index *filch_carried_ FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__))    \
	{                                                                                          \
		FILCH_CHECK_HERE(filch_worker_, *filch_carried_, name);                            \
		FILCH_##V##_RETURN(name##_filch_body(filch_worker_,                                \
			*filch_carried_ FILCH_EACH(k, FILCH_PAIR_GIVE, __VA_ARGS__)));             \
	}                                                                                          \
	FILCH_COLD FILCH_UNUSED static R name##_filch_sync_slow(                                   \
		struct filch_worker *filch_worker_, filch_index filch_carried_,                    \
		struct name##_filch *filch_frame_)                                                 \
	{                                                                                          \
		if (filch_sync_slow(filch_worker_, filch_carried_, &filch_frame_->filch_task_)) {  \
			FILCH_NOTE_SYNCED(&filch_frame_->filch_task_);                             \
			FILCH_##V##_STORE(filch_frame_) name##_filch_body(filch_worker_,           \
				filch_worker_->floor FILCH_EACH(k, FILCH_PAIR_PASS, __VA_ARGS__)); \
		}                                                                                  \
		FILCH_NOTE_SYNCED(&filch_frame_->filch_task_);                                     \
		FILCH_##V##_RESULT(filch_frame_);                                                  \
	}                                                                                          \
	FILCH_INLINE R name##_filch_sync(struct filch_worker *filch_worker_,                       \
		filch_index *filch_carried_, struct name##_filch *filch_frame_)                    \
	{                                                                                          \
		filch_index filch_index_ = filch_index_add(*filch_carried_, -1);                   \
		FILCH_CHECK_HERE(filch_worker_, *filch_carried_, name);                            \
		FILCH_CHECK_SYNC(filch_worker_, filch_index_, &filch_frame_->filch_task_, name);   \
		if (filch_take(filch_worker_, filch_index_, &filch_frame_->filch_task_)) {         \
			FILCH_NOTE_SYNCED(&filch_frame_->filch_task_);                             \
			*filch_carried_ = filch_index_;                                            \
			FILCH_##V##_RETURN(name##_filch_body(filch_worker_,                        \
				filch_index_ FILCH_EACH(k, FILCH_PAIR_PASS, __VA_ARGS__)));        \
		}                                                                                  \
		FILCH_##V##_RETURN(                                                                \
			name##_filch_sync_slow(filch_worker_, *filch_carried_, filch_frame_));     \
	}                                                                                          \
	FILCH_UNUSED static inline int name##_filch_run(struct filch_pool *filch_pool_,            \
		FILCH_##V##_OUT(R) filch_out_ FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__))        \
	{                                                                                          \
		struct name##_filch filch_space_, *filch_frame_ = &filch_space_;                   \
		FILCH_EACH(k, FILCH_PAIR_KEEP, __VA_ARGS__)                                        \
		int filch_error_ = filch_run_task(                                                 \
			filch_pool_, &filch_frame_->filch_task_, name##_filch_thunk);              \
		if (!filch_error_) {                                                               \
			FILCH_##V##_COPY(filch_frame_, filch_out_)                                 \
		}                                                                                  \
		return filch_error_;                                                               \
	}                                                                                          \
	FILCH_UNUSED static inline R name##_filch_in_scope(struct filch_worker *filch_worker_,     \
		filch_index filch_carried_,                                                        \
		int *filch_status_ FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__))                   \
	{                                                                                          \
		struct name##_filch filch_space_, *filch_frame_ = &filch_space_;                   \
		int filch_error_ = filch_scope_enter(filch_worker_);                               \
		if (FILCH_UNLIKELY(filch_error_)) {                                                \
			__builtin_memset((void *)filch_frame_, 0, sizeof *filch_frame_);           \
		} else {                                                                           \
			FILCH_##V##_STORE(filch_frame_) name##_filch_body(filch_worker_,           \
				filch_carried_ FILCH_EACH(k, FILCH_PAIR_GIVE, __VA_ARGS__));       \
			filch_error_ = filch_scope_leave(filch_worker_);                           \
		}                                                                                  \
		if (filch_status_)                                                                 \
			*filch_status_ = filch_error_;                                             \
		FILCH_##V##_RESULT(filch_frame_);                                                  \
	}                                                                                          \
	FILCH_INLINE R name##_filch_scope(struct filch_worker *filch_worker_,                      \
		const filch_index *filch_carried_,                                                 \
		int *filch_status_ FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__))                   \
	{                                                                                          \
		FILCH_CHECK_HERE(filch_worker_, *filch_carried_, name);                            \
		FILCH_##V##_RETURN(name##_filch_in_scope(filch_worker_, *filch_carried_,           \
			filch_status_ FILCH_EACH(k, FILCH_PAIR_GIVE, __VA_ARGS__)));               \
	}                                                                                          \
	FILCH_VERIFY_DEFINE(name)                                                                  \
	FILCH_CHILDREN_GENERATE(V, R, name, k, __VA_ARGS__)                                        \
	FILCH_STATIC_ASSERT(1, "")

#define FILCH_TASK_BODY(link, R, name, k, ...)                                    \
	link R name##_filch_body(FILCH_UNUSED struct filch_worker *filch_worker_, \
		FILCH_UNUSED filch_index filch_carried_ FILCH_EACH(               \
			k, FILCH_PAIR_PARAM, __VA_ARGS__)) FILCH_NOEXCEPT

/*
 * Checks of debug builds (FILCH_DEBUG >= 1 in the including program); nothing otherwise.
 *
 * A frame's `saved` belongs to the library only while a sync waits for a thief. Before and after
 * that it notes what became of the frame, with the index that the push gave it:
 *
 *   spawned, with the index   pushed
 *   ran, without an index     there was no room: it ran at its spawn
 *   synced                    its sync has returned, or has taken it
 *   its thunk                 waited for in turns (src/core/await.h), and not synced yet
 *   anything else             never spawned
 *
 * Why a sync out of order is seen whenever it matters:
 *
 *   - The newest task that lies in the deque has the index one below the carried one. A sync of an
 *     older task would take that index.
 *   - While it lies there, the floor is not above it: floor <= top <= its index.
 *   - Where the index differs and the floor is above it, thieves have taken all the tasks of the
 *     body. Each sync then waits for its own, in any order.
 */
#if FILCH_DEBUG >= 1
#define FILCH_NOTE_INDEX    (((uintptr_t)1 << 48) - 1)
#define FILCH_NOTED_SPAWNED ((uintptr_t)0x5bf1 << 48)
#define FILCH_NOTED_RAN     ((uintptr_t)0x5bf2 << 48)
#define FILCH_NOTED_SYNCED  ((uintptr_t)0x5bf3 << 48)

/* With the frame's address: a frame is synced where it was spawned. */
FILCH_INLINE uintptr_t filch_note_index(const struct filch_task *task, filch_index index)
{
	return ((uintptr_t)index ^ (uintptr_t)task >> 3) & FILCH_NOTE_INDEX;
}

/* After a push, which moved the carried index from @before to @carried unless the task ran. */
FILCH_INLINE void filch_note_spawned(
	struct filch_task *task, filch_index before, filch_index carried)
{
	task->saved = carried == before
			      ? FILCH_NOTED_RAN
			      : FILCH_NOTED_SPAWNED |
					filch_note_index(task, filch_index_add(carried, -1));
}

#define FILCH_SAY_ORDER \
	"FILCH_SYNC out of order: sync the newest first, and a frame where it was spawned"

/* Before a take of @index. */
FILCH_INLINE void filch_check_sync(const struct filch_worker *worker, filch_index index,
	const struct filch_task *task, filch_thunk *thunk, const char *name)
{
	uintptr_t noted = task->saved & ~FILCH_NOTE_INDEX;

	if (task->saved == (uintptr_t)thunk)
		return;
	if (noted == FILCH_NOTED_SYNCED)
		filch_misuse("FILCH_SYNC of a handle synced before: sync each spawn once", name);
	if (noted != FILCH_NOTED_SPAWNED && noted != FILCH_NOTED_RAN)
		filch_misuse("FILCH_SYNC of a frame without a spawn", name);
	if (noted == FILCH_NOTED_SPAWNED &&
		task->saved != (noted | filch_note_index(task, index)) &&
		!filch_index_after(worker->floor, index))
		filch_misuse(FILCH_SAY_ORDER, name);
}

/*
 * A lambda in a task's body has that body's worker and index. A loop may run it on another worker,
 * or above tasks that the index does not know.
 */
#define FILCH_SAY_HERE                                                                       \
	"a lambda of a task's body runs on another worker: loops, jobs and other tasks use " \
	"FILCH_RUN(NULL, ...)"
#define FILCH_SAY_ABOVE                                                                \
	"unknown tasks lie above this body's: a loop runs a lambda of it, instead of " \
	"FILCH_RUN(NULL, ...), or a called task left a spawn unsynced"
#define FILCH_CHECK_HERE(worker, carried, name) filch_check_here((worker), (carried), #name)
#define FILCH_NOTE_PUSH(carried)                const filch_index filch_before_ = (carried)
#define FILCH_NOTE_SPAWNED(task, carried)       filch_note_spawned((task), filch_before_, (carried))
#define FILCH_NOTE_SYNCED(task)                 ((void)((task)->saved = FILCH_NOTED_SYNCED))
#define FILCH_CHECK_SYNC(worker, index, task, name) \
	filch_check_sync((worker), (index), (task), name##_filch_thunk, #name)
#define FILCH_SAY_LEFT           "a handle left its block without FILCH_SYNC: sync it on every path"
#define FILCH_VERIFY_SCOPE(name) __attribute__((cleanup(name##_filch_verify)))
#define FILCH_VERIFY_DEFINE(name)                                                              \
	FILCH_UNUSED static inline void name##_filch_verify(struct name##_filch *filch_frame_) \
	{                                                                                      \
		if (filch_frame_->filch_task_.saved != FILCH_NOTED_SYNCED)                     \
			filch_misuse(FILCH_SAY_LEFT, #name);                                   \
	}
#define FILCH_CHECK_SYNCED(worker, carried, name)                                       \
	do {                                                                            \
		filch_index filch_bottom_ = filch_load_relaxed(&(worker)->bottom);      \
		if (filch_index_after(filch_bottom_, (carried)) &&                      \
			filch_index_after(filch_bottom_, (worker)->floor))              \
			filch_misuse("the task returned with a spawn unsynced", #name); \
	} while (0)
#else
#define FILCH_CHECK_HERE(worker, carried, name)     ((void)0)
#define FILCH_NOTE_PUSH(carried)                    ((void)0)
#define FILCH_NOTE_SPAWNED(task, carried)           ((void)0)
#define FILCH_NOTE_SYNCED(task)                     ((void)0)
#define FILCH_CHECK_SYNC(worker, index, task, name) ((void)0)
#define FILCH_VERIFY_SCOPE(name)
#define FILCH_VERIFY_DEFINE(name)
#define FILCH_CHECK_SYNCED(worker, carried, name) ((void)0)
#endif

/* Pushes a task whose frame is filled. */
FILCH_INLINE void filch_spawn_kept(
	struct filch_worker *worker, filch_index *carried, struct filch_task *task)
{
	FILCH_NOTE_PUSH(*carried);
	filch_push(worker, carried, task);
	FILCH_NOTE_SPAWNED(task, *carried);
}

/*
 * FILCH_TASK(R, name, pair...): the number of pairs is the number of arguments less two;
 * FILCH_VOID_TASK less one.
 */
#define FILCH_VALUE_1(G, l, n)            G##_REFUSED(FILCH_SAY_NAME, void, void)
#define FILCH_VALUE_2(G, l, R, n)         FILCH_LOOK(G, VALUE, l, R, n, 0, ~)
#define FILCH_VALUE_3(G, l, R, n, ...)    FILCH_LOOK(G, VALUE, l, R, n, 1, __VA_ARGS__)
#define FILCH_VALUE_4(G, l, R, n, ...)    FILCH_LOOK(G, VALUE, l, R, n, 2, __VA_ARGS__)
#define FILCH_VALUE_5(G, l, R, n, ...)    FILCH_LOOK(G, VALUE, l, R, n, 3, __VA_ARGS__)
#define FILCH_VALUE_6(G, l, R, n, ...)    FILCH_LOOK(G, VALUE, l, R, n, 4, __VA_ARGS__)
#define FILCH_VALUE_7(G, l, R, n, ...)    FILCH_LOOK(G, VALUE, l, R, n, 5, __VA_ARGS__)
#define FILCH_VALUE_8(G, l, R, n, ...)    FILCH_LOOK(G, VALUE, l, R, n, 6, __VA_ARGS__)
#define FILCH_VALUE_9(G, l, R, n, ...)    FILCH_LOOK(G, VALUE, l, R, n, 7, __VA_ARGS__)
#define FILCH_VALUE_10(G, l, R, n, ...)   FILCH_LOOK(G, VALUE, l, R, n, 8, __VA_ARGS__)
#define FILCH_VALUE_MANY(G, l, R, n, ...) G##_REFUSED(FILCH_SAY_MANY, R, __VA_ARGS__)
#define FILCH_VOID_1(G, l, n)             FILCH_LOOK(G, VOID, l, void, n, 0, ~)
#define FILCH_VOID_2(G, l, n, ...)        FILCH_LOOK(G, VOID, l, void, n, 1, __VA_ARGS__)
#define FILCH_VOID_3(G, l, n, ...)        FILCH_LOOK(G, VOID, l, void, n, 2, __VA_ARGS__)
#define FILCH_VOID_4(G, l, n, ...)        FILCH_LOOK(G, VOID, l, void, n, 3, __VA_ARGS__)
#define FILCH_VOID_5(G, l, n, ...)        FILCH_LOOK(G, VOID, l, void, n, 4, __VA_ARGS__)
#define FILCH_VOID_6(G, l, n, ...)        FILCH_LOOK(G, VOID, l, void, n, 5, __VA_ARGS__)
#define FILCH_VOID_7(G, l, n, ...)        FILCH_LOOK(G, VOID, l, void, n, 6, __VA_ARGS__)
#define FILCH_VOID_8(G, l, n, ...)        FILCH_LOOK(G, VOID, l, void, n, 7, __VA_ARGS__)
#define FILCH_VOID_9(G, l, n, ...)        FILCH_LOOK(G, VOID, l, void, n, 8, __VA_ARGS__)
#define FILCH_VOID_10(G, l, n, ...)       G##_REFUSED(FILCH_SAY_MANY, void, __VA_ARGS__)
#define FILCH_VOID_MANY(G, l, n, ...)     G##_REFUSED(FILCH_SAY_MANY, void, __VA_ARGS__)

/* The look: is the name one, are the pairs? Yes leads to the generator, no to a sentence. */
#define FILCH_LOOK(G, V, l, R, n, k, ...)                                                         \
	FILCH_CAT(                                                                                \
		FILCH_LOOK_, FILCH_CAT(FILCH_IS_PARENTHESIS(n), FILCH_ARE_PAIRS(k, __VA_ARGS__))) \
	(G, V, l, R, n, k, __VA_ARGS__)
#define FILCH_LOOK_01(G, V, l, R, n, k, ...) G(V, l, R, n, k, __VA_ARGS__)
#define FILCH_LOOK_00(G, V, l, R, n, k, ...) G##_REFUSED(FILCH_SAY_PAIR, R, __VA_ARGS__)
#define FILCH_LOOK_10(G, V, l, R, n, k, ...) G##_REFUSED(FILCH_SAY_NAME, R, __VA_ARGS__)
#define FILCH_LOOK_11(G, V, l, R, n, k, ...) G##_REFUSED(FILCH_SAY_NAME, R, __VA_ARGS__)

/*
 * The sentence, and a head for the body that may follow. A list that is written as C parameters is
 * good enough for that, and the body then adds no errors of its own.
 */
#define FILCH_GENERATE_DECL_REFUSED(say, R, ...) FILCH_STATIC_ASSERT(0, say)
#define FILCH_GENERATE_IMPL_REFUSED(say, R, ...)                   \
	FILCH_STATIC_ASSERT(0, say);                               \
	FILCH_UNUSED static R FILCH_CAT(filch_refused_, __LINE__)( \
		struct filch_worker * filch_worker_, filch_index filch_carried_, __VA_ARGS__)
#define FILCH_GENERATE_BOTH_REFUSED(say, R, ...) FILCH_GENERATE_IMPL_REFUSED(say, R, __VA_ARGS__)

#define FILCH_GENERATE_DECL(V, l, R, n, k, ...) FILCH_TASK_GENERATE(V, l, R, n, k, __VA_ARGS__)
#define FILCH_GENERATE_IMPL(V, l, R, n, k, ...)   \
	FILCH_LOOK_DECLARED(R, n, k, __VA_ARGS__) \
	FILCH_TASK_BODY(l, R, n, k, __VA_ARGS__)
#define FILCH_GENERATE_BOTH(V, l, R, n, k, ...)          \
	FILCH_TASK_GENERATE(V, l, R, n, k, __VA_ARGS__); \
	FILCH_TASK_BODY(l, R, n, k, __VA_ARGS__)

#ifdef __cplusplus
extern "C++" {
/* Whether a T may be copied as bytes. std::pair may, though it is not trivially assignable. */
#if defined(__has_builtin)
#if __has_builtin(__is_trivially_destructible)
#define FILCH_DIES_QUIETLY(T) __is_trivially_destructible(T)
#endif
#endif
#if !defined(FILCH_DIES_QUIETLY)
#define FILCH_DIES_QUIETLY(T) __has_trivial_destructor(T)
#endif
template <typename T> struct filch_held_ {
	T object;
};
template <typename T> struct filch_copied_ {
	static constexpr bool is_void = false;
	static constexpr bool as_bytes =
		__is_trivially_constructible(T, T const &) && FILCH_DIES_QUIETLY(T);
	static constexpr bool is_held = __is_constructible(filch_held_<T>);
	static constexpr bool is_stored = is_held && __is_assignable(T &, T);
};
template <typename T, size_t n> struct filch_copied_<T[n]> : filch_copied_<T> {
};
template <typename T> struct filch_copied_<T &> {
	static constexpr bool is_void = false, as_bytes = false, is_held = true, is_stored = true;
};
template <typename T> struct filch_copied_<T &&> {
	static constexpr bool is_void = false, as_bytes = false, is_held = true, is_stored = true;
};
template <> struct filch_copied_<void> {
	static constexpr bool is_void = true, as_bytes = true, is_held = true, is_stored = true;
};

template <typename A, typename B> struct filch_same_ {
	static constexpr bool is = false;
};
template <typename A> struct filch_same_<A, A> {
	static constexpr bool is = true;
};

/* Whether a task was declared with the body of type P. */
template <typename P> struct filch_declared_ {
	static constexpr bool as(P)
	{
		return true;
	}
	static constexpr bool as(...)
	{
		return false;
	}
};

/* What FILCH_RUN takes for its result: a pointer to that type, or a null pointer. */
template <typename P> struct filch_out_ {
	static P of(P out)
	{
		return out;
	}
	template <typename T> static P of(T *)
	{
		static_assert(sizeof(T *) == 0, FILCH_SAY_RUN);
		return nullptr;
	}
};

template <typename T> struct filch_object_ {
	static const void *of(const T &object)
	{
		return static_cast<const void *>(&object);
	}
};
template <typename T, size_t n> struct filch_object_<T[n]> {
	static const void *of(const T *object)
	{
		return static_cast<const void *>(object);
	}
};
}
#endif

#endif
