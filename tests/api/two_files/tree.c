/* SPDX-License-Identifier: Apache-2.0 */
/* The definitions; see main.c. */
#include "tree.h"

FILCH_TASK_IMPL(long, sum_range, (struct range, range), (long, grain))
{
	long middle = range.from + (range.to - range.from) / 2, sum = 0;

	if (range.to - range.from <= grain) {
		for (long i = range.from; i < range.to; i++)
			sum += i;
		return sum;
	}
	FILCH_SPAWN(right, sum_range, (struct range){ middle, range.to }, grain);
	sum = FILCH_CALL(sum_range, (struct range){ range.from, middle }, grain);
	return sum + FILCH_SYNC(right);
}

FILCH_TASK_IMPL(long, sum_triple, (triple, values))
{
	return values[0] + values[1] + values[2];
}

FILCH_TASK_IMPL(int, forty_two)
{
	return 42;
}

FILCH_VOID_TASK_IMPL(add_into, (long *, to), (long, n))
{
	*to += n;
}

FILCH_VOID_TASK_IMPL(do_nothing)
{
}
