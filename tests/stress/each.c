/* SPDX-License-Identifier: Apache-2.0 */
/*
 * each: filch_pool_each(), with everything at once. Threads outside and jobs call it, inside of
 * calls as well, while the workers run trees of tasks, wait for jobs, for loops in scopes, for
 * another pool, and sleep. Each call has a ledger of its own: its function ran exactly once on each
 * worker, on that worker's thread.
 *
 * The cases count where it ran: on an empty stack, on top of frames that wait, on workers that
 * slept; and go on until all have come.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "fib.h"
#include "pools.h"

#define WORKERS_MAX 8u
#define THREADS     3u

static struct filch_pool *pool, *other;
static uint32_t workers;

/* Frames of ours on this thread's stack that may wait. */
static _Thread_local unsigned frames;

static atomic_ulong on_top, on_empty, from_jobs, inside_calls, abroad, calls;

/* --- one call ----------------------------------------------------------- */

struct call {
	struct filch_pool *of;
	atomic_uint ran[WORKERS_MAX];
	unsigned deeper; /* calls inside of it */
	unsigned plain;  /* written before, read by all: TSan looks */
	unsigned by[WORKERS_MAX];
};

static void call(struct filch_pool *of, unsigned deeper);

static int share(void *arg, int worker)
{
	struct call *c = arg;

	CHECK_EQ(worker, filch_worker_id());
	CHECK(filch_pool_current() == c->of, "another pool's worker");
	CHECK_EQ(c->plain, 7);
	atomic_fetch_add(frames ? &on_top : &on_empty, 1);
	c->by[worker]++;
	if (c->deeper && worker == 0) {
		frames++;
		call(NULL, c->deeper - 1);
		frames--;
		atomic_fetch_add(&inside_calls, 1);
	}
	atomic_fetch_add_explicit(&c->ran[worker], 1, memory_order_relaxed);
	return 0;
}

static void check_once(const struct call *c)
{
	const uint32_t n = (uint32_t)filch_pool_workers(c->of);

	for (uint32_t i = 0; i < WORKERS_MAX; i++) {
		CHECK_EQ(atomic_load_explicit(&c->ran[i], memory_order_relaxed), i < n);
		CHECK_EQ(c->by[i], i < n);
	}
}

static void call(struct filch_pool *of, unsigned deeper)
{
	struct call c = { .of = of ? of : filch_pool_current(), .deeper = deeper, .plain = 7 };

	CHECK_EQ(filch_pool_each(of, share, &c), 0);
	check_once(&c);
	atomic_fetch_add(&calls, 1);
}

/* --- what workers do meanwhile ------------------------------------------ */

static int small(void *arg)
{
	long r;

	(void)arg;
	frames++;
	CHECK_EQ(FILCH_RUN(NULL, &r, fib, 10), 0);
	frames--;
	CHECK_EQ(r, 55);
	return 0;
}

FILCH_VOID_TASK(counted_leaf, (atomic_uint *, n))
{
	if (atomic_fetch_add(n, 1) % 8 == 0)
		sched_yield(); /* a thief may come */
}

/* A tree whose every node is a frame that may wait. */
FILCH_VOID_TASK(tree, (int, depth), (atomic_uint *, n))
{
	if (!depth) {
		FILCH_CALL(counted_leaf, n);
		return;
	}
	frames++;
	FILCH_SPAWN(a, tree, depth - 1, n);
	FILCH_CALL(tree, depth - 1, n);
	FILCH_SYNC(a);
	frames--;
}

static int tree_job(void *arg)
{
	atomic_uint n = 0;

	(void)arg;
	CHECK_EQ(FILCH_RUN(NULL, NULL, tree, 6, &n), 0);
	CHECK_EQ(atomic_load(&n), 64);
	return 0;
}

static int wait_job(void *arg)
{
	int64_t id = filch_submit(NULL, small, arg, NULL);

	CHECK(id > 0, "%d", (int)id);
	frames++;
	CHECK_EQ(filch_wait(NULL, id, NULL, NULL), 0);
	frames--;
	return 0;
}

static void body(size_t b, size_t e, void *arg)
{
	for (; b < e; b++)
		if (b % 16 == 3)
			small(arg);
}

static int loop(void *arg)
{
	return filch_for(NULL, 0, 64, 1, body, arg);
}

static int scope_job(void *arg)
{
	frames++;
	CHECK_EQ(filch_scope(NULL, NULL, loop, arg), 0);
	frames--;
	return 0;
}

static int call_job(void *arg)
{
	frames++;
	call(NULL, arg != NULL);
	frames--;
	atomic_fetch_add(&from_jobs, 1);
	return 0;
}

static int abroad_job(void *arg)
{
	long r;

	(void)arg;
	frames++;
	CHECK_EQ(FILCH_RUN(filch_pool_current() == pool ? other : pool, &r, fib, 8), 0);
	frames--;
	CHECK_EQ(r, 21);
	atomic_fetch_add(&abroad, 1);
	return 0;
}

static filch_job_fn *const job[] = { small, tree_job, wait_job, scope_job, call_job, abroad_job };
#define JOBS (sizeof job / sizeof job[0])

static void one_round(uint64_t *rng)
{
	struct filch_pool *in = test_random(rng) % 4 ? pool : other;
	int64_t id[8];

	for (unsigned i = 0; i < 8; i++) {
		uint64_t dice = test_random(rng);

		id[i] = filch_submit(in, job[dice % JOBS], dice & 64 ? &id[0] : NULL, NULL);
		CHECK(id[i] > 0, "%d", (int)id[i]);
	}
	call(in, test_random(rng) % 2);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(filch_wait(in, id[i], NULL, NULL), 0);
}

static atomic_bool enough;

static void *thread(void *arg)
{
	uint64_t rng = test_seed() + (uint64_t)(uintptr_t)arg;

	for (uint64_t n = test_scaled(60); n || !atomic_load(&enough); n -= n > 0)
		one_round(&rng);
	return NULL;
}

static bool covered(void)
{
	return (workers == 1 || pool_stats(pool).steals) && atomic_load(&on_top) &&
	       atomic_load(&on_empty) && atomic_load(&from_jobs) && atomic_load(&inside_calls) &&
	       atomic_load(&abroad);
}

static void run_with(uint32_t n)
{
	pthread_t at[THREADS];
	uint64_t since = test_now();

	workers = n;
	pool = pool_open(n, 0);
	other = pool_open(1, 0);
	atomic_store(&on_top, 0);
	atomic_store(&on_empty, 0);
	atomic_store(&from_jobs, 0);
	atomic_store(&inside_calls, 0);
	atomic_store(&abroad, 0);
	atomic_store(&calls, 0);
	atomic_store(&enough, false);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&at[i], NULL, thread, (void *)(uintptr_t)(i + n * 100)), 0);
	while (!covered()) {
		sched_yield();
		CHECK(test_now() - since < UINT64_C(60000000000),
			"on top %lu, on an empty stack %lu, from jobs %lu, inside %lu, abroad %lu",
			atomic_load(&on_top), atomic_load(&on_empty), atomic_load(&from_jobs),
			atomic_load(&inside_calls), atomic_load(&abroad));
	}
	atomic_store(&enough, true);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(at[i], NULL), 0);
	pool_close(pool);
	pool_close(other);
	printf("    %u workers: %lu calls, %lu from jobs, %lu inside of calls; "
	       "%lu shares on top, %lu on "
	       "an empty stack\n",
		n, atomic_load(&calls), atomic_load(&from_jobs), atomic_load(&inside_calls),
		atomic_load(&on_top), atomic_load(&on_empty));
}

static void each_call_runs_once_on_each_worker_among_everything_else(void)
{
	pools_begin();
	for (uint32_t n = 1; n <= WORKERS_MAX; n *= 2) {
		test_watchdog(120);
		run_with(n);
	}
	pools_print();
	POOLS_COVER(steals);
	POOLS_COVER(parks);
}

/* --- workers that sleep, or are about to -------------------------------- */

static void sleepers_are_told(void)
{
	uint64_t slept = 0, rounds = test_scaled(2000);

	pools_begin();
	for (uint64_t flags = 0; flags < 2; flags++) {
		pool = pool_open(4, flags ? FILCH_POOL_NO_SEARCH : 0);
		for (uint64_t k = 0; k < rounds; k++) {
			test_watchdog(60);
			/* now and then all sleep; else some are on the way */
			if (k % 16 == 0)
				pool_until_asleep(pool, 4);
			slept += pool_stats(pool).asleep;
			call(pool, k % 3 == 0);
		}
		pool_close(pool);
	}
	printf("    %llu sleepers met by %llu calls\n", (unsigned long long)slept,
		(unsigned long long)rounds * 2);
	CHECK(slept > 0, "no worker slept");
	POOLS_COVER(wakes);
}

/* --- a pool that closes -------------------------------------------------- */

static atomic_ulong done, refused;

static void *call_until_refused(void *arg)
{
	int error;

	(void)arg;
	do {
		struct call c = { .of = pool, .plain = 7 };

		error = filch_pool_each(pool, share, &c);
		if (!error) {
			check_once(&c);
			atomic_fetch_add(&done, 1);
		} else {
			CHECK(error == -ESHUTDOWN || error == -ECANCELED, "%d", error);
			for (uint32_t i = 0; i < WORKERS_MAX; i++)
				CHECK_EQ(atomic_load(&c.ran[i]), 0);
			atomic_fetch_add(&refused, 1);
		}
	} while (!error);
	return NULL;
}

static void a_pool_that_closes_runs_it_on_all_or_on_none(void)
{
	pools_begin();
	for (uint64_t k = 0; k < test_scaled(150); k++) {
		pthread_t at[THREADS];
		unsigned long before = atomic_load(&done);

		test_watchdog(60);
		pool = pool_open(1 + k % 4, 0);
		for (unsigned i = 0; i < THREADS; i++)
			CHECK_EQ(pthread_create(&at[i], NULL, call_until_refused, NULL), 0);
		while (atomic_load(&done) - before < k % 8)
			sched_yield();
		CHECK_EQ(filch_pool_shutdown(pool, k % 2 ? FILCH_ABANDON : FILCH_DRAIN, NULL), 0);
		for (unsigned i = 0; i < THREADS; i++)
			CHECK_EQ(pthread_join(at[i], NULL), 0);
		pool_close(pool);
	}
	printf("    %lu calls done, %lu refused\n", atomic_load(&done), atomic_load(&refused));
	CHECK(atomic_load(&done) > 0 && atomic_load(&refused) > 0, "both are to be seen");
}

/* --- the default pool, first used and ended time and again -------------- */

static pthread_barrier_t begins, ends;
static atomic_uintptr_t seen;
static atomic_ulong others_seen, rounds_left;

static int stay(void *arg)
{
	uintptr_t none = 0, here = (uintptr_t)filch_pool_current();

	(void)arg;
	if (!atomic_compare_exchange_strong(&seen, &none, here) && none != here)
		atomic_fetch_add(&others_seen, 1);
	return 0;
}

static void *use_default(void *arg)
{
	while (atomic_load(&rounds_left)) {
		(void)pthread_barrier_wait(&begins);
		if (arg) {
			CHECK_EQ(filch_scope(NULL, NULL, stay, NULL), 0);
		} else {
			CHECK_EQ(filch_wait(NULL, filch_submit(NULL, stay, NULL, NULL), NULL, NULL),
				0);
		}
		call(filch_pool_default(), 0);
		(void)pthread_barrier_wait(&ends);
		(void)pthread_barrier_wait(&ends); /* it is gone */
	}
	return NULL;
}

static void first_users_at_once_get_one_default_pool(void)
{
	pthread_t at[THREADS];
	int threads = test_threads();

	CHECK_EQ(setenv("FILCH_WORKERS", "2", 1), 0); /* a call has room for so many */
	atomic_store(&rounds_left, test_scaled(200));
	CHECK_EQ(pthread_barrier_init(&begins, NULL, THREADS), 0);
	CHECK_EQ(pthread_barrier_init(&ends, NULL, THREADS + 1), 0);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&at[i], NULL, use_default, (void *)(uintptr_t)(i % 2)), 0);
	for (unsigned long n = atomic_load(&rounds_left); n--;) {
		test_watchdog(60);
		(void)pthread_barrier_wait(&ends);
		CHECK_EQ(test_threads(),
			threads + (int)THREADS + filch_pool_workers(filch_pool_default()));
		CHECK((uintptr_t)filch_pool_default() == atomic_load(&seen), "another pool");
		CHECK_EQ(atomic_load(&others_seen), 0);
		CHECK_EQ(filch_pool_destroy(filch_pool_default()), 0);
		atomic_store(&seen, 0);
		atomic_store(&rounds_left, n);
		(void)pthread_barrier_wait(&ends);
	}
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(at[i], NULL), 0);
	CHECK_EQ(test_threads(), threads);
}

int main(void)
{
#define CASE(name) test_case(#name, name)
	CASE(each_call_runs_once_on_each_worker_among_everything_else);
	CASE(sleepers_are_told);
	CASE(a_pool_that_closes_runs_it_on_all_or_on_none);
	CASE(first_users_at_once_get_one_default_pool);
	return test_finish("each");
}
