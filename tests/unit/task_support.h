/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of typed tasks share. */
#ifndef TASK_SUPPORT_H
#define TASK_SUPPORT_H

#include <criterion/criterion.h>

#include "unit.h"

/* Runs @body on pools of 1, 2 and 8 workers. */
static inline void on_each_pool(void (*body)(struct filch_pool *pool))
{
	const uint32_t workers[] = { 1, 2, 8 };

	for (int i = 0; i < 3; i++) {
		struct filch_pool *pool = pool_of(workers[i], 0);

		body(pool);
		EQ(filch_pool_destroy(pool), 0);
	}
}

/* Until somebody has stolen what raises @g: nobody can in a pool of one. */
static inline void let_it_be_stolen(struct gate *g)
{
	if (filch_pool_workers(filch_pool_current()) > 1)
		gate_wait(g, 1);
}

#endif
