/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task is defined inside a class.
 *
 * first: a task is no member: define it at namespace scope
 */
#include <filch/filch.h>

struct tree {
	long n;
#ifndef MENDED
	FILCH_TASK(long, walk, (long, k))
	{
		return k + 1;
	}
#endif
};

#ifdef MENDED
FILCH_TASK(long, walk, (tree *, t), (long, k))
{
	return t->n + k;
}

int main()
{
	tree t{ 1 };

	return FILCH_RUN(nullptr, nullptr, walk, &t, 1);
}
#endif
