/* SPDX-License-Identifier: Apache-2.0 */
/* sim: whom a worker wakes. The walks of src/core/waking.c, on the policy that ships. */
#include "run.h"

/* A core at work turns to the woken worker at once; one that is idle has to come back first. */
static uint64_t wake_latency(const struct run *r, const struct worker *v)
{
	return r->core && r->core[r->core_of[v->id]].holder != NOBODY ? 0 : r->costs->latency;
}

void sim_woken(struct run *r, struct worker *v, uint64_t t)
{
	r->result->wakes++;
	if (v->doing != SLEEPS)
		return; /* on its way to sleep: it sees for itself */
	v->doing = WAKES;
	r->running++;
	sim_plan(&r->events, v->id, r->now + t + wake_latency(r, v));
}

/* As in src/core/waking.c, here and below. */
unsigned sim_wake_one(struct run *r, uint32_t near, uint32_t of, bool free, bool *more, uint64_t *t)
{
	const uint16_t *order = r->machine->plan->order + (size_t)near * (r->workers - 1);
	unsigned kind = 0;

	*more = false;
	for (uint32_t i = 0; i < r->workers; i++) {
		struct worker *v =
			&r->worker[filchi_policy_sleeper(order, near, false, r->workers, i)];
		uint32_t state = filchi_sleeper_serves(&v->sleeper, &r->team, NULL);

		*t += r->costs->scan;
		if (!state || !sim_serves(r, v, of))
			continue;
		if (filchi_policy_leaves(state, free, kind)) {
			*more = true;
			break;
		}
		touch_counts(r, t);
		if (filchi_idle_end(&r->idle, &v->sleeper, state)) {
			kind = FILCHI_SLEEP_KIND(state);
			*t += r->costs->wake;
			sim_woken(r, v, *t);
		}
	}
	return kind;
}

/* Wakes a sleeper for what lies in the deque of @v. True: a free one. */
static bool wake_for(struct run *r, struct worker *w, const struct worker *v, uint64_t *t)
{
	bool more;

	return look_into(r, w, v, r->costs->walk, t) &&
	       sim_wake_one(r, w->id, v->id, true, &more, t) == FILCHI_ASLEEP_FREE;
}

bool sim_wake_next(struct run *r, struct worker *w, uint64_t *t)
{
	bool more;

	for (uint32_t i = 0; i < r->workers; i++)
		if (wake_for(r, w, &r->worker[i], t))
			return true;
	return r->taken < r->submitted && sim_wake_one(r, w->id, w->id, true, &more, t) != 0;
}

static void ask(struct run *r, struct worker *v, uint64_t *t)
{
	if (v->ask)
		return;
	v->ask = true;
	v->version++; /* it lies beside top */
	*t += r->costs->raise;
	if (v->doing == RUNS)
		v->debt += r->costs->raised;
}

void sim_ask_all(struct run *r, struct worker *w, uint64_t *t)
{
	uint64_t cost = r->costs->fence + r->costs->fence_cpu * r->running, asked_at;
	bool joins;

	for (uint32_t i = 0; i < r->workers; i++) {
		struct worker *v = &r->worker[i];

		*t += r->costs->scan;
		ask(r, v, t);
	}
	asked_at = r->now + *t;
	joins = asked_at <= r->fence_start;
	if (!joins) {
		r->fence_start = asked_at > r->fence_end ? asked_at : r->fence_end;
		r->fence_end = r->fence_start + cost;
		r->result->fences++;
		for (uint32_t i = 0; i < r->workers; i++) {
			struct worker *v = &r->worker[i];

			if (v != w && v->doing != SLEEPS && v->doing != PARKS)
				v->debt += r->costs->interrupt;
		}
	}
	*t = r->fence_end - r->now;
	if (*t + r->now - asked_at > r->result->fence_max + cost)
		r->result->fence_max = *t + r->now - asked_at - cost;
}

/* How many workers may run, as the policy has it: none, with the chain, so that none grows. */
static uint32_t may_run(const struct run *r)
{
	return r->policy->chain ? 0 : r->workers;
}

/* A searcher has found work, in the deque of @victim or, NULL, in the queue. */
void sim_found(struct run *r, struct worker *w, struct worker *victim, uint64_t *t)
{
	bool last;

	touch_counts(r, t);
	last = filchi_idle_found(&r->idle, &w->sleeper);
	if (r->policy->wake_two) {
		for (int i = 0; i < 2; i++)
			if (FILCHI_IDLE_FREES(filchi_idle_posted(&r->idle)))
				(void)sim_wake_next(r, w, t);
	} else if (victim && filchi_policy_grows(filch_load_relaxed(&r->idle.counts), may_run(r))) {
		if (wake_for(r, w, victim, t))
			return;
		ask(r, victim, t);
	}
	if (!last || sim_wake_next(r, w, t) || !filchi_idle_was_trusted(&r->idle))
		return;
	sim_ask_all(r, w, t);
	(void)sim_wake_next(r, w, t);
}

/* A push found its ask raised. */
void sim_push_asked(struct run *r, struct worker *w, uint64_t *t)
{
	uint64_t counts = filchi_idle_posted(&r->idle);

	w->ask = false;
	*t += r->costs->asked;
	r->result->asked += FILCHI_IDLE_ASLEEP(counts) != 0;
	for (;;) {
		enum filchi_asked asked = filchi_policy_asked(counts, may_run(r));
		bool more = asked == FILCHI_ASKED_LATER;
		unsigned woken = 0;
		enum filchi_then then;

		if (asked == FILCHI_ASKED_NOBODY)
			return;
		if (!more)
			woken = sim_wake_one(r, w->id, w->id, asked == FILCHI_ASKED_ANY, &more, t);
		then = filchi_policy_then(asked, woken != 0, more, &w->vain);
		if (then != FILCHI_THEN_TRUST || r->policy->chain) {
			w->ask = then != FILCHI_THEN_LOW;
			return;
		}
		touch_counts(r, t);
		counts = filchi_idle_trust(&r->idle);
		if (FILCHI_IDLE_SEARCH(counts) > 0)
			return;
	}
}
