/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting awake, on a core that may be shared.
 *
 * Workers have a core each; threads from outside, the guests, share them. A guest that posts a job and waits for it takes turns with
 * the worker on its core, and each microsecond that one looks about while the other could go on is a microsecond of the trip. So they tell
 * each other. A guest that waits beside a worker that is awake raises that worker's `wanted` and yields at once; a worker that finds
 * it raised yields as soon as it has nothing to do. Elsewhere both pause for a microsecond first, which is faster between cores.
 *
 * Who is to be woken depends on what the guest does next. If it waits, the worker on its own core is the best: the guest makes way, and
 * no idle core has to come back first (on a virtual machine 4 us against 20 to 50 from the submit to the start of the job). If it goes on,
 * that worker is the worst: it waits for the core until the guest's time slice ends (2 ms were measured against 50 us). FILCH_RUN waits; of
 * a submit the habit of the thread is the best guess: three waits in a row that followed their submits at once. A guess that was wrong
 * is seen at the next submit of the thread, which then does not rely on the worker that it keeps from running.
 *
 * A guest that finds itself beside a worker time and again, without having had to wake it, is better off on another core if there is
 * one. Sleeping once has the kernel look for it: who is woken is put on an idle core.
 *
 * Rejected: figures in docs/idle-protocol.md, "A trip from idle".
 */
#define _GNU_SOURCE
#include "linger.h"

#include <sched.h>

#define PAUSES 16u          /* pause instructions between two looks of a search */
#define UNYIELDING_NS 1000u /* of a search, before it offers its core to others at each look */
#define HABIT 3u            /* so many times in a row make a habit */
#define AT_ONCE_NS 5000u    /* from submit to wait */
#define PATIENCE 32u        /* waits beside a worker before the first sleep ... */
#define PATIENCE_MAX 65536u /* ... and eight times as many before the next, up to this, while it does not help */

static _Thread_local struct filchi_guest guest;

struct filchi_guest *filchi_guest_here(void)
{
	return &guest;
}

struct filchi_worker *filchi_neighbour(const struct filch_pool *pool)
{
	const struct filchi_plan *plan = pool->plan;
	int cpu = sched_getcpu();
	uint32_t next = cpu >= 0 && (uint32_t)cpu < plan->pus ? plan->by_pu[cpu] : 0;

	return next ? filchi_worker_at(pool, next - 1) : NULL;
}

bool filchi_guest_waits(const struct filchi_guest *g)
{
	return g->runs || g->times >= HABIT;
}

void filchi_guest_woke_for(int64_t id)
{
	if (guest.runs)
		return;
	if (guest.id)
		guest.times = 0; /* it has not waited for the last one yet */
	guest.id = id;
	guest.at = filchi_now();
}

void filchi_guest_waits_for(int64_t id)
{
	if (id != guest.id)
		return;
	guest.id = 0;
	guest.times = filchi_now() - guest.at < AT_ONCE_NS ? guest.times + (guest.times < HABIT) : 0;
}

/* A guest begins to wait: whether it had better sleep, to be woken on another core than its neighbour's. */
static bool is_stuck(struct filchi_worker *neighbour)
{
	if (!neighbour || !filchi_is_awake(neighbour)) {
		guest.stuck = 0;
		guest.patience = PATIENCE;
		return false;
	}
	if (guest.has_woken || ++guest.stuck < guest.patience)
		return false;
	guest.stuck = 0;
	if (guest.patience < PATIENCE_MAX)
		guest.patience = guest.patience ? guest.patience * 8 : PATIENCE;
	return true;
}

/* Whether a guest should offer its core at once. */
static bool makes_way(const struct filch_pool *pool, struct filchi_worker *neighbour)
{
	guest.overdue = NULL;
	if (!neighbour || !filchi_is_awake(neighbour))
		return guest.has_woken;
	if (FILCHI_IDLE_SEARCH(filchi_load_relaxed(&pool->idle.counts)) > 1)
		return false; /* another searcher, on another core, is faster */
	filchi_store_relaxed(&neighbour->wanted, 1);
	return true;
}

void filchi_give_way(struct filchi_worker *w)
{
	if (filchi_load_relaxed(&w->wanted)) {
		filchi_store_relaxed(&w->wanted, 0);
		sched_yield();
	}
}

bool filchi_linger(const struct filch_pool *pool, struct filchi_worker *self, uint64_t *since)
{
	struct filchi_worker *neighbour;
	bool at_once, begins = !*since;
	uint64_t now;

	if (pool->no_search)
		return false;
	now = filchi_now();
	if (begins)
		*since = now;
	else if (now - *since > pool->search_ns)
		return false;
	if (self) {
		at_once = filchi_load_relaxed(&self->wanted);
		if (at_once)
			filchi_store_relaxed(&self->wanted, 0);
	} else {
		neighbour = filchi_neighbour(pool);
		if (begins && is_stuck(neighbour))
			return false;
		at_once = makes_way(pool, neighbour);
	}
	if (at_once || now - *since > UNYIELDING_NS)
		sched_yield();
	else
		for (unsigned i = 0; i < PAUSES; i++)
			filchi_pause();
	return true;
}
