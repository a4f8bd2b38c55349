/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deferred end: a return and a finish, in either order, and one completion.
 *
 * labels: model
 *
 * Threads, once for each job (explored: one job, which returns; with -DFAULTS it does not):
 * - worker: the function returns, filchi_job_returned() of src/struct/job_slot.c. Or it is lost:
 *   filchi_worker_deliver() of src/core/worker.c.
 * - two finishers: filch_job_finish(), each with a status of its own. Ordinary: now and then with
 *   the id of the job before.
 * - canceller: raises the flag, filchi_job_flag().
 *
 * The slot's fields are plain: a missing order is a data race to a checker.
 *
 * Asserts:
 * - Each job completes once. Its completer sees what the function wrote, and the winner's status.
 * - One finish of a job that returns succeeds; of one that does not, at most one. No stale one.
 * - A cancel whose flag went up was before the completion, which finds it.
 * - In an ordinary run these have happened: completions by a worker and by a finisher; jobs lost
 *   before, and in the midst of a finish; finishes that failed, flags that came in time.
 *
 * Mutants found by an ordinary run:
 *   arrive_by_store   who comes loads the word and stores it marked
 *   claim_by_store    a finisher claims likewise
 *   lost_by_store     a lost job shuts finishes out likewise
 *   status_late       a finisher writes its status after it has arrived
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   arrive_without_order   the mark is set relaxed
 */
#include "driver.h"

#include <filch/detail/fast_deque.h>

#include "base/atomic.h"

/* inside filchi_deferred_arrive() 'a', _claim() 'c', _lost() 'l', _mark() 'm' */
#define IN(letter) (__func__[sizeof "filchi_deferred_" - 1] == (letter))

#if defined(MUTANT_ARRIVE_BY_STORE)
#define STORES IN('a')
#elif defined(MUTANT_CLAIM_BY_STORE)
#define STORES IN('c')
#elif defined(MUTANT_LOST_BY_STORE)
#define STORES IN('l')
#endif
#if defined(STORES)
static bool cas_or_store(filch_atomic_u64 *p, uint64_t *expected, uint64_t v, bool stores)
{
	if (!stores)
		return atomic_compare_exchange_strong_explicit(
			p, expected, v, memory_order_acq_rel, memory_order_acquire);
	HOLD();
	atomic_store_explicit(p, v, memory_order_release);
	return true;
}
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v) cas_or_store((p), (expected), (v), STORES)
#elif defined(MUTANT_ARRIVE_WITHOUT_ORDER)
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)       \
	atomic_compare_exchange_strong_explicit( \
		(p), (expected), (v), memory_order_relaxed, memory_order_relaxed)
#endif

#include "struct/deferred.h"

#if defined(STORES) || defined(MUTANT_ARRIVE_WITHOUT_ORDER)
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)       \
	atomic_compare_exchange_strong_explicit( \
		(p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
#endif

/* the words of job_slot.h */
enum { RUNNING = 2, CANCEL = 16, GENERATION_SHIFT = 16, FINISHERS = 2 };

static filch_atomic_u64 word;
static struct {
	int result, end_status;
	bool aborted;
} slot;
static int message[FINISHERS]; /* what each wrote before its finish; plain as well */
static atomic_uint completions, finished;
static atomic_bool flagged; /* the canceller's flag went up, and the completer has found it */
static atomic_ulong by_worker, by_finisher, lost_alone, lost_in_finish, refused, in_time;
static _Thread_local bool is_finisher;

static uint64_t word_of(uint64_t generation)
{
	return generation << GENERATION_SHIFT | RUNNING;
}

/* filchi_job_complete(): what comes before move_on(), and that. */
static void complete(void)
{
	uint64_t s;

	assert(atomic_fetch_add_explicit(&completions, 1, memory_order_relaxed) == 0);
	if (slot.aborted) {
		assert(slot.result == 0);
	} else {
		assert(slot.result == 7);
		assert(slot.end_status > 0 && slot.end_status <= FINISHERS);
		assert(message[slot.end_status - 1] == slot.end_status);
	}
	slot.result = slot.end_status = -1;
	s = filchi_load_acquire(&word);
	while (!filchi_cas_seq_cst(&word, &s, ((s >> GENERATION_SHIFT) + 1) << GENERATION_SHIFT))
		;
	if (s & CANCEL)
		atomic_store_explicit(&flagged, true, memory_order_relaxed);
	atomic_fetch_add_explicit(is_finisher ? &by_finisher : &by_worker, 1, memory_order_relaxed);
}

static void worker_ends(bool faults)
{
	is_finisher = false;
	if (faults) {
		slot.aborted = true;
		if (filchi_deferred_lost(&word)) {
			atomic_fetch_add_explicit(&lost_alone, 1, memory_order_relaxed);
			complete();
		} else {
			atomic_fetch_add_explicit(&lost_in_finish, 1, memory_order_relaxed);
		}
	} else {
		slot.result = 7;
		if (filchi_deferred_arrive(&word))
			complete();
	}
}

/* claim() of src/calls/deferred.c. */
static bool claim(uint64_t generation)
{
	uint64_t s = filchi_load_acquire(&word);

	do {
		if ((s & ~(uint64_t)(CANCEL | FILCHI_DEFERRED_HALF)) !=
			(word_of(generation) | FILCHI_DEFERRED))
			return false;
	} while (!filchi_deferred_claim(&word, &s));
	return true;
}

static bool finish(uint64_t generation, int me)
{
	is_finisher = true;
	message[me] = me + 1;
	if (!claim(generation)) {
		atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
		return false;
	}
	PAUSE_AT_RANDOM();
#if defined(MUTANT_STATUS_LATE)
	bool second = filchi_deferred_arrive(&word);

	HOLD();
	slot.end_status = me + 1;
#else
	slot.end_status = me + 1;
	bool second = filchi_deferred_arrive(&word);
#endif
	if (second)
		complete();
	atomic_fetch_add_explicit(&finished, 1, memory_order_relaxed);
	return true;
}

/* filchi_job_flag(). */
static bool cancel(uint64_t generation)
{
	uint64_t s = filchi_load_acquire(&word);

	do {
		if (s >> GENERATION_SHIFT != generation || (s & 7) != RUNNING)
			return false;
	} while (!filchi_cas_acq_rel(&word, &s, s | CANCEL));
	return true;
}

static void begin_job(uint64_t generation)
{
	slot.result = slot.end_status = 0;
	slot.aborted = false;
	for (int i = 0; i < FINISHERS; i++)
		message[i] = 0;
	atomic_store_explicit(&completions, 0, memory_order_relaxed);
	atomic_store_explicit(&finished, 0, memory_order_relaxed);
	atomic_store_explicit(&flagged, false, memory_order_relaxed);
	filchi_store_release(&word, word_of(generation));
	filchi_deferred_mark(&word);
	filchi_deferred_mark(&word);
}

/* All threads have acted. */
static void end_job(bool faults, bool raised)
{
	unsigned wins = atomic_load_explicit(&finished, memory_order_relaxed);

	assert(atomic_load_explicit(&completions, memory_order_relaxed) == 1);
	assert(faults ? wins <= 1 : wins == 1);
	assert(raised == atomic_load_explicit(&flagged, memory_order_relaxed));
	if (raised)
		atomic_fetch_add_explicit(&in_time, 1, memory_order_relaxed);
}

#if defined(FILCH_EXPLORE)

#if defined(FAULTS)
enum { FAULT = 1 };
#else
enum { FAULT = 0 };
#endif
static bool raised;

static void *finisher(void *number)
{
	(void)finish(1, number ? 1 : 0);
	return NULL;
}

static void *canceller(void *unused)
{
	(void)unused;
	raised = cancel(1);
	return NULL;
}

int main(void)
{
	pthread_t thread[FINISHERS + 1];

	begin_job(1);
	pthread_create(&thread[0], NULL, finisher, NULL);
	pthread_create(&thread[1], NULL, finisher, (void *)&word);
	pthread_create(&thread[2], NULL, canceller, NULL);
	worker_ends(FAULT);
	for (int i = 0; i < FINISHERS + 1; i++)
		pthread_join(thread[i], NULL);
	end_job(FAULT, raised);
	return 0;
}

#else

enum { THREADS = FINISHERS + 2 };
static struct meeting start, finish_line;
static uint64_t generation = 1;
static bool over, faults, raised;
static atomic_bool stale_won;

static void act(unsigned me)
{
	PAUSE_AT_RANDOM();
	if (me == 0) {
		worker_ends(faults);
	} else if (me == 1) {
		raised = cancel(generation);
	} else if (random_below(8) == 0) {
		if (finish(generation - 1, (int)me - 2))
			atomic_store(&stale_won, true);
	} else {
		(void)finish(generation, (int)me - 2);
	}
}

static void *others(void *number)
{
	seed_with((uintptr_t)number);
	for (;;) {
		meet(&start, THREADS);
		if (over)
			return NULL;
		act((unsigned)(uintptr_t)number);
		meet(&finish_line, THREADS);
	}
}

static bool covered(void)
{
	return atomic_load(&by_worker) && atomic_load(&by_finisher) && atomic_load(&lost_alone) &&
	       atomic_load(&lost_in_finish) && atomic_load(&refused) && atomic_load(&in_time);
}

int main(void)
{
	uint32_t jobs = scaled(30000);
	pthread_t thread[THREADS];

	seed_with(100);
	for (uintptr_t i = 1; i < THREADS; i++)
		assert(!pthread_create(&thread[i], NULL, others, (void *)i));
	for (uint32_t i = 0; i < jobs || (!covered() && i / PATIENCE < jobs); i++) {
		faults = random_below(3) == 0;
		begin_job(++generation);
		meet(&start, THREADS);
		act(0);
		meet(&finish_line, THREADS);
		/* both finishers may have come with a stale id */
		if (!atomic_load(&completions) && !atomic_load(&finished))
			assert(finish(generation, 0));
		end_job(faults, raised);
		assert(!atomic_load(&stale_won));
	}
	over = true;
	meet(&start, THREADS);
	for (unsigned i = 1; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	COVERED(covered());
	return 0;
}

#endif
