/* SPDX-License-Identifier: Apache-2.0 */
/* sim: whom a worker wakes. The walks of src/core/worker.c, on the policy that ships. */
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

/* As in src/core/worker.c, here and below. */
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

void sim_wake_next(struct run *r, struct worker *w, uint64_t *t)
{
	bool more;

	for (uint32_t i = 0; i < r->workers; i++) {
		const struct worker *v = &r->worker[i];

		if (look_into(r, w, v, r->costs->walk, t) &&
			sim_wake_one(r, w->id, i, true, &more, t) == FILCHI_ASLEEP_FREE)
			return;
	}
	if (r->taken < r->submitted)
		(void)sim_wake_one(r, w->id, w->id, true, &more, t);
}

/* Policy `grow`: whether one more searcher is allowed, one for each worker that is busy. */
static bool may_grow(struct run *r)
{
	uint64_t counts = filchi_idle_posted(&r->idle);
	int64_t searching = FILCHI_IDLE_SEARCH(counts),
		asleep = (int64_t)FILCHI_IDLE_ASLEEP(counts);

	return FILCHI_IDLE_FREES(counts) && 2 * searching < (int64_t)r->workers - asleep;
}

/* A searcher has found work, in the deque of @victim or, NULL, in the queue. */
void sim_found(struct run *r, struct worker *w, struct worker *victim, uint64_t *t)
{
	bool is_last, more;

	touch_counts(r, t);
	is_last = filchi_idle_found(&r->idle);
	if (r->policy->wake_two) {
		for (int i = 0; i < 2; i++)
			if (FILCHI_IDLE_FREES(filchi_idle_posted(&r->idle)))
				sim_wake_next(r, w, t);
	} else if (r->policy->grow && victim && victim->top != victim->bottom) {
		if (may_grow(r))
			(void)sim_wake_one(r, w->id, victim->id, true, &more, t);
	} else if (is_last) {
		sim_wake_next(r, w, t);
	}
	if (r->policy->quiet && FILCHI_IDLE_FREES(filchi_idle_posted(&r->idle))) {
		w->ask = true;
		if (victim) {
			victim->ask = true;
			victim->version++;
		}
	}
}

/* A push found its ask raised. */
void sim_push_asked(struct run *r, struct worker *w, uint64_t *t)
{
	enum filchi_asked asked;
	bool more = false;

	w->ask = false;
	*t += r->costs->asked;
	asked = filchi_policy_asked(filchi_idle_posted(&r->idle));
	if (asked == FILCHI_ASKED_NOBODY)
		return;
	if (asked != FILCHI_ASKED_ANY && r->policy->grow && may_grow(r))
		asked = FILCHI_ASKED_ANY;
	r->result->asked++;
	if (asked == FILCHI_ASKED_LATER)
		more = !r->policy->quiet;
	else
		(void)sim_wake_one(r, w->id, w->id, asked == FILCHI_ASKED_ANY, &more, t);
	w->ask = more;
}
