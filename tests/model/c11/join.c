/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join: a task is stolen, its spawner waits and parks. The completer wakes the spawner and
 * never touches the frame again.
 *
 * labels: model
 *
 * Threads, one of each:
 * - owner: fills a frame in memory that was something else before. filch_push(); filch_take(), and
 *   if that fails the slow sync and the wait of src/core/await.c: if it is not done, prepare the
 *   sleep, mark the task's word as awaited, sleep. After the join it reads the result and
 *   overwrites the whole frame at once. Before the next use it looks whether its pattern is still
 *   there. Explored: ROUNDS frames (default 1) one after the other in the same memory, then a last
 *   look.
 * - thief: filchi_deque_steal(); begins the task (its thunk, or `saved` if the joiner was faster),
 *   runs it, finishes it, wakes the joiner that the finish yields. Now and then (explored: with
 *   -DORPHANS) it orphans the task where it would have finished it; the joiner then goes on all the
 *   same, as the thread that gives up its stack would. Explored: STEALS attempts (default 1).
 *
 * Asserts:
 * - The task runs once: the right thunk, with the spawner's arguments.
 * - The joiner sees the result.
 * - Nobody sleeps on while its task is done and the thief is through with it. Ordinary: the thief
 *   has ended more attempts and the same sleep goes on. Explored: at the end.
 * - The overwritten frame stays as it is.
 * - In an ordinary run these have happened: joins that parked, joiners that came before the thief
 *   had begun, frames that were taken back, and orphans.
 *
 * Mutants found by an ordinary run:
 *   finish_by_store        the completer loads the word and stores 0, instead of an exchange
 *   finish_touches_frame   the completer stores 0 once more after its exchange
 *   mark_by_store          thief and joiner mark the word by load, compare and store
 *   await_without_mark     the joiner parks without leaving its mark
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   finish_without_release the completer's exchange is relaxed
 *   done_without_acquire   the joiner's loads of the word are relaxed
 *   orphan_without_release the exchange of an orphaning thief is relaxed: with -DORPHANS
 *   orphaned_without_acquire  the joiner that finds it so loads relaxed: with -DORPHANS
 */
#include "driver.h"

#define FILCHI_SEGMENTS 2u

#if defined(FILCH_EXPLORE)
/* a joiner that would sleep goes no further; one woken before it came here has gone on */
#define FILCHI_PARK(word, expected, deadline) \
	((void)(word), (void)(expected), (void)(deadline), pthread_exit(NULL), 0)
#define FILCHI_UNPARK(word) ((void)(word))
#else
#include "base/atomic.h"
static bool park_here(filch_atomic_u32 *word, uint32_t expected);
#define FILCHI_PARK(word, expected, deadline) ((void)(deadline), park_here((word), (expected)))
/* a sleeper here looks at the word now and then */
#define FILCHI_UNPARK(word)                   ((void)(word))
#endif

#include "struct/idle.h"

#if defined(MUTANT_FINISH_BY_STORE)
static inline uintptr_t finish_by_store(filch_atomic_word *word)
{
	uintptr_t old = atomic_load_explicit(word, memory_order_acquire);

	HOLD();
	atomic_store_explicit(word, 0, memory_order_seq_cst);
	return old;
}
#undef filchi_exchange_seq_cst
#define filchi_exchange_seq_cst(p, v) finish_by_store(p)
#elif defined(MUTANT_FINISH_TOUCHES_FRAME)
static inline uintptr_t finish_twice(filch_atomic_word *word)
{
	uintptr_t old = atomic_exchange_explicit(word, 0, memory_order_acq_rel);

	HOLD();
	atomic_store_explicit(word, 0, memory_order_release);
	return old;
}
#undef filchi_exchange_seq_cst
#define filchi_exchange_seq_cst(p, v) finish_twice(p)
#elif defined(MUTANT_FINISH_WITHOUT_RELEASE)
#undef filchi_exchange_seq_cst
#define filchi_exchange_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_relaxed)
#elif defined(MUTANT_ORPHAN_WITHOUT_RELEASE)
/* inside filchi_task_orphan(), and not in filchi_task_finish() */
#undef filchi_exchange_seq_cst
#define filchi_exchange_seq_cst(p, v)                                              \
	(__func__[sizeof "filchi_task_" - 1] == 'o'                                \
			? atomic_exchange_explicit((p), (v), memory_order_relaxed) \
			: atomic_exchange_explicit((p), (v), memory_order_seq_cst))
#elif defined(MUTANT_ORPHANED_WITHOUT_ACQUIRE)
/* inside filchi_task_orphaned() */
#undef filchi_load_acquire
#define filchi_load_acquire(p)                      \
	(__func__[sizeof "filchi_task_" - 1] == 'o' \
			? filch_load_relaxed(p)     \
			: atomic_load_explicit((p), memory_order_acquire))
#elif defined(MUTANT_DONE_WITHOUT_ACQUIRE)
#undef filchi_load_acquire
#define filchi_load_acquire(p) filch_load_relaxed(p)
#elif defined(MUTANT_MARK_BY_STORE)
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)                                 \
	(atomic_load_explicit((p), memory_order_acquire) == *(expected) && \
		(HOLD(), atomic_store_explicit((p), (v), memory_order_seq_cst), true))
#endif

#include "struct/join.h"

enum { OWNER, THIEF };

/*
 * Frames as a program has them: the word first, then argument and result; plain, so that a checker
 * sees races.
 */
struct frame {
	struct filch_task task;
	uint64_t argument, result;
};

/* Addresses to name workers by; what lies there does not matter. */
static struct {
	FILCH_ALIGNED(FILCH_CACHELINE) char place[FILCH_CACHELINE];
} worker[2];

static struct filchi_deque deque;
static struct filchi_idle idle;
static struct filchi_sleeper sleeper; /* the owner's; the thief does not sleep */
static struct filchi_marks marks;
static atomic_ulong looks; /* attempts that the thief has ended */
static unsigned long waited, taken_back, before_thief, orphans;
static const struct filchi_filter nothing = { .any = false }, anything = { .any = true };

/* --- src/core/await.c and src/core/worker.c, for two workers --------------------- */

static void wait_task(struct filch_task *task)
{
	waited++;
	while (!filchi_task_done(task)) {
		uintptr_t word = filch_load_relaxed(&task->word);

		if (filchi_task_orphaned(task, &marks)) {
			orphans++;
			return;
		}

		filchi_idle_prepare(&idle, &sleeper, &nothing);
		before_thief += word && !filchi_mark_is(&marks, word);
#if !defined(MUTANT_AWAIT_WITHOUT_MARK)
		if (!filchi_task_await(task, &marks, OWNER)) {
			filchi_idle_cancel(&idle, &sleeper);
			continue;
		}
#endif
		(void)filchi_idle_sleep(&idle, &sleeper, NULL);
	}
}

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	filch_index index;
	bool pushed = filchi_deque_push_slow(&deque, carried, task, &index);

	assert(pushed && is_at(hot, &deque.hot));
	return filch_index_add(index, 1);
}

void filch_push_asked(struct filch_worker *hot)
{
	assert(!hot); /* nobody asks here */
}

void filch_take_quiet(struct filch_worker *hot)
{
	assert(is_at(hot, &deque.hot));
	filchi_deque_look(&deque);
}

bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	assert(is_at(hot, &deque.hot));
	if (filchi_task_done(task)) {
		filchi_deque_settle(&deque, carried);
		return false;
	}
	if (filchi_deque_take_last(&deque, carried, filch_index_add(carried, -1)))
		return true;
	wait_task(task);
	return false;
}

static bool orphans_it(void)
{
#if !defined(FILCH_EXPLORE)
	return random_below(8) == 0;
#elif defined(ORPHANS)
	return true;
#else
	return false;
#endif
}

static bool steal_one(void)
{
	struct filchi_found in;
	struct filchi_team *team;
	struct filch_task *task;

	if (filchi_deque_steal(&deque, &anything, &task, &team, &in) != FILCHI_STEAL_GOT)
		return false;
	PAUSE_AT_RANDOM();
	filch_thunk *thunk = filchi_task_begin(task, &marks, THIEF);
	PAUSE_AT_RANDOM();
	thunk(NULL, 0, task);
	int joiner =
		orphans_it() ? filchi_task_orphan(task, &marks) : filchi_task_finish(task, &marks);
	if (joiner >= 0) {
		assert(joiner == OWNER);
		(void)filchi_idle_wake(
			&idle, &sleeper, filchi_rmw_fence_then_load_acquire(&sleeper.state));
	}
	return true;
}

/* --- the task --------------------------------------------------------- */

static void body(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	struct frame *f = (struct frame *)(void *)task;

	(void)w;
	(void)carried;
	assert(f->result == 0); /* once */
	f->result = f->argument + 1;
}

/* What the owner does meanwhile: often long enough for the thief to come. */
static void busy(void)
{
#if !defined(FILCH_EXPLORE)
	uint32_t looking = random_below(4) ? 2000 : 0;

	for (uint32_t i = 0; i < looking && !filchi_deque_seems_empty(&deque); i++) {
		if (i % 512 == 511)
			sched_yield();
	}
	if (random_below(4) == 0)
		pause_at_random();
#endif
}

/* One spawn and its join. */
static void round_trip(struct frame *f, filch_index *carried, uint64_t argument)
{
	filch_index index;

	f->argument = argument;
	f->result = 0;
	f->task.saved = 0;
	filch_store_relaxed(&f->task.word, (uintptr_t)body);
	filch_push(&deque.hot, carried, &f->task);
	busy();
	index = filch_index_add(*carried, -1);
	if (filch_take(&deque.hot, index, &f->task)) {
		*carried = index;
		body(&deque.hot, index, &f->task);
		taken_back++;
	} else if (filch_sync_slow(&deque.hot, *carried, &f->task)) {
		body(&deque.hot, deque.hot.floor, &f->task);
		taken_back++;
	}
	assert(f->result == argument + 1);
}

/* The frame is gone, its memory in use for something else. */
static void overwrite(struct frame *f, uint64_t pattern)
{
	filch_store_relaxed(&f->task.word, pattern);
	f->task.saved = pattern;
	f->argument = pattern;
	f->result = pattern;
}

static void untouched(struct frame *f, uint64_t pattern)
{
	assert(filch_load_relaxed(&f->task.word) == pattern && f->task.saved == pattern);
	assert(f->argument == pattern && f->result == pattern);
}

static void set_up(void)
{
	marks.base = (uintptr_t)&worker[0];
	marks.stride = sizeof worker[0];
	marks.size = sizeof worker;
	assert(!filchi_deque_init(&deque, 64, false));
	filchi_idle_init(&idle);
	filchi_sleeper_init(&sleeper);
}

#if defined(FILCH_EXPLORE)

#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef STEALS
#define STEALS 1
#endif

static void *thief(void *unused)
{
	(void)unused;
	for (int i = 0; i < STEALS; i++)
		(void)steal_one();
	return NULL;
}

static struct frame f;
static atomic_bool through;

static void *owner(void *unused)
{
	filch_index carried = FILCH_INDEX_START;

	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		round_trip(&f, &carried, (uint64_t)i + 5);
		overwrite(&f, 77);
	}
	atomic_store_explicit(&through, true, memory_order_relaxed);
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	set_up();
	pthread_create(&thread[OWNER], NULL, owner, NULL);
	pthread_create(&thread[THIEF], NULL, thief, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	if (atomic_load_explicit(&through, memory_order_relaxed))
		untouched(&f, 77);
	else /* it was going to sleep, the thief has ended, so it was woken, and to good purpose */
		assert(FILCHI_SLEEP_KIND(filchi_load_acquire(&sleeper.state)) == FILCHI_AWAKE &&
			(filchi_task_done(&f.task) || filchi_task_orphaned(&f.task, &marks)));
	filchi_deque_destroy(&deque);
	return 0;
}

#else

enum { FRAMES = 8 };
#define PATTERN UINT64_C(0xdeadf00ddeadf00d)

static struct meeting start, end;
static uint32_t rounds;
static atomic_bool stop;

/*
 * A sleep that goes on though the task is done and the thief has ended two attempts since would go
 * on for ever.
 */
static bool park_here(filch_atomic_u32 *word, uint32_t expected)
{
	unsigned long since = atomic_load(&looks);
	bool done = false;

	while (filchi_load_acquire(word) == expected) {
		bool through = atomic_load(&looks) - since >= 2;

		if (through && filchi_deque_seems_empty(&deque)) {
			assert(!done || filchi_load_acquire(word) != expected);
			/*
			 * the thief was not inside this task's finish; once more, and nobody will
			 * wake us
			 */
			done = true;
			since = atomic_load(&looks);
		}
		sched_yield();
	}
	return false;
}

static void *thief(void *unused)
{
	(void)unused;
	seed_with(1);
	meet(&start, 2);
	while (!atomic_load_explicit(&stop, memory_order_acquire)) {
		(void)steal_one();
		atomic_fetch_add(&looks, 1);
		PAUSE_AT_RANDOM();
	}
	meet(&end, 2);
	return NULL;
}

static bool covered(void)
{
	return waited && taken_back && before_thief && orphans;
}

int main(void)
{
	/* each is used again after FRAMES rounds: a late touch has that long to be seen */
	static struct frame frame[FRAMES];
	filch_index carried = FILCH_INDEX_START;
	pthread_t thread;

	rounds = scaled(600000);
	set_up();
	seed_with(0);
	for (int i = 0; i < FRAMES; i++)
		overwrite(&frame[i], PATTERN);
	assert(!pthread_create(&thread, NULL, thief, NULL));
	meet(&start, 2);
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		struct frame *f = &frame[i % FRAMES];

		untouched(f, PATTERN);
		round_trip(f, &carried, i + 5u);
		overwrite(f, PATTERN);
	}
	atomic_store_explicit(&stop, true, memory_order_release);
	meet(&end, 2);
	pthread_join(thread, NULL);
	for (int i = 0; i < FRAMES; i++)
		untouched(&frame[i], PATTERN);
	COVERED(covered());
	filchi_deque_destroy(&deque);
	return 0;
}

#endif
