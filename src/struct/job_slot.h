/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job slots: one array per pool, type-stable until the pool is destroyed, and an SCQ of the free
 * ones. A slot's state word decides every race by CAS.
 *
 * The SCQ begins with a few of them. Where it has none left, slots begin that were never used,
 * until all have. So the memory of a pool grows with the jobs it has had at once, and so does what
 * a drain or a close scans. The few are enough for the generation of a slot not to come round soon.
 *
 * state, one word:  63..16 generation | 15..13 deferred.h | 12 GUARDED | 11 FAILED, 10 FOLLOWED:
 *                   after.h | 9 TASK | 8 GROUPED | 7 NOBODY | 6 FOR_WORKER | 5 FOR_THREAD |
 *                   4 CANCEL | 3 IN_QUEUE | 2..0 state
 *
 *   FREE      -> QUEUED      submit; the slot is the submitter's since it left the free SCQ
 *   FREE      -> WAITING     submit of a job that follows others, or is held by its group
 *   WAITING   -> QUEUED      the last of these has ended, or one of the group that was active: the
 *                            thread that has ended it
 *   WAITING   -> FINISHING   as from QUEUED
 *   FREE      -> RUNNING     an inline job (CALLER_RUNS on a full queue); or the caller's slot,
 *                            see filchi_job_caller_begin()
 *   QUEUED    -> RUNNING     a worker takes it from its lane; or claims it because it waits for it:
 *                            IN_QUEUE then stays, a tombstone
 *   QUEUED    -> FINISHING   cancelled, or the pool abandoned; or withdrawn by its submitter, which
 *                            found the pool closing (then GONE: nobody is told)
 *   RUNNING   -> GONE        an inline job whose submitter found the pool closing: nobody is told
 *   RUNNING   -> FINISHING   its function has returned, and a deferred end has come as well
 *                            (deferred.h); or it was aborted, and the last worker inside has left
 *                            (fault.c)
 *   FINISHING -> DONE        somebody will wait for it
 *   FINISHING -> GONE        detached, or its completion is in its queue, or its callback returned
 *   DONE      -> REAPING     one waiter has won it
 *   REAPING   -> GONE
 *   GONE      -> FREE        with the next generation, once IN_QUEUE is off too
 *
 * The thread that makes a transition to RUNNING, FINISHING or REAPING owns the slot's plain fields
 * until the next one; with a deferred end, the thread that comes second. An id is pool tag,
 * generation and slot. A stale or foreign id meets another generation or tag, and is -ESRCH.
 *
 * NOBODY:      detached, with a queue or with a callback, so nobody may wait
 * FOR_THREAD:  a thread sleeps on the low half of the word
 * FOR_WORKER:  a worker, of this pool or another, is parked and waits for this job
 * TASK:        of FILCH_RUN or a loop, while it is queued or runs
 * GROUPED:     of a group, from before it is published until it is over: groups.h
 */
#ifndef FILCHI_JOB_SLOT_H
#define FILCHI_JOB_SLOT_H

#include <filch/job.h>
#include <filch/task.h>

#include "base/this_thread.h"
#include "struct/cq_cells.h"
#include "struct/deferred.h"
#include "struct/deque.h"
#include "struct/followers.h"
#include "struct/groups.h"
#include "struct/scq.h"

enum {
	FILCHI_JOB_FREE,
	FILCHI_JOB_QUEUED,
	FILCHI_JOB_RUNNING,
	FILCHI_JOB_FINISHING,
	FILCHI_JOB_DONE,
	FILCHI_JOB_REAPING,
	FILCHI_JOB_GONE,
	FILCHI_JOB_WAITING
};
FILCH_STATIC_ASSERT(
	FILCHI_JOB_QUEUED == FILCHI_AFTER_QUEUED && FILCHI_JOB_DONE == FILCHI_AFTER_DONE &&
		FILCHI_JOB_GONE == FILCHI_AFTER_GONE && FILCHI_JOB_WAITING == FILCHI_AFTER_WAITING,
	"states of after.h");
#define FILCHI_JOB_IN_QUEUE       UINT64_C(8)
#define FILCHI_JOB_CANCEL         UINT64_C(16)
#define FILCHI_JOB_FOR_THREAD     UINT64_C(32)
#define FILCHI_JOB_FOR_WORKER     UINT64_C(64)
#define FILCHI_JOB_IN_CHILD       UINT64_C(1)   /* no flag of the word: filchi_job_complete() */
#define FILCHI_JOB_NOBODY         UINT64_C(128) /* detached, with a queue or with a callback */
#define FILCHI_JOB_GROUPED        UINT64_C(256)
#define FILCHI_JOB_OF_TASK        UINT64_C(512)  /* the word's TASK: no function of the program */
#define FILCHI_JOB_GUARDED        UINT64_C(4096) /* never runs on top of another job's frames */
#define FILCHI_JOB_STATE(s)       ((unsigned)((s)&7))
#define FILCHI_JOB_FLAGS(s)       ((s)&UINT64_C(0xfff8))
#define FILCHI_JOB_GENERATION(s)  ((s) >> 16)
#define FILCHI_JOB_GENERATION_ONE UINT64_C(0x10000)

/* A slot: two cache lines. A bare job that nobody waits for needs only the first. */
struct filchi_job {
	/* first; its count is at least 1, the function's own share, until the job is aborted */
	struct filchi_team team;
	filch_atomic_u64 state;

	/* the owner's, see above; the atomic ones are read by filchi_job_peek() as well */
	union {
		FILCH_ATOMIC(filch_job_fn *) fn;
		FILCH_ATOMIC(filch_thunk *) thunk; /* FILCHI_JOB_TASK */
		/* aborted, or its callback is due: the next in a list of such jobs */
		FILCH_ATOMIC(struct filchi_job *) after;
	};
	union {
		FILCH_ATOMIC(void *) arg;
		FILCH_ATOMIC(struct filch_task *) task;
	};
	uint32_t flags;             /* FILCH_JOB_..., FILCHI_JOB_TASK, FILCHI_JOB_ABORTED */
	filch_atomic_u32 cell;      /* its credit in cq; read by core/credits.c */
	filch_atomic_u64 queued_at; /* nanoseconds; by the coarse clock unless the job is timed */
	int64_t id;
	int32_t status;
	int16_t worker;
	FILCH_ATOMIC(uint8_t) lane; /* read by filch_pool_lane_stats() */
	uint8_t fault_signal;       /* aborted; 0 for pthread_exit() */

	void (*on_complete)(const struct filch_completion *completion);
	FILCH_ATOMIC(void *) user;
	union {
		/* where its completion goes, or NULL; read by core/abroad.c */
		FILCH_ATOMIC(struct filch_cq *) cq;
		/* its callback was due on a thread that was lost: the pool's jobs it is one of */
		FILCH_ATOMIC(struct filchi_jobs *) due_in;
	};
	union {
		uint64_t start_by;      /* nanoseconds, 0 = none */
		uint64_t fault_address; /* aborted */
	};
	filch_atomic_u64
		started_at; /* 0 = it has not started, or is not timed; read by a live page */
	uint64_t ended_at;
	int32_t end_status;         /* deferred: of the finish */
	filch_atomic_u64 finish_by; /* nanoseconds, 0 = none; read by core/still.c */
} FILCH_ALIGNED(FILCH_CACHELINE);
FILCH_STATIC_ASSERT(sizeof(struct filchi_job) == FILCH_CACHELINE &&
			    offsetof(struct filchi_job, on_complete) == 64,
	"a slot is two lines, a bare job one");

#define FILCHI_JOB_FOLLOWS (UINT32_C(1) << 28) /* was queued later than it was submitted */
#define FILCHI_JOB_BEHIND  (UINT32_C(1) << 29) /* ended because one that it follows has failed */
#define FILCHI_JOB_TASK    (UINT32_C(1) << 30)
#define FILCHI_JOB_ABORTED (UINT32_C(1) << 31) /* the completion says how, see fault_signal */

/* The owner: calls its function. */
static inline int filchi_job_call(struct filchi_job *job)
{
	return filch_load_relaxed(&job->fn)(filch_load_relaxed(&job->arg));
}

/* Whether the job's times are reported to anybody. */
static inline bool filchi_job_is_timed(const struct filchi_job *job)
{
	return !(job->flags & (FILCH_JOB_DETACHED | FILCHI_JOB_TASK)) || job->start_by;
}

struct filchi_jobs {
	struct filchi_job *slot;
	uint32_t count; /* a limit for clients: jobs_max */
	uint32_t slots; /* count, and one outside the SCQ: the caller's slot */
	uint32_t slot_bits;
	uint64_t generation;    /* of slots that begin */
	filch_atomic_u32 begun; /* slots [0, begun) have been used */
	uint32_t batch; /* slots that one call may take together; see scq.h, positions drawn */
	uint32_t tag;   /* this pool's, no other living pool has it; > 0 */
	struct filchi_scq free;
	/* tells workers that job @id is over, where nobody looks at what a function returns */
	void (*tell)(struct filchi_jobs *jobs, int64_t id);
	/* before a job ends whose callback has left its thread: it may be the pool's last */
	void (*left)(void);
	/* dependencies: NULL until the first job that follows others */
	FILCH_ATOMIC(struct filchi_followers *) followers;
	/*
	 * before a job ends that has followers; and after it: to those from edge @first on, with
	 * the pool alive between the two
	 */
	void (*hold)(struct filchi_jobs *jobs);
	void (*release)(struct filchi_jobs *jobs, uint32_t first, bool failed);
	/* groups: NULL until the first one */
	FILCH_ATOMIC(struct filchi_groups *) groups;
	/* names.h: NULL until the first job that has one */
	FILCH_ATOMIC(struct filchi_name *) names;
	/* before the job in @slot ends, of a group with running_max */
	void (*let_next)(struct filchi_jobs *jobs, uint32_t slot);
};

/*
 * 0, -ENOMEM, -EAGAIN (more living pools than there are tags). *@scq_slots: the SCQ capacity that
 * holds every slot.
 */
int filchi_jobs_init(
	struct filchi_jobs *jobs, uint32_t count, uint32_t threads, uint32_t *scq_slots);
void filchi_jobs_destroy(struct filchi_jobs *jobs);

/*
 * For scans: how many slots have begun, the caller's included; and the @i-th of them. What is
 * accepted later need not be seen. A closer reads the number behind its fence.
 */
static inline uint32_t filchi_jobs_begun(struct filchi_jobs *jobs)
{
	return filchi_load_acquire(&jobs->begun) + 1;
}

static inline struct filchi_job *filchi_jobs_at(
	const struct filchi_jobs *jobs, uint32_t begun, uint32_t i)
{
	return &jobs->slot[i + 1 < begun ? i : jobs->count];
}

/* Any thread. A free slot, the caller's from now on, or NULL. Its id for this use is in job->id. */
struct filchi_job *filchi_job_new(struct filchi_jobs *jobs);

/*
 * Up to @n free slots, together; returns how many. Fewer than @n, or none, does not mean that there
 * are no more. @n is at most jobs->batch.
 */
uint32_t filchi_job_new_many(struct filchi_jobs *jobs, struct filchi_job **job, uint32_t n);

#define FILCHI_JOBS_BATCH 64u

/*
 * The owner of a new slot: publishes it as QUEUED|IN_QUEUE, WAITING or RUNNING. @flags:
 * FILCHI_JOB_NOBODY, _GUARDED, _OF_TASK.
 */
void filchi_job_publish(struct filchi_job *job, unsigned state, uint64_t flags);

/*
 * The owner of a new slot: it is one of @group's from now on. Room that was taken there belongs to
 * the slot, and is given back with it or at the job's end.
 */
void filchi_job_join(struct filchi_jobs *jobs, struct filchi_job *job, struct filch_group *group);

/* The owner of a new slot: its completion goes to @cq. False: no credit there. */
bool filchi_job_send_to(struct filchi_job *job, struct filch_cq *cq);

/* The same for @n of them. Returns how many, from the first on, got a credit. */
uint32_t filchi_job_send_many(struct filchi_job **job, uint32_t n, struct filch_cq *cq);

/*
 * The caller's slot. One thread alone uses it, for one job at a time that nobody waits for. So it
 * goes from FREE to RUNNING and back without an SCQ. begin() publishes it, passes a full fence (the
 * submitter's side of S1), and returns it. end() wakes threads that drain the pool.
 */
struct filchi_job *filchi_job_caller_begin(struct filchi_jobs *jobs);
void filchi_job_caller_end(struct filchi_jobs *jobs, struct filchi_job *job);

/* The owner of a new slot, or of @n, that is not to be used after all. */
void filchi_job_discard(struct filchi_jobs *jobs, struct filchi_job *job);
void filchi_job_discard_many(struct filchi_jobs *jobs, struct filchi_job **job, uint32_t n);

/*
 * A number taken from a lane: the job, now RUNNING and the caller's to run. NULL for a tombstone:
 * it is cleared, and the slot freed if it was only waiting for that.
 */
struct filchi_job *filchi_job_popped(struct filchi_jobs *jobs, uint32_t slot);

/*
 * From QUEUED to @state (RUNNING or FINISHING) in the generation of @id. False if it is not QUEUED
 * any more.
 */
bool filchi_job_claim(
	struct filchi_job *job, int64_t id, const struct filchi_jobs *jobs, unsigned state);

/* From WAITING to FINISHING, likewise. */
bool filchi_job_claim_waiting(struct filchi_job *job, int64_t id, const struct filchi_jobs *jobs);

/* The thread that has made it RUNNING: whether it is not to run, for one that it follows failed. */
static inline bool filchi_job_is_behind(struct filchi_job *job)
{
	return filch_load_relaxed(&job->state) & FILCHI_AFTER_FAILED;
}

/*
 * The owner of a RUNNING or just claimed slot, once status and times are written: calls the
 * callback, ends the job, wakes waiting threads. Returns 0, or one of two: FILCHI_JOB_FOR_WORKER if
 * parked workers must be told; FILCHI_JOB_IN_CHILD if the callback has forked, and this is the
 * child. The slot may be anybody's afterwards. A callback that calls pthread_exit() ends the
 * job too; then this does not return.
 *
 * Directly inside another callback of the pool it is not called yet: the outer one calls it, when
 * it has returned. So a chain of callbacks, each of which ends the next job, needs no more stack
 * than one.
 */
uint64_t filchi_job_complete(struct filchi_jobs *jobs, struct filchi_job *job);

/*
 * The owner of a slot that was published, RUNNING or FINISHING, whose job is given up. No
 * completion.
 */
void filchi_job_take_back(struct filchi_jobs *jobs, struct filchi_job *job);

/*
 * The submitter of a queued job takes it back. False if another thread has started or cancelled it.
 * No completion.
 */
bool filchi_job_withdraw(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id);

/*
 * The slot of an id of this pool, or NULL. The state word says whether the generation is current.
 */
struct filchi_job *filchi_job_find(const struct filchi_jobs *jobs, int64_t id);

/* The id under which the slot is, or was, used in the generation of state word @s. */
int64_t filchi_job_id_of(const struct filchi_jobs *jobs, const struct filchi_job *job, uint64_t s);

/* The owner of an aborted job that all workers have left: writes its end. */
void filchi_job_set_aborted(struct filchi_job *job);

/*
 * The thread that runs a RUNNING job, whose function has returned: whether the job is over, which
 * then has the status of its finish; else it is not the caller's any more.
 */
static inline bool filchi_job_is_deferred(struct filchi_job *job)
{
	return FILCH_UNLIKELY(filch_load_relaxed(&job->state) & FILCHI_DEFERRED);
}
bool filchi_job_returned(struct filchi_job *job);

/* The owner of a job with a deferred end, which has come: writes it, unless the job was aborted. */
void filchi_job_set_finished(struct filchi_job *job);

/*
 * A callback or an inline job on a thread's stack: base/context.h. The callbacks that became due in
 * a callback, of the same pool's jobs, are called when it has returned, in their order.
 */
struct filchi_job_context {
	struct filchi_context context; /* first; of kind CALLBACK or INLINE */
	struct filchi_jobs *jobs;
	struct filchi_job *job;
	struct filchi_job *due, *last_due; /* CALLBACK; linked by `after` */
};

/*
 * The innermost context of @kind on the calling thread, for a job of @jobs, and for this @job; NULL
 * stands for any. NULL if there is none.
 */
const struct filchi_job_context *filchi_context_find(
	unsigned kind, const struct filchi_jobs *jobs, const struct filchi_job *job);

/*
 * The calling thread gives its stack up, and no context on it will be left. The jobs of callbacks
 * are over: they have had their completions. Returns the jobs whose callbacks were due there, in
 * their order, linked by `after`: another thread calls them. There are no inline jobs:
 * core/fault.c.
 */
struct filchi_job *filchi_contexts_lost(void);

/* Another thread: calls the callback of one of these jobs. The caller has read `after`. */
void filchi_job_call_due(struct filchi_job *job);

/* Whether state word @s belongs to @id's generation. */
bool filchi_job_is(const struct filchi_jobs *jobs, uint64_t s, int64_t id);

/*
 * Any thread: takes the completion of a job that is DONE. 0, -EAGAIN (not complete yet), -ESRCH,
 * -EINVAL (NOBODY).
 */
int filchi_job_reap(struct filchi_jobs *jobs, int64_t id, struct filch_completion *out);

/*
 * Any thread: sleeps until the job of @id is no longer QUEUED, RUNNING or FINISHING (0), or until
 * the deadline (-ETIMEDOUT).
 */
int filchi_job_await(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id,
	const struct timespec *deadline);

/* Sets @flag in the state word while the job of @id is unfinished; false if it is not. */
bool filchi_job_flag(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id, uint64_t flag);

/* What a job was submitted with; all NULL for a task of FILCH_RUN or a loop. */
struct filchi_job_origin {
	filch_job_fn *fn;
	void *arg, *user;
};

/* Any thread: reads them, if the job of @id runs and was not aborted; else false. */
bool filchi_job_peek(struct filchi_jobs *jobs, struct filchi_job *job, int64_t id,
	struct filchi_job_origin *origin);

/* Whether no pool lives. False also while one is being made or destroyed. */
bool filchi_jobs_none(void);

/* Held over a fork, so that the child does not inherit a lock that nobody will release. */
void filchi_jobs_before_fork(void);
void filchi_jobs_after_fork(void);

/* Whether state word @s is that of a job that has been accepted and is not complete. */
static inline bool filchi_job_is_pending(uint64_t s)
{
	const unsigned pending = 1u << FILCHI_JOB_QUEUED | 1u << FILCHI_JOB_RUNNING |
				 1u << FILCHI_JOB_FINISHING | 1u << FILCHI_JOB_WAITING;

	return pending >> FILCHI_JOB_STATE(s) & 1;
}

#endif
