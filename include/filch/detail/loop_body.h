/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of FILCH_FOR_DEFINE (loop.h) that goes into programs: the innermost loop of a filch_for,
 * over the bodies of one chunk, with the body compiled in. src/algo/loop.c cuts a range into chunks
 * and hands them out. Installed, not API; struct filch_loop is ABI.
 *
 * A body of one item through a pointer costs a call with all that a compiler must save, load and
 * set up around it. Where the compiler sees the body, its constants stay in registers from item to
 * item.
 *
 * Invariant: the flag is looked at before each body, and a chunk that was left unfinished says so.
 */
#ifndef FILCH_DETAIL_LOOP_H
#define FILCH_DETAIL_LOOP_H

#include "fast_atomic.h"

FILCH_EXTERN_C_BEGIN

struct filch_pool;

/* A loop, as the runner of a chunk sees it; constant while it lasts. */
struct filch_loop {
	filch_atomic_u64 *state; /* of the loop's job; a word that stays 0 if there is none */
	uint64_t cancelled;      /* its bits that say so */
	size_t grain;            /* items to a body at most; never 0 */
	const void *arg;
};

/*
 * Calls the bodies of [begin, end) from left to right. False: the job was cancelled before the last
 * of them, and they end there.
 */
typedef bool filch_loop_chunk(const struct filch_loop *loop, size_t begin, size_t end);

/*
 * The common entry of filch_for() and of the loops of FILCH_FOR_DEFINE; the contract is
 * filch_for()'s.
 */
FILCH_API int filch_for_with(struct filch_pool *pool, size_t begin, size_t end, size_t grain,
	filch_loop_chunk *chunk, const void *arg);

FILCH_EXTERN_C_END

/*
 * The runner of a chunk. It reads its inputs once: a body may write anywhere, and they would be
 * loaded anew after each. Bodies of one item have a loop of their own, in which the compiler sees
 * that it is one.
 */
#define FILCH_LOOP_PIECE(function, T, body)                                                       \
	FILCH_INLINE void function##_body(                                                        \
		size_t filch_begin_, size_t filch_end_, FILCH_UNUSED T *filch_arg_)               \
	{                                                                                         \
		body(filch_begin_, filch_end_, filch_arg_);                                       \
	}                                                                                         \
	FILCH_UNUSED static bool function(                                                        \
		const struct filch_loop *filch_loop_, size_t filch_begin_, size_t filch_end_)     \
	{                                                                                         \
		filch_atomic_u64 *const filch_state_ = filch_loop_->state;                        \
		const uint64_t filch_cancelled_ = filch_loop_->cancelled;                         \
		const size_t filch_grain_ = filch_loop_->grain;                                   \
		T *const filch_arg_ = (T *)filch_loop_->arg;                                      \
		size_t filch_to_;                                                                 \
		if (filch_grain_ == 1) {                                                          \
			for (; filch_begin_ < filch_end_; filch_begin_++) {                       \
				if (FILCH_UNLIKELY(                                               \
					    filch_load_acquire(filch_state_) & filch_cancelled_)) \
					break;                                                    \
				function##_body(filch_begin_, filch_begin_ + 1, filch_arg_);      \
			}                                                                         \
			return filch_begin_ == filch_end_;                                        \
		}                                                                                 \
		for (; filch_begin_ < filch_end_; filch_begin_ = filch_to_) {                     \
			if (FILCH_UNLIKELY(filch_load_acquire(filch_state_) & filch_cancelled_))  \
				break;                                                            \
			filch_to_ = filch_end_;                                                   \
			if (filch_to_ - filch_begin_ > filch_grain_)                              \
				filch_to_ = filch_begin_ + filch_grain_;                          \
			function##_body(filch_begin_, filch_to_, filch_arg_);                     \
		}                                                                                 \
		return filch_begin_ == filch_end_;                                                \
	}

#endif
