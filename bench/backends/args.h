/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed argument lists for the task macros of all but filch.h: (T, a), (U, b) becomes parameters,
 * fields or names.
 */
#ifndef BENCH_ARGS_H
#define BENCH_ARGS_H

#include "bench.h"

#define BENCH_COUNT_(a, b, c, d, e, f, n, ...) n
#define BENCH_COUNT(...)                       BENCH_COUNT_(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)

/* One argument in each of its roles. */
#define BENCH_PARAM(T, n) __typeof__(T) n
#define BENCH_FIELD(T, n) __typeof__(T) n;
#define BENCH_STORE(T, n) frame->n = n;
#define BENCH_LOAD(T, n)  frame->n

/*
 * BENCH_EACH(m, list): m applied to each, one after the other. BENCH_LIST(m, list): with commas
 * between.
 */
#define BENCH_EACH_1(m, a)      m a
#define BENCH_EACH_2(m, a, ...) m a BENCH_EACH_1(m, __VA_ARGS__)
#define BENCH_EACH_3(m, a, ...) m a BENCH_EACH_2(m, __VA_ARGS__)
#define BENCH_EACH_4(m, a, ...) m a BENCH_EACH_3(m, __VA_ARGS__)
#define BENCH_EACH_5(m, a, ...) m a BENCH_EACH_4(m, __VA_ARGS__)
#define BENCH_EACH_6(m, a, ...) m a BENCH_EACH_5(m, __VA_ARGS__)
#define BENCH_EACH(m, ...)      BENCH_CAT(BENCH_EACH_, BENCH_COUNT(__VA_ARGS__))(m, __VA_ARGS__)
#define BENCH_LIST_1(m, a)      m a
#define BENCH_LIST_2(m, a, ...) m a, BENCH_LIST_1(m, __VA_ARGS__)
#define BENCH_LIST_3(m, a, ...) m a, BENCH_LIST_2(m, __VA_ARGS__)
#define BENCH_LIST_4(m, a, ...) m a, BENCH_LIST_3(m, __VA_ARGS__)
#define BENCH_LIST_5(m, a, ...) m a, BENCH_LIST_4(m, __VA_ARGS__)
#define BENCH_LIST_6(m, a, ...) m a, BENCH_LIST_5(m, __VA_ARGS__)
#define BENCH_LIST(m, ...)      BENCH_CAT(BENCH_LIST_, BENCH_COUNT(__VA_ARGS__))(m, __VA_ARGS__)

#endif
