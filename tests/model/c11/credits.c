/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The credits of a completion queue: a stack of free cells. A cell has one owner at a time.
 *
 * labels: model
 *
 * Threads, on a queue of 3 cells (explored: 2). Each takes a cell or two, writes into them, and
 * gives them back.
 * - ordinary run: 3 of them, over and over; one cell or two, one by one or together.
 * - explored: one takes a cell and gives it back; the other takes both, gives one back, then the
 *   other. With -DMANY the first takes up to two together.
 *
 * Asserts:
 * - Nobody gets a cell that another has; what one owner wrote is over when the next one writes.
 * - In the end each cell is on the stack, once.
 * - In an ordinary run these have happened: takes of two together, and takes in vain.
 *
 * Mutants found by an ordinary run:
 *   pops_uncounted         the stack's top does not count pops (ABA)
 *
 * Mutants found by a model checker alone, for x86-64 keeps these orders by itself:
 *   give_without_release   the CAS that gives cells back is relaxed
 *   take_without_acquire   so are the load and the CAS that take one
 */
#include "driver.h"

#define FILCHI_PARK(word, expected, deadline) ((void)(word), (void)(expected), (void)(deadline), 0)
#define FILCHI_UNPARK(word)                   ((void)(word))
#define FILCHI_NOTIFY_WRITE_FD(b)             ((void)(b))
#define FILCHI_NOTIFY_CLEAR_FD(b)             ((void)(b))

#include "base/atomic.h"

/* inside filchi_cq_take_credits() 't', or filchi_cq_give_credits() 'g' */
#define IN_CQ(letter) (__func__[sizeof "filchi_cq_" - 1] == (letter))

#if defined(MUTANT_POPS_UNCOUNTED)
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)                                                        \
	(HOLD(), atomic_compare_exchange_strong_explicit((p), (expected),                         \
			 IN_CQ('t')                                                               \
				 ? (*(expected) & ~UINT64_C(0xffffff)) | ((v)&UINT64_C(0xffffff)) \
				 : (v),                                                           \
			 memory_order_acq_rel, memory_order_acquire))
#elif defined(MUTANT_GIVE_WITHOUT_RELEASE)
#undef filchi_cas_seq_cst
#define filchi_cas_seq_cst(p, expected, v)                                                      \
	(IN_CQ('g') ? atomic_compare_exchange_strong_explicit(                                  \
			      (p), (expected), (v), memory_order_relaxed, memory_order_relaxed) \
		    : atomic_compare_exchange_strong_explicit(                                  \
			      (p), (expected), (v), memory_order_seq_cst, memory_order_acquire))
#elif defined(MUTANT_TAKE_WITHOUT_ACQUIRE)
#undef filchi_load_acquire
#define filchi_load_acquire(p) filch_load_relaxed(p)
#undef filchi_cas_acq_rel
#define filchi_cas_acq_rel(p, expected, v)                                                      \
	(IN_CQ('t') ? atomic_compare_exchange_strong_explicit(                                  \
			      (p), (expected), (v), memory_order_release, memory_order_relaxed) \
		    : atomic_compare_exchange_strong_explicit(                                  \
			      (p), (expected), (v), memory_order_acq_rel, memory_order_acquire))
#endif

#include "struct/cq_cells.h"

#if defined(FILCH_EXPLORE)
enum { CELLS = 2 };
#else
enum { CELLS = 3 };
#endif

static struct filch_cq cq;
static struct filchi_cell cells[CELLS];
static atomic_int holders[CELLS];
static uint64_t written[CELLS]; /* plain: a missing order is a data race to a checker */

static void own(uint32_t cell)
{
	assert(cell < CELLS);
	assert(atomic_fetch_add_explicit(&holders[cell], 1, memory_order_relaxed) == 0);
	written[cell]++;
}

static void disown(uint32_t cell)
{
	atomic_fetch_sub_explicit(&holders[cell], 1, memory_order_relaxed);
}

static bool take_one(uint32_t *cell)
{
	if (!filchi_cq_take_credits(&cq, cell, 1))
		return false;
	own(*cell);
	return true;
}

static uint32_t take_two(uint32_t cell[2])
{
	uint32_t n = filchi_cq_take_credits(&cq, cell, 2);

	for (uint32_t i = 0; i < n; i++)
		own(cell[i]);
	return n;
}

static void give(uint32_t cell)
{
	disown(cell);
	filchi_cq_give_credit(&cq, cell);
}

static void set_up(void)
{
	cq.cell = cells;
	cq.capacity = CELLS;
	filch_store_relaxed(&cq.free, 0);
	for (uint32_t i = 0; i < CELLS; i++)
		filch_store_relaxed(&cells[i].next, i + 1 < CELLS ? i + 1 : FILCHI_CELL_NONE);
}

static void all_there(void)
{
	uint32_t cell;

	for (int i = 0; i < CELLS; i++)
		assert(take_one(&cell));
	assert(!filchi_cq_take_credits(&cq, &cell, 1));
}

#if defined(FILCH_EXPLORE)

static void *one(void *unused)
{
	uint32_t cell[2], n;

	(void)unused;
#if defined(MANY)
	n = take_two(cell);
#else
	n = take_one(cell);
#endif
	while (n--)
		give(cell[n]);
	return NULL;
}

static void *two(void *unused)
{
	uint32_t a, b;

	(void)unused;
	if (!take_one(&a))
		return NULL;
	if (take_one(&b)) {
		give(a);
		give(b);
	} else {
		give(a);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	set_up();
	pthread_create(&thread[0], NULL, one, NULL);
	pthread_create(&thread[1], NULL, two, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	all_there();
	return 0;
}

#else

enum { THREADS = 3 };

static struct meeting start;
static uint32_t rounds;
static atomic_bool together, vain;

static bool covered(void)
{
	return atomic_load_explicit(&together, memory_order_relaxed) &&
	       atomic_load_explicit(&vain, memory_order_relaxed);
}

/* Gives back @n of them, together as a reap does or one by one. */
static void give_back(const uint32_t *cell, uint32_t n)
{
	if (n == 2 && random_below(2)) {
		for (uint32_t i = 0; i < n; i++) {
			disown(cell[i]);
			filchi_store_release(&cells[cell[i]].state, FILCHI_CELL_FREE);
		}
		filch_store_relaxed(&cells[cell[0]].next, cell[1]);
		filchi_cq_give_credits(&cq, cell[0], cell[1]);
		return;
	}
	while (n--)
		give(cell[n]);
}

static void *taker(void *number)
{
	seed_with((uintptr_t)number);
	meet(&start, THREADS);
	for (uint32_t i = 0; i < rounds || (!covered() && i / PATIENCE < rounds); i++) {
		uint32_t cell[2], n;

		if (random_below(2)) {
			n = take_two(cell);
			if (n == 2)
				atomic_store_explicit(&together, true, memory_order_relaxed);
		} else {
			n = take_one(&cell[0]);
			if (n && random_below(2))
				n += take_one(&cell[1]);
		}
		if (!n)
			atomic_store_explicit(&vain, true, memory_order_relaxed);
		PAUSE_AT_RANDOM();
		give_back(cell, n);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THREADS];

	rounds = scaled(3000000);
	set_up();
	for (uintptr_t i = 0; i < THREADS; i++)
		assert(!pthread_create(&thread[i], NULL, taker, (void *)i));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	all_there();
	COVERED(covered());
	return 0;
}

#endif
