/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same cases with indices of 32 bits that start seven below the wrap, so that growth, steals,
 * syncs and segments cross it: every comparison of indices is shown to be one of differences. What
 * is linked of the library has no index in its interface.
 */
#define FILCH_NARROW_INDEX
#define SUITE deque_narrow
#include <criterion/criterion.h>

#include "deque_cases.h"

Test(deque_narrow, indices_wrap_after_seven_pushes)
{
	filch_index carried = at(0);

	begin(2, false);
	EQ(sizeof(filch_index), 4);
	for (int i = 0; i < 7; i++)
		push(&carried, i);
	EQ(carried, INT32_MIN);
	for (int i = 7; i < 20; i++)
		push(&carried, i);
	cr_assert(filch_index_after(at(7), at(6)));
	cr_assert(!filch_index_after(at(6), at(7)));
	for (int i = 0; i < 10; i++)
		EQ(steal(), i);
	for (int i = 19; i >= 10; i--)
		cr_assert(take(&carried), "task %d", i);
	EQ(steal(), EMPTY);
	end();
}
