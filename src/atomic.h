/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operations of the library proper: one of the two files of filch that name any (the other is
 * include/filch/detail/atomic.h, for the inlined path, whose FILCH_ATOMIC(type) fields are used here too).
 *
 * Every operation is named after its order. There are no free-standing fences: a full fence is part of an operation
 * (store_then_fence, fence_then_load), because ThreadSanitizer follows operations and not fences, and because a checker still
 * sees a release that was dropped from an operation.
 *
 *   ck_pr              shipped. CK's read-modify-writes are relaxed on ARM and POWER, so the orders around them are written out
 *                      here; on x86-64 a locked instruction is a full fence and they cost nothing.
 *   FILCH_ATOMICS_C11  <stdatomic.h>, for ThreadSanitizer and, with FILCH_MODEL, for model checkers. CK_USE_CC_BUILTINS is no way
 *                      out: volatile accesses are false races to TSan and a false all-clear to checkers.
 *
 * Operations are generic over 4- and 8-byte integers and pointers. seq_cst means: full fence on both sides, in the ck_pr body on
 * every machine, in the C11 body on x86-64. C11 itself promises less of a read-modify-write; where the algorithm needs the fence
 * the following load is a ..._fence_then_load, which is one in the model too.
 *
 * Heavy and light. filchi_heavy_fence_then_load_acquire() is the other half of filch_store_release_light(): membarrier(2) makes
 * every running thread of the process pass a full fence, so that the frequent side pays nothing. Where the kernel refuses it
 * (seccomp, old kernels) every push takes the slow path, which carries a full fence, and the heavy side is an ordinary one.
 */
#ifndef FILCHI_ATOMIC_H
#define FILCHI_ATOMIC_H

#include <filch/detail/atomic.h>

#define filchi_load_relaxed(p)     filch_load_relaxed(p)
#define filchi_store_relaxed(p, v) filch_store_relaxed((p), (v))

#if defined(FILCH_ATOMICS_C11)

#define filchi_load_acquire(p)     atomic_load_explicit((p), memory_order_acquire)
#define filchi_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)

#define filchi_exchange_acq_rel(p, v)     atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define filchi_exchange_seq_cst(p, v)     atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define filchi_fetch_add_acq_rel(p, n)    atomic_fetch_add_explicit((p), (n), memory_order_acq_rel)
#define filchi_fetch_add_seq_cst(p, n)    atomic_fetch_add_explicit((p), (n), memory_order_seq_cst)
#define filchi_fetch_sub_acq_rel(p, n)    atomic_fetch_sub_explicit((p), (n), memory_order_acq_rel)
#define filchi_fetch_sub_seq_cst(p, n)    atomic_fetch_sub_explicit((p), (n), memory_order_seq_cst)
#define filchi_or_acq_rel(p, bits)        ((void)atomic_fetch_or_explicit((p), (bits), memory_order_acq_rel))
/* *(expected) receives what was found when it fails; failure is an acquire load */
#define filchi_cas_acq_rel(p, expected, v) \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
#define filchi_cas_seq_cst(p, expected, v) \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst, memory_order_acquire)

#if defined(FILCH_MODEL)
#define filchi_store_then_fence(p, v) \
	(atomic_store_explicit((p), (v), memory_order_release), atomic_thread_fence(memory_order_seq_cst))
#define filchi_fence_then_load_acquire(p) \
	(atomic_thread_fence(memory_order_seq_cst), atomic_load_explicit((p), memory_order_acquire))
#define filchi_rmw_fence_then_load_acquire(p) filchi_fence_then_load_acquire(p)
#define filchi_pause() ((void)0)
#define filchi_membarrier() atomic_thread_fence(memory_order_seq_cst)
#else
/* read-modify-writes in place of fences: TSan follows them, and on x86-64 they are full fences */
#define filchi_store_then_fence(p, v)     ((void)atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#define filchi_fence_then_load_acquire(p) atomic_fetch_add_explicit((p), 0, memory_order_seq_cst)
#define filchi_rmw_fence_then_load_acquire(p) filchi_fence_then_load_acquire(p)
#if defined(__x86_64__)
#define filchi_pause() __builtin_ia32_pause()
#else
#define filchi_pause() ((void)0)
#endif
#endif

#else /* ck_pr */

#include <ck_pr.h>

#if defined(__x86_64__)
#define FILCHI_RMW_FENCE() ((void)0) /* the locked instruction is one */
#else
#define FILCHI_RMW_FENCE() ck_pr_fence_memory()
#endif

#define FILCHI_IS_WIDE(p) (sizeof(*(p)) == 8)
#define FILCHI_VALUE(p, call) ((__typeof__(*(p)))(call))

static inline uint64_t filchi_ck_load_acquire(const void *p, bool wide)
{
	uint64_t v = wide ? ck_pr_load_64(p) : ck_pr_load_32(p);
	ck_pr_fence_acquire();
	return v;
}
static inline uint64_t filchi_ck_fence_load(const void *p, bool wide)
{
	ck_pr_fence_memory();
	return filchi_ck_load_acquire(p, wide);
}
static inline void filchi_ck_store_release(void *p, uint64_t v, bool wide)
{
	ck_pr_fence_release();
	if (wide)
		ck_pr_store_64((uint64_t *)p, v);
	else
		ck_pr_store_32((uint32_t *)p, (uint32_t)v);
}
static inline uint64_t filchi_ck_exchange(void *p, uint64_t v, bool wide)
{
	FILCHI_RMW_FENCE();
	v = wide ? ck_pr_fas_64(p, v) : ck_pr_fas_32(p, (uint32_t)v);
	FILCHI_RMW_FENCE();
	return v;
}
static inline uint64_t filchi_ck_fetch_add(void *p, uint64_t n, bool wide)
{
	FILCHI_RMW_FENCE();
	n = wide ? ck_pr_faa_64(p, n) : ck_pr_faa_32(p, (uint32_t)n);
	FILCHI_RMW_FENCE();
	return n;
}
static inline bool filchi_ck_cas(void *p, void *expected, uint64_t v, bool wide)
{
	bool ok;

	FILCHI_RMW_FENCE();
	if (wide)
		ok = ck_pr_cas_64_value(p, *(uint64_t *)expected, v, expected);
	else
		ok = ck_pr_cas_32_value(p, *(uint32_t *)expected, (uint32_t)v, expected);
	FILCHI_RMW_FENCE();
	return ok;
}
static inline void filchi_ck_or(uint64_t *p, uint64_t bits)
{
	FILCHI_RMW_FENCE();
	ck_pr_or_64(p, bits);
	FILCHI_RMW_FENCE();
}

#define filchi_load_acquire(p)     FILCHI_VALUE(p, filchi_ck_load_acquire((p), FILCHI_IS_WIDE(p)))
#define filchi_store_release(p, v) filchi_ck_store_release((p), (uint64_t)(v), FILCHI_IS_WIDE(p))

/* acq_rel and seq_cst are one instruction on x86-64; the names say what the algorithm needs */
#define filchi_exchange_acq_rel(p, v)    FILCHI_VALUE(p, filchi_ck_exchange((p), (uint64_t)(v), FILCHI_IS_WIDE(p)))
#define filchi_exchange_seq_cst(p, v)    FILCHI_VALUE(p, filchi_ck_exchange((p), (uint64_t)(v), FILCHI_IS_WIDE(p)))
#define filchi_fetch_add_acq_rel(p, n)   FILCHI_VALUE(p, filchi_ck_fetch_add((p), (uint64_t)(n), FILCHI_IS_WIDE(p)))
#define filchi_fetch_add_seq_cst(p, n)   FILCHI_VALUE(p, filchi_ck_fetch_add((p), (uint64_t)(n), FILCHI_IS_WIDE(p)))
#define filchi_fetch_sub_acq_rel(p, n)   FILCHI_VALUE(p, filchi_ck_fetch_add((p), -(uint64_t)(n), FILCHI_IS_WIDE(p)))
#define filchi_fetch_sub_seq_cst(p, n)   FILCHI_VALUE(p, filchi_ck_fetch_add((p), -(uint64_t)(n), FILCHI_IS_WIDE(p)))
#define filchi_or_acq_rel(p, bits)       filchi_ck_or((p), (bits)) /* 8 bytes */
/* *(expected) receives what was found when it fails */
#define filchi_cas_acq_rel(p, expected, v) filchi_ck_cas((p), (expected), (uint64_t)(v), FILCHI_IS_WIDE(p))
#define filchi_cas_seq_cst(p, expected, v) filchi_ck_cas((p), (expected), (uint64_t)(v), FILCHI_IS_WIDE(p))

/* an exchange: a tenth of an mfence's cost on x86-64 */
#define filchi_store_then_fence(p, v)     ((void)filchi_ck_exchange((p), (uint64_t)(v), FILCHI_IS_WIDE(p)))
#define filchi_fence_then_load_acquire(p) FILCHI_VALUE(p, filchi_ck_fence_load((p), FILCHI_IS_WIDE(p)))
/* the same where what must be ordered before the load was itself a seq_cst read-modify-write: on x86-64 that was the fence */
#if defined(__x86_64__)
#define filchi_rmw_fence_then_load_acquire(p) filchi_load_acquire(p)
#else
#define filchi_rmw_fence_then_load_acquire(p) filchi_fence_then_load_acquire(p)
#endif
#define filchi_pause()                    ck_pr_stall()

#endif

/* Makes every running thread of the process pass a full fence: src/membarrier.c. Not called in the fenced mode. */
#if !defined(FILCH_MODEL)
void filchi_membarrier(void);
#endif

/* The heavy half of the asymmetric pair, then a load: of @p, which light stores of other threads write. */
#define filchi_heavy_fence_then_load_acquire(p, fenced) \
	((fenced) ? filchi_fence_then_load_acquire(p) : (filchi_membarrier(), filchi_load_acquire(p)))

#endif
