/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job slots: one array per pool, type-stable until the pool is destroyed, and a ring of the free ones. A slot's state word decides
 * every race by CAS.
 *
 * state, one word:  63..16 generation | 12 GUARDED | 8 LANE | 7 NOBODY | 6 FOR_WORKER | 5 FOR_THREAD | 4 CANCEL | 3 IN_RING | 2..0 state
 *
 *   FREE      -> QUEUED      submit (the slot is the submitter's from the free ring on)
 *   FREE      -> RUNNING     submit with CALLER_RUNS on a full queue; or the caller's slot, see filchi_job_caller_begin()
 *   QUEUED    -> RUNNING     a worker takes it from the ring, or claims it because it waits for it (IN_RING then stays: a tombstone)
 *   QUEUED    -> FINISHING   cancelled, or the pool abandoned
 *   QUEUED    -> FINISHING   also: withdrawn by its submitter, which found the pool closing (then GONE: nobody is told)
 *   RUNNING   -> GONE        published so by its submitter (CALLER_RUNS), which then found the pool closing: nobody is told
 *   RUNNING   -> FINISHING   its function has returned; or it was aborted, and the last worker inside has left (guard.c)
 *   FINISHING -> DONE        somebody will wait for it
 *   FINISHING -> GONE        it is detached, its completion is in its queue, or its callback has returned
 *   DONE      -> REAPING     one waiter has won it
 *   REAPING   -> GONE
 *   GONE      -> FREE        with the next generation, once IN_RING is off too
 *
 * The thread that makes a transition to RUNNING, FINISHING or REAPING owns the slot's plain fields until the next one. An id is
 * pool tag, generation and slot: a stale or foreign id meets another generation or tag, and is -ESRCH.
 *
 * NOBODY: detached, with a queue or with a callback, so nobody may wait. FOR_THREAD: a thread sleeps on the low half of the word.
 * FOR_WORKER: a worker of the pool is parked and waits for this job.
 */
#ifndef FILCHI_JOB_H
#define FILCHI_JOB_H

#include <time.h>

#include <filch/job.h>
#include <filch/task.h>

#include "cq.h"
#include "deque.h"
#include "ring.h"

enum { FILCHI_JOB_FREE, FILCHI_JOB_QUEUED, FILCHI_JOB_RUNNING, FILCHI_JOB_FINISHING, FILCHI_JOB_DONE, FILCHI_JOB_REAPING, FILCHI_JOB_GONE };
#define FILCHI_JOB_IN_RING    UINT64_C(8)
#define FILCHI_JOB_CANCEL     UINT64_C(16)
#define FILCHI_JOB_FOR_THREAD UINT64_C(32)
#define FILCHI_JOB_FOR_WORKER UINT64_C(64)
#define FILCHI_JOB_NOBODY     UINT64_C(128) /* detached, with a queue or with a callback: nobody may wait */
#define FILCHI_JOB_LANE(s)    ((unsigned)((s) >> 8) & 1)  /* read by who has no business with the slot: filch_pool_lane_stats() */
#define FILCHI_JOB_IN_LANE(l) ((uint64_t)(l) << 8)
#define FILCHI_JOB_GUARDED    UINT64_C(4096) /* its faults are contained; it never runs on top of another job's frames */
#define FILCHI_JOB_STATE(s)   ((unsigned)((s) & 7))
#define FILCHI_JOB_FLAGS(s)   ((s) & UINT64_C(0xfff8))
#define FILCHI_JOB_GENERATION(s) ((s) >> 16)
#define FILCHI_JOB_GENERATION_ONE UINT64_C(0x10000)

/* A slot: two cache lines, of which a bare job that nobody waits for needs but the first. */
struct filchi_job {
	struct filchi_crew crew; /* first: what the deques know of the job; while it is not aborted, at least 1, for its own function */
	filch_atomic_u64 state;
	/* the owner's, see above */
	union {
		filch_job_fn *fn;
		filch_thunk *thunk;       /* FILCHI_JOB_TASK */
		struct filchi_job *after; /* aborted: the next job in a list of those to be completed */
	};
	union {
		void *arg;
		struct filch_task *task;
	};
	uint32_t flags;          /* FILCH_JOB_..., FILCHI_JOB_TASK, FILCHI_JOB_ABORTED */
	uint32_t cell;           /* its credit in cq */
	filch_atomic_u64 queued_at; /* nanoseconds; by the coarse clock if nobody is told how long it took */
	int64_t id;
	int32_t status;
	int16_t worker;
	uint8_t lane;
	uint8_t fault_signal;    /* aborted; 0 for pthread_exit() */

	void (*on_complete)(const struct filch_completion *completion);
	void *user;
	struct filch_cq *cq;     /* where its completion goes, or NULL */
	union {
		uint64_t start_by;      /* nanoseconds, 0 = none */
		uint64_t fault_address; /* aborted */
	};
	uint64_t started_at, ended_at;
} FILCH_ALIGNED(FILCH_CACHELINE);
FILCH_STATIC_ASSERT(sizeof(struct filchi_job) == FILCH_CACHELINE && offsetof(struct filchi_job, on_complete) == 64,
		    "a slot is two lines, a bare job one");

#define FILCHI_JOB_TASK    (UINT32_C(1) << 30)
#define FILCHI_JOB_ABORTED (UINT32_C(1) << 31) /* the completion says how, see fault_signal */

/* Whether somebody is told how long the job took. */
static inline bool filchi_job_is_timed(const struct filchi_job *job)
{
	return !(job->flags & (FILCH_JOB_DETACHED | FILCHI_JOB_TASK)) || job->start_by;
}

struct filchi_jobs {
	struct filchi_job *slot;
	uint32_t count;          /* a limit for clients: jobs_max */
	uint32_t slots;          /* count, and one that never enters a ring: for what a FILCH_POOL_CALLER pool's creator runs itself */
	uint32_t slot_bits;
	uint32_t batch;          /* how many slots one call may take together, at most FILCHI_JOBS_BATCH: see ring.h on positions drawn */
	uint32_t tag;            /* this pool's, no other living pool has it; > 0 */
	struct filchi_ring free;
};

/* 0, -ENOMEM, -EAGAIN (more living pools than there are tags). *@ring_slots: the ring capacity that holds every slot. */
int filchi_jobs_init(struct filchi_jobs *jobs, uint32_t count, uint32_t threads, uint32_t *ring_slots);
void filchi_jobs_destroy(struct filchi_jobs *jobs);

/* Any thread. A free slot, the caller's from now on, or NULL. Its id for this use is in job->id. */
struct filchi_job *filchi_job_new(struct filchi_jobs *jobs);

/*
 * Up to @n free slots, together; returns how many. None, or fewer than @n, does not mean that there are no more. @n is at most
 * jobs->batch.
 */
uint32_t filchi_job_new_many(struct filchi_jobs *jobs, struct filchi_job **job, uint32_t n);

#define FILCHI_JOBS_BATCH 64u

/* The owner of a new slot: publishes it as QUEUED|IN_RING or RUNNING. @flags: FILCHI_JOB_NOBODY, _GUARDED, _IN_LANE. */
void filchi_job_publish(struct filchi_job *job, unsigned state, uint64_t flags);

/* The owner of a new slot: its completion goes to @cq. False: no credit there. */
bool filchi_job_send_to(struct filchi_job *job, struct filch_cq *cq);

/* The same for @n of them: how many, from the first on, there was a credit for. */
uint32_t filchi_job_send_many(struct filchi_job **job, uint32_t n, struct filch_cq *cq);

/*
 * The caller's slot: one thread alone uses it, for one job at a time that nobody waits for, so that it goes from FREE to RUNNING and
 * back without a ring. begin() passes a full fence after publishing it (the submitter's side of S1) and returns it; end() wakes whoever
 * drains the pool.
 */
struct filchi_job *filchi_job_caller_begin(struct filchi_jobs *jobs);
void filchi_job_caller_end(struct filchi_job *job);

/* The owner of a new slot, or of @n, that is not to be used after all. */
void filchi_job_discard(struct filchi_jobs *jobs, struct filchi_job *job);
void filchi_job_discard_many(struct filchi_jobs *jobs, struct filchi_job **job, uint32_t n);

/*
 * A number taken from a lane's ring: the job, now RUNNING and the caller's to run; NULL for a tombstone, which is cleared (and
 * the slot freed if it was only waiting for that).
 */
struct filchi_job *filchi_job_popped(struct filchi_jobs *jobs, uint32_t slot);

/* From QUEUED to @state (RUNNING or FINISHING) in the generation of @id; false if it is not QUEUED any more. */
bool filchi_job_claim(struct filchi_job *job, int64_t id, const struct filchi_jobs *jobs, unsigned state);

/*
 * The owner of a RUNNING or just claimed slot, once status and times are written: calls the callback, ends the job. Returns
 * FILCHI_JOB_FOR_WORKER if parked workers must be told, and has woken waiting threads. The slot may be anybody's afterwards. A callback
 * that calls pthread_exit() ends the job too; then this does not return.
 */
uint64_t filchi_job_complete(struct filchi_jobs *jobs, struct filchi_job *job);

/* The owner of a slot that was published, RUNNING or FINISHING, whose job is not to be after all. No completion. */
void filchi_job_take_back(struct filchi_jobs *jobs, struct filchi_job *job);

/* The submitter of a queued job takes it back; false if somebody else has started or cancelled it. No completion. */
bool filchi_job_withdraw(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id);

/* The slot of an id of this pool, or NULL. Whether the generation is current the state word tells. */
struct filchi_job *filchi_job_find(const struct filchi_jobs *jobs, int64_t id);

/* The id under which the slot is, or was, used in the generation of state word @s. */
int64_t filchi_job_id_of(const struct filchi_jobs *jobs, const struct filchi_job *job, uint64_t s);

/* The owner of an aborted job that all workers have left: writes its end. */
void filchi_job_set_aborted(struct filchi_job *job);

/* Whether the calling thread is inside a completion callback of a job of this pool. */
bool filchi_job_in_callback(const struct filchi_jobs *jobs);

/* Whether the calling thread is inside any completion callback. */
bool filchi_in_callback(void);

/* The calling thread gives its stack up, and no callback on it will return: their jobs are over. */
void filchi_callbacks_lost(void);

/* Whether state word @s belongs to @id's generation. */
bool filchi_job_is(const struct filchi_jobs *jobs, uint64_t s, int64_t id);

/* Any thread: takes the completion of a job that is DONE. 0, -EAGAIN (not complete yet), -ESRCH, -EINVAL (NOBODY). */
int filchi_job_reap(struct filchi_jobs *jobs, int64_t id, struct filch_completion *out);

/* Any thread: sleeps until the job of @id is no longer QUEUED, RUNNING or FINISHING, or the deadline: 0 or -ETIMEDOUT. */
int filchi_job_await(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id, const struct timespec *deadline);

/* Sets @flag in the state word while the job of @id is unfinished; false if it is not. */
bool filchi_job_flag(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id, uint64_t flag);

/* Held over a fork, so that the child does not inherit a lock that nobody will release. */
void filchi_jobs_before_fork(void);
void filchi_jobs_after_fork(bool in_child);

/* Whether @deadline, which may be NULL, is a time at all. */
static inline bool filchi_deadline_ok(const struct timespec *deadline)
{
	return !deadline || (deadline->tv_sec >= 0 && deadline->tv_nsec >= 0 && deadline->tv_nsec < 1000000000);
}

/* Whether @deadline, a time or NULL, has passed: for work that is done between two looks at the clock. */
static inline bool filchi_deadline_passed(const struct timespec *deadline)
{
	struct timespec now;

	if (!deadline)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > deadline->tv_sec || (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

/* Nanoseconds on CLOCK_MONOTONIC, some milliseconds late but a fifth of the price. */
static inline uint64_t filchi_now_coarse(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Nanoseconds on CLOCK_MONOTONIC. */
static inline uint64_t filchi_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

#endif
