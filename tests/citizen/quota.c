/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container whose CPU quota changes while its program runs: a pool with FILCH_POOL_FOLLOW_QUOTA
 * lets as many workers run as it allows, up and down. The kernel's files are a tree of the test's
 * own, changed as a whole, and once in a way that cannot be read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <pool/quota.h>

#include "pools.h"

static char base[64];

/* The file is there as a whole, or as it was. */
static void put(const char *path, const char *text)
{
	char to[128], new[136];
	FILE *f;

	snprintf(to, sizeof to, "%s/%s", base, path);
	snprintf(new, sizeof new, "%s.new", to);
	f = fopen(new, "w");
	CHECK(f && fputs(text, f) >= 0 && !fclose(f), "%s: %s", new, strerror(errno));
	CHECK_EQ(rename(new, to), 0);
}

static void make_tree(void)
{
	static const char *const dirs[] = { "proc", "proc/self", "sys", "sys/fs", "sys/fs/cgroup",
		"sys/fs/cgroup/a" };
	char path[128];

	strcpy(base, P_tmpdir "/filch-quota-XXXXXX");
	CHECK(mkdtemp(base), "%s: %s", base, strerror(errno));
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", base, dirs[i]);
		CHECK_EQ(mkdir(path, 0755), 0);
	}
	put("proc/self/mountinfo",
		"30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
	put("proc/self/cgroup", "0::/a\n");
}

static void remove_tree(void)
{
	static const char *const parts[] = { "proc/self/mountinfo", "proc/self/cgroup",
		"sys/fs/cgroup/a/cpu.max", "sys/fs/cgroup/a", "sys/fs/cgroup", "sys/fs", "sys",
		"proc/self", "proc", "" };
	char path[128];

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", base, parts[i]);
		CHECK(!remove(path), "%s: %s", path, strerror(errno));
	}
}

static struct filch_pool *pool;
static atomic_uint ran_on;

static int note(void *arg)
{
	(void)arg;
	atomic_fetch_or(&ran_on, 1u << filch_worker_id());
	return 0;
}

/* The number follows; by then at most so many take new work. */
static void until_workers(int n)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;

	test_watchdog(60);
	while (filch_pool_workers(pool) != n)
		sched_yield();
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	atomic_store(&ran_on, 0);
	how.flags = FILCH_JOB_DETACHED;
	for (int i = 0; i < 500; i++)
		CHECK(filch_submit(pool, note, NULL, &how) > 0, "refused");
	CHECK_EQ(filch_pool_drain(pool, NULL), 0);
	CHECK_EQ(atomic_load(&ran_on) >> n, 0);
}

static void a_quota_is_followed_down_and_up(void)
{
	struct filch_config config = FILCH_CONFIG_INIT;
	static char proc[80], sys[80];
	static const struct filchi_roots roots = { proc, sys };

	make_tree();
	snprintf(proc, sizeof proc, "%s/proc", base);
	snprintf(sys, sizeof sys, "%s/sys", base);
	put("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
	config.workers = 3;
	config.workers_max = 4;
	config.flags = FILCH_POOL_FOLLOW_QUOTA | FILCH_POOL_OVERSUBSCRIBE;
	CHECK_EQ(filch_pool_create(&pool, &config), 0);
	CHECK_EQ(filch_pool_workers_max(pool), 4);
	filchi_quota_set_roots(pool, &roots);
	until_workers(2);
	put("sys/fs/cgroup/a/cpu.max", "max 100000\n");
	until_workers(3);
	put("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
	until_workers(1);
	/* what is asked for holds when the quota allows it */
	CHECK_EQ(filch_pool_resize(pool, 4), 0);
	CHECK_EQ(filch_pool_workers(pool), 1);
	put("sys/fs/cgroup/a/cpu.max", "900000 100000\n");
	until_workers(4);
	put("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
	until_workers(1);
	put("sys/fs/cgroup/a/cpu.max", "nonsense\n"); /* no limit, as at create */
	until_workers(4);
	CHECK_EQ(filch_pool_destroy(pool), 0);
	remove_tree();
}

static void without_the_flag_no_thread_looks(void)
{
	int threads = test_threads();

	pool = pool_open(1, 0);
	CHECK_EQ(test_threads(), threads + 1);
	CHECK_EQ(filch_pool_destroy(pool), 0);
	pool = pool_open(1, FILCH_POOL_FOLLOW_QUOTA);
	CHECK_EQ(test_threads(), threads + 3); /* the service thread and the attendant */
	CHECK_EQ(filch_pool_destroy(pool), 0);
	CHECK_EQ(test_threads(), threads);
}

int main(void)
{
#define CASE(name) test_case(#name, name)
	test_watchdog(60);
	CASE(a_quota_is_followed_down_and_up);
	CASE(without_the_flag_no_thread_looks);
	return test_finish("quota");
}
