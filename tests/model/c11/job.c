/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job slots: a job completes once, whichever threads want it, and its slot is free again once.
 *
 * labels: model
 *
 * The text under test is src/struct/job_slot.c itself, and callbacks.c. Futex and thread-local
 * object are the driver's.
 *
 * Races, each of two or three threads on one slot (explored: RACE, default 0; ordinary run: all):
 *   0 close      a submitter publishes, puts the number, and looks whether the pool is closing; if
 *                so it withdraws the job. A closer stores closing, scans the slot, and completes
 *                what it can claim. S1 and S2. Steps of src/calls/submit.c and src/calls/close.c.
 *   1 tombstone  a worker takes the number from the lane; another, which waits for the job, claims
 *                it. One of them runs it. The other finds a tombstone or nothing.
 *   2 reapers    a worker completes a job for which two threads wait.
 *   3 cancel     a worker takes the number while another thread cancels the job.
 *
 * Asserts:
 * - A job's function runs at most once; it runs, is cancelled or is withdrawn.
 * - An accepted job completes. A job that its submitter has withdrawn does not.
 * - Its runner sees the submitter's writes, the reaper the runner's. One reaper gets it.
 * - In the end the slot is free once, in the next generation.
 * - In an ordinary run each race has ended in each way.
 *
 * Mutants found by an ordinary run:
 *   closing_read_early     a submitter looks whether the pool is closing, then publishes: S1
 *   scan_before_closing    a closer scans, then stores closing: S2
 *   state_by_store         a state moves by load, compare and store
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   close_without_fence    the closer has no fence between its store and its scan: S2
 *   post_without_fence     the submitter's look has none: S1
 *   publish_without_release  filchi_job_publish() stores the word relaxed, as does all here
 *   reap_without_acquire   the CAS of filchi_job_reap() is relaxed
 */
#include "driver.h"

#define FILCHI_NOTIFY_WRITE_FD(b) ((void)(b))
#define FILCHI_NOTIFY_CLEAR_FD(b) ((void)(b))

#include <errno.h>
#if !defined(ECANCELED) /* a checker's own errno.h has few */
#define ECANCELED 125
#endif
#if !defined(EFAULT)
#define EFAULT 14
#endif

#include "base/park_futex.h"

/* inside filchi_job_reap() 'r' */
#define IN_JOB(letter)                                                                      \
	(sizeof __func__ > sizeof "filchi_job_" && __func__[sizeof "filchi_" - 1] == 'j' && \
		__func__[sizeof "filchi_job" - 1] == '_' &&                                 \
		__func__[sizeof "filchi_job_" - 1] == (letter))

#if defined(MUTANT_STATE_BY_STORE)
static bool by_store(filch_atomic_u64 *p, uint64_t *expected, uint64_t v)
{
	uint64_t found = atomic_load_explicit(p, memory_order_acquire);

	if (found != *expected) {
		*expected = found;
		return false;
	}
	HOLD();
	atomic_store_explicit(p, v, memory_order_seq_cst);
	return true;
}
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)                                                   \
	_Generic((p), filch_atomic_u64 *                                                     \
		 : by_store((filch_atomic_u64 *)(void *)(p), (uint64_t *)(void *)(expected), \
			   (uint64_t)(v)),                                                   \
		 default                                                                     \
		 : atomic_compare_exchange_strong_explicit(                                  \
			 (p), (expected), (v), memory_order_acq_rel, memory_order_acquire))
#elif defined(MUTANT_PUBLISH_WITHOUT_RELEASE)
#undef filchi_store_release
#define filchi_store_release(p, v) filch_store_relaxed((p), (v))
#elif defined(MUTANT_REAP_WITHOUT_ACQUIRE)
#undef filchi_load_acquire
#define filchi_load_acquire(p) \
	(IN_JOB('r') ? filch_load_relaxed(p) : atomic_load_explicit((p), memory_order_acquire))
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)                                                       \
	(IN_JOB('r') ? atomic_compare_exchange_strong_explicit(                                  \
			       (p), (expected), (v), memory_order_release, memory_order_relaxed) \
		     : atomic_compare_exchange_strong_explicit(                                  \
			       (p), (expected), (v), memory_order_acq_rel, memory_order_acquire))
#endif

#if defined(FILCH_EXPLORE)
/* of the thread-local object a checker need know nothing: no callback is called here */
#define FILCHI_THIS_THREAD_H
#include "base/context.h"
static struct {
	struct filchi_context *context;
} filchi_this_thread;
#define filchi_context_enter(context, kind) ((void)(context), (void)(kind))
#define filchi_context_leave(context)       ((void)(context))
#define pthread_cleanup_push(function, arg) ((void)(function), (void)(arg))
#define pthread_cleanup_pop(execute)        ((void)(execute))
#endif

#include "struct/job_slot.c"
#include "struct/callbacks.c"
#include "struct/tags.c"

/* no job here follows another */
void filchi_followers_free(struct filchi_followers *f)
{
	assert(!f);
}

/* and none has a name */
void filchi_names_free(struct filchi_jobs *jobs)
{
	assert(!filch_load_relaxed(&jobs->names));
}

/* --- what the text above calls ---------------------------------------- */

filch_atomic_u32 filchi_forks; /* none here */

#if !defined(FILCH_EXPLORE)
_Thread_local struct filchi_this_thread filchi_this_thread;
#endif

int filchi_futex_wait(filch_atomic_u32 *word, uint32_t expected, const struct timespec *deadline)
{
	(void)word, (void)expected, (void)deadline;
	return 0; /* for no reason: callers look again */
}

/* nor is one of a group */
void filchi_groups_free(struct filchi_groups *groups)
{
	assert(!groups);
}

void filchi_group_over(struct filch_group *group, uint32_t n, uint32_t room)
{
	(void)group, (void)n, (void)room;
	abort();
}

/* no submit waits for a credit here */
void filchi_credit_given(struct filch_cq *cq)
{
	(void)cq;
}

void filchi_futex_wake(filch_atomic_u32 *word, int threads)
{
	(void)word, (void)threads;
}

/* --- the pool --------------------------------------------------------- */

enum { CLOSE, TOMBSTONE, REAPERS, CANCEL, RACES };

static struct filchi_jobs jobs;
static struct filchi_job slots[2];
static struct filchi_scq lane;
static filch_atomic_u32 closing;
static int race;
static struct filchi_job *job;
static int64_t id;
static int argument, result; /* plain: a missing order is a data race to a checker */
static atomic_int ran, cancelled, withdrawn, reaped;

static void set_up(int which)
{
	race = which;
	jobs.slot = slots;
	jobs.count = 1;
	jobs.slots = 2;
	filch_store_relaxed(&jobs.begun, 1);
	jobs.slot_bits = 1;
	jobs.tag = 1;
	assert(!filchi_scq_init(&jobs.free, 2) && !filchi_scq_init(&lane, 2));
	filch_store_relaxed(&slots[0].state, UINT64_C(1) << 16);
	filch_store_relaxed(&slots[0].team.inside, 1);
	filchi_scq_put(&jobs.free, 0);
	filch_store_relaxed(&closing, 0);
	filch_store_relaxed(&ran, 0);
	filch_store_relaxed(&cancelled, 0);
	filch_store_relaxed(&withdrawn, 0);
	filch_store_relaxed(&reaped, 0);
	argument = result = 0;
}

/* A submit without its look at closing. */
static void submit(void)
{
	job = filchi_job_new(&jobs);
	assert(job == &slots[0]);
	id = job->id;
	job->fn = (filch_job_fn *)0;
	job->flags = 0;
	job->on_complete = NULL;
	filch_store_relaxed(&job->started_at, 0);
	argument = 41;
	filchi_job_publish(job, FILCHI_JOB_QUEUED, 0);
	filchi_scq_put(&lane, 0);
}

static void run(struct filchi_job *j)
{
	assert(atomic_fetch_add_explicit(&ran, 1, memory_order_relaxed) == 0);
	assert(argument == 41);
	result = argument + 1;
	j->status = 7;
	(void)filchi_job_complete(&jobs, j);
}

/* A worker: run_queued() of src/core/worker.c. */
static void pop(void)
{
	uint32_t slot = filchi_scq_take(&lane);
	struct filchi_job *j;

	if (slot == FILCHI_SCQ_EMPTY)
		return;
	PAUSE_AT_RANDOM();
	j = filchi_job_popped(&jobs, slot);
	if (j)
		run(j);
}

/* filchi_cancel_queued() */
static bool cancel_job(struct filchi_job *j, int64_t of)
{
	if (!filchi_job_claim(j, of, &jobs, FILCHI_JOB_FINISHING))
		return false;
	atomic_fetch_add_explicit(&cancelled, 1, memory_order_relaxed);
	j->status = -ECANCELED;
	(void)filchi_job_complete(&jobs, j);
	return true;
}

static void reap(void)
{
#if defined(FILCH_EXPLORE) /* a checker may not know how to copy a structure */
	int error = filchi_job_reap(&jobs, id, NULL);
#else
	struct filch_completion done;
	int error = filchi_job_reap(&jobs, id, &done);
#endif

	if (error) {
		assert(error == -EAGAIN || error == -ESRCH);
		return;
	}
	assert(atomic_fetch_add_explicit(&reaped, 1, memory_order_relaxed) == 0);
	assert(result == (atomic_load_explicit(&ran, memory_order_relaxed) ? 42 : 0));
#if !defined(FILCH_EXPLORE)
	assert(done.id == id && done.status == (result ? 7 : -ECANCELED));
#endif
}

static void first(void)
{
	switch (race) {
	case CLOSE:
#if defined(MUTANT_CLOSING_READ_EARLY)
		bool closes = filchi_load_acquire(&closing);
		HOLD();
		submit();
#else
		submit();
		/* I3's read of the counts, and so S1 */
#if defined(MUTANT_POST_WITHOUT_FENCE)
		bool closes = filchi_load_acquire(&closing);
#else
		bool closes = filchi_rmw_fence_then_load_acquire(&closing);
#endif
#endif
		if (closes && filchi_job_withdraw(&jobs, job, id))
			atomic_fetch_add_explicit(&withdrawn, 1, memory_order_relaxed);
		break;
	case REAPERS:
		pop();
		break;
	default:
		pop();
		break;
	}
}

/* filchi_pool_close(), filchi_pool_cancel_all() */
static void close_pool(void)
{
	uint64_t s;

#if defined(MUTANT_SCAN_BEFORE_CLOSING)
	s = filchi_load_acquire(&slots[0].state);
	HOLD();
	filchi_store_then_fence(&closing, 1);
#else
#if defined(MUTANT_CLOSE_WITHOUT_FENCE)
	filchi_store_release(&closing, 1);
#else
	filchi_store_then_fence(&closing, 1);
#endif
	s = filchi_load_acquire(&slots[0].state);
#endif
	if (filchi_job_is_pending(s))
		(void)cancel_job(&slots[0], filchi_job_id_of(&jobs, &slots[0], s));
}

static void second(void)
{
	switch (race) {
	case CLOSE:
		close_pool();
		break;
	case TOMBSTONE:
		/* run_awaited() of src/core/await.c */
		if (filchi_job_claim(job, id, &jobs, FILCHI_JOB_RUNNING))
			run(job);
		reap();
		break;
	case REAPERS:
		reap();
		break;
	default:
		(void)cancel_job(job, id);
		break;
	}
}

static void third(void)
{
	if (race == REAPERS)
		reap();
}

/* After all have ended: what is left to do, and the sums. */
static void finish(void)
{
	uint64_t s;
	int ends = atomic_load_explicit(&ran, memory_order_relaxed) +
		   atomic_load_explicit(&cancelled, memory_order_relaxed);

	/* accepted: the closer has seen it; or nobody has heard of it */
	assert(ends + atomic_load_explicit(&withdrawn, memory_order_relaxed) == 1);
	if (!atomic_load_explicit(&withdrawn, memory_order_relaxed))
		reap();
	pop(); /* the tombstone */
	assert(ends == atomic_load_explicit(&reaped, memory_order_relaxed));
	s = filchi_load_acquire(&slots[0].state);
	/* what became of the job is kept until the slot is used again */
	assert((s & ~(uint64_t)FILCHI_AFTER_FAILED) == UINT64_C(2) << 16);
	assert(filchi_scq_take(&jobs.free) == 0);
	assert(filchi_scq_take(&jobs.free) == FILCHI_SCQ_EMPTY);
	filchi_scq_destroy(&jobs.free);
	filchi_scq_destroy(&lane);
}

#if defined(FILCH_EXPLORE)

#ifndef RACE
#define RACE CLOSE
#endif

static void *one(void *unused)
{
	(void)unused;
	first();
	return NULL;
}

static void *two(void *unused)
{
	(void)unused;
	second();
	return NULL;
}

static void *three(void *unused)
{
	(void)unused;
	third();
	return NULL;
}

int main(void)
{
	pthread_t thread[3];
	int n = 0;

	set_up(RACE);
	if (RACE != CLOSE)
		submit();
	pthread_create(&thread[n++], NULL, one, NULL);
	pthread_create(&thread[n++], NULL, two, NULL);
	if (RACE == REAPERS)
		pthread_create(&thread[n++], NULL, three, NULL);
	while (n--)
		pthread_join(thread[n], NULL);
	finish();
	return 0;
}

#else

enum { THREADS = 3 };

static struct meeting start, end;
static atomic_bool over;

static void *actor(void *number)
{
	uintptr_t me = (uintptr_t)number;

	seed_with(me);
	for (;;) {
		meet(&start, THREADS + 1);
		if (atomic_load(&over))
			return NULL;
		PAUSE_AT_RANDOM();
		(me == 0 ? first : me == 1 ? second : third)();
		meet(&end, THREADS + 1);
	}
}

/* By race: rounds in which its first side won, and those in which another did. */
static uint32_t runs[RACES], others[RACES];

static bool covered(void)
{
	for (int i = 0; i < RACES; i++)
		if (!runs[i] || !others[i])
			return false;
	return true;
}

int main(void)
{
	uint32_t rounds = scaled(30000);
	pthread_t thread[THREADS];

	seed_with(100);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert(!pthread_create(&thread[i], NULL, actor, (void *)i));
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		set_up((int)(i % RACES));
		if (race != CLOSE)
			submit();
		meet(&start, THREADS + 1);
		meet(&end, THREADS + 1);
		runs[race] += atomic_load(race == CLOSE ? &cancelled : &ran) != 0;
		others[race] += race == CLOSE ? atomic_load(&withdrawn) != 0
				: race == CANCEL ? atomic_load(&cancelled) != 0
						 : atomic_load(&reaped) != 0;
		finish();
	}
	atomic_store(&over, true);
	meet(&start, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	COVERED(covered());
	return 0;
}

#endif
