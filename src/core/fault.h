/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work of a job that does not return: its job is aborted, its thread given up. See fault.c for the
 * protocol.
 */
#ifndef FILCHI_FAULT_H
#define FILCHI_FAULT_H

#include "core/worker.h"

/*
 * Stacks can be changed and a fault's context edited here; elsewhere FILCH_POOL_GUARD is -ENOTSUP.
 */
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__)
#define FILCHI_FAULT_SUPPORTED 1
#else
#define FILCHI_FAULT_SUPPORTED 0
#endif

/*
 * The signal handlers: installed by the first guarding pool of the process, put back by the last. 0
 * or -errno.
 */
int filchi_fault_install(void);
void filchi_fault_remove(void);

/* Bytes a signal stack must have here. */
size_t filchi_fault_signal_size(void);

/* The thread of @thread, in a guarding pool: its faults are looked at from now on. */
void filchi_fault_enter(struct filchi_thread *thread);

/* The same thread, after its start hook: a guarded job finds the signals blocked that now are. */
void filchi_fault_begin(struct filchi_thread *thread);

/* The same thread, about to exit: puts back the signal stack that was there before. */
void filchi_fault_leave(struct filchi_thread *thread);

/*
 * The same thread: does @body(worker); false if the thread was given up meanwhile, and has nothing
 * left to do but return.
 */
bool filchi_fault_run(struct filchi_thread *thread, void (*body)(struct filchi_worker *w));

/*
 * The thread of @w, on which nothing will return. Aborts the jobs of all that lies there. Withdraws
 * the tasks that were spawned and not stolen. Leaves the seat in order for a new thread. Then hands
 * the thread over: to the service thread, or to the caller if the pool has none (true).
 */
bool filchi_fault_abort(struct filchi_worker *w);

/*
 * The thread of @w leaves all but the lowest @depth pieces of work on its stack, unwound. Aborts
 * and completes their jobs. The frames below stay, and are not to be returned to.
 */
void filchi_fault_abort_above(struct filchi_worker *w, uint32_t depth);

/* The thread of @w, in library code, on a stack that cannot be gone on with: as after a fault. */
__attribute__((noreturn)) void filchi_fault_give_up(struct filchi_worker *w);

/*
 * The calling thread: the program has left it. A destroy waits from now on, though no job may be
 * left, until the seat has a thread again. Nothing if it is no worker's, or counted.
 */
void filchi_fault_left(void);

/* Wakes the service thread, and a destroy that waits: there is something to look at. */
void filchi_fault_tell(struct filch_pool *pool);

/* Held over a fork; the child has one thread, which is no worker. */
void filchi_fault_before_fork(void);
void filchi_fault_after_fork(void);
void filchi_fault_in_child(void);

/*
 * To be called before an operation that must not be interrupted half way, and will write @size
 * bytes at @out. On a worker of a guarding pool it touches that memory, and the stack that the
 * operation may need. So a bad pointer, or a stack that is used up, faults now, as the job's fault.
 * Alignment checks, which the job may have switched on, are off from now on: neither compiled code
 * nor the dynamic linker, which a first call of the C library goes through, stands them.
 */
void filchi_fault_touch_now(void *out, size_t size);

static inline void filchi_fault_touch(void *out, size_t size)
{
	const struct filchi_worker *w = filchi_worker_self();

	if (FILCH_UNLIKELY(w && w->pool->guards))
		filchi_fault_touch_now(out, size);
}

/* The same in the slow half of a spawn or a sync of @w's, which looks before it touches. */
static inline void filchi_fault_ready(const struct filchi_worker *w)
{
	if (FILCH_LIKELY(!w->pool->guards))
		return;
	filchi_cpu_flags_clear();
	if ((uintptr_t)__builtin_frame_address(0) <= w->stack_low)
		filchi_fault_touch_now(NULL, 0);
}

/*
 * Library code begins that is called from a job: a fault in it is not the job's. The result is for
 * filchi_fault_on().
 */
static inline uint32_t filchi_fault_off(struct filchi_worker *w)
{
	uint32_t user = 0;

	if (w->thread) {
		user = filch_load_relaxed(&w->thread->user);
		filch_store_relaxed(&w->thread->user, 0);
	}
	return user;
}

static inline void filchi_fault_on(struct filchi_worker *w, uint32_t user)
{
	if (w->thread)
		filch_store_relaxed(&w->thread->user, user);
}

#endif
