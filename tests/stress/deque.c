/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deque: the task at an index leaves exactly once, whoever takes it; the owner takes the newest,
 * thieves the oldest; growth loses nothing while others steal. A ladder: one thread, 1+1, a
 * stampede on one victim, growth from capacity 2, the last item, no starvation, destruction; in
 * both modes (membarrier, fenced); then with random yields in the race windows, from 20 seeds.
 *
 * The headers of the deque and of the join are compiled into this driver, with hooks; the cold half
 * of spawn and sync, which the library has in await.c and worker.c, is a small one of its own here,
 * which waits by yielding and counts what it saw.
 *
 * In CI (scale 1) about 45 million tasks; the campaign is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define FILCH_HOOKS
#define FILCHI_DEQUE_MAX deque_max
#include <filch/task.h>
static filch_index deque_max = INT32_C(1) << 24;
#include "struct/join.h"
#include "base/membarrier.h"

#include "ledger.h"
#include "test.h"

#define THIEVES 4u

/* What a worker is here: 0 is the victim, 1 to THIEVES steal. */
struct hand {
	struct filchi_deque deque; /* first */
	uint32_t id;
	uint64_t rng;
	uint64_t steals, lost, barred, won_last, lost_last, waited, inlined;
};

static struct hand hands[1 + THIEVES];
static struct filchi_marks marks = {
	.base = (uintptr_t)hands, .stride = sizeof hands[0], .size = sizeof hands
};
static struct filchi_team team_of_all;
/* of segments without a task, which come and go between the others: no task may be found there */
static struct filchi_team team_of_none;
static struct ledger ledger;
static bool fenced;
static unsigned thieves;
static _Atomic bool stop;

/* --- hooks ------------------------------------------------------------ */

static _Atomic unsigned hook_rate; /* one in so many visits yields; 0: none */
static _Atomic uint64_t hook_visits, hook_yields, hook_seed;
static _Thread_local uint64_t hook_rng;

void filchi_hook(const char *point)
{
	unsigned rate = atomic_load_explicit(&hook_rate, memory_order_relaxed);

	if (!rate)
		return;
	if (!hook_rng)
		hook_rng = hook_seed ^ (uintptr_t)&hook_rng ^ (uintptr_t)point;
	atomic_fetch_add_explicit(&hook_visits, 1, memory_order_relaxed);
	if (test_random(&hook_rng) % rate)
		return;
	atomic_fetch_add_explicit(&hook_yields, 1, memory_order_relaxed);
	for (unsigned i = 0; i < 1 + rate % 3; i++)
		sched_yield();
}

/* --- the cold half ---------------------------------------------------- */

static struct hand *hand_of(struct filch_worker *hot)
{
	return (struct hand *)(void *)hot;
}

static void run_stolen(struct hand *h, struct filch_task *task, struct filchi_team *team)
{
	filch_thunk *thunk = filchi_task_begin(task, &marks, h->id);
	unsigned decoys = (unsigned)(test_random(&h->rng) % 4);

	for (unsigned i = 0; i < decoys; i++)
		CHECK(filchi_segment_open(&h->deque, &team_of_none, NULL), "too deep");
	CHECK(filchi_segment_open(&h->deque, team, task), "stolen tasks lie too deep");
	thunk(&h->deque.hot, filchi_deque_carried(&h->deque), task);
	for (unsigned i = 0; i <= decoys; i++)
		filchi_segment_close(&h->deque);
	CHECK_EQ(filchi_task_finish(task, &marks), -1); /* nobody parks here */
	(void)filchi_fetch_sub_acq_rel(&team->inside, 1);
}

/* One attempt of @h at @victim. */
static bool attempt(struct hand *h, struct hand *victim)
{
	static const struct filchi_filter anything = { .any = true };
	struct filch_task *task;
	struct filchi_team *team = NULL;
	struct filchi_found in;

	switch (filchi_deque_steal(&victim->deque, &anything, &task, &team, &in)) {
	case FILCHI_STEAL_GOT:
		CHECK(team == &team_of_all, "a stolen task belongs to team %p", (void *)team);
		h->steals++;
		run_stolen(h, task, team);
		return true;
	case FILCHI_STEAL_RACED:
		h->lost++;
		if (team)
			(void)filchi_fetch_sub_acq_rel(&team->inside, 1);
		return false;
	case FILCHI_STEAL_BARRED:
		h->barred++;
		return false;
	default:
		return false;
	}
}

filch_index filch_push_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct hand *h = hand_of(hot);
	filch_index index;

	if (filchi_deque_push_slow(&h->deque, carried, task, &index))
		return filch_index_add(index, 1);
	h->inlined++;
	((filch_thunk *)filch_load_relaxed(&task->word))(
		hot, filchi_deque_carried(&h->deque), task);
	filch_store_relaxed(&task->word, 0);
	return carried;
}

/* These threads are no workers of a pool. */
int filch_context_here(struct filch_context *context)
{
	(void)context;
	return -EPERM;
}

void filch_push_asked(struct filch_worker *hot)
{
	filch_store_relaxed(&hot->ask, 0);
}

void filch_take_quiet(struct filch_worker *hot)
{
	filchi_deque_look(&hand_of(hot)->deque);
}

bool filch_sync_slow(struct filch_worker *hot, filch_index carried, struct filch_task *task)
{
	struct hand *h = hand_of(hot);

	if (filchi_task_done(task)) {
		filchi_deque_settle(&h->deque, carried);
		return false;
	}
	if (filchi_deque_take_last(&h->deque, carried, filch_index_add(carried, -1))) {
		h->won_last++;
		return true;
	}
	h->lost_last++;
	/*
	 * rule 1: while the owner waits it may take its own tasks, by steal; half the time it does
	 */
	while (!filchi_task_done(task)) {
		if (test_random(&h->rng) % 2 || !attempt(h, h))
			sched_yield();
	}
	h->waited++;
	return false;
}

static void *thief_main(void *arg)
{
	struct hand *h = arg;

	while (!stop) {
		unsigned victim = test_random(&h->rng) % 4
					  ? 0
					  : (unsigned)(test_random(&h->rng) % (1 + thieves));

		if (victim == h->id || !attempt(h, &hands[victim]))
			sched_yield();
	}
	return NULL;
}

static pthread_t threads[1 + THIEVES];

static void open_hands(unsigned n, filch_index capacity)
{
	thieves = n;
	stop = false;
	filch_store_relaxed(&team_of_all.inside, 0);
	memset((void *)hands, 0, sizeof hands);
	for (unsigned i = 0; i <= n; i++) {
		hands[i].id = i;
		hands[i].rng = test_seed() + i;
		CHECK_EQ(filchi_deque_init(&hands[i].deque, capacity, fenced), 0);
	}
	CHECK(filchi_segment_open(&hands[0].deque, &team_of_all, NULL), "no segment");
	for (unsigned i = 1; i <= n; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, thief_main, &hands[i]), 0);
}

static struct hand total; /* sums since the case began */
static uint64_t total_grows;

static void close_hands(void)
{
	stop = true;
	for (unsigned i = 1; i <= thieves; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	filchi_segment_close(&hands[0].deque);
	for (unsigned i = 0; i <= thieves; i++) {
		struct hand *h = &hands[i];

		CHECK(filchi_deque_seems_empty(&h->deque), "deque %u holds a task at the end", i);
		CHECK_EQ(filch_load_relaxed(&h->deque.depth), 0);
		total.steals += h->steals;
		total.lost += h->lost;
		total.won_last += h->won_last;
		total.lost_last += h->lost_last;
		total.waited += h->waited;
		total.inlined += h->inlined;
		total_grows += h->deque.grows;
		filchi_deque_destroy(&h->deque);
	}
	CHECK_EQ(filchi_load_acquire(&team_of_all.inside), 0);
}

static void totals_begin(void)
{
	memset((void *)&total, 0, sizeof total);
	total_grows = 0;
}

static void totals_print(void)
{
	printf("    steals %llu, lost races %llu, grows %llu, last items won %llu and lost %llu, "
	       "waits %llu, inlined %llu\n",
		(unsigned long long)total.steals, (unsigned long long)total.lost,
		(unsigned long long)total_grows, (unsigned long long)total.won_last,
		(unsigned long long)total.lost_last, (unsigned long long)total.waited,
		(unsigned long long)total.inlined);
}

/* --- the work --------------------------------------------------------- */

/*
 * Ids [begin, end): enters the first, and splits the rest at random into children that are spawned
 * into an array, spawned alone or called; now and then syncs some and spawns more, so that frames
 * are used again above a floor that thieves have raised. Returns how many ids it has covered.
 */
FILCH_TASK(uint64_t, walk, (uint64_t, begin), (uint64_t, end), (unsigned, width))
{
	FILCH_FRAME(walk) kid[64];
	uint64_t rng = begin * 2654435761u + end, sum = 1, at = begin + 1;
	unsigned n = 0;

	if (begin == end)
		return 0;
	ledger_enter(&ledger, begin);
	if (thieves && begin % 16 == 0)
		sched_yield(); /* tasks this small are gone before anybody comes */
	while (at < end) {
		uint64_t dice = test_random(&rng), step = 1 + dice / 16 % (1 + (end - at) / 2);

		switch (dice % 8) {
		case 0:
			sum += FILCH_CALL(walk, at, at + step, width);
			break;
		case 1: {
			FILCH_SPAWN(a, walk, at, at + step, width);
			sum += FILCH_SYNC(a);
			break;
		}
		case 2:
			for (uint64_t back = dice / 8 % 3; n && back--;)
				sum += FILCH_SYNC_FROM(walk, &kid[--n]);
			continue;
		default:
			if (n == width)
				sum += FILCH_SYNC_FROM(walk, &kid[--n]);
			FILCH_SPAWN_INTO(&kid[n++], walk, at, at + step, width);
			break;
		}
		at += step;
	}
	while (n)
		sum += FILCH_SYNC_FROM(walk, &kid[--n]);
	return sum;
}

/* Runs @n ids through the walk on the victim's deque. */
static void walk_all(uint64_t n, unsigned width)
{
	struct filch_worker *filch_worker_ = &hands[0].deque.hot;
	filch_index filch_carried_ = filchi_deque_carried(&hands[0].deque);

	ledger_open(&ledger, n);
	CHECK_EQ(FILCH_CALL(walk, 0, n, width), n);
	ledger_close(&ledger);
}

/* A task that does nothing, for cases that look at single items. */
FILCH_VOID_TASK(item, (uint64_t, id))
{
	ledger_enter(&ledger, id);
}

/* --- the ladder ------------------------------------------------------- */

static void one_thread_takes_the_newest_and_steals_the_oldest(void)
{
	struct filchi_team other = { 0 };
	const struct filchi_filter any = { .any = true }, mine = { .team = { &team_of_all } },
				   others = { .team = { &other } };
	struct filch_task *task;
	struct filchi_team *team = NULL;
	struct filchi_found in;
	struct filch_worker *w;
	struct filchi_deque *d = &hands[0].deque;
	FILCH_FRAME(item) kid[64];
	filch_index carried;

	open_hands(0, 2);
	w = &d->hot;
	carried = filchi_deque_carried(d);
	ledger_open(&ledger, 64);

	/* a steal and a take on an empty, fresh deque come first */
	CHECK_EQ(filchi_deque_steal(d, &any, &task, &team, &in), FILCHI_STEAL_EMPTY);
	filch_store_relaxed(&kid[0].filch_task_.word, (uintptr_t)1);
	CHECK(!filch_take(w, filch_index_add(carried, -1), &kid[0].filch_task_),
		"a take on an empty deque");
	filch_store_relaxed(&kid[0].filch_task_.word, (uintptr_t)0);
	CHECK(!filch_sync_slow(w, carried, &kid[0].filch_task_),
		"a slow sync of a task that is done");
	CHECK_EQ(filchi_deque_carried(d), carried);

	for (unsigned i = 0; i < 64; i++)
		(void)item_filch_spawn(w, &carried, &kid[i], i);
	CHECK_EQ(d->grows, 5); /* 2 to 64 */
	CHECK_EQ(filchi_deque_steal(d, &others, &task, &team, &in), FILCHI_STEAL_BARRED);
	CHECK_EQ(filch_load_relaxed(&team_of_all.inside), 0);
	for (unsigned i = 0; i < 32; i++) {
		CHECK_EQ(filchi_deque_steal(d, i % 2 ? &any : &mine, &task, &team, &in),
			FILCHI_STEAL_GOT);
		CHECK(task == &kid[i].filch_task_, "steal %u did not get the oldest task", i);
		CHECK(team == &team_of_all, "team %p", (void *)team);
		run_stolen(&hands[0], task, team);
	}
	CHECK_EQ(filch_load_relaxed(&team_of_all.inside), 0);
	for (unsigned i = 64; i-- > 0;) {
		bool mine_to_run = filch_take(w, filch_index_add(carried, -1), &kid[i].filch_task_);

		/* the task at top is decided by CAS, those below it were stolen */
		CHECK_EQ(mine_to_run, i > 32);
		if (!mine_to_run) {
			CHECK_EQ(filch_sync_slow(w, carried, &kid[i].filch_task_), i == 32);
			mine_to_run = i == 32;
		} else {
			carried = filch_index_add(carried, -1);
		}
		if (mine_to_run)
			ledger_enter(&ledger, i);
	}
	ledger_close(&ledger);
	CHECK_EQ(filchi_deque_steal(d, &any, &task, &team, &in), FILCHI_STEAL_EMPTY);

	/* below the floor that the thieves have left, the same indices are never used again */
	carried = 0;
	ledger_open(&ledger, 1);
	(void)item_filch_spawn(w, &carried, &kid[0], 0);
	CHECK(filch_index_after(carried, 33), "a push below top");
	CHECK_EQ(filchi_deque_steal(d, &any, &task, &team, &in), FILCHI_STEAL_GOT);
	run_stolen(&hands[0], task, team);
	CHECK(!filch_sync_slow(w, carried, &kid[0].filch_task_), "a stolen task is the owner's");
	ledger_close(&ledger);
	close_hands();
}

static void one_thread_alone_runs_everything_itself(void)
{
	totals_begin();
	for (filch_index capacity = 2; capacity <= 64; capacity *= 4) {
		open_hands(0, capacity);
		walk_all(test_scaled(200000), 64);
		close_hands();
	}
	totals_print();
	CHECK_EQ(total.steals, 0);
	CHECK(total_grows > 0, "no deque grew");
}

/*
 * Walks until @enough of the totals says so, at least @n ids and at most a hundred times as many.
 */
static void walk_until(
	unsigned n_thieves, filch_index capacity, unsigned width, uint64_t n, bool (*enough)(void))
{
	uint64_t done = 0;

	totals_begin();
	while (done < n || (!enough() && done < 100 * n + 1000000)) {
		uint64_t piece = n < 50000 ? n : 50000;

		test_watchdog(120);
		open_hands(n_thieves, capacity);
		walk_all(piece, width);
		close_hands();
		done += piece;
	}
	totals_print();
	CHECK(enough(), "after %llu ids not all events have occurred that this case is about",
		(unsigned long long)done);
}

static bool stolen_and_both_last(void)
{
	return total.steals && total.won_last && total.lost_last && total.waited;
}

static void owner_and_one_thief_share_every_task(void)
{
	walk_until(1, 64, 16, test_scaled(4000000), stolen_and_both_last);
}

static bool stolen_lost_and_both_last(void)
{
	return stolen_and_both_last() && total.lost;
}

static void four_thieves_on_one_victim_share_every_task(void)
{
	hook_rate = 16; /* on two cores races are rare otherwise */
	walk_until(4, 64, 16, test_scaled(4000000), stolen_lost_and_both_last);
	hook_rate = 0;
}

static bool stolen_and_grown(void)
{
	return total.steals && total_grows && total.lost_last;
}

static void growth_loses_nothing_while_others_steal(void)
{
	walk_until(4, 2, 64, test_scaled(4000000), stolen_and_grown);
}

static bool stolen_and_inlined(void)
{
	return total.steals && total.inlined;
}

static void a_deque_that_may_not_grow_runs_tasks_at_their_spawn(void)
{
	deque_max = 4;
	walk_until(2, 2, 64, test_scaled(200000), stolen_and_inlined);
	deque_max = INT32_C(1) << 24;
}

/* One item at a time, taken by the owner at once: whoever is faster. */
static void the_last_item_goes_to_exactly_one_taker(void)
{
	uint64_t n = test_scaled(300000), done = 0;

	totals_begin();
	hook_rate = 4;
	do {
		uint64_t piece = n < 20000 ? n : 20000;
		struct filch_worker *w;
		filch_index carried;

		test_watchdog(120);
		open_hands(2, 2);
		w = &hands[0].deque.hot;
		carried = filchi_deque_carried(&hands[0].deque);
		ledger_open(&ledger, piece);
		for (uint64_t i = 0; i < piece; i++) {
			FILCH_FRAME(item) kid;

			(void)item_filch_spawn(w, &carried, &kid, i);
			for (uint64_t spin = test_random(&hands[0].rng) % 64; spin--;)
				filchi_pause();
			if (i % 64 == 0)
				sched_yield();
			item_filch_sync(w, &carried, &kid);
			CHECK(ledger_has(&ledger, i), "item %llu has not run when its sync is done",
				(unsigned long long)i);
		}
		close_hands();
		ledger_close(&ledger);
		done += piece;
	} while (done < n || (!(total.won_last && total.lost_last && total.steals && total.lost) &&
				     done < 100 * n + 1000000));
	hook_rate = 0;
	totals_print();
	CHECK(total.won_last && total.lost_last, "one side never won the last item");
	CHECK(total.lost, "no thief ever lost a race");
}

static void every_thief_gets_something(void)
{
	uint64_t got[1 + THIEVES] = { 0 }, least = 0;
	unsigned rounds = 0;

	totals_begin();
	while (!least && rounds++ < 2000) {
		test_watchdog(120);
		open_hands(4, 64);
		walk_all(20000, 32);
		close_hands();
		least = UINT64_MAX;
		for (unsigned i = 1; i <= THIEVES; i++) {
			got[i] += hands[i].steals;
			least = got[i] < least ? got[i] : least;
		}
	}
	totals_print();
	printf("    after %u rounds the thieves have %llu, %llu, %llu, %llu tasks\n", rounds,
		(unsigned long long)got[1], (unsigned long long)got[2], (unsigned long long)got[3],
		(unsigned long long)got[4]);
	CHECK(least > 0, "a thief got nothing");
}

/*
 * Deques that have grown are destroyed while thieves' last look is just over; ASan and valgrind see
 * arrays freed too early or not.
 */
static void destruction_leaves_nothing_behind(void)
{
	uint64_t rounds = test_scaled(2000);

	totals_begin();
	for (uint64_t i = 0; i < rounds; i++) {
		test_watchdog(120);
		open_hands(1, 2);
		walk_all(200, 64);
		close_hands();
	}
	totals_print();
	CHECK(total_grows > 0, "no deque grew");
}

static void twenty_seeds_of_yields_in_the_race_windows_lose_nothing(void)
{
	uint64_t n = test_scaled(600000);

	totals_begin();
	hook_visits = hook_yields = 0;
	for (unsigned seed = 0; seed < 20; seed++) {
		hook_seed = test_seed() + seed * UINT64_C(0x9e3779b97f4a7c15);
		hook_rate = 1 + seed % 7;
		for (uint64_t done = 0; done < n; done += 20000) {
			test_watchdog(120);
			open_hands(1 + seed % 4, 2 << seed % 3);
			walk_all(n < 20000 ? n : 20000, 4 + seed);
			close_hands();
		}
	}
	hook_rate = 0;
	totals_print();
	printf("    windows visited %llu times, %llu yields, FILCH_TEST_SEED=%llu\n",
		(unsigned long long)hook_visits, (unsigned long long)hook_yields,
		(unsigned long long)test_seed());
	CHECK(hook_yields > 0 && total.steals > 0, "no window was visited");
}

static void ladder(const char *mode)
{
	static const struct {
		const char *name;
		void (*body)(void);
	} step[] = {
		{ "one thread takes the newest and steals the oldest",
			one_thread_takes_the_newest_and_steals_the_oldest },
		{ "one thread alone runs everything itself",
			one_thread_alone_runs_everything_itself },
		{ "owner and one thief share every task", owner_and_one_thief_share_every_task },
		{ "four thieves on one victim share every task",
			four_thieves_on_one_victim_share_every_task },
		{ "growth loses nothing while others steal",
			growth_loses_nothing_while_others_steal },
		{ "a deque that may not grow runs tasks at their spawn",
			a_deque_that_may_not_grow_runs_tasks_at_their_spawn },
		{ "the last item goes to exactly one taker",
			the_last_item_goes_to_exactly_one_taker },
		{ "every thief gets something", every_thief_gets_something },
		{ "destruction leaves nothing behind", destruction_leaves_nothing_behind },
		{ "twenty seeds of yields in the race windows lose nothing",
			twenty_seeds_of_yields_in_the_race_windows_lose_nothing },
	};

	for (size_t i = 0; i < sizeof step / sizeof step[0]; i++) {
		char name[128];

		snprintf(name, sizeof name, "%s: %s", mode, step[i].name);
		test_case(name, step[i].body);
	}
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("the ledger finds a duplicate and a loss", ledger_self_test);
	fenced = true;
	ladder("fenced");
	fenced = false;
	if (filchi_membarrier_register())
		ladder("membarrier");
	else
		printf("  membarrier(2) is refused here: the light mode cannot be tested\n");
	return test_finish("deque");
}
