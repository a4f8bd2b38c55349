/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join: waiting for a stolen task, and for a job, within the rules of the stack. Deep chains of
 * spawns; joins that wait, help and park; frames used again and again while thieves complete them;
 * jobs that wait for jobs; no work of a stranger is ever started on top of a suspended frame (every
 * job and task enters its job's id in a stack of its worker's, and looks at what lies below it);
 * and where little stack is left nothing more is started.
 *
 * In CI (scale 1) about 10^6 joins that wait; the campaign is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "ledger.h"
#include "pools.h"
#include "stack.h"

#define WORKERS_MAX 32u
/* Frames are several times larger where each variable has red zones around it. */
#define DEEP_STACK ((TEST_SANITIZED ? 8u : 1u) * (UINT64_C(8) << 20))

static struct filch_pool *pool;

static void look_elsewhere(uint64_t dice)
{
	if (dice % 64 == 0)
		sched_yield();
}

/* --- deep chains ------------------------------------------------------ */

FILCH_TASK(uint64_t, chain, (uint64_t, n))
{
	if (!n)
		return 0;
	FILCH_SPAWN(kid, chain, n - 1);
	look_elsewhere(n);
	return FILCH_SYNC(kid) + 1;
}

static void chains_on(uint32_t workers, uint64_t flags)
{
	uint64_t n = test_scaled(200);

	pool = pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
		.workers = workers,
		.flags = flags | FILCH_POOL_OVERSUBSCRIBE,
		.stack_bytes = DEEP_STACK });
	for (uint64_t i = 0; i < n; i++) {
		uint64_t depth = 0;

		test_watchdog(120);
		CHECK_EQ(FILCH_RUN(pool, &depth, chain, 10000), 0);
		CHECK_EQ(depth, 10000);
	}
	pool_close(pool);
}

static void chains_of_ten_thousand_spawns_end(void)
{
	pools_begin();
	chains_on(1, 0);
	CHECK_EQ(pools_sum.steals, 0);
	do {
		chains_on(2, 0);
		chains_on(2, FILCH_POOL_NO_SEARCH);
		chains_on(32, 0);
	} while (!(pools_sum.joins_waited && pools_sum.parks) && pools_sum.jobs < 1000000);
	pools_print();
	POOLS_COVER(steals);
	POOLS_COVER(joins_waited);
	POOLS_COVER(parks);
}

/* --- joins that wait, and frames used again --------------------------- */

/*
 * The result depends on the argument, so that a frame that is written too late or too early shows.
 */
FILCH_TASK(uint64_t, stir, (uint64_t, seed), (unsigned, depth))
{
	FILCH_FRAME(stir) kid[3];
	uint64_t sum = ledger_mix(seed), rng = seed;

	if (!depth)
		return sum;
	/* the same three frames in several rounds */
	for (unsigned round = 0; round < 4; round++) {
		unsigned n = 1 + (unsigned)(test_random(&rng) % 3);

		for (unsigned i = 0; i < n; i++)
			FILCH_SPAWN_INTO(&kid[i], stir, seed * 16 + round * 4 + i, depth - 1);
		look_elsewhere(test_random(&rng));
		for (unsigned i = n; i--;)
			sum = sum * 31 + FILCH_SYNC_FROM(stir, &kid[i]);
	}
	return sum;
}

/* The same, serially. */
static uint64_t stir_serially(uint64_t seed, unsigned depth)
{
	uint64_t sum = ledger_mix(seed), rng = seed;

	if (!depth)
		return sum;
	for (unsigned round = 0; round < 4; round++) {
		unsigned n = 1 + (unsigned)(test_random(&rng) % 3);

		(void)test_random(&rng);
		for (unsigned i = n; i--;)
			sum = sum * 31 + stir_serially(seed * 16 + round * 4 + i, depth - 1);
	}
	return sum;
}

static void frames_are_used_again_only_when_their_task_is_done(void)
{
	uint64_t expected = stir_serially(1, 5), n = test_scaled(60), round = 0;

	pools_begin();
	do {
		pool = pool_open(round % 3 == 0   ? 2
				 : round % 3 == 1 ? 4
						  : 16,
			round % 2 ? FILCH_POOL_NO_SEARCH : 0);
		for (unsigned i = 0; i < 4; i++) {
			uint64_t sum = 0;

			test_watchdog(120);
			CHECK_EQ(FILCH_RUN(pool, &sum, stir, 1, 5), 0);
			CHECK_EQ(sum, expected);
		}
		pool_close(pool);
	} while (++round < n ||
		 (!(pools_sum.joins_waited && pools_sum.parks && pools_sum.raced) && round < 5000));
	pools_print();
	POOLS_COVER(steals);
	POOLS_COVER(raced);
	POOLS_COVER(joins_waited);
	POOLS_COVER(parks);
}

/* --- jobs that wait for jobs ------------------------------------------ */

struct nest {
	uint64_t n;   /* how many jobs hang on this one */
	uint64_t sum; /* how many have run */
};

static int nested_chain(void *arg)
{
	struct nest *me = arg, below = { .n = me->n - 1 };
	struct filch_completion c;
	int64_t id;

	me->sum = 1;
	CHECK_EQ(filch_wait(filch_pool_current(), filch_job_id(), NULL, NULL), -EDEADLK);
	if (!me->n)
		return 0;
	id = filch_submit(filch_pool_current(), nested_chain, &below, NULL);
	CHECK(id > 0, "%lld", (long long)id);
	look_elsewhere(me->n);
	CHECK_EQ(filch_wait(filch_pool_current(), id, NULL, &c), 0);
	CHECK_EQ(c.status, 0);
	me->sum += below.sum;
	return 0;
}

/* Four jobs below each, waited for oldest first or newest first. */
static int nested_tree(void *arg)
{
	struct nest *me = arg, below[4];
	int64_t id[4];

	me->sum = 1;
	if (!me->n)
		return 0;
	for (unsigned i = 0; i < 4; i++) {
		below[i] = (struct nest){ .n = me->n - 1 };
		id[i] = filch_submit(filch_pool_current(), nested_tree, &below[i], NULL);
		CHECK(id[i] > 0, "%lld", (long long)id[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		unsigned k = me->n % 2 ? i : 3 - i;

		CHECK_EQ(filch_wait(filch_pool_current(), id[k], NULL, NULL), 0);
		me->sum += below[k].sum;
	}
	return 0;
}

static void nest_on(uint32_t workers, uint64_t flags)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = workers,
		.queue_capacity = 16,
		.jobs_max = 16384,
		.flags = flags | FILCH_POOL_OVERSUBSCRIBE,
		.stack_bytes = DEEP_STACK };
	uint64_t n = test_scaled(30);

	pool = pool_open_with(&config);
	for (uint64_t round = 0; round < n; round++) {
		struct nest c[4] = { { 200, 0 }, { 199, 0 }, { 7, 0 }, { 150, 0 } },
			    t[2] = { { 4, 0 }, { 5, 0 } };
		int64_t id[6];

		test_watchdog(120);
		for (unsigned i = 0; i < 6; i++) {
			id[i] = i < 4 ? filch_submit(pool, nested_chain, &c[i], NULL)
				      : filch_submit(pool, nested_tree, &t[i - 4], NULL);
			CHECK(id[i] > 0, "%lld", (long long)id[i]);
		}
		for (unsigned i = 6; i--;)
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(c[i].sum, c[i].n + 1);
		CHECK_EQ(t[0].sum, 1 + 4 + 16 + 64 + 256);
		CHECK_EQ(t[1].sum, 1 + 4 + 16 + 64 + 256 + 1024);
	}
	pool_close(pool);
}

static void jobs_may_wait_for_jobs_on_1_2_and_32_workers(void)
{
	pools_begin();
	nest_on(1, 0);
	do {
		nest_on(2, 0);
		nest_on(2, FILCH_POOL_NO_SEARCH);
		nest_on(32, 0);
	} while (!(pools_sum.jobs_nested && pools_sum.parks) && pools_sum.jobs < 100000000);
	pools_print();
	POOLS_COVER(jobs_nested);
	POOLS_COVER(parks);
}

/* --- rule 3 ----------------------------------------------------------- */

/*
 * What lies on a worker's stack: whose work, and for which job it waits. Written by its worker
 * alone.
 */
struct level {
	int64_t id, awaits;
};

static struct {
	_Alignas(128) struct level level[4096];
	unsigned depth;
} stack[WORKERS_MAX];

static _Atomic uint64_t on_top_of_own, on_top_of_waiting, on_empty;

static void come_in(void)
{
	int worker = filch_worker_id();
	int64_t id = filch_job_id();

	CHECK(worker >= 0 && worker < (int)WORKERS_MAX, "worker %d", worker);
	CHECK(id > 0, "work without a job");
	CHECK(stack[worker].depth < 4096, "%u frames", stack[worker].depth);
	if (!stack[worker].depth) {
		on_empty++;
	} else {
		struct level top = stack[worker].level[stack[worker].depth - 1];

		CHECK(top.id == id || top.awaits == id,
			"work of job %llx was started on top of a frame of job %llx, which waits "
			"for %llx",
			(unsigned long long)id, (unsigned long long)top.id,
			(unsigned long long)top.awaits);
		if (top.id == id)
			on_top_of_own++;
		else
			on_top_of_waiting++;
	}
	stack[worker].level[stack[worker].depth++] = (struct level){ .id = id };
}

static void go_out(void)
{
	int worker = filch_worker_id();

	/* a frame stays with its worker, its job with it */
	CHECK_EQ(stack[worker].level[--stack[worker].depth].id, filch_job_id());
}

static int wait_on_record(int64_t id)
{
	struct level *top = &stack[filch_worker_id()].level[stack[filch_worker_id()].depth - 1];
	int error;

	top->awaits = id;
	error = filch_wait(filch_pool_current(), id, NULL, NULL);
	top->awaits = 0;
	return error;
}

static int recorded_job(void *arg);

FILCH_TASK(uint64_t, recorded, (uint64_t, seed), (unsigned, depth))
{
	FILCH_FRAME(recorded) kid[3];
	uint64_t sum = 1, rng = seed;
	unsigned n;

	come_in();
	n = depth ? (unsigned)(test_random(&rng) % 4) : 0;
	for (unsigned i = 0; i < n; i++)
		FILCH_SPAWN_INTO(&kid[i], recorded, seed * 4 + i, depth - 1);
	look_elsewhere(test_random(&rng));
	if (depth == 2 && test_random(&rng) % 8 == 0) {
		struct nest below = { .n = 3 };
		int64_t id = filch_submit(filch_pool_current(), recorded_job, &below, NULL);

		CHECK(id > 0, "%lld", (long long)id);
		CHECK_EQ(wait_on_record(id), 0);
		sum += below.sum;
	}
	while (n)
		sum += FILCH_SYNC_FROM(recorded, &kid[--n]);
	go_out();
	return sum;
}

static int recorded_job(void *arg)
{
	struct nest *me = arg;

	come_in();
	CHECK_EQ(FILCH_RUN(NULL, &me->sum, recorded, (uint64_t)(uintptr_t)me % 1000 + me->n * 1000,
			 (unsigned)me->n),
		0);
	go_out();
	return 0;
}

static void strangers_on(uint32_t workers, uint64_t flags)
{
	enum { JOBS = 12 };
	struct nest top[JOBS];
	int64_t id[JOBS];
	uint64_t n = test_scaled(60);

	pool = pool_open(workers, flags);
	for (uint64_t round = 0; round < n; round++) {
		test_watchdog(120);
		for (unsigned i = 0; i < JOBS; i++) {
			top[i] = (struct nest){ .n = 6 + i % 3 };
			id[i] = filch_submit(pool, recorded_job, &top[i], NULL);
			CHECK(id[i] > 0, "%lld", (long long)id[i]);
		}
		for (unsigned i = 0; i < JOBS; i++) {
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
			CHECK(top[i].sum > 0, "job %u did nothing", i);
		}
	}
	pool_close(pool);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		CHECK_EQ(stack[i].depth, 0);
}

static void no_stranger_is_started_on_top_of_a_frame(void)
{
	unsigned round = 0;

	pools_begin();
	on_top_of_own = on_top_of_waiting = on_empty = 0;
	do {
		strangers_on(2, 0);
		strangers_on(4, FILCH_POOL_NO_SEARCH);
		strangers_on(32, 0);
	} while (!(pools_sum.steals && pools_sum.joins_waited && pools_sum.jobs_nested &&
			 pools_sum.barred) &&
		 ++round < 1000);
	pools_print();
	printf("    on an empty stack %llu, on its own job's frames %llu, on frames that waited "
	       "for it %llu\n",
		(unsigned long long)on_empty, (unsigned long long)on_top_of_own,
		(unsigned long long)on_top_of_waiting);
	POOLS_COVER(steals);
	POOLS_COVER(joins_waited);
	POOLS_COVER(jobs_nested);
	POOLS_COVER(barred);
	CHECK(on_top_of_waiting > 0, "no awaited job ran on top of its waiter");
}

/* --- little stack ----------------------------------------------------- */

#define SMALL_STACK (UINT64_C(256) << 10)
/* on a suspended frame with less than this left nothing stolen is started */
#define LIBRARY_LIMIT (UINT64_C(32) << 10)
#define USERS_LIMIT   (UINT64_C(24) << 10) /* how far down the tasks go by themselves */
/* from the wait to the first statement of what it starts, generously */
#define START_COST (UINT64_C(3) << 10)

static _Atomic uint64_t least_left, low_joins, stolen_starts;

struct dug {
	uint64_t sum;
	int worker; /* that ran it */
};

/*
 * Goes down until its own limit, below the library's, spawning at every step; what is stolen goes
 * down again, from wherever it is started. A join below the library's limit must not start
 * anything: what a thief runs there would begin with less than is left at the limit.
 */
FILCH_TASK(struct dug, dig, (int, spawner), (unsigned, depth))
{
	volatile char pad[512];
	const int me = filch_worker_id();
	uint64_t left = stack_left();
	struct dug dug = { 1, me }, from;

	pad[0] = (char)depth;
	pad[511] = pad[0];
	if (me != spawner) {
		stolen_starts++;
		CHECK(left > LIBRARY_LIMIT - START_COST,
			"a stolen task was started with %llu bytes of stack left",
			(unsigned long long)left);
	}
	for (uint64_t least = least_left;
		left < least && !atomic_compare_exchange_weak(&least_left, &least, left);)
		;
	if (left < LIBRARY_LIMIT + 4096)
		/* so that others steal here, and are still at it when this worker joins */
		sched_yield();
	if (!depth || left < USERS_LIMIT)
		return dug;
	FILCH_SPAWN(a, dig, me, depth > 40 ? 2u : depth / 2);
	FILCH_SPAWN(b, dig, me, depth > 8 ? 3u : depth / 3);
	look_elsewhere(depth);
	from = FILCH_CALL(dig, me, depth - 1);
	dug.sum += from.sum;
	from = FILCH_SYNC(b);
	dug.sum += from.sum;
	low_joins += from.worker != me && left < LIBRARY_LIMIT;
	from = FILCH_SYNC(a);
	dug.sum += from.sum;
	low_joins += from.worker != me && left < LIBRARY_LIMIT;
	dug.sum += (uint64_t)(pad[511] - pad[0]);
	return dug;
}

static void nothing_is_started_where_little_stack_is_left(void)
{
	unsigned round = 0;

	if (TEST_SANITIZED) {
		printf("    not measured: a sanitizer's frames are of other sizes, some of them "
		       "on a stack of their own\n");
		return;
	}
	pools_begin();
	least_left = SMALL_STACK;
	low_joins = stolen_starts = 0;
	do {
		test_watchdog(120);
		pool = pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
			.workers = 2 + round % 3 * 3,
			.flags = FILCH_POOL_OVERSUBSCRIBE | (round % 2 ? FILCH_POOL_NO_SEARCH : 0),
			.stack_bytes = SMALL_STACK });
		for (uint64_t i = test_scaled(200); i--;) {
			struct dug dug = { 0, 0 };

			CHECK_EQ(FILCH_RUN(pool, &dug, dig, -1, 5000), 0);
			CHECK(dug.sum > 100, "%llu tasks", (unsigned long long)dug.sum);
		}
		pool_close(pool);
	} while (++round < 6 || (!(pools_sum.joins_waited && low_joins) && round < 5000));
	pools_print();
	printf("    the least that was left of %llu bytes: %llu; joins with thieves below the "
	       "limit: %llu, stolen starts %llu\n",
		(unsigned long long)SMALL_STACK, (unsigned long long)least_left,
		(unsigned long long)low_joins, (unsigned long long)stolen_starts);
	POOLS_COVER(steals);
	POOLS_COVER(joins_waited);
	CHECK(least_left < LIBRARY_LIMIT, "the tasks never came near the end of the stack");
	CHECK(low_joins > 0, "no join below the limit had to do with a thief");
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("chains of ten thousand spawns end", chains_of_ten_thousand_spawns_end);
	test_case("frames are used again only when their task is done",
		frames_are_used_again_only_when_their_task_is_done);
	test_case("jobs may wait for jobs on 1, 2 and 32 workers",
		jobs_may_wait_for_jobs_on_1_2_and_32_workers);
	test_case("no stranger is started on top of a suspended frame",
		no_stranger_is_started_on_top_of_a_frame);
	test_case("nothing is started where little stack is left",
		nothing_is_started_where_little_stack_is_left);
	return test_finish("join");
}
