/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The span and the critical path, in one pass over all events in the order of time.
 *
 * Span. A length goes along with whatever runs: a job's begins with that of its submitter at the
 * submit, a stolen task's with its victim's at the steal. Where something is waited for, the longer
 * of both goes on. Only time in which something runs makes it longer. So tasks that nobody has
 * stolen are as if they had been written one after the other: docs/traces.md.
 *
 * Critical path. Whatever begins or goes on remembers what it came from: that which arrived last.
 * A queued job's is its submit, or, if the worker was at another job by then, that one. From the
 * last end the way back leads through all of these.
 */
#include "tools/trace_path.h"

#include <stdlib.h>

#define DEPTH   1024u
#define NOTHING SIZE_MAX

/* How far something is: the time that has run on the longest way to it, and with burdens. */
struct length {
	int64_t own, burdened;
};

/* A stretch in one track, and where it came from. */
struct node {
	size_t track, before; /* NOTHING: it is the first */
	int64_t from, left;   /* its beginning; when the one before was left */
};

/* A point of the path, for those that will come from it. */
struct mark {
	struct length length;
	size_t node;
	int64_t at;
};

/* By a job's id or a task's address; the newest of each is kept. */
struct entry {
	uint64_t key;
	struct mark submit, end;
};

struct table {
	struct entry *entry;
	size_t mask, used;
};

struct frame {
	struct length length;
	int64_t since; /* when it last went on; -1: it waits, or lies under another */
	unsigned waits;
};

struct state {
	size_t node;
	struct frame frame[DEPTH];
	uint32_t depth;
	struct length outside; /* of a thread that is no worker */
	struct mark wake;      /* who has woken it last */
	int64_t idle_since;    /* its stack is empty since; -1: it is not */
	bool woken;            /* it has not run anything since it was woken */
	bool waited;           /* a wait has just ended */
};

struct point {
	int64_t at;
	size_t track, event, order;
	bool is_end;
};

struct pass {
	struct look *look;
	const struct trace *trace;
	struct state *state; /* one for each track */
	struct table jobs, tasks;
	struct node *node;
	size_t nodes, room;
	struct mark last; /* the end that came last */
	bool failed;
};

/* --- tables ----------------------------------------------------------- */

static size_t place_of(const struct table *t, uint64_t key)
{
	size_t at = (size_t)((key ^ key >> 29) * UINT64_C(0x9E3779B97F4A7C15) >> 17) & t->mask;

	while (t->entry[at].key && t->entry[at].key != key)
		at = (at + 1) & t->mask;
	return at;
}

static bool make_table(struct table *t, size_t keys)
{
	size_t room = 64;

	while (room < 2 * keys)
		room *= 2;
	t->entry = calloc(room, sizeof *t->entry);
	t->mask = room - 1;
	return t->entry;
}

/* There are no more keys than events, for which there is room. */
static struct entry *entry_of(struct table *t, uint64_t key)
{
	struct entry *e = &t->entry[place_of(t, key)];

	if (!e->key) {
		e->key = key;
		e->submit.node = e->end.node = NOTHING;
	}
	return e;
}

/* --- lengths ---------------------------------------------------------- */

static struct length longer(struct length a, struct length b)
{
	return (struct length){ a.own > b.own ? a.own : b.own,
		a.burdened > b.burdened ? a.burdened : b.burdened };
}

static struct frame *top(struct state *s)
{
	return s->depth && s->depth <= DEPTH ? &s->frame[s->depth - 1] : NULL;
}

/* The length of what runs in the track, as of @at. */
static struct length advance(struct state *s, int64_t at)
{
	struct frame *f = top(s);

	if (!f)
		return s->outside;
	if (f->since >= 0 && at > f->since) {
		f->length.own += at - f->since;
		f->length.burdened += at - f->since;
		f->since = at;
	}
	return f->length;
}

static void set_length(struct state *s, struct length length)
{
	struct frame *f = top(s);

	if (f)
		f->length = length;
	else
		s->outside = length;
}

/* --- the path --------------------------------------------------------- */

static void begin_node(struct pass *p, size_t track, int64_t at, struct mark from)
{
	if (p->nodes == p->room) {
		size_t room = p->room ? 2 * p->room : 256;
		struct node *more = realloc(p->node, room * sizeof *more);

		if (!more) {
			p->failed = true;
			return;
		}
		p->node = more;
		p->room = room;
	}
	p->node[p->nodes] = (struct node){ track, from.node, at, from.at };
	p->state[track].node = p->nodes++;
}

static struct mark mark_of(struct pass *p, size_t track, int64_t at)
{
	struct state *s = &p->state[track];
	struct length length = advance(s, at);

	if (s->node == NOTHING)
		begin_node(p, track, 0, (struct mark){ .node = NOTHING });
	return (struct mark){ length, s->node, at };
}

static struct state *state_of(struct pass *p, const struct trace_track *t)
{
	return t ? &p->state[t - p->trace->track] : NULL;
}

static void push(
	struct pass *p, size_t track, const struct trace_event *e, struct mark from, int64_t burden)
{
	struct state *s = &p->state[track];

	(void)advance(s, e->begin);
	if (top(s))
		top(s)->since = -1;
	if (from.node == NOTHING && s->node != NOTHING)
		from = (struct mark){ from.length, s->node, e->begin };
	begin_node(p, track, e->begin, from);
	if (s->depth < DEPTH) {
		from.length.burdened += burden > 0 ? burden : 0;
		s->frame[s->depth] = (struct frame){ from.length, e->begin, 0 };
	}
	s->depth++;
	s->idle_since = -1;
	s->woken = false;
}

static void begin_job(struct pass *p, size_t track, const struct trace_event *e)
{
	struct state *s = &p->state[track];
	struct entry *job = entry_of(&p->jobs, e->job);
	struct mark from = job->submit;
	int64_t ready = from.node == NOTHING ? e->begin : from.at;

	/* queued behind another job: the worker comes from that one */
	if (s->idle_since > ready && s->node != NOTHING && !s->woken) {
		from.node = s->node;
		from.at = s->idle_since;
		ready = s->idle_since;
	}
	push(p, track, e, from, e->begin - ready);
}

static void begin_task(struct pass *p, size_t track, const struct trace_event *e)
{
	const struct trace_track *t = &p->trace->track[track];
	struct state *s = &p->state[track];
	struct mark from = { .node = NOTHING };
	int64_t burden = 0;

	if (e->from >= 0) {
		struct trace_track *victim = trace_worker(p->trace, t->pool, (uint64_t)e->from);

		if (victim && victim != t)
			from = mark_of(p, (size_t)(victim - p->trace->track), e->begin);
	}
	if (s->woken && s->wake.node != NOTHING) {
		from.node = s->wake.node;
		from.at = s->wake.at;
		burden = e->begin - s->wake.at;
	}
	push(p, track, e, from, burden);
}

/* Something that was waited for, or that is over at least, is behind us. */
static void meet(struct pass *p, size_t track, int64_t at, struct entry *other, bool waited)
{
	struct state *s = &p->state[track];
	struct length length = advance(s, at), its;

	if (other->end.node == NOTHING)
		return;
	its = other->end.length;
	if (waited && at > other->end.at)
		its.burdened += at - other->end.at;
	set_length(s, longer(length, its));
	if (waited)
		begin_node(p, track, at, other->end);
}

static void wake(struct pass *p, size_t track, const struct trace_event *e)
{
	struct state *s = state_of(p, trace_worker(p->trace, e->value[1], e->value[0]));

	if (s)
		s->wake = mark_of(p, track, e->begin);
}

static void begin(struct pass *p, const struct point *at)
{
	const struct trace_event *e = &p->trace->track[at->track].event[at->event];
	struct state *s = &p->state[at->track];

	switch (e->kind) {
	case TRACE_JOB:
		begin_job(p, at->track, e);
		break;
	case TRACE_TASK:
		begin_task(p, at->track, e);
		break;
	case TRACE_WAIT:
		(void)advance(s, e->begin);
		if (top(s)) {
			top(s)->since = -1;
			top(s)->waits++;
		}
		break;
	case TRACE_SUBMIT:
		entry_of(&p->jobs, e->job)->submit = mark_of(p, at->track, e->begin);
		break;
	case TRACE_JOIN:
		meet(p, at->track, e->begin, entry_of(&p->tasks, e->task), s->waited);
		break;
	case TRACE_WAKE:
		wake(p, at->track, e);
		break;
	default:
		break;
	}
	s->waited = false;
}

static void end_work(struct pass *p, const struct point *at, struct table *table, uint64_t key)
{
	struct state *s = &p->state[at->track];
	struct mark mark = mark_of(p, at->track, at->at);
	struct frame *f;

	entry_of(table, key)->end = mark;
	p->last = mark;
	p->look->span = longer((struct length){ p->look->span, 0 }, mark.length).own;
	if (p->look->burdened < mark.length.burdened)
		p->look->burdened = mark.length.burdened;
	if (s->depth)
		s->depth--;
	f = top(s);
	if (!s->depth)
		s->idle_since = at->at;
	else if (f && !f->waits)
		f->since = at->at; /* else its wait's end lets it go on */
}

static void end(struct pass *p, const struct point *at)
{
	const struct trace_event *e = &p->trace->track[at->track].event[at->event];
	struct state *s = &p->state[at->track];

	switch (e->kind) {
	case TRACE_JOB:
		end_work(p, at, &p->jobs, e->job);
		break;
	case TRACE_TASK:
		end_work(p, at, &p->tasks, e->task);
		break;
	case TRACE_WAIT:
		if (top(s)) {
			top(s)->since = at->at;
			top(s)->waits--;
		}
		if (e->job)
			meet(p, at->track, at->at, entry_of(&p->jobs, e->job), true);
		s->waited = true;
		break;
	case TRACE_PARK:
		s->woken = !e->value[0];
		break;
	default:
		break;
	}
}

/* --- the pass --------------------------------------------------------- */

static int compare_points(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->track != y->track)
		return x->track < y->track ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* The points of a track, ends where they belong between the beginnings. */
static size_t add_points(const struct trace_track *t, size_t track, struct point *point, size_t n)
{
	size_t open[DEPTH], depth = 0, order = 0;

	for (size_t i = 0; i <= t->count; i++) {
		/* all that is not around the next one is over */
		while (depth && (i == t->count || t->event[i].depth < depth)) {
			size_t e = open[--depth];

			point[n++] = (struct point){ t->event[e].end, track, e, order++, true };
		}
		if (i == t->count)
			break;
		point[n++] = (struct point){ t->event[i].begin, track, i, order++, false };
		if (t->event[i].kind < TRACE_SUBMIT && depth < DEPTH)
			open[depth++] = i;
	}
	return n;
}

static bool walk_back(struct pass *p)
{
	struct look *look = p->look;
	size_t at = p->last.node, room = 0;
	int64_t left = p->last.at;

	for (size_t i = at; i != NOTHING; i = p->node[i].before)
		room += 2;
	look->step = malloc((room + 1) * sizeof *look->step);
	if (!look->step)
		return false;
	for (; at != NOTHING; at = p->node[at].before) {
		const struct node *node = &p->node[at];
		enum look_step_kind kind =
			p->trace->track[node->track].is_worker ? LOOK_STEP_WORK : LOOK_STEP_OUTSIDE;

		if (left > node->from) {
			look->step[look->steps++] =
				(struct look_step){ node->from, left, node->track, kind };
			look->path[kind] += left - node->from;
		}
		if (node->before != NOTHING && node->from > node->left) {
			look->step[look->steps++] = (struct look_step){ node->left, node->from,
				node->track, LOOK_STEP_HANDING };
			look->path[LOOK_STEP_HANDING] += node->from - node->left;
		}
		left = node->left;
	}
	return true;
}

bool look_path(struct look *look)
{
	struct pass p = { .look = look, .trace = look->trace, .last.node = NOTHING };
	size_t events = 0, n = 0;
	struct point *point;
	bool ok = false;

	for (size_t i = 0; i < look->trace->count; i++)
		events += look->trace->track[i].count;
	point = malloc((2 * events + 1) * sizeof *point);
	p.state = calloc(look->trace->count + 1, sizeof *p.state);
	if (point && p.state && make_table(&p.jobs, events) && make_table(&p.tasks, events)) {
		for (size_t i = 0; i < look->trace->count; i++) {
			p.state[i].node = p.state[i].wake.node = NOTHING;
			p.state[i].idle_since = -1;
			n = add_points(&look->trace->track[i], i, point, n);
		}
		qsort(point, n, sizeof *point, compare_points);
		for (size_t i = 0; !p.failed && i < n; i++)
			(point[i].is_end ? end : begin)(&p, &point[i]);
		ok = !p.failed && walk_back(&p);
	}
	free(point);
	free(p.state);
	free(p.jobs.entry);
	free(p.tasks.entry);
	free(p.node);
	return ok;
}
