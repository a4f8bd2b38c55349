/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An idle pool costs nothing: over three seconds its threads use no CPU time and make no context
 * switches. Measured from /proc/self/task, after work has been done and every worker has parked;
 * the sleep is the stretch that is measured, nothing waits for it.
 *
 * labels: quiet
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <filch/filch.h>

#include "fib.h"
#include "test.h"

struct usage {
	uint64_t switches, ticks;
	int threads, sleeping;
};

static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	CHECK(at, "no %s in the status of a thread", name);
	return strtoull(at + strlen(name), NULL, 10);
}

static size_t slurp(const char *tid, const char *what, char *text, size_t size)
{
	char path[300];
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "/proc/self/task/%s/%s", tid, what);
	f = fopen(path, "r");
	CHECK(f, "cannot open %s", path);
	n = fread(text, 1, size - 1, f);
	text[n] = 0;
	fclose(f);
	return n;
}

/* The sum over all threads whose name is a worker's ("quiet/0" ...). */
static struct usage measure(void)
{
	struct usage sum = { 0, 0, 0, 0 };
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	CHECK(dir, "no /proc/self/task");
	while ((entry = readdir(dir))) {
		char text[8192], *after;
		unsigned long user, sys;
		char state;

		if (entry->d_name[0] == '.')
			continue;
		slurp(entry->d_name, "comm", text, sizeof text);
		if (strncmp(text, "quiet/", 6))
			continue;
		sum.threads++;
		slurp(entry->d_name, "status", text, sizeof text);
		sum.switches += field(text, "\nvoluntary_ctxt_switches:") +
				field(text, "nonvoluntary_ctxt_switches:");
		slurp(entry->d_name, "stat", text, sizeof text);
		after = strrchr(text, ')');
		CHECK(after && sscanf(after + 1,
				       " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				       &state, &user, &sys) == 3,
			"cannot read %s", text);
		sum.ticks += user + sys;
		sum.sleeping += state == 'S';
	}
	closedir(dir);
	return sum;
}

static void idle_workers_use_nothing(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	struct filch_stats stats = FILCH_STATS_INIT;
	struct filch_pool *pool;
	struct usage before, after;
	long result;

	config.workers = 4;
	config.flags = FILCH_POOL_OVERSUBSCRIBE;
	config.name = "quiet";
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	CHECK_EQ(FILCH_RUN(pool, &result, fib, 20), 0);
	CHECK_EQ(result, 6765);
	test_watchdog(30);
	do { /* counted asleep comes a few instructions before the system call: wait for that too */
		CHECK_EQ(filch_pool_stats(pool, &stats), 0);
		before = measure();
	} while (stats.asleep != 4 || before.sleeping != 4);
	/* a park is counted between the two: now all are */
	CHECK_EQ(filch_pool_stats(pool, &stats), 0);
	nanosleep(&(struct timespec){ .tv_sec = 3 }, NULL);
	after = measure();
	printf("threads %d, in 3 s: context switches %llu, clock ticks %llu; parks %llu\n",
		after.threads, (unsigned long long)(after.switches - before.switches),
		(unsigned long long)(after.ticks - before.ticks), (unsigned long long)stats.parks);
	CHECK_EQ(after.threads, 4);
	CHECK_EQ(after.switches - before.switches, 0);
	CHECK_EQ(after.ticks - before.ticks, 0);
	CHECK(stats.parks >= 4, "parks %llu", (unsigned long long)stats.parks);
	CHECK_EQ(filch_pool_destroy(pool), 0);
}

int main(void)
{
	test_watchdog(60);
	test_case("an idle pool uses no CPU time and makes no context switches for three seconds",
		idle_workers_use_nothing);
	return test_finish("quiet");
}
