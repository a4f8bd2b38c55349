/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plans: whole plans of machines we do not have, compared letter by letter with
 * tests/unit/plans/NAME.txt.
 *
 * A plan is all that placement promises: how many workers, which CPU each gets, in which order they
 * steal, and the reasons. Each case runs in a process of its own, so its environment and working
 * directory are private.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <filch/pool.h>
#include <place/placement.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TWO_SOCKETS "package:2 [numa] l3:8 l2:8 core:1 pu:2(indexes=2*128:1*2)"
#define SMALL_SMT   "package:2 [numa] l3:1 l2:4 core:1 pu:2(indexes=2*8:1*2)"
#define EIGHT_CORES "package:1 [numa] l3:2 l2:4 core:1 pu:1"

/*
 * What a case is made of; members left out are the defaults of a pool on a machine without a quota.
 */
struct machine {
	const char *name;
	const char *synthetic, *xml;
	const char *roots; /* directory with proc and sys; NULL: "unlimited" */
	const char *mask;
	const char *workers_env, *cpuset_env, *no_pin_env;
	struct filchi_place_request request;
};

/* The whole of @file, to be freed; an empty text when there is no such file. */
static char *whole_file(const char *file)
{
	FILE *f = fopen(file, "r");
	char *text = NULL;
	size_t room = 0;
	ssize_t n = f ? getdelim(&text, &room, '\0', f) : -1;

	if (f)
		fclose(f);
	if (n < 0) {
		free(text);
		return strdup("");
	}
	return text;
}

/* Where two texts part, for a message that can be read. */
static unsigned long first_difference(const char *a, const char *b)
{
	unsigned long line = 1;

	for (; *a && *a == *b; a++, b++)
		line += *a == '\n';
	return line;
}

/* Makes the plan of @m and compares it with the file of its name. */
static void expect_plan(const struct machine *m)
{
	const char *roots = m->roots ? m->roots : "unlimited";
	struct filchi_surroundings where = { .affinity = NULL };
	struct filchi_cpuset mask;
	struct filchi_plan *plan = NULL;
	char proc[64], sys[64], file[128], *text = NULL, *expected;
	size_t size;
	FILE *out;

	cr_assert_eq(chdir(FILCH_TEST_SOURCE_DIR "/tests/unit/plans"), 0);
	unsetenv("FILCH_WORKERS");
	unsetenv("FILCH_CPUSET");
	unsetenv("FILCH_NO_PIN");
	unsetenv("FILCH_PIN");
	if (m->synthetic)
		setenv("HWLOC_SYNTHETIC", m->synthetic, 1);
	if (m->xml)
		setenv("HWLOC_XMLFILE", m->xml, 1);
	if (m->workers_env)
		setenv("FILCH_WORKERS", m->workers_env, 1);
	if (m->cpuset_env)
		setenv("FILCH_CPUSET", m->cpuset_env, 1);
	if (m->no_pin_env)
		setenv("FILCH_NO_PIN", m->no_pin_env, 1);
	if (m->mask) {
		cr_assert_eq(filchi_cpuset_parse(m->mask, &mask), 0);
		where.affinity = &mask;
	}
	snprintf(proc, sizeof(proc), "%s/proc", roots);
	snprintf(sys, sizeof(sys), "%s/sys", roots);
	snprintf(file, sizeof(file), "%s.txt", m->name);
	where.roots = (struct filchi_roots){ proc, sys };

	cr_assert_eq(filchi_plan_make_in(&m->request, &where, &plan), 0);
	out = open_memstream(&text, &size);
	cr_assert_eq(filchi_plan_write(plan, out, FILCH_TEXT, NULL), 0);
	fclose(out);
	filchi_plan_free(plan);
	expected = whole_file(file);
	if (strcmp(text, expected) && getenv("FILCH_WRITE_PLANS")) {
		out = fopen(file, "w");
		cr_assert(out && fputs(text, out) >= 0 && !fclose(out));
		cr_assert_fail("%s was rewritten: read the difference", file);
	}
	cr_assert_str_eq(text, expected, "%s differs from line %lu on; the plan made was:\n%s",
		file, first_difference(text, expected), text);
	free(text);
	free(expected);
}

#define PLAN(sentence, ...)                                                        \
	Test(plans, sentence)                                                      \
	{                                                                          \
		const struct machine machine = { .name = #sentence, __VA_ARGS__ }; \
		expect_plan(&machine);                                             \
	}

PLAN(two_sockets_of_64_cores_get_one_worker_per_core, .synthetic = TWO_SOCKETS)
PLAN(with_smt_siblings_come_after_all_cores, .synthetic = SMALL_SMT,
	.request = { .flags = FILCH_POOL_USE_SMT })
PLAN(reserved_cores_stay_free_with_all_their_threads, .synthetic = SMALL_SMT,
	.request = {
		.flags = FILCH_POOL_USE_SMT, .reserve_cores = 2, .workload = FILCH_WORKLOAD_IO })
PLAN(a_cache_that_spans_nodes_is_farther_than_the_node,
	.synthetic = "package:2 l3:1 group:2 [numa] l2:2 core:1 pu:1")
PLAN(a_hybrid_machine_has_fast_cores_and_slow_clusters, .xml = "hybrid.xml")
PLAN(fast_cores_come_first_though_the_tree_lists_them_last, .xml = "big-little.xml",
	.request = { .workers = 6 })
PLAN(reserved_cores_are_the_slow_ones, .xml = "big-little.xml", .request = { .reserve_cores = 3 })
PLAN(one_core_always_gets_its_worker, .synthetic = "core:1 pu:1",
	.request = { .reserve_cores = 4, .workload = FILCH_WORKLOAD_IO })
PLAN(without_core_objects_each_cpu_is_a_core, .synthetic = "pu:4")
PLAN(a_quota_of_one_and_a_half_cpus_is_one_worker, .synthetic = EIGHT_CORES, .roots = "quota-1.5")
PLAN(a_quota_on_a_parent_counts, .synthetic = EIGHT_CORES, .roots = "quota-parent")
PLAN(unreadable_quotas_are_reported_and_the_others_count, .synthetic = EIGHT_CORES,
	.roots = "unreadable")
PLAN(without_any_kernel_files_there_is_no_quota, .synthetic = EIGHT_CORES, .roots = "nowhere")
PLAN(a_container_under_version_1_sees_its_quota, .synthetic = EIGHT_CORES, .roots = "v1-container")
PLAN(a_quota_meets_reserved_cores_and_input_output, .synthetic = EIGHT_CORES,
	.roots = "v1-container", .request = { .reserve_cores = 1, .workload = FILCH_WORKLOAD_IO })
PLAN(a_hole_in_the_mask_is_respected, .synthetic = EIGHT_CORES, .mask = "0-1,4,6-7")
PLAN(a_mask_of_single_threads_leaves_their_cores, .synthetic = SMALL_SMT, .mask = "0,8,9,3,15")
PLAN(one_core_of_eight_as_mpirun_binds, .synthetic = EIGHT_CORES, .mask = "5")
PLAN(the_cpuset_of_the_configuration_narrows_the_mask, .synthetic = EIGHT_CORES, .mask = "0-5",
	.request = { .cpuset = "2-3,7" })
PLAN(the_environment_beats_the_configuration, .synthetic = EIGHT_CORES, .cpuset_env = "4-7",
	.workers_env = "3", .no_pin_env = "0",
	.request = { .cpuset = "0-1", .workers = 2, .flags = FILCH_POOL_NO_PIN })
PLAN(bad_values_in_the_environment_are_ignored_and_reported, .synthetic = EIGHT_CORES,
	.cpuset_env = "3-1", .workers_env = "9", .no_pin_env = "yes", .request = { .workers = 2 })
PLAN(unpinned_workers_have_no_seats_and_one_ring, .synthetic = EIGHT_CORES,
	.request = { .workers = 3 }, .no_pin_env = "1")
PLAN(oversubscribed_workers_share_cores_round_robin,
	.synthetic = "package:1 [numa] l3:1 l2:2 core:1 pu:1",
	.request = { .workers = 7, .flags = FILCH_POOL_OVERSUBSCRIBE })
