/* SPDX-License-Identifier: Apache-2.0 */
/*
 * after: jobs that start after others, in random graphs, long chains, and many into one.
 *
 * Random graphs: each job follows up to four earlier ones. Some fail, some defer their end to
 * another thread, some are cancelled while they wait. Completions go to a queue, to a callback, to
 * a wait, or nowhere. In small pools a slot is used again at once, and there are too few edges.
 *
 * Ledgers: each job has one completion. A job that runs does so after those it follows, by the
 * clock and by what they have written, which is plain. One that is told to be behind a failure is;
 * one that follows a failure that nobody has reaped is told so.
 *
 * In CI (scale 1) 4 x 10^5 jobs, chains of 10^5, 10^5 into one by the thousand, 1,000 pools; --long
 * is scale 10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "ledger.h"
#include "pools.h"

enum { FOLLOWS = 4, NEVER = -1, WINDOW = 1024 };
enum kind { QUEUE, CALLBACK, WAIT, DETACHED, KINDS };

struct job {
	/* the submitter's */
	uint64_t before[FOLLOWS]; /* numbers */
	uint32_t follows;
	enum kind kind;
	bool any, defers, fails, reaped;
	bool surely_behind; /* one that it follows has failed, or will, and was not reaped */
	/* what it does; plain */
	uint64_t value, start, end;
	/* what was told */
	int64_t id;
	int32_t status;
	bool behind, cancelled;
	_Atomic int64_t told; /* the id that it has deferred; NEVER: it will not */
};

static struct filch_pool *pool;
static struct filch_cq *cq;
static uint64_t jobs;
static struct job *job;
static struct ledger completed;
static _Atomic uint64_t ran_behind, waited_in_vain, cancelled, deferred, refused, completed_before;

/*
 * All jobs are complete. The end of one may still be on its way to a follower that was cancelled,
 * which is counted as queued for a moment.
 */
static void close_settled(void)
{
	while (pool_stats(pool).queued)
		sched_yield();
	pool_close(pool);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int work(void *arg)
{
	struct job *j = arg;
	uint64_t value = 0;

	CHECK_EQ(j->start, 0);
	j->start = now();
	for (uint32_t i = 0; i < j->follows; i++) {
		const struct job *before = &job[j->before[i]];

		if (value < before->value)
			value = before->value;
	}
	if (j->defers) {
		int64_t id = filch_job_defer();

		CHECK(id > 0, "%lld", (long long)id);
		j->value = value + 1;
		j->end = now();
		atomic_store_explicit(&j->told, id, memory_order_release);
		return 0; /* ignored */
	}
	if ((uint64_t)(j - job) % 64 == 0)
		sched_yield();
	j->value = value + 1;
	if (j->kind == DETACHED)
		ledger_enter(&completed, (uint64_t)(j - job));
	j->end = now();
	return j->fails ? -EIO : 3;
}

static void check(const struct filch_completion *c)
{
	struct job *j = c->arg;

	j->status = c->status;
	j->behind = c->flags & FILCH_DONE_AFTER;
	j->cancelled = c->status == -ECANCELED && !j->behind;
	if (c->status == -ECANCELED) {
		CHECK_EQ(c->worker, -1);
		CHECK_EQ(j->start, 0);
		CHECK(!j->behind || !j->any, "it does not mind");
		*(j->behind ? &ran_behind : &cancelled) += 1;
	} else {
		CHECK_EQ(c->status, j->fails ? -EIO : 3);
		CHECK_EQ(c->flags, 0);
		CHECK(j->end > 0, "it has not run");
	}
	if (j->defers && c->status == -ECANCELED)
		atomic_store(&j->told, NEVER);
	ledger_enter(&completed, (uint64_t)(j - job));
}

static void reap(void)
{
	struct filch_completion c[16];
	int n = filch_cq_reap(cq, c, 16);

	for (int i = 0; i < n; i++)
		check(&c[i]);
}

static int64_t waits[WINDOW]; /* numbers of jobs that are to be waited for */
static uint64_t waiting, waited;

static void wait_for_one(void)
{
	uint64_t number = (uint64_t)waits[waited++ % WINDOW];
	struct timespec soon = filch_after(1000000);
	struct filch_completion c;
	int error;

	/* it may follow one that was cancelled, and told of in the queue */
	while ((error = filch_wait(pool, job[number].id, &soon, &c)) == -ETIMEDOUT) {
		reap();
		soon = filch_after(1000000);
	}
	CHECK_EQ(error, 0);
	job[number].reaped = true;
	check(&c);
}

/* Ends what was deferred, in the order of the submits. */
static void *finisher(void *unused)
{
	(void)unused;
	for (uint64_t i = 0; i < jobs; i++) {
		int64_t id;

		if (i % 16 != 5)
			continue;
		while (!(id = atomic_load_explicit(&job[i].told, memory_order_acquire)))
			sched_yield();
		if (id == NEVER)
			continue;
		CHECK_EQ(filch_job_finish(pool, id, job[i].fails ? -EIO : 3), 0);
		deferred++;
	}
	return NULL;
}

static void plan(uint64_t i, uint64_t *random)
{
	struct job *j = &job[i];

	j->kind = (enum kind)(test_random(random) % KINDS);
	j->any = test_random(random) % 3 == 0;
	j->fails = test_random(random) % 16 == 0;
	j->defers = i % 16 == 5;
	/* nobody is told how such a job ends, so it is to run */
	if (j->kind == DETACHED)
		j->any = true;
	if (j->defers && j->kind == DETACHED)
		j->kind = CALLBACK;
	j->follows = (uint32_t)(test_random(random) % (FOLLOWS + 1));
	if (j->follows > i)
		j->follows = (uint32_t)i;
	for (uint32_t k = 0; k < j->follows; k++) {
		uint64_t back = test_random(random) % 8 ? 32 : 4096;

		j->before[k] = i - 1 - test_random(random) % (back < i ? back : i);
	}
}

static void submit(uint64_t i)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct job *j = &job[i];
	int64_t after[FOLLOWS];

	for (uint32_t k = 0; k < j->follows; k++)
		after[k] = job[j->before[k]].id;
	how.after = after;
	how.after_count = j->follows;
	how.flags = j->any ? FILCH_JOB_AFTER_ANY : 0;
	if (j->kind == QUEUE)
		how.cq = cq;
	else if (j->kind == CALLBACK)
		how.on_complete = check;
	else if (j->kind == DETACHED)
		how.flags |= FILCH_JOB_DETACHED;
	for (;;) {
		/* what is reaped before the submit may be forgotten */
		j->surely_behind = false;
		for (uint32_t k = 0; k < j->follows; k++) {
			const struct job *before = &job[j->before[k]];

			if (before->kind == WAIT && !before->reaped && before->fails && !j->any)
				j->surely_behind = true;
		}
		j->id = filch_submit(pool, work, j, &how);
		if (j->id != -ENOBUFS)
			break;
		refused++;
		reap();
		if (waiting > waited)
			wait_for_one();
		sched_yield();
	}
	CHECK(j->id > 0, "%lld", (long long)j->id);
	if (j->kind == WAIT)
		waits[waiting++ % WINDOW] = (int64_t)i;
}

static void verify(void)
{
	for (uint64_t i = 0; i < jobs; i++) {
		const struct job *j = &job[i];
		bool failure = false;
		uint64_t value = 0;

		for (uint32_t k = 0; k < j->follows; k++) {
			const struct job *before = &job[j->before[k]];

			failure = failure || before->status < 0 ||
				  (before->kind == DETACHED && before->fails);
			if (j->start && before->start) {
				CHECK(j->start >= before->end, "%llu starts before %llu has ended",
					(unsigned long long)i, (unsigned long long)j->before[k]);
				if (value < before->value)
					value = before->value;
				completed_before++;
			}
		}
		CHECK(!j->behind || failure, "%llu is behind no failure", (unsigned long long)i);
		CHECK(!j->surely_behind || j->behind || j->cancelled, "%llu: a failure is not told",
			(unsigned long long)i);
		if (j->start)
			CHECK_EQ(j->value, value + 1);
	}
}

static void run(uint64_t n, uint32_t jobs_max)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	uint64_t random = test_seed(), was;
	pthread_t thread;

	jobs = n;
	waiting = waited = 0;
	job = calloc(jobs, sizeof *job);
	CHECK(job != NULL, "no memory");
	ledger_open(&completed, jobs);
	config.workers = 3;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.jobs_max = jobs_max;
	config.queue_capacity = jobs_max / 4;
	pool = pool_open_with(&config);
	for (uint64_t i = 0; i < jobs; i++)
		plan(i, &random);
	CHECK_EQ(pthread_create(&thread, NULL, finisher, NULL), 0);
	for (uint64_t i = 0; i < jobs; i++) {
		submit(i);
		was = i - test_random(&random) % (i < 32 ? i + 1 : 32);
		if (test_random(&random) % 16 == 0 && job[was].kind != DETACHED &&
			filch_cancel(pool, job[was].id) == 0)
			waited_in_vain++;
		if (waiting - waited == WINDOW)
			wait_for_one();
		if (i % 16 == 0)
			reap();
		if (i % 4096 == 0)
			test_watchdog(100);
	}
	while (waited < waiting)
		wait_for_one();
	while (filch_pool_drain(pool, &(struct timespec){ 0, 1 }) == -ETIMEDOUT) {
		reap();
		sched_yield();
	}
	for (uint64_t i = 0; i < jobs; i++)
		reap();
	CHECK_EQ(pthread_join(thread, NULL), 0);
	close_settled();
	ledger_close(&completed);
	verify();
	free(job);
}

static void random_graphs_run_in_their_order(void)
{
	static const uint32_t jobs_max[] = { 0, 24, 300 };

	ran_behind = waited_in_vain = cancelled = deferred = refused = completed_before = 0;
	for (unsigned round = 0;
		round < 100 && (round < 3 || !ran_behind || !cancelled || !deferred || !refused);
		round++) {
		CHECK_EQ(filch_cq_create(&cq, 0), 0);
		run(test_scaled(130000), jobs_max[round % 3]);
		CHECK_EQ(filch_cq_destroy(cq), 0);
	}
	printf("    edges between jobs that ran %llu; behind a failure %llu, cancelled %llu, "
	       "deferred %llu, refused %llu\n",
		(unsigned long long)completed_before, (unsigned long long)ran_behind,
		(unsigned long long)cancelled, (unsigned long long)deferred,
		(unsigned long long)refused);
	CHECK(ran_behind && cancelled && deferred && refused && completed_before,
		"the case claims to cover all of these");
}

/* --- chains ---------------------------------------------------------------- */

static uint64_t links; /* plain: each link sees the one before */
static _Atomic uint64_t links_told, links_behind, first_may;

static int first_link(void *fails)
{
	while (!first_may)
		sched_yield();
	links = 1;
	return fails ? -EIO : 0;
}

static int next_link(void *number)
{
	CHECK_EQ(links, (uintptr_t)number);
	links++;
	return 0;
}

static void link_told(const struct filch_completion *c)
{
	if (c->flags & FILCH_DONE_AFTER)
		links_behind++;
	links_told++;
}

static void chain(uint64_t n, bool fails, bool built_first)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t before, id;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.jobs_max = built_first ? (uint32_t)n + 1 : 4096;
	pool = pool_open_with(&config);
	links = 0;
	links_told = 0;
	links_behind = 0;
	first_may = !built_first;
	how.on_complete = link_told;
	before = filch_submit(pool, first_link, fails ? &links : NULL, &how);
	CHECK(before > 0, "%d", (int)before);
	how.after = &before;
	how.after_count = 1;
	for (uint64_t i = 1; i < n; i++) {
		while ((id = filch_submit(pool, next_link, (void *)(uintptr_t)i, &how)) == -ENOBUFS)
			sched_yield();
		CHECK(id > 0, "%d", (int)id);
		before = id;
		if (i % 4096 == 0)
			test_watchdog(100);
	}
	first_may = 1;
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	CHECK_EQ(links_told, n);
	/* where the first ends early, its failure may be forgotten before the next is submitted */
	if (built_first || !fails) {
		CHECK_EQ(links, fails ? 1 : n);
		CHECK_EQ(links_behind, fails ? n - 1 : 0);
	}
	pool_close(pool);
}

static void chains_need_no_stack_and_no_more_memory_than_their_jobs(void)
{
	uint64_t n = test_scaled(100000);

	for (int fails = 0; fails < 2; fails++) {
		test_watchdog(250);
		chain(n, fails, true);
	}
	test_watchdog(250);
	chain(n, false, false);
}

/* --- many into one ---------------------------------------------------------- */

enum { IN = 1000 };
static _Atomic uint64_t in;
static uint64_t in_plain[IN];

static int one_in(void *at)
{
	*(uint64_t *)at += 1;
	in++;
	return 0;
}

static int all_in(void *round)
{
	CHECK_EQ(in, (uintptr_t)round * IN);
	for (int i = 0; i < IN; i++)
		CHECK_EQ(in_plain[i], (uintptr_t)round);
	return 0;
}

static void a_thousand_come_together_and_part_again(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	uint64_t rounds = test_scaled(100);
	int64_t id[IN], all = 0;

	in = 0;
	memset(in_plain, 0, sizeof in_plain);
	pool = pool_open(2, 0);
	for (uint64_t round = 1; round <= rounds; round++) {
		how.after = &all;
		how.after_count = round > 1;
		for (int i = 0; i < IN; i++) {
			while ((id[i] = filch_submit(pool, one_in, &in_plain[i], &how)) == -ENOBUFS)
				sched_yield();
			CHECK(id[i] > 0, "%d", (int)id[i]);
		}
		if (all)
			CHECK_EQ(filch_wait(pool, all, NULL, NULL), 0);
		how.after = id;
		how.after_count = IN;
		all = filch_submit(pool, all_in, (void *)(uintptr_t)round, &how);
		CHECK(all > 0, "%d", (int)all);
		for (int i = 0; i < IN; i++)
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
		test_watchdog(100);
	}
	CHECK_EQ(filch_wait(pool, all, NULL, NULL), 0);
	CHECK_EQ(in, rounds * IN);
	pool_close(pool);
}

/* --- the end of the pool ---------------------------------------------------- */

enum { LAST = 24 };
static _Atomic int64_t last_id;
static _Atomic uint64_t last_ran;

static int defer_last(void *unused)
{
	(void)unused;
	atomic_store(&last_id, filch_job_defer());
	return 0;
}

static int run_last(void *unused)
{
	(void)unused;
	last_ran++;
	return 0;
}

static void *finish_last(void *turns)
{
	for (uint64_t i = (uintptr_t)turns; i; i--)
		sched_yield();
	CHECK_EQ(filch_job_finish(pool, last_id, 0), 0);
	return NULL;
}

/* What is still missing after all pools becomes surer with each more: its wait grows. */
static void a_destroy_completes_what_waits(void)
{
	uint64_t pools = test_scaled(400), random = test_seed(), all_ran = 0, none_ran = 0;
	uint64_t destroy_turns = 64, finish_turns = 4;

	for (uint64_t n = 0; n < pools || !all_ran || !none_ran; n++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;
		uint64_t accepted = 0, got = 0;
		struct filch_completion c[LAST];
		int64_t id[LAST];
		pthread_t thread;
		int some;

		test_watchdog(100);
		pool = pool_open(1 + n % 2, 0);
		CHECK_EQ(filch_cq_create(&cq, LAST), 0);
		how.flags = FILCH_JOB_DETACHED;
		last_id = 0;
		last_ran = 0;
		CHECK(filch_submit(pool, defer_last, NULL, &how) > 0, "refused");
		while (!last_id)
			sched_yield();
		how.flags = 0;
		how.cq = cq;
		for (int i = 0; i < LAST; i++) {
			int64_t before = i < 4 ? last_id : id[test_random(&random) % (uint64_t)i];

			how.after = &before;
			how.after_count = 1;
			id[i] = filch_submit(pool, run_last, NULL, &how);
			CHECK(id[i] > 0, "%d", (int)id[i]);
			accepted++;
		}
		CHECK_EQ(pthread_create(&thread, NULL, finish_last,
				 (void *)(uintptr_t)(test_random(&random) % finish_turns)),
			0);
		for (uint64_t i = test_random(&random) % destroy_turns; i; i--)
			sched_yield();
		CHECK_EQ(filch_pool_destroy(pool), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		while ((some = filch_cq_reap(cq, c, LAST)) > 0)
			got += (uint64_t)some;
		CHECK_EQ(got, accepted);
		all_ran += last_ran == LAST;
		none_ran += last_ran == 0;
		CHECK_EQ(filch_cq_destroy(cq), 0);
		if (n >= pools) {
			CHECK(n < 1000 * (pools + 1), "the case claims to cover both");
			*(all_ran ? &finish_turns : &destroy_turns) += 64;
		}
	}
	printf("    pools in which all ran %llu, none %llu, of %llu\n", (unsigned long long)all_ran,
		(unsigned long long)none_ran, (unsigned long long)pools);
}

/* --- a close beside submits -------------------------------------------------- */

enum { SUBMITTERS = 3, RECENT = 64, TOGETHER = 5 };
static _Atomic int64_t recent[RECENT];
static _Atomic uint64_t taken, ended, ended_behind, ended_unrun, cut_short;

static void count_ended(const struct filch_completion *c)
{
	ended++;
	if (c->flags & FILCH_DONE_AFTER)
		ended_behind++;
	else if (c->status == -ECANCELED)
		ended_unrun++;
}

static int fail_at_times(void *number)
{
	return (uintptr_t)number % 5 == 0 ? -EIO : 0;
}

/* One job, or a batch, that follows some of the recent ones: as a submit returns. */
static int64_t follow_some(uint64_t *random)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_job_spec spec[TOGETHER];
	int64_t after[3], ids[TOGETHER], got, id;

	for (int i = 0; i < 3; i++) {
		id = recent[test_random(random) % RECENT];
		if (id)
			after[how.after_count++] = id;
	}
	how.after = after;
	how.on_complete = count_ended;
	how.lane = (uint32_t)(test_random(random) % 2);
	how.when_full = FILCH_TRY;
	how.flags = test_random(random) % 2 ? FILCH_JOB_AFTER_ANY : 0;
	if (test_random(random) % 8) {
		id = filch_submit(
			pool, fail_at_times, (void *)(uintptr_t)test_random(random), &how);
		got = id < 0 ? id : 1;
	} else {
		for (int i = 0; i < TOGETHER; i++)
			spec[i] = (struct filch_job_spec){ .fn = fail_at_times };
		got = filch_submit_batch(pool, spec, TOGETHER, &how, ids);
		id = got > 0 ? ids[got - 1] : got;
		if (got > 0 && got < TOGETHER)
			cut_short++;
	}
	if (got > 0) {
		taken += (uint64_t)got;
		recent[test_random(random) % RECENT] = id;
	}
	return got;
}

static void *submit_until_closed(void *number)
{
	uint64_t random = test_seed() + (uintptr_t)number;
	int64_t got;

	while ((got = follow_some(&random)) != -ESHUTDOWN) {
		CHECK(got > 0 || got == -EAGAIN || got == -ENOBUFS, "%lld", (long long)got);
		if (test_random(&random) % 6 == 0)
			(void)filch_cancel(pool, recent[test_random(&random) % RECENT]);
		if (got < 0)
			sched_yield();
	}
	return NULL;
}

static uint64_t accepted_in_all(void)
{
	uint64_t sum = 0;

	for (uint32_t lane = 0; lane < 2; lane++) {
		struct filch_lane_stats s = FILCH_LANE_STATS_INIT;

		CHECK_EQ(filch_pool_lane_stats(pool, lane, &s), 0);
		CHECK_EQ(s.queued + s.running, 0);
		CHECK_EQ(s.accepted, s.completed + s.cancelled + s.shed);
		sum += s.accepted;
	}
	return sum;
}

static void a_close_loses_none_of_those_that_it_meets(void)
{
	uint64_t pools = test_scaled(200), random = test_seed(), all_behind = 0, all_unrun = 0;
	struct filch_config config = FILCH_CONFIG_INIT;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	cut_short = 0;
	for (uint64_t n = 0; n < pools || !all_behind || !all_unrun || !cut_short; n++) {
		int mode = n % 2 ? FILCH_DRAIN : FILCH_ABANDON;
		pthread_t thread[SUBMITTERS];
		uint64_t most;

		test_watchdog(100);
		taken = ended = ended_behind = ended_unrun = 0;
		memset((void *)recent, 0, sizeof recent);
		config.jobs_max = n % 4 < 2 ? 24 : 0;
		config.queue_capacity = config.jobs_max / 4;
		pool = pool_open_with(&config);
		for (uintptr_t i = 0; i < SUBMITTERS; i++)
			CHECK_EQ(pthread_create(&thread[i], NULL, submit_until_closed,
					 (void *)(i + n * SUBMITTERS)),
				0);
		most = test_random(&random) % 2000;
		while (taken < most)
			sched_yield();
		CHECK_EQ(filch_pool_shutdown(pool, mode, NULL), 0);
		for (int i = 0; i < SUBMITTERS; i++)
			CHECK_EQ(pthread_join(thread[i], NULL), 0);
		/* a submit that met the close may have been the last to make a job ready */
		CHECK_EQ(filch_pool_shutdown(pool, mode, NULL), 0);
		CHECK_EQ(ended, taken);
		CHECK_EQ(accepted_in_all(), taken);
		close_settled();
		all_behind += ended_behind;
		all_unrun += ended_unrun;
		CHECK(n < 1000 * (pools + 1), "the case claims to cover all of these");
	}
	printf("    behind a failure %llu, cancelled %llu, batches cut short %llu\n",
		(unsigned long long)all_behind, (unsigned long long)all_unrun,
		(unsigned long long)cut_short);
}

/* --- the creator's run -------------------------------------------------------- */

static _Atomic int64_t run_id;
static _Atomic bool run_may_end;

FILCH_TASK(int, run_until_told)
{
	run_id = filch_job_id();
	while (!run_may_end)
		sched_yield();
	return 9;
}

/* Submits what comes after the run, and destroys its pool as it ends. */
static void *follow_and_destroy(void *turns)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	while (!(id = run_id))
		sched_yield();
	how.after = &id;
	how.after_count = 1;
	how.on_complete = count_ended;
	for (int i = 0; i < LAST; i++)
		CHECK(filch_submit(pool, run_last, NULL, &how) > 0, "refused");
	run_may_end = true;
	for (uint64_t i = (uintptr_t)turns; i; i--)
		sched_yield();
	CHECK_EQ(filch_pool_destroy(pool), 0);
	return NULL;
}

static void a_destroy_waits_for_the_end_of_a_run_that_is_followed(void)
{
	uint64_t pools = test_scaled(400), random = test_seed(), all_ran = 0, some_not = 0;

	for (uint64_t n = 0; n < pools || !all_ran || !some_not; n++) {
		pthread_t thread;
		int result = 0;

		test_watchdog(100);
		pool = pool_open(2, FILCH_POOL_CALLER);
		run_id = 0;
		run_may_end = false;
		last_ran = ended = 0;
		CHECK_EQ(pthread_create(&thread, NULL, follow_and_destroy,
				 (void *)(uintptr_t)(test_random(&random) % (4 + n))),
			0);
		CHECK_EQ(FILCH_RUN(pool, &result, run_until_told), 0);
		CHECK_EQ(result, 9);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(ended, LAST);
		all_ran += last_ran == LAST;
		some_not += last_ran < LAST;
		CHECK(n < 1000 * (pools + 1), "the case claims to cover both");
	}
	printf("    pools in which all ran %llu, not all %llu\n", (unsigned long long)all_ran,
		(unsigned long long)some_not);
}

int main(void)
{
	test_watchdog(100);
	(void)test_seed();
	pools_begin();
	test_case("a ledger finds what is lost or doubled", ledger_self_test);
	test_case("random graphs run in their order", random_graphs_run_in_their_order);
	test_case("chains need no stack, and no more memory than their jobs",
		chains_need_no_stack_and_no_more_memory_than_their_jobs);
	test_case(
		"a thousand come together and part again", a_thousand_come_together_and_part_again);
	test_case("a destroy completes what waits", a_destroy_completes_what_waits);
	test_case("a close loses none of those that it meets",
		a_close_loses_none_of_those_that_it_meets);
	test_case("a destroy waits for the end of a run that is followed",
		a_destroy_waits_for_the_end_of_a_run_that_is_followed);
	pools_print();
	return test_finish("after");
}
