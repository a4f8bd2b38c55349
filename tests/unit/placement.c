/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: the rules one by one, what is refused, and what pinning does on this machine. Whole
 * plans are in plans.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <criterion/criterion.h>
#include <errno.h>
#include <filch/pool.h>
#include <place/placement.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define EIGHT_CORES "package:1 [numa] l3:2 l2:4 core:1 pu:1"

static void set_up(void)
{
	unsetenv("FILCH_WORKERS");
	unsetenv("FILCH_CPUSET");
	unsetenv("FILCH_NO_PIN");
	unsetenv("FILCH_PIN");
}

TestSuite(placement, .init = set_up);

/* Makes a plan without a quota; on @synthetic, or on this machine if that is NULL. */
static int make(
	const char *synthetic, struct filchi_place_request request, struct filchi_plan **plan)
{
	const struct filchi_surroundings where = {
		.roots = { FILCH_TEST_SOURCE_DIR "/tests/unit/plans/unlimited/proc",
			FILCH_TEST_SOURCE_DIR "/tests/unit/plans/unlimited/sys" },
	};

	if (synthetic)
		setenv("HWLOC_SYNTHETIC", synthetic, 1);
	return filchi_plan_make_in(&request, &where, plan);
}

/* How many workers a plan for @request on eight cores has, or the error. */
static int workers(struct filchi_place_request request)
{
	struct filchi_plan *plan = NULL;
	int err = make(EIGHT_CORES, request, &plan), n = err ? err : (int)plan->workers;

	cr_assert(!err || !plan, "a plan must be left alone on an error");
	filchi_plan_free(plan);
	return n;
}

/* Whether the reasons of @plan hold @text. */
static bool says(const struct filchi_plan *plan, const char *text)
{
	return strstr(plan->reasons, text);
}

/* The mask of the calling thread. */
static struct filchi_cpuset mask_now(void)
{
	struct filchi_cpuset set;

	cr_assert_eq(filchi_cpuset_affinity(&set), 0);
	return set;
}

/* Runs @body in a thread of its own: pinning stays there. */
static void in_a_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, body, arg), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(placement, the_number_of_workers_follows_the_rule)
{
	cr_assert_eq(workers((struct filchi_place_request){ 0 }), 8);
	cr_assert_eq(workers((struct filchi_place_request){ .workload = FILCH_WORKLOAD_IO }), 7);
	cr_assert_eq(workers((struct filchi_place_request){ .reserve_cores = 3 }), 5);
	cr_assert_eq(workers((struct filchi_place_request){
			     .reserve_cores = 3, .workload = FILCH_WORKLOAD_IO }),
		4);
	cr_assert_eq(workers((struct filchi_place_request){
			     .reserve_cores = 7, .workload = FILCH_WORKLOAD_IO }),
		1);
	cr_assert_eq(workers((struct filchi_place_request){ .reserve_cores = 8 }), 1);
	cr_assert_eq(workers((struct filchi_place_request){ .reserve_cores = UINT32_MAX }), 1);
	cr_assert_eq(workers((struct filchi_place_request){ .workers = 8, .reserve_cores = 3 }), 8);
	cr_assert_eq(workers((struct filchi_place_request){ .workers = 1 }), 1);
	cr_assert_eq(workers((struct filchi_place_request){
			     .workers = 2, .workload = FILCH_WORKLOAD_IO }),
		2);
}

Test(placement, more_workers_than_usable_cores_need_permission)
{
	const uint64_t over = FILCH_POOL_OVERSUBSCRIBE;

	cr_assert_eq(workers((struct filchi_place_request){ .workers = 9 }), -EINVAL);
	cr_assert_eq(workers((struct filchi_place_request){ .workers = UINT32_MAX }), -EINVAL);
	cr_assert_eq(workers((struct filchi_place_request){ .workers = 9, .flags = over }), 9);
	cr_assert_eq(workers((struct filchi_place_request){
			     .workers = FILCHI_WORKERS_MAX, .flags = over }),
		FILCHI_WORKERS_MAX);
	cr_assert_eq(workers((struct filchi_place_request){
			     .workers = FILCHI_WORKERS_MAX + 1, .flags = over }),
		-EINVAL);
}

Test(placement, a_cpuset_of_the_configuration_must_be_right)
{
	static const char *const bad[] = { "", "3-1", "0,,1", "a", "0-99999999999", "0-3 ", "0-3x",
		"8", "100-200" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(workers((struct filchi_place_request){ .cpuset = bad[i] }), -EINVAL,
			"\"%s\"", bad[i]);
	cr_assert_eq(workers((struct filchi_place_request){ .cpuset = "7,8" }), 1);
	setenv("FILCH_CPUSET", "0-1", 1);
	cr_assert_eq(workers((struct filchi_place_request){ .cpuset = "3-1" }), -EINVAL,
		"malformed even where it is not used");
	cr_assert_eq(workers((struct filchi_place_request){ .cpuset = "3" }), 2);
}

Test(placement, an_unknown_workload_is_refused)
{
	cr_assert_eq(workers((struct filchi_place_request){ .workload = 2 }), -EINVAL);
}

Test(placement, a_wrong_number_of_workers_in_the_environment_is_ignored)
{
	static const char *const bad[] = {
		"",
		"x",
		"-1",
		"+2",
		"2x",
		" 2",
		"2 ",
		"1.5",
		"0x2",
		"9",
		"4294967298",
		"18446744073709551618",
		"1000000000",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct filchi_plan *plan = NULL;

		setenv("FILCH_WORKERS", bad[i], 1);
		cr_assert_eq(
			make(EIGHT_CORES, (struct filchi_place_request){ .workers = 5 }, &plan), 0);
		cr_assert_eq(plan->workers, 5, "\"%s\" gave %u", bad[i], plan->workers);
		cr_assert(says(plan, "ignored: FILCH_WORKERS="), "\"%s\" is not reported", bad[i]);
		filchi_plan_free(plan);
	}
	setenv("FILCH_WORKERS", "0", 1);
	cr_assert_eq(workers((struct filchi_place_request){ .workers = 5 }), 8,
		"0 asks for the automatic number");
	setenv("FILCH_WORKERS", "12", 1);
	cr_assert_eq(workers((struct filchi_place_request){
			     .workers = 5, .flags = FILCH_POOL_OVERSUBSCRIBE }),
		12);
	setenv("FILCH_WORKERS", "3", 1);
	cr_assert_eq(workers((struct filchi_place_request){ .workers = 100 }), 3,
		"what is replaced cannot be wrong");
}

Test(placement, a_wrong_cpuset_in_the_environment_is_ignored)
{
	static const char *const bad[] = { "", "3-1", "0,,1", "a", "0-99999999999", "0-3\n", "8",
		"\"\x1b[2J\xff" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct filchi_plan *plan = NULL;

		setenv("FILCH_CPUSET", bad[i], 1);
		cr_assert_eq(
			make(EIGHT_CORES, (struct filchi_place_request){ .cpuset = "2-3" }, &plan),
			0);
		cr_assert_eq(plan->workers, 2);
		cr_assert_eq(plan->seat[0].pu, 2);
		cr_assert(says(plan, "ignored: FILCH_CPUSET="), "\"%s\" is not reported", bad[i]);
		for (const char *c = plan->reasons; *c; c++)
			cr_assert(*c == '\n' || (*c >= ' ' && *c < 127), "reasons are printable");
		filchi_plan_free(plan);
	}
}

Test(placement, pinning_can_be_switched_by_the_environment_both_ways)
{
	struct filchi_plan *plan = NULL;

	setenv("FILCH_NO_PIN", "1", 1);
	cr_assert_eq(make(EIGHT_CORES, (struct filchi_place_request){ 0 }, &plan), 0);
	cr_assert(!plan->pin);
	filchi_plan_free(plan);
	setenv("FILCH_NO_PIN", "0", 1);
	cr_assert_eq(make(EIGHT_CORES, (struct filchi_place_request){ .flags = FILCH_POOL_NO_PIN },
			     &plan),
		0);
	cr_assert(plan->pin);
	filchi_plan_free(plan);
	setenv("FILCH_NO_PIN", "", 1);
	cr_assert_eq(make(EIGHT_CORES, (struct filchi_place_request){ .flags = FILCH_POOL_NO_PIN },
			     &plan),
		0);
	cr_assert(!plan->pin && says(plan, "ignored: FILCH_NO_PIN="));
	filchi_plan_free(plan);
}

Test(placement, every_order_names_every_other_worker_once_at_any_size)
{
	for (uint32_t n = 1; n <= FILCHI_WORKERS_MAX; n = n < 40 ? n + 1 : n * 2 + 1) {
		struct filchi_plan *plan = NULL;
		bool seen[FILCHI_WORKERS_MAX];

		cr_assert_eq(make(EIGHT_CORES,
				     (struct filchi_place_request){
					     .workers = n, .flags = FILCH_POOL_OVERSUBSCRIBE },
				     &plan),
			0);
		for (uint32_t w = 0; w < n; w++) {
			uint32_t before = 0;

			memset(seen, 0, sizeof(seen));
			seen[w] = true;
			cr_assert_leq(plan->tiers[w], FILCHI_TIERS);
			for (uint32_t r = 0; r < plan->tiers[w]; r++) {
				uint32_t end = plan->tier_end[w * FILCHI_TIERS + r];

				cr_assert(end > before && end < n,
					"a ring of worker %u is empty or too long", w);
				for (; before < end; before++) {
					uint32_t other = plan->order[w * (n - 1) + before];

					cr_assert(other < n && !seen[other],
						"worker %u: %u comes twice", w, other);
					seen[other] = true;
				}
			}
			cr_assert_eq(before, n - 1, "worker %u does not see all", w);
		}
		filchi_plan_free(plan);
	}
}

Test(placement, ten_thousand_plans_cost_one_load)
{
	for (int i = 0; i < 10000; i++) {
		struct filchi_plan *plan = NULL;

		cr_assert_eq(make(EIGHT_CORES, (struct filchi_place_request){ 0 }, &plan), 0);
		filchi_plan_free(plan);
	}
	cr_assert_eq(filchi_topology_loads(), 1);
}

Test(placement, the_real_surroundings_give_a_plan_too)
{
	const struct filchi_place_request request = { .workers = 1 };
	const struct filchi_cpuset own = mask_now();
	struct filchi_plan *plan = NULL;

	cr_assert_eq(filchi_plan_make(&request, &plan), 0);
	cr_assert_eq(plan->workers, 1);
	cr_assert(plan->pin && !plan->simulated);
	cr_assert(filchi_cpuset_has(&own, (uint32_t)plan->seat[0].pu));
	filchi_plan_free(plan);
}

Test(placement, an_injected_mask_cannot_widen_the_real_one)
{
	const struct filchi_place_request request = { 0 };
	struct filchi_cpuset own = mask_now(), wide = { { 0 } };
	struct filchi_surroundings where = { .roots = { "/nonexistent", "/nonexistent" },
		.affinity = &wide };
	struct filchi_plan *plan = NULL;

	for (uint32_t cpu = 0; cpu < FILCHI_CPUS_MAX; cpu++)
		filchi_cpuset_add(&wide, cpu);
	cr_assert_eq(filchi_plan_make_in(&request, &where, &plan), 0);
	for (uint32_t w = 0; w < plan->workers; w++)
		cr_assert(filchi_cpuset_has(&own, (uint32_t)plan->seat[w].pu));
	filchi_plan_free(plan);
	wide = (struct filchi_cpuset){ { 0 } };
	plan = NULL;
	cr_assert_eq(filchi_plan_make_in(&request, &where, &plan), -EIO);
	cr_assert_null(plan);
}

/* One worker: pins itself and looks what the kernel made of it. */
struct pinning {
	const struct filchi_plan *plan;
	uint32_t worker;
	int result, error;
	struct filchi_cpuset after;
};

static void *pin_body(void *arg)
{
	struct pinning *p = arg;

	p->error = 77;
	p->result = filchi_plan_pin(p->plan, p->worker, &p->error);
	filchi_cpuset_affinity(&p->after);
	return NULL;
}

Test(placement, each_worker_is_pinned_to_its_seat_and_the_kernel_agrees)
{
	const struct filchi_cpuset own = mask_now();
	struct filchi_cpuset together = { { 0 } };
	struct filchi_plan *plan = NULL;

	cr_assert_eq(
		make(NULL, (struct filchi_place_request){ .flags = FILCH_POOL_USE_SMT }, &plan), 0);
	cr_assert_eq(plan->workers, filchi_cpuset_count(&own));
	for (uint32_t w = 0; w < plan->workers; w++) {
		struct pinning p = { .plan = plan, .worker = w };

		in_a_thread(pin_body, &p);
		cr_assert_eq(p.result, 0);
		cr_assert_eq(p.error, 0);
		cr_assert_eq(filchi_cpuset_count(&p.after), 1);
		cr_assert(filchi_cpuset_has(&p.after, (uint32_t)plan->seat[w].pu));
		filchi_cpuset_add(&together, (uint32_t)plan->seat[w].pu);
	}
	cr_assert(!memcmp(&together, &own, sizeof(own)), "with SMT the seats are exactly the mask");
	filchi_plan_free(plan);
}

Test(placement, thirty_two_workers_share_the_cores_of_this_machine_evenly)
{
	const struct filchi_cpuset own = mask_now();
	struct filchi_plan *plan = NULL;
	uint32_t on[FILCHI_CPUS_MAX] = { 0 }, least = UINT32_MAX, most = 0;

	cr_assert_eq(make(NULL,
			     (struct filchi_place_request){
				     .workers = 32, .flags = FILCH_POOL_OVERSUBSCRIBE },
			     &plan),
		0);
	for (uint32_t w = 0; w < 32; w++) {
		struct pinning p = { .plan = plan, .worker = w };

		in_a_thread(pin_body, &p);
		cr_assert_eq(p.result, 0);
		cr_assert(filchi_cpuset_has(&own, (uint32_t)plan->seat[w].pu));
		on[plan->seat[w].pu]++;
	}
	for (uint32_t w = 0; w < 32; w++) {
		least = on[plan->seat[w].pu] < least ? on[plan->seat[w].pu] : least;
		most = on[plan->seat[w].pu] > most ? on[plan->seat[w].pu] : most;
	}
	cr_assert_leq(most - least, 1);
	filchi_plan_free(plan);
}

Test(placement, a_failed_pin_is_an_answer_and_no_catastrophe)
{
	struct filchi_plan *plan = NULL;
	struct pinning p = { 0 };
	const struct filchi_cpuset own = mask_now();

	cr_assert_eq(make(NULL, (struct filchi_place_request){ .workers = 1 }, &plan), 0);
	plan->seat[0].pu = (int)FILCHI_CPUS_MAX - 1;
	p.plan = plan;
	in_a_thread(pin_body, &p);
	cr_assert_eq(p.result, -EINVAL);
	cr_assert_eq(p.error, -EINVAL);
	cr_assert(!memcmp(&p.after, &own, sizeof(own)), "the thread stays where it was");
	p.worker = 1;
	in_a_thread(pin_body, &p);
	cr_assert_eq(p.result, -EINVAL, "there is no such worker");
	filchi_plan_free(plan);
}

Test(placement, nothing_is_pinned_on_a_simulated_machine_or_without_pinning)
{
	const struct filchi_cpuset own = mask_now();
	struct filchi_plan *plan = NULL;
	struct pinning p = { 0 };

	cr_assert_eq(
		make(NULL, (struct filchi_place_request){ .flags = FILCH_POOL_NO_PIN }, &plan), 0);
	p.plan = plan;
	in_a_thread(pin_body, &p);
	cr_assert(!p.result && !memcmp(&p.after, &own, sizeof(own)));
	filchi_plan_free(plan);
	cr_assert_eq(make(EIGHT_CORES, (struct filchi_place_request){ 0 }, &plan), 0);
	cr_assert(plan->simulated && plan->pin);
	p.plan = plan;
	in_a_thread(pin_body, &p);
	cr_assert(!p.result && !memcmp(&p.after, &own, sizeof(own)));
	filchi_plan_free(plan);
}

/* A pinned worker that makes plans of its own. */
struct nested {
	struct filchi_plan *outer, *pinned, *unpinned;
	struct pinning inner;
	int err;
};

static void *nested_body(void *arg)
{
	struct nested *n = arg;

	n->err = filchi_plan_pin(n->outer, 0, NULL);
	if (!n->err)
		n->err = make(NULL, (struct filchi_place_request){ 0 }, &n->pinned);
	if (!n->err)
		n->err = make(NULL, (struct filchi_place_request){ .flags = FILCH_POOL_NO_PIN },
			&n->unpinned);
	if (!n->err) {
		n->inner.plan = n->unpinned;
		in_a_thread(pin_body, &n->inner); /* inherits the one CPU of this worker */
	}
	return NULL;
}

Test(placement, a_pinned_worker_that_makes_a_plan_is_not_confined_to_its_own_core)
{
	const struct filchi_cpuset own = mask_now();
	struct nested n = { 0 };

	if (filchi_cpuset_count(&own) < 2)
		cr_skip("with one CPU there is no difference to see");
	cr_assert_eq(make(NULL, (struct filchi_place_request){ 0 }, &n.outer), 0);
	in_a_thread(nested_body, &n);
	cr_assert_eq(n.err, 0);
	cr_assert_eq(n.pinned->workers, n.outer->workers);
	cr_assert(says(n.pinned, "that of the creating worker's own pool"));
	cr_assert(!n.inner.result && !memcmp(&n.inner.after, &own, sizeof(own)),
		"an unpinned worker gets the mask back");
	filchi_plan_free(n.outer);
	filchi_plan_free(n.pinned);
	filchi_plan_free(n.unpinned);
}

static void *confined_body(void *arg)
{
	const struct filchi_cpuset own = mask_now();
	cpu_set_t one;
	uint32_t cpu = 0;

	while (!filchi_cpuset_has(&own, cpu))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (!sched_setaffinity(0, sizeof(one), &one))
		make(NULL, (struct filchi_place_request){ 0 }, arg);
	return NULL;
}

Test(placement, a_thread_that_confined_itself_gets_what_it_asked_for)
{
	const struct filchi_cpuset own = mask_now();
	struct filchi_plan *plan = NULL;

	in_a_thread(confined_body, &plan);
	cr_assert_not_null(plan);
	cr_assert_eq(plan->workers, 1);
	if (filchi_cpuset_count(&own) > 1)
		cr_assert(says(plan, "affinity mask allows 1 of"), "%s", plan->reasons);
	filchi_plan_free(plan);
}

/* A worker that user code moves to the CPU of another seat after we pinned it. */
static void *moved_body(void *arg)
{
	struct nested *n = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)n->outer->seat[1].pu, &one);
	n->err = filchi_plan_pin(n->outer, 0, NULL);
	if (!n->err && sched_setaffinity(0, sizeof(one), &one))
		n->err = -errno;
	if (!n->err)
		n->err = make(NULL, (struct filchi_place_request){ 0 }, &n->pinned);
	return NULL;
}

Test(placement, a_pinned_worker_that_was_moved_since_gets_what_it_asked_for)
{
	const struct filchi_cpuset own = mask_now();
	struct nested n = { 0 };

	if (filchi_cpuset_count(&own) < 2)
		cr_skip("with one CPU there is nowhere to move to");
	cr_assert_eq(
		make(NULL, (struct filchi_place_request){ .flags = FILCH_POOL_USE_SMT }, &n.outer),
		0);
	in_a_thread(moved_body, &n);
	cr_assert_eq(n.err, 0);
	cr_assert_eq(n.pinned->workers, 1);
	cr_assert_eq(n.pinned->seat[0].pu, n.outer->seat[1].pu);
	filchi_plan_free(n.outer);
	filchi_plan_free(n.pinned);
}

static const struct filchi_surroundings one_and_a_half = {
	.roots = { FILCH_TEST_SOURCE_DIR "/tests/unit/plans/quota-1.5/proc",
		FILCH_TEST_SOURCE_DIR "/tests/unit/plans/quota-1.5/sys" },
};

Test(placement, a_quota_says_how_many_workers_and_not_where_they_run)
{
	const struct filchi_place_request request = { 0 };
	const struct filchi_cpuset own = mask_now();
	struct filchi_plan *plan = NULL;
	struct pinning p = { 0 };

	if (filchi_cpuset_count(&own) < 2)
		cr_skip("with one CPU a quota of one and a half leaves all of it");
	cr_assert_eq(filchi_plan_make_in(&request, &one_and_a_half, &plan), 0);
	cr_assert_eq(plan->workers, 1);
	cr_assert(says(plan, "quota: 1.500 CPUs: cpu.max=150000/100000 at /"));
	cr_assert(says(plan, "pinning: none: a quota says how much, and not where"));
	cr_assert_eq(plan->seat[0].pu, -1);
	p.plan = plan;
	in_a_thread(pin_body, &p);
	cr_assert(!p.result && !memcmp(&p.after, &own, sizeof(own)), "it runs anywhere");
	filchi_plan_free(plan);
}

Test(placement, under_a_quota_a_worker_is_confined_to_the_cpuset_of_the_pool)
{
	struct filchi_place_request request = { 0 };
	struct filchi_plan *plan = NULL;
	struct filchi_cpuset mask;

	setenv("HWLOC_SYNTHETIC", EIGHT_CORES, 1);
	request.cpuset = "2-5";
	cr_assert_eq(filchi_plan_make_in(&request, &one_and_a_half, &plan), 0);
	cr_assert_eq(plan->workers, 1);
	cr_assert(filchi_plan_mask(plan, 0, &mask));
	cr_assert_eq(filchi_cpuset_count(&mask), 4);
	cr_assert(filchi_cpuset_has(&mask, 2) && filchi_cpuset_has(&mask, 5));
	filchi_plan_free(plan);
	request.cpuset = "3"; /* says where, and is less than the quota */
	cr_assert_eq(filchi_plan_make_in(&request, &one_and_a_half, &plan), 0);
	cr_assert_eq(plan->seat[0].pu, 3);
	filchi_plan_free(plan);
}

Test(placement, what_pinning_did_is_written)
{
	static const int error[] = { 0, -EPERM, FILCHI_PIN_PENDING, -100000 };
	const struct filchi_pin_state state = { .error = error, .workers = 4 };
	struct filchi_seat seat[5] = { { 0, 3, 0, 0, 0, -1 }, { 1, 4, 1, 0, 0, -1 },
		{ 2, 5, 2, 0, 0, -1 }, { 3, 6, 3, 0, 0, -1 }, { 4, 7, 4, 0, 0, -1 } };
	uint16_t order[20] = { 0 }, tier_end[5 * FILCHI_TIERS] = { 0 };
	uint8_t level[5 * FILCHI_TIERS] = { 0 }, rings[5] = { 0 };
	char reasons[] = "a \"quoted\\\" reason\nnext\xc3\n";
	const struct filchi_plan plan = { .workers = 5,
		.at_first = 5,
		.seated = 5,
		.usable = 5,
		.binding = FILCHI_BIND_CPU,
		.pin = true,
		.seat = seat,
		.order = order,
		.tier_end = tier_end,
		.tier_level = level,
		.tiers = rings,
		.reasons = reasons };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert_eq(filchi_plan_write(&plan, out, FILCH_TEXT, &state), 0);
	fflush(out);
	cr_assert_not_null(strstr(
		text, "        0        3        0        0        0        -  pinned     -\n"));
	cr_assert_not_null(strstr(text,
		"        1        4        1        0        0        -  failed     - (EPERM)\n"));
	cr_assert_not_null(strstr(
		text, "        2        5        2        0        0        -  planned    -\n"));
	cr_assert_not_null(strstr(text,
		"        3        6        3        0        0        -  failed     - (unknown "
		"error)\n"));
	cr_assert_not_null(strstr(
		text, "        4        7        4        0        0        -  planned    -\n"));
	cr_assert_eq(filchi_plan_write(&plan, out, FILCH_JSON, &state), 0);
	fflush(out);
	cr_assert_not_null(
		strstr(text, "\"a \\\"quoted\\\\\\\" reason\",\n  \"next?\"]"), "%s", text);
	cr_assert_not_null(strstr(text,
		"\"cpu\":4,\"core\":1,\"node\":0,\"package\":0,\"kind\":-1,\"pin\":\"failed\","
		"\"error\":1,\"mask\":\"\",\"gives_way_to\":\"\"}"));
	cr_assert_eq(filchi_plan_write(&plan, out, 2, &state), -EINVAL);
	fclose(out);
	free(text);
}

/* --- reserve ------------------------------------------------------------- */

Test(placement, the_first_workers_sit_where_they_would_without_reserve)
{
	struct filchi_plan *without, *with;

	for (uint32_t n = 1; n <= 8; n++) {
		cr_assert_eq(
			make(EIGHT_CORES, (struct filchi_place_request){ .workers = n }, &without),
			0);
		cr_assert_eq(make(EIGHT_CORES,
				     (struct filchi_place_request){
					     .workers = n, .workers_max = 8, .spares = 3 },
				     &with),
			0);
		cr_assert_eq(with->at_first, n);
		cr_assert_eq(with->seated, 8);
		cr_assert_eq(with->workers, 11);
		for (uint32_t w = 0; w < n; w++)
			cr_assert_eq(with->seat[w].pu, without->seat[w].pu, "%u of %u", w, n);
		for (uint32_t w = 8; w < 11; w++)
			cr_assert_eq(with->seat[w].pu, -1);
		filchi_plan_free(without);
		filchi_plan_free(with);
	}
}

Test(placement, spares_may_run_on_all_that_the_pool_may_use)
{
	static const uint64_t flags[] = { 0, FILCH_POOL_PIN, FILCH_POOL_NO_PIN };
	struct filchi_cpuset mask;
	struct filchi_plan *plan;

	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(make(EIGHT_CORES,
				     (struct filchi_place_request){ .workers = 2,
					     .workers_max = 3,
					     .spares = 2,
					     .reserve_cores = 1,
					     .flags = flags[i] },
				     &plan),
			0);
		cr_assert_eq(filchi_plan_mask(plan, 1, &mask), i < 2);
		cr_assert_eq(filchi_cpuset_count(&mask), i < 2 ? 1 : 0);
		cr_assert_eq(filchi_plan_mask(plan, 4, &mask), i < 2);
		cr_assert_eq(filchi_cpuset_count(&mask), i < 2 ? 7 : 0);
		cr_assert_not(filchi_plan_wide(plan, 4, &mask));
		filchi_plan_free(plan);
	}
}

Test(placement, reserve_is_bounded_as_workers_are)
{
	cr_assert_eq(
		workers((struct filchi_place_request){ .workers = 2, .workers_max = 9 }), -EINVAL);
	cr_assert_eq(
		workers((struct filchi_place_request){ .workers = 3, .workers_max = 2 }), -EINVAL);
	cr_assert_eq(workers((struct filchi_place_request){ .workers_max = 2 }), 2);
	cr_assert_eq(workers((struct filchi_place_request){ .spares = 2 }), 10);
	cr_assert_eq(
		workers((struct filchi_place_request){ .spares = FILCHI_WORKERS_MAX }), -EINVAL);
	cr_assert_eq(workers((struct filchi_place_request){
			     .workers = 1, .spares = 1, .flags = FILCH_POOL_CALLER }),
		-EINVAL);
	setenv("FILCH_WORKERS", "6", 1);
	cr_assert_eq(workers((struct filchi_place_request){ .workers = 1, .workers_max = 2 }), 6);
	setenv("FILCH_WORKERS", "1", 1);
	cr_assert_eq(workers((struct filchi_place_request){
			     .workers = 2, .spares = 1, .flags = FILCH_POOL_CALLER }),
		1);
	unsetenv("FILCH_WORKERS");
}

/* --- seats: which cores a pool takes that is smaller than the machine ---------- */

#define SIXTEEN_BY_EIGHT "package:2 [numa] l3:8 l2:8 core:1 pu:2(indexes=2*128:1*2)"

/* The plan for @workers on 128 cores of two threads, of which some are in use. */
static struct filchi_plan *beside(
	const struct filchi_loads *loads, uint32_t workers, uint64_t flags)
{
	const struct filchi_place_request request = { .workers = workers, .flags = flags };
	const struct filchi_surroundings where = { .roots = { "/nonexistent", "/nonexistent" },
		.loads = loads };
	struct filchi_plan *plan = NULL;

	setenv("HWLOC_SYNTHETIC", SIXTEEN_BY_EIGHT, 1);
	cr_assert_eq(filchi_plan_make_in(&request, &where, &plan), 0);
	return plan;
}

static void expect_seats(struct filchi_plan *plan, const char *cpus)
{
	struct filchi_cpuset expected, seats = { { 0 } };

	cr_assert_eq(filchi_cpuset_parse(cpus, &expected), 0);
	for (uint32_t w = 0; w < plan->workers; w++)
		filchi_cpuset_add(&seats, (uint32_t)plan->seat[w].pu);
	cr_assert(!memcmp(&seats, &expected, sizeof seats), "seats are not on %s", cpus);
	filchi_plan_free(plan);
}

Test(placement, a_small_pool_takes_the_cores_that_are_used_least)
{
	static struct filchi_loads loads;

	expect_seats(beside(&loads, 2, 0), "0-1");
	for (uint32_t cpu = 0; cpu < 5; cpu++)
		loads.cpu[cpu] = FILCHI_LOAD_ONE;
	expect_seats(beside(&loads, 2, 0), "5-6");
	loads.cpu[128 + 6] = FILCHI_LOAD_ONE; /* the second thread of core 6 */
	expect_seats(beside(&loads, 2, 0), "5,7");
	loads.cpu[7] = FILCHI_LOAD_ONE / 10; /* too little to matter */
	expect_seats(beside(&loads, 2, 0), "5,7");
	for (uint32_t cpu = 0; cpu < 128; cpu++)
		loads.cpu[cpu] = 2 * FILCHI_LOAD_ONE;
	loads.cpu[99] = FILCHI_LOAD_ONE;
	expect_seats(beside(&loads, 1, 0), "227"); /* and of that core the free thread */
}

Test(placement, a_pool_as_large_as_the_machine_keeps_the_order_of_the_cores)
{
	static struct filchi_loads loads = { .cpu = { 9000, 9000 } };
	struct filchi_plan *plan = beside(&loads, 128, 0);

	for (uint32_t w = 0; w < 128; w++)
		cr_assert_eq(plan->seat[w].pu, (int)w);
	filchi_plan_free(plan);
}

Test(placement, second_threads_come_after_cores_that_are_half_used)
{
	static struct filchi_loads loads;

	for (uint32_t cpu = 0; cpu < 126; cpu++)
		loads.cpu[cpu] = FILCHI_LOAD_ONE / 2;
	expect_seats(beside(&loads, 4, FILCH_POOL_USE_SMT), "126-129");
}

static void expect_wide(const struct filchi_plan *plan, uint32_t worker, const char *cpus)
{
	struct filchi_cpuset expected, wide, seat;

	cr_assert_eq(filchi_cpuset_parse(cpus, &expected), 0);
	cr_assert(filchi_plan_wide(plan, worker, &wide));
	cr_assert(
		!memcmp(&wide, &expected, sizeof wide), "worker %u does not get %s", worker, cpus);
	cr_assert(filchi_plan_mask(plan, worker, &seat) && filchi_cpuset_count(&seat) == 1);
	cr_assert(filchi_cpuset_holds(&wide, &seat), "its seat is among them");
}

Test(placement, a_worker_gives_way_within_its_last_level_cache)
{
	struct filchi_plan *plan = beside(NULL, 0, 0);

	cr_assert_eq(plan->workers, 128);
	cr_assert_eq(plan->masks, 16);
	expect_wide(plan, 0, "0-7");
	expect_wide(plan, 127, "120-127");
	filchi_plan_free(plan);
	plan = beside(NULL, 0, FILCH_POOL_USE_SMT);
	expect_wide(plan, 255, "120-127,248-255");
	filchi_plan_free(plan);
	plan = beside(NULL, 128, FILCH_POOL_PIN);
	cr_assert(!filchi_plan_wide(plan, 0, &(struct filchi_cpuset){ { 0 } }), "or never");
	filchi_plan_free(plan);
}

Test(placement, a_cache_of_one_core_is_no_place_to_give_way_to)
{
	struct filchi_plan *plan = NULL;

	cr_assert_eq(make("package:4 [numa] l3:1 core:1 pu:1",
			     (struct filchi_place_request){ .reserve_cores = 1 }, &plan),
		0);
	expect_wide(plan, 1, "0-2"); /* the machine, but for what is reserved */
	filchi_plan_free(plan);
}

Test(placement, two_pools_of_this_process_sit_on_two_cores_until_one_is_gone)
{
	const struct filchi_place_request request = { .workers = 1 };
	const struct filchi_cpuset own = mask_now();
	bool apart = false, given_back = false;

	if (filchi_cpuset_count(&own) < 2)
		cr_skip("there is one CPU");
	/* pools of other processes come and go meanwhile, and change which core is used least */
	for (int tries = 0; tries < 100 && !(apart && given_back); tries++) {
		struct filchi_plan *plan[2];
		int before;

		for (int i = 0; i < 2; i++)
			cr_assert_eq(filchi_plan_make(&request, &plan[i]), 0);
		if (plan[0]->usable < 2)
			cr_skip("one core is usable");
		cr_assert(says(plan[1], "seats: least used cores first"));
		apart = plan[0]->seat[0].core != plan[1]->seat[0].core;
		before = plan[0]->seat[0].pu;
		filchi_plan_free(plan[0]);
		cr_assert_eq(filchi_plan_make(&request, &plan[0]), 0);
		given_back = plan[0]->seat[0].pu == before;
		filchi_plan_free(plan[0]);
		filchi_plan_free(plan[1]);
	}
	cr_assert(apart);
	cr_assert(given_back, "its seat was given back");
}

/* --- giving way ------------------------------------------------------- */

#define MS UINT64_C(1000000)

Test(placement, a_worker_is_badly_off_that_waits_for_time_slices)
{
	cr_assert(filchi_pin_hurts(10 * MS, 10 * MS, 4), "it shares its core");
	cr_assert(filchi_pin_hurts(MS / 100, 3 * MS, 1), "it was woken and had to wait");
	cr_assert(filchi_pin_hurts(9 * MS, 3 * MS, 3), "a quarter of its time");
	cr_assert(!filchi_pin_hurts(10 * MS, 3 * MS, 3), "less");
	cr_assert(!filchi_pin_hurts(0, MS - 1, 1), "short");
	cr_assert(!filchi_pin_hurts(5 * MS, 5 * MS, 1000), "a client and it take turns");
	cr_assert(!filchi_pin_hurts(0, 0, 0));
}

Test(placement, freeing_nothing_is_allowed)
{
	filchi_plan_free(NULL);
}
