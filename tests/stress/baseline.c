/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmarks' baseline: one queue, one mutex. A comparison with something wrong would be worth
 * nothing, so: every task and job runs exactly once, every accepted job has one completion, a full
 * queue pushes back, no wake-up is lost, and a deep tree nests within the stack. timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/baseline/baseline.c"
#include "../../bench/baseline/jobs.c"
#include "test.h"

/*
 * The ledger: a byte per task or job, counted up when it runs. Each is written by the one that runs
 * it, read after the join.
 */
static unsigned char *ledger;
static size_t ledger_n;

static void ledger_open(size_t n)
{
	ledger = calloc(n, 1);
	ledger_n = n;
	CHECK(ledger != NULL, "%zu bytes", n);
}

/* How many entries differ from one. */
static size_t ledger_faults(void)
{
	size_t faults = 0;

	for (size_t i = 0; i < ledger_n; i++)
		faults += ledger[i] != 1;
	return faults;
}

static void ledger_close(void)
{
	CHECK_EQ(ledger_faults(), 0);
	free(ledger);
}

/* With @looks -1 every wait ends in a sleep, so that every wake-up is needed. */
static struct base_pool *make_pool_that_looks(
	int workers, uint32_t capacity, uint32_t jobs_max, int looks)
{
	const struct base_config config = {
		.workers = workers, .queue_capacity = capacity, .jobs_max = jobs_max, .looks = looks
	};
	struct base_pool *pool = NULL;

	CHECK_EQ(base_pool_create(&pool, &config), 0);
	return pool;
}

static struct base_pool *make_pool(int workers, uint32_t capacity, uint32_t jobs_max)
{
	return make_pool_that_looks(workers, capacity, jobs_max, 0);
}

static void the_ledger_finds_a_duplicate_and_a_loss(void)
{
	ledger_open(100);
	memset(ledger, 1, 100);
	CHECK_EQ(ledger_faults(), 0);
	ledger[7]++;
	CHECK_EQ(ledger_faults(), 1);
	ledger[93]--;
	CHECK_EQ(ledger_faults(), 2);
	free(ledger);
}

/*
 * A task that runs the ledger's entries [begin, end): an entry of its own, and its halves below it.
 */
struct range {
	struct base_task task;
	size_t begin, end;
};

static void run_range(struct base_worker *w, struct base_task *task)
{
	struct range *r = (struct range *)(void *)task, left, right;
	size_t middle;

	ledger[r->begin]++;
	if (r->end - r->begin == 1)
		return;
	middle = r->begin + 1 + (r->end - r->begin - 1) / 2;
	left.begin = r->begin + 1;
	left.end = middle;
	right.begin = middle;
	right.end = r->end;
	base_spawn(w, &right.task, run_range);
	if (left.end > left.begin) {
		base_spawn(w, &left.task, run_range);
		base_join(w, &left.task);
	}
	base_join(w, &right.task);
}

static void run_tree(int workers, int looks)
{
	struct base_pool *pool = make_pool_that_looks(workers, 0, 0, looks);
	struct base_counts counts;

	/*
	 * two cores may be one for a while: goes on until a task has run away from its spawner, and
	 * gives up in the end
	 */
	for (int round = 0; round < 500; round++) {
		ledger_open((size_t)test_scaled(1000000));
		struct range all = { .begin = 0, .end = ledger_n };

		CHECK_EQ(base_run(pool, &all.task, run_range), 0);
		ledger_close();
		base_pool_counts(pool, &counts);
		if (workers == 1 || counts.passed + counts.helped)
			break;
	}
	printf("  %d workers: taken back %llu, helped %llu, passed %llu, sleeps %llu, wakes %llu\n",
		workers, (unsigned long long)counts.taken_back, (unsigned long long)counts.helped,
		(unsigned long long)counts.passed, (unsigned long long)counts.sleeps,
		(unsigned long long)counts.wakes);
	CHECK(counts.taken_back > 0, "no join found its task queued");
	if (workers > 1)
		CHECK(counts.passed + counts.helped > 0, "no task ran away from its spawner");
	base_pool_destroy(pool);
}

static void every_task_runs_exactly_once_on_1_2_and_8_workers(void)
{
	run_tree(1, 0);
	run_tree(2, 0);
	run_tree(8, 0);
	run_tree(2, -1);
	run_tree(8, -1);
}

/* A chain: each task spawns one and joins it, now and then after giving others time to take it. */
struct chain {
	struct base_task task;
	long depth;
};

static void run_chain(struct base_worker *w, struct base_task *task)
{
	struct chain *c = (struct chain *)(void *)task, kid;

	if (!c->depth)
		return;
	kid.depth = c->depth - 1;
	base_spawn(w, &kid.task, run_chain);
	if (c->depth % 64 == 0)
		sched_yield();
	base_join(w, &kid.task);
	c->depth = kid.depth + 1;
}

#define CHAINS 64

struct chains {
	struct base_task task;
	struct chain kid[CHAINS];
	long depth;
};

static void run_chains(struct base_worker *w, struct base_task *task)
{
	struct chains *c = (struct chains *)(void *)task;

	for (int i = 0; i < CHAINS; i++) {
		c->kid[i].depth = c->depth;
		base_spawn(w, &c->kid[i].task, run_chain);
	}
	for (int i = CHAINS; i-- > 0;)
		base_join(w, &c->kid[i].task);
}

/*
 * Deeper than any program of the benchmarks (3,388), many at once, so that a joiner finds other
 * deep chains to help with.
 */
static void deep_chains_nest_within_the_stack(void)
{
	struct base_pool *pool = make_pool(4, 0, 0);
	struct base_counts counts;

	for (uint64_t round = 0; round < test_scaled(50); round++) {
		struct chains all = { .depth = 5000 };

		CHECK_EQ(base_run(pool, &all.task, run_chains), 0);
		for (int i = 0; i < CHAINS; i++)
			CHECK_EQ(all.kid[i].depth, 5000);
	}
	base_pool_counts(pool, &counts);
	printf("  helped %llu\n", (unsigned long long)counts.helped);
	CHECK(counts.helped > 0, "no joiner helped");
	base_pool_destroy(pool);
}

/*
 * Helping upon helping: all workers but one are held by tasks that wait at a gate. The one left
 * climbs: each stair takes a large frame, spawns the next stair, and joins a held task, so it can
 * only help, with the next stair, on top of itself. All stairs together need twice the stack. The
 * gate opens when the climber has given up and sleeps.
 */
#define STAIRS      60
#define STAIR_BYTES ((size_t)256 << 10)

struct climb {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	int held, highest;
	bool go, open;
};

struct stair {
	struct base_task task;
	struct climb *climb;
	struct stair *held; /* the gate's tasks, one for each stair */
	int height;
};

static void hold(struct base_worker *w, struct base_task *task)
{
	struct climb *c = ((struct stair *)(void *)task)->climb;

	(void)w;
	pthread_mutex_lock(&c->lock);
	c->held++;
	pthread_cond_broadcast(&c->moved);
	while (!c->open)
		pthread_cond_wait(&c->moved, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static void run_stair(struct base_worker *w, struct base_task *task)
{
	struct stair *s = (struct stair *)(void *)task;
	struct stair next = { .climb = s->climb, .held = s->held, .height = s->height + 1 };
	volatile char frame[STAIR_BYTES];
	bool open;

	/*
	 * The address escapes: clang else splits the array into the bytes that are touched, and no
	 * stair has a height.
	 */
	__asm__ volatile("" : : "r"(frame) : "memory");
	for (size_t i = 0; i < STAIR_BYTES; i += 4096)
		frame[i] = 1;
	pthread_mutex_lock(&s->climb->lock);
	if (s->climb->highest < s->height)
		s->climb->highest = s->height;
	open = s->climb->open || next.height == STAIRS;
	pthread_mutex_unlock(&s->climb->lock);
	if (!open)
		base_spawn(w, &next.task, run_stair);
	base_join(w, &s->held[s->height].task);
	if (!open)
		base_join(w, &next.task);
	CHECK(frame[0] == 1, "%d", frame[0]);
}

static void run_climb(struct base_worker *w, struct base_task *task)
{
	struct stair *first = (struct stair *)(void *)task;
	struct climb *c = first->climb;

	for (int i = 0; i < STAIRS; i++) {
		first->held[i].climb = c;
		base_spawn(w, &first->held[i].task, hold);
	}
	pthread_mutex_lock(&c->lock);
	while (!c->go)
		pthread_cond_wait(&c->moved, &c->lock);
	pthread_mutex_unlock(&c->lock);
	run_stair(w, task);
	for (int i = first->climb->highest + 1; i < STAIRS; i++)
		base_join(w, &first->held[i].task);
}

struct climber {
	struct base_pool *pool;
	struct stair *first;
};

static void *start_climb(void *arg)
{
	struct climber *climber = arg;

	CHECK_EQ(base_run(climber->pool, &climber->first->task, run_climb), 0);
	return NULL;
}

/* How high one climb went. */
static int climb_once(void)
{
	struct climb c = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };
	struct stair held[STAIRS], first = { .climb = &c, .held = held };
	struct base_pool *pool = make_pool(STAIRS + 1, 0, 0);
	struct climber climber = { .pool = pool, .first = &first };
	struct base_counts counts;
	uint64_t before;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, start_climb, &climber), 0);
	pthread_mutex_lock(&c.lock);
	while (c.held < STAIRS)
		pthread_cond_wait(&c.moved, &c.lock);
	base_pool_counts(pool, &counts);
	/* every worker is inside a function of ours: the next sleep is the climber's */
	before = counts.sleeps;
	c.go = true;
	pthread_cond_broadcast(&c.moved);
	pthread_mutex_unlock(&c.lock);
	while (counts.sleeps == before) {
		sched_yield();
		base_pool_counts(pool, &counts);
	}
	pthread_mutex_lock(&c.lock);
	c.open = true;
	pthread_cond_broadcast(&c.moved);
	pthread_mutex_unlock(&c.lock);
	pthread_join(thread, NULL);
	printf("  climbed %d of %d stairs of %zu KiB\n", c.highest + 1, STAIRS, STAIR_BYTES >> 10);
	base_pool_destroy(pool);
	return c.highest;
}

/*
 * A worker that was late to its place may be counted as the sleeper: then the climb ends too early
 * and is repeated.
 */
static void a_joiner_stops_helping_when_half_of_its_stack_is_in_use(void)
{
	int highest = climb_once();

	for (int again = 0; again < 20 && highest < 4; again++)
		highest = climb_once();
	CHECK(highest >= 4 && highest < STAIRS / 2, "%d", highest);
}

#define MEETING 4

struct meeting {
	struct base_task task;
	pthread_barrier_t *all;
};

static void meet(struct base_worker *w, struct base_task *task)
{
	(void)w;
	pthread_barrier_wait(((struct meeting *)(void *)task)->all);
}

static void call_meeting(struct base_worker *w, struct base_task *task)
{
	struct meeting *m = (struct meeting *)(void *)task, kid[MEETING - 1];

	for (int i = 0; i < MEETING - 1; i++) {
		kid[i].all = m->all;
		base_spawn(w, &kid[i].task, meet);
	}
	pthread_barrier_wait(m->all);
	for (int i = MEETING - 1; i-- > 0;)
		base_join(w, &kid[i].task);
}

/*
 * Work conservation: each task needs a worker of its own, all of which sleep when the first is
 * spawned.
 */
static void as_many_tasks_as_workers_run_at_the_same_time(void)
{
	struct base_pool *pool = make_pool_that_looks(MEETING, 0, 0, -1);
	pthread_barrier_t all;
	struct meeting m = { .all = &all };

	pthread_barrier_init(&all, NULL, MEETING);
	for (uint64_t i = 0; i < test_scaled(5000); i++)
		CHECK_EQ(base_run(pool, &m.task, call_meeting), 0);
	pthread_barrier_destroy(&all);
	base_pool_destroy(pool);
}

struct producer {
	struct base_pool *pool;
	size_t begin, end;
	const struct base_submit *how;
	uint64_t again; /* -EAGAIN seen */
	pthread_t thread;
};

static int note_job(void *arg)
{
	ledger[(size_t)arg]++;
	return (int)((size_t)arg % 1000);
}

static void *produce_detached(void *arg)
{
	struct producer *p = arg;

	for (size_t i = p->begin; i < p->end;) {
		int64_t id = base_submit(p->pool, note_job, (void *)i, p->how);

		CHECK(id > 0 || id == -EAGAIN, "%lld", (long long)id);
		if (id > 0) {
			i++;
		} else {
			p->again++;
			sched_yield();
		}
	}
	return NULL;
}

static void run_producers(uint32_t when_full, uint64_t n)
{
	const struct base_submit how = { .when_full = when_full, .flags = BASE_DETACHED };
	struct base_pool *pool = make_pool(2, 64, 256);
	struct base_counts counts;
	struct producer p[8];
	uint64_t again = 0;

	ledger_open((size_t)n);
	for (size_t i = 0; i < 8; i++) {
		p[i] = (struct producer){ .pool = pool,
			.begin = ledger_n * i / 8,
			.end = ledger_n * (i + 1) / 8,
			.how = &how };
		CHECK_EQ(pthread_create(&p[i].thread, NULL, produce_detached, &p[i]), 0);
	}
	for (size_t i = 0; i < 8; i++) {
		pthread_join(p[i].thread, NULL);
		again += p[i].again;
	}
	base_pool_drain(pool);
	ledger_close();
	base_pool_counts(pool, &counts);
	printf("  blocked %llu, refused %llu\n", (unsigned long long)counts.blocked,
		(unsigned long long)again);
	CHECK((when_full == BASE_BLOCK ? counts.blocked : again) > 0, "the queue was never full");
	base_pool_destroy(pool);
}

static void jobs_of_8_producers_run_exactly_once_through_a_queue_of_64_when_they_wait(void)
{
	run_producers(BASE_BLOCK, test_scaled(200000));
}

static void jobs_of_8_producers_run_exactly_once_through_a_queue_of_64_when_they_try(void)
{
	run_producers(BASE_TRY, test_scaled(200000));
}

static void *produce_and_reap(void *arg)
{
	struct producer *p = arg;
	struct base_completion out[16];
	size_t sent = p->begin, back = 0, n = p->end - p->begin;
	struct base_cq *cq = NULL;

	CHECK_EQ(base_cq_create(&cq, p->pool, 20), 0);
	const struct base_submit how = { .cq = cq };
	unsigned char *seen = calloc(n + 1, 1);

	while (back < n) {
		int64_t id = sent < p->end ? base_submit(p->pool, note_job, (void *)sent, &how)
					   : -ENOBUFS;

		CHECK(id > 0 || id == -ENOBUFS, "%lld", (long long)id);
		if (id > 0) {
			sent++;
			continue;
		}
		p->again++;
		int got = base_cq_wait(cq, out, 16);

		CHECK(got >= 1 && got <= 16, "%d", got);
		for (int i = 0; i < got; i++) {
			size_t number = (size_t)out[i].arg;

			CHECK_EQ(out[i].status, number % 1000);
			CHECK(out[i].worker >= 0 && out[i].worker < 2, "worker %d", out[i].worker);
			CHECK_EQ(seen[number - p->begin]++, 0);
			back++;
		}
	}
	CHECK_EQ(base_cq_reap(cq, out, 16), 0);
	CHECK_EQ(base_cq_destroy(cq), 0);
	free(seen);
	return NULL;
}

static void run_completion_queues(int looks)
{
	struct base_pool *pool = make_pool_that_looks(2, 64, 0, looks);
	struct producer p[4];

	ledger_open((size_t)test_scaled(100000));
	for (size_t i = 0; i < 4; i++) {
		p[i] = (struct producer){
			.pool = pool, .begin = ledger_n * i / 4, .end = ledger_n * (i + 1) / 4
		};
		CHECK_EQ(pthread_create(&p[i].thread, NULL, produce_and_reap, &p[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(p[i].thread, NULL);
		CHECK(p[i].again > 0, "producer %zu never ran out of credits", i);
	}
	ledger_close();
	base_pool_destroy(pool);
}

static void every_accepted_job_has_exactly_one_completion_in_its_queue(void)
{
	run_completion_queues(0);
	run_completion_queues(-1);
}

/*
 * One job in flight at a time, so that every wake-up of the worker and of the waiter is needed: a
 * lost one trips the watchdog.
 */
static void no_wake_up_is_lost_with_one_job_in_flight(void)
{
	struct base_pool *pool = make_pool_that_looks(2, 1, 2, -1);
	struct base_completion out;
	struct base_counts counts;
	size_t rounds = (size_t)test_scaled(100000);

	ledger_open(rounds);
	for (size_t i = 0; i < rounds; i++) {
		int64_t id = base_submit(pool, note_job, (void *)i, NULL);

		CHECK(id > 0, "%lld", (long long)id);
		if (i % 16 == 0)
			sched_yield();
		CHECK_EQ(base_wait(pool, id, &out), 0);
		CHECK_EQ(out.id, id);
		CHECK_EQ(out.status, i % 1000);
		CHECK_EQ(base_wait(pool, id, &out), -ESRCH);
	}
	ledger_close();
	base_pool_counts(pool, &counts);
	printf("  sleeps %llu, wakes %llu\n", (unsigned long long)counts.sleeps,
		(unsigned long long)counts.wakes);
	CHECK(counts.wakes > rounds / 10, "workers were hardly ever asleep");
	base_pool_destroy(pool);
}

/* A job that stays until it is let go. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	int inside, open;
};

static int wait_at_gate(void *arg)
{
	struct gate *g = arg;

	pthread_mutex_lock(&g->lock);
	g->inside++;
	pthread_cond_broadcast(&g->moved);
	while (!g->open)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void a_full_queue_and_exhausted_slots_refuse_and_lose_nothing(void)
{
	const struct base_submit try = { .when_full = BASE_TRY },
				 detached = { .when_full = BASE_TRY, .flags = BASE_DETACHED };
	struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
	struct base_pool *pool = make_pool(1, 2, 4);
	int64_t held = base_submit(pool, wait_at_gate, &gate, NULL), id[2];

	CHECK(held > 0, "%lld", (long long)held);
	pthread_mutex_lock(&gate.lock);
	while (!gate.inside)
		pthread_cond_wait(&gate.moved, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	for (int i = 0; i < 2; i++) {
		id[i] = base_submit(pool, nothing, NULL, &try);
		CHECK(id[i] > 0, "%lld", (long long)id[i]);
	}
	CHECK_EQ(base_submit(pool, nothing, NULL, &try), -EAGAIN);
	pthread_mutex_lock(&gate.lock);
	gate.open = 1;
	pthread_cond_broadcast(&gate.moved);
	pthread_mutex_unlock(&gate.lock);
	base_pool_drain(pool);
	/* Three completions are not reaped, one slot is left. */
	int64_t last = base_submit(pool, nothing, NULL, NULL);

	CHECK(last > 0, "%lld", (long long)last);
	base_pool_drain(pool);
	CHECK_EQ(base_submit(pool, nothing, NULL, &detached), -ENOBUFS);
	CHECK_EQ(base_wait(pool, held, NULL), 0);
	CHECK_EQ(base_wait(pool, id[0], NULL), 0);
	CHECK_EQ(base_wait(pool, id[1], NULL), 0);
	CHECK_EQ(base_wait(pool, last, NULL), 0);
	CHECK_EQ(base_wait(pool, last, NULL), -ESRCH);
	CHECK_EQ(base_wait(pool, 0, NULL), -ESRCH);
	CHECK_EQ(base_wait(pool, INT64_MAX, NULL), -ESRCH);
	base_pool_destroy(pool);
}

/*
 * Runs of tasks and bare jobs at once: joiners must not take jobs, and neither may starve the
 * other.
 */
struct mixer {
	struct base_pool *pool;
	uint64_t rounds, sum;
	pthread_t thread;
};

static void run_sum(struct base_worker *w, struct base_task *task)
{
	struct chain *c = (struct chain *)(void *)task, a, b;

	if (c->depth < 2)
		return;
	a.depth = c->depth - 1;
	b.depth = c->depth - 2;
	base_spawn(w, &a.task, run_sum);
	base_spawn(w, &b.task, run_sum);
	base_join(w, &b.task);
	base_join(w, &a.task);
	c->depth = a.depth + b.depth;
}

static void *mix(void *arg)
{
	struct mixer *m = arg;

	for (uint64_t i = 0; i < m->rounds; i++) {
		struct chain fib = { .depth = 12 };

		CHECK_EQ(base_run(m->pool, &fib.task, run_sum), 0);
		m->sum += (uint64_t)fib.depth;
	}
	return NULL;
}

static void trees_and_jobs_from_several_threads_share_one_queue(void)
{
	const struct base_submit how = { .flags = BASE_DETACHED };
	struct base_pool *pool = make_pool(3, 8, 0);
	uint64_t rounds = test_scaled(500);
	struct mixer m[3];
	struct producer p;

	ledger_open((size_t)test_scaled(50000));
	p = (struct producer){ .pool = pool, .begin = 0, .end = ledger_n, .how = &how };
	CHECK_EQ(pthread_create(&p.thread, NULL, produce_detached, &p), 0);
	for (int i = 0; i < 3; i++) {
		m[i] = (struct mixer){ .pool = pool, .rounds = rounds };
		CHECK_EQ(pthread_create(&m[i].thread, NULL, mix, &m[i]), 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(m[i].thread, NULL);
		CHECK_EQ(m[i].sum, rounds * 144);
	}
	pthread_join(p.thread, NULL);
	base_pool_drain(pool);
	ledger_close();
	base_pool_destroy(pool);
}

static void a_pool_without_workers_is_refused(void)
{
	const struct base_config config = { .workers = 0 };
	struct base_pool *pool = NULL;

	CHECK_EQ(base_pool_create(&pool, &config), -EINVAL);
	CHECK_EQ(base_pool_create(&pool, NULL), -EINVAL);
}

static void pools_come_and_go_and_leave_no_thread(void)
{
	int before = test_threads();

	for (uint64_t i = 0; i < test_scaled(2000); i++) {
		struct base_pool *pool = make_pool(2, 4, 0);

		if (i % 2)
			CHECK(base_submit(pool, nothing, NULL, NULL) > 0, "round %llu",
				(unsigned long long)i);
		base_pool_destroy(pool);
	}
	CHECK_EQ(test_threads(), before);
}

int main(void)
{
	test_watchdog(240);
	test_case(
		"the ledger finds a duplicate and a loss", the_ledger_finds_a_duplicate_and_a_loss);
	test_case("a pool without workers is refused", a_pool_without_workers_is_refused);
	test_case("every task runs exactly once on 1, 2 and 8 workers",
		every_task_runs_exactly_once_on_1_2_and_8_workers);
	test_case("deep chains nest within the stack", deep_chains_nest_within_the_stack);
	test_case("a joiner stops helping when half of its stack is in use",
		a_joiner_stops_helping_when_half_of_its_stack_is_in_use);
	test_case("as many tasks as workers run at the same time",
		as_many_tasks_as_workers_run_at_the_same_time);
	test_case("jobs of 8 producers run exactly once through a queue of 64 when they wait",
		jobs_of_8_producers_run_exactly_once_through_a_queue_of_64_when_they_wait);
	test_case("jobs of 8 producers run exactly once through a queue of 64 when they try",
		jobs_of_8_producers_run_exactly_once_through_a_queue_of_64_when_they_try);
	test_case("every accepted job has exactly one completion in its queue",
		every_accepted_job_has_exactly_one_completion_in_its_queue);
	test_case("no wake-up is lost with one job in flight",
		no_wake_up_is_lost_with_one_job_in_flight);
	test_case("a full queue and exhausted slots refuse and lose nothing",
		a_full_queue_and_exhausted_slots_refuse_and_lose_nothing);
	test_case("trees and jobs from several threads share one queue",
		trees_and_jobs_from_several_threads_share_one_queue);
	test_case("pools come and go and leave no thread", pools_come_and_go_and_leave_no_thread);
	return test_finish("baseline");
}
