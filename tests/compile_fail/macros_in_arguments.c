/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No mistake: every macro as an argument of every other, and beside one in an expression. Compilers
 * evaluate in any order, and a sync or a spawn in an argument moves the index of the next push.
 *
 * Each nesting has two tasks to count: the one that the inner macro is for, and one that the called
 * task spawns and does not sync before a thief has begun it. A thief takes the oldest first. So
 * where the index is one too high it runs the inner task once more; where it is one too low that
 * task is lost.
 *
 * silent: runs
 */
#include <sched.h>
#include <stdio.h>

#include <filch/filch.h>

/* What one run of a nesting has counted. */
struct round {
	int leaves, begun;
	int home, leaf_at; /* the workers that ran the nesting, and the inner task */
};

/* The task that the inner macro is for. */
FILCH_TASK(long, leaf, (struct round *, at))
{
	at->leaf_at = filch_worker_id();
	__atomic_fetch_add(&at->leaves, 1, __ATOMIC_ACQ_REL);
	return 1;
}

FILCH_VOID_TASK(begin, (struct round *, at))
{
	__atomic_fetch_add(&at->begun, 1, __ATOMIC_ACQ_REL);
}

/* The task that the outer macro is for. */
FILCH_TASK(long, three, (struct round *, at), (long, more), (long, one))
{
	FILCH_SPAWN(stolen, begin, at);
	while (!__atomic_load_n(&at->begun, __ATOMIC_ACQUIRE))
		sched_yield();
	FILCH_SYNC(stolen);
	return more + one;
}

FILCH_TASK(long, two, (struct round *, at), (long, one))
{
	return FILCH_CALL(three, at, 0, one);
}

static struct round *the_round;

FILCH_TASK(long, single, (long, one))
{
	return FILCH_CALL(three, the_round, 0, one);
}

static inline void add(long *sum, long more)
{
	*sum += more;
}

/* An inner macro: what precedes the outer one, the argument, which is 1, and what follows. */
#define BEFORE_SYNC FILCH_SPAWN(a, leaf, at);
#define GIVE_SYNC   FILCH_SYNC(a)
#define AFTER_SYNC
#define OWNER_SYNC true

/* Where the outer macro comes first, a thief takes the task that is synced beside it. */
#define BEFORE_BESIDE BEFORE_SYNC
#define GIVE_BESIDE   GIVE_SYNC
#define AFTER_BESIDE
#define OWNER_BESIDE false

#define BEFORE_SYNC_FROM     \
	FILCH_FRAME(leaf) f; \
	FILCH_SPAWN_INTO(&f, leaf, at);
#define GIVE_SYNC_FROM FILCH_SYNC_FROM(leaf, &f)
#define AFTER_SYNC_FROM
#define OWNER_SYNC_FROM true

#define BEFORE_SYNC_CHILDREN        \
	FILCH_CHILDREN(kids, leaf); \
	FILCH_SPAWN_CHILD(&kids, at);
#define GIVE_SYNC_CHILDREN (FILCH_SYNC_CHILDREN(&kids), 1L)
#define AFTER_SYNC_CHILDREN
#define OWNER_SYNC_CHILDREN true

#define BEFORE_SPAWN_INTO FILCH_FRAME(leaf) f;
#define GIVE_SPAWN_INTO   (FILCH_SPAWN_INTO(&f, leaf, at), 1L)
#define AFTER_SPAWN_INTO  FILCH_SYNC_FROM(leaf, &f);
#define OWNER_SPAWN_INTO  false

#define BEFORE_SPAWN_CHILD FILCH_CHILDREN(kids, leaf);
#define GIVE_SPAWN_CHILD   (FILCH_SPAWN_CHILD(&kids, at), 1L)
#define AFTER_SPAWN_CHILD  FILCH_SYNC_CHILDREN(&kids);
#define OWNER_SPAWN_CHILD  false

#define BEFORE_CALL
#define GIVE_CALL FILCH_CALL(leaf, at)
#define AFTER_CALL
#define OWNER_CALL false

#define BEFORE_SCOPE
#define GIVE_SCOPE FILCH_SCOPE(NULL, leaf, at)
#define AFTER_SCOPE
#define OWNER_SCOPE false

#define BEFORE_RUN
#define GIVE_RUN (FILCH_RUN(NULL, NULL, leaf, at) + 1L)
#define AFTER_RUN
#define OWNER_RUN false

/* An outer macro with the argument @e. Each adds that to @sum. */
#define WITH_CALL(e)  sum += FILCH_CALL(two, at, e);
#define WITH_SCOPE(e) sum += FILCH_SCOPE(NULL, two, at, e);
#define WITH_SPAWN(e)               \
	FILCH_SPAWN(b, two, at, e); \
	sum += FILCH_SYNC(b);
#define WITH_SPAWN_INTO(e)                \
	FILCH_FRAME(two) g;               \
	FILCH_SPAWN_INTO(&g, two, at, e); \
	sum += FILCH_SYNC_FROM(two, &g);
#define WITH_SPAWN_CHILD(e)                        \
	FILCH_CHILDREN_FOLD(more, two, add, &sum); \
	FILCH_SPAWN_CHILD(&more, at, e);           \
	FILCH_SYNC_CHILDREN(&more);
#define WITH_RUN(e)                            \
	if (FILCH_RUN(NULL, &sum, two, at, e)) \
		sum = -1;

/* The same with one and with three arguments, and side by side. */
#define WITH_CALL_1(e)  sum += FILCH_CALL(single, e);
#define WITH_CALL_3(e)  sum += FILCH_CALL(three, at, 0, e);
#define WITH_SCOPE_1(e) sum += FILCH_SCOPE(NULL, single, e);
#define WITH_SCOPE_3(e) sum += FILCH_SCOPE(NULL, three, at, 0, e);
#define WITH_SPAWN_CHILD_1(e)                         \
	FILCH_CHILDREN_FOLD(more, single, add, &sum); \
	FILCH_SPAWN_CHILD(&more, e);                  \
	FILCH_SYNC_CHILDREN(&more);
#define WITH_SPAWN_CHILD_3(e)                        \
	FILCH_CHILDREN_FOLD(more, three, add, &sum); \
	FILCH_SPAWN_CHILD(&more, at, 0, e);          \
	FILCH_SYNC_CHILDREN(&more);
#define WITH_SYNC_PLUS_CALL(e)  sum += e + FILCH_CALL(two, at, 0);
#define WITH_CALL_PLUS_SYNC(e)  sum += FILCH_CALL(two, at, 0) + e;
#define WITH_SYNC_PLUS_SCOPE(e) sum += e + FILCH_SCOPE(NULL, two, at, 0);
#define WITH_SCOPE_PLUS_SYNC(e) sum += FILCH_SCOPE(NULL, two, at, 0) + e;

#define EACH_INNER(m, outer)                                                            \
	m(outer, SYNC) m(outer, SYNC_FROM) m(outer, SYNC_CHILDREN) m(outer, SPAWN_INTO) \
		m(outer, SPAWN_CHILD) m(outer, CALL) m(outer, SCOPE) m(outer, RUN)
#define EACH(m)                                                                                  \
	EACH_INNER(m, CALL)                                                                      \
	EACH_INNER(m, SCOPE)                                                                     \
	EACH_INNER(m, SPAWN)                                                                     \
	EACH_INNER(m, SPAWN_INTO)                                                                \
	EACH_INNER(m, SPAWN_CHILD)                                                               \
	EACH_INNER(m, RUN)                                                                       \
	m(CALL_1, SYNC) m(CALL_3, SYNC) m(SCOPE_1, SYNC) m(SCOPE_3, SYNC) m(SPAWN_CHILD_1, SYNC) \
		m(SPAWN_CHILD_3, SYNC) m(SYNC_PLUS_CALL, BESIDE) m(CALL_PLUS_SYNC, BESIDE)       \
			m(SYNC_PLUS_SCOPE, BESIDE) m(SCOPE_PLUS_SYNC, BESIDE)

#define NESTING(outer, inner)                                                                     \
	FILCH_TASK(long, outer##_of_##inner, (struct round *, at))                                \
	{                                                                                         \
		long sum = 0;                                                                     \
		at->home = filch_worker_id();                                                     \
		BEFORE_##inner WITH_##outer(GIVE_##inner) AFTER_##inner return sum;               \
	}                                                                                         \
	static int run_##outer##_of_##inner(struct filch_pool *pool, long *sum, struct round *at) \
	{                                                                                         \
		return FILCH_RUN(pool, sum, outer##_of_##inner, at);                              \
	}
EACH(NESTING)

#define ENTRY(outer, inner) { #outer " of " #inner, run_##outer##_of_##inner, OWNER_##inner },
static const struct nesting {
	const char *name;
	int (*run)(struct filch_pool *pool, long *sum, struct round *at);
	bool by_owner; /* only a sync by the owner moves the index */
} nesting[] = { EACH(ENTRY) };
#define NESTINGS ((int)(sizeof nesting / sizeof nesting[0]))

int main(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_pool *pool;

	config.workers = 2;
	config.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_NO_PIN;
	if (filch_pool_create(&pool, &config))
		return 1;
	for (int i = 0; i < NESTINGS; i++) {
		for (int covered = 0; covered < 3;) {
			struct round at = { 0, 0, 0, 0 };
			long sum = 0;
			int error;

			the_round = &at;
			error = nesting[i].run(pool, &sum, &at);
			if (error || sum != 1 || at.leaves != 1 || at.begun != 1) {
				printf("%s: error %d, result %ld, ran %d and %d times\n",
					nesting[i].name, error, sum, at.leaves, at.begun);
				return 1;
			}
			covered += !nesting[i].by_owner || at.leaf_at == at.home;
		}
	}
	return filch_pool_destroy(pool) ? 1 : 0;
}
