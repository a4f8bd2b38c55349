/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of threads with a short queue, whose size changes between and during jobs: create, add,
 * which waits for room, try to add, which does not, join what was added, resize, free. The shape of
 * compressors that let a program change how many threads they use. One pool of filch's holds the
 * threads in reserve, and resizing lets more of them run or fewer.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "ledger.h"
#include "pools.h"

/* --- the shape ---------------------------------------------------------- */

enum { THREADS_MAX = 16 };

struct thread_pool {
	struct filch_pool *pool;
};

struct call {
	void (*fn)(void *arg);
	void *arg;
};

static int run_call(void *arg)
{
	const struct call call = *(struct call *)arg;

	free(arg);
	call.fn(call.arg);
	return 0;
}

static struct thread_pool *thread_pool_create(uint32_t threads, uint32_t queue)
{
	struct thread_pool *p = malloc(sizeof *p);
	struct filch_config config = FILCH_CONFIG_INIT;

	if (!p || !threads)
		goto failed;
	config.workers = threads;
	config.workers_max = THREADS_MAX;
	config.queue_capacity = queue ? queue : 1;
	config.flags = FILCH_POOL_OVERSUBSCRIBE; /* it is the program that says how many */
	if (!filch_pool_create(&p->pool, &config))
		return p;
failed:
	free(p);
	return NULL;
}

static bool thread_pool_submit(struct thread_pool *p, void (*fn)(void *arg), void *arg, bool waits)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct call *call = malloc(sizeof *call);

	if (!call)
		return false;
	*call = (struct call){ fn, arg };
	how.flags = FILCH_JOB_DETACHED;
	how.when_full = waits ? FILCH_BLOCK : FILCH_TRY;
	if (filch_submit(p->pool, run_call, call, &how) > 0)
		return true;
	free(call);
	return false;
}

static bool thread_pool_add(struct thread_pool *p, void (*fn)(void *arg), void *arg)
{
	return thread_pool_submit(p, fn, arg, true);
}

static bool thread_pool_try_add(struct thread_pool *p, void (*fn)(void *arg), void *arg)
{
	return thread_pool_submit(p, fn, arg, false);
}

static bool thread_pool_resize(struct thread_pool *p, uint32_t threads)
{
	return !filch_pool_resize(p->pool, threads);
}

static void thread_pool_join_jobs(struct thread_pool *p)
{
	CHECK_EQ(filch_pool_drain(p->pool, NULL), 0);
}

static void thread_pool_free(struct thread_pool *p)
{
	CHECK_EQ(filch_pool_shutdown(p->pool, FILCH_DRAIN, NULL), 0);
	CHECK_EQ(filch_pool_destroy(p->pool), 0);
	free(p);
}

/* --- its use ------------------------------------------------------------ */

static struct thread_pool *threads;
static struct ledger ledger;
static atomic_uint_fast64_t next_number, refused;
static pthread_barrier_t table;

static void enter(void *number)
{
	ledger_enter(&ledger, (uint64_t)(uintptr_t)number);
}

static void meet(void *arg)
{
	(void)arg;
	(void)pthread_barrier_wait(&table);
}

static void as_many_run_at_once_as_it_was_resized_to(void)
{
	static const uint32_t sizes[] = { 2, 7, 1, 16, 3 };

	threads = thread_pool_create(2, 32);
	CHECK(threads, "no pool");
	CHECK(!thread_pool_resize(threads, 0), "none");
	CHECK(!thread_pool_resize(threads, THREADS_MAX + 1), "too many");
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		test_watchdog(60);
		CHECK(thread_pool_resize(threads, sizes[i]), "%u", sizes[i]);
		CHECK_EQ(pthread_barrier_init(&table, NULL, sizes[i]), 0);
		for (uint32_t k = 0; k < 4 * sizes[i]; k++)
			CHECK(thread_pool_add(threads, meet, NULL), "add");
		thread_pool_join_jobs(threads);
		CHECK_EQ(pthread_barrier_destroy(&table), 0);
	}
	thread_pool_free(threads);
}

static void *add_some(void *arg)
{
	uint64_t rng = test_seed() + (uint64_t)(uintptr_t)arg;

	for (uint64_t n = test_scaled(20000); n--;) {
		void *number = (void *)(uintptr_t)atomic_fetch_add(&next_number, 1);
		bool tries = test_random(&rng) % 2;

		if (tries && !thread_pool_try_add(threads, enter, number)) {
			atomic_fetch_add(&refused, 1);
			tries = false;
		} else if (tries) {
			continue;
		}
		CHECK(thread_pool_add(threads, enter, number), "add");
	}
	return NULL;
}

static void each_job_is_run_once_while_the_size_changes(void)
{
	enum { ADDERS = 3 };
	uint64_t rng = test_seed(), resizes = 0, n = test_scaled(20000) * ADDERS;
	pthread_t adder[ADDERS];

	test_watchdog(120);
	threads = thread_pool_create(1, 4);
	CHECK(threads, "no pool");
	ledger_open(&ledger, n);
	for (uint64_t i = 0; i < ADDERS; i++)
		CHECK_EQ(pthread_create(&adder[i], NULL, add_some, (void *)(uintptr_t)i), 0);
	while (atomic_load(&next_number) < n || resizes < 20) {
		CHECK(thread_pool_resize(threads, 1 + (uint32_t)(test_random(&rng) % THREADS_MAX)),
			"resize");
		if (test_random(&rng) % 64 == 0)
			thread_pool_join_jobs(threads);
		resizes++;
		sched_yield();
	}
	for (int i = 0; i < ADDERS; i++)
		pthread_join(adder[i], NULL);
	thread_pool_free(threads);
	ledger_close(&ledger);
	printf("    %llu jobs, %llu resizes, %llu adds refused at first\n", (unsigned long long)n,
		(unsigned long long)resizes, (unsigned long long)atomic_load(&refused));
}

int main(void)
{
	test_case("as many run at once as it was resized to",
		as_many_run_at_once_as_it_was_resized_to);
	test_case("each job is run once while the size changes",
		each_job_is_run_once_while_the_size_changes);
	return test_finish("resizable_pool");
}
