/* SPDX-License-Identifier: Apache-2.0 */
/* What the figures were measured on. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

struct bench_machine {
	char cpu[128], kernel[128], governor[64], compiler[96], flags[256], commit[96], date[40];
	int online; /* CPUs of the machine */
	int plan;   /* workers filch would use by default */
	/* where contestants' threads are pinned, in the order of workers */
	char cpus[128];
	/* share of the machine's time that others used just before the start, 0 to 1 */
	double busy;
};

/*
 * Fills in what can be found out; the rest says "unknown". @cpus: the plan of @n workers. Watches
 * the machine for 0.3 s.
 */
void bench_machine_read(struct bench_machine *m, const int *cpus, int n);

#endif
