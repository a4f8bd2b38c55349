/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processor, kernel, governor, compiler, flags, commit. Text of the build comes from CMake as
 * definitions.
 */
#define _GNU_SOURCE
#include "machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef BENCH_FLAGS
#define BENCH_FLAGS "unknown"
#endif
#ifndef BENCH_SOURCE_DIR
#define BENCH_SOURCE_DIR "."
#endif

/* The first line of @f, without its end; "unknown" when there is none. */
static void first_line(FILE *f, char *to, size_t size)
{
	if (!f || !fgets(to, (int)size, f) || to[0] == '\n')
		snprintf(to, size, "unknown");
	to[strcspn(to, "\n")] = '\0';
}

static void read_cpu(char *to, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(to, size, "unknown");
	while (f && fgets(line, sizeof line, f)) {
		const char *value = strchr(line, ':');

		if (!strncmp(line, "model name", 10) && value) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(to, size, "%.*s", (int)size - 1, value + 2);
			break;
		}
	}
	if (f)
		fclose(f);
}

static void read_file(const char *path, char *to, size_t size)
{
	FILE *f = fopen(path, "r");

	first_line(f, to, size);
	if (f)
		fclose(f);
}

/*
 * Processor time spent since the start of the machine, idle and all, in ticks; false when it cannot
 * be read.
 */
static bool read_ticks(double *idle, double *all)
{
	FILE *f = fopen("/proc/stat", "r");
	char line[256], *p = line + 3;

	*idle = *all = 0;
	if (!f)
		return false;
	bool good = fgets(line, sizeof line, f) && !strncmp(line, "cpu ", 4);

	fclose(f);
	for (int i = 0; good && i < 8; i++) { /* user nice system idle iowait irq softirq steal */
		double ticks = strtod(p, &p);

		*all += ticks;
		if (i == 3 || i == 4)
			*idle += ticks;
	}
	return good;
}

/* Which share of the machine is in use while we sleep. */
static double watch_others(void)
{
	const struct timespec while_asleep = { .tv_nsec = 300000000 };
	double idle[2], all[2];

	if (!read_ticks(&idle[0], &all[0]))
		return 0;
	nanosleep(&while_asleep, NULL);
	if (!read_ticks(&idle[1], &all[1]) || all[1] <= all[0])
		return 0;
	return 1 - (idle[1] - idle[0]) / (all[1] - all[0]);
}

const char *bench_machine_protect(void)
{
	bool nice = !setpriority(PRIO_PROCESS, 0, -20), group = false;
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		group = write(fd, "-20", 3) == 3;
		close(fd);
	}
	return nice && group ? "raised, with its autogroup's"
	       : nice        ? "raised"
	       : group       ? "its autogroup's raised"
			     : "as given";
}

static double process_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double clock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench_watch_begin(struct bench_watch *w)
{
	double idle = 0, all = 0;

	read_ticks(&idle, &all);
	w->used = (all - idle) / (double)sysconf(_SC_CLK_TCK);
	w->own = process_seconds();
	w->at = clock_seconds();
}

double bench_watch_end(const struct bench_watch *w, double *share)
{
	struct bench_watch now;
	double others;

	bench_watch_begin(&now);
	others = now.used - w->used - (now.own - w->own);
	if (others < 0)
		others = 0;
	*share = now.at > w->at ? others / (now.at - w->at) : 0;
	return others;
}

void bench_machine_read(struct bench_machine *m, const int *cpus, int n)
{
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;
	size_t used = 0;
	FILE *f;

	*m = (struct bench_machine){ .plan = n, .online = (int)sysconf(_SC_NPROCESSORS_ONLN) };
	read_cpu(m->cpu, sizeof m->cpu);
	read_file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", m->governor,
		sizeof m->governor);
	if (uname(&u))
		snprintf(m->kernel, sizeof m->kernel, "unknown");
	else
		snprintf(m->kernel, sizeof m->kernel, "%.30s %.60s %.30s", u.sysname, u.release,
			u.machine);
#ifdef __clang__
	snprintf(m->compiler, sizeof m->compiler, "clang %s", __clang_version__);
#else
	snprintf(m->compiler, sizeof m->compiler, "gcc %s", __VERSION__);
#endif
	snprintf(m->flags, sizeof m->flags, "%s", BENCH_FLAGS);
	f = popen("git -C '" BENCH_SOURCE_DIR "' describe --always --dirty --abbrev=12 2>/dev/null",
		"r");
	first_line(f, m->commit, sizeof m->commit);
	if (f)
		pclose(f);
	strftime(m->date, sizeof m->date, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &tm));
	for (int i = 0; i < n && used < sizeof m->cpus - 8; i++)
		used += (size_t)snprintf(
			m->cpus + used, sizeof m->cpus - used, i ? ",%d" : "%d", cpus[i]);
	m->priority = "as given";
	m->busy = watch_others();
}
