/* SPDX-License-Identifier: Apache-2.0 */
/* FILCH_SERIAL: see serial.h. */
#include "core/serial.h"

#include <stdlib.h>

#include "core/trace_events.h"

/* Where on the longest way to it something lies: nanoseconds from the job's beginning. */
struct at {
	uint64_t path, burdened;
};

/* A task that has run and is not synced yet. */
struct ran {
	const struct filch_task *task;
	struct at end;
};

struct filchi_serial {
	uint64_t begun, looked; /* as of filchi_now() */
	uint64_t spawns;
	struct at at;    /* the running strand, as of `looked` */
	unsigned nested; /* jobs that have begun; 0 = nothing is measured */
	struct ran *ran; /* the newest last */
	size_t count, room;
	struct at piece;   /* where a chunk of a loop began */
	uint64_t in_piece; /* when */
	bool incomplete;   /* no memory for one: the span is not known */
};

struct filchi_serial *filchi_serial_new(void)
{
	return calloc(1, sizeof(struct filchi_serial));
}

void filchi_serial_free(struct filchi_serial *s)
{
	if (s)
		free(s->ran);
	free(s);
}

static void advance(struct filchi_serial *s)
{
	uint64_t now = filchi_now();

	s->at.path += now - s->looked;
	s->at.burdened += now - s->looked;
	s->looked = now;
}

static void meet(struct at *at, struct at other)
{
	if (at->path < other.path)
		at->path = other.path;
	if (at->burdened < other.burdened)
		at->burdened = other.burdened;
}

/* Tasks above the first @count are synced. */
static void cut(struct filchi_serial *s, size_t count)
{
	while (s->count > count)
		meet(&s->at, s->ran[--s->count].end);
}

static void keep(struct filchi_serial *s, const struct filch_task *task)
{
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		struct ran *ran = realloc(s->ran, room * sizeof *ran);

		if (!ran) {
			s->incomplete = true;
			return;
		}
		s->ran = ran;
		s->room = room;
	}
	s->ran[s->count++] = (struct ran){ task, s->at };
}

void filchi_serial_begin(struct filchi_serial *s)
{
	if (s->nested++)
		return;
	s->begun = s->looked = filchi_now();
	s->at = (struct at){ 0 };
	s->spawns = 0;
	s->count = 0;
	s->incomplete = false;
}

void filchi_serial_end(struct filchi_serial *s)
{
	if (!s->nested || --s->nested)
		return;
	advance(s);
	cut(s, 0);
	if (s->incomplete)
		return;
	filchi_trace_put(FILCHI_TRACE_SERIAL, s->looked - s->begun, s->at.path);
	filchi_trace_put(FILCHI_TRACE_SPAWNS, s->spawns, s->at.burdened);
}

static void run(struct filchi_worker *w, struct filch_task *task)
{
	/* bottom in memory is what the frame carries: nothing was pushed */
	((filch_thunk *)filch_load_relaxed(&task->word))(
		&w->deque.hot, filchi_deque_carried(&w->deque), task);
	filch_store_relaxed(&task->word, 0); /* our own: nobody else has seen it */
}

void filchi_serial_spawn(struct filchi_worker *w, struct filch_task *task)
{
	struct filchi_serial *s = w->serial;
	struct at spawned;
	size_t count;

	if (FILCH_LIKELY(!s->nested)) {
		run(w, task);
		return;
	}
	advance(s);
	spawned = s->at;
	spawned.burdened += FILCHI_SERIAL_BURDEN_NS;
	s->at = spawned;
	s->spawns++;
	count = s->count;
	run(w, task);
	advance(s);
	cut(s, count); /* it has synced its own */
	keep(s, task);
	s->at = spawned;
}

void filchi_serial_piece(struct filchi_serial *s, size_t items)
{
	uint64_t one;

	if (!s->nested)
		return;
	advance(s);
	if (!items) {
		s->piece = s->at;
		s->in_piece = s->looked;
		return;
	}
	one = (s->looked - s->in_piece) / items;
	/* a body that has spawned, or has a loop inside, has begun a piece of its own since */
	if (s->at.path - s->piece.path == s->looked - s->in_piece) {
		s->at.path = s->piece.path + one;
		s->at.burdened = s->piece.burdened + one;
	}
}

void filchi_serial_join(struct filchi_serial *s, const struct filch_task *task)
{
	if (!s->nested)
		return;
	advance(s);
	for (size_t i = s->count; i--;) {
		if (s->ran[i].task != task)
			continue;
		/* the newest first; what lies above it was synced without a word */
		cut(s, i);
		return;
	}
}
