/* SPDX-License-Identifier: Apache-2.0 */
/* cpuset: the text form is read strictly and written so that it can be read again. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <place/cpuset.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* What @text reads as, written again. */
static void expect_text(const char *text, const char *expected, uint32_t members)
{
	struct filchi_cpuset set;
	char *written = NULL;
	size_t size;
	FILE *out = open_memstream(&written, &size);

	cr_assert_eq(filchi_cpuset_parse(text, &set), 0, "%s was refused", text);
	filchi_cpuset_print(&set, out);
	fclose(out);
	cr_assert_str_eq(written, expected);
	cr_assert_eq(filchi_cpuset_count(&set), members);
	free(written);
}

Test(cpuset, a_list_is_read_and_written_again)
{
	expect_text("0", "0", 1);
	expect_text("0-3,8", "0-3,8", 5);
	expect_text("8,0-3", "0-3,8", 5);
	expect_text("3-3", "3", 1);
	expect_text("1,2,3,2-4", "1-4", 4);
	expect_text("62-65,127,128", "62-65,127-128", 6);
	expect_text("0-8191", "0-8191", 8192);
	expect_text("007", "7", 1);
}

Test(cpuset, anything_else_is_refused_and_leaves_the_set_alone)
{
	static const char *const bad[] = {
		"",
		"3-1",
		"0,,1",
		"a",
		"0-99999999999",
		"99999999999999999999",
		"8192",
		"0-8192",
		"0,",
		",0",
		"-",
		"-1",
		"0-",
		"0-1-2",
		"0 ",
		" 0",
		"0, 1",
		"0;1",
		"+1",
		"0x1",
		"0-3,8junk",
		"0\n",
		"1.5",
		"0-3:2",
	};
	struct filchi_cpuset set = { { 0 } }, before;

	filchi_cpuset_add(&set, 77);
	before = set;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		cr_assert_eq(
			filchi_cpuset_parse(bad[i], &set), -EINVAL, "\"%s\" was accepted", bad[i]);
		cr_assert(!memcmp(&set, &before, sizeof(set)), "\"%s\" changed the set", bad[i]);
	}
	cr_assert_eq(filchi_cpuset_parse(NULL, &set), -EINVAL);
}

Test(cpuset, an_empty_set_is_written_as_none)
{
	struct filchi_cpuset set = { { 0 } };
	char text[16] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	filchi_cpuset_print(&set, out);
	fclose(out);
	cr_assert_str_eq(text, "none");
}

Test(cpuset, members_beyond_the_largest_cpu_do_not_exist)
{
	struct filchi_cpuset set = { { 0 } };

	filchi_cpuset_add(&set, FILCHI_CPUS_MAX - 1);
	filchi_cpuset_add(&set, FILCHI_CPUS_MAX);
	filchi_cpuset_add(&set, UINT32_MAX);
	cr_assert_eq(filchi_cpuset_count(&set), 1);
	cr_assert(filchi_cpuset_has(&set, FILCHI_CPUS_MAX - 1));
	cr_assert(!filchi_cpuset_has(&set, FILCHI_CPUS_MAX));
}

Test(cpuset, intersection_keeps_the_common_members)
{
	struct filchi_cpuset a, b;

	cr_assert_eq(filchi_cpuset_parse("0-9,100", &a), 0);
	cr_assert_eq(filchi_cpuset_parse("5-200", &b), 0);
	filchi_cpuset_and(&a, &b);
	cr_assert_eq(filchi_cpuset_count(&a), 6);
	cr_assert(filchi_cpuset_has(&a, 5) && filchi_cpuset_has(&a, 100) &&
		  !filchi_cpuset_has(&a, 4));
}

Test(cpuset, the_affinity_mask_is_the_kernels)
{
	struct filchi_cpuset set;
	cpu_set_t kernel;

	cr_assert_eq(filchi_cpuset_affinity(&set), 0);
	cr_assert_eq(sched_getaffinity(0, sizeof(kernel), &kernel), 0);
	cr_assert_eq(filchi_cpuset_count(&set), (uint32_t)CPU_COUNT(&kernel));
	for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		cr_assert_eq(
			filchi_cpuset_has(&set, cpu), !!CPU_ISSET(cpu, &kernel), "CPU %u", cpu);
}
