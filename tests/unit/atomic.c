/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atomic: a compare-and-exchange keeps off *expected when it succeeds, in every body and width. The
 * word may lie in the very object that the exchange has published.
 *
 * A page that cannot be written holds the word, so a store that should not be there is a fault.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <base/atomic.h>
#include <criterion/criterion.h>
#include <sys/mman.h>

#include "unit.h"

struct words {
	uint32_t narrow;
	uint64_t wide;
	void *pointer;
};

static struct words *page;

/* The values stay where they are put; from now on a store faults. */
static void seal(struct words values)
{
	*page = values;
	EQ(mprotect(page, sizeof *page, PROT_READ), 0);
}

static void set_up(void)
{
	page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(page != MAP_FAILED);
}

static void tear_down(void)
{
	munmap(page, sizeof *page);
}

TestSuite(atomic, .init = set_up, .fini = tear_down);

Test(atomic, an_exchange_that_succeeds_does_not_write_what_it_expected)
{
	static FILCH_ATOMIC(void *) pointer;
	filch_atomic_u32 narrow;
	filch_atomic_u64 wide;
	int other;

	for (int order = 0; order < 2; order++) {
		filch_store_relaxed(&narrow, 7);
		filch_store_relaxed(&wide, UINT64_C(7) << 32);
		filch_store_relaxed(&pointer, page);
		seal((struct words){ 7, UINT64_C(7) << 32, page });
		if (order) {
			EQ(filchi_cas_acq_rel(&narrow, &page->narrow, 8), true);
			EQ(filchi_cas_acq_rel(&wide, &page->wide, UINT64_C(8) << 32), true);
			EQ(filchi_cas_acq_rel(&pointer, &page->pointer, (void *)&other), true);
		} else {
			EQ(filchi_cas_seq_cst(&narrow, &page->narrow, 8), true);
			EQ(filchi_cas_seq_cst(&wide, &page->wide, UINT64_C(8) << 32), true);
			EQ(filchi_cas_seq_cst(&pointer, &page->pointer, (void *)&other), true);
		}
		EQ(filch_load_relaxed(&narrow), 8);
		EQ(filch_load_relaxed(&wide), UINT64_C(8) << 32);
		cr_assert(filch_load_relaxed(&pointer) == &other);
		EQ(mprotect(page, sizeof *page, PROT_READ | PROT_WRITE), 0);
	}
}

Test(atomic, an_exchange_that_fails_says_what_it_found)
{
	static FILCH_ATOMIC(void *) pointer;
	filch_atomic_u32 narrow;
	filch_atomic_u64 wide;
	struct words expected = { 7, 7, page };

	filch_store_relaxed(&narrow, 9);
	filch_store_relaxed(&wide, UINT64_C(9) << 32);
	filch_store_relaxed(&pointer, page + 1);
	EQ(filchi_cas_acq_rel(&narrow, &expected.narrow, 8), false);
	EQ(filchi_cas_acq_rel(&wide, &expected.wide, 8), false);
	EQ(filchi_cas_acq_rel(&pointer, &expected.pointer, (void *)&expected), false);
	EQ(expected.narrow, 9);
	EQ(expected.wide, UINT64_C(9) << 32);
	cr_assert(expected.pointer == page + 1);
	EQ(filch_load_relaxed(&narrow), 9);
	EQ(filch_load_relaxed(&wide), UINT64_C(9) << 32);
	cr_assert(filch_load_relaxed(&pointer) == page + 1);
}
