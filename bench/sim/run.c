/* SPDX-License-Identifier: Apache-2.0 */
/* sim: a run: searching, parking, submits from outside, and one event after another. See run.h. */
#include <stdlib.h>

#include "run.h"

#define YIELD_NS 1000u /* of a search, before it yields: core/spin_wait.c */

static uint64_t look_ns(const struct run *r, uint32_t a, uint32_t b)
{
	const uint64_t ns[] = { r->costs->look_near, r->costs->look_middle, r->costs->look_far };

	return a == b ? r->costs->seen : ns[sim_distance(r->machine, a, b)];
}

/* Looks into deques until the slice is used. 1: it has stolen; 0: not yet; -1: the round is over */
static int look(struct run *r, struct worker *w, uint64_t *t)
{
	while (*t < r->costs->slice) {
		/* of a waiting worker: its own deque, its thief's, and then the round */
		bool narrow = sim_thief_alone(r, w) && w->help.own < 0 && w->help.thief < 0;
		int next = narrow ? -1 : filchi_help_next(&w->help, &w->victim);

		if (next < 0) {
			w->looking = false;
			return -1;
		}
		r->result->looks++;
		if (look_into(r, w, &r->worker[next], look_ns(r, w->id, (uint32_t)next), t)) {
			sim_steal(r, w, &r->worker[next], t);
			return 1;
		}
	}
	return 0;
}

/* After a look in vain: false, the worker is to park. */
static bool spin_wait(const struct run *r, struct worker *w, uint64_t *t)
{
	uint64_t now = r->now + *t;

	if (!w->since)
		w->since = now;
	else if (filchi_policy_search_over(now, w->since, (uint32_t)r->costs->search))
		return false;
	*t += r->costs->pause;
	w->yields = now - w->since > YIELD_NS;
	return true;
}

/* Back from a sleep, or from the way there. */
static void resume(struct worker *w)
{
	w->since = 0;
	w->looking = false;
	w->doing = w->depth ? HELPS : SEARCHES;
	if (w->depth)
		w->frame[w->depth - 1].parked = true;
}

static void prepare(struct run *r, struct worker *w, uint64_t *t)
{
	const struct filchi_filter anything = { .any = true, .worker = w->id },
				   ours = { .team = { &r->team }, .worker = w->id };

	filchi_idle_prepare(&r->idle, &w->sleeper, w->depth ? &ours : &anything);
	touch_counts(r, t);
	if (w->depth) {
		if (awaited(w)->done) {
			filchi_idle_cancel(&r->idle, &w->sleeper);
			r->result->cancels++;
			resume(w);
			return;
		}
		awaited(w)->marked = true;
	}
	if (!w->depth)
		(void)filchi_idle_was_trusted(&r->idle);
	sim_ask_all(r, w, t);
	w->doing = PARKS;
	r->running--; /* it sleeps in the row, and needs no interrupt of its own */
}

/* The fence is passed: the last look, and sleep. */
static void look_again(struct run *r, struct worker *w, uint64_t *t)
{
	bool there = !w->depth && r->taken < r->submitted;

	r->running++;
	for (uint32_t i = 0; i < r->workers && !there; i++)
		there = look_into(r, w, &r->worker[i], r->costs->walk, t) && sim_serves(r, w, i);
	if (there) {
		filchi_idle_cancel(&r->idle, &w->sleeper);
		touch_counts(r, t);
		r->result->cancels++;
		resume(w);
		return;
	}
	r->result->parks++;
	*t += r->costs->park;
	if (FILCHI_SLEEP_KIND(filch_load_relaxed(&w->sleeper.state)) == FILCHI_AWAKE) {
		resume(w);
		return;
	}
	w->doing = SLEEPS;
	r->running--;
}

static void search(struct run *r, struct worker *w, uint64_t *t)
{
	int outcome;

	if (!w->looking) {
		w->steals_first = filchi_policy_steals_first(++w->turn);
		if (!w->steals_first && sim_run_queued(r, w, true, t))
			return;
		w->help = (struct filchi_help){ .own = -1, .thief = -1 };
		w->looking = true;
	}
	outcome = look(r, w, t);
	if (outcome >= 0 || (w->steals_first && sim_run_queued(r, w, true, t)))
		return;
	if (!spin_wait(r, w, t))
		prepare(r, w, t);
}

static void leave_wait(struct run *r, struct worker *w, uint64_t *t)
{
	struct frame *f = &w->frame[w->depth - 1];

	if (awaited(w)->done_at > r->now + *t)
		*t = awaited(w)->done_at - r->now;
	*t += r->costs->join;
	f->left--;
	w->doing = RUNS;
	if (f->parked && filchi_policy_passes_on(filchi_idle_posted(&r->idle)))
		(void)sim_wake_next(r, w, t);
}

static void help(struct run *r, struct worker *w, uint64_t *t)
{
	if (!w->looking) {
		if (awaited(w)->done) {
			leave_wait(r, w, t);
			return;
		}
		w->help = (struct filchi_help){
			.own = (int)w->id,
			/* its mark gives way to that of a joiner that has slept */
			.thief = awaited(w)->marked && !sim_thief_alone(r, w)
					 ? -1
					 : (int)awaited(w)->thief,
		};
		w->looking = true;
	}
	if (look(r, w, t) < 0 && !spin_wait(r, w, t)) {
		if (r->policy->no_park)
			w->since = 0;
		else
			prepare(r, w, t);
	}
}

/* --- from outside ----------------------------------------------------- */

/* The client submits the next job of a burst. */
static void submit(struct run *r)
{
	uint64_t t = r->costs->submit;
	bool more;

	if (r->submitted == r->work->jobs || !r->submitted) {
		r->began = r->now;
		r->first_began = r->last_steal = r->last_leaf = 0;
		r->submitted = r->taken = r->ended = r->busy = 0;
		r->result->all_busy = r->result->most_busy = 0;
		for (uint32_t w = 0; w < r->workers; w++)
			r->worker[w].has_run = false;
	}
	touch_counts(r, &t);
	r->root[r->submitted] = sim_work_root(r->work);
	r->root[r->submitted++].ready_at = r->now + t;
	if (filchi_policy_posted(filchi_idle_posted(&r->idle), 0))
		(void)sim_wake_one(r, 0, 0, true, &more, &t);
	if (r->submitted < r->work->jobs)
		sim_plan(&r->events, r->workers, r->now + t);
	else
		sim_unplan(&r->events, r->workers);
}

/* --- all of it -------------------------------------------------------- */

static void act(struct run *r, struct worker *w)
{
	struct core *core = r->core ? &r->core[r->core_of[w->id]] : NULL;
	uint64_t t = 0;

	if (FILCH_UNLIKELY(core != NULL) && !sim_has_core(r, core, w, &t))
		return;
	w->slept = 0;
	w->yields = false;
	if (w->doing == RUNS || w->doing == SEARCHES || w->doing == HELPS) {
		t += w->debt;
		w->debt = 0;
	}
	switch (w->doing) {
	case RUNS:
		sim_run_on(r, w, &t);
		break;
	case SEARCHES:
		search(r, w, &t);
		break;
	case HELPS:
		help(r, w, &t);
		break;
	case PARKS:
		look_again(r, w, &t);
		break;
	case WAKES:
	case SLEEPS:
	default:
		resume(w);
		break;
	}
	if (w->doing == SLEEPS)
		sim_unplan(&r->events, w->id);
	else
		sim_plan(&r->events, w->id, r->now + (t ? t : 1));
	if (core)
		sim_core_acted(r, core, w, t);
}

/* All sleep, as some time after the pool was made. */
static void make(struct run *r, uint64_t seed)
{
	const struct filchi_filter anything = { .any = true };

	filchi_idle_init(&r->idle);
	r->workers = r->machine->plan->workers;
	r->worker = aligned_alloc(FILCH_CACHELINE, r->workers * sizeof(*r->worker));
	r->root = calloc(r->work->jobs, sizeof(*r->root));
	r->events.of = calloc(r->workers + 1, sizeof(*r->events.of));
	r->events.heap = calloc(r->workers + 1, sizeof(*r->events.heap));
	r->seen = calloc((size_t)r->workers * r->workers, sizeof(*r->seen));
	if (!r->worker || !r->root || !r->seen || !r->events.of || !r->events.heap)
		abort();
	for (uint32_t i = 0; i < r->workers; i++) {
		struct worker *w = &r->worker[i];

		*w = (struct worker){ .id = i, .doing = SLEEPS, .ask = true, .capacity = 64 };
		w->task = malloc(w->capacity * sizeof(struct sim_task *));
		if (!w->task)
			abort();
		filchi_victim_init(&w->victim, r->machine->plan, i, seed);
		filchi_sleeper_init(&w->sleeper);
		filchi_idle_search(&r->idle);
		filchi_idle_prepare(&r->idle, &w->sleeper, &anything);
	}
	sim_make_cores(r);
	sim_plan(&r->events, r->workers, 0);
}

static void unmake(struct run *r)
{
	for (uint32_t i = 0; i < r->workers; i++) {
		struct worker *w = &r->worker[i];

		if (w->top != w->bottom || w->depth)
			r->result->lost = true;
		free(w->task);
		free(w->frame);
	}
	sim_free_spare(r);
	free(r->seen);
	free(r->core);
	free(r->core_of);
	free(r->worker);
	free(r->root);
	free(r->events.of);
	free(r->events.heap);
}

void sim_run(const struct sim_machine *machine, const struct sim_work *work,
	const struct sim_costs *costs, const struct sim_policy *policy, uint64_t seed,
	struct sim_result *result)
{
	struct run r = { .machine = machine,
		.work = work,
		.costs = costs,
		.policy = policy,
		.result = result,
		.rng = seed };

	*result = (struct sim_result){ .took = 0 };
	make(&r, seed);
	while (!r.over && r.events.planned) {
		uint32_t actor = r.events.heap[0];

		r.now = r.events.of[actor].at;
		if (actor == r.workers)
			submit(&r);
		else
			act(&r, &r.worker[actor]);
	}
	if (!r.over)
		result->lost = true;
	unmake(&r);
}
