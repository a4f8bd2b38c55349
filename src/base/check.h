/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions in three levels, and hooks in the race windows.
 *
 *   FILCH_DEBUG 1   misuse of the interface and cheap checks
 *               2   invariants on paths that matter for speed
 *               3   audits of whole structures
 *
 * The expression is always compiled, so that release builds do not rot. FILCH_HOOK(point) marks a
 * race window. It is nothing in a release; with FILCH_HOOKS it calls the tests' filchi_hook(),
 * which yields at random.
 */
#ifndef FILCHI_CHECK_H
#define FILCHI_CHECK_H

#include <filch/detail/words.h>

#define FILCHI_UNUSED_EXPR(e) ((void)sizeof((e) ? 1 : 0))

#if defined(FILCH_MODEL)
#include <assert.h>
#define filchi_assert(e) assert(e)
#define filchi_check(e)  assert(e)
#else
/* A bug of filch: prints the place and aborts. Debug builds only. */
FILCH_COLD __attribute__((noreturn)) void filchi_bug(const char *what, const char *file, int line);
#if FILCH_DEBUG >= 1
#define filchi_assert(e) ((e) ? (void)0 : filchi_bug(#e, __FILE__, __LINE__))
#else
#define filchi_assert(e) FILCHI_UNUSED_EXPR(e)
#endif
#if FILCH_DEBUG >= 2
#define filchi_check(e) filchi_assert(e)
#else
#define filchi_check(e) FILCHI_UNUSED_EXPR(e)
#endif
#endif

#if defined(FILCH_HOOKS)
void filchi_hook(const char *point);
#define FILCH_HOOK(point) filchi_hook(#point)
#else
#define FILCH_HOOK(point) ((void)0)
#endif

#endif
