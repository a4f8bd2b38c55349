/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiler words used by every public header, and nothing else.
 *
 * All of them are prefixed; none leaks into a user's name space. The headers are written for gcc
 * and clang, as C11, gnu11 and C++14, on 64-bit machines.
 */
#ifndef FILCH_DETAIL_BASE_H
#define FILCH_DETAIL_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define FILCH_EXTERN_C_BEGIN         extern "C" {
#define FILCH_EXTERN_C_END           }
#define FILCH_NOEXCEPT               noexcept
#define FILCH_STATIC_ASSERT(e, text) static_assert(e, text)
#else
#define FILCH_EXTERN_C_BEGIN
#define FILCH_EXTERN_C_END
#define FILCH_NOEXCEPT
#define FILCH_STATIC_ASSERT(e, text) _Static_assert(e, text)
#endif

/*
 * The static form of the library is compiled with FILCH_HIDDEN: what it is linked into does not
 * export its names, nor bind to those of another copy.
 */
#if defined(FILCH_HIDDEN)
#define FILCH_API __attribute__((visibility("hidden")))
#else
#define FILCH_API __attribute__((visibility("default")))
#endif
#define FILCH_INLINE     static inline __attribute__((always_inline, unused))
#define FILCH_COLD       __attribute__((cold, noinline))
#define FILCH_HOT        __attribute__((hot))
#define FILCH_UNUSED     __attribute__((unused))
#define FILCH_MUST_CHECK __attribute__((warn_unused_result))
/*
 * !!, not ?: which is a branch of its own before the expected one; gcc then takes both ways for
 * equally likely
 */
#define FILCH_LIKELY(x)   (__builtin_expect(!!(x), 1L) != 0)
#define FILCH_UNLIKELY(x) (__builtin_expect(!!(x), 0L) != 0)
/* two 64-byte lines: adjacent-line prefetchers couple them; also the line of some ARM cores */
#define FILCH_CACHELINE  128
#define FILCH_ALIGNED(n) __attribute__((aligned(n)))

/* Whether a sanitizer that follows memory accesses instruments the including program. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define FILCH_SANITIZED
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || \
	__has_feature(memory_sanitizer)
#define FILCH_SANITIZED
#endif
#endif

/*
 * @x, of which the compiler no longer knows how it was computed. So it does not keep the parts
 * across a call to compute it again. Model checkers read C, not assembly.
 */
#if defined(FILCH_MODEL)
#define FILCH_FORGET(x) (x)
#else
#define FILCH_FORGET(x)                               \
	(__extension__({                              \
		__typeof__(x) filch_forgotten_ = (x); \
		__asm__("" : "+r"(filch_forgotten_)); \
		filch_forgotten_;                     \
	}))
#endif

/*
 * Assertion level of the including program: 1 checks each spawn and sync for misuse and names the
 * task.
 */
#ifndef FILCH_DEBUG
#define FILCH_DEBUG 0
#endif

/* An object of a type whose first member is its size, all else zero. */
#ifdef __cplusplus
extern "C++" {
template <typename T> static inline T filch_sized_()
{
	T object = T();
	object.size = sizeof object;
	return object;
}
}
#define FILCH_SIZED(type) filch_sized_<type>()
#else
#define FILCH_SIZED(type)            \
	{                            \
		.size = sizeof(type) \
	}
#endif

FILCH_STATIC_ASSERT(sizeof(void *) == 8, "filch is for 64-bit machines");

#endif
