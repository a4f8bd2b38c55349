/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shutdown: whatever races with it, every accepted id has exactly one completion, what was refused
 * has not run, and nobody stays blocked. Producers submit under every policy, wait, cancel and run
 * tasks while another thread drains, shuts down in either mode, with or without a deadline, twice
 * or from two threads; then the pool is destroyed. And pools are destroyed under callers that are
 * blocked in a submit, in a wait and in FILCH_RUN.
 *
 * In CI (scale 1) 10^4 shutdowns; the campaign is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "pools.h"
#include "core/types.h" /* clients: who is blocked inside a call */

#define PRODUCERS    3u
#define PER_PRODUCER 256u

/* What happened to one submit. */
struct record {
	_Atomic unsigned started, completed, cancelled;
	_Atomic bool accepted, refused, calls_back;
};

static struct filch_pool *pool;
static struct record record[PRODUCERS][PER_PRODUCER];
static _Atomic unsigned done[PRODUCERS]; /* submits of each that have returned */
static _Atomic bool go;

static uint64_t n_accepted, n_refused, n_cancelled, n_run;

static int job(void *arg)
{
	struct record *r = arg;

	r->started++;
	if (((uintptr_t)r / sizeof *r) % 16 == 0)
		sched_yield();
	return 0;
}

static void told(struct record *r, const struct filch_completion *c)
{
	r->completed++;
	if (c->status == -ECANCELED)
		r->cancelled++;
	else
		CHECK_EQ(c->status, 0);
}

static void on_complete(const struct filch_completion *c)
{
	told(c->user, c);
}

FILCH_VOID_TASK(touch, (struct record *, r))
{
	r->started++;
}

FILCH_VOID_TASK(touch_both, (struct record *, r), (struct record *, other))
{
	FILCH_SPAWN(kid, touch, other);
	FILCH_CALL(touch, r);
	FILCH_SYNC(kid);
}

/* Until the pool says that it closes, or everything has been submitted. */
static void *produce(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t rng = test_random(&(uint64_t){ test_seed() + me + test_now() });
	int64_t window[8];
	struct record *waits_for[8];
	unsigned out = 0;
	bool closed = false;

	while (!go)
		sched_yield();
	for (unsigned i = 0; i + 1 < PER_PRODUCER && !closed; i++) {
		struct record *r = &record[me][i];
		uint64_t dice = test_random(&rng);
		struct filch_submit how = {
			.size = sizeof how, .when_full = (uint32_t)(dice % 4), .user = r
		};
		struct timespec soon = filch_after(50000);
		int64_t id;

		how.deadline = &soon;
		/* a task in place of a job; its child takes the next record */
		if (dice / 4 % 8 == 0) {
			int error = FILCH_RUN(pool, NULL, touch_both, r, r + 1);

			CHECK(error == 0 || error == -ESHUTDOWN || error == -ECANCELED ||
					error == -ENOBUFS,
				"%d", error);
			CHECK_EQ(r->started, error ? 0 : 1);
			CHECK_EQ((r + 1)->started, error ? 0 : 1);
			r->accepted = (r + 1)->accepted = !error;
			r->refused = (r + 1)->refused = error != 0;
			r->completed = (r + 1)->completed = !error;
			closed = error == -ESHUTDOWN;
			i++;
			done[me] = i + 1;
			continue;
		}
		if (dice / 32 % 3 == 0)
			how.on_complete = on_complete;
		r->calls_back = how.on_complete != NULL;
		id = filch_submit(pool, job, r, &how);
		if (id > 0) {
			r->accepted = true;
			if (dice / 128 % 8 == 0)
				(void)filch_cancel(pool, id);
			if (!r->calls_back) {
				window[out] = id;
				waits_for[out++] = r;
			}
		} else {
			CHECK(id == -ESHUTDOWN || id == -EAGAIN || id == -ETIMEDOUT ||
					id == -ENOBUFS,
				"%lld", (long long)id);
			r->refused = true;
			closed = id == -ESHUTDOWN;
		}
		done[me] = i + 1;
		/*
		 * half of the waits come after the pool has closed: completions stay until they are
		 * reaped
		 */
		while (out == 8 || (out && (closed || i + 2 >= PER_PRODUCER))) {
			struct filch_completion c;

			out--;
			CHECK_EQ(filch_wait(pool, window[out], NULL, &c), 0);
			CHECK_EQ(c.id, window[out]);
			told(waits_for[out], &c);
		}
	}
	while (out) {
		struct filch_completion c;

		out--;
		CHECK_EQ(filch_wait(pool, window[out], NULL, &c), 0);
		told(waits_for[out], &c);
	}
	return NULL;
}

static void *shut_down_too(void *arg)
{
	int error = filch_pool_shutdown(pool, arg ? FILCH_ABANDON : FILCH_DRAIN, NULL);

	CHECK_EQ(error, 0);
	return NULL;
}

static void judge(void)
{
	for (unsigned p = 0; p < PRODUCERS; p++) {
		for (unsigned i = 0; i < PER_PRODUCER; i++) {
			struct record *r = &record[p][i];

			if (!r->accepted) {
				CHECK(!r->started && !r->completed,
					"submit %u of %u was refused, started %u times and "
					"completed %u times",
					i, p, r->started, r->completed);
				n_refused += r->refused;
				continue;
			}
			CHECK(r->completed == 1,
				"submit %u of %u was accepted and completed %u times", i, p,
				r->completed);
			CHECK(r->started + r->cancelled == 1,
				"submit %u of %u: started %u times, cancelled %u times", i, p,
				r->started, r->cancelled);
			n_accepted++;
			n_cancelled += r->cancelled;
			n_run += r->started;
		}
	}
}

/* One shutdown under three producers; the round's number chooses how. */
static void race(uint64_t round, uint64_t *rng)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = (uint32_t)(1 + round % 3),
		.queue_capacity = 8,
		.jobs_max = round % 5 ? 64 : 16,
		.flags = FILCH_POOL_OVERSUBSCRIBE | (round % 2 ? FILCH_POOL_NO_SEARCH : 0) };
	pthread_t thread[PRODUCERS], other;
	unsigned seen[PRODUCERS];
	bool second = round % 7 == 3;
	int error;

	memset((void *)record, 0, sizeof record);
	pool = pool_open_with(&config);
	go = false;
	for (unsigned i = 0; i < PRODUCERS; i++) {
		done[i] = 0;
		CHECK_EQ(pthread_create(&thread[i], NULL, produce, (void *)(uintptr_t)i), 0);
	}
	go = true;
	for (uint64_t spin = test_random(rng) % 30000; spin--;)
		filchi_pause();
	if (round % 4 == 0)
		sched_yield();
	if (round % 3 == 0) {
		for (unsigned i = 0; i < PRODUCERS; i++)
			seen[i] = done[i];
		CHECK_EQ(filch_pool_drain(pool, NULL), 0);
		for (unsigned p = 0; p < PRODUCERS; p++)
			for (unsigned i = 0; i < seen[p]; i++)
				CHECK(!record[p][i].calls_back || !record[p][i].accepted ||
						record[p][i].completed == 1,
					"drained, and job %u of %u is not complete", i, p);
	}
	if (second)
		CHECK_EQ(pthread_create(&other, NULL, shut_down_too, round % 2 ? &other : NULL), 0);
	switch (round % 5) {
	case 0:
	case 1:
		CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
		break;
	case 2:
	case 3:
		CHECK_EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
		break;
	default: {
		struct timespec now = filch_after(0);

		error = filch_pool_shutdown(pool, FILCH_DRAIN, &now);
		CHECK(error == 0 || error == -ETIMEDOUT, "%d", error);
		CHECK_EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	}
	}
	for (unsigned i = 0; i < PRODUCERS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	if (second)
		CHECK_EQ(pthread_join(other, NULL), 0);
	CHECK_EQ(filch_submit(pool, job, &record[0][0], NULL), -ESHUTDOWN);
	CHECK_EQ(FILCH_RUN(pool, NULL, touch, &record[0][0]), -ESHUTDOWN);
	pool_close(pool);
	judge();
}

static void shutdowns_that_race_with_everything_lose_and_double_nothing(void)
{
	uint64_t n = test_scaled(7000), rng = test_seed(), round = 0;

	pools_begin();
	n_accepted = n_refused = n_cancelled = n_run = 0;
	do {
		if (round % 100 == 0)
			test_watchdog(120);
		race(round, &rng);
	} while (++round < n ||
		 (!(n_refused && n_cancelled && n_run && pools_sum.parks && pools_sum.wakes) &&
			 round < n + 5000));
	printf("    %llu shutdowns: %llu accepted, %llu refused, %llu run, %llu cancelled\n",
		(unsigned long long)round, (unsigned long long)n_accepted,
		(unsigned long long)n_refused, (unsigned long long)n_run,
		(unsigned long long)n_cancelled);
	pools_print();
	CHECK(n_refused && n_cancelled && n_run, "one kind of end was never met");
	POOLS_COVER(parks);
	POOLS_COVER(wakes);
}

/* --- destroyed under blocked callers ---------------------------------- */

static _Atomic bool gate;
static uint64_t let_in, sent_away; /* blocked submits that got room in time, and that did not */

static int until_cancelled(void *arg)
{
	struct record *r = arg;

	r->started++;
	while (!filch_job_cancelled() && !gate)
		sched_yield();
	return 0;
}

static int64_t running_id;

static void *block_in_submit(void *arg)
{
	struct record *r = arg;
	const struct filch_submit how = {
		.size = sizeof how, .on_complete = on_complete, .user = r
	};
	int64_t id = filch_submit(pool, job, r, &how);

	CHECK(id > 0 || id == -ESHUTDOWN, "%lld", (long long)id);
	r->accepted = id > 0;
	return NULL;
}

static void *block_in_wait(void *arg)
{
	struct record *r = arg;
	struct filch_completion c;

	CHECK_EQ(filch_wait(pool, running_id, NULL, &c), 0);
	CHECK_EQ(c.status, 0);
	r->accepted = true;
	r->completed = r->started = 1;
	return NULL;
}

static void *block_in_run(void *arg)
{
	struct record *r = arg;
	int error = FILCH_RUN(pool, NULL, touch, r);

	CHECK(error == 0 || error == -ECANCELED || error == -ESHUTDOWN, "%d", error);
	CHECK_EQ(r->started, error ? 0 : 1);
	r->accepted = !error;
	r->completed = !error;
	return NULL;
}

/*
 * One worker runs a job that ends when it is cancelled, the queue (of one) is full; four threads
 * block. Half of the time the job is let go just before the destroy, so that one submitter is on
 * its way in while the pool goes down.
 */
static void destroy_under(uint64_t round, uint64_t *rng)
{
	static void *(*const body[4])(
		void *) = { block_in_submit, block_in_submit, block_in_wait, block_in_run };
	const struct filch_config config = { .size = sizeof config,
		.workers = 1,
		.queue_capacity = 1,
		.jobs_max = 16,
		.flags = FILCH_POOL_OVERSUBSCRIBE | (round % 2 ? FILCH_POOL_NO_SEARCH : 0) };
	const struct filch_submit called = {
		.size = sizeof called, .on_complete = on_complete, .user = &record[1][1]
	};
	pthread_t thread[4];

	memset((void *)record, 0, sizeof record);
	gate = false;
	pool = pool_open_with(&config);
	running_id = filch_submit(pool, until_cancelled, &record[1][0], NULL);
	CHECK(running_id > 0, "%lld", (long long)running_id);
	record[1][0].accepted = true;
	record[1][0].completed = 1; /* block_in_wait() sees it */
	while (!record[1][0].started)
		sched_yield();
	CHECK(filch_submit(pool, job, &record[1][1], &called) > 0, "the queue is not full yet");
	record[1][1].accepted = true;
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, body[i], &record[0][i]), 0);
	/* FILCH_RUN is a client twice over: of the run, and of its submit */
	while (filchi_load_acquire(&pool->clients_inside) < 5)
		sched_yield();
	if (round % 2) {
		gate = true;
		for (uint64_t spin = test_random(rng) % 30000; spin--;)
			filchi_pause();
	}
	CHECK_EQ(filch_pool_destroy(pool), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		++*(record[0][i].accepted ? &let_in : &sent_away);
	judge();
}

static void callers_blocked_in_a_pool_that_is_destroyed_return(void)
{
	uint64_t n = test_scaled(3000), rng = test_seed();

	n_accepted = n_refused = n_cancelled = n_run = 0;
	for (uint64_t round = 0;
		round < n || (!(n_cancelled && n_run && let_in && sent_away) && round < n + 5000);
		round++) {
		if (round % 100 == 0)
			test_watchdog(120);
		destroy_under(round, &rng);
	}
	printf("    %llu accepted, %llu run, %llu cancelled; of the blocked submits %llu were "
	       "let in and %llu sent away\n",
		(unsigned long long)n_accepted, (unsigned long long)n_run,
		(unsigned long long)n_cancelled, (unsigned long long)let_in,
		(unsigned long long)sent_away);
	CHECK(n_cancelled && n_run && let_in && sent_away, "one kind of end was never met");
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("shutdowns that race with everything lose and double nothing",
		shutdowns_that_race_with_everything_lose_and_double_nothing);
	test_case("callers blocked in a pool that is destroyed return",
		callers_blocked_in_a_pool_that_is_destroyed_return);
	return test_finish("shutdown");
}
