/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes: while two have jobs a worker takes seven of the upper one and then one of the lower,
 * exactly, and so with all eight; nobody starves, whatever keeps coming. Looks in vain write
 * nothing.
 */
#include <core/types.h>

#include "jobs_support.h"

TestSuite(lanes, .timeout = 60);

#define BETWEEN 7

static const struct filch_submit normal = {
	.size = sizeof normal, .flags = FILCH_JOB_DETACHED, .lane = FILCH_LANE_NORMAL
};
static const struct filch_submit urgent = {
	.size = sizeof urgent, .flags = FILCH_JOB_DETACHED, .lane = FILCH_LANE_URGENT
};

/* --- the order of starts, by one worker ------------------------------- */

#define URGENT 1000 /* numbers of urgent jobs begin here */
static int started_as[8192];
static int starts;

static int note(void *number)
{
	started_as[starts++] = (int)(intptr_t)number;
	return 0;
}

static void queue(int first, int n, const struct filch_submit *how)
{
	for (int i = 0; i < n; i++)
		cr_assert(filch_submit(pool, note, (void *)(intptr_t)(first + i), how) > 0);
}

/*
 * @normals and @urgents are queued, half before the others and half behind them; then their starts
 *          are as they must be.
 */
static void interleave(int normals, int urgents, bool with_tombstones)
{
	struct hold h = HOLD_INIT;
	int n = 0, u = 0, between = 0;

	starts = 0;
	hold_worker(&h);
	queue(0, normals / 2, &normal);
	queue(URGENT, urgents / 2, &urgent);
	/* their numbers stay in the ring, and take nobody's turn */
	for (int i = 0; with_tombstones && i < 20; i++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;
		int64_t id;

		how.lane = i % 2 ? FILCH_LANE_URGENT : FILCH_LANE_NORMAL;
		id = filch_submit(pool, answer, NULL, &how);
		EQ(filch_cancel(pool, id), 0);
		EQ(wait_status(id), -ECANCELED);
	}
	queue(URGENT + urgents / 2, urgents - urgents / 2, &urgent);
	queue(normals / 2, normals - normals / 2, &normal);
	let_go(&h);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(starts, normals + urgents);
	for (int i = 0; i < starts; i++) {
		if (started_as[i] >= URGENT) {
			EQ(started_as[i], URGENT + u++);
			cr_assert(++between <= BETWEEN || n == normals,
				"start %d is the %dth urgent one in a row", i, between);
		} else {
			EQ(started_as[i], n++);
			/* the first may come sooner: the turns go on from where they were */
			cr_assert(between == BETWEEN || n == 1 || u == urgents,
				"normal job %d after %d urgent ones", n, between);
			between = 0;
		}
	}
	EQ(n, normals);
	EQ(u, urgents);
}

Test(lanes, one_worker_starts_seven_urgent_jobs_to_a_normal_one_exactly)
{
	begin(1, 4096, 0);
	interleave(20, 400, false);
	interleave(300, 30, false);
	for (int i = 0; i < 9; i++) /* from every turn */
		interleave(1 + i, 100, false);
	interleave(100, 900, false); /* beyond the looks at which a worker steals first */
	interleave(20, 400, true);
	end();
}

/* --- slots under tombstones ------------------------------------------- */

static void cancel_behind(const struct filch_submit *as, int n)
{
	struct filch_submit how = *as;

	how.flags = 0;
	for (int i = 0; i < n; i++) {
		int64_t id = filch_submit(pool, answer, NULL, &how);

		cr_assert(id > 0, "%d: %d", i, (int)id);
		EQ(filch_cancel(pool, id), 0);
		EQ(wait_status(id), -ECANCELED);
	}
}

/* Whatever lies in front of them in their lanes; and the jobs there start in their order. */
Test(lanes, all_slots_of_cancelled_jobs_are_used_again_while_every_worker_is_busy)
{
	enum { SLOTS = 512, FIRST = 40 };

	begin(1, SLOTS, SLOTS);
	for (int round = 0; round < 3; round++) {
		struct hold h = HOLD_INIT;
		int seen[2] = { 0, 0 };

		starts = 0;
		hold_worker(&h);
		queue(0, FIRST, &normal);
		queue(URGENT, FIRST, &urgent);
		cancel_behind(&urgent, 100);
		/* beyond the slots there are, so that some of these find none */
		cancel_behind(&normal, 2 * SLOTS);
		queue(FIRST, SLOTS - 2 * FIRST - 1, &normal);
		EQ(filch_submit(pool, note, NULL, &normal), -ENOBUFS);
		let_go(&h);
		EQ(filch_pool_drain(pool, NULL), 0);
		EQ(starts, SLOTS - 1);
		for (int i = 0; i < starts; i++)
			EQ(started_as[i] % URGENT, seen[started_as[i] / URGENT]++);
	}
	end();
}

/* --- all of them ------------------------------------------------------ */

/*
 * By one worker, from lots of every size: a job starts before one of a higher lane that has jobs
 * only if that lane has had its seven since a lower one had a turn; and none has more than seven
 * while a lower one has jobs.
 */
Test(lanes, of_eight_lanes_each_takes_turns_with_the_next_that_has_jobs)
{
	enum { EACH = 1000 }; /* numbers of a lane's jobs begin at multiples */
	uint64_t rng = test_seed();

	begin(1, 4096, 0);
	for (int round = 0; round < 200; round++) {
		struct hold h = HOLD_INIT;
		int left[FILCH_LANES], next[FILCH_LANES] = { 0 }, row[FILCH_LANES] = { 0 };
		int total = 0;

		starts = 0;
		hold_worker(&h);
		for (uint32_t lane = 0; lane < FILCH_LANES; lane++) {
			struct filch_submit how = normal;

			how.lane = lane;
			left[lane] = test_random(&rng) % 2 ? (int)(test_random(&rng) % 400) : 0;
			queue((int)lane * EACH, left[lane], &how);
			total += left[lane];
		}
		let_go(&h);
		EQ(filch_pool_drain(pool, NULL), 0);
		EQ(starts, total);
		for (int i = 0; i < starts; i++) {
			int lane = started_as[i] / EACH, lower = 0;

			EQ(started_as[i] % EACH, next[lane]++);
			left[lane]--;
			row[lane]++;
			for (int k = 0; k < lane; k++)
				lower += left[k];
			cr_assert(!lower || row[lane] <= BETWEEN,
				"start %d is the %dth of lane %d in a row", i, row[lane], lane);
			for (int k = lane + 1; k < (int)FILCH_LANES; k++) {
				/* the first time sooner: turns go on from where they were */
				cr_assert(!left[k] || row[k] == BETWEEN || next[lane] == 1,
					"start %d, of lane %d, after %d of lane %d", i, lane,
					row[k], k);
				row[k] = 0;
			}
		}
	}
	end();
}

static void *scope_of_lane_3(void *ran)
{
	struct filch_scope_config config = FILCH_SCOPE_INIT;

	config.lane = 3;
	EQ(filch_scope(pool, &config, answer, ran), 42);
	return NULL;
}

Test(lanes, a_scope_from_outside_and_a_batch_are_of_the_lane_that_was_said)
{
	struct hold h = HOLD_INIT;
	struct filch_lane_stats s = FILCH_LANE_STATS_INIT;
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_job_spec spec[5];
	pthread_t thread;
	int ran = 0;

	begin(1, 64, 0);
	hold_worker(&h);
	how.lane = 7;
	how.flags = FILCH_JOB_DETACHED;
	for (int i = 0; i < 5; i++)
		spec[i] = (struct filch_job_spec){ answer, &ran, NULL };
	EQ(filch_submit_batch(pool, spec, 5, &how, NULL), 5);
	EQ(pthread_create(&thread, NULL, scope_of_lane_3, &ran), 0);
	do
		EQ(filch_pool_lane_stats(pool, 3, &s), 0);
	while (!s.queued && sched_yield() == 0);
	EQ(s.accepted, 1);
	EQ(filch_pool_lane_stats(pool, 7, &s), 0);
	EQ(s.queued, 5);
	let_go(&h);
	EQ(pthread_join(thread, NULL), 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	EQ(ran, 6);
	for (uint32_t lane = 0; lane < FILCH_LANES; lane++) {
		EQ(filch_pool_lane_stats(pool, lane, &s), 0);
		EQ(s.completed, lane == 0 ? 1 : lane == 3 ? 1 : lane == 7 ? 5 : 0);
	}
	how.lane = FILCH_LANES;
	EQ(filch_submit(pool, answer, NULL, &how), -EINVAL);
	EQ(filch_submit_batch(pool, spec, 5, &how, NULL), -EINVAL);
	end();
}

/* --- a flood ---------------------------------------------------------- */

#define WORKERS 2
#define ALWAYS  8 /* normal jobs that submit themselves again: some are queued at any time */

static int in_a_row[WORKERS], longest[WORKERS];
static uint64_t full_rows, normals_run, urgents_run;
static int stop;

static int ever_again(void *arg)
{
	int w = filch_worker_id();

	if (in_a_row[w] == BETWEEN)
		__atomic_fetch_add(&full_rows, 1, __ATOMIC_RELAXED);
	in_a_row[w] = 0;
	__atomic_fetch_add(&normals_run, 1, __ATOMIC_RELAXED);
	if (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		cr_assert(filch_submit(pool, ever_again, arg, &normal) > 0);
	return 0;
}

static int one_of_the_flood(void *arg)
{
	int w = filch_worker_id();

	(void)arg;
	__atomic_fetch_add(&urgents_run, 1, __ATOMIC_RELAXED);
	if (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && ++in_a_row[w] > longest[w])
		longest[w] = in_a_row[w];
	return 0;
}

static void *flood(void *sent)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		cr_assert(filch_submit(pool, one_of_the_flood, NULL, &urgent) > 0);
		++*(uint64_t *)sent;
	}
	return NULL;
}

static void under_a_flood(uint32_t workers)
{
	pthread_t thread[3];
	uint64_t sent[3] = { 0, 0, 0 };

	begin(workers, 256, 0);
	stop = 0;
	full_rows = normals_run = urgents_run = 0;
	memset(in_a_row, 0, sizeof in_a_row);
	memset(longest, 0, sizeof longest);
	for (int i = 0; i < ALWAYS; i++)
		cr_assert(filch_submit(pool, ever_again, NULL, &normal) > 0);
	for (int i = 0; i < 3; i++)
		EQ(pthread_create(&thread[i], NULL, flood, &sent[i]), 0);
	while (__atomic_load_n(&full_rows, __ATOMIC_RELAXED) < test_scaled(2000))
		sched_yield();
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		EQ(pthread_join(thread[i], NULL), 0);
	EQ(filch_pool_drain(pool, NULL), 0);
	for (int i = 0; i < WORKERS; i++)
		cr_assert(longest[i] <= BETWEEN, "worker %d started %d urgent jobs in a row", i,
			longest[i]);
	EQ(urgents_run, sent[0] + sent[1] + sent[2]);
	end();
}

Test(lanes, a_flood_of_urgent_jobs_starves_no_normal_one_on_one_worker)
{
	under_a_flood(1);
}

Test(lanes, nor_on_two)
{
	under_a_flood(2);
}

/* --- looks in vain ---------------------------------------------------- */

/* Which many workers do at once, while one puts jobs there. */
Test(lanes, a_look_into_empty_lanes_writes_to_none)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	uint64_t head[FILCH_LANES];
	int64_t threshold[FILCH_LANES];
	uint32_t turn;

	config.workers = 1;
	config.search_ns = UINT32_MAX;
	EQ(filch_pool_create(&pool, &config), 0);
	for (uint32_t i = 0; i < FILCH_LANES; i++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;

		how.lane = i;
		EQ(wait_status(filch_submit(pool, answer, NULL, &how)), 42);
	}
	turn = *(volatile uint32_t *)&pool->first->turn;
	while (*(volatile uint32_t *)&pool->first->turn - turn < 2)
		sched_yield(); /* it looks, and no longer with that job */
	for (uint32_t i = 0; i < FILCH_LANES; i++) {
		head[i] = filchi_load_acquire(&pool->injector.lane[i].head);
		threshold[i] = filchi_load_acquire(&pool->injector.lane[i].threshold);
		cr_assert(threshold[i] > 0, "a take would go on");
	}
	turn = *(volatile uint32_t *)&pool->first->turn;
	while (*(volatile uint32_t *)&pool->first->turn - turn < 1000)
		sched_yield();
	for (uint32_t i = 0; i < FILCH_LANES; i++) {
		EQ(filchi_load_acquire(&pool->injector.lane[i].head), head[i]);
		EQ(filchi_load_acquire(&pool->injector.lane[i].threshold), threshold[i]);
	}
	end();
}
