/* SPDX-License-Identifier: Apache-2.0 */
/* Table, JSON, plots, page: see report.h. The page is one file, so that it can be mailed. */
#define _GNU_SOURCE
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char method[] =
	"Rounds interleave all contestants and rotate their order; one round before them is not "
	"counted; who is slow takes part in "
	"fewer of them, so that the run ends in time. Ratios say how many "
	"times as fast as the reference a contestant was, paired by round: median [min..max]. "
	"Serial is the same source with the "
	"task macros as plain calls; no ratio to it stands where it took less than a nanosecond "
	"per task, because then the "
	"compiler has folded calls away. Every worker is pinned to the CPU named above, the same "
	"for all contestants; producers "
	"and the waiting thread are not pinned. Results and task counts are checked in every "
	"round.";

/* A time with its unit, in a static buffer of four turns. */
static const char *duration(double s)
{
	static char text[4][24];
	static int turn;
	char *to = text[turn++ % 4];

	if (s >= 1)
		snprintf(to, sizeof text[0], "%.3f s", s);
	else if (s >= 1e-3)
		snprintf(to, sizeof text[0], "%.2f ms", s * 1e3);
	else
		snprintf(to, sizeof text[0], "%.2f us", s * 1e6);
	return to;
}

static const char *ratio(const struct bench_spread *s)
{
	static char text[2][48];
	static int turn;
	char *to = text[turn++ % 2];

	int digits = s->median < 0.1 ? 3 : 2;

	if (s->n)
		snprintf(to, sizeof text[0], "%.*f [%.*f..%.*f]", digits, s->median, digits, s->min,
			digits, s->max);
	else
		snprintf(to, sizeof text[0], "-");
	return to;
}

/* @ns per item, or "-" for a latency. */
static const char *nanoseconds(double ns, bool none)
{
	static char text[2][24];
	static int turn;
	char *to = text[turn++ % 2];

	if (none || isnan(ns))
		snprintf(to, sizeof text[0], "-");
	else
		snprintf(to, sizeof text[0], "%.2f", ns);
	return to;
}

void bench_table_head(FILE *out, const struct bench_results *r)
{
	const struct bench_machine *m = &r->machine;

	fprintf(out, "# %s, %d CPUs, %d workers at most, pinned to %s, governor %s, %s\n", m->cpu,
		m->online, m->plan, m->cpus, m->governor, m->kernel);
	fprintf(out, "# %s, flags %s, commit %s, %s, priority %s\n", m->compiler, m->flags,
		m->commit, m->date, m->priority);
	fprintf(out,
		"# %d interleaved rounds, fewer for who is slow (column rounds), medians; x "
		"serial and x baseline: times as fast as, paired by "
		"round [min..max]%s\n",
		r->rounds, r->quick ? "; --quick: smaller sizes, fewer rounds" : "");
	if (r->peers[0])
		fprintf(out, "# peers: %s\n", r->peers);
	if (m->busy > 0.05)
		fprintf(out,
			"# NOT IDLE: others used %.0f %% of the processors before the start; "
			"doubt what several workers show\n",
			100 * m->busy);
}

void bench_table_bench(
	FILE *out, const char *bench, const char *size, const char *about, uint64_t items)
{
	fprintf(out, "\n%s %s: %s; %llu items\n", bench, size, about, (unsigned long long)items);
	fprintf(out, "  %-10s %7s %6s %11s %11s %11s %9s %12s  %-22s %-22s\n", "contestant",
		"workers", "rounds", "median", "min", "max", "ns/item", "over serial", "x serial",
		"x baseline");
}

void bench_table_row(FILE *out, const struct bench_result *r)
{
	if (!r->time.n) {
		fprintf(out, "  %-10s %7d failed in every round\n", r->contestant, r->workers);
		return;
	}
	fprintf(out, "  %-10s %7d %6zu %11s %11s %11s %9s %12s  %-22s %-22s%s\n", r->contestant,
		r->workers, r->time.n, duration(r->time.median), duration(r->time.min),
		duration(r->time.max), nanoseconds(r->per_item_ns, r->trip),
		nanoseconds(r->over_serial_ns, r->trip), ratio(&r->to_serial),
		ratio(&r->to_baseline), r->verified ? "" : "  WRONG RESULT");
}

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		if ((unsigned char)*s < 0x20)
			fprintf(f, "\\u%04x", (unsigned)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

static void json_field(FILE *f, const char *name, const char *value, const char *after)
{
	fprintf(f, "\"%s\":", name);
	json_string(f, value);
	fputs(after, f);
}

static void json_number(FILE *f, const char *name, double value, const char *after)
{
	if (isnan(value))
		fprintf(f, "\"%s\":null%s", name, after);
	else
		fprintf(f, "\"%s\":%.9g%s", name, value, after);
}

static void json_ratio(FILE *f, const char *name, const struct bench_spread *s)
{
	if (s->n)
		fprintf(f, "\"%s\":%.6g,\"%s_min\":%.6g,\"%s_max\":%.6g,", name, s->median, name,
			s->min, name, s->max);
	else
		fprintf(f, "\"%s\":null,", name);
}

int bench_report_json(const struct bench_results *r, const char *path)
{
	const struct bench_machine *m = &r->machine;
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	fputs("{\"machine\":{", f);
	json_field(f, "cpu", m->cpu, ",");
	json_field(f, "kernel", m->kernel, ",");
	json_field(f, "governor", m->governor, ",");
	json_field(f, "compiler", m->compiler, ",");
	json_field(f, "flags", m->flags, ",");
	json_field(f, "commit", m->commit, ",");
	json_field(f, "date", m->date, ",");
	json_field(f, "priority", m->priority, ",");
	json_field(f, "pinned", m->cpus, ",");
	json_field(f, "peers", r->peers, ",");
	fprintf(f,
		"\"online\":%d,\"workers\":%d,\"busy_before\":%.3f},\n"
		"\"rounds\":%d,\"quick\":%s,\n\"results\":[",
		m->online, m->plan, m->busy, r->rounds, r->quick ? "true" : "false");
	for (size_t i = 0; i < r->n; i++) {
		const struct bench_result *row = &r->row[i];
		double scale = row->trip ? 1e9 : 1;
		double none = row->time.n ? 0 : NAN;

		fputs(i ? ",\n{" : "\n{", f);
		json_field(f, "bench", row->bench, ",");
		json_field(f, "size", row->size, ",");
		json_field(f, "contestant", row->contestant, ",");
		fprintf(f, "\"workers\":%d,\"rounds\":%zu,", row->workers, row->time.n);
		json_number(f, "median", row->time.median * scale + none, ",");
		json_number(f, "min", row->time.min * scale + none, ",");
		json_number(f, "max", row->time.max * scale + none, ",");
		json_field(f, "unit", row->trip ? "ns" : "s", ",");
		fprintf(f, "\"items\":%llu,", (unsigned long long)row->items);
		json_number(f, "ns_per_item", row->trip ? NAN : row->per_item_ns + none, ",");
		json_number(f, "others_used", row->others, ",");
		json_number(f, "ns_over_serial", row->over_serial_ns, ",");
		json_ratio(f, "ratio_to_serial", &row->to_serial);
		json_ratio(f, "ratio_to_baseline", &row->to_baseline);
		fprintf(f, "\"verified\":%s}", row->verified ? "true" : "false");
	}
	fputs("\n]}\n", f);
	return fclose(f) ? -errno : 0;
}

/* One plot: bars, a group per benchmark and size, a bar per contestant and number of workers. */
struct plot {
	const char *name, *title, *ylabel;
	bool log;
	double (*value)(const struct bench_result *); /* NaN: not in this plot */
};

static double of_serial(const struct bench_result *r)
{
	return r->to_serial.n && strncmp(r->bench, "jobs", 4) ? r->to_serial.median : NAN;
}

static double of_baseline(const struct bench_result *r)
{
	return r->to_baseline.n && strcmp(r->contestant, "baseline") ? r->to_baseline.median : NAN;
}

static double of_task(const struct bench_result *r)
{
	return r->time.n && r->workers == 1 && !r->trip && strncmp(r->bench, "jobs", 4)
		       ? r->per_item_ns
		       : NAN;
}

static double of_jobs(const struct bench_result *r)
{
	return r->time.n && !r->trip && !strncmp(r->bench, "jobs", 4) &&
			       strcmp(r->contestant, "serial")
		       ? 1e3 / r->per_item_ns
		       : NAN;
}

static double of_trip(const struct bench_result *r)
{
	return r->time.n && r->trip && !strcmp(r->bench, "trip") ? r->time.median * 1e6 : NAN;
}

static double of_submit(const struct bench_result *r)
{
	return r->time.n && r->trip && !strncmp(r->bench, "jobs", 4) ? r->time.median * 1e6 : NAN;
}

static const struct plot plots[] = {
	{ "serial", "Programs: times as fast as serial", "x serial", false, of_serial },
	{ "baseline", "Times as fast as the mutex-queue baseline with as many workers",
		"x baseline", true, of_baseline },
	{ "task", "Programs on one worker: time per task", "ns per task", true, of_task },
	{ "jobs", "Jobs from outside: throughput", "million jobs per second", true, of_jobs },
	{ "submit", "A submit, 99.9th percentile", "microseconds", true, of_submit },
	{ "trip", "One job there and back", "microseconds", true, of_trip },
};
#define PLOTS (sizeof plots / sizeof plots[0])

static bool same_group(const struct bench_result *a, const struct bench_result *b)
{
	return !strcmp(a->bench, b->bench) && !strcmp(a->size, b->size);
}

static bool same_bar(const struct bench_result *a, const struct bench_result *b)
{
	return !strcmp(a->contestant, b->contestant) && a->workers == b->workers;
}

/*
 * The rows of @p that open a new group (@bars false) or bar (@bars true). Returns how many; @first
 * has room for all rows.
 */
static size_t pick(const struct bench_results *r, const struct plot *p, bool bars,
	const struct bench_result **first)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct bench_result *row = &r->row[i];
		size_t k = 0;

		if (isnan(p->value(row)))
			continue;
		while (k < n && !(bars ? same_bar : same_group)(first[k], row))
			k++;
		if (k == n)
			first[n++] = row;
	}
	return n;
}

/* A contestant keeps its colour in all plots; with one worker it is the pale one. */
static const char *colour(const struct bench_result *r)
{
	static const struct {
		const char *name, *one, *more;
	} table[] = {
		{ "serial", "#888888", "#888888" },
		{ "baseline", "#f5c28a", "#e07b00" },
		{ "filch", "#9ec5f0", "#1f5fa8" },
		{ "glib", "#b8dfb0", "#3a9130" },
		{ "gomp", "#e6b3d6", "#b03a8c" },
		{ "omp", "#d9c7f0", "#7347b5" },
		{ "tbb", "#f2b5ae", "#c0392b" },
		{ "uv", "#b5e3e3", "#1f9090" },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (!strcmp(table[i].name, r->contestant))
			return r->workers > 1 ? table[i].more : table[i].one;
	return "#000000";
}

/* One plot in the making: a cluster of bars for each group. */
struct drawing {
	const struct bench_results *r;
	const struct plot *p;
	const struct bench_result **group, **bar; /* the first rows that are one */
	size_t groups, bars;
};

/* The value of a bar in a group; NAN: that was not run. */
static double value_of(const struct drawing *d, size_t group, size_t bar)
{
	double value = NAN;

	for (size_t i = 0; i < d->r->n; i++)
		if (same_group(&d->r->row[i], d->group[group]) &&
			same_bar(&d->r->row[i], d->bar[bar]))
			value = d->p->value(&d->r->row[i]);
	return value;
}

static int write_data(const struct drawing *d, const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	fputs("benchmark", f);
	for (size_t b = 0; b < d->bars; b++)
		fprintf(f, "\t\"%s, %d\"", d->bar[b]->contestant, d->bar[b]->workers);
	fputc('\n', f);
	for (size_t g = 0; g < d->groups; g++) {
		fprintf(f, "\"%s %s\"", d->group[g]->bench, d->group[g]->size);
		for (size_t b = 0; b < d->bars; b++) {
			double value = value_of(d, g, b);

			if (isnan(value))
				fputs("\t?", f);
			else
				fprintf(f, "\t%.6g", value);
		}
		fputc('\n', f);
	}
	return fclose(f) ? -errno : 0;
}

static int write_script(const struct drawing *d, const char *path)
{
	const struct plot *p = d->p;
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	fprintf(f,
		"set terminal svg size 960,420 dynamic font 'sans-serif,12' background rgb "
		"'white'\n"
		"set output '%s.svg'\nset datafile separator '\\t'\nset datafile missing '?'\n"
		"set title \"%s\" noenhanced\nset ylabel \"%s\"\nset style data histograms\n"
		"set style histogram clustered gap 1\n"
		"set style fill solid 0.85 border -1\nset boxwidth 0.9\nset grid ytics\n"
		"set key outside right top noenhanced\n"
		"set xtics rotate by -30 noenhanced nomirror\n%splot",
		p->name, p->title, p->ylabel, p->log ? "set logscale y\n" : "set yrange [0:*]\n");
	for (size_t b = 0; b < d->bars; b++)
		fprintf(f, "%s '%s.dat' using %zu:xtic(1) title columnheader(%zu) lc rgb '%s'",
			b ? "," : "", p->name, b + 2, b + 2, colour(d->bar[b]));
	fputc('\n', f);
	return fclose(f) ? -errno : 0;
}

static int write_and_plot(const struct drawing *d, const char *dir)
{
	char *data = NULL, *script = NULL, *command = NULL;
	int err = -ENOMEM;

	if (asprintf(&data, "%s/%s.dat", dir, d->p->name) >= 0 &&
		asprintf(&script, "%s/%s.gp", dir, d->p->name) >= 0 &&
		asprintf(&command, "cd '%s' && gnuplot '%s.gp'", dir, d->p->name) >= 0)
		err = write_data(d, data);
	if (!err)
		err = write_script(d, script);
	if (!err)
		err = system(command) ? -EIO : 0;
	free(command);
	free(script);
	free(data);
	return err;
}

/*
 * Writes data and script of one plot and runs gnuplot. Returns 0, 1 if there is nothing to plot, or
 * a negative errno.
 */
static int draw(const struct bench_results *r, const struct plot *p, const char *dir)
{
	struct drawing d = { .r = r, .p = p };
	int err = 1;

	d.group = calloc(2 * r->n + 1, sizeof(struct bench_result *));
	if (!d.group)
		return -ENOMEM;
	d.bar = d.group + r->n;
	d.groups = pick(r, p, false, d.group);
	d.bars = pick(r, p, true, d.bar);
	if (d.groups && d.bars)
		err = write_and_plot(&d, dir);
	free(d.group);
	return err;
}

static void html_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else
			fputc(*s, f);
	}
}

/* Copies an SVG from its <svg tag on into the page. */
static void embed(FILE *page, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	bool begun = false;

	while (f && getline(&line, &size, f) > 0) {
		begun = begun || strstr(line, "<svg");
		if (begun)
			fputs(line, page);
	}
	free(line);
	if (f)
		fclose(f);
}

static void page_table(FILE *f, const struct bench_results *r)
{
	fputs("<table><thead><tr><th>benchmark<th>contestant<th>workers<th>rounds<th>median<th>min"
	      "<th>max<th>items<th>ns/item"
	      "<th>ns over serial<th>&times; serial<th>&times; baseline</tr></thead><tbody>\n",
		f);
	for (size_t i = 0; i < r->n; i++) {
		const struct bench_result *row = &r->row[i];

		fprintf(f, "<tr%s><td>", !i || !same_group(row, row - 1) ? " class=first" : "");
		html_text(f, row->bench);
		fputc(' ', f);
		html_text(f, row->size);
		fputs("<td>", f);
		html_text(f, row->contestant);
		if (!row->time.n) {
			fprintf(f, "<td>%d<td colspan=9>failed in every round</tr>\n",
				row->workers);
			continue;
		}
		fprintf(f,
			"<td>%d<td>%zu<td>%s<td>%s<td>%s<td>%llu<td>%s<td>%s<td>%s<td>%s%s</tr>\n",
			row->workers, row->time.n, duration(row->time.median),
			duration(row->time.min), duration(row->time.max),
			(unsigned long long)row->items, nanoseconds(row->per_item_ns, row->trip),
			nanoseconds(row->over_serial_ns, row->trip), ratio(&row->to_serial),
			ratio(&row->to_baseline),
			row->verified ? "" : " <strong>wrong result</strong>");
	}
	fputs("</tbody></table>\n", f);
}

static const char page_head[] =
	"<!DOCTYPE html>\n"
	"<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\n"
	"<title>filch benchmarks</title>\n<style>\n"
	"body{font:15px/1.45 sans-serif;max-width:75rem;margin:2rem auto;padding:0 "
	"1rem;color:#222}\n"
	"table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}\n"
	"th,td{padding:.15rem .6rem;text-align:right}\n"
	"th:nth-child(-n+2),td:nth-child(-n+2){text-align:left}\n"
	"thead th{border-bottom:2px solid #888}\n"
	"tr.first td{border-top:1px solid #ccc}\n"
	"svg{max-width:100%;height:auto}\n"
	"figure{margin:1.5rem 0;overflow-x:auto}\n"
	"strong{color:#b00}\n"
	"</style>\n<h1>filch benchmarks</h1>\n<p>";

static int page(const struct bench_results *r, const char *dir, const bool *drawn)
{
	const struct bench_machine *m = &r->machine;
	char *path = NULL;
	FILE *f;

	if (asprintf(&path, "%s/index.html", dir) < 0)
		return -ENOMEM;
	f = fopen(path, "w");
	free(path);
	if (!f)
		return -errno;
	fputs(page_head, f);
	html_text(f, m->cpu);
	fprintf(f, ", %d CPUs; workers pinned to %s; governor ", m->online, m->cpus);
	html_text(f, m->governor);
	fprintf(f, "; %s; others used %.0f %% of the processors before the start<br>", m->kernel,
		100 * m->busy);
	html_text(f, m->compiler);
	fputs(", flags <code>", f);
	html_text(f, m->flags);
	fprintf(f, "</code>, commit <code>%s</code>, %s; %d rounds%s</p>\n<p>", m->commit, m->date,
		r->rounds, r->quick ? ", quick: smaller sizes" : "");
	html_text(f, method);
	fputs("</p>\n<p>Peers: ", f);
	html_text(f, r->peers);
	fputs("</p>\n", f);
	for (size_t i = 0; i < PLOTS; i++) {
		char *svg = NULL;

		if (!drawn[i] || asprintf(&svg, "%s/%s.svg", dir, plots[i].name) < 0)
			continue;
		fputs("<figure>", f);
		embed(f, svg);
		fputs("</figure>\n", f);
		free(svg);
	}
	page_table(f, r);
	fputs("</html>\n", f);
	return fclose(f) ? -errno : 0;
}

int bench_report_dir(const struct bench_results *r, const char *dir)
{
	bool drawn[PLOTS] = { false };
	bool gnuplot = !system("command -v gnuplot >/dev/null 2>&1");
	char *json = NULL;
	int err;

	if (mkdir(dir, 0777) && errno != EEXIST)
		return -errno;
	if (asprintf(&json, "%s/results.json", dir) < 0)
		return -ENOMEM;
	err = bench_report_json(r, json);
	free(json);
	if (!gnuplot)
		fprintf(stderr, "filch-bench: no gnuplot, so the report has no plots\n");
	for (size_t i = 0; i < PLOTS && gnuplot; i++) {
		int drew = draw(r, &plots[i], dir);

		drawn[i] = !drew;
		if (drew < 0)
			fprintf(stderr, "filch-bench: plot %s: %s\n", plots[i].name,
				strerror(-drew));
	}
	return err ? err : page(r, dir, drawn);
}
