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

struct filchi_worker {
	struct filchi_deque deque; /* first: struct filch_worker is its first member */
	struct filchi_sleeper sleeper;

	/* the owner's */
	FILCH_ALIGNED(FILCH_CACHELINE) struct filch_pool *pool;
	uint32_t id;
	uint32_t turn;          /* counts looks for work, for taking turns */
	struct filchi_victim victim;
	uint64_t clock;         /* when the last job ended, while the next follows at once; 0 = ask */
	uintptr_t stack_low;    /* no stolen work is started on a suspended frame with the stack pointer below this */
	filch_atomic_u64 awaits; /* id of the job it is parked for, 0 = none; completers read it */
	struct filchi_counters counters;

	/* the pool's, for starting and ending the thread */
	pthread_t thread;
	bool started;
	void *stack;
	size_t stack_size;
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
	pthread_t caller;           /* FILCH_POOL_CALLER: whose calls run as worker 0, which then has no thread of its own */
	bool has_caller;

	struct filchi_jobs jobs;
	struct filchi_injector injector;
	struct filchi_idle idle;

	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 closing; /* submits get -ESHUTDOWN */
	filch_atomic_u32 stop;                                   /* workers leave */
	filch_atomic_u32 ready;                                  /* workers that have started or failed to */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 guests;  /* outside threads blocked inside a call: destroy waits for them */
	struct filchi_counters outside;                          /* what threads that are no workers count */
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
