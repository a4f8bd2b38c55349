/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks that one file of a program defines and others use: in C, and from C++ by C++ files of their
 * own.
 */
#ifndef TREE_H
#define TREE_H

#include <filch/filch.h>

struct range {
	long from, to;
};
typedef long triple[3];

FILCH_TASK_DECL(long, sum_range, (struct range, range), (long, grain));
FILCH_TASK_DECL(long, sum_triple, (triple, values));
FILCH_TASK_DECL(int, forty_two);
FILCH_VOID_TASK_DECL(add_into, (long *, to), (long, n));
FILCH_VOID_TASK_DECL(do_nothing);

#endif
