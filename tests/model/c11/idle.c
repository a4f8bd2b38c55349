/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The idle protocol: a poster of work against workers that go to sleep. No post is left lying while
 * nobody is awake to run it.
 *
 * labels: model
 *
 * Threads (ordinary run: 1 worker, then 2; explored: WORKERS, default 1):
 * - poster: posts 1 to 3 items with small pauses, waits until all have run, and so on. Explored:
 *   POSTS items (default 1) of KIND:
 *     0 push   filch_push() on its own deque, then ask: the shipped inline path, and
 *              filch_push_asked() as in src/core/worker.c.
 *     1 cell   an exchange, then filchi_idle_posted(): the least that counts as a post.
 *     2 ring   filchi_scq_put(), then filchi_idle_posted(): the injector.
 *     3 pair   two pushes of tasks that wait for each other: both workers must come. 2 workers,
 *              ordinary run only.
 *     4 back   the same after a push that the poster takes back itself. So the first of the pair
 *              meets a worker that was woken in vain, and is on its way: the poster trusts it.
 * - With two workers, ordinary run: in some rounds the first worker stands still as a searcher, the
 *   poster posts one item, and ends that search in its place. The other must come. In others the
 *   poster ends searches at random. Explored with -DMISS: the first worker's thread ends where it
 *   would search on, and the poster ends its search after the posts.
 * - worker: looks for an item. If it finds one: wake the next, run, search on. If not: prepare,
 *   raise ask, fence, look again, cancel or sleep. It never spins, so that most posts meet it at
 *   the brink of its sleep.
 *
 * search, attempt, park, wake_one, push_asked and found are those of src/core/worker.c for one
 * deque and free workers. A poster trusts after one or two pushes in vain. The raise of ask in
 * found() is left out: it is a hint that no proof relies on, and would hide a trust that is not
 * ended. So is, in some rounds and in an exploration without -DGROWS, the wake by a searcher that
 * is not the last.
 *
 * Explored: a worker looks LOOKS times at most (default 3), and its thread ends where it would
 * sleep. With -DLONG it also ends where it has begun to run an item, which then has no end. So only
 * the waking of the next can bring another worker to the next item. -DFENCED: no membarrier(2), so
 * every push takes the slow path; an ordinary run has both modes.
 *
 * Asserts, ordinary:
 * - When all workers sleep (or wait in a pair for one that sleeps) and the poster is through,
 *   nothing is left. All are seen in the same sleep twice, so none was awake in between.
 * - Every item runs once.
 * - When all sleep nobody is counted as a searcher.
 * - Sleeps, wakes, cancelled sleeps, asks, ends of searches by the poster and pairs have happened;
 *   with two workers trusts, ends of trust, and items that ran while a worker stood still.
 *
 * Asserts, explored: after the end an item is left only if some worker is awake (with LONG: and not
 * busy), or was woken, or all are busy.
 *
 * Mutants found by an ordinary run:
 *   ask_read_before_publish    filch_push() reads ask before it publishes: I1
 *   park_without_second_look   a worker sleeps without looking again: I2
 *   post_without_fence         filchi_idle_posted() reads the counts before the post is visible: I3
 *   ask_cleared_after_counts   filchi_idle_asked() reads the counts, then clears ask: I4
 *   chain_left_out             a worker that has found work does not wake the next
 *   uncounted_looks_not        one that its waker has not counted yet does not look for the next
 *   trust_kept                 the last searcher does not end a trust: I7
 *   trust_without_second_look  a spawner that trusts does not look whether one still searches: I7
 *   missed_looks_not           who ends a search for another does not look and wake the next
 *   missed_returns_not         a searcher whose search was ended in its place does not see it
 *   missed_asleep              a worker that has gone to sleep is taken for a searcher
 *
 * Mutants found by a model checker alone, for on x86-64 the parking worker's read-modify-writes are
 * fences in any case:
 *   park_without_fence         neither prepare() nor the look has its full fence
 *   push_without_fence         filch_push() publishes and reads ask without a fence: I1
 *   asked_without_fence        filchi_idle_asked() reads the counts without a fence: I4; with
 *                              -DPOSTS=2
 *   found_without_fence        a searcher that has found work looks once more without a fence: I6
 *   trust_without_fence        filchi_idle_trust() reads the counts without a fence: I7
 *   trust_ends_without_fence   the last searcher raises ask and looks without the heavy fence
 *   slow_push_without_fence    with -DFENCED: filchi_deque_push_slow() publishes without one: I1
 */
#include "driver.h"

#if !defined(FILCH_EXPLORE)
/* Here a mutant holds its thread until the workers sleep or wait, if they do so soon. */
static void hold_until_asleep(void);
#undef HOLD
#define HOLD() hold_until_asleep()
#endif

/* FILCHI_TRUST_AFTER of struct/policy.h */
static unsigned trust_after = 1;

#include "idle_mutants.h"

#if defined(FILCH_EXPLORE)
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef POSTS
#define POSTS 1
#endif
#ifndef LOOKS
#define LOOKS 3
#endif
#ifndef KIND
#define KIND 0
#endif
#if defined(FENCED)
enum { FRAMES = POSTS, FENCED_FIRST = 1 };
#else
enum { FRAMES = POSTS, FENCED_FIRST = 0 };
#endif
#else
enum { WORKERS = 2, FRAMES = 48, FENCED_FIRST = 0 };
#endif

enum kind { PUSH, CELL, RING, PAIR, BACK };

struct frame {
	struct filch_task task;
	filch_index index;
	int partner; /* 1 + the number of the pair's other frame; 0 none */
	atomic_bool started;
};

static struct filchi_deque deque;
static struct filchi_scq ring;
static filch_atomic_u32 cell;
static struct filchi_idle idle;
static struct filchi_sleeper sleeper[WORKERS];
static unsigned workers = WORKERS;
static bool fenced = FENCED_FIRST;
static struct frame frame[FRAMES];
static unsigned frames_used;
static uint32_t vain; /* the poster's */
/* a searcher may wake another for what it leaves, though it is not the last */
#if defined(GROWS)
static bool growing = true;
#else
static bool growing;
#endif
static atomic_ulong executed, wakes, asked, cancels, trusts, trust_ends, misses;
static atomic_bool still; /* the first worker is to stand still, or does */
#if defined(FILCH_EXPLORE)
static _Thread_local unsigned me;
static bool busy[WORKERS]; /* with LONG: runs an item that has no end; with MISS: stands still */
enum {
#if defined(MISS)
	FIRST_JOINED = 1
#else
	FIRST_JOINED = 0
#endif
};
#if defined(MISS)
#define STAND_STILL() (me == 0 ? (busy[0] = true, pthread_exit(NULL)) : (void)0)
#endif
#endif
static const struct filchi_filter anything = { .any = true };
#if !defined(FILCH_EXPLORE)
static void stand_still(void);
#define STAND_STILL() stand_still()
#elif !defined(MISS)
#define STAND_STILL() ((void)0)
#endif

static void publish_cell(void)
{
	(void)filchi_exchange_seq_cst(&cell, 1);
}

/* --- src/core/worker.c, for one deque and free workers --------------------- */

static bool wake_one(bool free, bool *left)
{
	bool woken = false;

	*left = false;
	for (unsigned i = 0; i < workers; i++) {
		uint32_t state = filchi_sleeper_serves(&sleeper[i], NULL, NULL);

		if (!state)
			continue;
		if (filchi_policy_leaves(state, free, woken)) {
			*left = true;
			break;
		}
		woken = filchi_idle_wake(&idle, &sleeper[i], state);
		if (woken)
			atomic_fetch_add_explicit(&wakes, 1, memory_order_relaxed);
	}
	return woken;
}

static void posted(void)
{
	uint64_t counts = filchi_idle_posted(&idle);
	bool left;

	if (filchi_policy_posted(counts, 0))
		(void)wake_one(true, &left);
}

void filch_push_asked(struct filch_worker *hot)
{
	uint64_t counts = filchi_idle_asked(&idle, (struct filchi_deque *)(void *)hot);

	if (FILCHI_IDLE_ASLEEP(counts))
		atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed);
	for (;;) {
		enum filchi_asked does = filchi_policy_asked(counts, workers + 1);
		bool left = does == FILCHI_ASKED_LATER, woken = false;

		if (does == FILCHI_ASKED_NOBODY)
			return;
		if (!left)
			woken = wake_one(does == FILCHI_ASKED_ANY, &left);
		switch (filchi_policy_then(does, woken, left, &vain)) {
		case FILCHI_THEN_TRUST:
			break;
		case FILCHI_THEN_ASK:
			filch_store_relaxed(&hot->ask, 1);
			return;
		case FILCHI_THEN_LOW:
		default:
			return;
		}
		HOLD_BEFORE_TRUST();
		counts = filchi_idle_trust(&idle);
		atomic_fetch_add_explicit(&trusts, 1, memory_order_relaxed);
#if defined(MUTANT_TRUST_WITHOUT_SECOND_LOOK)
		return;
#endif
		if (FILCHI_IDLE_SEARCH(counts) > 0)
			return;
	}
}

static bool wake_for(void)
{
#if defined(MUTANT_CHAIN_LEFT_OUT)
	return false;
#else
	bool left;

	return !filchi_deque_seems_empty(&deque) && wake_one(true, &left);
#endif
}

static bool wake_next(void)
{
#if defined(MUTANT_CHAIN_LEFT_OUT)
	return false;
#else
	bool left;

	return wake_for() || ((filchi_load_acquire(&cell) || !filchi_scq_seems_empty(&ring)) &&
				     wake_one(true, &left));
#endif
}

static void ask_all(void)
{
	filchi_idle_ask(&deque);
	if (fenced)
		(void)filchi_fence_then_load_acquire(&cell);
	else
		filchi_membarrier(); /* heavy.c has how workers share one */
}

static bool look_again(void)
{
	(void)filchi_idle_was_trusted(&idle);
	ask_all();
#if defined(MUTANT_PARK_WITHOUT_SECOND_LOOK)
	return false;
#else
	return filchi_load_acquire(&cell) || !filchi_scq_seems_empty(&ring) ||
	       !filchi_deque_seems_empty(&deque);
#endif
}

static void owe(void)
{
	if (wake_next() || !filchi_idle_was_trusted(&idle))
		return;
	atomic_fetch_add_explicit(&trust_ends, 1, memory_order_relaxed);
#if defined(MUTANT_TRUST_ENDS_WITHOUT_FENCE)
	filchi_idle_ask(&deque);
	(void)wake_next();
#elif !defined(MUTANT_TRUST_KEPT)
	ask_all();
	(void)wake_next();
#endif
}

/* A searcher has found an item, in the deque or elsewhere. */
static void found(bool stolen)
{
	bool last = filchi_idle_found(&idle, &sleeper[me]);

	if (stolen && growing &&
		filchi_policy_grows(filch_load_relaxed(&idle.counts), workers + 1) && wake_for())
		return;
	if (last)
		owe();
}

#if !defined(FILCH_EXPLORE) || defined(MISS)
/* The poster ends the search of worker @i. */
static void miss(unsigned i)
{
	bool last;

	if (!filchi_idle_miss(&idle, &sleeper[i], &last))
		return;
	atomic_fetch_add_explicit(&misses, 1, memory_order_relaxed);
#if !defined(MUTANT_MISSED_LOOKS_NOT)
	if (last)
		owe();
#endif
}
#endif

/* One look by a searcher; runs what it finds, and is a searcher again. */
static bool run_any(void)
{
	struct filchi_team *team;
	struct filch_task *task;
	struct filchi_found in;
	enum filchi_steal outcome = filchi_deque_steal(&deque, &anything, &task, &team, &in);

	if (outcome == FILCHI_STEAL_GOT) {
		filch_thunk *thunk = (filch_thunk *)filchi_load_acquire(&task->word);

		found(true);
		thunk(NULL, 0, task);
		filchi_store_release(&task->word, 0);
	} else if (filchi_load_acquire(&cell) && filchi_exchange_acq_rel(&cell, 0)) {
		found(false);
	} else if (filchi_scq_take(&ring) != FILCHI_SCQ_EMPTY) {
		found(false);
	} else {
		return outcome == FILCHI_STEAL_RACED;
	}
	atomic_fetch_add_explicit(&executed, 1, memory_order_release);
#if defined(FILCH_EXPLORE) && defined(LONG)
	busy[me] = true;
	pthread_exit(NULL);
#endif
	filchi_idle_search(&idle);
	return true;
}

static void park(void)
{
	filchi_idle_lingers(&sleeper[me]);
	STAND_STILL();
	PAUSE_AT_RANDOM();
	HOLD_PAIR();
	filchi_idle_prepare(&idle, &sleeper[me], &anything);
	PAUSE_AT_RANDOM();
	HOLD_PAIR();
	if (look_again()) {
		filchi_idle_cancel(&idle, &sleeper[me]);
		atomic_fetch_add_explicit(&cancels, 1, memory_order_relaxed);
		return;
	}
	(void)filchi_idle_sleep(&idle, &sleeper[me], NULL);
}

/* --- src/core/await.c ------------------------------------------------------- */

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	filch_index index;
	bool pushed = filchi_deque_push_slow(&deque, carried, task, &index);

	assert(pushed && is_at(hot, &deque.hot));
	if (filch_load_relaxed(&hot->ask))
		filch_push_asked(hot);
	return filch_index_add(index, 1);
}

void filch_take_quiet(struct filch_worker *hot)
{
	assert(is_at(hot, &deque.hot));
	filchi_deque_look(&deque);
}

/* Only for tasks that thieves have done. */
bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	assert(is_at(hot, &deque.hot) && !filchi_load_acquire(&task->word));
	filchi_deque_settle(&deque, carried);
	return false;
}

/* --- posts ------------------------------------------------------------ */

static void body(struct filch_worker *w, filch_index carried, struct filch_task *task);

static void push(filch_index *carried, int partner)
{
	struct frame *f = &frame[frames_used++];

	f->partner = partner;
	atomic_store_explicit(&f->started, false, memory_order_relaxed);
	filch_store_relaxed(&f->task.word, (uintptr_t)body);
	filch_push(&deque.hot, carried, &f->task);
}

#if !defined(FILCH_EXPLORE)
static void nothing(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	(void)w;
	(void)carried;
	(void)task;
}

/* A push that is taken back. False: a thief was faster, and has done it. */
static bool push_and_take(filch_index *carried)
{
	static struct filch_task task;

	filch_store_relaxed(&task.word, (uintptr_t)nothing);
	filch_push(&deque.hot, carried, &task);
	if (filch_take(&deque.hot, filch_index_add(*carried, -1), &task)) {
		*carried = filch_index_add(*carried, -1);
		return true;
	}
	while (filchi_load_acquire(&task.word)) {
		if (filchi_deque_take_last(&deque, *carried, filch_index_add(*carried, -1)))
			return true;
		RELAX();
	}
	filchi_deque_settle(&deque, *carried);
	return false;
}
#endif

/* Returns how many items the workers get. */
static unsigned post(enum kind kind, filch_index *carried)
{
	unsigned items = 1;

	switch (kind) {
	case PUSH:
		push(carried, 0);
		break;
	case CELL:
#if defined(MUTANT_POST_WITHOUT_FENCE) && !defined(FILCH_EXPLORE)
		post_held = true;
#else
		publish_cell();
#endif
		posted();
		break;
	case RING:
		filchi_scq_put(&ring, 0);
		posted();
		break;
	case BACK:
#if !defined(FILCH_EXPLORE)
		hold_until_asleep(); /* so that one sleeps on, with nothing to ask for */
		items = !push_and_take(carried);
#endif
		/* fallthrough */
	case PAIR:
		items += kind == PAIR ? 1 : 2;
		/* of an earlier use: the first would not wait for the second */
		atomic_store_explicit(&frame[frames_used + 1].started, false, memory_order_relaxed);
		push(carried, (int)frames_used + 2);
		HOLD_PAIR();
		HOLD_TRUST();
		push(carried, (int)frames_used);
		break;
	}
	return items;
}

static void set_up(void)
{
	assert(!filchi_deque_init(&deque, 64, fenced) && !filchi_scq_init(&ring, 2));
	filch_store_relaxed(&cell, 0);
	filchi_idle_init(&idle);
	for (unsigned i = 0; i < workers; i++) {
		filchi_sleeper_init(&sleeper[i]);
		filchi_idle_search(&idle);
	}
}

static void tear_down(void)
{
	filchi_deque_destroy(&deque);
	filchi_scq_destroy(&ring);
}

#if defined(FILCH_EXPLORE)

static void body(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	(void)w;
	(void)carried;
	(void)task;
}

static void *worker(void *number)
{
	me = (unsigned)(uintptr_t)number;
	for (int i = 0; i < LOOKS; i++) {
		if (!run_any())
			park();
	}
	return NULL;
}

int main(void)
{
	filch_index carried = FILCH_INDEX_START;
	pthread_t thread[WORKERS];
	bool awake = false, all_busy = true;

	set_up();
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i);
	for (int i = 0; i < POSTS; i++)
		(void)post(KIND, &carried);
#if defined(MISS)
	pthread_join(thread[0], NULL);
	miss(0);
#endif
	for (unsigned i = FIRST_JOINED; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < WORKERS; i++)
		awake |= !busy[i] &&
			 FILCHI_SLEEP_KIND(filchi_load_acquire(&sleeper[i].state)) == FILCHI_AWAKE;
	/* all may be busy; a sleeper must not be asleep while an item is left */
	for (unsigned i = 0; i < WORKERS; i++)
		all_busy &= busy[i];
	/* an awake worker was woken, or had used up its looks; either would look on */
	assert(awake || all_busy ||
		(!filchi_load_acquire(&cell) && filchi_scq_seems_empty(&ring) &&
			filchi_deque_seems_empty(&deque)));
	assert(atomic_load_explicit(&executed, memory_order_acquire) <= POSTS);
	tear_down();
	return 0;
}

#else

static struct meeting start, end;
static uint32_t rounds;
static atomic_bool stop;
static atomic_bool parked[WORKERS]; /* inside park_here(), its word unchanged when last seen */
/* waits in a pair: number of that wait, times 256, plus the frame it waits for; else 0 */
static atomic_ulong paired[WORKERS];
static atomic_ulong parks[WORKERS], pairs[WORKERS], stands;
static atomic_bool stands_still;

static bool park_here(filch_atomic_u32 *word, uint32_t expected)
{
	atomic_fetch_add(&parks[me], 1);
	atomic_store(&parked[me], true);
	while (filchi_load_acquire(word) == expected)
		sched_yield();
	atomic_store(&parked[me], false);
	return false;
}

static void body(struct filch_worker *w, filch_index carried, struct filch_task *task)
{
	struct frame *f = (struct frame *)(void *)task;

	(void)w;
	(void)carried;
	assert(!atomic_exchange(&f->started, true)); /* once */
	if (f->partner) {
		atomic_store(&paired[me], (atomic_fetch_add(&pairs[me], 1) + 1) << 8 |
						  (unsigned long)(f->partner - 1));
		while (!atomic_load(&frame[f->partner - 1].started))
			sched_yield();
		atomic_store(&paired[me], 0);
	}
}

/*
 * What worker @i is stuck in: its sleep, or its wait for a task that nobody has begun; 0 if it is
 * at work.
 */
static uint64_t stuck_in(unsigned i)
{
	uint32_t state = filchi_load_acquire(&sleeper[i].state);
	unsigned long pair = atomic_load(&paired[i]);

	if (pair)
		return atomic_load(&frame[pair & 255].started) ? 0 : (uint64_t)pair << 32;
	if (i == 0 && atomic_load(&stands_still))
		return UINT64_MAX;
	return FILCHI_SLEEP_KIND(state) != FILCHI_AWAKE && atomic_load(&parked[i]) ? state : 0;
}

FILCH_UNUSED static void hold_until_asleep(void)
{
	bool asleep = false;

	for (uint32_t i = random_below(4) * 40; i-- && !asleep;) {
		asleep = true;
		for (unsigned k = 0; k < workers; k++)
			asleep &= stuck_in(k) != 0;
		sched_yield();
	}
}

/* Until @items have run. Fails if no worker will ever run the rest. */
static void wait_for(unsigned long items)
{
	while (atomic_load_explicit(&executed, memory_order_acquire) != items) {
		uint64_t seen[WORKERS];
		unsigned stuck = 0;

		for (unsigned i = 0; i < workers; i++)
			seen[i] = stuck_in(i);
		for (unsigned i = 0; i < workers; i++)
			stuck += seen[i] && stuck_in(i) == seen[i];
		/* all at the same time, in between: nobody is left to run the rest */
		assert(stuck < workers ||
			atomic_load_explicit(&executed, memory_order_acquire) == items);
		sched_yield();
	}
}

/* A searcher that is to stand still does, until it is let go. */
static void stand_still(void)
{
	if (me || !atomic_load_explicit(&still, memory_order_relaxed))
		return;
	atomic_store(&stands_still, true);
	while (atomic_load(&still))
		sched_yield();
	atomic_store(&stands_still, false);
}

/* One item, while the first worker stands still. */
static unsigned long post_beside_still(filch_index *carried)
{
	unsigned items;

	atomic_store(&still, true);
	while (!atomic_load(&stands_still)) {
		(void)filchi_idle_wake(&idle, &sleeper[0], filchi_load_acquire(&sleeper[0].state));
		sched_yield();
	}
	hold_until_asleep();
	items = post((enum kind)random_below(3), carried);
	for (unsigned i = 0; i < workers; i++)
		miss(i);
	atomic_fetch_add(&stands, 1);
	return items;
}

/* Until all sleep: then nobody searches. Tells if they do not, in some turns. */
static void count_asleep(void)
{
	for (unsigned turn = 0; turn < 1000; turn++) {
		uint64_t seen[WORKERS], counts;
		unsigned asleep = 0;

		for (unsigned i = 0; i < workers; i++)
			seen[i] = stuck_in(i);
		counts = filchi_load_acquire(&idle.counts);
		for (unsigned i = 0; i < workers; i++)
			asleep += seen[i] && stuck_in(i) == seen[i];
		if (asleep == workers) {
			assert(FILCHI_IDLE_SEARCH(counts) == 0);
			assert(FILCHI_IDLE_FREES(counts) == workers);
			return;
		}
		sched_yield();
	}
}

static void *worker(void *number)
{
	me = (unsigned)(uintptr_t)number;
	seed_with(me);
	meet(&start, workers + 1);
	while (!atomic_load_explicit(&stop, memory_order_acquire)) {
		if (!run_any())
			park();
	}
	meet(&end, workers + 1);
	return NULL;
}

static enum kind kind_at_random(void)
{
#if defined(MUTANT_POST_WITHOUT_FENCE)
	return CELL;
#elif defined(MUTANT_CHAIN_LEFT_OUT) || defined(MUTANT_UNCOUNTED_LOOKS_NOT)
	return PAIR;
#elif defined(MUTANT_TRUST_KEPT) || defined(MUTANT_TRUST_WITHOUT_SECOND_LOOK)
	return BACK;
#elif defined(MUTANT_ASK_READ_BEFORE_PUBLISH) || defined(MUTANT_ASK_CLEARED_AFTER_COUNTS)
	return PUSH;
#else
	return (enum kind)random_below(workers == 1 ? 3 : 5);
#endif
}

/* After how many pushes in vain the poster trusts in this round, and whether searchers grow. */
static void choose_policy(void)
{
#if defined(MUTANT_UNCOUNTED_LOOKS_NOT)
	trust_after = 64; /* the second of a pair asks */
#elif !defined(MUTANT_TRUST_KEPT) && !defined(MUTANT_TRUST_WITHOUT_SECOND_LOOK)
	trust_after = 1 + random_below(2);
	growing = random_below(2);
#endif
}

static bool covered(void)
{
	bool all = atomic_load(&wakes) && atomic_load(&asked) && atomic_load(&cancels);

	all &= atomic_load(&misses) != 0;
	all &= workers == 1 ||
	       (atomic_load(&trusts) && atomic_load(&trust_ends) && atomic_load(&stands));
	for (unsigned i = 0; i < workers; i++)
		all &= atomic_load(&parks[i]) && (workers == 1 || atomic_load(&pairs[i]));
	return all;
}

static void poster(void)
{
	filch_index carried = FILCH_INDEX_START;
	unsigned long items = 0;

	me = POSTER;
	for (uint32_t round = 0; round < rounds || (!covered() && round / PATIENCE < rounds);
		round++) {
		uint32_t kinds = 0;

		choose_policy();
		if (workers > 1 && round % 8 == 0) {
			items += post_beside_still(&carried);
			wait_for(items);
			atomic_store(&still, false);
			while (atomic_load(&stands_still))
				sched_yield();
		}
		for (uint32_t i = 1 + random_below(3); i--;) {
			enum kind kind = kind_at_random();

			/* one item in the cell and one in the ring at a time */
			if ((kind == CELL || kind == RING) && (kinds & 1u << kind))
				break;
			/*
			 * a pair needs both workers: nothing before it may be in their way but what
			 * has an end
			 */
			kinds |= 1u << kind;
			items += post(kind, &carried);
			if (round % 2)
				miss(random_below(workers));
			PAUSE_AT_RANDOM();
			if (kind == PAIR || kind == BACK)
				break;
		}
		wait_for(items);
		if (round % 16 == 1)
			count_asleep();
		PAUSE_AT_RANDOM();
		if (frames_used + 8 > FRAMES) {
			while (frames_used) {
				struct frame *f = &frame[--frames_used];

				if (filch_take(
					    &deque.hot, filch_index_add(carried, -1), &f->task) ||
					filch_sync_slow(&deque.hot, carried, &f->task))
					assert(false); /* all have run */
			}
		}
	}
}

/* What only pairs of tasks can show is not there with one worker. */
#if defined(MUTANT_CHAIN_LEFT_OUT) || defined(MUTANT_UNCOUNTED_LOOKS_NOT) || \
	defined(MUTANT_TRUST_KEPT) || defined(MUTANT_TRUST_WITHOUT_SECOND_LOOK)
enum { MODE_FIRST = 1 };
#else
enum { MODE_FIRST = 0 };
#endif

int main(void)
{
	for (unsigned mode = MODE_FIRST; mode < 2 * WORKERS; mode++) {
		pthread_t thread[WORKERS];

		workers = 1 + mode % WORKERS;
		fenced = mode / WORKERS;
		set_up();
		atomic_store(&executed, 0);
		atomic_store(&stop, false);
		frames_used = 0;
		rounds = scaled(fenced ? 30000 : 100000);
		seed_with(100);
		for (unsigned i = 0; i < workers; i++)
			assert(!pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)i));
		meet(&start, workers + 1);
		poster();
		atomic_store_explicit(&stop, true, memory_order_release);
		/*
		 * as filch_pool_destroy() does, and again and again, since our workers look at stop
		 * only between two parks
		 */
		while (atomic_load(&end.arrived) < workers) {
			for (unsigned i = 0; i < workers; i++)
				(void)filchi_idle_wake(
					&idle, &sleeper[i], filchi_load_acquire(&sleeper[i].state));
			sched_yield();
		}
		meet(&end, workers + 1);
		for (unsigned i = 0; i < workers; i++)
			pthread_join(thread[i], NULL);
		tear_down();
		COVERED(covered());
	}
	return 0;
}

#endif
