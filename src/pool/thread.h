/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's thread: started on its seat, replaced there if it is lost, joined. See thread.c. */
#ifndef FILCHI_THREAD_H
#define FILCHI_THREAD_H

#include "core/fault.h"

/* until a vacant seat is tried again: a refused thread costs some system calls */
#define FILCHI_FILL_NS UINT64_C(50000000)

/* Code that runs on a thread of the pool's. */
enum filchi_thread_kind {
	FILCHI_THREAD_WORKER,  /* a worker's, jobs and all */
	FILCHI_THREAD_FREE,    /* the same in a job with FILCH_JOB_FREE */
	FILCHI_THREAD_OWN,     /* the service thread's and the attendant's own */
	FILCHI_THREAD_CALLBACK /* the program's, called on one of these two */
};

/*
 * The signals that are blocked there. Those that the pool's creator blocked, but never faults: a
 * blocked one ends the process without asking its handler. All but faults, SIGABRT and SIGPROF on
 * the pool's own two threads, which the program does not know of. The same everywhere but in a free
 * job with FILCH_POOL_BLOCK_SIGNALS. What a callback starts there gets what a job's child does.
 */
void filchi_thread_signals(
	const struct filch_pool *pool, enum filchi_thread_kind kind, sigset_t *signals);

/* The calling thread blocks these from now on. */
void filchi_thread_block(const struct filch_pool *pool, enum filchi_thread_kind kind);

/*
 * The creator, or the service thread, or the thread that leaves: starts a thread on @w's seat. 0 or
 * an errno (positive); then all is as before.
 */
int filchi_thread_start(struct filchi_worker *w);

/*
 * After filchi_fault_abort(): a new thread takes the seat and completes what @lost has left to
 * complete. Where none can be had the seat stays vacant, the caller completes, and if no seat has a
 * thread any more the pool closes and completes everything queued.
 */
void filchi_thread_replace(struct filchi_worker *w, struct filchi_thread *lost);

/*
 * Tries once more to fill the vacant seats, if it is time. On the service thread; in a pool without
 * one on a worker with no work on its stack.
 */
void filchi_thread_fill(struct filch_pool *pool);

/* Destroy, before it waits for threads: seats that are vacant stay so. */
void filchi_thread_fill_no_more(struct filch_pool *pool);

/* Joins the thread of @thread if it has ended: whether it had. */
bool filchi_thread_try_join(struct filchi_thread *thread);

/* Whether the kernel still has @thread, which has said that it leaves: without a join. */
bool filchi_thread_is_there(const struct filchi_thread *thread);

/* Frees what it had, once it is joined. */
void filchi_thread_free(struct filchi_thread *thread);

/* Joins the thread of @thread and frees it. */
void filchi_thread_join(struct filchi_thread *thread);

/* Bytes of a worker's stack, with its guard. */
size_t filchi_stack_mapped(const struct filch_pool *pool);

/* The reserve of a stack: below this address nothing new is started. */
uintptr_t filchi_stack_low_mark(const void *stack, size_t size);

#endif
