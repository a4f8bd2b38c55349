/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library with its race windows held open: tests/hooked compiles all of src/ with FILCH_HOOKS, and this is what the hooks call.
 * In a window a thread mostly goes on, sometimes yields, and seldom sleeps for a moment, by lots that depend on the seed.
 */
#ifndef FILCH_TEST_HOOKED_H
#define FILCH_TEST_HOOKED_H

#include <stdbool.h>
#include <stdint.h>

/* From now on the lots are drawn from @seed. */
void hooked_begin(uint64_t seed);

/* Whether in each window of the library some thread has yielded. */
bool hooked_all_met(void);

/* Prints how often in each. */
void hooked_print(void);

/* The calling thread will stop when it next comes to this window, and stay there until it is let go. One thread at a time. */
void hooked_hold_me(const char *point);
void hooked_until_held(void); /* returns when some thread stands there */
bool hooked_held_me(void);    /* this one has stood there since it was to be held */
void hooked_let_go(void);

#endif
