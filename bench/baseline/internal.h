/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of the baseline share: the pool's data, all of it under pool->lock, and the
 * list and lock helpers.
 */
#ifndef BENCH_BASELINE_INTERNAL_H
#define BENCH_BASELINE_INTERNAL_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

#include "baseline.h"

enum { QUEUED, BEGUN, DONE };
enum { SLOT_FREE, SLOT_QUEUED, SLOT_RUNNING, SLOT_DONE };

/*
 * A worker, or a waiter from outside, looks so often, with look_away() between, some 5 us in all,
 * before it sleeps.
 */
#define LOOKS_DEFAULT 12
#define PAUSES        16
#define STACK_DEFAULT ((size_t)8 << 20)

struct slot {
	struct base_link link; /* first, as in struct base_task */
	base_task_fn *fn;      /* always NULL: this is how the queue tells a job from a task */
	base_job_fn *job;
	void *arg;
	struct base_cq *cq;
	struct slot *next_free;
	uint32_t state, generation, flags;
	int32_t status, worker;
	bool waited;
	/*
	 * the thread in base_wait() sleeps here; lives as long as the pool, so it may be signalled
	 * late
	 */
	pthread_cond_t done;
};

/* Any entry of the queue, seen through the two fields that tasks and jobs have in common. */
struct entry {
	struct base_link link;
	base_task_fn *fn;
};
_Static_assert(offsetof(struct entry, fn) == offsetof(struct slot, fn) &&
		       offsetof(struct entry, fn) == offsetof(struct base_task, fn),
	"tasks and jobs must be told apart by one field");

struct base_cq {
	struct base_pool *pool;
	struct base_link list;
	uint32_t capacity, credits, waiting;
	pthread_cond_t ready;
};

/* Condition variables to be signalled once the lock is released. A section adds at most four. */
struct signals {
	pthread_cond_t *cond[4];
	int n;
};

struct base_worker {
	/* first: in pool->idle or pool->joiners while asleep, else linked to itself */
	struct base_link link;
	struct base_pool *pool;
	struct signals signals;
	pthread_cond_t wake;
	/* called: woken to look at the queue, counted in pool->looking until it arrives */
	bool asleep, called;
	int id, cpu;
	uintptr_t stack_top;
	struct base_counts counts;
	pthread_t thread;
};

struct base_pool {
	pthread_mutex_t lock;
	struct base_link queue;
	uint32_t looking; /* workers awake and about to look at the queue */
	uint32_t queued;  /* jobs in the queue */
	uint32_t capacity;
	uint32_t blocked; /* producers waiting for room */
	uint32_t active;  /* jobs accepted and not complete */
	uint32_t draining;
	bool stop;
	struct base_link idle;    /* sleeping workers with an empty stack, last to sleep first */
	struct base_link joiners; /* sleeping workers inside a join that may help */
	struct slot *free;
	pthread_cond_t room, drained;
	size_t stack_bytes;
	uint32_t jobs_max;
	uint64_t blocked_total;
	int workers, looks;
	struct slot *slots;
	struct base_worker *worker;
};

/* The calling thread's worker, or NULL outside. */
extern __thread struct base_worker *base_self;

static inline void link_init(struct base_link *l)
{
	l->next = l->prev = l;
}

static inline bool link_empty(const struct base_link *head)
{
	return head->next == head;
}

static inline void link_between(struct base_link *l, struct base_link *prev, struct base_link *next)
{
	l->prev = prev;
	l->next = next;
	prev->next = l;
	next->prev = l;
}

static inline void link_append(struct base_link *head, struct base_link *l)
{
	link_between(l, head->prev, head);
}

static inline void link_remove(struct base_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
}

static inline void lock(struct base_pool *p)
{
	pthread_mutex_lock(&p->lock);
}

/* Releases the lock, then sends what the section has gathered. */
static inline void unlock(struct base_pool *p, struct signals *s)
{
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < s->n; i++)
		pthread_cond_broadcast(s->cond[i]);
	s->n = 0;
}

/* Notes @cond for unlock(). When the list is full it is sent at once, which is only slower. */
static inline void signal_later(struct signals *s, pthread_cond_t *cond)
{
	if (s->n < (int)(sizeof s->cond / sizeof s->cond[0]))
		s->cond[s->n++] = cond;
	else
		pthread_cond_broadcast(cond);
}

/*
 * Between two looks, without the lock: PAUSES pause instructions, then the processor is offered to
 * others. Without the offer a waiter that shares its core with the worker it waits for keeps it
 * from running; without the pauses the lock is contended.
 */
static inline void look_away(void)
{
#if defined(__x86_64__) || defined(__i386__)
	for (int i = 0; i < PAUSES; i++)
		__builtin_ia32_pause();
#endif
	sched_yield();
}

/*
 * Wakes one worker that may serve the head of the queue, unless somebody is looking already. Ends
 * every section that may call for it.
 */
void base_pick_sleeper(struct base_pool *p, struct signals *s);

/* Runs queued job @s, which is the head, and completes it. Lock held on entry and on return. */
void base_run_job(struct base_worker *w, struct slot *s);

/* Returns @s to the free list; its old id becomes stale. Lock held. */
void base_slot_free(struct base_pool *p, struct slot *s);

#endif
