/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structures of a running pool: what a worker is, and what the workers share. No code of its own; the modules above it (worker,
 * join, submit, pool) each work on a part.
 *
 * Memory. Workers lie in one mapping, each on pages of its own, so that a worker's first touch puts them on its node; the array is
 * also the range that task words point into (join.h). Workers, job slots and deques' arrays live until the pool is destroyed:
 * whoever holds a stale pointer to one may read it, and finds out by a CAS that fails.
 */
#ifndef FILCHI_SHARED_H
#define FILCHI_SHARED_H

#include <pthread.h>
#include <signal.h>
#include <stdalign.h>

#include <filch/pool.h>
#include <filch/stats.h>

#include "idle.h"
#include "injector.h"
#include "job.h"
#include "join.h"
#include "placement.h"
#include "victim.h"

/* Written by one worker with plain adds, read by anybody. */
struct filchi_counters {
#define FILCHI_COUNTER(name, meaning) filch_atomic_u64 name;
	FILCH_STATS_LIST(FILCHI_COUNTER)
#undef FILCHI_COUNTER
};

/* What became of the jobs of each lane; as the counters, one writer or read-modify-writes. */
struct filchi_lane_counts {
	filch_atomic_u64 completed, shed, cancelled, rejected;
};

#define FILCHI_PARTS 4096u /* pieces of jobs that may lie nested on one worker's stack; deeper waits do not nest, they park */

/*
 * One piece of a job that a worker runs: the job's own function, or a task it has stolen. Each counts in its crew. They are kept
 * beside the stack and not on it, for who must end them when the stack is given up (guard.c).
 */
struct filchi_part {
	struct filch_task *task; /* NULL: the job's own */
	struct filchi_crew *crew;
	int64_t id;              /* of the job; written when the part is aborted */
};

struct filchi_foreign; /* worker.h */

/* One thread's time as a worker: all that belongs to the thread and not to the worker's seat. Made and ended in seat.c. */
struct filchi_shift {
	struct filchi_worker *worker;
	pthread_t thread;
	void *stack;             /* mapped; what guards it comes first */
	size_t stack_size;       /* without what guards it */
	char *refuge;            /* pools with FILCH_POOL_GUARD: a signal stack, and a stack for who gives up the other; mapped */
	size_t refuge_size, signal_size;
	stack_t signal_before;   /* the signal stack the thread came with, and leaves with */
	void *back[5];           /* where a thread that has given up its work leaves: __builtin_setjmp */
	struct filchi_part *part;
	uint32_t parts;
	filch_atomic_u32 user;   /* 1 while code of the program runs for a part: a fault is then the job's */
	uint64_t signal, address; /* the fault it was given up for; 0 = none */
	struct filchi_job *completes; /* aborted jobs that the next thread on this seat completes, linked by `after` */
	/*
	 * Jobs of other pools that ran on the lost stack (FILCH_CALLER_RUNS), where their list lies: the next thread completes them too,
	 * and clears `listed`, a futex word, when it is through.
	 */
	const struct filchi_foreign *runs;
	filch_atomic_u32 listed;
	struct filchi_shift *heir_to; /* the lost shift whose `runs` this one completes */
	struct filch_pool *owes;      /* the pool where such a run is still counted as a guest */
	bool hooked;                  /* its seat's start hook has been called */
	bool has_back;                /* `back` is where to go */
	struct filchi_shift *next;    /* in the warden's lists */
	filch_atomic_u32 leaving;     /* it is about to exit, or has: it may be joined */
	bool first;              /* on its seat */
};

struct filchi_worker {
	struct filchi_deque deque; /* first: struct filch_worker is its first member */
	struct filchi_sleeper sleeper;

	/* the owner's */
	FILCH_ALIGNED(FILCH_CACHELINE) struct filch_pool *pool;
	uint32_t id;
	uint32_t turn;          /* counts looks for work, for taking turns at stealing */
	uint32_t lane_turn;     /* counts looks into the injector, for taking turns between its lanes */
	struct filchi_victim victim;
	uint64_t clock;         /* when the last job ended, while the next follows at once; 0 = ask */
	uintptr_t stack_low;    /* no stolen work is started on a suspended frame with the stack pointer below this */
	filch_atomic_u32 wanted; /* 1: a thread that waits for this pool's work is on this worker's CPU: filchi_linger() */
	filch_atomic_u64 awaits; /* id of the job it is parked for, 0 = none; completers read it */
	struct filchi_counters counters;
	struct filchi_lane_counts lane[FILCHI_LANES];

	/* the pool's, for starting and ending the thread */
	struct filchi_shift *shift; /* the thread on this seat; NULL: none, or the thread that created a FILCH_POOL_CALLER pool */
	bool has_deque;
	bool vacant;    /* its thread was lost and could not be replaced yet */
	bool no_memory; /* it could not make its deque and has left */
};

struct filch_pool {
	/* constant once the pool runs */
	struct filchi_worker *first;
	size_t stride;              /* bytes from one worker to the next */
	uint32_t workers;           /* in the arrays; one that could not be started lies there, empty, and never runs */
	uint32_t running;           /* how many were started: what users are told */
	uint32_t fork_generation;
	uint32_t search_ns;
	bool no_search, fenced;
	struct filchi_marks marks;
	struct filchi_plan *plan;
	struct filch_config config;
	char *name;
	int *pin_error;
	size_t map_size;
	bool guards;                /* FILCH_POOL_GUARD */
	pthread_t caller;           /* FILCH_POOL_CALLER: whose calls run as worker 0, which then has no thread of its own */
	bool has_caller;

	struct filchi_jobs jobs;
	struct filchi_injector injector;
	struct filchi_idle idle;

	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 closing; /* submits get -ESHUTDOWN */
	filch_atomic_u32 stop;                                   /* workers leave */
	filch_atomic_u32 ready;                                  /* workers that have started or failed to */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 guests;  /* threads blocked inside a call: destroy waits for them */
	struct filchi_counters outside;                          /* what threads that are no workers count */
	struct filchi_lane_counts outside_lane[FILCHI_LANES];

	/* replacing lost threads: warden.c */
	FILCH_ALIGNED(FILCH_CACHELINE) FILCH_ATOMIC(struct filchi_shift *) lost; /* given up, for the warden to see to */
	filch_atomic_u32 news;                                   /* the word the warden sleeps on; even the last bit means: end */
	filch_atomic_u32 parting;                                /* threads given up and not seen to the end: destroy waits */
	filch_atomic_u32 vacant;                                 /* seats without a thread */
	filch_atomic_u32 vacant_error;                           /* why */
	pthread_t warden;
	struct filchi_watch *watch; /* one per worker, with a limit for jobs; the warden's: watchdog.c */
	bool has_warden;
};

/* Worker @i of the pool. */
static inline struct filchi_worker *filchi_worker_at(const struct filch_pool *pool, uint32_t i)
{
	return (struct filchi_worker *)(void *)((char *)pool->first + i * pool->stride);
}

static inline struct filchi_worker *filchi_worker_of(struct filch_worker *hot)
{
	return (struct filchi_worker *)(void *)hot;
}

/* The job whose crew this is. */
static inline struct filchi_job *filchi_job_of(struct filchi_crew *crew)
{
	return (struct filchi_job *)(void *)crew;
}

/* The owner counts: it alone writes. */
#define filchi_count(counters, name) \
	filchi_store_relaxed(&(counters)->name, filchi_load_relaxed(&(counters)->name) + 1)

#endif
