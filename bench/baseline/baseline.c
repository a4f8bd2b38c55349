/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One FIFO queue, one mutex: the queue, the tasks, and who sleeps. See baseline.h for what it is
 * for, and jobs.c for jobs.
 *
 * Everything below happens under pool->lock, except the users' functions, and signals, which are
 * sent after the lock is released (who is woken under the lock only runs into it). So there is no
 * memory order to argue about.
 *
 * Tasks. The queue is a doubly linked list, therefore a joiner unlinks its own task in constant
 * time when nobody has begun it: the usual case, and the one that keeps execution depth first
 * although the queue is first in, first out. When another worker has begun it, the joiner helps: it
 * runs the oldest queued task, on top of its own frame.
 *   Nesting is bounded by stack: a joiner helps only while less than half of its stack is in use,
 *   else it sleeps until its task is done. So the stack must hold twice the deepest chain of tasks,
 *   whatever is buried under it. No deadlock: a frame waits for its child, or for the frame above
 *   it on the same stack. Both began later than itself, so no chain of waits can close. A joiner
 *   never runs a job: that would tie the end of its join to unrelated work.
 *
 * Sleep. pool->looking counts workers that are awake and about to look at the queue: those that
 * search for a moment before they sleep, and those that were signalled and have not arrived yet. A
 * push wakes nobody while somebody is looking; who takes an entry and leaves others wakes the next.
 * A burst of pushes thus costs one signal, not one each.
 *   Invariant: when the lock is free, a non-empty queue and a sleeper that may serve its head imply
 *              looking > 0.
 *   Kept by base_pick_sleeper() at the end of every section that pushes, pops or stops looking.
 *
 * Rejected: taking several jobs per lock (hides work from idle workers), a lock-free done flag
 *           (then it is not one mutex any
 * more), one condition variable for all (wakes the wrong one), helping from the tail (the newest
 * tasks are small: more hand-overs), a mutex of the normal kind (sleeps at once when contended;
 * slower on every program), sleeping without looking first (jobs).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "baseline.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "internal.h"

__thread struct base_worker *base_self;

static bool head_is_task(const struct base_pool *p)
{
	const struct base_link *head = p->queue.next; /* a link is the first field of every entry */

	return ((const struct entry *)(const void *)head)->fn != NULL;
}

static void rouse(struct base_worker *w, struct signals *s)
{
	link_remove(&w->link);
	link_init(&w->link);
	w->asleep = false;
	signal_later(s, &w->wake);
}

/* Keeps the invariant of the opening. */
void base_pick_sleeper(struct base_pool *p, struct signals *s)
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
 * Waits, lock held, until @t is done (a join) or there may be work (@t NULL: an empty stack). First
 * with the lock taken now and then, afterwards asleep. May return early: callers test again.
 */
static void await(struct base_worker *w, const struct base_task *t, bool helps)
{
	struct base_pool *p = w->pool;

	p->looking += helps;
	for (int i = 0;
		i < p->looks && link_empty(&p->queue) && !p->stop && (!t || t->state != DONE);
		i++) {
		unlock(p, &w->signals);
		look_away();
		lock(p);
	}
	p->looking -= helps;
	if (t ? t->state == DONE || (helps && !link_empty(&p->queue) && head_is_task(p))
	      : p->stop || !link_empty(&p->queue))
		return;
	if (helps)
		link_between(
			&w->link, t ? &p->joiners : &p->idle, t ? p->joiners.next : p->idle.next);
	w->asleep = true;
	w->counts.sleeps++;
	/* a joiner that may not take the job at the head leaves it to an idle worker */
	base_pick_sleeper(p, &w->signals);
	while (w->signals.n)
		pthread_cond_broadcast(w->signals.cond[--w->signals.n]);
	while (w->asleep)
		pthread_cond_wait(&w->wake, &p->lock);
	if (w->called)
		p->looking--;
	w->called = false;
}

/*
 * Runs queued task @t, which is the head, on top of whatever this worker does. Lock held on entry
 * and on return.
 */
static void run_task(struct base_worker *w, struct base_task *t)
{
	struct base_pool *p = w->pool;

	link_remove(&t->link);
	t->state = BEGUN;
	base_pick_sleeper(p, &w->signals);
	unlock(p, &w->signals);
	t->fn(w, t);
	lock(p);
	t->state = DONE; /* from the next unlock on, its frame may be gone */
	if (t->joiner && t->joiner->asleep)
		rouse(t->joiner, &w->signals);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof set, &set); /* best effort, as everywhere */
}

static void *worker_main(void *arg)
{
	struct base_worker *w = arg;
	struct base_pool *p = w->pool;

	w->stack_top = (uintptr_t)__builtin_frame_address(0);
	base_self = w;
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
			base_run_job(w, (struct slot *)(void *)p->queue.next);
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
	base_pick_sleeper(p, &w->signals);
	unlock(p, &w->signals);
}

void base_join(struct base_worker *w, struct base_task *t)
{
	struct base_pool *p = w->pool;

	lock(p);
	if (t->state == QUEUED) {
		link_remove(&t->link);
		w->counts.taken_back++;
		pthread_mutex_unlock(&p->lock); /* an entry less never calls for a wake-up */
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
	base_pick_sleeper(p, &w->signals);
	unlock(p, &w->signals);
}

struct root {
	struct base_task *task;
	base_task_fn *fn;
};

static int run_root(void *arg)
{
	struct root *root = arg;

	root->fn(base_self, root->task);
	return 0;
}

int base_run(struct base_pool *p, struct base_task *task, base_task_fn *fn)
{
	struct root root = { .task = task, .fn = fn };
	int64_t id = base_submit(p, run_root, &root, NULL);

	return id < 0 ? (int)id : base_wait(p, id, NULL);
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
	/* spins a little before it sleeps */
	pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&p->lock, &kind);
	pthread_mutexattr_destroy(&kind);
	pthread_cond_init(&p->room, NULL);
	pthread_cond_init(&p->drained, NULL);
	link_init(&p->queue);
	link_init(&p->idle);
	link_init(&p->joiners);
	for (uint32_t i = p->jobs_max; i-- > 0;) {
		pthread_cond_init(&p->slots[i].done, NULL);
		p->slots[i].generation = 1;
		base_slot_free(p, &p->slots[i]);
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
		err = -pthread_create(
			&p->worker[started].thread, &attr, worker_main, &p->worker[started]);
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
