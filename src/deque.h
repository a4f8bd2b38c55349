/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deque of one worker: steal, growth, and the owner's slow paths. The owner's fast path, the invariants and the sources are in
 * include/filch/detail/deque.h; this is the other half. Everything is inline, so that a model checker reads what ships.
 *
 *   push / take     one thread, the owner; strictly nested
 *   push / steal    free
 *   take / steal    free; the task at top goes to whoever moves top by CAS
 *   steal / steal   free
 *   grow / steal    free: a replaced array stays readable until the deque is destroyed
 *   destroy / any   never
 *
 * Crews and segments. A task belongs to the job on whose behalf it was spawned. A push cannot afford to write that down, so a
 * worker publishes, whenever it starts work of another job on its stack, from which index on its tasks belong to that job: a
 * stack of segments {first, crew}. A crew is what the deque knows of a job: the count of workers inside it. A thief finds the
 * segment of the index it wants, asks whether its own rules allow that job, raises the crew's count, and only then tries its CAS.
 *
 * Why the unlocked read of the segments is sound. For a thief whose CAS on top at index t succeeds, the task at t stayed in the
 * deque from its read of bottom to its CAS. So its segment stayed open: segments below it cannot change, segments above it all
 * have first > t, whichever of them the thief happens to see, and the depth it reads covers it (the segment was opened before the
 * push whose release of bottom it acquired). A thief whose CAS fails discards what it read. It may have raised the count of a crew
 * that has nothing to do with the task: crews are type-stable for the pool's life, and it lowers it again.
 *
 * Rejected: the crew in the task's frame or beside the slot (one more store per spawn); publishing only the newest segment
 * (the older jobs' tasks would be hidden from thieves while an awaited job runs above them).
 */
#ifndef FILCHI_DEQUE_H
#define FILCHI_DEQUE_H

#include <stdlib.h>

#include <filch/detail/deque.h>

#include "atomic.h"
#include "check.h"

#ifndef FILCHI_SEGMENTS
#define FILCHI_SEGMENTS 4096u /* jobs that may lie nested on one worker's stack; deeper waits do not nest, they park */
#endif
#ifndef FILCHI_DEQUE_MAX
#define FILCHI_DEQUE_MAX (INT32_C(1) << 24) /* tasks; beyond it a spawn runs its task in place */
#endif

/* A deque's slots. The mask lives with the array, so that a thief that loads an old array uses that one's mask. */
struct filch_array {
	filch_index mask;            /* capacity - 1, capacity a power of two */
	struct filch_array *retired; /* the array this one replaced */
	filch_atomic_slot slot[];
};

/*
 * The count of workers that are, or are about to be, inside a job. First member of a job slot. The job's own function is 1 of it,
 * which stays there from one job in the slot to the next, so that an ordinary job need not count. The top bit says that the job has
 * been aborted (guard.c): its function then counts down as well, and it is complete when the count comes to 0, and not when its
 * function returns.
 */
struct filchi_crew {
	filch_atomic_u64 inside;
};
#define FILCHI_CREW_DEAD (UINT64_C(1) << 63)

struct filchi_segment {
	filch_atomic_index first; /* tasks from here up belong to ... */
	FILCH_ATOMIC(struct filchi_crew *) crew;
};

struct filchi_deque {
	struct filch_worker hot; /* first: the inlined path's view of this object */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 depth;  /* open segments; the owner writes, thieves read */
	struct filchi_segment *segment;
	uint64_t grows;
};

/*
 * Who has raised the count lowers it. True: the job is aborted and all are out, and the caller alone must complete it. A thief that
 * raises and lowers the count in vain may pass 1 as well, more than once: the CAS lets one of them win. It also puts back the 1 that
 * stands for the job's own function, of this job or the next in the slot: only an aborted one takes it off.
 */
static inline bool filchi_crew_leave(struct filchi_crew *crew)
{
	uint64_t dead = FILCHI_CREW_DEAD;

	return FILCH_UNLIKELY(filchi_fetch_sub_acq_rel(&crew->inside, 1) == (FILCHI_CREW_DEAD | 1)) &&
	       filchi_cas_acq_rel(&crew->inside, &dead, (uint64_t)1);
}

/* By who is inside: the job is aborted. True: the caller is the first to say so. */
static inline bool filchi_crew_abort(struct filchi_crew *crew)
{
	uint64_t inside = filchi_load_acquire(&crew->inside);

	do {
		if (inside & FILCHI_CREW_DEAD)
			return false;
	} while (!filchi_cas_acq_rel(&crew->inside, &inside, inside | FILCHI_CREW_DEAD));
	return true;
}

/* What a worker may take: anything (an empty stack), or the work of one or two jobs (a suspended frame), or nothing. */
struct filchi_want {
	bool any;
	struct filchi_crew *crew[2];
};

enum filchi_steal {
	FILCHI_STEAL_GOT,
	FILCHI_STEAL_EMPTY,
	FILCHI_STEAL_LOST,  /* somebody else was faster: trying again is worthwhile */
	FILCHI_STEAL_BARRED /* there is a task, of a job the thief may not touch now */
};

static inline bool filchi_want_allows(const struct filchi_want *want, const struct filchi_crew *crew)
{
	return want->any || (crew && (crew == want->crew[0] || crew == want->crew[1]));
}

/* @capacity: a power of two, at least 2. Room for the array is allocated here or not at all. */
static inline struct filch_array *filchi_array_new(filch_index capacity, struct filch_array *retired)
{
	struct filch_array *array = malloc(sizeof *array + (size_t)capacity * sizeof array->slot[0]);

	if (array) {
		array->mask = capacity - 1;
		array->retired = retired;
	}
	return array;
}

/* Owner. 0 or -1 (no memory: nothing is left behind). @capacity as above; @fenced: pushes carry full fences, for want of membarrier(2). */
static inline int filchi_deque_init(struct filchi_deque *d, filch_index capacity, bool fenced)
{
	struct filch_array *array = filchi_array_new(capacity, NULL);

	d->segment = malloc(FILCHI_SEGMENTS * sizeof d->segment[0]);
	if (!array || !d->segment) {
		free(array);
		free(d->segment);
		return -1;
	}
	d->grows = 0;
	d->hot.slot = array->slot;
	d->hot.mask = array->mask;
	d->hot.floor = FILCH_INDEX_START;
	d->hot.limit = fenced ? 0 : (filch_uindex)capacity;
	filchi_store_relaxed(&d->hot.array, array); /* published with the worker itself */
	filchi_store_relaxed(&d->hot.bottom, (filch_index)FILCH_INDEX_START);
	filchi_store_relaxed(&d->hot.top, (filch_index)FILCH_INDEX_START);
	filchi_store_relaxed(&d->hot.ask, 0);
	filchi_store_relaxed(&d->depth, 0);
	return 0;
}

/* No thief may be left. */
static inline void filchi_deque_destroy(struct filchi_deque *d)
{
	struct filch_array *array = filchi_load_relaxed(&d->hot.array);

	while (array) {
		struct filch_array *next = array->retired;
		free(array);
		array = next;
	}
	free(d->segment);
}

/* Any thread: whether the deque seems to hold a task. Exact for the owner; for others a hint, unless a heavy fence precedes. */
static inline bool filchi_deque_seems_empty(struct filchi_deque *d)
{
	filch_index top = filchi_load_acquire(&d->hot.top);

	return !filch_index_after(filchi_load_acquire(&d->hot.bottom), top);
}

/* Owner. The index at which nested work (a job, a stolen task, an untyped fork) starts: rule 4, bottom in memory or the floor. */
static inline filch_index filchi_deque_carried(struct filchi_deque *d)
{
	filch_index bottom = filchi_load_relaxed(&d->hot.bottom); /* we are the only writer */

	return filch_index_after(d->hot.floor, bottom) ? d->hot.floor : bottom;
}

/* Owner, before it runs the first task or function of @crew's job on its stack. False: nested too deep. */
static inline bool filchi_segment_open(struct filchi_deque *d, struct filchi_crew *crew)
{
	uint32_t depth = filchi_load_relaxed(&d->depth); /* we are the only writer */

	if (depth == FILCHI_SEGMENTS)
		return false;
	filchi_store_relaxed(&d->segment[depth].first, filchi_deque_carried(d));
	filchi_store_relaxed(&d->segment[depth].crew, crew);
	filchi_store_release(&d->depth, depth + 1); /* a thief that sees the depth sees the segment */
	filchi_store_relaxed(&d->hot.ask, 1);       /* the next push looks for sleepers that may run this job: see idle.h */
	return true;
}

/* Owner, when that work is done and fully synced. */
static inline void filchi_segment_close(struct filchi_deque *d)
{
	filchi_store_release(&d->depth, filchi_load_relaxed(&d->depth) - 1);
	filchi_store_relaxed(&d->hot.ask, 1);
}

/* Owner: the job whose code runs now, or NULL. */
static inline struct filchi_crew *filchi_segment_crew(struct filchi_deque *d)
{
	uint32_t depth = filchi_load_relaxed(&d->depth);

	return depth ? filchi_load_relaxed(&d->segment[depth - 1].crew) : NULL;
}

/* Thief: the job of the task at @index; right if the caller's CAS at @index then succeeds, see above. May be NULL. */
static inline struct filchi_crew *filchi_segment_find(struct filchi_deque *d, filch_index index)
{
	uint32_t i = filchi_load_acquire(&d->depth); /* pairs with the release in open */

	while (i--) {
		if (!filch_index_after(filchi_load_relaxed(&d->segment[i].first), index))
			return filchi_load_relaxed(&d->segment[i].crew);
	}
	return NULL;
}

/*
 * Any thread, the owner included (a wait takes its own tasks this way too). On GOT: *task is the caller's to run, *crew its job,
 * whose count it has raised and must lower when the task is done.
 */
static inline enum filchi_steal filchi_deque_steal(struct filchi_deque *d, const struct filchi_want *want,
						   struct filch_task **task, struct filchi_crew **crew)
{
	filch_index top = filchi_load_acquire(&d->hot.top), expected = top;

	/* a first look without the fence: most victims of a search are empty */
	if (!filch_index_after(filchi_load_acquire(&d->hot.bottom), top))
		return FILCHI_STEAL_EMPTY;
	/*
	 * FENCE D2   load top -> load bottom               pairs with: D1 in filch_take()
	 * Ensures:   the thief sees the owner's lowered bottom, or the owner sees the thief's top.
	 * Without:   owner and thief both take the last task.
	 * Weaker?    no: load->load does not order the thief's read of top before the owner's store of bottom.
	 * Checked:   tests/model/c11/deque.c, mutant steal_without_fence (found by a model checker only)
	 */
	filch_index bottom = filchi_fence_then_load_acquire(&d->hot.bottom);
	if (!filch_index_after(bottom, top))
		return FILCHI_STEAL_EMPTY;
	struct filch_array *array = filchi_load_acquire(&d->hot.array); /* pairs with the release in grow; after bottom */
	struct filch_task *found = filchi_load_relaxed(&array->slot[top & array->mask]); /* before the CAS: it may be reused after */
	struct filchi_crew *job = filchi_segment_find(d, top);

	FILCH_HOOK(steal_before_cas);
	if (!filchi_want_allows(want, job))
		return FILCHI_STEAL_BARRED;
	if (job)
		(void)filchi_fetch_add_acq_rel(&job->inside, 1);
	if (!filchi_cas_seq_cst(&d->hot.top, &expected, filch_index_add(top, 1))) {
		*crew = job; /* the caller lowers the count: if it was the last one out it has a duty to the job */
		return FILCHI_STEAL_LOST;
	}
	*task = found;
	*crew = job;
	return FILCHI_STEAL_GOT;
}

/* Owner: raises the floor to what thieves have passed; true if @carried then has room. Pairs with the thieves' CAS. */
static inline bool filchi_deque_refresh(struct filchi_deque *d, filch_index carried)
{
	filch_index top = filchi_load_acquire(&d->hot.top); /* slots below top have been read: they may be written again */

	if (filch_index_after(top, d->hot.floor) && !filch_index_after(top, carried))
		d->hot.floor = top;
	return filch_index_diff(carried, d->hot.floor) <= d->hot.mask;
}

/* Owner: doubles the array. False: no memory, or as large as a deque gets. */
static inline bool filchi_deque_grow(struct filchi_deque *d, filch_index carried)
{
	struct filch_array *old = filchi_load_relaxed(&d->hot.array);
	struct filch_array *array;
	filch_index capacity = filch_index_add(old->mask, 1);

	if (capacity >= FILCHI_DEQUE_MAX)
		return false;
	array = filchi_array_new(capacity * 2, old);
	if (!array)
		return false;
	for (filch_index i = d->hot.floor; filch_index_after(carried, i); i = filch_index_add(i, 1))
		filchi_store_relaxed(&array->slot[i & array->mask], filchi_load_relaxed(&old->slot[i & old->mask]));
	/* a release: a thief that finds the new array must find the tasks in it (Norris and Demsky 2013) */
	filchi_store_release(&d->hot.array, array);
	d->hot.slot = array->slot;
	d->hot.mask = array->mask;
	if (d->hot.limit) /* 0 is the mode in which every push goes the slow way */
		d->hot.limit = (filch_uindex)capacity * 2;
	d->grows++;
	return true;
}

/*
 * Owner: a push that the fast path refused. True: pushed at *index, with a full fence before anything that follows. False: no
 * room; nothing happened.
 */
static inline bool filchi_deque_push_slow(struct filchi_deque *d, filch_index carried, struct filch_task *task,
					  filch_index *index)
{
	if (filch_index_after(d->hot.floor, carried))
		carried = d->hot.floor;
	if (filch_index_diff(carried, d->hot.floor) > d->hot.mask && !filchi_deque_refresh(d, carried) &&
	    !filchi_deque_grow(d, carried))
		return false;
	filchi_store_relaxed(&d->hot.slot[carried & d->hot.mask], task);
	*index = carried;
	/* I1 of the slow path, in both modes a full fence: see filch_push() */
	filchi_store_then_fence(&d->hot.bottom, filch_index_add(carried, 1));
	return true;
}

/* Owner: leaves the deque in order after a take that did not get its task: floor up to top, bottom what the frame carries. */
static inline void filchi_deque_settle(struct filchi_deque *d, filch_index carried)
{
	filch_index top = filchi_load_acquire(&d->hot.top);

	/*
	 * Everything at or above the taken index is gone, so top <= carried here unless thieves have passed the frame; then the
	 * frame's index is stale and the floor takes its place.
	 */
	if (filch_index_after(top, d->hot.floor))
		d->hot.floor = top;
	filchi_store_release(&d->hot.bottom, filch_index_after(d->hot.floor, carried) ? d->hot.floor : carried);
}

/*
 * Owner: decides a take at @index that met the top. True: the last task was still there and is the owner's, to be run at hot.floor.
 * False: thieves have it; the deque is settled.
 */
static inline bool filchi_deque_take_last(struct filchi_deque *d, filch_index carried, filch_index index)
{
	filch_index top = index;

	FILCH_HOOK(take_before_cas);
	if (filchi_cas_seq_cst(&d->hot.top, &top, filch_index_add(index, 1))) {
		d->hot.floor = filch_index_add(index, 1);
		filchi_store_release(&d->hot.bottom, d->hot.floor);
		return true;
	}
	filchi_deque_settle(d, carried);
	return false;
}

/*
 * Owner that gives up its stack: takes out every task that is still there, by CAS as a thief does; nobody runs them. Returns how many.
 * The deque is in order for whoever has the seat next.
 */
static inline uint32_t filchi_deque_withdraw(struct filchi_deque *d)
{
	filch_index top = filchi_load_acquire(&d->hot.top);
	uint32_t withdrawn = 0;

	while (filch_index_after(filchi_load_relaxed(&d->hot.bottom), top)) { /* we are bottom's only writer */
		if (filchi_cas_seq_cst(&d->hot.top, &top, filch_index_add(top, 1))) {
			top = filch_index_add(top, 1);
			withdrawn++;
		}
	}
	filchi_deque_settle(d, top);
	return withdrawn;
}

#endif
