/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping and waking on a 32-bit word: the only place that knows the futex.
 *
 * Every implementation keeps these rules:
 * - filchi_futex_wait() returns when the word differs from @expected, after a wake, or after the
 *   deadline (-ETIMEDOUT). It may also return for no reason (a signal), so callers look again.
 * - A wake that follows a change of the word is never lost.
 * - Deadlines are absolute on CLOCK_MONOTONIC, NULL = none.
 *
 * Code that a model checker reads (idle.h) goes through the two macros.
 */
#ifndef FILCHI_PARK_FUTEX_H
#define FILCHI_PARK_FUTEX_H

#include <time.h>

#include "base/atomic.h"

/* 0 or -ETIMEDOUT. */
int filchi_futex_wait(filch_atomic_u32 *word, uint32_t expected, const struct timespec *deadline);
void filchi_futex_wake(filch_atomic_u32 *word, int threads);

#define FILCHI_PARK(word, expected, deadline) filchi_futex_wait((word), (expected), (deadline))
#define FILCHI_UNPARK(word)                   filchi_futex_wake((word), 1)

#endif
