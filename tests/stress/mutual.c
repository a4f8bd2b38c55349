/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutual: pools that call each other. Loops, typed tasks and jobs by id go from pool to pool and
 * back, up to six deep, on pools of 1 to 4 workers, two of them or three in a ring, entered from
 * one side or from all at once. Each node of such a tree is counted: it ran once, on a worker of
 * the pool that was called. What cannot end is -EDEADLK: a recursion without end, guarding pools, a
 * circle of the program's own. So it is with workers that have nothing to do, and sleep.
 *
 * The cases count how often a worker ran a job of its own pool while it waited for another.
 * timeout: 200
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "pools.h"

#define POOLS_MAX 3u
#define DEPTH     6u
#define FANOUT    2u
#define NODES     (1u << (DEPTH + 1))

static struct filch_pool *at[POOLS_MAX];
static unsigned pools;

static void open_all(unsigned n, const uint32_t *workers, uint64_t flags)
{
	pools = n;
	for (unsigned i = 0; i < n; i++)
		at[i] = pool_open(workers[i], flags);
}

static void close_all(void)
{
	for (unsigned i = 0; i < pools; i++)
		pool_close(at[i]);
}

/* --- trees of calls ----------------------------------------------------- */

/*
 * A tree of calls. Its nodes are numbered as in a heap, and each level is the next pool's. A node
 * calls for its children as its number says, or as the tree does.
 */
enum { BY_LOOP, BY_TASK, BY_JOB, WAYS, MIXED = WAYS };
struct tree {
	unsigned root, depth, way; /* root: the pool of level 0 */
	_Atomic uint32_t ran[NODES];
};

static unsigned level_of(unsigned node)
{
	return 31 - (unsigned)__builtin_clz(node);
}

static void visit(struct tree *t, unsigned node);

struct node {
	struct tree *tree;
	unsigned number;
};

static void children(size_t b, size_t e, void *arg)
{
	const struct node *n = arg;

	for (; b < e; b++)
		visit(n->tree, n->number * FANOUT + (unsigned)b);
}

FILCH_TASK(int, child, (struct tree *, t), (unsigned, node))
{
	visit(t, node);
	return (int)node;
}

FILCH_TASK(int, both, (struct tree *, t), (unsigned, node))
{
	int called;

	FILCH_SPAWN(a, child, t, node * FANOUT);
	called = FILCH_CALL(child, t, node * FANOUT + 1);
	return FILCH_SYNC(a) + called;
}

static int both_children(void *arg)
{
	children(0, FANOUT, arg);
	return 7;
}

static void call_for_children(struct filch_pool *pool, struct tree *t, unsigned node)
{
	struct node n = { t, node };
	struct filch_completion c;
	int64_t id;
	int sum = 0;

	switch (t->way == MIXED ? node % WAYS : t->way) {
	case BY_LOOP:
		CHECK_EQ(filch_for(pool, 0, FANOUT, 1, children, &n), 0);
		break;
	case BY_TASK:
		CHECK_EQ(FILCH_RUN(pool, &sum, both, t, node), 0);
		CHECK_EQ(sum, (int)(2 * node * FANOUT + 1));
		break;
	default:
		CHECK((id = filch_submit(pool, both_children, &n, NULL)) > 0, "%lld",
			(long long)id);
		CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
		CHECK_EQ(c.status, 7);
		CHECK_EQ(c.flags, 0);
	}
}

static void visit(struct tree *t, unsigned node)
{
	struct filch_pool *here = at[(t->root + level_of(node)) % pools];

	CHECK(filch_pool_current() == here, "node %u is on another pool", node);
	CHECK(filch_worker_id() >= 0 && filch_worker_id() < filch_pool_workers(here), "worker %d",
		filch_worker_id());
	CHECK_EQ(atomic_fetch_add(&t->ran[node], 1), 0);
	if (level_of(node) < t->depth)
		call_for_children(at[(t->root + level_of(node) + 1) % pools], t, node);
	CHECK_EQ(filch_pool_current() == here, true);
}

FILCH_TASK(int, from_the_root, (struct tree *, t))
{
	visit(t, 1);
	return 1;
}

static void run_tree(unsigned root, unsigned depth, unsigned way)
{
	struct tree t = { .root = root, .depth = depth, .way = way };
	int one = 0;

	CHECK_EQ(FILCH_RUN(at[root], &one, from_the_root, &t), 0);
	CHECK_EQ(one, 1);
	for (unsigned node = 1; node < NODES; node++)
		CHECK_EQ(t.ran[node], level_of(node) <= depth);
}

static void there_and_back_at_any_depth(void)
{
	static const uint32_t workers[][2] = { { 1, 1 }, { 1, 2 }, { 2, 2 }, { 4, 4 } };

	for (unsigned i = 0; i < sizeof workers / sizeof workers[0]; i++) {
		pools_begin();
		open_all(2, workers[i], i % 2 ? FILCH_POOL_NO_SEARCH : 0);
		for (uint64_t n = test_scaled(4); n--;)
			for (unsigned depth = 1; depth <= DEPTH; depth++) {
				test_watchdog(100);
				run_tree(depth % 2, depth, (unsigned)(n % (WAYS + 1)));
			}
		close_all();
		pools_print();
		/* with 4 there may be a free worker each time */
		if (workers[i][0] == 1)
			POOLS_COVER(jobs_nested);
	}
}

static void three_pools_in_a_ring(void)
{
	static const uint32_t workers[][3] = { { 1, 1, 1 }, { 1, 2, 1 }, { 2, 2, 2 } };

	pools_begin();
	for (unsigned i = 0; i < sizeof workers / sizeof workers[0]; i++) {
		open_all(3, workers[i], 0);
		for (uint64_t n = test_scaled(6); n--;) {
			test_watchdog(100);
			run_tree((unsigned)(n % 3), DEPTH, MIXED);
		}
		close_all();
	}
	pools_print();
	POOLS_COVER(jobs_nested);
}

/* Trees that know nothing of each other, each entered from outside at another pool. */
static void *enter(void *arg)
{
	unsigned root = (unsigned)(uintptr_t)arg;

	for (uint64_t n = test_scaled(15); n--;)
		run_tree(root, 4 - (unsigned)(n % 4), MIXED);
	return NULL;
}

static void entered_from_all_sides_at_once(void)
{
	static const uint32_t one[] = { 1, 1, 1 }, two[] = { 2, 2, 2 };
	pthread_t thread[POOLS_MAX];

	for (unsigned n = 2; n <= POOLS_MAX; n++) {
		pools_begin();
		for (unsigned i = 0; i < 2; i++) {
			test_watchdog(100);
			open_all(n, i ? two : one, n % 2 ? FILCH_POOL_NO_SEARCH : 0);
			for (uintptr_t t = 0; t < n; t++)
				CHECK_EQ(pthread_create(&thread[t], NULL, enter, (void *)t), 0);
			for (unsigned t = 0; t < n; t++)
				CHECK_EQ(pthread_join(thread[t], NULL), 0);
			close_all();
		}
		pools_print();
		POOLS_COVER(jobs_nested);
	}
}

/* --- what is not to run on top ------------------------------------------ */

static pthread_mutex_t lock;
static _Atomic unsigned locked, holders_inside, callers;
static _Atomic bool may_return;

static void use_lock(size_t b, size_t e, void *arg)
{
	(void)arg;
	for (; b < e; b++) {
		/* an error-checking mutex tells a second lock by its owner */
		CHECK_EQ(pthread_mutex_lock(&lock), 0);
		locked++;
		CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	}
}

static void return_late(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)arg;
	holders_inside++;
	while (!may_return)
		sched_yield();
}

static void call_under_lock(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)arg;
	CHECK_EQ(pthread_mutex_lock(&lock), 0);
	CHECK_EQ(filch_for(at[1], 0, 1, 1, return_late, NULL), 0);
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
}

static void call_for_lock(size_t b, size_t e, void *arg)
{
	(void)b;
	(void)e;
	(void)arg;
	callers++;
	CHECK_EQ(filch_for(at[0], 0, 1, 1, use_lock, NULL), 0);
}

static void *enter_under_lock(void *unused)
{
	(void)unused;
	CHECK_EQ(filch_for(at[0], 0, 1, 1, call_under_lock, NULL), 0);
	return NULL;
}

static void *enter_for_lock(void *unused)
{
	(void)unused;
	CHECK_EQ(filch_for(at[2], 0, 1, 1, call_for_lock, NULL), 0);
	return NULL;
}

/*
 * Pool 0's worker holds a lock and waits for pool 1, whose job goes on. Pool 2 calls pool 0 for
 * work that takes the lock. While pool 1 is not done that work stays queued: on top of the holder
 * it would wait for itself.
 */
static void a_lock_held_over_a_call_is_left_alone_while_the_call_goes_on(void)
{
	static const uint32_t workers[] = { 1, 1, 1 };
	pthread_mutexattr_t checks;
	pthread_t holder, other;

	pthread_mutexattr_init(&checks);
	pthread_mutexattr_settype(&checks, PTHREAD_MUTEX_ERRORCHECK);
	CHECK_EQ(pthread_mutex_init(&lock, &checks), 0);
	open_all(3, workers, FILCH_POOL_NO_SEARCH);
	for (uint64_t n = test_scaled(8); n--;) {
		uint64_t parks;

		test_watchdog(100);
		may_return = false;
		locked = holders_inside = callers = 0;
		CHECK_EQ(pthread_create(&holder, NULL, enter_under_lock, NULL), 0);
		while (!holders_inside || !pool_stats(at[0]).asleep)
			sched_yield();
		parks = pool_stats(at[2]).parks;
		CHECK_EQ(pthread_create(&other, NULL, enter_for_lock, NULL), 0);
		while (!callers || pool_stats(at[2]).parks == parks || !pool_stats(at[2]).asleep)
			sched_yield();
		CHECK_EQ(locked, 0);
		may_return = true;
		CHECK_EQ(pthread_join(holder, NULL), 0);
		CHECK_EQ(pthread_join(other, NULL), 0);
		CHECK_EQ(locked, 1);
	}
	close_all();
	CHECK_EQ(pthread_mutex_destroy(&lock), 0);
}

/* --- what cannot end ---------------------------------------------------- */

static _Atomic unsigned refused, ended;
static unsigned deepest;

static void call_for_ever(size_t b, size_t e, void *arg)
{
	uintptr_t depth = (uintptr_t)arg;
	int error;

	(void)b;
	(void)e;
	if (depth > deepest)
		deepest = (unsigned)depth;
	error = filch_for(at[depth % 2], 0, 1, 1, call_for_ever, (void *)(depth + 1));
	CHECK(!error || error == -EDEADLK, "%d", error);
	if (error)
		refused++;
	else
		ended++;
}

static void a_recursion_without_end_is_refused(void)
{
	for (unsigned i = 0; i < 3; i++) {
		test_watchdog(100);
		refused = ended = deepest = 0;
		pools = 2;
		for (unsigned p = 0; p < 2; p++)
			at[p] = pool_open_with(&(struct filch_config){
				.size = sizeof(struct filch_config),
				/* the last time four of the second have nothing to do */
				.workers = i < 2 ? i + 1
					   : p   ? 5
						 : 1,
				.flags = FILCH_POOL_OVERSUBSCRIBE,
				.stack_bytes = (TEST_SANITIZED ? UINT64_C(1024) : UINT64_C(256))
					       << 10 });
		CHECK_EQ(filch_for(at[0], 0, 1, 1, call_for_ever, (void *)1), 0);
		CHECK_EQ(refused, 1);
		CHECK_EQ(ended, deepest - 1);
		CHECK(deepest > 10, "%u deep", deepest);
		close_all();
	}
}

static void call_back(size_t b, size_t e, void *arg)
{
	int error = filch_for(at[0], b, e, 1, return_late, arg);

	CHECK(!error || error == -EDEADLK, "%d", error);
	if (error)
		refused++;
	else
		ended++;
}

static void call_and_be_called(size_t b, size_t e, void *arg)
{
	CHECK_EQ(filch_for(at[1], b, e, 1, call_back, arg), 0);
}

/* A guarding pool runs nothing on top of a wait: a fault takes the whole stack. */
static void a_guarding_pool_is_called_back_only_on_a_free_worker(void)
{
	static const uint32_t other[] = { 1, 1 };

	if (!TEST_HAS_GUARDS)
		return;
	may_return = true;
	for (uint32_t workers = 1; workers <= 2; workers++) {
		test_watchdog(100);
		refused = ended = 0;
		open_all(2, other, 0);
		pool_close(at[0]);
		at[0] = pool_open(workers, FILCH_POOL_GUARD);
		CHECK_EQ(filch_for(at[0], 0, 1, 1, call_and_be_called, NULL), 0);
		CHECK_EQ(refused, workers == 1);
		CHECK_EQ(ended, workers == 2);
		close_all();
	}
}

static _Atomic int64_t circle[2];
static _Atomic int waits_of_circle[2];

static int wait_for_the_other(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	while (!circle[!me])
		sched_yield();
	waits_of_circle[me] = filch_wait(at[!me], circle[!me], NULL, NULL);
	return 0;
}

/* Each of two jobs waits for the other. One is told, and the other then has its completion. */
static void a_circle_of_waits_is_refused(void)
{
	for (uint64_t n = test_scaled(12); n--;) {
		/* at times some of a pool have nothing to do */
		const uint32_t workers[] = { 1 + (uint32_t)(n % 3 == 1), 1 + (uint32_t)(n % 3) };
		unsigned told = 0;

		test_watchdog(100);
		open_all(2, workers, 0);
		circle[0] = circle[1] = 0;
		for (uintptr_t i = 0; i < 2; i++)
			circle[i] = filch_submit(at[i], wait_for_the_other, (void *)i, NULL);
		for (unsigned i = 0; i < 2; i++)
			CHECK_EQ(filch_pool_drain(at[i], NULL), 0);
		for (unsigned i = 0; i < 2; i++) {
			int error = waits_of_circle[i];

			CHECK(!error || error == -EDEADLK, "%d", error);
			told += error != 0;
			CHECK_EQ(filch_wait(at[!i], circle[!i], NULL, NULL), error ? 0 : -ESRCH);
		}
		CHECK_EQ(told, 1);
		close_all();
	}
}

/* --- room in the queue -------------------------------------------------- */

#define ITEMS 64u

static _Atomic uint32_t item[2][ITEMS];

static int take_item(void *arg)
{
	(*(_Atomic uint32_t *)arg)++;
	return 0;
}

/* Jobs of one pool fill the queue of the other, in both directions. */
static int fill_the_other(void *arg)
{
	static const struct filch_submit detached = { .size = sizeof detached,
		.flags = FILCH_JOB_DETACHED };
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < ITEMS; i++) {
		int64_t id = filch_submit(at[!me], take_item, (void *)&item[me][i], &detached);

		if (id == -EDEADLK) {
			refused++;
			(void)take_item((void *)&item[me][i]);
		} else {
			CHECK(id > 0, "%lld", (long long)id);
		}
	}
	return 0;
}

static void full_queues_on_both_sides_are_refused_or_served(void)
{
	static uint64_t served;

	refused = 0;
	for (uint64_t n = test_scaled(12); n--;) {
		test_watchdog(100);
		for (unsigned i = 0; i < 2; i++) {
			pools = 2;
			at[i] = pool_open_with(
				&(struct filch_config){ .size = sizeof(struct filch_config),
					/* two have something to do */
					.workers = 1 + (uint32_t)(n % 4),
					.flags = FILCH_POOL_OVERSUBSCRIBE,
					.queue_capacity = 4,
					.jobs_max = 1024 });
			for (unsigned k = 0; k < ITEMS; k++)
				item[i][k] = 0;
		}
		for (unsigned round = 0; round < 2; round++)
			for (uintptr_t i = 0; i < 2; i++)
				CHECK(filch_submit(at[i], fill_the_other, (void *)i, NULL) > 0,
					"refused");
		for (unsigned round = 0; round < 2; round++)
			for (unsigned i = 0; i < 2; i++)
				CHECK_EQ(filch_pool_drain(at[i], NULL), 0);
		for (unsigned k = 0; k < 2 * ITEMS; k++)
			CHECK_EQ(item[k / ITEMS][k % ITEMS], 2);
		served += 4 * ITEMS;
		close_all();
	}
	served -= refused;
	printf("    %u refused, %llu served\n", (unsigned)refused, (unsigned long long)served);
	CHECK(refused && served, "the case claims to cover both");
}

/* --- thickets ----------------------------------------------------------- */

/*
 * Calls from anywhere to anywhere, as the numbers of a generator say. What was accepted is owed,
 * and each has run when the pools are drained.
 */
enum { LOOPS = 1, ROOM = 2, INLINE = 4, EACH = 8, CREDIT = 16, GROUP = 32 };
enum { LITTLE = 2, PLENTY = 1024 };
struct twig {
	unsigned left, seed, ways;
};
static _Atomic uint64_t owed, grown, turned_down, with_credit;
static struct filch_cq *shared;                /* CREDIT: of all pools */
static struct filch_group *grouped[POOLS_MAX]; /* GROUP: one of each */

static void grow(struct twig t);

static void grow_in_loop(size_t b, size_t e, void *arg)
{
	for (; b < e; b++) {
		struct twig t = *(const struct twig *)arg;

		t.seed += 31337 * (unsigned)b;
		grow(t);
	}
}

static int grow_on_each(void *arg, int worker)
{
	struct twig t = *(const struct twig *)arg;

	t.seed += 31337 * (unsigned)worker;
	grow(t);
	return 0;
}

static int grow_alone(void *arg)
{
	struct twig t = *(const struct twig *)arg;

	free(arg);
	grow(t);
	return 0;
}

static int submit_twig_as(struct filch_pool *pool, struct twig t, const struct filch_submit *how)
{
	struct twig *copy = malloc(sizeof *copy);
	int64_t id;

	CHECK(copy, "no memory");
	*copy = t;
	id = filch_submit(pool, grow_alone, copy, how);
	if (id > 0)
		return 0;
	free(copy);
	return (int)id;
}

static int submit_twig(struct filch_pool *pool, struct twig t, uint32_t when_full)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	how.flags = FILCH_JOB_DETACHED;
	how.when_full = when_full;
	return submit_twig_as(pool, t, &how);
}

/* With room in the queue; @group: and in the group. A pool's own worker does not wait. */
static int submit_for_room(unsigned pool, struct twig t, bool group)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int error;

	how.group = group ? grouped[pool] : NULL;
	how.cq = t.ways & CREDIT ? shared : NULL;
	how.flags = how.cq ? FILCH_JOB_WAIT_CQ : FILCH_JOB_DETACHED;
	error = submit_twig_as(at[pool], t, &how);
	with_credit += how.cq && !error;
	return error == -ENOBUFS && at[pool] == filch_pool_current()
		       ? submit_twig(at[pool], t, FILCH_BLOCK)
		       : error;
}

static void call_for(struct twig t)
{
	const unsigned to = (t.seed >> 9) % pools;
	struct filch_pool *pool = at[to];
	unsigned parts = 1;
	int way, error;

	do
		way = 1 << ((t.seed = t.seed * 69069 + 1) >> 20) % 6;
	while (!(t.ways & (unsigned)way));
	switch (way) {
	case LOOPS:
		error = filch_for(pool, 0, parts = 3, 1, grow_in_loop, &t);
		break;
	case EACH:
		parts = (unsigned)filch_pool_workers(pool);
		error = filch_pool_each(pool, grow_on_each, &t);
		break;
	case CREDIT:
	case GROUP:
		error = submit_for_room(to, t, way == GROUP);
		break;
	default:
		error = submit_twig(pool, t, way == ROOM ? FILCH_BLOCK : FILCH_CALLER_RUNS);
	}
	CHECK(!error || error == -EDEADLK, "%d", error);
	if (error)
		turned_down++;
	else
		owed += parts;
}

static void grow(struct twig t)
{
	grown++;
	if (!t.left--)
		return;
	for (unsigned i = 0; i < 2; i++) {
		t.seed = t.seed * 69069 + 1;
		call_for(t);
	}
}

/* @n pools of two workers, entered at all at once. Where there is room nothing is refused. */
static void grow_thickets(unsigned n, unsigned depth, unsigned ways, uint32_t room, uint64_t rounds)
{
	unsigned seed = (unsigned)test_seed();

	pools_begin();
	pools = n;
	for (unsigned i = 0; i < n; i++)
		at[i] = pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
			.workers = 2,
			.flags = FILCH_POOL_OVERSUBSCRIBE,
			.queue_capacity = room,
			.jobs_max = 4096 });
	for (unsigned i = 0; i < n && ways & GROUP; i++)
		CHECK_EQ(filch_group_create(&grouped[i], at[i],
				 &(struct filch_group_config){
					 .size = sizeof(struct filch_group_config),
					 .unfinished_max = 3 }),
			0);
	owed = grown = turned_down = 0;
	while (rounds--) {
		test_watchdog(100);
		for (unsigned i = 0; i < n; i++) {
			struct twig t = { depth, seed = seed * 69069 + 1, ways };

			CHECK_EQ(submit_twig(at[i], t, FILCH_BLOCK), 0);
			owed++;
		}
		/* each may submit to another that has been drained */
		for (unsigned i = 0; i < n * (depth + 1); i++)
			CHECK_EQ(filch_pool_drain(at[i % n], NULL), 0);
		CHECK_EQ(grown, owed);
	}
	for (unsigned i = 0; i < n && ways & GROUP; i++) {
		/* a job is over for a drain before its group has counted it off */
		CHECK_EQ(filch_group_wait(grouped[i], NULL), 0);
		CHECK_EQ(filch_group_destroy(grouped[i]), 0);
	}
	close_all();
	pools_print();
	printf("    %llu refused\n", (unsigned long long)turned_down);
	CHECK(!turned_down || room == LITTLE || ways & (CREDIT | GROUP), "where there is room");
}

static void room_goes_to_those_that_wait_for_it_topmost(void)
{
	const uint64_t rounds = test_scaled(TEST_SANITIZED ? 100 : 400);

	grow_thickets(3, 3, LOOPS | ROOM, LITTLE, rounds);
	POOLS_COVER(jobs_nested);
	grow_thickets(3, 3, LOOPS | INLINE, LITTLE, rounds);
	POOLS_COVER(jobs_nested);
}

/* A share runs on top of any wait, and waits for another pool in turn. */
static void shares_call_other_pools_from_on_top_of_waits(void)
{
	grow_thickets(2, 3, EACH, PLENTY, test_scaled(300));
	POOLS_COVER(jobs_nested);
	grow_thickets(2, 3, LOOPS | ROOM | EACH, LITTLE, test_scaled(150));
	POOLS_COVER(jobs_nested);
}

static int answer_seven(void *unused)
{
	(void)unused;
	return 7;
}

/* Until the one that answers seven, the last. */
static void *reap_until_seven(void *count)
{
	struct filch_completion c = { .status = 0 };

	while (c.status != 7) {
		CHECK_EQ(filch_cq_wait(shared, &c, 1, NULL), 1);
		++*(uint64_t *)count;
	}
	return NULL;
}

/*
 * Jobs of all pools hold the room that their submits wait for, and a thread outside reaps. Each
 * submit gets room, or is refused where none can come: none sleeps on. Where the queues are small
 * too, a submit that waits for one thing holds another.
 */
static void wait_for_room_of_all(unsigned ways, uint32_t room, uint64_t flags, uint64_t rounds)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct filch_pool *last = pool_open(1, 0);
	uint64_t reaped = 0;
	pthread_t reader;

	CHECK_EQ(filch_cq_create_with(
			 &shared, &(struct filch_cq_config){ .size = sizeof(struct filch_cq_config),
					  .capacity = 4,
					  .flags = flags }),
		0);
	CHECK_EQ(pthread_create(&reader, NULL, reap_until_seven, &reaped), 0);
	with_credit = 0;
	grow_thickets(3, 3, ways, room, rounds);
	how.cq = shared;
	how.flags = FILCH_JOB_WAIT_CQ;
	CHECK(filch_submit(last, answer_seven, NULL, &how) > 0, "refused");
	CHECK_EQ(pthread_join(reader, NULL), 0);
	CHECK_EQ(reaped, with_credit + 1);
	CHECK(turned_down && with_credit, "the case claims to cover both");
	pool_close(last);
	CHECK_EQ(filch_cq_destroy(shared), 0);
}

static void room_that_jobs_of_all_pools_hold_comes_or_is_refused(void)
{
	const uint64_t rounds = test_scaled(TEST_SANITIZED ? 20 : 80);

	wait_for_room_of_all(LOOPS | CREDIT, PLENTY, 0, rounds);
	wait_for_room_of_all(LOOPS | CREDIT, PLENTY, FILCH_CQ_ORDERED, rounds);
	wait_for_room_of_all(LOOPS | ROOM | CREDIT | GROUP, LITTLE, 0, rounds);
	wait_for_room_of_all(CREDIT | GROUP, LITTLE, FILCH_CQ_ORDERED, rounds);
}

/* --- the rest ----------------------------------------------------------- */

static _Atomic bool held_runs;

static int hold(void *unused)
{
	(void)unused;
	held_runs = true;
	while (!may_return)
		sched_yield();
	return 3;
}

static int wait_until_late(void *arg)
{
	struct timespec soon = filch_after(2000000);
	struct filch_completion c;

	CHECK_EQ(filch_wait(at[1], *(int64_t *)arg, &soon, NULL), -ETIMEDOUT);
	may_return = true;
	CHECK_EQ(filch_wait(at[1], *(int64_t *)arg, NULL, &c), 0);
	CHECK_EQ(c.status, 3);
	return 0;
}

static void a_deadline_ends_a_wait_for_another_pool(void)
{
	static const uint32_t workers[] = { 1, 1 };

	open_all(2, workers, 0);
	for (uint64_t n = test_scaled(8); n--;) {
		int64_t held, waiter;

		test_watchdog(100);
		may_return = false;
		CHECK((held = filch_submit(at[1], hold, NULL, NULL)) > 0, "%lld", (long long)held);
		CHECK((waiter = filch_submit(at[0], wait_until_late, &held, NULL)) > 0, "%lld",
			(long long)waiter);
		CHECK_EQ(filch_wait(at[0], waiter, NULL, NULL), 0);
	}
	close_all();
}

static void loop_here(size_t b, size_t e, void *arg)
{
	atomic_fetch_add((_Atomic uint64_t *)arg, e - b);
}

static void loop_there(size_t b, size_t e, void *arg)
{
	for (; b < e; b++)
		CHECK_EQ(filch_for(at[0], 0, 8, 1, loop_here, arg), 0);
}

static int until_cancelled(void *arg)
{
	int error = 0;

	held_runs = true;
	do
		error = filch_for(at[1], 0, 4, 1, loop_there, arg);
	while (!error && !filch_job_cancelled());
	CHECK_EQ(error, 0); /* a loop of another pool is a job of its own */
	return filch_job_cancelled() ? -ECANCELED : 0;
}

static void a_cancelled_job_leaves_its_calls_whole(void)
{
	static const uint32_t workers[] = { 1, 2 };
	_Atomic uint64_t bodies = 0;

	pools_begin();
	open_all(2, workers, 0);
	for (uint64_t n = test_scaled(8); n--;) {
		struct filch_completion c;
		int64_t id;

		test_watchdog(100);
		held_runs = false;
		CHECK((id = filch_submit(at[0], until_cancelled, &bodies, NULL)) > 0, "%lld",
			(long long)id);
		while (!held_runs)
			sched_yield();
		CHECK_EQ(filch_cancel(at[0], id), 0);
		CHECK_EQ(filch_wait(at[0], id, NULL, &c), 0);
		CHECK_EQ(c.status, -ECANCELED);
		CHECK_EQ(bodies % 32, 0);
	}
	close_all();
	pools_print();
	POOLS_COVER(jobs_nested);
}

static int leave_thread(void *unused)
{
	(void)unused;
	pthread_exit(NULL);
}

static void call_what_leaves(size_t b, size_t e, void *arg)
{
	struct filch_completion c;
	int64_t id = filch_submit(at[0], leave_thread, NULL, NULL);

	(void)b;
	(void)e;
	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(at[0], id, NULL, &c), 0);
	CHECK_EQ(c.status, -ECANCELED);
	CHECK_EQ(c.flags, FILCH_DONE_EXITED);
	*(uint64_t *)arg += 1; /* in the frame of a job whose thread is leaving */
}

static int call_there(void *arg)
{
	uint64_t inside = 0;
	int error = filch_for(at[1], 0, 1, 1, call_what_leaves, &inside);

	*(int *)arg = error;
	return error;
}

/* The job on top ends, the call beneath it goes on to its end, and then the job beneath ends. */
static void a_job_on_top_may_leave_the_thread(void)
{
	static const uint32_t workers[] = { 1, 1 };

	pools_begin();
	open_all(2, workers, 0);
	for (uint64_t n = test_scaled(10); n--;) {
		struct filch_completion c;
		int returned = 1;
		int64_t id;

		test_watchdog(100);
		CHECK((id = filch_submit(at[0], call_there, &returned, NULL)) > 0, "%lld",
			(long long)id);
		CHECK_EQ(filch_wait(at[0], id, NULL, &c), 0);
		CHECK_EQ(c.status, -ECANCELED);
		CHECK_EQ(c.flags, FILCH_DONE_EXITED);
		CHECK_EQ(returned, 1);
	}
	close_all();
	pools_print();
	CHECK_EQ(pools_sum.jobs_nested, test_scaled(10));
	CHECK_EQ(pools_sum.replaced, test_scaled(10));
}

static void the_creator_of_a_pool_is_called_back(void)
{
	static const uint32_t workers[] = { 1, 1 };

	pools_begin();
	for (uint32_t n = 1; n <= 2; n++) {
		_Atomic uint64_t bodies = 0;

		test_watchdog(100);
		open_all(2, workers, 0);
		pool_close(at[0]);
		at[0] = pool_open(n, FILCH_POOL_CALLER);
		for (uint64_t i = test_scaled(8); i--;)
			run_tree(0, DEPTH, MIXED);
		/* from its own stack, without a job beneath */
		for (uint64_t i = test_scaled(8); i--;)
			CHECK_EQ(filch_for(at[0], 0, 4, 1, loop_there, &bodies), 0);
		CHECK_EQ(bodies, test_scaled(8) * 32);
		close_all();
	}
	pools_print();
	POOLS_COVER(jobs_nested);
}

/* --- a creator that comes and goes --------------------------------------- */

static _Atomic unsigned both_inside, both_ended;

static int meet_and_call_the_other(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	_Atomic uint64_t bodies = 0;
	int error;

	both_inside++;
	while (both_inside < 2)
		sched_yield();
	error = filch_for(at[!me], 0, 1, 1, loop_here, &bodies);
	CHECK_EQ(bodies, !error);
	both_ended++;
	return error;
}

/* In the creator's own frame: until the others of both pools sleep. */
static void stay_inside(size_t b, size_t e, void *unused)
{
	(void)b;
	(void)e;
	(void)unused;
	while (!both_ended && !(pool_stats(at[0]).asleep && pool_stats(at[1]).asleep))
		sched_yield();
}

static int hold_for_creator(void *unused)
{
	held_runs = true;
	/* the creator sleeps for this job */
	while (!pool_stats(at[0]).asleep)
		sched_yield();
	return unused != NULL;
}

/*
 * Jobs of two pools call each other, and the creator of one is elsewhere, or goes there when they
 * sleep. It has slept in its seat before.
 */
static void a_creator_that_is_out_hides_no_standstill(void)
{
	static const uint32_t workers[] = { 1, 1 };
	const uint64_t rounds = test_scaled(60);

	pools_begin();
	open_all(2, workers, 0);
	pool_close(at[0]);
	at[0] = pool_open(2, FILCH_POOL_CALLER);
	for (uint64_t n = 0; n < rounds; n++) {
		int64_t id[2], held;

		test_watchdog(100);
		held_runs = false;
		both_inside = both_ended = 0;
		CHECK((held = filch_submit(at[0], hold_for_creator, NULL, NULL)) > 0, "%lld",
			(long long)held);
		while (!held_runs)
			sched_yield();
		CHECK_EQ(filch_wait(at[0], held, NULL, NULL), 0);
		for (uintptr_t i = 0; i < 2; i++)
			CHECK((id[i] = filch_submit(
				       at[i], meet_and_call_the_other, (void *)i, NULL)) > 0,
				"%lld", (long long)id[i]);
		if (n % 2) {
			while (both_inside < 2)
				sched_yield();
			CHECK_EQ(filch_for(at[0], 0, 1, 1, stay_inside, NULL), 0);
		}
		while (both_ended < 2)
			sched_yield();
		for (unsigned i = 0; i < 2; i++) {
			struct filch_completion c;

			CHECK_EQ(filch_wait(at[i], id[i], NULL, &c), 0);
			CHECK_EQ(c.status, 0);
		}
	}
	close_all();
	pools_print();
	CHECK_EQ(pools_sum.jobs_nested, rounds);
}

/* --- workers that have nothing to do ------------------------------------ */

static void until_idle(struct filch_pool *pool, uint64_t n)
{
	while (pool_stats(pool).asleep < n)
		sched_yield();
}

static uint64_t idle_there;
static _Atomic bool is_abroad, is_called;

static void call_on(size_t b, size_t e, void *arg)
{
	is_abroad = true;
	while (!is_called)
		sched_yield();
	until_idle(at[2], idle_there);
	CHECK_EQ(filch_for(at[1], b, e, 1, loop_here, arg), 0);
}

static int call_by_way_of_a_third(void *arg)
{
	return filch_for(at[2], 0, 1, 1, call_on, arg);
}

static int call_straight(void *arg)
{
	while (!is_abroad)
		sched_yield();
	is_called = true;
	return filch_for(at[0], 0, 1, 1, loop_here, arg);
}

/*
 * Two jobs that know nothing of each other, on pools of one worker: one calls the other's pool
 * through a third, the other calls back. In the third some workers sleep.
 */
static void a_worker_with_nothing_to_do_hides_no_standstill(void)
{
	pools_begin();
	for (uint64_t n = test_scaled(12); n--;) {
		const uint32_t workers[] = { 1, 1, 2 + (uint32_t)(n % 3) };
		_Atomic uint64_t bodies = 0;
		struct filch_completion c[2];
		int64_t id[2];

		test_watchdog(100);
		idle_there = workers[2] - 1;
		is_abroad = is_called = false;
		open_all(3, workers, n % 2 ? FILCH_POOL_NO_SEARCH : 0);
		id[0] = filch_submit(at[0], call_by_way_of_a_third, &bodies, NULL);
		id[1] = filch_submit(at[1], call_straight, &bodies, NULL);
		for (unsigned i = 0; i < 2; i++) {
			CHECK_EQ(filch_wait(at[i], id[i], NULL, &c[i]), 0);
			CHECK_EQ(c[i].status, 0);
		}
		CHECK_EQ(bodies, 2);
		close_all();
	}
	pools_print();
	CHECK_EQ(pools_sum.jobs_nested, test_scaled(12));
}

static _Atomic bool inner_runs;

static int call_back_inside(void *arg)
{
	inner_runs = true;
	return filch_for(at[0], 0, 1, 1, loop_here, arg);
}

static bool by_another;

static void wait_at_home(size_t b, size_t e, void *arg)
{
	struct filch_completion c;
	int64_t id = filch_submit(at[1], call_back_inside, arg, NULL);

	(void)b;
	(void)e;
	CHECK(id > 0, "%lld", (long long)id);
	while (by_another && !inner_runs)
		sched_yield();
	CHECK_EQ(filch_wait(at[1], id, NULL, &c), 0);
	CHECK_EQ(c.status, 0);
}

static int call_for_wait_at_home(void *arg)
{
	return filch_for(at[1], 0, 1, 1, wait_at_home, arg);
}

/*
 * The called job waits for one of its own pool, which calls back; that one runs on top of it or on
 * another worker. A job that goes on all the while keeps the pools from a standstill. So the worker
 * that waits must know that it is needed.
 */
static void a_call_from_behind_a_wait_at_home_is_served_at_once(void)
{
	static const uint32_t workers[] = { 1, 3 };

	pools_begin();
	open_all(2, workers, 0);
	for (uint64_t n = test_scaled(12); n--;) {
		_Atomic uint64_t bodies = 0;
		struct filch_completion c;
		int64_t held, id;

		test_watchdog(100);
		held_runs = may_return = inner_runs = false;
		by_another = n % 2;
		CHECK((held = filch_submit(at[1], hold, NULL, NULL)) > 0, "%lld", (long long)held);
		while (!held_runs)
			sched_yield();
		CHECK((id = filch_submit(at[0], call_for_wait_at_home, &bodies, NULL)) > 0, "%lld",
			(long long)id);
		CHECK_EQ(filch_wait(at[0], id, NULL, &c), 0);
		CHECK_EQ(c.status, 0);
		CHECK_EQ(bodies, 1);
		may_return = true;
		CHECK_EQ(filch_wait(at[1], held, NULL, NULL), 0);
	}
	close_all();
	pools_print();
	CHECK(pools_sum.jobs_nested >= test_scaled(12), "each call back runs on top of a wait");
}

/* --- room in a completion queue ----------------------------------------- */

static _Atomic bool has_room_taken;
static _Atomic int late;

static int take_room_and_call_home(void *arg)
{
	has_room_taken = true;
	until_idle(at[0], 1);
	return filch_for(at[0], 0, 1, 1, loop_here, arg);
}

/* The queue has room for one: the second submit waits for the first job, which calls home. */
static int submit_twice(void *arg)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	struct timespec soon;
	int64_t id;

	how.cq = shared;
	CHECK((id = filch_submit(at[1], take_room_and_call_home, arg, &how)) > 0, "%lld",
		(long long)id);
	how.flags = FILCH_JOB_WAIT_CQ;
	CHECK((id = filch_submit(at[1], answer_seven, NULL, &how)) > 0, "%lld", (long long)id);
	how.when_full = FILCH_UNTIL;
	how.deadline = &soon;
	soon = filch_after(2000000);
	late = (int)filch_submit(at[1], answer_seven, NULL, &how);
	return 0;
}

static void a_submit_that_waits_for_room_in_a_completion_queue_is_called_back(void)
{
	pools_begin();
	for (uint64_t n = test_scaled(12); n--;) {
		const uint32_t workers[] = { 1, 1 + (uint32_t)(n % 3) };
		_Atomic uint64_t bodies = 0;
		struct filch_completion c;
		int64_t id;

		test_watchdog(100);
		has_room_taken = false;
		CHECK_EQ(filch_cq_create_with(&shared,
				 &(struct filch_cq_config){ .size = sizeof(struct filch_cq_config),
					 .capacity = 1,
					 .flags = n % 2 ? FILCH_CQ_ORDERED : 0 }),
			0);
		open_all(2, workers, 0);
		CHECK((id = filch_submit(at[0], submit_twice, &bodies, NULL)) > 0, "%lld",
			(long long)id);
		while (!has_room_taken)
			sched_yield();
		CHECK_EQ(filch_cq_wait(shared, &c, 1, NULL), 1);
		CHECK_EQ(c.status, 0);
		CHECK_EQ(bodies, 1);
		CHECK_EQ(filch_wait(at[0], id, NULL, NULL), 0);
		CHECK_EQ(late, -ETIMEDOUT);
		CHECK_EQ(filch_cq_wait(shared, &c, 1, NULL), 1);
		CHECK_EQ(c.status, 7);
		close_all();
		CHECK_EQ(filch_cq_destroy(shared), 0);
	}
	pools_print();
	CHECK_EQ(pools_sum.jobs_nested, test_scaled(12));
}

/* The same, where a guarding pool can run nothing on top: @arg counts what is refused. */
static int take_room_and_call_in_vain(void *arg)
{
	_Atomic uint64_t bodies = 0;
	int error;

	has_room_taken = true;
	until_idle(at[0], 1);
	error = filch_for(at[0], 0, 1, 1, loop_here, &bodies);
	CHECK(!error || error == -EDEADLK, "%d", error);
	*(_Atomic int *)arg += error != 0;
	CHECK_EQ(bodies, !error);
	return 8;
}

static int submit_in_vain(void *arg)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	int64_t id;

	how.cq = shared;
	CHECK((id = filch_submit(at[1], take_room_and_call_in_vain, arg, &how)) > 0, "%lld",
		(long long)id);
	how.flags = FILCH_JOB_WAIT_CQ;
	id = filch_submit(at[1], answer_seven, NULL, &how);
	CHECK(id > 0 || id == -EDEADLK, "%lld", (long long)id);
	*(_Atomic int *)arg += id < 0;
	return id < 0;
}

static _Atomic bool may_make_room;

static int hold_room(void *unused)
{
	(void)unused;
	while (!may_make_room)
		sched_yield();
	return 9;
}

/*
 * One of the two is refused, if the two pools hold all the room. If another pool's job holds some,
 * both may wait for that. It goes on once they sleep.
 */
static void room_in_a_completion_queue_is_refused_where_nothing_can_make_it(void)
{
	static const uint32_t one[] = { 1, 1, 1 };

	if (!TEST_HAS_GUARDS)
		return;
	for (uint64_t n = test_scaled(12); n--;) {
		const bool other = n % 3 == 2;
		_Atomic int refusals = 0;
		struct filch_submit how = FILCH_SUBMIT_INIT;
		struct filch_completion c, reaped;
		struct timespec past = { .tv_sec = 0 };
		int got = 0, error;
		int64_t id;

		test_watchdog(100);
		has_room_taken = may_make_room = false;
		CHECK_EQ(filch_cq_create_with(&shared,
				 &(struct filch_cq_config){ .size = sizeof(struct filch_cq_config),
					 .capacity = 1 + other,
					 .flags = n % 2 ? FILCH_CQ_ORDERED : 0 }),
			0);
		open_all(3, one, 0);
		pool_close(at[0]);
		at[0] = pool_open(1, FILCH_POOL_GUARD);
		how.cq = shared;
		if (other)
			CHECK((id = filch_submit(at[2], hold_room, NULL, &how)) > 0, "%lld",
				(long long)id);
		CHECK((id = filch_submit(at[0], submit_in_vain, (void *)&refusals, NULL)) > 0,
			"%lld", (long long)id);
		if (other) {
			while (!has_room_taken)
				sched_yield();
			until_idle(at[0], 1);
			until_idle(at[1], 1);
			CHECK_EQ(refusals, 0);
			may_make_room = true;
		}
		while ((error = filch_wait(at[0], id, &past, &c)) == -ETIMEDOUT) {
			got += filch_cq_reap(shared, &reaped, 1);
			sched_yield();
		}
		CHECK_EQ(error, 0);
		for (int want = 2 + other - (c.status != 0); got < want; got++)
			CHECK_EQ(filch_cq_wait(shared, &reaped, 1, NULL), 1);
		CHECK_EQ(refusals, !other);
		close_all();
		CHECK_EQ(filch_cq_destroy(shared), 0);
	}
}

/* --- submits from outside that hold room -------------------------------- */

/*
 * Pool 1's worker waits for a job of pool 0. That one submits, and waits for room that a thread
 * outside holds, in a submit that waits: for room in the queue of pool 1 or 2, or for a credit.
 */
enum held_outside { ROOM_IN_GROUP, A_CREDIT, ROOM_IN_GROUP_FOR_A_CREDIT, OF_A_POOL_AWAKE, SCENES };

static _Atomic pid_t outsider;
static _Atomic int64_t waited_for;
static struct filch_submit by_outsider, by_worker;

static int wait_for_the_submitter(void *unused)
{
	(void)unused;
	held_runs = true;
	while (!waited_for)
		sched_yield();
	CHECK_EQ(filch_wait(at[0], waited_for, NULL, NULL), 0);
	return 0;
}

/* It sleeps in its submit alone. */
static int submit_for_what_is_held(void *unused)
{
	int64_t id;

	(void)unused;
	while (!outsider || !test_thread_sleeps(outsider))
		sched_yield();
	id = filch_submit(at[1], answer_seven, NULL, &by_worker);
	CHECK(id > 0 || id == -EDEADLK, "%lld", (long long)id);
	refused += id < 0;
	return 0;
}

static void *submit_from_outside(void *pool)
{
	outsider = gettid();
	CHECK(filch_submit(pool, answer_seven, NULL, &by_outsider) > 0, "refused");
	return NULL;
}

static void begin_to_hold(struct filch_pool *pool, int (*job)(void *))
{
	held_runs = false;
	CHECK(filch_submit(pool, job, NULL, NULL) > 0, "refused");
	while (!held_runs)
		sched_yield();
}

/* Returns how many completions there will be in the queue. */
static int set_scene(enum held_outside scene)
{
	struct filch_submit fill = FILCH_SUBMIT_INIT;

	by_outsider = by_worker = (struct filch_submit)FILCH_SUBMIT_INIT;
	if (scene == ROOM_IN_GROUP || scene == ROOM_IN_GROUP_FOR_A_CREDIT)
		by_outsider.group = by_worker.group = grouped[1];
	if (scene != ROOM_IN_GROUP) {
		by_outsider.cq = shared;
		by_outsider.flags = FILCH_JOB_WAIT_CQ;
	}
	if (scene == A_CREDIT || scene == OF_A_POOL_AWAKE)
		by_worker = by_outsider;
	if (scene == ROOM_IN_GROUP_FOR_A_CREDIT)
		fill.cq = shared;
	begin_to_hold(at[1], wait_for_the_submitter);
	if (scene == OF_A_POOL_AWAKE)
		begin_to_hold(at[2], hold);
	CHECK(filch_submit(at[scene == OF_A_POOL_AWAKE ? 2 : 1], answer_seven, NULL, &fill) > 0,
		"refused");
	return scene == ROOM_IN_GROUP ? 0 : 1 + (scene >= ROOM_IN_GROUP_FOR_A_CREDIT);
}

static void submit_behind_a_thread_outside(enum held_outside scene)
{
	static const struct filch_group_config one = { .size = sizeof one, .unfinished_max = 1 };
	struct filch_completion c;
	pthread_t thread;
	int64_t id;
	int there;

	pools = 3;
	waited_for = 0;
	outsider = 0;
	may_return = false;
	refused = 0;
	for (unsigned i = 0; i < pools; i++)
		at[i] = pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
			.workers = 1,
			.queue_capacity = i == 2 || scene < ROOM_IN_GROUP_FOR_A_CREDIT ? 1 : 8 });
	CHECK_EQ(filch_group_create(&grouped[1], at[1], &one), 0);
	CHECK_EQ(filch_cq_create(&shared, 1), 0);
	there = set_scene(scene);
	CHECK_EQ(pthread_create(
			 &thread, NULL, submit_from_outside, at[scene == OF_A_POOL_AWAKE ? 2 : 1]),
		0);
	id = filch_submit(at[0], submit_for_what_is_held, NULL, NULL);
	CHECK(id > 0, "%lld", (long long)id);
	waited_for = id;
	if (scene == OF_A_POOL_AWAKE) {
		until_idle(at[0], 1);
		until_idle(at[1], 1);
		CHECK_EQ(refused, 0);
		may_return = true;
	}
	while (there--)
		CHECK_EQ(filch_cq_wait(shared, &c, 1, NULL), 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	for (unsigned i = 0; i < 2 * pools; i++)
		CHECK_EQ(filch_pool_drain(at[i % pools], NULL), 0);
	CHECK_EQ(refused, scene != OF_A_POOL_AWAKE);
	CHECK_EQ(filch_group_wait(grouped[1], NULL), 0);
	CHECK_EQ(filch_group_destroy(grouped[1]), 0);
	close_all();
	CHECK_EQ(filch_cq_destroy(shared), 0);
}

static void what_a_thread_outside_holds_in_a_submit_hides_no_standstill(void)
{
	for (unsigned n = 0; n < SCENES * test_scaled(12); n++) {
		test_watchdog(100);
		submit_behind_a_thread_outside(n % SCENES);
	}
}

/* --- times -------------------------------------------------------------- */

static _Atomic unsigned before_time; /* waits that began before the time had come */
static struct timespec finish_by;

static struct filch_submit by_then(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	finish_by = filch_after(UINT64_C(10000000));
	how.finish_by = &finish_by;
	return how;
}

static void before_it_comes(void)
{
	const struct timespec now = filch_after(0);

	until_idle(at[0], 1);
	before_time += now.tv_sec < finish_by.tv_sec ||
		       (now.tv_sec == finish_by.tv_sec && now.tv_nsec < finish_by.tv_nsec);
}

static void ends_late(int64_t id)
{
	struct filch_completion c;

	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(at[0], id, NULL, &c), 0);
	CHECK_EQ(c.status, -ETIMEDOUT);
	CHECK_EQ(c.flags, FILCH_DONE_LATE);
}

/* What nobody starts, and has no time, is refused afterwards. */
static void then_is_refused(int64_t id)
{
	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(at[0], id, NULL, NULL), -EDEADLK);
	CHECK_EQ(filch_cancel(at[0], id), 0);
	CHECK_EQ(filch_wait(at[0], id, NULL, NULL), 0);
}

static void wait_for_late_one(void)
{
	const struct filch_submit how = by_then();
	int64_t id = filch_submit(at[0], answer_seven, NULL, &how);

	before_it_comes();
	ends_late(id);
}

/* It comes after one that has no time, and that nobody runs. */
static void wait_for_late_follower(void)
{
	struct filch_submit how = by_then();
	int64_t first = filch_submit(at[0], answer_seven, NULL, NULL), id;

	CHECK(first > 0, "%lld", (long long)first);
	how.after = &first;
	how.after_count = 1;
	id = filch_submit(at[0], answer_seven, NULL, &how);
	before_it_comes();
	ends_late(id);
	then_is_refused(first);
}

/* It comes after one that ends late, and is queued then. */
static void wait_for_one_after_late(void)
{
	struct filch_submit how = by_then(), after = FILCH_SUBMIT_INIT;
	int64_t first, id;

	how.flags = FILCH_JOB_DETACHED;
	CHECK((first = filch_submit(at[0], answer_seven, NULL, &how)) > 0, "%lld",
		(long long)first);
	after.after = &first;
	after.after_count = 1;
	id = filch_submit(at[0], answer_seven, NULL, &after);
	before_it_comes();
	then_is_refused(id);
	CHECK_EQ(filch_cancel(at[0], first), -ESRCH); /* it was over by then */
}

static void wait_for_room_of_late(void)
{
	struct filch_submit how = by_then();

	how.flags = FILCH_JOB_DETACHED;
	CHECK(filch_submit(at[0], answer_seven, NULL, &how) > 0, "refused");
	before_it_comes();
	then_is_refused(filch_submit(at[0], answer_seven, NULL, NULL));
}

static void wait_for_room_in_group_of_late(void)
{
	struct filch_submit how = by_then();

	how.flags = FILCH_JOB_DETACHED;
	how.group = grouped[0];
	CHECK(filch_submit(at[0], answer_seven, NULL, &how) > 0, "refused");
	before_it_comes();
	how = (struct filch_submit)FILCH_SUBMIT_INIT;
	how.group = grouped[0];
	then_is_refused(filch_submit(at[0], answer_seven, NULL, &how));
}

static void wait_for_credit_of_late(void)
{
	struct filch_submit how = by_then();

	how.cq = shared;
	CHECK(filch_submit(at[0], answer_seven, NULL, &how) > 0, "refused");
	before_it_comes();
	how = (struct filch_submit)FILCH_SUBMIT_INIT;
	how.cq = shared;
	how.flags = FILCH_JOB_WAIT_CQ;
	CHECK(filch_submit(at[0], answer_seven, NULL, &how) > 0, "refused");
}

static int wait_for_what_is_late(void *wait)
{
	(*(void (**)(void))wait)();
	return 0;
}

/* Its pool, which runs nothing on top of a wait, is called back. */
static int call_what_waits_for_late(void *wait)
{
	int64_t id = filch_submit(at[1], wait_for_what_is_late, wait, NULL);

	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(at[1], id, NULL, NULL), 0);
	return 0;
}

/*
 * All workers of both pools wait, and a job that is queued or waits has a time: nothing is refused
 * before that. What has none is refused then.
 */
static void a_standstill_that_a_finish_by_will_end_is_not_refused(void)
{
#if defined(__x86_64__)
	static void (*const waits[])(void) = { wait_for_late_one, wait_for_late_follower,
		wait_for_one_after_late, wait_for_room_of_late, wait_for_room_in_group_of_late,
		wait_for_credit_of_late };
	const unsigned ways = sizeof waits / sizeof waits[0];

	before_time = 0;
	for (unsigned n = 0; n < ways * test_scaled(8); n++) {
		void (*wait)(void) = waits[n % ways];
		struct filch_completion c;
		int64_t id;

		test_watchdog(100);
		pools = 2;
		at[0] = pool_open_with(&(struct filch_config){ .size = sizeof(struct filch_config),
			.workers = 1,
			.flags = FILCH_POOL_GUARD,
			.queue_capacity = wait == wait_for_room_of_late ? 1 : 8 });
		at[1] = pool_open(1, 0);
		CHECK_EQ(filch_cq_create(&shared, 1), 0);
		CHECK_EQ(filch_group_create(&grouped[0], at[0],
				 &(struct filch_group_config){
					 .size = sizeof(struct filch_group_config),
					 .unfinished_max = 1 }),
			0);
		CHECK((id = filch_submit(at[0], call_what_waits_for_late, (void *)&wait, NULL)) > 0,
			"%lld", (long long)id);
		for (unsigned i = 0; i < 2 && wait == wait_for_credit_of_late; i++) {
			CHECK_EQ(filch_cq_wait(shared, &c, 1, NULL), 1);
			CHECK_EQ(c.status, i ? 7 : -ETIMEDOUT);
		}
		CHECK_EQ(filch_wait(at[0], id, NULL, &c), 0);
		CHECK_EQ(c.status, 0);
		CHECK_EQ(filch_group_wait(grouped[0], NULL), 0);
		CHECK_EQ(filch_group_destroy(grouped[0]), 0);
		CHECK_EQ(filch_cq_destroy(shared), 0);
		close_all();
	}
	printf("    %u waits began in time\n", before_time);
	CHECK(before_time, "the case claims to cover waits that begin before the time");
#endif
}

static _Atomic bool waits_for_all;

static int drain_the_other(void *arg)
{
	(void)arg;
	waits_for_all = true;
	CHECK_EQ(filch_pool_drain(at[1], NULL), 0);
	return 0;
}

static int end_the_other(void *arg)
{
	(void)arg;
	waits_for_all = true;
	CHECK_EQ(filch_pool_destroy(at[1]), 0);
	return 0;
}

static int call_home(void *arg)
{
	while (!waits_for_all)
		sched_yield();
	loop_there(0, 1, arg);
	return 0;
}

/* Jobs that nobody waits for call back into the pool whose one worker waits for them all. */
static void a_pool_is_drained_and_ended_by_the_pool_that_it_calls(void)
{
	static const uint32_t workers[] = { 1, 1 };
	static const struct filch_submit detached = { .size = sizeof detached,
		.flags = FILCH_JOB_DETACHED };

	pools_begin();
	for (uint64_t n = test_scaled(8); n--;) {
		_Atomic uint64_t bodies = 0;

		test_watchdog(100);
		open_all(2, workers, 0);
		waits_for_all = false;
		for (unsigned i = 0; i < 5; i++)
			CHECK(filch_submit(at[1], call_home, &bodies, &detached) > 0, "refused");
		CHECK(filch_submit(at[0], drain_the_other, NULL, &detached) > 0, "refused");
		CHECK_EQ(filch_pool_drain(at[0], NULL), 0);
		CHECK_EQ(bodies, 40);
		waits_for_all = false;
		CHECK(filch_submit(at[1], call_home, &bodies, &detached) > 0, "refused");
		CHECK(filch_submit(at[0], end_the_other, NULL, &detached) > 0, "refused");
		CHECK_EQ(filch_pool_drain(at[0], NULL), 0);
		CHECK(bodies == 48 || bodies == 40, "%llu", (unsigned long long)bodies);
		pool_close(at[0]);
	}
	pools_print();
	POOLS_COVER(jobs_nested);
}

static _Atomic unsigned told;

static void tell(const struct filch_completion *completion)
{
	(void)completion;
	told++;
}

static int start_and_hold(void *unused)
{
	held_runs = true;
	return hold(unused);
}

static void submit_drain(size_t b, size_t e, void *id)
{
	(void)b;
	(void)e;
	*(int64_t *)id = filch_submit(at[0], drain_the_other, NULL, NULL);
	CHECK(*(int64_t *)id > 0, "%lld", (long long)*(int64_t *)id);
}

static void drain_and_hold(size_t b, size_t e, void *id)
{
	submit_drain(b, e, id);
	(void)start_and_hold(NULL);
}

static void *let_go_when_the_other_sleeps(void *unused)
{
	(void)unused;
	while (!held_runs || !pool_stats(at[0]).asleep)
		sched_yield();
	may_return = true;
	return NULL;
}

/* However the last job of a pool ends, the worker of another that drains it is woken. */
static void a_drain_by_another_pool_is_woken_by_any_end(void)
{
	static const uint32_t workers[] = { 1, 1 };
	struct filch_cq *cq;

	CHECK_EQ(filch_cq_create(&cq, 16), 0);
	open_all(2, workers, 0);
	pool_close(at[1]);
	at[1] = pool_open(2, FILCH_POOL_CALLER);
	told = 0;
	for (unsigned n = 0; n < 4 * test_scaled(8); n++) {
		struct filch_submit how = FILCH_SUBMIT_INIT;
		pthread_t thread;
		int64_t id;

		test_watchdog(100);
		held_runs = may_return = false;
		if (n % 4 == 1)
			how.on_complete = tell;
		else if (n % 4 == 2)
			how.cq = cq;
		else
			how.flags = FILCH_JOB_DETACHED;
		if (n % 4)
			CHECK(filch_submit(at[1], start_and_hold, NULL, &how) > 0, "refused");
		CHECK_EQ(pthread_create(&thread, NULL, let_go_when_the_other_sleeps, NULL), 0);
		/* the creator's own job passes through no queue */
		if (n % 4)
			submit_drain(0, 0, &id);
		else
			CHECK_EQ(filch_for(at[1], 0, 1, 1, drain_and_hold, &id), 0);
		CHECK_EQ(filch_wait(at[0], id, NULL, NULL), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		if (n % 4 == 2) {
			struct filch_completion c;

			CHECK_EQ(filch_cq_reap(cq, &c, 1), 1);
		}
	}
	CHECK_EQ(told, test_scaled(8));
	close_all();
	CHECK_EQ(filch_cq_destroy(cq), 0);
}

int main(void)
{
	test_watchdog(100);
	(void)test_seed();
	test_case("there and back, at any depth", there_and_back_at_any_depth);
	test_case("three pools in a ring", three_pools_in_a_ring);
	test_case("entered from all sides at once", entered_from_all_sides_at_once);
	test_case("a lock held over a call is left alone while the call goes on",
		a_lock_held_over_a_call_is_left_alone_while_the_call_goes_on);
	test_case("a recursion without end is refused", a_recursion_without_end_is_refused);
	test_case("a guarding pool is called back only on a free worker",
		a_guarding_pool_is_called_back_only_on_a_free_worker);
	test_case("a circle of waits is refused", a_circle_of_waits_is_refused);
	test_case("full queues on both sides are refused or served",
		full_queues_on_both_sides_are_refused_or_served);
	test_case("room goes to those that wait for it topmost",
		room_goes_to_those_that_wait_for_it_topmost);
	test_case("shares call other pools from on top of waits",
		shares_call_other_pools_from_on_top_of_waits);
	test_case("room that jobs of all pools hold comes or is refused",
		room_that_jobs_of_all_pools_hold_comes_or_is_refused);
	test_case(
		"a deadline ends a wait for another pool", a_deadline_ends_a_wait_for_another_pool);
	test_case("a cancelled job leaves its calls whole", a_cancelled_job_leaves_its_calls_whole);
	test_case("a job on top may leave the thread", a_job_on_top_may_leave_the_thread);
	test_case("the creator of a pool is called back", the_creator_of_a_pool_is_called_back);
	test_case("a creator that is out hides no standstill",
		a_creator_that_is_out_hides_no_standstill);
	test_case("a worker with nothing to do hides no standstill",
		a_worker_with_nothing_to_do_hides_no_standstill);
	test_case("a call from behind a wait at home is served at once",
		a_call_from_behind_a_wait_at_home_is_served_at_once);
	test_case("a submit that waits for room in a completion queue is called back",
		a_submit_that_waits_for_room_in_a_completion_queue_is_called_back);
	test_case("room in a completion queue is refused where nothing can make it",
		room_in_a_completion_queue_is_refused_where_nothing_can_make_it);
	test_case("a standstill that a finish by will end is not refused",
		a_standstill_that_a_finish_by_will_end_is_not_refused);
	test_case("what a thread outside holds in a submit hides no standstill",
		what_a_thread_outside_holds_in_a_submit_hides_no_standstill);
	test_case("a drain by another pool is woken by any end",
		a_drain_by_another_pool_is_woken_by_any_end);
	test_case("a pool is drained and ended by the pool that it calls",
		a_pool_is_drained_and_ended_by_the_pool_that_it_calls);
	return test_finish("mutual");
}
