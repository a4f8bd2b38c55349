/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /stats: one list of figures, written as JSON or as Prometheus's text format. The pool's come from handover_figures(); whoever
 * adds one there, with or without a label, need not touch this file.
 */
#include <inttypes.h>
#include <string.h>

#include "server.h"

#define FIGURES_MAX 128

static size_t own_figures(const struct server *s, struct handover_figure *out, size_t n)
{
	static char codes[sizeof s->counts.answers / sizeof s->counts.answers[0]][4];
	const struct server_counts *c = &s->counts;
	const struct handover_figure figures[] = {
		{ "requests", "requests begun", NULL, NULL, false, c->requests },
		{ "open", "requests not yet answered, this one included", NULL, NULL, true, c->open },
		{ "accepted", "requests handed to a worker", NULL, NULL, false, c->accepted },
		{ "answered", "requests answered by a worker", NULL, NULL, false, c->answered },
		{ "waiting", "requests at a worker, or queued for one", NULL, NULL, true, c->accepted - c->answered },
		{ "stopping", "1: no more work is taken", NULL, NULL, true, s->stopping },
	};
	size_t used = sizeof figures / sizeof figures[0];

	memcpy(out, figures, sizeof figures);
	for (unsigned code = 100; code < 600 && used < n; code++) {
		if (!c->answers[code])
			continue;
		snprintf(codes[code], sizeof codes[code], "%u", code);
		out[used++] = (struct handover_figure){ "answers", "answers given", "code", codes[code], false, c->answers[code] };
	}
	return used;
}

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

static void write_prometheus(FILE *out, const char *prefix, const struct handover_figure *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *total = f[i].gauge ? "" : "_total";

		if (!i || strcmp(f[i - 1].name, f[i].name))
			fprintf(out, "# HELP %s_%s%s %s\n# TYPE %s_%s%s %s\n", prefix, f[i].name, total, f[i].meaning, prefix,
				f[i].name, total, f[i].gauge ? "gauge" : "counter");
		fprintf(out, "%s_%s%s", prefix, f[i].name, total);
		if (f[i].label)
			fprintf(out, "{%s=\"%s\"}", f[i].label, f[i].label_value);
		fprintf(out, " %" PRIu64 "\n", f[i].value);
	}
}

void figures_write(struct server *s, FILE *out, bool prometheus)
{
	struct handover_figure own[FIGURES_MAX], pool[FIGURES_MAX];
	size_t own_n = own_figures(s, own, FIGURES_MAX), pool_n = handover_figures(s->pool, pool, FIGURES_MAX);

	if (prometheus) {
		write_prometheus(out, "http_server", own, own_n);
		write_prometheus(out, "filch", pool, pool_n);
		return;
	}
	fputs("{\"server\":{", out);
	write_json(out, own, own_n);
	fputs("},\"pool\":{", out);
	write_json(out, pool, pool_n);
	fputs("}}\n", out);
}
