/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signal handler of ours among those of the application, which may have been there before, or come later and call ours in turn.
 *
 * Each time ours is put on top, what stood there becomes one more action below it. An application's handler that chains is above an older
 * installation of ours and below a newer one: the signal goes ours, its, ours again. So a handler of ours that is reached again for the
 * same delivery goes one action further down, and below the lowest there is the default action. It ends however they call each other.
 *
 * The same delivery: the same siginfo and context, seen from a deeper frame. A thread that has left the application's handler by
 * siglongjmp() keeps its mark; a later delivery in the same place of a stack then finds the mark at its own depth, not above it.
 *
 * Rejected: a flag for "we are in it" (siglongjmp() leaves it set, and the next fault would kill); remembering the first action alone
 * (two handlers that chain, each installed above ours, would lose the second).
 */
#ifndef FILCHI_CHAIN_H
#define FILCHI_CHAIN_H

#include <signal.h>
#include <stdbool.h>

#include "atomic.h"

#define FILCHI_CHAIN 8u /* actions that are remembered; of more the lowest and the newest */

struct filchi_chain {
	int signal;
	int flags;       /* beside SA_SIGINFO */
	bool is_ignored; /* its default action: to be ignored, else to end the process */
	void (*ours)(int signal_number, siginfo_t *info, void *context);
	filch_atomic_u32 depth;
	struct sigaction below[FILCHI_CHAIN]; /* the newest last */
};

/* Puts ours on top unless it is there; and puts back what was below, if ours is on top. Both under a lock of the caller's. */
void filchi_chain_install(struct filchi_chain *chain);
void filchi_chain_remove(struct filchi_chain *chain);

/* In our handler: the signal is none of ours. What would have happened without us. */
void filchi_chain_pass(struct filchi_chain *chain, siginfo_t *info, void *context);

#endif
