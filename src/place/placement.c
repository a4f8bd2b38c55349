/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: see placement.h for the rules. This file applies them, with placement_seats.c;
 * placement_report.c prints the result, placement_pin.c carries it out.
 *
 * A plan is made in steps, each a function on one scratch structure: filchi_plan_make_in() has
 * their list. Reasons are written last, from what the steps left, so that the line that decided
 * comes first; only complaints are collected on the way.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/placement_making.h"

#include <errno.h>
#include <filch/pool.h>
#include <stdlib.h>
#include <string.h>

#include "base/environment.h"
#include "base/this_thread.h"
#include "place/order.h"

/* Counts the CPUs of the machine that are in @set, and the cores they are on. */
static void count(const struct filchi_topology *t, const struct filchi_cpuset *set, uint32_t *cpus,
	uint32_t *cores)
{
	*cpus = *cores = 0;
	for (uint32_t c = 0; c < t->cores; c++) {
		uint32_t before = *cpus;

		for (uint32_t i = 0; i < t->core[c].cpus; i++)
			*cpus += filchi_cpuset_has(set, t->cpu[t->core[c].first_cpu + i]);
		*cores += *cpus != before;
	}
}

/* Narrows m->cpus to @text. Returns NULL, or what @text ought to be. */
static const char *narrow(struct filchi_making *m, const char *text, const char *from)
{
	struct filchi_cpuset set, both = m->cpus;

	if (filchi_cpuset_parse(text, &set))
		return "a list of CPUs like 0-3,8";
	filchi_cpuset_and(&both, &set);
	if (!filchi_cpuset_count(&both))
		return "a list with CPUs that may be used";
	m->cpus = both;
	m->cpuset = set;
	m->cpuset_from = from;
	return NULL;
}

/*
 * Step 1: m->cpus, from the machine, the mask and a cpuset. Returns 0, -EINVAL (the request's
 * cpuset) or -EIO (no CPU).
 */
static int choose_cpus(struct filchi_making *m)
{
	const struct filchi_topology *t = m->topology;
	const char *env = filchi_env_text(FILCHI_ENV_CPUSET);
	struct filchi_cpuset unused;

	if (m->request->cpuset && filchi_cpuset_parse(m->request->cpuset, &unused))
		return -EINVAL;
	for (uint32_t i = 0; i < t->cpus; i++)
		filchi_cpuset_add(&m->cpus, t->cpu[i]);
	if (m->where && m->where->affinity)
		filchi_cpuset_and(&m->cpus, m->where->affinity);
	count(t, &m->cpus, &m->masked_cpus, &m->masked_cores);
	if (!m->masked_cpus)
		return -EIO;
	if (env) {
		const char *may_be = narrow(m, env, filchi_env_name(FILCHI_ENV_CPUSET));

		if (may_be)
			filchi_env_ignored(FILCHI_ENV_CPUSET, may_be, m->complaints);
	}
	if (!m->cpuset_from && m->request->cpuset &&
		narrow(m, m->request->cpuset, "the configuration"))
		return -EINVAL;
	count(t, &m->cpus, &m->chosen_cpus, &m->chosen_cores);
	return 0;
}

/* Step 2: m->candidate, sorted, with the cores to be left free at the end. Returns 0 or -ENOMEM. */
static int choose_candidates(struct filchi_making *m)
{
	const struct filchi_topology *t = m->topology;
	bool smt = m->request->flags & FILCH_POOL_USE_SMT;
	uint32_t reserve = m->request->reserve_cores;

	m->candidate = calloc(m->chosen_cpus, sizeof(*m->candidate));
	if (!m->candidate)
		return -ENOMEM;
	for (uint32_t c = 0; c < t->cores; c++) {
		uint32_t sibling = 0;

		for (uint32_t i = 0; i < t->core[c].cpus && (smt || !sibling); i++) {
			uint32_t cpu = t->cpu[t->core[c].first_cpu + i];

			if (filchi_cpuset_has(&m->cpus, cpu))
				m->candidate[m->candidates++] =
					(struct filchi_candidate){ .cpu = cpu,
						.core = c,
						.sibling = sibling++,
						.kind = t->core[c].kind };
		}
	}
	filchi_candidates_sort(m);
	/*
	 * The first slot of each core now stands among the first chosen_cores: their tail is what
	 * reserve_cores takes.
	 */
	if (reserve >= m->chosen_cores)
		reserve = m->chosen_cores - 1;
	for (uint32_t i = m->chosen_cores - reserve; i < m->chosen_cores; i++)
		for (uint32_t s = 0; s < m->candidates; s++)
			if (m->candidate[s].core == m->candidate[i].core)
				m->candidate[s].reserved = true;
	filchi_candidates_sort(m);
	for (m->free_candidates = 0;
		m->free_candidates < m->candidates && !m->candidate[m->free_candidates].reserved;)
		m->free_candidates++;
	return 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/*
 * Step 3: plan->usable, from the candidates and the quota. One that is followed bounds nothing
 * here: it may rise. Returns 0 or -ENOMEM.
 */
static int choose_usable(struct filchi_making *m)
{
	int error =
		filchi_budget_read(m->where ? &m->where->roots : NULL, &m->budget, m->complaints);

	if (error)
		return error;
	m->plan->quota = filchi_budget_whole(&m->budget);
	m->quota = m->request->flags & FILCH_POOL_FOLLOW_QUOTA ? UINT32_MAX : m->plan->quota;
	m->plan->usable = smaller(smaller(m->candidates, m->quota), FILCHI_WORKERS_MAX);
	return 0;
}

/* How many workers there are if nothing names a number. */
static uint32_t automatic(const struct filchi_making *m)
{
	uint32_t spare = m->request->reserve_cores, workers = m->quota;

	/* of a quota too, what is reserved is for others */
	if (workers != UINT32_MAX)
		workers = workers > spare ? workers - spare : 1;
	workers = smaller(workers, smaller(m->free_candidates, m->plan->usable));
	return m->request->workload == FILCH_WORKLOAD_IO && workers > 1 ? workers - 1 : workers;
}

/* How many workers a plan has, in the making: see struct filchi_plan. */
struct numbers {
	uint32_t at_first, seated, spares;
	bool by_env; /* the environment has said how many */
};

/*
 * A pool with FILCH_POOL_CALLER whose creator may be away: if there are others at all, one of them
 * must take what is submitted meanwhile. Returns 0 or -EINVAL: one was asked for.
 */
static int beside_caller(const struct filchi_making *m, struct numbers *n)
{
	if (!(m->request->flags & FILCH_POOL_CALLER) || n->at_first > 1 ||
		n->seated + n->spares == 1)
		return 0;
	if (n->by_env) {
		n->seated = 1;
		n->spares = 0;
		return 0;
	}
	if (m->workers_from)
		return -EINVAL;
	n->at_first = 2;
	if (n->seated < 2)
		n->seated = 2;
	return 0;
}

/*
 * What is held in reserve beside those that run at first. A configured number of these is not to be
 * above workers_max, any other gives way to it, but for one of the environment, which beats both.
 * Returns 0 or -EINVAL.
 */
static int choose_reserve(struct filchi_making *m, struct numbers *n, uint32_t limit)
{
	const struct filchi_place_request *request = m->request;
	int error;

	n->seated = request->workers_max ? request->workers_max : n->at_first;
	n->spares = request->spares;
	if (n->seated > limit || n->spares > FILCHI_WORKERS_MAX)
		return -EINVAL;
	if (n->at_first > n->seated) {
		if (n->by_env)
			n->seated = n->at_first;
		else if (m->workers_from)
			return -EINVAL;
		n->at_first = smaller(n->at_first, n->seated);
	}
	error = beside_caller(m, n);
	if (error || n->spares > FILCHI_WORKERS_MAX - n->seated)
		return -EINVAL;
	m->plan->at_first = n->at_first;
	m->plan->seated = n->seated;
	m->plan->workers = n->seated + n->spares;
	return 0;
}

/* Step 4: how many workers. Returns 0 or -EINVAL: the request asks for too many. */
static int choose_workers(struct filchi_making *m)
{
	bool over = m->request->flags & FILCH_POOL_OVERSUBSCRIBE;
	uint32_t limit = over ? FILCHI_WORKERS_MAX : m->plan->usable;
	struct numbers n = { .at_first = m->request->workers };

	(void)filchi_env_switch(FILCHI_ENV_SERIAL, &m->plan->is_serial, m->complaints);
	if (m->plan->is_serial) {
		m->workers_from = filchi_env_name(FILCHI_ENV_SERIAL);
		m->plan->at_first = m->plan->seated = m->plan->workers = 1;
		return 0;
	}
	m->workers_from = "the configuration";
	n.by_env = filchi_env_number(FILCHI_ENV_WORKERS, limit, &n.at_first, m->complaints);
	if (n.by_env)
		m->workers_from = filchi_env_name(FILCHI_ENV_WORKERS);
	if (n.at_first > limit)
		return -EINVAL;
	if (!n.at_first) {
		m->workers_from = NULL;
		n.by_env = false;
		n.at_first = automatic(m);
	}
	return choose_reserve(m, &n, limit);
}

/* Whether @flag is on, by the request or by the environment; from which is noted. */
static bool is_on(struct filchi_making *m, uint64_t flag, enum filchi_variable variable)
{
	bool on = m->request->flags & flag;
	const char *from = "the configuration";

	if (filchi_env_switch(variable, &on, m->complaints))
		from = filchi_env_name(variable);
	if (on)
		m->pin_from = from;
	return on;
}

/* Step 5: where workers may run. */
static int choose_binding(struct filchi_making *m)
{
	struct filchi_plan *plan = m->plan;

	if (is_on(m, FILCH_POOL_NO_PIN, FILCHI_ENV_NO_PIN))
		plan->binding = FILCHI_BIND_NONE;
	else if (is_on(m, FILCH_POOL_PIN, FILCHI_ENV_PIN))
		plan->binding = FILCHI_BIND_CPU;
	else if (plan->quota < m->candidates)
		plan->binding = FILCHI_BIND_SET;
	else
		plan->binding = FILCHI_BIND_SEAT;
	plan->pin = plan->binding == FILCHI_BIND_SEAT || plan->binding == FILCHI_BIND_CPU;
	plan->simulated = m->topology->simulated;
	return 0;
}

/* The core that worker @w sits on; one that is near nobody, if it sits nowhere. */
static const struct filchi_core *core_of(const struct filchi_making *m, uint32_t w)
{
	static const struct filchi_core nowhere = {
		.group = { -1, -1, -1, -1, -1, 0 },
		.size = { 0, 0, 0, 0, 0, 1 },
	};

	return m->plan->seat[w].core < 0 ? &nowhere : &m->topology->core[m->plan->seat[w].core];
}

/* Step 7: plan->order and its tiers. Returns 0 or -ENOMEM. */
static int choose_order(struct filchi_making *m)
{
	const struct filchi_core **core = calloc(m->plan->workers, sizeof(*core));
	int error = -ENOMEM;

	for (uint32_t w = 0; core && w < m->plan->workers; w++)
		core[w] = core_of(m, w);
	if (core)
		error = filchi_order_make(m->plan, core);
	free(core);
	return error;
}

/* Step 0: the empty plan, the mask it is made under, and the machine. */
static int look_around(struct filchi_making *m)
{
	int error;

	if (m->request->workload != FILCH_WORKLOAD_CPU && m->request->workload != FILCH_WORKLOAD_IO)
		return -EINVAL;
	m->plan = calloc(1, sizeof(*m->plan));
	m->complaints = open_memstream(&m->complaint, &m->complaint_size);
	if (!m->plan || !m->complaints)
		return -ENOMEM;
	error = filchi_pin_mask(&m->plan->affinity, &m->plan->widen);
	if (!error && m->request->of_process)
		filchi_pin_add_process(&m->plan->affinity, &m->plan->widen);
	return error ? error : filchi_topology_get(&m->plan->affinity, &m->topology);
}

int filchi_plan_make_in(const struct filchi_place_request *request,
	const struct filchi_surroundings *where, struct filchi_plan **plan)
{
	static int (*const step[])(struct filchi_making * m) = { look_around, choose_cpus,
		choose_candidates, choose_usable, choose_workers, choose_binding,
		filchi_seats_choose, choose_order, filchi_reasons_write };
	struct filchi_making m = { .request = request, .where = where };
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(step) / sizeof(*step); i++)
		error = step[i](&m);
	if (m.complaints)
		(void)fclose(m.complaints); /* written out, or the plan has failed */
	free(m.complaint);
	free(m.candidate);
	free(m.loads);
	filchi_topology_put(m.topology);
	if (error)
		filchi_plan_free(m.plan);
	else
		*plan = m.plan;
	return error;
}

int filchi_plan_make(const struct filchi_place_request *request, struct filchi_plan **plan)
{
	return filchi_plan_make_in(request, NULL, plan);
}

void filchi_plan_settled(struct filchi_plan *plan)
{
	if (plan->holds)
		filchi_seats_let_go();
	plan->holds = false;
}

void filchi_plan_free(struct filchi_plan *plan)
{
	if (!plan)
		return;
	if (filchi_this_thread.plan == plan)
		filchi_this_thread.plan = NULL;
	filchi_plan_settled(plan);
	if (plan->taken) {
		filchi_seats_lock();
		for (uint32_t w = 0; w < plan->at_first; w++)
			filchi_seats_give_back((uint32_t)plan->seat[w].pu);
		filchi_seats_unlock();
	}
	free(plan->mask);
	free(plan->mask_of);
	free(plan->seat);
	free(plan->by_pu);
	free(plan->order);
	free(plan->tier_end);
	free(plan->tier_level);
	free(plan->tiers);
	free(plan->reasons);
	free(plan);
}
