/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes: while both have jobs a worker takes seven urgent ones and then a normal one, exactly; so
 * nobody starves, whatever keeps coming.
 */
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
static int started_as[4096];
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
