/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting the instructions of one measured call, by callgrind: to the instruction, and there where
 * the processor's own counters are not to be had. Only under `valgrind --tool=callgrind
 * --instr-atstart=no`, which bench/instructions starts; anywhere else both calls do nothing. Every
 * thread of the process counts between the two.
 *
 * Rejected: callgrind's --toggle-collect, which counts only the thread that calls the named
 *           function; the difference of two sizes, for
 * which two trees would have to differ in nothing but their size.
 */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#ifdef BENCH_CALLGRIND
#include <stdio.h>
#include <valgrind/callgrind.h>
#endif

static inline void bench_count_begin(void)
{
#ifdef BENCH_CALLGRIND
	CALLGRIND_START_INSTRUMENTATION;
#endif
}

/*
 * Writes what was counted into callgrind's file, under a name of five fields, which
 * bench/instructions reads: none has a '|' in it.
 */
static inline void bench_count_end(const char *bench, const char *size, const char *contestant,
	int workers, unsigned long long tasks)
{
#ifdef BENCH_CALLGRIND
	char name[160];

	CALLGRIND_STOP_INSTRUMENTATION;
	if (!RUNNING_ON_VALGRIND)
		return;
	snprintf(name, sizeof name, "|%s|%s|%s|%d|%llu", bench, size, contestant, workers, tasks);
	CALLGRIND_DUMP_STATS_AT(name);
#else
	(void)bench, (void)size, (void)contestant, (void)workers, (void)tasks;
#endif
}

#endif
