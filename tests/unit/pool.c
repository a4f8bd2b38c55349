/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool, its life: what is refused at creation and what is not; hooks, names and ids; drain, shutdown and destroy from every state
 * and from every kind of thread; nothing that was accepted is left without its completion. The report, the counters and the
 * creating thread as worker 0 are in pool_report.c and pool_caller.c.
 */
#include <criterion/criterion.h>

#include "unit.h"

#include <dirent.h>
#include <sched.h>
#include <shared.h>
#include <stdio.h>
#include <stdlib.h>

static struct filch_config config_of(uint32_t workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	return config;
}

/* --- creation ------------------------------------------------------------------------------------------------------------------ */

Test(pool, all_defaults_make_a_pool_that_runs)
{
	struct filch_pool *pool = NULL;

	EQ(filch_pool_create(NULL, NULL), -EINVAL);
	EQ(filch_pool_create(&pool, NULL), 0);
	cr_assert(filch_pool_workers(pool) >= 1);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(filch_pool_destroy(pool), 0);
}

/* Creation with @config must fail with @error and leave nothing behind. */
static void refused(const struct filch_config *config, int error, const char *why)
{
	struct filch_pool *const untouched = (struct filch_pool *)0x10;
	struct filch_pool *pool = untouched;
	int threads = test_threads(), result = filch_pool_create(&pool, config);

	cr_assert(result == error, "%s: %d", why, result);
	cr_assert(pool == untouched, "%s", why);
	EQ(test_threads(), threads);
}

#define REFUSED(error, field, value)                          \
	do {                                                  \
		struct filch_config config_ = config_of(2);   \
		config_.field = (value);                      \
		refused(&config_, (error), #field " = " #value); \
	} while (0)

Test(pool, a_bad_configuration_is_refused)
{
	REFUSED(-EINVAL, size, 0);
	REFUSED(-EINVAL, size, 8);
	REFUSED(-EINVAL, size, sizeof(struct filch_config) - 1);
	REFUSED(-EINVAL, reserved, 1);
	REFUSED(-EINVAL, workload, 2);
	REFUSED(-EINVAL, workload, UINT32_MAX);
	REFUSED(-EINVAL, workers, 1025);
	REFUSED(-EINVAL, workers, UINT32_MAX);
	REFUSED(-EINVAL, queue_capacity, (1u << 20) + 1);
	REFUSED(-EINVAL, jobs_max, (1u << 22) + 1);
	REFUSED(-EINVAL, deque_capacity, (1u << 24) + 1);
	REFUSED(-EINVAL, stack_bytes, 1);
	REFUSED(-EINVAL, stack_bytes, (128 << 10) - 1);
	REFUSED(-EINVAL, stack_bytes, UINT64_MAX);
	REFUSED(-EINVAL, cpuset, "0-");
	REFUSED(-EINVAL, cpuset, "zero");
	REFUSED(-EINVAL, cpuset, "3-1");
	REFUSED(-EINVAL, cpuset, "0,,1");
	REFUSED(-EINVAL, cpuset, "0 1");
	REFUSED(-EINVAL, cpuset, "-1");
	for (int bit = 5; bit < 64; bit++)
		REFUSED(-EINVAL, flags, UINT64_C(1) << bit);
}

Test(pool, more_workers_than_usable_cores_need_oversubscription)
{
	struct filch_config config = config_of(1024);
	struct filch_pool *pool;

	config.flags = 0;
	refused(&config, -EINVAL, "1024 workers");
	config = config_of(33);
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_pool_workers(pool), 33);
	EQ(filch_pool_destroy(pool), 0);
}

struct newer {
	struct filch_config config;
	uint64_t tail[2];
};

Test(pool, a_newer_configuration_is_taken_if_it_asks_for_nothing_new)
{
	struct newer newer = { .config = config_of(1) };
	struct filch_pool *pool;

	newer.config.size = sizeof newer;
	EQ(filch_pool_create(&pool, &newer.config), 0);
	EQ(filch_pool_destroy(pool), 0);
	newer.tail[1] = UINT64_C(1) << 56; /* the very last byte */
	refused(&newer.config, -E2BIG, "a wish in the last byte");
	newer.tail[1] = 0;
	newer.tail[0] = 1;
	refused(&newer.config, -E2BIG, "a wish in the first byte");
}

static int one(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
	return 1;
}

Test(pool, the_smallest_pool_works)
{
	struct filch_config config = config_of(1);
	struct filch_completion c;
	struct filch_pool *pool;
	int64_t id;
	int n = 0;

	config.queue_capacity = config.jobs_max = config.deque_capacity = config.search_ns = 1;
	config.stack_bytes = 128 << 10;
	EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 0; i < 100; i++) {
		id = filch_submit(pool, one, &n, NULL);
		cr_assert(id > 0);
		EQ(filch_wait(pool, id, NULL, &c), 0);
		EQ(c.status, 1);
	}
	EQ(n, 100);
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool, pools_come_and_go_and_leave_nothing)
{
	int threads = test_threads(), descriptors;

	EQ(filch_pool_destroy(pool_of(2, 0)), 0);
	descriptors = test_descriptors();
	for (int i = 0; i < 200; i++)
		EQ(filch_pool_destroy(pool_of(1 + (uint32_t)i % 4, i % 2 ? FILCH_POOL_NO_SEARCH : 0)), 0);
	EQ(test_threads(), threads);
	EQ(test_descriptors(), descriptors);
}

/* --- hooks, names, ids --------------------------------------------------------------------------------------------------------- */

static struct {
	pthread_t started[8], stopped[8];
	int starts[8], stops[8], jobs_before_start;
	struct filch_pool *pool[8];
	bool id_right;
} hooks;

static void on_start(void *arg, int worker)
{
	cr_assert(arg == &hooks && worker >= 0 && worker < 8);
	hooks.started[worker] = pthread_self();
	hooks.pool[worker] = filch_pool_current();
	hooks.id_right &= filch_worker_id() == worker;
	__atomic_fetch_add(&hooks.starts[worker], 1, __ATOMIC_RELAXED);
}

static void on_stop(void *arg, int worker)
{
	cr_assert(arg == &hooks && worker >= 0 && worker < 8);
	hooks.stopped[worker] = pthread_self();
	__atomic_fetch_add(&hooks.stops[worker], 1, __ATOMIC_RELAXED);
}

static int check_started(void *arg)
{
	(void)arg;
	if (!__atomic_load_n(&hooks.starts[filch_worker_id()], __ATOMIC_RELAXED))
		__atomic_fetch_add(&hooks.jobs_before_start, 1, __ATOMIC_RELAXED);
	return 0;
}

Test(pool, hooks_run_once_on_each_workers_thread_around_its_jobs)
{
	struct filch_config config = config_of(5);
	struct filch_pool *pool;

	hooks.id_right = true;
	config.on_worker_start = on_start;
	config.on_worker_stop = on_stop;
	config.hook_arg = &hooks;
	EQ(filch_pool_create(&pool, &config), 0);
	for (int i = 0; i < 5; i++) {
		EQ(hooks.starts[i], 1);
		EQ(hooks.stops[i], 0);
		cr_assert(hooks.pool[i] == pool);
		cr_assert(!pthread_equal(hooks.started[i], pthread_self()));
		for (int k = 0; k < i; k++)
			cr_assert(!pthread_equal(hooks.started[i], hooks.started[k]));
	}
	cr_assert(hooks.id_right);
	for (int i = 0; i < 200; i++)
		cr_assert(filch_submit(pool, check_started, NULL, NULL) > 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(hooks.jobs_before_start, 0);
	EQ(filch_pool_destroy(pool), 0);
	for (int i = 0; i < 8; i++) {
		EQ(hooks.starts[i], i < 5);
		EQ(hooks.stops[i], i < 5);
		if (i < 5)
			cr_assert(pthread_equal(hooks.started[i], hooks.stopped[i]));
	}
}

/* How many threads of this process are called @name. */
static int threads_called(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int found = 0;

	cr_assert(dir);
	while ((entry = readdir(dir))) {
		char path[300], text[32] = "";
		FILE *file;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(text, sizeof text, file)) {
			text[strcspn(text, "\n")] = 0;
			found += !strcmp(text, name);
		}
		fclose(file);
	}
	closedir(dir);
	return found;
}

Test(pool, threads_bear_the_pools_name_and_their_number)
{
	struct filch_config config = config_of(3);
	struct filch_pool *pool, *unnamed, *longer;
	char name[] = "alpha";

	config.name = name;
	EQ(filch_pool_create(&pool, &config), 0);
	memset(name, 'x', 5); /* the string may go after the call */
	config.name = NULL;
	EQ(filch_pool_create(&unnamed, &config), 0);
	config = config_of(12);
	config.name = "a-name-of-more-than-15-characters";
	EQ(filch_pool_create(&longer, &config), 0);
	EQ(threads_called("alpha/0"), 1);
	EQ(threads_called("alpha/1"), 1);
	EQ(threads_called("alpha/2"), 1);
	EQ(threads_called("alpha/3"), 0);
	EQ(threads_called("filch/0"), 1);
	EQ(threads_called("filch/2"), 1);
	EQ(threads_called("a-name-of/0"), 1);
	EQ(threads_called("a-name-of/11"), 1);
	EQ(filch_pool_destroy(pool), 0);
	EQ(filch_pool_destroy(unnamed), 0);
	EQ(filch_pool_destroy(longer), 0);
	EQ(threads_called("alpha/0"), 0);
}

struct where {
	struct filch_pool *pool;
	int worker;
};

static int look(void *arg)
{
	struct where *where = arg;

	where->pool = filch_pool_current();
	where->worker = filch_worker_id();
	return 0;
}

Test(pool, a_worker_knows_its_pool_and_number_and_other_threads_have_none)
{
	struct filch_pool *pool = pool_of(3, 0);
	struct filch_completion c;
	struct where where;

	cr_assert(!filch_pool_current());
	EQ(filch_worker_id(), -1);
	for (int i = 0; i < 50; i++) {
		EQ(filch_wait(pool, filch_submit(pool, look, &where, NULL), NULL, &c), 0);
		cr_assert(where.pool == pool);
		EQ(where.worker, c.worker);
		cr_assert(c.worker >= 0 && c.worker < 3);
	}
	EQ(filch_pool_workers(NULL), -EINVAL);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- several pools ------------------------------------------------------------------------------------------------------------- */

FILCH_TASK(long, fib, (int, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long y = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + y;
}

FILCH_TASK(long, fib_elsewhere, (struct filch_pool *, here), (struct filch_pool *, there), (int, n))
{
	long r = -1;

	FILCH_SPAWN(a, fib, n);
	if (filch_pool_current() != here || FILCH_RUN(there, &r, fib, n) || filch_pool_current() != here)
		r = -1000000;
	return r + FILCH_SYNC(a);
}

FILCH_TASK(long, there_and_back, (struct filch_pool *, here), (struct filch_pool *, there))
{
	long r = -1;

	return FILCH_RUN(there, &r, fib_elsewhere, there, here, 12) ? -1 : r;
}

Test(pool, pools_live_side_by_side_and_run_into_each_other)
{
	struct filch_pool *a = pool_of(2, 0), *b = pool_of(1, 0), *c = pool_of(3, 0);
	long r = 0;

	for (int i = 0; i < 20; i++) {
		EQ(FILCH_RUN(a, &r, fib_elsewhere, a, b, 15), 0);
		EQ(r, 2 * 610);
		EQ(FILCH_RUN(b, &r, fib_elsewhere, b, c, 15), 0);
		EQ(r, 2 * 610);
		EQ(FILCH_RUN(a, &r, there_and_back, a, b), 0); /* a's second worker takes the way back */
		EQ(r, 2 * 144);
	}
	EQ(filch_pool_destroy(b), 0);
	EQ(FILCH_RUN(a, &r, fib_elsewhere, a, c, 15), 0);
	EQ(filch_pool_destroy(a), 0);
	EQ(filch_pool_destroy(c), 0);
}

static int pool_in_a_job(void *arg)
{
	struct filch_config config = config_of(2);
	struct filch_pool *pool;
	long r = 0;
	int error = filch_pool_create(&pool, &config);

	(void)arg;
	if (error)
		return error;
	error = FILCH_RUN(pool, &r, fib, 10);
	if (error || r != 55)
		return -1;
	return filch_pool_destroy(pool);
}

Test(pool, a_job_may_make_and_destroy_a_pool_of_its_own)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct filch_completion c;

	EQ(filch_wait(pool, filch_submit(pool, pool_in_a_job, NULL, NULL), NULL, &c), 0);
	EQ(c.status, 0);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- the end of a pool --------------------------------------------------------------------------------------------------------- */

struct hold {
	struct gate started, release;
};
#define HOLD_INIT { GATE_INIT, GATE_INIT }

static int hold(void *arg)
{
	struct hold *h = arg;

	gate_raise(&h->started);
	gate_wait(&h->release, 1);
	return 5;
}

/* Runs until its job is cancelled. */
static int until_cancelled(void *arg)
{
	gate_raise(arg);
	while (!filch_job_cancelled())
		sched_yield();
	return -EINTR;
}

static int completions[64], statuses[64];

static void tell(const struct filch_completion *c)
{
	size_t i = (size_t)(uintptr_t)c->user;

	statuses[i] = c->status;
	__atomic_fetch_add(&completions[i], 1, __ATOMIC_RELAXED);
}

static int64_t submit_telling(struct filch_pool *pool, filch_job_fn *fn, void *arg, size_t i)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.on_complete = tell;
	how.user = (void *)(uintptr_t)i;
	return filch_submit(pool, fn, arg, &how);
}

Test(pool, drain_waits_for_what_was_accepted_before_it)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct timespec past = { 0, 1 }, soon;
	struct hold h = HOLD_INIT;
	int n = 0;

	EQ(filch_pool_drain(pool, &past), 0);
	cr_assert(submit_telling(pool, hold, &h, 0) > 0);
	cr_assert(submit_telling(pool, one, &n, 1) > 0);
	gate_wait(&h.started, 1);
	EQ(filch_pool_drain(pool, &past), -ETIMEDOUT);
	soon = filch_after(2000000);
	EQ(filch_pool_drain(pool, &soon), -ETIMEDOUT);
	EQ(completions[0], 0);
	gate_raise(&h.release);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(completions[0], 1);
	EQ(completions[1], 1);
	EQ(statuses[0], 5);
	cr_assert(submit_telling(pool, one, &n, 2) > 0, "a drained pool is open");
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(completions[2], 1);
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool, shutdown_refuses_what_comes_after_and_runs_what_came_before)
{
	struct filch_pool *pool = pool_of(1, 0);
	struct filch_completion c;
	int64_t id;
	int n = 0;

	for (size_t i = 0; i < 20; i++)
		cr_assert(submit_telling(pool, one, &n, i) > 0);
	id = filch_submit(pool, one, &n, NULL);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(n, 21);
	EQ(filch_submit(pool, one, &n, NULL), -ESHUTDOWN);
	EQ(submit_telling(pool, one, &n, 30), -ESHUTDOWN);
	EQ(filch_submit_batch(pool, &(struct filch_job_spec){ one, &n, NULL }, 1, NULL, &(int64_t){ 0 }), -ESHUTDOWN);
	EQ(FILCH_RUN(pool, NULL, fib, 3), -ESHUTDOWN);
	EQ(filch_wait(pool, id, NULL, &c), 0);
	EQ(c.status, 1);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(n, 21);
	EQ(completions[30], 0);
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool, shutdown_may_time_out_and_then_abandon)
{
	struct filch_pool *pool = pool_of(1, 0);
	struct timespec soon = filch_after(2000000);
	struct gate started = GATE_INIT;
	struct filch_completion c;
	int64_t running = filch_submit(pool, until_cancelled, &started, NULL), queued;
	int n = 0;

	gate_wait(&started, 1);
	queued = filch_submit(pool, one, &n, NULL);
	for (size_t i = 0; i < 10; i++)
		cr_assert(submit_telling(pool, one, &n, i) > 0);
	EQ(filch_pool_shutdown(pool, FILCH_DRAIN, &soon), -ETIMEDOUT);
	EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	EQ(n, 0);
	EQ(filch_wait(pool, running, NULL, &c), 0);
	EQ(c.status, -EINTR);
	EQ(filch_wait(pool, queued, NULL, &c), 0);
	EQ(c.status, -ECANCELED);
	EQ(c.worker, -1);
	for (int i = 0; i < 10; i++) {
		EQ(completions[i], 1);
		EQ(statuses[i], -ECANCELED);
	}
	EQ(filch_pool_destroy(pool), 0);
}

Test(pool, destroy_completes_what_is_queued_once_and_flags_what_runs)
{
	struct filch_pool *pool = pool_of(2, 0);
	struct gate started = GATE_INIT;
	int n = 0, threads;

	cr_assert(submit_telling(pool, until_cancelled, &started, 40) > 0);
	cr_assert(submit_telling(pool, until_cancelled, &started, 41) > 0);
	gate_wait(&started, 2);
	for (size_t i = 0; i < 40; i++)
		cr_assert(submit_telling(pool, one, &n, i) > 0);
	threads = test_threads();
	EQ(filch_pool_destroy(pool), 0);
	EQ(test_threads(), threads - 2);
	EQ(n, 0);
	for (int i = 0; i < 42; i++) {
		EQ(completions[i], 1);
		EQ(statuses[i], i < 40 ? -ECANCELED : -EINTR);
	}
}

Test(pool, destroy_needs_no_shutdown_and_may_follow_any)
{
	for (int before = 0; before < 4; before++) {
		struct filch_pool *pool = pool_of(2, 0);
		int n = 0;

		for (int i = 0; i < 10; i++)
			cr_assert(filch_submit(pool, one, &n, NULL) > 0); /* never reaped */
		if (before == 1)
			EQ(filch_pool_drain(pool, NULL), 0);
		if (before == 2)
			EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
		if (before == 3)
			EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
		EQ(filch_pool_destroy(pool), 0);
		if (before == 1 || before == 2)
			EQ(n, 10);
	}
}

/* What a thread that sits inside a call of the pool when it is destroyed comes back with. */
struct guest {
	struct filch_pool *pool;
	int64_t id, result;
	struct filch_completion completion;
};

static void *guest_submits(void *arg)
{
	struct guest *g = arg;

	g->result = filch_submit(g->pool, one, &(int){ 0 }, NULL);
	return NULL;
}

static void *guest_waits(void *arg)
{
	struct guest *g = arg;

	g->result = filch_wait(g->pool, g->id, NULL, &g->completion);
	return NULL;
}

static void *guest_runs(void *arg)
{
	struct guest *g = arg;

	g->result = FILCH_RUN(g->pool, NULL, fib, 3);
	return NULL;
}

static void *guest_drains(void *arg)
{
	struct guest *g = arg;

	g->result = filch_pool_drain(g->pool, NULL);
	return NULL;
}

static void guests_come_home(bool abandon_first)
{
	struct filch_config config = config_of(1);
	void *(*const call[])(void *) = { guest_runs, guest_submits, guest_submits, guest_waits, guest_waits, guest_drains };
	struct gate started = GATE_INIT;
	struct filch_pool *pool;
	struct guest guest[6];
	pthread_t thread[6];
	int n = 0;

	config.queue_capacity = 2;
	config.jobs_max = 16;
	EQ(filch_pool_create(&pool, &config), 0);
	guest[4].id = filch_submit(pool, until_cancelled, &started, NULL);
	gate_wait(&started, 1);
	guest[3].id = filch_submit(pool, one, &n, NULL);
	for (int i = 0; i < 6; i++) {
		guest[i].pool = pool;
		guest[i].result = 999;
		EQ(pthread_create(&thread[i], NULL, call[i], &guest[i]), 0);
		if (i == 0)
			while (filchi_load_acquire(&pool->injector.queued) < 2) /* its job fills the queue */
				sched_yield();
	}
	/* all inside: the two submitters count as guests and as blocked */
	while (filchi_load_acquire(&pool->guests) < 6 || filchi_load_acquire(&pool->injector.blocked) < 2)
		sched_yield();
	if (abandon_first)
		EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	EQ(filch_pool_destroy(pool), 0);
	for (int i = 0; i < 6; i++)
		EQ(pthread_join(thread[i], NULL), 0);
	EQ(guest[0].result, -ECANCELED);
	EQ(guest[1].result, -ESHUTDOWN);
	EQ(guest[2].result, -ESHUTDOWN);
	EQ(guest[3].result, 0);
	EQ(guest[3].completion.status, -ECANCELED);
	EQ(guest[4].result, 0);
	EQ(guest[4].completion.status, -EINTR);
	EQ(guest[5].result, 0);
	EQ(n, 0);
}

Test(pool, callers_blocked_in_a_call_return_when_the_pool_is_destroyed)
{
	for (int i = 0; i < 20; i++)
		guests_come_home(false);
}

Test(pool, callers_blocked_in_a_call_return_when_the_pool_is_abandoned)
{
	for (int i = 0; i < 20; i++)
		guests_come_home(true);
}

/* --- calls that would wait for themselves -------------------------------------------------------------------------------------- */

static struct filch_pool *own;
static int deadlocks;

static int try_to_end_the_pool(void *arg)
{
	struct timespec past = { 0, 1 };

	(void)arg;
	deadlocks += filch_pool_drain(own, &past) == -EDEADLK;
	deadlocks += filch_pool_shutdown(own, FILCH_DRAIN, &past) == -EDEADLK;
	deadlocks += filch_pool_shutdown(own, FILCH_ABANDON, &past) == -EDEADLK;
	deadlocks += filch_pool_destroy(own) == -EDEADLK;
	return 0;
}

static void try_in_a_callback(const struct filch_completion *c)
{
	(void)c;
	(void)try_to_end_the_pool(NULL);
}

FILCH_VOID_TASK(try_in_a_task)
{
	(void)try_to_end_the_pool(NULL);
}

static void try_in_a_loop(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)try_to_end_the_pool(arg);
}

static void still_open(void)
{
	int n = 0;

	EQ(filch_wait(own, filch_submit(own, one, &n, NULL), NULL, NULL), 0);
	EQ(n, 1);
}

Test(pool, a_worker_cannot_end_its_own_pool)
{
	own = pool_of(2, 0);
	EQ(filch_wait(own, filch_submit(own, try_to_end_the_pool, NULL, NULL), NULL, NULL), 0);
	EQ(deadlocks, 4);
	EQ(FILCH_RUN(own, NULL, try_in_a_task), 0);
	EQ(deadlocks, 8);
	EQ(filch_for(own, 0, 1, 1, try_in_a_loop, NULL), 0);
	EQ(deadlocks, 12);
	still_open();
	EQ(filch_pool_destroy(own), 0);
}

Test(pool, a_callback_cannot_end_its_pool_on_whichever_thread_it_runs)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	int64_t id;
	int n = 0;

	own = pool_of(1, 0);
	how.on_complete = try_in_a_callback;
	cr_assert(filch_submit(own, one, &n, &how) > 0);
	EQ(filch_pool_drain(own, NULL), 0);
	EQ(deadlocks, 4); /* on the worker */
	cr_assert(filch_submit(own, hold, &h, NULL) > 0);
	gate_wait(&h.started, 1);
	id = filch_submit(own, one, &n, &how);
	EQ(filch_cancel(own, id), 0);
	EQ(deadlocks, 8); /* on this thread, which cancelled */
	gate_raise(&h.release);
	still_open();
	EQ(filch_pool_destroy(own), 0);
}

Test(pool, a_job_that_its_submitter_runs_cannot_end_the_pool)
{
	struct filch_config config = config_of(1);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct hold h = HOLD_INIT;
	struct filch_completion c;
	int64_t id;
	int n = 0;

	config.queue_capacity = 1;
	EQ(filch_pool_create(&own, &config), 0);
	cr_assert(filch_submit(own, hold, &h, NULL) > 0);
	gate_wait(&h.started, 1);
	cr_assert(filch_submit(own, one, &n, NULL) > 0); /* full */
	how.when_full = FILCH_CALLER_RUNS;
	id = filch_submit(own, try_to_end_the_pool, NULL, &how);
	cr_assert(id > 0);
	EQ(deadlocks, 4);
	EQ(filch_wait(own, id, NULL, &c), 0);
	EQ(c.worker, -1);
	gate_raise(&h.release);
	still_open();
	EQ(filch_pool_destroy(own), 0);
}

Test(pool, another_pools_worker_may_end_a_pool)
{
	struct filch_pool *other = pool_of(1, 0);

	own = pool_of(2, 0);
	EQ(filch_wait(other, filch_submit(other, try_to_end_the_pool, NULL, NULL), NULL, NULL), 0);
	EQ(deadlocks, 0); /* all four calls went through */
	EQ(filch_pool_destroy(other), 0);
}

Test(pool, bad_arguments_of_the_last_calls_are_refused)
{
	struct filch_pool *pool = pool_of(1, 0);
	int n = 0;

	EQ(filch_pool_drain(NULL, NULL), -EINVAL);
	EQ(filch_pool_shutdown(NULL, FILCH_DRAIN, NULL), -EINVAL);
	EQ(filch_pool_destroy(NULL), -EINVAL);
	EQ(filch_pool_shutdown(pool, 2, NULL), -EINVAL);
	EQ(filch_pool_shutdown(pool, -1, NULL), -EINVAL);
	cr_assert(filch_submit(pool, one, &n, NULL) > 0, "a refused shutdown closes nothing");
	EQ(filch_pool_destroy(pool), 0);
}
