/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completions: exactly one for every accepted id, while everything happens at once. Four producers
 * submit jobs whose completions go to a queue, to a callback, to a wait, or nowhere. Jobs are
 * cancelled while they are queued and while they run, shed because they are late, told that they
 * are, submitted to come after others, run by their submitters. Pools are drained, abandoned and
 * destroyed under them. One reaper goes by the descriptor, another sleeps in filch_cq_wait(), and
 * the queue outlives all the pools.
 *
 * Two ledgers: what was started, and how each number ended: one completion, or one refusal of its
 * submit, never both. A detached job ends where it runs; those that an abandoned pool never ran are
 * counted against the pool's own count of cancellations.
 *
 * In CI (scale 1) 10^6 jobs; --long is scale 10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <struct/cq_cells.h>

#include "ledger.h"
#include "pools.h"

#define PRODUCERS 4u
#define WINDOW    8u
#define LAST      UINTPTR_MAX /* arg of the job that ends the reaper which sleeps */

enum kind { QUEUE, CALLBACK, WAIT, DETACHED };
enum finish { DRAIN, ABANDON, DESTROY, FINISHES };

static struct filch_pool *pool;
static struct filch_cq *cq;
static struct ledger started, ended;
static uint64_t per_producer;
static enum finish finish;
static _Atomic bool closing; /* producers of a pool that is to be destroyed stop here */
static _Atomic uint64_t accepted_jobs;

/* everything that has happened, by kind */
static struct {
	_Atomic uint64_t queue, callback, wait, detached;
	_Atomic uint64_t cancelled_queued, cancelled_running, expired, run_here, refused, no_room,
		abandoned, destroyed, vanished, behind, late_queued, late_running;
	_Atomic uint64_t by_descriptor, by_sleeper;
} met;

/* --- how often the readers are told: the linker leads every call in here: CMakeLists.txt --- */

static _Atomic uint64_t rings, tellings;
static filch_atomic_u32 *_Atomic wake_word; /* of the queue */

void __real_filchi_notify_write_fd(struct filchi_notifier *notifier);
void __wrap_filchi_notify_write_fd(struct filchi_notifier *notifier);
void __real_filchi_futex_wake(filch_atomic_u32 *word, int threads);
void __wrap_filchi_futex_wake(filch_atomic_u32 *word, int threads);

void __wrap_filchi_notify_write_fd(struct filchi_notifier *notifier)
{
	rings++;
	__real_filchi_notify_write_fd(notifier);
}

void __wrap_filchi_futex_wake(filch_atomic_u32 *word, int threads)
{
	if (word == wake_word)
		tellings++;
	__real_filchi_futex_wake(word, threads);
}

/* An empty queue, nobody of which has been told. */
static void cq_open(uint32_t capacity)
{
	CHECK_EQ(filch_cq_create(&cq, capacity), 0);
	wake_word = &cq->notifier.wake_word;
	rings = tellings = 0;
}

static enum kind kind_of(uint64_t job)
{
	enum kind kind = ledger_mix(job) % 8 < 5 ? QUEUE : (enum kind)(ledger_mix(job) % 8 - 4);

	/*
	 * nobody could say of a destroyed pool how many of these it never ran, nor wait for an id
	 * there
	 */
	return finish == DESTROY && kind == DETACHED ? QUEUE : kind;
}

/* Jobs with a time by which they are to be over; and such that come after the one before. */
static bool is_timed(uint64_t job)
{
	return job % 16 == 9 && kind_of(job) != DETACHED;
}

static bool follows(uint64_t job)
{
	return job % 16 == 12;
}

/*
 * Jobs that run until they are cancelled, or told that they are late; not where nobody could see
 * that they have ended.
 */
static bool is_held(uint64_t job)
{
	return (job % 1024 == 5 || job % 1024 == 25) && kind_of(job) != DETACHED;
}

static int work(void *arg)
{
	uint64_t job = (uintptr_t)arg;

	CHECK(!ledger_has(&ended, job), "job %llu runs though it has ended",
		(unsigned long long)job);
	ledger_enter(&started, job);
	if (filch_worker_id() < 0)
		met.run_here++;
	while (is_held(job) && !filch_job_cancelled())
		sched_yield();
	if (kind_of(job) == DETACHED) {
		ledger_enter(&ended, job);
		met.detached++;
	}
	return filch_job_cancelled() ? 2 : 1;
}

static int nothing(void *arg)
{
	(void)arg;
	return 1;
}

static void check_completion(const struct filch_completion *c)
{
	uint64_t job = (uintptr_t)c->arg;

	CHECK(c->id > 0, "%lld", (long long)c->id);
	CHECK_EQ((uintptr_t)c->user, job + 1);
	switch (c->status) {
	case -ECANCELED:
		CHECK(!ledger_has(&started, job),
			"job %llu was cancelled in the queue, and has run",
			(unsigned long long)job);
		if (c->flags & FILCH_DONE_AFTER) {
			CHECK(follows(job), "%llu", (unsigned long long)job);
			met.behind++;
		} else if (finish == DESTROY && closing)
			met.destroyed++;
		else if (finish == ABANDON && closing)
			met.abandoned++;
		else
			met.cancelled_queued++;
		break;
	case -ETIMEDOUT:
		CHECK(!ledger_has(&started, job), "job %llu has expired, and has run",
			(unsigned long long)job);
		if (is_timed(job)) {
			CHECK(c->flags & FILCH_DONE_LATE, "%llu", (unsigned long long)job);
			met.late_queued++;
		} else {
			met.expired++;
		}
		break;
	default:
		CHECK(c->status == 1 || c->status == 2, "%d", c->status);
		CHECK(ledger_has(&started, job), "job %llu is complete, and has not run",
			(unsigned long long)job);
		if (c->status == 2 && is_timed(job)) {
			CHECK(c->flags & FILCH_DONE_LATE || closing, "%llu",
				(unsigned long long)job);
			met.late_running += (c->flags & FILCH_DONE_LATE) != 0;
		} else if (c->status == 2) {
			met.cancelled_running++;
		}
	}
	ledger_enter(&ended, job);
}

static void on_complete(const struct filch_completion *c)
{
	met.callback++;
	check_completion(c);
}

/* --- reapers ---------------------------------------------------------- */

/*
 * Both begin when the queue has once been full: with reapers as quick as the jobs, on one
 * processor, that need never happen.
 */
static void wait_until_full_once(void)
{
	while (!met.no_room)
		sched_yield();
}

static int bye;
static _Atomic bool sleeper_gone;
static _Atomic uint64_t lasts_missed; /* those the other reaper was given */

static void *reap_by_descriptor(void *arg)
{
	struct filch_completion c[32];
	struct pollfd p[2] = { { .fd = filch_cq_fd(cq), .events = POLLIN },
		{ .fd = bye, .events = POLLIN } };
	int got;

	(void)arg;
	wait_until_full_once();
	do {
		CHECK(poll(p, 2, -1) > 0, "%d", errno);
		while ((got = filch_cq_reap(cq, c, 32)) > 0) {
			for (int i = 0; i < got; i++) {
				if ((uintptr_t)c[i].arg == LAST) {
					lasts_missed++;
					continue;
				}
				met.queue++;
				met.by_descriptor++;
				check_completion(&c[i]);
			}
		}
		CHECK_EQ(got, 0);
	} while (!p[1].revents);
	return NULL;
}

static void *reap_asleep(void *arg)
{
	struct filch_completion c[5];
	bool last = false;

	(void)arg;
	wait_until_full_once();
	while (!last) {
		int got = filch_cq_wait(cq, c, 5, NULL);

		CHECK(got > 0 && got <= 5, "%d", got);
		for (int i = 0; i < got; i++) {
			if ((uintptr_t)c[i].arg == LAST) {
				last = true;
				continue;
			}
			met.queue++;
			met.by_sleeper++;
			check_completion(&c[i]);
		}
	}
	sleeper_gone = true;
	return NULL;
}

/*
 * Ends the sleeping reaper, which then has everything put before: by jobs of another pool, until it
 * has got one.
 */
static void end_sleeper(void)
{
	struct filch_pool *other = pool_open(1, 0);
	const struct filch_submit last = { .size = sizeof last, .cq = cq };

	while (!sleeper_gone) {
		uint64_t missed = lasts_missed;
		int64_t id = filch_submit(other, nothing, (void *)LAST, &last);

		CHECK(id > 0 || id == -ENOBUFS, "%lld", (long long)id);
		while (id > 0 && !sleeper_gone && lasts_missed == missed)
			sched_yield();
	}
	CHECK_EQ(filch_pool_destroy(other), 0);
}

/* --- producers -------------------------------------------------------- */

struct window {
	int64_t id[WINDOW];
	unsigned first, n;
	int64_t last; /* submitted */
};

static void wait_oldest(struct window *w)
{
	struct filch_completion c;
	int64_t id = w->id[w->first++ % WINDOW];

	w->n--;
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	CHECK_EQ(c.id, id);
	met.wait++;
	check_completion(&c);
}

static void after_submit(struct window *w, uint64_t job, int64_t id)
{
	bool cancel = job % 8 == 3;

	accepted_jobs++;
	w->last = id;
	if (is_held(job) && !is_timed(job)) {
		while (!ledger_has(&started, job) && !ledger_has(&ended, job) && !closing)
			sched_yield();
		cancel = true;
	}
	if (cancel && kind_of(job) != DETACHED) {
		int error = filch_cancel(pool, id);

		CHECK(error == 0 || error == -EALREADY || (error == -ESRCH && kind_of(job) != WAIT),
			"%d", error);
	}
	if (kind_of(job) == WAIT) {
		if (w->n == WINDOW)
			wait_oldest(w);
		w->id[(w->first + w->n++) % WINDOW] = id;
	}
}

static void *produce(void *arg)
{
	uint64_t me = (uintptr_t)arg;
	struct window w = { .n = 0 };
	uint64_t job = me * per_producer;

	while (job < (me + 1) * per_producer) {
		static const struct timespec past = { 0, 1 };
		struct filch_submit how = { .size = sizeof how,
			.user = (void *)(uintptr_t)(job + 1) };
		enum kind kind = kind_of(job);
		struct timespec soon;
		int64_t id;

		if (finish == DESTROY && closing) {
			ledger_enter(&ended, job++); /* never submitted */
			continue;
		}
		how.when_full = is_held(job)               ? FILCH_BLOCK
				: ledger_mix(job) >> 8 & 1 ? FILCH_BLOCK
							   : FILCH_CALLER_RUNS;
		how.cq = kind == QUEUE ? cq : NULL;
		how.on_complete = kind == CALLBACK ? on_complete : NULL;
		how.flags = kind == DETACHED ? FILCH_JOB_DETACHED : 0;
		how.lane = job % 5 ? FILCH_LANE_NORMAL : (uint32_t)(job / 5 % FILCH_LANES);
		how.start_by = kind != DETACHED && job % 16 == 7 ? &past : NULL;
		if (how.start_by)
			how.when_full = FILCH_BLOCK;
		if (is_timed(job)) {
			soon = filch_after(ledger_mix(job) % 300000);
			how.finish_by = &soon;
		}
		if (follows(job) && w.last) {
			how.after = &w.last;
			how.after_count = 1;
			how.flags |= job & 16 ? FILCH_JOB_AFTER_ANY : 0;
		}
		id = filch_submit(pool, work, (void *)(uintptr_t)job, &how);
		if (id > 0) {
			after_submit(&w, job++, id);
		} else if (id == -ESHUTDOWN) {
			CHECK_EQ(finish, ABANDON);
			met.refused++;
			ledger_enter(&ended, job++);
		} else {
			CHECK_EQ(id, -ENOBUFS);
			met.no_room++;
			if (w.n)
				wait_oldest(&w);
			sched_yield();
		}
	}
	while (w.n)
		wait_oldest(&w);
	return NULL;
}

/* What an abandoned pool has cancelled of detached jobs, nobody was told. */
static void account_for_the_vanished(uint64_t observed)
{
	const struct filch_stats s = pool_stats(pool);
	uint64_t vanished = 0;

	for (uint64_t job = 0; job < ended.n; job++) {
		if (kind_of(job) == DETACHED && !ledger_has(&ended, job)) {
			CHECK(!ledger_has(&started, job), "%llu", (unsigned long long)job);
			ledger_enter(&ended, job);
			vanished++;
		}
	}
	CHECK(vanished == s.cancelled - observed,
		"%llu detached jobs are lost, the pool has cancelled %llu of which %llu were told",
		(unsigned long long)vanished, (unsigned long long)s.cancelled,
		(unsigned long long)observed);
	met.vanished += vanished;
}

static uint64_t told_cancelled(void)
{
	return met.cancelled_queued + met.abandoned + met.destroyed + met.behind;
}

/* @n jobs on one pool, which ends as @how. */
static void round_of(uint64_t n, enum finish how, uint32_t workers)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = workers,
		.flags = FILCH_POOL_OVERSUBSCRIBE,
		.queue_capacity = 64,
		.jobs_max = 160 };
	pthread_t producer[PRODUCERS], reaper[2];
	uint64_t before = told_cancelled();

	test_watchdog(200);
	finish = how;
	closing = false;
	accepted_jobs = 0;
	sleeper_gone = false;
	per_producer = n / PRODUCERS + 1;
	ledger_open(&started, PRODUCERS * per_producer);
	ledger_open(&ended, PRODUCERS * per_producer);
	bye = eventfd(0, 0);
	CHECK(bye >= 0, "%d", errno);
	pool = pool_open_with(&config);
	CHECK_EQ(pthread_create(&reaper[0], NULL, reap_by_descriptor, NULL), 0);
	CHECK_EQ(pthread_create(&reaper[1], NULL, reap_asleep, NULL), 0);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		CHECK_EQ(pthread_create(&producer[i], NULL, produce, (void *)i), 0);
	if (finish != DRAIN) {
		while (accepted_jobs < n - n / 8)
			sched_yield();
		closing = true;
		if (finish == ABANDON)
			CHECK_EQ(filch_pool_shutdown(pool, FILCH_ABANDON, NULL), 0);
	}
	for (unsigned i = 0; i < PRODUCERS; i++)
		CHECK_EQ(pthread_join(producer[i], NULL), 0);
	if (finish != DESTROY)
		CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	const struct filch_stats s = pool_stats(pool);
	if (finish == DESTROY) {
		CHECK_EQ(filch_pool_destroy(pool), 0); /* with what is queued */
		pool = NULL;
	}
	pools_sum.jobs += s.jobs;
	pools_sum.parks += s.parks;

	end_sleeper(); /* the queue outlives the pool */
	CHECK_EQ(pthread_join(reaper[1], NULL), 0);
	CHECK_EQ(write(bye, &(uint64_t){ 1 }, 8), 8);
	CHECK_EQ(pthread_join(reaper[0], NULL), 0);
	close(bye);
	if (pool) {
		account_for_the_vanished(told_cancelled() - before);
		CHECK_EQ(filch_pool_destroy(pool), 0);
	}
	struct ledger_verdict v = ledger_judge(&started);
	CHECK_EQ(v.doubled, 0);
	CHECK_EQ(v.foreign, 0);
	ledger_free(&started);
	ledger_close(&ended);
}

static bool all_met(void)
{
	return met.queue && met.callback && met.wait && met.detached && met.cancelled_queued &&
	       met.cancelled_running && met.expired && met.run_here && met.refused && met.no_room &&
	       met.abandoned && met.destroyed && met.vanished && met.behind && met.late_queued &&
	       met.late_running && met.by_descriptor && met.by_sleeper && rings && tellings;
}

static void everything_at_once(void)
{
	/* more for the queue than it holds, at any scale */
	const uint64_t n = 1000 + test_scaled(1000000) / 9;
	unsigned round = 0;

	pools_begin();
	cq_open(96);
	do
		round_of(n, (enum finish)(round % FINISHES), 1 + (round / 2) % 3);
	while (++round < 9 || (!all_met() && round < 200));
	printf("    %u rounds: to the queue %llu (%llu by descriptor, %llu asleep; %llu rings, "
	       "%llu tellings), callbacks %llu, waits %llu, "
	       "detached %llu\n",
		round, (unsigned long long)met.queue, (unsigned long long)met.by_descriptor,
		(unsigned long long)met.by_sleeper, (unsigned long long)rings,
		(unsigned long long)tellings, (unsigned long long)met.callback,
		(unsigned long long)met.wait, (unsigned long long)met.detached);
	printf("    cancelled queued %llu, running %llu, expired %llu, run by submitters %llu, "
	       "abandoned %llu, destroyed %llu, vanished %llu, "
	       "refused %llu, no room %llu, behind %llu, late %llu queued and %llu running\n",
		(unsigned long long)met.cancelled_queued, (unsigned long long)met.cancelled_running,
		(unsigned long long)met.expired, (unsigned long long)met.run_here,
		(unsigned long long)met.abandoned, (unsigned long long)met.destroyed,
		(unsigned long long)met.vanished, (unsigned long long)met.refused,
		(unsigned long long)met.no_room, (unsigned long long)met.behind,
		(unsigned long long)met.late_queued, (unsigned long long)met.late_running);
	CHECK(all_met(), "after %u rounds not everything has happened", round);
	CHECK_EQ(filch_cq_destroy(cq), 0);
}

/* --- a duplicate ------------------------------------------------------ */

/* What a faulty library might do: a completion is put a second time. */
static void a_completion_put_twice_is_found(void)
{
	enum { JOBS = 1000 };
	struct filch_completion c, again = { .id = 0 };
	struct ledger_verdict v;

	test_watchdog(60);
	pool = pool_open(2, 0);
	cq_open(64);
	ledger_open(&ended, JOBS);
	for (uintptr_t job = 0; job < JOBS; job++) {
		const struct filch_submit how = { .size = sizeof how, .cq = cq };

		CHECK(filch_submit(pool, nothing, (void *)job, &how) > 0, "job %zu", (size_t)job);
		CHECK_EQ(filch_cq_wait(cq, &c, 1, NULL), 1);
		ledger_enter(&ended, (uintptr_t)c.arg);
		if (job == 707)
			again = c;
	}
	v = ledger_judge(&ended);
	CHECK(!v.lost && !v.doubled && !v.count_differs && !v.xor_differs,
		"it is not clean before");
	uint32_t cell;
	CHECK_EQ(filchi_cq_take_credits(cq, &cell, 1), 1);
	cq->cell[cell].completion = again;
	filchi_cq_put(cq, cell);
	CHECK_EQ(filch_cq_wait(cq, &c, 1, NULL), 1);
	ledger_enter(&ended, (uintptr_t)c.arg);
	v = ledger_judge(&ended);
	CHECK(v.doubled == 1 && v.one_double == 707 && v.count_differs && v.xor_differs,
		"the duplicate is not found");
	ledger_free(&ended);
	CHECK_EQ(filch_pool_destroy(pool), 0);
	CHECK_EQ(filch_cq_destroy(cq), 0);
}

/* --- one in flight ---------------------------------------------------- */

/*
 * Ends when the reader is about to sleep, so that the completion meets it there; @arg: how many
 * turns later.
 */
static int at_the_brink(void *arg)
{
	while (!FILCHI_NOTIFY_SLEEPERS(filchi_load_acquire(&cq->notifier.state)))
		sched_yield();
	for (uintptr_t i = 0; i < (uintptr_t)arg; i++)
		filchi_pause();
	return 1;
}

static void one_in_flight(uint64_t rounds, bool by_descriptor)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = 1,
		.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_NO_SEARCH };
	struct filch_completion c[2];
	struct pollfd p = { .events = POLLIN };
	uint64_t rng = test_seed(), round, count = 0;

	pool = pool_open_with(&config);
	cq_open(1);
	if (by_descriptor)
		p.fd = filch_cq_fd(cq);
	/*
	 * A lost wake-up is a hang, which the watchdog ends. A round is some switches between two
	 * threads: where both have a hundredth of a processor, each takes a tenth of a second and
	 * more, and a thousand rounds took more than a minute.
	 */
	for (round = 0; round < rounds; round++) {
		const struct filch_submit how = { .size = sizeof how, .cq = cq };
		uintptr_t turns = test_random(&rng) % 64;
		int64_t id;

		if (round % 16 == 0)
			test_watchdog(60);
		id = filch_submit(pool, by_descriptor || round % 2 ? nothing : at_the_brink,
			(void *)turns, &how);
		CHECK(id > 0, "%lld", (long long)id);
		if (by_descriptor) {
			int got;

			do
				CHECK_EQ(poll(&p, 1, -1), 1);
			while (!(got = filch_cq_reap(cq, c, 2)));
			CHECK_EQ(got, 1);
			CHECK_EQ(filch_cq_reap(cq, c + 1, 1), 0);
		} else {
			CHECK_EQ(filch_cq_wait(cq, c, 2, NULL), 1);
		}
		CHECK_EQ(c[0].id, id);
		count = by_descriptor ? rings : tellings;
	}
	printf("    %llu rounds, %llu times the reader was told\n", (unsigned long long)round,
		(unsigned long long)count);
	CHECK(by_descriptor ? count > 0 : count >= rounds / 2, "the reader has hardly slept");
	CHECK_EQ(filch_pool_destroy(pool), 0);
	CHECK_EQ(filch_cq_destroy(cq), 0);
}

static void no_wake_up_is_lost_by_a_wait(void)
{
	one_in_flight(test_scaled(50000), false);
}

static void no_wake_up_is_lost_by_the_descriptor(void)
{
	one_in_flight(test_scaled(100000), true);
}

int main(void)
{
	test_watchdog(120);
	(void)test_seed();
	test_case("the ledger finds a duplicate and a loss", ledger_self_test);
	test_case("a completion that is put twice is found", a_completion_put_twice_is_found);
	test_case("every accepted job ends once, whatever happens at once", everything_at_once);
	test_case("no wake-up is lost by a wait", no_wake_up_is_lost_by_a_wait);
	test_case("no wake-up is lost by the descriptor", no_wake_up_is_lost_by_the_descriptor);
	return test_finish("completions");
}
