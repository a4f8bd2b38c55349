/* SPDX-License-Identifier: Apache-2.0 */
/* sim: the command; bench/run --sim. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate.h"
#include "number.h"
#include "sim.h"

struct options {
	const char *work, *workers, *machine, *data;
	double size, leaf, seed, seeds, rounds;
	struct sim_costs costs;
	struct sim_policy policy;
	bool calibrates;
};

static void usage(FILE *out)
{
	(void)fputs(
		"bench/run --sim, or build/release/bench/sim/sim:\n"
		"  --work a,b           names of --list (default fib)\n"
		"  --workers a,b        up to 4096 (default 16,32,64,128,256)\n"
		"  --machine M          auto; AxBxCxD: packages, NUMA nodes, last-level\n"
		"                       caches, cores, each in the one before; here; or a\n"
		"                       file of hwloc (XML)\n"
		"  --size N             of the work\n"
		"  --leaf NS            what a leaf takes (default 1000)\n"
		"  --seed N             of the random choices (default 1)\n"
		"  --seeds N            runs with so many seeds, and means of them (default 5)\n"
		"  --set COST=NS        another cost; several times\n"
		"  --policy NAME        thief-only, shallow, no-park, wake-two, chain;\n"
		"                       several times\n"
		"  --data FILE          the figures for gnuplot, too\n"
		"  --calibrate          beside the real library, with leaves that sleep, and with\n"
		"                       the costs of two cores; --set comes after it\n"
		"  --rounds N           of that (default 9)\n"
		"  --list               work and costs\n"
		"  --help               this text\n",
		out);
}

static void list(void)
{
	const struct {
		const char *name, *meaning;
		uint64_t value;
	} cost[] = {
#define SIM_COST(name, value, meaning) { #name, meaning, value },
		SIM_COSTS_LIST(SIM_COST)
#undef SIM_COST
	};

	(void)puts("work, and its size:");
	sim_work_list(stdout);
	(void)puts("costs, in ns:");
	for (size_t i = 0; i < sizeof(cost) / sizeof(*cost); i++)
		(void)printf("  %-12s %6llu  %s\n", cost[i].name, (unsigned long long)cost[i].value,
			cost[i].meaning);
}

/* Adds up the results of several seeds. */
struct sums {
	double took, ran, all_busy, most_busy, after_steal, after_leaf, fence_max;
	double steals[SIM_DISTANCES], parks, wakes, fences, asked, nesting;
};

static void add(struct sums *s, const struct sim_result *r, double share, double bursts)
{
	s->took += share * (double)r->took / bursts;
	s->ran += share * (double)r->ran / bursts;
	s->all_busy += r->all_busy ? share * (double)r->all_busy : NAN;
	s->most_busy += r->most_busy ? share * (double)r->most_busy : NAN;
	s->after_steal += share * (double)r->after_steal;
	s->after_leaf += share * (double)r->after_leaf;
	s->fence_max += share * (double)r->fence_max;
	for (int d = 0; d < SIM_DISTANCES; d++)
		s->steals[d] += share * (double)r->steals[d] / bursts;
	s->parks += share * (double)r->parks / bursts;
	s->wakes += share * (double)r->wakes / bursts;
	s->fences += share * (double)r->fences / bursts;
	s->asked += share * (double)r->asked / bursts;
	s->nesting += share * r->nesting;
}

static void print_row(FILE *out, const char *format, const struct sim_work *work,
	const struct sim_machine *machine, double workers, const struct sim_amount *amount,
	const struct sums *s)
{
	double jobs = work->jobs, part = (double)amount->work * jobs / workers;

	(void)fprintf(out, format, work->name, (long long)work->size, machine->name, workers,
		part / 1e6, (double)amount->span / 1e6, s->took / 1e6, part / s->took,
		(s->took - part) / (double)amount->span, s->most_busy / 1e6, s->all_busy / 1e6,
		s->after_steal / 1e6, s->after_leaf / 1e6, s->steals[SIM_NEAR],
		s->steals[SIM_MIDDLE], s->steals[SIM_FAR], s->parks, s->wakes, s->fences,
		s->fence_max / 1e6, s->asked, s->nesting);
}

static const char table_head[] =
	"| work | machine | P | T1/P | T_inf | T_P | eff. | c | 9/10 busy | all busy "
	"| after steal | after leaf | steals near, middle, far | parks | wakes | membarriers "
	"| worst wait | slow pushes | nesting |\n"
	"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
static const char table_row[] =
	"| %s(%lld) | %s | %.0f | %.3f | %.3f | %.3f | %.2f | %.2f | %.3f | %.3f "
	"| %.3f | %.3f | %.0f, %.0f, %.0f | %.0f | %.0f | %.0f | %.3f | %.0f | %.0f |\n";
static const char data_head[] =
	"work\tsize\tmachine\tP\tT1/P\tT_inf\tT_P\tefficiency\tc\tmost\tall\tafter_steal"
	"\tafter_leaf\tnear\tmiddle\tfar\tparks\twakes\tfences\tfence_max\tasked\tnesting\n";
static const char data_row[] = "%s\t%lld\t%s\t%.0f\t%.6f\t%.6f\t%.6f\t%.4f\t%.4f\t%.6f\t%.6f\t%.6f"
			       "\t%.6f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.6f\t%.1f\t%.1f\n";

/* One row. 0, or 1 with a message. */
static int simulate(const struct options *o, const char *name, uint32_t workers, FILE *data)
{
	uint32_t seeds = (uint32_t)o->seeds;
	struct sim_machine machine;
	struct sim_amount amount;
	struct sums sums = { .took = 0 };
	struct sim_work work;
	int error;

	if (!sim_work_make(&work, name, (int64_t)o->size, (uint64_t)o->leaf, workers)) {
		(void)fprintf(stderr, "sim: there is no work \"%s\", see --list\n", name);
		return 1;
	}
	error = sim_machine_make(&machine, o->machine, workers);
	if (error) {
		(void)fprintf(stderr, "sim: machine %s, %u workers: %s\n", o->machine, workers,
			strerror(-error));
		return 1;
	}
	amount = sim_work_measure(&work, &o->costs);
	for (uint32_t i = 0; i < seeds; i++) {
		struct sim_result r;

		sim_run(&machine, &work, &o->costs, &o->policy, (uint64_t)o->seed + i, &r);
		if (r.lost || r.tasks != amount.tasks * work.jobs * work.bursts) {
			(void)fprintf(
				stderr, "sim: %s, %u workers: tasks were lost\n", name, workers);
			sim_machine_free(&machine);
			return 1;
		}
		add(&sums, &r, 1 / o->seeds, work.bursts);
	}
	print_row(stdout, table_row, &work, &machine, workers, &amount, &sums);
	if (data)
		print_row(data, data_row, &work, &machine, workers, &amount, &sums);
	(void)fflush(stdout);
	sim_machine_free(&machine);
	return 0;
}

/* Whether all numbers of workers are. */
static bool check_workers(const char *list)
{
	double workers;

	for (;; list++) {
		size_t digits = strcspn(list, ",");

		if (!bench_number(
			    "sim: --workers", list, digits, true, 1, SIM_WORKERS_MAX, &workers))
			return false;
		list += digits;
		if (!*list)
			return true;
	}
}

/* Each work of the list with each number of workers of the other. */
static int simulate_all(const struct options *o)
{
	FILE *data = o->data ? fopen(o->data, "w") : NULL;
	int failed = 0;

	if (o->data && !data) {
		(void)fprintf(stderr, "sim: %s: %s\n", o->data, strerror(errno));
		return 1;
	}
	(void)fputs("Times in ms, means of the seeds; counts are of one burst. nan: not "
		    "in each run.\n\n",
		stdout);
	(void)fputs(table_head, stdout);
	if (data)
		(void)fputs(data_head, data);
	for (const char *work = o->work; *work && !failed; work += strspn(work, ",")) {
		size_t length = strcspn(work, ",");
		char *name = strndup(work, length);

		work += length;
		for (const char *at = o->workers; name && *at && !failed; at += strspn(at, ",")) {
			size_t digits = strcspn(at, ",");
			double workers;

			failed = !bench_number("--workers", at, digits, true, 1, SIM_WORKERS_MAX,
					 &workers) ||
				 simulate(o, name, (uint32_t)workers, data);
			at += digits;
		}
		free(name);
	}
	if (data)
		(void)fclose(data);
	return failed;
}

/* Whether the option's number is one of runs, and not 0. */
static bool to_count(const char *name)
{
	return strcmp(name, "sim: --seeds") == 0 || strcmp(name, "sim: --rounds") == 0;
}

/* An option that takes a number. */
static bool read_number(const char *name, const char *text, double *to)
{
	bool counts = to_count(name);

	return bench_number(name, text, strlen(text), true, counts, counts ? 1000 : 1e9, to);
}

enum {
	WORK,
	WORKERS,
	MACHINE,
	SIZE,
	LEAF,
	SEED,
	SEEDS,
	SET,
	POLICY,
	DATA,
	CALIBRATE,
	ROUNDS,
	LIST,
	HELP
};

static const struct option long_options[] = {
	{ "work", required_argument, NULL, WORK },
	{ "workers", required_argument, NULL, WORKERS },
	{ "machine", required_argument, NULL, MACHINE },
	{ "size", required_argument, NULL, SIZE },
	{ "leaf", required_argument, NULL, LEAF },
	{ "seed", required_argument, NULL, SEED },
	{ "seeds", required_argument, NULL, SEEDS },
	{ "set", required_argument, NULL, SET },
	{ "policy", required_argument, NULL, POLICY },
	{ "data", required_argument, NULL, DATA },
	{ "calibrate", no_argument, NULL, CALIBRATE },
	{ "rounds", required_argument, NULL, ROUNDS },
	{ "list", no_argument, NULL, LIST },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 },
};

/* One option. False: it is wrong, and that has been said. */
static bool take_option(struct options *o, int option)
{
	const struct {
		int option;
		const char *name;
		const char **text;
		double *number;
	} plain[] = {
		{ WORK, NULL, &o->work, NULL },
		{ WORKERS, NULL, &o->workers, NULL },
		{ MACHINE, NULL, &o->machine, NULL },
		{ DATA, NULL, &o->data, NULL },
		{ SIZE, "sim: --size", NULL, &o->size },
		{ LEAF, "sim: --leaf", NULL, &o->leaf },
		{ SEED, "sim: --seed", NULL, &o->seed },
		{ SEEDS, "sim: --seeds", NULL, &o->seeds },
		{ ROUNDS, "sim: --rounds", NULL, &o->rounds },
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		if (plain[i].option != option)
			continue;
		if (plain[i].number)
			return read_number(plain[i].name, optarg, plain[i].number);
		*plain[i].text = optarg;
		return true;
	}
	if (option == CALIBRATE) {
		sim_costs_two_cores(&o->costs);
		return o->calibrates = true;
	}
	if (option == SET && sim_costs_set(&o->costs, optarg))
		return true;
	if (option == POLICY && sim_policy_set(&o->policy, optarg))
		return true;
	if (option == SET || option == POLICY)
		(void)fprintf(stderr, "sim: there is no \"%s\", see --list and --help\n", optarg);
	else
		usage(stderr);
	return false;
}

int main(int argc, char **argv)
{
	struct options o = {
		.work = "fib", .machine = "auto", .leaf = 1000, .seed = 1, .seeds = 5, .rounds = 9
	};
	int option;

	sim_costs_init(&o.costs);
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == HELP) {
			usage(stdout);
			return 0;
		}
		if (option == LIST) {
			list();
			return 0;
		}
		if (!take_option(&o, option))
			return 2;
	}
	if (o.workers && !check_workers(o.workers))
		return 2;
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	if (o.calibrates) {
		int outcome = sim_calibrate(
			&o.costs, o.workers ? o.workers : "", (uint32_t)o.rounds, stdout);

		if (outcome < 0)
			(void)fprintf(stderr, "sim: %s\n", strerror(-outcome));
		else if (outcome)
			(void)fprintf(stderr, "sim: beyond a factor of 1.5\n");
		return outcome != 0;
	}
	if (!o.workers)
		o.workers = "16,32,64,128,256";
	return simulate_all(&o);
}
