/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch-trace view: the page. trace_page.html is its text and its script, compiled in; the data go
 * where it says so, as lists of numbers.
 */
#include "tools/trace_write.h"

#include <stdlib.h>
#include <string.h>

#define DATA_HERE "/*DATA*/"

/* Texts come out of the file with their escapes: only what would end the script is changed. */
static void put_text(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '<' || *text == '>' || *text == '&')
			fprintf(out, "\\u%04x", (unsigned)*text);
		else if ((unsigned char)*text >= ' ' && (unsigned char)*text < 127)
			fputc(*text, out);
	}
	fputc('"', out);
}

/* The titles of files are not escaped yet. */
static void put_title(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++)
		if (*text == '"' || *text == '\\' || *text == '<' || *text == '&' ||
			(unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
		else
			fputc(*text, out);
	fputc('"', out);
}

static void write_events(const struct trace_track *t, FILE *out)
{
	fputs("\"events\":[", out);
	for (size_t i = 0; i < t->count; i++) {
		const struct trace_event *e = &t->event[i];

		fprintf(out, "%s[%d,%lld,%lld,%u,", i ? "," : "", (int)e->kind, (long long)e->begin,
			(long long)(e->end - e->begin), (unsigned)e->depth);
		put_text(e->name, out);
		fprintf(out, ",\"%llx\",\"%llx\",%lld,%llu,%llu]", (unsigned long long)e->task,
			(unsigned long long)e->job, (long long)e->from,
			(unsigned long long)e->value[0], (unsigned long long)e->value[1]);
	}
	fputs("]", out);
}

static void write_pieces(const struct look_worker *w, FILE *out)
{
	fputs(",\"pieces\":[", out);
	for (size_t i = 0; w && i < w->count; i++)
		fprintf(out, "%s[%lld,%lld,%d]", i ? "," : "", (long long)w->piece[i].from,
			(long long)w->piece[i].to, (int)w->piece[i].state);
	fputs("],\"ns\":[", out);
	for (unsigned s = 0; w && s < LOOK_STATES; s++)
		fprintf(out, "%s%lld", s ? "," : "", (long long)w->ns[s]);
	fputs("]", out);
}

static const struct look_worker *worker_of(const struct look *look, const struct trace_track *t)
{
	for (size_t i = 0; i < look->workers; i++)
		if (look->worker[i].track == t)
			return &look->worker[i];
	return NULL;
}

static void write_track(const struct look *look, const struct trace_track *t, FILE *out)
{
	fputs("{\"name\":", out);
	put_text(t->name, out);
	fprintf(out, ",\"pool\":%u,\"worker\":%d,", t->pool, t->is_worker ? (int)t->worker : -1);
	write_events(t, out);
	write_pieces(worker_of(look, t), out);
	fputs("}", out);
}

static void write_data(const struct look *look, const char *title, FILE *out)
{
	char *stat = NULL, *line;
	size_t size = 0;
	FILE *text = open_memstream(&stat, &size);

	fputs("{\"title\":", out);
	put_title(title, out);
	fprintf(out, ",\"ns\":%lld,\"states\":[", (long long)look->trace->ns);
	for (unsigned s = 0; s < LOOK_STATES; s++)
		fprintf(out, "%s\"%s\"", s ? "," : "", look_words[s]);
	fputs("],\"tracks\":[", out);
	for (size_t i = 0; i < look->trace->count; i++) {
		fputs(i ? ",\n" : "\n", out);
		write_track(look, &look->trace->track[i], out);
	}
	fputs("],\"path\":[", out);
	for (size_t i = 0; i < look->steps; i++)
		fprintf(out, "%s[%zu,%lld,%lld,%d]", i ? "," : "", look->step[i].track,
			(long long)look->step[i].from, (long long)look->step[i].to,
			(int)look->step[i].kind);
	fputs("],\"stat\":[", out);
	if (text) {
		trace_write_stat(look, text);
		(void)fclose(text);
	}
	line = stat;
	for (char *end; line && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		fputs(line == stat ? "" : ",", out);
		put_title(line, out);
	}
	free(stat);
	fputs("]}", out);
}

void trace_write_page(const struct look *look, const char *title, FILE *out)
{
	const char *data = strstr(trace_page, DATA_HERE);

	fwrite(trace_page, 1, (size_t)(data - trace_page), out);
	write_data(look, title, out);
	fputs(data + strlen(DATA_HERE), out);
}
