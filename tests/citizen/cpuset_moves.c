/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup's cpuset that is narrowed and widened under a running pool: the report follows, and
 * workers come back to their cores.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pools.h"

static char group[128];

static bool write_to(const char *directory, const char *name, const char *text)
{
	char path[256];
	FILE *f;
	bool good;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	f = fopen(path, "w");
	good = f && fputs(text, f) >= 0;
	return f && !fclose(f) && good;
}

static bool copy(const char *from, const char *name)
{
	char path[256], text[4096];
	FILE *f;
	bool good;

	snprintf(path, sizeof path, "%s/%s", from, name);
	f = fopen(path, "r");
	good = f && fgets(text, sizeof text, f);
	if (f)
		(void)fclose(f);
	return good && write_to(group, name, text);
}

static void leave(void)
{
	char *root = strrchr(group, '/');

	*root = '\0';
	(void)write_to(group, "cgroup.procs", "0");
	*root = '/';
	(void)rmdir(group);
}

/* A cgroup of our own with a cpuset, of version 1 or 2, and this process in it. */
static bool enter(void)
{
	static const char *const root[] = { "/sys/fs/cgroup/cpuset", "/sys/fs/cgroup",
		"/sys/fs/cgroup/unified" };
	struct stat is;

	for (size_t i = 0; i < sizeof root / sizeof root[0]; i++) {
		char file[256];

		snprintf(group, sizeof group, "%s/filch-test-%d", root[i], (int)getpid());
		snprintf(file, sizeof file, "%s/cpuset.cpus", group);
		if (mkdir(group, 0755))
			continue;
		if (!stat(file, &is) &&
			(i || (copy(root[i], "cpuset.cpus") && copy(root[i], "cpuset.mems"))) &&
			write_to(group, "cgroup.procs", "0")) {
			atexit(leave);
			return true;
		}
		(void)rmdir(group);
	}
	return false;
}

static cpu_set_t mask_of[CPU_SETSIZE];

static int note(void *arg, int worker)
{
	(void)arg;
	return sched_getaffinity(0, sizeof mask_of[0], &mask_of[worker]);
}

/* Has each worker run one job that looks at its mask, after all have slept. */
struct round {
	_Atomic int inside;
	int workers;
};

static int meet(void *arg)
{
	struct round *round = arg;

	CHECK_EQ(note(NULL, filch_worker_id()), 0);
	round->inside++;
	while (round->inside < round->workers)
		sched_yield();
	return 0;
}

static void look_at_all(struct filch_pool *pool)
{
	struct round round = { .workers = filch_pool_workers(pool) };
	int64_t id[CPU_SETSIZE];

	pool_until_asleep(pool, (uint64_t)round.workers);
	for (int i = 0; i < round.workers; i++)
		CHECK((id[i] = filch_submit(pool, meet, &round, NULL)) > 0, "%d", (int)id[i]);
	for (int i = 0; i < round.workers; i++)
		CHECK_EQ(filch_wait(pool, id[i], NULL, NULL), 0);
}

/* How many seats of the report have the word @pin. */
static int count(struct filch_pool *pool, const char *pin)
{
	char *text = NULL, what[64];
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int n = 0;

	CHECK(out, "no memory");
	CHECK_EQ(filch_pool_describe(pool, out, FILCH_JSON), 0);
	CHECK_EQ(fclose(out), 0);
	snprintf(what, sizeof what, "\"pin\":\"%s\"", pin);
	for (const char *at = text; (at = strstr(at, what)); at++)
		n++;
	free(text);
	return n;
}

static void workers_follow_a_cpuset_and_come_back(void)
{
	struct filch_pool *pool = pool_open(0, FILCH_POOL_PIN);
	int workers = filch_pool_workers(pool), first = 0;
	cpu_set_t seat[CPU_SETSIZE];
	char whole[4096] = "", one[16];
	FILE *f;

	snprintf(whole, sizeof whole, "%s/cpuset.cpus.effective", group);
	if (access(whole, R_OK))
		snprintf(whole, sizeof whole, "%s/cpuset.cpus", group);
	f = fopen(whole, "r");
	CHECK(f && fgets(whole, sizeof whole, f), "cpuset.cpus");
	(void)fclose(f);
	look_at_all(pool);
	memcpy(seat, mask_of, sizeof seat);
	while (!CPU_ISSET((unsigned)first, &seat[0]))
		first++;
	snprintf(one, sizeof one, "%d", first);
	for (int round = 0; round < 5; round++) {
		CHECK_EQ(count(pool, "pinned"), workers);
		CHECK(write_to(group, "cpuset.cpus", one), "narrow: %s", strerror(errno));
		CHECK_EQ(count(pool, "pinned"), 1);
		CHECK_EQ(count(pool, "moved"), workers - 1);
		look_at_all(pool);
		for (int w = 0; w < workers; w++)
			CHECK(CPU_EQUAL(&mask_of[w], &seat[0]), "worker %d", w);
		CHECK(write_to(group, "cpuset.cpus", whole), "widen: %s", strerror(errno));
		do /* at the next job, or one later if one had not quite gone to sleep */
			look_at_all(pool);
		while (memcmp(seat, mask_of, (size_t)workers * sizeof seat[0]));
	}
	pool_close(pool);
}

int main(void)
{
	cpu_set_t ours;

	test_watchdog(100);
	unsetenv("FILCH_NO_PIN");
	CHECK_EQ(sched_getaffinity(0, sizeof ours, &ours), 0);
	if (CPU_COUNT(&ours) < 2)
		test_skip("one CPU: there is nothing to take away");
	if (!enter())
		test_skip("no cpuset of a cgroup can be had");
	test_case("workers_follow_a_cpuset_and_come_back", workers_follow_a_cpuset_and_come_back);
	return test_finish("cpuset_moves");
}
