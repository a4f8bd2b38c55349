/* SPDX-License-Identifier: Apache-2.0 */
/* CLOCK_MONOTONIC as nanoseconds, and deadlines, which are absolute times on it. */
#ifndef FILCHI_CLOCK_H
#define FILCHI_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Whether @deadline, which may be NULL, is a time at all. */
static inline bool filchi_deadline_ok(const struct timespec *deadline)
{
	return !deadline ||
	       (deadline->tv_sec >= 0 && deadline->tv_nsec >= 0 && deadline->tv_nsec < 1000000000);
}

/* Whether @deadline, a time or NULL, has passed. */
static inline bool filchi_deadline_passed(const struct timespec *deadline)
{
	struct timespec now;

	if (!deadline)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > deadline->tv_sec ||
	       (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

/* Nanoseconds on CLOCK_MONOTONIC, some milliseconds late but much cheaper to read. */
static inline uint64_t filchi_now_coarse(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Nanoseconds on CLOCK_MONOTONIC. */
static inline uint64_t filchi_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/*
 * A time as nanoseconds. NULL is 0, so time 0 counts as one nanosecond later. A time too far ahead
 * is the last one there is.
 */
static inline uint64_t filchi_nanoseconds(const struct timespec *t)
{
	uint64_t ns;

	if (!t)
		return 0;
	if (__builtin_mul_overflow((uint64_t)t->tv_sec, UINT64_C(1000000000), &ns) ||
		__builtin_add_overflow(ns, (uint64_t)t->tv_nsec, &ns))
		return UINT64_MAX;
	return ns ? ns : 1;
}

#endif
