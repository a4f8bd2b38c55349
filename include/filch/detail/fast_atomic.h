/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operations of the inlined owner's path. Only two files of filch name any; the other one is
 * src/base/atomic.h.
 *
 * Every operation has an order, and carries it in its name. There are no free-standing fences.
 * ThreadSanitizer follows only operations, and in them a dropped release is still seen. There are
 * two bodies:
 *
 *   shipped            the compiler's __atomic builtins on plain objects. They serve C and C++, are
 *                      inlined, and sanitizers see through them in users' files. ck_pr's inline
 *                      assembly clobbers memory, which makes the same path slower.
 *   FILCH_ATOMICS_C11  <stdatomic.h>, for ThreadSanitizer builds of the library and, with
 *                      FILCH_MODEL, for model checkers.
 *
 * Fields are plain integers and pointers behind FILCH_ATOMIC(type), so the layout is the same in
 * both.
 *
 * The asymmetric pair. An owner must order some stores before a later load: a push's bottom, then
 * ask; a take's bottom, then the gate. It pays nothing for that where membarrier(2) is at hand. Its
 * _light operation only keeps the compiler from reordering. The other side calls membarrier(2)
 * (src/base/atomic.h): every running thread of the process passes a full fence. A model checker
 * knows no membarrier, so with FILCH_MODEL the light side is a full fence as well: the pair amounts
 * to that when it matters. But such a fence also does the work of later releases, and a checker
 * would not miss them. So with FILCH_MODEL_LIGHT a push is a release store and no more: for drivers
 * that do not park.
 */
#ifndef FILCH_DETAIL_ATOMIC_H
#define FILCH_DETAIL_ATOMIC_H

#include "words.h"

#if defined(FILCH_ATOMICS_C11) && !defined(__cplusplus)

#include <stdatomic.h>

#define FILCH_ATOMIC(type) _Atomic(type)

#define filch_load_relaxed(p)     atomic_load_explicit((p), memory_order_relaxed)
#define filch_load_acquire(p)     atomic_load_explicit((p), memory_order_acquire)
#define filch_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define filch_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#if defined(FILCH_MODEL)
#define filch_store_release_light(p, v)                         \
	(atomic_store_explicit((p), (v), memory_order_release), \
		atomic_thread_fence(memory_order_seq_cst))
#if defined(FILCH_MODEL_LIGHT)
#define filch_publish_release_light(p, v) atomic_store_explicit((p), (v), memory_order_release)
#endif
#define filch_store_release_full(p, v)                          \
	(atomic_store_explicit((p), (v), memory_order_release), \
		atomic_thread_fence(memory_order_seq_cst))
#else
#define filch_store_release_light(p, v)                         \
	(atomic_store_explicit((p), (v), memory_order_release), \
		atomic_signal_fence(memory_order_seq_cst))
#define filch_store_release_full(p, v) \
	((void)atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#endif

#else

#define FILCH_ATOMIC(type) type

#define filch_load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define filch_load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define filch_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define filch_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/*
 * store, then keep the compiler from moving a later load above it; the other side's membarrier(2)
 * holds the hardware
 */
#define filch_store_release_light(p, v) \
	(__atomic_store_n((p), (v), __ATOMIC_RELEASE), __atomic_signal_fence(__ATOMIC_SEQ_CST))
/* store, then a full fence; on x86-64 an exchange, far cheaper than an mfence */
#if defined(__x86_64__)
#define filch_store_release_full(p, v) ((void)__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))
#else
#define filch_store_release_full(p, v) \
	(__atomic_store_n((p), (v), __ATOMIC_RELEASE), __atomic_thread_fence(__ATOMIC_SEQ_CST))
#endif

#endif

/* The same for what a push publishes: its partner is a worker that parks. See above for models. */
#if !defined(filch_publish_release_light)
#define filch_publish_release_light(p, v) filch_store_release_light((p), (v))
#endif

/*
 * What the library tells the ThreadSanitizer of a program that runs on it. That one sees the orders
 * of files compiled for it, and none of the library's own. So the library names its few points
 * where a user's data changes hands; docs/adr/0019. The names are weak: NULL in a program without a
 * ThreadSanitizer. Outside of the library these are nothing.
 *
 *   filch_tsan_present()    whether there is one
 *   filch_tsan_release(p)   before an operation on @p that publishes
 *   filch_tsan_acquire(p)   after one that has seen it
 */
#if defined(FILCHI_TELLS_TSAN) && !defined(FILCH_ATOMICS_C11)
extern void __tsan_acquire(void *p) __attribute__((weak));
extern void __tsan_release(void *p) __attribute__((weak));
#define filch_tsan_present() (__tsan_release != NULL)
#define filch_tsan_release(p) \
	(FILCH_UNLIKELY(__tsan_release) ? __tsan_release((void *)(uintptr_t)(p)) : (void)0)
#define filch_tsan_acquire(p) \
	(FILCH_UNLIKELY(__tsan_acquire) ? __tsan_acquire((void *)(uintptr_t)(p)) : (void)0)
#else
#define filch_tsan_present()  false
#define filch_tsan_release(p) ((void)0)
#define filch_tsan_acquire(p) ((void)0)
#endif

/*
 * Two things that gcc does less well by itself:
 * - A relaxed load whose value is only compared: gcc folds no atomic load into a compare. Written
 *   out it is one instruction with a memory operand.
 * - The address of an object, computed where it is needed: gcc would keep it in a register across
 *   calls.
 *
 * docs/adr/0007 has the saving of each. Elsewhere, and where a sanitizer must see the load, they
 * are the plain forms.
 *
 *   filch_is_zero_relaxed(p)      *p == 0; 32 bits
 *   filch_is_above_relaxed(i, p)  i > *p; signed, 64 bits
 *   filch_address(p)              p
 */
#if defined(__x86_64__) && !defined(FILCH_ATOMICS_C11) && !defined(FILCH_SANITIZED)
#define filch_is_zero_relaxed(p)                                                    \
	(__extension__({                                                            \
		bool filch_zero_;                                                   \
		__asm__ volatile("cmpl $0, %1" : "=@ccz"(filch_zero_) : "m"(*(p))); \
		filch_zero_;                                                        \
	}))
#define filch_is_above_relaxed(i, p)                                                         \
	(__extension__({                                                                     \
		bool filch_above_;                                                           \
		__asm__ volatile("cmpq %1, %2" : "=@ccg"(filch_above_) : "m"(*(p)), "r"(i)); \
		filch_above_;                                                                \
	}))
#define filch_address(p)                                              \
	(__extension__({                                              \
		__typeof__(p) filch_at_;                              \
		__asm__("leaq %1, %0" : "=r"(filch_at_) : "m"(*(p))); \
		filch_at_;                                            \
	}))
#else
#define filch_is_zero_relaxed(p)     (filch_load_relaxed(p) == 0)
#define filch_is_above_relaxed(i, p) ((i) > filch_load_relaxed(p))
#define filch_address(p)             (p)
#endif

typedef FILCH_ATOMIC(uint32_t) filch_atomic_u32;
typedef FILCH_ATOMIC(uint64_t) filch_atomic_u64;
typedef FILCH_ATOMIC(int64_t) filch_atomic_i64;
typedef FILCH_ATOMIC(uintptr_t) filch_atomic_word;

#endif
