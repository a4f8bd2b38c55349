/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator of bench/sim: runs come again by their seed, every task is run once, no run is
 * faster than its work and its critical path allow, and small runs take what they must by hand.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "sim.h"

static const struct sim_policy shipped = { .thief_only = false };
static const char *const works[] = { "fib", "tree", "loop", "t1", "t3", "wavefront", "burst",
	"jobs" };
/* small ones of these */
static const int64_t sizes[] = { 14, 700, 5000, 4, 40, 12, 64, 3 };
#define WORKS (sizeof(works) / sizeof(*works))

static struct sim_work make_work(const char *name, int64_t size, uint64_t leaf_ns, uint32_t workers)
{
	struct sim_work work;

	cr_assert(sim_work_make(&work, name, size, leaf_ns, workers), "no work %s", name);
	return work;
}

static struct sim_machine make_machine(const char *text, uint32_t workers)
{
	struct sim_machine machine;
	int error = sim_machine_make(&machine, text, workers);

	cr_assert_eq(error, 0, "machine %s: %d", text, error);
	return machine;
}

static struct sim_result run(const char *machine_text, uint32_t workers,
	const struct sim_work *work, const struct sim_costs *costs, const struct sim_policy *policy,
	uint64_t seed)
{
	struct sim_machine machine = make_machine(machine_text, workers);
	struct sim_result result;

	sim_run(&machine, work, costs, policy, seed, &result);
	sim_machine_free(&machine);
	return result;
}

/* Nothing takes time but what a test says. */
static struct sim_costs free_of_charge(void)
{
	struct sim_costs costs;

	memset(&costs, 0, sizeof(costs));
	costs.search = 20000;
	costs.slice = 200;
	costs.pause = 50; /* not forever in one search */
	return costs;
}

static uint64_t steals(const struct sim_result *r)
{
	return r->steals[SIM_NEAR] + r->steals[SIM_MIDDLE] + r->steals[SIM_FAR];
}

Test(sim, the_same_seed_gives_the_same_run)
{
	struct sim_costs costs;

	sim_costs_init(&costs);
	costs.noise = 100;
	for (size_t i = 0; i < WORKS; i++) {
		struct sim_work work = make_work(works[i], sizes[i], 1000, 24);
		struct sim_result a = run("2x1x2x6", 24, &work, &costs, &shipped, 7),
				  b = run("2x1x2x6", 24, &work, &costs, &shipped, 7);

		cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0, "%s", works[i]);
	}
}

Test(sim, another_seed_gives_another_run)
{
	struct sim_work work = make_work("fib", 16, 1000, 24);
	struct sim_costs costs;

	sim_costs_init(&costs);
	struct sim_result a = run("2x1x2x6", 24, &work, &costs, &shipped, 7),
			  b = run("2x1x2x6", 24, &work, &costs, &shipped, 8);
	cr_assert_neq(memcmp(&a, &b, sizeof(a)), 0);
}

Test(sim, one_worker_takes_what_the_work_takes)
{
	struct sim_costs costs;

	sim_costs_init(&costs);
	costs.asked = costs.finish = 0;
	for (size_t i = 0; i < WORKS; i++) {
		struct sim_work work = make_work(works[i], sizes[i], 1000, 1);
		struct sim_amount amount = sim_work_measure(&work, &costs);

		work.bursts = work.jobs = 1;
		struct sim_result r = run("1x1x1x1", 1, &work, &costs, &shipped, 1);
		cr_assert_eq(r.ran, amount.work, "%s: %lu, and not %lu", works[i],
			(unsigned long)r.ran, (unsigned long)amount.work);
		cr_assert_eq(steals(&r), 0);
	}
}

static void check_bounds(const char *name, int64_t size, uint32_t workers,
	const struct sim_costs *costs, const struct sim_policy *policy)
{
	struct sim_work work = make_work(name, size, 1000, workers);
	struct sim_amount amount = sim_work_measure(&work, costs);
	uint64_t runs = (uint64_t)work.jobs * work.bursts;

	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct sim_result r = run("auto", workers, &work, costs, policy, seed);

		cr_assert(!r.lost, "%s, %u workers, seed %lu", name, workers, (unsigned long)seed);
		cr_assert_eq(r.tasks, amount.tasks * runs);
		cr_assert_eq(r.leaves, amount.leaves * runs);
		cr_assert_geq(r.took, r.ran);
		cr_assert_geq(r.ran * workers, amount.work * runs,
			"%s, %u workers: faster than the work allows", name, workers);
		cr_assert_geq(r.ran, amount.span * work.bursts,
			"%s, %u workers: %lu, faster than the critical path, %lu", name, workers,
			(unsigned long)r.ran, (unsigned long)(amount.span * work.bursts));
	}
}

Test(sim, no_run_loses_a_task_or_beats_its_bounds)
{
	const uint32_t workers[] = { 1, 2, 3, 8, 33, 64, 200 };
	struct sim_costs costs;

	sim_costs_init(&costs);
	for (size_t i = 0; i < WORKS; i++)
		for (size_t w = 0; w < sizeof(workers) / sizeof(*workers); w++)
			check_bounds(works[i], sizes[i], workers[w], &costs, &shipped);
}

Test(sim, nor_does_one_that_costs_nothing)
{
	struct sim_costs costs = free_of_charge();

	for (size_t i = 0; i < WORKS; i++) {
		check_bounds(works[i], sizes[i], 2, &costs, &shipped);
		check_bounds(works[i], sizes[i], 33, &costs, &shipped);
	}
}

Test(sim, nor_does_another_policy)
{
	const char *const names[] = { "thief-only", "shallow", "no-park", "wake-two", "chain" };
	struct sim_policy all = { .chain = false };
	struct sim_costs costs;

	sim_costs_init(&costs);
	for (size_t p = 0; p < sizeof(names) / sizeof(*names); p++) {
		struct sim_policy policy = { .chain = false };

		cr_assert(sim_policy_set(&policy, names[p]) && sim_policy_set(&all, names[p]));
		for (size_t i = 0; i < WORKS; i++)
			check_bounds(works[i], sizes[i], 33, &costs, &policy);
	}
	for (size_t i = 0; i < WORKS; i++)
		check_bounds(works[i], sizes[i], 64, &costs, &all);
	cr_assert(!sim_policy_set(&all, "loud"));
}

/*
 * Two leaves. Worker 0 is woken, pushes one and runs the other. The push wakes worker 1, which
 * comes after the latency and takes the leaf: so it ends so much after the first one. An event
 * takes a nanosecond at least, hence the few more.
 */
Test(sim, two_leaves_on_two_workers_take_a_leaf_and_a_wake)
{
	struct sim_work work = make_work("fib", 2, 1000, 2);
	struct sim_costs costs = free_of_charge();

	costs.latency = 100;
	struct sim_result r = run("1x1x1x2", 2, &work, &costs, &shipped, 1);
	cr_assert(r.ran >= 1100 && r.ran < 1200, "%lu ns", (unsigned long)r.ran);
	cr_assert(r.took >= 1200 && r.took < 1300, "%lu ns", (unsigned long)r.took);
	cr_assert_eq(steals(&r), 1);
	cr_assert_eq(r.wakes, 2);
	cr_assert_eq(r.asked, 1);
	cr_assert_eq(r.joins, 1);
	cr_assert_eq(r.parks, 0);
	cr_assert(r.all_busy >= 200 && r.all_busy < 300, "%lu ns", (unsigned long)r.all_busy);
}

/*
 * The same with a latency that is longer than a search. The joiner parks before its thief ends, and
 * so does the thief before the joiner is back.
 */
Test(sim, a_joiner_parks_when_its_thief_takes_longer_than_a_search)
{
	struct sim_work work = make_work("fib", 2, 100000, 2);
	struct sim_costs costs = free_of_charge();

	costs.latency = 50000;
	struct sim_result r = run("1x1x1x2", 2, &work, &costs, &shipped, 1);
	cr_assert(r.ran >= 200000 && r.ran < 200100, "%lu ns", (unsigned long)r.ran);
	cr_assert_eq(r.parks, 2);
	cr_assert_eq(r.fences, 2);
	cr_assert_eq(r.wakes, 3);

	costs.latency = 10000; /* shorter: it does not */
	r = run("1x1x1x2", 2, &work, &costs, &shipped, 1);
	cr_assert(r.ran >= 110000 && r.ran < 110100, "%lu ns", (unsigned long)r.ran);
	cr_assert_eq(r.parks, 0);
}

/* Eight leaves, all workers awake at once: with a wake for nothing, a leaf each. */
Test(sim, eight_leaves_on_eight_workers_take_one_leaf)
{
	struct sim_work work = make_work("tree", 8, 100000, 8);
	struct sim_costs costs = free_of_charge();
	struct sim_result r = run("1x1x1x8", 8, &work, &costs, &shipped, 1);

	cr_assert(r.ran >= 100000 && r.ran < 100300, "%lu ns", (unsigned long)r.ran);
	cr_assert_eq(steals(&r), 7);
}

/* Membarriers pass one after another, and are shared: one waits for one more than its own. */
Test(sim, fences_are_shared_by_those_that_park_at_once)
{
	struct sim_work work = make_work("tree", 32, 1000, 32);
	struct sim_costs costs = free_of_charge();

	costs.fence = 10000;
	work.bursts = 2; /* between them all go to sleep */
	work.gap_ns = 1000000;
	struct sim_result r = run("auto", 32, &work, &costs, &shipped, 1);
	cr_assert_geq(r.parks, 31);
	cr_assert(r.fences >= 2 && r.fences < 31, "%lu fences", (unsigned long)r.fences);
	cr_assert(r.fence_max > 0 && r.fence_max <= costs.fence, "%lu ns",
		(unsigned long)r.fence_max);
}

Test(sim, work_is_what_it_is_called)
{
	struct sim_costs costs = free_of_charge();
	struct sim_work work = make_work("fib", 10, 1000, 1);
	struct sim_amount amount = sim_work_measure(&work, &costs);

	cr_assert_eq(amount.leaves, 89);
	cr_assert_eq(amount.tasks, 177);
	cr_assert_eq(amount.work, 89000);
	cr_assert_eq(amount.span, 1000);
	work = make_work("wavefront", 10, 1000, 1);
	amount = sim_work_measure(&work, &costs);
	cr_assert_eq(amount.work, 100000);
	cr_assert_eq(amount.span, 19000); /* diagonals */
	cr_assert(!sim_work_make(&work, "nothing", 0, 1, 1));
}

/* The published numbers of leaves: bench/programs/uts.c. */
Test(sim, uts_has_the_published_trees)
{
	struct sim_costs costs = free_of_charge();
	struct sim_work t1 = make_work("t1", 10, 1, 1), t3 = make_work("t3", 2000, 1, 1);

	cr_assert_eq(sim_work_measure(&t1, &costs).leaves, 3305118);
	cr_assert_eq(sim_work_measure(&t3, &costs).leaves, 3599034);
}

Test(sim, each_worker_of_a_machine_knows_all_others_nearest_first)
{
	struct sim_machine m = make_machine("4x2x8x64", 4096);
	static bool seen[4096];

	for (uint32_t w = 0; w < 4096; w += 371) {
		const uint16_t *row = m.plan->order + (size_t)w * 4095;
		enum sim_distance far = SIM_NEAR;

		memset(seen, 0, sizeof(seen));
		for (uint32_t i = 0; i < 4095; i++) {
			enum sim_distance d = sim_distance(&m, w, row[i]);

			cr_assert(row[i] != w && !seen[row[i]] && d >= far);
			seen[row[i]] = true;
			far = d;
		}
		cr_assert_eq(far, SIM_FAR);
		cr_assert_eq(m.plan->tiers[w], 4);
	}
	sim_machine_free(&m);
}

Test(sim, a_recorded_machine_goes_through_the_placement)
{
	struct sim_work work = make_work("fib", 14, 1000, 4);
	struct sim_machine m =
		make_machine(FILCH_TEST_SOURCE_DIR "/tests/unit/plans/hybrid.xml", 4);
	struct sim_result r;
	struct sim_costs costs;

	sim_costs_init(&costs);
	cr_assert(m.plan->simulated);
	cr_assert_str_not_empty(m.plan->reasons);
	sim_run(&m, &work, &costs, &shipped, 1, &r);
	cr_assert(!r.lost);
	sim_machine_free(&m);
}

Test(sim, what_is_no_machine_is_refused)
{
	const char *const wrong[] = { "0x1x1x1", "1x1x1", "1x1x1x1x1", "4x4x4x65", "1x1x1x-1",
		"/nonexistent.xml" };
	struct sim_machine m;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_assert_lt(sim_machine_make(&m, wrong[i], 4), 0, "%s", wrong[i]);
	cr_assert_eq(sim_machine_make(&m, "auto", 0), -EINVAL);
	cr_assert_eq(sim_machine_make(&m, "auto", SIM_WORKERS_MAX + 1), -EINVAL);
}

Test(sim, costs_are_set_by_name)
{
	struct sim_costs costs;

	sim_costs_init(&costs);
	cr_assert(sim_costs_set(&costs, "latency=123") && costs.latency == 123);
	cr_assert(sim_costs_set(&costs, "fence=0") && costs.fence == 0);
	cr_assert(!sim_costs_set(&costs, "fence"));
	cr_assert(!sim_costs_set(&costs, "fence="));
	cr_assert(!sim_costs_set(&costs, "fence=1x"));
	cr_assert(!sim_costs_set(&costs, "fences=1"));
	cr_assert(!sim_costs_set(&costs, "fence=-1"));
}

/* More workers than cores, with leaves that sleep: as bench/run --sim --calibrate has them. */
Test(sim, workers_that_share_cores_lose_nothing_either)
{
	struct sim_work work = make_work("fib", 14, 200000, 48);
	struct sim_costs costs;

	sim_costs_init(&costs);
	sim_costs_two_cores(&costs);
	work.sleeps = true;
	struct sim_amount amount = sim_work_measure(&work, &costs);
	struct sim_result r = run("1x1x1x2", 48, &work, &costs, &shipped, 3);

	cr_assert(!r.lost);
	cr_assert_eq(r.tasks, amount.tasks);
	/* sleeping leaves do not share the two cores: nearly all at once */
	cr_assert_geq(r.ran * 48, amount.work);
	cr_assert_leq(r.ran * 24, amount.work);
}
