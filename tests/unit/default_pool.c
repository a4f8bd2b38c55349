/* SPDX-License-Identifier: Apache-2.0 */
/* The default pool: who makes it, which calls mean it, its end; and memory by what it is for. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "unit.h"

FILCH_TASK(long, fib, (long, n))
{
	if (n < 2)
		return n;
	FILCH_SPAWN(a, fib, n - 1);
	long b = FILCH_CALL(fib, n - 2);
	return FILCH_SYNC(a) + b;
}

static struct filch_pool *made(void)
{
	struct filch_pool *pool = filch_pool_default();

	cr_assert(pool, "%s", strerror(errno));
	return pool;
}

FILCH_TASK(struct filch_pool *, where)
{
	return filch_pool_current();
}

static void look(size_t b, size_t e, void *arg)
{
	for (size_t i = b; i < e; i++)
		((struct filch_pool **)arg)[i] = filch_pool_current();
}

static int look_until(size_t b, size_t e, void *arg)
{
	look(b, e, arg);
	return 0;
}

static void look_once(void *arg)
{
	*(struct filch_pool **)arg = filch_pool_current();
}

static int look_in_job(void *arg)
{
	look_once(arg);
	return 0;
}

static int look_each(void *arg, int worker)
{
	((struct filch_pool **)arg)[worker % 8] = filch_pool_current();
	return 0;
}

static int compare(const void *a, const void *b, void *arg)
{
	*(struct filch_pool **)arg = filch_pool_current();
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void fold(size_t b, size_t e, void *acc, void *arg)
{
	(void)b, (void)e, (void)acc;
	look_once(arg);
}

static void scan(size_t b, size_t e, void *acc, bool write, void *arg)
{
	(void)write;
	fold(b, e, acc, arg);
}

static void join(void *acc, const void *right, void *arg)
{
	(void)acc, (void)right, (void)arg;
}

static int defer(void *arg)
{
	(void)arg;
	return filch_job_defer() > 0 ? 0 : -1;
}

/* Every call that takes a pool means the same one, on a worker or not. */
static int use_all(void *arg)
{
	struct filch_pool *pool = arg, *at[8] = { NULL };
	const struct filch_job_spec spec[2] = { { look_in_job, &at[0], NULL },
		{ look_in_job, &at[1], NULL } };
	void (*fn[1])(void *) = { look_once };
	void *const args[1] = { at };
	struct filch_stats stats = FILCH_STATS_INIT;
	struct filch_lane_stats lane = FILCH_LANE_STATS_INIT;
	struct filch_memory memory = FILCH_MEMORY_INIT;
	struct filch_completion c;
	struct filch_graph *graph = NULL;
	int64_t ids[2], id;
	int some[5] = { 5, 3, 4, 1, 2 };
	char zero = 0, result;
	FILE *f;

#define MEANT()               \
	EQ(at[0] == pool, 1); \
	at[0] = NULL
	EQ(FILCH_RUN(NULL, &at[0], where), 0);
	MEANT();
	EQ(filch_for(NULL, 0, 8, 1, look, at), 0);
	for (int i = 1; i < 8; i++)
		EQ(at[i] == pool, 1);
	MEANT();
	EQ(filch_for_until(NULL, 0, 1, 1, look_until, at), 0);
	MEANT();
	EQ(filch_reduce(NULL, 0, 1, 1, 1, &zero, fold, join, at, &result), 0);
	MEANT();
	EQ(filch_scan(NULL, 0, 1, 1, 1, &zero, scan, join, at, NULL), 0);
	MEANT();
	EQ(filch_invoke(NULL, 1, fn, args), 0);
	MEANT();
	EQ(filch_sort(NULL, some, 5, sizeof some[0], compare, at), 0);
	MEANT();
	EQ(filch_scope(NULL, NULL, look_in_job, at), 0);
	MEANT();
	EQ(filch_graph_create(&graph), 0);
	EQ(filch_graph_node(graph, look_in_job, at), 0);
	EQ(filch_graph_run(NULL, graph), 0);
	EQ(filch_graph_destroy(graph), 0);
	MEANT();
	EQ(filch_pool_each(NULL, look_each, at), 0);
	MEANT();
	id = filch_submit(NULL, look_in_job, at, NULL);
	EQ(filch_wait(NULL, id, NULL, &c), 0);
	MEANT();
	EQ(filch_cancel(NULL, id), -ESRCH);
	EQ(filch_submit_batch(NULL, spec, 2, NULL, ids), 2);
	EQ(filch_wait(NULL, ids[0], NULL, NULL), 0);
	EQ(filch_wait(NULL, ids[1], NULL, NULL), 0);
	EQ(at[1] == pool, 1);
	MEANT();
	id = filch_submit(NULL, defer, NULL, NULL);
	while (filch_job_finish(NULL, id, 9) == -EINVAL) /* until it has deferred its end */
		sched_yield();
	EQ(filch_wait(NULL, id, NULL, &c), 0);
	EQ(c.status, 9);
	EQ(filch_pool_workers(NULL), filch_pool_workers(pool));
	EQ(filch_pool_stats(NULL, &stats), 0);
	EQ(stats.jobs > 0, 1);
	EQ(filch_pool_lane_stats(NULL, FILCH_LANE_NORMAL, &lane), 0);
	EQ(lane.accepted > 0, 1);
	EQ(filch_pool_memory(NULL, &memory), 0);
	EQ(memory.stacks.reserved > 0, 1);
	f = fopen("/dev/null", "we");
	EQ(filch_pool_describe(NULL, f, FILCH_JSON), 0);
	(void)fclose(f);
	return 0;
}

Test(default_pool, it_is_made_at_its_first_use_and_what_NULL_means)
{
	int before = test_threads();
	long r = 0;

	EQ(filch_wait(NULL, 1, NULL, NULL), -ESRCH);
	EQ(filch_cancel(NULL, 1), -ESRCH);
	EQ(filch_job_finish(NULL, 1, 0), -ESRCH);
	EQ(filch_for(NULL, 3, 3, 0, look, NULL), 0);
	EQ(filch_sort(NULL, NULL, 0, 4, compare, NULL), 0);
	EQ(filch_pool_drain(NULL, NULL), -EINVAL);
	EQ(filch_pool_shutdown(NULL, FILCH_DRAIN, NULL), -EINVAL);
	EQ(filch_pool_destroy(NULL), -EINVAL);
	EQ(filch_submit(NULL, NULL, NULL, NULL), -EINVAL);
	EQ(filch_pool_each(NULL, NULL, NULL), -EINVAL);
	EQ(test_threads(), before); /* none of these was a use */
	EQ(FILCH_RUN(NULL, &r, fib, 15), 0);
	EQ(r, 610);
	EQ(test_threads(), before + filch_pool_workers(made()));
	EQ(use_all(made()), 0);
	EQ(test_threads(), before + filch_pool_workers(made()));
}

Test(default_pool, on_a_worker_NULL_is_the_workers_pool_and_an_id_finds_its_own)
{
	struct filch_pool *other = pool_of(2, 0), *seen = NULL;
	int64_t id;

	EQ(filch_wait(other, filch_submit(other, use_all, other, NULL), NULL, NULL), 0);
	id = filch_submit(made(), look_in_job, &seen, NULL);
	EQ(filch_wait(NULL, id, NULL, NULL), 0);
	EQ(seen == made(), 1);
	EQ(filch_pool_destroy(other), 0);
}

/* A job of another pool waits by NULL for a job of the default one. */
static int wait_with_none(void *arg)
{
	struct filch_completion c;
	int error = filch_wait(NULL, *(int64_t *)arg, NULL, &c);

	return error ? error : c.status;
}

static int seven(void *arg)
{
	(void)arg;
	return 7;
}

Test(default_pool, a_worker_of_another_pool_waits_for_a_job_of_the_default_one)
{
	struct filch_pool *other = pool_of(1, 0);
	int64_t id = filch_submit(NULL, seven, NULL, NULL);
	struct filch_completion c;

	EQ(filch_wait(other, filch_submit(other, wait_with_none, &id, NULL), NULL, &c), 0);
	EQ(c.status, 7);
	EQ(filch_pool_destroy(other), 0);
}

/* --- the first use ----------------------------------------------------- */

#define USERS 16
static struct gate at_once = GATE_INIT;
static pthread_barrier_t together;
static struct filch_pool *got[USERS];

static void *first_user(void *arg)
{
	struct filch_pool **mine = arg;
	long r = 0;

	(void)pthread_barrier_wait(&together);
	EQ(FILCH_RUN(NULL, &r, fib, 10), 0);
	EQ(r, 55);
	*mine = filch_pool_default();
	gate_raise(&at_once);
	return NULL;
}

Test(default_pool, of_many_first_users_one_makes_it)
{
	pthread_t thread[USERS];
	int before;

	EQ(pthread_barrier_init(&together, NULL, USERS), 0);
	before = test_threads();
	for (int i = 0; i < USERS; i++)
		EQ(pthread_create(&thread[i], NULL, first_user, &got[i]), 0);
	for (int i = 0; i < USERS; i++)
		EQ(pthread_join(thread[i], NULL), 0);
	for (int i = 0; i < USERS; i++)
		EQ(got[i] == made(), 1);
	EQ(test_threads(), before + filch_pool_workers(made()));
}

Test(default_pool, one_that_cannot_be_made_is_an_error_and_tried_again)
{
	struct rlimit limit, none;
	long r = 77;
	int error;

	if (TEST_SANITIZED)
		cr_skip_test("the sanitizer needs address space");
	if (test_is_emulated())
		cr_skip_test("qemu-user sets no limit of address space");
	/* the topology is known: hwloc does not bear a failed allocation */
	EQ(filch_pool_destroy(pool_of(1, 0)), 0);
	EQ(getrlimit(RLIMIT_AS, &limit), 0);
	none = limit;
	none.rlim_cur = 4096;
	EQ(setrlimit(RLIMIT_AS, &none), 0);
	error = FILCH_RUN(NULL, &r, fib, 5);
	errno = 0;
	EQ(filch_pool_default() == NULL, 1);
	EQ(errno == -error, 1);
	EQ(error == -ENOMEM || error == -EAGAIN, 1);
	EQ(filch_submit(NULL, seven, NULL, NULL), error);
	EQ(filch_pool_workers(NULL), error);
	EQ(filch_pool_each(NULL, look_each, NULL), error);
	EQ(r, 77);
	EQ(setrlimit(RLIMIT_AS, &limit), 0);
	EQ(FILCH_RUN(NULL, &r, fib, 5), 0);
	EQ(r, 5);
}

static void *pinned_user(void *arg)
{
	cpu_set_t *all = arg, one;
	int cpu = 0;

	while (!CPU_ISSET(cpu, all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	EQ(sched_setaffinity(0, sizeof one, &one), 0);
	return filch_pool_default();
}

Test(default_pool, a_first_user_that_is_bound_to_one_cpu_does_not_bind_it)
{
	struct filch_pool *free = NULL;
	pthread_t thread;
	cpu_set_t all;
	void *pool;
	int workers;

	EQ(sched_getaffinity(0, sizeof all, &all), 0);
	EQ(filch_pool_create(&free, NULL), 0);
	workers = filch_pool_workers(free);
	EQ(filch_pool_destroy(free), 0);
	EQ(pthread_create(&thread, NULL, pinned_user, &all), 0);
	EQ(pthread_join(thread, &pool), 0);
	EQ(filch_pool_workers(pool), workers);
}

Test(default_pool, the_environment_configures_it)
{
	EQ(setenv("FILCH_WORKERS", "1", 1), 0);
	EQ(filch_pool_workers(NULL), 1);
}

/* --- its end ----------------------------------------------------------- */

Test(default_pool, one_that_is_shut_down_refuses_and_one_destroyed_is_followed_by_another)
{
	struct filch_pool *first = made();
	long r = 0;

	EQ(filch_pool_shutdown(first, FILCH_DRAIN, NULL), 0);
	EQ(FILCH_RUN(NULL, &r, fib, 5), -ESHUTDOWN);
	EQ(filch_submit(NULL, seven, NULL, NULL), -ESHUTDOWN);
	EQ(filch_pool_destroy(first), 0);
	EQ(FILCH_RUN(NULL, &r, fib, 5), 0);
	EQ(r, 5);
	EQ(filch_pool_destroy(made()), 0);
}

static int destroy_it(void *arg)
{
	(void)arg;
	return filch_pool_destroy(filch_pool_default());
}

Test(default_pool, a_destroy_that_is_refused_leaves_it)
{
	struct filch_pool *first = made();
	struct filch_completion c;

	EQ(filch_wait(NULL, filch_submit(NULL, destroy_it, NULL, NULL), NULL, &c), 0);
	EQ(c.status, -EDEADLK);
	EQ(filch_pool_default() == first, 1);
}

/* --- memory ------------------------------------------------------------ */

static uint64_t resident(const struct filch_memory *m)
{
	return m->stacks.resident + m->workers.resident + m->deques.resident + m->slots.resident +
	       m->queues.resident;
}

FILCH_VOID_TASK(wide, (int, n))
{
	if (!n)
		return;
	FILCH_SPAWN(a, wide, 0);
	FILCH_CALL(wide, n - 1);
	FILCH_SYNC(a);
}

/* Writes to a good part of the worker's stack. */
static int use_stack(void *arg)
{
	volatile char some[1 << 20];

	(void)arg;
	for (size_t i = 0; i < sizeof some; i += 4096)
		some[i] = 1;
	return some[4096] - 1;
}

static struct gate held = GATE_INIT, let_go = GATE_INIT;

static int hold(void *arg)
{
	(void)arg;
	gate_raise(&held);
	gate_wait(&let_go, 1);
	return 0;
}

Test(default_pool, memory_is_told_by_what_it_is_for)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_memory m = FILCH_MEMORY_INIT, later = FILCH_MEMORY_INIT;
	struct filch_pool *pool = NULL;
	int64_t held_job;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.stack_bytes = UINT64_C(4) << 20;
	config.jobs_max = 1024;
	config.queue_capacity = 1024;
	config.deque_capacity = 64;
	EQ(filch_pool_create(&pool, &config), 0);
	EQ(filch_pool_memory(pool, &m), 0);
	EQ(m.stacks.reserved, 2 * ((UINT64_C(4) << 20) + (UINT64_C(64) << 10)));
	EQ(m.slots.reserved, 1025 * 128);
	EQ(m.queues.reserved, (1 + FILCH_LANES) * 2048 * 8);
	EQ(m.deques.reserved >= 2 * 64 * 8 && m.deques.reserved < 2 * 64 * 8 + 256, 1);
	EQ(m.workers.reserved > 2 * 4096, 1);
	if (!resident(&m) || test_is_emulated())
		cr_skip_test("mincore(2) does not tell");
	EQ(m.stacks.resident < m.stacks.reserved / 2, 1);
	EQ(m.workers.resident <= m.workers.reserved, 1);
	/* grows a deque to 1024 at the least: the other worker takes nothing from it */
	held_job = filch_submit(pool, hold, NULL, NULL);
	gate_wait(&held, 1);
	EQ(FILCH_RUN(pool, NULL, wide, 1000), 0);
	gate_raise(&let_go);
	EQ(filch_wait(pool, held_job, NULL, NULL), 0);
	EQ(filch_wait(pool, filch_submit(pool, use_stack, NULL, NULL), NULL, NULL), 0);
	EQ(filch_pool_memory(pool, &later), 0);
	EQ(later.deques.reserved >= m.deques.reserved + 1024 * 8, 1);
	EQ(later.stacks.reserved, m.stacks.reserved);
	EQ(later.stacks.resident >= m.stacks.resident + (1 << 19), 1);
	later.size = 4;
	EQ(filch_pool_memory(pool, &later), -EINVAL);
	EQ(filch_pool_memory(pool, NULL), -EINVAL);
	EQ(filch_pool_destroy(pool), 0);
}

static void count_own_stack(struct filch_memory *m, uint64_t flags)
{
	struct filch_pool *pool = pool_of(2, flags);

	EQ(filch_pool_memory(pool, m), 0);
	EQ(filch_pool_destroy(pool), 0);
}

Test(default_pool, the_creators_stack_is_not_the_pools)
{
	struct filch_memory with = FILCH_MEMORY_INIT, without = FILCH_MEMORY_INIT;

	count_own_stack(&with, 0);
	count_own_stack(&without, FILCH_POOL_CALLER);
	EQ(with.stacks.reserved, 2 * without.stacks.reserved);
}
