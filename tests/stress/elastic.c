/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elastic: the number of workers changes all the time, by resize, pause, quota and calls that
 * block, while jobs, trees, loops, waits, waits for another pool and filch_pool_each() go on. Each
 * job has a number in a ledger and runs exactly once.
 *
 * Each job that starts on an empty stack looks at the bound that holds by then. A worker whose
 * number is not below it may start one, which it had taken before the change, and no second.
 *
 * In one case jobs also leave their thread, by pthread_exit() or a fault, some while they block.
 *
 * The cases go on until workers have stopped and come back, spares have run, and jobs were late.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <core/elastic.h>
#include <ill.h>

#include "fib.h"
#include "ledger.h"
#include "pools.h"

#define WORKERS_MAX 40u
#define THREADS     2u

static struct filch_pool *pool, *other;
static uint32_t most, spares; /* of the pool */
static struct ledger ledger;
static atomic_ulong resizes, pauses, quotas, late, on_spares, blocked, calls, abroad, drains;

static bool has_caller;    /* the pool's creator is worker 0 */
static bool guards, loses; /* jobs leave their threads, by faults if it guards */

/* Frames of ours on this thread's stack that may wait. */
static _Thread_local unsigned frames;

/* --- the bound ----------------------------------------------------------- */

static atomic_uint bound;
static atomic_ulong stamp; /* of this bound */
/* by worker: for which bound it was late last, how many times */
static struct {
	_Alignas(64) atomic_ulong at;
	atomic_uint times;
} lateness[WORKERS_MAX];

static void set_bound(uint32_t to)
{
	atomic_store(&bound, to);
	atomic_fetch_add(&stamp, 1);
}

/* A job begins. */
static void look_at_bound(void)
{
	unsigned long at = atomic_load(&stamp);
	unsigned w = (unsigned)filch_worker_id();

	if (frames || (has_caller && !w)) /* it runs on top, or in the creator's call */
		return;
	if (w >= most)
		atomic_fetch_add(&on_spares, 1);
	if (w < atomic_load(&bound) || atomic_load(&stamp) != at)
		return;
	atomic_fetch_add(&late, 1);
	if (atomic_exchange(&lateness[w].at, at) != at)
		atomic_store(&lateness[w].times, 0);
	CHECK(atomic_fetch_add(&lateness[w].times, 1) == 0,
		"worker %u takes new work, and %u may run", w, atomic_load(&bound));
}

/* --- jobs ---------------------------------------------------------------- */

/* A job's number in the ledger, and what it is, by the same. */
static void enter(void *arg)
{
	look_at_bound();
	ledger_enter(&ledger, (uint64_t)(uintptr_t)arg);
}

static int small(void *arg)
{
	enter(arg);
	return 0;
}

static int tree_job(void *arg)
{
	long r;

	enter(arg);
	frames++;
	CHECK_EQ(FILCH_RUN(NULL, &r, fib, 12), 0);
	frames--;
	CHECK_EQ(r, 144);
	return 0;
}

static void add_up(size_t b, size_t e, void *arg)
{
	atomic_fetch_add((atomic_ulong *)arg, e - b);
}

static int loop_job(void *arg)
{
	atomic_ulong sum = 0;

	enter(arg);
	frames++;
	CHECK_EQ(filch_for(NULL, 0, 200, 1, add_up, &sum), 0);
	frames--;
	CHECK_EQ(atomic_load(&sum), 200);
	return 0;
}

static int nested(void *arg)
{
	*(int *)arg = 1;
	return 0;
}

static int wait_job(void *arg)
{
	int ran = 0;
	int64_t id;

	enter(arg);
	id = filch_submit(NULL, nested, &ran, NULL);
	CHECK(id > 0, "%d", (int)id);
	frames++;
	CHECK_EQ(filch_wait(NULL, id, NULL, NULL), 0);
	frames--;
	CHECK_EQ(ran, 1);
	return 0;
}

static int block_job(void *arg)
{
	uint64_t n = (uint64_t)(uintptr_t)arg;
	int ran = 0;

	enter(arg);
	CHECK_EQ(filch_blocking_begin(), 0);
	if (n % 3 == 0) {
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	} else if (n % 3 == 1) {
		CHECK_EQ(filch_blocking_begin(), 0);
		sched_yield();
		CHECK_EQ(filch_blocking_end(), 0);
	} else {
		int64_t id = filch_submit(NULL, nested, &ran, NULL);

		CHECK(id > 0, "%d", (int)id);
		frames++;
		CHECK_EQ(filch_wait(NULL, id, NULL, NULL), 0);
		frames--;
	}
	CHECK_EQ(filch_blocking_end(), 0);
	atomic_fetch_add(&blocked, 1);
	return 0;
}

static int share(void *arg, int worker)
{
	CHECK_EQ(worker, filch_worker_id());
	atomic_fetch_add_explicit((atomic_uint *)arg, 1, memory_order_relaxed);
	return 0;
}

/* On all there are, whether or not they may run. */
static void each(void)
{
	atomic_uint n = 0;

	CHECK_EQ(filch_pool_each(pool, share, &n), 0);
	CHECK_EQ(atomic_load(&n), filch_pool_workers_max(pool));
	atomic_fetch_add(&calls, 1);
}

static int each_job(void *arg)
{
	enter(arg);
	frames++;
	each();
	frames--;
	return 0;
}

static int back(void *arg)
{
	int64_t id = filch_submit(pool, nested, arg, NULL);

	CHECK(id > 0, "%d", (int)id);
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	return 0;
}

/* Waits for another pool, which waits for this one. */
static int abroad_job(void *arg)
{
	int ran = 0;
	int64_t id;

	enter(arg);
	frames++;
	id = filch_submit(other, back, &ran, NULL);
	CHECK(id > 0, "%d", (int)id);
	CHECK_EQ(filch_wait(other, id, NULL, NULL), 0);
	frames--;
	CHECK_EQ(ran, 1);
	atomic_fetch_add(&abroad, 1);
	return 0;
}

static filch_job_fn *const job[] = { small, small, tree_job, loop_job, wait_job, block_job,
	block_job, abroad_job };
#define JOBS (sizeof job / sizeof job[0])

/* Jobs that do not return: their worker gets another thread. Some of them block for ever so. */
static int leave_job(void *arg)
{
	enter(arg);
	if ((uint64_t)(uintptr_t)arg % 2)
		CHECK_EQ(filch_blocking_begin(), 0);
	pthread_exit(NULL);
}

static int fault_job(void *arg)
{
	enter(arg);
	if ((uint64_t)(uintptr_t)arg % 2)
		CHECK_EQ(filch_blocking_begin(), 0);
	return fall_ill(BAD_INSTRUCTION);
}

/* --- those who submit, and who changes ----------------------------------- */

static atomic_ulong next_number, faulted, left;
static atomic_bool enough;

static filch_job_fn *draw_job(uint64_t *rng)
{
	uint64_t dice = test_random(rng);

	if (loses && dice % 16 == 1)
		return guards && dice % 32 == 1 ? fault_job : leave_job;
	if (dice % 64 == 0 && !has_caller)
		return each_job;
	/* a guarding pool runs nothing on top of a wait for another: that is refused */
	return guards && job[dice % JOBS] == abroad_job ? small : job[dice % JOBS];
}

/* @fn has ended as it should. */
static void check_end(filch_job_fn *fn, const struct filch_completion *c)
{
	CHECK_EQ(c->status, fn == fault_job ? -EFAULT : fn == leave_job ? -ECANCELED : 0);
	if (fn == fault_job)
		atomic_fetch_add(&faulted, 1);
	if (fn == leave_job)
		atomic_fetch_add(&left, 1);
}

/* @n jobs, waited for. */
static void some_jobs(uint64_t *rng)
{
	filch_job_fn *fn[8];
	int64_t id[8];

	for (unsigned i = 0; i < 8; i++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;

		fn[i] = draw_job(rng);
		how.flags = fn[i] == fault_job ? FILCH_JOB_GUARD : 0;
		id[i] = filch_submit(
			pool, fn[i], (void *)(uintptr_t)atomic_fetch_add(&next_number, 1), &how);
		CHECK(id[i] > 0, "%d", (int)id[i]);
	}
	for (unsigned i = 0; i < 8; i++) {
		struct filch_completion c;

		CHECK_EQ(filch_wait(pool, id[i], NULL, &c), 0);
		check_end(fn[i], &c);
	}
	if (test_random(rng) % 32 == 0) {
		CHECK_EQ(filch_pool_drain(pool, NULL), 0);
		atomic_fetch_add(&drains, 1);
	}
	if (test_random(rng) % 32 == 0 && !has_caller)
		each();
}

static uint64_t rounds;

static void *submit(void *arg)
{
	uint64_t rng = test_seed() + (uint64_t)(uintptr_t)arg;

	for (uint64_t n = rounds; n || !atomic_load(&enough); n -= n > 0) {
		/* the ledger has room for so many and no more */
		if (atomic_load(&next_number) + 16 > ledger.n)
			break;
		some_jobs(&rng);
	}
	return NULL;
}

static atomic_bool stop;

static void rest(uint64_t *rng)
{
	uint64_t dice = test_random(rng);

	if (dice % 4 == 0)
		nanosleep(&(struct timespec){ .tv_nsec = (long)(dice / 4 % 100000) }, NULL);
	else
		sched_yield();
}

/* The target and the quota in force; of pauses there is one at a time. */
static void *change(void *arg)
{
	uint64_t rng = test_seed() + 77 + (uint64_t)(uintptr_t)arg;
	const uint32_t least = has_caller && most + spares > 1 ? 2 : 1;
	uint32_t target = (uint32_t)filch_pool_workers(pool), quota = UINT32_MAX;

	while (!atomic_load(&stop)) {
		uint32_t to = least + (uint32_t)(test_random(&rng) % (most - least + 1));
		uint32_t now = (target < quota ? target : quota) + spares;
		uint64_t dice = test_random(&rng) % 8;

		if (dice == 0) {
			CHECK_EQ(filch_pool_pause(pool), 0);
			set_bound(0);
			rest(&rng);
			set_bound(now);
			CHECK_EQ(filch_pool_resume(pool), 0);
			atomic_fetch_add(&pauses, 1);
		} else {
			uint32_t t = dice == 1 ? target : to, q = dice == 1 ? to : UINT32_MAX;
			uint32_t then = (t < q ? t : q) + spares;

			if (then > now)
				set_bound(then);
			CHECK_EQ(filch_pool_resize(pool, t), 0);
			if (q != quota) {
				/* it comes by a function of the library's own */
				filchi_elastic_set_quota(pool, q);
				atomic_fetch_add(&quotas, 1);
			}
			if (then <= now)
				set_bound(then);
			target = t;
			quota = q;
			CHECK_EQ(filch_pool_workers(pool), t < q ? t : q);
			atomic_fetch_add(&resizes, 1);
		}
		rest(&rng);
	}
	filchi_elastic_set_quota(pool, UINT32_MAX);
	return NULL;
}

static bool covered(void)
{
	struct filch_stats s = pool_stats(pool);

	return (most == 1 || atomic_load(&resizes) > 20) && atomic_load(&pauses) > 2 &&
	       s.retired > 20 && (!spares || atomic_load(&on_spares)) && atomic_load(&blocked) &&
	       (guards || atomic_load(&abroad)) && (!loses || s.replaced > 20);
}

static void run_with(uint32_t workers, uint32_t max, uint32_t spare, uint64_t flags)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	uint64_t since = test_now();
	pthread_t at[THREADS], changer;

	test_watchdog(120);
	config.workers = workers;
	config.workers_max = max;
	config.spares = spare;
	config.flags = flags | FILCH_POOL_OVERSUBSCRIBE;
	has_caller = flags & FILCH_POOL_CALLER;
	guards = flags & FILCH_POOL_GUARD;
	most = max;
	spares = spare;
	pool = pool_open_with(&config);
	other = pool_open(1, 0);
	CHECK_EQ(filch_pool_workers_max(pool), max + spare);
	memset(lateness, 0, sizeof lateness);
	set_bound(workers + spare);
	atomic_store(&on_spares, 0);
	atomic_store(&blocked, 0);
	atomic_store(&abroad, 0);
	atomic_store(&resizes, 0);
	atomic_store(&pauses, 0);
	atomic_store(&next_number, 0);
	atomic_store(&enough, false);
	atomic_store(&stop, false);
	rounds = test_scaled(1500);
	ledger_open(&ledger, 4000000);
	CHECK_EQ(pthread_create(&changer, NULL, change, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&at[i], NULL, submit, (void *)(uintptr_t)i), 0);
	while (!covered()) {
		uint64_t rng = since;

		if (has_caller && atomic_load(&next_number) + 16 <= ledger.n)
			some_jobs(&rng);
		else
			sched_yield();
		CHECK(test_now() - since < UINT64_C(60000000000),
			"resizes %lu, pauses %lu, on spares %lu, retired %llu",
			atomic_load(&resizes), atomic_load(&pauses), atomic_load(&on_spares),
			(unsigned long long)pool_stats(pool).retired);
	}
	atomic_store(&enough, true);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(at[i], NULL), 0);
	atomic_store(&stop, true);
	CHECK_EQ(pthread_join(changer, NULL), 0);
	ledger.n = atomic_load(&next_number);
	ledger_close(&ledger);
	printf("    %u of %u workers, %u spares: %lu jobs, %lu resizes, %lu pauses, %lu late, %lu "
	       "on spares, %llu times retired\n",
		workers, max, spare, atomic_load(&next_number), atomic_load(&resizes),
		atomic_load(&pauses), atomic_load(&late), atomic_load(&on_spares),
		(unsigned long long)pool_stats(pool).retired);
	pool_close(pool);
	pool_close(other);
}

static void each_job_runs_once_and_no_worker_starts_two_that_it_may_not(void)
{
	pools_begin();
	run_with(1, 1, 0, 0);
	run_with(1, 1, 2, 0);
	run_with(2, 2, 0, 0);
	run_with(1, 4, 2, 0);
	run_with(2, 4, 0, FILCH_POOL_NO_SEARCH);
	run_with(4, 32, 4, 0);
	printf("    each %lu, quotas %lu, drains %lu\n", atomic_load(&calls), atomic_load(&quotas),
		atomic_load(&drains));
	pools_print();
	POOLS_COVER(retired);
	POOLS_COVER(parks);
	POOLS_COVER(jobs_nested);
	CHECK(atomic_load(&calls) > 0, "no call of each");
	CHECK(atomic_load(&quotas) > 0, "no quota");
}

static void the_same_with_jobs_that_leave_their_threads(void)
{
	pools_begin();
	loses = true;
	run_with(1, 3, 1, 0);
	run_with(2, 4, 0, 0);
	CHECK(atomic_load(&left) > 0, "none has left");
	if (TEST_HAS_GUARDS) {
		run_with(1, 3, 1, FILCH_POOL_GUARD);
		run_with(2, 4, 2, FILCH_POOL_GUARD);
		CHECK(atomic_load(&faulted) > 0, "no fault");
	}
	loses = false;
	printf("    %lu faults, %lu left\n", atomic_load(&faulted), atomic_load(&left));
	POOLS_COVER(retired);
	POOLS_COVER(replaced);
}

static void the_same_with_a_creator_that_works(void)
{
	pools_begin();
	run_with(2, 2, 0, FILCH_POOL_CALLER);
	run_with(2, 4, 1, FILCH_POOL_CALLER);
	POOLS_COVER(retired);
}

/* --- the end, whatever they are in --------------------------------------- */

static void a_pool_ends_whatever_its_workers_may_do(void)
{
	pools_begin();
	for (uint64_t k = 0; k < test_scaled(200); k++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;
		struct filch_config config = FILCH_CONFIG_INIT;

		test_watchdog(60);
		config.workers = 1;
		config.workers_max = 3;
		config.spares = 1;
		config.flags = FILCH_POOL_OVERSUBSCRIBE;
		pool = pool_open_with(&config);
		how.flags = FILCH_JOB_DETACHED;
		for (unsigned i = 0; i < k % 8; i++) {
			static int ran[8];

			CHECK(filch_submit(pool, nested, &ran[i], &how) >= 0, "refused");
			CHECK_EQ(filch_pool_resize(pool, 1 + (uint32_t)(k + i) % 3), 0);
		}
		if (k % 2)
			CHECK_EQ(filch_pool_pause(pool), 0);
		if (k % 3 == 0)
			CHECK_EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
		CHECK_EQ(filch_pool_destroy(pool), 0);
	}
}

int main(void)
{
#define CASE(name) test_case(#name, name)
	test_case("a ledger finds what it should", ledger_self_test);
	CASE(each_job_runs_once_and_no_worker_starts_two_that_it_may_not);
	CASE(the_same_with_jobs_that_leave_their_threads);
	CASE(the_same_with_a_creator_that_works);
	CASE(a_pool_ends_whatever_its_workers_may_do);
	return test_finish("elastic");
}
