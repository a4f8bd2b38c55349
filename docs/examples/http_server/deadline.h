/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time on CLOCK_MONOTONIC, in the server's unit, the millisecond. */
#ifndef DEADLINE_H
#define DEADLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline struct timespec deadline_after(uint64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	t.tv_sec += (time_t)(ms / 1000) + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static inline bool deadline_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static inline bool deadline_passed(const struct timespec *t)
{
	struct timespec now = deadline_after(0);

	return !deadline_before(&now, t);
}

/* For epoll_wait(): rounded up, so that the time has come when it returns. */
static inline int deadline_left_ms(const struct timespec *t)
{
	struct timespec now = deadline_after(0);
	int64_t ms = ((int64_t)t->tv_sec - now.tv_sec) * 1000 +
		     (t->tv_nsec - now.tv_nsec + 999999) / 1000000;

	return ms < 0 ? 0 : ms < 60000 ? (int)ms : 60000;
}

static inline uint64_t deadline_ns_since(const struct timespec *t)
{
	struct timespec now = deadline_after(0);

	return (uint64_t)((int64_t)(now.tv_sec - t->tv_sec) * 1000000000 + now.tv_nsec -
			  t->tv_nsec);
}

/* The earlier of two times for epoll_wait(), of which -1 is none. */
static inline int deadline_earlier_ms(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

#endif
