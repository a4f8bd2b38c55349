/* SPDX-License-Identifier: Apache-2.0 */
/* filch_pool_each(): once on each worker, whatever the workers do. */
#include <fenv.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "unit.h"

#define WORKERS 4

/* Who has run it, and where. */
struct seen {
	atomic_int times[WORKERS], wrong;
	struct filch_pool *pool;
	int64_t job; /* whose work it is to be; 0: another's */
};

static int see(void *arg, int worker)
{
	struct seen *s = arg;

	atomic_fetch_add(&s->times[worker], 1);
	if (worker != filch_worker_id() || filch_pool_current() != s->pool ||
		(s->job ? filch_job_id() != s->job : filch_job_id() == 0))
		atomic_fetch_add(&s->wrong, 1);
	return 0;
}

static void once(struct seen *s, int workers)
{
	for (int i = 0; i < WORKERS; i++)
		EQ(atomic_load(&s->times[i]), i < workers);
	EQ(atomic_load(&s->wrong), 0);
}

static int wait_status(struct filch_pool *pool, int64_t id)
{
	struct filch_completion c;

	EQ(id > 0, 1);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	return c.status;
}

Test(each, from_outside_it_runs_once_on_each)
{
	for (int workers = 1; workers <= WORKERS; workers++) {
		struct filch_pool *pool = pool_of((uint32_t)workers, 0);

		for (int k = 0; k < 100; k++) {
			struct seen s = { .pool = pool };

			EQ(filch_pool_each(pool, see, &s), 0);
			once(&s, workers);
		}
		EQ(filch_pool_destroy(pool), 0);
	}
}

static int each_in_job(void *arg)
{
	struct seen s = { .pool = filch_pool_current(), .job = filch_job_id() };
	int error = filch_pool_each(NULL, see, &s);

	(void)arg;
	if (error)
		return error;
	once(&s, WORKERS);
	return 11;
}

Test(each, from_a_job_it_is_work_of_that_job)
{
	struct filch_pool *pool = pool_of(WORKERS, 0);

	for (int k = 0; k < 100; k++)
		EQ(wait_status(pool, filch_submit(pool, each_in_job, NULL, NULL)), 11);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- busy workers ------------------------------------------------------ */

static struct gate held = GATE_INIT, let_go = GATE_INIT;

static int hold(void *arg)
{
	(void)arg;
	gate_raise(&held);
	gate_wait(&let_go, 1);
	return 0;
}

static int five(void *arg)
{
	(void)arg;
	return 5;
}

static void *each_from_thread(void *arg)
{
	struct seen *s = arg;

	EQ(filch_pool_each(s->pool, see, s), 0);
	return NULL;
}

Test(each, a_busy_worker_runs_it_after_its_job_and_the_call_waits)
{
	struct filch_pool *pool = pool_of(WORKERS, 0);
	struct seen s = { .pool = pool };
	pthread_t thread;
	int64_t id[2];

	for (int i = 0; i < 2; i++)
		id[i] = filch_submit(pool, hold, NULL, NULL);
	gate_wait(&held, 2);
	EQ(pthread_create(&thread, NULL, each_from_thread, &s), 0);
	/* the two others run it */
	for (int n = 0; n < 2;) {
		n = 0;
		for (int i = 0; i < WORKERS; i++)
			n += atomic_load(&s.times[i]);
		sched_yield();
	}
	/* one of them waits for the call's end, the other goes on with jobs */
	EQ(wait_status(pool, filch_submit(pool, five, NULL, NULL)), 5);
	for (int i = 0, n = 0; i < WORKERS; i++) {
		n += atomic_load(&s.times[i]);
		EQ(n <= 2, 1);
	}
	gate_raise(&let_go);
	EQ(pthread_join(thread, NULL), 0);
	once(&s, WORKERS);
	for (int i = 0; i < 2; i++)
		EQ(wait_status(pool, id[i]), 0);
	EQ(filch_pool_destroy(pool), 0);
}

/* A worker with a frame that waits for a job, which calls: it runs its share on top. */
static int wait_for_call(void *arg)
{
	int64_t id = filch_submit(NULL, each_in_job, arg, NULL);

	gate_raise(&held); /* another worker may have it, or the wait runs it here */
	return wait_status(NULL, id);
}

Test(each, a_worker_that_waits_for_the_caller_runs_it_on_top)
{
	struct filch_pool *pool = pool_of(WORKERS, 0);

	for (int k = 0; k < 50; k++) {
		int64_t id[2 * WORKERS];

		/* more than workers: some wait, some run what is waited for */
		for (int i = 0; i < 2 * WORKERS; i++)
			id[i] = filch_submit(pool, wait_for_call, NULL, NULL);
		for (int i = 0; i < 2 * WORKERS; i++)
			EQ(wait_status(pool, id[i]), 11);
	}
	EQ(filch_pool_destroy(pool), 0);
}

/* A stolen task calls, while its spawner's frame waits for it in a scope. */
FILCH_TASK(int, calls, (atomic_int *, stolen))
{
	atomic_store(stolen, 1);
	return filch_pool_each(NULL, see, &(struct seen){ .pool = filch_pool_current() });
}

FILCH_TASK(int, has_it_stolen)
{
	atomic_int stolen = 0;

	FILCH_SPAWN(a, calls, &stolen);
	while (!atomic_load(&stolen))
		sched_yield();
	return FILCH_SYNC(a);
}

static int in_scope(void *arg)
{
	int status = -1;

	(void)arg;
	return FILCH_RUN(NULL, &status, has_it_stolen) ? -2 : status;
}

Test(each, a_frame_that_waits_in_a_scope_is_no_obstacle)
{
	struct filch_pool *pool = pool_of(2, 0);

	for (int k = 0; k < 50; k++)
		EQ(filch_scope(pool, NULL, in_scope, NULL), 0);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- nested, and other pools ------------------------------------------- */

static int nested(void *arg, int worker)
{
	struct seen s = { .pool = filch_pool_current() };
	int error = filch_pool_each(NULL, see, &s);

	(void)worker;
	if (error)
		return error;
	once(&s, 2);
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

Test(each, calls_inside_of_calls_end)
{
	struct filch_pool *pool = pool_of(2, 0);
	atomic_int n = 0;

	for (int k = 1; k <= 100; k++) {
		EQ(filch_pool_each(pool, nested, &n), 0);
		EQ(atomic_load(&n), 2 * k);
	}
	EQ(filch_pool_destroy(pool), 0);
}

static struct filch_pool *a, *b;

/* In one of the two pools: calls the other, whose function comes back. */
static int back(void *arg, int worker)
{
	struct filch_pool *other = filch_pool_current() == a ? b : a;
	int *depth = arg, deeper = *depth - 1;

	(void)worker;
	return deeper < 0 ? 0 : filch_pool_each(other, back, &deeper);
}

Test(each, pools_that_call_each_other_end)
{
	int depth = 3;

	a = pool_of(2, 0);
	b = pool_of(1, 0);
	for (int k = 0; k < 20; k++) {
		EQ(filch_pool_each(a, back, &depth), 0);
		EQ(filch_pool_each(b, back, &depth), 0);
	}
	EQ(filch_pool_destroy(a), 0);
	EQ(filch_pool_destroy(b), 0);
}

/* --- results ----------------------------------------------------------- */

static int fail(void *arg, int worker)
{
	return ((int *)arg)[worker];
}

Test(each, the_status_is_that_of_the_lowest_worker_that_has_one)
{
	struct filch_pool *pool = pool_of(WORKERS, 0);
	int status[WORKERS] = { 0, 0, 5, -7 };

	EQ(filch_pool_each(pool, fail, status), 5);
	status[1] = -9;
	EQ(filch_pool_each(pool, fail, status), -9);
	status[1] = status[2] = 0;
	EQ(filch_pool_each(pool, fail, status), -7);
	EQ(filch_pool_destroy(pool), 0);
}

static int round_up(void *arg, int worker)
{
	(void)worker;
	return fesetround(*(int *)arg);
}

static int rounding(void *arg)
{
	(void)arg;
	return fegetround();
}

/* Its own rounding holds to its end, though the call in it sets another for jobs to come. */
static int keep_own(void *arg)
{
	int error;

	EQ(fesetround(FE_TOWARDZERO), 0);
	error = filch_pool_each(NULL, round_up, arg);
	return error ? error : fegetround();
}

Test(each, what_it_sets_of_the_processor_holds_for_jobs_to_come)
{
	struct filch_pool *pool = pool_of(2, 0);
	int up = FE_UPWARD, nearest = FE_TONEAREST;

	for (int k = 0; k < 50; k++) {
		EQ(filch_pool_each(pool, round_up, &up), 0);
		for (int i = 0; i < 8; i++)
			EQ(wait_status(pool, filch_submit(pool, rounding, NULL, NULL)), FE_UPWARD);
		EQ(wait_status(pool, filch_submit(pool, keep_own, &nearest, NULL)), FE_TOWARDZERO);
		for (int i = 0; i < 8; i++)
			EQ(wait_status(pool, filch_submit(pool, rounding, NULL, NULL)),
				FE_TONEAREST);
	}
	EQ(fegetround(), FE_TONEAREST);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- no room ----------------------------------------------------------- */

struct low {
	struct filch_pool *pool;
	struct gate low, told;
	int64_t caller;
	struct seen seen;
};

static int call_when_low(void *arg)
{
	struct low *l = arg;

	gate_wait(&l->low, 1);
	return filch_pool_each(NULL, see, &l->seen);
}

/* Uses up the stack, and waits for the job that calls. */
static int use_up(struct low *l, uintptr_t top)
{
	volatile char some[4096];
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	struct filch_completion c;

	some[0] = 1;
	if (top - here < (UINT64_C(256) << 10) - (UINT64_C(28) << 10))
		return use_up(l, top) + some[0] - 1;
	gate_raise(&l->low);
	EQ(filch_wait(l->pool, l->caller, NULL, &c), 0);
	return c.status + some[0] - 1;
}

static int wait_when_low(void *arg)
{
	gate_raise(&held);
	gate_wait(&let_go, 1);                    /* the caller has begun, on another worker ... */
	gate_wait(&((struct low *)arg)->told, 1); /* ... and its id is known */
	return use_up(arg, (uintptr_t)__builtin_frame_address(0));
}

static int begin_call(void *arg)
{
	gate_raise(&let_go);
	return call_when_low(arg);
}

Test(each, a_worker_without_stack_declines_and_the_call_says_so)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct low l = { .low = GATE_INIT, .told = GATE_INIT };
	int64_t id;

	if (TEST_SANITIZED)
		cr_skip_test("frames are larger");
	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.stack_bytes = UINT64_C(256) << 10;
	EQ(filch_pool_create(&l.pool, &config), 0);
	l.seen.pool = l.pool;
	id = filch_submit(l.pool, wait_when_low, &l, NULL);
	gate_wait(&held, 1);
	l.caller = filch_submit(l.pool, begin_call, &l, NULL);
	gate_raise(&l.told);
	EQ(wait_status(l.pool, id), -ENOBUFS);
	EQ(atomic_load(&l.seen.times[0]) + atomic_load(&l.seen.times[1]), 1);
	/* and is none the worse for it */
	memset(&l.seen.times, 0, sizeof l.seen.times);
	EQ(filch_pool_each(l.pool, see, &l.seen), 0);
	once(&l.seen, 2);
	EQ(filch_pool_destroy(l.pool), 0);
}

/* --- creators that are workers ----------------------------------------- */

/* FILCH_RUN and what its creator runs itself have no id there. */
static int count_only(void *arg, int worker)
{
	atomic_fetch_add(&((struct seen *)arg)->times[worker], 1);
	return 0;
}

/* The creator of both pools, busy as a worker of the one, is not there for the other. */
static int from_other_pool(void *arg, int worker)
{
	(void)worker;
	return filch_pool_each(arg, count_only, NULL) == -EDEADLK ? 0 : -1;
}

static void *refused_from_thread(void *pool)
{
	struct seen s = { .pool = pool };

	EQ(filch_pool_each(pool, see, &s), -EDEADLK);
	once(&s, 0);
	return NULL;
}

static int refused_on_another_worker(void *arg)
{
	struct seen s = { .pool = arg };

	if (filch_worker_id())
		EQ(filch_pool_each(arg, see, &s), -EDEADLK);
	return filch_worker_id();
}

Test(each, a_creator_that_works_calls_and_others_are_refused)
{
	struct filch_pool *pool = pool_of(2, FILCH_POOL_CALLER);
	struct filch_pool *alone = pool_of(1, FILCH_POOL_CALLER);
	struct seen s = { .pool = pool };
	pthread_t thread;

	for (int k = 0; k < 100; k++) {
		struct seen every = { .pool = pool }, one = { .pool = alone };

		every.job = one.job = 0;
		EQ(filch_pool_each(pool, count_only, &every), 0);
		EQ(filch_pool_each(alone, count_only, &one), 0);
		once(&every, 2);
		once(&one, 1);
	}
	EQ(pthread_create(&thread, NULL, refused_from_thread, pool), 0);
	EQ(pthread_join(thread, NULL), 0);
	/* not waited for here: that would run it on worker 0 */
	while (filch_submit(pool, refused_on_another_worker, pool,
		       &(struct filch_submit){ .size = sizeof(struct filch_submit),
			       .flags = FILCH_JOB_DETACHED }) < 0)
		sched_yield();
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_pool_each(alone, from_other_pool, pool), 0);
	once(&s, 0);
	EQ(filch_pool_destroy(pool), 0);
	EQ(filch_pool_destroy(alone), 0);
}

/* --- hooks, forks, lost threads ---------------------------------------- */

static atomic_int hooked;

static void call_in_hook(void *arg, int worker)
{
	(void)arg, (void)worker;
	if (filch_pool_each(NULL, see, &(struct seen){ .pool = NULL }) == -EDEADLK)
		atomic_fetch_add(&hooked, 1);
}

Test(each, a_hook_is_refused)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool = NULL;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.on_worker_start = call_in_hook;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(atomic_load(&hooked), 2);
	EQ(filch_pool_destroy(pool), 0);
}

#if TEST_HAS_GUARDS
static int leave(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

Test(each, a_thread_that_replaces_a_lost_one_runs_it_too)
{
	struct filch_pool *pool = pool_of(2, FILCH_POOL_GUARD);

	for (int k = 0; k < 50; k++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;
		struct seen s = { .pool = pool };
		int64_t id[4];

		how.flags = FILCH_JOB_GUARD;
		for (int i = 0; i < 4; i++)
			id[i] = filch_submit(pool, leave, NULL, &how);
		EQ(filch_pool_each(pool, see, &s), 0);
		once(&s, 2);
		for (int i = 0; i < 4; i++)
			EQ(wait_status(pool, id[i]), -ECANCELED);
	}
	EQ(filch_pool_destroy(pool), 0);
}

static int leave_on_one(void *arg, int worker)
{
	(void)arg;
	if (worker == 1)
		pthread_exit(NULL);
	return 0;
}

Test(each, one_that_leaves_its_thread_ends_the_call)
{
	struct filch_pool *pool = pool_of(2, FILCH_POOL_GUARD);
	struct seen s = { .pool = pool };

#if defined(UNIT_ADDRESS_SANITIZER)
	EQ(filch_pool_destroy(pool), 0);
	cr_skip_test("what the call had allocated is lost with its thread");
#endif
	EQ(filch_pool_each(pool, leave_on_one, NULL), -ECANCELED);
	EQ(filch_pool_each(pool, see, &s), 0);
	once(&s, 2);
	EQ(filch_pool_destroy(pool), 0);
}
#endif
