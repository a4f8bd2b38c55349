/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of a job that does not return: its job is aborted, its thread given up. See guard.c for the protocol.
 */
#ifndef FILCHI_GUARD_H
#define FILCHI_GUARD_H

#include "worker.h"

/* Stacks can be changed and a fault's context edited here; elsewhere FILCH_POOL_GUARD is -ENOTSUP. */
#if defined(__x86_64__) && defined(__linux__)
#define FILCHI_GUARD_SUPPORTED 1
#else
#define FILCHI_GUARD_SUPPORTED 0
#endif

/* The signal handlers: installed by the first guarding pool of the process, put back by the last. 0 or -errno. */
int filchi_guard_install(void);
void filchi_guard_remove(void);

/* Bytes a signal stack must have here. */
size_t filchi_guard_signal_size(void);

/* The thread of @shift, in a guarding pool: its faults are looked at from now on. */
void filchi_guard_enter(struct filchi_shift *shift);

/* The same thread, about to exit: gives the signal stack back, which whoever set the one before may look for. */
void filchi_guard_leave(struct filchi_shift *shift);

/* The same thread: does @body(worker); false if the thread was given up meanwhile, and has nothing left to do but return. */
bool filchi_guard_run(struct filchi_shift *shift, void (*body)(struct filchi_worker *w));

/*
 * The thread of @w, whose parts will not return: aborts their jobs, withdraws what they have spawned and nobody stole, leaves the seat as
 * a new thread wants to find it, and hands the shift over: to the warden, or to the caller if the pool has none (true).
 */
bool filchi_guard_abort(struct filchi_worker *w);

/* The thread of @w, in library code, on a stack that cannot be gone on with: as after a fault. */
__attribute__((noreturn)) void filchi_guard_give_up(struct filchi_worker *w);

/* Tells the warden that there is something to see to. */
void filchi_guard_tell(struct filch_pool *pool);

/* Held over a fork; the child has one thread, which is no worker. */
void filchi_guard_before_fork(void);
void filchi_guard_after_fork(void);
void filchi_guard_in_child(void);

/*
 * A call begins that leaves something half done while it runs, and will write @size bytes at @out: from a job of a guarding pool the
 * memory, and the stack that the call may need, are touched now. A pointer that leads nowhere, or a stack that is used up, is then the
 * job's fault with nothing begun.
 */
void filchi_guard_touch_now(void *out, size_t size);

static inline void filchi_guard_touch(void *out, size_t size)
{
	const struct filchi_worker *w = filchi_worker_self();

	if (FILCH_UNLIKELY(w && w->pool->guards))
		filchi_guard_touch_now(out, size);
}

/* Library code begins that is called from a job: a fault in it is not the job's. Returns what filchi_guard_on() wants. */
static inline uint32_t filchi_guard_off(struct filchi_worker *w)
{
	uint32_t user = 0;

	if (w->shift) {
		user = filchi_load_relaxed(&w->shift->user);
		filchi_store_relaxed(&w->shift->user, 0);
	}
	return user;
}

static inline void filchi_guard_on(struct filchi_worker *w, uint32_t user)
{
	if (w->shift)
		filchi_store_relaxed(&w->shift->user, user);
}

#endif
