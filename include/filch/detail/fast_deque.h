/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner's fast path of a Chase-Lev deque: push and take, inlined into the tasks of the program.
 * Installed, not API; the layout of struct filch_worker and struct filch_task is ABI. The other
 * half (steal, growth, slow paths) is src/struct/deque.h.
 *
 * Sources: Chase and Lev 2005; Le, Pop, Cohen and Zappa Nardelli 2013 for the orders; Norris and
 * Demsky 2013 for the release on growth.
 *
 * Ours is that the owner carries bottom by value in its frame, a register argument of every task.
 * So no push or take waits for the store-to-load forwarding of bottom in memory. Memory is stored
 * to for thieves alone.
 *
 * An index names a slot for ever: indices only grow, 64 bits do not wrap. A frame's carried index
 * is where its next push would go. floor is the owner's view of top. Invariants:
 *
 *   floor <= top                     a push starts at max(carried, floor).
 *   carried <= max(bottom, floor)    while user code runs, bottom in memory is the running frame's
 *                                    carried index, or the floor.
 *   bottom - floor <= capacity       so that each slot belongs to one index at a time.
 *
 * A task at index top leaves by a CAS on top, whichever thread takes it, if the gate is shut. Only
 * the owner may take one above top, and while the gate is open the one at top.
 *
 * Stale frames:
 * - Syncs are strictly newest first. So the index of the task to take is one below the carried one,
 *   and no handle keeps it.
 * - After thieves have passed a frame, top is above its carried index. The index is stale: a push
 *   there would be lost.
 * - The slow sync then raises floor to top, and `carried - floor` is negative. One unsigned compare
 *   in the push catches that together with "no room".
 * - If a frame's index is stale, thieves have all its tasks. Any index below a later push is then
 *   below top, so a take fails and the slow path decides.
 * - A task that ran at its spawn for want of room has no index. Its word is 0, and the take looks
 *   at that first.
 *
 * A spawn and its sync on a deque that no thief looks into cost no read-modify-write, no fence, no
 * allocation: src/struct/gate.h. docs/adr/0007 has the form of the take and of the handle, and
 * counts instructions.
 */
#ifndef FILCH_DETAIL_DEQUE_H
#define FILCH_DETAIL_DEQUE_H

#include "fast_atomic.h"

FILCH_EXTERN_C_BEGIN

struct filch_worker;
struct filch_task;

/*
 * Index arithmetic. In the shipped build these are the plain operators. FILCH_NARROW_INDEX is a
 * build of the tests: 32 bits that start just below the wrap. It shows that every comparison is one
 * of differences.
 */
#if defined(FILCH_NARROW_INDEX)
typedef int32_t filch_index;
typedef uint32_t filch_uindex;
#define FILCH_INDEX_START       (INT32_MAX - 6)
#define filch_index_add(a, n)   ((filch_index)((filch_uindex)(a) + (filch_uindex)(n)))
#define filch_index_diff(a, b)  ((filch_index)((filch_uindex)(a) - (filch_uindex)(b)))
#define filch_index_after(a, b) (filch_index_diff((a), (b)) > 0)
#else
typedef int64_t filch_index;
typedef uint64_t filch_uindex;
#define FILCH_INDEX_START       0
#define filch_index_add(a, n)   ((a) + (n))
#define filch_index_diff(a, b)  ((a) - (b))
#define filch_index_after(a, b) ((a) > (b))
#endif
typedef FILCH_ATOMIC(filch_index) filch_atomic_index;

/* The gate is shut: a value above every index. */
#define FILCH_GATE_SHUT INT64_MAX
#if defined(FILCH_NARROW_INDEX)
FILCH_INLINE bool filch_is_above_gate(filch_index index, const filch_atomic_i64 *gate)
{
	int64_t at = filch_load_relaxed(gate);

	return at != FILCH_GATE_SHUT && filch_index_after(index, (filch_index)at);
}
#else
#define filch_is_above_gate(index, gate) filch_is_above_relaxed((index), (gate))
#endif

/* The word top: an index, modulo 2^40, above how often the gate was opened. */
#define FILCH_EPOCH_BITS 24
FILCH_INLINE bool filch_is_above_top(filch_index index, uint64_t top)
{
#if defined(FILCH_NARROW_INDEX)
	return filch_index_after(index, (filch_index)(top >> FILCH_EPOCH_BITS));
#else
	return (int64_t)(((uint64_t)index << FILCH_EPOCH_BITS) - top) > 0;
#endif
}

/* Runs one task: @worker executes it, @index is where its first push goes, @task is its frame. */
typedef void filch_thunk(struct filch_worker *worker, filch_index index, struct filch_task *task);

/*
 * The part of a task's frame that the scheduler knows; typed frames begin with it. It lives in the
 * spawner's stack frame.
 *
 * word: the thunk's address, then 0 when done. Between the two, after a steal, it may name the
 * thief or the parked joiner (src/struct/join.h). The completer exchanges it for 0 and never
 * touches the frame again.
 *
 * saved: the thunk, when a joiner parks before the thief has read it. A spawn does not write it,
 * but for the notes of debug builds (task_macros.h).
 */
struct filch_task {
	filch_atomic_word word;
	uintptr_t saved;
};

typedef FILCH_ATOMIC(struct filch_task *) filch_atomic_slot;

struct filch_array; /* src/struct/deque.h */

/* One worker as the inlined path sees it. The library's own fields follow it in memory. */
struct filch_worker {
	/* written by the owner; thieves read bottom and array */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_index bottom;
	FILCH_ATOMIC(struct filch_array *) array;
	filch_atomic_slot *slot; /* the array's slots and mask, without the detour */
	filch_index mask;
	filch_index floor;
	filch_uindex limit; /* capacity; 0 sends every push through the slow path (fenced mode) */
	filch_atomic_u32 patience; /* takes with the gate shut until a look whether to open it */
	/* written by others; gate and top also by the owner: src/struct/gate.h */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_i64 gate; /* takes above it need no fence */
	filch_atomic_u32 ask; /* a parked worker wants to hear of a push */
	filch_atomic_u32 sure;
	filch_atomic_u64 top;
};
FILCH_STATIC_ASSERT(offsetof(struct filch_worker, gate) - offsetof(struct filch_worker, bottom) >=
			    FILCH_CACHELINE,
	"owner and thieves must not share a line");

/*
 * Cold paths, in the library.
 *
 * filch_push_slow: a push that found no room, a stale index, or the fenced mode. Returns the index
 * that the frame carries from now on. Without any room the task has run here: its word is 0, and
 * the index is as before.
 *
 * filch_push_asked: a push was published and a worker asks. Wakes a parked worker if one may run
 * the task.
 *
 * filch_take_quiet: after so many takes with the gate shut: opens it if no thief has come.
 *
 * filch_sync_slow: a take that met the top, or a task that is done. True: the task is the caller's
 * after all, to be run at index worker->floor. False: it is complete and its result can be read.
 * @carried stays as it is in the frame.
 *
 * filch_scope_enter: 0, or -ENOBUFS: pieces of work lie nested too deep. filch_scope_leave: the
 * first status with which the scope was cancelled, or 0.
 */
FILCH_API FILCH_COLD filch_index filch_push_slow(
	struct filch_worker *worker, filch_index carried, struct filch_task *task);
FILCH_API FILCH_COLD void filch_push_asked(struct filch_worker *worker);
FILCH_API FILCH_COLD void filch_take_quiet(struct filch_worker *worker);
FILCH_API FILCH_COLD bool filch_sync_slow(
	struct filch_worker *worker, filch_index carried, struct filch_task *task);
FILCH_API int filch_scope_enter(struct filch_worker *worker);
FILCH_API int filch_scope_leave(struct filch_worker *worker);
FILCH_API FILCH_COLD __attribute__((noreturn)) void filch_misuse(
	const char *what, const char *task);

/*
 * Owner only. Publishes @task, whose word is already set, and moves *@carried past it. A task that
 * found no room has run: its word is 0, and *@carried is as it was.
 */
FILCH_INLINE void filch_push(
	struct filch_worker *worker, filch_index *carried, struct filch_task *task)
{
	filch_index i = *carried;

	if (FILCH_UNLIKELY((filch_uindex)filch_index_diff(i, worker->floor) >= worker->limit)) {
		*carried = filch_push_slow(worker, i, task);
		return;
	}
	/* published by the release below */
	filch_store_relaxed(&worker->slot[i & worker->mask], filch_address(task));
	i = FILCH_FORGET(filch_index_add(i, 1));
	*carried = i;
	/*
	 * FENCE I1   store bottom -> load ask              pairs with: I2 in filchi_idle_prepare()
	 * Ensures:   the spawner sees that a parked worker asks, or the parking worker sees the
	 *            task.
	 * Without:   a task lies in the deque while a worker sleeps.
	 * Weaker?    no: store->load. Light here; the parking worker pays with the heavy side.
	 * Checked:   tests/model/c11/idle.c, mutant ask_read_before_publish
	 */
	filch_tsan_release(&worker->bottom);
	/* pairs with the thief's acquire of bottom */
	filch_publish_release_light(&worker->bottom, i);
	if (FILCH_UNLIKELY(!filch_is_zero_relaxed(&worker->ask)))
		filch_push_asked(worker);
}

/*
 * Owner only: takes the newest task of the running frame, @task, at @index, one below its carried
 * index. True: it is the owner's, and is to be run at @index, which the frame carries from now on.
 * False: filch_sync_slow() decides, and the carried index stays.
 */
FILCH_INLINE bool filch_take(
	struct filch_worker *worker, filch_index index, struct filch_task *task)
{
	uint32_t patience;

	/*
	 * 0: it ran at its spawn and has no index, or a thief has done it already. A thief's mark
	 * is no matter: the exchange below will tell.
	 */
	if (FILCH_UNLIKELY(!filch_load_relaxed(&task->word)))
		return false;
	/*
	 * FENCE D3   store bottom -> load gate             pairs with: D4 in filchi_gate_shut()
	 * Ensures:   the owner sees the gate shut, or the thief sees the lowered bottom.
	 * Without:   both take the task.
	 * Weaker?    no: store->load. Light here; a thief pays with the heavy side. The store is a
	 *            release: it keeps the release sequence of the pushes below it (RC11, found by
	 *            exploration).
	 * Checked:   tests/model/c11/deque.c, mutant take_without_order
	 */
	filch_store_release_light(&worker->bottom, index);
	if (FILCH_LIKELY(filch_is_above_gate(index, &worker->gate)))
		return true;
	/*
	 * FENCE D1   store bottom -> load top              pairs with: D2 in
	 *                                                  filchi_deque_steal_as()
	 * Ensures:   the owner sees the thief's top, or the thief sees the lowered bottom.
	 * Without:   both pass their test and the last task runs twice.
	 * Weaker?    no: store->load; an exchange on x86-64. Its store is a release as above.
	 * Checked:   tests/model/c11/deque.c, mutant take_without_fence
	 */
	filch_store_release_full(&worker->bottom, index);
	/* top holds an index modulo 2^40: below the floor a stale one may seem to be above it */
	if (FILCH_UNLIKELY(!filch_is_above_top(index, filch_load_relaxed(&worker->top)) ||
			   filch_index_after(worker->floor, index)))
		return false;
	patience = filch_load_relaxed(&worker->patience) - 1;
	filch_store_relaxed(&worker->patience, patience);
	if (FILCH_UNLIKELY(!patience))
		filch_take_quiet(worker);
	return true;
}

FILCH_EXTERN_C_END

#endif
