/* SPDX-License-Identifier: Apache-2.0 */
/* What a trace tells of each worker's time: see trace_look.h; trace_path.c has the rest. */
#include "tools/trace_look.h"

#include <stdlib.h>

#include "tools/trace_path.h"

#define DEPTH 1024u

const char *const look_words[LOOK_STATES] = { "busy", "no work", "waking", "waiting", "barred",
	"retired", "away", "unknown" };

/* A wake, by whom it is for. */
struct wake {
	uint64_t pool, worker;
	int64_t at;
};

struct wakes {
	struct wake *wake;
	size_t count;
};

static int compare_wakes(const void *a, const void *b)
{
	const struct wake *x = a, *y = b;

	if (x->pool != y->pool)
		return x->pool < y->pool ? -1 : 1;
	if (x->worker != y->worker)
		return x->worker < y->worker ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static bool collect_wakes(const struct trace *trace, struct wakes *wakes)
{
	size_t n = 0;

	for (size_t i = 0; i < trace->count; i++)
		for (size_t j = 0; j < trace->track[i].count; j++)
			n += trace->track[i].event[j].kind == TRACE_WAKE;
	wakes->wake = malloc((n + 1) * sizeof *wakes->wake);
	wakes->count = 0;
	if (!wakes->wake)
		return false;
	for (size_t i = 0; i < trace->count; i++) {
		for (size_t j = 0; j < trace->track[i].count; j++) {
			const struct trace_event *e = &trace->track[i].event[j];

			if (e->kind == TRACE_WAKE)
				wakes->wake[wakes->count++] =
					(struct wake){ e->value[1], e->value[0], e->begin };
		}
	}
	qsort(wakes->wake, wakes->count, sizeof *wakes->wake, compare_wakes);
	return true;
}

/* When the worker was woken, in [@from, @to]; -1: it was not. */
static int64_t woken_in(
	const struct wakes *wakes, const struct trace_track *t, int64_t from, int64_t to)
{
	const struct wake key = { t->pool, t->worker, to };
	size_t low = 0, high = wakes->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_wakes(&wakes->wake[middle], &key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || wakes->wake[low - 1].pool != t->pool ||
		wakes->wake[low - 1].worker != t->worker || wakes->wake[low - 1].at < from)
		return -1;
	return wakes->wake[low - 1].at;
}

/* --- a worker's time -------------------------------------------------- */

struct sweep {
	struct look_worker *worker;
	const struct wakes *wakes;
	const struct trace_event *open[DEPTH];
	uint32_t depth;
	int64_t at;
	bool seen;        /* it has had an event */
	bool barred;      /* it has been since it began to look for work */
	uint64_t refused; /* how often, when it began */
	size_t since;     /* the first piece of that */
	bool failed;
};

static void add(struct sweep *s, int64_t from, int64_t to, enum look_state state)
{
	struct look_worker *w = s->worker;

	if (to <= from)
		return;
	if (w->count && w->piece[w->count - 1].state == state && s->since < w->count) {
		w->piece[w->count - 1].to = to;
		return;
	}
	if (w->count == w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		struct look_piece *more = realloc(w->piece, room * sizeof *more);

		if (!more) {
			s->failed = true;
			return;
		}
		w->piece = more;
		w->room = room;
	}
	w->piece[w->count++] = (struct look_piece){ from, to, state };
}

static enum look_state state_of(const struct sweep *s)
{
	const struct trace_event *top = s->depth ? s->open[s->depth - 1] : NULL;

	if (!s->seen)
		return s->worker->track->is_caller ? LOOK_AWAY : LOOK_UNKNOWN;
	if (!top)
		return s->worker->track->is_caller ? LOOK_AWAY : LOOK_NO_WORK;
	if (top->kind == TRACE_PARK && top->value[0] == 2)
		return LOOK_RETIRED;
	if (top->kind != TRACE_PARK && top->kind != TRACE_WAIT)
		return LOOK_BUSY;
	if (s->barred)
		return LOOK_BARRED;
	return top->kind == TRACE_PARK && !top->value[0] ? LOOK_NO_WORK : LOOK_WAITING;
}

static void pass(struct sweep *s, int64_t to)
{
	const struct trace_event *top = s->depth ? s->open[s->depth - 1] : NULL;
	int64_t woken = -1;

	if (top && top->kind == TRACE_PARK && to == top->end)
		woken = woken_in(s->wakes, s->worker->track, top->begin, top->end);
	if (woken >= 0 && woken < to) {
		add(s, s->at, woken, state_of(s));
		add(s, woken > s->at ? woken : s->at, to, LOOK_WAKING);
	} else {
		add(s, s->at, to, state_of(s));
	}
	if (to > s->at)
		s->at = to;
}

static void close_until(struct sweep *s, int64_t to)
{
	while (s->depth && s->open[s->depth - 1]->end <= to) {
		pass(s, s->open[s->depth - 1]->end);
		s->depth--;
	}
	pass(s, to);
}

/* It parks, having been barred since it began to look: that was why it found nothing. */
static void note_barred(struct sweep *s, const struct trace_event *park)
{
	s->barred = (uint32_t)park->barred != (uint32_t)s->refused;
	for (size_t i = s->since; s->barred && i < s->worker->count; i++)
		if (s->worker->piece[i].state == LOOK_NO_WORK ||
			s->worker->piece[i].state == LOOK_WAITING)
			s->worker->piece[i].state = LOOK_BARRED;
}

static void take(struct sweep *s, const struct trace_event *e)
{
	close_until(s, e->begin);
	s->seen = true;
	if (e->kind == TRACE_SEARCH) {
		s->refused = e->barred;
		s->since = s->worker->count;
		s->barred = false;
	} else if (e->kind == TRACE_PARK) {
		note_barred(s, e);
	} else if (e->kind == TRACE_JOB || e->kind == TRACE_TASK) {
		s->barred = false;
	}
	if (e->kind < TRACE_SUBMIT && s->depth < DEPTH)
		s->open[s->depth++] = e;
}

static bool sweep_worker(struct look *look, const struct trace_track *t, const struct wakes *wakes)
{
	struct look_worker *w = &look->worker[look->workers++];
	struct sweep *s = calloc(1, sizeof *s);
	bool ok;

	*w = (struct look_worker){ .track = t };
	if (!s)
		return false;
	s->worker = w;
	s->wakes = wakes;
	for (size_t i = 0; i < t->count; i++)
		take(s, &t->event[i]);
	close_until(s, look->trace->ns);
	for (size_t i = 0; i < w->count; i++)
		w->ns[w->piece[i].state] += w->piece[i].to - w->piece[i].from;
	look->work += w->ns[LOOK_BUSY];
	ok = !s->failed;
	free(s);
	return ok;
}

static void count_events(struct look *look)
{
	for (size_t i = 0; i < look->trace->count; i++) {
		const struct trace_track *t = &look->trace->track[i];

		for (size_t j = 0; j < t->count; j++) {
			const struct trace_event *e = &t->event[j];

			look->jobs += e->kind == TRACE_JOB;
			look->steals += e->kind == TRACE_TASK && e->from >= 0;
			look->parks += e->kind == TRACE_PARK;
			look->wakes += e->kind == TRACE_WAKE;
			look->submits += e->kind == TRACE_SUBMIT;
			look->joins += e->kind == TRACE_JOIN;
			if (e->kind != TRACE_SERIAL)
				continue;
			look->serial_jobs++;
			look->serial_work += e->value[0];
			look->serial_spawns += e->value[2];
			look->serial_span += e->value[1];
			look->serial_burdened += e->value[3];
		}
	}
}

bool look_at(struct look *look, const struct trace *trace)
{
	struct wakes wakes;
	bool ok = true;

	*look = (struct look){ .trace = trace };
	look->worker = calloc(trace->count + 1, sizeof *look->worker);
	if (!look->worker || !collect_wakes(trace, &wakes))
		return false;
	for (size_t i = 0; ok && i < trace->count; i++)
		if (trace->track[i].is_worker)
			ok = sweep_worker(look, &trace->track[i], &wakes);
	free(wakes.wake);
	count_events(look);
	return ok && look_path(look);
}

void look_free(struct look *look)
{
	for (size_t i = 0; i < look->workers; i++)
		free(look->worker[i].piece);
	free(look->worker);
	free(look->step);
}
