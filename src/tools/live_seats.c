/* SPDX-License-Identifier: Apache-2.0 */
/* filch-info --pid: where workers of a live process sit, why, and what has changed. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <filch/pool.h>
#include <string.h>

#include "base/json.h"
#include "tools/live_print.h"

/* Prints each line of @text behind @blanks. */
static void write_lines(const char *text, const char *blanks, FILE *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		fprintf(out, "%s%.*s\n", blanks, (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void cell(FILE *out, int value)
{
	if (value < 0)
		fprintf(out, "%9s", "-");
	else
		fprintf(out, "%9d", value);
}

static void write_pool(const struct filchi_page_pool *pool, FILE *out)
{
	fprintf(out, "pool %llu \"%s\": %u of %u workers may run%s%s\n",
		(unsigned long long)pool->number, pool->name, pool->allowed, pool->workers,
		pool->flags & FILCHI_PAGE_PAUSED ? ", paused" : "",
		pool->flags & FILCHI_PAGE_CLOSING ? ", closed" : "");
	fprintf(out, "reasons\n");
	write_lines(live_reasons(pool), "  ", out);
	fprintf(out, "seats\n   worker      cpu     core     node  package     kind  state      pin"
		     "        mask\n");
	for (uint32_t i = 0; i < pool->workers; i++) {
		const struct filchi_page_worker *w = live_worker(pool, i);

		cell(out, (int)i);
		cell(out, w->cpu);
		cell(out, w->core);
		cell(out, w->node);
		cell(out, w->package);
		cell(out, w->kind);
		fprintf(out, "  %-9s  %-9s  %s", live_state(w->state), w->pin,
			w->mask[0] ? w->mask : "-");
		if (w->gives_way_to[0])
			fprintf(out, " of %s", w->gives_way_to);
		if (w->pin_error)
			fprintf(out, " (%s)", strerror(w->pin_error));
		fputc('\n', out);
	}
	fprintf(out, "changes since it is live\n");
	if (*live_changes(pool))
		write_lines(live_changes(pool), "  ", out);
	else
		fprintf(out, "  none\n");
}

static void json_lines(struct filchi_json *json, const char *key, const char *text)
{
	filchi_json_line(json, 2);
	filchi_json_array(json, key);
	while (*text) {
		size_t n = strcspn(text, "\n");

		filchi_json_line(json, 3);
		filchi_json_string(json, NULL, text, n);
		text += n + (text[n] == '\n');
	}
	filchi_json_end_array(json);
}

static void json_text(struct filchi_json *json, const char *key, const char *text)
{
	filchi_json_string(json, key, text, strlen(text));
}

static void json_pool(struct filchi_json *json, const struct filchi_page_pool *pool)
{
	filchi_json_line(json, 1);
	filchi_json_object(json, NULL);
	filchi_json_int(json, "pool", (int64_t)pool->number);
	json_text(json, "name", pool->name);
	filchi_json_int(json, "workers", pool->allowed);
	filchi_json_int(json, "workers_all", pool->workers);
	filchi_json_bool(json, "pin", pool->flags & FILCHI_PAGE_PINNED);
	filchi_json_bool(json, "paused", pool->flags & FILCHI_PAGE_PAUSED);
	json_lines(json, "reasons", live_reasons(pool));
	filchi_json_line(json, 2);
	filchi_json_array(json, "seats");
	for (uint32_t i = 0; i < pool->workers; i++) {
		const struct filchi_page_worker *w = live_worker(pool, i);

		filchi_json_line(json, 3);
		filchi_json_object(json, NULL);
		filchi_json_int(json, "worker", i);
		filchi_json_int(json, "cpu", w->cpu);
		filchi_json_int(json, "core", w->core);
		filchi_json_int(json, "node", w->node);
		filchi_json_int(json, "package", w->package);
		filchi_json_int(json, "kind", w->kind);
		json_text(json, "state", live_state(w->state));
		json_text(json, "pin", w->pin);
		filchi_json_int(json, "error", w->pin_error);
		json_text(json, "mask", w->mask);
		json_text(json, "gives_way_to", w->gives_way_to);
		filchi_json_end_object(json);
	}
	filchi_json_end_array(json);
	json_lines(json, "changes", live_changes(pool));
	filchi_json_end_object(json);
}

void live_write_seats(const struct live_process *p, bool json, FILE *out)
{
	struct filchi_json j = { .out = out };

	if (!json) {
		live_title(p, out);
		fputc('\n', out);
		for (uint32_t i = 0; i < p->header->pools; i++)
			write_pool(p->pool[i], out);
		return;
	}
	filchi_json_object(&j, NULL);
	filchi_json_int(&j, "pid", (int64_t)p->header->pid);
	filchi_json_int(&j, "copy", (int64_t)p->header->copy);
	json_text(&j, "program", p->header->program);
	json_text(&j, "library", p->header->library);
	filchi_json_bool(&j, "answers", p->answers);
	filchi_json_array(&j, "pools");
	for (uint32_t i = 0; i < p->header->pools; i++)
		json_pool(&j, p->pool[i]);
	filchi_json_end_array(&j);
	filchi_json_end_object(&j);
	fputc('\n', out);
}
