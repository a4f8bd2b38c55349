/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One FIFO queue, one mutex. See baseline.h for what it is for.
 *
 * Everything below happens under pool->lock, except the users' functions, and signals, which are sent after the lock is released
 * (who is woken under the lock only runs into it). So there is no memory order to argue about.
 *
 * Tasks. The queue is a doubly linked list, therefore a joiner unlinks its own task in constant time when nobody has begun it: the
 * usual case, and the one that keeps execution depth first although the queue is first in, first out. When another worker has
 * begun it, the joiner helps: it runs the oldest queued task, on top of its own frame.
 *   Nesting is bounded by stack: a joiner helps only while less than half of its stack is in use, else it sleeps until its task is
 *   done. So the stack must hold twice the deepest chain of tasks, whatever is buried under it.
 *   No deadlock: a frame waits for its child, or for the frame above it on the same stack. Both began later than itself, so no
 *   chain of waits can close.
 *   A joiner never runs a job: that would tie the end of its join to unrelated work.
 *
 * Sleep. pool->looking counts workers that are awake and about to look at the queue: those that search for a moment before they
 * sleep, and those that were signalled and have not arrived yet. A push wakes nobody while somebody is looking; who takes an entry
 * and leaves others wakes the next. A burst of pushes thus costs one signal, not one each.
 *   Invariant: when the lock is free, a non-empty queue and a sleeper that may serve its head imply looking > 0.
 *   Kept by pick_sleeper() at the end of every section that pushes, pops or stops looking.
 *
 * Room. Producers that wait for room are woken together when the queue has fallen to half its capacity: one signal per half queue.
 *
 * Rejected: taking several jobs per lock (hides work from idle workers), a lock-free done flag (then it is not one mutex any more),
 * one condition variable for all (wakes the wrong one), helping from the tail (the newest tasks are small: more hand-overs), a
 * mutex of the normal kind (sleeps at once when contended; slower on every program), sleeping without looking first (jobs).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "baseline.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

enum { QUEUED, BEGUN, DONE };
enum { SLOT_FREE, SLOT_QUEUED, SLOT_RUNNING, SLOT_DONE };

/* A worker, or a waiter from outside, looks so often, with look_away() between, some 5 us in all, before it sleeps. */
#define LOOKS_DEFAULT 12
#define PAUSES 16
#define STACK_DEFAULT ((size_t)8 << 20)

struct slot {
	struct base_link link;   /* first, as in struct base_task */
	base_task_fn *fn;        /* always NULL: this is how the queue tells a job from a task */
	base_job_fn *job;
	void *arg;
	struct base_cq *cq;
	struct slot *next_free;
	uint32_t state, generation, flags;
	int32_t status, worker;
	bool waited;
	pthread_cond_t done;     /* the thread in base_wait() sleeps here; lives as long as the pool, so it may be signalled late */
};

/* Any entry of the queue, seen through the two fields that tasks and jobs have in common. */
struct entry {
	struct base_link link;
	base_task_fn *fn;
};
_Static_assert(offsetof(struct entry, fn) == offsetof(struct slot, fn) && offsetof(struct entry, fn) == offsetof(struct base_task, fn),
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
	struct base_link link;   /* first: in pool->idle or pool->joiners while asleep, else linked to itself */
	struct base_pool *pool;
	struct signals signals;
	pthread_cond_t wake;
	bool asleep, called;     /* called: woken to look at the queue, counted in pool->looking until it arrives */
	int id, cpu;
	uintptr_t stack_top;
	struct base_counts counts;
	pthread_t thread;
};

struct base_pool {
	pthread_mutex_t lock;
	struct base_link queue;
	uint32_t looking;        /* workers awake and about to look at the queue */
	uint32_t queued;         /* jobs in the queue */
	uint32_t capacity;
	uint32_t blocked;        /* producers waiting for room */
	uint32_t active;         /* jobs accepted and not complete */
	uint32_t draining;
	bool stop;
	struct base_link idle;   /* sleeping workers with an empty stack, last to sleep first */
	struct base_link joiners;/* sleeping workers inside a join that may help */
	struct slot *free;
	pthread_cond_t room, drained;
	size_t stack_bytes;
	uint32_t jobs_max;
	uint64_t blocked_total;
	int workers, looks;
	struct slot *slots;
	struct base_worker *worker;
};

static __thread struct base_worker *self;   /* the calling thread's worker, or NULL outside */

static void link_init(struct base_link *l)
{
	l->next = l->prev = l;
}

static bool link_empty(const struct base_link *head)
{
	return head->next == head;
}

static void link_between(struct base_link *l, struct base_link *prev, struct base_link *next)
{
	l->prev = prev;
	l->next = next;
	prev->next = l;
	next->prev = l;
}

static void link_append(struct base_link *head, struct base_link *l)
{
	link_between(l, head->prev, head);
}

static void link_remove(struct base_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
}

static void lock(struct base_pool *p)
{
	pthread_mutex_lock(&p->lock);
}

/* Releases the lock, then sends what the section has gathered. */
static void unlock(struct base_pool *p, struct signals *s)
{
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < s->n; i++)
		pthread_cond_broadcast(s->cond[i]);
	s->n = 0;
}

/* Notes @cond for unlock(). When the list is full it is sent at once, which is only slower. */
static void signal_later(struct signals *s, pthread_cond_t *cond)
{
	if (s->n < (int)(sizeof s->cond / sizeof s->cond[0]))
		s->cond[s->n++] = cond;
	else
		pthread_cond_broadcast(cond);
}

/*
 * Between two looks, without the lock: PAUSES pause instructions, then the processor is offered to others. Without the offer a
 * waiter that shares its core with the worker it waits for keeps it from running; without the pauses the lock is contended.
 */
static void look_away(void)
{
#if defined(__x86_64__) || defined(__i386__)
	for (int i = 0; i < PAUSES; i++)
		__builtin_ia32_pause();
#endif
	sched_yield();
}

static bool head_is_task(const struct base_pool *p)
{
	const struct base_link *head = p->queue.next;   /* a link is the first field of every entry */

	return ((const struct entry *)(const void *)head)->fn != NULL;
}

static void rouse(struct base_worker *w, struct signals *s)
{
	link_remove(&w->link);
	link_init(&w->link);
	w->asleep = false;
	signal_later(s, &w->wake);
}

/* Wakes one worker that may serve the head of the queue, unless somebody is looking already. Keeps the invariant of the opening. */
static void pick_sleeper(struct base_pool *p, struct signals *s)
{
	struct base_worker *w;

	if (p->looking || link_empty(&p->queue))
		return;
	if (!link_empty(&p->idle))
		w = (struct base_worker *)(void *)p->idle.next;
	else if (!link_empty(&p->joiners) && head_is_task(p))
		w = (struct base_worker *)(void *)p->joiners.next;
	else
		return;
	rouse(w, s);
	w->called = true;
	w->counts.wakes++;
	p->looking++;
}

static bool may_help(const struct base_worker *w)
{
	return w->stack_top - (uintptr_t)__builtin_frame_address(0) < w->pool->stack_bytes / 2;
}

/*
 * Waits, lock held, until @t is done (a join) or there may be work (@t NULL: an empty stack). First with the lock taken now and
 * then, afterwards asleep. May return early: callers test again.
 */
static void await(struct base_worker *w, const struct base_task *t, bool helps)
{
	struct base_pool *p = w->pool;

	p->looking += helps;
	for (int i = 0; i < p->looks && link_empty(&p->queue) && !p->stop && (!t || t->state != DONE); i++) {
		unlock(p, &w->signals);
		look_away();
		lock(p);
	}
	p->looking -= helps;
	if (t ? t->state == DONE || (helps && !link_empty(&p->queue) && head_is_task(p)) : p->stop || !link_empty(&p->queue))
		return;
	if (helps)
		link_between(&w->link, t ? &p->joiners : &p->idle, t ? p->joiners.next : p->idle.next);
	w->asleep = true;
	w->counts.sleeps++;
	pick_sleeper(p, &w->signals);   /* a joiner that may not take the job at the head leaves it to an idle worker */
	while (w->signals.n)
		pthread_cond_broadcast(w->signals.cond[--w->signals.n]);
	while (w->asleep)
		pthread_cond_wait(&w->wake, &p->lock);
	if (w->called)
		p->looking--;
	w->called = false;
}

/* Runs queued task @t, which is the head, on top of whatever this worker does. Lock held on entry and on return. */
static void run_task(struct base_worker *w, struct base_task *t)
{
	struct base_pool *p = w->pool;

	link_remove(&t->link);
	t->state = BEGUN;
	pick_sleeper(p, &w->signals);
	unlock(p, &w->signals);
	t->fn(w, t);
	lock(p);
	t->state = DONE;                /* from the next unlock on, its frame may be gone */
	if (t->joiner && t->joiner->asleep)
		rouse(t->joiner, &w->signals);
}

static void slot_free(struct base_pool *p, struct slot *s)
{
	s->state = SLOT_FREE;
	s->generation = (s->generation + 1) & INT32_MAX;
	s->next_free = p->free;
	p->free = s;
}

/* Runs queued job @s, which is the head, and completes it. Lock held on entry and on return. */
static void run_job(struct base_worker *w, struct slot *s)
{
	struct base_pool *p = w->pool;

	link_remove(&s->link);
	if (--p->queued == p->capacity / 2 && p->blocked)
		signal_later(&w->signals, &p->room);
	s->state = SLOT_RUNNING;
	pick_sleeper(p, &w->signals);
	unlock(p, &w->signals);
	int status = s->job(s->arg);
	lock(p);
	s->status = status;
	s->worker = w->id;
	s->state = SLOT_DONE;
	if (--p->active == 0 && p->draining)
		signal_later(&w->signals, &p->drained);
	if (s->flags & BASE_DETACHED) {
		slot_free(p, s);
	} else if (s->cq) {
		link_append(&s->cq->list, &s->link);
		if (s->cq->waiting && s->cq->list.next == &s->link)
			pthread_cond_broadcast(&s->cq->ready);   /* at once: a queue, unlike a slot, may be freed after the unlock */
	} else if (s->waited) {
		signal_later(&w->signals, &s->done);
	}
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof set, &set);   /* best effort, as everywhere */
}

static void *worker_main(void *arg)
{
	struct base_worker *w = arg;
	struct base_pool *p = w->pool;

	w->stack_top = (uintptr_t)__builtin_frame_address(0);
	self = w;
	if (w->cpu >= 0)
		pin(w->cpu);
	lock(p);
	for (;;) {
		if (link_empty(&p->queue)) {
			if (p->stop)
				break;
			await(w, NULL, true);
		} else if (head_is_task(p)) {
			w->counts.passed++;
			run_task(w, (struct base_task *)(void *)p->queue.next);
		} else {
			run_job(w, (struct slot *)(void *)p->queue.next);
		}
	}
	unlock(p, &w->signals);
	return NULL;
}

void base_spawn(struct base_worker *w, struct base_task *t, base_task_fn *fn)
{
	struct base_pool *p = w->pool;

	t->fn = fn;
	t->state = QUEUED;
	t->joiner = NULL;
	lock(p);
	link_append(&p->queue, &t->link);
	pick_sleeper(p, &w->signals);
	unlock(p, &w->signals);
}

void base_join(struct base_worker *w, struct base_task *t)
{
	struct base_pool *p = w->pool;

	lock(p);
	if (t->state == QUEUED) {
		link_remove(&t->link);
		w->counts.taken_back++;
		pthread_mutex_unlock(&p->lock);   /* an entry less never calls for a wake-up */
		t->fn(w, t);
		return;
	}
	t->joiner = w;
	bool helps = may_help(w);

	while (t->state != DONE) {
		if (helps && !link_empty(&p->queue) && head_is_task(p)) {
			w->counts.helped++;
			run_task(w, (struct base_task *)(void *)p->queue.next);
		} else {
			await(w, t, helps);
		}
	}
	pick_sleeper(p, &w->signals);
	unlock(p, &w->signals);
}

int64_t base_submit(struct base_pool *p, base_job_fn *fn, void *arg, const struct base_submit *how)
{
	static const struct base_submit plain;
	struct signals signals = { .n = 0 };
	bool inside = self && self->pool == p;
	int64_t id;

	if (!p || !fn)
		return -EINVAL;
	if (!how)
		how = &plain;
	lock(p);
	while (!inside && p->queued >= p->capacity) {
		if (how->when_full == BASE_TRY) {
			unlock(p, &signals);
			return -EAGAIN;
		}
		p->blocked++;
		p->blocked_total++;
		pthread_cond_wait(&p->room, &p->lock);
		p->blocked--;
	}
	struct slot *s = p->free;

	if (!s || (how->cq && !how->cq->credits)) {
		unlock(p, &signals);
		return -ENOBUFS;
	}
	p->free = s->next_free;
	if (how->cq)
		how->cq->credits--;
	s->job = fn;
	s->arg = arg;
	s->cq = how->cq;
	s->flags = how->flags;
	s->waited = false;
	s->state = SLOT_QUEUED;
	id = ((int64_t)s->generation << 32) | ((s - p->slots) + 1);
	link_append(&p->queue, &s->link);
	p->queued++;
	p->active++;
	pick_sleeper(p, &signals);
	unlock(p, &signals);
	return id;
}

static void completion_of(const struct base_pool *p, const struct slot *s, struct base_completion *out)
{
	*out = (struct base_completion){
		.id = ((int64_t)s->generation << 32) | ((s - p->slots) + 1),
		.arg = s->arg,
		.status = s->status,
		.worker = s->worker,
	};
}

int base_wait(struct base_pool *p, int64_t id, struct base_completion *out)
{
	uint32_t index = (uint32_t)id - 1;
	struct signals signals = { .n = 0 };
	int err = 0;

	if (id <= 0 || index >= p->jobs_max)
		return -ESRCH;
	struct slot *s = &p->slots[index];

	lock(p);
	if (s->generation != (uint32_t)(id >> 32) || s->state == SLOT_FREE || s->waited) {
		err = -ESRCH;
	} else if (s->cq || s->flags & BASE_DETACHED) {
		err = -EINVAL;
	} else {
		s->waited = true;
		for (int i = 0; i < p->looks && s->state != SLOT_DONE; i++) {
			unlock(p, &signals);
			look_away();
			lock(p);
		}
		while (s->state != SLOT_DONE)
			pthread_cond_wait(&s->done, &p->lock);
		if (out)
			completion_of(p, s, out);
		slot_free(p, s);
	}
	unlock(p, &signals);
	return err;
}

struct root {
	struct base_task *task;
	base_task_fn *fn;
};

static int run_root(void *arg)
{
	struct root *root = arg;

	root->fn(self, root->task);
	return 0;
}

int base_run(struct base_pool *p, struct base_task *task, base_task_fn *fn)
{
	struct root root = { .task = task, .fn = fn };
	int64_t id = base_submit(p, run_root, &root, NULL);

	return id < 0 ? (int)id : base_wait(p, id, NULL);
}

int base_cq_create(struct base_cq **out, struct base_pool *p, uint32_t capacity)
{
	struct base_cq *cq = capacity ? malloc(sizeof *cq) : NULL;

	if (!cq)
		return capacity ? -ENOMEM : -EINVAL;
	*cq = (struct base_cq){ .pool = p, .capacity = capacity, .credits = capacity };
	link_init(&cq->list);
	pthread_cond_init(&cq->ready, NULL);
	*out = cq;
	return 0;
}

int base_cq_destroy(struct base_cq *cq)
{
	lock(cq->pool);
	bool busy = cq->credits != cq->capacity;

	pthread_mutex_unlock(&cq->pool->lock);
	if (busy)
		return -EBUSY;
	pthread_cond_destroy(&cq->ready);
	free(cq);
	return 0;
}

/* Takes up to @n completions, lock held. */
static int cq_take(struct base_cq *cq, struct base_completion *out, size_t n)
{
	size_t got = 0;

	while (got < n && !link_empty(&cq->list)) {
		struct slot *s = (struct slot *)(void *)cq->list.next;

		link_remove(&s->link);
		completion_of(cq->pool, s, &out[got++]);
		slot_free(cq->pool, s);
		cq->credits++;
	}
	return (int)got;
}

int base_cq_reap(struct base_cq *cq, struct base_completion *out, size_t n)
{
	lock(cq->pool);
	int got = cq_take(cq, out, n);

	pthread_mutex_unlock(&cq->pool->lock);
	return got;
}

int base_cq_wait(struct base_cq *cq, struct base_completion *out, size_t n)
{
	struct base_pool *p = cq->pool;
	struct signals signals = { .n = 0 };

	lock(p);
	for (int i = 0; i < p->looks && link_empty(&cq->list); i++) {
		unlock(p, &signals);
		look_away();
		lock(p);
	}
	while (link_empty(&cq->list)) {
		cq->waiting++;
		pthread_cond_wait(&cq->ready, &p->lock);
		cq->waiting--;
	}
	int got = cq_take(cq, out, n);

	pthread_mutex_unlock(&p->lock);
	return got;
}

/* Stops and joins the first @started workers and frees everything. */
static void tear_down(struct base_pool *p, int started)
{
	struct signals signals = { .n = 0 };

	lock(p);
	p->stop = true;
	while (!link_empty(&p->idle))
		rouse((struct base_worker *)(void *)p->idle.next, &signals);
	unlock(p, &signals);
	for (int i = 0; i < started; i++)
		pthread_join(p->worker[i].thread, NULL);
	for (int i = 0; i < p->workers; i++)
		pthread_cond_destroy(&p->worker[i].wake);
	for (uint32_t i = 0; i < p->jobs_max; i++)
		pthread_cond_destroy(&p->slots[i].done);
	pthread_cond_destroy(&p->room);
	pthread_cond_destroy(&p->drained);
	pthread_mutex_destroy(&p->lock);
	free(p->slots);
	free(p->worker);
	free(p);
}

int base_pool_create(struct base_pool **out, const struct base_config *config)
{
	struct base_pool *p;
	pthread_mutexattr_t kind;
	pthread_attr_t attr;
	int err = 0, started = 0;

	if (!out || !config || config->workers < 1)
		return -EINVAL;
	p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	p->workers = config->workers;
	p->capacity = config->queue_capacity ? config->queue_capacity : 4096;
	p->jobs_max = config->jobs_max ? config->jobs_max : 4 * p->capacity;
	p->looks = config->looks ? config->looks : LOOKS_DEFAULT;
	p->stack_bytes = config->stack_bytes ? config->stack_bytes : STACK_DEFAULT;
	p->slots = calloc(p->jobs_max, sizeof *p->slots);
	p->worker = calloc((size_t)p->workers, sizeof *p->worker);
	if (!p->slots || !p->worker) {
		free(p->slots);
		free(p->worker);
		free(p);
		return -ENOMEM;
	}
	pthread_mutexattr_init(&kind);
	pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);   /* spins a little before it sleeps */
	pthread_mutex_init(&p->lock, &kind);
	pthread_mutexattr_destroy(&kind);
	pthread_cond_init(&p->room, NULL);
	pthread_cond_init(&p->drained, NULL);
	link_init(&p->queue);
	link_init(&p->idle);
	link_init(&p->joiners);
	for (uint32_t i = p->jobs_max; i-- > 0; ) {
		pthread_cond_init(&p->slots[i].done, NULL);
		p->slots[i].generation = 1;
		slot_free(p, &p->slots[i]);
	}
	for (int i = 0; i < p->workers; i++) {
		struct base_worker *w = &p->worker[i];

		w->pool = p;
		w->id = i;
		w->cpu = config->cpus ? config->cpus[i] : -1;
		link_init(&w->link);
		pthread_cond_init(&w->wake, NULL);
	}
	pthread_attr_init(&attr);
	err = -pthread_attr_setstacksize(&attr, p->stack_bytes);
	while (!err && started < p->workers) {
		err = -pthread_create(&p->worker[started].thread, &attr, worker_main, &p->worker[started]);
		started += !err;
	}
	pthread_attr_destroy(&attr);
	if (err)
		tear_down(p, started);
	else
		*out = p;
	return err;
}

void base_pool_drain(struct base_pool *p)
{
	lock(p);
	p->draining++;
	while (p->active)
		pthread_cond_wait(&p->drained, &p->lock);
	p->draining--;
	pthread_mutex_unlock(&p->lock);
}

void base_pool_destroy(struct base_pool *p)
{
	base_pool_drain(p);
	tear_down(p, p->workers);
}

void base_pool_counts(struct base_pool *p, struct base_counts *out)
{
	*out = (struct base_counts){ 0 };
	lock(p);
	for (int i = 0; i < p->workers; i++) {
		const struct base_counts *c = &p->worker[i].counts;

		out->taken_back += c->taken_back;
		out->helped += c->helped;
		out->passed += c->passed;
		out->sleeps += c->sleeps;
		out->wakes += c->wakes;
	}
	out->blocked = p->blocked_total;
	pthread_mutex_unlock(&p->lock);
}
