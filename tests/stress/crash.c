/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash: guarded jobs that fault by the thousand. Threads, memory and descriptors stay flat; every
 * job is complete exactly once, with its own result or its own signal; jobs that are well are right
 * while others fault beside them.
 *
 * In CI (scale 1) 10^4 crashes one by one, and some thousands more in crowds of jobs of which a
 * tenth fault, at 1, 2 and 8 workers. What is claimed is counted: faults in stolen tasks, joins
 * that did not return, threads replaced. The campaign is FILCH_TEST_SCALE=10. timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <ill.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ledger.h"
#include "pools.h"

static struct filch_pool *open_guarding(uint32_t workers, uint32_t capacity)
{
	return pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
		.workers = workers,
		.queue_capacity = capacity,
		.stack_bytes = ILL_STACK,
		.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_GUARD });
}

/* --- one by one ------------------------------------------------------- */

static _Atomic uint64_t in_stolen, in_own; /* faults in tasks, by who ran them */

/* A tree of tasks whose leaf number @bad, if there is one, faults. */
FILCH_TASK(int, tree, (pthread_t, root), (int, depth), (int, leaf), (int, bad), (int, ailment))
{
	if (!depth) {
		if (leaf != bad)
			return 1;
		if (pthread_equal(root, pthread_self()))
			in_own++;
		else
			in_stolen++;
		return fall_ill((enum ailment)ailment);
	}
	if (depth == 2)
		sched_yield(); /* thieves may be waiting for this core */
	FILCH_SPAWN(right, tree, root, depth - 1, 2 * leaf + 1, bad, ailment);
	int sum = FILCH_CALL(tree, root, depth - 1, 2 * leaf, bad, ailment);
	return sum + FILCH_SYNC(right);
}

#define DEPTH  5
#define LEAVES (1 << DEPTH)

struct request {
	uint64_t id;
	int bad, ailment; /* bad >= LEAVES: well */
	_Atomic int started;
};

static int serve(void *arg)
{
	struct request *r = arg;
	int sum = 0;

	r->started++;
	if (r->bad < 0)
		return fall_ill((enum ailment)r->ailment);
	CHECK_EQ(FILCH_RUN(NULL, &sum, tree, pthread_self(), DEPTH, 0, r->bad, r->ailment), 0);
	return sum;
}

static void check_end(const struct request *r, const struct filch_completion *c)
{
	if (r->bad >= LEAVES) {
		CHECK_EQ(c->status, LEAVES);
		CHECK_EQ(c->flags, 0);
	} else {
		CHECK_EQ(c->status, -EFAULT);
		CHECK_EQ(c->flags, FILCH_DONE_FAULT);
		CHECK_EQ(c->detail[0], signal_of[r->ailment]);
	}
	CHECK_EQ(r->started, 1);
}

static void ten_thousand_crashes_leave_threads_memory_and_descriptors_flat(void)
{
	const struct filch_submit how = { .size = sizeof how, .flags = FILCH_JOB_GUARD };
	uint64_t n = test_scaled(10000), warm = n / 10 + 20, rss = 0;
	struct filch_pool *pool;
	int threads, descriptors;

	pools_begin();
	pool = open_guarding(2, 0);
	threads = test_threads();
	descriptors = test_descriptors();
	for (uint64_t i = 0; i < warm + n; i++) {
		struct request r = { .bad = i % 3 ? (int)(i % LEAVES) : -1,
			.ailment = (int)(i % AILMENTS) };
		struct filch_completion c;
		int64_t id = filch_submit(pool, serve, &r, &how);

		CHECK(id > 0, "%lld", (long long)id);
		CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
		check_end(&r, &c);
		if (i % 1000 == 0)
			test_watchdog(60);
		if (i == warm)
			rss = test_resident();
	}
	/* lost threads go when their jobs are complete, which is a moment after we are told */
	while (test_threads() != threads || pool_stats(pool).replaced != pool_stats(pool).given_up)
		sched_yield();
	CHECK_EQ(test_descriptors(), descriptors);
	/* a sanitizer keeps the shadow of every stack there ever was */
	CHECK(ILL_SANITIZED || test_resident() < rss + (4 << 20),
		"%llu bytes resident after a tenth, %llu at the end", (unsigned long long)rss,
		(unsigned long long)test_resident());
	CHECK_EQ(pool_stats(pool).faults, warm + n);
	CHECK(pool_stats(pool).replaced >= warm + n, "%llu",
		(unsigned long long)pool_stats(pool).replaced);
	pool_close(pool);
	printf("    %llu faults, %llu threads given up and %llu replaced, %llu faults in stolen "
	       "tasks\n",
		(unsigned long long)pools_sum.faults, (unsigned long long)pools_sum.given_up,
		(unsigned long long)pools_sum.replaced, (unsigned long long)in_stolen);
}

/* --- crowds ----------------------------------------------------------- */

static struct ledger ledger;
static _Atomic uint64_t n_faults, n_well;
static struct request *request;

static void on_complete(const struct filch_completion *c)
{
	struct request *r = c->user;

	check_end(r, c);
	ledger_enter(&ledger, r->id);
	if (c->status == -EFAULT)
		n_faults++;
	else
		n_well++;
}

static void crowd(uint32_t workers, uint64_t n, uint64_t *rng)
{
	struct filch_pool *pool = open_guarding(workers, 64);

	request = calloc(n, sizeof *request);
	CHECK(request, "no memory");
	ledger_open(&ledger, n);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t dice = test_random(rng);
		const struct filch_submit how = { .size = sizeof how,
			.user = &request[i],
			.on_complete = i % 2 ? on_complete : NULL,
			.flags = dice % 10 == 0 || i % 3 == 0 ? FILCH_JOB_GUARD : 0 };
		int64_t id;

		request[i] = (struct request){
			.id = i, .ailment = (int)(dice / 10 % AILMENTS), .bad = LEAVES
		};
		if (dice % 10 == 0)
			request[i].bad = (int)(dice / 100 % (LEAVES + 8)) - 8 < 0
						 ? -1
						 : (int)(dice / 100 % LEAVES);
		while ((id = filch_submit(pool, serve, &request[i], &how)) == -ENOBUFS)
			sched_yield();
		CHECK(id > 0, "%lld", (long long)id);
		if (!how.on_complete) {
			struct filch_completion c;

			CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
			CHECK(c.user == &request[i], "another's completion");
			on_complete(&c);
		}
		if (i % 1000 == 0)
			test_watchdog(60);
	}
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	pool_close(pool);
	ledger_close(&ledger);
	free(request);
}

static void a_crowd_of_jobs_of_which_a_tenth_crash_is_complete_exactly_once(void)
{
	uint64_t rng = test_seed(), n = test_scaled(6000), rounds = 0;

	pools_begin();
	n_faults = n_well = in_stolen = in_own = 0;
	do {
		crowd(1, n, &rng);
		crowd(2, n, &rng);
		crowd(8, n, &rng);
	} while (!(in_stolen && in_own && pools_sum.given_up > pools_sum.faults) && ++rounds < 200);
	printf("    %llu faults (%llu in stolen tasks), %llu well, %llu threads given up, %llu "
	       "replaced\n",
		(unsigned long long)n_faults, (unsigned long long)in_stolen,
		(unsigned long long)n_well, (unsigned long long)pools_sum.given_up,
		(unsigned long long)pools_sum.replaced);
	CHECK(in_stolen && in_own && n_well, "%llu and %llu", (unsigned long long)in_stolen,
		(unsigned long long)in_own);
	/* joins that did not return */
	CHECK(pools_sum.given_up > pools_sum.faults, "%llu and %llu",
		(unsigned long long)pools_sum.given_up, (unsigned long long)pools_sum.faults);
	CHECK_EQ(pools_sum.faults, n_faults);
	POOLS_COVER(replaced);
	POOLS_COVER(steals);
}

static void pools_destroyed_while_their_jobs_crash_lose_nothing(void)
{
	uint64_t n = test_scaled(200), rng = test_seed();

	pools_begin();
	n_faults = n_well = 0;
	for (uint64_t i = 0; i < n; i++) {
		struct filch_pool *pool = open_guarding(1 + (uint32_t)(i % 3), 32);
		const uint64_t jobs = 16;
		uint64_t told;

		test_watchdog(60);
		request = calloc(jobs, sizeof *request);
		CHECK(request, "no memory");
		ledger_open(&ledger, jobs);
		for (uint64_t j = 0; j < jobs; j++) {
			const struct filch_submit how = { .size = sizeof how,
				.user = &request[j],
				.on_complete = on_complete,
				.flags = FILCH_JOB_GUARD };

			request[j] = (struct request){ .id = j,
				.bad = (int)(test_random(&rng) % (2 * LEAVES)),
				.ailment = (int)(j % AILMENTS) };
			CHECK(filch_submit(pool, serve, &request[j], &how) > 0, "refused");
		}
		CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
		told = n_faults + n_well;
		pool_close(pool);
		CHECK_EQ(told, n_faults + n_well);
		ledger_close(&ledger);
		free(request);
	}
	CHECK_EQ(pools_sum.faults, n_faults);
	CHECK(n_faults && n_well, "%llu and %llu", (unsigned long long)n_faults,
		(unsigned long long)n_well);
}

int main(void)
{
	if (!TEST_HAS_GUARDS)
		test_skip("guards are for x86-64");
	test_watchdog(60);
	CHECK(ill_begin(), "no memory to fault on");
	test_case("a ledger finds what is lost or doubled", ledger_self_test);
	test_case("ten thousand crashes leave threads, memory and descriptors flat",
		ten_thousand_crashes_leave_threads_memory_and_descriptors_flat);
	test_case("a crowd of jobs of which a tenth crash is complete exactly once",
		a_crowd_of_jobs_of_which_a_tenth_crash_is_complete_exactly_once);
	test_case("pools destroyed while their jobs crash lose nothing",
		pools_destroyed_while_their_jobs_crash_lose_nothing);
	return test_finish("crash");
}
