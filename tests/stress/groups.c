/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groups: many groups at once over one pool, each with everything that a group may have. Groups
 * are filled and waited for by threads outside, by workers of the pool, and by workers of another
 * one. Their jobs are detached, called back, or waited for; some are submitted in batches, by other
 * jobs of the group, after others, or with a deferred end. Groups are bounded in what runs, in what
 * is unfinished, in both or not. Single jobs are cancelled, and whole groups. A group is destroyed
 * as soon as a wait for it has returned.
 *
 * Then: the creator of a pool as its one worker; jobs that wait for each other, with nobody but
 * workers that wait to run them; pools that are destroyed under their groups.
 *
 * Ledger: each job ends once: it has run, or was cancelled. Never do more jobs of a group run than
 * it allows. Counted: jobs held; submits that were blocked, by threads and by workers of the other
 * pool; refusals, time-outs, jobs run by their submitters and by workers that wait; sleeps,
 * cancellations.
 *
 * In CI (scale 1) 10^6 jobs in 10^3 groups; --long is scale 10.
 * timeout: 300
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <struct/groups.h>

#include "ledger.h"
#include "pools.h"

enum { GROUPS = 1000, OUTSIDE = 2, ABROAD = 2, BATCH = 8, EARLIER = 16 };
enum kind { DETACHED, CALLBACK, WAITED, KINDS };

static struct filch_pool *pool, *other;
static struct ledger ended;
static _Atomic uint64_t next_group, groups;
static uint64_t per_group;
static struct {
	_Atomic uint64_t held, blocked, abroad, refused, late, here, slept, cancelled;
} met;

struct live;

struct item {
	struct live *of;
	uint64_t number;
	_Atomic int ran;
	enum kind kind;
	bool spawns; /* submits the next one */
	bool defers;
	int64_t id;
	pthread_t submitter;
};

/* A group while it lives. */
struct live {
	struct filch_group *group;
	uint64_t number;
	uint32_t running_max, unfinished_max;
	_Atomic uint32_t running;
	bool cancels, plain; /* no deferred ends */
	struct item *item;
};

/* --- deferred ends: a thread that finishes ----------------------------- */

enum { PENDING = 4096 };
static pthread_mutex_t finish_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t finish_change = PTHREAD_COND_INITIALIZER;
static int64_t to_finish[PENDING];
static unsigned finish_count;
static bool finish_ends;

static void *finisher(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&finish_lock);
	for (;;) {
		int64_t id;

		while (!finish_count && !finish_ends)
			pthread_cond_wait(&finish_change, &finish_lock);
		if (!finish_count)
			break;
		id = to_finish[--finish_count];
		pthread_mutex_unlock(&finish_lock);
		CHECK_EQ(filch_job_finish(pool, id, 1), 0);
		pthread_mutex_lock(&finish_lock);
	}
	pthread_mutex_unlock(&finish_lock);
	return NULL;
}

static void defer(void)
{
	pthread_mutex_lock(&finish_lock);
	if (finish_count < PENDING) {
		to_finish[finish_count++] = filch_job_defer();
		pthread_cond_signal(&finish_change);
	}
	pthread_mutex_unlock(&finish_lock);
}

/* --- jobs -------------------------------------------------------------- */

static void add(struct live *g, uint64_t i, const int64_t *after, bool may_wait);

static void look_at(struct filch_group *group)
{
	uint64_t word = filchi_load_acquire(&group->word);

	met.blocked += (word & FILCHI_GROUP_BLOCKED) != 0;
	met.slept += (word & FILCHI_GROUP_WAITED) != 0;
	met.abroad += filchi_load_acquire(&group->abroad) != 0;
}

static int work(void *arg)
{
	struct item *item = arg;
	struct live *g = item->of;
	uint32_t beside = ++g->running;

	CHECK(!g->running_max || beside <= g->running_max, "%u run", beside);
	CHECK_EQ(item->ran++, 0);
	for (volatile uint64_t i = ledger_mix(item->number) % 128; i; i--)
		;
	if (item->number % 64 == 0)
		sched_yield();
	if (item->number % 16 == 0)
		look_at(g->group);
	if (pthread_equal(item->submitter, pthread_self()) && filch_worker_id() < 0)
		met.here++;
	if (item->spawns)
		add(g, item->number % per_group + 1, NULL, false);
	if (item->kind == DETACHED)
		ledger_enter(&ended, item->number);
	g->running--;
	if (item->defers)
		defer();
	return 1;
}

static void over(const struct filch_completion *c)
{
	struct item *item = c->arg;

	if (c->status == -ECANCELED)
		met.cancelled++;
	else
		CHECK_EQ(c->status, 1);
	CHECK_EQ(item->ran, c->status == 1);
	/* what it would have submitted has no other to submit it */
	if (item->spawns && !item->ran)
		add(item->of, item->number % per_group + 1, NULL, false);
	ledger_enter(&ended, item->number);
}

static struct filch_submit how_to(struct live *g, struct item *item)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.group = g->group;
	how.lane = item->number % 13 == 0;
	if (item->kind == DETACHED)
		how.flags = FILCH_JOB_DETACHED;
	else if (item->kind == CALLBACK)
		how.on_complete = over;
	return how;
}

static struct item *prepare(struct live *g, uint64_t i)
{
	struct item *item = &g->item[i];

	item->of = g;
	item->number = g->number * per_group + i;
	item->kind = (enum kind)(ledger_mix(item->number) % KINDS);
	if (g->cancels && item->kind == DETACHED)
		item->kind = CALLBACK; /* or nobody would hear of it */
	/* a job that is waited for is not known to be cancelled before it is too late to submit */
	item->spawns = i % 10 == 7 && i + 1 < per_group && item->kind != WAITED;
	item->defers = item->number % 11 == 3 && !g->plain;
	item->submitter = pthread_self();
	return item;
}

static void add(struct live *g, uint64_t i, const int64_t *after, bool may_wait)
{
	struct item *item = prepare(g, i);
	struct filch_submit how = how_to(g, item);
	struct timespec soon;

	how.after = after;
	how.after_count = after ? 1 : 0;
	how.flags |= FILCH_JOB_AFTER_ANY;
	for (uint64_t turn = item->number;; turn++) {
		how.when_full = may_wait ? (uint32_t)(turn % 4) : FILCH_BLOCK;
		soon = filch_after(20000);
		how.deadline = &soon;
		item->id = filch_submit(pool, work, item, &how);
		if (item->id > 0)
			break;
		if (item->id == -EAGAIN)
			met.refused++;
		else
			CHECK(item->id == -ETIMEDOUT, "%d", (int)item->id);
		met.late += item->id == -ETIMEDOUT;
	}
}

static void add_batch(struct live *g, uint64_t i, uint64_t n)
{
	struct filch_job_spec spec[BATCH];
	struct filch_submit how;

	for (uint64_t k = 0; k < n; k++) {
		struct item *item = prepare(g, i + k);

		item->kind = CALLBACK;
		item->spawns = false;
		spec[k] = (struct filch_job_spec){ .fn = work, .arg = item };
	}
	how = how_to(g, &g->item[i]);
	CHECK_EQ(filch_submit_batch(pool, spec, n, &how, NULL), (int64_t)n);
}

/* --- a group, from its begin to its end --------------------------------- */

static void fill(struct live *g)
{
	int64_t last = 0;

	for (uint64_t i = 0; i < per_group;) {
		uint64_t left = per_group - i, n = 1;

		if (i % 10 == 0 && left > BATCH && g->number % 3 == 0) {
			n = BATCH - 1;
			add_batch(g, i, n);
		} else {
			struct item *item = &g->item[i];

			add(g, i, last && i % 6 == 1 ? &last : NULL, true);
			n = item->spawns ? 2 : 1;
			if (item->kind == WAITED) {
				last = item->id;
				if (i % 17 == 0)
					(void)filch_cancel(pool, item->id);
			}
		}
		if (g->running_max &&
			filchi_group_unfinished(filchi_load_acquire(&g->group->word)) >
				filch_load_relaxed(&g->group->active) + 1)
			met.held++;
		i += n;
	}
}

static void reap(struct live *g)
{
	struct filch_completion c;

	for (uint64_t i = 0; i < per_group; i++) {
		if (g->item[i].kind != WAITED)
			continue;
		CHECK_EQ(filch_wait(pool, g->item[i].id, &(struct timespec){ 0, 1 }, &c), 0);
		over(&c);
	}
}

static void live(uint64_t number)
{
	static const uint32_t running[] = { 0, 1, 3 }, unfinished[] = { 0, 2, 9, 40 };
	struct filch_group_config config = FILCH_GROUP_INIT;
	struct live g = { .number = number, .cancels = number % 5 == 0 };

	g.running_max = config.running_max = running[number % 3];
	g.unfinished_max = config.unfinished_max = unfinished[number / 3 % 4];
	g.item = calloc(per_group, sizeof g.item[0]);
	CHECK(g.item, "%d", errno);
	CHECK_EQ(filch_group_create(&g.group, pool, &config), 0);
	fill(&g);
	if (g.cancels)
		CHECK_EQ(filch_group_cancel(g.group), 0);
	CHECK_EQ(filch_group_wait(g.group, NULL), 0);
	CHECK_EQ(filch_group_destroy(g.group), 0);
	reap(&g);
	free(g.item);
}

static int live_in_job(void *unused)
{
	uint64_t number;

	(void)unused;
	while ((number = next_group++) < groups)
		live(number);
	return 0;
}

static void *live_outside(void *unused)
{
	(void)live_in_job(unused);
	return NULL;
}

static bool covered(void)
{
	return met.held && met.blocked && met.abroad && met.refused && met.late && met.here &&
	       met.slept && met.cancelled;
}

static void begin(uint64_t n, uint64_t jobs)
{
	next_group = 0;
	groups = n;
	per_group = jobs;
	ledger_open(&ended, n * jobs);
	finish_ends = false;
}

static void end_finisher(pthread_t thread)
{
	pthread_mutex_lock(&finish_lock);
	finish_ends = true;
	pthread_cond_signal(&finish_change);
	pthread_mutex_unlock(&finish_lock);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void groups_over(uint32_t workers, uint64_t n, uint64_t jobs)
{
	pthread_t thread[OUTSIDE], finishes;
	int64_t id[ABROAD], inside;

	begin(n, jobs);
	pool = pool_open(workers, 0);
	other = pool_open(ABROAD, 0);
	CHECK_EQ(pthread_create(&finishes, NULL, finisher, NULL), 0);
	for (unsigned i = 0; i < OUTSIDE; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, live_outside, NULL), 0);
	for (unsigned i = 0; i < ABROAD; i++) {
		id[i] = filch_submit(other, live_in_job, NULL, NULL);
		CHECK(id[i] > 0, "%d", (int)id[i]);
	}
	inside = filch_submit(pool, live_in_job, NULL, NULL);
	CHECK(inside > 0, "%d", (int)inside);
	CHECK_EQ(filch_wait(pool, inside, NULL, NULL), 0);
	for (unsigned i = 0; i < OUTSIDE; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	for (unsigned i = 0; i < ABROAD; i++)
		CHECK_EQ(filch_wait(other, id[i], NULL, NULL), 0);
	end_finisher(finishes);
	pool_close(other);
	pool_close(pool);
	ledger_close(&ended);
}

static void all_jobs_of_all_groups_end_once(void)
{
	static const uint32_t workers[] = { 4, 1, 2, 32 };
	const uint64_t jobs = test_scaled(1000);

	for (unsigned round = 0; round < 4 || (!covered() && round < 100); round++) {
		test_watchdog(250);
		groups_over(workers[round % 4], GROUPS / 4, jobs > 20 ? jobs : 20);
	}
	printf("    held %llu, blocked %llu, abroad %llu, refused %llu, late %llu, here %llu, "
	       "slept %llu, cancelled %llu\n",
		(unsigned long long)met.held, (unsigned long long)met.blocked,
		(unsigned long long)met.abroad, (unsigned long long)met.refused,
		(unsigned long long)met.late, (unsigned long long)met.here,
		(unsigned long long)met.slept, (unsigned long long)met.cancelled);
	CHECK(covered(), "not all was met");
	POOLS_COVER(jobs_nested);
}

static void a_creator_alone_lives_them(void)
{
	pthread_t finishes;

	test_watchdog(100);
	begin(60, 30);
	pool = pool_open(1, FILCH_POOL_CALLER);
	CHECK_EQ(pthread_create(&finishes, NULL, finisher, NULL), 0);
	(void)live_in_job(NULL);
	end_finisher(finishes);
	pool_close(pool);
	ledger_close(&ended);
}

/* --- jobs that wait for each other, and only workers that wait ---------- */

enum { MEET = 4 };
static struct filch_group *meeting;
static _Atomic uint64_t begun, goes, came;

/* Ends when all of its round have begun. */
static int meet(void *unused)
{
	uint64_t all = (came++ / MEET + 1) * MEET;

	(void)unused;
	while (came < all)
		sched_yield();
	return 0;
}

/* All workers are in here when the jobs come. */
static int wait_for_meeting(void *unused)
{
	uint64_t mine = begun++ / MEET;

	(void)unused;
	while (goes <= mine)
		sched_yield();
	CHECK_EQ(filch_group_wait(meeting, NULL), 0);
	return 0;
}

static void workers_that_wait_run_a_job_each(void)
{
	const uint64_t rounds = test_scaled(2000);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id[MEET];

	pool = pool_open(MEET, 0);
	CHECK_EQ(filch_group_create(&meeting, pool, NULL), 0);
	how.flags = FILCH_JOB_DETACHED;
	how.group = meeting;
	for (uint64_t round = 0; round < rounds || round < 100; round++) {
		test_watchdog(60);
		for (unsigned i = 0; i < MEET; i++)
			id[i] = filch_submit(pool, wait_for_meeting, NULL, NULL);
		while (begun < (round + 1) * MEET)
			sched_yield();
		for (unsigned i = 0; i < MEET; i++)
			CHECK(filch_submit(pool, meet, NULL, &how) > 0, "submit");
		goes++;
		for (unsigned i = 0; i < MEET; i++)
			CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
	}
	CHECK_EQ(filch_group_destroy(meeting), 0);
	pool_close(pool);
}

/* --- pools that are destroyed under their groups ----------------------- */

static void pools_end_with_groups_in_them(void)
{
	const uint64_t rounds = test_scaled(100);

	for (uint64_t round = 0; round < rounds || round < 10; round++) {
		static const uint32_t running[] = { 0, 1, 3 };
		struct filch_group_config config = FILCH_GROUP_INIT;
		struct live g = { .cancels = true, .plain = true };

		test_watchdog(100);
		begin(1, 40);
		pool = pool_open(1 + (uint32_t)round % 3, 0);
		g.running_max = config.running_max = running[round % 3];
		g.item = calloc(per_group, sizeof g.item[0]);
		CHECK(g.item, "%d", errno);
		CHECK_EQ(filch_group_create(&g.group, pool, &config), 0);
		for (uint64_t i = 0; i < per_group; i += BATCH)
			add_batch(&g, i, BATCH);
		if (round % 4 == 3)
			CHECK_EQ(filch_pool_shutdown(pool, FILCH_DRAIN, NULL), 0);
		CHECK_EQ(filch_pool_destroy(pool), 0);
		CHECK_EQ(filch_group_wait(g.group, NULL), 0);
		CHECK_EQ(filch_group_destroy(g.group), 0);
		free(g.item);
		ledger_close(&ended);
	}
}

int main(void)
{
	pools_begin();
	test_case("a ledger finds what is lost and doubled", ledger_self_test);
	test_case("all jobs of all groups end once", all_jobs_of_all_groups_end_once);
	test_case("a creator alone lives them", a_creator_alone_lives_them);
	test_case("workers that wait run a job each", workers_that_wait_run_a_job_each);
	test_case("pools end with groups in them", pools_end_with_groups_in_them);
	pools_print();
	return test_finish("groups");
}
