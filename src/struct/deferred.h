/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deferred ends: jobs that are complete when two things have come about, in either order. The
 * function has returned, and some thread has called filch_job_finish(). The later of the two
 * completes the job.
 *
 * Three flags of the job's state word decide it. All are of a RUNNING job, and gone afterwards.
 *
 *   DEFERRED   the function, or a task of it, has asked for it
 *   CLAIMED    one finish has won, or the job has lost its way to return: no other finish may
 *   HALF       one of the two has come about
 *
 *   DEFERRED                       -> + CLAIMED   a finish; its status is being written
 *   DEFERRED                       -> + HALF      the function has returned
 *   DEFERRED, CLAIMED              -> + HALF      status written, or returned: the first of the two
 *   DEFERRED, CLAIMED, HALF                       the second: that thread completes the job
 *
 * A finish takes two steps, since the word has no room for a status. The status has a field of its
 * own, which the thread that has CLAIMED may write, until it arrives.
 *
 * A job that does not return (core/fault.c) is complete when all have left it, and waits for no
 * finish. But one that is half way through writes to the slot. So it either shuts finishes out, or
 * leaves the completion to the one that is in.
 *
 * The generation is above these flags in the word, so a finish with a stale id meets another one.
 * Every step is a CAS of the word; the other flags are kept.
 */
#ifndef FILCHI_DEFERRED_H
#define FILCHI_DEFERRED_H

#include "base/atomic.h"
#include "base/check.h"

#define FILCHI_DEFERRED      UINT64_C(0x2000)
#define FILCHI_DEFERRED_WON  UINT64_C(0x4000) /* CLAIMED */
#define FILCHI_DEFERRED_HALF UINT64_C(0x8000)

/* Inside the job: its end is deferred. Again: nothing changes. */
static inline void filchi_deferred_mark(filch_atomic_u64 *word)
{
	uint64_t s = filchi_load_acquire(word);

	while (!(s & FILCHI_DEFERRED) && !filchi_cas_acq_rel(word, &s, s | FILCHI_DEFERRED))
		;
}

/*
 * A finish that has read @s, in which the job is its own, RUNNING and DEFERRED: claims it. Else
 * false, with the word as it is now in *@s: asked again while that is so, it will be claimed, by
 * this or by another.
 */
static inline bool filchi_deferred_claim(filch_atomic_u64 *word, uint64_t *s)
{
	return !(*s & FILCHI_DEFERRED_WON) && filchi_cas_acq_rel(word, s, *s | FILCHI_DEFERRED_WON);
}

/*
 * The function has returned; or the status that the claimer was to write is written. True: the
 * other one came first, and the caller completes the job. False: it must not touch it any more.
 */
static inline bool filchi_deferred_arrive(filch_atomic_u64 *word)
{
	uint64_t s = filchi_load_acquire(word);

	filch_tsan_release(word);
	do {
		if (s & FILCHI_DEFERRED_HALF) {
			filch_tsan_acquire(word);
			return true;
		}
	} while (!filchi_cas_acq_rel(word, &s, s | FILCHI_DEFERRED_HALF));
	return false;
}

/*
 * The function will not return, and what is to be said of that is written. As
 * filchi_deferred_arrive(), but no finish is waited for.
 */
static inline bool filchi_deferred_lost(filch_atomic_u64 *word)
{
	uint64_t s = filchi_load_acquire(word);

	while (!(s & FILCHI_DEFERRED_WON))
		if (filchi_cas_acq_rel(word, &s, s | FILCHI_DEFERRED_WON))
			return true;
	return filchi_deferred_arrive(word);
}

#endif
