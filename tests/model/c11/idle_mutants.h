/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of idle.c: the shipped headers, and what its mutants replace between one that defines an
 * operation and one that uses it.
 */
#ifndef IDLE_MUTANTS_H
#define IDLE_MUTANTS_H

#define FILCHI_SEGMENTS 2u

#include "base/atomic.h"

#if defined(MUTANT_ASK_READ_BEFORE_PUBLISH)
/* ask alone is read through a pointer to 32 bits in detail/fast_deque.h */
static _Thread_local uint32_t early_ask;
#undef filch_publish_release_light
#define filch_publish_release_light(p, v)                                              \
	(early_ask = atomic_load_explicit(&worker->ask, memory_order_relaxed), HOLD(), \
		atomic_store_explicit((p), (v), memory_order_release),                 \
		atomic_thread_fence(memory_order_seq_cst))
#undef filch_load_relaxed
#define filch_load_relaxed(p)            \
	_Generic((p), filch_atomic_u32 * \
		 : early_ask, default    \
		 : atomic_load_explicit((p), memory_order_relaxed))
#elif defined(MUTANT_SLOW_PUSH_WITHOUT_FENCE)
/* inside filchi_deque_push_slow(), and not in filchi_idle_prepare() */
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v)                           \
	(atomic_store_explicit((p), (v), memory_order_release), \
		__func__[sizeof "filchi_" - 1] == 'd' ? (void)0 \
						      : atomic_thread_fence(memory_order_seq_cst))
#elif defined(MUTANT_PUSH_WITHOUT_FENCE)
#undef filch_publish_release_light
#if defined(FILCH_EXPLORE)
#define filch_publish_release_light(p, v) atomic_store_explicit((p), (v), memory_order_release)
#else
#define filch_publish_release_light(p, v)                       \
	(atomic_store_explicit((p), (v), memory_order_release), \
		atomic_signal_fence(memory_order_seq_cst))
#endif
#endif

#include <filch/detail/fast_deque.h>

#if defined(MUTANT_ASK_READ_BEFORE_PUBLISH)
#undef filch_load_relaxed
#define filch_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#endif

#include "struct/deque.h"
#include "struct/scq.h"

static void publish_cell(void);
#if !defined(FILCH_EXPLORE)
enum { POSTER = 255 };
static _Thread_local unsigned me; /* number of a worker, or POSTER */
#endif

/*
 * inside filchi_idle_posted() 'p', _asked() 'a', _found() 'f' or _trust() 't', which read the
 * counts, or write, in the same words
 */
#define IN_FUNCTION(letter) \
	(sizeof __func__ > sizeof "filchi_idle_" && __func__[sizeof "filchi_idle_" - 1] == (letter))

#if defined(MUTANT_POST_WITHOUT_FENCE)
#undef filchi_rmw_fence_then_load_acquire
#if defined(FILCH_EXPLORE)
#define filchi_rmw_fence_then_load_acquire(p) \
	(IN_FUNCTION('p') ? filchi_load_acquire(p) : filchi_fence_then_load_acquire(p))
#else
/* the post lies in a store buffer while the counts are read */
static _Thread_local bool post_held;
#define filchi_rmw_fence_then_load_acquire(p) late_post(p)
static inline uint64_t late_post(filch_atomic_u64 *counts)
{
	uint64_t early = filchi_load_acquire(counts);

	if (post_held) {
		HOLD();
		post_held = false;
		publish_cell();
	}
	return early;
}
#endif
#elif defined(MUTANT_ASK_CLEARED_AFTER_COUNTS)
static _Thread_local filch_atomic_u32 *clear_held;
#undef filchi_exchange_seq_cst
#define filchi_exchange_seq_cst(p, v) (clear_held = (p), 0u)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) late_clear(p)
static inline uint64_t late_clear(filch_atomic_u64 *counts)
{
	uint64_t early = filchi_load_acquire(counts);

	if (clear_held) {
		HOLD();
		(void)atomic_exchange_explicit(clear_held, 0, memory_order_seq_cst);
		clear_held = NULL;
	}
	return early;
}
#elif defined(MUTANT_UNCOUNTED_LOOKS_NOT)
/* in filchi_idle_found(): the number of searchers as if it were counted, and beside another */
#undef filchi_fetch_sub_seq_cst
#define filchi_fetch_sub_seq_cst(p, v) two_at_least((p), (v))
static inline uint64_t two_at_least(filch_atomic_u64 *counts, uint64_t v)
{
	uint64_t old = atomic_fetch_sub_explicit(counts, v, memory_order_seq_cst);

	return (int64_t)old >> 32 > 0 ? old : (old & UINT64_C(0xffffffff)) | UINT64_C(2) << 32;
}
#if !defined(FILCH_EXPLORE)
/*
 * The poster leaves the first of a pair to a searcher, which then parks; it wakes that one for the
 * second, and is slow to count it.
 */
#define HOLD_PAIR() HOLD()
#undef filchi_fetch_add_acq_rel
#define filchi_fetch_add_acq_rel(p, v)                                     \
	(IN_FUNCTION('e') && me == POSTER ? hold_until_asleep() : (void)0, \
		atomic_fetch_add_explicit((p), (v), memory_order_acq_rel))
#endif
#elif defined(MUTANT_ASKED_WITHOUT_FENCE)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	(IN_FUNCTION('a') ? filchi_load_acquire(p) : filchi_fence_then_load_acquire(p))
#elif defined(MUTANT_FOUND_WITHOUT_FENCE)
#undef filchi_rmw_fence_then_load_acquire
#define filchi_rmw_fence_then_load_acquire(p) \
	(IN_FUNCTION('f') ? filchi_load_acquire(p) : filchi_fence_then_load_acquire(p))
#elif defined(MUTANT_TRUST_WITHOUT_FENCE)
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v)                           \
	(atomic_store_explicit((p), (v), memory_order_release), \
		IN_FUNCTION('t') ? (void)0 : atomic_thread_fence(memory_order_seq_cst))
#elif defined(MUTANT_MISSED_RETURNS_NOT)
/* in filchi_idle_return() */
#undef filchi_exchange_acq_rel
#define filchi_exchange_acq_rel(p, v)                                                   \
	(IN_FUNCTION('r') ? (atomic_store_explicit((p), (v), memory_order_release), 0u) \
			  : atomic_exchange_explicit((p), (v), memory_order_acq_rel))
#elif defined(MUTANT_MISSED_ASLEEP)
/* in filchi_idle_miss(): whatever the state, it is that of the search */
static _Thread_local uint32_t of_search;
#undef filchi_load_acquire
#define IS_STATE(p) (sizeof(#p) == sizeof("&s->state"))
#define filchi_load_acquire(p)                                               \
	(!IN_FUNCTION('m') ? atomic_load_explicit((p), memory_order_acquire) \
		: IS_STATE(p)                                                \
			? (HOLD(), of_search & ~3u)                          \
			: (of_search = (uint32_t)atomic_load_explicit((p), memory_order_acquire)))
#elif defined(MUTANT_PARK_WITHOUT_FENCE)
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v) filchi_store_release((p), (v))
#undef filchi_membarrier
#define filchi_membarrier() ((void)0)
#endif

/* the first of a pair is found, and its finder waits for the second */
#if defined(MUTANT_TRUST_KEPT) && !defined(FILCH_EXPLORE)
#define HOLD_TRUST() HOLD()
#else
#define HOLD_TRUST() ((void)0)
#endif
#if defined(MUTANT_TRUST_WITHOUT_SECOND_LOOK) && !defined(FILCH_EXPLORE)
#define HOLD_BEFORE_TRUST() HOLD()
#else
#define HOLD_BEFORE_TRUST() ((void)0)
#endif
#if !defined(HOLD_PAIR)
#define HOLD_PAIR() ((void)0)
#endif

#if defined(FILCH_EXPLORE)
#define FILCHI_PARK(word, expected, deadline) \
	((void)(word), (void)(deadline), pthread_exit(NULL), 0)
#define FILCHI_UNPARK(word) ((void)(word))
#else
static bool park_here(filch_atomic_u32 *word, uint32_t expected);
#define FILCHI_PARK(word, expected, deadline) ((void)(deadline), park_here((word), (expected)))
/* a sleeper here looks at the word now and then */
#define FILCHI_UNPARK(word)                   ((void)(word))
#endif

#define FILCHI_TRUST_AFTER trust_after
#include "struct/policy.h"

#if defined(MUTANT_ASK_CLEARED_AFTER_COUNTS)
#undef filchi_exchange_seq_cst
#define filchi_exchange_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#endif

#endif
