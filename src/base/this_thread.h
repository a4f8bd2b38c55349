/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library remembers of a thread: its one thread-local object. Each field belongs to one
 * room, which the comment names; here the types of later rooms are only names.
 *
 * The model is initial-exec, because signal handlers read it: any other may allocate at the first
 * access. That takes from the room that the loader keeps for libraries loaded by dlopen(), so the
 * object is kept small, and whatever is large lies behind a pointer.
 */
#ifndef FILCHI_THIS_THREAD_H
#define FILCHI_THIS_THREAD_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/context.h"

struct filch_pool;
struct filchi_plan;
struct filchi_sigchain;
struct filchi_thread;
struct filchi_worker;

/* base/sigchain.c: the delivery that the thread is passing on. Addresses are only compared. */
struct filchi_delivery {
	const struct filchi_sigchain *chain;
	const void *info, *context;
	uintptr_t frame;
	uint32_t level;
};

/* core/spin_wait.c: the thread as a client, which posts jobs to pools and waits for them. */
struct filchi_client {
	/* it has woken a worker for the job it posted last: a wait offers its core at once */
	bool has_woken;
	bool runs; /* it posts for FILCH_RUN, and will wait: no need to guess */
	/* so often in a row it has waited at once for a job for which it woke a worker */
	unsigned times;
	/* the last such job, until it waits for it or wakes a worker for another */
	int64_t id;
	uint64_t at;       /* when it had posted that */
	uint32_t stuck;    /* waits in a row that began beside a worker that is awake */
	uint32_t patience; /* so many of them before it sleeps instead; 0 = none yet */
	/* the pool whose worker on this CPU it has woken and not yet made way for */
	const struct filch_pool *overdue;
};

struct filchi_this_thread {
	struct filchi_worker *worker;    /* core: the worker it runs; NULL = none */
	struct filchi_context *context;  /* struct, calls: the innermost */
	struct filchi_thread *guarded;   /* core/fault.c: itself, while its faults are looked at */
	const struct filchi_plan *plan;  /* place: the plan by which it is bound; NULL = none */
	uint32_t seat;                   /* place: as which of that plan's workers */
	bool gives_way;                  /* place: it has its seat's wider mask */
	bool forks;                      /* pool: it forks, and has the library's locks */
	uint32_t number;                 /* core/trace_events.c: in the kernel; 0 = not asked yet */
	struct filchi_delivery delivery; /* base/sigchain.c */
	struct filchi_client client;     /* core/spin_wait.c */
};

extern _Thread_local struct filchi_this_thread filchi_this_thread
	__attribute__((tls_model("initial-exec")));

/*
 * In the child of a fork: it is no worker, in no callback, and a client without habits. It keeps
 * its CPU and the stack it is on, and so what is said of these two.
 */
void filchi_this_thread_forked(void);

/*
 * 0; -EDEADLK in a fork handler of the program's that runs while the library's own hold its locks:
 * one that was registered before the library was loaded. What takes such a lock asks first.
 */
static inline int filchi_this_thread_forks(void)
{
	return filchi_this_thread.forks ? -EDEADLK : 0;
}

/* Each enter ends with a leave of the same context, or with filchi_contexts_lost(). */
static inline void filchi_context_enter(struct filchi_context *context, unsigned kind)
{
	context->kind = kind;
	context->outer = filchi_this_thread.context;
	filchi_this_thread.context = context;
}

static inline void filchi_context_leave(const struct filchi_context *context)
{
	filchi_this_thread.context = context->outer;
}

#endif
