/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner's fast path of a Chase-Lev deque: push and take, inlined into the tasks of the program. Installed, not API; the
 * layout of struct filch_worker and struct filch_task is ABI. The other half (steal, growth, slow paths) is src/deque.h.
 *
 * Source: Chase and Lev 2005; Le, Pop, Cohen and Zappa Nardelli 2013 for the orders; Norris and Demsky 2013 for the release on
 * growth. What is ours: the owner carries bottom by value in its frame (a register argument of every task), so that no push or
 * take waits for the store-to-load forwarding of bottom in memory; memory is stored to for thieves alone.
 *
 * Words. An index names a slot for ever: indices only grow, 64 bits do not wrap. A frame's carried index is where its next push
 * would go. What must stay true:
 *
 *   floor <= top                     the owner's view of top; a push starts at max(carried, floor)
 *   carried <= max(bottom, floor)    while user code runs, bottom in memory is what the running frame carries, or the floor
 *   bottom - floor <= capacity       so that each slot belongs to one index at a time
 *   a task at index i == top leaves by a CAS on top, whoever takes it; one at i > top may be taken by the owner alone
 *
 * Syncs are strictly newest first, so the index of the task to take is one below the carried one, and no handle keeps it. After
 * thieves have passed a frame (top above its carried index) its carried index is stale: a push there would be lost. The slow sync
 * then raises floor to top, and `carried - floor` is negative, which the push's one unsigned compare catches together with "no room".
 * All tasks of a stale frame are stolen; wherever a later push has moved its carried index, one below it is below top, so a take
 * there fails. A task that ran at its spawn for want of room has no index: its word is 0, which the take looks at first.
 *
 * Cost of a spawn and its sync that meet no thief: push 5 loads, 2 stores, 2 branches never taken; take 2 loads, 1 exchange,
 * 2 branches never taken; no other read-modify-write or fence, no allocation. A call of fib, which is half a spawn and a sync, takes
 * 22.5 instructions with gcc on x86-64, 20 if it is declared inline, and 32 with clang, counted by tests/api/instructions.sh. What the
 * handle stores, how the index is carried and which form of the take measured best is in docs/adr/0007.
 */
#ifndef FILCH_DETAIL_DEQUE_H
#define FILCH_DETAIL_DEQUE_H

#include "atomic.h"

FILCH_EXTERN_C_BEGIN

struct filch_worker;
struct filch_task;

/*
 * Index arithmetic. FILCH_NARROW_INDEX is a build of the tests: 32 bits that start just below the wrap, so that every
 * comparison is shown to be one of differences. In the shipped build these are the plain operators.
 */
#if defined(FILCH_NARROW_INDEX)
typedef int32_t filch_index;
typedef uint32_t filch_uindex;
#define FILCH_INDEX_START (INT32_MAX - 6)
#define filch_index_add(a, n)   ((filch_index)((filch_uindex)(a) + (filch_uindex)(n)))
#define filch_index_diff(a, b)  ((filch_index)((filch_uindex)(a) - (filch_uindex)(b)))
#define filch_index_after(a, b) (filch_index_diff((a), (b)) > 0)
#define filch_index_above_relaxed(a, p) filch_index_after((a), filch_load_relaxed(p))
#else
typedef int64_t filch_index;
typedef uint64_t filch_uindex;
#define FILCH_INDEX_START 0
#define filch_index_add(a, n)   ((a) + (n))
#define filch_index_diff(a, b)  ((a) - (b))
#define filch_index_after(a, b) ((a) > (b))
#define filch_index_above_relaxed(a, p) filch_is_above_relaxed((a), (p))
#endif
typedef FILCH_ATOMIC(filch_index) filch_atomic_index;

/* Runs one task: @worker executes it, @index is where its first push goes, @task is its frame. */
typedef void filch_thunk(struct filch_worker *worker, filch_index index, struct filch_task *task);

/*
 * The part of a task's frame that the scheduler knows; typed frames begin with it. It lives in the spawner's stack frame.
 * word:  the thunk's address -> 0 when done. Between the two, after a steal, it may name the thief or the parked joiner
 *        (src/join.h); whoever completes the task exchanges it for 0 and never touches the frame again.
 * saved: the thunk, when a joiner parks before the thief has read it; not written by a spawn.
 */
struct filch_task {
	filch_atomic_word word;
	uintptr_t saved;
};

typedef FILCH_ATOMIC(struct filch_task *) filch_atomic_slot;

struct filch_array; /* src/deque.h */

/* One worker as the inlined path sees it. The library's own fields follow it in memory. */
struct filch_worker {
	/* written by the owner; thieves read bottom and array */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_index bottom;
	FILCH_ATOMIC(struct filch_array *) array;
	filch_atomic_slot *slot; /* the array's slots and mask, without the detour */
	filch_index mask;
	filch_index floor;
	filch_uindex limit;      /* capacity; 0 sends every push through the slow path (the fenced mode) */
	/* written by others */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_index top;
	filch_atomic_u32 ask;    /* a parked worker wants to hear of a push */
};
FILCH_STATIC_ASSERT(offsetof(struct filch_worker, top) - offsetof(struct filch_worker, bottom) >= FILCH_CACHELINE,
		    "owner and thieves must not share a line");

/*
 * Cold paths, in the library.
 *
 * filch_push_slow   a push that found no room, a stale index, or the fenced mode. Returns what the frame carries from now on; no
 *                   more than before if there was no room to be had: the task has then run here, and its word is 0.
 * filch_push_asked  a push was published and somebody asked: wakes a parked worker if one may run the task.
 * filch_sync_slow   a take that met the top, or a task that is done. True: the task is the caller's after all, to be run at
 *                   index worker->floor. False: it is complete and its result can be read. @carried as in the frame, where it
 *                   stays.
 */
FILCH_API FILCH_COLD filch_index filch_push_slow(struct filch_worker *worker, filch_index carried, struct filch_task *task);
FILCH_API FILCH_COLD void filch_push_asked(struct filch_worker *worker);
FILCH_API FILCH_COLD bool filch_sync_slow(struct filch_worker *worker, filch_index carried, struct filch_task *task);
FILCH_API FILCH_COLD __attribute__((noreturn)) void filch_misuse(const char *what, const char *task);

/*
 * Owner only. Publishes @task, whose word is already set, and moves *@carried past it; a task that found no room has run, its word
 * is 0 and *@carried as it was.
 */
FILCH_INLINE void filch_push(struct filch_worker *worker, filch_index *carried, struct filch_task *task)
{
	filch_index i = *carried;

	if (FILCH_UNLIKELY((filch_uindex)filch_index_diff(i, worker->floor) >= worker->limit)) {
		*carried = filch_push_slow(worker, i, task);
		return;
	}
	filch_store_relaxed(&worker->slot[i & worker->mask], filch_address(task)); /* published by the release below */
	i = FILCH_FORGET(filch_index_add(i, 1));
	*carried = i;
	/*
	 * FENCE I1   store bottom -> load ask              pairs with: I2 in filchi_idle_prepare()
	 * Ensures:   the spawner sees that a parked worker asks, or the parking worker sees the task.
	 * Without:   a task lies in the deque while a worker sleeps.
	 * Weaker?    no: store->load. Light here; the parking worker pays with the heavy side.
	 * Checked:   tests/model/c11/idle.c, mutant ask_read_before_publish
	 */
	filch_store_release_light(&worker->bottom, i); /* pairs with the thief's acquire of bottom */
	if (FILCH_UNLIKELY(!filch_is_zero_relaxed(&worker->ask)))
		filch_push_asked(worker);
}

/*
 * Owner only: takes the newest task of the running frame, @task, at @index, one below what the frame carries. True: it is the
 * owner's and is to be run at @index, which the frame carries from now on. False: filch_sync_slow() decides; what the frame
 * carries stays.
 */
FILCH_INLINE bool filch_take(struct filch_worker *worker, filch_index index, struct filch_task *task)
{
	/* 0: it ran at its spawn and has no index, or a thief has done it already. A thief's mark: the exchange below will tell. */
	if (FILCH_UNLIKELY(!filch_load_relaxed(&task->word)))
		return false;
	/*
	 * FENCE D1   store bottom -> load top              pairs with: D2 in filchi_deque_steal()
	 * Ensures:   the owner sees the thief's top, or the thief sees the lowered bottom.
	 * Without:   both pass their test and the last task runs twice.
	 * Weaker?    no: store->load; an exchange on x86-64. Its store is a release: it keeps the release sequence of the pushes
	 *            below it (RC11, found by exploration).
	 * Checked:   tests/model/c11/deque.c, mutant take_without_fence
	 */
	filch_store_release_full(&worker->bottom, index);
	return FILCH_LIKELY(filch_index_above_relaxed(index, &worker->top));
}

FILCH_EXTERN_C_END

#endif
