/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library with its race windows held open: tests/windows compiles all of src/ with FILCH_HOOKS,
 * and this is what the hooks call. In a window a thread mostly goes on, sometimes yields, and
 * seldom sleeps for a moment, by lots that depend on the seed.
 */
#ifndef FILCH_TEST_HOOKED_H
#define FILCH_TEST_HOOKED_H

#include <stdbool.h>
#include <stdint.h>

/* From now on the lots are drawn from @seed. */
void paused_begin(uint64_t seed);

/* Whether in each window of the library some thread has yielded. */
bool paused_all_met(void);

/* Prints how often in each. */
void paused_print(void);

/*
 * The calling thread will stop when it next comes to this window, and stay there until it is let
 * go. One thread at a time.
 */
void paused_hold_me(const char *point);
void paused_until_held(void); /* returns when some thread stands there */
bool paused_is_held(void);
bool paused_held_me(void); /* this one has stood there since it was to be held */
void paused_let_go(void);

#endif
