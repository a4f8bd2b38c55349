/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults: what the system refuses is an error or a call that is completed all the same, never a
 * crash, a hang or a leak. The k-th malloc, calloc, realloc, aligned_alloc, mmap, mprotect or
 * pthread_create fails, for every k, until a pool or a completion queue is created without meeting
 * the fault, or a thread that a fault has cost is replaced without; pools of every kind, with
 * guards, a watchdog, and of their creator. Descriptors run out; memory fails for good while deques
 * want to grow; half of all futex waits return at once; membarrier(2) is refused, at its
 * registration or at its first use.
 *
 * The functions are replaced in this program (the library is linked into it): each asks whether it
 * is to fail, and else calls libc's. Sanitizers replace the same functions, so there this driver is
 * skipped. Full campaign: the same with FILCH_TEST_SCALE=10, which repeats the sweep with other
 * pools. timeout: 300
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fib.h"
#include "ledger.h"
#include "pools.h"

#if TEST_SANITIZED

int main(void)
{
	test_skip("a sanitizer replaces malloc and mmap itself");
}

#else

enum kind { NONE, MALLOC, CALLOC, REALLOC, ALIGNED, MMAP, MPROTECT, THREAD, ANY_MEMORY, KINDS };
static const char *const kind_name[KINDS] = { "none", "malloc", "calloc", "realloc",
	"aligned_alloc", "mmap", "mprotect", "pthread_create", "memory of any kind" };

static _Atomic int failing;      /* enum kind */
static _Atomic uint64_t fail_at; /* this call, counted from 1; 0: all of them */
static _Atomic uint64_t calls, failed;
static _Atomic unsigned early; /* of 2 futex waits this many return at once */
static _Atomic uint64_t early_returns, waits;
static _Atomic int membarrier_refused; /* 1: registration, 2: the command */
static _Atomic uint64_t refusals;

static bool fails(enum kind kind)
{
	int want = atomic_load_explicit(&failing, memory_order_relaxed);

	if (!want || (want != (int)kind && !(want == ANY_MEMORY && kind < THREAD)))
		return false;
	uint64_t call = ++calls;
	if (fail_at && call != fail_at)
		return false;
	failed++;
	return true;
}

/* libc's own function of that name, looked up at the first call. */
#define REAL(name)                                                  \
	static __typeof__(&name) real;                              \
	if (!real) {                                                \
		void *found = dlsym(RTLD_NEXT, #name);              \
		memcpy((void *)&real, (void *)&found, sizeof real); \
	}

void *malloc(size_t size)
{
	REAL(malloc)
	if (fails(MALLOC)) {
		errno = ENOMEM;
		return NULL;
	}
	return real(size);
}

void *calloc(size_t n, size_t size)
{
	REAL(calloc)
	if (fails(CALLOC)) {
		errno = ENOMEM;
		return NULL;
	}
	return real(n, size);
}

void *realloc(void *old, size_t size)
{
	REAL(realloc)
	if (fails(REALLOC)) {
		errno = ENOMEM;
		return NULL;
	}
	return real(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	REAL(aligned_alloc)
	if (fails(ALIGNED)) {
		errno = ENOMEM;
		return NULL;
	}
	return real(alignment, size);
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
	REAL(mmap)
	if (fails(MMAP)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return real(at, size, protection, flags, file, offset);
}

int mprotect(void *at, size_t size, int protection)
{
	REAL(mprotect)
	if (fails(MPROTECT)) {
		errno = ENOMEM;
		return -1;
	}
	return real(at, size, protection);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
	REAL(pthread_create)
	return fails(THREAD) ? EAGAIN : real(thread, attr, body, arg);
}

long syscall(long number, ...)
{
	REAL(syscall)
	long a[6];
	va_list args;

	va_start(args, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_futex && ((a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT ||
					   (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET)) {
		static _Thread_local uint64_t rng;
		uint64_t dice = test_random(&rng);

		waits++;
		if (dice % 2 < early) {
			early_returns++;
			errno = dice & 2 ? EINTR : EAGAIN;
			return dice & 4 ? 0 : -1; /* 0: a wake-up that was for nobody */
		}
	}
	if (number == SYS_membarrier && membarrier_refused) {
		bool registers = a[0] == MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;

		if (registers == (membarrier_refused == 1)) {
			refusals++;
			errno = EPERM;
			return -1;
		}
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- work that a pool must be able to do ------------------------------ */

static int answer(void *arg)
{
	(void)arg;
	return 42;
}

static void check_works(struct filch_pool *pool)
{
	struct filch_completion c;
	long r = 0;
	int64_t id;

	CHECK_EQ(FILCH_RUN(pool, &r, fib, 12), 0);
	CHECK_EQ(r, 144);
	id = filch_submit(pool, answer, NULL, NULL);
	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	CHECK_EQ(c.status, 42);
}

/* --- the sweep -------------------------------------------------------- */

/* The number of calls of @kind that a create meets; each of them is made to fail once. */
static uint64_t sweep(
	enum kind kind, const struct filch_config *config, uint64_t *errors, uint64_t *completed)
{
	for (uint64_t k = 1;; k++) {
		int threads = test_threads(), descriptors = test_descriptors(), error;
		struct filch_pool *pool = NULL;
		uint64_t hit;

		test_watchdog(60);
		calls = failed = 0;
		fail_at = k;
		failing = kind;
		error = filch_pool_create(&pool, config);
		failing = NONE;
		hit = failed;
		if (error) {
			CHECK(hit > 0, "a create without a fault returned %d", error);
			CHECK(error == -ENOMEM || error == -EAGAIN,
				"%s %llu failed, and create returned %d", kind_name[kind],
				(unsigned long long)k, error);
			CHECK(!pool, "an error and a pool");
			++*errors;
		} else {
			CHECK(filch_pool_workers(pool) >= 1 &&
					filch_pool_workers(pool) <= (int)config->workers,
				"%d workers", filch_pool_workers(pool));
			if (!hit)
				CHECK_EQ(filch_pool_workers(pool), config->workers);
			check_works(pool);
			CHECK_EQ(filch_pool_destroy(pool), 0);
			*completed += hit;
		}
		CHECK_EQ(test_threads(), threads);
		CHECK_EQ(test_descriptors(), descriptors);
		if (!hit)
			return k - 1;
	}
}

static void every_fault_of_a_create_is_an_error_or_is_survived(void)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = 3,
		.flags = FILCH_POOL_OVERSUBSCRIBE,
		.queue_capacity = 16 };
	uint64_t rounds = test_scaled(20), after_first = 0, at_end;

	/* the machine's plan is loaded once per process; hwloc's own faults are hwloc's */
	pool_close(pool_open(1, 0));
	for (uint64_t round = 0; round < rounds; round++) {
		struct filch_config this = config;

		if (round % 4 == 1 && TEST_HAS_GUARDS)
			this.flags |= FILCH_POOL_GUARD;
		if (round % 4 >= 2)
			this.flags |= FILCH_POOL_CALLER;
		if (round % 2)
			/* a service thread, and what it remembers of each worker */
			this.watchdog_ns = UINT64_C(1000000000000);
		for (enum kind kind = MALLOC; kind <= THREAD; kind++) {
			uint64_t errors = 0, survived = 0,
				 n = sweep(kind, &this, &errors, &survived);

			if (round < 2)
				printf("    %s: %llu calls, %llu errors, %llu survived\n",
					kind_name[kind], (unsigned long long)n,
					(unsigned long long)errors, (unsigned long long)survived);
			if (kind == MALLOC || kind == MMAP)
				CHECK(errors > 0, "no failing %s was ever an error",
					kind_name[kind]);
			if (kind == THREAD)
				CHECK(errors + survived >= 2 && survived > 0,
					"pthread_create was not met: %llu and %llu",
					(unsigned long long)errors, (unsigned long long)survived);
		}
		if (round == 3)
			after_first = test_resident();
	}
	at_end = test_resident();
	printf("    resident after four sweeps: %llu KiB, at the end: %llu KiB\n",
		(unsigned long long)after_first >> 10, (unsigned long long)at_end >> 10);
	if (after_first)
		CHECK(at_end <= after_first + (UINT64_C(1) << 20), "%llu bytes more",
			(unsigned long long)(at_end - after_first));
}

/* --- completion queues and lost threads ------------------------------- */

static void use(struct filch_pool *pool, struct filch_cq *cq)
{
	struct filch_submit how = { .size = sizeof how, .cq = cq };
	struct filch_completion c[4];

	for (int i = 0; i < 4; i++)
		CHECK(filch_submit(pool, answer, NULL, &how) > 0, "refused");
	CHECK_EQ(filch_submit(pool, answer, NULL, &how), -ENOBUFS);
	for (int got = 0; got < 4;) {
		int n = filch_cq_wait(cq, c, 4, NULL);

		CHECK(n > 0, "%d", n);
		for (int i = 0; i < n; i++)
			CHECK_EQ(c[i].status, 42);
		got += n;
	}
	CHECK_EQ(filch_cq_reap(cq, c, 4), 0);
}

static void every_fault_of_a_completion_queue_is_an_error(void)
{
	struct filch_pool *pool = pool_open(2, 0);
	struct filch_cq *cq = NULL;
	struct rlimit limit, none;
	uint64_t errors = 0;
	int fd;

	/* a queue made anew, and one made of what another has left */
	for (uint64_t round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++) {
			const enum kind kind = (const enum kind[]){ ALIGNED, MMAP, MALLOC }[i];

			for (uint64_t k = 1;; k++) {
				int error;

				calls = failed = 0;
				fail_at = k;
				failing = kind;
				error = filch_cq_create(&cq, 4);
				failing = NONE;
				if (error) {
					CHECK_EQ(error, -ENOMEM);
					CHECK(failed, "an error without a fault");
					errors++;
					continue;
				}
				CHECK(!failed, "a queue in spite of a fault");
				use(pool, cq);
				CHECK_EQ(filch_cq_destroy(cq), 0);
				break;
			}
		}
	}
	/* cells and ring twice, the queue itself once: that is never given back */
	CHECK_EQ(errors, 5);
	/* no descriptor is to be had: the queue works without, and has one when there are some */
	CHECK_EQ(filch_cq_create(&cq, 4), 0);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK_EQ(filch_cq_fd(cq), -EMFILE);
	use(pool, cq);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	fd = filch_cq_fd(cq);
	CHECK(fd >= 0, "%d", fd);
	use(pool, cq);
	CHECK_EQ(filch_cq_fd(cq), fd);
	CHECK_EQ(filch_cq_destroy(cq), 0);
	pool_close(pool);
}

static int fall(void *nowhere)
{
	*(volatile int *volatile)nowhere = 1;
	return 0;
}

static void crash_one(struct filch_pool *pool)
{
	const struct filch_submit how = { .size = sizeof how, .flags = FILCH_JOB_GUARD };
	struct filch_completion c;
	int64_t id = filch_submit(pool, fall, NULL, &how);

	CHECK(id > 0, "%lld", (long long)id);
	CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
	CHECK_EQ(c.status, -EFAULT);
}

/*
 * Until every thread that was lost has been replaced, of those that can be: @vacant seats are
 * empty.
 */
static void until_replaced(struct filch_pool *pool, uint64_t vacant)
{
	uint64_t since = test_now();

	for (struct filch_stats s = pool_stats(pool); s.replaced + vacant != s.given_up;
		s = pool_stats(pool)) {
		sched_yield();
		CHECK(test_now() - since < UINT64_C(20000000000), "%llu replaced of %llu",
			(unsigned long long)s.replaced, (unsigned long long)s.given_up);
	}
}

static void every_fault_of_a_replacement_costs_a_seat_until_the_next(void)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = 2,
		.watchdog_ns = UINT64_C(1000000000000),
		.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_GUARD };
	struct filch_pool *pool;
	uint64_t vacancies = 0;

	if (!TEST_HAS_GUARDS) {
		printf("    left out: guards are for x86-64\n");
		return;
	}
	pool = pool_open_with(&config);
	test_watchdog(120);
	for (enum kind kind = MALLOC; kind <= THREAD; kind++) {
		for (uint64_t k = 1;; k++) {
			uint64_t hit;

			calls = failed = 0;
			fail_at = k;
			failing = kind;
			crash_one(pool);
			/*
			 * the service thread is through with it when it has replaced the thread, or
			 * has met the fault
			 */
			for (uint64_t before = pool_stats(pool).given_up - 1;
				pool_stats(pool).replaced == before && !failed;)
				sched_yield();
			failing = NONE;
			hit = failed;
			check_works(pool); /* on the other one, at least */
			crash_one(pool);   /* tries the empty seat again */
			until_replaced(pool, 0);
			vacancies += hit;
			if (!hit)
				break;
		}
	}
	check_works(pool);
	printf("    %llu replacements met a fault\n", (unsigned long long)vacancies);
	CHECK(vacancies >= 5,
		"malloc, calloc, two of mmap, mprotect and pthread_create are met: %llu",
		(unsigned long long)vacancies);
	pool_close(pool);
}

static int leaves_its_thread(void *arg)
{
	pthread_exit(arg);
}

static _Atomic int met;

/* 1: both were inside at once, so there were two threads */
static int meets(void *arg)
{
	uint64_t since = test_now();

	(void)arg;
	met++;
	while (met < 2 && test_now() - since < UINT64_C(20000000000))
		sched_yield();
	return met == 2;
}

/*
 * The only other thread of two is lost, and none can be had. Once there are some again the seat has
 * one, though no other is lost. Rounds: with no thread refused there would be nothing to see.
 */
static void a_vacant_seat_is_filled(uint64_t flags, filch_job_fn *loses, uint64_t submit_flags)
{
	const struct filch_config config = {
		.size = sizeof config, .workers = 2, .flags = FILCH_POOL_OVERSUBSCRIBE | flags
	};
	const struct filch_submit how = { .size = sizeof how, .flags = submit_flags };
	struct filch_pool *pool = pool_open_with(&config);

	for (uint64_t round = 1; round <= 5; round++) {
		struct filch_completion c;
		int64_t id[2];

		test_watchdog(60);
		calls = failed = fail_at = 0;
		failing = THREAD;
		id[0] = filch_submit(pool, loses, NULL, &how);
		CHECK(id[0] > 0, "%lld", (long long)id[0]);
		CHECK_EQ(filch_wait(pool, id[0], NULL, &c), 0);
		/* twice: it was tried again by the clock, and was refused */
		while (failed < 2)
			check_works(pool);
		CHECK_EQ(pool_stats(pool).given_up, round);
		CHECK_EQ(pool_stats(pool).replaced, round - 1);
		failing = NONE;
		while (pool_stats(pool).replaced != round)
			check_works(pool); /* on the thread that is left */
		met = 0;
		for (int i = 0; i < 2; i++) {
			id[i] = filch_submit(pool, meets, NULL, NULL);
			CHECK(id[i] > 0, "%lld", (long long)id[i]);
		}
		for (int i = 0; i < 2; i++) {
			CHECK_EQ(filch_wait(pool, id[i], NULL, &c), 0);
			CHECK_EQ(c.status, 1);
		}
	}
	pool_close(pool);
}

static void a_vacant_seat_is_filled_though_no_other_thread_is_lost(void)
{
	a_vacant_seat_is_filled(0, leaves_its_thread, 0);
	if (TEST_HAS_GUARDS)
		a_vacant_seat_is_filled(FILCH_POOL_GUARD, fall, FILCH_JOB_GUARD);
}

/* A pool may be destroyed at any moment of such a filling. */
static void a_destroy_while_a_seat_is_filled(void)
{
	const struct filch_config config = {
		.size = sizeof config, .workers = 2, .flags = FILCH_POOL_OVERSUBSCRIBE
	};
	int threads = test_threads();
	uint64_t filled = 0, vacant = 0;

	for (uint64_t round = 0; round < 200 && !(filled && vacant && round >= 20); round++) {
		struct filch_pool *pool = pool_open_with(&config);
		struct filch_stats s;
		uint64_t since;

		test_watchdog(60);
		calls = failed = fail_at = 0;
		failing = THREAD;
		CHECK(filch_submit(pool, leaves_its_thread, NULL, NULL) > 0, "submit");
		while (!failed)
			sched_yield();
		failing = NONE;
		since = test_now();
		while (test_now() - since < round % 20 * UINT64_C(5000000))
			check_works(pool);
		s = pool_stats(pool);
		*(s.replaced ? &filled : &vacant) += 1;
		CHECK_EQ(filch_pool_destroy(pool), 0);
		CHECK_EQ(test_threads(), threads);
	}
	printf("    %llu seats were filled, %llu were not yet\n", (unsigned long long)filled,
		(unsigned long long)vacant);
	CHECK(filled && vacant, "%llu, %llu", (unsigned long long)filled,
		(unsigned long long)vacant);
}

static int count_each(void *arg, int worker)
{
	(void)worker;
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

/* What each worker is to run does not wait for a seat that gets no thread, and the call says so. */
static void an_empty_seat_declines_what_each_worker_is_to_run(void)
{
	struct filch_pool *pool;

	if (!TEST_HAS_GUARDS) {
		printf("    left out: guards are for x86-64\n");
		return;
	}
	pool = pool_open(2, FILCH_POOL_GUARD);
	test_watchdog(60);
	for (uint64_t k = test_scaled(100); k--;) {
		atomic_int some = 0, all = 0;

		calls = failed = fail_at = 0;
		failing = THREAD;
		crash_one(pool); /* complete when the seat is known to be empty */
		CHECK_EQ(filch_pool_each(pool, count_each, &some), -ENOBUFS);
		CHECK_EQ(atomic_load(&some), 1);
		failing = NONE;
		crash_one(pool); /* tries the empty seat again */
		until_replaced(pool, 0);
		calls = failed = 0;
		failing = CALLOC;
		CHECK_EQ(filch_pool_each(pool, count_each, &all), -ENOMEM);
		failing = NONE;
		CHECK_EQ(atomic_load(&all), 0);
		CHECK_EQ(filch_pool_each(pool, count_each, &all), 0);
		CHECK_EQ(atomic_load(&all), 2);
	}
	pool_close(pool);
}

static int until_told(void *told)
{
	while (!filch_job_cancelled())
		sched_yield();
	*(bool *)told = true;
	return 3;
}

/* A job with finish_by needs a thread: without one it is refused, and the next is not. */
static void a_timer_that_cannot_be_had_is_an_error(void)
{
	struct timespec soon;
	const struct filch_submit how = { .size = sizeof how, .finish_by = &soon };

	for (enum kind kind = MALLOC; kind <= ANY_MEMORY; kind++) {
		struct filch_pool *pool = pool_open(2, 0);
		struct filch_completion c;
		bool told = false;
		int64_t id;

		soon = filch_after(UINT64_C(20000000));
		calls = failed = fail_at = 0;
		failing = kind;
		id = filch_submit(pool, until_told, &told, &how);
		failing = NONE;
		if (failed && id < 0) {
			CHECK_EQ(id, -ENOMEM);
			id = filch_submit(pool, until_told, &told, &how);
		}
		CHECK(kind != THREAD || failed, "a timer is a thread");
		CHECK(id > 0, "%s: %lld", kind_name[kind], (long long)id);
		CHECK_EQ(filch_wait(pool, id, NULL, &c), 0);
		CHECK_EQ(c.flags, FILCH_DONE_LATE);
		CHECK(told ? c.status == 3 : c.status == -ETIMEDOUT, "%d", c.status);
		pool_close(pool);
	}
}

/* All of a kind fail at once. */
static void a_pool_that_can_get_no_thread_or_memory_is_an_error(void)
{
	for (enum kind kind = MALLOC; kind <= ANY_MEMORY; kind++) {
		const struct filch_config config = {
			.size = sizeof config, .workers = 2, .flags = FILCH_POOL_OVERSUBSCRIBE
		};
		int threads = test_threads(), error;
		struct filch_pool *pool = NULL;

		calls = failed = fail_at = 0;
		failing = kind;
		error = filch_pool_create(&pool, &config);
		failing = NONE;
		if (failed) {
			if (kind == THREAD)
				CHECK_EQ(error, -EAGAIN);
			else
				CHECK(error == -ENOMEM || (!error && kind != ANY_MEMORY &&
								  kind != MALLOC && kind != MMAP),
					"%s: %d", kind_name[kind], error);
		}
		if (!error) {
			check_works(pool);
			CHECK_EQ(filch_pool_destroy(pool), 0);
		}
		CHECK_EQ(test_threads(), threads);
	}
}

/* --- faults while the pool runs --------------------------------------- */

static struct ledger ledger;

FILCH_TASK(uint64_t, wide, (uint64_t, begin), (uint64_t, end))
{
	FILCH_FRAME(wide) kid[16];
	uint64_t sum = 1, at = begin + 1, step = (end - begin) / 16 + 1;
	unsigned n = 0;

	ledger_enter(&ledger, begin);
	for (; at < end; at += step)
		FILCH_SPAWN_INTO(&kid[n++], wide, at, at + step < end ? at + step : end);
	while (n)
		sum += FILCH_SYNC_FROM(wide, &kid[--n]);
	return sum;
}

static void deques_that_cannot_grow_run_their_tasks_in_place(void)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = 2,
		.flags = FILCH_POOL_OVERSUBSCRIBE,
		.deque_capacity = 2 };
	struct filch_pool *pool = pool_open_with(&config);
	uint64_t sum = 0, n = test_scaled(300000);

	pools_begin();
	ledger_open(&ledger, n);
	calls = failed = fail_at = 0;
	failing = ANY_MEMORY;
	CHECK_EQ(FILCH_RUN(pool, &sum, wide, 0, n), 0);
	failing = NONE;
	CHECK_EQ(sum, n);
	ledger_close(&ledger);
	CHECK_EQ(pool_stats(pool).grows, 0);
	/* and when there is memory again they grow */
	ledger_open(&ledger, n);
	CHECK_EQ(FILCH_RUN(pool, &sum, wide, 0, n), 0);
	CHECK_EQ(sum, n);
	ledger_close(&ledger);
	pool_close(pool);
	pools_print();
	printf("    %llu allocations refused\n", (unsigned long long)failed);
	POOLS_COVER(inlined);
	POOLS_COVER(grows);
}

#define LESS(a, b) ((a) < (b))
FILCH_SORT_DEFINE(sort_words, uint64_t, LESS);

struct large {
	uint64_t key;
	char rest[248];
};

static int compare_words(const void *a, const void *b, void *arg)
{
	const uint64_t *x = a, *y = b;

	(void)arg;
	return (*x > *y) - (*x < *y);
}

/*
 * A typed sort of words, or a sort of large elements by their addresses, each with its k-th
 * allocation refused.
 */
static void a_sort_without_memory_is_an_error_and_touches_nothing(void)
{
	enum { WORDS = 100000, LARGE = 2000 };
	static uint64_t word[WORDS];
	static struct large large[LARGE];
	struct filch_pool *pool = pool_open(2, 0);
	uint64_t refused = 0;

	for (int which = 0; which < 2; which++) {
		for (uint64_t k = 1;; k++) {
			int error;

			for (uint64_t i = 0; i < WORDS; i++)
				word[i] = i * 7919 % WORDS;
			for (uint64_t i = 0; i < LARGE; i++)
				large[i].key = i * 7919 % LARGE;
			calls = failed = 0;
			fail_at = k;
			failing = ANY_MEMORY;
			error = which ? filch_sort(pool, large, LARGE, sizeof large[0],
						compare_words, NULL)
				      : sort_words(pool, word, WORDS);
			failing = NONE;
			if (error)
				CHECK_EQ(error, -ENOMEM);
			for (uint64_t i = 0; i < (which ? LARGE : WORDS); i++)
				CHECK_EQ(
					which ? large[i].key : word[i], !error  ? i
									: which ? i * 7919 % LARGE
										: i * 7919 % WORDS);
			refused += error != 0;
			if (!failed)
				break;
		}
	}
	CHECK_EQ(refused, 3); /* scratch; addresses, and theirs */
	pool_close(pool);
}

/* --- futexes and membarrier ------------------------------------------- */

static _Atomic uint64_t ran;

static int count_one(void *arg)
{
	(void)arg;
	ran++;
	return 0;
}

static struct filch_pool *shared_pool;

static void *produce(void *arg)
{
	uint64_t n = test_scaled(20000);

	(void)arg;
	for (uint64_t i = 0; i < n; i++) {
		struct timespec soon = filch_after(i % 100000);
		int64_t id = filch_submit(shared_pool, count_one, NULL, NULL);
		int error;

		CHECK(id > 0, "%lld", (long long)id);
		error = filch_wait(shared_pool, id, i % 2 ? NULL : &soon, NULL);
		if (error) {
			CHECK_EQ(error, -ETIMEDOUT);
			CHECK(test_now() >=
					(uint64_t)soon.tv_sec * 1000000000 + (uint64_t)soon.tv_nsec,
				"timed out too early");
			CHECK_EQ(filch_wait(shared_pool, id, NULL, NULL), 0);
		}
		if (i % 16 == 0) {
			long r = 0;

			CHECK_EQ(FILCH_RUN(shared_pool, &r, fib, 10), 0);
			CHECK_EQ(r, 55);
		}
	}
	return NULL;
}

static void half_of_all_futex_waits_may_return_at_once(void)
{
	const struct filch_config config = { .size = sizeof config,
		.workers = 2,
		.queue_capacity = 1,
		.jobs_max = 64,
		.flags = FILCH_POOL_OVERSUBSCRIBE | FILCH_POOL_NO_SEARCH };
	pthread_t thread[4];

	test_watchdog(120);
	pools_begin();
	ran = waits = early_returns = 0;
	early = 1;
	shared_pool = pool_open_with(&config);
	pool_until_asleep(shared_pool, 2);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, produce, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(filch_pool_drain(shared_pool, NULL), 0);
	CHECK_EQ(ran, 4 * test_scaled(20000));
	pool_close(shared_pool);
	early = 0;
	printf("    %llu futex waits, %llu returned at once\n", (unsigned long long)waits,
		(unsigned long long)early_returns);
	pools_print();
	CHECK(early_returns > 0, "no wait returned early");
	POOLS_COVER(parks);
	POOLS_COVER(wakes);
}

static void a_refused_membarrier_costs_speed_and_nothing_else(void)
{
	for (int which = 1; which <= 2; which++) {
		struct filch_pool *pool;
		uint64_t tries = 0;

		test_watchdog(120);
		pools_begin();
		refusals = 0;
		membarrier_refused = which;
		pool = pool_open(2, 0);
		do {
			uint64_t sum = 0, n = test_scaled(500000);

			ledger_open(&ledger, n);
			CHECK_EQ(FILCH_RUN(pool, &sum, wide, 0, n), 0);
			CHECK_EQ(sum, n);
			ledger_close(&ledger);
		} while (!pool_stats(pool).steals && tries++ < 10000);
		CHECK_EQ(refusals, 1); /* it asked once, and never used the command again */
		pool_close(pool);
		membarrier_refused = 0;
		pools_print();
		POOLS_COVER(steals);
	}
}

int main(void)
{
	test_watchdog(60);
	(void)test_seed();
	test_case("the ledger finds a duplicate and a loss", ledger_self_test);
	test_case("every fault of a create is an error or is survived",
		every_fault_of_a_create_is_an_error_or_is_survived);
	test_case("every fault of a completion queue is an error",
		every_fault_of_a_completion_queue_is_an_error);
	test_case("every fault of a replacement costs a seat until the next",
		every_fault_of_a_replacement_costs_a_seat_until_the_next);
	test_case("a vacant seat is filled though no other thread is lost",
		a_vacant_seat_is_filled_though_no_other_thread_is_lost);
	test_case("a destroy while a seat is filled", a_destroy_while_a_seat_is_filled);
	test_case("an empty seat declines what each worker is to run",
		an_empty_seat_declines_what_each_worker_is_to_run);
	test_case("a timer that cannot be had is an error", a_timer_that_cannot_be_had_is_an_error);
	test_case("a pool that can get no thread or no memory is an error",
		a_pool_that_can_get_no_thread_or_memory_is_an_error);
	test_case("deques that cannot grow run their tasks in place",
		deques_that_cannot_grow_run_their_tasks_in_place);
	test_case("a sort without memory is an error and touches nothing",
		a_sort_without_memory_is_an_error_and_touches_nothing);
	test_case("half of all futex waits may return at once",
		half_of_all_futex_waits_may_return_at_once);
	test_case("a refused membarrier costs speed and nothing else",
		a_refused_membarrier_costs_speed_and_nothing_else);
	return test_finish("faults");
}

#endif
