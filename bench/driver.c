/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch-bench: serial, baseline, filch and the peers on the same programs, in one process and one
 * run.
 *
 * All pools of all contestants live through the whole run: a parked pool costs nothing, and if one
 * did, all would pay. For each benchmark the rounds go over all entrants (a contestant with a
 * number of workers), each round beginning with the next of them, so that drift of the machine hits
 * all. Before each measurement comes a short pause in which the last one's workers park.
 *
 * Not good for: machines on which something else runs (the table says so when it was so at the
 * start), and absolute times of any other machine. The ratios are what is meant to be quoted, with
 * their spread.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <regex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "catalogue.h"
#include "count.h"
#include "options.h"
#include "programs/data.h"
#include "report.h"
#include "rounds.h"

#define SERIAL_NS_MIN 1.0 /* less than that per task is no call: no ratio to it */
#define SETTLE_NS     3000000
#define SETTLE_TRIES  150
#define SETTLE_SHARE  0.1 /* of one processor: less is quiet */
#define STACK_BYTES   ((rlim_t)100 << 20)

/* What others may use meanwhile; below the second, the kernel's own counting is too coarse. */
#define OTHERS_SHARE   0.1 /* of one processor */
#define OTHERS_SECONDS 0.05

static const char *const peers[] = { "gomp", "omp", "tbb", "glib", "uv" };

/* A contestant with a number of workers. */
struct entrant {
	const struct bench_contestant *c;
	void *engine;
	int workers;
};

static struct entrant entrant[BENCH_ENTRANTS_MAX];
static int entrants;
static int plan_cpus[BENCH_WORKERS_MAX], plan_n;
static cpu_set_t whole_mask;

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	sched_setaffinity(0, sizeof set, &set);
}

void bench_cpuset(const int *cpus, int n, char *text, size_t room)
{
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < n && used < room; i++)
		used += (size_t)snprintf(
			text + used, room - used, i ? ",%d" : "%d", cpus[i] < 0 ? 0 : cpus[i]);
}

/* The module of peer @name beside the program, or NULL: it was not built. */
static const struct bench_contestant *load_peer(const char *name)
{
	const struct bench_contestant *c = NULL;
	char exe[4096], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	bench_module_fn *module;
	void *handle;

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	if (asprintf(&path, "%s/peers/bench-%s.so", dirname(exe), name) < 0)
		return NULL;
	if (!access(path, R_OK)) {
		/* Each OpenMP runtime must stay in its own module: local symbols, its own first. */
		handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
		void *symbol = handle ? dlsym(handle, "bench_module") : NULL;

		if (symbol) {
			memcpy(&module, &symbol, sizeof module);
			c = module();
			if (c && c->abi != BENCH_ABI)
				c = NULL;
		}
		if (!c)
			fprintf(stderr, "filch-bench: %s: %s\n", path,
				symbol ? "not for this filch-bench" : dlerror());
	}
	free(path);
	return c;
}

static void enter(const struct bench_contestant *c, int workers)
{
	struct entrant *e = &entrant[entrants];
	int err;

	if (entrants == BENCH_ENTRANTS_MAX)
		return;
	e->c = c;
	e->workers = workers;
	err = c->open(&e->engine, workers, plan_cpus);
	if (err)
		fprintf(stderr, "filch-bench: %s with %d workers: %s\n", c->name, workers,
			strerror(-err));
	else
		entrants++;
}

/* Opens every contestant that was asked for, with every number of workers. */
static void open_entrants(const struct bench_options *o)
{
	const struct bench_contestant *own[] = { &bench_baseline, &bench_filch, &bench_caller };

	if (bench_listed(o->contestants, "serial"))
		enter(&bench_serial, 1);
	for (int w = 0; w < o->workers_n; w++) {
		for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
			if (bench_listed(o->contestants, own[i]->name))
				enter(own[i], o->workers[w]);
		for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
			const struct bench_contestant *c =
				bench_listed(o->contestants, peers[i]) ? load_peer(peers[i]) : NULL;

			if (c)
				enter(c, o->workers[w]);
		}
	}
}

/*
 * Deep trees on the peers' tasks overflow the usual stacks. The OpenMP runtimes read their size
 * from the environment when they are loaded; this thread, on which oneTBB's programs begin, may use
 * what the kernel leaves free below it, 128 MiB at least. Pages that are not touched cost nothing.
 */
static void give_room(void)
{
	struct rlimit stack;

	setenv("OMP_STACKSIZE", "256M", 0);
	if (getrlimit(RLIMIT_STACK, &stack))
		return;
	if (stack.rlim_cur != RLIM_INFINITY && stack.rlim_cur < STACK_BYTES)
		stack.rlim_cur = stack.rlim_max < STACK_BYTES ? stack.rlim_max : STACK_BYTES;
	setrlimit(RLIMIT_STACK, &stack);
}

/* The versions of the peers' libraries, for the head of the table. */
static void name_peers(char *to, size_t size)
{
	size_t used = 0;

	to[0] = '\0';
	for (int i = 0; i < entrants; i++) {
		const struct bench_contestant *c = entrant[i].c;

		if (c->version && used < size) {
			char text[160];

			snprintf(text, sizeof text, "%s %s", c->name, c->version());
			if (!strstr(to, text))
				used += (size_t)snprintf(
					to + used, size - used, "%s%s", used ? "; " : "", text);
		}
	}
}

static double used_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/*
 * Until no thread of this process works: runtimes look for work for a while after the last (libomp
 * for 200 ms), and whoever is measured next would pay for it.
 */
static void settle(void)
{
	for (int i = 0; i < SETTLE_TRIES; i++) {
		double before = used_seconds();

		bench_pause(SETTLE_NS);
		if (used_seconds() - before < SETTLE_SHARE * 1e-9 * SETTLE_NS)
			return;
	}
}

/* A program's @entry, timed; its instructions @counted or not. */
static int time_entry(const struct bench *b, const struct bench_size *size, const struct entrant *e,
	bench_entry_fn *entry, bool counted, double *seconds, struct bench_outcome *out)
{
	double begun;
	int err;

	if (counted)
		bench_count_begin();
	begun = bench_now();
	err = e->c->call ? e->c->call(e->engine, entry, size, out) : entry(e->engine, size, out);
	*seconds = bench_now() - begun;
	if (counted)
		bench_count_end(b->name, size->label, e->c->name, e->workers, out->tasks);
	return err;
}

/*
 * One measurement of one entrant, its instructions @counted or not. Returns 1 if it has no such
 * form, else 0 or a negative errno.
 */
static int measure(const struct bench *b, const struct bench_size *size, const struct entrant *e,
	bool counted, double value[2], struct bench_outcome *out)
{
	bench_entry_fn *entry = b->program && e->c->entry ? e->c->entry(b->program) : NULL;
	const struct bench_data_ops *data = b->program ? bench_data_of(b->program) : NULL;
	bool serial = e->c == &bench_serial;
	int err;

	if (b->program ? !entry : serial && !b->serial)
		return 1;
	err = data ? data->prepare(size) : 0;
	if (!err && e->c->begin)
		err = e->c->begin(e->engine);
	if (err)
		return err;
	settle();
	if (serial)
		bench_pin(plan_cpus[0]);
	err = entry ? time_entry(b, size, e, entry, counted, value, out)
		    : b->jobs(e->c, e->engine, size, value, out);
	if (serial)
		sched_setaffinity(0, sizeof whole_mask, &whole_mask);
	if (e->c->end)
		e->c->end(e->engine);
	if (!err && data)
		data->check(size, out);
	return err;
}

/*
 * Whether outcome @a is the expected @b. No number of tasks is expected where it differs from run
 * to run.
 */
static bool right(const struct bench_outcome *a, const struct bench_outcome *b)
{
	return a->value[0] == b->value[0] && a->value[1] == b->value[1] &&
	       a->value[2] == b->value[2] && (!b->tasks || a->tasks == b->tasks);
}

static void say_outcome(const struct bench_outcome *o)
{
	fprintf(stderr, " %llu %llu %llu, %llu tasks", (unsigned long long)o->value[0],
		(unsigned long long)o->value[1], (unsigned long long)o->value[2],
		(unsigned long long)o->tasks);
}

static void say_wrong(const struct bench *b, const struct bench_size *size, const struct entrant *e,
	const struct bench_outcome *out)
{
	fprintf(stderr, "filch-bench: %s %s, %s with %d workers: wrong result, expected", b->name,
		size->label, e->c->name, e->workers);
	say_outcome(&size->expect);
	fputs(", got", stderr);
	say_outcome(out);
	fputc('\n', stderr);
}

/* Samples of one benchmark: [entrant][metric][round]. */
struct samples {
	double *at[BENCH_ENTRANTS_MAX][2];
	bool ran[BENCH_ENTRANTS_MAX], verified[BENCH_ENTRANTS_MAX];
	uint64_t tasks[BENCH_ENTRANTS_MAX]; /* of the last round */
	double others;                      /* that they used meanwhile, of one processor */
	bool disturbed;                     /* so much that several workers were not alone */
};

static const double *samples_of(const struct samples *s, const char *name, int workers, int metric)
{
	for (int i = 0; i < entrants; i++)
		if (s->ran[i] && !strcmp(entrant[i].c->name, name) &&
			(!workers || entrant[i].workers == workers))
			return s->at[i][metric];
	return NULL;
}

/* Makes the row of entrant @i for one metric. */
static struct bench_result row_of(const struct bench *b, const struct bench_size *size,
	const struct samples *s, int i, int metric, int rounds)
{
	const double *mine = s->at[i][metric];
	const double *serial =
		b->serial && !b->metric[metric] ? samples_of(s, "serial", 0, metric) : NULL;
	const double *baseline = samples_of(s, "baseline", entrant[i].workers, metric);
	struct bench_spread serial_time = { 0 };
	struct bench_result r = {
		.workers = entrant[i].workers,
		.time = bench_spread_of(mine, (size_t)rounds),
		.items = size->expect.tasks ? size->expect.tasks : s->tasks[i],
		.trip = b->metric[metric] != NULL,
		.others = s->others,
		.verified = s->verified[i],
		.over_serial_ns = NAN,
	};
	double items = (double)(r.items ? r.items : 1);

	snprintf(r.bench, sizeof r.bench, "%s", b->name);
	snprintf(r.size, sizeof r.size, b->metric[metric] ? "%s %s" : "%s", size->label,
		b->metric[metric] ? b->metric[metric] : "");
	snprintf(r.contestant, sizeof r.contestant, "%s", entrant[i].c->name);
	r.per_item_ns = r.time.median * 1e9 / items;
	if (serial)
		serial_time = bench_spread_of(serial, (size_t)rounds);
	if (s->disturbed && r.workers > 1)
		return r;
	if (serial && serial != mine) {
		if (serial_time.median * 1e9 / items >= SERIAL_NS_MIN)
			r.to_serial = bench_ratio(serial, mine, (size_t)rounds);
		if (r.workers == 1 && r.time.n && serial_time.n)
			r.over_serial_ns = r.per_item_ns - serial_time.median * 1e9 / items;
	}
	if (baseline && entrant[i].c != &bench_serial && baseline != mine)
		r.to_baseline = bench_ratio(baseline, mine, (size_t)rounds);
	return r;
}

/*
 * One measurement of entrant @i, written to place @round of its samples; round -1 warms up and is
 * only verified. Returns the seconds it took with all that belongs to it.
 */
static double run_round(
	const struct bench *b, const struct bench_size *size, struct samples *s, int i, int round)
{
	const struct entrant *e = &entrant[i];
	struct bench_outcome out = { 0 };
	double value[2] = { NAN, NAN }, begun = bench_now();
	int err = measure(b, size, e, round >= 0, value, &out);

	if (err == 1) {
		s->ran[i] = false;
		return 0;
	}
	if (err)
		fprintf(stderr, "filch-bench: %s %s, %s with %d workers: %s\n", b->name,
			size->label, e->c->name, e->workers, strerror(-err));
	if (!err && s->verified[i] && !right(&out, &size->expect))
		say_wrong(b, size, e, &out);
	s->tasks[i] = out.tasks;
	s->verified[i] = s->verified[i] && !err && right(&out, &size->expect);
	for (int m = 0; m < 2 && round >= 0; m++)
		s->at[i][m][round] = err ? NAN : value[m];
	return bench_now() - begun;
}

/* All rounds of one benchmark and size, interleaved, in about @seconds if that is above 0. */
static void run_rounds(const struct bench *b, const struct bench_size *size, const char *progress,
	int rounds, double seconds, struct samples *s)
{
	double cost[BENCH_ENTRANTS_MAX] = { 0 };
	int share[BENCH_ENTRANTS_MAX], rank[BENCH_ROUNDS_MAX];

	bench_rounds_rank(rank, rounds);
	for (int round = -1; round < rounds; round++) {
		if (!round)
			bench_rounds_share(cost, share, entrants, rounds, seconds);
		for (int k = 0; k < entrants; k++) {
			int i = (k + round + 1) % entrants;

			if (!s->ran[i])
				continue;
			if (round >= 0 && rank[round] >= share[i]) {
				s->at[i][0][round] = s->at[i][1][round] = NAN;
				continue;
			}
			if (progress)
				fprintf(stderr, "\r\033[K%s %s %s: round %d of %d, %s with %d",
					progress, b->name, size->label, round + 1, rounds,
					entrant[i].c->name, entrant[i].workers);
			double took = run_round(b, size, s, i, round);

			if (round < 0) {
				cost[i] = took;
				/* What is used up still limits: 0 would be no limit. */
				seconds = seconds > 0 ? fmax(seconds - took, 1e-9) : 0;
			}
		}
	}
	if (progress)
		fputs("\r\033[K", stderr);
}

/*
 * Adds the rows of one metric and prints them. Returns false when a result was wrong or a
 * contestant failed.
 */
static bool add_rows(const struct bench *b, const struct bench_size *size, const struct samples *s,
	int metric, int rounds, struct bench_results *results)
{
	bool good = true;

	for (int i = 0, head = 1; i < entrants; i++) {
		if (!s->ran[i])
			continue;
		if (metric && s->verified[i] &&
			!bench_spread_of(s->at[i][metric], (size_t)rounds).n)
			continue; /* it has no such figure: serial submits nothing */
		struct bench_result *row = realloc(results->row, (results->n + 1) * sizeof *row);

		if (!row)
			abort();
		results->row = row;
		row += results->n++;
		*row = row_of(b, size, s, i, metric, rounds);
		if (head)
			bench_table_bench(stdout, b->name, row->size, b->about, row->items);
		head = 0;
		bench_table_row(stdout, row);
		good = good && row->verified;
	}
	if (s->disturbed)
		printf("  others used %.0f %% of one processor meanwhile: no ratios of several "
		       "workers (--busy)\n",
			100 * s->others);
	return good;
}

/*
 * One benchmark and size: its rounds, in about @seconds if that is above 0, then its rows. False as
 * add_rows().
 */
static bool run_bench(const struct bench *b, const struct bench_size *size, const char *progress,
	int rounds, double seconds, bool busy, struct bench_results *results)
{
	struct samples s = { 0 };
	struct bench_watch watch;
	double others;
	bool good = true;

	for (int i = 0; i < entrants; i++) {
		for (int m = 0; m < 2; m++)
			s.at[i][m] = malloc((size_t)rounds * sizeof(double));
		s.ran[i] = s.verified[i] = true;
	}
	bench_watch_begin(&watch);
	run_rounds(b, size, progress, rounds, seconds, &s);
	others = bench_watch_end(&watch, &s.others);
	s.disturbed = !busy && others > OTHERS_SECONDS && s.others > OTHERS_SHARE;
	for (int m = 0; m < (b->metric[1] ? 2 : 1); m++)
		good &= add_rows(b, size, &s, m, rounds, results);
	fflush(stdout);
	for (int i = 0; i < entrants; i++)
		for (int m = 0; m < 2; m++)
			free(s.at[i][m]);
	return good;
}

/* Whether this size takes part. */
static bool chosen(const struct bench_options *o, const regex_t *only, const struct bench *b,
	const struct bench_size *size)
{
	char name[96];

	snprintf(name, sizeof name, "%s %s", b->name, size->label);
	bool here = o->check   ? size->quick == 3
		    : o->quick ? size->quick == 1 || size->quick == 2
			       : size->quick < 2;

	return (here || o->list) && (!o->only || !regexec(only, name, 0, NULL, 0));
}

static void list(const struct bench_options *o, const regex_t *only)
{
	for (size_t i = 0; i < bench_catalogue_n; i++)
		for (size_t k = 0; k < bench_catalogue[i].n; k++) {
			const struct bench *b = &bench_catalogue[i];
			static const char *const when[] = { "full", "full and quick", "quick",
				"check" };

			if (chosen(o, only, b, &b->sizes[k]))
				printf("%-10s %-12s %-15s %s\n", b->name, b->sizes[k].label,
					when[b->sizes[k].quick], b->about);
		}
	fputs("contestants: serial baseline filch caller", stdout);
	for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
		if (load_peer(peers[i]))
			printf(" %s", peers[i]);
	putchar('\n');
}

static int write_reports(const struct bench_options *o, const struct bench_results *results)
{
	char exe[4096], *dir = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	int err = 0;

	exe[n > 0 ? n : 0] = '\0';
	if (o->json)
		err = bench_report_json(results, o->json);
	if (!err && (o->report ? asprintf(&dir, "%s", o->report)
			       : asprintf(&dir, "%s/report", dirname(exe))) < 0)
		err = -ENOMEM;
	if (!err)
		err = bench_report_dir(results, dir);
	if (err)
		fprintf(stderr, "filch-bench: report: %s\n", strerror(-err));
	else
		printf("\nreport: %s/index.html\n", dir);
	free(dir);
	return err;
}

/* How many benchmarks and sizes take part. */
static size_t count_chosen(const struct bench_options *o, const regex_t *only)
{
	size_t n = 0;

	for (size_t i = 0; i < bench_catalogue_n; i++)
		for (size_t k = 0; k < bench_catalogue[i].n; k++)
			n += chosen(o, only, &bench_catalogue[i], &bench_catalogue[i].sizes[k]);
	return n;
}

/* All of them, of which there are @todo; false as add_rows(). */
static bool run_chosen(const struct bench_options *o, const regex_t *only, size_t todo,
	double until, struct bench_results *results)
{
	size_t done = 0;
	bool good = true;

	for (size_t i = 0; i < bench_catalogue_n; i++)
		for (size_t k = 0; k < bench_catalogue[i].n; k++) {
			const struct bench *b = &bench_catalogue[i];
			char progress[40];

			if (!chosen(o, only, b, &b->sizes[k]))
				continue;
			snprintf(progress, sizeof progress, "[%zu/%zu]", ++done, todo);
			good &= run_bench(b, &b->sizes[k], isatty(2) ? progress : NULL, o->rounds,
				o->seconds > 0
					? fmax(until - bench_now(), 0.1) / (double)(todo - done + 1)
					: 0,
				o->busy || o->check, results);
		}
	return good;
}

static void choose_workers(struct bench_options *o)
{
	plan_n = bench_plan(plan_cpus, BENCH_WORKERS_MAX);
	if (o->workers_n)
		return;
	o->workers[o->workers_n++] = 1;
	if (plan_n > 1)
		o->workers[o->workers_n++] = plan_n;
}

/* Whether figures of this build would mean anything. */
static bool may_measure(void)
{
#if defined(BENCH_RELEASE)
	return true;
#else
	return false;
#endif
}

int main(int argc, char **argv)
{
	struct bench_options o = { 0 };
	struct bench_results results = { 0 };
	size_t todo;
	double until;
	bool good;
	regex_t only;
	int status = bench_options_parse(argc, argv, &o);

	if (status >= 0)
		return status;
	if (!may_measure() && !o.list && !o.check) {
		fprintf(stderr,
			"filch-bench: not a Release build, or with sanitizer or assertions: its "
			"figures would mean nothing\n");
		return 1;
	}
	if (o.only && regcomp(&only, o.only, REG_EXTENDED | REG_NOSUB)) {
		fprintf(stderr, "filch-bench: --only: not a regular expression: %s\n", o.only);
		return 2;
	}
	if (o.list) {
		list(&o, &only);
		return 0;
	}
	sched_getaffinity(0, sizeof whole_mask, &whole_mask);
	give_room();
	choose_workers(&o);
	todo = count_chosen(&o, &only);
	until = bench_now() + o.seconds;

	results.rounds = o.rounds;
	results.quick = o.quick;
	bench_machine_read(&results.machine, plan_cpus, plan_n);
	if (!o.check)
		results.machine.priority = bench_machine_protect();
	open_entrants(&o);
	name_peers(results.peers, sizeof results.peers);
	bench_table_head(stdout, &results);
	if (!todo || !entrants) {
		fprintf(stderr, "filch-bench: nothing to run\n");
		return 2;
	}
	good = run_chosen(&o, &only, todo, until, &results);
	for (int i = 0; i < entrants; i++)
		entrant[i].c->close(entrant[i].engine);
	bench_data_release();
	if (!o.check || o.json || o.report)
		good &= !write_reports(&o, &results);
	free(results.row);
	if (o.only)
		regfree(&only);
	if (!good)
		fprintf(stderr,
			"filch-bench: a contestant failed or returned a wrong result, see above\n");
	return good ? 0 : 1;
}
