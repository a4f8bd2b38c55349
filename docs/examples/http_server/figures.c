/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One list of figures, written as JSON (/stats) or as Prometheus's text format (/metrics), which
 * has histograms besides. The pool's come from handover_figures(); a figure added there, with or
 * without a label, needs nothing here.
 *
 * Prometheus wants base units, seconds and bytes, a unit or _total at the end of a name, and HELP
 * and TYPE before the first line of each.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

#define FIGURES_MAX 128

/* Where the time of an answer lies between "at once" and "as long as it takes". */
static const uint64_t bounds_ns[BUCKETS] = { 10000, 100000, 500000, 1000000, 5000000, 10000000,
	50000000, 100000000, 500000000, 1000000000, 5000000000, 10000000000 };

void histogram_add(struct histogram *h, uint64_t ns)
{
	size_t i = 0;

	while (i < BUCKETS && ns > bounds_ns[i])
		i++;
	h->bucket[i]++;
	h->sum_ns += ns;
}

#define OWN(name, metric, meaning, gauge, value)                                                \
	{                                                                                       \
		name, "http_server_" metric, meaning, NULL, NULL, gauge, HANDOVER_NUMBER, value \
	}
#define LATE(wait, value)                                                                          \
	{                                                                                          \
		"late", "http_server_late_clients_total", "connections closed for being too slow", \
			"wait", wait, false, HANDOVER_NUMBER, value                                \
	}

static size_t own_figures(const struct server *s, struct handover_figure *out, size_t n)
{
	static char codes[sizeof s->counts.answers / sizeof s->counts.answers[0]][4];
	const struct server_counts *c = &s->counts;
	const struct clients *clients = &s->clients;
	const struct handover_figure figures[] = {
		OWN("requests", "requests_total", "requests begun", false, c->requests),
		OWN("open", "open_requests", "requests not yet answered, this one included", true,
			c->open),
		OWN("accepted", "accepted_jobs_total", "requests handed to a worker", false,
			c->accepted),
		OWN("answered", "answered_jobs_total", "requests answered by a worker", false,
			c->answered),
		OWN("waiting", "waiting_jobs", "requests at a worker, or queued for one", true,
			c->accepted - c->answered),
		OWN("stopping", "stopping", "1: no more work is taken", true, s->stopping),
		OWN("connected", "connections_total", "connections made", false,
			clients->connected),
		OWN("connections", "open_connections", "connections open now", true,
			clients->connected - clients->closed),
		OWN("body_bytes", "request_body_bytes_total",
			"bytes of requests' bodies, read and thrown away", false, c->body_bytes),
		LATE("request", clients->late[CLIENT_REQUEST]),
		LATE("next", clients->late[CLIENT_NEXT]),
		LATE("answer", clients->late[CLIENT_ANSWER]),
	};
	size_t used = sizeof figures / sizeof figures[0];

	memcpy(out, figures, sizeof figures);
	for (unsigned code = 100; code < 600 && used < n; code++) {
		if (!c->answers[code])
			continue;
		snprintf(codes[code], sizeof codes[code], "%u", code);
		out[used++] = (struct handover_figure){ "answers", "http_server_answers_total",
			"answers given", "code", codes[code], false, HANDOVER_NUMBER,
			c->answers[code] };
	}
	return used;
}

/* --- JSON ------------------------------------------------------------- */

/* "steals":3,"answers":{"200":5,"503":1} */
static void write_json(FILE *out, const struct handover_figure *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool first = !i || strcmp(f[i - 1].name, f[i].name);
		bool last = i + 1 == n || strcmp(f[i + 1].name, f[i].name);

		if (i)
			putc(',', out);
		if (first)
			fprintf(out, "\"%s\":", f[i].name);
		if (f[i].label && first)
			putc('{', out);
		if (f[i].label)
			fprintf(out, "\"%s\":", f[i].label_value);
		fprintf(out, "%" PRIu64, f[i].value);
		if (f[i].label && last)
			putc('}', out);
	}
}

void figures_write_json(struct server *s, FILE *out)
{
	struct handover_figure figures[FIGURES_MAX];

	fputs("{\"server\":{", out);
	write_json(out, figures, own_figures(s, figures, FIGURES_MAX));
	fputs("},\"pool\":{", out);
	write_json(out, figures, handover_figures(s->pool, figures, FIGURES_MAX));
	fputs("}}\n", out);
}

/* --- Prometheus ------------------------------------------------------- */

static void write_head(FILE *out, const char *metric, const char *meaning, const char *type)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric, meaning, metric, type);
}

static void write_metrics(FILE *out, const struct handover_figure *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!i || strcmp(f[i - 1].metric, f[i].metric))
			write_head(
				out, f[i].metric, f[i].meaning, f[i].gauge ? "gauge" : "counter");
		fputs(f[i].metric, out);
		if (f[i].label)
			fprintf(out, "{%s=\"%s\"}", f[i].label, f[i].label_value);
		if (f[i].unit == HANDOVER_NS)
			fprintf(out, " %.9f\n", (double)f[i].value / 1e9);
		else
			fprintf(out, " %" PRIu64 "\n", f[i].value);
	}
}

/* @label: empty, or as path="/" */
static void write_histogram(
	FILE *out, const char *metric, const char *label, const struct histogram *h)
{
	const char *comma = *label ? "," : "";
	const char *open = *label ? "{" : "", *close = *label ? "}" : "";
	uint64_t sum = 0;

	for (size_t i = 0; i < BUCKETS; i++) {
		sum += h->bucket[i];
		fprintf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", metric, label, comma,
			(double)bounds_ns[i] / 1e9, sum);
	}
	sum += h->bucket[BUCKETS];
	fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", metric, label, comma, sum);
	fprintf(out, "%s_sum%s%s%s %.9f\n", metric, open, label, close, (double)h->sum_ns / 1e9);
	fprintf(out, "%s_count%s%s%s %" PRIu64 "\n", metric, open, label, close, sum);
}

static void write_times(FILE *out, const struct server *s)
{
	static const char answers[] = "http_server_answer_seconds",
			  queue[] = "http_server_job_queue_seconds",
			  run[] = "http_server_job_run_seconds";

	write_head(out, answers, "from the end of a request's header to the end of its answer",
		"histogram");
	for (size_t i = 0; requests_path(i); i++) {
		char label[64];

		snprintf(label, sizeof label, "path=\"%s\"", requests_path(i));
		write_histogram(out, answers, label, &s->answer_time[i]);
	}
	write_head(out, queue, "how long work waited for a worker", "histogram");
	write_histogram(out, queue, "", &s->queue_time);
	write_head(out, run, "how long work that was started ran", "histogram");
	write_histogram(out, run, "", &s->run_time);
}

/* The names are those that every program has which tells Prometheus of itself. */
static void write_process(FILE *out, const struct server *s)
{
	unsigned long size, resident = 0;
	struct timespec cpu = { 0, 0 };
	FILE *statm = fopen("/proc/self/statm", "re");

	if (statm && fscanf(statm, "%lu %lu", &size, &resident) == 2) {
		write_head(
			out, "process_resident_memory_bytes", "memory that is resident", "gauge");
		fprintf(out, "process_resident_memory_bytes %lu\n",
			resident * (unsigned long)sysconf(_SC_PAGESIZE));
	}
	if (statm)
		fclose(statm);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	write_head(out, "process_cpu_seconds_total", "time spent on processors", "counter");
	fprintf(out, "process_cpu_seconds_total %.6f\n",
		(double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	write_head(
		out, "process_start_time_seconds", "when the server started, since 1970", "gauge");
	fprintf(out, "process_start_time_seconds %.3f\n", s->started);
}

void figures_write_metrics(struct server *s, FILE *out)
{
	struct handover_figure figures[FIGURES_MAX];

	write_metrics(out, figures, own_figures(s, figures, FIGURES_MAX));
	write_metrics(out, figures, handover_figures(s->pool, figures, FIGURES_MAX));
	write_times(out, s);
	write_process(out, s);
}
