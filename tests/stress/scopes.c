/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scopes: while a frame waits inside a scope, nothing from outside runs on top of it. Every thread
 * notes the innermost scope it is in, and every body and task looks at that note. Locks are held
 * over scopes, and scratch memory by slot is left half changed over them, on 4 and 32 workers: no
 * thread asks for a lock that it holds, and no scratch is overwritten. The same program without
 * scopes overwrites some: the look sees what it is for. Trees of scopes, loops, tasks and jobs in
 * any order, by a ledger. Scopes that many bodies cancel at once: the first status is the result,
 * and the work outside goes on.
 *
 * timeout: 300
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ledger.h"
#include "pools.h"

static struct filch_pool *pool;

/*
 * On a busy machine several workers are rarely at work at once, and a thief holds its piece for a
 * while only if it lets others run meanwhile. So bodies yield where what a case claims was not met.
 */
static _Atomic bool yields;

static void yield_at(size_t body)
{
	if (yields && body % 8 == 0)
		sched_yield();
}

static void spin(uint64_t rounds)
{
	for (volatile uint64_t i = 0; i < rounds; i++)
		;
}

/* On few cores thieves come where a thread makes way. */
static void look_elsewhere(uint64_t dice)
{
	spin(dice % 300);
	yield_at(dice % 64);
	if (dice % 64 == 0)
		sched_yield();
}

/* --- what a thread is in ------------------------------------------------ */

enum { WORKERS_MAX = 32 };

/* A scope, or the outermost level of a job. */
struct note {
	const struct note *outer;
	struct inside *inside; /* NULL: no scope */
};

/* What is kept for each slot of a scope. */
struct inside {
	unsigned slots;
	_Atomic uint32_t scratch[WORKERS_MAX]; /* 1: half changed */
	_Atomic uintptr_t by[WORKERS_MAX];     /* the thread that has it */
};

static _Thread_local const struct note *around;
static _Atomic uint64_t on_top;  /* bodies that began on top of a frame inside a scope */
static _Atomic uint64_t crowded; /* that began in a scope of limited width, by a thief */

struct entry {
	const struct note *before;
	_Atomic uintptr_t *by; /* the slot that is free again at the end */
};

/* The slot of this thread in @note's scope is its own, and no other thread's. */
static _Atomic uintptr_t *take_slot(const struct note *note)
{
	const uintptr_t me = (uintptr_t)&around;
	int slot = filch_scope_slot();
	uintptr_t free = 0;

	CHECK(slot >= 0 && (unsigned)slot < note->inside->slots, "slot %d of %u", slot,
		note->inside->slots);
	if (atomic_compare_exchange_strong(&note->inside->by[slot], &free, me)) {
		if (slot &&
			note->inside->slots < (unsigned)filch_pool_workers(filch_pool_current()))
			atomic_fetch_add_explicit(&crowded, 1, memory_order_relaxed);
		return &note->inside->by[slot];
	}
	CHECK(free == me, "two threads have slot %d of a scope", slot);
	return NULL;
}

/* A body or task of @note's level begins. Returns what is for leave(). */
static struct entry enter(const struct note *note)
{
	struct entry entry = { around, NULL };
	const struct note *n = note;

	while (n && n != around)
		n = n->outer;
	CHECK(!around || n, "work from outside began on a frame that waits inside a scope");
	if (around && around->outer)
		atomic_fetch_add_explicit(&on_top, 1, memory_order_relaxed);
	around = note;
	if (note->inside)
		entry.by = take_slot(note);
	return entry;
}

static void leave(struct entry entry)
{
	around = entry.before;
	if (entry.by)
		atomic_store(entry.by, 0);
}

/* --- a lock over a loop ------------------------------------------------- */

static pthread_mutex_t lock;
static _Atomic uint64_t helped; /* inner bodies that another than the holder has run */

struct held {
	struct note note;
	pthread_t by;
};

static void inner(size_t b, size_t e, void *arg)
{
	struct held *held = arg;
	struct entry before = enter(&held->note);

	if (!pthread_equal(held->by, pthread_self()))
		helped++;
	spin((e - b) * 200);
	yield_at(b);
	leave(before);
}

static int inner_loop(void *arg)
{
	struct held *held = arg;
	struct entry before = enter(&held->note);
	int error = filch_for(NULL, 0, 64, 1, inner, held);

	leave(before);
	return error;
}

static int inner_wait(void *arg)
{
	struct held *held = arg;
	struct entry before = enter(&held->note);
	int64_t id = filch_submit(filch_pool_current(), inner_loop, arg, NULL);
	struct filch_completion c;

	CHECK(id > 0, "%d", (int)id);
	CHECK_EQ(filch_wait(filch_pool_current(), id, NULL, &c), 0);
	leave(before);
	return c.status;
}

/* Holds an ordinary lock over an inner loop. The lock tells a thread that holds it already. */
static void outer(size_t b, size_t e, void *arg)
{
	const struct note *root = arg;
	struct entry before = enter(root);

	for (; b < e; b++) {
		struct held held = { { root, NULL }, pthread_self() };

		CHECK_EQ(pthread_mutex_lock(&lock), 0);
		CHECK_EQ(filch_scope(NULL, NULL, b % 4 ? inner_loop : inner_wait, &held), 0);
		CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	}
	leave(before);
}

static void locks_on(uint32_t workers, uint64_t n)
{
	static const struct note root;
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	CHECK_EQ(pthread_mutex_init(&lock, &attributes), 0);
	pools_begin();
	helped = on_top = 0;
	for (uint64_t round = 0;
		round < n || (!(pools_sum.barred && helped && on_top) && round < 100 * n);) {
		test_watchdog(120);
		yields = round >= n;
		pool = pool_open(workers, 0);
		for (int i = 0; i < 20; i++, round++)
			CHECK_EQ(filch_for(pool, 0, 64, 1, outer, (void *)(uintptr_t)&root), 0);
		pool_close(pool);
	}
	yields = false;
	pools_print();
	printf("    inner bodies by others than the holder %llu, on top of a scope %llu\n",
		(unsigned long long)helped, (unsigned long long)on_top);
	CHECK(helped && on_top, "no inner loop was helped with");
	POOLS_COVER(barred); /* there is one job at a time: what is barred is barred by a scope */
	pthread_mutex_destroy(&lock);
	pthread_mutexattr_destroy(&attributes);
}

static void a_lock_may_be_held_over_a_scope(void)
{
	locks_on(4, test_scaled(400));
	locks_on(32, test_scaled(200));
}

/* --- scratch memory over a loop ----------------------------------------- */

static struct {
	_Alignas(128) _Atomic uint64_t value;
} scratch[WORKERS_MAX];
static _Atomic uint64_t overwritten, items;

static void nothing(size_t b, size_t e, void *arg)
{
	(void)arg;
	spin((e - b) * 100);
	yield_at(b);
}

static int short_loop(void *arg)
{
	return filch_for(NULL, 0, 64, 1, nothing, arg);
}

/* Leaves its worker's element half changed over an inner loop, in a scope if @arg says so. */
static void with_scratch(size_t b, size_t e, void *arg)
{
	const bool scoped = arg != NULL;

	for (; b < e; b++) {
		int slot = scoped ? filch_scope_slot() : filch_worker_id();

		CHECK(slot >= 0 && slot < filch_pool_workers(pool), "slot %d", slot);
		scratch[slot].value = b + 1;
		CHECK_EQ(scoped ? filch_scope(NULL, NULL, short_loop, NULL) : short_loop(NULL), 0);
		if (scratch[slot].value != b + 1)
			overwritten++;
		if (scoped)
			CHECK_EQ(filch_scope_slot(), slot);
		items++;
	}
}

static int scoped_loop(void *arg)
{
	return filch_for(NULL, 0, 2000, 1, with_scratch, arg);
}

static void scratch_on(uint32_t workers, uint64_t n)
{
	uint64_t seen = 0, rounds = 0;

	pools_begin();
	overwritten = items = 0;
	pool = pool_open(workers, 0);
	for (; rounds < n; rounds++) {
		test_watchdog(120);
		CHECK_EQ(filch_scope(pool, NULL, scoped_loop, &seen), 0);
	}
	CHECK_EQ(overwritten, 0);
	CHECK_EQ(items, 2000 * n);
	/* what the scopes are for: without them it happens */
	yields = true;
	for (rounds = 0; !overwritten && rounds < 20000; rounds++) {
		test_watchdog(120);
		CHECK_EQ(filch_for(pool, 0, 2000, 1, with_scratch, NULL), 0);
	}
	yields = false;
	seen = overwritten;
	pool_close(pool);
	pools_print();
	printf("    without scopes %llu overwritten after %llu loops\n", (unsigned long long)seen,
		(unsigned long long)rounds);
	POOLS_COVER(steals);
	CHECK(seen, "nothing was overwritten without scopes: nothing was shown");
}

static void scratch_by_slot_is_not_overwritten(void)
{
	scratch_on(4, test_scaled(30));
	scratch_on(32, test_scaled(30));
}

/* --- trees of scopes ---------------------------------------------------- */

enum { PIECE = 4000 };
static struct ledger ledger;
static _Atomic uint64_t scopes, held_scratch, waited;

/* A range of ids that one piece of work is to enter, and how. */
struct part {
	const struct note *note;
	uint64_t first, rng, n;
	unsigned depth;
};

static void part_body(size_t b, size_t e, void *arg);
static void go_into(const struct part *part);

static int part_in_job(void *arg)
{
	const struct part *part = arg;
	struct entry before = enter(part->note);

	part_body(0, part->n, arg);
	leave(before);
	return (int)(part->first % 1000);
}

FILCH_VOID_TASK(part_as_task, (const struct part *, part), (uint64_t, b), (uint64_t, e))
{
	struct entry before = enter(part->note);

	if (e - b > 7) {
		FILCH_SPAWN(right, part_as_task, part, b + (e - b) / 2, e);
		FILCH_CALL(part_as_task, part, b, b + (e - b) / 2);
		FILCH_SYNC(right);
	} else {
		for (; b < e; b++)
			ledger_enter(&ledger, part->first + b);
		look_elsewhere(part->rng + b);
	}
	leave(before);
}

FILCH_VOID_TASK(part_in_scope, (const struct part *, part))
{
	int status = 1;

	FILCH_SCOPE(&status, part_as_task, part, 0, part->n);
	CHECK_EQ(status, 0);
}

static void part_body(size_t b, size_t e, void *arg)
{
	const struct part *part = arg;
	struct entry before = enter(part->note);
	uint64_t rng = part->rng + b;

	if (part->depth && test_random(&rng) % 4 == 0) {
		go_into(&(struct part){ part->note, part->first + b, rng, e - b, part->depth - 1 });
	} else {
		for (size_t i = b; i < e; i++)
			ledger_enter(&ledger, part->first + i);
		look_elsewhere(rng);
	}
	leave(before);
}

static int part_loop(void *arg)
{
	struct part *part = arg;
	struct entry before = enter(part->note);
	uint64_t rng = part->rng;

	CHECK_EQ(filch_for(NULL, 0, part->n, test_random(&rng) % 30, part_body, part), 0);
	leave(before);
	return (int)(part->first % 1000);
}

/* The part in a scope, with the scratch of this worker's slot held over it. */
static void into_scope(const struct part *part, uint64_t dice)
{
	struct filch_scope_config config = FILCH_SCOPE_INIT;
	_Atomic uint32_t *mine = NULL;
	struct inside inside = { .slots = (unsigned)filch_pool_workers(filch_pool_current()) };
	const struct note note = { part->note, &inside };
	struct part there = *part;
	int slot = filch_scope_slot();

	there.note = &note;
	CHECK_EQ(slot >= 0, part->note->inside != NULL);
	if (slot >= 0) {
		mine = &part->note->inside->scratch[slot];
		CHECK_EQ((*mine)++, 0);
		held_scratch++;
	}
	scopes++;
	config.width = dice / 16 % 2 ? (uint32_t)(dice / 32 % 4) : 0;
	if (dice % 2 && config.width && config.width < inside.slots)
		inside.slots = config.width;
	if (dice % 2)
		CHECK_EQ(filch_scope(NULL, dice / 16 % 2 ? &config : NULL, part_loop, &there),
			there.first % 1000);
	else
		CHECK_EQ(FILCH_RUN(NULL, NULL, part_in_scope, &there), 0);
	CHECK_EQ(filch_scope_slot(), slot);
	if (mine)
		CHECK_EQ(--*mine, 0);
}

static void go_into(const struct part *part)
{
	uint64_t rng = part->rng, dice = test_random(&rng);

	switch (dice % 6) {
	case 0:
	case 1:
	case 2:
		into_scope(part, dice / 8);
		break;
	case 3: {
		const struct note job = { part->note, NULL };
		struct part there = *part;
		struct filch_completion c;
		int64_t id;

		there.note = &job;
		there.rng = rng; /* goes on in another way */
		id = filch_submit(filch_pool_current(), part_in_job, &there, NULL);
		CHECK(id > 0, "%d", (int)id);
		CHECK_EQ(filch_wait(filch_pool_current(), id, NULL, &c), 0);
		CHECK_EQ(c.status, there.first % 1000);
		waited++;
		break;
	}
	default:
		CHECK_EQ(filch_for(NULL, 0, part->n, dice / 8 % 30, part_body,
				 (void *)(uintptr_t)part),
			0);
		break;
	}
}

static uint64_t next_id, ids;

static void *caller(void *arg)
{
	uint64_t rng = test_seed() + (uintptr_t)arg, first;

	while ((first = __atomic_fetch_add(&next_id, PIECE, __ATOMIC_RELAXED)) < ids) {
		const struct note root = { NULL, NULL };
		struct part part = { &root, first, test_random(&rng), PIECE, 4 };

		if (ids - first < PIECE)
			part.n = ids - first;
		if (rng % 2)
			CHECK_EQ(filch_for(pool, 0, part.n, 100, part_body, &part), 0);
		else
			CHECK_EQ(pool_run(pool, part_in_job, &part, 0), part.first % 1000);
	}
	return NULL;
}

static bool trees_covered(uint32_t workers)
{
	return pools_sum.steals && pools_sum.barred && pools_sum.jobs_nested && held_scratch &&
	       waited && on_top && (crowded || workers < 3);
}

static void trees_on(uint32_t workers, uint64_t flags, uint64_t n, unsigned threads)
{
	pthread_t thread[4];

	pools_begin();
	scopes = held_scratch = waited = on_top = crowded = 0;
	for (uint64_t done = 0; done < n || (!trees_covered(workers) && done < 100 * n);
		done += ids) {
		test_watchdog(120);
		yields = done >= n;
		pool = pool_open(workers, flags);
		ids = n < 200000 ? n : 200000;
		next_id = 0;
		ledger_open(&ledger, ids);
		for (uintptr_t i = 0; i < threads; i++)
			CHECK_EQ(pthread_create(&thread[i], NULL, caller, (void *)(i + 1)), 0);
		if (flags & FILCH_POOL_CALLER)
			(void)caller(NULL);
		for (unsigned i = 0; i < threads; i++)
			CHECK_EQ(pthread_join(thread[i], NULL), 0);
		ledger_close(&ledger);
		pool_close(pool);
	}
	yields = false;
	pools_print();
	printf("    scopes %llu, over held scratch %llu, jobs waited for %llu, on top of a scope "
	       "%llu, in a slot of a narrow one %llu\n",
		(unsigned long long)scopes, (unsigned long long)held_scratch,
		(unsigned long long)waited, (unsigned long long)on_top,
		(unsigned long long)crowded);
	POOLS_COVER(steals);
	POOLS_COVER(barred);
	POOLS_COVER(jobs_nested);
	CHECK(held_scratch && waited && on_top && (crowded || workers < 3),
		"a kind of work did not come");
}

static void trees_of_scopes_run_each_id_once(void)
{
	trees_on(2, 0, test_scaled(1000000), 2);
	trees_on(4, FILCH_POOL_CALLER, test_scaled(500000), 1);
	trees_on(4, FILCH_POOL_NO_SEARCH, test_scaled(500000), 2);
	trees_on(32, 0, test_scaled(500000), 3);
}

/* --- cancelled by many -------------------------------------------------- */

static _Atomic uint64_t rivals, ended_early;

struct hunt {
	_Atomic int won;       /* the status that was taken */
	_Atomic uint64_t seen; /* items */
	unsigned every;        /* so many items give a status */
};

static void hunt_body(size_t b, size_t e, void *arg)
{
	struct hunt *hunt = arg;

	for (; b < e; b++) {
		hunt->seen++;
		spin(50);
		if (b % hunt->every != hunt->every - 1)
			continue;
		yield_at(0); /* others find one too */
		int error = filch_scope_cancel((int)b + 1);

		if (!error)
			CHECK_EQ(atomic_exchange(&hunt->won, (int)b + 1), 0);
		else
			CHECK_EQ(error, -EALREADY);
		rivals += error != 0;
		CHECK(filch_cancelled() && !filch_job_cancelled(), "not cancelled, or its job is");
	}
}

static int hunt_loop(void *arg)
{
	return filch_for(NULL, 0, 1000, 1, hunt_body, arg);
}

/* An outer item: each has a scope that ends early or not, and counts. */
static int hunt_item(size_t b, size_t e, void *arg)
{
	for (; b < e; b++) {
		struct hunt hunt = { .every = 1 + (unsigned)(ledger_mix(b) % 1500) };
		int status = filch_scope(NULL, NULL, hunt_loop, &hunt);

		CHECK_EQ(status, hunt.won);
		CHECK((hunt.seen == 1000) >= !status, "%d, %llu items", status,
			(unsigned long long)hunt.seen);
		CHECK(!filch_cancelled(), "the cancellation has left its scope");
		ended_early += hunt.seen < 1000;
		ledger_enter((struct ledger *)arg, b);
	}
	return 0;
}

static void the_first_status_is_the_result_and_the_job_goes_on(void)
{
	const uint64_t n = test_scaled(20000);
	const uint32_t workers[] = { 2, 4, 32 };

	pools_begin();
	rivals = ended_early = 0;
	for (unsigned round = 0; round < 3 || (!rivals && round < 300); round++) {
		struct ledger all;

		test_watchdog(120);
		yields = round >= 3;
		pool = pool_open(workers[round % 3], 0);
		ledger_open(&all, n);
		CHECK_EQ(filch_for_until(pool, 0, n, 1, hunt_item, &all), 0);
		ledger_close(&all);
		pool_close(pool);
	}
	yields = false;
	pools_print();
	printf("    loops ended early %llu, statuses that came late %llu\n",
		(unsigned long long)ended_early, (unsigned long long)rivals);
	POOLS_COVER(steals);
	CHECK(rivals && ended_early, "nobody was late, or no loop ended early");
}

/* --- loops that end with a status --------------------------------------- */

static _Atomic uint64_t given, at_once;

static int until_body(size_t b, size_t e, void *arg)
{
	_Atomic uint64_t *seen = arg;

	*seen += e - b;
	spin(50);
	if (b % 700 < 690)
		return 0;
	sched_yield(); /* others find one too */
	at_once += given++ != 0;
	return (int)b;
}

static void a_loop_returns_one_of_the_statuses_given(void)
{
	const uint64_t n = test_scaled(3000);
	_Atomic uint64_t seen;
	uint64_t early = 0, late = 0;

	pool = pool_open(4, 0);
	for (uint64_t i = 0; i < n || (!late && i < 10 * n); i++) {
		size_t most = 600 + i % 400;
		int status;

		if (i % 256 == 0)
			test_watchdog(120);
		seen = given = at_once = 0;
		status = filch_for_until(pool, 0, most, 1, until_body, &seen);
		CHECK_EQ(status != 0, most > 690);
		CHECK_EQ(status != 0, given != 0);
		CHECK(!status || (status >= 690 && status < 700), "%d", status);
		CHECK(status || seen == most, "%llu of %zu", (unsigned long long)seen, most);
		early += seen < most;
		late += at_once;
	}
	pool_close(pool);
	printf("    ended early %llu, statuses that came late %llu\n", (unsigned long long)early,
		(unsigned long long)late);
	CHECK(early, "no loop ended early");
}

int main(void)
{
	test_case("the ledger sees losses and duplicates", ledger_self_test);
	test_case("a lock may be held over a scope", a_lock_may_be_held_over_a_scope);
	test_case("scratch by slot is not overwritten", scratch_by_slot_is_not_overwritten);
	test_case("trees of scopes run each id once", trees_of_scopes_run_each_id_once);
	test_case("the first status is the result, and the job goes on",
		the_first_status_is_the_result_and_the_job_goes_on);
	test_case("a loop returns one of the statuses given",
		a_loop_returns_one_of_the_statuses_given);
	return test_finish("scopes");
}
