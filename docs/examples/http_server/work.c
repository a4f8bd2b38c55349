/* SPDX-License-Identifier: Apache-2.0 */
/* See work.h. These functions know nothing of connections, and run on workers. */
#include "work.h"

#include <errno.h>

#include "deadline.h"
#include "handover.h"

#define PIECE 100000 /* steps between two looks at the cancel flag, a tenth of a millisecond */

static uint64_t steps(uint64_t state, uint64_t n)
{
	while (n--)
		state = state * WORK_FACTOR + WORK_ADDEND;
	return state;
}

int work_compute(void *arg)
{
	struct work *work = arg;
	uint64_t state = work->tag, left = work->n;

	while (left > PIECE) {
		if (handover_cancelled())
			return -ECANCELED;
		state = steps(state, PIECE);
		left -= PIECE;
	}
	work->result = steps(state, left) >> WORK_SHIFT;
	return 0;
}

int work_crash(void *arg)
{
	volatile uintptr_t nowhere = 16;

	(void)arg;
	*(volatile int *)nowhere = 1;
	return 0;
}

int work_slow(void *arg)
{
	struct work *work = arg;

	while (!handover_cancelled())
		work->result = steps(work->result, PIECE);
	return -ETIMEDOUT;
}

int work_stubborn(void *arg)
{
	struct work *work = arg;
	struct timespec end = deadline_after(work->ms);
	uint64_t state = work->tag;

	while (!deadline_passed(&end))
		state = steps(state, PIECE);
	work->result = state >> WORK_SHIFT;
	return 0;
}
