/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace as a file: the JSON of Chrome's Trace Event Format, which Perfetto reads as well. One
 * event on each line, so that filch-trace and people's own scripts need not read it as a whole.
 *
 * A pool is a process there, a worker one of its threads; threads that are no workers are one more
 * process. What began before the oldest event that was kept has no beginning, and is left out; what
 * is still open at the end is closed there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "pool/tracing.h"

#define OUTSIDE_PROCESS 1u
#define DEPTH           1024u /* of what is open in a track at once */
#define NAME_MOST       200u

/* A track being written. */
struct track {
	FILE *out;
	const struct filchi_trace_file *file;
	uint32_t process;
	uint64_t thread;
	uint32_t depth;
	unsigned char open[DEPTH]; /* kinds that have begun */
};

static uint32_t process_of(uint32_t pool)
{
	return OUTSIDE_PROCESS + pool;
}

/* Threads have numbers of their own across all processes. */
static uint64_t thread_of(uint32_t pool, uint64_t worker)
{
	return (uint64_t)process_of(pool) * 10000000 + worker;
}

static void put_text(FILE *out, const char *text)
{
	size_t size = strlen(text);

	filchi_json_string(&(struct filchi_json){ .out = out }, NULL, text,
		size < NAME_MOST ? size : NAME_MOST);
}

/* How each line begins. */
static void put_line_of(
	const struct track *t, const char *phase, uint32_t process, uint64_t thread, uint64_t at)
{
	uint64_t ns = at > t->file->begun ? at - t->file->begun : 0;

	fprintf(t->out, ",\n{\"ph\":\"%s\",\"pid\":%u,\"tid\":%llu,\"ts\":%llu.%03llu", phase,
		process, (unsigned long long)thread, (unsigned long long)(ns / 1000),
		(unsigned long long)(ns % 1000));
}

static void put_line(const struct track *t, const char *phase, uint64_t at)
{
	put_line_of(t, phase, t->process, t->thread, at);
}

/* --- arrows ----------------------------------------------------------- */

static void put_arrow(const struct track *t, const char *phase, uint32_t process, uint64_t thread,
	uint64_t at, const char *name, uint64_t id)
{
	put_line_of(t, phase, process, thread, at);
	fprintf(t->out, ",\"cat\":\"flow\",\"name\":\"%s\",\"id\":\"%s%llx\"%s}", name, name,
		(unsigned long long)id, *phase == 'f' ? ",\"bp\":\"e\"" : "");
}

static void arrow_from(const struct track *t, uint64_t at, const char *name, uint64_t id)
{
	put_arrow(t, "s", t->process, t->thread, at, name, id);
}

static void arrow_to(const struct track *t, uint64_t at, const char *name, uint64_t id)
{
	put_arrow(t, "f", t->process, t->thread, at, name, id);
}

static uint64_t sleeper_id(uint64_t pool, uint64_t worker)
{
	return pool << 16 | worker;
}

/* --- what begins and ends --------------------------------------------- */

static void begin(struct track *t, const struct filchi_trace_event *e, unsigned kind,
	const char *category, const char *name)
{
	if (t->depth < DEPTH)
		t->open[t->depth] = (unsigned char)kind;
	t->depth++;
	put_line(t, "B", e->at);
	fprintf(t->out, ",\"cat\":\"%s\",\"name\":", category);
	put_text(t->out, name);
}

static void end_one(struct track *t, uint64_t at)
{
	t->depth--;
	put_line(t, "E", at);
	fputs("}", t->out);
}

/* Ends the innermost of @kind, and what is still open inside it. False: there is none. */
static bool end(struct track *t, uint64_t at, unsigned kind)
{
	uint32_t i = t->depth < DEPTH ? t->depth : DEPTH;

	while (i && t->open[i - 1] != kind)
		i--;
	if (!i)
		return false;
	while (t->depth >= i)
		end_one(t, at);
	return true;
}

static void end_all(struct track *t, uint64_t at)
{
	while (t->depth)
		end_one(t, at);
}

/* A moment, as something short that arrows can begin at. */
static void moment(struct track *t, uint64_t at, const char *category, const char *name)
{
	put_line(t, "X", at);
	fprintf(t->out, ",\"dur\":0.001,\"cat\":\"%s\",\"name\":\"%s\"", category, name);
}

/* --- events ----------------------------------------------------------- */

/* The name of a task: that of its function, where the program exports it; else its place. */
static void name_task(char *name, size_t room, uintptr_t thunk)
{
	static const char suffix[] = "_filch_thunk";
	Dl_info info = { 0 };
	const char *object;
	char *at;

	if (!dladdr((void *)thunk, &info)) {
		(void)snprintf(name, room, "task 0x%llx", (unsigned long long)thunk);
		return;
	}
	if (info.dli_sname && (uintptr_t)info.dli_saddr == thunk) {
		(void)snprintf(name, room, "%s", info.dli_sname);
		at = strstr(name, suffix);
		if (at)
			*at = '\0';
		return;
	}
	object = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
	object = object ? object + 1 : info.dli_fname;
	(void)snprintf(name, room, "%.60s+0x%llx", object ? object : "task",
		(unsigned long long)(thunk - (uintptr_t)info.dli_fbase));
}

static void write_task(struct track *t, const struct filchi_trace_event *e, uint32_t pool,
	const struct filchi_trace_event *from)
{
	char name[96];

	name_task(name, sizeof name, (uintptr_t)e->b);
	begin(t, e, FILCHI_TRACE_TASK_BEGIN, "task", name);
	fprintf(t->out, ",\"args\":{\"task\":\"%llx\"", (unsigned long long)e->a);
	if (from->what)
		fprintf(t->out, ",\"from\":%llu,\"job\":\"%llx\"}}", (unsigned long long)from->a,
			(unsigned long long)from->b);
	else
		fputs(",\"share\":true}}", t->out);
	if (!from->what)
		return;
	put_arrow(t, "s", t->process, thread_of(pool, from->a), from->at, "steal", e->a);
	arrow_to(t, e->at, "steal", e->a);
}

static void write_job(struct track *t, const struct filchi_trace_event *e)
{
	begin(t, e, FILCHI_TRACE_JOB_BEGIN, "job", e->b ? (const char *)(uintptr_t)e->b : "job");
	fprintf(t->out, ",\"args\":{\"job\":\"%llx\"}}", (unsigned long long)e->a);
	arrow_to(t, e->at, "queue", e->a);
}

static void write_wait(struct track *t, const struct filchi_trace_event *e)
{
	bool task = e->b == FILCHI_TRACE_WAIT_TASK;

	begin(t, e, FILCHI_TRACE_WAIT_BEGIN, "wait", task ? "wait for a task" : "wait for a job");
	fprintf(t->out, ",\"args\":{\"%s\":\"%llx\"}}", task ? "task" : "job",
		(unsigned long long)e->a);
}

/* What a task's end lets go on. */
static void write_joined(struct track *t, const struct filchi_trace_event *e)
{
	moment(t, e->at, "join", "join");
	fprintf(t->out, ",\"args\":{\"task\":\"%llx\"}}", (unsigned long long)e->a);
	arrow_to(t, e->at, "done", e->a);
}

static void write_park(struct track *t, const struct filchi_trace_event *e, uint64_t barred)
{
	static const char *const names[] = { "asleep", "asleep, waiting", "retired" };

	begin(t, e, FILCHI_TRACE_PARK, "park", names[e->a < 3 ? e->a : 0]);
	fprintf(t->out, ",\"args\":{\"kind\":%llu,\"barred\":%llu}}", (unsigned long long)e->a,
		(unsigned long long)barred);
}

static void write_event(struct track *t, const struct filchi_trace_event *e, uint32_t pool,
	uint32_t worker, struct filchi_trace_event *kept)
{
	uint64_t barred = e->what >> 32;

	switch (e->what & 0xff) {
	case FILCHI_TRACE_THREAD:
		end_all(t, e->at);
		moment(t, e->at, "thread", "thread");
		fputs("}", t->out);
		break;
	case FILCHI_TRACE_QUEUED:
		moment(t, e->at, "submit", "submit");
		fprintf(t->out, ",\"args\":{\"job\":\"%llx\"}}", (unsigned long long)e->a);
		arrow_from(t, e->at, "queue", e->a);
		break;
	case FILCHI_TRACE_JOB_BEGIN:
		write_job(t, e);
		break;
	case FILCHI_TRACE_JOB_END:
		(void)end(t, e->at, FILCHI_TRACE_JOB_BEGIN);
		break;
	case FILCHI_TRACE_TASK_FROM:
	case FILCHI_TRACE_SERIAL:
		*kept = *e;
		break;
	case FILCHI_TRACE_TASK_BEGIN:
		write_task(t, e, pool, kept);
		*kept = (struct filchi_trace_event){ 0 };
		break;
	case FILCHI_TRACE_TASK_END:
		arrow_from(t, e->at, "done", e->a);
		(void)end(t, e->at, FILCHI_TRACE_TASK_BEGIN);
		break;
	case FILCHI_TRACE_JOINED:
		write_joined(t, e);
		break;
	case FILCHI_TRACE_WAIT_BEGIN:
		write_wait(t, e);
		break;
	case FILCHI_TRACE_WAIT_END:
		if (end(t, e->at, FILCHI_TRACE_WAIT_BEGIN) && e->b == FILCHI_TRACE_WAIT_TASK)
			write_joined(t, e);
		break;
	case FILCHI_TRACE_SEARCH:
		moment(t, e->at, "search", "search");
		fprintf(t->out, ",\"args\":{\"barred\":%llu}}", (unsigned long long)barred);
		break;
	case FILCHI_TRACE_PARK:
		write_park(t, e, barred);
		break;
	case FILCHI_TRACE_UNPARK:
		if (e->a)
			arrow_to(t, e->at, "wake", sleeper_id(pool, worker));
		(void)end(t, e->at, FILCHI_TRACE_PARK);
		break;
	case FILCHI_TRACE_WAKE:
		moment(t, e->at, "wake", "wake");
		fprintf(t->out, ",\"args\":{\"worker\":%llu,\"pool\":%llu}}",
			(unsigned long long)e->a, (unsigned long long)e->b);
		arrow_from(t, e->at, "wake", sleeper_id(e->b, e->a));
		break;
	case FILCHI_TRACE_PIECE_BEGIN:
		begin(t, e, FILCHI_TRACE_PIECE_BEGIN, "loop", "loop");
		fprintf(t->out, ",\"args\":{\"first\":%llu,\"end\":%llu}}",
			(unsigned long long)e->a, (unsigned long long)e->b);
		break;
	case FILCHI_TRACE_PIECE_END:
		(void)end(t, e->at, FILCHI_TRACE_PIECE_BEGIN);
		break;
	case FILCHI_TRACE_SPAN_BEGIN:
		begin(t, e, FILCHI_TRACE_SPAN_BEGIN, "span",
			e->b ? (const char *)(uintptr_t)e->b : "span");
		fputs("}", t->out);
		break;
	case FILCHI_TRACE_SPAN_END:
		(void)end(t, e->at, FILCHI_TRACE_SPAN_BEGIN);
		break;
	case FILCHI_TRACE_SPAWNS:
		if (!kept->what)
			break;
		moment(t, e->at, "serial", "serial");
		fprintf(t->out,
			",\"args\":{\"work\":%llu,\"span\":%llu,"
			"\"spawns\":%llu,\"burdened\":%llu}}",
			(unsigned long long)kept->a, (unsigned long long)kept->b,
			(unsigned long long)e->a, (unsigned long long)e->b);
		*kept = (struct filchi_trace_event){ 0 };
		break;
	default:
		break;
	}
}

/* --- rings ------------------------------------------------------------ */

static bool get(struct filchi_trace_ring *ring, uint64_t at, struct filchi_trace_event *event)
{
	uint64_t word[FILCHI_TRACE_WORDS];

	if (!filchi_trace_ring_get(ring, at, word))
		return false;
	*event = (struct filchi_trace_event){ word[0], word[1], word[2], word[3] };
	return true;
}

/* The events from number @first on; how many were overwritten. */
static uint64_t write_ring(struct track *t, struct filchi_trace_ring *ring, uint64_t first,
	uint32_t pool, uint32_t worker)
{
	uint64_t end_at = filchi_load_acquire(&ring->next), lost = 0;
	struct filchi_trace_event e, kept = { 0 };

	if (end_at - first > ring->mask) {
		lost = end_at - first - ring->mask;
		first += lost;
	}
	for (uint64_t i = first; i < end_at; i++) {
		if (!get(ring, i, &e))
			lost++; /* the worker is at work, and has come round */
		else
			write_event(t, &e, pool, worker, &kept);
	}
	end_all(t, t->file->ended);
	return lost;
}

static void name_track(const struct track *t, const char *what, const char *name)
{
	fprintf(t->out,
		",\n{\"ph\":\"M\",\"pid\":%u,\"tid\":%llu,\"name\":\"%s\",\"args\":{\"name\":",
		t->process, (unsigned long long)t->thread, what);
	put_text(t->out, name);
	fputs("}}", t->out);
}

static void write_pool(struct track *t, struct filchi_trace_rings *rings)
{
	char name[96];

	t->process = process_of(rings->pool);
	t->thread = thread_of(rings->pool, 0);
	(void)snprintf(name, sizeof name, "pool %u, %s", rings->pool, rings->name);
	name_track(t, "process_name", name);
	for (uint32_t i = 0; i < rings->workers; i++) {
		struct filchi_trace_track *track = &rings->track[i];
		uint64_t lost;

		t->thread = thread_of(rings->pool, i);
		if (track->cpu >= 0)
			(void)snprintf(name, sizeof name, "worker %u on CPU %d", i, track->cpu);
		else
			(void)snprintf(name, sizeof name, "worker %u", i);
		name_track(t, "thread_name", name);
		lost = write_ring(t, track->ring, track->first, rings->pool, i);
		fprintf(t->out,
			",\n{\"ph\":\"M\",\"pid\":%u,\"tid\":%llu,\"name\":\"filch_worker\","
			"\"args\":{"
			"\"pool\":%u,\"worker\":%u,\"lost\":%llu,\"jobs\":%llu,\"steals\":%llu,"
			"\"parks\":%llu%s}}",
			t->process, (unsigned long long)t->thread, rings->pool, i,
			(unsigned long long)lost,
			(unsigned long long)(track->after.jobs - track->before.jobs),
			(unsigned long long)(track->after.steals - track->before.steals),
			(unsigned long long)(track->after.parks - track->before.parks),
			rings->has_caller && !i ? ",\"caller\":true" : "");
	}
}

/* --- threads that are no workers -------------------------------------- */

static int by_thread(const void *a, const void *b)
{
	const struct filchi_trace_event *x = a, *y = b;
	uint64_t s = x->what >> 8 & 0xffffff, r = y->what >> 8 & 0xffffff;

	if (s != r)
		return s < r ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* Their events lie in whichever ring was free: collected, and sorted. How many were lost. */
static uint64_t collect_outside(
	const struct filchi_trace_file *file, struct filchi_trace_event **events, size_t *count)
{
	size_t room = 0;
	uint64_t lost = 0;

	*count = 0;
	for (uint32_t i = 0; i < FILCHI_TRACE_OUTSIDE; i++)
		room += filchi_load_acquire(&filchi_trace_outside[i])->mask + 1;
	*events = malloc(room * sizeof **events);
	if (!*events)
		return 0;
	for (uint32_t i = 0; i < FILCHI_TRACE_OUTSIDE; i++) {
		struct filchi_trace_ring *ring = filchi_load_acquire(&filchi_trace_outside[i]);
		uint64_t first = file->outside[i], end_at = filchi_load_acquire(&ring->next);

		if (end_at - first > ring->mask) {
			lost += end_at - first - ring->mask;
			first = end_at - ring->mask;
		}
		for (; first < end_at; first++) {
			if (get(ring, first, &(*events)[*count]))
				(*count)++;
			else
				lost++;
		}
	}
	qsort(*events, *count, sizeof **events, by_thread);
	return lost;
}

static int write_outside(struct track *t, uint64_t *lost)
{
	struct filchi_trace_event *events, kept = { 0 };
	char name[32];
	size_t count;

	*lost = collect_outside(t->file, &events, &count);
	if (!events)
		return -ENOMEM;
	t->process = OUTSIDE_PROCESS;
	t->thread = 0;
	name_track(t, "process_name", "threads outside");
	for (size_t i = 0; i < count; i++) {
		uint64_t thread = events[i].what >> 8 & 0xffffff;

		if (thread != t->thread) {
			end_all(t, t->file->ended);
			t->thread = thread;
			(void)snprintf(
				name, sizeof name, "thread %llu", (unsigned long long)thread);
			name_track(t, "thread_name", name);
		}
		write_event(t, &events[i], 0, 0, &kept);
	}
	end_all(t, t->file->ended);
	free(events);
	return 0;
}

/* --- the file --------------------------------------------------------- */

int filchi_trace_write(const struct filchi_trace_file *file,
	struct filchi_trace_rings *const *rings, uint32_t count)
{
	struct track *t = calloc(1, sizeof *t);
	uint64_t lost = 0;
	int error;

	if (!t)
		return -ENOMEM;
	t->file = file;
	t->out = fopen(file->path, "we");
	error = t->out ? 0 : -errno;
	if (!error) {
		fprintf(t->out,
			"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
			"{\"ph\":\"M\",\"pid\":0,\"tid\":0,\"name\":\"filch_trace\","
			"\"args\":{\"version\":1,\"ns\":%llu}}",
			(unsigned long long)(file->ended - file->begun));
		for (uint32_t i = 0; i < count; i++)
			write_pool(t, rings[i]);
		error = write_outside(t, &lost);
		fprintf(t->out,
			",\n{\"ph\":\"M\",\"pid\":0,\"tid\":0,\"name\":\"filch_lost\",\"args\":{"
			"\"outside\":%llu,\"pools\":%llu}}\n]}\n",
			(unsigned long long)(lost + file->lost),
			(unsigned long long)file->left_out);
		if (ferror(t->out) && !error)
			error = -EIO;
		if (fclose(t->out) && !error)
			error = -errno;
	}
	free(t);
	return error;
}
