/* SPDX-License-Identifier: Apache-2.0 */
/* places: where a thread has workers woken, by what it has learnt, wake-up by wake-up. */
#include <criterion/criterion.h>
#include <struct/places.h>

#define HERE  FILCHI_PLACE_HERE
#define THERE FILCHI_PLACE_THERE

/* So many wake-ups, each as long as its place takes. Returns how many of them were here. */
static unsigned wake(struct filchi_places *p, unsigned times, uint64_t here, uint64_t there)
{
	unsigned n = 0;

	while (times--) {
		uint32_t place = filchi_places_next(p);

		n += place == HERE;
		filchi_places_learn(p, place, place == HERE ? here : there);
	}
	return n;
}

Test(places, a_thread_begins_elsewhere_and_tries_its_own_core_after_some_wake_ups)
{
	struct filchi_places p = { .every = 0 };

	cr_assert_eq(filchi_places_next(&p), THERE);
	cr_assert_eq(wake(&p, FILCHI_TRIAL_FIRST, 5000, 50000), 0);
	cr_assert_eq(filchi_places_next(&p), HERE);
}

Test(places, one_that_makes_way_at_once_keeps_to_its_own_core)
{
	struct filchi_places p = { .every = 0 };

	cr_assert_geq(wake(&p, 1500, 5000, 50000), 1470);
	cr_assert_eq(p.place, HERE);
}

Test(places, one_that_goes_on_loses_few_wake_ups)
{
	struct filchi_places p = { .every = 0 };

	cr_assert_leq(wake(&p, 1500, 3000000, 50000), 4);
	cr_assert_eq(p.place, THERE);
}

Test(places, one_that_goes_on_every_other_time_soon_keeps_to_elsewhere)
{
	struct filchi_places p = { .every = 0 };
	unsigned here = 0, late = 0;

	for (unsigned i = 0; i < 3000; i++) {
		uint32_t place = filchi_places_next(&p);
		bool goes_on = (i ^ i >> 3) & 1;

		here += place == HERE;
		late += place == HERE && goes_on;
		filchi_places_learn(&p, place, place == THERE ? 50000 : goes_on ? 3000000 : 5000);
	}
	cr_assert_leq(late, 30, "%u of %u", late, here);
}

Test(places, one_late_wake_up_among_many_is_forgiven_and_two_at_once_are_not)
{
	struct filchi_places p = { .every = 0 };

	(void)wake(&p, 100, 5000, 50000);
	cr_assert_eq(p.place, HERE);
	filchi_places_learn(&p, HERE, 3000000);
	cr_assert_eq(p.place, HERE);
	filchi_places_learn(&p, HERE, 3000000);
	cr_assert_eq(p.place, THERE);
}

Test(places, a_thread_that_has_changed_is_found_out)
{
	struct filchi_places p = { .every = 0 };

	(void)wake(&p, 1000, 5000, 50000);
	cr_assert_leq(wake(&p, 1000, 3000000, 50000), 10);
	cr_assert_eq(p.place, THERE);
}

Test(places, where_nothing_is_known_of_elsewhere_only_a_late_one_is_reason_to_leave)
{
	struct filchi_places p = { .place = HERE };

	(void)wake(&p, 10, 40000, 0);
	cr_assert_eq(p.place, HERE);
	filchi_places_learn(&p, HERE, 3000000);
	cr_assert_eq(p.place, THERE);
}
