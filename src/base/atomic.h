/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operations of the library proper. Only two files of filch name any. The other one is
 * include/filch/detail/fast_atomic.h, for the inlined path; its FILCH_ATOMIC(type) fields are used
 * here too.
 *
 * Every operation is named after its order. A full fence is always part of an operation
 * (store_then_fence, fence_then_load), for two reasons:
 * - ThreadSanitizer follows operations, not fences;
 * - a checker still sees a release that was dropped from an operation.
 *
 * There are two bodies:
 *
 *   ck_pr              shipped. CK's read-modify-writes are relaxed on ARM and POWER, so the orders
 *                      around them are written out here. On x86-64 a locked instruction is a full
 *                      fence, and they cost nothing. Elsewhere acquire loads and release stores are
 *                      the compiler's: one instruction on ARM, where CK has a full fence beside it.
 *   FILCH_ATOMICS_C11  <stdatomic.h>, for ThreadSanitizer; with FILCH_MODEL for model checkers.
 *
 * Operations are generic over 4- and 8-byte integers and pointers. seq_cst means a full fence on
 * both sides: in the ck_pr body on every machine, in the C11 body on x86-64. C11 itself promises
 * less of a read-modify-write. Where the algorithm needs the fence, the following load is a
 * ..._fence_then_load, which is one in the model too.
 *
 * Heavy and light. filchi_heavy_fence() of struct/heavy.h is the other half of
 * filch_store_release_light(). membarrier(2) makes every running thread of the process pass a full
 * fence, so the frequent side pays nothing. Some kernels refuse it (seccomp, old ones). Then every
 * push takes the slow path, which carries a full fence, and the heavy side is an ordinary fence.
 *
 * Rejected: CK_USE_CC_BUILTINS=1, whose volatile accesses are false races to TSan and a false
 *           all-clear to checkers.
 */
#ifndef FILCHI_ATOMIC_H
#define FILCHI_ATOMIC_H

#include <filch/detail/fast_atomic.h> /* has the relaxed loads and stores of both */

#if defined(FILCH_ATOMICS_C11)

#define filchi_load_acquire(p)     atomic_load_explicit((p), memory_order_acquire)
#define filchi_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)

#define filchi_exchange_acq_rel(p, v)  atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define filchi_exchange_seq_cst(p, v)  atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define filchi_fetch_add_acq_rel(p, n) atomic_fetch_add_explicit((p), (n), memory_order_acq_rel)
#define filchi_fetch_add_seq_cst(p, n) atomic_fetch_add_explicit((p), (n), memory_order_seq_cst)
#define filchi_fetch_sub_acq_rel(p, n) atomic_fetch_sub_explicit((p), (n), memory_order_acq_rel)
#define filchi_fetch_sub_seq_cst(p, n) atomic_fetch_sub_explicit((p), (n), memory_order_seq_cst)
#define filchi_and_acq_rel(p, bits) \
	((void)atomic_fetch_and_explicit((p), (bits), memory_order_acq_rel))
/*
 * *(expected) receives the value found when it fails, and is not written when it succeeds; failure
 * is an acquire load
 */
#define filchi_cas_acq_rel(p, expected, v)       \
	atomic_compare_exchange_strong_explicit( \
		(p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
#define filchi_cas_seq_cst(p, expected, v)       \
	atomic_compare_exchange_strong_explicit( \
		(p), (expected), (v), memory_order_seq_cst, memory_order_acquire)

#if defined(FILCH_MODEL)
#define filchi_store_then_fence(p, v)                           \
	(atomic_store_explicit((p), (v), memory_order_release), \
		atomic_thread_fence(memory_order_seq_cst))
#define filchi_fence_then_load_acquire(p) \
	(atomic_thread_fence(memory_order_seq_cst), atomic_load_explicit((p), memory_order_acquire))
#define filchi_rmw_fence_then_load_acquire(p) filchi_fence_then_load_acquire(p)
#define filchi_membarrier()                   atomic_thread_fence(memory_order_seq_cst)
#else
/* read-modify-writes in place of fences: TSan follows them, and on x86-64 they are full fences */
#define filchi_store_then_fence(p, v) \
	((void)atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#define filchi_fence_then_load_acquire(p) atomic_fetch_add_explicit((p), 0, memory_order_seq_cst)

#define filchi_rmw_fence_then_load_acquire(p) filchi_fence_then_load_acquire(p)
#endif

#else /* ck_pr */

#include <ck_pr.h>

/*
 * Strict fences: what the others become is set in ck_md.h, for the machine that CK was configured
 * on. With the headers of x86-64 most of them would be nothing.
 */
#if defined(__x86_64__)
#define FILCHI_RMW_FENCE() ((void)0) /* the locked instruction is one */
#else
#define FILCHI_RMW_FENCE() ck_pr_fence_strict_memory()
#endif

#define FILCHI_IS_WIDE(p)     (sizeof(*(p)) == 8)
#define FILCHI_VALUE(p, call) ((__typeof__(*(p)))(call))

#if defined(__x86_64__)
static inline uint64_t filchi_ck_load_acquire(const void *p, bool wide)
{
	uint64_t v = wide ? ck_pr_load_64(p) : ck_pr_load_32(p);
	ck_pr_fence_acquire();
	return v;
}
static inline void filchi_ck_store_release(void *p, uint64_t v, bool wide)
{
	ck_pr_fence_release();
	if (wide)
		ck_pr_store_64((uint64_t *)p, v);
	else
		ck_pr_store_32((uint32_t *)p, (uint32_t)v);
}
#endif
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
/*
 * Writes *expected on failure only, as C11 does, and ck_pr does not: @expected may lie in what the
 * exchange has published, which is somebody else's from then on.
 */
static inline bool filchi_ck_cas(void *p, void *expected, uint64_t v, bool wide)
{
	uint64_t found = 0;
	uint32_t found_32 = 0;
	bool ok;

	FILCHI_RMW_FENCE();
	if (wide)
		ok = ck_pr_cas_64_value(p, *(uint64_t *)expected, v, &found);
	else
		ok = ck_pr_cas_32_value(p, *(uint32_t *)expected, (uint32_t)v, &found_32);
	FILCHI_RMW_FENCE();
	if (!ok && wide)
		*(uint64_t *)expected = found;
	else if (!ok)
		*(uint32_t *)expected = found_32;
	return ok;
}
static inline void filchi_ck_and(uint64_t *p, uint64_t bits)
{
	FILCHI_RMW_FENCE();
	ck_pr_and_64(p, bits);
	FILCHI_RMW_FENCE();
}

#if defined(__x86_64__)
#define filchi_load_acquire(p)     FILCHI_VALUE(p, filchi_ck_load_acquire((p), FILCHI_IS_WIDE(p)))
#define filchi_store_release(p, v) filchi_ck_store_release((p), (uint64_t)(v), FILCHI_IS_WIDE(p))
#else
#define filchi_load_acquire(p)     filch_load_acquire(p)
#define filchi_store_release(p, v) filch_store_release((p), (v))
#endif

/* acq_rel and seq_cst are one instruction on x86-64; the names say what the algorithm needs */
#define filchi_exchange_acq_rel(p, v) \
	FILCHI_VALUE(p, filchi_ck_exchange((p), (uint64_t)(v), FILCHI_IS_WIDE(p)))
#define filchi_exchange_seq_cst(p, v) \
	FILCHI_VALUE(p, filchi_ck_exchange((p), (uint64_t)(v), FILCHI_IS_WIDE(p)))
#define filchi_fetch_add_acq_rel(p, n) \
	FILCHI_VALUE(p, filchi_ck_fetch_add((p), (uint64_t)(n), FILCHI_IS_WIDE(p)))
#define filchi_fetch_add_seq_cst(p, n) \
	FILCHI_VALUE(p, filchi_ck_fetch_add((p), (uint64_t)(n), FILCHI_IS_WIDE(p)))
#define filchi_fetch_sub_acq_rel(p, n) \
	FILCHI_VALUE(p, filchi_ck_fetch_add((p), -(uint64_t)(n), FILCHI_IS_WIDE(p)))
#define filchi_fetch_sub_seq_cst(p, n) \
	FILCHI_VALUE(p, filchi_ck_fetch_add((p), -(uint64_t)(n), FILCHI_IS_WIDE(p)))
#define filchi_and_acq_rel(p, bits) filchi_ck_and((p), (bits)) /* 8 bytes */
/* *(expected) receives the value found when it fails, and is not written when it succeeds */
#define filchi_cas_acq_rel(p, expected, v) \
	filchi_ck_cas((p), (expected), (uint64_t)(v), FILCHI_IS_WIDE(p))
#define filchi_cas_seq_cst(p, expected, v) \
	filchi_ck_cas((p), (expected), (uint64_t)(v), FILCHI_IS_WIDE(p))

/* an exchange: far cheaper than an mfence on x86-64 */
#define filchi_store_then_fence(p, v) \
	((void)filchi_ck_exchange((p), (uint64_t)(v), FILCHI_IS_WIDE(p)))
#define filchi_fence_then_load_acquire(p) (ck_pr_fence_strict_memory(), filchi_load_acquire(p))
/* for a load after a seq_cst read-modify-write: on x86-64 that was the fence already */
#if defined(__x86_64__)
#define filchi_rmw_fence_then_load_acquire(p) filchi_load_acquire(p)
#else
#define filchi_rmw_fence_then_load_acquire(p) filchi_fence_then_load_acquire(p)
#endif

#endif

/*
 * A moment between two looks of a thread that waits awake.
 *
 * On ARM an isb, which waits for the instructions before it. A yield is a hint to the other threads
 * of a core, and cores without such take it for nothing. Rust's spin_loop() and oneTBB have made
 * the same change (rust-lang/rust#84725, oneTBB#1368). CK's ck_pr_stall() is empty there.
 */
#if defined(FILCH_MODEL)
#define filchi_pause() ((void)0)
#elif defined(__x86_64__)
#define filchi_pause() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define filchi_pause() __asm__ volatile("isb" : : : "memory")
#else
#define filchi_pause() __asm__ volatile("" : : : "memory")
#endif

/*
 * Makes every running thread of the process pass a full fence (membarrier.c). Never in fenced mode.
 */
#if !defined(FILCH_MODEL)
void filchi_membarrier(void);
#endif

#endif
