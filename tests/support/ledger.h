/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ledger of what was done: every id from 0 to n - 1 exactly once. Three accounts that do not
 * trust each other:
 *
 *   a bit per id     finds which id was lost or came twice
 *   a count          finds either, and is cheap to compare
 *   a XOR of ids     (each mixed to 64 bits) finds one lost and another doubled; a count does not
 *
 * Any thread may enter; close when all of them have been joined or waited for. The count and the
 * XOR lie in stripes, one per thread as long as there are few, so that the ledger does not order
 * the threads it watches more than the bits do.
 *
 * 	struct ledger l;
 * 	ledger_open(&l, n);
 * 	... ledger_enter(&l, id); ...
 * 	ledger_close(&l);               // fails the driver unless each id was entered exactly once
 *
 * ledger_self_test() enters a duplicate and leaves out an id, each alone and both together, and
 * shows that they are found.
 */
#ifndef FILCH_TEST_LEDGER_H
#define FILCH_TEST_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "test.h"

#define LEDGER_STRIPES 16

struct ledger_stripe {
	_Alignas(128) _Atomic uint64_t count;
	_Atomic uint64_t xored;
};

struct ledger {
	uint64_t n;
	_Atomic uint64_t *bits;
	_Atomic uint64_t doubled; /* entries whose bit was set already */
	_Atomic uint64_t foreign; /* entries outside 0 .. n - 1 */
	_Atomic uint64_t one_double, one_foreign;
	struct ledger_stripe stripe[LEDGER_STRIPES];
};

/* The verdict of a ledger; all zero but `entered` when every id was entered exactly once. */
struct ledger_verdict {
	uint64_t entered, lost, doubled, foreign;
	uint64_t one_lost, one_double, one_foreign; /* an example of each */
	bool count_differs, xor_differs;
};

static inline uint64_t ledger_mix(uint64_t id)
{
	return test_random(&id);
}

static inline void ledger_open(struct ledger *l, uint64_t n)
{
	*l = (struct ledger){ .n = n, .bits = calloc(n / 64 + 1, sizeof(uint64_t)) };
	CHECK(l->bits != NULL, "no memory for %llu ids", (unsigned long long)n);
}

static inline void ledger_enter(struct ledger *l, uint64_t id)
{
	static _Atomic unsigned threads;
	static _Thread_local unsigned mine;

	if (!mine)
		mine = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
	struct ledger_stripe *stripe = &l->stripe[mine % LEDGER_STRIPES];

	/* relaxed: the ledger is read when the threads have been joined, and must not order them */
	atomic_fetch_add_explicit(&stripe->count, 1, memory_order_relaxed);
	atomic_fetch_xor_explicit(&stripe->xored, ledger_mix(id), memory_order_relaxed);
	if (id >= l->n) {
		atomic_store_explicit(&l->one_foreign, id, memory_order_relaxed);
		atomic_fetch_add_explicit(&l->foreign, 1, memory_order_relaxed);
		return;
	}
	uint64_t bit = UINT64_C(1) << id % 64;
	if (atomic_fetch_or_explicit(&l->bits[id / 64], bit, memory_order_relaxed) & bit) {
		atomic_store_explicit(&l->one_double, id, memory_order_relaxed);
		atomic_fetch_add_explicit(&l->doubled, 1, memory_order_relaxed);
	}
}

/* Whether @id has been entered. */
static inline bool ledger_has(struct ledger *l, uint64_t id)
{
	return atomic_load_explicit(&l->bits[id / 64], memory_order_relaxed) >> id % 64 & 1;
}

static inline struct ledger_verdict ledger_judge(struct ledger *l)
{
	struct ledger_verdict v = { .doubled = l->doubled,
		.foreign = l->foreign,
		.one_double = l->one_double,
		.one_foreign = l->one_foreign };
	uint64_t xored = 0, expected = 0;

	for (unsigned i = 0; i < LEDGER_STRIPES; i++) {
		v.entered += l->stripe[i].count;
		xored ^= l->stripe[i].xored;
	}
	for (uint64_t id = 0; id < l->n; id++) {
		expected ^= ledger_mix(id);
		if (!ledger_has(l, id)) {
			v.one_lost = id;
			v.lost++;
		}
	}
	v.count_differs = v.entered != l->n;
	v.xor_differs = xored != expected;
	return v;
}

static inline void ledger_free(struct ledger *l)
{
	free((void *)l->bits);
	l->bits = NULL;
}

/* Each id exactly once, or the driver fails; and frees the ledger. */
#define ledger_close(l) ledger_close_at((l), __FILE__, __LINE__)
static inline void ledger_close_at(struct ledger *l, const char *file, int line)
{
	struct ledger_verdict v = ledger_judge(l);

	if (v.lost || v.doubled || v.foreign || v.count_differs || v.xor_differs)
		test_fail(file, line, "every id exactly once",
			"%llu ids, %llu entered: %llu lost (one: %llu), %llu doubled (one: "
			"%llu), %llu foreign (one: %llu), xor %s",
			(unsigned long long)l->n, (unsigned long long)v.entered,
			(unsigned long long)v.lost, (unsigned long long)v.one_lost,
			(unsigned long long)v.doubled, (unsigned long long)v.one_double,
			(unsigned long long)v.foreign, (unsigned long long)v.one_foreign,
			v.xor_differs ? "differs" : "agrees");
	ledger_free(l);
}

/* Enters 0 .. n - 1 but for @skip, and @twice once more. */
static inline struct ledger_verdict ledger_try(uint64_t n, uint64_t skip, uint64_t twice)
{
	struct ledger l;
	struct ledger_verdict v;

	ledger_open(&l, n);
	for (uint64_t id = 0; id < n; id++)
		if (id != skip)
			ledger_enter(&l, id);
	if (twice < n)
		ledger_enter(&l, twice);
	v = ledger_judge(&l);
	ledger_free(&l);
	return v;
}

/* A case for every driver that relies on a ledger. */
static inline void ledger_self_test(void)
{
	struct ledger_verdict v = ledger_try(1000, UINT64_MAX, UINT64_MAX);

	CHECK(!v.lost && !v.doubled && !v.count_differs && !v.xor_differs,
		"a good ledger is refused");
	v = ledger_try(1000, UINT64_MAX, 707);
	CHECK(v.doubled == 1 && v.one_double == 707 && !v.lost && v.count_differs && v.xor_differs,
		"a duplicate is not found");
	v = ledger_try(1000, 999, UINT64_MAX);
	CHECK(v.lost == 1 && v.one_lost == 999 && !v.doubled && v.count_differs && v.xor_differs,
		"a loss is not found");
	v = ledger_try(1000, 64, 63);
	CHECK(v.lost == 1 && v.one_lost == 64 && v.doubled == 1 && v.one_double == 63 &&
			!v.count_differs && v.xor_differs,
		"a loss beside a duplicate is not found");
}

#endif
