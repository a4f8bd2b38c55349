/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a trace: see trace_read.h. */
#define _GNU_SOURCE
#include "tools/trace_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH      1024u
#define TIME_MOST  (INT64_C(1) << 60)
#define FIRST_LINE "{\"displayTimeUnit\":\"ns\",\"traceEvents\":["

static const char *const categories[TRACE_KINDS] = { "job", "task", "wait", "park", "loop", "span",
	"submit", "join", "search", "wake", "thread", "serial" };

struct reader {
	struct trace *trace;
	unsigned long line;
	struct trace_track *last; /* of the line before, most likely this one's too */
	/* of the track that is read: which of its events are open */
	uint32_t depth;
	size_t open[DEPTH];
};

static bool fail(struct reader *r, const char *why)
{
	snprintf(r->trace->why, sizeof r->trace->why, "line %lu: %s", r->line, why);
	return false;
}

/* --- one line --------------------------------------------------------- */

/*
 * Where the value of @key begins; NULL: there is none. A text's own quotes have backslashes before
 * them, so no text can look like a key.
 */
static char *value_of(char *line, const char *key)
{
	char pattern[32], *at;

	snprintf(pattern, sizeof pattern, "\"%s\":", key);
	at = strstr(line, pattern);
	return at ? at + strlen(pattern) : NULL;
}

static bool number_of(char *line, const char *key, uint64_t *value)
{
	char *at = value_of(line, key);

	if (!at || *at < '0' || *at > '9')
		return false;
	*value = strtoull(at, NULL, 10);
	return true;
}

/* A number as text of hexadecimal digits. */
static uint64_t id_of(char *line, const char *key)
{
	char *at = value_of(line, key);

	return at && *at == '"' ? strtoull(at + 1, NULL, 16) : 0;
}

/* Microseconds with three digits behind the point, as nanoseconds; -1: none. */
static int64_t time_of(char *line)
{
	char *at = value_of(line, "ts"), *end;
	unsigned long long us, ns;

	if (!at || *at < '0' || *at > '9')
		return -1;
	us = strtoull(at, &end, 10);
	if (*end != '.' || us > TIME_MOST / 1000)
		return -1;
	ns = strtoull(end + 1, NULL, 10);
	return ns > 999 ? -1 : (int64_t)(us * 1000 + ns);
}

/* A text that ends at its closing quote; it is cut there, when all else of the line was read. */
static const char *text_of(char *line, const char *key)
{
	char *at = value_of(line, key), *end;

	if (!at || *at != '"')
		return "";
	for (end = ++at; *end && *end != '"'; end++)
		if (*end == '\\' && end[1])
			end++;
	*end = '\0';
	return at;
}

/* --- tracks ----------------------------------------------------------- */

static struct trace_track *find_track(struct reader *r, uint64_t process, uint64_t thread)
{
	struct trace *trace = r->trace;
	struct trace_track *more;

	if (r->last && r->last->process == process && r->last->thread == thread)
		return r->last;
	r->depth = 0;
	for (size_t i = 0; i < trace->count; i++)
		if (trace->track[i].process == process && trace->track[i].thread == thread)
			return r->last = &trace->track[i];
	more = realloc(trace->track, (trace->count + 1) * sizeof *more);
	if (!more)
		return NULL;
	trace->track = more;
	r->last = &more[trace->count++];
	*r->last = (struct trace_track){ .process = process, .thread = thread, .name = "" };
	return r->last;
}

static struct trace_event *add_event(struct trace_track *t)
{
	if (t->count == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct trace_event *more = realloc(t->event, room * sizeof *more);

		if (!more)
			return NULL;
		t->event = more;
		t->room = room;
	}
	return &t->event[t->count++];
}

static bool kind_of(char *line, enum trace_kind *kind)
{
	const char *at = value_of(line, "cat");

	for (unsigned i = 0; at && *at == '"' && i < TRACE_KINDS; i++) {
		size_t size = strlen(categories[i]);

		if (!strncmp(at + 1, categories[i], size) && at[1 + size] == '"') {
			*kind = (enum trace_kind)i;
			return true;
		}
	}
	return false;
}

static void read_values(char *line, struct trace_event *e)
{
	static const char *const keys[TRACE_KINDS][4] = {
		[TRACE_PARK] = { "kind" },
		[TRACE_LOOP] = { "first", "end" },
		[TRACE_WAKE] = { "worker", "pool" },
		[TRACE_SERIAL] = { "work", "span", "spawns", "burdened" },
	};
	uint64_t from;

	e->from = number_of(line, "from", &from) ? (int64_t)from : -1;
	e->task = id_of(line, "task");
	e->job = id_of(line, "job");
	(void)number_of(line, "barred", &e->barred);
	for (unsigned i = 0; i < 4 && keys[e->kind][i]; i++)
		(void)number_of(line, keys[e->kind][i], &e->value[i]);
	e->name = text_of(line, "name"); /* the last: it cuts the line */
}

static bool read_event(struct reader *r, char *line, char phase, struct trace_track *t)
{
	int64_t at = time_of(line);
	struct trace_event *e;
	enum trace_kind kind;

	if (at < 0)
		return fail(r, "no time");
	if (phase == 'E') {
		if (!r->depth)
			return fail(r, "an end without a beginning");
		e = &t->event[r->open[--r->depth]];
		e->end = at;
		return at >= e->begin || fail(r, "it ends before it begins");
	}
	if (!kind_of(line, &kind))
		return fail(r, "an unknown kind of event");
	if (t->count && at < t->event[t->count - 1].begin)
		return fail(r, "time runs back");
	e = add_event(t);
	if (!e || (phase == 'B' && r->depth == DEPTH))
		return fail(r, "no memory");
	*e = (struct trace_event){ .begin = at, .end = at, .kind = kind, .depth = r->depth };
	if (phase == 'B')
		r->open[r->depth++] = t->count - 1;
	read_values(line, e);
	return true;
}

static bool read_metadata(struct reader *r, char *line, struct trace_track *t)
{
	char *what = value_of(line, "name");
	uint64_t n = 0, version = 0;

	if (!what)
		return fail(r, "no name");
	if (!strncmp(what, "\"filch_trace\"", 13)) {
		(void)number_of(line, "version", &version);
		if (version != 1)
			return fail(r, "a trace of another version");
		(void)number_of(line, "ns", &n);
		r->trace->ns = n < (uint64_t)TIME_MOST ? (int64_t)n : TIME_MOST;
	} else if (!strncmp(what, "\"filch_lost\"", 12)) {
		(void)number_of(line, "outside", &r->trace->lost);
		(void)number_of(line, "pools", &r->trace->left_out);
	} else if (!strncmp(what, "\"filch_worker\"", 14)) {
		t->is_worker = true;
		t->is_caller = value_of(line, "caller") != NULL;
		if (number_of(line, "pool", &n))
			t->pool = (uint32_t)n;
		if (number_of(line, "worker", &n))
			t->worker = (uint32_t)n;
		(void)number_of(line, "lost", &t->lost);
		(void)number_of(line, "jobs", &t->jobs);
		(void)number_of(line, "steals", &t->steals);
		(void)number_of(line, "parks", &t->parks);
	} else if (!strncmp(what, "\"thread_name\"", 13)) {
		char *args = value_of(line, "args");

		t->name = args ? text_of(args, "name") : "";
	}
	return true;
}

static bool read_line(struct reader *r, char *line)
{
	uint64_t process, thread;
	struct trace_track *t;
	char *phase = value_of(line, "ph");

	if (!phase || *phase != '"' || !number_of(line, "pid", &process) ||
		!number_of(line, "tid", &thread))
		return fail(r, "not an event");
	if (phase[1] == 's' || phase[1] == 'f')
		return true; /* an arrow follows from other events */
	if (!process)
		return read_metadata(r, line, NULL);
	/* the process' own name stands with its first thread, or with none */
	if (phase[1] == 'M' && strstr(line, "\"process_name\""))
		return true;
	t = find_track(r, process, thread);
	if (!t)
		return fail(r, "no memory");
	switch (phase[1]) {
	case 'M':
		return read_metadata(r, line, t);
	case 'B':
	case 'E':
	case 'X':
		return read_event(r, line, phase[1], t);
	default:
		return fail(r, "an unknown phase");
	}
}

static bool keep(struct trace *trace, char *line, size_t *room)
{
	if (trace->text_count == *room) {
		size_t more = *room ? 2 * *room : 256;
		char **texts = realloc(trace->texts, more * sizeof *texts);

		if (!texts)
			return false;
		trace->texts = texts;
		*room = more;
	}
	trace->texts[trace->text_count++] = line;
	return true;
}

bool trace_read(struct trace *trace, const char *path)
{
	struct reader *r = calloc(1, sizeof *r);
	size_t size = 0, room = 0;
	char *line = NULL;
	bool ok = true, ends = false;
	FILE *in;

	*trace = (struct trace){ .ns = 0 };
	in = fopen(path, "re");
	if (!r || !in) {
		snprintf(trace->why, sizeof trace->why, "%s", strerror(r ? errno : ENOMEM));
		free(r);
		if (in)
			(void)fclose(in);
		return false;
	}
	r->trace = trace;
	while (ok && !ends && getline(&line, &size, in) > 0) {
		if (++r->line == 1) {
			if (strncmp(line, FIRST_LINE, strlen(FIRST_LINE)) != 0)
				ok = fail(r, "not a trace that filch has written");
			continue;
		}
		ends = *line == ']';
		if (ends)
			continue;
		ok = read_line(r, line) && (keep(trace, line, &room) || fail(r, "no memory"));
		if (ok) {
			line = NULL; /* its names are pointed to */
			size = 0;
		}
	}
	if (ok && !ends)
		ok = fail(r, "it ends before its end");
	free(line);
	(void)fclose(in);
	free(r);
	return ok;
}

void trace_free(struct trace *trace)
{
	for (size_t i = 0; i < trace->count; i++)
		free(trace->track[i].event);
	free(trace->track);
	for (size_t i = 0; i < trace->text_count; i++)
		free(trace->texts[i]);
	free(trace->texts);
}

struct trace_track *trace_worker(const struct trace *trace, uint64_t pool, uint64_t worker)
{
	for (size_t i = 0; i < trace->count; i++) {
		struct trace_track *t = &trace->track[i];

		if (t->is_worker && t->pool == pool && t->worker == worker)
			return t;
	}
	return NULL;
}
