/* SPDX-License-Identifier: Apache-2.0 */
/* What the figures were measured on. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdbool.h>

struct bench_machine {
	char cpu[128], kernel[128], governor[64], compiler[96], flags[256], commit[96], date[40];
	int online; /* CPUs of the machine */
	int plan;   /* workers filch would use by default */
	/* where contestants' threads are pinned, in the order of workers */
	char cpus[128];
	/* what this process has over others: see bench_machine_protect() */
	const char *priority;
	/* share of the machine's time that others used just before the start, 0 to 1 */
	double busy;
};

/*
 * Fills in what can be found out; the rest says "unknown". @cpus: the plan of @n workers. Watches
 * the machine for 0.3 s.
 */
void bench_machine_read(struct bench_machine *m, const int *cpus, int n);

/*
 * Puts this process before others, as far as it may; says in words how far. Where the kernel groups
 * processes by session, a nice value counts within the session alone, so the group's is set too.
 */
const char *bench_machine_protect(void);

/* What others use while something is measured. */
struct bench_watch {
	double used, own, at; /* seconds of processors, of this process, of the clock */
};

void bench_watch_begin(struct bench_watch *w);

/* Seconds of processors that others have used since; in *@share that by the time that went by. */
double bench_watch_end(const struct bench_watch *w, double *share);

#endif
