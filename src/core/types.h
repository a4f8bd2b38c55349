/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structures of a running pool: a worker, and what the workers share. No code of its own.
 *
 * Memory. Workers lie in one mapping, each on pages of its own, so that a worker's first touch puts
 * them on its node. The array is also the range that task words point into (join.h). Workers, job
 * slots and deques' arrays live until the pool is destroyed. A stale pointer to one may be read,
 * and a CAS that fails shows that it was stale.
 */
#ifndef FILCHI_TYPES_H
#define FILCHI_TYPES_H

#include <pthread.h>
#include <signal.h>
#include <stdalign.h>

#include <filch/pool.h>
#include <filch/stats.h>

#include "base/clock.h"
#include "base/cpu_control.h"
#include "base/fork.h"
#include "place/placement.h"
#include "place/victim.h"
#include "struct/awaits.h"
#include "struct/deadlines.h"
#include "struct/heavy.h"
#include "struct/idle.h"
#include "struct/injector.h"
#include "struct/job_slot.h"
#include "struct/join.h"
#include "struct/limit.h"

/* Written by one worker with plain adds, read by anybody. */
struct filchi_counters {
#define FILCHI_COUNTER(name, meaning) filch_atomic_u64 name;
	FILCH_STATS_LIST(FILCHI_COUNTER)
#undef FILCHI_COUNTER
};

/* How the jobs of each lane ended; as the counters, one writer or read-modify-writes. */
struct filchi_lane_counts {
	filch_atomic_u64 completed, shed, cancelled, rejected;
};

/*
 * One thread's time as a worker: all that belongs to the thread and not to the worker's seat. Made
 * and ended in thread.c. What the thread runs lies in the seat's deque, as its segments.
 */
struct filchi_thread {
	struct filchi_worker *worker;
	pthread_t handle;
	void *stack;       /* mapped; its guard pages come first */
	size_t stack_size; /* without these */
	char *lowest;      /* of the stack, above the guard pages */
	/* where its first frame lies; above are things that the C library keeps for the thread */
	char *first_frame;
	bool in_malloc; /* it was lost there, as far as can be told, and is never joined */
	pid_t tid;
	/*
	 * pools with FILCH_POOL_GUARD, mapped: guard pages, a signal stack, a stack for giving up
	 * the other, the ids of the jobs that were given up with it
	 */
	char *refuge;
	size_t refuge_size, signal_size; /* of both stacks, of the first */
	int64_t *aborted;
	uint32_t aborted_count;
	stack_t signal_before; /* the signal stack the thread came with, and leaves with */
	sigset_t signals;      /* blocked where a guarded job begins */
	/* where a thread that has given up its work leaves: __builtin_setjmp */
	void *back[5];
	/* 1 while code of the program runs for a job: a fault is then the job's */
	filch_atomic_u32 user;
	/* the guarded job for which its signals were put in order last; 0 = none since another */
	int64_t armed_for;
	/* its signals are in order, and no code of the program has run on it since */
	bool is_fit;
	bool has_new_control;              /* since its lowest piece of work began */
	struct filchi_cpu_control control; /* as a job finds it */
	uint64_t signal, address;          /* the fault it was given up for; 0 = none */
	/*
	 * for the next thread on this seat, linked by `after`: aborted jobs that it completes, and
	 * jobs whose callbacks were due here
	 */
	struct filchi_job *completes, *due;
	bool start_hook_called;     /* its seat's start hook has been called */
	bool has_back;              /* `back` is where to go */
	struct filchi_thread *next; /* in a list of lost threads */
	filch_atomic_u32 leaving;   /* it is about to exit, or has: it may be joined */
	bool first;                 /* on its seat */
	bool is_retiring;           /* counted in pool->retiring */
};

/* abroad.c, under its lock: a job that must end before some wait can; no pool = not in a list */
struct filchi_need {
	struct filchi_need *next;
	struct filch_pool *pool;
	struct filchi_job *job;
};

/*
 * filch_pool.heeds, bits: what work that begins must see to. In most pools it is 0, so that one
 * look is enough.
 */
#define FILCHI_HEEDS_GUARDS 1u
#define FILCHI_HEEDS_LIVE   2u
#define FILCHI_HEEDS_TRACE  4u

/* filchi_worker.heed_at: an owner leaves EACH as it is, but not the next */
#define FILCHI_HEED_EACH UINT64_C(0)
#define FILCHI_HEED_NEXT UINT64_C(1)
#define FILCHI_HEED_NONE UINT64_MAX

struct filchi_worker {
	struct filchi_deque deque; /* first: struct filch_worker is its first member */
	struct filchi_sleeper sleeper;

	/* the owner's */
	FILCH_ALIGNED(FILCH_CACHELINE) struct filch_pool *pool;
	uint32_t id;
	uint32_t rank;             /* its number; FILCHI_NO_RANK: in a call that blocks */
	uint32_t blocking;         /* such calls, one in another */
	uint32_t turn;             /* counts looks for work, for taking turns at stealing */
	uint32_t vain;             /* slow pushes in a row that had nothing to do */
	struct filchi_turns turns; /* at the injector's lanes */
	struct filchi_victim victim;
	/* when the last job ended, while the next follows at once; 0 = ask */
	uint64_t clock;
	/* no stolen work is started on a suspended frame with the stack pointer below this */
	uintptr_t stack_low;
	filch_atomic_u64 stack_at; /* where it is mapped; 0 = it is not the pool's */
	/*
	 * 1: a thread that waits for this pool's work is on this worker's CPU: filchi_spin_wait()
	 */
	filch_atomic_u32 yield_asked;
	/*
	 * 1: before its next job it is to look at its errands and at the limit. Set after what it
	 * is to find there, by any thread; it clears it by a full fence before it looks.
	 */
	filch_atomic_u32 called;
	/* errand.c: the number of the last whose share it has begun; it declines them (vacant) */
	filch_atomic_u32 errands_begun;
	bool declines;
	/*
	 * from which of its jobs on it must heed what work in its pool must see to: a number, or
	 * FILCHI_HEED_...; filchi_heed_from()
	 */
	filch_atomic_u64 heed_at;
	filch_atomic_u64 awaits; /* id of the job it is parked for, 0 = none; completers read it */
	filch_atomic_u32 timed;  /* 1: that wait has a deadline */
	/* still.c: the sleep, by its state, in which such a wait is refused: nothing can end it */
	filch_atomic_u32 refused;
	/* group_wait.c: the group it waits for, 0 = none, only compared; how often it had news */
	filch_atomic_u64 group;
	filch_atomic_u32 group_news;
	/* abroad.c, under its lock: the state of its sleeper, its lowest segment of a job */
	uint32_t noted, lowest;
	struct filchi_need need;
	struct filchi_counters counters;
	struct filchi_lane_counts lane[FILCH_LANES];
	/* core/live_words.h: its own of the pool's live_words; NULL until the pool is live */
	FILCH_ATOMIC(struct filchi_live_words *) live;
	/* core/trace_events.h: its ring; NULL until it is traced */
	FILCH_ATOMIC(struct filchi_trace_ring *) trace;
	struct filchi_serial *serial; /* core/serial.h: FILCH_SERIAL's; NULL without */
	bool is_blocked; /* elastic.c, under its lock: not at work, and a spare may be */

	/* the pool's, for starting and ending the thread */
	/*
	 * the thread on this seat; NULL: none, or the thread that created a FILCH_POOL_CALLER pool
	 */
	struct filchi_thread *thread;
	/*
	 * the pthread_t of the thread that works here, as it says itself; 0 = none. The attendant
	 * may use one that it has read: it alone joins lost threads.
	 */
	filch_atomic_u64 runs_on;
	/* its number in the kernel, written before runs_on: for the report alone */
	filch_atomic_u32 tid;
	struct filchi_pin_watch pin_watch; /* its thread's own */
	bool has_deque;
	filch_atomic_u32 vacant; /* 1: its thread was lost and could not be replaced yet */
	bool no_memory;          /* it could not make its deque and has left */
};

FILCH_STATIC_ASSERT(FILCHI_AWAITS_MAX >= FILCHI_WORKERS_MAX, "a bit for each worker");

struct filch_pool {
	/* constant once the pool runs */
	struct filchi_worker *first;
	size_t stride; /* bytes from one worker to the next */
	/* in the arrays; one that could not be started lies there, empty, and never runs */
	uint32_t workers;
	uint32_t running; /* how many were started */
	/*
	 * of these, as resize and the quota have it: what users see; a pause and workers that block
	 * leave it as it is
	 */
	filch_atomic_u32 allowed;
	uint32_t fork_generation;
	uint32_t search_ns;
	bool no_search, fenced;
	bool is_serial; /* FILCH_SERIAL: core/serial.h */
	uint64_t seed;  /* of the draws of victims */
	struct filchi_marks marks;
	struct filchi_plan *plan;
	FILCH_ATOMIC(char *) notes; /* told behind the plan's reasons; NULL until it is made */
	struct filch_config config;
	char *name;
	sigset_t signals;                  /* blocked by the creating thread */
	sigset_t free_signals;             /* by a worker in a job with FILCH_JOB_FREE */
	struct filchi_cpu_control control; /* of the creating thread */
	int *pin_error;
	size_t map_size;
	/* FILCHI_HEEDS_...: what work that begins must see to; changes when it becomes live */
	filch_atomic_u32 heeds;
	bool guards;                 /* FILCH_POOL_GUARD */
	bool has_jobs, has_injector; /* have been made */
	/* FILCH_POOL_CALLER: the thread whose calls run as worker 0, which has no other thread */
	pthread_t caller;
	bool has_caller;

	struct filchi_jobs jobs;
	struct filchi_injector injector;
	struct filchi_idle idle;
	struct filchi_heavy heavy;
	struct filchi_awaits awaits; /* workers whose awaits is not 0, and some that were */

	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 closing; /* submits get -ESHUTDOWN */
	filch_atomic_u32 stop;                                   /* workers leave */
	/* workers of other pools that may sleep: for its jobs, for room in its queue; and its own
	   that may sleep for other pools; and all stays of its workers, or for its jobs */
	filch_atomic_u32 awaited, room_awaited, abroad, involved;
	/* jobs that follow others are being hung on to these, or made ready, just now */
	filch_atomic_u32 releases;
	filch_atomic_u32 group_waits; /* its own workers that wait for groups of its jobs */
	/* workers that have started or failed to */
	filch_atomic_u32 ready;
	filch_atomic_u32 errands; /* posted: errand.c */
	/* how many workers may run, 0 = paused: elastic.c; read at each look for work */
	filch_atomic_u32 limit;
	pthread_mutex_t errand_lock;
	struct errand *errand; /* with shares not begun, oldest first */
	/* elastic.c: what the limit is made of; it changes under this lock */
	pthread_mutex_t limit_lock;
	uint32_t target, quota; /* as asked for; whole CPUs, UINT32_MAX = none */
	bool paused;
	FILCH_ATOMIC(const struct filchi_roots *) roots; /* NULL, or a test's: pool/quota.c */
	/* threads blocked inside a call: destroy waits for them */
	FILCH_ALIGNED(FILCH_CACHELINE) filch_atomic_u32 clients_inside;
	/* counted by threads that are no workers */
	struct filchi_counters external;
	struct filchi_lane_counts external_lane[FILCH_LANES];

	/* jobs with finish_by: pool/timer.c; NULL before the first */
	FILCH_ATOMIC(struct filchi_timer *) timer;
	int (*start_timer)(struct filch_pool *pool);
	pthread_mutex_t timer_lock;

	/* replacing lost threads: service.c */
	/* given up, for the service thread to replace */
	FILCH_ALIGNED(FILCH_CACHELINE) FILCH_ATOMIC(struct filchi_thread *) dead_threads;
	/* the word the service thread and the attendant sleep on; its last bit means: end */
	filch_atomic_u32 service_word;
	/*
	 * threads given up and not seen to the end, and new ones in place of such until their start
	 * hook is over: destroy waits
	 */
	filch_atomic_u32 retiring;
	filch_atomic_u32 vacant;       /* seats without a thread */
	filch_atomic_u32 vacant_error; /* why */
	filch_atomic_u64 fill_at;      /* not before then is one tried again */
	/*
	 * pool/thread.c: tries again, if it is time. For the workers of a pool without a service
	 * thread, between jobs.
	 */
	void (*fill)(struct filch_pool *pool);
	/* held while seats are filled; a thread that is begun counts as retiring before it ends */
	pthread_mutex_t seats;
	bool fills_no_more; /* its own: a destroy has begun */
	pthread_t service;
	struct filchi_attendant *attendant; /* attendant.c */
	/* one per worker, with a limit for jobs; the attendant's: watchdog.c */
	struct filchi_watch *watch;
	bool has_service;

	/* core/live_words.h: mapped when the pool is first live, and kept */
	FILCH_ATOMIC(struct filchi_live_words *) live_words;
	struct filchi_live *live; /* pool/live.c's, under its lock; NULL: it is not live */

	/* pool/tracing.c's, under its lock: the list of all pools, and its place in the file */
	struct filch_pool *next_pool;
	uint32_t number;
	struct filchi_trace_rings *rings; /* mapped when the pool is first traced, and kept */

	/*
	 * abroad.c, under its lock: the pools of which it is asked whether they sleep; how many
	 * these are of a look that is to begin here
	 */
	struct filch_pool *next_still;
	uint32_t reach;
	bool is_still, has_free_sleeper;
};

/* See pool/timer.c. */
struct filchi_timer {
	pthread_mutex_t lock; /* for all that follows */
	pthread_cond_t change;
	struct filchi_deadlines deadlines;
	struct filch_pool *pool;
	pthread_t thread;
	bool ends;
};

/* Worker @i of the pool. */
static inline struct filchi_worker *filchi_worker_at(const struct filch_pool *pool, uint32_t i)
{
	return (struct filchi_worker *)(void *)((char *)pool->first + i * pool->stride);
}

static inline struct filchi_worker *filchi_worker_of(struct filch_worker *hot)
{
	return (struct filchi_worker *)(void *)hot;
}

/* Whether the process has forked since the pool was created. */
static inline bool filchi_forked(const struct filch_pool *pool)
{
	return filchi_forked_since(pool->fork_generation);
}

/* The pool whose jobs these are. */
static inline struct filch_pool *filchi_pool_of(struct filchi_jobs *jobs)
{
	char *at = (char *)jobs - offsetof(struct filch_pool, jobs);

	return (struct filch_pool *)(void *)at;
}

/* The job whose team this is. */
static inline struct filchi_job *filchi_job_of(struct filchi_team *team)
{
	return (struct filchi_job *)(void *)team;
}

/*
 * Any thread: from job number @jobs on the worker is to heed. Unless it heeds each already, for a
 * guarding or a traced pool: whoever has made it so undoes it.
 */
static inline void filchi_heed_from(struct filchi_worker *w, uint64_t jobs)
{
	uint64_t at = filch_load_relaxed(&w->heed_at);

	while (at != FILCHI_HEED_EACH && !filchi_cas_acq_rel(&w->heed_at, &at, jobs))
		;
}

/* The owner counts: it alone writes. */
#define filchi_count(counters, name) \
	filch_store_relaxed(&(counters)->name, filch_load_relaxed(&(counters)->name) + 1)

#endif
