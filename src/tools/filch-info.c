/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch-info: prints the plan that a pool created here, with the options given, would have: how many workers, on which CPUs,
 * in which order they steal, and the reason for each of these. Creates no pool and pins nothing.
 *
 * It obeys what a pool obeys: the affinity mask (taskset -c 1 filch-info), the cgroup quota, FILCH_WORKERS, FILCH_CPUSET,
 * FILCH_NO_PIN; HWLOC_SYNTHETIC and HWLOC_XMLFILE show another machine's plan. --proc and --sys read the quota from a copy of
 * these trees instead.
 *
 * Exit status: 0 the plan was printed; 1 there is no such plan, or the output failed; 2 the options were wrong.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include "placement.h"

#include <errno.h>
#include <filch/pool.h>
#include <filch/version.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_code {
	OPT_WORKERS = 1,
	OPT_WORKLOAD,
	OPT_RESERVE,
	OPT_CPUSET,
	OPT_NO_PIN,
	OPT_OVERSUBSCRIBE,
	OPT_USE_SMT,
	OPT_JSON,
	OPT_PROC,
	OPT_SYS,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option options[] = {
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "workload", required_argument, NULL, OPT_WORKLOAD },
	{ "reserve-cores", required_argument, NULL, OPT_RESERVE },
	{ "cpuset", required_argument, NULL, OPT_CPUSET },
	{ "no-pin", no_argument, NULL, OPT_NO_PIN },
	{ "oversubscribe", no_argument, NULL, OPT_OVERSUBSCRIBE },
	{ "use-smt", no_argument, NULL, OPT_USE_SMT },
	{ "json", no_argument, NULL, OPT_JSON },
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
	      "  --workload cpu|io    io: one worker fewer\n"
	      "  --reserve-cores N    cores to leave free\n"
	      "  --cpuset LIST        only these CPUs: 0-3,8\n"
	      "  --no-pin             leave the threads where the system puts them\n"
	      "  --oversubscribe      allow more workers than usable cores\n"
	      "  --use-smt            a worker per hardware thread, not per core\n"
	      "  --json               for programs\n"
	      "  --proc DIR           read cgroup membership and mounts from DIR instead of /proc\n"
	      "  --sys DIR            read cgroup limits from DIR instead of /sys\n"
	      "  --help, --version\n"
	      "Environment: FILCH_WORKERS, FILCH_CPUSET, FILCH_NO_PIN; HWLOC_SYNTHETIC, HWLOC_XMLFILE.\n",
		out);
}

/* Reads a whole decimal number below 2^32. */
static bool parse_number(const char *text, uint32_t *value)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	if (*end || errno || v > UINT32_MAX)
		return false;
	*value = (uint32_t)v;
	return true;
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
		err == -EINVAL ? "more workers than are usable (see --oversubscribe), or a cpuset that leaves no CPU"
			       : strerror(-err));
	return 1;
}

int main(int argc, char **argv)
{
	struct filchi_place_request request = { 0 };
	struct filchi_surroundings where = { { NULL, NULL }, NULL };
	struct filchi_cpuset set;
	struct filchi_plan *plan;
	int format = FILCH_TEXT, code, err;

	while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (code) {
		case OPT_WORKERS:
			if (!parse_number(optarg, &request.workers))
				return wrong("--workers", optarg);
			break;
		case OPT_WORKLOAD:
			if (strcmp(optarg, "cpu") && strcmp(optarg, "io"))
				return wrong("--workload", optarg);
			request.workload = strcmp(optarg, "io") ? FILCH_WORKLOAD_CPU : FILCH_WORKLOAD_IO;
			break;
		case OPT_RESERVE:
			if (!parse_number(optarg, &request.reserve_cores))
				return wrong("--reserve-cores", optarg);
			break;
		case OPT_CPUSET:
			if (filchi_cpuset_parse(optarg, &set))
				return wrong("--cpuset", optarg);
			request.cpuset = optarg;
			break;
		case OPT_NO_PIN:
			request.flags |= FILCH_POOL_NO_PIN;
			break;
		case OPT_OVERSUBSCRIBE:
			request.flags |= FILCH_POOL_OVERSUBSCRIBE;
			break;
		case OPT_USE_SMT:
			request.flags |= FILCH_POOL_USE_SMT;
			break;
		case OPT_JSON:
			format = FILCH_JSON;
			break;
		case OPT_PROC:
			where.roots.proc = optarg;
			break;
		case OPT_SYS:
			where.roots.sys = optarg;
			break;
		case OPT_HELP:
			usage(stdout);
			return fflush(stdout) ? 1 : 0;
		case OPT_VERSION:
			printf("filch-info %s\n", FILCH_VERSION_STRING);
			return fflush(stdout) ? 1 : 0;
		default: /* getopt_long has said what it did not understand */
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc)
		return wrong("argument", argv[optind]);
	err = filchi_plan_make_in(&request, &where, &plan);
	if (err)
		return failed(err);
	err = filchi_plan_write(plan, stdout, format, NULL);
	filchi_plan_free(plan);
	if (err || fflush(stdout)) {
		fprintf(stderr, "filch-info: the output could not be written\n");
		return 1;
	}
	return 0;
}
