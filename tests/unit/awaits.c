/* SPDX-License-Identifier: Apache-2.0 */
/* awaits: the workers that wait for a job are found, all of them and no other. */
#include <criterion/criterion.h>
#include <struct/awaits.h>

static struct filchi_awaits awaits;

static unsigned count(uint32_t workers)
{
	unsigned n = 0;

	for (uint32_t i = filchi_awaits_next(&awaits, 0, workers); i < workers;
		i = filchi_awaits_next(&awaits, i + 1, workers))
		n++;
	return n;
}

Test(awaits, nobody_waits_at_first)
{
	filchi_awaits_init(&awaits);
	cr_assert_eq(filchi_awaits_next(&awaits, 0, FILCHI_AWAITS_MAX), FILCHI_AWAITS_MAX);
	cr_assert_eq(filchi_awaits_next(&awaits, 0, 1), 1);
	cr_assert_eq(filchi_awaits_next(&awaits, 3, 3), 3);
}

Test(awaits, each_is_found_alone_wherever_its_bit_is)
{
	filchi_awaits_init(&awaits);
	for (uint32_t i = 0; i < FILCHI_AWAITS_MAX; i++) {
		filchi_awaits_add(&awaits, i);
		cr_assert_eq(filchi_awaits_next(&awaits, 0, FILCHI_AWAITS_MAX), i);
		cr_assert_eq(filchi_awaits_next(&awaits, i, FILCHI_AWAITS_MAX), i);
		cr_assert_eq(
			filchi_awaits_next(&awaits, i + 1, FILCHI_AWAITS_MAX), FILCHI_AWAITS_MAX);
		cr_assert_eq(filchi_awaits_next(&awaits, 0, i), i, "beyond the last worker");
		filchi_awaits_remove(&awaits, i);
		cr_assert_eq(count(FILCHI_AWAITS_MAX), 0);
	}
}

Test(awaits, all_are_found_one_after_the_other)
{
	filchi_awaits_init(&awaits);
	for (uint32_t i = 0; i < FILCHI_AWAITS_MAX; i++)
		filchi_awaits_add(&awaits, i);
	cr_assert_eq(count(FILCHI_AWAITS_MAX), FILCHI_AWAITS_MAX);
	cr_assert_eq(count(100), 100);
	for (uint32_t i = 0; i < FILCHI_AWAITS_MAX; i += 2)
		filchi_awaits_remove(&awaits, i);
	cr_assert_eq(count(FILCHI_AWAITS_MAX), FILCHI_AWAITS_MAX / 2);
}

Test(awaits, what_is_done_twice_is_done_once)
{
	filchi_awaits_init(&awaits);
	filchi_awaits_add(&awaits, 70);
	filchi_awaits_add(&awaits, 70);
	cr_assert_eq(count(128), 1);
	filchi_awaits_remove(&awaits, 70);
	filchi_awaits_remove(&awaits, 70);
	cr_assert_eq(count(128), 0);
}
