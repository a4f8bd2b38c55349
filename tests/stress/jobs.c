/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs: every accepted id completes exactly once. Eight producers through a queue of 64, under each
 * policy, singly and in batches, with cancellations in between; completions seen by filch_wait(),
 * by a callback, or (detached) by nobody but the job itself.
 *
 * Three ledgers: what was started, what was completed, and for each job whether the two agree: a
 * job that completed as cancelled before its start has not run, every other has, once.
 *
 * In CI (scale 1) 10^7 jobs: rounds of 700,000, three under each policy, and as many batches; the
 * campaign of 10^8 is FILCH_TEST_SCALE=10. timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "ledger.h"
#include "pools.h"

#define PRODUCERS 8u
#define WINDOW    16u /* jobs a producer may have out and not waited for */
#define CAPACITY  64u

enum kind { WAIT, CALLBACK, DETACHED };

static struct filch_pool *pool;
static struct ledger started, completed;
static uint64_t per_producer;
static uint32_t policy;
static size_t batch; /* 0: one by one */

static _Atomic uint64_t refused, timed_out, no_slots, cancelled, ran_here, completed_here,
	flags_seen, partial_batches;
static _Atomic uint64_t detached_started;

static enum kind kind_of(uint64_t job)
{
	return ledger_mix(job) % 3;
}

/* @arg: the job's number, as a pointer. */
static int count_me(void *arg)
{
	uint64_t job = (uintptr_t)arg;

	CHECK(filch_job_id() > 0, "a job without an id");
	CHECK(!ledger_has(&completed, job), "job %llu runs though it is complete",
		(unsigned long long)job);
	ledger_enter(&started, job);
	if (filch_worker_id() < 0)
		ran_here++;
	if (kind_of(job) == DETACHED) {
		ledger_enter(&completed, job);
		detached_started++;
	}
	if (job % 512 == 0)
		sched_yield(); /* so that cancellations meet running jobs too */
	if (filch_job_cancelled())
		flags_seen++;
	return (int)(job % 1000);
}

/* What every completion must be. */
static void check_completion(const struct filch_completion *c)
{
	uint64_t job = (uintptr_t)c->arg;

	CHECK_EQ((uintptr_t)c->user, job + 1);
	CHECK_EQ(c->flags, 0);
	if (c->status == -ECANCELED) {
		CHECK(!ledger_has(&started, job), "job %llu was cancelled, and has run",
			(unsigned long long)job);
		CHECK_EQ(c->run_ns, 0);
		CHECK_EQ(c->worker, -1);
		cancelled++;
	} else {
		CHECK_EQ(c->status, job % 1000);
		CHECK(ledger_has(&started, job), "job %llu is complete, and has not run",
			(unsigned long long)job);
		if (c->worker < 0)
			completed_here++;
	}
	ledger_enter(&completed, job);
}

static void on_complete(const struct filch_completion *c)
{
	CHECK(c->id > 0, "id %lld", (long long)c->id);
	check_completion(c);
}

/* Jobs of one producer that wait to be waited for. */
struct window {
	int64_t id[WINDOW];
	unsigned first, n;
};

static void reap_oldest(struct window *w)
{
	struct filch_completion c;
	int64_t id = w->id[w->first++ % WINDOW];

	w->n--;
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	CHECK_EQ(c.id, id);
	check_completion(&c);
	CHECK_EQ(filch_wait(pool, id, NULL, &c), -ESRCH); /* once only */
}

static void accepted(struct window *w, uint64_t job, int64_t id)
{
	enum kind kind = kind_of(job);

	CHECK(id > 0, "id %lld", (long long)id);
	if (kind == WAIT) {
		if (w->n == WINDOW)
			reap_oldest(w);
		w->id[(w->first + w->n++) % WINDOW] = id;
	}
	if (kind != DETACHED && job % 8 == 0) {
		int error = filch_cancel(pool, id);

		CHECK(error == 0 || error == -EALREADY || (kind == CALLBACK && error == -ESRCH),
			"%d", error);
	}
}

static struct filch_submit how_of(enum kind kind)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.when_full = policy;
	if (kind == CALLBACK)
		how.on_complete = on_complete;
	if (kind == DETACHED)
		how.flags = FILCH_JOB_DETACHED;
	return how;
}

/* An error of a submit: counts it, makes room where that is the client's part, and yields. */
static void not_accepted(struct window *w, int64_t error)
{
	switch (error) {
	case -EAGAIN:
		CHECK_EQ(policy, FILCH_TRY);
		refused++;
		break;
	case -ETIMEDOUT:
		CHECK_EQ(policy, FILCH_UNTIL);
		timed_out++;
		break;
	case -ENOBUFS:
		no_slots++;
		if (w->n)
			reap_oldest(w);
		break;
	default:
		CHECK(false, "a submit returned %lld", (long long)error);
	}
	sched_yield();
}

static void submit_singly(struct window *w, uint64_t from, uint64_t to, uint64_t *rng)
{
	for (uint64_t job = from; job < to;) {
		struct filch_submit how = how_of(kind_of(job));
		struct timespec deadline = filch_after(test_random(rng) % 100000);
		int64_t id;

		if (policy == FILCH_UNTIL)
			how.deadline = &deadline;
		how.user = (void *)(uintptr_t)(job + 1);
		how.lane = job % 5 == 0 ? (uint32_t)(job / 5 % FILCH_LANES) : FILCH_LANE_NORMAL;
		id = filch_submit(pool, count_me, (void *)(uintptr_t)job, &how);
		if (id > 0)
			accepted(w, job++, id);
		else
			not_accepted(w, id);
	}
}

/*
 * Batches of jobs of one kind: as many as follow each other with that kind, so most are short;
 * every accepted prefix counts.
 */
static void submit_in_batches(struct window *w, uint64_t from, uint64_t to, uint64_t *rng)
{
	for (uint64_t job = from; job < to;) {
		struct filch_job_spec spec[WINDOW];
		int64_t ids[WINDOW], got;
		enum kind kind = kind_of(job);
		struct filch_submit how = how_of(kind);
		struct timespec deadline = filch_after(test_random(rng) % 100000);
		size_t n = 0;

		if (policy == FILCH_UNTIL)
			how.deadline = &deadline;
		while (n < batch && job + n < to && kind_of(job + n) == kind) {
			spec[n] = (struct filch_job_spec){ .fn = count_me,
				.arg = (void *)(uintptr_t)(job + n),
				.user = (void *)(uintptr_t)(job + n + 1) };
			n++;
		}
		got = filch_submit_batch(pool, spec, n, &how, ids);
		if (got < 0) {
			not_accepted(w, got);
			continue;
		}
		CHECK(got > 0 && got <= (int64_t)n, "%lld of %zu", (long long)got, n);
		if (got < (int64_t)n)
			partial_batches++;
		for (int64_t i = 0; i < got; i++)
			accepted(w, job++, ids[i]);
	}
}

static void *produce(void *arg)
{
	uint64_t me = (uintptr_t)arg, rng = test_seed() + me;
	struct window w = { .n = 0 };

	if (batch)
		submit_in_batches(&w, me * per_producer, (me + 1) * per_producer, &rng);
	else
		submit_singly(&w, me * per_producer, (me + 1) * per_producer, &rng);
	while (w.n)
		reap_oldest(&w);
	return NULL;
}

static void counters_zero(void)
{
	refused = timed_out = no_slots = cancelled = ran_here = completed_here = flags_seen =
		partial_batches = detached_started = 0;
	pools_begin();
}

/* @n jobs from all producers through the policy; one pool. */
static void round_of(uint64_t n, uint32_t workers, uint32_t jobs_max)
{
	pthread_t thread[PRODUCERS];
	const struct filch_config config = { .size = sizeof config,
		.workers = workers,
		.flags = FILCH_POOL_OVERSUBSCRIBE,
		.queue_capacity = CAPACITY,
		.jobs_max = jobs_max };

	test_watchdog(120);
	per_producer = n / PRODUCERS + 1;
	ledger_open(&started, PRODUCERS * per_producer);
	ledger_open(&completed, PRODUCERS * per_producer);
	pool = pool_open_with(&config);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, produce, (void *)i), 0);
	for (unsigned i = 0; i < PRODUCERS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	pool_close(pool);
	pool = NULL;
	struct ledger_verdict v = ledger_judge(&started);
	CHECK_EQ(v.doubled, 0);
	CHECK_EQ(v.foreign, 0);
	/* what was not cancelled has run; check_completion() saw to the rest */
	for (uint64_t job = 0; job < started.n; job++)
		CHECK(ledger_has(&started, job) || kind_of(job) != DETACHED,
			"detached job %llu is lost", (unsigned long long)job);
	ledger_free(&started);
	ledger_close(&completed);
}

static void print_counters(void)
{
	printf("    refused %llu, timed out %llu, no slots %llu, cancelled before the start "
	       "%llu, cancelled while running %llu, "
	       "run by their submitters %llu, partial batches %llu\n",
		(unsigned long long)refused, (unsigned long long)timed_out,
		(unsigned long long)no_slots, (unsigned long long)cancelled,
		(unsigned long long)flags_seen, (unsigned long long)ran_here,
		(unsigned long long)partial_batches);
	pools_print();
}

/* Rounds of @n jobs until @enough says that what the case is about has been met, 200 at most. */
static void rounds(uint32_t with, uint64_t n, bool (*enough)(void))
{
	unsigned round = 0;

	policy = with;
	counters_zero();
	do
		round_of(n, 1 + (round + 1) % 3, round % 2 ? 256 : 160);
	while (++round < 3 || (!enough() && round < 200));
	print_counters();
	CHECK(enough(), "after %u rounds not all events have occurred that this case is about",
		round);
}

static bool met_cancels(void)
{
	return cancelled && pools_sum.cancelled && pools_sum.parks && pools_sum.wakes;
}

static bool met_refusals(void)
{
	return met_cancels() && refused;
}

static bool met_time_outs(void)
{
	return met_cancels() && timed_out;
}

static bool met_own_runs(void)
{
	return met_cancels() && ran_here && completed_here;
}

static void jobs_that_block_complete_once(void)
{
	rounds(FILCH_BLOCK, test_scaled(700000), met_cancels);
}

static void jobs_that_try_complete_once(void)
{
	rounds(FILCH_TRY, test_scaled(700000), met_refusals);
}

static void jobs_with_a_deadline_complete_once(void)
{
	rounds(FILCH_UNTIL, test_scaled(700000), met_time_outs);
}

static void jobs_their_callers_may_run_complete_once(void)
{
	rounds(FILCH_CALLER_RUNS, test_scaled(700000), met_own_runs);
}

static bool met_partial_batches(void)
{
	return refused && partial_batches && cancelled;
}

static void batches_complete_once(void)
{
	batch = WINDOW;
	rounds(FILCH_TRY, test_scaled(300000), met_partial_batches);
	rounds(FILCH_BLOCK, test_scaled(300000), met_cancels);
	batch = 0;
}

/* --- two waiters for one id ------------------------------------------- */

static int64_t contested;
static pthread_barrier_t both;
static _Atomic uint64_t wins, losses;
static uint64_t contests;

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void *wait_too(void *arg)
{
	bool submitter = arg != NULL;

	for (uint64_t i = 0; i < contests; i++) {
		int error;

		if (submitter) {
			contested = filch_submit(pool, nothing, NULL, NULL);
			CHECK(contested > 0, "%lld", (long long)contested);
		}
		pthread_barrier_wait(&both);
		error = filch_wait(pool, contested, NULL, NULL);
		CHECK(error == 0 || error == -ESRCH, "%d", error);
		if (error)
			losses++;
		else
			wins++;
		pthread_barrier_wait(&both);
	}
	return NULL;
}

static void of_three_waiters_exactly_one_reaps(void)
{
	pthread_t thread[3];

	test_watchdog(120);
	contests = test_scaled(20000);
	wins = losses = 0;
	pool = pool_open(2, 0);
	pthread_barrier_init(&both, NULL, 3);
	for (uintptr_t i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, wait_too, i ? NULL : &both), 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	pthread_barrier_destroy(&both);
	pool_close(pool);
	printf("    %llu contests, %llu lost\n", (unsigned long long)wins,
		(unsigned long long)losses);
	CHECK_EQ(wins, contests);
	CHECK_EQ(losses, 2 * contests);
}

/* --- jobs that submit jobs -------------------------------------------- */

static struct ledger family;

/* Number k has the children 4k+1 to 4k+4: detached, so that no slot waits for anybody. */
static int submit_children(void *arg)
{
	const struct filch_submit how = { .size = sizeof how, .flags = FILCH_JOB_DETACHED };
	uint64_t k = (uintptr_t)arg;

	ledger_enter(&family, k);
	for (uint64_t child = 4 * k + 1; child <= 4 * k + 4 && child < family.n; child++) {
		int64_t id = filch_submit(
			filch_pool_current(), submit_children, (void *)(uintptr_t)child, &how);

		/* a worker never waits for room; without a slot it runs the child itself */
		CHECK(id > 0 || id == -ENOBUFS, "%lld", (long long)id);
		if (id < 0) {
			no_slots++;
			submit_children((void *)(uintptr_t)child);
		}
	}
	return 0;
}

static void jobs_that_submit_jobs_never_block_themselves(void)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = 2,
		.flags = FILCH_POOL_OVERSUBSCRIBE,
		.queue_capacity = 2,
		.jobs_max = 64 };

	counters_zero();
	for (unsigned round = 0; round < 3; round++) {
		int64_t id;

		test_watchdog(120);
		pool = pool_open_with(&config);
		ledger_open(&family, test_scaled(100000));
		id = filch_submit(pool, submit_children, NULL, NULL);
		CHECK(id > 0, "%lld", (long long)id);
		CHECK_EQ(filch_wait(pool, id, NULL, NULL), 0);
		/*
		 * a drain is for the jobs that were accepted before it, and those submit more: the
		 * last one ends the round
		 */
		while (ledger_judge(&family).entered < family.n)
			CHECK_EQ(filch_pool_drain(pool, NULL), 0);
		CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
		pool_close(pool);
		ledger_close(&family);
	}
	pools_print();
	printf("    no slots: %llu times\n", (unsigned long long)no_slots);
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("the ledger finds a duplicate and a loss", ledger_self_test);
	test_case("jobs that block on a full queue complete exactly once",
		jobs_that_block_complete_once);
	test_case("jobs that try complete exactly once if accepted", jobs_that_try_complete_once);
	test_case("jobs with a deadline for room complete exactly once if accepted",
		jobs_with_a_deadline_complete_once);
	test_case("jobs their callers may run complete exactly once",
		jobs_their_callers_may_run_complete_once);
	test_case("batches complete exactly once, whatever part of them is accepted",
		batches_complete_once);
	test_case("of three waiters for one id exactly one reaps",
		of_three_waiters_exactly_one_reaps);
	test_case("jobs that submit jobs never block themselves",
		jobs_that_submit_jobs_never_block_themselves);
	return test_finish("jobs");
}
