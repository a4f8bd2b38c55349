/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deque of one worker: steal, growth, and the owner's slow paths. The owner's fast path, the
 * invariants and the sources are in include/filch/detail/fast_deque.h; this is the other half.
 * Everything is inline, so that a model checker reads what ships.
 *
 *   push / take     one thread, the owner; strictly nested
 *   push / steal    free
 *   take / steal    free; the task at top goes to whoever moves top by CAS
 *   steal / steal   free
 *   grow / steal    free: a replaced array stays readable until the deque is destroyed
 *   destroy / any   never
 *
 * Teams and segments. A task belongs to the job on whose behalf it was spawned. A push cannot
 * afford to write that down. So the deque keeps a stack of segments, one for each piece of work
 * that lies on the worker's stack: a job's function, or a stolen task. A segment says from which
 * index on the tasks are its own, and whose team they belong to. A team is what the deque knows of
 * a job: the count of workers inside it. A thief finds the segment of the index it wants, asks
 * whether its own rules allow that team, raises the count, and only then tries its CAS.
 *
 * Segments are also the owner's record of what it runs. Beside what thieves read, each holds what
 * is needed to end the work should it not return (core/fault.c).
 *
 * Scopes. A scope is a piece of a job's work with an end and a cancellation of its own. It is a
 * segment of its opener's, and names itself as its scope. A segment of a stolen task names the
 * scope of that task. So all tasks know their scope as they know their team, and scopes cost
 * nothing where none is open. The array of segments lasts as long as the pool, so a stale pointer
 * to a scope may be read. A scope of limited width has a crew: struct/crew.h.
 *
 * Why the unlocked read of the segments is sound. Take a thief whose CAS on top at index t
 * succeeds, and s, the segment of the task at t.
 *
 *   1 The task stayed in the deque from the thief's read of bottom to its CAS. So s stayed open.
 *   2 The depth that the thief reads covers s: s was opened before the push, whose release of
 *     bottom the thief has acquired.
 *   3 Up to s, segments did not change meanwhile, and have first <= t.
 *   4 Above s, each entry below that depth was written while the task lay in the deque, whichever
 *     of its values the thief sees. So it has first > t.
 *   5 So the last entry with first <= t is s, and a search by halves finds it.
 *
 * Neighbours often share a team. Nothing above asks for another: s is found by its index alone. A
 * thief whose CAS fails discards what it read. It may have raised the count of a team that has
 * nothing to do with the task. It lowers it again, and teams are type-stable for the pool's life.
 *
 * Rejected:
 *   - the team in the task's frame or beside the slot: one more store per spawn
 *   - only the newest segment published: the older jobs' tasks would be hidden from thieves while
 *     an awaited job runs above them
 *   - a segment only where the team changes: docs/adr/0016
 */
#ifndef FILCHI_DEQUE_H
#define FILCHI_DEQUE_H

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"
#include "base/check.h"
#include "base/context.h"
#include "base/map.h"
#include "struct/crew.h"
#include "struct/gate.h"

#ifndef FILCHI_SEGMENTS
/* pieces of work that may lie nested on one worker's stack; deeper waits do not nest, they park */
#define FILCHI_SEGMENTS 4096u
#endif
#ifndef FILCHI_DEQUE_MAX
#define FILCHI_DEQUE_MAX (INT32_C(1) << 24) /* tasks; beyond it a spawn runs its task in place */
#endif

/*
 * A deque's slots. The mask lives with the array, so that a thief that loads an old array uses that
 * one's mask.
 */
struct filch_array {
	filch_index mask;            /* capacity - 1, capacity a power of two */
	struct filch_array *retired; /* the array this one replaced */
	filch_atomic_slot slot[];
};

/*
 * The count of workers that are, or are about to be, inside a job. First member of a job slot.
 *
 * The job's own function is 1 of the count. That 1 stays there from one job in the slot to the
 * next, so that an ordinary job need not count. The top bit says that the job has been aborted
 * (core/fault.c). Its function then counts down as well, and the job is complete when the count
 * comes to 0, and not when its function returns.
 */
struct filchi_team {
	filch_atomic_u64 inside;
};
#define FILCHI_TEAM_ABORTED (UINT64_C(1) << 63)

/* One piece of work on a worker's stack, and the tasks spawned from it. */
struct filchi_segment {
	filch_atomic_index first; /* tasks from here up are its own ... */
	FILCH_ATOMIC(struct filchi_team *) team;
	/* the innermost scope around its tasks; NULL: none; itself: it is a scope */
	FILCH_ATOMIC(struct filchi_segment *) scope;
	/* a scope's: the scope around it, or NULL; and how it was cancelled, 0 = it was not */
	FILCH_ATOMIC(struct filchi_segment *) outer;
	filch_atomic_u64 cancelled;
	/* a scope's, of limited width; else NULL */
	FILCH_ATOMIC(struct filchi_crew *) crew;
	/* the owner's */
	struct filch_task *task;       /* a stolen one; NULL: a job's own function, or a scope */
	struct filchi_context context; /* WORK, if it hides others */
};

struct filchi_deque {
	struct filch_worker hot; /* first: the inlined path's view of this object */
	/* open segments; the owner writes, thieves read */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 depth;
	struct filchi_segment *segment;
	uint64_t grows;
	struct filchi_gate_watch watch;
	/* made when the first scope of limited width opens; the owner's but for what places hold */
	struct filchi_crew *crew;
	uint32_t crews; /* in use */
};

/*
 * Lowers a count that the caller has raised. True: the job is aborted and all are out, and the
 * caller alone must complete it.
 *
 * Several threads may see the count reach 1, since thieves that failed count too. The CAS picks one
 * of them. It resets the count to 1, the share of the job's own function, ready for the slot's next
 * job.
 */
static inline bool filchi_team_leave(struct filchi_team *team)
{
	uint64_t dead = FILCHI_TEAM_ABORTED;

	filch_tsan_release(&team->inside);
	if (FILCH_LIKELY(filchi_fetch_sub_acq_rel(&team->inside, 1) != (FILCHI_TEAM_ABORTED | 1)) ||
		!filchi_cas_acq_rel(&team->inside, &dead, (uint64_t)1))
		return false;
	filch_tsan_acquire(&team->inside);
	return true;
}

/* From inside: the job is aborted. True: the caller is the first to say so. */
static inline bool filchi_team_abort(struct filchi_team *team)
{
	uint64_t inside = filchi_load_acquire(&team->inside);

	do {
		if (inside & FILCHI_TEAM_ABORTED)
			return false;
	} while (!filchi_cas_acq_rel(&team->inside, &inside, inside | FILCHI_TEAM_ABORTED));
	return true;
}

/*
 * What a worker may take: anything (an empty stack), or the work of one or two jobs (a suspended
 * frame), or nothing. The two are its own job, and one that it waits for. Of its own job a frame
 * inside a scope takes only what was made inside that.
 */
struct filchi_filter {
	bool any;
	struct filchi_team *team[2];
	const struct filchi_segment *scope; /* of team[0]; NULL = all of it */
	uint32_t worker;                    /* whose filter it is: takes places in crews */
};

enum filchi_steal {
	FILCHI_STEAL_GOT,
	FILCHI_STEAL_EMPTY,
	FILCHI_STEAL_RACED, /* somebody else was faster: trying again is worthwhile */
	FILCHI_STEAL_BARRED /* there is a task, of a job the thief may not touch now */
};

/* how many scopes around a task are looked at; what is nested deeper waits for another worker */
#define FILCHI_SCOPES_LOOKED_AT 64

/*
 * Whether @scope is @outer, or lies inside it. A thief's @scope may be stale. It is right if the
 * thief's CAS then succeeds: the scope of a task that lies in a deque is open, and so are those
 * around it, and none of their fields changes. What is stale may form a circle, so the steps are
 * bounded.
 */
static inline bool filchi_scope_is_within(
	const struct filchi_segment *scope, const struct filchi_segment *outer)
{
	for (int n = FILCHI_SCOPES_LOOKED_AT; scope && n; n--) {
		if (scope == outer)
			return true;
		scope = filch_load_relaxed(&scope->outer);
	}
	return false;
}

/*
 * Thief: takes a place in every crew around @scope that it is not in. False: one is full, or they
 * are too many; nothing is taken. @places NULL: only looks.
 */
static inline bool filchi_places_take(
	const struct filchi_segment *scope, uint32_t worker, struct filchi_found *places)
{
	for (int n = FILCHI_SCOPES_LOOKED_AT; scope && n;) {
		struct filchi_crew *crew = filch_load_relaxed(&scope->crew);
		filch_atomic_u32 *place;
		uint32_t free = 0;
		bool inside;

		place = crew ? filchi_crew_find(crew, worker, &inside) : NULL;
		if (crew && (!place || (places && !inside && places->n == FILCHI_PLACES))) {
			if (places)
				filchi_places_leave(places, worker);
			return false;
		}
		if (crew && places && !inside) {
			if (!filchi_cas_acq_rel(place, &free, worker + 1))
				continue; /* somebody else was faster: looks again */
			places->taken[places->n++] = place;
		}
		scope = filch_load_relaxed(&scope->outer);
		n--;
	}
	return true;
}

/* Whether a frame that waits in @own, inside @limit (NULL = no scope), may run work of @team. */
static inline bool filchi_may_run(const struct filchi_team *team,
	const struct filchi_segment *scope, const struct filchi_team *own,
	const struct filchi_segment *limit, const struct filchi_team *awaited)
{
	if (!team)
		return false;
	return team == awaited || (team == own && (!limit || filchi_scope_is_within(scope, limit)));
}

static inline bool filchi_filter_allows(const struct filchi_filter *filter,
	const struct filchi_team *team, const struct filchi_segment *scope)
{
	return filter->any ||
	       filchi_may_run(team, scope, filter->team[0], filter->scope, filter->team[1]);
}

static inline size_t filchi_array_size(filch_index capacity)
{
	return sizeof(struct filch_array) +
	       (size_t)capacity * sizeof(((struct filch_array *)0)->slot[0]);
}

/* @capacity: a power of two, at least 2. Room for the array is allocated here or not at all. */
static inline struct filch_array *filchi_array_new(
	filch_index capacity, struct filch_array *retired)
{
	struct filch_array *array = filchi_map(filchi_array_size(capacity));

	if (array) {
		array->mask = capacity - 1;
		array->retired = retired;
#if defined(FILCH_MODEL)
		/*
		 * A thief that is about to fail may read a slot that growth did not fill. No
		 * machine minds; to a checker it is an uninitialised read.
		 */
		for (filch_index i = 0; i < capacity; i++)
			filch_store_relaxed(&array->slot[i], NULL);
#endif
	}
	return array;
}

/*
 * Owner. 0 or -1 (no memory: nothing is left behind). @capacity as above; @fenced: pushes carry
 * full fences, for want of membarrier(2).
 */
static inline int filchi_deque_init(struct filchi_deque *d, filch_index capacity, bool fenced)
{
	struct filch_array *array = filchi_array_new(capacity, NULL);

	d->segment = filchi_map(FILCHI_SEGMENTS * sizeof d->segment[0]);
	if (!array || !d->segment) {
		filchi_unmap(array, filchi_array_size(capacity));
		filchi_unmap(d->segment, FILCHI_SEGMENTS * sizeof d->segment[0]);
		return -1;
	}
	d->grows = 0;
	filchi_gate_init(&d->hot, &d->watch, fenced);
	d->crew = NULL;
	d->crews = 0;
	d->hot.slot = array->slot;
	d->hot.mask = array->mask;
	d->hot.floor = FILCH_INDEX_START;
	d->hot.limit = fenced ? 0 : (filch_uindex)capacity;
	filch_store_relaxed(&d->hot.array, array); /* published with the worker itself */
	filch_store_relaxed(&d->hot.bottom, (filch_index)FILCH_INDEX_START);
	filch_store_relaxed(&d->hot.ask, 0);
	filch_store_relaxed(&d->depth, 0);
	return 0;
}

/* No thief may be left. */
static inline void filchi_deque_destroy(struct filchi_deque *d)
{
	struct filch_array *array = filch_load_relaxed(&d->hot.array);

	while (array) {
		struct filch_array *next = array->retired;
		filchi_unmap(array, filchi_array_size(array->mask + 1));
		array = next;
	}
	filchi_unmap(d->segment, FILCHI_SEGMENTS * sizeof d->segment[0]);
	filchi_unmap(d->crew, FILCHI_CREWS * sizeof d->crew[0]);
}

/* Whether there is a task between @bottom and @top; one that is stale may seem to be far above. */
static inline bool filchi_deque_holds(filch_index bottom, filch_index top)
{
	return filch_index_after(bottom, top) && filch_index_diff(bottom, top) <= FILCHI_DEQUE_MAX;
}

/*
 * Any thread: whether the deque seems to hold a task. Exact for the owner; for others a hint,
 * unless a heavy fence precedes.
 */
static inline bool filchi_deque_seems_empty(struct filchi_deque *d)
{
	uint64_t top = filchi_load_acquire(&d->hot.top);
	filch_index bottom = filchi_load_acquire(&d->hot.bottom);

	return !filchi_deque_holds(bottom, filchi_top_index(top, bottom));
}

/* Any thread: the index of the oldest task, as a hint. */
static inline filch_index filchi_deque_top(struct filchi_deque *d)
{
	uint64_t top = filchi_load_acquire(&d->hot.top);

	return filchi_top_index(top, filchi_load_acquire(&d->hot.bottom));
}

/*
 * Owner. The index at which nested work (a job, a stolen task, an untyped fork) starts: rule 4,
 * bottom in memory or the floor.
 */
static inline filch_index filchi_deque_carried(struct filchi_deque *d)
{
	filch_index bottom = filch_load_relaxed(&d->hot.bottom); /* we are the only writer */

	return filch_index_after(d->hot.floor, bottom) ? d->hot.floor : bottom;
}

/* Owner: the segment of what runs now, or NULL. */
static inline struct filchi_segment *filchi_segment_top(struct filchi_deque *d)
{
	uint32_t depth = filch_load_relaxed(&d->depth); /* we are the only writer */

	return depth ? &d->segment[depth - 1] : NULL;
}

/* Owner: the team whose work runs now, or NULL. */
static inline struct filchi_team *filchi_segment_team(struct filchi_deque *d)
{
	struct filchi_segment *top = filchi_segment_top(d);

	return top ? filch_load_relaxed(&top->team) : NULL;
}

/* Owner: the innermost scope around what runs now, or NULL. */
static inline struct filchi_segment *filchi_segment_scope(struct filchi_deque *d)
{
	struct filchi_segment *top = filchi_segment_top(d);

	return top ? filch_load_relaxed(&top->scope) : NULL;
}

/* Owner: whether this segment of its own is a scope, and no work that was begun. */
static inline bool filchi_segment_is_scope(const struct filchi_segment *segment)
{
	return filch_load_relaxed(&segment->scope) == segment;
}

/*
 * Owner, before it runs @task, stolen, of @team's job and @scope; or the function of that job
 * (@task NULL), inside no scope. False: nested too deep.
 */
static inline bool filchi_segment_open_in(struct filchi_deque *d, struct filchi_team *team,
	struct filch_task *task, struct filchi_segment *scope)
{
	uint32_t depth = filch_load_relaxed(&d->depth);
	struct filchi_segment *segment = &d->segment[depth], *below = segment - (depth > 0);
	bool other = !depth || filch_load_relaxed(&below->team) != team ||
		     filch_load_relaxed(&below->scope) != scope;

	if (depth == FILCHI_SEGMENTS)
		return false;
	filch_store_relaxed(&segment->first, filchi_deque_carried(d));
	filch_store_relaxed(&segment->team, team);
	filch_store_relaxed(&segment->scope, scope);
	segment->task = task;
	/* a thief that sees the depth sees the segment */
	filchi_store_release(&d->depth, depth + 1);
	/* the next push looks for sleepers that may run this team's work: see idle.h */
	if (other)
		filch_store_relaxed(&d->hot.ask, 1);
	return true;
}

static inline bool filchi_segment_open(
	struct filchi_deque *d, struct filchi_team *team, struct filch_task *task)
{
	return filchi_segment_open_in(d, team, task, NULL);
}

/* Owner, when that work is done and fully synced; a scope likewise. */
static inline void filchi_segment_close(struct filchi_deque *d)
{
	uint32_t depth = filch_load_relaxed(&d->depth) - 1;
	struct filchi_segment *top = &d->segment[depth], *below = top - (depth > 0),
			      *scope = filch_load_relaxed(&top->scope);

	if (FILCH_UNLIKELY(scope == top) && filch_load_relaxed(&top->crew))
		d->crews--;
	filchi_store_release(&d->depth, depth);
	if (!depth ? filch_load_relaxed(&top->team) || scope
		   : filch_load_relaxed(&below->team) != filch_load_relaxed(&top->team) ||
				filch_load_relaxed(&below->scope) != scope)
		filch_store_relaxed(&d->hot.ask, 1);
}

/* Owner, worker @me: a crew of @width places, the first its own. NULL: no memory, or too many. */
static inline struct filchi_crew *filchi_crew_open(
	struct filchi_deque *d, uint32_t me, uint32_t width)
{
	struct filchi_crew *crew;

	if (!d->crew)
		d->crew = filchi_map(FILCHI_CREWS * sizeof d->crew[0]);
	if (!d->crew || d->crews == FILCHI_CREWS)
		return NULL;
	crew = &d->crew[d->crews++];
	filch_store_relaxed(&crew->width, width);
	for (uint32_t i = 0; i < width; i++)
		filch_store_relaxed(&crew->place[i], i ? 0 : me + 1);
	return crew;
}

/*
 * Owner: what it runs until the close is a scope, inside the present one. It is no work of its own:
 * the count of workers inside the job stays. @crew: NULL, or its own. NULL: nested too deep.
 */
static inline struct filchi_segment *filchi_scope_open_with(
	struct filchi_deque *d, struct filchi_crew *crew)
{
	uint32_t depth = filch_load_relaxed(&d->depth);
	struct filchi_segment *scope = &d->segment[depth], *below = scope - (depth > 0);

	if (depth == FILCHI_SEGMENTS)
		return NULL;
	filch_store_relaxed(&scope->crew, crew);
	filch_store_relaxed(&scope->outer, depth ? filch_load_relaxed(&below->scope) : NULL);
	filch_store_relaxed(&scope->cancelled, 0);
	(void)filchi_segment_open_in(
		d, depth ? filch_load_relaxed(&below->team) : NULL, NULL, scope);
	return scope;
}

static inline struct filchi_segment *filchi_scope_open(struct filchi_deque *d)
{
	return filchi_scope_open_with(d, NULL);
}

/*
 * Thief: the team of the task at @index, and in *@scope its scope; right if the caller's CAS at
 *        @index then succeeds, see above. Both may be NULL.
 */
static inline struct filchi_team *filchi_segment_find(
	struct filchi_deque *d, filch_index index, struct filchi_segment **scope)
{
	/* pairs with the release in open */
	uint32_t below = 0, above = filchi_load_acquire(&d->depth), i = above - 1;

	/* the newest first: most deques have one, and of many the lower ones are often empty */
	while (below < above) {
		if (filch_index_after(filch_load_relaxed(&d->segment[i].first), index))
			above = i;
		else
			below = i + 1;
		i = below + (above - below) / 2;
	}
	*scope = below ? filch_load_relaxed(&d->segment[below - 1].scope) : NULL;
	return below ? filch_load_relaxed(&d->segment[below - 1].team) : NULL;
}

/*
 * Any thread, the owner included (a wait takes its own tasks this way too). On GOT: *task is the
 * caller's to run, *team its job, whose count it has raised and must lower when the task is done.
 * *in says where the task belongs, and the places in it are given back when it is done.
 */
static inline enum filchi_steal filchi_deque_steal_as(struct filchi_deque *d, bool owner,
	const struct filchi_filter *filter, struct filch_task **task, struct filchi_team **team,
	struct filchi_found *in)
{
	uint64_t seen = filchi_load_acquire(&d->hot.top);
	filch_index bottom = filchi_load_acquire(&d->hot.bottom);
	filch_index top = filchi_top_index(seen, bottom);

	/* a first look without the fence: most victims of a search are empty */
	if (!filchi_deque_holds(bottom, top))
		return FILCHI_STEAL_EMPTY;
	if (owner)
		filchi_gate_shut_own(&d->hot);
	else
		filchi_gate_shut(&d->hot, seen);
	/*
	 * FENCE D2   load top -> load bottom               pairs with: D1 in filch_take()
	 * Ensures:   the thief sees the owner's lowered bottom, or the owner sees the thief's top.
	 * Without:   owner and thief both take the last task.
	 * Weaker?    no: load->load does not order the thief's read of top before the owner's store
	 *            of bottom.
	 * Checked:   tests/model/c11/deque.c, mutant steal_without_fence (found by a model checker
	 *            only)
	 */
	bottom = filchi_fence_then_load_acquire(&d->hot.bottom);
	if (!filchi_deque_holds(bottom, top))
		return FILCHI_STEAL_EMPTY;
	/* pairs with the release in grow; after bottom */
	struct filch_array *array = filchi_load_acquire(&d->hot.array);
	/* before the CAS: it may be reused after */
	struct filch_task *found = filch_load_relaxed(&array->slot[top & array->mask]);
	struct filchi_team *job = filchi_segment_find(d, top, &in->scope);

	in->n = 0;
	FILCH_HOOK(steal_before_cas);
	if (!filchi_filter_allows(filter, job, in->scope) ||
		(FILCH_UNLIKELY(in->scope != NULL) &&
			!filchi_places_take(in->scope, filter->worker, in)))
		return FILCHI_STEAL_BARRED;
	if (job)
		(void)filchi_fetch_add_acq_rel(&job->inside, 1);
	if (!filchi_cas_seq_cst(&d->hot.top, &seen, seen + FILCHI_TOP_ONE)) {
		filchi_places_leave(in, filter->worker);
		/*
		 * the caller lowers the count: if it was the last one out it has a duty to the job
		 */
		*team = job;
		return FILCHI_STEAL_RACED;
	}
	filch_tsan_acquire(&d->hot.bottom);
	*task = found;
	*team = job;
	return FILCHI_STEAL_GOT;
}

static inline enum filchi_steal filchi_deque_steal(struct filchi_deque *d,
	const struct filchi_filter *filter, struct filch_task **task, struct filchi_team **team,
	struct filchi_found *in)
{
	return filchi_deque_steal_as(d, false, filter, task, team, in);
}

/*
 * Owner: raises the floor to what thieves have passed; true if @carried then has room. Pairs with
 *        the thieves' CAS.
 */
static inline bool filchi_deque_refresh(struct filchi_deque *d, filch_index carried)
{
	/* slots below top have been read: they may be written again */
	filch_index top = filchi_top_index(filchi_load_acquire(&d->hot.top), d->hot.floor);

	if (filch_index_after(top, d->hot.floor) && !filch_index_after(top, carried))
		d->hot.floor = top;
	return filch_index_diff(carried, d->hot.floor) <= d->hot.mask;
}

/* Owner: doubles the array. False: no memory, or as large as a deque gets. */
static inline bool filchi_deque_grow(struct filchi_deque *d, filch_index carried)
{
	struct filch_array *old = filch_load_relaxed(&d->hot.array);
	struct filch_array *array;
	filch_index capacity = filch_index_add(old->mask, 1);

	if (capacity >= FILCHI_DEQUE_MAX)
		return false;
	array = filchi_array_new(capacity * 2, old);
	if (!array)
		return false;
	for (filch_index i = d->hot.floor; filch_index_after(carried, i); i = filch_index_add(i, 1))
		filch_store_relaxed(&array->slot[i & array->mask],
			filch_load_relaxed(&old->slot[i & old->mask]));
	/*
	 * a release: a thief that finds the new array must find the tasks in it (Norris and Demsky
	 * 2013)
	 */
	filchi_store_release(&d->hot.array, array);
	d->hot.slot = array->slot;
	d->hot.mask = array->mask;
	if (d->hot.limit) /* 0 is the mode in which every push goes the slow way */
		d->hot.limit = (filch_uindex)capacity * 2;
	d->grows++;
	return true;
}

/*
 * Owner: a push that the fast path refused. True: pushed at *index, with a full fence before
 *        anything that follows. False: no room; nothing happened.
 */
static inline bool filchi_deque_push_slow(
	struct filchi_deque *d, filch_index carried, struct filch_task *task, filch_index *index)
{
	if (filch_index_after(d->hot.floor, carried))
		carried = d->hot.floor;
	if (filch_index_diff(carried, d->hot.floor) > d->hot.mask &&
		!filchi_deque_refresh(d, carried) && !filchi_deque_grow(d, carried))
		return false;
	filch_store_relaxed(&d->hot.slot[carried & d->hot.mask], task);
	*index = carried;
	filch_tsan_release(&d->hot.bottom);
	/* I1 of the slow path, in both modes a full fence: see filch_push() */
	filchi_store_then_fence(&d->hot.bottom, filch_index_add(carried, 1));
	return true;
}

/*
 * Owner: leaves the deque in order after a take that did not get its task: floor up to top, bottom
 *        what the frame carries.
 */
static inline void filchi_deque_settle(struct filchi_deque *d, filch_index carried)
{
	filch_index top = filchi_top_index(filchi_load_acquire(&d->hot.top), d->hot.floor);

	/*
	 * Everything at or above the taken index is gone. So top <= carried here, unless thieves
	 * have passed the frame. Then the frame's index is stale, and the floor takes its place.
	 */
	if (filch_index_after(top, d->hot.floor))
		d->hot.floor = top;
	filchi_store_release(
		&d->hot.bottom, filch_index_after(d->hot.floor, carried) ? d->hot.floor : carried);
}

/* Owner: filch_take_quiet(). */
static inline void filchi_deque_look(struct filchi_deque *d)
{
	filchi_gate_look(&d->hot, &d->watch, filch_load_relaxed(&d->hot.bottom));
}

/* Owner: one more take with the gate shut. */
static inline void filchi_deque_count(struct filchi_deque *d)
{
	uint32_t patience = filch_load_relaxed(&d->hot.patience) - 1;

	filch_store_relaxed(&d->hot.patience, patience);
	if (!patience)
		filchi_deque_look(d);
}

/*
 * Owner: decides a take at @index that met the top. True: the last task was still there and is the
 *        owner's, to be run at hot.floor. False: thieves have it; the deque is settled.
 */
static inline bool filchi_deque_take_last(
	struct filchi_deque *d, filch_index carried, filch_index index)
{
	uint64_t top = filchi_load_acquire(&d->hot.top);

	FILCH_HOOK(take_before_cas);
	if (filchi_top_index(top, d->hot.floor) == index &&
		filchi_cas_seq_cst(&d->hot.top, &top, top + FILCHI_TOP_ONE)) {
		d->hot.floor = filch_index_add(index, 1);
		filchi_store_release(&d->hot.bottom, d->hot.floor);
		/* that it has moved top itself is no thief's coming */
		if (d->watch.top == top)
			d->watch.top += FILCHI_TOP_ONE;
		if (d->watch.patience)
			filchi_deque_count(d);
		return true;
	}
	filchi_deque_settle(d, carried);
	return false;
}

/*
 * Owner that gives up its stack: takes out every task that is still there, by CAS as a thief does.
 * Nobody runs them. Returns how many. The deque is then in order for the next thread on the seat.
 */
static inline uint32_t filchi_deque_withdraw(struct filchi_deque *d)
{
	const filch_index bottom = filch_load_relaxed(&d->hot.bottom); /* we alone write it */
	uint64_t top;
	uint32_t withdrawn = 0;

	filchi_gate_shut_own(&d->hot);
	top = filchi_load_acquire(&d->hot.top);
	while (filch_index_after(bottom, filchi_top_index(top, bottom))) {
		if (filchi_cas_seq_cst(&d->hot.top, &top, top + FILCHI_TOP_ONE)) {
			top += FILCHI_TOP_ONE;
			withdrawn++;
		}
	}
	filchi_deque_settle(d, filchi_top_index(top, bottom));
	return withdrawn;
}

#endif
