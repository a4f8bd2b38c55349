/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool holds of memory, by what it is for: see filch/stats.h. Reserved is what was mapped;
 * resident is what the kernel says to be there, page by page.
 *
 * Parts may come and go meanwhile: a deque grows, a lost thread's stack is unmapped. Arrays of
 * deques stay until the pool's end. Of a stack only the address is read, and what is not mapped any
 * more is not resident.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "base/import.h"
#include "core/given.h"
#include "core/live_words.h"
#include "pool/thread.h"
#include "struct/names.h"

#define PAGE  4096u
#define PAGES 1024u /* asked for at once */

/* How many bytes of [@at, @at + @size) lie in pages that are there. */
static uint64_t resident_of(uintptr_t at, size_t size)
{
	const uintptr_t end = at + size;
	unsigned char there[PAGES];
	uint64_t sum = 0;

	for (uintptr_t from = at / PAGE * PAGE; from < end; from += (uintptr_t)PAGES * PAGE) {
		size_t left = (end - from + PAGE - 1) / PAGE, n = left < PAGES ? left : PAGES;

		if (mincore((void *)from, n * PAGE, there))
			continue;
		for (size_t i = 0; i < n; i++) {
			uintptr_t begin = from + i * PAGE, stop = begin + PAGE;

			if (there[i] & 1)
				sum += (stop < end ? stop : end) - (begin > at ? begin : at);
		}
	}
	return sum;
}

static void add(struct filch_memory_part *part, const void *at, size_t size)
{
	if (!at)
		return;
	part->reserved += size;
	part->resident += resident_of((uintptr_t)at, size);
}

static void add_deque(struct filch_memory *m, struct filchi_deque *d)
{
	for (struct filch_array *a = filchi_load_acquire(&d->hot.array); a; a = a->retired)
		add(&m->deques, a, filchi_array_size(a->mask + 1));
}

static void add_worker(struct filch_memory *m, struct filch_pool *pool, struct filchi_worker *w)
{
	add(&m->workers, w, pool->stride);
	/* made by the worker itself, before it counted as started */
	if (w->has_deque) {
		add(&m->workers, w->deque.segment, FILCHI_SEGMENTS * sizeof w->deque.segment[0]);
		add_deque(m, &w->deque);
	}
	/* 0: the creator of a FILCH_POOL_CALLER pool, whose stack is its own */
	add(&m->stacks, (void *)(uintptr_t)filchi_load_acquire(&w->stack_at),
		filchi_stack_mapped(pool));
}

static void add_scq(struct filch_memory *m, const struct filchi_scq *scq)
{
	add(&m->queues, scq->entry, sizeof scq->entry[0] << scq->bits);
}

int filch_pool_memory(const struct filch_pool *pool, struct filch_memory *out)
{
	struct filch_memory m = FILCH_MEMORY_INIT;
	const struct filchi_groups *groups;
	struct filch_pool *p;
	int error;

	if (!out)
		return -EINVAL;
	error = filchi_given_const(pool, &p);
	if (error)
		return error;
	for (uint32_t i = 0; i < p->running; i++)
		add_worker(&m, p, filchi_worker_at(p, i));
	add(&m.workers, p, sizeof *p);
	add(&m.workers, filchi_load_acquire(&p->live_words),
		p->workers * sizeof(struct filchi_live_words));
	for (uint32_t i = 0; i < p->workers; i++) {
		struct filchi_trace_ring *ring =
			filchi_load_acquire(&filchi_worker_at(p, i)->trace);

		if (ring)
			add(&m.workers, ring, filchi_trace_ring_size(ring->mask + 1));
	}
	add(&m.slots, p->jobs.slot, (size_t)p->jobs.slots * sizeof p->jobs.slot[0]);
	groups = filchi_load_acquire(&p->jobs.groups); /* stay until the pool's end */
	if (groups)
		add(&m.slots, groups, groups->bytes);
	add(&m.slots, filchi_load_acquire(&p->jobs.names),
		p->jobs.slots * sizeof(struct filchi_name));
	add_scq(&m, &p->jobs.free);
	for (uint32_t i = 0; i < FILCH_LANES; i++)
		add_scq(&m, &p->injector.lane[i]);
	return filchi_export(out, &m, sizeof m);
}
