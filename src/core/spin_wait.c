/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting awake, on a core that may be shared.
 *
 * Workers have a core each. Threads from outside, the clients, share them. A client that posts a
 * job and waits for it takes turns with the worker on its core. While one looks about, the other
 * cannot go on, and the trip takes as much longer. So they tell each other:
 *
 *   - A client that waits beside a worker that is awake raises that worker's `yield_asked`, and
 *     yields at once.
 *   - A worker that finds it raised yields as soon as it has nothing to do.
 *
 * Elsewhere both pause for a while first, which is faster between cores.
 *
 * The best worker to wake depends on what the client does next. If it waits, the worker on its own
 * core is the best: the client makes way, and no idle core has to come back first. If it goes on,
 * that worker is the worst: it waits for the core until the client's time slice ends. FILCH_RUN
 * waits. Of a submit the habit of the thread is the best guess: some waits in a row that followed
 * their submits at once. The next submit of the thread sees that a guess was wrong. It then does
 * not rely on the worker that it keeps from running.
 *
 * A client that finds itself beside a worker time and again, without having had to wake it, is
 * better off on another core if there is one. Sleeping once has the kernel look for it: a thread
 * that is woken is put on an idle core.
 *
 * Rejected forms, with figures, are in docs/idle-protocol.md, "A trip from idle".
 */
#define _GNU_SOURCE
#include "core/spin_wait.h"

#include <sched.h>

#include "core/live_words.h"
#include "struct/policy.h"

#define PAUSES        16u   /* pause instructions between two looks of a search */
#define UNYIELDING_NS 1000u /* of a search, before it offers its core to others at each look */
#define HABIT         3u    /* so many times in a row make a habit */
#define AT_ONCE_NS    5000u /* from submit to wait */
#define PATIENCE      32u   /* waits beside a worker before the first sleep ... */
/* ... and eight times as many before the next, up to this, while it does not help */
#define PATIENCE_MAX 65536u

struct filchi_worker *filchi_worker_on_cpu(const struct filch_pool *pool)
{
	const struct filchi_plan *plan = pool->plan;
	int cpu = sched_getcpu();
	uint32_t next = cpu >= 0 && (uint32_t)cpu < plan->pus ? plan->by_pu[cpu] : 0;

	return next ? filchi_worker_at(pool, next - 1) : NULL;
}

bool filchi_client_waits(const struct filchi_client *client)
{
	return client->runs || client->times >= HABIT;
}

void filchi_client_woke_for(int64_t id)
{
	struct filchi_client *client = filchi_client_here();

	if (client->runs)
		return;
	if (client->id)
		client->times = 0; /* it has not waited for the last one yet */
	client->id = id;
	client->at = filchi_now();
}

void filchi_client_waits_for(int64_t id)
{
	struct filchi_client *client = filchi_client_here();

	if (id != client->id)
		return;
	client->id = 0;
	client->times = filchi_now() - client->at < AT_ONCE_NS
				? client->times + (client->times < HABIT)
				: 0;
}

/*
 * A client begins to wait: whether it had better sleep, to be woken on another core than its
 * neighbour's.
 */
static bool is_stuck(struct filchi_worker *neighbour)
{
	struct filchi_client *client = filchi_client_here();

	if (!neighbour || !filchi_is_awake(neighbour)) {
		client->stuck = 0;
		client->patience = PATIENCE;
		return false;
	}
	if (client->has_woken || ++client->stuck < client->patience)
		return false;
	client->stuck = 0;
	if (client->patience < PATIENCE_MAX)
		client->patience = client->patience ? client->patience * 8 : PATIENCE;
	return true;
}

/* Whether a client should offer its core at once. */
static bool makes_way(const struct filch_pool *pool, struct filchi_worker *neighbour)
{
	struct filchi_client *client = filchi_client_here();

	client->overdue = NULL;
	if (!neighbour || !filchi_is_awake(neighbour))
		return client->has_woken;
	if (FILCHI_IDLE_SEARCH(filch_load_relaxed(&pool->idle.counts)) > 1)
		return false; /* another searcher, on another core, is faster */
	filch_store_relaxed(&neighbour->yield_asked, 1);
	return true;
}

void filchi_give_way(struct filchi_worker *w)
{
	if (filch_load_relaxed(&w->yield_asked)) {
		filch_store_relaxed(&w->yield_asked, 0);
		sched_yield();
	}
}

bool filchi_spin_wait(const struct filch_pool *pool, struct filchi_worker *self, uint64_t *since)
{
	struct filchi_worker *neighbour;
	bool at_once, begins = !*since;
	uint64_t now;

	if (pool->no_search)
		return false;
	now = filchi_now();
	if (begins) {
		*since = now;
		if (self && filchi_is_live(pool))
			filchi_live_search(self, now);
		if (self)
			filchi_trace(pool, SEARCH, 0, 0);
	} else if (filchi_policy_search_over(now, *since, pool->search_ns)) {
		return false; /* its sleep ends the search */
	}
	if (self) {
		at_once = filch_load_relaxed(&self->yield_asked);
		if (at_once)
			filch_store_relaxed(&self->yield_asked, 0);
	} else {
		neighbour = filchi_worker_on_cpu(pool);
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
