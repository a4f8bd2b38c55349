/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sequences: calls in an order drawn by lot. Three threads call whatever the interface offers on
 * one pool that one of them shuts down along the way: submits under every policy, of jobs that run
 * trees and loops, wait for jobs of their own, and run jobs of a second pool in their caller's
 * place; waits, with and without a deadline, for ids of one's own and of others; cancels; runs;
 * drains; resizes, and pauses that end; bad arguments. Whatever the order: what was accepted
 * completes once, what was refused has not run, and every other result is one the contract names.
 *
 * Each round has its seed, which it prints when it fails a check; FILCH_TEST_SEED of that value
 * begins with the same lots (not with the same schedule). tests/windows runs the same on a library
 * that yields at random in every race window.
 *
 * In CI (scale 1) 20 + 60 seeds; the campaign is FILCH_TEST_SCALE=10.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "pools.h"
#if defined(FILCH_TEST_WINDOWS)
#include "race_windows.h"
#endif

#define THREADS 3u
#define STEPS   400u
#define SHOWN   16u

enum kind { PLAIN, TREE, LOOP, WAITS, PATIENT, ASIDE, KINDS };

/* One job: what it is, and what has become of it. */
struct record {
	enum kind kind;
	bool called_back;
	_Atomic uint32_t accepted, refused, started, completed, cancelled;
	struct record *kid; /* WAITS, ASIDE: the record of the job it submits */
};

static struct filch_pool *pool, *aside;
static struct record record[THREADS][STEPS], kid[THREADS][STEPS];
static _Atomic int64_t shown[SHOWN]; /* ids that any thread may wait for or cancel */
static uint64_t round_seed;

/* What a run must have met. */
/* clang-format off */
#define MET(X)                                                                                 \
	X(accepted)                                                                            \
	X(full)                                                                                \
	X(late_for_room)                                                                       \
	X(no_slot) X(closed) X(cancelled) X(already) X(unknown) X(late_wait) X(strangers_reap) \
		X(ran_by_caller) X(nested) X(expired) X(runs) X(drains) X(refused_nonsense)    \
			X(loop_cut) X(resizes) X(pauses)
/* clang-format on */
enum met {
#define MET_ENUM(name) met_##name,
	MET(MET_ENUM)
#undef MET_ENUM
		METS
};
static _Atomic uint64_t met[METS];

#define RESULT_IS(condition, value) \
	CHECK(condition, "%lld, seed %llu", (long long)(value), (unsigned long long)round_seed)

/* --- jobs ------------------------------------------------------------- */

FILCH_TASK(unsigned, tree, (unsigned, depth))
{
	if (!depth)
		return 1;
	FILCH_SPAWN(a, tree, depth - 1);
	FILCH_SPAWN(b, tree, depth - 1);
	unsigned n = FILCH_CALL(tree, depth / 2);
	n += FILCH_SYNC(b);
	return n + FILCH_SYNC(a);
}

static unsigned tree_size(unsigned depth)
{
	return depth ? 2 * tree_size(depth - 1) + tree_size(depth / 2) : 1;
}

static void count_range(size_t b, size_t e, void *arg)
{
	*(_Atomic size_t *)arg += e - b;
}

static void told(const struct filch_completion *c)
{
	struct record *r = c->user;

	RESULT_IS(c->status == 0 || c->status == -ECANCELED || c->status == -ETIMEDOUT, c->status);
	RESULT_IS(r->completed++ == 0, c->id);
	if (c->status) {
		r->cancelled++;
		met[c->status == -ECANCELED ? met_cancelled : met_expired]++;
	}
}

static void look_for_a_victim(uint64_t dice);

static void on_complete(const struct filch_completion *c)
{
	told(c);
	if (c->id % 8 == 0)
		/* a callback may cancel, and so meet another callback */
		look_for_a_victim((uint64_t)c->id);
}

static int run_record(void *arg);

/* Submits @r to @to from inside a job, waits for it, first with a deadline if it is its turn. */
static void submit_and_wait(struct filch_pool *to, struct record *r)
{
	struct filch_submit how = { .size = sizeof how,
		.when_full = to == pool ? FILCH_TRY : FILCH_CALLER_RUNS,
		.user = r };
	struct filch_completion c;
	int64_t id = filch_submit(to, run_record, r, &how);
	int error;

	if (id < 0) {
		RESULT_IS(id == -ENOBUFS || id == -ESHUTDOWN ||
				  (id == -EAGAIN && filch_pool_current() != to),
			id);
		r->refused = 1;
		return;
	}
	r->accepted = 1;
	if (id % 4 == 0) {
		struct timespec soon = filch_after(20000);

		error = filch_wait(to, id, &soon, &c);
		if (error == 0) {
			told(&c);
			return;
		}
		RESULT_IS(error == -ETIMEDOUT, error);
	}
	error = filch_wait(to, id, NULL, &c);
	RESULT_IS(error == 0, error);
	RESULT_IS(c.id == id, c.id);
	told(&c);
	met[met_nested]++;
}

static int run_record(void *arg)
{
	struct record *r = arg;
	_Atomic size_t indices = 0;
	int64_t id = filch_job_id();
	unsigned leaves = 0;

	RESULT_IS(r->started++ == 0, id);
	RESULT_IS(id > 0, id);
	if (filch_worker_id() < 0)
		met[met_ran_by_caller]++;
	switch (r->kind) {
	case TREE:
		if (filch_pool_current()) { /* else it runs on a thread that is no worker */
			RESULT_IS(FILCH_RUN(NULL, &leaves, tree, 6) == 0, 0);
			RESULT_IS(leaves == tree_size(6), leaves);
		}
		break;
	case LOOP:
		if (filch_pool_current()) {
			int error = filch_for(
				NULL, 5, 505, (size_t)(id % 3) * 7, count_range, &indices);

			RESULT_IS(error == 0 || (error == -ECANCELED && filch_job_cancelled()),
				error);
			RESULT_IS(error ? indices < 500 : indices == 500, indices);
			met[met_loop_cut] += error != 0;
		}
		break;
	case WAITS:
		submit_and_wait(pool, r->kid);
		break;
	case ASIDE:
		submit_and_wait(aside, r->kid);
		break;
	case PATIENT:
		for (unsigned i = 0; i < 20 && !filch_job_cancelled(); i++)
			sched_yield();
		break;
	default:
		break;
	}
	RESULT_IS(filch_job_id() == id, filch_job_id());
	return 0;
}

/* --- what the threads do ---------------------------------------------- */

static void cancel(int64_t id)
{
	int error = filch_cancel(pool, id);

	RESULT_IS(error == 0 || error == -EALREADY || error == -ESRCH, error);
	if (error == -EALREADY)
		met[met_already]++;
	if (error == -ESRCH)
		met[met_unknown]++;
}

static void look_for_a_victim(uint64_t dice)
{
	int64_t id = shown[dice / 8 % SHOWN];

	if (id)
		cancel(id);
}

/*
 * Waits for @id, whoever's it is; its owner comes back until it is reaped. True: it is, by us or by
 * another.
 */
static bool wait_for(int64_t id, bool mine, bool patiently)
{
	struct timespec soon = filch_after(30000);
	struct filch_completion c;
	int error = filch_wait(pool, id, patiently ? NULL : &soon, &c);

	/* -EINVAL: it has a callback */
	RESULT_IS(error == 0 || error == -ESRCH || (error == -ETIMEDOUT && !patiently) ||
			  (error == -EINVAL && !mine),
		error);
	if (error == 0) {
		RESULT_IS(c.id == id, c.id);
		told(&c);
		if (!mine)
			met[met_strangers_reap]++;
	}
	if (error == -ETIMEDOUT)
		met[met_late_wait]++;
	return error != -ETIMEDOUT;
}

static void not_accepted(struct record *r, int64_t error, uint32_t policy)
{
	r->refused = 1;
	switch (error) {
	case -EAGAIN:
		RESULT_IS(policy == FILCH_TRY, policy);
		met[met_full]++;
		break;
	case -ETIMEDOUT:
		RESULT_IS(policy == FILCH_UNTIL, policy);
		met[met_late_for_room]++;
		break;
	case -ENOBUFS:
		met[met_no_slot]++;
		break;
	default:
		RESULT_IS(error == -ESHUTDOWN, error);
		met[met_closed]++;
	}
}

/* The ids of one thread that wait to be waited for. */
struct window {
	int64_t id[8];
	unsigned n;
};

static void reap_one(struct window *w)
{
	if (w->n && wait_for(w->id[w->n - 1], true, true))
		w->n--;
}

static struct record *next_record(unsigned me, unsigned step, uint64_t dice)
{
	struct record *r = &record[me][step];

	r->kind = dice % KINDS;
	r->kid = &kid[me][step];
	r->kid->kind = dice / KINDS % 2 ? PLAIN : TREE;
	return r;
}

static void submit(unsigned me, unsigned step, uint64_t dice, struct window *w)
{
	struct record *r = next_record(me, step, dice >> 32);
	struct filch_submit how = { .size = sizeof how,
		.when_full = dice % 4,
		.lane = dice / 4 % 2 * (dice >> 40) % FILCH_LANES,
		.user = r };
	struct timespec soon = filch_after(dice / 8 % 64 * 1000),
			start = filch_after(dice / 512 % 64 * 1000);
	int64_t id;

	how.deadline = &soon;
	if (dice / 32768 % 8 == 0)
		how.start_by = &start;
	r->called_back = dice / 262144 % 3 == 0;
	if (r->called_back)
		how.on_complete = on_complete;
	if (w->n == 8 && !r->called_back)
		reap_one(w);
	id = filch_submit(pool, run_record, r, &how);
	if (id < 0) {
		not_accepted(r, id, how.when_full);
		if (id == -ENOBUFS)
			reap_one(w);
		return;
	}
	r->accepted = 1;
	met[met_accepted]++;
	shown[dice % SHOWN] = id;
	if (!r->called_back)
		w->id[w->n++] = id;
}

/* As many as there is room for; their completions are told by callbacks. */
static unsigned submit_batch(unsigned me, unsigned step, uint64_t dice)
{
	struct filch_submit how = { .size = sizeof how,
		.when_full = dice % 2 ? FILCH_TRY : FILCH_BLOCK,
		.on_complete = on_complete };
	struct filch_job_spec spec[6];
	int64_t ids[6], got;
	unsigned n = 1 + (unsigned)(dice / 2 % 6);

	n = n < STEPS - step ? n : STEPS - step;
	for (unsigned i = 0; i < n; i++) {
		struct record *r = next_record(me, step + i, dice >> (16 + 4 * i));

		r->called_back = true;
		spec[i] = (struct filch_job_spec){ .fn = run_record, .arg = r, .user = r };
	}
	got = filch_submit_batch(pool, spec, n, &how, ids);
	RESULT_IS(got <= (int64_t)n && got != 0, got);
	for (unsigned i = 0; i < n; i++) {
		if ((int64_t)i < got)
			record[me][step + i].accepted = 1;
		else
			record[me][step + i].refused = 1;
	}
	if (got < 0)
		not_accepted(&record[me][step], got, how.when_full);
	return n;
}

static void run(void)
{
	unsigned leaves = 0;
	int error = FILCH_RUN(pool, &leaves, tree, 4);

	RESULT_IS(error == 0 || error == -ENOBUFS || error == -ESHUTDOWN || error == -ECANCELED,
		error);
	RESULT_IS(leaves == (error ? 0 : tree_size(4)), leaves);
	met[met_runs] += !error;
}

static void drain(uint64_t dice)
{
	struct timespec soon = filch_after(dice % 100000);
	int error = filch_pool_drain(pool, &soon);

	RESULT_IS(error == 0 || error == -ETIMEDOUT, error);
	met[met_drains] += !error;
}

static void talk_nonsense(uint64_t dice)
{
	struct filch_submit how = { .size = sizeof how, .when_full = 77 };
	struct timespec never = { .tv_nsec = 1000000000 };
	struct filch_completion c;

	RESULT_IS(filch_submit(pool, run_record, NULL, &how) == -EINVAL, 0);
	RESULT_IS(filch_submit(pool, NULL, NULL, NULL) == -EINVAL, 0);
	RESULT_IS(filch_wait(pool, (int64_t)(dice & 0xffffff), NULL, &c) == -ESRCH, 0);
	RESULT_IS(filch_cancel(pool, -(int64_t)(dice >> 1)) == -ESRCH, 0);
	RESULT_IS(filch_pool_drain(pool, &never) == -EINVAL, 0);
	RESULT_IS(filch_pool_shutdown(pool, 9, NULL) == -EINVAL, 0);
	RESULT_IS(filch_job_id() == 0 && !filch_job_cancelled() && filch_worker_id() == -1 &&
			  !filch_pool_current(),
		0);
	met[met_refused_nonsense]++;
}

/* Fewer workers or more; now and then none, for a moment. */
static void resize(uint64_t dice)
{
	uint32_t most = (uint32_t)filch_pool_workers_max(pool);

	if (dice % 4 == 0) {
		RESULT_IS(filch_pool_pause(pool) == 0, 0);
		sched_yield();
		RESULT_IS(filch_pool_resume(pool) == 0, 0);
		met[met_pauses]++;
	} else {
		RESULT_IS(filch_pool_resize(pool, 1 + (uint32_t)(dice / 4 % most)) == 0, most);
		met[met_resizes]++;
	}
}

/* The pool's end, by one of the three: the others find out by what they are told. */
static void end_it(uint64_t dice)
{
	int mode = dice % 2 ? FILCH_DRAIN : FILCH_ABANDON;
	struct timespec soon = filch_after(dice / 4 % 50000);
	int error = filch_pool_shutdown(pool, mode, dice / 2 % 2 ? &soon : NULL);

	RESULT_IS(error == 0 || error == -ETIMEDOUT, error);
	RESULT_IS(filch_submit(pool, run_record, NULL, NULL) == -ESHUTDOWN, 0);
}

static void *call_at_random(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t rng = round_seed + me, end = STEPS / 2 + test_random(&rng) % STEPS;
	struct window w = { .n = 0 };

	for (unsigned step = 0; step < STEPS;) {
		uint64_t dice = test_random(&rng), more = test_random(&rng);

		if (step >= end) {
			end_it(more);
			end = STEPS;
		}
		switch (dice % 16) {
		case 0:
			look_for_a_victim(more);
			break;
		case 1:
			if (shown[more % SHOWN])
				(void)wait_for(shown[more % SHOWN], false, false);
			break;
		case 2:
			if (w.n && wait_for(w.id[w.n - 1], true, false))
				w.n--;
			break;
		case 3:
			if (w.n)
				cancel(w.id[more % w.n]);
			break;
		case 4:
			run();
			break;
		case 5:
			if (more % 8 == 0)
				drain(more);
			break;
		case 6:
			if (more % 8 == 0)
				talk_nonsense(more);
			else if (more % 8 < 4)
				resize(more / 8);
			break;
		case 7:
			step += submit_batch(me, step, more);
			continue;
		default:
			submit(me, step, more, &w);
			step++;
		}
	}
	while (w.n)
		reap_one(&w);
	return NULL;
}

/* --- rounds ----------------------------------------------------------- */

static void judge(const struct record *r)
{
	RESULT_IS(r->accepted + r->refused <= 1, r->accepted + r->refused);
	/* once if it was accepted, else never */
	RESULT_IS(r->completed == r->accepted, r->completed);
	RESULT_IS(r->started + r->cancelled == r->accepted, r->started);
}

static void one_round(uint64_t number)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = (uint32_t)(1 + number % 4),
		.queue_capacity = 4,
		.jobs_max = number % 3 ? 64 : 16,
		.deque_capacity = number % 2 ? 2 : 0,
		.flags = FILCH_POOL_OVERSUBSCRIBE | (number % 5 < 2 ? FILCH_POOL_NO_SEARCH : 0) };
	const struct filch_config narrow = { .size = sizeof narrow,
		.workers = 1,
		.queue_capacity = 1,
		.jobs_max = 64,
		.flags = FILCH_POOL_OVERSUBSCRIBE };
	pthread_t thread[THREADS];

	test_watchdog(60);
	memset((void *)record, 0, sizeof record);
	memset((void *)kid, 0, sizeof kid);
	memset((void *)shown, 0, sizeof shown);
	pool = pool_open_with(&config);
	aside = pool_open_with(&narrow);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, call_at_random, (void *)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
	pool_close(pool);
	pool_close(aside);
	for (unsigned i = 0; i < THREADS; i++) {
		for (unsigned k = 0; k < STEPS; k++) {
			judge(&record[i][k]);
			judge(&kid[i][k]);
		}
	}
}

static bool all_met(void)
{
	for (unsigned i = 0; i < METS; i++)
		if (!met[i])
			return false;
#if defined(FILCH_TEST_WINDOWS)
	return paused_all_met();
#else
	return pools_sum.steals && pools_sum.jobs_nested;
#endif
}

static void calls_in_any_order_keep_the_contract(void)
{
#if defined(FILCH_TEST_WINDOWS)
	const uint64_t n = 20;
#else
	const uint64_t n = 20 + test_scaled(60);
#endif
	uint64_t rng = test_seed(), number = 0;

	pools_begin();
	do {
		round_seed = number ? test_random(&rng) : rng;
#if defined(FILCH_TEST_WINDOWS)
		printf("    seed %llu\n", (unsigned long long)round_seed);
		paused_begin(round_seed);
#endif
		one_round(number);
	} while (++number < n || (!all_met() && number < 3000));
	printf("    %llu seeds\n", (unsigned long long)number);
#define MET_PRINT(name) printf("    " #name " %llu\n", (unsigned long long)met[met_##name]);
	MET(MET_PRINT)
#undef MET_PRINT
	pools_print();
#if defined(FILCH_TEST_WINDOWS)
	paused_print();
#endif
	CHECK(all_met(), "not all has been met that the case is about");
}

int main(void)
{
	test_watchdog(60);
	(void)test_seed();
	test_case("calls in any order keep the contract", calls_in_any_order_keep_the_contract);
	return test_finish("sequences");
}
