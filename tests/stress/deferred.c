/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deferred: a return and a finish, in either order, and exactly one completion. Two threads finish
 * each job, as soon as it has told its id; a third cancels some. Completions go to a queue, to a
 * callback, to a wait, or nowhere. Then pools that are destroyed while their last jobs are
 * finished.
 *
 * Ledgers: each job has one finish that succeeds, or was cancelled before it started; and each has
 * one completion, with that finish's status.
 *
 * In CI (scale 1) 4 x 10^5 jobs, 400 pools; --long is scale 10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ledger.h"
#include "pools.h"

enum { FINISHERS = 2, NEVER = -1, WINDOW = 1024, EARLIER = 64, STATUS = 0xffffff };
enum kind { QUEUE, CALLBACK, WAIT, DETACHED, KINDS };

static struct filch_pool *pool;
static struct filch_cq *cq;
static uint64_t jobs;
static _Atomic int64_t *told; /* by job: the id that it has deferred; NEVER: it will not start */
static struct ledger finished, completed;
static _Atomic uint64_t on_worker, on_finisher, refused, cancelled;
static _Atomic uint64_t flagged; /* or cancelled */
static _Atomic uint64_t reached; /* so many jobs some finisher is done with */

static int defer(void *arg)
{
	uint64_t number = (uint64_t)((_Atomic int64_t *)arg - told);
	int64_t id = filch_job_defer();

	CHECK(id > 0, "%lld", (long long)id);
	atomic_store_explicit((_Atomic int64_t *)arg, id, memory_order_release);
	if (number % 3 == 0)
		sched_yield();
	/* some return after their finish; not at any price: that may wait for who submits */
	if (number % (16 * KINDS) == CALLBACK)
		for (int i = 0; i < 1000 && atomic_load(&reached) <= number; i++)
			sched_yield();
	return -1; /* ignored */
}

static void check(const struct filch_completion *c)
{
	uint64_t number = (uint64_t)((_Atomic int64_t *)c->arg - told);

	if (c->status == -ECANCELED) {
		CHECK_EQ(c->worker, -1);
		atomic_store((_Atomic int64_t *)c->arg, NEVER);
		ledger_enter(&finished, number);
		cancelled++;
	} else {
		CHECK_EQ(c->status, number & STATUS);
		CHECK_EQ(c->id, atomic_load((_Atomic int64_t *)c->arg));
	}
	ledger_enter(&completed, number);
}

static void call_back(const struct filch_completion *c)
{
	if (c->status != -ECANCELED)
		*(filch_worker_id() < 0 ? &on_finisher : &on_worker) += 1;
	check(c);
}

static void reap(void)
{
	struct filch_completion c[16];
	int n = filch_cq_reap(cq, c, 16);

	for (int i = 0; i < n; i++)
		check(&c[i]);
}

/* The one of two that comes first succeeds. */
static void *finisher(void *unused)
{
	(void)unused;
	for (uint64_t i = 0; i < jobs; i++) {
		int64_t id;
		int error;

		while (!(id = atomic_load_explicit(&told[i], memory_order_acquire)))
			sched_yield();
		if (id == NEVER)
			continue;
		error = filch_job_finish(pool, id, (int)(i & STATUS));
		if (error) {
			CHECK_EQ(error, -ESRCH);
			refused++;
		} else {
			ledger_enter(&finished, i);
			if (i % KINDS == DETACHED)
				ledger_enter(&completed, i);
		}
		if (atomic_load(&reached) <= i)
			atomic_store(&reached, i + 1);
	}
	return NULL;
}

static int64_t submit(uint64_t i)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	if (i % KINDS == QUEUE)
		how.cq = cq;
	else if (i % KINDS == CALLBACK)
		how.on_complete = call_back;
	else if (i % KINDS == DETACHED)
		how.flags = FILCH_JOB_DETACHED;
	while ((id = filch_submit(pool, defer, (void *)&told[i], &how)) == -ENOBUFS) {
		reap();
		sched_yield();
	}
	CHECK(id > 0, "%lld", (long long)id);
	return id;
}

static void wait_for(int64_t id)
{
	struct timespec soon = filch_after(1000000);
	struct filch_completion c;
	int error;

	/* the finishers may wait for a job that was cancelled, and told of in the queue */
	while ((error = filch_wait(pool, id, &soon, &c)) == -ETIMEDOUT) {
		reap();
		soon = filch_after(1000000);
	}
	CHECK_EQ(error, 0);
	check(&c);
}

static void run(uint64_t n)
{
	static int64_t waits[WINDOW]; /* ids of jobs that are to be waited for */
	int64_t earlier[EARLIER] = { 0 };
	pthread_t thread[FINISHERS];
	uint64_t random = test_seed(), waiting = 0, waited = 0;

	jobs = n;
	reached = 0;
	told = calloc(jobs, sizeof told[0]);
	CHECK(told != NULL, "no memory");
	ledger_open(&finished, jobs);
	ledger_open(&completed, jobs);
	pool = pool_open(2, 0);
	for (int i = 0; i < FINISHERS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, finisher, NULL), 0);
	for (uint64_t i = 0; i < jobs; i++) {
		int64_t id = submit(i);

		if (i % KINDS != DETACHED) {
			/* this one, queued most likely; or an earlier one */
			if (test_random(&random) % 8 == 0)
				flagged += filch_cancel(pool, id) == 0;
			else if (earlier[i % EARLIER] && test_random(&random) % 8 == 0)
				flagged += filch_cancel(pool, earlier[i % EARLIER]) == 0;
			earlier[i % EARLIER] = id;
		}
		if (i % KINDS == WAIT)
			waits[waiting++ % WINDOW] = id;
		if (waiting - waited == WINDOW)
			wait_for(waits[waited++ % WINDOW]);
		if (i % 16 == 0)
			reap();
		if (i % 4096 == 0)
			test_watchdog(100);
	}
	while (waited < waiting)
		wait_for(waits[waited++ % WINDOW]);
	/* the finishers may still wait for a job that was cancelled, and told of in the queue */
	for (uint64_t i = 0; i < jobs; i++) {
		while (!atomic_load_explicit(&told[i], memory_order_acquire)) {
			reap();
			sched_yield();
		}
	}
	for (int i = 0; i < FINISHERS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	for (uint64_t i = 0; i < jobs; i++)
		reap();
	pool_close(pool);
	ledger_close(&finished);
	ledger_close(&completed);
	free((void *)told);
}

static void a_return_and_a_finish_are_one_completion(void)
{
	struct filch_cq_config config = FILCH_CQ_CONFIG_INIT;

	on_worker = on_finisher = refused = cancelled = flagged = 0;
	for (unsigned round = 0;
		round < 10 && (round < 2 || !on_worker || !on_finisher || !refused || !cancelled ||
				      flagged == cancelled);
		round++) {
		config.flags = round % 2 ? FILCH_CQ_ORDERED : 0;
		CHECK_EQ(filch_cq_create_with(&cq, &config), 0);
		run(test_scaled(200000));
		CHECK_EQ(filch_cq_destroy(cq), 0);
	}
	printf("    callbacks on a worker %llu, on a finisher %llu; finishes refused %llu, "
	       "cancelled in the queue %llu, while running %llu\n",
		(unsigned long long)on_worker, (unsigned long long)on_finisher,
		(unsigned long long)refused, (unsigned long long)cancelled,
		(unsigned long long)(flagged - cancelled));
	CHECK(on_worker && on_finisher && refused && cancelled && flagged > cancelled,
		"the case claims to cover all of these");
}

/* --- the end of the pool ---------------------------------------------- */

enum { LAST_JOBS = 8 };
static _Atomic int64_t last[LAST_JOBS];
static _Atomic uint64_t last_finished;

static int defer_last(void *arg)
{
	atomic_store((_Atomic int64_t *)arg, filch_job_defer());
	return 0;
}

static void *finish_last(void *unused)
{
	(void)unused;
	for (int i = 0; i < LAST_JOBS; i++) {
		int64_t id;

		while (!(id = atomic_load(&last[i])))
			sched_yield();
		CHECK_EQ(filch_job_finish(pool, id, 0), 0);
		last_finished++;
	}
	return NULL;
}

static void a_destroy_waits_for_the_last_finish_and_no_longer(void)
{
	uint64_t pools = test_scaled(400);

	last_finished = 0;
	for (uint64_t n = 0; n < pools; n++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;
		pthread_t thread;

		test_watchdog(100);
		pool = pool_open(1 + n % 2, 0);
		how.flags = FILCH_JOB_DETACHED;
		for (int i = 0; i < LAST_JOBS; i++)
			atomic_store(&last[i], 0);
		for (int i = 0; i < LAST_JOBS; i++)
			CHECK(filch_submit(pool, defer_last, (void *)&last[i], &how) > 0,
				"refused");
		/* a job that has not started would be cancelled */
		for (int i = 0; i < LAST_JOBS; i++)
			while (!atomic_load(&last[i]))
				sched_yield();
		CHECK_EQ(pthread_create(&thread, NULL, finish_last, NULL), 0);
		CHECK_EQ(filch_pool_destroy(pool), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	CHECK_EQ(last_finished, pools * LAST_JOBS);
}

int main(void)
{
	test_watchdog(100);
	(void)test_seed();
	pools_begin();
	test_case("a ledger finds what is lost or doubled", ledger_self_test);
	test_case("a return and a finish are one completion",
		a_return_and_a_finish_are_one_completion);
	test_case("a destroy waits for the last finish, and no longer",
		a_destroy_waits_for_the_last_finish_and_no_longer);
	pools_print();
	return test_finish("deferred");
}
