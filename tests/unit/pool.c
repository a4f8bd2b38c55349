/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool, its beginning and middle: what is refused at creation and what is not; hooks, names and
 * ids; several pools at once. Its end is in pool_end.c, the report and the counters in
 * pool_report.c, the creating thread as worker 0 in pool_caller.c.
 */
#include <criterion/criterion.h>

#include "unit.h"
#include <fib.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static struct filch_config config_of(uint32_t workers)
{
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = workers;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	return config;
}

/* --- creation --------------------------------------------------------- */

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

#define REFUSED(error, field, value)                             \
	do {                                                     \
		struct filch_config config_ = config_of(2);      \
		config_.field = (value);                         \
		refused(&config_, (error), #field " = " #value); \
	} while (0)

Test(pool, a_bad_configuration_is_refused)
{
	REFUSED(-EINVAL, size, 0);
	REFUSED(-EINVAL, size, 8);
	REFUSED(-EINVAL, size, 95); /* the first release had 96 */
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
	REFUSED(-EINVAL, flags, FILCH_POOL_PIN | FILCH_POOL_NO_PIN);
	for (int bit = 9; bit < 64; bit++)
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
		EQ(filch_pool_destroy(
			   pool_of(1 + (uint32_t)i % 4, i % 2 ? FILCH_POOL_NO_SEARCH : 0)),
			0);
	EQ(test_threads(), threads);
	EQ(test_descriptors(), descriptors);
}

/* --- hooks, names, ids ------------------------------------------------ */

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
	EQ(filch_pool_destroy(pool), 0);
}

/* --- several pools ---------------------------------------------------- */

FILCH_TASK(long, fib_elsewhere, (struct filch_pool *, here), (struct filch_pool *, there), (int, n))
{
	long r = -1;

	FILCH_SPAWN(a, fib, n);
	if (filch_pool_current() != here || FILCH_RUN(there, &r, fib, n) ||
		filch_pool_current() != here)
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
		/* a's second worker takes the way back */
		EQ(FILCH_RUN(a, &r, there_and_back, a, b), 0);
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
