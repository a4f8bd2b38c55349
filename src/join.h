/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The word of a task between its steal and its completion.
 *
 *   thunk -> 0                     taken by its owner (not written in release builds: the owner knows) or run at its spawn
 *   thunk -> thief -> 0            stolen, done
 *   thunk -> thief -> joiner -> 0  stolen; the joiner has parked meanwhile; who completes it wakes the joiner
 *   thunk -> joiner -> 0           the joiner parks before the thief has come to read the thunk: it moves it to `saved` first
 *   thief or joiner -> lost        the thief's stack was given up (guard.c): the join will not return
 *
 * `thief` and `joiner` are addresses inside the pool's array of workers, so they cannot be mistaken for a thunk, whatever the
 * alignment of functions: base + i * stride is "worker i is at it", one byte further is "worker i waits for it"; base + 2 is
 * "lost".
 *
 * Who completes a task exchanges its word for 0 and never touches the frame again: the joiner may leave at once, and the frame is
 * then somebody else's memory. What the exchange yields tells whom to wake; workers outlive their tasks, and a wake that comes
 * late is harmless.
 */
#ifndef FILCHI_JOIN_H
#define FILCHI_JOIN_H

#include "deque.h"

/* The array of a pool's workers, as addresses. */
struct filchi_marks {
	uintptr_t base, stride, size;
};

/* Whether @word names a worker, and not a thunk. */
static inline bool filchi_mark_is(const struct filchi_marks *m, uintptr_t word)
{
	return word - m->base < m->size;
}

static inline uintptr_t filchi_mark_thief(const struct filchi_marks *m, uint32_t worker)
{
	return m->base + worker * m->stride;
}

static inline uintptr_t filchi_mark_joiner(const struct filchi_marks *m, uint32_t worker)
{
	return filchi_mark_thief(m, worker) + 1;
}

/* The worker that @word names as thief (@joiner false) or joiner; -1 if it names none as such. */
static inline int filchi_mark_worker(const struct filchi_marks *m, uintptr_t word, bool joiner)
{
	uintptr_t offset = word - m->base - (joiner ? 1 : 0);

	return filchi_mark_is(m, word) && offset % m->stride == 0 ? (int)(offset / m->stride) : -1;
}

/* Thief @me, after its CAS: says that it is at it, and learns what to run. */
static inline filch_thunk *filchi_task_begin(struct filch_task *task, const struct filchi_marks *m, uint32_t me)
{
	uintptr_t word = filchi_load_acquire(&task->word);

	while (!filchi_mark_is(m, word)) {
		if (filchi_cas_acq_rel(&task->word, &word, filchi_mark_thief(m, me)))
			return (filch_thunk *)word;
	}
	return (filch_thunk *)task->saved; /* the joiner was here first; its CAS published it */
}

/*
 * Thief: the task is done, its result written. Returns the worker that waits for it, or -1. The frame is not ours any more.
 * The exchange is a release for the result, and the fence of I5: the caller reads the joiner's state after it.
 */
static inline int filchi_task_finish(struct filch_task *task, const struct filchi_marks *m)
{
	return filchi_mark_worker(m, filchi_exchange_seq_cst(&task->word, (uintptr_t)0), true);
}

/* Joiner: whether the task is done; all its writes are then visible. Pairs with filchi_task_finish(). */
static inline bool filchi_task_done(struct filch_task *task)
{
	return filchi_load_acquire(&task->word) == 0;
}

/* Thief that gives up its stack: the task will never be done. Returns the worker that waits for it, or -1. Orders as finish. */
static inline int filchi_task_lose(struct filch_task *task, const struct filchi_marks *m)
{
	return filchi_mark_worker(m, filchi_exchange_seq_cst(&task->word, m->base + 2), true);
}

/* Joiner: whether the task is lost. */
static inline bool filchi_task_lost(struct filch_task *task, const struct filchi_marks *m)
{
	return filchi_load_acquire(&task->word) == m->base + 2;
}

/* Joiner: who runs the task, or -1 if the thief has not said so yet or the joiner itself is marked. */
static inline int filchi_task_thief(struct filch_task *task, const struct filchi_marks *m)
{
	return filchi_mark_worker(m, filchi_load_acquire(&task->word), false);
}

/* Joiner @me, about to park: whoever completes or loses the task will wake it. False: that has happened. The mark stays until then. */
static inline bool filchi_task_await(struct filch_task *task, const struct filchi_marks *m, uint32_t me)
{
	uintptr_t mark = filchi_mark_joiner(m, me), word = filchi_load_acquire(&task->word);

	while (word && word != mark && word != m->base + 2) {
		if (!filchi_mark_is(m, word))
			task->saved = word; /* before the CAS: the thief reads it only where it finds our mark */
		if (filchi_cas_acq_rel(&task->word, &word, mark))
			return true;
	}
	return word == mark;
}

#endif
