/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What workers write of their time while a pool is live: pool/live.c. A pool that is not live pays
 * for none of it.
 *
 * The hooks stand where a worker goes from one state to another, and where it mostly has read the
 * clock already:
 *
 *   - a search begins in filchi_spin_wait(), and ends there or with the work that it finds
 *   - every sleep goes through filchi_worker_sleep()
 *   - a job begins and ends in filchi_worker_run_job()
 *
 * All other time is work: a job, a task, and looking about for a moment in a wait.
 *
 * Histograms. A job that takes long is entered. Of short ones some are, the fewer the shorter they
 * are, and each stands for those that are not. For how many the next one will stand was settled by
 * the one entered before it, so short and long jobs get their due on average. Until that one comes
 * jobs are not even looked at: filchi_worker.heed_at.
 */
#ifndef FILCHI_LIVE_WORDS_H
#define FILCHI_LIVE_WORDS_H

#include "core/trace_events.h"
#include "struct/histogram.h"

#define FILCHI_LIVE_LONG_NS UINT64_C(20000) /* jobs that take so long are each entered */
#define FILCHI_LIVE_LEAST   UINT64_C(20)    /* to be added to the time of one */
#define FILCHI_LIVE_MOST    1001u           /* jobs that one stands for */
#define FILCHI_LIVE_AGAIN   65536u          /* jobs until a worker of a pool that was live looks */

#define FILCHI_LIVE_ADDING 1u

/* One for each worker, in the worker's order. Times are as of filchi_now(), sums in nanoseconds. */
struct filchi_live_words {
	/* written by the owner, read by anybody; 0 = not now, FILCHI_LIVE_ADDING = about to be */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u64 search_since;
	filch_atomic_u64 sleep_since;
	/*
	 * Sums of what is over. While one grows its start is FILCHI_LIVE_ADDING; no two stretches
	 * have one start. So a reader that finds the starts unchanged has had each stretch once.
	 */
	filch_atomic_u64 searched, slept, waited; /* waited: asleep with a suspended frame */
	uint64_t next;  /* the owner's: the number of the job that is entered next */
	uint32_t times; /* the owner's: for how many the job stands that is entered next; 0 = 1 */
	struct filchi_histogram queued, ran;
};

static inline bool filchi_is_live(const struct filch_pool *pool)
{
	return FILCH_UNLIKELY(filch_load_relaxed(&((struct filch_pool *)(uintptr_t)pool)->heeds) &
			      FILCHI_HEEDS_LIVE);
}

/* The words of worker @w, or NULL: the pool has never been live. */
static inline struct filchi_live_words *filchi_live_words(struct filchi_worker *w)
{
	return filchi_load_acquire(&w->live);
}

/* The owner, in a live pool: a search begins. Only one with an empty stack counts as such. */
FILCH_COLD void filchi_live_search(struct filchi_worker *w, uint64_t now);

/* The same: a stolen task begins. */
void filchi_live_task(struct filchi_worker *w);

/*
 * The owner: its job number @jobs begins, and it is to heed that. For how many it is to be entered
 * at its end, filchi_live_job_ends(); 0 = it is not. A job that is entered has its started_at.
 */
FILCH_COLD unsigned filchi_live_job(
	struct filchi_worker *w, struct filchi_job *job, bool timed, uint64_t jobs);
void filchi_live_job_ends(
	struct filchi_worker *w, const struct filchi_job *job, bool timed, unsigned times);

FILCH_COLD bool filchi_live_sleep(struct filchi_worker *w, const struct timespec *deadline);

/* The owner, settled: sleeps as filchi_idle_sleep() does. */
static inline bool filchi_worker_sleep(struct filchi_worker *w, const struct timespec *deadline)
{
	if (FILCH_UNLIKELY(filch_load_relaxed(&w->pool->heeds)))
		return filchi_live_sleep(w, deadline);
	FILCHI_PROBE(park, w->id, 0);
	return filchi_idle_sleep(&w->pool->idle, &w->sleeper, deadline);
}

#endif
