/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: see placement.h for the rules. This file applies them; placement_write.c prints the result,
 * placement_pin.c carries it out.
 *
 * A plan is made in steps, each a function on one scratch structure: which CPUs (choose_cpus), which seats in which order
 * (choose_slots), how many workers (choose_workers), who sits where (fill_seats), who is near whom (fill_order). Reasons are
 * written last, from what the steps left, so that the line that decided comes first; only complaints are collected on the way.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include "placement.h"

#include <errno.h>
#include <filch/pool.h>
#include <stdlib.h>
#include <string.h>

/* A place for one worker: a CPU of a core. */
struct slot {
	uint32_t cpu, core;
	uint32_t sibling; /* 0: the first CPU of its core that we may use */
	int32_t kind;
	bool reserved; /* on a core to be left free */
};

struct making {
	const struct filchi_place_request *request;
	const struct filchi_surroundings *where;
	const struct filchi_topology *topology;
	struct filchi_plan *plan;
	FILE *complaints;
	const char *cpuset_from;   /* who named the cpuset, or NULL */
	const char *workers_from;  /* who named the workers, or NULL: automatic */
	const char *pin_from;      /* who switched pinning off, or NULL */
	struct filchi_cpuset cpus; /* what may be used */
	struct filchi_cpuset cpuset;
	uint32_t masked_cpus, masked_cores; /* after the mask, before the cpuset */
	uint32_t chosen_cpus, chosen_cores; /* after the cpuset */
	struct slot *slot;
	uint32_t slots, free_slots; /* free: not reserved */
	struct filchi_budget budget;
	uint32_t quota; /* whole CPUs, at least 1; UINT32_MAX without a quota */
};

/* Prints @text from the environment, made printable and short, in quotes. */
static void quote(const char *text, FILE *out)
{
	fputc('"', out);
	for (size_t i = 0; text[i]; i++) {
		if (i == 40) {
			fputs("...", out);
			break;
		}
		fputc(text[i] >= ' ' && text[i] < 127 && text[i] != '"' ? text[i] : '?', out);
	}
	fputc('"', out);
}

/* Says that @name of the environment is ignored, and why. */
static void ignored(struct making *m, const char *name, const char *value, const char *why)
{
	fprintf(m->complaints, "ignored: %s=", name);
	quote(value, m->complaints);
	fprintf(m->complaints, ": %s\n", why);
}

/* Counts the CPUs of the machine that are in @set, and the cores they are on. */
static void count(const struct filchi_topology *t, const struct filchi_cpuset *set, uint32_t *cpus, uint32_t *cores)
{
	*cpus = *cores = 0;
	for (uint32_t c = 0; c < t->cores; c++) {
		uint32_t before = *cpus;

		for (uint32_t i = 0; i < t->core[c].cpus; i++)
			*cpus += filchi_cpuset_has(set, t->cpu[t->core[c].first_cpu + i]);
		*cores += *cpus != before;
	}
}

/* Narrows m->cpus to @text if that is a cpuset that leaves any. Returns NULL, or what is wrong with it. */
static const char *narrow(struct making *m, const char *text, const char *from)
{
	struct filchi_cpuset set, both = m->cpus;

	if (filchi_cpuset_parse(text, &set))
		return "not a list of CPUs like 0-3,8";
	filchi_cpuset_and(&both, &set);
	if (!filchi_cpuset_count(&both))
		return "none of these CPUs may be used";
	m->cpus = both;
	m->cpuset = set;
	m->cpuset_from = from;
	return NULL;
}

/*
 * Step 1: m->cpus, from the machine, the mask and a cpuset. Returns 0, -EINVAL (the request's cpuset) or -EIO (no CPU).
 */
static int choose_cpus(struct making *m)
{
	const struct filchi_topology *t = m->topology;
	const char *env = secure_getenv("FILCH_CPUSET");
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
		const char *wrong = narrow(m, env, "FILCH_CPUSET");

		if (wrong)
			ignored(m, "FILCH_CPUSET", env, wrong);
	}
	if (!m->cpuset_from && m->request->cpuset && narrow(m, m->request->cpuset, "the configuration"))
		return -EINVAL;
	count(t, &m->cpus, &m->chosen_cpus, &m->chosen_cores);
	return 0;
}

/* The order in which slots are given out; placement.h has the rule. Total, so that sorting is deterministic. */
static int by_preference(const void *left, const void *right)
{
	const struct slot *a = left, *b = right;

	if (a->reserved != b->reserved)
		return a->reserved ? 1 : -1;
	if (a->sibling != b->sibling)
		return a->sibling < b->sibling ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind > b->kind ? -1 : 1;
	if (a->core != b->core)
		return a->core < b->core ? -1 : 1;
	return a->cpu < b->cpu ? -1 : a->cpu > b->cpu;
}

/* Step 2: m->slot, sorted, with the cores to be left free at the end. Returns 0 or -ENOMEM. */
static int choose_slots(struct making *m)
{
	const struct filchi_topology *t = m->topology;
	bool smt = m->request->flags & FILCH_POOL_USE_SMT;
	uint32_t reserve = m->request->reserve_cores;

	m->slot = calloc(m->chosen_cpus, sizeof(*m->slot));
	if (!m->slot)
		return -ENOMEM;
	for (uint32_t c = 0; c < t->cores; c++) {
		uint32_t sibling = 0;

		for (uint32_t i = 0; i < t->core[c].cpus && (smt || !sibling); i++) {
			uint32_t cpu = t->cpu[t->core[c].first_cpu + i];

			if (filchi_cpuset_has(&m->cpus, cpu))
				m->slot[m->slots++] = (struct slot){ cpu, c, sibling++, t->core[c].kind, false };
		}
	}
	qsort(m->slot, m->slots, sizeof(*m->slot), by_preference);
	/* The first slot of each core now stands among the first chosen_cores: their tail is what reserve_cores takes. */
	if (reserve >= m->chosen_cores)
		reserve = m->chosen_cores - 1;
	for (uint32_t i = m->chosen_cores - reserve; i < m->chosen_cores; i++)
		for (uint32_t s = 0; s < m->slots; s++)
			if (m->slot[s].core == m->slot[i].core)
				m->slot[s].reserved = true;
	qsort(m->slot, m->slots, sizeof(*m->slot), by_preference);
	for (m->free_slots = 0; m->free_slots < m->slots && !m->slot[m->free_slots].reserved;)
		m->free_slots++;
	return 0;
}

/* Reads a decimal number of at most nine digits and nothing else. */
static bool whole_number(const char *text, uint32_t *value)
{
	uint32_t v = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && i < 9; i++)
		v = v * 10 + (uint32_t)(text[i] - '0');
	*value = v;
	return i && !text[i];
}

/* Step 3: plan->usable and plan->workers. Returns 0 or -EINVAL: the request asks for too many. */
static int choose_workers(struct making *m)
{
	const char *env = secure_getenv("FILCH_WORKERS");
	bool over = m->request->flags & FILCH_POOL_OVERSUBSCRIBE;
	uint32_t workers = m->request->workers, limit, asked, spare;

	m->quota = !m->budget.milli                      ? UINT32_MAX
		   : m->budget.milli < 1000              ? 1
		   : m->budget.milli / 1000 < UINT32_MAX ? (uint32_t)(m->budget.milli / 1000)
							 : UINT32_MAX;
	m->plan->usable = m->slots < m->quota ? m->slots : m->quota;
	if (m->plan->usable > FILCHI_WORKERS_MAX)
		m->plan->usable = FILCHI_WORKERS_MAX;
	limit = over ? FILCHI_WORKERS_MAX : m->plan->usable;
	if (workers)
		m->workers_from = "the configuration";
	if (env) {
		if (!whole_number(env, &asked)) {
			ignored(m, "FILCH_WORKERS", env, "not a number");
		} else if (asked > limit) {
			ignored(m, "FILCH_WORKERS", env, over ? "more than a pool can have" : "more than are usable");
		} else {
			workers = asked;
			m->workers_from = "FILCH_WORKERS";
		}
	}
	if (workers > limit)
		return -EINVAL;
	if (!workers) {
		m->workers_from = NULL;
		spare = m->request->reserve_cores;
		workers = m->quota == UINT32_MAX ? m->free_slots : m->quota > spare ? m->quota - spare : 1;
		if (workers > m->free_slots)
			workers = m->free_slots;
		if (workers > m->plan->usable)
			workers = m->plan->usable;
		if (m->request->workload == FILCH_WORKLOAD_IO && workers > 1)
			workers--;
	}
	m->plan->workers = workers;
	return 0;
}

/* Whether workers shall be pinned: the environment, else the request. */
static void choose_pinning(struct making *m)
{
	const char *env = secure_getenv("FILCH_NO_PIN");

	m->plan->simulated = m->topology->simulated;
	m->pin_from = m->request->flags & FILCH_POOL_NO_PIN ? "the configuration" : NULL;
	if (env && !strcmp(env, "1"))
		m->pin_from = "FILCH_NO_PIN";
	else if (env && !strcmp(env, "0"))
		m->pin_from = NULL;
	else if (env)
		ignored(m, "FILCH_NO_PIN", env, "neither 0 nor 1");
	m->plan->pin = !m->pin_from;
}

/* Step 4: plan->seat. Returns 0 or -ENOMEM. */
static int fill_seats(struct making *m)
{
	struct filchi_plan *plan = m->plan;

	plan->seat = calloc(plan->workers, sizeof(*plan->seat));
	if (!plan->seat)
		return -ENOMEM;
	for (uint32_t w = 0; w < plan->workers; w++) {
		const struct slot *slot = &m->slot[w % m->slots];
		const struct filchi_core *core = &m->topology->core[slot->core];

		if (plan->pin)
			plan->seat[w] = (struct filchi_seat){ (int)w, (int)slot->cpu, (int)slot->core, core->node, core->package,
				core->kind };
		else
			plan->seat[w] = (struct filchi_seat){ (int)w, -1, -1, -1, -1, -1 };
		if (plan->seat[w].pu >= (int)plan->pus)
			plan->pus = (uint32_t)plan->seat[w].pu + 1;
	}
	plan->by_pu = calloc(plan->pus + 1, sizeof(*plan->by_pu));
	if (!plan->by_pu)
		return -ENOMEM;
	for (uint32_t w = plan->workers; w--;)
		if (plan->pin)
			plan->by_pu[plan->seat[w].pu] = (uint16_t)(w + 1);
	return 0;
}

/* The groups of @core from the smallest to the machine; of equal ones the first in enum filchi_level. Returns how many. */
static uint32_t levels_of(const struct filchi_core *core, uint8_t level[FILCHI_LEVELS])
{
	uint32_t n = 0;

	for (uint8_t l = 0; l < FILCHI_LEVELS; l++) {
		uint32_t at = n;

		if (core->group[l] < 0)
			continue;
		for (; at && core->size[level[at - 1]] > core->size[l]; at--)
			level[at] = level[at - 1];
		level[at] = l;
		n++;
	}
	return n;
}

/*
 * Step 5: plan->order and its rings: a bucket sort of the others, per worker. Within a ring the order starts behind the
 * worker and goes round, so that no worker is everybody's first. Returns 0 or -ENOMEM.
 */
static int fill_order(struct making *m)
{
	struct filchi_plan *plan = m->plan;
	const uint32_t n = plan->workers;
	static const struct filchi_core nowhere = {
		.group = { -1, -1, -1, -1, -1, 0 },
		.size = { 0, 0, 0, 0, 0, 1 },
	};

	plan->order = calloc((size_t)n * (n - 1) + 1, sizeof(*plan->order));
	plan->ring_end = calloc((size_t)n * FILCHI_RINGS, sizeof(*plan->ring_end));
	plan->ring_level = calloc((size_t)n * FILCHI_RINGS, sizeof(*plan->ring_level));
	plan->rings = calloc(n, sizeof(*plan->rings));
	if (!plan->order || !plan->ring_end || !plan->ring_level || !plan->rings)
		return -ENOMEM;
	for (uint32_t w = 0; w < n; w++) {
		const struct filchi_core *mine = plan->pin ? &m->topology->core[plan->seat[w].core] : &nowhere;
		uint16_t *row = plan->order + (size_t)w * (n - 1);
		uint16_t *end = plan->ring_end + (size_t)w * FILCHI_RINGS;
		uint8_t *name = plan->ring_level + (size_t)w * FILCHI_RINGS;
		uint8_t level[FILCHI_LEVELS], ring[FILCHI_WORKERS_MAX];
		uint32_t levels = levels_of(mine, level), filled = 0;

		for (uint32_t o = 0; o < n; o++) {
			const struct filchi_core *other = plan->pin ? &m->topology->core[plan->seat[o].core] : &nowhere;

			for (ring[o] = 0; ring[o] < levels - 1; ring[o]++)
				if (mine->group[level[ring[o]]] == other->group[level[ring[o]]])
					break;
		}
		for (uint32_t r = 0; r < levels; r++) {
			uint32_t before = filled;

			for (uint32_t i = 1; i < n; i++) {
				uint32_t o = w + i < n ? w + i : w + i - n;

				if (ring[o] == r)
					row[filled++] = (uint16_t)o;
			}
			if (filled == before)
				continue;
			name[plan->rings[w]] = level[r];
			end[plan->rings[w]++] = (uint16_t)filled;
		}
	}
	return 0;
}

/* "1 core", "2 cores". */
static void amount(FILE *out, uint32_t n, const char *what)
{
	fprintf(out, "%u %s%s", n, what, n == 1 ? "" : "s");
}

/* The first reason: the limit that decided plan->usable. */
static void write_decision(const struct making *m, FILE *out)
{
	const struct filchi_topology *t = m->topology;
	bool smt = m->request->flags & FILCH_POOL_USE_SMT;
	uint32_t all = smt ? t->cpus : t->cores;

	fputs("usable: ", out);
	if (m->plan->usable < all)
		fprintf(out, "%u of ", m->plan->usable);
	amount(out, all, smt ? "CPU" : "core");
	fputs(": ", out);
	if (m->quota < m->slots)
		fprintf(out, "%s\n", m->budget.reason);
	else if (m->plan->usable < m->slots)
		fprintf(out, "a pool has at most %u workers\n", FILCHI_WORKERS_MAX);
	else if (m->chosen_cpus < m->masked_cpus && m->slots < (smt ? m->masked_cpus : m->masked_cores))
		fprintf(out, "cpuset of %s\n", m->cpuset_from);
	else if (m->masked_cpus < t->machine_cpus)
		fprintf(out, "affinity mask allows %u of %u CPUs\n", m->masked_cpus, t->machine_cpus);
	else
		fputs("all that the machine has\n", out);
}

/* What the machine is, and which of it may be used. */
static void write_machine(const struct making *m, FILE *out)
{
	const struct filchi_topology *t = m->topology;

	fputs(t->simulated ? "machine: simulated: " : "machine: ", out);
	amount(out, t->cpus, "CPU");
	if (!t->without_cores) {
		fputs(" on ", out);
		amount(out, t->cores, "core");
	}
	if (t->packages) {
		fputs(", ", out);
		amount(out, t->packages, "package");
	}
	if (t->nodes) {
		fputs(", ", out);
		amount(out, t->nodes, "NUMA node");
	}
	if (t->fallback)
		fprintf(out, "; %s: the affinity mask is all that is known", t->fallback);
	if (t->without_cores)
		fputs("; no cores are described: each CPU is taken for one", out);
	fputc('\n', out);
	if (m->masked_cpus < t->machine_cpus) {
		struct filchi_cpuset masked = m->plan->affinity;

		fprintf(out, "affinity mask: %u of %u CPUs: ", m->masked_cpus, t->machine_cpus);
		if (t->simulated)
			masked = *m->where->affinity;
		else if (m->where && m->where->affinity)
			filchi_cpuset_and(&masked, m->where->affinity);
		filchi_cpuset_print(&masked, out);
		fputc('\n', out);
	} else if (t->simulated && !(m->where && m->where->affinity)) {
		fputs("affinity mask: not applied to a simulated machine\n", out);
	} else {
		fprintf(out, "affinity mask: all %u CPUs\n", t->machine_cpus);
	}
	if (m->plan->widen)
		fputs("affinity mask: that of the creating worker's own pool\n", out);
	if (m->cpuset_from) {
		fputs("cpuset: ", out);
		filchi_cpuset_print(&m->cpuset, out);
		fprintf(out, " from %s leaves %u of %u CPUs\n", m->cpuset_from, m->chosen_cpus, m->masked_cpus);
	}
}

/* The cores that were chosen: siblings and kinds. */
static void write_cores(const struct making *m, FILE *out)
{
	int32_t previous = INT32_MAX;
	uint32_t kinds = 0, cores;

	if (m->chosen_cpus > m->chosen_cores && m->slots == m->chosen_cores) {
		fputs("SMT: ", out);
		amount(out, m->chosen_cpus - m->chosen_cores, "sibling CPU");
		fputs(" unused\n", out);
	} else if (m->chosen_cpus > m->chosen_cores) {
		fputs("SMT: siblings are used\n", out);
	}
	for (;;) { /* each round finds the next slower kind */
		int32_t kind = INT32_MIN;

		cores = 0;
		for (uint32_t i = 0; i < m->slots; i++)
			if (m->slot[i].kind < previous && m->slot[i].kind > kind)
				kind = m->slot[i].kind;
		for (uint32_t i = 0; i < m->slots; i++)
			cores += m->slot[i].kind == kind && !m->slot[i].sibling;
		if (kind == INT32_MIN || (!kinds && cores == m->chosen_cores))
			break;
		fputs(kinds++ ? ", " : "hybrid: fast cores first: ", out);
		amount(out, cores, "core");
		if (kind < 0)
			fputs(" of unknown kind", out);
		else
			fprintf(out, " of kind %d", kind);
		previous = kind;
	}
	if (kinds)
		fputc('\n', out);
}

/* How many workers, and whether they are pinned. */
static void write_workers(const struct making *m, FILE *out)
{
	const struct filchi_place_request *request = m->request;
	const struct filchi_plan *plan = m->plan;

	fprintf(out, "workers: %u ", plan->workers);
	if (m->workers_from) {
		fprintf(out, "from %s\n", m->workers_from);
	} else {
		fprintf(out, "of %u usable", plan->usable);
		if (request->reserve_cores) {
			fputs(", ", out);
			amount(out, request->reserve_cores, "core");
			fputs(" to be left free", out);
		}
		if (request->workload == FILCH_WORKLOAD_IO)
			fputs(", one fewer for an I/O workload", out);
		fputc('\n', out);
	}
	if (plan->workers > m->slots) {
		fprintf(out, "oversubscribed: %u workers share ", plan->workers);
		amount(out, m->slots, "seat");
		fputc('\n', out);
	} else if (plan->workers > plan->usable) {
		fprintf(out, "oversubscribed: %u workers on %u usable\n", plan->workers, plan->usable);
	}
	if (m->pin_from)
		fprintf(out, "pinning: off by %s\n", m->pin_from);
	else if (plan->simulated)
		fputs("pinning: none on a simulated machine\n", out);
	else
		fputs("pinning: each worker to one CPU\n", out);
	if (plan->pin && !plan->simulated && m->quota < m->slots)
		fputs("pinning: under a quota other processes may be pinned to the same CPUs; FILCH_NO_PIN=1 leaves the choice "
		      "to the kernel\n",
			out);
}

/* Step 6: plan->reasons; @complaints is what was collected on the way. Returns 0 or -ENOMEM. */
static int write_reasons(const struct making *m, const char *complaints)
{
	size_t size;
	FILE *out = open_memstream(&m->plan->reasons, &size);
	bool lost;

	if (!out)
		return -ENOMEM;
	write_decision(m, out);
	write_machine(m, out);
	if (m->budget.milli)
		fprintf(out, "quota: %llu.%03llu CPUs: %s\n", (unsigned long long)(m->budget.milli / 1000),
			(unsigned long long)(m->budget.milli % 1000), m->budget.reason);
	else
		fprintf(out, "quota: %s\n", m->budget.reason);
	write_cores(m, out);
	write_workers(m, out);
	fputs(complaints, out);
	lost = ferror(out);
	return fclose(out) || lost || !m->plan->reasons ? -ENOMEM : 0;
}

int filchi_plan_make_in(
	const struct filchi_place_request *request, const struct filchi_surroundings *where, struct filchi_plan **plan)
{
	struct making m = { .request = request, .where = where };
	char *complaints = NULL;
	size_t size;
	bool lost;
	int err;

	if (request->workload != FILCH_WORKLOAD_CPU && request->workload != FILCH_WORKLOAD_IO)
		return -EINVAL;
	m.plan = calloc(1, sizeof(*m.plan));
	if (!m.plan)
		return -ENOMEM;
	m.complaints = open_memstream(&complaints, &size);
	err = m.complaints ? filchi_pin_mask(&m.plan->affinity, &m.plan->widen) : -ENOMEM;
	if (!err)
		err = filchi_topology_get(&m.plan->affinity, &m.topology);
	if (!err)
		err = choose_cpus(&m);
	if (!err)
		err = choose_slots(&m);
	if (!err) {
		filchi_budget_read(where ? &where->roots : NULL, &m.budget, m.complaints);
		err = choose_workers(&m);
	}
	if (!err) {
		choose_pinning(&m);
		err = fill_seats(&m);
	}
	if (!err)
		err = fill_order(&m);
	if (m.complaints) {
		lost = ferror(m.complaints);
		if ((fclose(m.complaints) || lost || !complaints) && !err)
			err = -ENOMEM;
	}
	if (!err)
		err = write_reasons(&m, complaints);
	free(complaints);
	free(m.slot);
	filchi_topology_put(m.topology);
	if (err) {
		filchi_plan_free(m.plan);
		return err;
	}
	*plan = m.plan;
	return 0;
}

int filchi_plan_make(const struct filchi_place_request *request, struct filchi_plan **plan)
{
	return filchi_plan_make_in(request, NULL, plan);
}

void filchi_plan_free(struct filchi_plan *plan)
{
	if (!plan)
		return;
	free(plan->seat);
	free(plan->by_pu);
	free(plan->order);
	free(plan->ring_end);
	free(plan->ring_level);
	free(plan->rings);
	free(plan->reasons);
	free(plan);
}
