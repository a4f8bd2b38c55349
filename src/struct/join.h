/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The word of a task between its steal and its completion.
 *
 *   thunk -> 0                     taken by its owner, or run at its spawn.
 *   thunk -> thief -> 0            stolen, done.
 *   thunk -> thief -> joiner -> 0  stolen; the joiner has parked meanwhile.
 *   thunk -> joiner -> 0           the joiner parked before the thief has read the thunk.
 *   thief or joiner -> orphaned    the thief's stack was given up (fault.c): no join returns.
 *
 * The 0 of a take is not written: the owner knows. A joiner that finds the thunk moves it to
 * `saved` before it parks.
 *
 * `thief` and `joiner` are addresses inside the pool's array of workers. So they cannot be mistaken
 * for a thunk, whatever the alignment of functions:
 * - base + i * stride: worker i runs it;
 * - one byte further: worker i waits for it;
 * - base + 2: orphaned.
 *
 * The completer exchanges the word for 0 and never touches the frame again: the joiner may leave at
 * once, and the frame is then somebody else's memory. The value exchanged tells which worker to
 * wake. Workers outlive their tasks, and a wake that comes late is harmless.
 */
#ifndef FILCHI_JOIN_H
#define FILCHI_JOIN_H

#include "struct/deque.h"

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

/* Thief @me, after its CAS: marks the task as its own, and reads the thunk to run. */
static inline filch_thunk *filchi_task_begin(
	struct filch_task *task, const struct filchi_marks *m, uint32_t me)
{
	uintptr_t word = filchi_load_acquire(&task->word);

	while (!filchi_mark_is(m, word)) {
		if (filchi_cas_acq_rel(&task->word, &word, filchi_mark_thief(m, me)))
			return (filch_thunk *)word;
	}
	return (filch_thunk *)task->saved; /* the joiner was here first; its CAS published it */
}

/*
 * Thief: the task is done, its result written. Returns the worker that waits for it, or -1. The
 * frame is not ours any more. The exchange is a release for the result, and the fence of I5: the
 * caller reads the joiner's state after it.
 */
static inline int filchi_task_finish(struct filch_task *task, const struct filchi_marks *m)
{
	filch_tsan_release(&task->word);
	return filchi_mark_worker(m, filchi_exchange_seq_cst(&task->word, (uintptr_t)0), true);
}

/*
 * Joiner: whether the task is done. All its writes are then visible: pairs with
 * filchi_task_finish().
 */
static inline bool filchi_task_done(struct filch_task *task)
{
	if (filchi_load_acquire(&task->word))
		return false;
	filch_tsan_acquire(&task->word);
	return true;
}

/*
 * Thief that gives up its stack: the task will never be done. Returns the worker that waits for it,
 * or -1. Orders as finish.
 */
static inline int filchi_task_orphan(struct filch_task *task, const struct filchi_marks *m)
{
	return filchi_mark_worker(m, filchi_exchange_seq_cst(&task->word, m->base + 2), true);
}

/* Joiner: whether the task is orphaned. */
static inline bool filchi_task_orphaned(struct filch_task *task, const struct filchi_marks *m)
{
	return filchi_load_acquire(&task->word) == m->base + 2;
}

/*
 * Joiner: the worker that runs the task. -1 if the thief is not marked yet, or the joiner itself
 * is.
 */
static inline int filchi_task_thief(struct filch_task *task, const struct filchi_marks *m)
{
	return filchi_mark_worker(m, filchi_load_acquire(&task->word), false);
}

/*
 * Joiner @me, about to park: the completer of the task, or the thread that orphans it, will wake
 * it. False: that has happened. The mark stays until then.
 */
static inline bool filchi_task_await(
	struct filch_task *task, const struct filchi_marks *m, uint32_t me)
{
	uintptr_t mark = filchi_mark_joiner(m, me), word = filchi_load_acquire(&task->word);

	while (word && word != mark && word != m->base + 2) {
		if (!filchi_mark_is(m, word))
			/* before the CAS: the thief reads it only where it finds our mark */
			task->saved = word;
		if (filchi_cas_acq_rel(&task->word, &word, mark))
			return true;
	}
	return word == mark;
}

#endif
