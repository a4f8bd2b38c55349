/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: why a plan is as it is, from what its steps left. See placement.h. The line that
 * decided comes first.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/placement_making.h"

#include <errno.h>
#include <filch/pool.h>
#include <stdlib.h>
#include <string.h>

/* "1 core", "2 cores". */
static void amount(FILE *out, uint32_t n, const char *what)
{
	fprintf(out, "%u %s%s", n, what, n == 1 ? "" : "s");
}

/* The first reason: the limit that decided plan->usable. */
static void write_decision(const struct filchi_making *m, FILE *out)
{
	const struct filchi_topology *t = m->topology;
	bool smt = m->request->flags & FILCH_POOL_USE_SMT;
	uint32_t all = smt ? t->cpus : t->cores;

	fputs("usable: ", out);
	if (m->plan->usable < all)
		fprintf(out, "%u of ", m->plan->usable);
	amount(out, all, smt ? "CPU" : "core");
	fputs(": ", out);
	if (m->quota < m->candidates)
		fprintf(out, "%s\n", m->budget.reason);
	else if (m->plan->usable < m->candidates)
		fprintf(out, "a pool has at most %u workers\n", FILCHI_WORKERS_MAX);
	else if (m->chosen_cpus < m->masked_cpus &&
		 m->candidates < (smt ? m->masked_cpus : m->masked_cores))
		fprintf(out, "cpuset of %s\n", m->cpuset_from);
	else if (m->masked_cpus < t->machine_cpus)
		fprintf(out, "affinity mask allows %u of %u CPUs\n", m->masked_cpus,
			t->machine_cpus);
	else
		fputs("all that the machine has\n", out);
}

/* "1 core", "2 cores", after a comma; nothing where there are none. */
static void more(FILE *out, uint32_t n, const char *what)
{
	if (!n)
		return;
	fputs(", ", out);
	amount(out, n, what);
}

/* What the machine is. */
static void write_machine(const struct filchi_making *m, FILE *out)
{
	const struct filchi_topology *t = m->topology;

	fputs(t->simulated ? "machine: simulated: " : "machine: ", out);
	amount(out, t->machine_cpus, "CPU");
	if (t->cpus < t->machine_cpus) {
		/* what lies outside of the mask is not looked at */
		fputs("; under the affinity mask ", out);
		amount(out, t->cpus, "CPU");
	}
	if (!t->without_cores) {
		fputs(" on ", out);
		amount(out, t->cores, "core");
	}
	more(out, t->packages, "package");
	more(out, t->nodes, "NUMA node");
	if (t->fallback)
		fprintf(out, "; %s: the affinity mask is all that is known", t->fallback);
	if (t->without_cores)
		fputs("; no cores are described: each CPU is taken for one", out);
	fputc('\n', out);
}

/* Which part of the machine may be used: the mask. */
static void write_mask(const struct filchi_making *m, FILE *out)
{
	const struct filchi_topology *t = m->topology;
	const struct filchi_cpuset *given = m->where ? m->where->affinity : NULL;

	if (m->masked_cpus < t->machine_cpus) {
		struct filchi_cpuset masked = t->simulated ? *given : m->plan->affinity;

		fprintf(out, "affinity mask: %u of %u CPUs: ", m->masked_cpus, t->machine_cpus);
		if (!t->simulated && given)
			filchi_cpuset_and(&masked, given);
		filchi_cpuset_print(&masked, out);
		fputc('\n', out);
	} else if (t->simulated && !given) {
		fputs("affinity mask: not applied to a simulated machine\n", out);
	} else {
		fprintf(out, "affinity mask: all %u CPUs\n", t->machine_cpus);
	}
	if (m->plan->widen)
		fputs("affinity mask: that of the creating worker's own pool\n", out);
}

static void write_cpuset(const struct filchi_making *m, FILE *out)
{
	if (!m->cpuset_from)
		return;
	fputs("cpuset: ", out);
	filchi_cpuset_print(&m->cpuset, out);
	fprintf(out, " from %s leaves %u of %u CPUs\n", m->cpuset_from, m->chosen_cpus,
		m->masked_cpus);
}

static void write_smt(const struct filchi_making *m, FILE *out)
{
	if (m->chosen_cpus == m->chosen_cores)
		return;
	fputs("SMT: ", out);
	if (m->candidates > m->chosen_cores) {
		fputs("siblings are used\n", out);
		return;
	}
	amount(out, m->chosen_cpus - m->chosen_cores, "sibling CPU");
	fputs(" unused\n", out);
}

/* The fastest kind that is slower than @kind, and on how many cores it is; false: there is none. */
static bool next_kind(const struct filchi_making *m, int32_t *kind, uint32_t *cores)
{
	int32_t next = INT32_MIN;

	for (uint32_t i = 0; i < m->candidates; i++)
		if (m->candidate[i].kind < *kind && m->candidate[i].kind > next)
			next = m->candidate[i].kind;
	*kind = next;
	*cores = 0;
	for (uint32_t i = 0; i < m->candidates; i++)
		*cores += m->candidate[i].kind == next && !m->candidate[i].sibling;
	return next != INT32_MIN;
}

/* The kinds of cores, where there are several. */
static void write_kinds(const struct filchi_making *m, FILE *out)
{
	int32_t kind = INT32_MAX;
	uint32_t kinds = 0, cores;

	while (next_kind(m, &kind, &cores) && (kinds || cores != m->chosen_cores)) {
		fputs(kinds++ ? ", " : "hybrid: fast cores first: ", out);
		amount(out, cores, "core");
		if (kind < 0)
			fputs(" of unknown kind", out);
		else
			fprintf(out, " of kind %d", kind);
	}
	if (kinds)
		fputc('\n', out);
}

/* How many workers, and whether they are pinned. */
static void write_workers(const struct filchi_making *m, FILE *out)
{
	const struct filchi_place_request *request = m->request;
	const struct filchi_plan *plan = m->plan;

	fprintf(out, "workers: %u ", plan->at_first);
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
	if (plan->seated > m->candidates) {
		fprintf(out, "oversubscribed: %u workers share ", plan->seated);
		amount(out, m->candidates, "seat");
		fputc('\n', out);
	} else if (plan->seated > plan->usable) {
		fprintf(out, "oversubscribed: %u workers on %u usable\n", plan->seated,
			plan->usable);
	}
}

/* Workers @first to those before @end. */
static void numbers(FILE *out, uint32_t first, uint32_t end)
{
	fprintf(out, end - first == 1 ? "worker %u" : "workers %u to %u", first, end - 1);
}

/* Those that do not run from the start, and when they do. */
static void write_reserve(const struct filchi_making *m, FILE *out)
{
	const struct filchi_plan *plan = m->plan;

	if (m->request->flags & FILCH_POOL_FOLLOW_QUOTA)
		fputs("quota: followed: as many workers run as it allows\n", out);
	if (plan->seated > plan->at_first) {
		fputs("reserve: ", out);
		numbers(out, plan->at_first, plan->seated);
		fputs(", when the pool is resized\n", out);
	}
	if (plan->workers > plan->seated) {
		fputs("spares: ", out);
		numbers(out, plan->seated, plan->workers);
		fputs(", while others block, on all CPUs that may be used\n", out);
	}
}

/* What the workers' masks are. */
static void write_pinning(const struct filchi_making *m, FILE *out)
{
	switch (m->plan->binding) {
	case FILCHI_BIND_NONE:
		fprintf(out, "pinning: off by %s\n", m->pin_from);
		break;
	case FILCHI_BIND_SET:
		fputs("pinning: none: a quota says how much, and not where: workers run on all "
		      "CPUs that may be used\n",
			out);
		break;
	case FILCHI_BIND_SEAT:
		fputs("pinning: each worker to one CPU; it gives way to those around while it has "
		      "to wait\n",
			out);
		break;
	case FILCHI_BIND_CPU:
		fprintf(out, "pinning: each worker to one CPU, always, by %s\n", m->pin_from);
		break;
	}
}

/* Which seats were left to others. */
static void write_loads(const struct filchi_making *m, FILE *out)
{
	const struct filchi_loads *loads = m->loads;

	if (loads && (loads->ours || loads->others))
		fprintf(out,
			"seats: least used cores first, beside %u workers of this process and %u "
			"threads of others\n",
			loads->ours, loads->others);
}

int filchi_reasons_write(struct filchi_making *m)
{
	size_t size;
	FILE *out;
	bool failed;

	if (fflush(m->complaints) || ferror(m->complaints))
		return -ENOMEM;
	out = open_memstream(&m->plan->reasons, &size);
	if (!out)
		return -ENOMEM;
	write_decision(m, out);
	write_machine(m, out);
	write_mask(m, out);
	write_cpuset(m, out);
	if (m->budget.milli)
		fprintf(out, "quota: %llu.%03llu CPUs: %s\n",
			(unsigned long long)(m->budget.milli / 1000),
			(unsigned long long)(m->budget.milli % 1000), m->budget.reason);
	else
		fprintf(out, "quota: %s\n", m->budget.reason);
	write_smt(m, out);
	write_kinds(m, out);
	write_workers(m, out);
	write_reserve(m, out);
	if (m->plan->simulated && m->plan->pin)
		fputs("pinning: none on a simulated machine\n", out);
	else
		write_pinning(m, out);
	write_loads(m, out);
	fputs(m->complaint, out);
	failed = ferror(out);
	return fclose(out) || failed || !m->plan->reasons ? -ENOMEM : 0;
}
