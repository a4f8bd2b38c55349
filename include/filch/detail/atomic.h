/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operations of the inlined owner's path: one of the two files of filch that name any (the other is src/atomic.h).
 *
 * Every operation carries its order in its name and is an operation with an order, never a free-standing fence: that is the form
 * which ThreadSanitizer follows, and in which a dropped release is still seen. There are two bodies.
 *
 *   shipped            the compiler's __atomic builtins on plain objects: C and C++ alike, inlined, transparent to sanitizers in
 *                      users' files. (ck_pr's inline assembly clobbers memory: the same path took 1.86 instead of 1.47 ns.)
 *   FILCH_ATOMICS_C11  <stdatomic.h>: for ThreadSanitizer builds of the library and, with FILCH_MODEL, for model checkers.
 *
 * Fields are plain integers and pointers behind FILCH_ATOMIC(type), so the layout is the same in both.
 *
 * The asymmetric pair. An owner that must order a store before a later load (a push's bottom, then ask) pays for nothing where
 * membarrier(2) is at hand: its *_light operation keeps the compiler from reordering, and the other side's filchi_heavy_*
 * (src/atomic.h) makes every running thread of the process pass a full fence. A model checker knows no membarrier: with FILCH_MODEL the
 * light side is a full fence as well, which is what the pair amounts to when it matters.
 */
#ifndef FILCH_DETAIL_ATOMIC_H
#define FILCH_DETAIL_ATOMIC_H

#include "base.h"

#if defined(FILCH_ATOMICS_C11) && !defined(__cplusplus)

#include <stdatomic.h>

#define FILCH_ATOMIC(type) _Atomic(type)

#define filch_load_relaxed(p)          atomic_load_explicit((p), memory_order_relaxed)
#define filch_load_acquire(p)          atomic_load_explicit((p), memory_order_acquire)
#define filch_store_relaxed(p, v)      atomic_store_explicit((p), (v), memory_order_relaxed)
#define filch_store_release(p, v)      atomic_store_explicit((p), (v), memory_order_release)
#if defined(FILCH_MODEL)
#define filch_store_release_light(p, v) \
	(atomic_store_explicit((p), (v), memory_order_release), atomic_thread_fence(memory_order_seq_cst))
#define filch_store_release_full(p, v) \
	(atomic_store_explicit((p), (v), memory_order_release), atomic_thread_fence(memory_order_seq_cst))
#else
#define filch_store_release_light(p, v) \
	(atomic_store_explicit((p), (v), memory_order_release), atomic_signal_fence(memory_order_seq_cst))
#define filch_store_release_full(p, v) ((void)atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#endif

#else

#define FILCH_ATOMIC(type) type

#define filch_load_relaxed(p)          __atomic_load_n((p), __ATOMIC_RELAXED)
#define filch_load_acquire(p)          __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define filch_store_relaxed(p, v)      __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define filch_store_release(p, v)      __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* store, then keep the compiler from moving a later load above it; the hardware is held by the other side's membarrier(2) */
#define filch_store_release_light(p, v) (__atomic_store_n((p), (v), __ATOMIC_RELEASE), __atomic_signal_fence(__ATOMIC_SEQ_CST))
/* store, then a full fence; an exchange is a tenth of an mfence's cost on x86-64 */
#if defined(__x86_64__)
#define filch_store_release_full(p, v) ((void)__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))
#else
#define filch_store_release_full(p, v) (__atomic_store_n((p), (v), __ATOMIC_RELEASE), __atomic_thread_fence(__ATOMIC_SEQ_CST))
#endif

#endif

/*
 * Relaxed loads whose value is only compared: gcc folds no atomic load into a compare; written out they are one instruction with a
 * memory operand. And the address of an object, computed where it is needed: gcc else keeps it in a register across calls. What each
 * saves is in docs/adr/0007. Elsewhere, and where a sanitizer must see the load, they are the plain forms.
 *
 *   filch_is_zero_relaxed(p)      *p == 0; 32 bits
 *   filch_is_above_relaxed(i, p)  i > *p; signed, 64 bits
 *   filch_address(p)              p
 */
#if defined(__x86_64__) && !defined(FILCH_ATOMICS_C11) && !defined(FILCH_SANITIZED)
#define filch_is_zero_relaxed(p)                                                              \
	(__extension__({                                                                      \
		bool filch_zero_;                                                             \
		__asm__ volatile("cmpl $0, %1" : "=@ccz"(filch_zero_) : "m"(*(p)));           \
		filch_zero_;                                                                  \
	}))
#define filch_is_above_relaxed(i, p)                                                          \
	(__extension__({                                                                      \
		bool filch_above_;                                                            \
		__asm__ volatile("cmpq %1, %2" : "=@ccg"(filch_above_) : "m"(*(p)), "r"(i));  \
		filch_above_;                                                                 \
	}))
#define filch_address(p)                                                                      \
	(__extension__({                                                                      \
		__typeof__(p) filch_at_;                                                      \
		__asm__("leaq %1, %0" : "=r"(filch_at_) : "m"(*(p)));                         \
		filch_at_;                                                                    \
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
