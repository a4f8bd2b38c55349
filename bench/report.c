/* SPDX-License-Identifier: Apache-2.0 */
/* Table, JSON, page: see report.h. */
#define _GNU_SOURCE
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef BENCH_SOURCE_DIR
#define BENCH_SOURCE_DIR "."
#endif

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

/*
 * The page is not made here: what it shows, and how, is page/page.html, which holds the results as
 * they are written above.
 */
static int page(const char *dir)
{
	char *command = NULL;
	int err = -ENOMEM;

	if (asprintf(&command, "'" BENCH_SOURCE_DIR "/bench/page/make' '%s'", dir) >= 0)
		err = system(command) ? -EIO : 0;
	free(command);
	return err;
}

int bench_report_dir(const struct bench_results *r, const char *dir)
{
	char *json = NULL, *compared = NULL;
	int err = -ENOMEM;

	if (mkdir(dir, 0777) && errno != EEXIST)
		return -errno;
	if (asprintf(&json, "%s/results.json", dir) >= 0 &&
		asprintf(&compared, "%s/compare.json", dir) >= 0) {
		unlink(compared); /* it was beside other results */
		err = bench_report_json(r, json);
	}
	free(compared);
	free(json);
	return err ? err : page(dir);
}
