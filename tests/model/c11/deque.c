/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deque: an owner's nested frames against thieves. Every task runs exactly once, and a sync
 * sees the task's result.
 *
 * labels: model
 *
 * Threads (ordinary run: 1, 2, then 3 thieves; explored: THIEVES, default 1):
 * - owner: one of the programs below. In an ordinary run 1024 tasks of them, at random, on a deque
 *   of capacity 2:
 *     1  spawn a, sync a
 *     2  spawn a, b, sync b, a
 *     3  spawn a; a called frame spawns b and syncs it; sync a; spawn c, sync c
 *     4  spawn a, b, c (the deque grows), sync c, b, a
 *     5  spawn a, which spawns b and syncs it where it runs; sync a; spawn c, sync c
 *     6  spawn a, b, sync b, spawn c, sync c, a
 * - thief: filchi_deque_steal(), any job; runs the task on a deque of its own. Explored: STEALS
 *   times (default 1).
 *
 * The owner looks whether to open the gate at every take (explored), or every fourth.
 *
 * Explored also with -DFILCH_MODEL_LIGHT, where a push is a release store and no fence: a fence
 * there would stand in for later releases.
 *
 * Spawn and sync are filch_push() and filch_take() of the shipped header, with carried indices as
 * filch_fork() and filch_join() keep them. filch_push_slow() and filch_sync_slow() below are those
 * of src/core/await.c without the pool.
 *
 * Asserts:
 * - No task runs twice, and none is left.
 * - The runner sees the spawner's writes, the spawner the runner's.
 * - After a program the deque is empty.
 * - In an ordinary run these have happened: steals, raced ones, takes of the last task, growth,
 *   tasks that ran at their spawn (the array stops at 8), and openings of the gate.
 *
 * Mutants found by an ordinary run:
 *   take_without_fence     filch_take() with the gate shut, without its store-load fence: D1
 *   take_without_order     the same with the gate open: D3
 *   gate_opened_late       the owner opens the gate after it has moved the epoch
 *   epoch_left_out         it opens the gate and leaves the epoch as it is
 *   settle_left_out        the slow sync of a task that is done leaves bottom and floor as they are
 *   steal_by_store         a thief moves top by load, compare and store
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   steal_without_fence    the thief's side without its fence: D2
 *   push_without_release   filch_push() and filch_take() store bottom relaxed
 *   take_without_release   filch_take() alone does: with -DFILCH_MODEL_LIGHT, scenario 2
 *   steal_without_order    a thief's CAS on top is relaxed: IMM, two steals, scenario 4
 *   grow_without_release   every release store of src/struct/deque.h (growth, settling) is relaxed
 */
#include "driver.h"

#define FILCHI_SEGMENTS 2u
#if defined(FILCH_EXPLORE)
#define FILCHI_DEQUE_MAX INT32_C(16)
#define FILCHI_PATIENCE  1
#else
#define FILCHI_DEQUE_MAX INT32_C(8)
#if defined(MUTANT_TAKE_WITHOUT_FENCE)
#define FILCHI_PATIENCE 1000000 /* once shut the gate stays so */
#else
#define FILCHI_PATIENCE 4
#endif
#endif

#include "base/atomic.h"

#if defined(MUTANT_TAKE_WITHOUT_FENCE)
/* and a model's light side, which here is a full fence, fences nothing where the gate is shut */
#undef filch_store_release_light
#define filch_store_release_light(p, v)                              \
	(atomic_store_explicit((p), (v), memory_order_release),      \
		filch_load_relaxed(&worker->gate) == FILCH_GATE_SHUT \
			? (void)0                                    \
			: atomic_thread_fence(memory_order_seq_cst))
#undef filch_store_release_full
#if defined(FILCH_EXPLORE)
#define filch_store_release_full(p, v) atomic_store_explicit((p), (v), memory_order_release)
#else
#define filch_store_release_full(p, v)                          \
	(atomic_store_explicit((p), (v), memory_order_release), \
		atomic_signal_fence(memory_order_seq_cst))
#endif
#endif
#if defined(MUTANT_PUSH_WITHOUT_RELEASE)
#undef filch_publish_release_light
#if defined(FILCH_MODEL_LIGHT)
#define filch_publish_release_light(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#else
#define filch_publish_release_light(p, v)                       \
	(atomic_store_explicit((p), (v), memory_order_relaxed), \
		atomic_thread_fence(memory_order_seq_cst))
#endif
#endif
#if defined(MUTANT_PUSH_WITHOUT_RELEASE) || defined(MUTANT_TAKE_WITHOUT_RELEASE)
#undef filch_store_release_light
#define filch_store_release_light(p, v)                         \
	(atomic_store_explicit((p), (v), memory_order_relaxed), \
		atomic_thread_fence(memory_order_seq_cst))
#undef filch_store_release_full
#define filch_store_release_full(p, v)                          \
	(atomic_store_explicit((p), (v), memory_order_relaxed), \
		atomic_thread_fence(memory_order_seq_cst))
#endif
#if defined(MUTANT_TAKE_WITHOUT_ORDER)
#undef filch_store_release_light
#define filch_store_release_light(p, v) atomic_store_explicit((p), (v), memory_order_release)
#endif
/* inside filchi_gate_open() */
#define OPENING \
	(__func__[sizeof "filchi_" - 1] == 'g' && __func__[sizeof "filchi_gate_" - 1] == 'o')
#if defined(MUTANT_EPOCH_LEFT_OUT)
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v)                   \
	(OPENING || atomic_compare_exchange_strong_explicit( \
			    (p), (expected), (v), memory_order_seq_cst, memory_order_acquire))
#endif
#if defined(MUTANT_GATE_OPENED_LATE)
/* the gate is stored after the CAS on top, and not before */
static filch_atomic_i64 *gate_held;
static int64_t gate_value;
static inline bool is_shut(int64_t gate)
{
	return gate == INT64_MAX;
}
static inline bool gate_after(bool opened)
{
	if (opened && gate_held) {
		HOLD();
		atomic_store_explicit(gate_held, gate_value, memory_order_release);
	}
	gate_held = NULL;
	return opened;
}
#undef filchi_store_release
#define filchi_store_release(p, v)                                                   \
	(OPENING && !is_shut((int64_t)(v))                                           \
			? (void)(gate_held = (void *)(p), gate_value = (int64_t)(v)) \
			: atomic_store_explicit((p), (v), memory_order_release))
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v)                                                    \
	(OPENING ? gate_after(atomic_compare_exchange_strong_explicit(                        \
			   (p), (expected), (v), memory_order_seq_cst, memory_order_acquire)) \
		 : atomic_compare_exchange_strong_explicit(                                   \
			   (p), (expected), (v), memory_order_seq_cst, memory_order_acquire))
#endif
#if defined(MUTANT_STEAL_WITHOUT_FENCE)
#undef filchi_fence_then_load_acquire
#define filchi_fence_then_load_acquire(p) filchi_load_acquire(p)
#endif
#if defined(MUTANT_STEAL_BY_STORE)
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v)                                 \
	(atomic_load_explicit((p), memory_order_acquire) == *(expected) && \
		(HOLD(), atomic_store_explicit((p), (v), memory_order_seq_cst), true))
#endif
#if defined(MUTANT_STEAL_WITHOUT_ORDER)
/* inside filchi_deque_steal() 's' */
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v)                                              \
	(__func__[sizeof "filchi_deque_" - 1] == 's'                                    \
			? atomic_compare_exchange_strong_explicit((p), (expected), (v), \
				  memory_order_relaxed, memory_order_relaxed)           \
			: atomic_compare_exchange_strong_explicit((p), (expected), (v), \
				  memory_order_seq_cst, memory_order_acquire))
#endif
#if defined(MUTANT_GROW_WITHOUT_RELEASE)
#undef filchi_store_release
#define filchi_store_release(p, v) filch_store_relaxed((p), (v))
#endif

#include "struct/deque.h"

#if defined(FILCH_EXPLORE)
enum { FRAMES = 3 };
#else
enum { FRAMES = 1024, PROGRAMS = 6 };
#endif

/*
 * A task and its ledger. Each is used once in a round, so that a second run shows whenever it
 * comes.
 */
struct frame {
	struct filch_task task;
	int argument, result; /* plain: a missing order is a data race to a checker */
	atomic_int ran;
};

#ifndef THIEVES
#define THIEVES 1
#endif
enum { THIEVES_MAX = 3 };

static struct filchi_deque deque;
static struct frame frame[FRAMES];
static uint32_t frames_used;
static uint64_t inlined, last_taken;    /* on the owner's deque */
static unsigned thieves;                /* running in this round */
static atomic_ulong looks[THIEVES_MAX]; /* attempts that each has ended */

/*
 * The owner waits for a task that thieves have. A thief that has it is inside an attempt, so when
 * each has ended two, the task is done or lost. A checker's thieves may not even come: there the
 * owner goes on, and the ledger is the judge.
 */
static void await(struct filch_task *task)
{
#if defined(FILCH_EXPLORE)
	(void)task;
#else
	unsigned long since[THIEVES_MAX];

	for (unsigned i = 0; i < thieves; i++)
		since[i] = atomic_load(&looks[i]);
	while (filchi_load_acquire(&task->word)) {
		unsigned gone = 0;

		for (unsigned i = 0; i < thieves; i++)
			gone += atomic_load(&looks[i]) - since[i] >= 2;
		/* else it is lost: nobody has it */
		assert(gone < thieves || !filchi_load_acquire(&task->word));
		sched_yield();
	}
#endif
}

/* --- src/core/await.c without the pool -------------------------------------- */

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct filchi_deque *d = (struct filchi_deque *)(void *)hot;
	filch_index index;

	if (filchi_deque_push_slow(d, carried, task, &index))
		return filch_index_add(index, 1);
	if (d == &deque)
		inlined++;
	((filch_thunk *)filch_load_relaxed(&task->word))(hot, filchi_deque_carried(d), task);
	filch_store_relaxed(&task->word, 0);
	return carried;
}

void filch_push_asked(struct filch_worker *hot)
{
	assert(!hot); /* nobody parks here */
}

void filch_take_quiet(struct filch_worker *hot)
{
	filchi_deque_look((struct filchi_deque *)(void *)hot);
}

bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct filchi_deque *d = (struct filchi_deque *)(void *)hot;

	if (!filchi_load_acquire(&task->word)) {
#if !defined(MUTANT_SETTLE_LEFT_OUT)
		filchi_deque_settle(d, carried);
#endif
		return false;
	}
	if (filchi_deque_take_last(d, carried, filch_index_add(carried, -1))) {
		if (d == &deque)
			last_taken++;
		return true;
	}
	await(task);
	return false;
}

/* --- tasks ------------------------------------------------------------ */

static void spawn(struct filch_worker *w, filch_index *carried, struct frame *f, filch_thunk *body,
	int argument)
{
	f->argument = argument;
	filch_store_relaxed(&f->task.word, (uintptr_t)body);
	filch_push(w, carried, &f->task);
}

static void sync(struct filch_worker *w, filch_index *carried, struct frame *f, filch_thunk *body)
{
	filch_index index = filch_index_add(*carried, -1);

	if (filch_take(w, index, &f->task)) {
		*carried = index;
		body(w, index, &f->task);
	} else if (filch_sync_slow(w, *carried, &f->task)) {
		body(w, w->floor, &f->task);
	}
	if (!filchi_load_acquire(&f->task.word) || !is_at(w, &deque.hot))
		assert(f->result == f->argument + 1);
}

static struct frame *new_frame(void)
{
	assert(frames_used < FRAMES);
	return &frame[frames_used++];
}

/* Writes its result, once. */
static void leaf(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	struct frame *f = (struct frame *)(void *)task;

	(void)w;
	(void)carried;
	assert(atomic_fetch_add_explicit(&f->ran, 1, memory_order_relaxed) == 0);
	f->result = f->argument + 1;
}

/* Spawns the frame after its own, and syncs it: on the owner's deque or the thief's. */
static void parent(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	struct frame *child = (struct frame *)(void *)task + 1;

	spawn(w, &carried, child, leaf, 7);
	PAUSE_AT_RANDOM();
	sync(w, &carried, child, leaf);
	leaf(w, carried, task);
}

/* A frame of its own above the caller's. */
static void nested(struct filch_worker *w, filch_index carried, struct frame *b)
{
	spawn(w, &carried, b, leaf, 2);
	PAUSE_AT_RANDOM();
	sync(w, &carried, b, leaf);
}

/* --- the owner -------------------------------------------------------- */

static void program(struct filch_worker *w, filch_index carried, int number)
{
	struct frame *a = new_frame(), *b, *c;

	switch (number) {
	case 1:
		spawn(w, &carried, a, leaf, 1);
		PAUSE_AT_RANDOM();
		sync(w, &carried, a, leaf);
		break;
	case 2:
		b = new_frame();
		spawn(w, &carried, a, leaf, 1);
		spawn(w, &carried, b, leaf, 2);
		PAUSE_AT_RANDOM();
		sync(w, &carried, b, leaf);
		sync(w, &carried, a, leaf);
		break;
	case 3:
		b = new_frame();
		c = new_frame();
		spawn(w, &carried, a, leaf, 1);
		nested(w, carried, b);
		sync(w, &carried, a, leaf);
		spawn(w, &carried, c, leaf, 3);
		PAUSE_AT_RANDOM();
		sync(w, &carried, c, leaf);
		break;
	case 4:
		b = new_frame();
		c = new_frame();
		spawn(w, &carried, a, leaf, 1);
		spawn(w, &carried, b, leaf, 2);
		spawn(w, &carried, c, leaf, 3);
		PAUSE_AT_RANDOM();
		sync(w, &carried, c, leaf);
		sync(w, &carried, b, leaf);
		sync(w, &carried, a, leaf);
		break;
	case 5:
		b = new_frame(); /* the one after a's */
		c = new_frame();
		(void)b;
		spawn(w, &carried, a, parent, 1);
		PAUSE_AT_RANDOM();
		sync(w, &carried, a, parent);
		spawn(w, &carried, c, leaf, 3);
		sync(w, &carried, c, leaf);
		break;
	default:
		b = new_frame();
		c = new_frame();
		spawn(w, &carried, a, leaf, 1);
		spawn(w, &carried, b, leaf, 2);
		sync(w, &carried, b, leaf);
		spawn(w, &carried, c, leaf, 3);
		PAUSE_AT_RANDOM();
		sync(w, &carried, c, leaf);
		sync(w, &carried, a, leaf);
		break;
	}
}

/* One attempt; runs what it got on @own. */
static enum filchi_steal thief_once(struct filchi_deque *own)
{
	static const struct filchi_filter anything = { .any = true };
	struct filchi_team *team;
	struct filch_task *task;
	struct filchi_found in;
	enum filchi_steal outcome = filchi_deque_steal(&deque, &anything, &task, &team, &in);

	if (outcome == FILCHI_STEAL_GOT) {
		filch_thunk *body = (filch_thunk *)filchi_load_acquire(&task->word);

		PAUSE_AT_RANDOM();
		body(&own->hot, filchi_deque_carried(own), task);
		filchi_store_release(&task->word, 0); /* the thief's last touch */
	}
	return outcome;
}

static void ledger(void)
{
	assert(filchi_deque_seems_empty(&deque));
	for (uint32_t i = 0; i < frames_used; i++)
		assert(atomic_load_explicit(&frame[i].ran, memory_order_relaxed) == 1);
}

#if defined(FILCH_EXPLORE)

#ifndef SCENARIO
#define SCENARIO 1
#endif
#ifndef STEALS
#define STEALS 1
#endif

static struct filchi_deque own_deque[THIEVES];

static void *thief(void *own)
{
	for (int i = 0; i < STEALS; i++)
		(void)thief_once(own);
	return NULL;
}

int main(void)
{
	pthread_t thread[THIEVES];

	assert(!filchi_deque_init(&deque, 2, false));
	for (int i = 0; i < THIEVES; i++) {
		assert(!filchi_deque_init(&own_deque[i], 2, false));
		pthread_create(&thread[i], NULL, thief, &own_deque[i]);
	}
	program(&deque.hot, FILCH_INDEX_START, SCENARIO);
	for (int i = 0; i < THIEVES; i++)
		pthread_join(thread[i], NULL);
	ledger();
	for (int i = 0; i < THIEVES; i++)
		filchi_deque_destroy(&own_deque[i]);
	filchi_deque_destroy(&deque);
	return 0;
}

#else

static struct meeting start, end;
static uint32_t rounds;
static atomic_bool over, finished;
static atomic_ulong steals, lost;
static uint64_t grows, openings;

static void *thief(void *number)
{
	struct filchi_deque own;

	unsigned id = (unsigned)(uintptr_t)number;

	seed_with(id);
	assert(!filchi_deque_init(&own, 2, false));
	for (;;) {
		unsigned long got = 0, failed = 0;

		meet(&start, thieves + 1);
		if (atomic_load(&finished))
			break;
		while (!atomic_load_explicit(&over, memory_order_acquire)) {
			enum filchi_steal outcome = thief_once(&own);

			atomic_fetch_add(&looks[id], 1);
			got += outcome == FILCHI_STEAL_GOT;
			failed += outcome == FILCHI_STEAL_RACED;
			PAUSE_AT_RANDOM();
		}
		atomic_fetch_add_explicit(&steals, got, memory_order_relaxed);
		atomic_fetch_add_explicit(&lost, failed, memory_order_relaxed);
		meet(&end, thieves + 1);
	}
	filchi_deque_destroy(&own);
	return NULL;
}

static bool covered(void)
{
	return atomic_load(&steals) && atomic_load(&lost) && last_taken && grows && inlined &&
	       openings;
}

/* Each round a new deque; what it grew to goes with it. */
static void owner(void)
{
	for (uint32_t round = 0; round < rounds || (!covered() && round / PATIENCE < rounds);
		round++) {
		filch_index carried;

		assert(!filchi_deque_init(&deque, 2, false));
		for (uint32_t i = 0; i < FRAMES; i++)
			frame[i] = (struct frame){ .argument = 0 };
		frames_used = 0;
		atomic_store_explicit(&over, false, memory_order_relaxed);
		meet(&start, thieves + 1);
		carried = filchi_deque_carried(&deque);
		while (frames_used + 3 <= FRAMES) {
			if (random_below(8) == 0 && frames_used + 16 <= FRAMES) {
				/*
				 * eight at once: beyond what the array may grow to, the rest runs
				 * at its spawn
				 */
				struct frame *many = &frame[frames_used];

				frames_used += 12;
				for (int i = 0; i < 12; i++)
					spawn(&deque.hot, &carried, &many[i], leaf, i);
				for (int i = 12; i--;)
					sync(&deque.hot, &carried, &many[i], leaf);
			}
			program(&deque.hot, carried, 1 + (int)random_below(PROGRAMS));
		}
		atomic_store_explicit(&over, true, memory_order_release);
		meet(&end, thieves + 1);
		ledger();
		grows += deque.grows;
		openings += filchi_top_epoch(filchi_load_acquire(&deque.hot.top));
		filchi_deque_destroy(&deque);
	}
	atomic_store(&finished, true);
	meet(&start, thieves + 1);
}

int main(void)
{
	for (thieves = 1; thieves <= THIEVES_MAX; thieves++) {
		pthread_t thread[THIEVES_MAX];

		rounds = scaled(6000 / thieves);
		atomic_store(&finished, false);
		seed_with(100);
		for (unsigned i = 0; i < thieves; i++)
			assert(!pthread_create(&thread[i], NULL, thief, (void *)(uintptr_t)i));
		owner();
		for (unsigned i = 0; i < thieves; i++)
			pthread_join(thread[i], NULL);
	}
	COVERED(covered());
	return 0;
}

#endif
