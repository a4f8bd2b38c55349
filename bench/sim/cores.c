/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: cores that workers share, where there are more of them than cores. One worker holds it until
 * it sleeps, in a park or in its leaf, or yields in a search. What computes is not interrupted.
 */
#include <stdlib.h>

#include "run.h"

static void wait_in_row(struct run *r, struct core *core, struct worker *w, bool first)
{
	sim_unplan(&r->events, w->id);
	w->behind = first ? core->first : NOBODY;
	if (core->first == NOBODY)
		core->first = core->end = w->id;
	else if (first)
		core->first = w->id;
	else
		r->worker[core->end].behind = w->id, core->end = w->id;
}

/* The worker leaves its core at @at to the first of the row. */
static void leave_core(struct run *r, struct core *core, uint64_t at)
{
	core->holder = core->first;
	core->free_at = at;
	if (core->first == NOBODY)
		return;
	core->first = r->worker[core->holder].behind;
	sim_plan(&r->events, core->holder, at);
}

/* Whether the worker has its core now; if not it gets another event. @t: what it takes to go on. */
bool sim_has_core(struct run *r, struct core *core, struct worker *w, uint64_t *t)
{
	if (core->holder != NOBODY && core->holder != w->id) {
		wait_in_row(r, core, w, w->doing == WAKES || w->slept);
		return false;
	}
	if (core->holder == NOBODY && core->free_at > r->now) {
		core->holder = w->id;
		sim_plan(&r->events, w->id, core->free_at);
		return false;
	}
	core->holder = w->id;
	if (core->last != w->id)
		*t += r->costs->change;
	core->last = w->id;
	return true;
}

void sim_core_acted(struct run *r, struct core *core, struct worker *w, uint64_t t)
{
	if (w->doing == SLEEPS || w->slept) {
		leave_core(r, core, r->now + t - w->slept);
	} else if (w->yields && core->first != NOBODY) {
		uint32_t next = core->first;

		wait_in_row(r, core, w, false);
		core->first = r->worker[next].behind;
		core->holder = next;
		sim_plan(&r->events, next, r->now + t);
	}
}

/* Where there are more workers than cores, which of them share one. */
void sim_make_cores(struct run *r)
{
	bool shared = false;

	r->core = calloc(r->workers, sizeof(*r->core));
	r->core_of = calloc(r->workers, sizeof(*r->core_of));
	if (!r->core || !r->core_of)
		abort();
	for (uint32_t w = 0; w < r->workers; w++) {
		uint32_t first = 0;

		while (r->machine->seat[first] != r->machine->seat[w])
			first++;
		r->core_of[w] = first;
		r->core[w] = (struct core){
			.holder = NOBODY, .last = NOBODY, .first = NOBODY, .end = NOBODY
		};
		shared |= first != w;
	}
	if (!shared) {
		free(r->core);
		r->core = NULL;
	}
}
