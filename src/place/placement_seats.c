/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: who sits where, and on which CPUs a worker may run. See placement.h for the rules,
 * seats.h for what is in use.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/placement_making.h"

#include <errno.h>
#include <filch/pool.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_QUANTUM (FILCHI_LOAD_ONE / 4) /* less of a difference is none */
#define LOAD_THREAD  4u                    /* quanta */

/* Total, so that sorting is deterministic. */
static int by_preference(const void *left, const void *right)
{
	const struct filchi_candidate *a = left, *b = right;
	uint32_t a_load = a->load + a->sibling * LOAD_THREAD;
	uint32_t b_load = b->load + b->sibling * LOAD_THREAD;

	if (a->reserved != b->reserved)
		return a->reserved ? 1 : -1;
	if (a_load != b_load)
		return a_load < b_load ? -1 : 1;
	if (a->sibling != b->sibling)
		return a->sibling < b->sibling ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind > b->kind ? -1 : 1;
	if (a->core != b->core)
		return a->core < b->core ? -1 : 1;
	return a->cpu < b->cpu ? -1 : a->cpu > b->cpu;
}

void filchi_candidates_sort(struct filchi_making *m)
{
	qsort(m->candidate, m->candidates, sizeof(*m->candidate), by_preference);
}

static uint32_t quanta(uint32_t load)
{
	return (load + LOAD_QUANTUM / 2) / LOAD_QUANTUM;
}

/*
 * The CPU of core @c that is used least, of those that may be used and are not in @but; that one is
 * added to it.
 */
static uint32_t least_used(struct filchi_making *m, uint32_t c, struct filchi_cpuset *but)
{
	const struct filchi_core *core = &m->topology->core[c];
	uint32_t best = UINT32_MAX, least = UINT32_MAX;

	for (uint32_t i = 0; i < core->cpus; i++) {
		uint32_t cpu = m->topology->cpu[core->first_cpu + i];
		uint32_t load = quanta(m->loads->cpu[cpu]);

		if (load < least && filchi_cpuset_has(&m->cpus, cpu) &&
			!filchi_cpuset_has(but, cpu)) {
			best = cpu;
			least = load;
		}
	}
	filchi_cpuset_add(but, best);
	return best;
}

/*
 * Puts the least used cores first, and of each core its least used CPU. Slots of one core stand in
 * the order of `sibling` before.
 */
static void weigh(struct filchi_making *m)
{
	const struct filchi_topology *t = m->topology;
	struct filchi_cpuset given = { { 0 } };

	for (uint32_t s = 0; s < m->candidates; s++) {
		const struct filchi_core *core = &t->core[m->candidate[s].core];
		uint32_t load = 0;

		for (uint32_t i = 0; i < core->cpus; i++)
			load += m->loads->cpu[t->cpu[core->first_cpu + i]];
		m->candidate[s].load = quanta(load);
		m->candidate[s].cpu = least_used(m, m->candidate[s].core, &given);
	}
	filchi_candidates_sort(m);
}

/* Whether @a and @b are in one group of @level. */
static bool is_near(const struct filchi_core *a, const struct filchi_core *b, uint32_t level)
{
	return a->group[level] >= 0 && a->group[level] == b->group[level];
}

/*
 * What a worker on @seat may run on, within its group of @level: candidates of its kind of core, or
 * of any. What is reserved is left free, but for workers that had to be put there.
 */
static struct filchi_cpuset around(const struct filchi_making *m,
	const struct filchi_candidate *seat, uint32_t level, bool any_kind)
{
	const struct filchi_core *core = m->topology->core;
	struct filchi_cpuset mask = { { 0 } };

	filchi_cpuset_add(&mask, seat->cpu);
	for (uint32_t s = 0; s < m->candidates; s++)
		if (is_near(&core[seat->core], &core[m->candidate[s].core], level) &&
			(any_kind || m->candidate[s].kind == seat->kind) &&
			(!m->candidate[s].reserved || seat->reserved))
			filchi_cpuset_add(&mask, m->candidate[s].cpu);
	return mask;
}

/* The mask of a worker on @seat: its last-level cache, or the smallest group with other cores. */
static struct filchi_cpuset group_mask(
	const struct filchi_making *m, const struct filchi_candidate *seat)
{
	static const uint8_t levels[] = { FILCHI_LEVEL_L3, FILCHI_LEVEL_NODE, FILCHI_LEVEL_PACKAGE,
		FILCHI_LEVEL_MACHINE };
	struct filchi_cpuset best = around(m, seat, FILCHI_LEVEL_MACHINE, true);
	uint32_t least = UINT32_MAX;

	for (uint32_t i = 0; i < sizeof(levels); i++) {
		struct filchi_cpuset mask = around(m, seat, levels[i], false);
		uint32_t cpus = filchi_cpuset_count(&mask);

		if (cpus > 1 && cpus < least) {
			best = mask;
			least = cpus;
		}
	}
	return best;
}

/* All CPUs that may be used, but for the cores to be left free. */
static struct filchi_cpuset unreserved(const struct filchi_making *m)
{
	const struct filchi_topology *t = m->topology;
	struct filchi_cpuset mask = { { 0 } };

	for (uint32_t s = 0; s < m->free_candidates; s++) {
		const struct filchi_core *core = &t->core[m->candidate[s].core];

		for (uint32_t i = 0; i < core->cpus; i++)
			filchi_cpuset_add(&mask, t->cpu[core->first_cpu + i]);
	}
	filchi_cpuset_and(&mask, &m->cpus);
	return mask;
}

/* Whether the two are surely given one mask. */
static bool has_same_mask(const struct filchi_making *m, const struct filchi_candidate *a,
	const struct filchi_candidate *b)
{
	const struct filchi_core *core = m->topology->core;

	return a->kind == b->kind && a->reserved == b->reserved &&
	       is_near(&core[a->core], &core[b->core], FILCHI_LEVEL_L3) &&
	       is_near(&core[a->core], &core[b->core], FILCHI_LEVEL_NODE) &&
	       is_near(&core[a->core], &core[b->core], FILCHI_LEVEL_PACKAGE);
}

/* Adds @mask to the plan's if it is not there; which it is, or UINT32_MAX: no memory. */
static uint32_t mask_index(struct filchi_plan *plan, const struct filchi_cpuset *mask)
{
	struct filchi_cpuset *more;

	/* the last first: neighbours mostly share it */
	for (uint32_t i = plan->masks; i--;)
		if (!memcmp(&plan->mask[i], mask, sizeof(*mask)))
			return i;
	more = realloc(plan->mask, (plan->masks + 1) * sizeof(*more));
	if (!more)
		return UINT32_MAX;
	plan->mask = more;
	more[plan->masks] = *mask;
	return plan->masks++;
}

/* The wide mask of worker @w. */
static struct filchi_cpuset mask_for(const struct filchi_making *m, uint32_t w)
{
	return m->plan->binding == FILCHI_BIND_SET || w >= m->plan->seated
		       ? unreserved(m)
		       : group_mask(m, &m->candidate[w % m->candidates]);
}

/* Whether worker @w surely has the mask of the one before it. */
static bool has_mask_before(const struct filchi_making *m, uint32_t w)
{
	if (!w)
		return false;
	if (m->plan->binding == FILCHI_BIND_SET || w > m->plan->seated)
		return true;
	return w < m->plan->seated && has_same_mask(m, &m->candidate[w % m->candidates],
					      &m->candidate[(w - 1) % m->candidates]);
}

/* plan->mask, from the seats. Returns 0 or -ENOMEM. */
static int fill_masks(struct filchi_making *m)
{
	struct filchi_plan *plan = m->plan;

	plan->mask_of = calloc(plan->workers, sizeof(*plan->mask_of));
	if (!plan->mask_of)
		return -ENOMEM;
	for (uint32_t w = 0; w < plan->workers; w++) {
		struct filchi_cpuset mask;
		uint32_t index;

		if (has_mask_before(m, w)) {
			plan->mask_of[w] = plan->mask_of[w - 1];
			continue;
		}
		mask = mask_for(m, w);
		index = mask_index(plan, &mask);
		if (index == UINT32_MAX)
			return -ENOMEM;
		plan->mask_of[w] = (uint16_t)index;
	}
	return 0;
}

/* plan->seat, in the order of the candidates. Returns 0 or -ENOMEM. */
static int fill_seats(struct filchi_making *m)
{
	struct filchi_plan *plan = m->plan;

	plan->seat = calloc(plan->workers, sizeof(*plan->seat));
	if (!plan->seat)
		return -ENOMEM;
	for (uint32_t w = 0; w < plan->workers; w++) {
		const struct filchi_candidate *candidate = &m->candidate[w % m->candidates];
		const struct filchi_core *core = &m->topology->core[candidate->core];

		if (plan->pin && w < plan->seated)
			plan->seat[w] = (struct filchi_seat){ (int)w, (int)candidate->cpu,
				(int)candidate->core, core->node, core->package, core->kind };
		else
			plan->seat[w] = (struct filchi_seat){ (int)w, -1, -1, -1, -1, -1 };
		if (plan->seat[w].pu >= (int)plan->pus)
			plan->pus = (uint32_t)plan->seat[w].pu + 1;
	}
	plan->by_pu = calloc(plan->pus + 1, sizeof(*plan->by_pu));
	if (!plan->by_pu)
		return -ENOMEM;
	for (uint32_t w = plan->seated; w--;)
		if (plan->pin)
			plan->by_pu[plan->seat[w].pu] = (uint16_t)(w + 1);
	if (plan->binding == FILCHI_BIND_SET || plan->binding == FILCHI_BIND_SEAT)
		return fill_masks(m);
	return plan->binding == FILCHI_BIND_CPU && plan->workers > plan->seated ? fill_masks(m) : 0;
}

/* What is in use, but for this process's part. Returns 0 or -ENOMEM. */
static int look_at_others(struct filchi_making *m)
{
	const struct filchi_loads *given = m->where ? m->where->loads : NULL;

	if (!m->plan->pin || m->plan->at_first >= m->candidates || (m->plan->simulated && !given))
		return 0;
	m->loads = calloc(1, sizeof(*m->loads));
	if (!m->loads)
		return -ENOMEM;
	if (given) {
		*m->loads = *given;
	} else {
		m->plan->holds = filchi_seats_hold();
		filchi_seats_look(&m->cpus, m->loads);
	}
	return 0;
}

int filchi_seats_choose(struct filchi_making *m)
{
	struct filchi_plan *plan = m->plan;
	int error = look_at_others(m);

	if (error)
		return error;
	filchi_seats_lock();
	if (m->loads && !plan->simulated)
		filchi_seats_own(m->loads);
	if (m->loads)
		weigh(m);
	error = fill_seats(m);
	plan->taken = !error && plan->pin && !plan->simulated;
	for (uint32_t w = 0; w < plan->at_first && plan->taken; w++)
		filchi_seats_take((uint32_t)plan->seat[w].pu);
	filchi_seats_unlock();
	return error;
}
