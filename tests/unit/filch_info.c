/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filch-info: the whole program, its text compiled into this test, run in a child process with its
 * output caught.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <criterion/criterion.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define main filch_info_main
#include "tools/filch-info.c"
#undef main

static char out[1 << 20], err[1 << 16]; /* what the last run wrote */

/* Reads all of @f from its start into @text. */
static void collect(FILE *f, char *text, size_t room)
{
	size_t n;

	rewind(f);
	n = fread(text, 1, room - 1, f);
	text[n] = '\0';
	fclose(f);
}

/* Runs filch-info with the blank-separated @arguments and returns its exit status. */
static int run(const char *arguments)
{
	char *argv[32] = { "filch-info" }, *save = NULL, line[512];
	FILE *o = tmpfile(), *e = tmpfile();
	int argc = 1, status = 0;
	pid_t child;

	cr_assert(o && e);
	snprintf(line, sizeof(line), "%s", arguments);
	for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	fflush(NULL);
	child = fork();
	if (!child) {
		dup2(fileno(o), STDOUT_FILENO);
		dup2(fileno(e), STDERR_FILENO);
		status = filch_info_main(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	cr_assert(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	collect(o, out, sizeof(out));
	collect(e, err, sizeof(err));
	return WEXITSTATUS(status);
}

/* A known machine and an empty environment, in the directory of the recorded ones. */
static void set_up(void)
{
	unsetenv("FILCH_WORKERS");
	unsetenv("FILCH_CPUSET");
	unsetenv("FILCH_NO_PIN");
	setenv("HWLOC_SYNTHETIC", "package:1 [numa] l3:2 l2:4 core:1 pu:1", 1);
	cr_assert_eq(chdir(FILCH_TEST_SOURCE_DIR "/tests/unit/plans"), 0);
}

TestSuite(filch_info, .init = set_up);

/* The text of a recorded plan. */
static void expect_file(const char *file)
{
	static char expected[1 << 16];
	FILE *f = fopen(file, "r");

	cr_assert_not_null(f);
	collect(f, expected, sizeof(expected));
	cr_assert_str_eq(out, expected);
	cr_assert_str_eq(err, "");
}

Test(filch_info, prints_the_plan_of_a_pool)
{
	cr_assert_eq(run("--proc quota-parent/proc --sys quota-parent/sys"), 0);
	expect_file("a_quota_on_a_parent_counts.txt");
	cr_assert_eq(run("--proc v1-container/proc --sys v1-container/sys --reserve-cores 1 "
			 "--workload io"),
		0);
	expect_file("a_quota_meets_reserved_cores_and_input_output.txt");
}

Test(filch_info, every_option_reaches_the_plan)
{
	cr_assert_eq(run("--workers 3"), 0);
	cr_assert_eq(strncmp(out, "workers 3, usable 8, pinned", 27), 0, "%s", out);
	cr_assert_eq(run("--workers=12 --oversubscribe"), 0);
	cr_assert_not_null(strstr(out, "oversubscribed: 12 workers share 8 seats"));
	cr_assert_eq(run("--no-pin --workload cpu"), 0);
	cr_assert_not_null(strstr(out, "pinning: off by the configuration"));
	cr_assert_eq(run("--cpuset 2-4"), 0);
	cr_assert_not_null(strstr(out, "cpuset: 2-4 from the configuration leaves 3 of 8 CPUs"));
	setenv("HWLOC_SYNTHETIC", "core:2 pu:2", 1);
	cr_assert_eq(run("--use-smt"), 0);
	cr_assert_eq(strncmp(out, "workers 4, ", 11), 0, "%s", out);
}

Test(filch_info, obeys_the_environment)
{
	setenv("FILCH_WORKERS", "2", 1);
	cr_assert_eq(run("--workers 5"), 0);
	cr_assert_not_null(strstr(out, "workers: 2 from FILCH_WORKERS"));
}

Test(filch_info, prints_json)
{
	cr_assert_eq(run("--json --workers 2 --proc unlimited/proc --sys unlimited/sys"), 0);
	cr_assert_str_eq(out,
		"{\"workers\":2,\"usable\":8,\"pin\":true,\"binding\":\"seat\","
		"\"simulated\":true,\n"
		" \"reasons\":[\n"
		"  \"usable: 8 cores: all that the machine has\",\n"
		"  \"machine: simulated: 8 CPUs on 8 cores, 1 package, 1 NUMA node\",\n"
		"  \"affinity mask: not applied to a simulated machine\",\n"
		"  \"quota: no cgroup quota\",\n"
		"  \"workers: 2 from the configuration\",\n"
		"  \"pinning: none on a simulated machine\"],\n"
		" \"seats\":[\n"
		"  {\"worker\":0,\"cpu\":0,\"core\":0,\"node\":0,\"package\":0,\"kind\":-1,"
		"\"pin\":\"simulated\",\"error\":0,\"mask\":\"0\",\"gives_way_to\":\"0-3\"},\n"
		"  {\"worker\":1,\"cpu\":1,\"core\":1,\"node\":0,\"package\":0,\"kind\":-1,"
		"\"pin\":\"simulated\",\"error\":0,\"mask\":\"1\",\"gives_way_to\":\"0-3\"}],\n"
		" \"steal_order\":[\n"
		"  {\"worker\":0,\"tiers\":[{\"level\":\"L3\",\"workers\":[1]}]},\n"
		"  {\"worker\":1,\"tiers\":[{\"level\":\"L3\",\"workers\":[0]}]}]}\n");
}

Test(filch_info, tells_the_whole_machines_cpus_under_a_mask_of_one)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t before, one;
	char expected[96];

	if (online < 2)
		cr_skip("the machine has one CPU");
	unsetenv("HWLOC_SYNTHETIC");
	cr_assert_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (int cpu = 0; !CPU_COUNT(&one); cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	cr_assert_eq(run(""), 0);
	cr_assert_eq(sched_setaffinity(0, sizeof(before), &before), 0);
	snprintf(expected, sizeof(expected), "\n  machine: %ld CPUs; under the affinity mask 1 CPU",
		online);
	cr_assert_not_null(strstr(out, expected), "%s", out);
}

Test(filch_info, wrong_options_are_answered_with_the_usage_and_status_2)
{
	static const char *const wrong_options[] = {
		"--bogus",
		"--workers",
		"--workers x",
		"--workers -1",
		"--workers 4294967296",
		"--workers 1x",
		"--workload gpu",
		"--reserve-cores 1.5",
		"--cpuset 3-1",
		"--cpuset 0,,1",
		"--json=yes",
		"surplus",
		"-x",
	};

	for (size_t i = 0; i < sizeof(wrong_options) / sizeof(*wrong_options); i++) {
		cr_assert_eq(run(wrong_options[i]), 2, "%s", wrong_options[i]);
		cr_assert_str_eq(out, "");
		cr_assert_not_null(strstr(err, "usage: filch-info"), "%s", wrong_options[i]);
	}
}

Test(filch_info, an_impossible_plan_is_status_1)
{
	cr_assert_eq(run("--workers 9"), 1);
	cr_assert_str_eq(out, "");
	cr_assert_not_null(strstr(err, "no such plan"));
	cr_assert_eq(run("--cpuset 100"), 1);
	cr_assert_eq(run("--workers 1025 --oversubscribe"), 1);
}

Test(filch_info, help_and_version_go_to_the_output)
{
	cr_assert_eq(run("--help"), 0);
	cr_assert_not_null(strstr(out, "--reserve-cores N"));
	cr_assert_str_eq(err, "");
	cr_assert_eq(run("--version"), 0);
	cr_assert_str_eq(out, "filch-info " FILCH_VERSION_STRING "\n");
}

Test(filch_info, a_full_disk_is_status_1)
{
	FILE *full = fopen("/dev/full", "w");
	int status = 0;
	pid_t child;

	if (!full)
		cr_skip("there is no /dev/full here");
	fflush(NULL);
	child = fork();
	if (!child) {
		char *argv[] = { "filch-info", NULL };

		dup2(fileno(full), STDOUT_FILENO);
		dup2(fileno(full), STDERR_FILENO);
		_exit(filch_info_main(1, argv));
	}
	cr_assert(child > 0 && waitpid(child, &status, 0) == child);
	fclose(full);
	cr_assert(
		WIFEXITED(status) && WEXITSTATUS(status) == 1, "wait status %#x", (unsigned)status);
}
