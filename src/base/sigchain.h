/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signal handler of ours among those of the application. One of its handlers may have been there
 * before ours, or come later and call ours in turn.
 *
 * Each time ours is put on top, the action that stood there becomes one more action below it. So an
 * application's handler that chains is above an older installation of ours and below a newer one.
 * The signal then goes to ours, to its, and to ours again. When our handler is reached again for
 * the same delivery it goes one action further down. Below the lowest there is the default action,
 * so it ends however the handlers call each other.
 *
 * The same delivery means the same siginfo and context, seen from a deeper frame. A thread that
 * left the application's handler by siglongjmp() keeps its mark. A later delivery in the same place
 * of a stack then finds the mark at its own depth, not above it.
 *
 * Ours may be taken off the top at any time, with deliveries in it on other threads. So the actions
 * below stay on record for ever, and a delivery that finds ours removed goes to the action that has
 * the signal now.
 *
 * The record is read by signal handlers, which take no lock and wait for nobody. There are two
 * tables. A writer fills the one that is not in use, then moves the version on. A reader copies,
 * and copies again if the version has moved meanwhile.
 *
 * SA_RESETHAND is a bit in the word of the version: of several deliveries one gets the handler.
 *
 * Rejected:
 * - a flag for "we are in it": siglongjmp() leaves it set, and the next fault would kill;
 * - remembering the first action alone: of two handlers that chain, each installed above ours, the
 *   second would be lost;
 * - waiting in remove() until no delivery is inside: a handler may never return.
 */
#ifndef FILCHI_SIGCHAIN_H
#define FILCHI_SIGCHAIN_H

#include <signal.h>
#include <stdbool.h>

#include "base/atomic.h"

#define FILCHI_SIGCHAIN 8u /* actions remembered; of more, the lowest and the newest */
/* A struct sigaction as words, which may be written while they are read. */
#define FILCHI_SIGACTION_WORDS ((sizeof(struct sigaction) + 7) / 8)

struct filchi_sigchain_table {
	filch_atomic_u32 depth;
	filch_atomic_u32 is_removed; /* ours was on top and has been taken off */
	filch_atomic_u32 above;      /* bits: the actions that came above ours, and may call it */
	filch_atomic_u64 below[FILCHI_SIGCHAIN][FILCHI_SIGACTION_WORDS]; /* the newest last */
};

struct filchi_sigchain {
	int signal;
	int flags;       /* besides SA_SIGINFO */
	bool is_ignored; /* the default action ignores the signal, else it ends the process */
	void (*ours)(int signal_number, siginfo_t *info, void *context);
	/* from bit FILCHI_SIGCHAIN on the version; below it the actions that were reset */
	filch_atomic_u64 state;
	struct filchi_sigchain_table table[2]; /* that of an even version first */
};

/*
 * install() puts ours on top unless it is there: 0 or an errno (positive), and nothing has changed.
 * remove() puts back the action below, if ours is on top. Both under a lock of the caller's.
 */
int filchi_sigchain_install(struct filchi_sigchain *chain);
void filchi_sigchain_remove(struct filchi_sigchain *chain);

/*
 * In our handler, for a signal that is none of ours: does as if we were not there. @from_kernel as
 * our handler was told.
 */
void filchi_sigchain_pass(
	struct filchi_sigchain *chain, siginfo_t *info, void *context, bool from_kernel);

/*
 * Defines @entry, a handler that goes on in @handler, a function of the library's own, which is
 * also told whether the kernel has called it: then nothing lies between it and what the kernel has
 * pushed.
 *
 * The kernel leaves the flag of alignment checks as the interrupted code had it, and compiled code
 * does not stand it: cleared before anything else.
 */
#define FILCHI_SIGNAL_HANDLER(handler)                                                    \
	void handler(int signal_number, siginfo_t *info, void *context, bool from_kernel) \
		__attribute__((used, visibility("hidden")))
#if defined(__x86_64__)
#define FILCHI_SIGNAL_ENTRY(entry, handler)                                                     \
	FILCHI_SIGNAL_HANDLER(handler);                                                         \
	__attribute__((naked)) static void entry(__attribute__((unused)) int signal_number,     \
		__attribute__((unused)) siginfo_t *info, __attribute__((unused)) void *context) \
	{                                                                                       \
		__asm__("pushfq\n\t"                                                            \
			".cfi_adjust_cfa_offset 8\n\t"                                          \
			"andl $~0x40000, (%rsp)\n\t"                                            \
			"popfq\n\t"                                                             \
			".cfi_adjust_cfa_offset -8\n\t"                                         \
			"leaq 8(%rsp), %rax\n\t"                                                \
			"xorl %ecx, %ecx\n\t"                                                   \
			"cmpq %rax, %rdx\n\t"                                                   \
			"sete %cl\n\t"                                                          \
			"jmp " #handler);                                                       \
	}
#else
#if defined(__aarch64__)
#define FILCHI_SIGNAL_FRAME(info) ((const void *)(info) == __builtin_dwarf_cfa())
#else
#define FILCHI_SIGNAL_FRAME(info) ((void)(info), false)
#endif
#define FILCHI_SIGNAL_ENTRY(entry, handler)                                       \
	FILCHI_SIGNAL_HANDLER(handler);                                           \
	static void entry(int signal_number, siginfo_t *info, void *context)      \
	{                                                                         \
		handler(signal_number, info, context, FILCHI_SIGNAL_FRAME(info)); \
	}
#endif

#endif
