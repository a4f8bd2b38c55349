/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of the baseline: slots with ids, the same queue as the tasks, policies when it is full,
 * completions.
 *
 * Slots are an array that lives as long as the pool, so an id (generation and index) is checked
 * without a table and a slot's condition variable may be signalled late. A completion stays in its
 * slot until it is reaped: nothing is allocated per job.
 *
 * Room. Producers that wait for room are woken together when the queue has fallen to half its
 * capacity: one signal per half queue.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

void base_slot_free(struct base_pool *p, struct slot *s)
{
	s->state = SLOT_FREE;
	s->generation = (s->generation + 1) & INT32_MAX;
	s->next_free = p->free;
	p->free = s;
}

void base_run_job(struct base_worker *w, struct slot *s)
{
	struct base_pool *p = w->pool;

	link_remove(&s->link);
	if (--p->queued == p->capacity / 2 && p->blocked)
		signal_later(&w->signals, &p->room);
	s->state = SLOT_RUNNING;
	base_pick_sleeper(p, &w->signals);
	unlock(p, &w->signals);
	int status = s->job(s->arg);
	lock(p);
	s->status = status;
	s->worker = w->id;
	s->state = SLOT_DONE;
	if (--p->active == 0 && p->draining)
		signal_later(&w->signals, &p->drained);
	if (s->flags & BASE_DETACHED) {
		base_slot_free(p, s);
	} else if (s->cq) {
		link_append(&s->cq->list, &s->link);
		/*
		 * Signalled at once: a completion queue, unlike a slot, may be freed after the
		 * unlock.
		 */
		if (s->cq->waiting && s->cq->list.next == &s->link)
			pthread_cond_broadcast(&s->cq->ready);
	} else if (s->waited) {
		signal_later(&w->signals, &s->done);
	}
}

/* One job into the queue, lock held and room seen to; its id, or -ENOBUFS. */
static int64_t queue_job(
	struct base_pool *p, base_job_fn *fn, void *arg, const struct base_submit *how)
{
	struct slot *s = p->free;

	if (!s || (how->cq && !how->cq->credits))
		return -ENOBUFS;
	p->free = s->next_free;
	if (how->cq)
		how->cq->credits--;
	s->job = fn;
	s->arg = arg;
	s->cq = how->cq;
	s->flags = how->flags;
	s->waited = false;
	s->state = SLOT_QUEUED;
	link_append(&p->queue, &s->link);
	p->queued++;
	p->active++;
	return ((int64_t)s->generation << 32) | ((s - p->slots) + 1);
}

int64_t base_submit_batch(
	struct base_pool *p, const struct base_job *jobs, size_t n, const struct base_submit *how)
{
	struct signals signals = { .n = 0 };
	bool inside = base_self && base_self->pool == p;
	int64_t id = 0;
	size_t i = 0;

	if (!p)
		return -EINVAL;
	lock(p);
	while (i < n && id >= 0) {
		if (inside || p->queued < p->capacity) {
			if (!jobs[i].fn)
				id = -EINVAL;
			else
				id = queue_job(p, jobs[i].fn, jobs[i].arg, how);
			i += id >= 0;
		} else if (how->when_full == BASE_TRY) {
			id = -EAGAIN;
		} else {
			/* before we sleep: for what is queued by now */
			base_pick_sleeper(p, &signals);
			while (signals.n)
				pthread_cond_broadcast(signals.cond[--signals.n]);
			p->blocked++;
			p->blocked_total++;
			pthread_cond_wait(&p->room, &p->lock);
			p->blocked--;
		}
	}
	base_pick_sleeper(p, &signals);
	unlock(p, &signals);
	return i || id >= 0 ? (int64_t)i : id;
}

int64_t base_submit(struct base_pool *p, base_job_fn *fn, void *arg, const struct base_submit *how)
{
	static const struct base_submit plain;

	if (!p || !fn)
		return -EINVAL;
	struct signals signals = { .n = 0 };
	bool inside = base_self && base_self->pool == p;
	int64_t id;

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
	id = queue_job(p, fn, arg, how);
	if (id > 0)
		base_pick_sleeper(p, &signals);
	unlock(p, &signals);
	return id;
}

static void completion_of(
	const struct base_pool *p, const struct slot *s, struct base_completion *out)
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
		base_slot_free(p, s);
	}
	unlock(p, &signals);
	return err;
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
		base_slot_free(cq->pool, s);
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
