/* SPDX-License-Identifier: Apache-2.0 */
/*
 * victim: each round names every other worker exactly once, nearest ring first, evenly within a
 * ring, and the same seed gives the same sequence. The machine is synthetic: 2 packages, 2 L3 each,
 * 4 cores each.
 */
#include <criterion/criterion.h>
#include <filch/pool.h>
#include <stdlib.h>
#include <string.h>
#include <place/victim.h>

enum { ROUNDS = 12000 };

/* A plan of @workers on the synthetic machine; @flags as in a request. */
static struct filchi_plan *make_plan(uint32_t workers, uint64_t flags)
{
	const struct filchi_place_request request = { .workers = workers, .flags = flags };
	const struct filchi_surroundings where = { .roots = { "/nonexistent", "/nonexistent" } };
	struct filchi_plan *plan = NULL;

	unsetenv("FILCH_WORKERS");
	unsetenv("FILCH_CPUSET");
	unsetenv("FILCH_NO_PIN");
	unsetenv("FILCH_PIN");
	setenv("HWLOC_SYNTHETIC", "package:2 [numa] l3:2 l2:4 core:1 pu:1", 1);
	cr_assert_eq(filchi_plan_make_in(&request, &where, &plan), 0);
	cr_assert_eq(plan->workers, workers);
	return plan;
}

/* Which ring of @worker holds @other: 0 is the nearest. */
static uint32_t ring_of(const struct filchi_plan *plan, uint32_t worker, uint32_t other)
{
	for (uint32_t r = 0; r < plan->tiers[worker]; r++)
		for (uint32_t i = 0; i < plan->tier_end[worker * FILCHI_TIERS + r]; i++)
			if (plan->order[worker * (plan->workers - 1) + i] == other)
				return r;
	cr_assert_fail("worker %u is in no ring of worker %u", other, worker);
	return UINT32_MAX;
}

Test(victim, a_round_names_every_other_worker_once_and_nearer_ones_first)
{
	struct filchi_plan *plan = make_plan(16, 0);

	for (uint32_t w = 0; w < plan->workers; w++) {
		struct filchi_victim v;

		cr_assert_eq(plan->tiers[w], 3);
		filchi_victim_init(&v, plan, w, 1);
		for (int round = 0; round < 200; round++) {
			bool seen[16] = { false };
			uint32_t ring = 0;

			for (uint32_t i = 0; i < plan->workers - 1; i++) {
				int victim = filchi_victim_next(&v);

				cr_assert(victim >= 0 && victim < 16 && victim != (int)w,
					"worker %u was told %d", w, victim);
				cr_assert(!seen[victim], "worker %u was told %d twice", w, victim);
				cr_assert_geq(ring_of(plan, w, (uint32_t)victim), ring);
				ring = ring_of(plan, w, (uint32_t)victim);
				seen[victim] = true;
			}
			cr_assert_eq(filchi_victim_next(&v), -1);
			cr_assert_eq(filchi_victim_next(&v), -1);
			filchi_victim_round(&v);
		}
	}
	filchi_plan_free(plan);
}

Test(victim, within_a_ring_every_place_is_equally_likely)
{
	struct filchi_plan *plan = make_plan(16, 0);
	struct filchi_victim v;
	uint32_t at[16][16] = { { 0 } }; /* [place in the round][victim] */

	filchi_victim_init(&v, plan, 5, 42);
	for (int round = 0; round < ROUNDS; round++, filchi_victim_round(&v))
		for (int place = 0; place < 15; place++)
			at[place][filchi_victim_next(&v)]++;
	for (uint32_t victim = 0; victim < 16; victim++) {
		uint32_t ring, begin, end, fair;

		if (victim == 5)
			continue;
		ring = ring_of(plan, 5, victim);
		begin = ring ? plan->tier_end[5 * FILCHI_TIERS + ring - 1] : 0;
		end = plan->tier_end[5 * FILCHI_TIERS + ring];
		fair = ROUNDS / (end - begin);
		for (uint32_t place = begin; place < end; place++)
			cr_assert(at[place][victim] > fair * 9 / 10 &&
					  at[place][victim] < fair * 11 / 10,
				"worker %u came %u times at place %u, %u would be fair", victim,
				at[place][victim], place, fair);
	}
	filchi_plan_free(plan);
}

Test(victim, both_directions_occur)
{
	struct filchi_plan *plan = make_plan(16, 0);
	struct filchi_victim v;
	uint32_t up = 0, down = 0;

	filchi_victim_init(&v, plan, 0, 7); /* its nearest ring is 1, 2, 3 */
	for (int round = 0; round < 1000; round++, filchi_victim_round(&v)) {
		int first = filchi_victim_next(&v), second = filchi_victim_next(&v);

		up += second == first % 3 + 1;
		down += first == second % 3 + 1;
	}
	cr_assert_eq(up + down, 1000);
	cr_assert(up > 400 && down > 400, "%u up, %u down", up, down);
	filchi_plan_free(plan);
}

Test(victim, the_same_seed_gives_the_same_sequence_and_another_does_not)
{
	struct filchi_plan *plan = make_plan(16, 0);
	struct filchi_victim a, b, c, d;
	int differ_by_seed = 0, differ_by_worker = 0;

	filchi_victim_init(&a, plan, 3, 99);
	filchi_victim_init(&b, plan, 3, 99);
	filchi_victim_init(&c, plan, 3, 100);
	filchi_victim_init(&d, plan, 4, 99);
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 15; i++) {
			int victim = filchi_victim_next(&a);

			cr_assert_eq(victim, filchi_victim_next(&b));
			differ_by_seed += victim != filchi_victim_next(&c);
			differ_by_worker += victim != filchi_victim_next(&d);
		}
		filchi_victim_round(&a);
		filchi_victim_round(&b);
		filchi_victim_round(&c);
		filchi_victim_round(&d);
	}
	cr_assert_gt(differ_by_seed, 500);
	cr_assert_gt(differ_by_worker, 500);
	filchi_plan_free(plan);
}

Test(victim, a_round_can_be_begun_before_the_last_one_ended)
{
	struct filchi_plan *plan = make_plan(16, 0);
	struct filchi_victim v;

	filchi_victim_init(&v, plan, 9, 3);
	for (int round = 0; round < 50; round++) {
		uint32_t named = 0;

		for (int i = 0; i < round % 15; i++)
			filchi_victim_next(&v);
		filchi_victim_round(&v);
		for (int victim; (victim = filchi_victim_next(&v)) >= 0;)
			named |= 1u << victim;
		cr_assert_eq(named, 0xFFFFu & ~(1u << 9));
		filchi_victim_round(&v);
	}
	filchi_plan_free(plan);
}

Test(victim, a_lone_worker_has_nobody_to_steal_from)
{
	struct filchi_plan *plan = make_plan(1, 0);
	struct filchi_victim v;

	filchi_victim_init(&v, plan, 0, 1);
	cr_assert_eq(filchi_victim_next(&v), -1);
	filchi_victim_round(&v);
	cr_assert_eq(filchi_victim_next(&v), -1);
	filchi_plan_free(plan);
}

Test(victim, a_thousand_oversubscribed_workers_all_come_up)
{
	struct filchi_plan *plan = make_plan(FILCHI_WORKERS_MAX, FILCH_POOL_OVERSUBSCRIBE);
	struct filchi_victim v;

	for (uint32_t w = 0; w < plan->workers; w += 341) {
		bool seen[FILCHI_WORKERS_MAX] = { false };
		uint32_t count = 0;

		filchi_victim_init(&v, plan, w, w);
		for (int victim; (victim = filchi_victim_next(&v)) >= 0; count++) {
			cr_assert(!seen[victim] && victim != (int)w);
			seen[victim] = true;
			if (count < FILCHI_WORKERS_MAX / 16 - 1)
				cr_assert_eq(
					(uint32_t)victim % 16, w % 16, "the same core comes first");
		}
		cr_assert_eq(count, FILCHI_WORKERS_MAX - 1);
	}
	filchi_plan_free(plan);
}

Test(victim, a_waiting_worker_looks_at_its_own_deque_then_its_thief_then_all)
{
	struct filchi_plan *plan = make_plan(16, 0);
	struct filchi_victim v;

	filchi_victim_init(&v, plan, 3, 1);
	for (int waits = 0; waits < 2; waits++) {
		struct filchi_help help = { .own = waits ? 3 : -1, .thief = waits ? 9 : -1 };
		int looks = 0, next;

		while ((next = filchi_help_next(&help, &v)) >= 0) {
			if (waits && looks < 2)
				cr_assert_eq(next, looks ? 9 : 3);
			else
				cr_assert_neq(next, 3);
			looks++;
		}
		cr_assert_eq(looks, waits ? 17 : 15);
	}
	filchi_plan_free(plan);
}
