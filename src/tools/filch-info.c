/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch-info: prints the plan that a pool created here would have, with the options given. That is
 * how many workers, on which CPUs, in which order they steal, and the reason for each of these.
 * Creates no pool and pins nothing.
 *
 * It obeys what a pool obeys: the affinity mask (taskset -c 1 filch-info), the cgroup quota,
 * FILCH_WORKERS, FILCH_CPUSET, FILCH_NO_PIN, FILCH_PIN. HWLOC_SYNTHETIC and HWLOC_XMLFILE show
 * another machine's plan. --proc and --sys read the quota from a copy of these trees instead.
 *
 * With --pid or --running it tells of pools that are live in other processes of the same user, from
 * their pages (pool/live.c).
 *
 * Exit status: 0 the plan was printed; 1 there is no such plan or process, or the output failed; 2
 * the options were wrong.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/placement.h"

#include <errno.h>
#include <filch/pool.h>
#include <filch/version.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/environment.h"
#include "base/number.h"
#include "tools/live_print.h"

enum option_code {
	OPT_WORKERS = 1,
	OPT_WORKERS_MAX,
	OPT_SPARES,
	OPT_WORKLOAD,
	OPT_RESERVE,
	OPT_CPUSET,
	OPT_NO_PIN,
	OPT_PIN,
	OPT_OVERSUBSCRIBE,
	OPT_USE_SMT,
	OPT_JSON,
	OPT_PID,
	OPT_RUNNING,
	OPT_PROC,
	OPT_SYS,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option options[] = {
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "workers-max", required_argument, NULL, OPT_WORKERS_MAX },
	{ "spares", required_argument, NULL, OPT_SPARES },
	{ "workload", required_argument, NULL, OPT_WORKLOAD },
	{ "reserve-cores", required_argument, NULL, OPT_RESERVE },
	{ "cpuset", required_argument, NULL, OPT_CPUSET },
	{ "no-pin", no_argument, NULL, OPT_NO_PIN },
	{ "pin", no_argument, NULL, OPT_PIN },
	{ "oversubscribe", no_argument, NULL, OPT_OVERSUBSCRIBE },
	{ "use-smt", no_argument, NULL, OPT_USE_SMT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "pid", required_argument, NULL, OPT_PID },
	{ "running", no_argument, NULL, OPT_RUNNING },
	{ "proc", required_argument, NULL, OPT_PROC },
	{ "sys", required_argument, NULL, OPT_SYS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *out)
{
	fputs("usage: filch-info [option...]\n"
	      "Prints which workers a filch pool would have here, on which CPUs, and why.\n"
	      "  --workers N          as in struct filch_config; 0: automatic\n"
	      "  --workers-max N      so many when it is resized\n"
	      "  --spares N           so many more while jobs block\n"
	      "  --workload cpu|io    io: one worker fewer\n"
	      "  --reserve-cores N    cores to leave free\n"
	      "  --cpuset LIST        only these CPUs: 0-3,8\n"
	      "  --no-pin             leave the threads where the system puts them\n"
	      "  --pin                workers stay on their CPUs, whatever else runs there\n"
	      "  --oversubscribe      allow more workers than usable cores\n"
	      "  --use-smt            a worker per hardware thread, not per core\n"
	      "  --pid N              instead: live pools of this process, where their workers\n"
	      "                       sit, why, and what has changed\n"
	      "  --running            instead: which processes of yours have live pools\n"
	      "  --json               for programs\n"
	      "  --proc DIR           read cgroup membership and mounts from DIR instead of /proc\n"
	      "  --sys DIR            read cgroup limits from DIR instead of /sys\n"
	      "  --help, --version\n",
		out);
	fprintf(out, "Environment: %s, %s, %s, %s; HWLOC_SYNTHETIC, HWLOC_XMLFILE.\n",
		filchi_env_name(FILCHI_ENV_WORKERS), filchi_env_name(FILCHI_ENV_CPUSET),
		filchi_env_name(FILCHI_ENV_NO_PIN), filchi_env_name(FILCHI_ENV_PIN));
}

/* Says what is wrong with @value, and how it is done. */
static int wrong(const char *option, const char *value)
{
	fprintf(stderr, "filch-info: %s: '%s' is not valid\n", option, value);
	usage(stderr);
	return 2;
}

/* Says why there is no plan. */
static int failed(int err)
{
	fprintf(stderr, "filch-info: no such plan: %s\n",
		err == -EINVAL ? "more workers than are usable (see --oversubscribe), "
				 "or a cpuset that leaves no CPU"
			       : strerror(-err));
	return 1;
}

/* What is asked for. */
struct asked {
	struct filchi_place_request request;
	struct filchi_surroundings where;
	int format;
	uint32_t pid; /* 0 = a plan is asked for, or: */
	bool running;
};

static bool take_workload(const char *text, uint32_t *workload)
{
	*workload = strcmp(text, "io") ? FILCH_WORKLOAD_CPU : FILCH_WORKLOAD_IO;
	return !strcmp(text, "cpu") || !strcmp(text, "io");
}

static bool take_cpuset(const char *text, const char **cpuset)
{
	struct filchi_cpuset set;

	*cpuset = text;
	return !filchi_cpuset_parse(text, &set);
}

/* An option that has a value; false if that is not valid. */
static bool take_value(struct asked *a, int code, const char *value)
{
	switch (code) {
	case OPT_WORKERS:
		return filchi_number_is(value, UINT32_MAX, &a->request.workers);
	case OPT_WORKERS_MAX:
		return filchi_number_is(value, UINT32_MAX, &a->request.workers_max);
	case OPT_SPARES:
		return filchi_number_is(value, UINT32_MAX, &a->request.spares);
	case OPT_WORKLOAD:
		return take_workload(value, &a->request.workload);
	case OPT_RESERVE:
		return filchi_number_is(value, UINT32_MAX, &a->request.reserve_cores);
	case OPT_CPUSET:
		return take_cpuset(value, &a->request.cpuset);
	case OPT_PID:
		return filchi_number_is(value, INT32_MAX, &a->pid) && a->pid;
	case OPT_PROC:
		a->where.roots.proc = value;
		return true;
	default: /* OPT_SYS */
		a->where.roots.sys = value;
		return true;
	}
}

/* An option without a value. */
static void take_switch(struct asked *a, int code)
{
	switch (code) {
	case OPT_NO_PIN:
		a->request.flags |= FILCH_POOL_NO_PIN;
		break;
	case OPT_PIN:
		a->request.flags |= FILCH_POOL_PIN;
		break;
	case OPT_OVERSUBSCRIBE:
		a->request.flags |= FILCH_POOL_OVERSUBSCRIBE;
		break;
	case OPT_USE_SMT:
		a->request.flags |= FILCH_POOL_USE_SMT;
		break;
	case OPT_RUNNING:
		a->running = true;
		break;
	default: /* OPT_JSON */
		a->format = FILCH_JSON;
	}
}

/* Reads all options. Returns -1 to go on, or the exit status. */
static int read_options(int argc, char **argv, struct asked *a)
{
	int code, index;

	while ((code = getopt_long(argc, argv, "", options, &index)) != -1) {
		char option[24];

		if (code == OPT_HELP) {
			usage(stdout);
			return fflush(stdout) ? 1 : 0;
		}
		if (code == OPT_VERSION) {
			printf("filch-info %s\n", FILCH_VERSION_STRING);
			return fflush(stdout) ? 1 : 0;
		}
		if (code == '?') { /* getopt_long has said what it did not understand */
			usage(stderr);
			return 2;
		}
		snprintf(option, sizeof option, "--%s", options[index].name);
		if (!optarg)
			take_switch(a, code);
		else if (!take_value(a, code, optarg))
			return wrong(option, optarg);
	}
	return optind < argc ? wrong("argument", argv[optind]) : -1;
}

static void write_running(const struct live_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct live_process *p = &list->process[i];

		live_title(p, stdout);
		fputc('\n', stdout);
		for (uint32_t j = 0; j < p->header->pools; j++)
			printf("  pool %llu \"%s\", %u workers\n",
				(unsigned long long)p->pool[j]->number, p->pool[j]->name,
				p->pool[j]->allowed);
	}
	if (!list->count)
		printf("no live pool: start the program with %s=1\n",
			filchi_env_name(FILCHI_ENV_LIVE));
}

/* What live processes tell: the exit status. */
static int tell_live(const struct asked *a)
{
	struct live_list list;
	bool missing;
	int error = live_read(&list, NULL, a->pid);

	missing = a->pid && !list.count;
	if (list.why[0])
		fprintf(stderr, "filch-info: %s\n", list.why);
	if (missing && !error)
		fprintf(stderr, "filch-info: process %u has no live pool, or is not yours\n",
			a->pid);
	if (!error && !missing) {
		if (a->pid)
			live_write_seats(&list.process[0], a->format == FILCH_JSON, stdout);
		else if (a->format == FILCH_JSON)
			live_write_json(&list, stdout);
		else
			write_running(&list);
	}
	live_free(&list);
	if (ferror(stdout) || fflush(stdout)) {
		fprintf(stderr, "filch-info: the output could not be written\n");
		return 1;
	}
	return error || missing ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct asked a = { .format = FILCH_TEXT };
	struct filchi_plan *plan;
	int err = read_options(argc, argv, &a);

	if (err >= 0)
		return err;
	if (a.pid || a.running)
		return tell_live(&a);
	err = filchi_plan_make_in(&a.request, &a.where, &plan);
	if (err)
		return failed(err);
	err = filchi_plan_write(plan, stdout, a.format, NULL);
	filchi_plan_free(plan);
	if (err || fflush(stdout)) {
		fprintf(stderr, "filch-info: the output could not be written\n");
		return 1;
	}
	return 0;
}
