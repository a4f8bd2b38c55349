/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared heavy fences: a spawner whose push has no fence, against workers that park at once and
 * share a membarrier(2). Each worker sees the task, or the spawner sees that this worker asks.
 *
 * labels: model
 *
 * The membarrier is modelled as what the kernel does, and not as a fence of its caller: it calls
 * the spawner, which passes a full fence at some point of its program, and answers. The workers
 * themselves get no fence by it, though the kernel interrupts them as well.
 *
 * Threads (ordinary run: 3 workers, again and again; explored: WORKERS, default 2, once):
 * - spawner: publishes a task without a fence, and reads which workers ask. It is interrupted
 *   before, between, or after the two, or by its end.
 * - worker: asks, passes the shared fence, looks for the task.
 *
 * Asserts: each worker has seen the task, or the spawner has seen it ask. Ordinary: both have
 * happened, and fences were made and shared.
 *
 * Mutants, all found by a model checker alone, for what they lose lies in a store buffer:
 *   come_without_fence   a worker reads begun without a fence: M1
 *   joins_running        it goes on with a fence that has begun before it came: M1
 *   fence_before_begun   the maker says that it has begun when the fence is over: M2
 *   ended_early          the maker says that the fence is over before it begins
 */
#include "driver.h"

#include "base/atomic.h"

#if !defined(FILCH_EXPLORE)
#define WORKERS 3
#elif !defined(WORKERS)
#define WORKERS 2
#endif

#if defined(FILCH_EXPLORE)
#define FILCHI_HEAVY_TURNS 2u
#else
#define FILCHI_HEAVY_TURNS 256u
#endif
#define FILCHI_HEAVY_WAIT(turn) ((void)(turn), RELAX())

static _Thread_local unsigned me;
static filch_atomic_u32 task, ask[WORKERS];
/* of each worker's calls, how many; how many the spawner has answered; it has come to its end */
static filch_atomic_u32 called[WORKERS], answered[WORKERS], gone;
static uint32_t saw_ask[WORKERS], saw_task[WORKERS];
static uint32_t calls[WORKERS];

static void membarrier_here(void)
{
	uint32_t number = filch_load_relaxed(&called[me]) + 1;

	filchi_store_then_fence(&called[me], number);
	while (filchi_load_acquire(&answered[me]) != number && !filchi_load_acquire(&gone))
		RELAX();
	calls[me]++;
#if !defined(FILCH_EXPLORE)
	/* meanwhile the others come, and wait for the next fence */
	for (uint32_t i = random_below(4); i--;)
		RELAX();
#endif
	(void)filchi_fence_then_load_acquire(&gone);
}

/* The spawner, at any point of its program. */
static void interrupt(void)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		uint32_t number = filchi_load_acquire(&called[i]);

		if (number == filch_load_relaxed(&answered[i]))
			continue;
		(void)filchi_fence_then_load_acquire(&gone);
		filchi_store_release(&answered[i], number);
	}
}

#undef filchi_membarrier
#define filchi_membarrier() membarrier_here()

#if defined(MUTANT_COME_WITHOUT_FENCE)
#undef filchi_fence_then_load_acquire
#define filchi_fence_then_load_acquire(p) filchi_load_acquire(p)
#elif defined(MUTANT_JOINS_RUNNING)
#undef filchi_fence_then_load_acquire
#define filchi_fence_then_load_acquire(p)           \
	(atomic_thread_fence(memory_order_seq_cst), \
		filchi_load_acquire(p) ? filchi_load_acquire(p) - 1 : 0)
#elif defined(MUTANT_FENCE_BEFORE_BEGUN)
static _Thread_local uint32_t begins;
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v) (begins = (v))
#undef filchi_membarrier
#define filchi_membarrier() (membarrier_here(), filchi_store_release(&heavy_here->begun, begins))
static struct filchi_heavy *heavy_here;
#elif defined(MUTANT_ENDED_EARLY)
#undef filchi_store_then_fence
#define filchi_store_then_fence(p, v)                           \
	(atomic_store_explicit((p), (v), memory_order_release), \
		atomic_thread_fence(memory_order_seq_cst),      \
		atomic_store_explicit(&(p)[1], (v), memory_order_release))
#endif

#include "struct/heavy.h"

static struct filchi_heavy heavy;

static void spawner(void)
{
	interrupt();
	filchi_store_release(&task, 1);
	interrupt();
	for (unsigned i = 0; i < WORKERS; i++)
		saw_ask[i] = filch_load_relaxed(&ask[i]);
	(void)filchi_fence_then_load_acquire(&task);
	filchi_store_release(&gone, 1);
}

static void park(unsigned i)
{
	me = i;
	filch_store_relaxed(&ask[i], 1);
	filchi_heavy_fence(&heavy);
	saw_task[i] = filchi_load_acquire(&task);
}

static void set_up(void)
{
	filchi_heavy_init(&heavy);
	filch_store_relaxed(&task, 0);
	filch_store_relaxed(&gone, 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		filch_store_relaxed(&ask[i], 0);
		filch_store_relaxed(&called[i], 0);
		filch_store_relaxed(&answered[i], 0);
	}
#if defined(MUTANT_FENCE_BEFORE_BEGUN)
	heavy_here = &heavy;
#endif
}

static void check(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		assert(saw_ask[i] || saw_task[i]);
}

#if defined(FILCH_EXPLORE)

static void *worker(void *number)
{
	park((unsigned)(uintptr_t)number);
	return NULL;
}

int main(void)
{
	pthread_t thread[WORKERS];

	set_up();
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i);
	spawner();
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	check();
	return 0;
}

#else

static struct meeting begin, end;
static uint32_t rounds;
static atomic_bool stop;

static void *worker(void *number)
{
	unsigned i = (unsigned)(uintptr_t)number;

	seed_with(i);
	for (;;) {
		meet(&begin, WORKERS + 1);
		if (atomic_load(&stop))
			return NULL;
		PAUSE_AT_RANDOM();
		park(i);
		meet(&end, WORKERS + 1);
	}
}

int main(void)
{
	uint64_t asked = 0, seen = 0, made = 0, shared = 0;
	pthread_t thread[WORKERS];

	rounds = scaled(10000);
	seed_with(100);
	for (unsigned i = 0; i < WORKERS; i++)
		assert(!pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i));
	for (uint32_t round = 0; round < rounds || ((!asked || !seen || !made || !shared) &&
							   round / PATIENCE < rounds);
		round++) {
		set_up();
		meet(&begin, WORKERS + 1);
		PAUSE_AT_RANDOM();
		spawner();
		meet(&end, WORKERS + 1);
		check();
		for (unsigned i = 0; i < WORKERS; i++) {
			asked += saw_ask[i];
			seen += saw_task[i];
			made += calls[i];
			shared += !calls[i];
			calls[i] = 0;
		}
	}
	atomic_store(&stop, true);
	meet(&begin, WORKERS + 1);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	COVERED(asked && seen && made && shared);
	return 0;
}

#endif
