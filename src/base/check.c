/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a misuse found by a debug build, or a bug of filch itself, ends. The library aborts nowhere
 * else.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

#include <filch/task.h>

void filch_misuse(const char *what, const char *task)
{
	fprintf(stderr, "filch: task %s: %s\n", task, what);
	abort();
}

void filchi_bug(const char *what, const char *file, int line)
{
	fprintf(stderr, "filch: %s:%d: does not hold: %s\n", file, line, what);
	abort();
}
