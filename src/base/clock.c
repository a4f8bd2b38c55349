/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines made from durations: see clock.h. */
#include "base/clock.h"

#include <filch/pool.h>

struct timespec filch_after(uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	/* 584 years at most: added apart, neither part can overflow */
	t.tv_sec += (time_t)(ns / UINT64_C(1000000000));
	t.tv_nsec += (long)(ns % UINT64_C(1000000000));
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}
