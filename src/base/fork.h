/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often this process is the child of a fork. A pool or queue remembers the number it was made
 * under, and every call on it compares: an inherited one is -ECHILD.
 *
 * A fork in a job, a task, a callback or a hook leaves the child on a stack of the library. It
 * compares wherever the program's code returns there: docs/adr/0020.
 */
#ifndef FILCHI_FORK_H
#define FILCHI_FORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/* fork.c; read by every job that returns, so without a detour. */
extern filch_atomic_u32 filchi_forks __attribute__((visibility("hidden")));

/* The number to remember in an object that is made now. */
static inline uint32_t filchi_fork_generation(void)
{
	return filch_load_relaxed(&filchi_forks);
}

/* Whether this process is the child of a fork that came after @generation was read. */
static inline bool filchi_forked_since(uint32_t generation)
{
	return FILCH_UNLIKELY(generation != filch_load_relaxed(&filchi_forks));
}

/*
 * Ends the child of a fork whose thread has nothing left to return to. No atexit handler runs and
 * no stream is flushed: both are the parent's, and may want locks of threads that are not here.
 */
FILCH_COLD __attribute__((noreturn)) void filchi_child_end(int status);

/* Called in the child, by the fork handler in pool/pool.c. */
void filchi_fork_count(void);

#endif
