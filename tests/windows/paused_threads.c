/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held: a thread that stands still in the middle of a call stops nobody. A submitter is held in
 * each window that it passes through, among them between drawing its place in the queue and writing
 * it, while all workers are asleep; a worker is held between the end of a job and its completion.
 * Meanwhile jobs that wait for each other on all free workers are submitted, again and again: each
 * must start at once, or they never end. Then the one that was held goes on, and its job completes.
 *
 * Others are held for what must be made of it elsewhere: a submitter before its job's number is in
 * the ring, while the one worker there is drains the pool; who completes a job before it writes a
 * queue's descriptor, until the reader has been there and rests; a submitter that is to run its job
 * itself, while the pool is shut down; a worker that waits and cannot run what it waits for, while
 * another has its completion.
 *
 * And a worker is held that others rely on: as a searcher, on its way to sleep, or when it has been
 * woken. Jobs that somebody waits for, jobs that nobody waits for and tasks come to run meanwhile,
 * though other workers sleep and nobody has looked for work.
 *
 * It is held until the others have done so much, not for a time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "race_windows.h"
#include "pools.h"

#define WORKERS 3u

static struct filch_pool *pool;
static pthread_barrier_t table;
static _Atomic bool done;

/*
 * Sleeps until all of them are here: on a busy machine, waiting by yields would take the cores from
 * those yet to come.
 */
static int client(void *arg)
{
	(void)arg;
	(void)pthread_barrier_wait(&table);
	return 0;
}

/* @n jobs that meet, @times. */
static void meet(unsigned n, uint64_t times)
{
	int64_t id[WORKERS];

	CHECK_EQ(pthread_barrier_init(&table, NULL, n), 0);
	while (times--) {
		for (unsigned i = 0; i < n; i++)
			CHECK((id[i] = filch_submit(pool, client, NULL, NULL)) > 0, "%lld",
				(long long)id[i]);
		for (unsigned i = 0; i < n; i++)
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
	}
	CHECK_EQ(pthread_barrier_destroy(&table), 0);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void *submit_and_be_held(void *arg)
{
	int64_t id;

	paused_hold_me(arg);
	id = filch_submit(pool, nothing, NULL, NULL);
	CHECK(id > 0, "%lld", (long long)id);
	CHECK(paused_held_me(), "a submit does not pass through %s", (const char *)arg);
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	done = true;
	return NULL;
}

static void a_submitter_held_in_any_window_stops_nobody(void)
{
	static const char *const window[] = { "scq_take_drawn", "submit_published", "scq_put_drawn",
		"submit_put", "posted_counted", "wake_chosen", "submit_announced" };
	uint64_t n = test_scaled(1000);

	pools_begin();
	for (unsigned i = 0; i < sizeof window / sizeof window[0]; i++) {
		pthread_t thread;

		test_watchdog(60);
		pool = pool_open(WORKERS, FILCH_POOL_NO_SEARCH);
		pool_until_asleep(pool, WORKERS);
		done = false;
		CHECK_EQ(pthread_create(
				 &thread, NULL, submit_and_be_held, (void *)(uintptr_t)window[i]),
			0);
		paused_until_held();
		meet(WORKERS, n);
		CHECK(!done, "it has not been held in %s", window[i]);
		paused_let_go();
		CHECK_EQ(pthread_join(thread, NULL), 0);
		meet(WORKERS, 10);
		pool_close(pool);
		printf("    held in %s: %llu jobs meanwhile\n", window[i],
			(unsigned long long)(n * WORKERS));
	}
	pools_print();
	POOLS_COVER(parks);
	POOLS_COVER(wakes);
}

static int return_and_be_held(void *arg)
{
	paused_hold_me(arg);
	return 0;
}

static void a_worker_held_before_it_completes_its_job_stops_nobody(void)
{
	static char window[] = "job_returned";
	uint64_t n = test_scaled(1000);
	struct timespec past = { 0, 1 };
	int64_t id;

	test_watchdog(60);
	pools_begin();
	pool = pool_open(WORKERS, FILCH_POOL_NO_SEARCH);
	CHECK((id = filch_submit(pool, return_and_be_held, window, NULL)) > 0, "%lld",
		(long long)id);
	paused_until_held();
	meet(WORKERS - 1, n);
	CHECK_EQ(filch_wait(pool, id, &past, NULL), -ETIMEDOUT);
	paused_let_go();
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	meet(WORKERS, 10);
	pool_close(pool);
	pools_print();
	POOLS_COVER(parks);
}

/*
 * The creating thread is the one worker: what it finds queued, and not in the ring, it must not
 * sleep for.
 */
static void a_drain_runs_what_is_not_in_the_ring_yet(void)
{
	static char window[] = "submit_published";
	pthread_t thread;

	test_watchdog(60);
	pools_begin();
	pool = pool_open(1, FILCH_POOL_CALLER);
	done = false;
	CHECK_EQ(pthread_create(&thread, NULL, submit_and_be_held, window), 0);
	paused_until_held();
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	CHECK(!done, "it has not been held");
	paused_let_go();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	pool_close(pool);
	POOLS_COVER(jobs);
}

/*
 * The ring comes when its completion has been reaped and the notifier is armed again: the
 * descriptor must not stay readable.
 */
static void a_ring_that_comes_late_is_cleared(void)
{
	static char window[] = "notifier_disarmed";
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_completion c;
	struct filch_cq *cq;
	struct pollfd watch = { .events = POLLIN };
	int spins = 0;

	test_watchdog(60);
	pool = pool_open(1, 0);
	CHECK_EQ(filch_cq_create(&cq, 0), 0);
	watch.fd = filch_cq_fd(cq);
	how.cq = cq;
	CHECK(filch_submit(pool, return_and_be_held, window, &how) > 0, "refused");
	paused_until_held();
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 1);
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 0);
	CHECK_EQ(poll(&watch, 1, 0), 0);
	paused_let_go();
	CHECK_EQ(poll(&watch, 1, -1), 1);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0); /* the poster is through */
	while (poll(&watch, 1, 0) == 1 && ++spins < 100)
		CHECK_EQ(filch_cq_reap(cq, &c, 1), 0);
	CHECK_EQ(spins, 1);
	CHECK(filch_submit(pool, nothing, NULL, &how) > 0, "refused");
	CHECK_EQ(poll(&watch, 1, -1), 1);
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 1);
	CHECK_EQ(filch_cq_reap(cq, &c, 1), 0);
	CHECK_EQ(poll(&watch, 1, 0), 0);
	pool_close(pool);
	CHECK_EQ(filch_cq_destroy(cq), 0);
}

/* --- a submitter that runs its job itself, and the end of the pool ---- */

static pthread_mutex_t latch = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned at_latch;
static _Atomic uint64_t ran;

static int stand_at_latch(void *arg)
{
	(void)arg;
	at_latch++;
	CHECK_EQ(pthread_mutex_lock(&latch), 0);
	CHECK_EQ(pthread_mutex_unlock(&latch), 0);
	return 0;
}

static const struct filch_submit detached = { .size = sizeof detached,
	.flags = FILCH_JOB_DETACHED };

static void hold_a_worker(void)
{
	unsigned before = at_latch;

	CHECK(filch_submit(pool, stand_at_latch, NULL, &detached) > 0, "refused");
	while (at_latch == before)
		sched_yield();
}

static int count_one(void *arg)
{
	(void)arg;
	ran++;
	return 0;
}

static _Atomic int64_t answered;

static void *run_myself_and_be_held(void *arg)
{
	const struct filch_submit how = {
		.size = sizeof how, .flags = FILCH_JOB_DETACHED, .when_full = FILCH_CALLER_RUNS
	};

	paused_hold_me(arg);
	answered = filch_submit(pool, count_one, NULL, &how);
	CHECK(paused_held_me(), "a submit to a full queue does not pass through %s",
		(const char *)arg);
	return NULL;
}

static void *shut_down(void *arg)
{
	(void)arg;
	CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	done = true;
	return NULL;
}

/*
 * Held before its job is published, it does not start it after the shutdown; held behind that, the
 * shutdown waits for what it decides.
 */
static void no_job_starts_after_a_shutdown_has_returned(void)
{
	static char before[] = "submit_full", behind[] = "submit_published";

	for (int which = 0; which < 2; which++) {
		const struct filch_config config = { .size = sizeof config,
			.workers = 1,
			.queue_capacity = 1,
			.flags = FILCH_POOL_OVERSUBSCRIBE };
		struct timespec past = { 0, 1 };
		pthread_t thread, end;

		test_watchdog(60);
		pools_begin();
		pool = pool_open_with(&config);
		ran = 0;
		done = false;
		answered = 0;
		CHECK_EQ(pthread_mutex_lock(&latch), 0);
		hold_a_worker();
		CHECK(filch_submit(pool, nothing, NULL, &detached) > 0, "refused"); /* full */
		CHECK_EQ(pthread_create(
				 &thread, NULL, run_myself_and_be_held, which ? behind : before),
			0);
		paused_until_held();
		CHECK_EQ(pthread_mutex_unlock(&latch), 0);
		if (which) {
			while (pool_stats(pool).jobs < 2)
				sched_yield();
			CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, &past), -ETIMEDOUT);
		}
		CHECK_EQ(pthread_create(&end, NULL, shut_down, NULL), 0);
		if (!which)
			CHECK_EQ(pthread_join(end, NULL), 0);
		CHECK_EQ(done, !which);
		paused_let_go();
		CHECK_EQ(pthread_join(thread, NULL), 0);
		if (which)
			CHECK_EQ(pthread_join(end, NULL), 0);
		CHECK_EQ(answered, -ESHUTDOWN);
		CHECK_EQ(ran, 0);
		pool_close(pool);
	}
}

/* --- two waiters for one id ------------------------------------------- */

static _Atomic int64_t awaited;
static _Atomic int lost_with;

/*
 * Waits with so little stack left that it cannot run anything here, and stands still between its
 * two looks at the job.
 */
static __attribute__((noinline)) int wait_deep_down(int64_t id)
{
	volatile char room[96 << 10];
	int error;

	room[0] = 1;
	room[sizeof room - 1] = 1;
	paused_hold_me("wait_without_room");
	error = filch_wait(pool, id, NULL, NULL);
	CHECK(paused_held_me(), "the wait has not been held");
	return room[0] == 1 ? error : 0;
}

static int wait_for_awaited(void *arg)
{
	(void)arg;
	lost_with = wait_deep_down(awaited);
	return 0;
}

/*
 * The loser stands between its look for the completion and its look at whether the job is still
 * queued. Meanwhile the other has reaped it, and the slot is used for another job that cannot
 * start: that is none of the loser's business.
 */
static void who_comes_second_is_told_that_the_id_is_gone(void)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = 2,
		.queue_capacity = 64,
		.jobs_max = 8,
		.stack_bytes = 128 << 10,
		.flags = FILCH_POOL_OVERSUBSCRIBE };
	const int64_t slot_bits = 15; /* 8 slots and one more */
	uint64_t reused = 0;
	int64_t id, loser;

	test_watchdog(60);
	pools_begin();
	pool = pool_open_with(&config);
	at_latch = 0;
	CHECK_EQ(pthread_mutex_lock(&latch), 0);
	CHECK((id = filch_submit(pool, stand_at_latch, NULL, NULL)) > 0, "refused");
	while (!at_latch)
		sched_yield();
	awaited = id;
	CHECK((loser = filch_submit(pool, wait_for_awaited, NULL, NULL)) > 0, "refused");
	paused_until_held();
	CHECK_EQ(pthread_mutex_unlock(&latch), 0);
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	CHECK_EQ(pthread_mutex_lock(&latch), 0);
	hold_a_worker(); /* both are taken now, and what is submitted stays queued */
	for (int64_t next; !reused; reused += (next & slot_bits) == (id & slot_bits))
		CHECK((next = filch_submit(pool, nothing, NULL, &detached)) > 0, "%lld",
			(long long)next);
	paused_let_go();
	CHECK_EQ(filch_wait(pool, loser, NULL, NULL), 0);
	CHECK_EQ(lost_with, -ESRCH);
	CHECK_EQ(pthread_mutex_unlock(&latch), 0);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	pool_close(pool);
}

/* --- workers that others rely on -------------------------------------- */

#define SEARCHES "search_goes_on"

static int be_held_later(void *arg)
{
	if (filch_worker_id() == 0)
		paused_hold_me(arg);
	return 0;
}

/* Worker 0 stands still in @window: after a job of its own, or when it is next woken. */
static void hold_first(const char *window)
{
	while (!paused_is_held()) {
		int64_t id;

		pool_until_asleep(pool, 1);
		id = filch_submit(pool, be_held_later, (void *)(uintptr_t)window, NULL);
		CHECK(id > 0, "%lld", (long long)id);
		CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	}
}

/* The same for whichever worker takes the job. */
static void hold_any(void)
{
	static char window[] = SEARCHES;
	int64_t id = filch_submit(pool, return_and_be_held, window, NULL);

	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	paused_until_held();
}

static void a_worker_held_while_others_rely_on_it_delays_no_job(void)
{
	static const char *const window[] = { SEARCHES, "park_begins", "park_prepared",
		"park_decided", "woken_comes" };
	uint64_t n = test_scaled(300);

	for (unsigned i = 0; i < sizeof window / sizeof window[0]; i++) {
		test_watchdog(60);
		pools_begin();
		/* not bound: whoever is woken, worker 0 comes first */
		pool = pool_open(WORKERS, FILCH_POOL_NO_SEARCH | FILCH_POOL_NO_PIN);
		hold_first(window[i]);
		for (uint64_t k = 0; k < n; k++)
			meet(1, 1);
		meet(WORKERS - 1, n);
		CHECK(paused_is_held(), "it has not been held in %s", window[i]);
		paused_let_go();
		meet(WORKERS, 10);
		pool_until_asleep(pool, WORKERS);
		pool_close(pool);
		printf("    held in %s: %llu jobs meanwhile\n", window[i],
			(unsigned long long)(n * WORKERS));
		POOLS_COVER(wakes);
	}
}

static _Atomic uint64_t seen;

static int be_seen(void *arg)
{
	(void)arg;
	seen++;
	return 0;
}

/* Nobody waits: only the next post can see that nobody has looked. */
static void a_worker_held_as_a_searcher_delays_no_job_that_is_not_waited_for(void)
{
	uint64_t posts = 0, late = 0;

	test_watchdog(60);
	pool = pool_open(WORKERS, FILCH_POOL_NO_SEARCH | FILCH_POOL_NO_PIN);
	hold_first(SEARCHES);
	pool_until_asleep(pool, WORKERS - 1);
	for (seen = 0; seen < test_scaled(300);) {
		uint64_t before = seen;

		for (late = 0; seen == before; late++) {
			if (late % 64 == 0) {
				CHECK(filch_submit(pool, be_seen, NULL, &detached) > 0, "a submit");
				posts++;
			}
			sched_yield();
		}
	}
	CHECK(paused_is_held(), "it has not been held");
	paused_let_go();
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	CHECK_EQ(seen, posts);
	pool_close(pool);
	printf("    %llu jobs\n", (unsigned long long)posts);
}

FILCH_TASK(int, who_runs)
{
	return filch_worker_id();
}

/* Spawns until a task was stolen; returns how many it took. */
FILCH_TASK(uint64_t, spawn_until_stolen)
{
	uint64_t n = 0;
	int by;

	do {
		FILCH_SPAWN(kid, who_runs);
		sched_yield();
		by = FILCH_SYNC(kid);
		n++;
	} while (by == filch_worker_id());
	return n;
}

static _Atomic bool go;

FILCH_TASK(uint64_t, wait_and_spawn)
{
	while (!go)
		sched_yield();
	return FILCH_CALL(spawn_until_stolen);
}

static void *run_spawner(void *arg)
{
	CHECK_EQ(FILCH_RUN(pool, arg, wait_and_spawn), 0);
	return NULL;
}

static void a_worker_held_as_a_searcher_delays_no_task(void)
{
	pthread_t thread;
	uint64_t spawned = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("    left out: one core, on which nobody can be missed\n");
		return;
	}
	test_watchdog(60);
	go = false;
	pool = pool_open(WORKERS, FILCH_POOL_NO_SEARCH | FILCH_POOL_NO_PIN);
	CHECK_EQ(pthread_create(&thread, NULL, run_spawner, &spawned), 0);
	while (pool_stats(pool).jobs == 0)
		sched_yield();
	hold_any();
	go = true;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(paused_is_held(), "it has not been held");
	paused_let_go();
	pool_close(pool);
	printf("    %llu tasks\n", (unsigned long long)spawned);
}

int main(void)
{
	test_watchdog(60);
	paused_begin(test_seed());
	test_case("a submitter held in any window stops nobody",
		a_submitter_held_in_any_window_stops_nobody);
	test_case("a worker held before it completes its job stops nobody",
		a_worker_held_before_it_completes_its_job_stops_nobody);
	test_case("a drain runs what is not in the ring yet",
		a_drain_runs_what_is_not_in_the_ring_yet);
	test_case("a ring that comes late is cleared", a_ring_that_comes_late_is_cleared);
	test_case("no job starts after a shutdown has returned",
		no_job_starts_after_a_shutdown_has_returned);
	test_case("who comes second is told that the id is gone",
		who_comes_second_is_told_that_the_id_is_gone);
	test_case("a worker held while others rely on it delays no job",
		a_worker_held_while_others_rely_on_it_delays_no_job);
	test_case("a worker held as a searcher delays no job that is not waited for",
		a_worker_held_as_a_searcher_delays_no_job_that_is_not_waited_for);
	test_case("a worker held as a searcher delays no task",
		a_worker_held_as_a_searcher_delays_no_task);
	return test_finish("held");
}
