/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stacks: what a worker does on top of a suspended frame. With room it helps: it runs tasks of its
 * own job. With little stack left it parks at once, starts nothing, and is not woken by work that
 * it may not run; it wakes when what it waits for is done. Whoever waits, in a sync, in
 * filch_wait() on a worker or outside, or for room in a full queue, sleeps: its CPU time is
 * counted, not the time that passes.
 *
 * Each case stands on events (somebody sleeps, somebody has come); nothing waits for a time to pass
 * but the stretch that is measured.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "pools.h"
#include "stack.h"

#define LIBRARY_LIMIT (UINT64_C(32) << 10) /* with less than this left nothing stolen is started */

/* ThreadSanitizer keeps a megabyte of its own there. */
#define SMALL_STACK ((TEST_SANITIZED ? UINT64_C(2048) : UINT64_C(256)) << 10)

static struct filch_pool *pool;

static void until(bool (*happened)(void))
{
	while (!happened())
		sched_yield();
}

/* --- a joiner, and a thief whose tasks it might run ------------------- */

#define KIDS 16u

static struct {
	bool low; /* the joiner goes down before it spawns */
	_Atomic int joiner, thief;
	_Atomic unsigned by_joiner, by_thief;
	/* of the whole pool, and one more: when the joiner, and nobody else, has gone to sleep */
	_Atomic uint64_t parks;
	uint64_t left;
} meet;

FILCH_VOID_TASK(note_worker)
{
	if (filch_worker_id() == meet.joiner)
		meet.by_joiner++;
	else
		meet.by_thief++;
}

static bool thief_has_come(void)
{
	return meet.thief >= 0;
}

static bool joiner_sleeps(void)
{
	return meet.parks && pool_stats(pool).parks == meet.parks;
}

static bool joiner_has_run_all(void)
{
	return meet.by_joiner == KIDS;
}

/* Runs on the thief, while the joiner waits for it. */
FILCH_VOID_TASK(spawn_under_a_joiner)
{
	FILCH_FRAME(note_worker) kid[KIDS];

	meet.thief = filch_worker_id();
	if (meet.low)
		until(joiner_sleeps);
	for (unsigned i = 0; i < KIDS; i++)
		FILCH_SPAWN_INTO(&kid[i], note_worker);
	if (!meet.low)
		until(joiner_has_run_all);
	for (unsigned i = KIDS; i--;)
		FILCH_SYNC_FROM(note_worker, &kid[i]);
	if (meet.low) { /* sixteen spawns of its own job, and it has slept on */
		CHECK_EQ(pool_stats(pool).asleep, 1);
		CHECK_EQ(pool_stats(pool).parks, meet.parks);
	}
}

FILCH_VOID_TASK(join_at_the_bottom)
{
	volatile char pad[1024];

	pad[0] = 0;
	meet.left = stack_left();
	if (meet.low && meet.left > LIBRARY_LIMIT - 4096) {
		FILCH_CALL(join_at_the_bottom);
	} else {
		meet.joiner = filch_worker_id();
		FILCH_SPAWN(held, spawn_under_a_joiner);
		until(thief_has_come);
		meet.parks = pool_stats(pool).parks + 1; /* the thief is busy */
		FILCH_SYNC(held);
	}
	pad[1023] = pad[0];
}

static void joiner_on(bool low, uint64_t flags)
{
	test_watchdog(120);
	pools_begin();
	pool = pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
		.workers = 2,
		.stack_bytes = SMALL_STACK,
		.flags = FILCH_POOL_OVERSUBSCRIBE | flags });
	for (uint64_t i = test_scaled(200); i--;) {
		meet.low = low;
		meet.joiner = meet.thief = -1;
		meet.by_joiner = meet.by_thief = 0;
		meet.parks = 0;
		CHECK_EQ(FILCH_RUN(pool, NULL, join_at_the_bottom), 0);
		CHECK(meet.joiner != meet.thief, "worker %d stole from itself", meet.joiner);
		CHECK_EQ(meet.by_joiner, low ? 0 : KIDS);
		CHECK_EQ(meet.by_thief, low ? KIDS : 0);
	}
	printf("    the joiner had %llu bytes of stack left\n", (unsigned long long)meet.left);
	pool_close(pool);
	pools_print();
	POOLS_COVER(joins_waited);
}

static void a_joiner_with_room_runs_tasks_of_its_job(void)
{
	joiner_on(false, 0);
	joiner_on(false, FILCH_POOL_NO_SEARCH);
}

static void a_joiner_with_little_stack_parks_and_runs_nothing(void)
{
	if (TEST_SANITIZED) {
		printf("    not measured: a sanitizer's frames are of other sizes, some of them "
		       "on a stack of their own\n");
		return;
	}
	joiner_on(true, 0);
	POOLS_COVER(parks);
	joiner_on(true, FILCH_POOL_NO_SEARCH);
	POOLS_COVER(parks);
}

/* --- whoever waits sleeps --------------------------------------------- */

#define STRETCH UINT64_C(200000000) /* CPU time that the one who is waited for uses */
/* and what the one who waits may, searching and the system's accounting included */
#define FRUGAL UINT64_C(40000000)

static _Atomic bool started;
static _Atomic unsigned waiting;

static uint64_t cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static bool somebody_waits(void)
{
	return waiting > 0;
}

static bool has_started(void)
{
	return started;
}

/* What is waited for: works for a while by its own clock, once somebody waits. */
static void work_hard(void)
{
	uint64_t from = cpu_time();

	started = true;
	until(somebody_waits);
	while (cpu_time() - from < STRETCH)
		;
}

static int work_hard_job(void *arg)
{
	(void)arg;
	work_hard();
	return 0;
}

FILCH_VOID_TASK(work_hard_task)
{
	work_hard();
}

/* The CPU time since @from, which must be little. */
static void was_frugal(const char *who, uint64_t from)
{
	uint64_t used = cpu_time() - from;

	waiting = 0;
	printf("    %s used %llu us of CPU time while %llu were worked for it\n", who,
		(unsigned long long)used / 1000, (unsigned long long)STRETCH / 1000);
	CHECK(used < FRUGAL, "%s used %llu ns", who, (unsigned long long)used);
}

FILCH_VOID_TASK(join_hard_work)
{
	uint64_t from;

	FILCH_SPAWN(kid, work_hard_task);
	until(has_started);
	from = cpu_time();
	waiting = 1;
	FILCH_SYNC(kid);
	was_frugal("a joiner", from);
}

static int64_t awaited;

static int wait_for_hard_work(void *arg)
{
	uint64_t from = cpu_time();

	waiting = 1;
	CHECK_EQ(filch_wait(pool, awaited, NULL, NULL), 0);
	was_frugal(arg, from);
	return 0;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void begin_hard_work(void)
{
	test_watchdog(120);
	started = false;
	waiting = 0;
	awaited = filch_submit(pool, work_hard_job, NULL, NULL);
	CHECK(awaited > 0, "%lld", (long long)awaited);
	until(has_started);
}

static void whoever_waits_sleeps(void)
{
	const struct filch_submit detached = { .size = sizeof detached,
		.flags = FILCH_JOB_DETACHED };
	uint64_t from;
	int64_t id;

	test_watchdog(120);
	pools_begin();
	pool = pool_open(2, 0);
	started = false;
	CHECK_EQ(FILCH_RUN(pool, NULL, join_hard_work), 0);
	begin_hard_work();
	id = filch_submit(pool, wait_for_hard_work, "a job that waits for a job", NULL);
	CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
	begin_hard_work();
	(void)wait_for_hard_work("a thread that waits for a job");
	pool_close(pool);
	POOLS_COVER(joins_waited);
	POOLS_COVER(parks);

	pool = pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
		.workers = 1,
		.queue_capacity = 1,
		.flags = FILCH_POOL_OVERSUBSCRIBE });
	begin_hard_work();
	CHECK(filch_submit(pool, nothing, NULL, &detached) > 0, "the queue is not empty");
	from = cpu_time();
	waiting = 1;
	CHECK(filch_submit(pool, nothing, NULL, &detached) > 0, "not accepted");
	was_frugal("a submitter blocked by a full queue", from);
	CHECK_EQ(filch_wait(pool, awaited, NULL, NULL), 0);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	pool_close(pool);
}

/* --- sixteen joiners at once ------------------------------------------ */

#define PAIRS 16u

static sem_t released;
static _Atomic unsigned held;

FILCH_VOID_TASK(hold_a_thief)
{
	held++;
	while (sem_wait(&released) && errno == EINTR)
		;
}

FILCH_VOID_TASK(join_what_is_held)
{
	FILCH_SPAWN(kid, hold_a_thief);
	/* this worker takes none: when all are held, its own has been stolen */
	while (held < PAIRS)
		sched_yield();
	FILCH_SYNC(kid);
}

static int join_job(void *arg)
{
	(void)arg;
	return FILCH_RUN(NULL, NULL, join_what_is_held);
}

static uint64_t process_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void all_joiners_of_32_workers_sleep(void)
{
	int64_t id[PAIRS];
	uint64_t from, used;

	test_watchdog(120);
	pools_begin();
	CHECK_EQ(sem_init(&released, 0, 0), 0);
	held = 0;
	pool = pool_open(2 * PAIRS, 0);
	for (unsigned i = 0; i < PAIRS; i++)
		CHECK((id[i] = filch_submit(pool, join_job, NULL, NULL)) > 0, "%lld",
			(long long)id[i]);
	while (pool_stats(pool).asleep < PAIRS)
		sched_yield();
	from = process_time();
	/* the stretch that is measured */
	nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	used = process_time() - from;
	printf("    %u joiners asleep, %u thieves held: %llu us of CPU time in 300 ms\n", PAIRS,
		held, (unsigned long long)used / 1000);
	CHECK(used < 30000000, "%llu ns", (unsigned long long)used);
	CHECK_EQ(pool_stats(pool).asleep, PAIRS);
	for (unsigned i = 0; i < PAIRS; i++)
		CHECK_EQ(sem_post(&released), 0);
	for (unsigned i = 0; i < PAIRS; i++)
		CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
	pool_close(pool);
	CHECK_EQ(sem_destroy(&released), 0);
	pools_print();
	CHECK_EQ(pools_sum.joins_waited, PAIRS);
	POOLS_COVER(parks);
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("a joiner with room runs tasks of its job",
		a_joiner_with_room_runs_tasks_of_its_job);
	test_case("a joiner with little stack parks and runs nothing",
		a_joiner_with_little_stack_parks_and_runs_nothing);
	test_case("whoever waits sleeps", whoever_waits_sleeps);
	test_case("all joiners of 32 workers sleep", all_joiners_of_32_workers_sleep);
	return test_finish("stacks");
}
