/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes, as the loops see them. A scope is a segment of its opener's deque: struct/deque.h has its
 * fields, core/await.c keeps what waits inside from running what lies outside.
 *
 * cancelled, one word:  32 it was cancelled | 31..0 the status that was given
 */
#ifndef FILCHI_SCOPES_H
#define FILCHI_SCOPES_H

#include "core/worker.h"

#define FILCHI_SCOPE_CANCELLED (UINT64_C(1) << 32)

/* The innermost scope around what worker @w, the caller's, runs; or NULL. */
static inline struct filchi_segment *filchi_scope_here(struct filchi_worker *w)
{
	return filchi_segment_scope(&w->deque);
}

/* From inside: whether @scope, or one around it, is cancelled. */
bool filchi_scope_is_cancelled(struct filchi_segment *scope);

#endif
