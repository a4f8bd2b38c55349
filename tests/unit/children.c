/* SPDX-License-Identifier: Apache-2.0 */
/*
 * children: sets of children in a number known only at run time. Any number of them and of
 * arguments, results folded newest first, dropped, or none; sets that are used again, nested, and
 * mixed with handles; stolen, synced by their owner, and without memory for their frames.
 *
 * The program's own malloc() and posix_memalign() count what workers ask for, and refuse it on
 * demand. Where a sanitizer owns malloc that part is skipped.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>

#include "task_support.h"
#include <fib.h>

#include <stdlib.h>

static int refuse;             /* what workers ask for from now on */
static long allocated, blocks; /* by workers: how often, and what is left */

#if !defined(UNIT_ADDRESS_SANITIZER)
void *__libc_malloc(size_t size); /* the C library's, under their other names */
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static bool is_refused(void)
{
	if (filch_worker_id() < 0)
		return false;
	if (__atomic_load_n(&refuse, __ATOMIC_ACQUIRE))
		return true;
	__atomic_fetch_add(&allocated, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&blocks, 1, __ATOMIC_RELAXED);
	return false;
}

void *malloc(size_t size)
{
	return is_refused() ? NULL : __libc_malloc(size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	if (is_refused())
		return ENOMEM;
	*block = __libc_memalign(alignment, size);
	return *block ? 0 : ENOMEM;
}

void free(void *block)
{
	if (block && filch_worker_id() >= 0)
		__atomic_fetch_sub(&blocks, 1, __ATOMIC_RELAXED);
	__libc_free(block);
}
#define NEED_MALLOC() ((void)0)
#else
#define NEED_MALLOC() \
	cr_skip_test("the sanitizer owns malloc: no allocation can be counted or refused here")
#endif

/* --- numbers of children, and the order of the fold ------------------- */

/* What a fold has seen: how many, their sum, and whether each was one less than the one before. */
struct seen {
	long count, sum, last;
	bool falling;
};
#define SEEN_NONE              \
	{                      \
		0, 0, -1, true \
	}

static void see(struct seen *seen, long result)
{
	seen->falling &= !seen->count || result == seen->last - 1;
	seen->count++;
	seen->sum += result;
	seen->last = result;
}

FILCH_TASK(long, same, (long, i))
{
	return i;
}

FILCH_TASK(struct seen, spawn_numbers, (long, n))
{
	struct seen seen = SEEN_NONE;

	FILCH_CHILDREN_FOLD(kids, same, see, &seen);
	for (long i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&kids, i);
	FILCH_SYNC_CHILDREN(&kids);
	return seen;
}

static const long numbers[] = { 0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000, 100000 };
#define NUMBERS ((int)(sizeof numbers / sizeof numbers[0]))

static void check_numbers(struct filch_pool *pool)
{
	for (int k = 0; k < NUMBERS; k++) {
		struct seen seen = SEEN_NONE;

		EQ(FILCH_RUN(pool, &seen, spawn_numbers, numbers[k]), 0);
		EQ(seen.count, numbers[k]);
		EQ(seen.sum, numbers[k] * (numbers[k] - 1) / 2);
		cr_assert(seen.falling, "%ld children, not from the newest to the oldest",
			numbers[k]);
		EQ(seen.last, numbers[k] ? 0 : -1);
	}
}

Test(children, any_number_is_folded_once_each_from_the_newest_to_the_oldest)
{
	on_each_pool(check_numbers);
}

Test(children, the_same_where_membarrier_is_refused)
{
	setenv("FILCH_MEMBARRIER", "0", 1);
	on_each_pool(check_numbers);
}

Test(children, the_first_sixteen_take_no_memory_and_the_sync_gives_back_what_more_took)
{
	NEED_MALLOC();
	struct filch_pool *pool = pool_of(1, 0);
	struct seen seen;

	EQ(FILCH_RUN(pool, &seen, spawn_numbers, 16), 0);
	long before = __atomic_load_n(&allocated, __ATOMIC_RELAXED);
	long left = __atomic_load_n(&blocks, __ATOMIC_RELAXED);

	for (int i = 0; i < 100; i++)
		EQ(FILCH_RUN(pool, &seen, spawn_numbers, 16), 0);
	EQ(__atomic_load_n(&allocated, __ATOMIC_RELAXED), before);
	EQ(FILCH_RUN(pool, &seen, spawn_numbers, 17), 0);
	EQ(__atomic_load_n(&allocated, __ATOMIC_RELAXED), before + 1);
	EQ(FILCH_RUN(pool, &seen, spawn_numbers, 100000), 0);
	EQ(seen.count, 100000);
	/* annexes grow: not one for each few children */
	cr_assert(__atomic_load_n(&allocated, __ATOMIC_RELAXED) - before < 100);
	EQ(__atomic_load_n(&blocks, __ATOMIC_RELAXED), left);
	EQ(filch_pool_destroy(pool), 0);
}

/* --- numbers of arguments, results ------------------------------------ */

static int trace[9]; /* how often each has run */
#define RAN(k) ((void)__atomic_fetch_add(&trace[k], 1, __ATOMIC_RELAXED))

FILCH_TASK(int, of0)
{
	RAN(0);
	return 1000;
}
FILCH_TASK(int, of1, (int, a))
{
	RAN(1);
	return a;
}
FILCH_VOID_TASK(of2, (int, a), (int *, b))
{
	RAN(2);
	*b = a;
}
FILCH_TASK(int, of3, (int, a), (int, b), (int, c))
{
	RAN(3);
	return a + 2 * b + 3 * c;
}
FILCH_TASK(double, of4, (int, a), (int, b), (int, c), (double, d))
{
	RAN(4);
	return a + 2 * b + 3 * c + 4 * d;
}
FILCH_TASK(int, of8, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g), (int, h))
{
	RAN(8);
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}

static void add_int(int *sum, int more)
{
	*sum += more;
}

static void add_double(double *sum, double more)
{
	*sum += more;
}

/* Sets of several tasks, one in the other; @r: their sums. */
FILCH_VOID_TASK(all_arguments, (int, n), (int *, r))
{
	double fractions = 0;
	int put[40] = { 0 };

	FILCH_CHILDREN_FOLD(k0, of0, add_int, &r[0]);
	FILCH_CHILDREN_FOLD(k1, of1, add_int, &r[1]);
	FILCH_CHILDREN(k2, of2);
	FILCH_CHILDREN_FOLD(k3, of3, add_int, r + 3);
	FILCH_CHILDREN_FOLD(k4, of4, add_double, &fractions);
	FILCH_CHILDREN(dropped, of3);
	FILCH_CHILDREN_FOLD(k8, of8, add_int, &r[8]);
	for (int i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&k0);
	for (int i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&k1, 1);
	for (int i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&k2, i + 1, &put[i]);
	for (int i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&k3, 1, 2, 3);
	for (int i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&k4, 1, 2, 3, 4.25);
	for (int i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&dropped, 1, 2, 3);
	for (int i = 0; i < n; i++)
		FILCH_SPAWN_CHILD(&k8, 1, 2, 3, 4, 5, 6, 7, 8);
	FILCH_SYNC_CHILDREN(&k8);
	FILCH_SYNC_CHILDREN(&dropped);
	FILCH_SYNC_CHILDREN(&k4);
	FILCH_SYNC_CHILDREN(&k3);
	FILCH_SYNC_CHILDREN(&k2);
	FILCH_SYNC_CHILDREN(&k1);
	FILCH_SYNC_CHILDREN(&k0);
	r[4] = (int)fractions;
	for (int i = 0; i < n; i++)
		r[2] += put[i];
}

static void check_arguments(struct filch_pool *pool)
{
	for (int n = 0; n <= 40; n += 8) {
		int r[9] = { 0 };

		for (int k = 0; k < 9; k++)
			trace[k] = 0;
		EQ(FILCH_RUN(pool, NULL, all_arguments, n, r), 0);
		EQ(r[0], 1000 * n);
		EQ(r[1], n);
		EQ(r[2], n * (n + 1) / 2);
		EQ(r[3], 14 * n);
		EQ(r[4], 31 * n);
		EQ(r[8], 204 * n);
		EQ(trace[0], n);
		EQ(trace[1], n);
		EQ(trace[2], n);
		EQ(trace[3], 2 * n); /* the dropped ones too */
		EQ(trace[4], n);
		EQ(trace[8], n);
	}
}

Test(children, none_to_eight_arguments_and_results_folded_dropped_and_none)
{
	on_each_pool(check_arguments);
}

/* --- types ------------------------------------------------------------ */

struct very_aligned {
	_Alignas(64) char byte[64];
};
typedef int vector[6];

struct wide_result {
	uint64_t word[9];
	bool aligned;
};

static void add_words(struct wide_result *sum, struct wide_result one)
{
	for (int i = 0; i < 9; i++)
		sum->word[i] += one.word[i];
	sum->aligned &= one.aligned;
}

FILCH_TASK(struct wide_result, echo, (struct very_aligned, x), (vector, v))
{
	struct wide_result r = { .aligned = (uintptr_t)&x % 64 == 0 };

	for (int i = 0; i < 6; i++)
		r.word[i] = (uint64_t)v[i];
	r.word[8] = (unsigned char)x.byte[63];
	return r;
}

FILCH_TASK(struct wide_result, spawn_types, (int, n))
{
	struct wide_result sum = { .aligned = true };
	struct very_aligned x;
	vector v = { 0 };

	FILCH_CHILDREN_FOLD(kids, echo, add_words, &sum);
	for (int i = 0; i < n; i++) {
		memset(&x, i & 0x7f, sizeof x);
		for (int k = 0; k < 6; k++)
			v[k] = i + k;
		FILCH_SPAWN_CHILD(&kids, x, v);
		v[0] = -1; /* it was copied */
	}
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

static void check_types(struct filch_pool *pool)
{
	for (uint64_t n = 10; n < 1000; n += 123) {
		struct wide_result r = { .aligned = false };
		uint64_t last = 0;

		for (uint64_t i = 0; i < n; i++)
			last += i & 0x7f;
		EQ(FILCH_RUN(pool, &r, spawn_types, (int)n), 0);
		for (uint64_t k = 0; k < 6; k++)
			EQ(r.word[k], n * (n - 1) / 2 + k * n);
		EQ(r.word[8], last);
		cr_assert(r.aligned);
	}
}

Test(children, wide_aligned_and_array_types_pass_unharmed_in_every_annex)
{
	on_each_pool(check_types);
}

/* --- shapes ----------------------------------------------------------- */

static inline void add_long(long *sum, long more)
{
	*sum += more;
}

FILCH_TASK(long, queens, (unsigned, all), (unsigned, columns), (unsigned, left), (unsigned, right))
{
	long sum = 0;

	if (columns == all)
		return 1;
	FILCH_CHILDREN_FOLD(kids, queens, add_long, &sum);
	for (unsigned open = all & ~(columns | left | right); open; open &= open - 1) {
		unsigned bit = open & -open;

		FILCH_SPAWN_CHILD(&kids, all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
	}
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

/* A body that the compiler may put into itself; the number of children varies with the node. */
FILCH_TASK_INLINE(long, bush, (int, depth), (unsigned, seed))
{
	long nodes = 1;

	if (!depth)
		return nodes;
	FILCH_CHILDREN_FOLD(kids, bush, add_long, &nodes);
	for (unsigned i = seed % 5 + (depth == 6 ? 30 : 0); i--;)
		FILCH_SPAWN_CHILD(&kids, depth - 1, seed * 1103515245u + 12345u * i);
	FILCH_SYNC_CHILDREN(&kids);
	return nodes;
}

static long plain_bush(int depth, unsigned seed)
{
	long nodes = 1;

	if (depth)
		for (unsigned i = seed % 5 + (depth == 6 ? 30 : 0); i--;)
			nodes += plain_bush(depth - 1, seed * 1103515245u + 12345u * i);
	return nodes;
}

FILCH_TASK(long, chain, (int, depth))
{
	long below = 0;

	FILCH_CHILDREN_FOLD(kids, chain, add_long, &below);
	if (depth)
		FILCH_SPAWN_CHILD(&kids, depth - 1);
	FILCH_SYNC_CHILDREN(&kids);
	return below + 1;
}

static void check_shapes(struct filch_pool *pool)
{
	long r = 0;

	EQ(FILCH_RUN(pool, &r, queens, 255, 0, 0, 0), 0);
	EQ(r, 92);
	for (unsigned seed = 0; seed < 20; seed++) {
		EQ(FILCH_RUN(pool, &r, bush, 7, seed), 0);
		EQ(r, plain_bush(7, seed));
	}
	EQ(FILCH_RUN(pool, &r, chain, 2000), 0);
	EQ(r, 2001);
}

Test(children, recursive_programs_are_right_with_any_number_of_workers)
{
	on_each_pool(check_shapes);
}

/* One set used again and again, handles around it and above it, calls and runs between. */
FILCH_TASK(long, mixture, (int, n))
{
	long sum = 0, more = 0;

	FILCH_SPAWN(below, fib, n);
	FILCH_CHILDREN_FOLD(kids, fib, add_long, &sum);
	FILCH_SYNC_CHILDREN(&kids); /* an empty one */
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < n * round; i++) {
			FILCH_SPAWN_CHILD(&kids, i % 8);
			FILCH_SPAWN(above, fib, 3);
			sum += FILCH_CALL(fib, 4);
			{
				FILCH_CHILDREN_FOLD(inner, fib, add_long, &more);
				FILCH_SPAWN_CHILD(&inner, 5);
				FILCH_SPAWN_CHILD(&inner, 6);
				FILCH_SYNC_CHILDREN(&inner);
			}
			sum += FILCH_SYNC(above);
		}
		FILCH_SYNC_CHILDREN(&kids);
		FILCH_SYNC_CHILDREN(&kids);
	}
	return sum + 1000 * more + FILCH_SYNC(below);
}

static void check_mixture(struct filch_pool *pool)
{
	static const long f[] = { 0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377 };

	for (int n = 0; n < 15; n++) {
		long r = 0, expect = f[n];

		for (int round = 0; round < 3; round++)
			for (int i = 0; i < n * round; i++)
				expect += f[i % 8] + 2 + 3 + 1000 * (5 + 8);
		EQ(FILCH_RUN(pool, &r, mixture, n), 0);
		EQ(r, expect);
	}
}

Test(children, a_set_is_used_again_nested_and_mixed_with_handles)
{
	on_each_pool(check_mixture);
}

/*
 * Every child runs elsewhere before the sync: none lies in the deque, and the sync waits for each
 * frame, of the stack and of annexes.
 */
FILCH_TASK(int, raise, (struct gate *, g), (int, x))
{
	gate_raise(g);
	return x;
}

FILCH_TASK(int, all_stolen, (struct gate *, g))
{
	int sum = 0;

	FILCH_CHILDREN_FOLD(kids, raise, add_int, &sum);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 40; i++)
			FILCH_SPAWN_CHILD(&kids, g, i);
		gate_wait(g, 40 * (round + 1));
		FILCH_SYNC_CHILDREN(&kids);
	}
	return sum;
}

Test(children, stolen_ones_are_waited_for_and_their_set_is_used_again)
{
	struct filch_pool *pool = pool_of(3, 0);

	for (int i = 0; i < 50; i++) {
		struct gate g = GATE_INIT;
		int r = 0;

		EQ(FILCH_RUN(pool, &r, all_stolen, &g), 0);
		EQ(r, 3 * 780);
	}
	EQ(filch_pool_destroy(pool), 0);
}

/* --- without memory --------------------------------------------------- */

FILCH_VOID_TASK(note, (int *, ran))
{
	__atomic_fetch_add(ran, 1, __ATOMIC_RELAXED);
}

FILCH_TASK(int, spawn_notes, (int, n), (int *, ran))
{
	int at_once = 0;

	FILCH_CHILDREN(kids, note);
	for (int i = 0; i < n; i++) {
		int before = __atomic_load_n(ran, __ATOMIC_RELAXED);

		FILCH_SPAWN_CHILD(&kids, ran);
		at_once += __atomic_load_n(ran, __ATOMIC_RELAXED) != before;
	}
	FILCH_SYNC_CHILDREN(&kids);
	return at_once;
}

Test(children, without_memory_for_a_frame_a_child_runs_and_is_folded_at_its_spawn)
{
	NEED_MALLOC();
	struct filch_pool *pool = pool_of(1, 0);
	struct seen seen = SEEN_NONE;
	struct wide_result wide = { .aligned = false };
	int at_once = -1, ran = 0;

	__atomic_store_n(&refuse, 1, __ATOMIC_RELEASE);
	EQ(FILCH_RUN(pool, &seen, spawn_numbers, 1000), 0);
	EQ(seen.count, 1000);
	EQ(seen.sum, 499500);
	EQ(seen.last, 0);
	cr_assert(!seen.falling); /* 16 to 999, then 15 to 0 */
	EQ(FILCH_RUN(pool, &at_once, spawn_notes, 100, &ran), 0);
	EQ(at_once, 84);
	EQ(ran, 100);
	EQ(FILCH_RUN(pool, &wide, spawn_types, 100), 0);
	EQ(wide.word[0], 4950);
	__atomic_store_n(&refuse, 0, __ATOMIC_RELEASE);
	ran = 0;
	EQ(FILCH_RUN(pool, &at_once, spawn_notes, 100, &ran), 0);
	EQ(at_once, 0);
	EQ(ran, 100);
	EQ(filch_pool_destroy(pool), 0);
}

Test(children, programs_are_right_without_memory_and_with_thieves)
{
	NEED_MALLOC();
	for (uint32_t workers = 1; workers <= 8; workers *= 2) {
		struct filch_pool *pool = pool_of(workers, 0);

		__atomic_store_n(&refuse, 1, __ATOMIC_RELEASE);
		check_arguments(pool);
		check_shapes(pool);
		check_mixture(pool);
		check_types(pool);
		__atomic_store_n(&refuse, 0, __ATOMIC_RELEASE);
		EQ(filch_pool_destroy(pool), 0);
	}
}

Test(children, a_deque_of_two_grows_to_hold_them)
{
	for (uint32_t workers = 1; workers <= 4; workers *= 2) {
		struct filch_config config = FILCH_CONFIG_INIT;
		struct filch_pool *pool;

		config.workers = workers;
		config.flags = FILCH_POOL_OVERSUBSCRIBE;
		config.deque_capacity = 1;
		EQ(filch_pool_create(&pool, &config), 0);
		check_numbers(pool);
		check_shapes(pool);
		EQ(filch_pool_destroy(pool), 0);
	}
}
