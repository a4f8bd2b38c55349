/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tasks: every spawned task runs exactly once and its result arrives, on 1, 2 and 32 workers:
 * irregular trees with arrays of frames, fib without a cut-off, deques that start with room for
 * two, the fenced mode, several threads that run trees at once, loops, and the untyped form. Count
 * and XOR of ids travel up as results; trees of a million ids are also entered in a ledger with a
 * bit each.
 *
 * In CI (scale 1) 1.6 * 10^8 tasks, 10^8 of them on two workers; the campaign of 10^9 is
 * FILCH_TEST_SCALE=10. timeout: 300
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "fib.h"
#include "ledger.h"
#include "pools.h"

static struct ledger ledger;

/* --- irregular trees -------------------------------------------------- */

struct sum {
	uint64_t count, xored;
};

static void add(struct sum *to, struct sum more)
{
	to->count += more.count;
	to->xored ^= more.xored;
}

/* Ids [begin, end), split at random; @keep: into the ledger as well. */
FILCH_TASK(struct sum, tree, (uint64_t, begin), (uint64_t, end), (bool, keep))
{
	FILCH_FRAME(tree) kid[8];
	struct sum sum = { 1, ledger_mix(begin) };
	uint64_t rng = begin * 2654435761u + end, at = begin + 1;
	unsigned n = 0;

	if (keep)
		ledger_enter(&ledger, begin);
	while (at < end) {
		uint64_t dice = test_random(&rng), step = 1 + dice / 16 % (1 + (end - at) / 2);

		switch (dice % 8) {
		case 0:
			add(&sum, FILCH_CALL(tree, at, at + step, keep));
			break;
		case 1: {
			FILCH_SPAWN(a, tree, at, at + step, keep);
			add(&sum, FILCH_SYNC(a));
			break;
		}
		case 2: {
			struct sum nested = { 0, 0 };
			/* a call, through a plain helper's door */
			int error = FILCH_RUN(NULL, &nested, tree, at, at + step, keep);

			CHECK_EQ(error, 0);
			add(&sum, nested);
			break;
		}
		default:
			if (n == 8)
				add(&sum, FILCH_SYNC_FROM(tree, &kid[--n]));
			FILCH_SPAWN_INTO(&kid[n++], tree, at, at + step, keep);
			break;
		}
		at += step;
	}
	while (n)
		add(&sum, FILCH_SYNC_FROM(tree, &kid[--n]));
	return sum;
}

static void check_sum(struct sum sum, uint64_t n)
{
	static _Thread_local uint64_t expected, expected_of;

	if (expected_of != n) {
		expected = 0;
		for (uint64_t id = 0; id < n; id++)
			expected ^= ledger_mix(id);
		expected_of = n;
	}
	CHECK_EQ(sum.count, n);
	CHECK_EQ(sum.xored, expected);
}

/*
 * Trees of a million ids (or @n if that is fewer) until @n are done and, if @steals, some were
 * stolen.
 */
static uint64_t trees(const struct filch_config *config, uint64_t n, bool keep)
{
	uint64_t done = 0, bound = 100 * n + 10000000;
	struct filch_pool *pool = pool_open_with(config);

	while (done < n || (config->workers > 1 && !pool_stats(pool).steals && done < bound)) {
		uint64_t piece = n < 1000000 ? n : 1000000;
		struct sum sum = { 0, 0 };

		test_watchdog(120);
		if (keep)
			ledger_open(&ledger, piece);
		CHECK_EQ(FILCH_RUN(pool, &sum, tree, 0, piece, keep), 0);
		check_sum(sum, piece);
		if (keep)
			ledger_close(&ledger);
		done += piece;
	}
	pool_close(pool);
	return done;
}

static struct filch_config config_of(uint32_t workers)
{
	return (struct filch_config){ .size = sizeof(struct filch_config),
		.workers = workers,
		.flags = FILCH_POOL_OVERSUBSCRIBE };
}

static void irregular_trees(uint32_t workers, uint64_t n)
{
	const struct filch_config config = config_of(workers);

	pools_begin();
	n = trees(&config, test_scaled(n), false) + trees(&config, test_scaled(1000000), true);
	while (workers > 1 && !(pools_sum.steals && pools_sum.joins_waited) && n < 10000000000)
		n += trees(&config, 100000, false);
	printf("    %llu tasks\n", (unsigned long long)n);
	pools_print();
	if (workers > 1) {
		POOLS_COVER(steals);
		POOLS_COVER(joins_waited);
	} else {
		CHECK_EQ(pools_sum.steals, 0);
	}
}

static void trees_on_one_worker(void)
{
	irregular_trees(1, 10000000);
}

static void trees_on_two_workers(void)
{
	irregular_trees(2, 100000000);
}

static void trees_on_32_workers(void)
{
	irregular_trees(32, 30000000);
}

static void deques_that_start_with_room_for_two(void)
{
	unsigned tries = 0;

	pools_begin();
	do {
		for (uint32_t workers = 1; workers <= 32; workers *= 2) {
			struct filch_config config = config_of(workers);

			config.deque_capacity = 2;
			for (uint64_t round = test_scaled(20); round--;)
				(void)trees(&config, test_scaled(20000), true);
		}
	} while (!(pools_sum.grows && pools_sum.steals) && tries++ < 1000);
	pools_print();
	POOLS_COVER(grows);
	POOLS_COVER(steals);
}

static void trees_in_the_fenced_mode(void)
{
	const struct filch_config config = config_of(2);
	unsigned tries = 0;

	setenv("FILCH_MEMBARRIER", "0", 1);
	pools_begin();
	do
		(void)trees(&config, test_scaled(3000000), true);
	while (!pools_sum.steals && tries++ < 1000);
	pools_print();
	unsetenv("FILCH_MEMBARRIER");
	POOLS_COVER(steals);
}

/* --- fib -------------------------------------------------------------- */

static long plain_fib(int n)
{
	long a = 0, b = 1;

	for (; n > 0; n--) {
		long c = a + b;

		a = b;
		b = c;
	}
	return a;
}

/*
 * A body that the compiler may put into itself: frames of several levels in one, and thieves
 * between them.
 */
FILCH_TASK_INLINE(long, fib_inline, (int, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib_inline, n - 1);
	long y = FILCH_CALL(fib_inline, n - 2);
	return FILCH_SYNC(a) + y;
}

static void run_fib(uint64_t spawns, bool inlined)
{
	int n = 5;

	while ((uint64_t)plain_fib(n + 1) < spawns) /* fib(n) spawns fib(n+1) - 1 tasks */
		n++;
	pools_begin();
	for (uint32_t workers = 1; workers <= 32; workers = workers == 2 ? 32 : workers * 2) {
		struct filch_pool *pool = pool_open(workers, 0);
		uint64_t tries = 0;

		do {
			long r = 0;

			test_watchdog(120);
			if (inlined)
				CHECK_EQ(FILCH_RUN(pool, &r, fib_inline, n), 0);
			else
				CHECK_EQ(FILCH_RUN(pool, &r, fib, n), 0);
			CHECK_EQ(r, plain_fib(n));
		} while (workers > 1 && !pool_stats(pool).steals && tries++ < 10000);
		printf("    fib(%d)%s on %u workers\n", n, inlined ? " inline" : "", workers);
		pool_close(pool);
	}
	pools_print();
	POOLS_COVER(steals);
}

static void fib_without_a_cut_off(void)
{
	run_fib(test_scaled(4000000), false);
}

static void fib_put_into_itself(void)
{
	run_fib(test_scaled(2000000), true);
}

/* --- several at once -------------------------------------------------- */

static struct filch_pool *shared_pool;

static void *run_trees(void *arg)
{
	uint64_t n = test_scaled(200000), me = (uintptr_t)arg;

	for (unsigned i = 0; i < 5; i++) {
		struct sum sum = { 0, 0 };

		CHECK_EQ(FILCH_RUN(shared_pool, &sum, tree, 0, n + me * 64 + i, false), 0);
		check_sum(sum, n + me * 64 + i);
	}
	return NULL;
}

static void four_threads_run_trees_at_once(void)
{
	pthread_t thread[4];
	unsigned tries = 0;

	pools_begin();
	do {
		test_watchdog(120);
		shared_pool = pool_open(4, 0);
		for (uintptr_t i = 0; i < 4; i++)
			CHECK_EQ(pthread_create(&thread[i], NULL, run_trees, (void *)i), 0);
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(pthread_join(thread[i], NULL), 0);
		pool_close(shared_pool);
	} while (!pools_sum.steals && tries++ < 1000);
	pools_print();
	POOLS_COVER(steals);
}

/* --- loops and the untyped form --------------------------------------- */

static void enter_range(size_t begin, size_t end, void *arg)
{
	for (size_t i = begin; i < end; i++)
		ledger_enter(arg, i);
}

static void count_range(size_t begin, size_t end, void *acc, void *arg)
{
	struct sum *sum = acc;

	(void)arg;
	for (size_t i = begin; i < end; i++)
		add(sum, (struct sum){ 1, ledger_mix(i) });
}

static void join_sums(void *acc, const void *right, void *arg)
{
	(void)arg;
	add(acc, *(const struct sum *)right);
}

static void loops_cover_each_index_once(void)
{
	uint64_t n = test_scaled(1000000);

	for (uint32_t workers = 1; workers <= 32; workers = workers == 2 ? 32 : workers * 2) {
		struct filch_pool *pool = pool_open(workers, 0);

		for (size_t grain = 0; grain < 100; grain = grain * 9 + 1) {
			const struct sum zero = { 0, 0 };
			struct sum sum = { 0, 0 };

			test_watchdog(120);
			ledger_open(&ledger, n);
			CHECK_EQ(filch_for(pool, 0, n, grain, enter_range, &ledger), 0);
			ledger_close(&ledger);
			CHECK_EQ(filch_reduce(pool, 0, n, grain, sizeof sum, &zero, count_range,
					 join_sums, NULL, &sum),
				0);
			check_sum(sum, n);
		}
		pool_close(pool);
	}
}

struct untyped {
	struct filch_task task; /* first */
	uint64_t begin, end;
	struct sum sum;
};

static void untyped_tree(struct filch_worker *worker, filch_index index, struct filch_task *task)
{
	struct filch_context here = { worker, index };
	struct untyped *me = (struct untyped *)(void *)task;
	uint64_t middle = me->begin + 1 + (me->end - me->begin - 1) / 2;
	struct untyped left = { .begin = me->begin + 1, .end = middle },
		       right = { .begin = middle, .end = me->end };

	ledger_enter(&ledger, me->begin);
	me->sum = (struct sum){ 1, ledger_mix(me->begin) };
	if (left.begin < left.end)
		filch_fork(&here, &left.task, untyped_tree);
	if (right.begin < right.end) {
		filch_fork(&here, &right.task, untyped_tree);
		filch_join(&here, &right.task, untyped_tree);
		add(&me->sum, right.sum);
	}
	if (left.begin < left.end) {
		filch_join(&here, &left.task, untyped_tree);
		add(&me->sum, left.sum);
	}
}

static int untyped_job(void *arg)
{
	struct untyped *top = arg;
	struct filch_context here;

	CHECK_EQ(filch_context_here(&here), 0);
	filch_fork(&here, &top->task, untyped_tree);
	filch_join(&here, &top->task, untyped_tree);
	return 0;
}

static void the_untyped_form_runs_each_task_once(void)
{
	uint64_t n = test_scaled(1000000);

	pools_begin();
	for (uint32_t workers = 1; workers <= 32; workers = workers == 2 ? 32 : workers * 2) {
		struct filch_pool *pool = pool_open(workers, 0);
		struct untyped top = { .end = n };
		int64_t id;

		test_watchdog(120);
		ledger_open(&ledger, n);
		id = filch_submit(pool, untyped_job, &top, NULL);
		CHECK(id > 0, "%lld", (long long)id);
		CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
		check_sum(top.sum, n);
		ledger_close(&ledger);
		pool_close(pool);
	}
	pools_print();
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("the ledger finds a duplicate and a loss", ledger_self_test);
	test_case("each task of irregular trees runs once on 1 worker", trees_on_one_worker);
	test_case("each task of irregular trees runs once on 2 workers", trees_on_two_workers);
	test_case("each task of irregular trees runs once on 32 workers", trees_on_32_workers);
	test_case("each task runs once in deques that start with room for two",
		deques_that_start_with_room_for_two);
	test_case("each task runs once in the fenced mode", trees_in_the_fenced_mode);
	test_case("fib without a cut-off is right on 1, 2 and 32 workers", fib_without_a_cut_off);
	test_case("fib whose body is inline is right on 1, 2 and 32 workers", fib_put_into_itself);
	test_case("four threads run trees in one pool at once", four_threads_run_trees_at_once);
	test_case("loops cover each index once", loops_cover_each_index_once);
	test_case("the untyped form runs each task once", the_untyped_form_runs_each_task_once);
	return test_finish("tasks");
}
