/* SPDX-License-Identifier: Apache-2.0 */
/* sim: the work on a worker's stack: jobs and tasks, from push to end. */
#include <stdlib.h>

#include "run.h"

#define RUN_NS 20u /* a running worker's steps up to this are one event */

static uint64_t noise(struct run *r)
{
	r->rng = r->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return r->costs->noise ? (r->rng >> 33) % r->costs->noise : 0;
}

static struct sim_task *new_kids(struct run *r)
{
	struct sim_task *block = r->spare;

	if (block)
		r->spare = *(struct sim_task **)(void *)block;
	else
		block = malloc(SIM_KIDS * sizeof(*block));
	if (!block)
		abort();
	return block;
}

static void free_kids(struct run *r, struct sim_task *block)
{
	*(struct sim_task **)(void *)block = r->spare;
	r->spare = block;
}

static void *grown(void *old, size_t bytes)
{
	void *new = realloc(old, bytes);

	if (!new)
		abort();
	return new;
}

static void push(struct run *r, struct worker *w, struct sim_task *task, uint64_t *t)
{
	if (w->bottom - w->top == w->capacity) {
		uint64_t twice = w->capacity * 2;
		struct sim_task **tasks = grown(NULL, twice * sizeof(struct sim_task *));

		for (uint64_t i = w->top; i != w->bottom; i++)
			tasks[i & (twice - 1)] = w->task[i & (w->capacity - 1)];
		free(w->task);
		w->task = tasks;
		w->capacity = twice;
	}
	*t += r->costs->spawn;
	task->ready_at = r->now + *t;
	w->version++;
	w->task[w->bottom++ & (w->capacity - 1)] = task;
	if (w->ask)
		sim_push_asked(r, w, t);
}

static void enter(
	struct run *r, struct worker *w, struct sim_task *task, bool bottom, uint32_t steps)
{
	if (w->depth == w->room) {
		w->room = w->room ? 2 * w->room : 32;
		w->frame = grown(w->frame, w->room * sizeof(*w->frame));
	}
	w->frame[w->depth++] = (struct frame){ .task = task, .bottom = bottom, .steps = steps };
	w->doing = RUNS;
	r->result->tasks++;
	if (task->runs++)
		r->result->lost = true;
}

/* A worker begins a piece of work on its stack: a job or a stolen task. */
static void begin(struct run *r, struct worker *w, struct sim_task *task, bool job, uint64_t t)
{
	uint64_t since = r->now + t - r->began;

	if (w->depth && ++w->waits > r->result->nesting)
		r->result->nesting = w->waits;
	w->looking = false;
	w->ask |= !w->depth; /* another job than its last, maybe */
	enter(r, w, task, true, job ? r->work->steps : 1);
	if (w->has_run)
		return;
	w->has_run = true;
	if (++r->busy == r->workers)
		r->result->all_busy = since;
	if (r->busy == (r->workers * 9 + 9) / 10)
		r->result->most_busy = since;
}

void sim_steal(struct run *r, struct worker *w, struct worker *victim, uint64_t *t)
{
	const uint64_t ns[] = { r->costs->steal_near, r->costs->steal_middle, r->costs->steal_far };
	enum sim_distance far = sim_distance(r->machine, w->id, victim->id);
	struct sim_task *task = victim->task[victim->top++ & (victim->capacity - 1)];

	victim->version++;
	if (task->ready_at > r->now + *t)
		*t = task->ready_at - r->now;
	*t += ns[far];
	touch(r, &r->team_free, t);
	task->stolen = true;
	task->thief = w->id;
	r->result->steals[far]++;
	r->last_steal = r->now + *t;
	if (!w->depth)
		sim_found(r, w, victim, t);
	begin(r, w, task, false, *t);
}

bool sim_run_queued(struct run *r, struct worker *w, bool searching, uint64_t *t)
{
	*t += r->costs->queue;
	if (r->taken == r->submitted)
		return false;
	struct sim_task *root = &r->root[r->taken++];
	if (searching)
		sim_found(r, w, NULL, t);
	if (!r->first_began)
		r->first_began = r->now + *t;
	if (root->ready_at > r->now + *t)
		*t = root->ready_at - r->now;
	begin(r, w, root, true, *t);
	return true;
}

static void job_ended(struct run *r, uint64_t t)
{
	struct sim_result *result = r->result;
	uint64_t at = r->now + t;

	if (++r->ended < r->work->jobs)
		return;
	result->took += at - r->began;
	result->ran += at - r->first_began;
	result->after_steal = r->last_steal ? at - r->last_steal : 0;
	result->after_leaf = at - r->last_leaf;
	if (++r->burst == r->work->bursts)
		r->over = true;
	else
		sim_plan(&r->events, r->workers, at + r->work->gap_ns);
}

/* A piece of work has ended. */
static void end(struct run *r, struct worker *w, struct sim_task *task, uint64_t *t)
{
	*t += r->costs->finish;
	task->done_at = r->now + *t;
	task->done = true;
	if (!task->stolen) {
		job_ended(r, *t);
	} else {
		struct worker *joiner = &r->worker[task->joiner];

		touch(r, &r->team_free, t);
		/* a wake that comes late ends another sleep of the joiner's */
		if (task->marked) {
			uint32_t state = filch_load_relaxed(&joiner->sleeper.state);

			if (FILCHI_SLEEP_KIND(state) != FILCHI_AWAKE &&
				filchi_idle_end(&r->idle, &joiner->sleeper, state)) {
				*t += r->costs->wake;
				sim_woken(r, joiner, *t);
			}
		}
	}
	w->looking = false;
	w->since = 0;
	if (w->depth) {
		w->waits--;
		w->doing = HELPS;
		return;
	}
	while (!filchi_policy_steals_first(w->turn + 1)) {
		w->turn++;
		if (sim_run_queued(r, w, false, t))
			return;
		break;
	}
	filchi_idle_search(&r->idle);
	touch_counts(r, t);
	w->doing = SEARCHES;
}

/* The sync of the newest child that is left. */
static void sync_one(struct run *r, struct worker *w, struct frame *f, uint64_t *t)
{
	struct sim_task *kid = &f->kid[f->left - 1];

	if (!kid->stolen) {
		*t += r->costs->sync;
		w->bottom--;
		w->version++;
		f->left--;
		enter(r, w, kid, false, 1);
		return;
	}
	*t += r->costs->join;
	if (kid->done) {
		if (kid->done_at > r->now + *t)
			*t = kid->done_at - r->now;
		f->left--;
		return;
	}
	r->result->joins++;
	w->doing = HELPS;
	w->looking = false;
	w->since = 0;
	f->parked = false;
}

/* The next step of the newest frame. True: it has computed. */
static bool advance(struct run *r, struct worker *w, uint64_t *t)
{
	struct frame *f = &w->frame[w->depth - 1];
	struct sim_step step = { .ns = 0 };

	switch (f->stage) {
	case BEGINS:
		r->work->step(r->work, f->task, f->n, &step);
		f->kids = step.kids;
		f->stage = step.kids ? SPAWNS : ENDS;
		r->result->leaves += !step.kids && !f->n;
		if (step.kids) {
			f->kid = new_kids(r);
			for (uint32_t i = 0; i < step.kids; i++) {
				f->kid[i] = step.kid[i];
				f->kid[i].joiner = w->id;
			}
		}
		if (!step.ns)
			return false;
		step.ns += noise(r);
		*t += step.ns;
		if (r->work->sleeps)
			w->slept = step.ns;
		r->last_leaf = r->now + *t > r->last_leaf ? r->now + *t : r->last_leaf;
		return true;
	case SPAWNS:
		f->left = f->kids - 1;
		for (uint32_t i = 0; i < f->left; i++)
			push(r, w, &f->kid[i], t);
		f->stage = SYNCS;
		enter(r, w, &f->kid[f->left], false, 1); /* may move f */
		return false;
	case SYNCS:
		if (f->left) {
			sync_one(r, w, f, t);
			return false;
		}
		free_kids(r, f->kid);
		f->stage = ++f->n < f->steps ? BEGINS : ENDS;
		return false;
	case ENDS:
	default: {
		struct frame ended = *f;

		w->depth--;
		if (ended.bottom)
			end(r, w, ended.task, t);
		return false;
	}
	}
}

void sim_run_on(struct run *r, struct worker *w, uint64_t *t)
{
	while (w->doing == RUNS && *t <= RUN_NS && !r->over)
		if (advance(r, w, t))
			return;
}

void sim_free_spare(struct run *r)
{
	while (r->spare) {
		struct sim_task *block = new_kids(r);

		free(block);
	}
}
