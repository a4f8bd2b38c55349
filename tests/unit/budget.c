/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget: the smallest quota among all visible ancestors, in both hierarchies, whatever cannot be
 * read.
 *
 * Each test builds the files of a machine in a directory of its own. EACCES does not happen to
 * root, so that test gives root up first; the plans tests show a file that root cannot read either
 * (a directory in its place).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <place/budget.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2_MOUNT "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"

static char base[64];    /* the machine's directory */
static char notes[4096]; /* what the last read complained of */
static struct filchi_budget budget;

static void set_up(void)
{
	strcpy(base, P_tmpdir "/filch-budget-XXXXXX");
	cr_assert_not_null(mkdtemp(base));
	cr_assert_eq(chdir(base), 0);
	cr_assert_eq(chmod(".", 0755), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void tear_down(void)
{
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(budget, .init = set_up, .fini = tear_down);

/* Writes @text to @path below the machine's directory, making the directories on the way. */
static void put(const char *path, const char *text)
{
	char part[512];
	FILE *f;

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		cr_assert(!mkdir(part, 0755) || errno == EEXIST);
	}
	f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert(fputs(text, f) >= 0 && !fclose(f));
}

/* Reads the budget of the machine built so far. */
static void read_budget(void)
{
	const struct filchi_roots roots = { "proc", "sys" };
	FILE *out;

	memset(notes, 0, sizeof(notes));
	out = fmemopen(notes, sizeof(notes) - 1, "w");
	cr_assert(!filchi_budget_read(&roots, &budget, out));
	fclose(out);
}

/* The machine allows @milli because of @reason, and nothing is complained of. */
static void expect(uint64_t milli, const char *reason)
{
	read_budget();
	cr_assert_eq(budget.milli, milli, "%llu", (unsigned long long)budget.milli);
	cr_assert_str_eq(budget.reason, reason);
	cr_assert_str_eq(notes, "");
}

Test(budget, version_2_is_read)
{
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/a\n");
	put("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
	expect(1500, "cpu.max=150000/100000 at /a");
}

Test(budget, max_and_absent_files_are_no_quota)
{
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/a/b\n");
	put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	put("sys/fs/cgroup/a/cpu.stat", "");
	expect(0, "no cgroup quota");
}

Test(budget, the_smallest_of_all_ancestors_counts_wherever_it_is)
{
	static const char *const file[] = {
		"sys/fs/cgroup/cpu.max",
		"sys/fs/cgroup/a/cpu.max",
		"sys/fs/cgroup/a/bb/cpu.max",
		"sys/fs/cgroup/a/bb/c/cpu.max",
	};
	static const char *const reason[] = {
		"cpu.max=90000/50000 at /",
		"cpu.max=90000/50000 at /a",
		"cpu.max=90000/50000 at /a/bb",
		"cpu.max=90000/50000 at /a/bb/c",
	};

	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/a/bb/c\n");
	for (int smallest = 0; smallest < 4; smallest++) {
		for (int i = 0; i < 4; i++)
			put(file[i], i == smallest ? "90000 50000\n" : "400000 100000\n");
		expect(1800, reason[smallest]);
	}
}

Test(budget, quotas_are_compared_as_rates_not_as_numbers)
{
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/a\n");
	put("sys/fs/cgroup/cpu.max", "30000 10000\n");
	put("sys/fs/cgroup/a/cpu.max", "250000 100000\n");
	expect(2500, "cpu.max=250000/100000 at /a");
}

Test(budget, version_1_is_read_and_minus_one_is_no_quota)
{
	put("proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
	put("proc/self/cgroup", "3:cpuset:/elsewhere\n1:cpu:/a/b\n0::/\n");
	put("sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
	put("sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
	put("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "700000\n");
	put("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "200000\n");
	put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
	expect(3500, "cpu.cfs_quota_us=700000/200000 at /a");
}

Test(budget, the_cpu_controller_is_found_among_others_and_cpuacct_is_not_it)
{
	put("proc/self/mountinfo",
		"32 31 0:29 / /sys/fs/cgroup/acct rw - cgroup cgroup rw,cpuacct\n"
		"33 31 0:30 / /sys/fs/cgroup/both rw - cgroup cgroup rw,net_cls,cpu,cpuset\n");
	put("proc/self/cgroup", "2:cpuacct:/wrong\n1:net_cls,cpu,cpuset:/right\n");
	put("sys/fs/cgroup/acct/wrong/cpu.cfs_quota_us", "100000\n");
	put("sys/fs/cgroup/acct/wrong/cpu.cfs_period_us", "100000\n");
	put("sys/fs/cgroup/both/right/cpu.cfs_quota_us", "200000\n");
	put("sys/fs/cgroup/both/right/cpu.cfs_period_us", "100000\n");
	expect(2000, "cpu.cfs_quota_us=200000/100000 at /right");
}

Test(budget, both_versions_at_once_count)
{
	put("proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
				   "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put("proc/self/cgroup", "1:cpu:/one\n0::/two\n");
	put("sys/fs/cgroup/cpu/one/cpu.cfs_quota_us", "300000\n");
	put("sys/fs/cgroup/cpu/one/cpu.cfs_period_us", "100000\n");
	put("sys/fs/cgroup/unified/two/cpu.max", "400000 100000\n");
	expect(3000, "cpu.cfs_quota_us=300000/100000 at /one");
	put("sys/fs/cgroup/unified/two/cpu.max", "200000 100000\n");
	expect(2000, "cpu.max=200000/100000 at /two");
}

Test(budget, a_mount_that_shows_a_part_is_read_relative_to_it)
{
	put("proc/self/mountinfo",
		"30 24 0:26 /docker/id /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	put("proc/self/cgroup", "0::/docker/id/sub\n");
	put("sys/fs/cgroup/cpu.max", "200000 100000\n");
	put("sys/fs/cgroup/sub/cpu.max", "max 100000\n");
	expect(2000, "cpu.max=200000/100000 at /docker/id");
}

Test(budget, a_path_outside_of_the_mount_is_read_at_the_mount_point)
{
	put("proc/self/mountinfo",
		"30 24 0:26 /docker/id /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	put("proc/self/cgroup", "0::/docker/id2\n");
	put("sys/fs/cgroup/cpu.max", "200000 100000\n");
	expect(2000, "cpu.max=200000/100000 at /docker/id");
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/../other\n");
	expect(2000, "cpu.max=200000/100000 at /");
}

Test(budget, mount_points_may_hold_blanks_and_any_number_of_optional_fields)
{
	put("proc/self/mountinfo",
		"1 2 0:1 / / rw - ext4 /dev/sda rw\nnonsense\n\n"
		"30 24 0:26 / /sys/my\\040cgroup rw shared:4 master:5 propagate_from:6 - cgroup2 "
		"none rw\n");
	put("proc/self/cgroup", "0::/with blank\n");
	put("sys/my cgroup/with blank/cpu.max", "100000 100000\n");
	expect(1000, "cpu.max=100000/100000 at /with blank");
}

Test(budget, a_tiny_quota_is_still_a_quota)
{
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/\n");
	put("sys/fs/cgroup/cpu.max", "1 1000000\n");
	expect(1, "cpu.max=1/1000000 at /");
}

Test(budget, a_huge_quota_does_not_overflow)
{
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/\n");
	put("sys/fs/cgroup/cpu.max", "900000000000000000 100000\n");
	expect(UINT64_C(9000000000000000), "cpu.max=900000000000000000/100000 at /");
	/* in thousandths it is 2^64 and a little */
	put("sys/fs/cgroup/cpu.max", "18446744073709552 1\n");
	expect(UINT64_MAX, "cpu.max=18446744073709552/1 at /");
	put("sys/fs/cgroup/cpu.max", "9223372036854775799 1\n");
	expect(UINT64_MAX, "cpu.max=9223372036854775799/1 at /");
}

Test(budget, nonsense_is_reported_and_the_others_count)
{
	static const char *const nonsense[] = {
		"",
		"\n",
		"200000",
		"200000 ",
		"200000 0",
		"0 100000",
		"-1 100000",
		"maximum",
		"200000 100000 1",
		"2e5 100000",
		"99999999999999999999 100000",
		" 200000 100000",
		"0x10 100000",
	};

	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/a\n");
	put("sys/fs/cgroup/cpu.max", "400000 100000\n");
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
		put("sys/fs/cgroup/a/cpu.max", nonsense[i]);
		read_budget();
		cr_assert_str_eq(notes, "quota: cannot use sys/fs/cgroup/a/cpu.max (EINVAL)\n",
			"after \"%s\"", nonsense[i]);
		cr_assert_str_eq(budget.reason, "cpu.max=400000/100000 at /");
	}
}

Test(budget, a_version_1_quota_without_its_period_is_reported)
{
	put("proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
	put("proc/self/cgroup", "1:cpu:/\n");
	put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
	read_budget();
	cr_assert_eq(budget.milli, 0);
	cr_assert_str_eq(notes, "quota: cannot use sys/fs/cgroup/cpu/cpu.cfs_period_us (ENOENT)\n");
}

Test(budget, missing_directories_and_files_are_reported)
{
	read_budget();
	cr_assert_str_eq(notes, "quota: cannot use proc/self/cgroup (ENOENT)\n");
	put("proc/self/cgroup", "0::/a/b\n");
	read_budget();
	cr_assert_str_eq(notes, "quota: cannot use proc/self/mountinfo (ENOENT)\n");
	put("proc/self/mountinfo", V2_MOUNT);
	put("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
	read_budget();
	cr_assert_str_eq(notes, "quota: cannot use sys/fs/cgroup/a/b (ENOENT)\n");
	cr_assert_eq(budget.milli, 1000);
}

Test(budget, forbidden_files_are_reported_and_the_others_count)
{
	put("proc/self/mountinfo", V2_MOUNT);
	put("proc/self/cgroup", "0::/a/b\n");
	put("sys/fs/cgroup/a/b/cpu.max", "100000 100000\n");
	put("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
	cr_assert_eq(chmod("sys/fs/cgroup/a/b/cpu.max", 0), 0);
	if (!geteuid() && seteuid(65534))
		cr_skip("root reads everything here, and giving root up is not allowed");
	read_budget();
	cr_assert(!getuid() ? !seteuid(0) : true);
	cr_assert_str_eq(notes, "quota: cannot use sys/fs/cgroup/a/b/cpu.max (EACCES)\n");
	cr_assert_str_eq(budget.reason, "cpu.max=200000/100000 at /a");
}

Test(budget, a_recorded_machine_never_reads_the_real_one)
{
	put("proc/self/mountinfo", "30 24 0:26 / /cgroup rw - cgroup2 cgroup2 rw\n");
	put("proc/self/cgroup", "0::/\n");
	put("cgroup/cpu.max", "100000 100000\n");
	expect(0, "no cgroup quota");
}

Test(budget, notes_stay_one_line_each)
{
	put("proc/self/mountinfo", "30 24 0:26 / /sys/a\\012b rw - cgroup2 cgroup2 rw\n");
	put("proc/self/cgroup", "0::/\n");
	read_budget();
	cr_assert_str_eq(notes, "quota: cannot use sys/a?b (ENOENT)\n");
}

Test(budget, this_machine_can_be_read)
{
	cr_assert(!filchi_budget_read(NULL, &budget, NULL));
	cr_assert_gt(strlen(budget.reason), 0);
	cr_assert_eq(budget.milli == 0, !strcmp(budget.reason, "no cgroup quota"));
}
