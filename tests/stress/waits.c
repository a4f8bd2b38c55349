/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waits: jobs that wait for jobs. Chains a thousand deep, in either order of submission, and trees,
 * on 1, 2 and 32 workers, with stacks that are large enough and with stacks and tables that are
 * not: each wait returns 0, or -EDEADLK with the id still valid, and nothing hangs. Waits with
 * deadlines inside jobs. Waits for jobs of another pool, from its worker to the other's and back.
 *
 * Every job is reaped once: by the job that waits for it or, where that was refused, at the end
 * from outside.
 *
 * In CI (scale 1) about 10^6 waits; the campaign is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fib.h"
#include "pools.h"

#define LINKS_MAX 6000u
/* Frames are several times larger where each variable has red zones around it. */
#define DEEP_STACK ((TEST_SANITIZED ? 8u : 1u) * (UINT64_C(8) << 20))

/* The least there is; ThreadSanitizer keeps a megabyte of its own there. */
#define SMALL_STACK ((TEST_SANITIZED ? UINT64_C(1024) : UINT64_C(128)) << 10)

static struct filch_pool *pool;
static uint64_t refusals;
static _Atomic uint64_t in_time, too_late;

static struct filch_pool *open_pool(uint32_t workers, uint64_t flags, uint64_t stack_bytes)
{
	return pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
		.workers = workers,
		.stack_bytes = stack_bytes,
		.flags = FILCH_POOL_OVERSUBSCRIBE | flags,
		.queue_capacity = 8192,
		.jobs_max = 16384 });
}

/* --- chains ----------------------------------------------------------- */

/* The jobs of one chain: number i waits for number i + 1. */
static struct {
	unsigned n;
	/* each link submits the next; else all are submitted from outside beforehand */
	bool by_jobs;
	_Atomic int64_t id[LINKS_MAX];
	_Atomic uint32_t ran[LINKS_MAX], reaped[LINKS_MAX];
	_Atomic uint32_t refused;
	_Atomic bool go;
} chain;

static int link_of_chain(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	struct filch_completion c;
	int64_t id;
	int error;

	CHECK_EQ(chain.ran[i]++, 0);
	while (!chain.go)
		sched_yield();
	if (i + 1 == chain.n)
		return 0;
	if (chain.by_jobs) {
		id = filch_submit(pool, link_of_chain, (void *)(uintptr_t)(i + 1), NULL);
		CHECK(id > 0, "%lld", (long long)id);
		chain.id[i + 1] = id;
	}
	id = chain.id[i + 1];
	error = filch_wait(pool, id, NULL, &c);
	if (error == -EDEADLK) {
		chain.refused++;
		return error;
	}
	CHECK_EQ(error, 0);
	CHECK_EQ(c.id, id);
	CHECK(c.status == 0 || c.status == -EDEADLK, "%d", c.status);
	chain.reaped[i + 1]++;
	return c.status;
}

static void one_chain(unsigned n, bool by_jobs, bool last_first)
{
	int64_t id;

	test_watchdog(120);
	chain.n = n;
	chain.by_jobs = by_jobs;
	chain.refused = 0;
	chain.go = by_jobs;
	for (unsigned i = 0; i < n; i++) {
		chain.id[i] = 0;
		chain.ran[i] = 0;
		chain.reaped[i] = 0;
	}
	for (unsigned k = 0; k < (by_jobs ? 1 : n); k++) {
		unsigned i = last_first ? n - 1 - k : k;

		id = filch_submit(pool, link_of_chain, (void *)(uintptr_t)i, NULL);
		CHECK(id > 0, "%lld", (long long)id);
		chain.id[i] = id;
	}
	chain.go = true;
	/*
	 * from the front: what a link's wait was refused is waited for here, and with it the rest
	 * of the chain
	 */
	for (unsigned i = 0; i < n; i++) {
		struct filch_completion c;

		if (i && chain.reaped[i])
			continue;
		/*
		 * its waiter has ended, so it was refused; and it has been submitted, unless that
		 * one did not come to it
		 */
		CHECK_EQ(filch_wait(pool, chain.id[i], NULL, &c), 0);
		CHECK(c.status == 0 || (c.status == -EDEADLK && chain.refused), "%d", c.status);
		chain.reaped[i]++;
	}
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(chain.ran[i], 1);
		CHECK_EQ(chain.reaped[i], 1);
		CHECK_EQ(filch_wait(pool, chain.id[i], NULL, NULL), -ESRCH);
	}
	refusals += chain.refused;
}

static void chains_on(
	uint32_t workers, uint64_t flags, unsigned n, uint64_t stack_bytes, uint64_t times)
{
	pool = open_pool(workers, flags, stack_bytes);
	for (uint64_t i = test_scaled(times); i--;) {
		one_chain(n, true, false);
		one_chain(n, false, false);
		one_chain(n, false, true);
	}
	pool_close(pool);
}

static void chains_of_a_thousand_waits_end(void)
{
	pools_begin();
	refusals = 0;
	chains_on(1, 0, 1000, DEEP_STACK, 20);
	chains_on(2, 0, 1000, DEEP_STACK, 20);
	chains_on(2, FILCH_POOL_NO_SEARCH, 1000, DEEP_STACK, 20);
	chains_on(32, 0, 1000, DEEP_STACK, 20);
	pools_print();
	POOLS_COVER(jobs_nested);
	CHECK_EQ(refusals, 0); /* 8 MiB are enough for a thousand */
}

static void chains_too_deep_for_the_stack_end_or_are_refused(void)
{
	pools_begin();
	refusals = 0;
	for (uint64_t stack = SMALL_STACK; stack <= 4 * SMALL_STACK; stack *= 2) {
		chains_on(1, 0, 5000, stack, 4);
		chains_on(2, FILCH_POOL_NO_SEARCH, 5000, stack, 4);
		chains_on(32, 0, 5000, stack, 4);
	}
	pools_print();
	printf("    waits refused: %llu\n", (unsigned long long)refusals);
	POOLS_COVER(jobs_nested);
	CHECK(refusals > 0, "no wait has met the end of its stack");
}

static void chains_deeper_than_jobs_may_nest_end_or_are_refused(void)
{
	pools_begin();
	refusals = 0;
	chains_on(1, 0, LINKS_MAX, 16 * DEEP_STACK, 2);
	chains_on(2, 0, LINKS_MAX, 16 * DEEP_STACK, 2);
	pools_print();
	printf("    waits refused: %llu\n", (unsigned long long)refusals);
	CHECK(refusals > 0, "no wait has met the limit of 4096 jobs on one stack");
}

/* --- trees of waits --------------------------------------------------- */

#define BRANCHES 5u

/*
 * A job of a tree: it submits some, does others' work in between, and waits for them in an order
 * drawn by lot.
 */
struct branch {
	uint64_t seed;
	unsigned depth;
	_Atomic uint64_t *ran;
};

FILCH_VOID_TASK(wait_in_a_task, (int64_t, id))
{
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
}

/* The wait is a task of its own, which a thief may take. */
FILCH_VOID_TASK(wait_beside_work, (int64_t, id))
{
	FILCH_SPAWN(kid, wait_in_a_task, id);
	(void)FILCH_CALL(fib, 12);
	FILCH_SYNC(kid);
}

/* Waits as the lot says: at once, after a deadline, or in a task. */
static void wait_somehow(int64_t id, uint64_t dice)
{
	if (dice % 4 == 0) {
		struct timespec soon = filch_after(dice / 4 % 50000);
		int error = filch_wait(pool, id, &soon, NULL);

		if (error == 0) {
			in_time++;
			return;
		}
		CHECK_EQ(error, -ETIMEDOUT);
		CHECK(test_now() >= (uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec,
			"timed out too early");
		too_late++;
	}
	if (dice % 4 == 1)
		CHECK_EQ(FILCH_RUN(NULL, NULL, wait_beside_work, id), 0);
	else
		CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
}

static int grow(void *arg)
{
	struct branch *me = arg, below[BRANCHES];
	uint64_t rng = me->seed;
	int64_t id[BRANCHES];
	long sum = 0;
	unsigned n = me->depth ? 1 + (unsigned)(test_random(&rng) % BRANCHES) : 0;

	++*me->ran;
	for (unsigned i = 0; i < n; i++) {
		below[i] = (struct branch){ test_random(&rng), me->depth - 1, me->ran };
		id[i] = filch_submit(pool, grow, &below[i], NULL);
		CHECK(id[i] > 0, "%lld", (long long)id[i]);
	}
	if (test_random(&rng) % 2)
		CHECK_EQ(FILCH_RUN(NULL, &sum, fib, 8), 0);
	while (n) {
		unsigned i = (unsigned)(test_random(&rng) % n--);
		int64_t one = id[i];

		id[i] = id[n];
		wait_somehow(one, test_random(&rng));
	}
	return 0;
}

/* How many jobs a tree has. */
static uint64_t count(uint64_t seed, unsigned depth)
{
	uint64_t rng = seed, n = depth ? 1 + test_random(&rng) % BRANCHES : 0, all = 1;

	while (n--)
		all += count(test_random(&rng), depth - 1);
	return all;
}

static void trees_on(uint32_t workers, uint64_t flags)
{
	uint64_t rng = test_seed();

	pool = open_pool(workers, flags, DEEP_STACK);
	for (uint64_t round = test_scaled(20); round--;) {
		struct branch root[4];
		_Atomic uint64_t ran[4];
		int64_t id[4];

		test_watchdog(120);
		for (unsigned i = 0; i < 4; i++) {
			ran[i] = 0;
			root[i] = (struct branch){ test_random(&rng), 5, &ran[i] };
			CHECK((id[i] = filch_submit(pool, grow, &root[i], NULL)) > 0, "%lld",
				(long long)id[i]);
		}
		for (unsigned i = 0; i < 4; i++) {
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
			CHECK_EQ(ran[i], count(root[i].seed, 5));
		}
	}
	pool_close(pool);
}

static void trees_of_waits_end(void)
{
	pools_begin();
	in_time = too_late = 0;
	trees_on(1, 0);
	do {
		trees_on(2, 0);
		trees_on(2, FILCH_POOL_NO_SEARCH);
		trees_on(32, 0);
	} while (!(pools_sum.steals && in_time) && pools_sum.jobs < 10000000);
	pools_print();
	printf("    waits with a deadline: %llu in time, %llu too late\n",
		(unsigned long long)in_time, (unsigned long long)too_late);
	POOLS_COVER(steals);
	CHECK(in_time, "no wait with a deadline was in time");
	POOLS_COVER(jobs_nested);
}

static atomic_bool begun, released;

static int last_until_released(void *arg)
{
	(void)arg;
	atomic_store(&begun, true);
	while (!atomic_load(&released))
		sched_yield();
	return 0;
}

static int wait_too_short(void *arg)
{
	struct timespec soon = filch_after(1000000);

	CHECK_EQ(filch_wait(pool, *(int64_t *)arg, &soon, NULL), -ETIMEDOUT);
	CHECK(test_now() >= (uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec,
		"timed out too early");
	atomic_store(&released, true);
	CHECK_EQ(filch_wait(pool, *(int64_t *)arg, NULL, NULL), 0); /* the id is still good */
	return 0;
}

/* What it waits for runs on the other worker, and ends only after the deadline. */
static void a_wait_in_a_job_ends_with_its_deadline(void)
{
	for (uint64_t flags = 0; flags <= FILCH_POOL_NO_SEARCH; flags += FILCH_POOL_NO_SEARCH) {
		int64_t slow, waiter;

		pool = open_pool(2, flags, DEEP_STACK);
		atomic_store(&begun, false);
		atomic_store(&released, false);
		CHECK((slow = filch_submit(pool, last_until_released, NULL, NULL)) > 0, "%lld",
			(long long)slow);
		while (!atomic_load(&begun))
			sched_yield();
		CHECK((waiter = filch_submit(pool, wait_too_short, &slow, NULL)) > 0, "%lld",
			(long long)waiter);
		CHECK_EQ(filch_wait(pool, waiter, NULL, NULL), 0);
		pool_close(pool);
	}
}

/* --- deadlines -------------------------------------------------------- */

static _Atomic bool expected, let_go;

/* Occupies its worker until the other has been told that it is late. */
static int held_until_late(void *arg)
{
	(void)arg;
	expected = true;
	while (!let_go)
		sched_yield();
	return 5;
}

static int wait_with_a_deadline(void *arg)
{
	int64_t id = *(int64_t *)arg;
	struct timespec past = { 0, 1 }, soon = filch_after(200000);
	struct filch_completion c;

	while (!expected)
		sched_yield();
	CHECK_EQ(filch_wait(pool, id, &past, NULL), -ETIMEDOUT);
	CHECK_EQ(filch_wait(pool, id, &soon, NULL), -ETIMEDOUT);
	CHECK(test_now() >= (uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec,
		"timed out too early");
	let_go = true;
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	CHECK_EQ(c.status, 5);
	return 0;
}

static void a_wait_inside_a_job_keeps_its_deadline_and_may_be_repeated(void)
{
	pools_begin();
	for (uint32_t workers = 2; workers <= 32; workers *= 4) {
		pool = pool_open(workers, workers == 8 ? FILCH_POOL_NO_SEARCH : 0);
		for (uint64_t i = test_scaled(300); i--;) {
			int64_t held, waiter;

			test_watchdog(120);
			expected = let_go = false;
			CHECK((held = filch_submit(pool, held_until_late, NULL, NULL)) > 0, "%lld",
				(long long)held);
			CHECK((waiter = filch_submit(pool, wait_with_a_deadline, &held, NULL)) > 0,
				"%lld", (long long)waiter);
			CHECK_EQ(filch_wait(pool, waiter, NULL, NULL), 0);
		}
		pool_close(pool);
	}
	pools_print();
	POOLS_COVER(parks);
}

/* --- two pools -------------------------------------------------------- */

/*
 * workers of each, and how often a chain goes there: a worker that waits for another pool's job
 * only waits
 */
#define ASIDE 4u

static struct filch_pool *two[2];

static int there_and_back(void *arg)
{
	uintptr_t left = (uintptr_t)arg;
	struct filch_pool *other = two[filch_pool_current() == two[0]];
	int64_t id;
	long sum = 0;

	if (!left)
		return 0;
	if (left % 3 == 0)
		CHECK_EQ(FILCH_RUN(other, &sum, fib, 6), 0);
	id = filch_submit(other, there_and_back, (void *)(left - 1), NULL);
	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(filch_pool_current(), id, NULL, NULL), -ESRCH); /* not this pool's */
	CHECK_EQ(filch_wait(other, id, NULL, NULL), 0);
	return 0;
}

static void workers_may_wait_for_jobs_of_another_pool(void)
{
	uint64_t n = test_scaled(2000);

	pools_begin();
	two[0] = pool_open(ASIDE, 0);
	two[1] = pool_open(ASIDE, FILCH_POOL_NO_SEARCH);
	for (uint64_t i = 0; i < n; i++) {
		int64_t id = filch_submit(
			two[i % 2], there_and_back, (void *)(uintptr_t)(2 * ASIDE - 2), NULL);

		if (i % 100 == 0)
			test_watchdog(120);
		CHECK(id > 0, "%lld", (long long)id);
		CHECK_EQ(filch_wait(two[i % 2], id, NULL, NULL), 0);
	}
	pool_close(two[0]);
	pool_close(two[1]);
	pools_print();
	CHECK(pools_sum.jobs >= n * (2 * ASIDE - 1), "%llu jobs",
		(unsigned long long)pools_sum.jobs);
}

/* --- slots under tombstones --------------------------------------------- */

#define BURIED 6u

static _Atomic uint64_t swept;

static int nothing(void *unused)
{
	(void)unused;
	return 0;
}

/* Looks for a slot where there is none: cancelled jobs keep theirs until they are reaped. */
static void *sweep(void *unused)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = FILCH_TRY;
	how.flags = FILCH_JOB_DETACHED;
	for (unsigned i = 0; i < 20000; i++)
		swept += filch_submit(pool, nothing, NULL, &how) == -ENOBUFS;
	return unused;
}

/*
 * The only worker is the creator. It waits for a job that comes after a queued one, whose number
 * others take out and put back meanwhile.
 */
static void a_creator_hears_of_the_job_that_a_sweep_has_put_back(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	pthread_t thread[4];

	config.workers = 1;
	config.flags = FILCH_POOL_CALLER | FILCH_POOL_NO_PIN | FILCH_POOL_NO_SEARCH;
	config.queue_capacity = config.jobs_max = BURIED + 2;
	swept = 0;
	for (uint64_t n = test_scaled(40); n--;) {
		struct filch_submit how = FILCH_SUBMIT_INIT;
		int64_t buried[BURIED], first, last;
		uint64_t seen = swept;

		test_watchdog(60);
		pool = pool_open_with(&config);
		for (unsigned i = 0; i < BURIED; i++)
			CHECK((buried[i] = filch_submit(pool, nothing, NULL, NULL)) > 0, "full");
		CHECK((first = filch_submit(pool, nothing, NULL, NULL)) > 0, "full");
		how.after = &first;
		how.after_count = 1;
		CHECK((last = filch_submit(pool, nothing, NULL, &how)) > 0, "full");
		for (unsigned i = 0; i < BURIED; i++)
			CHECK_EQ(filch_cancel(pool, buried[i]), 0);
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(pthread_create(&thread[i], NULL, sweep, NULL), 0);
		while (swept < seen + 1000)
			sched_yield();
		CHECK_EQ(filch_wait(pool, last, NULL, NULL), 0);
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(pthread_join(thread[i], NULL), 0);
		CHECK_EQ(filch_wait(pool, first, NULL, NULL), 0);
		for (unsigned i = 0; i < BURIED; i++)
			CHECK_EQ(filch_wait(pool, buried[i], NULL, NULL), 0);
		CHECK_EQ(filch_pool_drain(pool, NULL), 0);
		pool_close(pool);
	}
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("chains of a thousand waits end", chains_of_a_thousand_waits_end);
	test_case("chains too deep for the stack end or are refused",
		chains_too_deep_for_the_stack_end_or_are_refused);
	test_case("chains deeper than jobs may nest end or are refused",
		chains_deeper_than_jobs_may_nest_end_or_are_refused);
	test_case("trees of waits end", trees_of_waits_end);
	test_case("a wait in a job ends with its deadline", a_wait_in_a_job_ends_with_its_deadline);
	test_case("a wait inside a job keeps its deadline and may be repeated",
		a_wait_inside_a_job_keeps_its_deadline_and_may_be_repeated);
	test_case("workers may wait for jobs of another pool",
		workers_may_wait_for_jobs_of_another_pool);
	test_case("a creator hears of the job that a sweep has put back",
		a_creator_hears_of_the_job_that_a_sweep_has_put_back);
	return test_finish("waits");
}
