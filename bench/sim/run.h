/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: the state of a run, and its parts: waking.c, cores.c, steps.c, run.c.
 *
 * Each worker goes through the steps of src/core/worker.c and src/core/await.c, one event after
 * another. In an event it acts at once and takes its time afterwards: `t` is the time that it has
 * used in the present event.
 *
 * What it publishes in an event may be seen too early by that much. So a task and its end carry
 * times of their own, and no worker has them before. Therefore no run is faster than its critical
 * path.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "events.h"
#include "sim.h"
#include "place/victim.h"
#include "struct/policy.h"

enum doing { RUNS, SEARCHES, HELPS, PARKS, SLEEPS, WAKES };
enum stage { BEGINS, SPAWNS, SYNCS, ENDS };

struct frame {
	struct sim_task *task;
	struct sim_task *kid; /* [SIM_KIDS] */
	uint32_t n, steps, kids, left;
	enum stage stage;
	bool bottom; /* a job, or stolen */
	/* its wait */
	bool parked;
};

struct worker {
	struct filchi_sleeper sleeper;
	struct filchi_victim victim;
	struct filchi_help help;
	enum doing doing;
	uint32_t id, turn, vain, waits;
	uint32_t depth, room;
	struct frame *frame;
	struct sim_task **task; /* the deque: [capacity], a power of two */
	uint64_t top, bottom, capacity;
	uint32_t version; /* of the line that looks read */
	bool ask, looking, steals_first, has_run;
	uint64_t since, debt;
	/* on a shared core */
	uint64_t slept;  /* of the last event's time */
	bool yields;     /* at the end of the present event */
	uint32_t behind; /* in the core's row */
};

/*
 * A core that several workers share. One holds it until it sleeps, or yields in a search; who comes
 * out of a sleep goes first, and the others wait in a row.
 */
struct core {
	uint32_t holder, last; /* has it, or NOBODY; ran there last */
	uint32_t first, end;   /* of the row: workers linked by `behind`, or NOBODY */
	uint64_t free_at;
};
#define NOBODY UINT32_MAX

struct run {
	const struct sim_machine *machine;
	const struct sim_work *work;
	const struct sim_costs *costs;
	const struct sim_policy *policy;
	struct sim_result *result;
	struct sim_events events;
	struct filchi_idle idle;
	struct filchi_team team;
	struct worker *worker;
	struct core *core; /* [workers], a worker's is at core_of; NULL: each has one of its own */
	uint32_t *core_of;
	uint32_t workers, running;
	uint32_t *seen;                       /* [workers][workers]: the version at its last look */
	uint64_t now, counts_free, team_free; /* shared lines */
	uint64_t fence_start, fence_end;      /* of the last membarrier */
	uint64_t rng;
	/* from outside */
	struct sim_task *root; /* [jobs] */
	uint32_t burst, submitted, taken, ended;
	uint64_t began, first_began, last_steal, last_leaf;
	uint32_t busy;
	bool over;
	struct sim_task *spare; /* blocks of children, linked by their first words */
};

/* The next turn at something that one worker has at a time, for long. */
static inline void queue_for(const struct run *r, uint64_t *free_at, uint64_t takes, uint64_t *t)
{
	uint64_t start = r->now + *t > *free_at ? r->now + *t : *free_at;

	*free_at = start + takes;
	*t = *free_at - r->now;
}

/*
 * A read-modify-write of a line that all share. The line is not held until the worker gets there:
 * others that touch it before have had their turn by then.
 */
static inline void touch(const struct run *r, uint64_t *free_at, uint64_t *t)
{
	uint64_t start = r->now + *t > *free_at ? r->now + *t : *free_at;

	*free_at = (*free_at > r->now ? *free_at : r->now) + r->costs->shared;
	*t = start + r->costs->shared - r->now;
}

static inline void touch_counts(struct run *r, uint64_t *t)
{
	touch(r, &r->counts_free, t);
}

/* @w looks into the deque of @v; @cost if that has changed. Whether there is something. */
static inline bool look_into(
	struct run *r, const struct worker *w, const struct worker *v, uint64_t cost, uint64_t *t)
{
	uint32_t *seen = &r->seen[(size_t)w->id * r->workers + v->id];

	*t += *seen == v->version ? r->costs->seen : cost;
	*seen = v->version;
	return v->top != v->bottom;
}

/* The task that the newest frame waits for. */
static inline struct sim_task *awaited(const struct worker *w)
{
	const struct frame *f = &w->frame[w->depth - 1];

	return &f->kid[f->left - 1];
}

/* By policy, a waiting worker takes nothing but its own tasks and its thief's. */
static inline bool sim_thief_alone(const struct run *r, const struct worker *w)
{
	return w->depth &&
	       (r->policy->thief_only || (r->policy->shallow && w->waits >= SIM_SHALLOW));
}

/* Whether @w may take a task of worker @of: there is one job, so that is for the policy to say. */
static inline bool sim_serves(const struct run *r, const struct worker *w, uint32_t of)
{
	return !sim_thief_alone(r, w) || of == w->id || of == awaited(w)->thief;
}

/* Waking: as in src/core/waking.c, under the names there. */
void sim_woken(struct run *r, struct worker *v, uint64_t t);
/* @of: the worker whose task it is for; @near, where it is a job. */
unsigned sim_wake_one(
	struct run *r, uint32_t near, uint32_t of, bool free, bool *more, uint64_t *t);
bool sim_wake_next(struct run *r, struct worker *w, uint64_t *t);
/* The fence is passed when the event is over. */
void sim_ask_all(struct run *r, struct worker *w, uint64_t *t);
void sim_found(struct run *r, struct worker *w, struct worker *victim, uint64_t *t);
void sim_push_asked(struct run *r, struct worker *w, uint64_t *t);

/* Runs what is on the worker's stack, up to the end of the event. */
void sim_run_on(struct run *r, struct worker *w, uint64_t *t);

/* Takes the oldest task of @victim and begins it. */
void sim_steal(struct run *r, struct worker *w, struct worker *victim, uint64_t *t);

/* Takes a job, if one is queued, and begins it. */
bool sim_run_queued(struct run *r, struct worker *w, bool searching, uint64_t *t);

/* Memory for the children of a frame is used again; at the end it is freed. */
void sim_free_spare(struct run *r);

/* Where there are more workers than cores, which of them share one. */
void sim_make_cores(struct run *r);

/* Whether the worker has its core now; if not it gets another event. @t: what it takes to go on. */
bool sim_has_core(struct run *r, struct core *core, struct worker *w, uint64_t *t);

/* The worker has acted for @t, and keeps its core or leaves it. */
void sim_core_acted(struct run *r, struct core *core, struct worker *w, uint64_t t);

#endif
